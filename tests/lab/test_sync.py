"""Bringing main into branches: what moves, what never does, and the way back."""

import pytest

from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.new_exp import new_experiment
from branchlab.lab.sync import SyncRequest, SyncState, sync, undo


@pytest.fixture
def lab(repo):
    """Branches that are clean, in conflict, stacked, landed and fresh, and a main that has moved on."""
    body = "".join(f"line {n}\n" for n in range(30))
    repo.commit({"net.py": body, "loss.py": body})
    repo.git("branch", "exp/fresh")
    repo.branch("exp/clean", {"clean.py": "1\n"})
    repo.branch("exp/clash", {"net.py": body.replace("line 3\n", "branch\n")})
    repo.branch("exp/low", {"low.py": "1\n"})
    repo.branch("exp/high", {"high.py": "1\n"}, start="exp/low")
    repo.branch("exp/landed", {"landed.py": "1\n"})
    repo.git("merge", "--quiet", "--squash", "exp/landed")
    repo.git("commit", "--quiet", "-m", "squash")
    repo.commit({"net.py": body.replace("line 3\n", "main\n")})
    return repo


def bring(lab, *names, **how):
    return sync(lab.open(), SyncRequest(names=names, is_all=not names, **how))


def states(report):
    return {branch.name: branch.state for branch in report.branches}


def tips(lab):
    rows = lab.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")
    return dict(row.split() for row in rows.splitlines())


def is_in(lab, commit, branch):
    return lab.git("rev-list", "--count", commit, f"^{branch}").strip() == "0"


def test_clean_branches_get_main_and_the_others_are_named_with_their_files(lab):
    report = bring(lab)
    assert states(report) == {
        "exp/clean": SyncState.SYNCED,
        "exp/low": SyncState.SYNCED,
        "exp/high": SyncState.SYNCED,
        "exp/fresh": SyncState.SYNCED,
        "exp/clash": SyncState.SKIPPED,
        "exp/landed": SyncState.LANDED,
    }
    clash = next(branch for branch in report.branches if branch.name == "exp/clash")
    assert (clash.conflicts, clash.after) == (("net.py",), "")
    for name in ("exp/clean", "exp/low", "exp/high", "exp/fresh"):
        assert is_in(lab, "main", name)
    assert tips(lab)["exp/fresh"] == tips(lab)["main"]
    assert lab.git("log", "-1", "--format=%s", "exp/clean").strip() == (
        "Merge branch 'main' into exp/clean"
    )


def test_a_stacked_branch_gets_main_from_its_base_and_stays_stacked(lab):
    bring(lab)
    assert is_in(lab, "exp/low", "exp/high")
    assert lab.git("log", "-1", "--format=%s", "exp/high").strip() == (
        "Merge branch 'exp/low' into exp/high"
    )


def test_a_rebase_replays_each_branch_on_main_and_a_stack_on_its_base(lab):
    assert bring(lab, is_rebase=True).named(SyncState.SYNCED)
    assert lab.git("rev-list", "--count", "main..exp/clean").strip() == "1"
    assert lab.git("rev-list", "--count", "exp/low..exp/high").strip() == "1"
    assert lab.git("rev-list", "--merges", "--count", "main..exp/high").strip() == "0"
    assert not list((lab.root / ".branchlab/worktrees").glob("sync-*"))


def test_a_rebase_that_meets_a_conflict_the_merge_had_not_is_skipped_and_leaves_nothing(lab):
    body = "".join(f"line {n}\n" for n in range(30))
    changed = body.replace("line 3\n", "branch\n")
    lab.git("switch", "--quiet", "-c", "exp/there-and-back", "main~1")
    lab.commit({"net.py": changed})
    lab.commit({"net.py": body, "own.py": "1\n"})
    lab.git("switch", "--quiet", "main")
    before = tips(lab)
    (found,) = bring(lab, "there-and-back", is_rebase=True).branches
    assert (found.state, found.conflicts) == (SyncState.SKIPPED, ("net.py",))
    assert tips(lab) == before
    assert "sync" not in lab.git("worktree", "list")


def test_nothing_of_the_user_s_is_touched_but_the_branches(lab):
    (lab.root / "notes.txt").write_text("mine\n")
    before = lab.fingerprint()
    bring(lab)
    after = lab.fingerprint()
    assert {key for key in before if before[key] != after[key]} == {"refs"}


def test_a_dry_run_changes_nothing(lab):
    before = tips(lab)
    report = bring(lab, is_dry=True)
    assert tips(lab) == before
    assert set(report.named(SyncState.WOULD_SYNC)) == {
        *("exp/clean", "exp/low", "exp/high", "exp/fresh")
    }
    with pytest.raises(RepositoryError, match="no sync to undo"):
        undo(lab.open())


