"""Differences of two revisions, read from objects of real repositories."""

from __future__ import annotations

import pytest

from branchlab.errors import RepositoryError
from branchlab.git.sources import (
    SIZE_MAX,
    Holding,
    TreeSources,
    decoded,
    introductions,
    merge_base,
    paths_below,
    read_difference,
    resolve_revision,
)


def difference(lab, base: str, head: str = "HEAD"):
    root = lab.root
    found = read_difference(root, resolve_revision(root, base)[0], resolve_revision(root, head)[0])
    return {one.head.path: one for one in found}


def test_texts_of_both_sides_are_read_without_a_checkout(lab):
    lab.commit({"net.py": "a = 1\n"})
    lab.branch("exp/a", {"net.py": "a = 2\n", "new.py": "b = 1\n", "model.py": None})
    before = lab.git("status", "--porcelain")
    found = difference(lab, "main", "exp/a")
    assert (found["net.py"].base.text, found["net.py"].head.text) == ("a = 1\n", "a = 2\n")
    assert found["new.py"].base.holding is Holding.NOTHING
    assert found["model.py"].head.holding is Holding.NOTHING
    assert lab.git("status", "--porcelain") == before


def test_a_renamed_file_is_one_change_with_two_paths(lab):
    text = "".join(f"line_{n} = {n}\n" for n in range(40))
    lab.commit({"old.py": text})
    lab.commit({"old.py": None, "deep/new name.py": text + "more = 1\n"})
    found = difference(lab, "HEAD^")["deep/new name.py"]
    assert found.base.path == "old.py"
    assert found.base.text == text


def test_what_holds_no_text_says_what_it_is(lab):
    lab.commit(
        {
            "lfs.py": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "huge.py": "x = 1\n" * (SIZE_MAX // 6 + 1),
            "picture.png": "not read",
        }
    )
    (lab.root / "binary.py").write_bytes(b"a = 1\0\n")
    (lab.root / "link.py").symlink_to("model.py")
    lab.git("add", "binary.py", "link.py")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{lab.git('rev-parse', 'HEAD')},lib")
    lab.git("commit", "--quiet", "-m", "odd things")
    found = {path: one.head.holding for path, one in difference(lab, "HEAD~2").items()}
    assert found == {
        "lfs.py": Holding.POINTER,
        "huge.py": Holding.HUGE,
        "picture.png": Holding.UNREAD,
        "binary.py": Holding.BINARY,
        "link.py": Holding.SYMLINK,
        "lib": Holding.SUBMODULE,
    }


def test_sources_in_other_encodings_are_decoded_as_python_does():
    assert decoded("x = 'é'\n".encode()) == "x = 'é'\n"
    assert decoded(b"\xef\xbb\xbfx = 1\n") == "x = 1\n"
    assert decoded(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n").endswith("x = 'é'\n")
    assert (
        decoded(b"# coding: no-such-thing\n\xff")
        .encode("utf-8", "surrogateescape")
        .endswith(b"\xff")
    )
    assert decoded(b"\xff = 1").encode("utf-8", "surrogateescape") == b"\xff = 1"


def test_words_are_found_whole_in_the_tree_and_not_in_the_work_tree(lab):
    lab.commit(
        {"a.py": "import foo\n", "b.py": "food = 1\n", "c.txt": "foo\n", "pkg/d.py": "bar()\n"}
    )
    (lab.root / "e.py").write_text("foo\n")
    sources = TreeSources(lab.root, lab.git("rev-parse", "HEAD^{tree}"))
    assert sources.mentioning(["foo"]) == {"a.py": "import foo\n"}
    assert set(sources.mentioning(["foo", "bar"])) == {"a.py", "pkg/d.py"}
    assert sources.mentioning(["no_such_word", "", "with\nbreak"]) == {}
    assert sources.texts(["pkg/d.py", "missing.py"]) == {"pkg/d.py": "bar()\n"}


def test_expected_words_cost_one_process(lab, monkeypatch):
    lab.commit({"a.py": "foo = bar\n"})
    sources = TreeSources(lab.root, lab.git("rev-parse", "HEAD"))
    sources.expect(["foo", "bar", "baz"])
    monkeypatch.setattr("branchlab.git.sources.ask", None)
    assert set(sources.mentioning(["foo", "baz"])) == {"a.py"}


def test_paths_left_out_are_never_answered(lab):
    lab.commit({"a.py": "foo\n", "b.py": "foo\n"})
    sources = TreeSources(lab.root, lab.git("rev-parse", "HEAD"), without={"a.py"})
    assert set(sources.mentioning(["foo"])) == {"b.py"}


def test_a_branch_goes_before_a_tag_of_the_same_name(lab):
    lab.branch("same", {"x.py": "1\n"})
    lab.git("tag", "same", "main")
    assert resolve_revision(lab.root, "same")[0] == lab.git("rev-parse", "refs/heads/same")


@pytest.mark.parametrize("name", ["no-such", "--output=x", "", "a\0b", "HEAD:model.py"])
def test_a_revision_that_is_none_is_refused(lab, name: str):
    with pytest.raises(RepositoryError, match="no revision"):
        resolve_revision(lab.root, name)
    assert not (lab.root / "x").exists()


def test_unrelated_histories_have_no_merge_base(lab):
    lab.git("checkout", "--quiet", "--orphan", "other")
    other = lab.commit({"x.py": "1\n"})
    assert merge_base(lab.root, other, lab.git("rev-parse", "main")) is None


def test_the_commit_that_brought_a_file_is_known(lab):
    brought = lab.commit({"experiments/se.toml": "title = 'x'\n"})
    tip = lab.commit({"experiments/se.toml": "title = 'y'\n"})
    found = introductions(lab.root, tip, "experiments")
    assert found["experiments/se.toml"][0] == brought
    assert paths_below(lab.root, tip, "experiments") == ["experiments/se.toml"]
    assert paths_below(lab.root, tip, "nowhere") == []
