"""``baseline`` and ``promote`` as a user or a script calls them, on one small lab with planted effects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import UserRepository
from tests.lab.test_promote import PLANTED

CONFIG = """
[branches]
reference_commit = "{reference}"

[trainer]
task = "tiny.task:Tiny"

[run]
seeds = 2
device = "cpu"

[sample]
fraction = 0.5

[promote]
rungs = [0.5, 1]

[baseline]
published = 0.8
tolerance = 0.05
source = "a table"
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> UserRepository:
    root = tmp_path_factory.mktemp("promotion") / "project"
    root.mkdir()
    made = UserRepository(root)
    made.git("init", "-q", "-b", "main")
    first = made.commit({"tiny/task.py": PLANTED, ".gitignore": ".branchlab/\n"}, "first")
    made.git("branch", "original")
    made.commit({".branchlab.toml": CONFIG.format(reference=first)}, "config")
    for name, gain in {"good": 0.05, "bad": -0.05, "slight": 0.02}.items():
        made.branch(f"exp/{name}", {f"experiments/{name}.toml": f"flags = {{ gain = {gain} }}\n"})
    return made


def document(done: Any) -> Any:
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)


def test_before_anything_has_run_nothing_is_anchored_and_nothing_can_be_promoted(lab) -> None:
    shown = lab.branchlab("status").stdout
    assert "the baseline has not been reproduced yet: branchlab baseline" in shown
    assert "trust" not in shown
    found = document(lab.branchlab("status", "--json"))
    assert found["baseline"]["state"] == "not-run"
    assert found["trust"] is None
    done = lab.branchlab("promote")
    assert (done.returncode, "nothing has run on the sample yet" in done.stdout) == (0, True)
    done = lab.branchlab("baseline", "--no-run")
    assert done.returncode == 1
    assert "not been run" in done.stdout


def test_the_baseline_is_run_once_and_said_from_then_on(lab) -> None:
    dry = document(lab.branchlab("baseline", "--dry-run", "--json"))
    assert [run["branch"] for run in dry["runs"]] == ["original"] * 2
    done = lab.branchlab("baseline", "--json")
    found = document(done)
    assert done.returncode == 0, found
    assert (found["state"], found["seeds"], found["published"]) == ("reproduced", 2, 0.8)
    low, high = found["interval"]
    assert 0.75 <= low <= found["mean"] <= high <= 0.85
    again = lab.branchlab("baseline")
    assert again.stdout.startswith("reproduced: test/accuracy 0.80")
    assert "published 0.8 ± 0.05 (a table)" in again.stdout
    assert "0 runs to train, 2 known" in again.stderr
    assert "baseline  reproduced" in lab.branchlab("status").stdout


def test_winners_are_promoted_and_the_score_stands_beside_every_sample_verdict(lab) -> None:
    lab.branchlab("run", "--all-branches", "--json")
    dry = document(lab.branchlab("promote", "--dry-run", "--no-losers", "--json"))
    assert {run["branch"] for run in dry["runs"]} == {"main", "exp/good", "exp/slight"}
    assert {run["scale"] for run in dry["runs"]} == {"full"}
    done = lab.branchlab("promote", "good", "--no-losers", "--json")
    found = document(done)
    assert "speaks of winners alone" in done.stderr
    assert set(found) >= {"scale", "branches", "trust"}
    by_name = {one["name"]: one for one in found["branches"]}
    good, slight = by_name["exp/good"], by_name["exp/slight"]
    assert good["sample"]["verdict"] == good["full"]["verdict"] == "better"
    assert (good["chosen"], slight["chosen"], slight["full"]) == ("better", "no", None)
    assert good["commit"] == lab.git("rev-parse", "exp/good")
    assert found["trust"]["state"] == "unknown"
    assert found["trust"]["num"] == 1
    told = "trust in the sample: unknown, 1 of 6 experiments"
    for command in ("status", "compare", "promote"):
        arguments = (command, "--no-run") if command == "promote" else (command,)
        assert told in lab.branchlab(*arguments).stdout
    for command in ("status", "compare"):
        assert document(lab.branchlab(command, "--json"))["trust"]["num"] == 1
    other = document(lab.branchlab("compare", "--metric", "val/loss", "--json"))
    assert other["trust"] is None


@pytest.mark.slow
def test_a_halving_says_who_was_dropped_and_promotes_the_rest(lab) -> None:
    pytest.importorskip("optuna")
    dry = lab.branchlab("promote", "--halving", "--dry-run").stdout
    assert "rung 1: 50% of the sample, main and 3 branches" in dry
    assert "full set: main and 1 branch" in dry
    done = lab.branchlab("promote", "--halving", "--json")
    found = document(done)
    assert done.returncode == 0, done.stderr
    assert "dropped is not worse" in done.stderr
    assert found["halving"]["survivors"] == ["exp/good"]
    (first, last) = found["halving"]["rungs"]
    assert {one["name"] for one in first["dropped"]} == {"exp/bad", "exp/slight"}
    assert last["kept"] == ["exp/good"]
    good = next(one for one in found["branches"] if one["name"] == "exp/good")
    assert (good["chosen"], good["full"]["verdict"]) == ("halved", "better")


def test_a_halving_without_optuna_names_the_extra(lab, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "optuna.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = lab.branchlab("promote", "--halving")
    assert done.returncode == 2
    assert "pip install 'branchlab[halving]'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "goood"), "there is no branch 'goood'"),
        (("promote", "--halving", "--no-losers"), "--no-losers means nothing beside --halving"),
        (("promote", "--seeds", "0"), "--seeds 0"),
        (("baseline", "--device", "gpu"), "--device gpu"),
        (("baseline", "--seeds", "0"), "--seeds 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(lab, arguments: tuple[str, ...], said: str) -> None:
    done = lab.branchlab(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
