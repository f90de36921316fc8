"""What the screens start: commands of branchlab itself, in a session of their own, so that they outlive the screen.

Each is kept with what it printed, so that one sees afterwards what was done and how it ended.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_SHOWN_BYTES_MAX = 1 << 20


class Manner(StrEnum):
    """How a command is carried out: at once, after ``y``, or with the terminal to itself."""

    READS = "reads"
    CHANGES = "changes"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to be shown, confirmed and started.

    Attributes:
        arguments: Of ``branchlab``; the whole command line where ``is_other``.
        effect: What it does, in one sentence.
    """

    title: str
    arguments: tuple[str, ...]
    effect: str
    manner: Manner = Manner.CHANGES
    is_other: bool = False

    @property
    def text(self) -> str:
        """As one would type it."""
        return shlex.join(self.arguments if self.is_other else ["branchlab", *self.arguments])

    @property
    def process_arguments(self) -> Sequence[str]:
        """What is started."""
        if self.is_other:
            return self.arguments
        # -P: a folder of the project called like one of our modules must not be imported in its place.
        return [sys.executable, "-P", "-m", "branchlab.cli", *self.arguments]


def edit_command(path: Path, line: int) -> Command:
    """Return the command that opens a file at a line in ``$VISUAL`` or ``$EDITOR``."""
    said = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        editor = shlex.split(said)
    except ValueError:
        editor = [said]
    place: tuple[str, ...]
    match Path(editor[0]).name:
        case "code" | "codium" | "cursor":
            place = ("--goto", f"{path}:{line}")
        case "hx" | "subl" | "zed":
            place = (f"{path}:{line}",)
        case "vi" | "vim" | "nvim" | "nano" | "emacs" | "emacsclient" | "micro" | "kak" | "joe":
            place = (f"+{line}", str(path))
        case _:
            place = (str(path),)
    return _in_terminal(f"Edit {path.name}", (*editor, *place))


def shell_command() -> Command:
    """Return the command that opens the user's shell."""
    return _in_terminal("Shell", (os.environ.get("SHELL") or "sh",))


def _in_terminal(title: str, arguments: tuple[str, ...]) -> Command:
    return Command(
        title=title, arguments=arguments, effect="", manner=Manner.TERMINAL, is_other=True
    )
