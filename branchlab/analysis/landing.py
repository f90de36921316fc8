"""Whether a branch's content is in main, from values alone.

Of 2,596 squash-merged pull requests whose number main names, ancestry finds none, and equal object ids find 95%
without reading a file: at some commit of main every path that the branch changed holds what the branch holds. So the
claim is "the content is in main", not "it was merged": two people may write the same line. What a squash with later
touch-ups, a rebase or a revert leaves behind takes other evidence; each becomes one more rule in ``landed``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from branchlab.domain import Landed

Content = str | None
"""Mode and object id of what a path holds; None where it is absent."""

_Span = tuple[float, float]
_NOW = float("inf")


def landed(
    *,
    num_own: int | None,
    is_on_chain: bool,
    changed: Mapping[str, Content],
    main: Mapping[str, Sequence[tuple[int, Content]]],
    since: int,
    has_equal_patch: bool = False,
) -> Landed:
    """Return by which road a branch is in main.

    Args:
        num_own: Commits that main has not; None where git cannot know.
        is_on_chain: Whether main itself was once at the tip: then the branch is fresh, with nothing of its own.
        changed: What each path that the branch changed since its merge base holds at its tip.
        main: For each path the places of main's first-parent chain at which it changed, ascending, with what it held.
        since: First place after the merge base.
        has_equal_patch: Whether one commit of main after the merge base makes exactly the branch's change.
    """
    if num_own is None:
        return Landed.UNKNOWN
    if num_own == 0:
        return Landed.NO if is_on_chain else Landed.MERGED
    is_in_main = has_equal_patch or _were_held_at_once(changed, main, since)
    return Landed.SQUASHED if is_in_main else Landed.NO


def _were_held_at_once(
    changed: Mapping[str, Content], main: Mapping[str, Sequence[tuple[int, Content]]], since: int
) -> bool:
    """Whether main held all of ``changed`` at one place; a branch that changes nothing has nothing to land."""
    spans: list[_Span] = [(since, _NOW)]
    for path, content in changed.items():
        spans = _overlap(spans, list(_held(main.get(path, ()), content)))
        if not spans:
            return False
    return bool(changed)


def _held(moments: Sequence[tuple[int, Content]], content: Content) -> Iterator[_Span]:
    """Yield the half-open spans of places at which a path held ``content``."""
    for index, (place, held) in enumerate(moments):
        if held == content:
            yield place, moments[index + 1][0] if index + 1 < len(moments) else _NOW


def _overlap(left: Sequence[_Span], right: Sequence[_Span]) -> list[_Span]:
    met = ((max(a, c), min(b, d)) for a, b in left for c, d in right)
    return [(start, end) for start, end in met if start < end]
