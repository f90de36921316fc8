"""``status``, ``sync`` and ``init --repin`` as they are typed: remotes, deleted branches, a moved reference."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def document(done: Any, *, code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def branches(project: Any, *arguments: str, cwd: Path | None = None) -> dict[str, Any]:
    found = document(project.branchlab("status", "--json", *arguments, cwd=cwd))
    return {branch["name"]: branch for branch in found["branches"]}


def move_reference(project: Any) -> tuple[str, str]:
    """Move the frozen branch to main's tip; return both commits."""
    before = project.git("rev-parse", "original")
    project.git("branch", "-f", "original", "main")
    return before, project.git("rev-parse", "original")


@pytest.fixture
def clone(project: Any, tmp_path: Path) -> Path:
    where = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project.root), str(where)], check=True)
    return where


@pytest.fixture(scope="module")
def measured(make_project: Callable[[], Any]) -> Any:
    """A project with one branch measured; its tests move the branch on, one after another."""
    project = make_project()
    assert project.branchlab("run", "wide", "--seeds", "1").returncode == 0
    return project


def test_results_follow_the_tree_and_count_the_commits_since(measured: Any) -> None:
    tip = measured.git("rev-parse", "exp/wide")
    assert branches(measured)["exp/wide"]["results"] == "current"
    measured.git("switch", "-q", "exp/wide")
    measured.git("commit", "-q", "--amend", "-m", "the same files under another commit")
    found = branches(measured)["exp/wide"]
    assert (found["results"], found["results_commit"]) == ("current", tip)
    measured.git("reset", "-q", "--hard", tip)
    measured.commit({"more.txt": "1\n"})
    measured.commit({"more.txt": "2\n"})
    measured.git("switch", "-q", "main")
    found = branches(measured)["exp/wide"]
    assert (found["results"], found["results_behind"]) == ("branch-moved", 2)
    assert "old tip -2" in measured.branchlab("status").stdout


def test_results_of_a_deleted_branch_are_found_with_all(measured: Any) -> None:
    measured.git("branch", "-D", "exp/wide")
    assert "exp/wide" not in branches(measured)
    found = branches(measured, "--all")["exp/wide"]
    assert (found["is_deleted"], found["runs"]["done"]) == (True, 1)
    assert found["ahead"] == 1
    assert "deleted" in measured.branchlab("status", "--all").stdout
    for command in ("status", "compare"):
        shown = document(measured.branchlab(command, "wide", "--json"))["branches"]
        assert [branch["name"] for branch in shown] == ["exp/wide"]


def test_a_moved_reference_is_said_by_every_command_that_reads(project: Any) -> None:
    move_reference(project)
    for command in (["compare"], ["runs"], ["runs", "--json"], ["sync", "--all-branches", "--dry-run"]):  # fmt: skip
        done = project.branchlab(*command)
        assert "MOVED" in done.stderr, command
        assert "init --repin" in done.stderr
    document(project.branchlab("runs", "--json"))
    found = document(project.branchlab("status", "--json"))
    assert (found["reference"]["state"], found["reference"]["is_moved"]) == ("advanced", True)


