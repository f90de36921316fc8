import pytest

from branchlab.git.refs import began_at, preferred, read_refs
from branchlab.git.write import create_branch, record_base


@pytest.fixture
def clone(lab, tmp_path):
    """A fresh clone: main is local, everything else only on origin."""
    lab.git("branch", "original")
    lab.branch("exp/a", {"a.py": "1"})
    lab.branch("exp/b", {"b.py": "1"})
    where = tmp_path / "clone"
    lab.git("clone", "--quiet", str(lab.root), str(where))
    return where


def only_remote(root):
    return [branch.name for branch in read_refs(root).only_remote()]


def test_a_clone_s_remote_branches_are_called_with_their_remote(lab, clone):
    refs = read_refs(clone)
    assert list(refs.local) == ["main"]
    found = refs.remote["origin/exp/a"]
    assert (found.own_name, found.remote) == ("exp/a", "origin")
    assert found.tip == lab.git("rev-parse", "exp/a")
    assert "origin/HEAD" not in refs.remote


def test_a_branch_that_is_also_local_is_not_only_remote(lab, clone):
    assert only_remote(clone) == ["origin/exp/a", "origin/exp/b", "origin/original"]
    lab.git("branch", "--quiet", "exp/a", "origin/exp/a", cwd=clone)
    lab.git("branch", "--quiet", "renamed", "origin/exp/b", cwd=clone)
    assert only_remote(clone) == ["origin/original"]


def test_of_two_remotes_with_the_same_commit_one_is_enough(lab, clone):
    lab.git("remote", "add", "fork", str(lab.root), cwd=clone)
    lab.git("fetch", "--quiet", "fork", cwd=clone)
    assert only_remote(clone) == ["origin/exp/a", "origin/exp/b", "origin/original"]
    lab.git("checkout", "--quiet", "exp/a")
    lab.commit({"a.py": "2"})
    lab.git("checkout", "--quiet", "main")
    lab.git("fetch", "--quiet", "fork", cwd=clone)
    assert {"origin/exp/a", "fork/exp/a"} <= set(only_remote(clone))


def test_the_counterpart_is_the_upstream_and_none_when_it_is_gone(lab, clone):
    lab.git("branch", "--quiet", "exp/a", "origin/exp/a", cwd=clone)
    refs = read_refs(clone)
    assert refs.local["exp/a"].upstream == "origin/exp/a"
    assert refs.counterpart(refs.local["exp/a"]) == refs.remote["origin/exp/a"]
    lab.git("update-ref", "-d", "refs/remotes/origin/exp/a", cwd=clone)
    refs = read_refs(clone)
    assert refs.local["exp/a"].upstream == "origin/exp/a"
    assert refs.counterpart(refs.local["exp/a"]) is None


def test_origin_goes_before_other_remotes(lab, clone):
    lab.git("remote", "add", "fork", str(lab.root), cwd=clone)
    lab.git("fetch", "--quiet", "fork", cwd=clone)
    originals = [b for b in read_refs(clone).remote.values() if b.own_name == "original"]
    assert [branch.remote for branch in originals] == ["fork", "origin"]
    assert preferred(originals).remote == "origin"
    assert preferred([]) is None


def test_what_new_exp_recorded_is_read_with_the_branch(lab):
    base = lab.git("rev-parse", "main")
    create_branch(lab.repository, "exp/a", base)
    record_base(lab.repository, "exp/a", base)
    assert read_refs(lab.root).local["exp/a"].base == base


def test_a_record_of_a_deleted_branch_says_nothing_of_another_of_that_name(lab):
    first = lab.git("rev-parse", "main")
    create_branch(lab.repository, "exp/a", lab.commit({"x.py": "1"}))
    record_base(lab.repository, "exp/a", first)
    branch = read_refs(lab.root).local["exp/a"]
    assert began_at(lab.root / ".git", branch) == first
    lab.git("branch", "-D", "exp/a")
    lab.git("branch", "exp/a", "main")
    assert began_at(lab.root / ".git", read_refs(lab.root).local["exp/a"]) == ""


def test_a_reflog_with_commits_tells_where_a_branch_began(lab):
    base = lab.git("rev-parse", "main")
    lab.branch("exp/a", {"a.py": "1"})
    lab.git("branch", "exp/fresh")
    refs = read_refs(lab.root)
    assert began_at(lab.root / ".git", refs.local["exp/a"]) == base
    assert began_at(lab.root / ".git", refs.local["exp/fresh"]) == ""


def test_a_tag_and_a_ref_that_is_no_commit_are_no_branches(lab):
    lab.git("tag", "exp/a")
    blob = lab.git("rev-parse", "main:model.py")
    (lab.root / ".git/refs/heads/blob").write_text(f"{blob}\n")
    assert list(read_refs(lab.root).local) == ["main"]
