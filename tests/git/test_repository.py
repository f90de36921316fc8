import subprocess
import sys
from datetime import UTC, datetime

import pytest

from branchlab.errors import RepositoryError
from branchlab.git.repository import Repository


def test_a_subfolder_finds_the_top(lab):
    assert Repository.find(lab.root / "docs") == Repository(lab.root, lab.root / ".git")


def test_a_linked_work_tree_shares_the_main_ones_state(lab, tmp_path):
    lab.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "exp/a")
    repository = Repository.find(tmp_path / "linked" / "docs")
    assert repository.root == lab.root
    assert repository.state.path == lab.root / ".branchlab"
    assert repository.current_branch() == "main"
    assert repository.current_branch(at=tmp_path / "linked") == "exp/a"


def test_a_folder_without_a_repository_says_git_init(tmp_path):
    with pytest.raises(RepositoryError, match="not a git repository") as caught:
        Repository.find(tmp_path)
    assert caught.value.hint == "git init"


def test_a_bare_repository_is_said(lab, tmp_path):
    lab.git("clone", "--quiet", "--bare", str(lab.root), str(tmp_path / "bare.git"))
    with pytest.raises(RepositoryError, match="is a bare repository"):
        Repository.find(tmp_path / "bare.git")


def test_a_work_tree_of_a_bare_repository_is_said(lab, tmp_path):
    bare = tmp_path / "bare.git"
    lab.git("clone", "--quiet", "--bare", str(lab.root), str(bare))
    lab.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "main", cwd=bare)
    with pytest.raises(RepositoryError, match="cannot be told"):
        Repository.find(tmp_path / "linked")


def test_the_git_folder_itself_is_said(lab):
    with pytest.raises(RepositoryError, match=r"inside a \.git folder"):
        Repository.find(lab.root / ".git")


def test_a_repository_without_commits_says_what_to_type(empty_lab):
    repository = empty_lab.repository
    assert repository.branches() == []
    assert repository.resolve("main") is None
    assert repository.current_branch() == "main"
    with pytest.raises(RepositoryError, match="no commits yet") as caught:
        repository.check_has_commits()
    assert caught.value.hint == 'git commit --allow-empty -m "first"'


def test_branches_are_listed_with_tip_tree_time_and_subject(lab):
    tip = lab.branch("exp/a", {"a.py": "x"})
    (branch, main) = lab.repository.branches()
    assert (branch.name, branch.tip, branch.subject) == ("exp/a", tip, "on exp/a")
    assert branch.tree == lab.git("rev-parse", "exp/a^{tree}") == lab.repository.tree_of(tip)
    seconds = int(lab.git("log", "-1", "--format=%ct", "exp/a"))
    assert branch.last_commit_at == datetime.fromtimestamp(seconds, UTC)
    assert main.name == "main"


HOSTILE = ["--output=pwned", "-x", "exp/$(id>pwned)", "exp/;x", "exp/\u202eevil", "a" * 40]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_a_name(lab, name):
    tip = lab.branch("plain", {"a.py": "x"})
    lab.git("update-ref", f"refs/heads/{name}", tip)
    repository = lab.repository
    assert repository.resolve(name) == tip
    assert name in {branch.name for branch in repository.branches()}
    assert not list(lab.root.glob("*pwned*"))


@pytest.mark.parametrize("name", ["", "--help", "--output=pwned", "a\0b", "nope", "\ud800"])
def test_what_names_nothing_is_none(lab, name):
    assert lab.repository.resolve(name) is None
    assert not list(lab.root.glob("*pwned*"))


def test_a_name_that_is_not_utf8_survives(lab):
    tip = lab.git("rev-parse", "main")
    line = f"{tip} refs/heads/caf".encode() + b"\xe9\n"
    (lab.root / ".git" / "packed-refs").write_bytes(line)
    names = {branch.name for branch in lab.repository.branches()}
    assert names == {"caf\udce9", "main"}
    assert lab.repository.resolve("caf\udce9") == tip


def test_a_branch_wins_over_a_tag_of_its_name(lab):
    tip = lab.branch("exp", {"a.py": "x"})
    lab.git("tag", "exp", "main")
    assert lab.repository.resolve("exp") == tip


def test_ids_abbreviations_and_tags_resolve(lab):
    tip = lab.git("rev-parse", "main")
    lab.git("tag", "-a", "-m", "v", "v1")
    assert {lab.repository.resolve(rev) for rev in (tip, tip[:8], "v1", "HEAD")} == {tip}


def test_a_branch_that_is_no_commit_is_left_out(lab):
    blob = lab.git("hash-object", "-w", "--stdin", stdin=b"x")
    ref = lab.root / ".git" / "refs" / "heads" / "blob"
    ref.write_text(f"{blob}\n")
    assert [branch.name for branch in lab.repository.branches()] == ["main"]


def test_many_files_are_read_at_once(lab):
    one = lab.git("rev-parse", "main")
    two = lab.commit({"a b.py": "é\nline\n", "empty.py": ""})
    wanted = [(two, "a b.py"), (two, "empty.py"), (one, "a b.py"), (two, "docs"), (two, "x\ny")]
    assert lab.repository.read_files(wanted) == dict(
        zip(wanted, ["é\nline\n", "", None, None, None], strict=True)
    )
    assert lab.repository.read_file(one, "docs/README") == "docs\n"


def test_dirty_means_changed_or_untracked_but_not_ignored(lab):
    repository = lab.repository
    assert not repository.dirty_paths()
    lab.commit({".gitignore": "*.log\n"})
    (lab.root / "x.log").write_text("ignored")
    lab.git("config", "status.showUntrackedFiles", "no")
    assert not repository.dirty_paths()
    (lab.root / "new file.py").write_text("x")
    lab.git("mv", "model.py", "net.py")
    assert set(repository.dirty_paths()) == {"new file.py", "model.py", "net.py"}


def test_our_own_state_is_not_dirt(lab):
    lab.repository.state.create()
    assert not lab.repository.dirty_paths()


def test_a_kept_commit_survives_its_branch_and_the_collector(lab):
    tip = lab.branch("exp/a", {"a.py": "x"})
    lab.repository.keep_all({"run-1": tip})
    lab.git("branch", "-D", "exp/a")
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("gc", "--quiet", "--prune=now")
    assert lab.repository.resolve(tip) == tip


def test_grep_looks_at_python_files_of_a_commit(lab):
    tip = lab.branch("exp/a", {"pkg/net.py": "use_rotary = True\n", "notes.md": "dropout\n"})
    repository = lab.repository
    assert repository.grep(tip, "use_(rotary|alibi)")
    assert not repository.grep(tip, "dropout")
    assert not repository.grep(repository.resolve("main"), "use_rotary")
    assert not repository.grep(tip, "--open-files-in-pager")
    with pytest.raises(RepositoryError, match="git grep"):
        repository.grep(tip, "(")


def test_a_shallow_clone_knows_that_it_is(lab, tmp_path):
    lab.commit({"a.py": "1"})
    lab.git("clone", "--quiet", "--depth=1", f"file://{lab.root}", str(tmp_path / "shallow"))
    assert Repository.find(tmp_path / "shallow").is_shallow()
    assert not lab.repository.is_shallow()


def test_reading_does_not_import_gitpython():
    code = (
        "import sys, branchlab.git.standing, branchlab.git.worktrees, branchlab.git.write;"
        "assert 'git' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
