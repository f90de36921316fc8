"""The commands as a user or a script calls them, on one project whose branches have been trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


def document(done: Any) -> Any:
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)


def events(done: Any) -> list[dict[str, Any]]:
    """Return what a command printed, one JSON document a line."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_run_reports_every_run_and_exits_with_one_when_some_failed(trained: Any) -> None:
    found = document(trained.first_run)
    by_branch: dict[str, list[str]] = {}
    for run in found["runs"]:
        by_branch.setdefault(run["branch"], []).append(run["state"])
    assert by_branch.pop("exp/broken") == ["failed", "failed"]
    assert set(by_branch) == {"main", "original", "exp/wide", "exp/clash", "exp/squashed"}
    assert all(states == ["done", "done"] for states in by_branch.values())
    assert {one["name"] for one in found["compare"]["branches"]} >= {"exp/wide", "exp/broken"}


def test_status_keeps_its_contract(trained: Any) -> None:
    found = document(trained.branchlab("status", "--json"))
    assert set(found) >= {"main", "reference", "branches"}
    assert found["main"]["tip"] == trained.git("rev-parse", "main")
    assert (
        found["reference"].items()
        >= {
            "name": "original",
            "tip": trained.git("rev-parse", "original"),
            "pinned": trained.git("rev-parse", "original"),
            "is_moved": False,
            "main_ahead": 2,
            "main_behind": 0,
            "state": "intact",
        }.items()
    )
    changed = [
        row.split() for row in trained.git("diff", "--numstat", "original..main").splitlines()
    ]
    assert found["reference"]["departure"] == {
        "files": len(changed),
        "insertions": sum(int(row[0]) for row in changed),
        "deletions": sum(int(row[1]) for row in changed),
    }
    keys = {
        *(
            "name",
            "tip",
            "merge_base",
            "ahead",
            "behind",
            "reference_ahead",
            "reference_behind",
            "base_branch",
        ),
        *(
            "landed",
            "landed_commits",
            "conflicts",
            "is_stale",
            "last_commit_at",
            "features",
            "merge_back",
        ),
        *("results", "runs", "verdict"),
    }
    branches = {branch["name"]: branch for branch in found["branches"]}
    assert all(keys <= set(branch) for branch in branches.values())
    wide = branches["exp/wide"]
    assert (wide["ahead"], wide["behind"], wide["reference_ahead"]) == (1, 1, 2)
    assert wide["runs"] == {"done": 2, "running": 0, "failed": 0}
    assert wide["results"] == "current"
    assert (wide["merge_back"], wide["features"]) == ("nothing", {"inert": 1})
    assert set(wide["recommendation"]) == {"action", "reason"}
    assert wide["conflicts"] == []
    assert branches["exp/clash"]["conflicts"] == ["notes.txt"]
    assert branches["exp/squashed"]["landed"] == "squashed"
    assert branches["exp/broken"]["runs"]["failed"] == 2
    needs = {name: branch["merge_back"] for name, branch in branches.items()}
    assert needs == {
        "exp/broken": "breaks-base",
        "exp/clash": "nothing",
        "exp/squashed": "landed",
        "exp/wide": "nothing",
    }
    assert branches["exp/broken"]["results"] == "none"


def test_status_in_words_shows_every_branch(trained: Any) -> None:
    text = trained.branchlab("status").stdout
    for word in (
        "main",
        "original",
        "exp/wide",
        "conflict: notes.txt",
        "squashed",
        "2 failed",
        "frozen",
    ):
        assert word in text
    assert "\x1b" not in text


def test_status_answers_for_one_branch_by_its_short_name(trained: Any) -> None:
    found = document(trained.branchlab("status", "wide", "--json"))
    assert [branch["name"] for branch in found["branches"]] == ["exp/wide"]


def test_runs_keep_their_contract(trained: Any) -> None:
    runs = document(trained.branchlab("runs", "--json"))["runs"]
    keys = {
        *("id", "branch", "commit", "seed", "scale", "flags", "state", "device", "metrics"),
        *("started_at", "ended_at", "duration_s"),
    }
    assert len(runs) == 12
    assert all(keys <= set(run) for run in runs)
    wide = [run for run in runs if run["branch"] == "exp/wide"]
    assert {run["seed"] for run in wide} == {0, 1}
    assert all(run["flags"] == {"hidden": 32} for run in wide)
    assert all({"train/loss", "val/loss", "val/accuracy"} <= set(run["metrics"]) for run in wide)


