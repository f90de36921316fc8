"""``branchlab tui``: the app that owns the polling, the commands and the way out.

Quitting stops nothing: runs belong to processes of their own. SIGTERM and SIGHUP leave through ``exit``, because
Textual otherwise dies with the alternate screen on and the cursor hidden.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter

from branchlab.lab.project import Project
from branchlab.terminal_text import safe_text
from branchlab.tui import kept, keys, screens
from branchlab.tui.asking import Answer, Asking, Read
from branchlab.tui.branches_screen import BranchesScreen
from branchlab.tui.commands import Command, Manner, edit_command, shell_command
from branchlab.tui.commands_screen import CommandsScreen
from branchlab.tui.confirm import ConfirmScreen
from branchlab.tui.failure import record_failure
from branchlab.tui.feed import Feed
from branchlab.tui.form import FormScreen
from branchlab.tui.frame import LabScreen
from branchlab.tui.help_screen import HelpScreen
from branchlab.tui.jobs import Job, Jobs, run_in_terminal
from branchlab.tui.leaving import keep_what_stands
from branchlab.tui.looks import Line, Look
from branchlab.tui.memory import Memory
from branchlab.tui.messages import Said, SnapshotRead
from branchlab.tui.plain import PlainCharacters
from branchlab.tui.tabs import Place
from branchlab.tui.verbs import Verb, command_of
from branchlab.tui.views import Snapshot

_SAID_FOR_S = 8.0
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


# What is not seen at the start is imported when one goes there: together that takes a fifth of a second.
class BranchlabApp(App[None]):
    """The overview of one project.

    Attributes:
        jobs: The commands that were carried out from here.
        memory: What is kept from one start to the next.
        marked: Names of the branches that are marked, in the order of marking; ``compare`` shows them side by side.
        kept: The overview's rows of the last start; None where there are none.
    """

    ENABLE_COMMAND_PALETTE = False
    TITLE = "branchlab"
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings(keys.GLOBAL),
        *keys.bindings(keys.PLACES),
    ]
    MODES: ClassVar[Mapping[str, Callable[[], LabScreen]]] = {  # type: ignore[assignment]
        Place.BRANCHES: BranchesScreen,
        Place.RUNS: screens.runs,
        Place.COMPARE: screens.compare,
        Place.MAP: screens.experiment_map,
        Place.JOURNAL: screens.journal,
    }
    DEFAULT_MODE = Place.BRANCHES

    def __init__(
        self,
        project: Project,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_ascii: bool = False,
        theme: str = "",
    ) -> None:
        # An empty NO_COLOR means nothing, yet Textual would show greys. A set one needs ansi_color from the start:
        # with the theme alone everything is drawn black on black (Textual 8.2.8).
        is_colourless = bool(os.environ.get("NO_COLOR"))
        if not is_colourless:
            os.environ.pop("NO_COLOR", None)
        super().__init__(ansi_color=True if is_colourless else None)
        self.project = project
        self.memory = Memory(project.state.path / "tui" / "state.json")
        self.memory.load()
        wanted = theme or self.memory.text("theme")
        if is_colourless:
            self.theme = "ansi-dark"
        elif wanted in self.available_themes:
            self.theme = wanted
        self._plain = [PlainCharacters()] if is_ascii else []
        self.now = now
        self.jobs = Jobs(self._job_ended)
        self.marked: list[str] = []
        self.kept = kept.read_rows(project.state.path / kept.FILE_NAME)
        self.feed = Feed(project, self.post_message, now=now)
        self._asking = Asking(lambda: self.project, self.post_message)
        self._snapshot: Snapshot | None = None
        self._said = Said(self.kept.words if self.kept else "reading…", is_error=False)

    @property
    def snapshot(self) -> Snapshot | None:
        """The lab as it was last read."""
        return self._snapshot

    @property
    def place(self) -> Place:
        """Where one is."""
        return Place(self.current_mode)

    @property
    def has_said(self) -> bool:
        """Whether the status line holds an answer or a complaint."""
        return bool(self._said.text)

    def clock(self) -> datetime:
        """Return the time of this machine, which jobs are measured by."""
        return datetime.now(UTC)

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._plain]

    async def on_mount(self) -> None:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._leave, 128 + number)
        # After the first frame: reading in a thread would hold it up.
        self.call_after_refresh(self._poll)
        last = self.memory.text("place", among=frozenset(Place))
        if last and last != self.current_mode:
            await self.switch_mode(last)

    def on_unmount(self) -> None:
        self.feed.stop()
        self._asking.stop()
        self.jobs.close()
        self.memory.keep("place", self.current_mode)
        if not os.environ.get("NO_COLOR"):
            self.memory.keep("theme", self.theme)
        self.memory.save()
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Put a line into the status line."""
        self.post_message(Said(text, is_error=is_error))

    def status_line(self) -> Line:
        """Return what was last said, or when the lab was last read."""
        if self._said.text:
            mark = "✗ " if self._said.is_error else ""
            return ((f"{mark}{self._said.text}", Look.BAD if self._said.is_error else Look.PLAIN),)
        if self._snapshot is None:
            return ()
        moment = self._snapshot.read_at.astimezone()
        return ((f"✓ as of {moment:%H:%M:%S}", Look.DIM),)

    def ask(self, slot: str, key: Hashable, read: Read) -> None:
        """Have something read in a thread; the screen that is seen then gets it by ``show_answer``.

        Args:
            slot: Whose wish it is; a newer wish of a slot takes the place of an older one.
            key: Comes back with the answer, so that a late one is known.
            read: Is given the project; its own index and memo are opened and closed in it.
        """
        self._asking.ask(slot, key, read)

    def ask_for(self, screen: LabScreen) -> None:
        """Give a screen what is known already."""
        if self._snapshot is not None and screen.is_current:
            screen.show_snapshot(self._snapshot)

    def open_branch(self, name: str, pane: str = "summary") -> None:
        self.push_screen(screens.branch(name, pane))

    def open_run(self, run_id: str) -> None:
        self.push_screen(screens.run(run_id))

    async def go_to(self, place: Place) -> None:
        """Show a place with what is open in it; its first screen where one is there already."""
        if place == self.current_mode:
            while len(self.screen_stack) > 1:
                await self.pop_screen()
        else:
            await self.switch_mode(place)

    def copy(self, text: str) -> None:
        """Copy a text, unless it holds what could act on the terminal that it is pasted into."""
        if safe_text(text) != text:
            self.say(f"{text} holds characters that are not safe to paste", is_error=True)
            return
        self.copy_to_clipboard(text)
        self.say(f"copied {text}")

    def offer(self, verb: Verb, names: Sequence[str]) -> None:
        """Ask what a verb has to be told, show its command, and carry it out after ``y``."""

        def told(command: Command | None) -> None:
            if command is not None:
                self.carry_out(command)

        if verb.fields:
            self.push_screen(FormScreen(verb, names), told)
        else:
            told(command_of(verb, names))

    def edit(self, path: Path, line: int = 1) -> None:
        """Open a file in the user's editor, which gets the terminal until it is left."""
        folder = path if path.is_dir() else path.parent
        self._take_the_terminal(edit_command(path, line), folder)

    def open_shell(self, folder: Path) -> None:
        """Open the user's shell in a folder; leaving it returns here."""
        self._take_the_terminal(shell_command(), folder)

    def carry_out(self, command: Command) -> None:
        """Carry a command out: at once where it only reads, else after ``y``."""

        def answered(is_yes: bool | None) -> None:  # noqa: FBT001  what Textual hands over
            if is_yes and command.manner is Manner.TERMINAL:
                self._take_the_terminal(command, self.project.repository.root)
            elif is_yes:
                self._start(command)

        if command.manner is Manner.READS:
            self._start(command)
            self.action_commands()
        else:
            self.push_screen(ConfirmScreen(command), answered)

    async def action_place(self, place: str) -> None:
        await self.go_to(Place(place))

    def action_palette(self) -> None:
        from textual.command import CommandPalette

        from branchlab.tui.palette import Everything

        if isinstance(self.screen, LabScreen):
            self.push_screen(CommandPalette(providers=[Everything], placeholder="what to do…"))

    def action_commands(self) -> None:
        if isinstance(self.screen, LabScreen) and not isinstance(self.screen, CommandsScreen):
            self.push_screen(CommandsScreen())

    def action_help(self) -> None:
        screen = self.screen

        async def chosen(action: str | None) -> None:
            if action:
                await screen.run_action(action)

        if isinstance(screen, LabScreen):
            self.push_screen(HelpScreen(screen.NAME, screen.KEYS), chosen)

    def action_leave(self) -> None:
        self._leave(0)

    def action_help_quit(self) -> None:
        """Quit with Ctrl-C where no text is selected; Textual would only say which key quits."""
        self.action_leave()

    def on_snapshot_read(self, message: SnapshotRead) -> None:
        is_first = self._snapshot is None
        self._snapshot = message.snapshot
        self.project = self.feed.project
        if is_first or self._said.text == "reading…":
            self._said = Said("", is_error=False)
        screen = self._lab_screen()
        if screen is not None:
            screen.show_snapshot(message.snapshot)
            screen.show_said()

    def on_answer(self, message: Answer) -> None:
        screen = self._lab_screen()
        if screen is not None:
            screen.show_answer(message)

    def on_said(self, message: Said) -> None:
        self._said = message
        if message.text and not message.is_error:
            self.set_timer(_SAID_FOR_S, lambda: self._unsay(message))
        screen = self._lab_screen()
        if screen is not None:
            screen.show_said()

    @work(thread=True, exit_on_error=False, group="feed")
    def _poll(self) -> None:
        self.feed.work()

    def _start(self, command: Command) -> None:
        try:
            self.jobs.start(command, self.project.repository.root, width=self.size.width)
        except OSError as error:
            self.say(f"{command.text} could not be started: {error.strerror}", is_error=True)
            return
        self.say(f"{command.text} …")

    def _job_ended(self, job: Job, failed: Exception | None) -> None:
        """Say how a command ended; called by the thread that waits for it."""
        if failed is not None:
            self.say(record_failure(failed, self.project.state), is_error=True)
            return
        where = "" if job.command.manner is Manner.READS else "  (@ shows all of it)"
        self.say(f"{job.said}{where}", is_error=job.code != 0)
        self.feed.ask()

    def _take_the_terminal(self, command: Command, folder: Path) -> None:
        """Give the terminal away until a command has ended, as an editor or a debugger needs it."""
        if not folder.is_dir():
            self.say(f"there is no folder {folder}", is_error=True)
            return
        with self.suspend():
            code = run_in_terminal(command, folder)
        self.refresh(layout=True)
        self.say(f"{command.text}: ended with {code}", is_error=bool(code))
        self.feed.ask()

    def _unsay(self, message: Said) -> None:
        """Give the status line back, unless something else has been said since."""
        if self._said is message and self._snapshot is not None:
            self.on_said(Said("", is_error=False))

    def _lab_screen(self) -> LabScreen | None:
        """Return the screen that is seen, or seen behind a dialog; none while it is put up or taken down."""
        screen = next((s for s in reversed(self.screen_stack) if isinstance(s, LabScreen)), None)
        return screen if screen is not None and screen.is_standing else None

    def _leave(self, return_code: int) -> None:
        self.feed.stop()
        self.exit(return_code=return_code)
        keep_what_stands(self)
