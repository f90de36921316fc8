import pytest

from branchlab.errors import RepositoryError
from branchlab.git.write import add_worktree, commit_files, create_branch


@pytest.fixture
def named_lab(lab):
    lab.git("config", "user.name", "Grace")
    lab.git("config", "user.email", "grace@example.org")
    return lab


def user_state(lab):
    """Everything of the user's that a write must leave alone."""
    index = (lab.root / ".git" / "index").read_bytes()
    files = {p: p.read_bytes() for p in lab.root.glob("*.py")}
    return index, files, lab.git("status", "--porcelain"), lab.git("stash", "list"), head(lab)


def head(lab):
    return (lab.root / ".git" / "HEAD").read_text()


def test_a_branch_is_created_where_it_was_asked_for(lab):
    first = lab.git("rev-parse", "main")
    lab.commit({"a.py": "1"})
    create_branch(lab.repository, "exp/new", first)
    assert lab.repository.resolve("exp/new") == first
    assert lab.repository.current_branch() == "main"


def test_a_branch_that_exists_stays_where_it_is(lab):
    tip = lab.branch("exp/a", {"a.py": "1"})
    with pytest.raises(RepositoryError, match=f"'exp/a' exists already at {tip[:10]}"):
        create_branch(lab.repository, "exp/a", lab.git("rev-parse", "main"))
    assert lab.repository.resolve("exp/a") == tip


@pytest.mark.parametrize("name", ["-x", "--output=x", "a b", "a..b", "", "@{-1}", "a\0b", "x.lock"])
def test_what_is_no_branch_name_is_refused(lab, name):
    lab.branch("exp/a", {"a.py": "1"})
    with pytest.raises(RepositoryError, match="is not a branch name"):
        create_branch(lab.repository, name, lab.git("rev-parse", "main"))


def test_a_branch_below_another_says_git_s_reason(lab):
    lab.branch("exp", {"a.py": "1"})
    with pytest.raises(RepositoryError, match="'refs/heads/exp' exists"):
        create_branch(lab.repository, "exp/a", lab.git("rev-parse", "main"))


def test_a_commit_is_built_beside_the_user_s_work(named_lab):
    lab = named_lab
    parent = lab.git("rev-parse", "main")
    (lab.root / "model.py").write_text("stashed")
    lab.git("stash")
    (lab.root / "train.py").write_text("staged")
    lab.git("add", "train.py")
    (lab.root / "train.py").write_text("and changed again")
    before = user_state(lab)
    files = {"experiments/é.toml": "title = 'x'\n", "model.py": "new\n"}
    made = commit_files(lab.repository, parent=parent, files=files, message="Add é")
    assert user_state(lab) == before
    assert lab.git("log", "-1", "--format=%P %an <%ae> %s", made) == (
        f"{parent} Grace <grace@example.org> Add é"
    )
    assert lab.repository.read_file(made, "experiments/é.toml") == "title = 'x'\n"
    assert set(lab.git("diff", "--name-only", "-z", parent, made).split("\0")) - {""} == set(files)


def test_an_executable_stays_one(named_lab):
    lab = named_lab
    (lab.root / "train.py").chmod(0o755)
    lab.git("commit", "--quiet", "-am", "mode")
    parent = lab.git("rev-parse", "main")
    made = commit_files(lab.repository, parent=parent, files={"train.py": "x"}, message="m")
    assert lab.git("ls-tree", made, "train.py").startswith("100755")


def test_text_is_stored_as_it_is(named_lab):
    lab = named_lab
    lab.git("config", "core.autocrlf", "true")
    parent = lab.git("rev-parse", "main")
    made = commit_files(lab.repository, parent=parent, files={"a": "1\r\n2\n"}, message="m")
    assert lab.repository.read_file(made, "a") == "1\r\n2\n"


def test_a_missing_identity_says_what_to_type(lab):
    parent = lab.git("rev-parse", "main")
    with pytest.raises(RepositoryError, match="git does not know who you are") as caught:
        commit_files(lab.repository, parent=parent, files={"a": "1"}, message="m")
    assert caught.value.hint.startswith("git config user.email")


def test_an_identity_in_the_environment_is_the_user_s(lab, monkeypatch):
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Joan")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "joan@example.org")
    parent = lab.git("rev-parse", "main")
    made = commit_files(lab.repository, parent=parent, files={"a": "1"}, message="m")
    assert lab.git("log", "-1", "--format=%an %ce", made) == "Joan joan@example.org"


@pytest.mark.parametrize("path", [".git/config", "../outside", "/etc/passwd"])
def test_a_path_outside_of_the_tree_is_refused(named_lab, path):
    parent = named_lab.git("rev-parse", "main")
    with pytest.raises(RepositoryError):
        commit_files(named_lab.repository, parent=parent, files={path: "x"}, message="m")


def test_a_work_tree_for_the_user_is_on_its_branch(lab, tmp_path):
    tip = lab.branch("exp/a", {"a.py": "1"})
    lab.git("tag", "exp/a", "main")
    add_worktree(lab.repository, "exp/a", tmp_path / "project-a")
    assert lab.git("symbolic-ref", "HEAD", cwd=tmp_path / "project-a") == "refs/heads/exp/a"
    assert lab.git("rev-parse", "HEAD", cwd=tmp_path / "project-a") == tip
    assert (tmp_path / "project-a" / "a.py").read_text() == "1"
    assert not lab.repository.dirty_paths()


def test_a_folder_in_use_is_refused(lab, tmp_path):
    lab.branch("exp/a", {"a.py": "1"})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(RepositoryError, match="already exists"):
        add_worktree(lab.repository, "exp/a", tmp_path / "full")
    assert (tmp_path / "full" / "mine").read_text() == "x"


def test_a_work_tree_never_makes_a_branch(lab, tmp_path):
    with pytest.raises(RepositoryError, match="no branch 'typo'"):
        add_worktree(lab.repository, "typo", tmp_path / "typo")
    assert not (tmp_path / "typo").exists()
