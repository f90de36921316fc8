from branchlab.domain import CheckedOut
from branchlab.git.checkouts import checkouts
from branchlab.git.worktrees import checkout


def test_every_work_tree_of_a_branch_is_found_and_those_of_runs_are_not(lab, tmp_path):
    tip = lab.branch("exp/a", {"a.py": "1"})
    lab.git("worktree", "add", "--quiet", str(tmp_path / "tree é"), "exp/a")
    checkout(lab.repository, tip, label="exp/a")
    assert checkouts(lab.repository) == {
        "main": (CheckedOut(path=lab.root),),
        "exp/a": (CheckedOut(path=tmp_path / "tree é"),),
    }


def test_a_work_tree_whose_folder_is_gone_does_not_count(lab, tmp_path):
    lab.branch("exp/a", {"a.py": "1"})
    lab.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "exp/a")
    (tmp_path / "tree").rename(tmp_path / "elsewhere")
    assert "exp/a" not in checkouts(lab.repository)


def test_a_rebase_holds_its_branch_though_head_is_detached(lab, tmp_path):
    lab.branch("exp/a", {"model.py": "branch"})
    lab.commit({"model.py": "main"})
    folder = tmp_path / "tree"
    lab.git("worktree", "add", "--quiet", str(folder), "exp/a")
    lab.git("-c", "alias.try=!git rebase main || true", "try", cwd=folder)
    assert checkouts(lab.repository)["exp/a"] == (CheckedOut(path=folder, operation="rebase"),)


def test_a_merge_under_way_is_said(lab):
    lab.branch("exp/a", {"model.py": "branch"})
    lab.commit({"model.py": "main"})
    lab.git("checkout", "--quiet", "exp/a")
    lab.git("-c", "alias.try=!git merge main || true", "try")
    assert checkouts(lab.repository)["exp/a"] == (CheckedOut(path=lab.root, operation="merge"),)


def test_a_bisect_holds_its_branch(lab):
    lab.commit({"a.py": "1"})
    lab.commit({"a.py": "2"})
    lab.git("bisect", "start", "main", "main~2")
    assert checkouts(lab.repository)["main"] == (CheckedOut(path=lab.root, operation="bisect"),)
