"""How long the overview of many experiment branches takes.

Repositories of 50 and 200 branches (300 files, main moving on; clean, overlapping, conflicting and squash-landed
branches), and the larger one again with 600 recorded runs, three seeds a branch. Compared, in turns:

- ``branchlab status`` and ``status --json``: drift against main and the reference, landing, conflicts, results, verdicts;
- the loop that one writes instead, two processes a branch: ``git rev-list --left-right --count`` and ``git merge-tree``.
  It knows drift against main and conflicts only;
- the floor: ``git for-each-ref`` and one ``git log`` of all branches, which answer none of it.

The index of runs is warm, as it is after the first call; the first call after 600 runs has its own line.
Goal: 200 branches below 0.4 s.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

from repositories import build_lab, git, record_runs
from timing import Goal, Report, Timed, in_turns, parser, scripts_folder, spend, spend_on

_GOAL_S = 0.4
_STATUS, _LOOP, _FLOOR = (
    "branchlab status",
    "a loop: rev-list and merge-tree",
    "for-each-ref and log",
)


def main() -> None:
    options = parser(__doc__, rounds=9).parse_args()
    report = Report("Status")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        for num_branches in (50, 200):
            root = Path(folder) / f"lab{num_branches}"
            build_lab(root, num_branches=num_branches)
            timed = in_turns(_contestants(root), rounds=options.rounds)
            report.add(f"{num_branches} branches, no runs.", timed, against=[_LOOP, _FLOOR])
        report.goals.append(Goal(f"{_STATUS}, 200 branches", timed[_STATUS].median, _GOAL_S, " s"))
        timed = _with_runs(root, rounds=options.rounds)
        report.add("200 branches, 600 runs.", timed, against=[_LOOP, _FLOOR])
        report.goals.append(
            Goal(f"{_STATUS}, 200 branches, 600 runs", timed[_STATUS].median, _GOAL_S, " s")
        )
    report.print(as_json=options.json)


def _with_runs(root: Path, *, rounds: int) -> dict[str, Timed]:
    record_runs(root, num_runs=600)
    first = Timed()
    for _ in range(3):
        for path in (root / ".branchlab").glob("index.*"):
            path.unlink()
        wall, cpu = spend([scripts_folder() / "branchlab", "status"], cwd=root)
        first.walls.append(wall)
        first.cpus.append(cpu)
    return {**in_turns(_contestants(root), rounds=rounds), f"{_STATUS}, without an index": first}


def _contestants(root: Path) -> dict[str, functools.partial[tuple[float, float]]]:
    branchlab = scripts_folder() / "branchlab"
    loop = root.with_name(f"{root.name}-loop")
    if not loop.exists():
        # A copy, because merge-tree leaves the trees that it makes.
        shutil.copytree(root, loop)
    return {
        _STATUS: functools.partial(spend, [branchlab, "status"], cwd=root),
        f"{_STATUS} --json": functools.partial(spend, [branchlab, "status", "--json"], cwd=root),
        _LOOP: functools.partial(_naive, loop),
        _FLOOR: functools.partial(_floor, root),
    }


def _naive(root: Path) -> tuple[float, float]:
    def loop() -> None:
        names = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads/exp").split()
        for name in names:
            spend(["git", "rev-list", "--left-right", "--count", f"main...{name}"], cwd=root)
            merge = ["git", "merge-tree", "--write-tree", "--name-only", "main", name]
            spend(merge, cwd=root, accepted=(0, 1))  # 1 where there are conflicts

    return spend_on(loop)


def _floor(root: Path) -> tuple[float, float]:
    def ask() -> None:
        spend(["git", "for-each-ref"], cwd=root)
        spend(["git", "log", "--branches", "--format=%H %P %ct %s"], cwd=root)

    return spend_on(ask)


if __name__ == "__main__":
    main()
