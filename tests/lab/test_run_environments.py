from __future__ import annotations

import json

from branchlab.lab.judge import compare
from branchlab.lab.run_environments import origin_of
from branchlab.lab.runs import show

SE = 'title = "Squeeze"\nflags = { squeeze = true }\n'


def rewrite(repo, run_id: str, pin: str) -> None:
    """Let a run have trained beside another version of a package."""
    attempt = repo.open().state.run(run_id).trained_in()
    document = attempt.read_environment()
    pins = document["packages"]["installed"]
    name = pin.partition("==")[0]
    document["packages"]["installed"] = [
        pin if one.startswith(f"{name}==") else one for one in pins
    ]
    attempt.write_environment({**document, "digest": "0" * 16})


def test_every_attempt_says_once_what_it_trained_in_and_how_it_was_planned(repo) -> None:
    (repo.root / "left.txt").write_text("not committed")
    command = ("branchlab", "run", "--flag", "api_token=hunter2")
    _, last = repo.run(names=("main",), seeds=1, command=command)
    (run_id,) = last.records
    found = show(repo.open(), run_id).environment
    assert found is not None
    assert found["git"]["branch"] == found["git"]["checked_out"] == "main"
    assert found["git"]["dirty"] == ["left.txt"]
    assert found["command"] == [*command[:3], "api_token=***"]
    assert found["variables"]["PYTHONHASHSEED"] == "0"
    assert any(pin.startswith("torch==") for pin in found["packages"]["installed"])


def test_the_same_environment_on_both_sides_is_no_word(repo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    repo.run(names=("se",))
    assert compare(repo.open()).environments == {}


def test_another_version_on_the_other_side_is_said_by_compare_and_show(repo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    _, last = repo.run(names=("se",))
    mains = [r.run.id for r in last.records.values() if r.run.branch == "main"]
    theirs = next(r.run.id for r in last.records.values() if r.run.branch == "exp/se")
    for run_id in mains:
        rewrite(repo, run_id, "numpy==1.0")
    import numpy as np

    said = compare(repo.open()).environments["exp/se"]
    assert said == f"numpy {np.__version__} against 1.0 in 2 runs of main"
    differs = show(repo.open(), theirs).environment_differs
    assert differs.startswith(f"numpy {np.__version__} against 1.0 in main-s")


def test_runs_of_before_it_was_recorded_are_compared_without_a_word(repo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": SE})
    _, last = repo.run(names=("se",))
    for run_id in last.records:
        repo.open().state.run(run_id).latest().environment.unlink()
    project = repo.open()
    assert compare(project).environments == {}
    assert show(project, next(iter(last.records))).environment is None


def test_a_user_and_a_password_in_an_address_are_not_recorded(repo) -> None:
    origin = origin_of(repo.open(), ["branchlab", "run", "https://ada:hunter2@host/x"])
    assert "hunter2" not in json.dumps(origin.command)
