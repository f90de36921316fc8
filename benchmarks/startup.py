"""How long a command line takes before it does anything.

Compared, in turns, with the same interpreter:

- ``branchlab --help``, ``--version``, ``status --help``: what one types most, and what completion and scripts start;
- ``python -c pass``: the floor of anything written in Python;
- ``python -c "import click"``: the floor of anything that uses the usual parser;
- ``python -c "import torch"`` (a few times only): what a tool pays that does not keep torch out of its start-up.

Goal: ``branchlab --help`` within three times ``python -c pass``.
"""

from __future__ import annotations

import sys

from timing import Goal, Report, in_turns, parser, scripts_folder, spend


def main() -> None:
    options = parser(__doc__, rounds=30).parse_args()
    branchlab = scripts_folder() / "branchlab"
    bare, help_page = "python -c pass", "branchlab --help"
    commands = {
        bare: [sys.executable, "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        help_page: [branchlab, "--help"],
        "branchlab --version": [branchlab, "--version"],
        "branchlab status --help": [branchlab, "status", "--help"],
    }
    timed = in_turns(
        {name: lambda words=words: spend(words) for name, words in commands.items()},
        rounds=options.rounds,
        warm_ups=2,
    )
    torch = [sys.executable, "-c", "import torch"]
    timed |= in_turns({"python -c 'import torch'": lambda: spend(torch)}, rounds=3)
    report = Report("Start-up")
    report.add("One process from start to exit.", timed, against=[bare, "python -c 'import click'"])
    ratio = timed[help_page].median / timed[bare].median
    report.goals.append(Goal(f"{help_page} / {bare}", ratio, 3.0, "x"))
    report.print(as_json=options.json)


if __name__ == "__main__":
    main()
