"""Keys, each written down once: bindings, footer and help are made from lists of them. Those of all screens are here.

Lower case looks; a capital changes something, shows the exact command first and is confirmed with ``y``, never with
the key that opened it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key. ``label`` is how it is written on screen, ``word`` what the footer says; ``says`` is for the help.

    An empty ``word`` keeps it out of the footer.
    """

    keys: str
    action: str
    label: str
    word: str
    says: str


def verb_key(key: str, verb: str, word: str, says: str) -> Key:
    """A capital that offers a verb of the command line."""
    return Key(keys=key, action=f"offer('{verb}')", label=key, word=word, says=says)


PINNED = (
    Key(keys="question_mark", action="app.help", label="?", word="keys", says="this list"),
    Key(
        keys="colon,ctrl+p",
        action="app.palette",
        label=":",
        word="do",
        says="everything that can be done; type to find it",
    ),
    Key(keys="q", action="app.leave", label="q", word="quit", says="quit; runs go on"),
)
GLOBAL = (
    *PINNED,
    Key(
        keys="at",
        action="app.commands",
        label="@",
        word="",
        says="the commands that were carried out, with what they printed",
    ),
    Key(
        keys="y",
        action="screen.copy",
        label="y",
        word="",
        says="copy what is selected: its name or id",
    ),
    Key(
        keys="Y",
        action="screen.copy_command",
        label="Y",
        word="",
        says="copy the command that says this",
    ),
    Key(keys="r", action="screen.refresh", label="r", word="", says="read everything anew"),
    Key(
        keys="e",
        action="screen.edit",
        label="e",
        word="",
        says="open the branch's work tree in your editor",
    ),
    Key(
        keys="exclamation_mark",
        action="screen.shell",
        label="!",
        word="",
        says="a shell in the branch's work tree",
    ),
    Key(keys="ctrl+t", action="app.change_theme", label="^t", word="", says="another theme"),
    Key(
        keys="ctrl+z",
        action="app.suspend_process",
        label="^z",
        word="",
        says="to the shell; fg returns",
    ),
)
PLACES = tuple(
    Key(
        keys=str(number),
        action=f"app.place('{place}')",
        label=str(number),
        word="",
        says=f"the {place}",
    )
    for number, place in enumerate(("branches", "runs", "compare", "map", "journal"), start=1)
)
MOVES = (
    ("↑ ↓ j k", "one line"),
    ("PgUp PgDn ^u ^d", "one page"),
    ("g G Home End", "first, last"),
    ("← → h l", "sideways, where lines are longer than the screen"),
    ("Tab", "the next pane"),
    ("mouse", "click selects, double click opens; the keys below can be clicked"),
    ("Shift+drag", "selects text as the terminal does"),
    ("^c", "copies selected text, else quits"),
)


def bindings(keys: Sequence[Key]) -> list[BindingType]:
    """Return keys as Textual binds them."""
    return [Binding(key.keys, key.action, key.says, show=False) for key in keys]
