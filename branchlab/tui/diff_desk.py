"""The diff as one works on it: files, the hunks of the one that is selected, and the way from change to change.

Hunks are kept once they are drawn, so that going back to a file reads nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import partial

from branchlab.domain import Feature, FeatureVerdict
from branchlab.lab.diff import BranchDiff
from branchlab.tui.branch_reads import Wish, read_patch
from branchlab.tui.diff_lines import DrawnPatch, annotated, file_columns, file_rows
from branchlab.tui.line_table import LineTable
from branchlab.tui.line_view import LineView
from branchlab.tui.looks import Look
from branchlab.tui.rows import Row

_ABOVE = 3
"""Lines that stay above one that is jumped to."""
_PATCHES_MAX = 40


class Hunks(LineView):
    """The changes of one file, with a place that ``step`` moves from change to change."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  Textual's name
        super().__init__(id=id)
        self.patch: DrawnPatch | None = None
        self._row = 0
        self._row_top = 0
        self._drawn: tuple[DrawnPatch, tuple[tuple[Feature, ...], int]] | None = None

    def show_patch(self, patch: DrawnPatch | None, features: Sequence[Feature] = ()) -> None:
        """Show a file, with what was found in its code; another one is looked at from its beginning."""
        is_new = patch is None or self.patch is None or patch.path != self.patch.path
        if patch is None:
            self.patch = None
            self.show([(("reading…", Look.DIM),)], is_new=True)
            return
        width = max(20, self.size.width - 2)
        before, how = self._drawn, (tuple(features), width)
        # A patch is known by itself: comparing ten thousand lines would cost more than drawing them.
        if not is_new and before is not None and before[0] is patch and before[1] == how:
            return
        if before is None or before[0] is not patch:
            self.mark(None)
        self._drawn = patch, how
        self.patch = annotated(patch, features, width)
        self.show(self.patch.lines, tints=self.patch.tints, is_new=is_new)
        if is_new:
            self._row = self._row_top = 0
            self.mark(None)

    def show_nothing(self) -> None:
        """Show that there is no file."""
        self.patch = None
        self.show([], is_new=True)

    def step(self, by: int) -> bool:
        """Go to the next change, or to the one before; return whether there is one."""
        if self.patch is None:
            return False
        here = self._here()
        after = [row for row in self.patch.changes if (row > here if by > 0 else row < here)]
        if not after:
            return False
        self._jump(after[0] if by > 0 else after[-1])
        return True

    def to_end(self, by: int) -> None:
        """Go to the first change, or to the last one when one came from below."""
        if self.patch is not None and self.patch.changes:
            self._jump(self.patch.changes[0] if by > 0 else self.patch.changes[-1])

    def to_source(self, line: int) -> None:
        """Go to a line of the file."""
        row = self.patch.row_of(line) if self.patch is not None else None
        if row is not None:
            self._jump(row)

    def source_line(self) -> int:
        """Return the line of the file at the place, 1 where there is none."""
        if self.patch is None or not self.patch.numbers:
            return 1
        here = max(self._here(), 0)
        row = min(self.patch.numbers, key=lambda one: (abs(one - here), one))
        return self.patch.numbers[row]

    def _here(self) -> int:
        """Return the row that was jumped to, unless somebody has scrolled since."""
        return self._row if self.top == self._row_top else self.top + (_ABOVE if self.top else -1)

    def _jump(self, row: int) -> None:
        self.scroll_to(y=max(0, row - _ABOVE), animate=False, force=True)
        self._row, self._row_top = row, self.top
        self.mark(row)


class DiffDesk:
    """Files and hunks of one branch, and where one is in them."""

    def __init__(self, files: LineTable, hunks: Hunks) -> None:
        self._files, self._hunks = files, hunks
        self._patches: dict[Hashable, DrawnPatch] = {}
        self._wanted_line: int | None = None
        self._arriving = 0
        self._is_fresh = True
        self._drawn: tuple[BranchDiff, tuple[Feature, ...], Sequence[Row]] | None = None

    def keep(self, key: Hashable, patch: DrawnPatch) -> None:
        """Keep the lines of a file."""
        while len(self._patches) >= _PATCHES_MAX:
            self._patches.pop(next(iter(self._patches)))
        self._patches[key] = patch

    def draw(
        self, found: BranchDiff | None, features: Sequence[Feature], key: Hashable
    ) -> Wish | None:
        """Draw the files, and the hunks of the one that is selected; return what has to be read for that."""
        self._files.show(file_columns(), self._file_rows(found, features))
        worst = min(features, key=lambda one: one.verdict.rank, default=None)
        if self._is_fresh and worst is not None and found is not None:
            self._is_fresh = False
            if worst.verdict.rank < FeatureVerdict.LANDED.rank:
                self._files.select(worst.path)
        path = self._files.selected
        file = next((f for f in found.files if f.path == path), None) if found is not None else None
        if found is None or file is None:
            self._hunks.show_nothing()
            return None
        if not self._hunks.display:
            return None
        known = self._patches.get((key, file.path))
        self._hunks.show_patch(known, features)
        if known is None:
            read = partial(read_patch, found=found, file=file)
            return Wish(slot="patch", key=(key, file.path), read=read)
        self._arrive()
        return None

    def _file_rows(self, found: BranchDiff | None, features: Sequence[Feature]) -> Sequence[Row]:
        """Return the rows of files, the same ones while nothing has changed: there may be thousands."""
        if found is None:
            return ()
        if self._drawn is None or self._drawn[0] is not found or self._drawn[1] != tuple(features):
            self._drawn = found, tuple(features), file_rows(found, features)
        return self._drawn[2]

    def show_place(self, path: str, line: int) -> None:
        """Choose a file and a line of it, which is gone to once it is drawn."""
        self._wanted_line, self._is_fresh = line, False
        self._files.select(path)

    def turn(self, by: int) -> bool:
        """Go to the next change, on into the next file, or back; return whether there is one."""
        self._is_fresh = False
        return self._hunks.step(by) or self.turn_file(by)

    def turn_file(self, by: int) -> bool:
        """Go to the next file, or to the one before; return whether there is one."""
        before = self._files.selected
        self._files.action_move(by)
        self._arriving = by if self._files.selected != before else 0
        return bool(self._arriving)

    def _arrive(self) -> None:
        """Go to the place that somebody wanted while its file was read."""
        if self._wanted_line is not None:
            self._hunks.to_source(self._wanted_line)
        elif self._arriving:
            self._hunks.to_end(self._arriving)
        self._wanted_line, self._arriving = None, 0