def test_compare_keeps_its_contract(trained: Any) -> None:
    found = document(trained.branchlab("compare", "--json"))
    assert (found["metric"], found["goal"], found["against"]) == ("val/accuracy", "max", "main")
    by_name = {branch["name"]: branch for branch in found["branches"]}
    wide = by_name["exp/wide"]
    assert wide["seeds"] == 2
    assert len(wide["interval"]) == 2
    assert by_name["exp/squashed"]["difference"] == 0
    assert by_name["exp/broken"]["verdict"] == "undecided"
    assert by_name["exp/broken"]["seeds"] == 0


def test_compare_takes_another_metric_and_another_branch(trained: Any) -> None:
    found = document(
        trained.branchlab(
            "compare", "wide", "--metric", "val/loss", "--against", "original", "--json"
        )
    )
    assert (found["metric"], found["against"]) == ("val/loss", "original")
    refused = trained.branchlab("compare", "--metric", "val/los")
    assert refused.returncode == 2
    assert "'val/loss'" in refused.stderr


def test_compare_says_where_branches_differ_and_what_examples_say(trained: Any) -> None:
    asked = ("compare", "wide", "--slices", "--examples", "--scale", "sample")
    (wide,) = document(trained.branchlab(*asked, "--json"))["branches"]
    assert wide["is_interim"] is False
    assert (wide["seeds_declared"], wide["looks"], wide["other_scale"]) == (2, 1, None)
    assert {one["name"] for one in wide["slices"]} == {"val/accuracy[0]", "val/accuracy[1]"}
    assert {one["seeds"] for one in wide["slices"]} == {2}
    assert wide["by_example"]["test"] == "mcnemar"
    assert (wide["by_example"]["examples"], wide["by_example"]["seeds"]) == (24, 2)
    shown = trained.branchlab(*asked).stdout
    assert "[1]" in shown
    assert "luck of the test set, not of training; it never decides" in shown
    plain = document(trained.branchlab("compare", "wide", "--json"))["branches"][0]
    assert not {"slices", "by_example"} & plain.keys()


def test_a_slice_is_a_metric_and_a_mistyped_one_is_refused_with_its_like(trained: Any) -> None:
    found = document(trained.branchlab("compare", "wide", "--metric", "val/accuracy[1]", "--json"))
    assert found["branches"][0]["seeds"] == 2
    refused = trained.branchlab("compare", "--metric", "val/accuracy[one]")
    assert refused.returncode == 2
    assert "val/accuracy[0], val/accuracy[1]" in refused.stderr


def test_nothing_at_the_full_scale_is_said_with_the_scale_that_there_is(trained: Any) -> None:
    found = document(trained.branchlab("compare", "wide", "--scale", "full", "--json"))
    (wide,) = found["branches"]
    assert (wide["seeds"], wide["other_scale"]) == (0, "sample")
    assert "--scale sample" in trained.branchlab("compare", "wide", "--scale", "full").stdout


def test_slices_are_shown_of_a_run_and_listed_of_none(trained: Any) -> None:
    (first, *_) = document(trained.branchlab("runs", "wide", "--json"))["runs"]
    assert "slices" not in first
    shown = document(trained.branchlab("show", first["id"], "--json"))
    assert set(shown["slices"]) == {"val/accuracy[0]", "val/accuracy[1]"}
    assert "val/accuracy[1]" in trained.branchlab("show", first["id"]).stdout


def test_a_failed_run_says_why_in_one_line_and_keeps_its_log(trained: Any) -> None:
    runs = document(trained.branchlab("runs", "broken", "--state", "failed", "--json"))["runs"]
    shown = document(trained.branchlab("show", runs[0]["id"], "--json"))
    assert (
        shown["reason"] == "ModuleNotFoundError: No module named 'no_such_module' (tiny/task.py:1)"
    )
    assert shown["log_tail"][-1].startswith("ModuleNotFoundError")
    log = trained.branchlab("logs", runs[0]["id"])
    assert "Traceback" in log.stdout
    lines = document(trained.branchlab("logs", runs[0]["id"], "--json"))["lines"]
    assert lines == log.stdout.splitlines()
    assert "no_such_module" in trained.branchlab("show", runs[0]["id"]).stdout


