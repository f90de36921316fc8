import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from branchlab.errors import ConfigError, RepositoryError
from branchlab.git import worktree_records
from branchlab.git.repository import Repository
from branchlab.git.worktrees import checkout, link_shared, reclaim


@pytest.fixture
def tip(lab):
    return lab.branch("exp/a", {"a.py": "1\n", "pkg/b.py": "2\n"})


def checked(tree, commit):
    """Whether a work tree holds exactly the commit's tracked files."""
    env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.path.parent)}

    def ask(*args):
        return subprocess.check_output(["git", *args], cwd=tree.path, env=env, text=True).strip()

    return ask("status", "--porcelain", "-uno") == "" and ask("rev-parse", "HEAD") == commit


def test_a_work_tree_stands_at_the_commit_detached(lab, tip):
    tree = checkout(lab.repository, tip, label="exp/Ünïcode: $(x) --output")
    assert tree.path.parent == lab.root / ".branchlab" / "worktrees"
    assert tree.path.name == f"exp-unicode-x-output-{tip[:10]}"
    assert checked(tree, tip)
    assert (tree.path / "pkg" / "b.py").read_text() == "2\n"
    assert lab.repository.current_branch(at=tree.path) is None
    lab.git("checkout", "--quiet", "exp/a")  # the branch is still free for the user


def test_the_user_s_index_head_and_stash_stay(lab, tip):
    (lab.root / "model.py").write_text("stashed")
    lab.git("stash")
    (lab.root / "train.py").write_text("staged")
    lab.git("add", "train.py")
    (lab.root / "train.py").write_text("changed")
    git_dir = lab.root / ".git"

    def state():
        files = ("index", "HEAD", "refs/stash", "config")
        return [(git_dir / f).read_bytes() for f in files] + [lab.git("status", "--porcelain")]

    before = state()
    checkout(lab.repository, tip, label="a")
    reclaim(lab.repository, keep=set())
    assert state() == before


def test_a_work_tree_is_used_again_and_tracked_changes_are_put_back(lab, tip):
    tree = checkout(lab.repository, tip, label="a")
    (tree.path / "outputs.pt").write_text("a run's own")
    inode = (tree.path / "a.py").stat().st_ino
    (tree.path / "model.py").write_text("changed by a run")
    assert checkout(lab.repository, tip, label="a") == tree
    assert checked(tree, tip)
    assert (tree.path / "a.py").stat().st_ino == inode
    assert (tree.path / "outputs.pt").read_text() == "a run's own"


def test_a_branch_that_was_checked_out_inside_is_not_moved(lab, tip):
    tree = checkout(lab.repository, tip, label="a")
    lab.git("checkout", "--quiet", "-b", "mine", cwd=tree.path)
    mine = lab.git("commit", "--quiet", "--allow-empty", "-m", "mine", cwd=tree.path)
    mine = lab.git("rev-parse", "mine")
    assert checked(checkout(lab.repository, tip, label="a"), tip)
    assert lab.repository.resolve("mine") == mine


def delete_folder(lab, tree):
    shutil.rmtree(tree.path)


def delete_link(lab, tree):
    (tree.path / ".git").unlink()


def delete_record(lab, tree):
    shutil.rmtree(lab.root / ".git" / "worktrees" / tree.path.name)


def empty_commondir(lab, tree):
    shutil.rmtree(tree.path)
    record = lab.root / ".git" / "worktrees" / tree.path.name
    (record / "commondir").write_text("")
    (record / "gitdir").unlink()


def leave_index_lock(lab, tree):
    record = lab.root / ".git" / "worktrees" / tree.path.name
    (record / "index.lock").write_text("")
    (record / "index").unlink()
    (tree.path / "a.py").unlink()


def leave_initializing(lab, tree):
    record = lab.root / ".git" / "worktrees" / tree.path.name
    (record / "locked").write_text("initializing")
    (record / "HEAD").write_text("0" * 40)
    shutil.rmtree(tree.path)
    tree.path.mkdir()


