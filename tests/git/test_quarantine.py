from __future__ import annotations

import pytest

from branchlab.errors import RepositoryError
from branchlab.git.quarantine import quarantine


def test_a_merge_in_memory_leaves_the_repository_as_it_was(empty_lab) -> None:
    base = empty_lab.commit({"a": "1\n", "b": "1\n"})
    empty_lab.git("branch", "one", base)
    empty_lab.git("switch", "--quiet", "one")
    one = empty_lab.commit({"a": "2\n"})
    empty_lab.git("switch", "--quiet", "main")
    main = empty_lab.commit({"b": "2\n"})
    before = (
        empty_lab.git("count-objects", "-v"),
        empty_lab.git("for-each-ref"),
        empty_lab.git("worktree", "list"),
    )

    with quarantine(empty_lab.repository) as held:
        union = held.merge(main, [one])
        with held.checked_out(union.tree, share=()) as folder:
            texts = {path.name: path.read_text() for path in folder.iterdir()}

    assert texts == {"a": "2\n", "b": "2\n"}
    assert not folder.exists()
    assert (
        empty_lab.git("count-objects", "-v"),
        empty_lab.git("for-each-ref"),
        empty_lab.git("worktree", "list"),
    ) == before
    assert empty_lab.git("status", "--porcelain") == ""


def test_several_tips_are_merged_onto_each_other_and_a_conflict_names_the_tip(empty_lab) -> None:
    base = empty_lab.commit({"a": "1\n", "b": "1\n", "c": "1\n"})
    tips = []
    for number, files in enumerate([{"a": "2\n"}, {"b": "2\n"}, {"a": "3\n"}]):
        empty_lab.git("switch", "--quiet", "-c", f"b{number}", base)
        tips.append(empty_lab.commit(files))

    with quarantine(empty_lab.repository) as held:
        both = held.merge(base, tips[:2])
        clash = held.merge(base, tips)
        with held.checked_out(both.tree, share=()) as folder:
            assert {p.name: p.read_text() for p in folder.iterdir()} == {
                "a": "2\n",
                "b": "2\n",
                "c": "1\n",
            }

    assert clash.conflicts == ("a",)
    assert clash.tip == tips[2]
    assert not clash.commit


def test_the_tree_is_that_of_a_real_merge(empty_lab) -> None:
    base = empty_lab.commit({"a": "1\n", "b": "1\n"})
    empty_lab.git("switch", "--quiet", "-c", "one", base)
    one = empty_lab.commit({"a": "2\n"})
    empty_lab.git("switch", "--quiet", "main")
    main = empty_lab.commit({"b": "2\n"})
    with quarantine(empty_lab.repository) as held:
        union = held.merge(main, [one])

    empty_lab.git("merge", "--quiet", "--no-edit", "one")

    assert empty_lab.git("rev-parse", "HEAD^{tree}").strip() == union.tree


def test_what_runs_share_is_linked_in(empty_lab) -> None:
    commit = empty_lab.commit({"a": "1\n"})
    (empty_lab.root / "data").mkdir()
    (empty_lab.root / "data" / "x").write_text("1")
    tree = empty_lab.repository.tree_of(commit)
    with (
        quarantine(empty_lab.repository) as held,
        held.checked_out(tree, share=("data",)) as folder,
    ):
        assert (folder / "data").is_symlink()
        assert (folder / "data" / "x").read_text() == "1"
    assert (empty_lab.root / "data" / "x").exists()


def test_histories_with_nothing_in_common_are_said(empty_lab) -> None:
    main = empty_lab.commit({"a": "1\n"})
    empty_lab.git("switch", "--quiet", "--orphan", "other")
    other = empty_lab.commit({"b": "1\n"})

    with (
        quarantine(empty_lab.repository) as held,
        pytest.raises(RepositoryError, match="cannot be merged"),
    ):
        held.merge(main, [other])
