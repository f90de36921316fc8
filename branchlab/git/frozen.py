"""The reference: whether it is still where it was pinned, and how far main has departed from it."""

from __future__ import annotations

import re

from branchlab.domain import Branch, Departure, Pin, ReferenceState
from branchlab.git.call import ask, object_id, text
from branchlab.git.graph import Graph
from branchlab.git.memo import Memo
from branchlab.git.repository import Repository

_KIND = "departure"
_WORDS = ("file", "insertion", "deletion")
_COUNTS = re.compile(rf"(\d+) ({'|'.join(_WORDS)})")


def reference_state(
    repository: Repository,
    graph: Graph | None,
    frozen: Branch | None,
    *,
    pinned: str,
    main: Branch,
    memo: Memo,
) -> ReferenceState | None:
    """Return where the reference is; None without one. Without a graph (a shallow clone) nothing is counted.

    A ``frozen`` that is no branch any more stands at its pin, and is said to be deleted.
    """
    if frozen is None:
        return None
    drift = graph.reference_drift(main.tip) if graph else None
    return ReferenceState(
        name=frozen.name,
        tip=frozen.tip,
        pinned=pinned or None,
        main_ahead=drift.ahead if drift else None,
        main_behind=drift.behind if drift else None,
        pin=_pin(graph, frozen, pinned),
        remote=frozen.remote,
        departure=_departure(repository, frozen.tip, main.tip, memo) if graph else None,
    )


def _pin(graph: Graph | None, frozen: Branch, pinned: str) -> Pin:
    if not pinned:
        return Pin.UNPINNED
    if frozen.is_gone:
        return Pin.DELETED
    if frozen.tip == pinned:
        return Pin.INTACT
    if graph is None or pinned not in graph:
        return Pin.REPLACED
    ahead, behind = graph.between(frozen.tip, pinned)
    return Pin.REPLACED if ahead and behind else Pin.ADVANCED if ahead else Pin.REWOUND


def _departure(repository: Repository, reference: str, main: str, memo: Memo) -> Departure | None:
    key = f"{object_id(reference)} {object_id(main)}"
    kept = memo.get(_KIND, [key]).get(key, b"")
    known = [int(number) for number in kept.split() if number.isdigit()]
    if len(known) != len(_WORDS):
        how = ("-r", "--shortstat", "--no-renames", "--no-ext-diff", "--no-textconv")
        answer = ask(repository.root, "diff-tree", *how, reference, main)
        if answer.rc:
            return None
        counts = {word: int(number) for number, word in _COUNTS.findall(text(answer.out))}
        known = [counts.get(word, 0) for word in _WORDS]
        memo.put(_KIND, {key: " ".join(map(str, known)).encode()})
    num_files, num_insertions, num_deletions = known
    return Departure(
        num_files=num_files, num_insertions=num_insertions, num_deletions=num_deletions
    )