def test_show_finds_a_run_by_the_beginning_of_its_id(trained: Any) -> None:
    assert document(trained.branchlab("show", "wide-s1", "--json"))["seed"] == 1
    refused = trained.branchlab("show", "wide")
    assert refused.returncode == 2
    assert "fits 2 runs" in refused.stderr


def test_a_dry_run_knows_what_is_known(trained: Any) -> None:
    found = document(trained.branchlab("run", "wide", "--seeds", "3", "--dry-run", "--json"))
    what = {(run["branch"], run["seed"]): run["is_reused"] for run in found["runs"]}
    assert what[("exp/wide", 0)]
    assert what[("main", 1)]
    assert not what[("exp/wide", 2)]
    assert len(document(trained.branchlab("runs", "--json"))["runs"]) == 12


def test_results_survive_an_amend_that_changes_no_file(make_project: Callable[[], Any]) -> None:
    project = make_project()
    assert project.branchlab("run", "wide", "--seeds", "1").returncode == 0
    project.git("switch", "-q", "exp/wide")
    project.git("commit", "-q", "--amend", "-m", "another message")
    project.git("switch", "-q", "main")
    (wide,) = document(project.branchlab("status", "wide", "--json"))["branches"]
    assert wide["results"] == "current"
    assert wide["runs"]["done"] == 1
    again = document(project.branchlab("run", "wide", "--seeds", "1", "--json"))
    assert {run["attempts"] for run in again["runs"]} == {1}


def test_results_of_an_older_tip_are_said_to_be_old(make_project: Callable[[], Any]) -> None:
    project = make_project()
    assert project.branchlab("run", "wide", "--seeds", "1").returncode == 0
    project.git("switch", "-q", "exp/wide")
    project.commit({"more.txt": "1"})
    project.git("switch", "-q", "main")
    (wide,) = document(project.branchlab("status", "wide", "--json"))["branches"]
    assert wide["results"] == "branch-moved"


def test_a_moved_reference_is_shouted(project: Any) -> None:
    project.git("branch", "-f", "original", "main")
    done = project.branchlab("status")
    assert "MOVED" in done.stdout
    assert document(project.branchlab("status", "--json"))["reference"]["is_moved"] is True


def test_a_missing_reference_is_said_with_the_command_that_brings_it_back(project: Any) -> None:
    pinned = project.git("rev-parse", "original")
    project.git("branch", "-D", "original")
    done = project.branchlab("status")
    assert f"git branch original {pinned}" in done.stdout
    reference = document(project.branchlab("status", "--json"))["reference"]
    assert (reference["state"], reference["tip"]) == ("deleted", pinned)
    project.git("update-ref", "refs/heads/original", "main")
    project.git("branch", "-m", "original", "elsewhere")
    config = (project.root / ".branchlab.toml").read_text()
    project.write({".branchlab.toml": config.replace(pinned, "0" * 40)})
    assert document(project.branchlab("status", "--json"))["reference"] is None


