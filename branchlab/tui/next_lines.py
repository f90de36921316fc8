"""What comes next with a branch, as every screen says it: why, the key that does it there, and the command; pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from branchlab.lab.next_of_branch import NextStep
from branchlab.tui.keys import Key
from branchlab.tui.looks import Line, Look, cut
from branchlab.tui.wrapping import wrapped

_INDENT = 6


def next_lines(step: NextStep, keys: Sequence[Key], width: int, *, num_max: int = 3) -> list[Line]:
    """Return what comes next with a branch in few lines.

    Args:
        step: What comes next.
        keys: Of the screen, one of which may carry it out or show it.
        width: Of a line.
        num_max: How many lines there may be; in a single one nothing says why.
    """
    head: Line = ((f"next: {step.step.words}", Look.GOOD),)
    key = _key_for(step, keys)
    command: Line = ((f"  {key} " if key else "  ", Look.STRONG), (step.command, Look.LIVE))
    if not step.command:
        command = ()
    if num_max == 1:
        return [cut((*head, *command), width)]
    said: Line = (*head, (f": {step.because}", Look.PLAIN))
    lines = wrapped(said, width, indent=_INDENT, num_max=max(1, num_max - 1))
    joined = (*lines[-1], *command)
    if sum(cell_len(text) for text, _ in joined) <= width:
        return [*lines[:-1], joined]
    return [*lines, cut(command, width)]


def _key_for(step: NextStep, keys: Sequence[Key]) -> str:
    """Return the key that offers the command or shows what it would print; empty where none does."""
    actions = {f"offer('{step.verb}')", f"pane('{step.verb}')"}
    return next((key.label for key in keys if key.action in actions), "")
