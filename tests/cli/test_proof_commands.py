"""``parity``, ``merge-back``, ``retire`` and ``drift`` as scripts call them."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.cli.conftest import TASK
from tests.cli.test_errors import assert_said

DEEP = TASK.replace("bias: bool = False", "bias: bool = False, deep: bool = False").replace(
    "self.hidden, self.bias = hidden, bias", "self.hidden, self.bias, self.deep = hidden, bias, deep"
).replace(
    "    def model(self):\n",
    "    def model(self):\n        if self.deep:\n            return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))\n",
)  # fmt: skip


def test_an_experiments_life_ends_on_main(project) -> None:
    project.branch(
        "exp/deep",
        {
            "tiny/task.py": DEEP,
            "experiments/deep.toml": 'title = "Deep"\nflags = { deep = true }\n',
        },
    )

    done = project.branchlab("parity", "deep", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["branch"] == "exp/deep"
    for side in ("off", "on"):
        assert found[side]["status"] == "neutral"
        assert found[side]["steps"] == 4
        assert found[side]["first_difference"] is None

    text = project.root.parent / "pr.md"
    done = project.branchlab("merge-back", "deep", "--to-main", "--pr", str(text))
    assert done.returncode == 0, done.stderr
    assert "✓ off-parity  neutral, 4 steps" in done.stdout
    assert "exp/deep is in main; its branch can go: branchlab retire exp/deep" in done.stdout
    assert text.read_text().startswith("# Merge deep, behind deep: Deep\n")
    assert project.git("log", "-1", "--format=%s") == "Merge deep, behind deep: Deep"

    found = json.loads(project.branchlab("status", "deep", "--json").stdout)["branches"][0]
    assert (found["landed"], found["merge_back"], found["flags"]) == (
        "merged",
        "landed",
        {"deep": True},
    )
    assert "on main behind deep" in found["notes"]

    done = project.branchlab("retire", "deep", "--json")
    assert json.loads(done.stdout)["tag"] == "archive/deep"
    assert "exp/deep" not in project.git("branch", "--list")


def test_a_difference_is_an_exit_code_and_a_document(project) -> None:
    project.branch("exp/fast", {"tiny/task.py": TASK.replace("lr=0.05", "lr=0.5")})

    done = project.branchlab("parity", "fast", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["off"]["status"] == "differs"
    assert set(found["off"]["first_difference"]) >= {"step", "where", "reason"}
    assert found["off"]["first_difference"]["where"] == "recipe.lr"
    assert found["on"]["status"] == "not-run"

    done = project.branchlab("merge-back", "fast", "--pr", "-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "was not merged; nothing has changed" in done.stderr

    done = project.branchlab("merge-back", "fast", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert (found["is_merged"], found["commit"]) == (False, None)
    assert [one["passed"] for one in found["steps"]] == [True, False]


def test_mistakes_are_said(project) -> None:
    assert_said(project.branchlab("parity"), "one branch, or --all-ready")
    assert_said(project.branchlab("parity", "wide", "--all-ready"), "one branch, or --all-ready")
    assert_said(project.branchlab("parity", "wiide"), "no branch 'wiide'", "wide")
    assert_said(project.branchlab("parity", "wide", "--seeds", "0"), "--seeds 0")
    assert_said(project.branchlab("parity", "main"), "main itself")
    assert_said(project.branchlab("merge-back", "wide", "--pr", "."), "it is a folder")
    assert_said(project.branchlab("merge-back", "wide", "--pr", "nowhere/x.md"), "does not exist")
    assert_said(project.branchlab("merge-back", "wide", "--pr", "-", "--json"), "both want stdout")
    assert_said(project.branchlab("retire", "main"), "never retired")
    assert_said(project.branchlab("retire", "wide"), "is not in main", "branchlab merge-back")


@pytest.mark.slow
def test_ctrl_c_ends_what_was_trained_and_leaves_nothing(project) -> None:
    slow = TASK.replace(
        "    def model(self):\n", "    def model(self):\n        import time; time.sleep(600)\n"
    )
    project.branch("exp/slow", {"tiny/task.py": slow})
    folder = project.root / ".branchlab" / "parity"
    process = project.start("parity", "slow")
    until = time.monotonic() + 60
    while not list(folder.glob("*/runs/*/attempts/1/log.txt")) and time.monotonic() < until:
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=60) == 130
    assert list(folder.iterdir()) == []
    assert project.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_drift_names_the_commit_in_a_document(project) -> None:
    done = project.branchlab("drift", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["culprit"], found["commits"]) == ("neutral", None, 2)

    project.commit({"tiny/task.py": TASK.replace("lr=0.05", "lr=0.5")}, "Train faster")
    done = project.branchlab("drift")
    assert done.returncode == 1
    assert "Train faster" in done.stdout
    assert "recipe.lr: it is 0.5, on main at" in done.stdout
