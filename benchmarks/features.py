"""How long reading what a branch changes takes.

A repository of 1,000 files in 67 packages that import each other; one branch touches 50 of them (a new keyword argument that is off
by default, threaded through callers), and a lab of 200 branches of plain size stands beside. Compared, in turns:

- ``branchlab features --base main --head BRANCH --json``: the whole process, nothing kept, as in any repository;
- ``branchlab features BRANCH --json`` warm: what was read before is kept by the ids of both trees;
- the floor: ``git diff`` of the same two revisions, and a Python that parses the 50 files on both sides, which decide nothing.

Goal: the branch of 50 files in under a second.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from pathlib import Path

from repositories import Importer, build_lab, source_path
from timing import Goal, Report, Timed, in_turns, parser, scripts_folder, spend

_NUM_FILES, _NUM_TOUCHED, _GOAL_S = 1000, 50, 1.0
_COLD, _WARM = "features --base --head, nothing kept", "features BRANCH, kept"
_DIFF, _PARSE = "git diff", "python: parse 50 files twice"
_LAB = 200

_CONFIG = '[branches]\nmain = "main"\nreference = ""\nexperiments = ["exp/*"]\n[trainer]\ntask = "project.task:Task"\n'
_PARSER = """
import ast, subprocess
paths = subprocess.check_output(["git", "diff", "--name-only", "main", "exp/wide"], text=True).split()
for revision in ("main", "exp/wide"):
    for path in paths:
        ast.parse(subprocess.check_output(["git", "show", f"{revision}:{path}"]))
"""


def main() -> None:
    options = parser(__doc__, rounds=7).parse_args()
    report = Report("Features")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        root = Path(folder) / "wide"
        _build(root)
        timed = in_turns(_contestants(root), rounds=options.rounds)
        title = f"One branch, {_NUM_TOUCHED} of {_NUM_FILES:,} files."
        report.add(title, timed, against=[_DIFF, _PARSE])
        report.goals.append(Goal(title.rstrip("."), timed[_COLD].median, _GOAL_S, " s"))
        lab = Path(folder) / "lab"
        build_lab(lab, num_branches=_LAB)
        timed = _lab(lab, rounds=max(1, options.rounds // 3))
        report.add(f"{_LAB} branches, in one go.", timed, against=["features, nothing kept"])
    report.print(as_json=options.json)


def _contestants(root: Path) -> dict[str, functools.partial[tuple[float, float]]]:
    branchlab = scripts_folder() / "branchlab"
    both = ["--base", "main", "--head", "exp/wide"]
    return {
        _COLD: functools.partial(spend, [branchlab, "features", *both, "--json"], cwd=root),
        _WARM: functools.partial(spend, [branchlab, "features", "exp/wide", "--json"], cwd=root),
        _DIFF: functools.partial(spend, ["git", "diff", "main", "exp/wide"], cwd=root),
        _PARSE: functools.partial(spend, [sys.executable, "-c", _PARSER], cwd=root),
    }


def _lab(root: Path, *, rounds: int) -> dict[str, Timed]:
    command = [scripts_folder() / "branchlab", "features", "--json"]

    def cold() -> tuple[float, float]:
        for path in (root / ".branchlab").glob("memo.*"):
            path.unlink()
        return spend(command, cwd=root)

    found = in_turns({"features, nothing kept": cold}, rounds=rounds, warm_ups=0)
    return found | in_turns(
        {"features, kept": functools.partial(spend, command, cwd=root)}, rounds=rounds
    )


def _build(root: Path) -> None:
    made = Importer()
    files = {source_path(number): _module(number) for number in range(_NUM_FILES)}
    made.commit("main", {**files, ".branchlab.toml": _CONFIG, ".gitignore": ".branchlab/\n"})
    step = _NUM_FILES // _NUM_TOUCHED
    touched = range(0, _NUM_FILES, step)
    made.commit(
        "exp/wide",
        {source_path(number): _module(number, is_changed=True) for number in touched},
        start="main",
    )
    made.write(root)


def _module(number: int, *, is_changed: bool = False) -> str:
    """Return a file with a module, a loss and a function that calls another file's."""
    flag = ", *, scaled=False" if is_changed else ""
    store = "        self.scaled = scaled\n" if is_changed else ""
    use = "        if self.scaled:\n            x = x * 0.5\n" if is_changed else ""
    other = (number + 1) % _NUM_FILES
    where = source_path(other).removesuffix(".py").replace("/", ".")
    body = "".join(
        f"\n\ndef step_{number}_{at}(x, y):\n    z = x * {at} + y\n    return z - {number}\n"
        for at in range(8)
    )
    return f"""import torch
from torch import nn

from {where} import step_{other}_0


class Block{number}(nn.Module):
    def __init__(self, width{flag}):
        super().__init__()
{store}        self.conv = nn.Conv2d(width, width, 3)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        x = self.norm(self.conv(x))
{use}        return torch.relu(x)


def loss_{number}(outputs, targets):
    return step_{other}_0((outputs - targets).pow(2).mean(), 1.0)
{body}"""


if __name__ == "__main__":
    main()
