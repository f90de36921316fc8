import itertools
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branchlab.git.changes import branch_changes, main_changes, read_diffs
from branchlab.git.file_merges import (
    FileMerge,
    FileVersions,
    has_merge_drivers,
    merge_files,
)
from branchlab.git.forecast import forecast_merges, overlap
from branchlab.git.graph import read_graph
from branchlab.git.landings import main_pairs
from branchlab.git.least_merges import History, merges_of
from branchlab.git.repository import Repository

_batch = itertools.count()


def conflicts(repository, main, tips):
    """Return the files in conflict of each merge; None where it is unknown."""
    found = forecast_merges(repository, main, tips)
    return {tip: merge and merge.conflicts for tip, merge in found.items()}


def objects_of(lab):
    return {p for p in (lab.root / ".git" / "objects").rglob("*") if p.is_file()}


def merged_for_real(lab, tip, folder):
    """Merge into a copy of main, and return the files that git leaves unmerged."""
    lab.git("clone", "--quiet", str(lab.root), str(folder))
    lab.git("fetch", "--quiet", "origin", tip, cwd=folder)
    lab.git("-c", "alias.try=!git merge --no-edit FETCH_HEAD || true", "try", cwd=folder)
    return set(lab.git("diff", "--name-only", "--diff-filter=U", cwd=folder).splitlines())


def twenty(**changed):
    return "".join(changed.get(f"l{n}", f"line {n}") + "\n" for n in range(20))


def test_a_forecast_equals_a_real_merge(lab, tmp_path):
    tips = {
        "clean": lab.branch("clean", {"new.py": "x"}),
        "same-file": lab.branch("same-file", {"model.py": twenty(l19="branch")}),
        "conflict": lab.branch("conflict", {"model.py": twenty(l1="branch"), "train.py": "gone"}),
        "deleted": lab.branch("deleted", {"model.py": None}),
        "folder": lab.branch("folder", {"pkg": "a file"}),
        "moved-folder": lab.branch("moved-folder", {"docs/GUIDE": "text"}),
    }
    lab.git("mv", "docs", "manual")
    main = lab.commit({"model.py": twenty(l1="main"), "pkg/net.py": "x"})
    before = objects_of(lab)
    found = conflicts(lab.repository, main, tips.values())
    assert objects_of(lab) == before
    for name, tip in tips.items():
        real = merged_for_real(lab, tip, tmp_path / name)
        assert bool(found[tip]) == bool(real), name
        assert real <= set(found[tip]) | {p.partition("~")[0] for p in found[tip]} | real, name
    assert found[tips["conflict"]] == ("model.py",)
    assert found[tips["clean"]] == found[tips["same-file"]] == ()


def test_a_line_that_ends_the_batch_is_unknown_and_the_rest_goes_on(lab):
    first = lab.branch("first", {"a.py": "1"})
    last = lab.branch("last", {"model.py": "branch"})
    lab.git("checkout", "--quiet", "--orphan", "other")
    orphan = lab.commit({"z.py": "1"}, "orphan")
    lab.git("checkout", "--quiet", "main")
    main = lab.commit({"model.py": "main"})
    found = conflicts(lab.repository, main, [first, orphan, last])
    assert found == {first: (), orphan: None, last: ("model.py",)}


def test_a_git_that_is_too_old_gives_unknown(lab, monkeypatch, tmp_path):
    tip, main = lab.branch("a", {"a.py": "1"}), lab.commit({"b.py": "1"})
    # Before 2.38 --write-tree is an unknown option, which ends git with 129 and a usage text.
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text(f'#!/bin/sh\nexec {shutil.which("git")} "$@" --no-such-option\n')
    old.chmod(0o755)
    repository = lab.repository
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    assert conflicts(repository, main, [tip]) == {tip: None}


def test_a_path_with_quotes_and_colons_still_borrows_the_objects(lab, tmp_path):
    odd = tmp_path / 'a:b "c" \\d'
    tip, main = lab.branch("a", {"model.py": "1"}), lab.commit({"model.py": "2"})
    lab.root.rename(odd)
    assert conflicts(Repository.find(odd), main, [tip]) == {tip: ("model.py",)}


PATHS = ["a.py", "pkg/b.py", "pkg/c.py", "pkg/sub/d.py", "lib/e.py", "lib/f.py"]
NEW = ["new.py", "pkg/new.py", "pkg/sub/new.py", "lib/new.py", "pkg", "lib/e.py/x", "deep/x.py"]
EDIT = st.tuples(st.just("edit"), st.sampled_from(PATHS), st.sampled_from(["x", "y", "first"]))
DELETE = st.tuples(st.just("delete"), st.sampled_from(PATHS))
ADD = st.tuples(st.just("add"), st.sampled_from(NEW), st.sampled_from("xy"))
MOVE = st.tuples(st.just("move"), st.sampled_from(["pkg", "pkg/sub", "lib"]))
EDITS = st.lists(EDIT | DELETE | ADD | MOVE, min_size=1, max_size=3)


