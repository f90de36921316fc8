"""GitPython, an implementation of its own, as the oracle for what this room reads."""

import warnings

from branchlab.git.graph import read_graph


def test_branches_trees_and_drift_agree_with_gitpython(lab):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import git
    lab.git("branch", "original")
    for number in range(3):
        lab.branch(f"exp/{number}", {f"file{number}.py": "x"})
        lab.commit({"model.py": f"main {number}"})
    lab.git("merge", "--quiet", "--no-ff", "-m", "merge", "exp/1")
    lab.branch("exp/later", {"later.py": "y"}, start="exp/0")
    repository = lab.repository
    branches = {branch.name: branch for branch in repository.branches()}
    oracle = git.Repo(lab.root)
    try:
        assert {
            head.name: (head.commit.hexsha, head.commit.tree.hexsha) for head in oracle.heads
        } == {name: (branch.tip, branch.tree) for name, branch in branches.items()}
        main, original = branches["main"].tip, branches["original"].tip
        tips = [branch.tip for branch in branches.values()]
        graph = read_graph(repository, tips, main=main, reference=original)
        for tip in tips:
            pair = (graph.drift(tip), graph.reference_drift(tip))
            for other, drift in zip((main, original), pair, strict=True):
                (base,) = oracle.merge_base(tip, other)
                ahead = sum(1 for _ in oracle.iter_commits(f"{other}..{tip}"))
                behind = sum(1 for _ in oracle.iter_commits(f"{tip}..{other}"))
                assert (drift.merge_base, drift.ahead, drift.behind) == (base.hexsha, ahead, behind)
    finally:
        oracle.close()
