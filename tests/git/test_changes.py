from branchlab.git.changes import folders_of, read_changes
from branchlab.git.forecast import is_surely_clean
from branchlab.git.graph import read_graph


def read(lab, *names):
    repository = lab.repository
    tips = [repository.resolve(name) for name in names]
    graph = read_graph(repository, tips, main=repository.resolve("main"))
    pairs = [(tip, graph.drift(tip).merge_base) for tip in tips]
    return tips, read_changes(repository, graph, pairs)


def test_a_branch_s_whole_diff_is_read_by_its_tip(lab):
    lab.branch("exp/a", {"model.py": "new", "docs/README": None, "a b\n\u00e9.py": "x"})
    (tip,), changes = read(lab, "exp/a")
    found = changes.branches[tip]
    blob = lab.git("rev-parse", "exp/a:model.py")
    assert found.after["model.py"] == f"100644 {blob}"
    assert found.deleted == ["docs/README"]
    assert found.added == ("a b\n\u00e9.py",)


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


def test_paths_that_do_not_meet_are_surely_clean_and_others_are_not(lab):
    lab.branch("apart", {"a.py": "x"})
    lab.branch("together", {"model.py": "x"})
    lab.branch("into-the-emptied-folder", {"docs/GUIDE": "x"})
    lab.branch("file-for-folder", {"pkg": "x"})
    lab.branch("folder-for-file", {"new.py/x": "x"})
    lab.git("mv", "docs", "manual")
    lab.commit({"model.py": "y", "pkg/net.py": "x", "new.py": "x"})
    names = ["apart", "together", "into-the-emptied-folder", "file-for-folder", "folder-for-file"]
    tips, changes = read(lab, *names)
    clean = [is_surely_clean(changes.branches[tip], changes.main, since=1) for tip in tips]
    assert clean == [True, False, False, False, False]


def test_nothing_asked_starts_no_process(lab):
    _, changes = read(lab)
    assert changes.branches == {}


def test_folders_are_named_from_the_nearest_on():
    assert list(folders_of("a/b/c.py")) == ["a/b", "a"]
    assert list(folders_of("c.py")) == [""]
