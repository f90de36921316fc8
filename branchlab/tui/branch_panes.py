"""What the screen of a branch is made of: its panes, the letters that lead to them, and what stands in each; pure.

Where there is room a pane has its neighbours beside it: what was found in the code beside the diff, runs beside the facts.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from enum import StrEnum

from branchlab.tui.looks import Line, Look, Piece, cut


class Pane(StrEnum):
    """A page of the screen."""

    SUMMARY = "summary"
    DIFF = "diff"
    FEATURES = "features"
    CURVES = "curves"
    RUNS = "runs"
    HYPOTHESES = "hypotheses"
    NOTES = "notes"
    PROBE = "probe"


LETTERS = {
    Pane.SUMMARY: "m",
    Pane.DIFF: "d",
    Pane.FEATURES: "f",
    Pane.CURVES: "v",
    Pane.RUNS: "u",
    Pane.HYPOTHESES: "t",
    Pane.NOTES: "n",
    Pane.PROBE: "p",
}
"""Each stands in the name that it leads to."""

FOCUS = {
    Pane.SUMMARY: "runs",
    Pane.DIFF: "hunks",
    Pane.FEATURES: "features",
    Pane.CURVES: "chart",
    Pane.RUNS: "runs",
    Pane.HYPOTHESES: "text",
    Pane.NOTES: "text",
    Pane.PROBE: "text",
}
_NARROW: Mapping[Pane, frozenset[str]] = {
    Pane.SUMMARY: frozenset({"text", "runs", "spark"}),
    Pane.DIFF: frozenset({"files", "hunks"}),
    Pane.FEATURES: frozenset({"features", "about"}),
    Pane.CURVES: frozenset({"chart"}),
    Pane.RUNS: frozenset({"runs", "spark"}),
    Pane.HYPOTHESES: frozenset({"text"}),
    Pane.NOTES: frozenset({"text"}),
    Pane.PROBE: frozenset({"text"}),
}
_WIDE: Mapping[Pane, frozenset[str]] = {
    **_NARROW,
    Pane.SUMMARY: frozenset({"text", "features", "about", "runs", "spark", "chart"}),
    Pane.DIFF: frozenset({"files", "features", "about", "hunks"}),
    Pane.FEATURES: frozenset({"features", "about", "hunks"}),
    Pane.RUNS: frozenset({"runs", "spark", "chart"}),
}
LEFT = ("text", "files", "features", "about")
RIGHT = ("hunks", "runs", "spark", "chart")
LAYOUT = """
BranchScreen #step { height: auto; max-height: 3; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
BranchScreen #panes { background: $panel; }
BranchScreen #body { layout: vertical; height: 1fr; }
BranchScreen #left, BranchScreen #right { height: 1fr; width: 1fr; }
BranchScreen #about, BranchScreen #spark { height: auto; max-height: 8; padding: 0 1; }
BranchScreen.-two #body { layout: horizontal; }
BranchScreen.-two #left { border-right: solid $foreground 35%; }
BranchScreen.-two.-features #about, BranchScreen.-two.-diff #about { max-height: 16; }
BranchScreen.-two.-diff #left { width: 36%; min-width: 44; }
BranchScreen.-two.-features #left { width: 40%; }
BranchScreen.-two.-diff #right { width: 1fr; }
BranchScreen.-two.-diff #chart { height: 14; border-top: solid $foreground 35%; }
BranchScreen.-two.-runs #chart, BranchScreen.-two.-summary #chart { height: 55%; }
BranchScreen.-two.-summary #text { height: auto; max-height: 60%; margin: 0 0 1 0; }
BranchScreen.-one.-summary #left { height: auto; max-height: 60%; }
BranchScreen.-one.-summary #text { height: auto; max-height: 100%; }
BranchScreen.-one.-diff #left { height: auto; max-height: 6; }
BranchScreen.-one.-diff #files { height: auto; max-height: 6; }
"""
"""Of the screen: ``-two`` where left and right stand beside one another, ``-one`` else, and the name of the pane."""
_ROOMY_WIDTH, _ROOMY_HEIGHT = 140, 36


def shown_in(pane: Pane, width: int, height: int, *, is_wide: bool) -> frozenset[str]:
    """Return the parts that a pane shows; in a large terminal the curves stand below the diff."""
    if not is_wide:
        return _NARROW[pane]
    parts = _WIDE[pane]
    is_roomy = width >= _ROOMY_WIDTH and height >= _ROOMY_HEIGHT
    return parts | {"chart"} if pane is Pane.DIFF and is_roomy else parts


def pane_line(pane: Pane, counts: Mapping[Pane, int | None], width: int) -> Line:
    """Return the line of panes, each with how many there are, its letter standing out."""
    pieces: list[Piece] = []
    for one, text, _ in _spans(pane, counts):
        look = Look.STRONG if one is pane else Look.DIM
        at = text.index(LETTERS[one])
        pieces += [(text[:at], look), (text[at], Look.MARKED), (text[at + 1 :], look)]
    return cut(tuple(pieces), width)


def pane_at(pane: Pane, counts: Mapping[Pane, int | None], x: int) -> Pane | None:
    """Return the pane whose name stands at a column."""
    found = (one for one, text, start in _spans(pane, counts) if start <= x < start + len(text))
    return next(found, None)


def command_of_pane(pane: Pane, name: str, *, base: str, path: str | None, metric: str) -> str:
    """Return the command that says what a pane shows."""
    branch = shlex.quote(name)
    match pane:
        case Pane.DIFF:
            file = f" -- {shlex.quote(path)}" if path else ""
            return f"git diff {base} {branch}{file}"
        case Pane.CURVES:
            of = f" --metric {shlex.quote(metric)}" if metric else ""
            return f"branchlab compare {branch}{of}"
        case Pane.NOTES:
            return f"branchlab log {branch}"
        case Pane.PROBE:
            return f"branchlab probe {branch} --show"
        case Pane.SUMMARY:
            return f"branchlab status {branch}"
        case Pane.FEATURES | Pane.RUNS | Pane.HYPOTHESES:
            return f"branchlab {pane} {branch}"


def _spans(pane: Pane, counts: Mapping[Pane, int | None]) -> Iterator[tuple[Pane, str, int]]:
    start = 0
    for one in Pane:
        number = counts.get(one)
        inner = str(one) if number is None else f"{one} {number}"
        text = f"[{inner}]" if one is pane else f" {inner} "
        yield one, text, start
        start += len(text)