def test_undo_puts_every_branch_back(lab):
    before = tips(lab)
    bring(lab)
    assert set(undo(lab.open()).named(SyncState.UNDONE)) == {
        *("exp/clean", "exp/low", "exp/high", "exp/fresh")
    }
    assert tips(lab) == before
    assert "refs/branchlab/sync" not in lab.git("for-each-ref")


def test_undo_leaves_a_branch_that_has_gone_on(lab):
    bring(lab)
    lab.git("switch", "--quiet", "exp/clean")
    lab.commit({"more.py": "1\n"})
    lab.git("switch", "--quiet", "main")
    tip = tips(lab)["exp/clean"]
    report = undo(lab.open())
    assert states(report)["exp/clean"] is SyncState.SKIPPED
    assert tips(lab)["exp/clean"] == tip


def test_a_branch_checked_out_somewhere_is_skipped_with_the_command_to_type_there(lab, tmp_path):
    lab.git("worktree", "add", "--quiet", str(tmp_path / "clean"), "exp/clean")
    before = tips(lab)
    (found,) = bring(lab, "clean").branches
    assert found.state is SyncState.SKIPPED
    assert f"git -C {tmp_path / 'clean'} merge main" in found.reason
    assert tips(lab) == before


@pytest.mark.parametrize("is_rebase", [False, True])
def test_a_clean_work_tree_moves_along_when_asked_and_back_again(lab, tmp_path, is_rebase):
    folder = tmp_path / "clean"
    lab.git("worktree", "add", "--quiet", str(folder), "exp/clean")
    before = tips(lab)
    assert bring(lab, "clean", takes_along=True, is_rebase=is_rebase).named(SyncState.SYNCED)
    assert (folder / "net.py").read_text().splitlines()[3] == "main"
    assert lab.git("-C", str(folder), "status", "--porcelain") == ""
    undo(lab.open())
    assert (folder / "net.py").read_text().splitlines()[3] == "line 3"
    assert tips(lab) == before


def test_a_work_tree_with_changes_is_never_moved(lab, tmp_path):
    folder = tmp_path / "clean"
    lab.git("worktree", "add", "--quiet", str(folder), "exp/clean")
    (folder / "clean.py").write_text("in the middle of it\n")
    (found,) = bring(lab, "clean", takes_along=True).branches
    assert found.state is SyncState.SKIPPED
    assert "clean.py" in found.reason
    assert (folder / "clean.py").read_text() == "in the middle of it\n"


def test_a_branch_in_the_middle_of_a_rebase_is_skipped(lab, tmp_path):
    folder = tmp_path / "clash"
    lab.git("worktree", "add", "--quiet", str(folder), "exp/clean")
    entry = next((lab.root / ".git/worktrees").iterdir())
    (entry / "rebase-merge").mkdir()
    (entry / "rebase-merge/head-name").write_text("refs/heads/exp/clean\n")
    (found,) = bring(lab, "clean", takes_along=True).branches
    assert (found.state, "rebase is under way" in found.reason) == (SyncState.SKIPPED, True)


def test_branches_whose_results_become_old_are_said(lab):
    lab.run(names=["exp/clean"], seeds=1)
    report = bring(lab)
    assert [branch.name for branch in report.branches if branch.is_outdated] == ["exp/clean"]


def test_a_second_sync_has_nothing_to_do(lab):
    bring(lab)
    assert set(states(bring(lab)).values()) == {
        SyncState.UP_TO_DATE,
        SyncState.SKIPPED,
        SyncState.LANDED,
    }


def test_a_rebased_experiment_is_known_to_begin_where_it_stands_now(lab):
    new_experiment(lab.open(), "named", base=None, with_worktree=False)
    lab.commit({"later.py": "1\n"})
    bring(lab, "named", is_rebase=True)
    base = lab.git("rev-parse", "refs/branchlab/base/exp/named")
    assert base == lab.git("rev-parse", "main")


@pytest.mark.parametrize("name", ["main", "original"])
def test_main_and_the_reference_are_never_synced(lab, name):
    with pytest.raises(RepositoryError, match="is no experiment"):
        bring(lab, name)


def test_without_a_branch_the_one_checked_out_is_meant(lab):
    with pytest.raises(ConfigError, match="none of the experiments is checked out"):
        sync(lab.open(), SyncRequest())
    lab.git("switch", "--quiet", "exp/clean")
    (found,) = sync(lab.open(), SyncRequest()).branches
    assert found.name == "exp/clean"
