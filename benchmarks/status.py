"""How long the overview of many experiment branches takes.

Repositories of 200, 1,000 and 5,000 branches (300 files, main moving on; clean, overlapping, conflicting and squash-landed
branches). Compared, in turns:

- ``branchlab status --json`` warm, as it is from the second call on, and cold, with nothing kept: drift against main and
  the reference, landing by whichever road, conflicts, stacks, work trees, results;
- the loop that one writes instead, three processes a branch: ``git rev-list --left-right --count``, ``git cherry``,
  ``git merge-tree``. It knows no reference, no squashes and no reverts. It runs over every n-th branch, 50 of them, and its
  time is multiplied by n;
- the floor: ``git for-each-ref`` and one ``git log`` of all branches, which answer none of it;
- ahead, behind and merge base of all branches alone, against main and the reference, within a Python that runs already.

The smallest repository comes a second time with 600 recorded runs, three seeds a branch.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
import time
from pathlib import Path

from repositories import build_lab, git, record_runs
from timing import Goal, Report, Timed, in_turns, parser, scripts_folder, spend, spend_on

from branchlab.git.graph import read_graph
from branchlab.git.repository import Repository

_SIZES = (200, 1000, 5000)
_LOOP_SIZE = 50
_WARM_GOAL_S = 0.5
_DRIFT_GOAL = 2.0
_GROWTH_GOAL = 7.0
_WARM, _COLD = "branchlab status --json", "the same, nothing kept"
_LOOP = "a loop: rev-list, cherry, merge-tree"
_FLOOR = "for-each-ref and log"
_DRIFT = "ahead and behind alone"


def main() -> None:
    options = parser(__doc__, rounds=7).parse_args()
    report = Report("Status")
    cold: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        for num_branches in _SIZES:
            root = Path(folder) / f"lab{num_branches}"
            build_lab(root, num_branches=num_branches)
            timed = _timed(root, num_branches, rounds=options.rounds)
            title = f"{num_branches:,} branches."
            report.add(title, timed, against=[_LOOP, _FLOOR])
            cold[num_branches] = timed[_COLD].median
            if num_branches == 1000:  # noqa: PLR2004  the size that the goals are about
                warm, drift = timed[_WARM].median, timed[_DRIFT].median / timed[_FLOOR].median
                report.goals += [
                    Goal("warm, 1,000 branches", warm, _WARM_GOAL_S, " s"),
                    Goal("ahead and behind of 1,000 branches / floor", drift, _DRIFT_GOAL, "x"),
                ]
        growth = cold[5000] / cold[1000]
        report.goals.append(Goal("cold, 5,000 branches / 1,000", growth, _GROWTH_GOAL, "x"))
        root = Path(folder) / "lab200"
        record_runs(root, num_runs=600)
        timed = _timed(root, 200, rounds=options.rounds)
        report.add("200 branches, 600 runs.", timed, against=[_LOOP, _FLOOR])
    report.print(as_json=options.json)


def _timed(root: Path, num_branches: int, *, rounds: int) -> dict[str, Timed]:
    branchlab = [scripts_folder() / "branchlab", "status", "--json"]
    loop = root.with_name(f"{root.name}-loop")
    if not loop.exists():
        # A copy, because merge-tree leaves the trees that it makes.
        shutil.copytree(root, loop, ignore=shutil.ignore_patterns(".branchlab"))
    fast = {
        _WARM: functools.partial(spend, branchlab, cwd=root),
        _FLOOR: functools.partial(_floor, root),
        _DRIFT: functools.partial(_drift, root),
    }
    slow = {
        _COLD: functools.partial(_cold, root, branchlab),
        _LOOP: functools.partial(_naive, loop, num_branches),
    }
    timed = in_turns(fast, rounds=rounds) | in_turns(slow, rounds=max(1, rounds // 3), warm_ups=0)
    return {name: timed[name] for name in (_WARM, _COLD, _LOOP, _FLOOR, _DRIFT)}


def _cold(root: Path, command: list[Path | str]) -> tuple[float, float]:
    for path in (root / ".branchlab").glob("memo.*"):
        path.unlink()
    return spend(command, cwd=root)


def _naive(root: Path, num_branches: int) -> tuple[float, float]:
    step = max(1, num_branches // _LOOP_SIZE)

    def loop() -> None:
        names = git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads/exp").split()
        for name in names[::step]:
            spend(["git", "rev-list", "--left-right", "--count", f"main...{name}"], cwd=root)
            spend(["git", "cherry", "main", name], cwd=root)
            merge = ["git", "merge-tree", "--write-tree", "--name-only", "main", name]
            spend(merge, cwd=root, accepted=(0, 1))  # 1 where there are conflicts

    wall, cpu = spend_on(loop)
    return wall * step, cpu * step


def _floor(root: Path) -> tuple[float, float]:
    def ask() -> None:
        spend(["git", "for-each-ref"], cwd=root)
        spend(["git", "log", "--branches", "--format=%H %P %ct %s"], cwd=root)

    return spend_on(ask)


def _drift(root: Path) -> tuple[float, float]:
    repository = Repository.find(root)
    started, worked = time.perf_counter(), time.process_time()
    local = repository.refs().local
    main, reference = local["main"].tip, local["original"].tip
    tips = [branch.tip for branch in local.values()]
    graph = read_graph(repository, tips, main=main, reference=reference)
    found = [(graph.drift(tip), graph.reference_drift(tip)) for tip in tips]
    assert len(found) == len(tips)
    return time.perf_counter() - started, time.process_time() - worked


if __name__ == "__main__":
    main()