def test_a_dirty_tree_is_said_and_not_run(project: Any) -> None:
    (project.root / "tiny/task.py").write_text("this is not Python\n")
    done = project.branchlab("run", "main", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    assert "uncommitted changes (tiny/task.py)" in done.stderr


def test_runs_leave_the_users_repository_as_it_was(project: Any) -> None:
    (project.root / "notes.txt").write_text("staged\n")
    project.git("add", "notes.txt")
    (project.root / "notes.txt").write_text("not staged\n")
    looks = (
        ["status", "--porcelain"],
        ["diff"],
        ["diff", "--cached"],
        ["rev-parse", "HEAD"],
        ["symbolic-ref", "HEAD"],
    )
    looks = (
        *looks,
        ["stash", "list"],
        ["for-each-ref", "refs/heads"],
        ["config", "--list", "--local"],
    )
    before = [project.git(*look) for look in looks]
    assert project.branchlab("run", "wide", "--seeds", "1").returncode == 0
    assert [project.git(*look) for look in looks] == before


def test_init_finds_main_and_the_task_by_itself(empty_repository: Any, project: Any) -> None:
    task = (project.root / "tiny/task.py").read_text()
    empty_repository.commit({"tiny/task.py": task})
    made = document(empty_repository.branchlab("init", "--json"))
    assert (made["main"], made["task"], made["reference"]) == ("main", "tiny.task:Tiny", "original")
    assert empty_repository.git("rev-parse", "original") == made["reference_commit"]
    assert document(empty_repository.branchlab("status", "--json"))["branches"] == []


def test_new_exp_makes_branch_file_and_work_tree_and_moves_nothing(project: Any) -> None:
    before = project.git("status", "--porcelain"), project.git("symbolic-ref", "HEAD")
    made = document(
        project.branchlab(
            "new-exp", "narrow", "--title", 'A "narrow" net', "--flag", "hidden=2", "--json"
        )
    )
    assert made["branch"] == "exp/narrow"
    text = project.git("show", "exp/narrow:experiments/narrow.toml")
    assert 'title = "A \\"narrow\\" net"' in text
    assert "hidden = 2" in text
    worktree = project.root.parent / "project-narrow"
    assert (worktree / "tiny/task.py").exists()
    assert (project.git("status", "--porcelain"), project.git("symbolic-ref", "HEAD")) == before
    done = project.branchlab("run", "narrow", "--seeds", "1", "--json")
    assert {run["branch"]: run["flags"] for run in document(done)["runs"]} == {
        "main": {},
        "exp/narrow": {"hidden": 2},
    }
    inside = project.branchlab("run", "--seeds", "1", "--dry-run", "--json", cwd=worktree)
    assert {run["branch"] for run in document(inside)["runs"]} == {"main", "exp/narrow"}


def test_new_exp_can_grow_from_another_experiment(project: Any) -> None:
    assert project.branchlab("new-exp", "wider", "--from", "wide", "--no-worktree").returncode == 0
    (wider,) = document(project.branchlab("status", "wider", "--json"))["branches"]
    assert wider["base_branch"] == "exp/wide"


def test_main_can_run_a_landed_experiment(project: Any) -> None:
    project.git("merge", "-q", "--no-ff", "exp/wide", "-m", "land wide")
    done = document(
        project.branchlab("run", "main", "--experiment", "wide", "--seeds", "1", "--json")
    )
    assert [(run["branch"], run["flags"]) for run in done["runs"]] == [("main", {"hidden": 32})]


def test_an_experiment_without_its_flag_on_the_task_fails_naming_what_there_is(
    project: Any,
) -> None:
    project.branch("exp/typo", {"experiments/typo.toml": "flags = { hiden = 3 }\n"})
    done = document(project.branchlab("run", "typo", "--seeds", "1", "--json"))
    (reason,) = [run["reason"] for run in done["runs"] if run["branch"] == "exp/typo"]
    assert reason == "Tiny takes no argument 'hiden': did you mean 'hidden'? it takes: hidden, bias"


@pytest.mark.slow
def test_full_scale_touches_the_test_set_and_is_never_mixed_with_the_sample(project: Any) -> None:
    assert project.branchlab("run", "wide", "--seeds", "1").returncode == 0
    done = document(project.branchlab("run", "wide", "--seeds", "1", "--full", "--json"))
    assert all("test/accuracy" in run["metrics"] for run in done["runs"])
    assert {run["scale"] for run in done["runs"]} == {"full"}
    scales = [run["scale"] for run in document(project.branchlab("runs", "--json"))["runs"]]
    assert sorted(scales) == ["full", "full", "sample", "sample"]


def test_it_answers_as_git_lab(project: Any) -> None:
    import os
    import subprocess
    import sys
    from pathlib import Path

    scripts = Path(sys.executable).parent
    if not (scripts / "git-lab").exists():
        pytest.skip("branchlab is not installed as a command here")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["git", "lab", "status"],
        cwd=project.root,
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "exp/wide" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(project: Any, shell: str) -> None:
    done = project.branchlab("completion", shell)
    assert "_BRANCHLAB_COMPLETE" in done.stdout


def test_branches_are_completed(project: Any) -> None:
    import os
    import subprocess
    import sys

    env = {
        **os.environ,
        "_BRANCHLAB_COMPLETE": "bash_complete",
        "COMP_WORDS": "branchlab run wi",
        "COMP_CWORD": "2",
    }
    code = "import sys; sys.argv = ['branchlab']; from branchlab.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plain,wide" in done.stdout


def test_a_detached_run_answers_at_once_and_is_followed_to_its_end(project: Any) -> None:
    detached = ("run", "wide", "--seeds", "1", "--detach", "--json")
    started = document(project.branchlab(*detached, is_cold=True))
    assert len(started["to_start"]) == 2
    followed = project.branchlab("runs", "-f", "--json")
    assert followed.returncode == 0
    last = events(followed)[-1]
    assert last["event"] == "end"
    runs = last["runs"]
    assert {run["id"]: run["state"] for run in runs} == dict.fromkeys(started["to_start"], "done")
    assert all(run["usage"]["memory_gib_max"] > 0 for run in runs)


def test_a_run_tells_what_happens_an_event_a_line_and_last_how_it_ended(project: Any) -> None:
    done = project.branchlab("run", "wide", "--seeds", "1", "--json", "--follow")
    found = events(done)
    kinds = [event["event"] for event in found]
    assert kinds.count("started") == kinds.count("ended") == 2
    assert kinds[-1] == "end"
    assert {run["state"] for run in found[-1]["runs"]} == {"done"}
    assert found[-1]["compare"]["branches"][0]["name"] == "exp/wide"


def test_a_dry_run_says_why_and_how_long(trained: Any) -> None:
    shown = trained.branchlab("run", "wide", "--seeds", "3", "--dry-run").stdout
    assert "2 to train, 4 known" in shown
    assert "earlier runs like these" in shown
    found = document(trained.branchlab("run", "wide", "--epochs", "1", "--dry-run", "--json"))
    assert found["estimate_s"] is None
    why = {(run["branch"], run["seed"]): run["why"] for run in found["runs"]}
    assert why[("exp/wide", 0)].startswith("new: another length than wide-s0-")


def test_a_budget_is_a_time_as_people_write_it(trained: Any) -> None:
    plan = document(trained.branchlab("run", "wide", "--budget", "1m30s", "--dry-run", "--json"))
    assert {run["budget_s"] for run in plan["runs"]} == {90.0}
    assert plan["estimate_s"] == 90.0 * 4 / plan["slots"]
    for wrong, said in (("soon", "no time"), ("0", "more than 0 seconds")):
        refused = trained.branchlab("run", "wide", "--budget", wrong)
        assert refused.returncode == 2
        assert said in refused.stderr
    both = trained.branchlab("run", "wide", "--budget", "5m", "--epochs", "2")
    assert both.returncode == 2
    assert "exclude each other" in both.stderr


def test_hypotheses_are_judged_after_a_run_and_by_status(trained: Any) -> None:
    ran = document(trained.first_run)["hypotheses"]
    listed = document(trained.branchlab("hypotheses", "--json"))["branches"]
    assert ran == listed
    (found,) = listed[0]["hypotheses"]
    assert (found["state"], found["registered"]) == ("refuted", "before-runs")
    assert [one["state"] for one in found["expect"]] == ["supported", "refuted"]
    assert [one["state"] for one in found["guard"]] == ["not-measured"]
    low, high = found["expect"][0]["interval"]
    assert low < found["expect"][0]["estimate"] < high
    branches = {b["name"]: b for b in document(trained.branchlab("status", "--json"))["branches"]}
    short = branches["exp/wide"]["hypotheses"]
    assert [(one["id"], one["state"]) for one in short] == [("H1", "refuted")]
    assert branches["exp/clash"]["hypotheses"] == []
    assert "H1 ✗" in trained.branchlab("status").stdout
    assert "exp/wide H1" in trained.branchlab("run", "wide").stdout
