from types import SimpleNamespace

import pytest

from branchlab.git.changes import (
    MainChanges,
    branch_changes,
    folders_of,
    main_changes,
    read_diffs,
)
from branchlab.git.forecast import overlap
from branchlab.git.graph import read_graph
from branchlab.git.landings import main_pairs


def read(lab, *names):
    repository = lab.repository
    tips = [repository.resolve(name) for name in names]
    graph = read_graph(repository, tips, main=repository.resolve("main"))
    pairs = [(tip, graph.drift(tip).merge_base) for tip in tips]
    diffs = read_diffs(repository, [*pairs, *main_pairs(graph, 1)])
    branches = {pair[0]: branch_changes(diffs[pair]) for pair in pairs}
    return tips, SimpleNamespace(branches=branches, main=main_changes(graph, diffs, start=1))


def test_a_branch_s_whole_diff_is_read_by_its_tip(lab):
    lab.branch("exp/a", {"model.py": "new", "docs/README": None, "a b\n\u00e9.py": "x"})
    (tip,), changes = read(lab, "exp/a")
    found = changes.branches[tip]
    blob = lab.git("rev-parse", "exp/a:model.py")
    assert found.after["model.py"] == f"100644 {blob}"
    assert found.deleted == ["docs/README"]
    assert found.added == ["a b\n\u00e9.py"]


def test_a_changed_mode_is_a_change(lab):
    lab.git("checkout", "--quiet", "-b", "exp/a")
    (lab.root / "train.py").chmod(0o755)
    lab.git("commit", "--quiet", "-am", "mode")
    lab.git("checkout", "--quiet", "main")
    (tip,), changes = read(lab, "exp/a")
    assert changes.branches[tip].after["train.py"].startswith("100755 ")


def test_main_s_changes_carry_their_places(lab):
    lab.branch("exp/a", {"a.py": "x"})
    lab.commit({"model.py": "1"})
    lab.commit({"model.py": "2", "lib/new.py": "x"})
    lab.commit({"docs/README": None})
    _, changes = read(lab, "exp/a")
    assert [place for place, _ in changes.main.at["model.py"]] == [1, 2]
    assert changes.main.at["docs/README"] == [(3, None)]
    assert changes.main.gained == {"lib": 2}
    assert changes.main.lost == {"docs": 3}


def test_a_branch_that_undid_its_work_changes_nothing(lab):
    text = (lab.root / "model.py").read_text()
    lab.branch("exp/a", {"model.py": "new"})
    lab.git("checkout", "--quiet", "exp/a")
    lab.commit({"model.py": text})
    lab.git("checkout", "--quiet", "main")
    (tip,), changes = read(lab, "exp/a")
    assert changes.branches[tip].after == {}


def test_paths_that_do_not_meet_overlap_in_nothing_and_others_need_a_merge(lab):
    lab.branch("apart", {"a.py": "x"})
    lab.branch("together", {"model.py": "x"})
    lab.branch("into-the-emptied-folder", {"docs/GUIDE": "x"})
    lab.branch("file-for-folder", {"pkg": "x"})
    lab.branch("folder-for-file", {"new.py/x": "x"})
    lab.git("mv", "docs", "manual")
    lab.commit({"model.py": "y", "pkg/net.py": "x", "new.py": "x"})
    names = ["apart", "together", "into-the-emptied-folder", "file-for-folder", "folder-for-file"]
    tips, changes = read(lab, *names)
    found = [overlap(changes.branches[tip], changes.main, since=1) for tip in tips]
    assert found == [[], ["model.py"], None, None, None]


def test_nothing_asked_starts_no_process(lab, monkeypatch):
    repository = lab.repository
    monkeypatch.setenv("PATH", "")
    assert read_diffs(repository, []) == {}


def test_one_commit_beside_two_others_keeps_both_diffs(lab):
    first = lab.git("rev-parse", "main")
    second = lab.commit({"a.py": "1"})
    third = lab.commit({"b.py": "1"})
    empty = lab.commit()
    found = read_diffs(lab.repository, [(third, first), (third, second), (empty, third)])
    assert [[path for path, _, _ in entries] for entries in found.values()] == [
        ["a.py", "b.py"],
        ["b.py"],
        [],
    ]


def held(contents, at, since=5):
    return MainChanges(at=at).held_at_once(contents, since)


def test_every_path_held_at_one_place_is_found_though_main_moved_on():
    at = {"a": [(3, "0"), (6, "A"), (9, "later")], "b": [(7, "B")]}
    assert held({"a": "A", "b": "B"}, at) == [7]


def test_paths_held_at_different_places_are_not_found():
    assert held({"a": "A", "b": "B"}, {"a": [(6, "A"), (7, "other")], "b": [(8, "B")]}) == []


def test_what_main_held_before_does_not_count():
    assert held({"a": "A"}, {"a": [(2, "A"), (4, "base")]}) == []


def test_content_that_came_back_is_found_at_each_place():
    at = {"a": [(2, "A"), (4, "base"), (6, "A"), (7, "base"), (8, "A")], "b": [(5, "B")]}
    assert held({"a": "A", "b": "B"}, at) == [6, 8]


def test_a_deletion_is_held_as_a_deletion():
    assert held({"a": None}, {"a": [(6, None)]}) == [6]
    assert held({"a": None}, {"a": [(6, "A")]}) == []


@pytest.mark.parametrize("contents", [{"a": "A"}, {}])
def test_what_main_never_touched_and_nothing_at_all_are_not_held(contents):
    assert held(contents, {"b": [(6, "B")]}) == []


def test_folders_are_named_from_the_nearest_on():
    assert list(folders_of("a/b/c.py")) == ["a/b", "a"]
    assert list(folders_of("c.py")) == [""]