def test_a_reference_is_pinned_anew_with_a_reason_that_stays(project: Any) -> None:
    before, after = move_reference(project)
    path = project.root / ".branchlab.toml"
    path.write_text(path.read_text().replace("[trainer]", "# keep me\n[trainer]"))
    made = document(
        project.branchlab("init", "--repin", "--reason", 'the "loader" was wrong', "--json")
    )
    assert (made["before"], made["reference_commit"]) == (before, after)
    assert "# keep me" in path.read_text()
    done = project.branchlab("status")
    assert "MOVED" not in done.stdout
    assert 'pinned anew: the "loader" was wrong' in done.stdout
    assert document(project.branchlab("status", "--json"))["reference"]["state"] == "intact"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--repin"], "for a reason only"),
        (["--repin", "--reason", "x"], "is where it is pinned"),
        (["--reason", "x"], "--reason belongs to --repin"),
    ],
)
def test_a_pin_is_not_moved_without_need(project: Any, arguments: list[str], said: str) -> None:
    before = (project.root / ".branchlab.toml").read_text()
    done = project.branchlab("init", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert (project.root / ".branchlab.toml").read_text() == before


def test_a_fresh_clone_tracks_the_experiments_of_its_remote(project: Any, clone: Path) -> None:
    found = branches(project, cwd=clone)
    assert {"origin/exp/wide", "origin/exp/clash"} <= set(found)
    wide = found["origin/exp/wide"]
    assert (wide["remote"], wide["ahead"], wide["title"]) == ("origin", 1, "Wide")
    assert branches(project, "wide", cwd=clone).keys() == {"origin/exp/wide"}
    reference = document(project.branchlab("status", "--json", cwd=clone))["reference"]
    assert (reference["name"], reference["remote"]) == ("origin/original", "origin")
    assert "not local" in project.branchlab("status", cwd=clone).stdout


def test_a_branch_of_a_remote_runs_without_a_local_one(project: Any, clone: Path) -> None:
    done = project.branchlab("run", "wide", "--seeds", "1", "--json", cwd=clone)
    runs = document(done)["runs"]
    assert {run["branch"]: run["state"] for run in runs} == {
        "main": "done",
        "origin/exp/wide": "done",
    }
    subprocess.run(["git", "switch", "-q", "exp/wide"], cwd=clone, check=True)
    assert branches(project, cwd=clone)["exp/wide"]["results"] == "current"


def test_a_name_that_a_remote_has_is_taken(project: Any, clone: Path) -> None:
    done = project.branchlab("new-exp", "wide", cwd=clone)
    assert done.returncode == 2
    assert "exists already on origin" in done.stderr


def test_init_pins_the_reference_of_the_remote_where_there_is_no_local_one(
    project: Any, clone: Path
) -> None:
    (clone / ".branchlab.toml").unlink()
    made = document(project.branchlab("init", "--json", cwd=clone))
    assert made["reference_commit"] == project.git("rev-parse", "original")
    heads = subprocess.check_output(["git", "branch", "--list", "original"], cwd=clone)
    assert heads == b""


def test_sync_says_what_it_did_and_how_to_undo_it(project: Any) -> None:
    before = project.git("rev-parse", "exp/wide")
    done = project.branchlab("sync", "--all-branches", "--json")
    found = document(done, code=1)  # exp/clash cannot be merged
    states = {branch["name"]: branch["state"] for branch in found["branches"]}
    assert states == {
        "exp/wide": "synced",
        "exp/broken": "synced",
        "exp/clash": "skipped",
        "exp/squashed": "landed",
    }
    clash = next(branch for branch in found["branches"] if branch["name"] == "exp/clash")
    assert clash["conflicts"] == ["notes.txt"]
    assert found["undo"] == "branchlab sync --undo"
    assert document(project.branchlab("sync", "--undo", "--json"))["branches"]
    assert project.git("rev-parse", "exp/wide") == before


def test_sync_of_a_branch_made_with_a_work_tree_says_what_to_type_there(project: Any) -> None:
    assert project.branchlab("new-exp", "tree").returncode == 0
    project.commit({"later.txt": "1\n"})
    done = project.branchlab("sync", "tree")
    assert done.returncode == 1
    assert f"git -C {project.root}-tree merge main" in done.stdout
    done = project.branchlab("sync", "tree", "--worktrees")
    assert done.returncode == 0, done.stderr
    assert "undo: branchlab sync --undo" in done.stdout
    assert (Path(f"{project.root}-tree") / "later.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wide", "--all-branches"], "names every branch already"),
        (["--undo", "--rebase"], "takes back the last sync as a whole"),
        (["--undo"], "no sync to undo"),
        (["wid"], "did you mean 'wide'"),
        ([], "--all-branches"),
    ],
)
def test_sync_refuses_what_makes_no_sense(project: Any, arguments: list[str], said: str) -> None:
    done = project.branchlab("sync", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_shallow_clone_says_that_it_knows_nothing(project: Any, tmp_path: Path) -> None:
    where = tmp_path / "shallow"
    how = ["--depth=1", "--no-single-branch", f"file://{project.root}"]
    subprocess.run(["git", "clone", "-q", *how, str(where)], check=True)
    found = document(project.branchlab("status", "--json", cwd=where))
    assert {branch["landed"] for branch in found["branches"]} == {"unknown"}
    assert any("git fetch --unshallow" in warning for warning in found["warnings"])


def test_what_was_kept_and_is_damaged_is_found_again(project: Any) -> None:
    before = branches(project)
    memo = project.root / ".branchlab" / "memo.sqlite"
    connection = sqlite3.connect(memo)
    with connection:
        connection.execute("UPDATE memo SET value = ?", (b'["damaged"',))
    connection.close()
    assert branches(project) == before


def test_status_keeps_working_where_nothing_can_be_kept(project: Any) -> None:
    (project.root / ".branchlab").write_text("in the way\n")
    assert branches(project)["exp/wide"]["ahead"] == 1


MODEL = "def depth(blocks):\n    return blocks * 2\n"
GUARDED = "def depth(blocks, *, deep=False):\n    return blocks * (4 if deep else 2)\n"


def test_status_says_what_each_branch_needs_before_it_is_merged_back(project: Any) -> None:
    project.commit({"tiny/model.py": MODEL})
    project.branch("exp/guarded", {"tiny/model.py": GUARDED})
    project.branch("exp/bare", {"tiny/model.py": MODEL.replace("2", "4")})
    project.branch("exp/python2", {"tiny/model.py": "print 'no'\n"})
    found = branches(project)
    assert {
        name: found[f"exp/{name}"]["merge_back"] for name in ("guarded", "bare", "python2")
    } == {
        "guarded": "ready",
        "bare": "needs-flag",
        "python2": "breaks-base",
    }
    assert found["exp/guarded"]["features"] == {"guarded": 1}
    assert found["exp/guarded"]["recommendation"]["action"] == "keep-experimenting"
    assert "no result yet" in found["exp/guarded"]["recommendation"]["reason"]


@pytest.mark.slow
def test_a_large_lab_s_code_is_left_to_features_and_known_from_then_on(project: Any) -> None:
    project.commit({"tiny/model.py": MODEL})
    for number in range(45):
        changed = MODEL.replace("2", f"{number + 3}")
        project.branch(f"exp/many-{number}", {"tiny/model.py": changed})
    found = document(project.branchlab("status", "--json"))
    assert {b["features"] and 1 for b in found["branches"] if "many" in b["name"]} == {None}
    assert any("read it with: branchlab features" in warning for warning in found["warnings"])
    assert project.branchlab("features", "--json").returncode == 0
    found = document(project.branchlab("status", "--json"))
    assert {b["merge_back"] for b in found["branches"] if "many" in b["name"]} == {"needs-flag"}
    assert not found["warnings"]
