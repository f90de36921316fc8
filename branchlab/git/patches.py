"""Patch ids: what a diff changes, whatever it was applied to. Git's own, without context lines.

Computed for few pairs only (``landings`` asks where the changed paths are equal), and kept: neither a commit nor its
patch ever changes. A reversed patch swaps the prefixes too, or it would never equal the patch that undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from branchlab.errors import RepositoryError
from branchlab.git.call import object_id, pipe, text
from branchlab.git.changes import Pair
from branchlab.git.memo import Memo
from branchlab.git.repository import Repository

_BATCH_SIZE = 400
_HOW = ("-r", "-p", "-U0", "--no-renames", "--no-ext-diff", "--no-textconv", "--full-index")
_FORWARD = ("--src-prefix=a/", "--dst-prefix=b/")
_REVERSED = ("-R", "--src-prefix=b/", "--dst-prefix=a/")


def patch_ids(
    repository: Repository, pairs: Iterable[Pair], *, is_reversed: bool, memo: Memo
) -> dict[Pair, str]:
    """Return the patch id of each pair; an empty patch has the empty string.

    Those of a batch in which a partial clone lacks a file are left out.
    """
    kind = "patch-reversed" if is_reversed else "patch"
    keys = {pair: f"{object_id(pair[0])} {object_id(pair[1])}" for pair in sorted(pairs)}
    known = memo.get(kind, list(keys.values()))
    found = {pair: known[key].decode() for pair, key in keys.items() if key in known}
    batches = _batches([pair for pair in keys if pair not in found])
    for batch in batches:
        try:
            new = _computed(repository, batch, is_reversed=is_reversed)
        except RepositoryError:
            if not repository.is_partial():
                raise
            continue
        memo.put(kind, {keys[pair]: patch.encode() for pair, patch in new.items()})
        found |= new
    return found


def _batches(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Divide pairs so that no commit stands twice in a batch: git labels a patch with its commit alone."""
    rounds: list[list[Pair]] = []
    seen: dict[str, int] = {}
    for pair in pairs:
        at = seen[pair[0]] = seen.get(pair[0], -1) + 1
        if at == len(rounds):
            rounds.append([])
        rounds[at].append(pair)
    return [
        pairs[at : at + _BATCH_SIZE] for pairs in rounds for at in range(0, len(pairs), _BATCH_SIZE)
    ]


def _computed(
    repository: Repository, pairs: Sequence[Pair], *, is_reversed: bool
) -> dict[Pair, str]:
    lines = "".join(f"{commit} {other}\n" for commit, other in pairs)
    first = ("diff-tree", "--stdin", *_HOW, *(_REVERSED if is_reversed else _FORWARD))
    out = text(
        pipe(repository.root, first, ("patch-id", "--stable"), stdin=lines.encode())
    ).splitlines()
    by_commit = {commit: patch for patch, commit in (line.split(" ") for line in out)}
    return {pair: by_commit.get(pair[0], "") for pair in pairs}
