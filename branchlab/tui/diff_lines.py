"""A file's patch as lines to look at: numbers, marks, code in colours, and what was found in the code beside its line; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.domain import Feature
from branchlab.git.hunks import DiffLine, FilePatch, Hunk, Mark
from branchlab.lab.columns import Column
from branchlab.lab.diff import BranchDiff
from branchlab.tui.inks import inked
from branchlab.tui.looks import Line, Look, Piece
from branchlab.tui.rows import Row
from branchlab.tui.verdicts import feature_piece
from branchlab.tui.wrapping import wrapped

_LINES_MAX = 6_000
_MARKS = {Mark.ADDED: ("+ ", Look.ADDED), Mark.REMOVED: ("- ", Look.REMOVED)}
_TINTS = {Mark.ADDED: Look.ADDED, Mark.REMOVED: Look.REMOVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPatch:
    """A patch as lines.

    Attributes:
        tints: Ground of the lines that were added or removed, by number.
        changes: Numbers of the lines with which a change begins.
        numbers: Line of the new version by number; of the old one where the file is gone.
    """

    path: str
    lines: tuple[Line, ...]
    tints: Mapping[int, Look] = field(default_factory=dict)
    changes: tuple[int, ...] = ()
    numbers: Mapping[int, int] = field(default_factory=dict)

    def row_of(self, line: int) -> int | None:
        """Return where a line of the new version stands, or the nearest that is shown; None where none is."""
        if not self.numbers:
            return None
        return min(self.numbers, key=lambda row: (abs(self.numbers[row] - line), row))


def drawn_patch(patch: FilePatch) -> DrawnPatch:
    """Return a patch as lines, each with its number, its mark and its code in colours."""
    path = patch.file.path
    if patch.said:
        return DrawnPatch(path=path, lines=(((patch.said, Look.DIM),),))
    lines: list[Line] = []
    tints: dict[int, Look] = {}
    changes: list[int] = []
    numbers: dict[int, int] = {}
    last = patch.hunks[-1].lines[-1] if patch.hunks[-1].lines else None
    width = len(str(max(last.new or 0, last.old or 0))) + 1 if last else 4
    for number, hunk in enumerate(patch.hunks):
        if len(lines) > _LINES_MAX:
            lines.append(((f"{len(patch.hunks) - number} more hunks: e opens the file", Look.DIM),))
            break
        lines.append(_hunk_head(hunk, width))
        before = Mark.BOTH
        for line, code in zip(hunk.lines, _inked(path, hunk), strict=True):
            place = line.old if patch.file.letter == "D" else line.new
            if place is not None:
                numbers[len(lines)] = place
            if line.mark is not Mark.BOTH:
                tints[len(lines)] = _TINTS[line.mark]
                if before is Mark.BOTH:
                    changes.append(len(lines))
            before = line.mark
            lines.append(_code_line(line, code, width))
            if line.ends_without_newline:
                lines.append(((" " * (width + 3) + "no newline at the end", Look.DIM),))
    return DrawnPatch(
        path=path, lines=tuple(lines), tints=tints, changes=tuple(changes), numbers=numbers
    )


def annotated(patch: DrawnPatch, features: Sequence[Feature], width: int) -> DrawnPatch:
    """Return a patch with what was found in its code, each below its line."""
    at: dict[int, list[Feature]] = {}
    shown = {number: row for row, number in reversed(list(patch.numbers.items()))}
    for one in features:
        if one.path == patch.path and one.line in shown:
            at.setdefault(shown[one.line], []).append(one)
    if not at:
        return patch
    lines: list[Line] = []
    moved: dict[int, int] = {}
    for row, line in enumerate(patch.lines):
        moved[row] = len(lines)
        lines.append(line)
        for one in at.get(row, ()):
            piece = feature_piece(one.verdict)
            said = (("      ", Look.PLAIN), piece, (f": {one.reason}", piece[1]))
            lines += wrapped(said, width, indent=8)
    return DrawnPatch(
        path=patch.path,
        lines=tuple(lines),
        tints={moved[row]: tint for row, tint in patch.tints.items()},
        changes=tuple(moved[row] for row in patch.changes),
        numbers={moved[row]: number for row, number in patch.numbers.items()},
    )


def file_columns() -> tuple[Column, ...]:
    """Return the columns of the changed files, which ``file_rows`` fills."""
    return (
        Column(title=""),
        Column(title="FILE", width_min=12),
        Column(title="+", rank=1, is_right=True),
        Column(title="-", rank=1, is_right=True),
        Column(title="WHAT", rank=2, width_min=6),
    )


def file_rows(found: BranchDiff, features: Sequence[Feature]) -> list[Row]:
    """Return the changed files; each says what its most demanding change needs."""
    inside: dict[str, Feature] = {}
    for one in sorted(features, key=lambda one: one.verdict.rank):
        inside.setdefault(one.path, one)
    rows = []
    for file in found.files:
        worst = inside.get(file.path)
        note: Piece = (file.remark, Look.DIM)
        if worst is not None:
            text, look = feature_piece(worst.verdict)
            note = (f"{text}{f', {file.remark}' if file.remark else ''}", look)
        rows.append(
            Row(
                key=file.path,
                cells=(
                    ((file.letter, Look.STRONG),),
                    ((file.path, Look.PLAIN),),
                    ((f"+{file.added}" if file.added else "", Look.ADDED),),
                    ((f"-{file.removed}" if file.removed else "", Look.REMOVED),),
                    (note,),
                ),
            )
        )
    return rows


def _inked(path: str, hunk: Hunk) -> list[Line]:
    """Return the code of a hunk's lines in colours; either version is read as a whole."""
    new = iter(inked(path, [_tabless(n.text) for n in hunk.lines if n.mark is not Mark.REMOVED]))
    old = iter(inked(path, [_tabless(n.text) for n in hunk.lines if n.mark is not Mark.ADDED]))
    found = []
    for line in hunk.lines:
        if line.mark is Mark.BOTH:
            next(old)
        found.append(next(old) if line.mark is Mark.REMOVED else next(new))
    return found


def _tabless(text: str) -> str:
    return text.expandtabs(4)


def _hunk_head(hunk: Hunk, width: int) -> Line:
    scope = f"  {hunk.scope}" if hunk.scope else ""
    return ((f"{'…':>{width}}   line {hunk.new_start}{scope}", Look.DIM),)


def _code_line(line: DiffLine, code: Line, width: int) -> Line:
    mark = _MARKS.get(line.mark, ("  ", Look.PLAIN))
    number = line.new if line.new is not None else line.old
    end = (("␍", Look.DIM),) if line.text.endswith("\r") else ()
    return ((f"{number:>{width}} ", Look.DIM), mark, *code, *end)