def put_a_file_there(lab, tree):
    shutil.rmtree(tree.path)
    tree.path.write_text("a file")


@pytest.mark.parametrize(
    "damage",
    [
        delete_folder,
        delete_link,
        delete_record,
        empty_commondir,
        leave_index_lock,
        leave_initializing,
        put_a_file_there,
    ],
)
def test_whatever_a_kill_or_a_hand_left_is_mended(lab, tip, damage):
    (lab.root / "model.py").write_text("the user's unsaved work")
    tree = checkout(lab.repository, tip, label="a")
    damage(lab, tree)
    assert checked(checkout(lab.repository, tip, label="a"), tip)
    assert (lab.root / "model.py").read_text() == "the user's unsaved work"
    assert len(list((lab.root / ".git" / "worktrees").iterdir())) == 1


def test_another_half_made_record_of_ours_does_not_stand_in_the_way(lab, tip):
    other = checkout(lab.repository, lab.git("rev-parse", "main"), label="main")
    empty_commondir(lab, other)
    assert checked(checkout(lab.repository, tip, label="a"), tip)


CHECK_OUT = """
import sys
from pathlib import Path
from branchlab.git.repository import Repository
from branchlab.git.worktrees import checkout
repository = Repository.find(Path(sys.argv[1]))
print("go", flush=True)
checkout(repository, sys.argv[2], label="a")
"""


def test_a_checkout_that_was_killed_is_done_again(lab, tip):
    for wait_ms in (1, 4, 8, 12, 18, 25):
        process = subprocess.Popen(
            [sys.executable, "-c", CHECK_OUT, str(lab.root), tip],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout.readline() == b"go\n"
        time.sleep(wait_ms / 1000)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        tree = checkout(lab.repository, tip, label="a")
        assert checked(tree, tip)
        assert reclaim(lab.repository, keep=set()) == 1
    assert lab.git("worktree", "list").count("\n") == 0


def test_twenty_checkouts_at_once(lab):
    commits = [lab.commit({"n.py": f"{n}\n"}) for n in range(10)]

    def make(n):
        return checkout(lab.repository, commits[n % 10], label=f"exp/{n % 10}")

    with ThreadPoolExecutor(20) as pool:
        trees = list(pool.map(make, range(20)))
    assert len({tree.path for tree in trees}) == 10
    assert all(checked(tree, commits[n % 10]) for n, tree in enumerate(trees))


def test_shared_data_is_linked_in_and_survives_reclaim(lab, tip):
    data = lab.root / "data" / "mnist"
    data.mkdir(parents=True)
    (data / "images").write_text("pixels")
    (lab.root / "cache").mkdir()
    share = ("data/mnist", "cache")
    tree = checkout(lab.repository, tip, label="a", share=share)
    assert checkout(lab.repository, tip, label="a", share=share) == tree
    assert (tree.path / "data" / "mnist" / "images").read_text() == "pixels"
    assert (tree.path / "cache").is_symlink()
    assert checked(tree, tip)
    assert reclaim(lab.repository, keep=set()) == 1
    assert not tree.path.exists()
    assert (data / "images").read_text() == "pixels"


def test_a_shared_path_that_is_missing_is_named(lab, tip):
    with pytest.raises(ConfigError, match="'data' does not exist"):
        checkout(lab.repository, tip, label="a", share=("data",))


def test_what_the_commit_tracks_is_not_shadowed(lab):
    tip = lab.branch("exp/a", {"data/labels.txt": "tracked"})
    (lab.root / "data").mkdir(exist_ok=True)
    (lab.root / "data" / "labels.txt").write_text("the main work tree's")
    tree = checkout(lab.repository, tip, label="a", share=("data",))
    assert not (tree.path / "data").is_symlink()
    assert (tree.path / "data" / "labels.txt").read_text() == "tracked"


def test_a_work_tree_of_the_user_s_is_given_what_there_is_to_share(lab, tip, tmp_path):
    (lab.root / "data").mkdir()
    mine = tmp_path / "mine"
    lab.git("worktree", "add", "--quiet", str(mine), "exp/a")
    link_shared(lab.repository, mine, share=("data", "not-here-yet"))
    assert (mine / "data").readlink() == lab.root / "data"
    assert not (mine / "not-here-yet").is_symlink()


def test_a_tracked_symlink_does_not_lead_a_link_outside(lab, tmp_path):
    lab.git("checkout", "--quiet", "-b", "exp/a")
    (lab.root / "out").symlink_to(tmp_path)
    lab.git("add", "out")
    tip = lab.commit()
    lab.git("checkout", "--quiet", "main")
    (lab.root / "out" / "data").mkdir(parents=True)
    with pytest.raises(ConfigError, match="beyond a symlink"):
        checkout(lab.repository, tip, label="a", share=("out/data",))
    assert not (tmp_path / "data").exists()


def test_a_sparse_main_work_tree_gives_whole_work_trees(lab, tip):
    lab.git("sparse-checkout", "set", "docs")
    tree = checkout(lab.repository, tip, label="a")
    assert (tree.path / "pkg" / "b.py").exists()
    inode = (tree.path / "pkg" / "b.py").stat().st_ino
    checkout(lab.repository, tip, label="a")
    assert (tree.path / "pkg" / "b.py").stat().st_ino == inode
    assert not (lab.root / "pkg").exists()


def test_reclaim_keeps_what_is_in_use_and_the_user_s_own(lab, tip, tmp_path):
    main = lab.git("rev-parse", "main")
    lab.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "mine"))
    kept = checkout(lab.repository, tip, label="a")
    gone = checkout(lab.repository, main, label="main")
    foreign = lab.root / ".branchlab" / "worktrees" / "notes"
    foreign.mkdir()
    assert reclaim(lab.repository, keep={tip}) == 1
    assert kept.path.exists()
    assert not gone.path.exists()
    assert foreign.exists()
    assert (tmp_path / "mine" / "model.py").exists()


