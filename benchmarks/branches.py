"""Eight existing branches, one command.

A project with main and eight experiment branches, each a commit ahead of main, that trains in milliseconds; two cores,
two at a time, one seed. Compared, in turns, each in a fresh copy:

- ``branchlab run --all-branches --seeds 1``: main and the eight, planned, recorded, trained, judged;
- a bare loop over the same nine commits: ``git worktree add``, ``python train.py``, ``git worktree remove``; every
  training imports torch. It records nothing;
- the same loop with a script that imports nothing heavy: what git and processes cost by themselves;
- the branches' own work: one process that imports torch once and trains nine times, with no isolation at all;
- DVC (optional, once, because it takes long): ``git checkout`` and ``dvc exp run --queue`` for each of the eight,
  ``git checkout main``, ``dvc queue start -j 2``: 18 commands, until the last result is there.

Goal: less than 2 s beyond the branches' own work.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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

from branchlab.run_folder import StateFolder

_NUM_BRANCHES = 8
_JOBS = 2
_GOAL_S = 2.0
_DVC_WITHIN_S = 300.0
_OURS = "branchlab run --all-branches"
_LOOP = "loop: worktree add, train.py, remove"
_LIGHT = "the loop, importing nothing heavy"
_OWN = "own work: torch once, 9 trainings"


def main() -> None:
    made = parser(__doc__, rounds=5)
    made.add_argument("--dvc", metavar="PATH", help="the dvc command of another environment")
    options = made.parse_args()
    use_two_cores()
    report = Report("Eight branches")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        template = Path(folder) / "project"
        names = ["main", *build_tiny_project(template, num_branches=_NUM_BRANCHES)]
        own = [sys.executable, template / "train.py", str(len(names))]
        timed = in_turns(
            {
                _OURS: functools.partial(_branchlab, template),
                _LOOP: functools.partial(_loop, template, names, "train.py"),
                _LIGHT: functools.partial(_loop, template, names, "train_light.py"),
                _OWN: functools.partial(spend, own, cwd=Path(folder)),
            },
            rounds=options.rounds,
        )
        dvc = find_dvc(options.dvc)
        if dvc is None:
            report.remarks.append(NO_DVC)
        else:
            timed["DVC, 18 commands, 8 of the 9"] = _dvc(Path(folder), dvc)
    report.add("From the first command to the last result.", timed, against=[_LOOP, _OWN])
    beyond = timed[_OURS].median - timed[_OWN].median
    report.goals.append(Goal("branchlab beyond the branches' own work", beyond, _GOAL_S, " s"))
    report.print(as_json=options.json)


def _branchlab(template: Path) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        root = shutil.copytree(template, Path(folder) / "copy")
        command = [scripts_folder() / "branchlab", "run", "--all-branches", "--seeds", "1"]
        spent = spend(command, cwd=root)
        results = [
            run.attempt(1).read_result() for run in StateFolder(root / ".branchlab").all_runs()
        ]
        states = [result["state"] if result else "none" for result in results]
        if states != ["done"] * (_NUM_BRANCHES + 1):
            sys.exit(f"not every run is done: {states}")
        return spent


def _loop(template: Path, names: list[str], script: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=template.parent) as folder:
        root = shutil.copytree(template, Path(folder) / "copy")
        adding = threading.Lock()  # adding two at once fails now and then

        def train(name: str) -> None:
            place = Path(folder) / name.replace("/", "-")
            with adding:
                git(root, "worktree", "add", "--quiet", "--detach", str(place), name)
            spend([sys.executable, script], cwd=place)
            with adding:
                git(root, "worktree", "remove", "--force", str(place))

        with ThreadPoolExecutor(max_workers=_JOBS) as pool:
            return spend_on(lambda: list(pool.map(train, names)))


def _dvc(folder: Path, dvc: Path) -> Timed:
    root = folder / "dvc"
    names = build_tiny_project(root, num_branches=_NUM_BRANCHES, with_dvc=True)
    started = time.perf_counter()
    for name in names:
        git(root, "checkout", "--quiet", name)
        spend([dvc, "exp", "run", "--queue"], cwd=root)
    git(root, "checkout", "--quiet", "main")
    # Its workers find dvc on PATH, and inherit stdout: a pipe would block until they end.
    environment = clean_environment()
    environment["PATH"] = f"{dvc.parent}:{environment['PATH']}"
    subprocess.run(
        [str(dvc), "queue", "start", "-j", str(_JOBS)],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    result = re.compile(r"^refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/", re.MULTILINE)
    until = time.monotonic() + _DVC_WITHIN_S
    while len(result.findall(git(root, "for-each-ref", "--format=%(refname)", "refs/exps"))) < len(
        names
    ):
        if time.monotonic() > until:
            sys.exit(f"DVC had no {len(names)} results within {_DVC_WITHIN_S:g} s")
        time.sleep(0.05)
    wall = time.perf_counter() - started
    subprocess.run(
        [str(dvc), "queue", "stop"], cwd=root, env=environment, capture_output=True, check=False
    )
    return Timed(walls=[wall])


if __name__ == "__main__":
    main()
