"""What has happened to experiments, the latest first, failed ideas too."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from branchlab.tui import keys, screen_keys
from branchlab.tui.asking import Answer
from branchlab.tui.filter_line import FilterLine
from branchlab.tui.journal_lines import (
    COLUMNS,
    entry_lines,
    filter_of,
    journal_rows,
    keyed,
    matches,
    next_kind,
)
from branchlab.tui.lab_key import lab_key
from branchlab.tui.line_table import LineTable
from branchlab.tui.line_view import LineView
from branchlab.tui.looks import Look, Piece
from branchlab.tui.story_screen import StoryScreen
from branchlab.tui.tabs import Place
from branchlab.tui.views import Snapshot, branch_views

if TYPE_CHECKING:
    from branchlab.lab.journal import Entry, Journal
    from branchlab.lab.project import Project


class JournalScreen(StoryScreen):
    """The journal, the latest first, with the whole of the selected entry below."""

    DEFAULT_CSS = """
    JournalScreen #entries { height: 1fr; }
    JournalScreen #entry { height: 7; border-top: solid $foreground 35%; }
    JournalScreen.-low #entry { height: 4; }
    JournalScreen.-zoomed #entries { display: none; }
    JournalScreen.-zoomed #entry { height: 1fr; border-top: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(screen_keys.JOURNAL)
    KEYS = screen_keys.JOURNAL
    NAME = "Journal"
    PLACE = Place.JOURNAL
    AUTO_FOCUS = "#entries"

    def __init__(self) -> None:
        super().__init__()
        self._snapshot: Snapshot | None = None
        self._found: Journal | None = None
        self._entries: dict[str, Entry] = {}
        self._is_whole = False
        self._asked: Hashable = None
        self._failed = ""
        self._told_about: str | None = None
        self._drawn: Hashable = None

    def body(self) -> Iterable[Widget]:
        yield Container(LineTable(id="entries"), LineView(id="entry"))
        yield FilterLine()

    def on_mount(self) -> None:
        self.query_one(FilterLine).set_text(self.lab.memory.text("journal.filter"))
        self.query_one(LineTable).show((), (), notice="reading the journal…")
        self.show_header(None)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.views = {view.name: view for view in branch_views(snapshot)}
        self._ask(snapshot)
        self._draw()

    def show_answer(self, answer: Answer) -> None:
        from branchlab.lab.journal import Journal

        if answer.slot not in {"journal", "journal soon"} or answer.key != self._asked:
            return
        is_whole = answer.slot == "journal"
        if isinstance(answer.value, Journal) and (is_whole or self._found is None):
            self._found, self._entries = answer.value, keyed(answer.value.entries)
        self._is_whole |= is_whole
        self._failed = answer.failed or self._failed
        self._draw()

    def filter_changed(self) -> None:
        self.lab.memory.keep("journal.filter", self.wanted)
        self._draw()

    def on_line_table_selected(self) -> None:
        self.draw_text()
        self.show_said()

    def on_line_table_opened(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        """Open the run where the entry is of one alone, else the branch."""
        entry, name = self._entry(), self.branch()
        if entry is not None and len(entry.runs) == 1:
            self.lab.open_run(entry.runs[0])
        elif name is not None:
            self.lab.open_branch(name)

    def action_kind(self) -> None:
        if self._found is not None:
            text = next_kind(self.wanted, self._found.entries)
            self.query_one(FilterLine).set_text(text)
            self.filter_changed()

    def action_filter(self) -> None:
        """Type words behind the kind that ``t`` has chosen."""
        line = self.query_one(FilterLine)
        if line.text and not line.text.endswith(" "):
            line.set_text(f"{line.text} ")
        super().action_filter()

    def chosen_runs(self) -> tuple[str, ...]:
        entry = self._entry()
        return entry.runs if entry is not None else ()

    def copied(self) -> str | None:
        entry = self._entry()
        return " ".join(entry.text.split()) if entry is not None else None

    def equivalent(self) -> str:
        entry = self._entry()
        return shlex.join(["branchlab", "log", *([entry.experiment] if entry is not None else [])])

    def _entry(self) -> Entry | None:
        return self._entries.get(self.query_one(LineTable).selected or "")

    def branch(self) -> str | None:
        """Return the branch of the entry's experiment: what a run was planned for, else what is called so."""
        entry = self._entry()
        if entry is None or self._snapshot is None:
            return None
        branches = {r.run.id: r.run.branch for r in self._snapshot.records} if entry.runs else {}
        if entry.runs and entry.runs[0] in branches:
            return branches[entry.runs[0]]
        names = (name for name in self.views if name.endswith(f"/{entry.experiment}"))
        return entry.experiment if entry.experiment in self.views else next(names, entry.experiment)

    def _ask(self, snapshot: Snapshot) -> None:
        key = lab_key(snapshot)
        if key == self._asked:
            return
        self._asked, self._is_whole, self._failed = key, False, ""

        def read(project: Project) -> Journal:
            from branchlab.lab.journal import journal

            return journal(project)

        def read_soon(project: Project) -> Journal:
            from branchlab.lab.journal import journal

            return journal(project, with_verdicts=False)

        if self._found is None:
            self.lab.ask("journal soon", key, read_soon)
        self.lab.ask("journal", key, read)

    def _draw(self) -> None:
        snapshot, found = self._snapshot, self._found
        if snapshot is None:
            return
        complaints = found.complaints if found is not None else ()
        self.show_warnings([*snapshot.status.warnings, *complaints])
        self.show_header(snapshot)
        wanted, now = self.wanted, self.lab.now()
        meant = filter_of(wanted, now)
        # Thousands of rows are not made again for every epoch of a run: 90 ms for 5,000 of them.
        drawn = (id(found), self._is_whole, self._failed, wanted, meant.since and now.minute)
        if drawn == self._drawn:
            self.draw_text()
            return
        self._drawn = drawn
        right: list[Piece] = [(f"[/{wanted}]  ", Look.WARN)] if wanted else []
        table = self.query_one(LineTable)
        if found is None:
            table.show(COLUMNS, (), notice=self._failed or "reading the journal…")
        else:
            every = self._entries
            kept = {key: entry for key, entry in every.items() if matches(entry, meant)}
            notice = self._failed or meant.wrong or _notice(len(every), len(kept), wanted)
            if not self._is_whole and not notice:
                notice = "verdicts as they were: reading…"
            was_latest = not table.rows or table.selected == table.rows[0].key
            rows = journal_rows(kept)
            table.show(COLUMNS, rows, notice=notice)
            if rows and was_latest:  # what is newer comes before it
                table.select(rows[0].key)
            counted = f"{len(kept)} of {len(every)}" if wanted else f"{len(every)}"
            reading = "" if self._is_whole else " · reading verdicts…"
            right.append((f"{counted} entries{reading}", Look.DIM))
        self.show_place(tuple(right))
        self.draw_text()

    def draw_text(self) -> None:
        entry, pane = self._entry(), self.query_one(LineView)
        key = self.query_one(LineTable).selected
        is_new, self._told_about = key != self._told_about, key
        pane.show(entry_lines(entry, pane.room) if entry else [], is_new=is_new)


def _notice(num_all: int, num_kept: int, wanted: str) -> str:
    if not num_all:
        return "nothing has happened yet; start an experiment: branchlab new-exp NAME"
    return f"nothing here has '{wanted}'; Esc clears the filter" if not num_kept else ""
