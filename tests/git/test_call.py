from pathlib import Path

import pytest

from branchlab.errors import RepositoryError
from branchlab.git.call import ask, git, object_id, text, to_bytes


def test_a_config_that_runs_programs_runs_none(lab, tmp_path):
    traces = tmp_path / "traces"
    traces.mkdir()
    script = tmp_path / "trap.sh"
    script.write_text(f'#!/bin/sh\ntouch "{traces}/$(basename "$0").$$"\ncat\n')
    script.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / hook).symlink_to(script)
    for key in ("core.fsmonitor", "diff.external", "core.pager", "gpg.program"):
        lab.git("config", key, str(script))
    lab.git("config", "core.hooksPath", str(hooks))
    lab.git("config", "log.showSignature", "true")
    for trace in traces.iterdir():
        trace.unlink()
    repository = lab.repository
    (lab.root / "model.py").write_text("changed")
    assert repository.dirty_paths() == ["model.py"]
    repository.keep_all({"r1": repository.resolve("main")})
    git(lab.root, "log", "-p", "--no-ext-diff", "-1")
    assert list(traces.iterdir()) == []


def test_the_environment_of_a_hook_does_not_lead_to_another_repository(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert lab.repository.root == lab.root
    assert not lab.repository.dirty_paths()


def test_the_last_line_of_stderr_is_the_message(lab):
    with pytest.raises(RepositoryError, match=r"^fatal: Not a valid object name nonsense$"):
        git(lab.root, "cat-file", "-p", "nonsense")


def test_a_failure_can_be_an_answer(lab):
    assert ask(lab.root, "rev-parse", "--verify", "--quiet", "nonsense").rc == 1


def test_a_call_that_takes_too_long_is_ended(lab):
    with pytest.raises(RepositoryError, match=r"took longer than 0\.2 s"):
        git(lab.root, "-c", "alias.wait=!sleep 5", "wait", timeout_s=0.2)


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(RepositoryError, match="does not exist"):
        git(tmp_path / "nowhere", "status")


def test_a_missing_git_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepositoryError, match="git was not found"):
        git(Path("/"), "status")


def test_bytes_that_are_not_utf8_come_back_the_same():
    assert to_bytes(text(b"caf\xe9\xff")) == b"caf\xe9\xff"


@pytest.mark.parametrize("name", ["--output=x", "main", "abc123", "A" * 40, ""])
def test_only_a_full_object_id_passes_for_one(name):
    with pytest.raises(ValueError, match="not a full object id"):
        object_id(name)
