"""``branchlab tui``: the app that owns the polling, the commands and the way out.

Quitting stops nothing: runs belong to processes of their own. SIGTERM and SIGHUP leave through ``exit``, because
Textual otherwise dies with the alternate screen on and the cursor hidden.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import ClassVar

from rich.console import COLOR_SYSTEMS
from textual import work
from textual.app import App
from textual.binding import BindingType

from branchlab.errors import BranchlabError
from branchlab.lab.project import Project
from branchlab.lab.runs import show
from branchlab.terminal_text import safe_text
from branchlab.tui import first_frame, kept, keys
from branchlab.tui.branch_screen import BranchScreen
from branchlab.tui.branches_screen import BranchesScreen
from branchlab.tui.commands import Command, carry_out, run_command, stop_command
from branchlab.tui.confirm import ConfirmScreen
from branchlab.tui.failure import record_failure
from branchlab.tui.feed import Feed
from branchlab.tui.first_frame import frame_of, keep_frame
from branchlab.tui.frame import LabScreen
from branchlab.tui.help_screen import HelpScreen
from branchlab.tui.kept import keep_rows, read_rows
from branchlab.tui.looks import Line, Look
from branchlab.tui.messages import CurveRead, RunRead, Said, SnapshotRead
from branchlab.tui.run_screen import NUM_LOG_LINES, RunScreen
from branchlab.tui.views import BranchView, Snapshot

_SAID_FOR_S = 8.0
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class BranchlabApp(App[None]):
    """The overview of one project."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "branchlab"
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.GLOBAL)

    def __init__(
        self, project: Project, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        # An empty NO_COLOR means nothing, yet Textual would show greys. A set one needs ansi_color from the start:
        # with the theme alone everything is drawn black on black (Textual 8.2.8).
        is_colourless = bool(os.environ.get("NO_COLOR"))
        if not is_colourless:
            os.environ.pop("NO_COLOR", None)
        super().__init__(ansi_color=True if is_colourless else None)
        if is_colourless:
            self.theme = "ansi-dark"
        self.project = project
        self.now = now
        self.feed = Feed(project, self.post_message, now=now)
        self.kept = read_rows(project.state.path / kept.FILE_NAME)
        self._snapshot: Snapshot | None = None
        self._said = Said("reading…", is_error=False)
        self._is_reading_run = False

    def get_default_screen(self) -> LabScreen:
        return BranchesScreen()

    def on_mount(self) -> None:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in _SIGNALS:
                loop.add_signal_handler(number, self._leave, 128 + number)
        self._poll()

    def on_unmount(self) -> None:
        self.feed.stop()
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

    def ask_for(self, screen: LabScreen) -> None:
        """Give a screen what is known already."""
        if self._snapshot is not None and screen.is_current:
            screen.show_snapshot(self._snapshot)

    def open_branch(self, name: str) -> None:
        self.push_screen(BranchScreen(name))

    def open_run(self, run_id: str) -> None:
        self.push_screen(RunScreen(run_id))

    def copy(self, name: str) -> None:
        """Copy a name, unless it holds what could act on the terminal that it is pasted into."""
        if safe_text(name) != name:
            self.say(f"{name} holds characters that are not safe to paste", is_error=True)
            return
        self.copy_to_clipboard(name)
        self.say(f"copied {name}")

    def ask_to_run(self, view: BranchView) -> None:
        self._confirm(run_command(view.name))

    def ask_to_stop(self, title: str, run_ids: Sequence[str]) -> None:
        if run_ids:
            self._confirm(stop_command(title, run_ids))
        else:
            self.say("nothing runs here")

    def action_help(self) -> None:
        screen = self.screen
        if isinstance(screen, LabScreen):
            self.push_screen(HelpScreen(screen.NAME, screen.KEYS))

    def action_leave(self) -> None:
        self._keep()
        self.feed.stop()
        self.exit()

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

    def on_curve_read(self, message: CurveRead) -> None:
        screen = self._lab_screen()
        if screen is not None:
            screen.show_curve(message)

    def on_run_read(self, message: RunRead) -> None:
        screen = self._lab_screen()
        if screen is not None:
            screen.show_run(message)

    def on_said(self, message: Said) -> None:
        self._said = message
        if message.text and not message.is_error:
            self.set_timer(_SAID_FOR_S, lambda: self._unsay(message))
        screen = self._lab_screen()
        if screen is not None:
            screen.show_said()

    def read_run(self, run_id: str) -> None:
        """Read one run with its log in a worker; while one is being read, nothing more is asked."""
        if not self._is_reading_run:
            self._is_reading_run = True
            self._read_run(run_id)

    @work(thread=True, exit_on_error=False, group="run")
    def _read_run(self, run_id: str) -> None:
        try:
            self.post_message(RunRead(show(self.project, run_id, num_log_lines=NUM_LOG_LINES)))
        except BranchlabError as error:
            self.say(f"{error.message}; {error.hint}", is_error=True)
        except Exception as error:  # noqa: BLE001  the door of a worker: recorded whole, and shown
            self.say(record_failure(error, self.project.state), is_error=True)
        finally:
            self._is_reading_run = False

    @work(thread=True, exit_on_error=False, group="feed")
    def _poll(self) -> None:
        self.feed.work()

    def _confirm(self, command: Command) -> None:
        def answered(is_yes: bool | None) -> None:  # noqa: FBT001  what Textual hands over
            if is_yes:
                self.say(f"{command.text} …")
                self._carry_out(command)

        self.push_screen(ConfirmScreen(command), answered)

    @work(thread=True, exit_on_error=False, group="command")
    def _carry_out(self, command: Command) -> None:
        try:
            is_good, said = carry_out(command, root=self.project.repository.root)
            self.say(said, is_error=not is_good)
            self.feed.ask()
        except Exception as error:  # noqa: BLE001  the door of a worker: recorded whole, and shown
            self.say(record_failure(error, self.project.state), is_error=True)

    def _unsay(self, message: Said) -> None:
        """Give the status line back, unless something else has been said since."""
        if self._said is message and self._snapshot is not None:
            self.on_said(Said("", is_error=False))

    def _lab_screen(self) -> LabScreen | None:
        """Return the screen that is seen, or seen behind a dialog; none while it is put up or taken down."""
        screen = next((s for s in reversed(self.screen_stack) if isinstance(s, LabScreen)), None)
        return screen if screen is not None and screen.is_standing else None

    def _keep(self) -> None:
        """Write down what stands here, for the next start to begin with."""
        overview = next((s for s in self.screen_stack if isinstance(s, BranchesScreen)), None)
        rows = overview.rows_to_keep() if overview is not None else None
        if rows is not None:
            keep_rows(self.project.state.path / kept.FILE_NAME, rows)
        if len(self.screen_stack) == 1 and self._snapshot is not None:
            update = self.screen._compositor.render_full_update()  # noqa: SLF001  what stands, as it stands
            frame = frame_of(
                (chain.from_iterable(line) for line in update.strips),
                width=self.size.width,
                height=self.size.height,
                colours=COLOR_SYSTEMS.get(self.console.color_system or ""),
                at=self._snapshot.read_at,
            )
            keep_frame(self.project.state.path / first_frame.FILE_NAME, frame)

    def _leave(self, return_code: int) -> None:
        self._keep()
        self.feed.stop()
        self.exit(return_code=return_code)
