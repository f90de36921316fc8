"""What branchlab adds to a run beyond the training itself.

The task trains some sixty parameters for sixteen steps, a few milliseconds, on two cores with one thread a run. So what
is measured is the tool. Compared:

- one more run: ``branchlab run`` with many seeds less the same with two, so that what happens once (starting, importing
  torch in the warm parent) cancels out; against ``python train.py`` once a run, two at a time, each importing torch,
  which is what a bare loop pays; and against ``dvc exp run`` (optional, one after the other as DVC does);
- inside one run: from the order to the end in one slot of the warm executor, what of it ``result.json`` calls
  ``duration_s``, and the same training inside one process that is warm already (``train.py N``);
- what happens once: two runs, and a command that finds every result known, against ``import torch``.

Goal: less than 0.3 s a run.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from repositories import build_tiny_project
from timing import (
    NO_DVC,
    Goal,
    Report,
    Timed,
    find_dvc,
    in_turns,
    parser,
    scripts_folder,
    spend,
    spend_on,
    use_two_cores,
)

from branchlab.lab.project import open_project
from branchlab.schedule.executor import Bounds, Start
from branchlab.schedule.local import LocalExecutor

_FEW, _MANY, _BARE, _INSIDE = 2, 22, 4, 20
_GOAL_S = 0.3
_MORE = "branchlab run, one more run"
_LOOP = "python train.py, two at a time"


def main() -> None:
    made = parser(__doc__, rounds=5)
    made.add_argument("--dvc", metavar="PATH", help="the dvc command of another environment")
    options = made.parse_args()
    use_two_cores()
    report = Report("A run's overhead")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        template = Path(folder) / "project"
        build_tiny_project(template)
        batches = in_turns(
            {
                "few": functools.partial(_batch, template, _FEW),
                "many": functools.partial(_batch, template, _MANY),
                "bare": functools.partial(_bare_loop, template, _BARE),
                "torch": functools.partial(spend, [sys.executable, "-c", "import torch"]),
                "known": functools.partial(_batch_again, template),
            },
            rounds=options.rounds,
        )
        more = _difference(batches["many"], batches["few"], runs=_MANY - _FEW)
        table = {_MORE: more, _LOOP: _difference(batches["bare"], None, runs=_BARE)}
        dvc = find_dvc(options.dvc)
        if dvc is None:
            report.remarks.append(NO_DVC)
        else:
            table["dvc exp run"] = _dvc(Path(folder), dvc, rounds=options.rounds)
        report.add(
            "One more run (wall time of a batch, divided by its runs).", table, against=[_LOOP]
        )
        inside = _inside(template)
        report.add("Inside one run, one slot.", inside, against=["the training in a warm process"])
        report.add(
            "Once a command.",
            {
                f"branchlab run, {_FEW} runs": batches["few"],
                "branchlab run, every result known": batches["known"],
                "python -c 'import torch'": batches["torch"],
            },
            against=["python -c 'import torch'"],
        )
    added = inside["from order to end"].median - inside["the training in a warm process"].median
    report.goals.append(Goal("from order to end, less the training itself", added, _GOAL_S, " s"))
    report.goals.append(Goal(_MORE, more.median, _GOAL_S, " s"))
    report.print(as_json=options.json)


def _batch(template: Path, num_runs: int) -> tuple[float, float]:
    """Train main with some seeds in a fresh copy."""
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        root = shutil.copytree(template, Path(folder) / "copy")
        return spend(_command(num_runs), cwd=root)


def _batch_again(template: Path) -> tuple[float, float]:
    """Ask again for what is known."""
    root = template.with_name("known")
    if not root.exists():
        shutil.copytree(template, root)
        spend(_command(_FEW), cwd=root)
    return spend(_command(_FEW), cwd=root)


def _command(num_runs: int) -> list[str | Path]:
    return [scripts_folder() / "branchlab", "run", "main", "--seeds", str(num_runs)]


def _bare_loop(template: Path, num_runs: int) -> tuple[float, float]:
    """Train in a process of its own each time, two at once, each in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        places = [Path(folder) / str(number) for number in range(num_runs)]
        for place in places:
            place.mkdir()
        train = [sys.executable, template / "train.py"]
        with ThreadPoolExecutor(max_workers=2) as pool:
            return spend_on(lambda: list(pool.map(lambda place: spend(train, cwd=place), places)))


def _difference(long: Timed, short: Timed | None, *, runs: int) -> Timed:
    """Return the time of one run: a batch less a shorter one of the same round, divided by the runs that it has more."""
    walls = [
        (wall - (short.walls[number] if short else 0.0)) / runs
        for number, wall in enumerate(long.walls)
    ]
    cpus = [
        (cpu - (short.cpus[number] if short else 0.0)) / runs
        for number, cpu in enumerate(long.cpus)
    ]
    return Timed(walls=walls, cpus=cpus)


def _inside(template: Path) -> dict[str, Timed]:
    """Order runs one by one from a warm executor."""
    root = shutil.copytree(template, template.with_name("inside"))
    spend(_command(_INSIDE + 2), cwd=root)
    project = open_project(root)
    worktree = next(path for path in project.state.worktrees.iterdir() if path.is_dir())
    executor = LocalExecutor(project.state)
    executor.facts()
    walls, durations = Timed(), Timed()
    for ticket, finished in enumerate(project.state.all_runs(), 1):
        # The same plan under another name: a run that is finished is left alone.
        run = finished.read_plan()
        folder = project.state.run(f"{run.id}-again")
        folder.write_plan(replace(run, id=folder.path.name))
        attempt = 1
        started = time.perf_counter()
        order = Start(
            ticket=ticket,
            run_folder=folder,
            attempt=attempt,
            worktree=worktree,
            bounds=Bounds(timeout_s=60, silence_s=60),
        )
        executor.start([order])
        while not executor.wait(1.0):
            pass
        wall = time.perf_counter() - started
        result = folder.attempt(attempt).read_result()
        if result is None or result["state"] != "done":
            sys.exit(f"{folder.path.name}: {result}")
        if ticket > 2:  # noqa: PLR2004  the first two find caches cold
            walls.walls.append(wall)
            durations.walls.append(result["duration_s"])
    executor.close()
    spend([sys.executable, "train.py", str(_INSIDE + 2)], cwd=root)
    seconds = json.loads((root / "metrics.json").read_text())["seconds"]
    return {
        "from order to end": walls,
        "duration_s of result.json": durations,
        "the training in a warm process": Timed(walls=seconds[2:]),
    }


def _dvc(folder: Path, dvc: Path, *, rounds: int) -> Timed:
    root = folder / "dvc"
    build_tiny_project(root, with_dvc=True)
    found = Timed()
    for number in range(-1, rounds):
        wall, cpu = spend([dvc, "exp", "run", "-S", f"seed={number + 2}"], cwd=root)
        if number >= 0:
            found.walls.append(wall)
            found.cpus.append(cpu)
    return found


if __name__ == "__main__":
    main()
