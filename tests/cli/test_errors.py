from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from branchlab.cli.options import typed_command


def assert_said(done: Any, *words: str) -> None:
    """Exit 2, the words on stderr, an error line and a hint, no traceback, nothing on stdout."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
    assert "hint:" in done.stderr
    assert not done.stdout
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def test_outside_a_repository_the_next_command_is_git_init(
    empty_repository: Any, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    assert_said(
        empty_repository.branchlab("status", cwd=outside), "not a git repository", "git init"
    )


@pytest.mark.parametrize(
    "command", [["status"], ["run"], ["init"], ["compare"], ["runs"], ["new-exp", "x"]]
)
def test_a_repository_without_commits_is_named_as_such(
    empty_repository: Any, command: list[str]
) -> None:
    assert_said(empty_repository.branchlab(*command), "no commits", "git commit")


def test_a_missing_config_leads_to_init(empty_repository: Any) -> None:
    empty_repository.commit({"a": "1"})
    assert_said(
        empty_repository.branchlab("status"), ".branchlab.toml does not exist", "branchlab init"
    )


def test_init_with_an_unknown_main_names_the_nearest(empty_repository: Any) -> None:
    empty_repository.commit({"a": "1"})
    assert_said(empty_repository.branchlab("init", "--main", "mian"), "no branch 'mian'", "'main'")
    assert not (empty_repository.root / ".branchlab.toml").exists()


def test_init_twice_keeps_the_first_config(project: Any) -> None:
    before = (project.root / ".branchlab.toml").read_text()
    assert_said(project.branchlab("init"), "exists already")
    assert (project.root / ".branchlab.toml").read_text() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[run]", "[runn]", (":8:", "unknown table [runn]", "'run'")),
        ("seeds = 2", "sede = 2", (":9:", "unknown key 'sede' in [run]", "'seeds'")),
        ("seeds = 2", 'seeds = "two"', (":9:", "whole number")),
        ("seeds = 2", "seeds = 0", (":9:", "at least 1")),
        ("seeds = 2", "seeds = = 2", (":9:9:", "not TOML")),
        ("fraction = 0.5", "fraction = 1.5", (":12:", "fraction <= 1")),
        ('task = "tiny.task:Tiny"', 'task = "tiny"', (":6:", "module:Class")),
        ("seeds = 2", 'main = "x"', ("unknown key 'main' in [run]",)),
    ],
)
def test_a_wrong_config_is_said_with_file_line_and_key(
    project: Any, old: str, new: str, said: tuple[str, ...]
) -> None:
    path = project.root / ".branchlab.toml"
    path.write_text(path.read_text().replace(old, new))
    assert_said(project.branchlab("status"), ".branchlab.toml", *said)


def test_a_missing_main_names_the_nearest_branch(project: Any) -> None:
    path = project.root / ".branchlab.toml"
    path.write_text(path.read_text().replace("[branches]", '[branches]\nmain = "mane"'))
    for command in ("status", "run", "compare"):
        assert_said(project.branchlab(command), "'mane'", "main")


def test_an_unknown_branch_names_the_nearest(project: Any) -> None:
    assert_said(project.branchlab("run", "wid"), "no branch 'wid'", "'wide'")
    assert_said(project.branchlab("status", "exp/wyde"), "'exp/wide'")
    assert_said(project.branchlab("compare", "--against", "mian"), "'main'")


def test_an_unknown_command_names_the_nearest(project: Any) -> None:
    done = project.branchlab("statsu")
    assert done.returncode == 2
    assert "'status'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--seeds", "0"], "--seeds 0"),
        (["run", "--sample", "2"], "--sample 2"),
        (["run", "--epochs", "-1"], "--epochs -1"),
        (["run", "--device", "gpu"], "--device gpu"),
        (["run", "--flag", "x"], "name=value"),
        (["run", "--full", "--sample", "0.5"], "exclude"),
        (["run", "wide", "--all-branches"], "--all-branches"),
        (["run", "--experiment", "nope"], "no experiment 'nope'"),
        (["show", "nope"], "no run 'nope'"),
        (["logs", "nope"], "no run 'nope'"),
        (["cancel", "nope"], "no run 'nope'"),
        (["new-exp", "a b"], "'a b'"),
        (["new-exp", "wide"], "exists already"),
        (["new-exp", "x", "--from", "mian"], "'main'"),
        (["tui"], "terminal"),
    ],
)
def test_a_wrong_argument_is_named(project: Any, arguments: list[str], said: str) -> None:
    assert_said(project.branchlab(*arguments), said)


def test_no_gpu_is_said_with_the_devices_there_are(project: Any) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert_said(project.branchlab("run", "--device", "cuda"), "'cuda'", "cpu", "--device auto")


def test_a_damaged_experiment_file_is_named_and_hides_no_other_branch(project: Any) -> None:
    project.branch("exp/damaged", {"experiments/damaged.toml": "flags = 3\n"})
    assert_said(
        project.branchlab("run", "damaged"), "exp/damaged:experiments/damaged.toml", "flags"
    )
    done = project.branchlab("status")
    assert done.returncode == 0
    assert "exp/damaged:experiments/damaged.toml" in done.stdout
    assert "exp/wide" in done.stdout


def test_what_goes_on_in_the_background_records_the_command_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/lib/branchlab/cli/__main__.py", "run", "exp/a"])
    assert typed_command() == ("branchlab", "run", "exp/a")
    monkeypatch.setattr(sys, "argv", ["/bin/git-lab", "run"])
    assert typed_command() == ("git-lab", "run")
