"""The frame that the screens share: a line on top, the places, warnings that shout, the body, a status line, the keys.

Where the terminal is smaller than 60x15 only the size needed is shown.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.events import Resize
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from branchlab.tui.asking import Answer
from branchlab.tui.footer import KeyBar
from branchlab.tui.keys import Key
from branchlab.tui.lines import Lines
from branchlab.tui.looks import Line, Look, cut
from branchlab.tui.tabs import Place, TabLine
from branchlab.tui.verbs import VERBS, About, Verb
from branchlab.tui.views import BranchView, Snapshot

if TYPE_CHECKING:
    from branchlab.tui.app import BranchlabApp

WIDTH_MIN, HEIGHT_MIN = 60, 15
WIDE = 120


class LabScreen(Screen[None]):
    """A screen of the lab; its children fill ``body`` and answer ``show_snapshot``.

    Attributes:
        PLACE: Where it stands; None for one that may be opened from anywhere.
    """

    DEFAULT_CSS = """
    LabScreen { layout: vertical; }
    LabScreen .line { height: 1; width: 100%; text-wrap: nowrap; text-overflow: ellipsis; }
    LabScreen #said { height: auto; max-height: 3; width: 100%; padding: 0 1; }
    LabScreen #top { background: $panel; }
    LabScreen #warnings { height: auto; max-height: 4; width: 100%; padding: 0 1; display: none;
        background: $error-muted; color: $text-error; text-style: bold; }
    LabScreen #warnings.-shown { display: block; }
    LabScreen:ansi #warnings { text-style: reverse bold; }
    LabScreen #too-small { display: none; width: 100%; height: 100%; content-align: center middle; }
    LabScreen.-too-small > * { display: none; }
    LabScreen.-too-small > #too-small { display: block; }
    """
    KEYS: ClassVar[Sequence[Key]] = ()
    NAME: ClassVar[str] = ""
    PLACE: ClassVar[Place | None] = None

    def compose(self) -> ComposeResult:
        yield Lines(id="top", classes="line", is_fixed=True)
        yield TabLine()
        yield Lines(id="warnings")
        yield from self.body()
        yield Lines(id="said")
        yield KeyBar(self.KEYS)
        yield Static(
            f"a terminal of {WIDTH_MIN}x{HEIGHT_MIN} is needed", id="too-small", markup=False
        )

    def body(self) -> Iterable[Widget]:
        """Yield what stands between warnings and status line."""
        raise NotImplementedError

    def show_snapshot(self, snapshot: Snapshot) -> None:
        """Draw what the lab is now; called only while this screen is the one seen."""
        raise NotImplementedError

    def show_answer(self, answer: Answer) -> None:
        """Draw what was asked for with ``lab.ask``; a screen looks at its own slots."""

    @property
    def lab(self) -> BranchlabApp:
        return cast("BranchlabApp", self.app)

    @property
    def is_standing(self) -> bool:
        """Whether the widgets are there: news may come while a screen is composed or taken down."""
        return self.is_mounted and self.display

    def on_mount(self) -> None:
        # Before the first frame, which is drawn before the first resize is told.
        self.set_class(self.app.size.width >= WIDE, "-wide")
        self.show_place()
        self.show_said()
        self.lab.ask_for(self)

    def on_screen_resume(self) -> None:
        self.show_said()
        self.lab.ask_for(self)

    def on_resize(self, event: Resize) -> None:
        is_small = event.size.width < WIDTH_MIN or event.size.height < HEIGHT_MIN
        self.set_class(is_small, "-too-small")
        self.set_class(event.size.width >= WIDE, "-wide")
        self.query_one("#too-small", Static).update(
            f"a terminal of {WIDTH_MIN}x{HEIGHT_MIN} is needed; this one is {event.size.width}x{event.size.height}"
        )
        self.call_after_refresh(self.lab.ask_for, self)

    def show_header(self, snapshot: Snapshot | None, about: Line = ()) -> None:
        """Set the first line: project, main and reference, what the screen is about, what runs."""
        left: Line = ((f"branchlab  {self.lab.project.repository.root.name}", Look.STRONG),)
        right: Line = ()
        if snapshot is not None:
            overview = snapshot.status.overview
            left = (*left, (f"  {overview.main.name} {overview.main.tip[:7]}", Look.DIM))
            if overview.reference is not None and self.size.width >= WIDE:
                reference = overview.reference
                left = (*left, (f"  ref {reference.name} {reference.tip[:7]}", Look.DIM))
            if snapshot.num_running:
                right = ((f"● {snapshot.num_running} running", Look.LIVE),)
        self.show_top((*left, *about), right)

    def show_top(self, left: Line, right: Line = ()) -> None:
        """Set the first line; what stands right is kept whole, what stands left may be cut."""
        left = cut(left, self.size.width - sum(cell_len(text) for text, _ in right) - 3)
        room = self.size.width - sum(cell_len(text) for text, _ in (*left, *right)) - 2
        space = (" " * max(1, room), Look.PLAIN)
        self.query_one("#top", Lines).show([((" ", Look.PLAIN), *left, space, *right)])

    def show_place(self, right: Line = ()) -> None:
        """Set the line of places, with what the screen says of its list on the right."""
        self.query_one(TabLine).say(self.PLACE or self.lab.place, right)

    def show_warnings(self, warnings: Sequence[str]) -> None:
        """Let warnings shout, or be gone when there are none."""
        place = self.query_one("#warnings", Lines)
        place.set_class(bool(warnings), "-shown")
        place.show(((f"! {warning}", Look.PLAIN),) for warning in warnings)

    def show_said(self) -> None:
        """Set the status line from what the app last heard, and what ``Y`` copies where there is room."""
        line = self.lab.status_line()
        said = self.equivalent()
        if said and not self.lab.has_said:
            line = (*line, (f" · Y copies: {said}", Look.DIM))
            line = cut(line, self.size.width - 2)
        self.query_one("#said", Lines).show([line])

    def equivalent(self) -> str:
        """Return the command that says what the screen shows; empty where there is none."""
        return ""

    def action_refresh(self) -> None:
        self.lab.feed.ask()
        self.lab.say("reading…")

    def action_copy(self) -> None:
        name = self.copied()
        if name is not None:
            self.lab.copy(name)

    def action_copy_command(self) -> None:
        said = self.equivalent()
        if said:
            self.lab.copy(said)
        else:
            self.lab.say("no command says what this screen shows")

    def action_offer(self, verb: str) -> None:
        """Offer a verb for what is selected; ``stop`` is about the runs of the selected branch."""
        if verb == "stop":
            view = self.chosen()
            names = tuple(run.run.id for run in view.open_runs) if view is not None else ()
            if names:
                self.offer(VERBS["cancel"], names)
            else:
                self.lab.say("nothing runs here")
            return
        found = self.names_for(VERBS[verb])
        if found is None:
            self.lab.say("nothing is selected")
        else:
            self.offer(VERBS[verb], found)

    def action_shell(self) -> None:
        """Open a shell where the selected branch is checked out."""
        folder = self._work_tree()
        if folder is not None:
            self.lab.open_shell(folder)

    def action_edit(self) -> None:
        """Open the work tree of the selected branch in the editor."""
        folder = self._work_tree()
        if folder is not None:
            self.lab.edit(folder)

    def _work_tree(self) -> Path | None:
        """Return where the selected branch is checked out; says so where it is not."""
        view = self.chosen()
        if view is None:
            self.lab.say("nothing is selected")
            return None
        if view.work_tree is None:
            path = shlex.quote(view.name.rsplit("/", 1)[-1])
            self.lab.say(
                f"{view.name} is checked out nowhere; "
                f"to work on it: git worktree add ../{path} {shlex.quote(view.name)}"
            )
        return view.work_tree

    def offer(self, verb: Verb, names: Sequence[str]) -> None:
        """Ask what a verb has to be told, show its command, and carry it out after ``y``."""
        self.lab.offer(verb, names)

    def names_for(self, verb: Verb) -> tuple[str, ...] | None:
        """Return what a verb would be about here; None where nothing that fits is selected."""
        if verb.about is About.LAB:
            return ()
        found = self.chosen_branches() if verb.is_of_branches else self.chosen_runs()
        if not found:
            return None
        return found if verb.about in {About.BRANCHES, About.RUNS} else found[:1]

    def chosen(self) -> BranchView | None:
        """Return the branch that is selected."""
        return None

    def chosen_branches(self) -> tuple[str, ...]:
        """Return the names of the branches that are marked, else of the one that is selected."""
        view = self.chosen()
        return (view.name,) if view else ()

    def chosen_runs(self) -> tuple[str, ...]:
        """Return the ids of the runs that are marked, else of the one that is selected."""
        return ()

    def copied(self) -> str | None:
        """Return what y copies."""
        view = self.chosen()
        return view.name if view else None
