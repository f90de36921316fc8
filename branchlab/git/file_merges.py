"""Merges of single files, many at once: what a merge comes down to where both sides changed the same files in place.

A whole merge costs git what main has changed since the base, thousands of files for an old branch. Where ``forecast.overlap``
shows that only the contents of some files can meet, a scratch repository in memory that borrows the objects gets three
commits a branch with those files alone, and git merges these: the same answer, at a constant cost a branch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.call import ask, git, text
from branchlab.git.repository import Repository
from branchlab.git.scratch import fast_folder

_WHO = "committer branchlab <branchlab@invalid> 0 +0000\ndata 0\n"


@dataclass(frozen=True, slots=True)
class FileVersions:
    """What a path held at the merge base, on main and on the branch: modes and object ids."""

    path: str
    base: str
    main: str
    branch: str


@dataclass(frozen=True, slots=True)
class FileMerge:
    """The paths in conflict, and whether all merged files are as main has them."""

    conflicts: tuple[str, ...]
    is_as_on_main: bool


def has_merge_drivers(repository: Repository, main: str) -> bool:
    """Whether attributes tell git how to merge certain files: a scratch repository would not know."""
    grep = (
        "grep",
        "--quiet",
        "-I",
        "-e",
        "merge",
        main,
        "--",
        ".gitattributes",
        "*/.gitattributes",
    )
    if ask(repository.root, *grep).rc == 0:
        return True
    files = (repository.common_dir / "info" / "attributes", repository.root / ".gitattributes")
    return any(path.is_file() and b"merge" in path.read_bytes() for path in files)


def merge_files(
    repository: Repository, wanted: Mapping[str, Sequence[FileVersions]]
) -> dict[str, FileMerge]:
    """Merge the files of each branch, by any key; one of which a file is missing is left out, all where git is too old."""
    try:
        there = _whole(repository, wanted) if repository.is_partial() else wanted
        return _merged(repository, there)
    except RepositoryError:
        return {}


def _whole(
    repository: Repository, wanted: Mapping[str, Sequence[FileVersions]]
) -> dict[str, Sequence[FileVersions]]:
    """Return the branches of which a partial clone has every file."""
    ids = {
        content.split(" ")[1]
        for files in wanted.values()
        for file in files
        for content in (file.base, file.main, file.branch)
    }
    lines = "".join(f"{one}\n" for one in sorted(ids)).encode()
    how = ("cat-file", "--batch-check=%(objectname) %(objecttype)")
    rows = text(git(repository.root, *how, stdin=lines)).splitlines()
    missing = {row.split(" ")[0] for row in rows if row.endswith(" missing")}
    return {
        key: files
        for key, files in wanted.items()
        if not any(
            content.split(" ")[1] in missing
            for file in files
            for content in (file.base, file.main, file.branch)
        )
    }


def _merged(
    repository: Repository, wanted: Mapping[str, Sequence[FileVersions]]
) -> dict[str, FileMerge]:
    with tempfile.TemporaryDirectory(prefix="branchlab-files-", dir=fast_folder()) as folder:
        scratch = Path(folder)
        kind = text(git(repository.root, "rev-parse", "--show-object-format")).strip()
        git(scratch, "init", "--quiet", "--bare", "--template=", f"--object-format={kind}", ".")
        alternates = scratch / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_bytes(
            f"{repository.common_dir / 'objects'}\n".encode("utf-8", "surrogateescape")
        )
        commits = _commit_all(scratch, list(wanted.values()))
        return _merge_all(scratch, wanted, commits)


def _commit_all(scratch: Path, versions: Sequence[Sequence[FileVersions]]) -> list[str]:
    """Commit base, main and branch of each, files named by their number; return all ids in this order."""
    lines = []
    for number, files in enumerate(versions):
        base = 3 * number + 1
        sides = (
            [file.base for file in files],
            [file.main for file in files],
            [file.branch for file in files],
        )
        for offset, contents in enumerate(sides):
            lines.append(f"reset refs/heads/x\ncommit refs/heads/x\nmark :{base + offset}\n{_WHO}")
            lines.append(f"from :{base}\n" if offset else "")
            lines += [f"M {content} {at}\n" for at, content in enumerate(contents)]
            lines.append("\n")
    marks = scratch / "marks"
    how = ("--quiet", "--force", f"--export-marks={marks}")
    git(scratch, "fast-import", *how, stdin="".join(lines).encode(), timeout_s=600)
    ids = dict(line.split(" ") for line in marks.read_text().splitlines())
    return [ids[f":{mark}"] for mark in range(1, 3 * len(versions) + 1)]


def _merge_all(
    scratch: Path, wanted: Mapping[str, Sequence[FileVersions]], commits: Sequence[str]
) -> dict[str, FileMerge]:
    pairs = [(commits[at + 1], commits[at + 2]) for at in range(0, len(commits), 3)]
    how = ("--write-tree", "--no-messages", "--stdin", "-z", "--name-only")
    lines = "".join(f"{main} {branch}\n" for main, branch in pairs).encode()
    quick = ("-c", "core.looseCompression=0")
    out = text(ask(scratch, *quick, "merge-tree", *how, stdin=lines, timeout_s=600).out)
    trees = _trees(scratch, [main for main, _ in pairs])
    found: dict[str, FileMerge] = {}
    for (key, files), tree, (is_clean, merged, numbers) in zip(
        wanted.items(), trees, parse_merges(out), strict=False
    ):
        paths = tuple(files[int(name)].path for name in numbers)
        found[key] = FileMerge(paths, is_clean and merged == tree)
    return found


def _trees(scratch: Path, commits: Sequence[str]) -> list[str]:
    lines = "".join(f"{commit}^{{tree}}\n" for commit in commits).encode()
    how = ("cat-file", "--batch-check=%(objectname)")
    return text(git(scratch, *how, stdin=lines)).splitlines()


def parse_merges(out: str) -> list[tuple[bool, str, list[str]]]:
    """Return (is clean, tree, files in conflict) of each merge of ``merge-tree --stdin -z``.

    ``(1 or 0) NUL tree NUL (file NUL)* NUL``; a torn last one is left out.
    """
    found: list[tuple[bool, str, list[str]]] = []
    tokens = out.split("\0")
    at = 0
    while at + 2 < len(tokens):
        try:
            end = tokens.index("", at + 2)
        except ValueError:
            break
        files = tokens[at + 2 : end]
        found.append((not files, tokens[at + 1], files))
        at = end + 1
    return found
