"""Differences to be read line by line, of real repositories."""

from __future__ import annotations

from branchlab.git.hunks import LINES_MAX, Mark, changed_files, file_patch
from branchlab.git.sources import resolve_revision


def ids(lab, base: str, head: str = "HEAD"):
    return resolve_revision(lab.root, base)[0], resolve_revision(lab.root, head)[0]


def patches(lab, base: str, head: str = "HEAD"):
    base, head = ids(lab, base, head)
    files, _ = changed_files(lab.root, base, head)
    return {file.path: file_patch(lab.root, base, head, file) for file in files}


def shown(patch):
    return [(line.mark, line.old, line.new, line.text) for h in patch.hunks for line in h.lines]


def test_lines_carry_their_numbers_in_both_versions(lab):
    lab.commit({"net.py": "a = 1\nb = 2\nc = 3\n"})
    lab.commit({"net.py": "a = 1\nb = 5\nb2 = 6\nc = 3\n"})
    patch = patches(lab, "HEAD^")["net.py"]
    assert (patch.file.letter, patch.file.added, patch.file.removed) == ("M", 2, 1)
    assert shown(patch) == [
        (Mark.BOTH, 1, 1, "a = 1"),
        (Mark.REMOVED, 2, None, "b = 2"),
        (Mark.ADDED, None, 2, "b = 5"),
        (Mark.ADDED, None, 3, "b2 = 6"),
        (Mark.BOTH, 3, 4, "c = 3"),
    ]


def test_changes_far_apart_are_hunks_of_their_own_with_their_function(lab):
    rows = ["def first():", *(f"    x{n} = {n}" for n in range(40))]
    lab.commit({"net.py": "\n".join(rows) + "\n"})
    rows[2], rows[35] = "    x1 = -1", "    x34 = -34"
    lab.commit({"net.py": "\n".join(rows) + "\n"})
    first, second = patches(lab, "HEAD^")["net.py"].hunks
    assert (first.new_start, second.new_start) == (1, 32)
    assert second.scope == "def first():"


def test_a_line_that_looks_like_a_header_is_a_line(lab):
    lab.commit({"a.txt": "one\n"})
    lab.commit({"a.txt": "one\n@@ -1 +1 @@\ndiff --git a/x b/x\n-- a\n++ b\n\\ No newline\n"})
    patch = patches(lab, "HEAD^")["a.txt"]
    assert len(patch.hunks) == 1
    assert [line.text for line in patch.hunks[0].lines if line.mark is Mark.ADDED] == [
        "@@ -1 +1 @@", "diff --git a/x b/x", "-- a", "++ b", "\\ No newline",
    ]  # fmt: skip


def test_what_has_no_lines_says_what_it_is(lab):
    text = "".join(f"line {n}\n" for n in range(30))
    lab.commit(
        {"old.py": text, "tool.sh": "true\n", "gone.py": "x = 1\n", "empty.py": "", "link": "a"}
    )
    lab.git("mv", "old.py", "new name.py")
    (lab.root / "tool.sh").chmod(0o755)
    (lab.root / "link").unlink()
    (lab.root / "link").symlink_to("tool.sh")
    (lab.root / "data.bin").write_bytes(b"a\0b")
    (lab.root / "huge.txt").write_text("x\n" * (LINES_MAX + 1))
    (lab.root / "long.txt").write_text("x" * 2_000_000 + "\n")
    lab.git("rm", "--quiet", "gone.py", "empty.py")
    lab.git("add", "--all")
    lab.git("update-index", "--add", "--cacheinfo", f"160000,{lab.git('rev-parse', 'HEAD')},lib")
    lab.git("commit", "--quiet", "-m", "odd things")
    found = patches(lab, "HEAD^")
    said = {path: patch.said for path, patch in found.items()}
    assert said["new name.py"] == "only its name changes: it was old.py"
    assert said["tool.sh"] == "only its mode changes: 644 to 755"
    assert said["empty.py"] == "an empty file, deleted"
    assert said["data.bin"] == "binary: it has no lines to show"
    assert said["huge.txt"] == "20,001 lines differ: too many to show here"
    assert said["long.txt"] == "it has 2,000,001 bytes: too many to show here"
    assert said["lib"].startswith("a submodule: it goes from nothing to ")
    assert found["link"].file.remark == "symbolic link"
    assert found["gone.py"].file.letter == "D"
    assert shown(found["gone.py"]) == [(Mark.REMOVED, 1, None, "x = 1")]


def test_bytes_that_are_no_utf8_and_line_ends_of_windows_are_kept(lab):
    (lab.root / "odd.txt").write_bytes(b"caf\xe9\r\nlast\r\n")
    lab.git("add", "odd.txt")
    lab.git("commit", "--quiet", "-m", "one")
    (lab.root / "odd.txt").write_bytes(b"caf\xe9\r\nlast")
    lab.git("commit", "--quiet", "-am", "two")
    lines = patches(lab, "HEAD^")["odd.txt"].hunks[0].lines
    assert [line.text for line in lines] == ["café\r", "last\r", "last"]
    assert [line.ends_without_newline for line in lines] == [False, False, True]


def test_names_that_are_patterns_or_no_text_are_taken_as_they_are(lab):
    lab.commit({"a*b.py": "x = 1\n", "aXb.py": "y = 1\n", 'qu"ote\ttab.py': "z = 1\n"})
    (lab.root / b"b\xff.py".decode("utf-8", "surrogateescape")).write_text("w = 1\n")
    lab.git("add", "--all")
    lab.git("commit", "--quiet", "-m", "names")
    found = patches(lab, "HEAD~2")
    assert shown(found["a*b.py"]) == [(Mark.ADDED, None, 1, "x = 1")]
    assert shown(found['qu"ote\ttab.py']) == [(Mark.ADDED, None, 1, "z = 1")]
    assert shown(found["b\udcff.py"]) == [(Mark.ADDED, None, 1, "w = 1")]


def test_a_diff_of_the_repository_own_config_runs_nothing(lab):
    lab.commit({".gitattributes": "*.py diff=evil\n", "a.py": "x = 1\n"})
    lab.commit({"a.py": "x = 2\n"})
    lab.git("config", "diff.evil.command", "touch ran")
    lab.git("config", "diff.evil.textconv", "touch ran;cat")
    lab.git("config", "diff.external", "touch ran")
    assert [row[3] for row in shown(patches(lab, "HEAD^")["a.py"])] == ["x = 1", "x = 2"]
    assert not (lab.root / "ran").exists()