def test_reclaim_forgets_folders_that_are_gone(lab, tip):
    shutil.rmtree(checkout(lab.repository, tip, label="a").path)
    assert reclaim(lab.repository, keep=set()) == 1
    assert lab.git("worktree", "list").count("\n") == 0


def test_a_moved_repository_makes_its_work_trees_anew(lab, tip, tmp_path):
    checkout(lab.repository, tip, label="a")
    lab.root.rename(tmp_path / "moved")
    repository = Repository.find(tmp_path / "moved")
    tree = checkout(repository, tip, label="a")
    assert checked(tree, tip)
    assert reclaim(repository, keep={tip}) == 0
    assert reclaim(repository, keep=set()) == 1
    assert lab.git("worktree", "list", cwd=tmp_path / "moved").count("\n") == 0
    assert not lab.root.exists()


def test_a_mount_below_is_never_removed(lab, tip, monkeypatch, tmp_path):
    tree = checkout(lab.repository, tip, label="a")
    mounts = tmp_path / "mountinfo"
    point = str(tree.path / "da ta").replace(" ", "\\040")
    mounts.write_text(f"36 35 98:0 / {point} rw,noatime - ext4 /dev/x rw\n")
    monkeypatch.setattr(worktree_records, "_MOUNTS", mounts)
    with pytest.raises(RepositoryError, match="is mounted inside"):
        reclaim(lab.repository, keep=set())
    assert tree.path.exists()


def test_a_state_folder_behind_a_symlink_works(lab, tip, tmp_path):
    (tmp_path / "big-disk").mkdir()
    (lab.root / ".branchlab").symlink_to(tmp_path / "big-disk")
    tree = checkout(lab.repository, tip, label="a")
    assert checked(tree, tip)
    assert checkout(lab.repository, tip, label="a") == tree
    assert reclaim(lab.repository, keep=set()) == 1


def test_a_commit_that_is_not_here_is_said(lab):
    with pytest.raises(RepositoryError):
        checkout(lab.repository, "0" * 39 + "1", label="a")
    assert list(Path(lab.root / ".branchlab" / "worktrees").glob("a-*[!k]")) == []
