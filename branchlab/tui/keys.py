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
    """One key. ``label`` is how it is written on screen, ``word`` what the footer says; ``says`` is for the help.

    An empty ``word`` keeps it out of the footer.
    """

    keys: str
    action: str
    label: str
    word: str
    says: str


def _verb(key: str, verb: str, word: str, says: str) -> Key:
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
BRANCHES = (
    Key(
        keys="enter",
        action="open",
        label="⏎",
        word="open",
        says="open the branch; on a heading: fold it or open it",
    ),
    Key(
        keys="slash",
        action="filter",
        label="/",
        word="filter",
        says="filter as you type: words, or verdict:better !merge:conflict delta>1 age<3d; Esc clears",
    ),
    _verb("R", "run", "run…", "run the branches, and main beside them"),
    Key(
        keys="s",
        action="sort",
        label="s",
        word="sort",
        says="sort by the next column; a click on a title sorts by that one",
    ),
    Key(keys="t", action="group", label="t", word="group", says="group by what to do next, or not"),
    Key(
        keys="space",
        action="mark",
        label="Space",
        word="mark",
        says="mark the branch; capitals, Compare and Y are about the marked ones",
    ),
    _verb("N", "new-exp", "new…", "start a new experiment"),
    _verb("P", "promote", "promote…", "train on the whole training set"),
    _verb("B", "merge-back", "merge back…", "merge the branch back into main, behind its flag"),
    Key(keys="d", action="diff", label="d", word="diff", says="what the branch changes"),
    Key(
        keys="m",
        action="merge",
        label="m",
        word="merge check",
        says="what a merge into main would do, file by file; again: back",
    ),
    Key(
        keys="v",
        action="versus",
        label="v",
        word="compare",
        says="compare the marked branches, else the selected one",
    ),
    Key(keys="c", action="columns", label="c", word="columns", says="choose the columns"),
    _verb("V", "parity", "parity…", "prove by training that a merge leaves main what it is"),
    _verb("F", "guard", "flag…", "the patch that puts an unguarded change behind a flag"),
    _verb("U", "sync", "sync…", "bring main into the branches"),
    _verb("E", "note", "note…", "write down what it has taught, or drop it"),
    _verb("D", "retire", "retire…", "take the branch of an experiment that is over away"),
    _verb("X", "stop", "stop…", "stop what runs of the branch"),
    Key(keys="S", action="reverse", label="S", word="", says="turn the order round"),
    Key(
        keys="a",
        action="only_marked",
        label="a",
        word="",
        says="show the marked branches alone, or all",
    ),
    Key(keys="A", action="unmark", label="A", word="", says="mark none"),
    Key(keys="h,left", action="fold(True)", label="h", word="", says="fold the group"),
    Key(keys="l,right", action="fold(False)", label="l", word="", says="open the group"),
    Key(
        keys="z",
        action="zoom",
        label="z",
        word="",
        says="more room for the detail, none, as before",
    ),
    Key(keys="escape", action="back", label="Esc", word="clear", says="clear the filter"),
)
BRANCH = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the run: facts and log"),
    Key(keys="escape", action="back", label="Esc", word="back", says="back to the branches"),
    _verb("R", "run", "run…", "run the branch, and main beside it"),
    _verb("X", "stop", "stop…", "stop what runs of the branch"),
)
RUNS = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the run: facts and log"),
    _verb("X", "cancel", "stop…", "stop the run; it keeps a checkpoint"),
)
COMPARE: tuple[Key, ...] = ()
MAP: tuple[Key, ...] = ()
JOURNAL: tuple[Key, ...] = ()
RUN = (
    Key(keys="escape", action="back", label="Esc", word="back", says="back to where you came from"),
    _verb("X", "cancel", "stop…", "stop the run; it keeps a checkpoint"),
)
COMMANDS = (
    Key(keys="escape", action="back", label="Esc", word="back", says="back to where you came from"),
    _verb("X", "interrupt", "stop…", "interrupt the command"),
)
MOVES = (
    ("↑ ↓ j k", "one line"),
    ("PgUp PgDn ^u ^d", "one page"),
    ("g G Home End", "first, last"),
    ("Tab", "the next pane"),
    ("mouse", "click selects, double click opens; the keys below can be clicked"),
    ("Shift+drag", "selects text as the terminal does"),
    ("^c", "copies selected text, else quits"),
)


def key_of_verb(keys: Sequence[Key], verb: str) -> str:
    """Return the key that offers a verb; empty where none does."""
    return next((key.label for key in keys if key.action == f"offer('{verb}')"), "")


def bindings(keys: Sequence[Key]) -> list[BindingType]:
    """Return keys as Textual binds them."""
    return [Binding(key.keys, key.action, key.says, show=False) for key in keys]