def steps(edits):
    """Return fast-import lines for edits; a moved folder keeps its files' contents."""
    for edit in edits:
        match edit:
            case ("edit", path, text):
                body = "".join(f"{path} {n}\n" for n in range(9))
                body = f"first\n{body}" if text == "first" else body + text
                yield f"M 100644 inline {path}\ndata <<E\n{body}\nE\n"
            case ("add", path, text):
                yield f"M 100644 inline {path}\ndata <<E\n{path} {text}\nE\n"
            case ("delete", path):
                yield f"D {path}\n"
            case ("move", folder):
                for path in PATHS:
                    if path.startswith(f"{folder}/"):
                        body = "".join(f"{path} {n}\n" for n in range(9))
                        new = path.replace(folder, "moved", 1)
                        yield f"D {path}\nM 100644 inline {new}\ndata <<E\n{body}\nE\n"


@given(st.lists(EDITS, min_size=6, max_size=6), EDITS)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_the_least_merge_that_tells_says_what_the_whole_merge_says(
    shared_lab, branches, main_edits
):
    batch = next(_batch)
    base = [("edit", path, "") for path in PATHS]
    who = "committer A <a@b> 1700000000 +0000\ndata <<E\nx\nE\n"
    lines = [f"commit refs/heads/f{batch}/base\nmark :1\n{who}", *steps(base), "\n"]
    for name, edits in [("main", main_edits), *enumerate(branches)]:
        ref = f"refs/heads/f{batch}/{name}"
        lines += [f"commit {ref}\n{who}from :1\n", *steps(edits), "\n"]
    shared_lab.git("fast-import", "--quiet", "--force", stdin="".join(lines).encode())
    repository = Repository(shared_lab.root, shared_lab.root / ".git")
    tips = {b.name: b.tip for b in repository.branches() if b.name.startswith(f"f{batch}/")}
    main = tips.pop(f"f{batch}/main")
    base_id = tips.pop(f"f{batch}/base")
    graph = read_graph(repository, tips.values(), main=main)
    pairs = [(tip, base_id) for tip in dict.fromkeys(tips.values()) if graph.own(tip)]
    since = graph.place(base_id) + 1
    diffs = read_diffs(repository, [*pairs, *main_pairs(graph, since)])
    on_main = main_changes(graph, diffs, start=since)
    whole = forecast_merges(repository, main, [tip for tip, _ in pairs])
    tree = repository.tree_of(main)
    seen = History(graph, diffs, on_main)
    least = merges_of(repository, seen, [tip for tip, _ in pairs], main_tree=tree)
    for tip, base in pairs:
        assert sorted(least[tip].conflicts) == sorted(whole[tip].conflicts)
        if least[tip].tree == tree:
            assert whole[tip].tree == tree
        if overlap(branch_changes(diffs[tip, base]), on_main, since=since):
            assert (least[tip].tree == tree) == (whole[tip].tree == tree)


def test_files_are_merged_alone_and_named_as_in_the_repository(lab):
    tips = {
        "both": lab.branch("both", {"model.py": twenty(l1="branch"), "train.py": twenty(l9="b")}),
        "clean": lab.branch("clean", {"model.py": twenty(l19="branch")}),
        "same": lab.branch("same", {"model.py": twenty(l1="main")}),
    }
    main = lab.commit({"model.py": twenty(l1="main"), "train.py": twenty(l9="main")})
    versions = {
        name: [
            FileVersions(path, *(f"100644 {lab.git('rev-parse', f'{commit}:{path}')}" for commit in (f"{main}~", main, tip)))
            for path in (["model.py", "train.py"] if name == "both" else ["model.py"])
        ]
        for name, tip in tips.items()
    }  # fmt: skip
    before = objects_of(lab)
    assert merge_files(lab.repository, versions) == {
        "both": FileMerge(("model.py", "train.py"), is_as_on_main=False),
        "clean": FileMerge((), is_as_on_main=False),
        "same": FileMerge((), is_as_on_main=True),
    }
    assert objects_of(lab) == before


def test_files_that_are_missing_are_left_to_the_whole_merge(lab):
    gone = FileVersions("a.py", *(f"100644 {digit * 40}" for digit in "123"))
    assert merge_files(lab.repository, {"a": [gone]}) == {}


def test_attributes_that_say_how_to_merge_are_noticed(lab):
    assert not has_merge_drivers(lab.repository, lab.git("rev-parse", "main"))
    main = lab.commit({"docs/.gitattributes": "*.md merge=union\n"})
    assert has_merge_drivers(lab.repository, main)


@pytest.mark.parametrize("num", [0, 1])
def test_nothing_asked_is_nothing_found(lab, num):
    main = lab.git("rev-parse", "main")
    assert conflicts(lab.repository, main, [main] * num) == ({main: ()} if num else {})
