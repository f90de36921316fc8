"""What a branch differs in, of real repositories."""

from branchlab.lab.diff import Side, branch_diff, last_run_side, patch_of


def side(repo, name):
    return Side(name=name, commit=repo.git("rev-parse", name).strip())


def test_what_main_did_meanwhile_is_not_the_branch_s_change(repo):
    repo.branch("exp/a", {"a.py": "a = 1\n"})
    repo.commit({"b.py": "b = 1\n"})
    project, head, main = repo.open(), side(repo, "exp/a"), side(repo, "main")
    found = branch_diff(project, head, main, since_they_parted=True)
    assert [file.path for file in found.files] == ["a.py"]
    assert found.counts == (1, 0)
    assert [line.text for line in patch_of(project, found, found.files[0]).hunks[0].lines] == [
        "a = 1"
    ]
    whole = branch_diff(project, head, main, since_they_parted=False)
    assert [(file.letter, file.path) for file in whole.files] == [("A", "a.py"), ("D", "b.py")]


def test_commits_that_are_lost_or_unrelated_are_said(repo):
    repo.branch("exp/a", {"a.py": "a = 1\n"})
    project, head = repo.open(), side(repo, "exp/a")
    lost = branch_diff(project, head, Side(name="main", commit="9" * 40), since_they_parted=False)
    assert "999999999" in lost.problem
    assert not lost.files
    tree = repo.git("rev-parse", "main^{tree}").strip()
    alone = Side(name="main", commit=repo.git("commit-tree", tree, "-m", "alone").strip())
    unrelated = branch_diff(project, head, alone, since_they_parted=True)
    assert unrelated.problem == "it has no history in common with main that is known here"


def test_without_a_run_there_is_no_last_one():
    assert last_run_side([], "exp/a") is None
