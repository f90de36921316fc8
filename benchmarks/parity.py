"""How long it takes to prove that a merge leaves main what it is, on the example.

The demo's lab (Fashion-MNIST, 24 thousand parameters), one branch, 200 steps on each side. Compared, in turns:

- ``branchlab parity BRANCH`` with nothing kept: main, the merge with its flag off, and with its flag on;
- the same for a branch when main's recording is known, as for every further branch;
- the same when all is known;
- ``branchlab run BRANCH`` of the same number of steps, one seed, main and branch: trainings that record nothing and prove nothing.

Goal: off- and on-parity of the example, with nothing kept, in under 30 seconds on two cores.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from timing import Goal, Report, in_turns, parser, scripts_folder, spend, use_two_cores

_GOAL_S = 30.0
_COLD, _SECOND, _WARM = "parity, nothing kept", "parity, main's recording kept", "parity, all kept"
_RUN = "run, as many steps, main and branch"


def main() -> None:
    options = parser(__doc__, rounds=5).parse_args()
    use_two_cores()
    branchlab = scripts_folder() / "branchlab"
    report = Report("Parity")
    with tempfile.TemporaryDirectory(prefix="branchlab-bench-") as folder:
        lab = Path(folder) / "lab"
        spend([branchlab, "demo", lab, "--no-run"])

        def without(kept_of: str | None, name: str) -> tuple[float, float]:
            for path in (lab / ".branchlab").glob("memo.*"):
                path.unlink()
            if kept_of is not None:
                spend([branchlab, "parity", kept_of, "--json"], cwd=lab)
            return spend([branchlab, "parity", name, "--json"], cwd=lab)

        run = [branchlab, "run", "residual", "--seeds", "1", "--epochs", "5", "--force", "--json"]
        timed = in_turns(
            {
                _COLD: functools.partial(without, None, "residual"),
                _SECOND: functools.partial(without, "squeeze-excite", "residual"),
                _WARM: functools.partial(without, "residual", "residual"),
                _RUN: functools.partial(spend, run, cwd=lab),
            },
            rounds=options.rounds,
        )
    report.add("One branch of the example, 200 steps, two cores.", timed, against=[_RUN])
    report.goals.append(
        Goal("off- and on-parity, nothing kept", timed[_COLD].median, _GOAL_S, " s")
    )
    report.print(as_json=options.json)


if __name__ == "__main__":
    main()
