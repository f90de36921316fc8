"""The line that says how far a sample can be trusted, the same below every table."""

from __future__ import annotations

import click

from branchlab.domain import Trust, TrustState
from branchlab.terminal_text import safe_text

_COLOURS = {
    TrustState.UNKNOWN: "bright_black",
    TrustState.TRUSTED: "green",
    TrustState.WEAK: "yellow",
    TrustState.BROKEN: "red",
}


def trust_line(trust: Trust) -> str:
    """Return the trust in one line, its state coloured; while it is unknown, with what to do about it."""
    state = str(trust.state)
    before, _, after = safe_text(trust.sentence).partition(state)
    line = f"{before}{click.style(state, fg=_COLOURS[trust.state], bold=True)}{after}"
    return f"{line}: branchlab promote" if trust.state is TrustState.UNKNOWN else line
