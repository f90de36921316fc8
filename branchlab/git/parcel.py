"""One commit as bytes, for a machine that does not see this repository.

A parcel holds the commit and its whole tree and nothing of its history: a pack whose boundary is the commit itself, as in
a clone of depth 1. The commit keeps its id, so that what arrives is proved to be what was planned. What git does not store
does not travel: uncommitted changes, the content of submodules (their folders stay empty, as in every work tree of ours),
and files of Git LFS, of which a commit holds only the address; a parcel with one of those is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from branchlab.errors import RepositoryError
from branchlab.git.call import git, object_id, text
from branchlab.git.repository import Repository

_TIMEOUT_S = 600.0
_LFS = "version https://git-lfs.github.com/spec/v1\n"
_LFS_BYTES_MAX = 1024
"""A larger file is no address of Git LFS (its specification)."""
_SHA1_DIGITS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A commit with all its files. ``pack``: a pack file of git's."""

    commit: str
    pack: bytes


def pack(repository: Repository, commit: str) -> Parcel:
    """Return a commit as bytes.

    Raises:
        RepositoryError: The commit or one of its files is missing here, or a file is kept in Git LFS.
    """
    addresses = _in_large_file_storage(repository, commit)
    if addresses:
        more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
        raise RepositoryError(
            f"{addresses[0]}{more} of {commit[:10]} is kept in Git LFS and cannot travel to another machine",
            hint="let the machines share a file system, or put the file among [run] share",
        )
    wanted = f"--shallow {object_id(commit)}\n{commit}\n".encode()
    how = ("--quiet", "--revs", "--shallow", "--stdout", "--delta-base-offset")
    content = git(repository.root, "pack-objects", *how, stdin=wanted, timeout_s=_TIMEOUT_S)
    return Parcel(commit=commit, pack=content)


def unpack(parcel: Parcel, folder: Path) -> None:
    """Make ``folder`` a repository of that one commit, with all its files checked out and no branch.

    Raises:
        RepositoryError: The bytes are damaged, or git failed.
    """
    commit = object_id(parcel.commit)
    folder.mkdir(parents=True, exist_ok=True)
    kind = "sha1" if len(commit) == _SHA1_DIGITS else "sha256"
    git(folder, "init", "--quiet", "--template=", f"--object-format={kind}")
    own = {"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(folder)}
    (folder / ".git" / "shallow").write_text(f"{commit}\n")
    git(folder, "index-pack", "--stdin", stdin=parcel.pack, env=own, timeout_s=_TIMEOUT_S)
    git(folder, "update-ref", "--no-deref", "HEAD", commit, env=own)
    how = ("-c", "core.sparseCheckout=false", "reset", "--hard", "--quiet", commit)
    git(folder, *how, env=own, timeout_s=_TIMEOUT_S)


def _in_large_file_storage(repository: Repository, commit: str) -> list[str]:
    """Return the paths whose content is elsewhere: small files that begin as such an address does."""
    listed = text(git(repository.root, "ls-tree", "-r", "-l", "-z", object_id(commit)))
    small = []
    for entry in listed.split("\0"):
        facts, _, path = entry.partition("\t")
        size = facts.rpartition(" ")[2]
        if size.isdigit() and len(_LFS) < int(size) < _LFS_BYTES_MAX:
            small.append((commit, path))
    found = repository.read_files(small)
    return [path for (_, path), content in found.items() if (content or "").startswith(_LFS)]
