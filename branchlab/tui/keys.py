"""Every key of the screens, once: bindings, footer and help are made from these lists.

Lower case looks; a capital changes something, shows the exact command first and is confirmed with ``y``, never with
the key that opened it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key. ``label`` is how it is written on screen, ``word`` what the footer says; ``says`` is for the help."""

    keys: str
    action: str
    label: str
    word: str
    says: str


GLOBAL = (
    Key(keys="question_mark", action="app.help", label="?", word="keys", says="this list"),
    Key(keys="q", action="app.leave", label="q", word="quit", says="quit; runs go on"),
)
BRANCHES = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the branch: its runs"),
    Key(
        keys="slash",
        action="filter",
        label="/",
        word="filter",
        says="filter as you type; Esc clears",
    ),
    Key(keys="R", action="run", label="R", word="run…", says="run the branch, and main beside it"),
    Key(keys="s", action="sort", label="s", word="sort", says="sort by the next column"),
    Key(keys="X", action="stop", label="X", word="stop…", says="stop what runs of the branch"),
    Key(keys="y", action="copy", label="y", word="copy", says="copy the branch's name"),
    Key(keys="r", action="refresh", label="r", word="refresh", says="read everything anew"),
    Key(keys="escape", action="back", label="Esc", word="clear", says="clear the filter"),
)
BRANCH = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the run: facts and log"),
    Key(keys="escape", action="back", label="Esc", word="back", says="back to the branches"),
    Key(keys="R", action="run", label="R", word="run…", says="run the branch, and main beside it"),
    Key(keys="X", action="stop", label="X", word="stop…", says="stop what runs of the branch"),
    Key(keys="y", action="copy", label="y", word="copy", says="copy the branch's name"),
    Key(keys="r", action="refresh", label="r", word="refresh", says="read everything anew"),
)
RUN = (
    Key(keys="escape", action="back", label="Esc", word="back", says="back to the branch"),
    Key(
        keys="X", action="stop", label="X", word="stop…", says="stop the run; it keeps a checkpoint"
    ),
    Key(keys="y", action="copy", label="y", word="copy", says="copy the run's id"),
    Key(keys="r", action="refresh", label="r", word="refresh", says="read the run anew"),
)
MOVES = (
    ("↑ ↓ j k", "one line"),
    ("PgUp PgDn ^u ^d", "one page"),
    ("g G Home End", "first, last"),
    ("mouse", "click selects, double click opens; Shift+drag selects text"),
    ("^c", "copies selected text, else quits"),
)


def bindings(keys: Sequence[Key]) -> list[BindingType]:
    """Return keys as Textual binds them."""
    return [Binding(key.keys, key.action, key.says, show=False) for key in keys]
