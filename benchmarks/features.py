"""How long it takes to say what a branch changes.

A repository of 1,000 files of 60 functions each, and a branch that touches 50 of them: in every one a function gains a
flag that is off, guards a new line with it, and another function is edited. Compared, in turns:

- ``branchlab features --base main --head exp/wide --json``, the whole process, nothing kept from before;
- ``git diff main exp/wide``, which shows the change and says nothing about it;
- the floor: reading and parsing both sides of the 50 files, in one Python process that has started already.

Goal: below 1 s.
"""

from __future__ import annotations

import ast
import functools
import tempfile
import time
from pathlib import Path

from repositories import Importer, git, source_file, source_path
from timing import Goal, Report, in_turns, parser, scripts_folder, spend

_NUM_FILES = 1_000
_NUM_TOUCHED = 50
_GOAL_S = 1.0
_FEATURES, _DIFF, _FLOOR = "branchlab features", "git diff", "parsing both sides"


def main() -> None:
    options = parser(__doc__, rounds=9).parse_args()
    report = Report("Features")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        root = Path(folder) / "project"
        _build(root)
        revisions = ["--base", "main", "--head", "exp/wide", "--json"]
        command = [scripts_folder() / "branchlab", "features", *revisions]
        timed = in_turns(
            {
                _FEATURES: functools.partial(spend, command, cwd=root),
                _DIFF: functools.partial(spend, ["git", "diff", "main", "exp/wide"], cwd=root),
                _FLOOR: functools.partial(_parse, root),
            },
            rounds=options.rounds,
        )
    report.add(f"{_NUM_TOUCHED} of {_NUM_FILES} files touched.", timed, against=[_DIFF, _FLOOR])
    report.goals.append(Goal(f"{_FEATURES}, whole process", timed[_FEATURES].median, _GOAL_S, " s"))
    report.print(as_json=options.json)


def _build(root: Path) -> None:
    made = Importer()
    made.commit("main", {source_path(n): source_file(n) for n in range(_NUM_FILES)})
    touched = {}
    for n in range(0, _NUM_FILES, _NUM_FILES // _NUM_TOUCHED):
        guarded = f"def step_{n}_7(x, square=False): return x * x if square else x * 7 + {n}"
        edited = f"def step_{n}_30(x): return x * 31 + {n}"
        touched[source_path(n)] = source_file(n, changed={7: guarded, 30: edited})
    made.commit("exp/wide", touched, start="main")
    made.write(root)


def _parse(root: Path) -> tuple[float, float]:
    names = git(root, "diff", "--name-only", "main", "exp/wide").split()
    texts = [git(root, "show", f"{side}:{name}") for name in names for side in ("main", "exp/wide")]
    wall, cpu = time.perf_counter(), time.process_time()
    for text in texts:
        ast.parse(text)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
