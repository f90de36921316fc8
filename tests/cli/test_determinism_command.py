"""``run --check-determinism`` as scripts call it."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import TASK
from tests.cli.test_errors import assert_said

CLOCK = TASK.replace(
    "    def model(self):\n", "    def model(self):\n        import time\n        torch.manual_seed(time.time_ns() % 2**31)\n"
)  # fmt: skip


def test_a_branch_is_proven_or_its_culprit_named(project) -> None:
    project.branch("exp/clock", {"tiny/task.py": CLOCK})
    line = 1 + next(i for i, text in enumerate(CLOCK.splitlines()) if "time_ns" in text)

    done = project.branchlab("run", "clock", "--check-determinism", "--steps", "6", "--json")

    assert done.returncode == 1, done.stderr
    main, clock = json.loads(done.stdout)["branches"]
    assert (main["branch"], main["status"], main["first_difference"]) == (
        "main",
        "deterministic",
        None,
    )
    assert (main["repeat"]["status"], main["resume"]["status"]) == ("same", "same")
    assert main["operation"] is main["place"] is None
    assert {stop["step"] for stop in main["resume"]["stops"]} >= {1}
    assert (clock["branch"], clock["status"]) == ("exp/clock", "differs")
    assert clock["operation"] == "time.time_ns()"
    assert clock["place"] == f"tiny/task.py:{line}"
    assert clock["first_difference"]["step"] == 0
    assert clock["resume"]["status"] == "not-run"

    done = project.branchlab("run", "main", "--check-determinism", "--steps", "4")

    assert done.returncode == 0, done.stderr
    assert "main  deterministic on cpu" in done.stdout
    assert "the same bits with and without interruptions (stopped after step 1" in done.stdout
    assert (
        project.branchlab("runs", "--json").stdout.count('"id"') == 0
    )  # nothing was kept as a run


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        (["--steps", "5"], "--steps says how long --check-determinism looks", "--epochs N"),
        (["--check-determinism", "--full"], "--full means nothing beside", "leave it out"),
        (["--check-determinism", "--budget-total", "5m"], "--budget-total means nothing", "leave it out"),
        (["--check-determinism", "--executor", "slurm"], "--executor means nothing", "leave it out"),
        (["--check-determinism", "--steps", "0"], "--steps 0: needs at least 1", "branchlab run --help"),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(project, options, said, hint) -> None:
    assert_said(project.branchlab("run", "main", *options), said, hint)
