"""How much of the machine's time goes into training when many branches run.

Two parts, both on two cores with one thread a run:

- the example: main and eight of its branches, three seeds each, as ``branchlab demo`` builds them, with the warm parent
  that an earlier command left and with none. Share of the time of both cores, from the first moment of the command to
  its end, in which a run trained: between its first event and its last. Against the same runs, each by a process of its own (``python -m branchlab.train.node``), two at a time: what one
  pays without a warm parent;
- 24 runs that train for milliseconds: ``branchlab run main --seeds 24`` from start to end, with the warm parent that an
  earlier command left, and with none (``linger_s = 0``: torch is imported first), against ``python train.py`` 24 times,
  two at a time, and against DVC's queue with two workers (optional, and once, because it takes long).

Goals: at least 90% of the cores' time in training; 24 trivial runs in under 3 s.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from repositories import build_tiny_project, git
from timing import (
    NO_DVC,
    Goal,
    Report,
    Timed,
    clean_environment,
    find_dvc,
    in_turns,
    parser,
    scripts_folder,
    spend,
    spend_on,
    use_two_cores,
)

from branchlab.lab.project import open_project
from branchlab.run_folder import StateFolder, read_events

_CORES = 2
_NUM_BRANCHES, _SEEDS = 8, 3
_TRIVIAL = 24
_GOAL_SHARE, _GOAL_TRIVIAL_S = 0.9, 3.0
_DVC_WITHIN_S = 600.0
_OURS, _NODES = "branchlab run", "python -m for every run"
_COLD, _LOOP = "branchlab run, no parent left by another", "python train.py, two at a time"


def main() -> None:
    made = parser(__doc__, rounds=3)
    made.add_argument("--dvc", metavar="PATH", help="the dvc command of another environment")
    made.add_argument("--trivial", action="store_true", help="leave the example out")
    options = made.parse_args()
    use_two_cores()
    report = Report("Use of the device")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        if not options.trivial:
            _example(Path(folder), report)
        _trivial(Path(folder), report, rounds=options.rounds, dvc=find_dvc(options.dvc))
    report.print(as_json=options.json)


def _example(folder: Path, report: Report) -> None:
    lab, cold, timed, shares = folder / "lab", folder / "cold", {}, {}
    spend([scripts_folder() / "branchlab", "demo", lab, "--no-run"])
    shutil.copytree(lab, cold, symlinks=True)
    _without_parent(cold)
    # What an earlier command leaves: a parent that has imported torch.
    spend([scripts_folder() / "branchlab", "run", "main", "--seeds", "1", "--epochs", "1"], cwd=lab)
    names = git(lab, "for-each-ref", "--format=%(refname:short)", "refs/heads/exp").split()
    words = ["run", *names[:_NUM_BRANCHES], "--seeds", str(_SEEDS)]
    for name, root in ((_OURS, lab), (_COLD, cold)):
        spent = spend([scripts_folder() / "branchlab", *words], cwd=root, accepted=(0, 1))
        timed[name] = Timed(walls=[spent[0]], cpus=[spent[1]])
        shares[name] = _trained_s(StateFolder(root / ".branchlab")) / _CORES / spent[0]
    again = _as_nodes(cold, StateFolder(cold / ".branchlab"))
    timed[_NODES] = Timed(walls=[again[0]], cpus=[again[1]])
    shares[_NODES] = _trained_s(StateFolder(cold / "nodes")) / _CORES / again[0]
    num = len(StateFolder(cold / ".branchlab").all_runs())
    title = f"The example: {num} runs of main and {_NUM_BRANCHES} branches."
    report.add(title, timed, against=[_NODES])
    report.remarks += [
        f"{name}: {share:.1%} of the time of {_CORES} cores in training"
        for name, share in shares.items()
    ]
    idle = "share of the cores' time that is not training"
    report.goals.append(Goal(idle, 1 - shares[_OURS], 1 - _GOAL_SHARE))


def _without_parent(root: Path) -> None:
    """Let a command start a parent of its own, which imports torch."""
    config = root / ".branchlab.toml"
    config.write_text(config.read_text() + "\n[executor]\nlinger_s = 0\n")


def _trained_s(state: StateFolder) -> float:
    """Return the seconds between the first and the last event of all runs of the last batch."""
    total = 0.0
    folders = state.all_runs()
    last = max(folder.read_plan().batch for folder in folders)
    for folder in folders:
        if folder.read_plan().batch != last:
            continue
        events = read_events(folder.attempt(1).events).events
        at = [datetime.fromisoformat(event["at"]) for event in events]
        total += (at[-1] - at[0]).total_seconds()
    return total


def _as_nodes(root: Path, state: StateFolder) -> tuple[float, float]:
    """Train the same runs once more, each in a process that imports torch itself."""
    places = {}
    for path in open_project(root).state.worktrees.iterdir():
        if path.is_dir():
            places[git(path, "rev-parse", "HEAD")] = path
    copies = StateFolder(root / "nodes")
    orders = []
    for folder in state.all_runs():
        run = folder.read_plan()
        copy = copies.run(run.id)
        copy.write_plan(replace(run, id=copy.path.name))
        orders.append(
            {
                "run_folder": str(copy.path),
                "attempt": 1,
                "worktree": str(places[run.commit]),
                "timeout_s": 600,
                "silence_s": 600,
            }
        )

    def train(order: dict[str, object]) -> None:
        subprocess.run(
            [sys.executable, "-P", "-m", "branchlab.train.node", json.dumps(order)],
            env=clean_environment(PYTHONHASHSEED="0", OMP_NUM_THREADS="1"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )

    with ThreadPoolExecutor(max_workers=_CORES) as pool:
        return spend_on(lambda: list(pool.map(train, orders)))


def _trivial(folder: Path, report: Report, *, rounds: int, dvc: Path | None) -> None:
    template = folder / "tiny"
    build_tiny_project(template)
    timed = in_turns(
        {
            _OURS: functools.partial(_batch, template),
            _COLD: functools.partial(_batch, template, is_warm=False),
            _LOOP: functools.partial(_loop, template),
        },
        rounds=rounds,
    )
    if dvc is None:
        report.remarks.append(NO_DVC)
    else:
        timed["DVC's queue, two workers"] = _dvc_queue(folder, dvc)
    report.add(
        f"{_TRIVIAL} runs that train for milliseconds.",
        timed,
        against=[_LOOP],
    )
    report.goals.append(
        Goal(f"{_TRIVIAL} trivial runs", timed[_OURS].median, _GOAL_TRIVIAL_S, " s")
    )


def _batch(template: Path, *, is_warm: bool = True) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        root = shutil.copytree(template, Path(folder) / "copy")
        if not is_warm:
            _without_parent(root)
        return spend(
            [scripts_folder() / "branchlab", "run", "main", "--seeds", str(_TRIVIAL)], cwd=root
        )


def _loop(template: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        places = [Path(folder) / str(number) for number in range(_TRIVIAL)]
        for place in places:
            place.mkdir()
        train = [sys.executable, template / "train.py"]
        with ThreadPoolExecutor(max_workers=_CORES) as pool:
            return spend_on(lambda: list(pool.map(lambda place: spend(train, cwd=place), places)))


def _dvc_queue(folder: Path, dvc: Path) -> Timed:
    """Queue the same number of experiments and wait for the last result."""
    root = folder / "dvc"
    build_tiny_project(root, with_dvc=True)
    started = time.perf_counter()
    for number in range(_TRIVIAL):
        spend([dvc, "exp", "run", "--queue", "-S", f"seed={number + 1}"], cwd=root)
    environment = clean_environment()
    environment["PATH"] = f"{dvc.parent}:{environment['PATH']}"
    quiet = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    subprocess.run(
        [str(dvc), "queue", "start", "-j", str(_CORES)],
        cwd=root,
        env=environment,
        check=True,
        **quiet,
    )
    until = time.monotonic() + _DVC_WITHIN_S
    while git(root, "for-each-ref", "--format=%(refname)", "refs/exps").count("/exec/") == 0 and (
        len(git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split()) < _TRIVIAL
    ):
        if time.monotonic() > until:
            sys.exit(f"DVC had no {_TRIVIAL} results within {_DVC_WITHIN_S:g} s")
        time.sleep(0.05)
    wall = time.perf_counter() - started
    subprocess.run([str(dvc), "queue", "stop"], cwd=root, env=environment, check=False, **quiet)
    return Timed(walls=[wall])


if __name__ == "__main__":
    main()
