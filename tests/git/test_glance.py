"""What files alone say of a repository, held against what git says."""

from __future__ import annotations

import time

from branchlab.git.glance import RefsGlance, main_work_tree_near


def test_the_main_work_tree_is_found_from_below_it_and_from_a_linked_one(lab) -> None:
    (lab.root / "deep" / "er").mkdir(parents=True)
    linked = lab.root.parent / "linked"
    lab.git("worktree", "add", "--quiet", "--detach", str(linked))
    for start in (lab.root, lab.root / "deep" / "er", linked):
        assert main_work_tree_near(start) == lab.repository.root


def test_where_it_is_not_plain_which_one_it_is_there_is_none(
    lab, tmp_path_factory, monkeypatch
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    assert main_work_tree_near(outside) is None
    for text in ("", "gitdir: /nowhere", "gitdir: \x00", "nonsense"):
        (outside / ".git").write_text(text)
        assert main_work_tree_near(outside) is None
    monkeypatch.setenv("GIT_DIR", str(lab.root / ".git"))
    assert main_work_tree_near(lab.root) is None


def test_every_way_to_write_a_ref_is_noticed_and_nothing_else(lab) -> None:
    lab.git("branch", "exp/deep/er/first")
    glance = RefsGlance(lab.repository.common_dir)
    assert glance.has_changed()
    assert not glance.has_changed()
    linked = str(lab.root.parent / "linked")
    for arguments in (
        ("branch", "exp/second"),
        ("branch", "new-folder/third"),
        ("update-ref", "refs/heads/exp/deep/er/first", "main"),
        ("commit", "--quiet", "--allow-empty", "-m", "on"),
        ("update-ref", "refs/remotes/origin/main", "main"),
        ("pack-refs", "--all"),
        ("branch", "-D", "--quiet", "exp/second"),
        ("checkout", "--quiet", "-b", "fourth"),
        ("worktree", "add", "--quiet", linked, "new-folder/third"),
    ):
        time.sleep(0.02)  # a file system's clock ticks every few milliseconds
        lab.git(*arguments)
        assert glance.has_changed(), arguments
        assert not glance.has_changed(), arguments
    lab.git("status")
    lab.git("log", "--oneline")
    assert not glance.has_changed()
