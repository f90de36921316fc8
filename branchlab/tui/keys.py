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
    Key(
        keys="enter",
        action="open",
        label="⏎",
        word="open",
        says="open the run, or jump to where a change stands",
    ),
    Key(keys="tab", action="turn(1)", label="Tab", word="pane", says="the next pane"),
    Key(
        keys="d",
        action="pane('diff')",
        label="d",
        word="diff",
        says="what it changes, line by line",
    ),
    Key(
        keys="f",
        action="pane('features')",
        label="f",
        word="features",
        says="what it changes in the code, and what each change needs",
    ),
    _verb("R", "run", "run…", "run the branch, and main beside it"),
    _verb("B", "merge-back", "merge back…", "merge it back into main, behind its flag"),
    _verb("V", "parity", "parity…", "prove by training that a merge leaves main what it is"),
    _verb("F", "guard", "flag…", "the patch that puts an unguarded change behind a flag"),
    Key(
        keys="right_square_bracket",
        action="change(1)",
        label="]",
        word="change",
        says="the next change; on into the next file",
    ),
    Key(
        keys="b",
        action="base",
        label="b",
        word="base",
        says="hold it against main, the reference, or what the last run trained",
    ),
    Key(
        keys="v",
        action="pane('curves')",
        label="v",
        word="curves",
        says="its curves over those of main",
    ),
    Key(
        keys="e",
        action="edit",
        label="e",
        word="edit",
        says="open the line in $EDITOR, in its work tree",
    ),
    Key(keys="u", action="pane('runs')", label="u", word="runs", says="its runs"),
    Key(
        keys="t,i",
        action="pane('hypotheses')",
        label="t",
        word="hypotheses",
        says="what it claims, and what the runs say of it",
    ),
    Key(
        keys="n",
        action="pane('notes')",
        label="n",
        word="notes",
        says="what was written down about it",
    ),
    Key(
        keys="p",
        action="pane('probe')",
        label="p",
        word="probe",
        says="what a probe saw, and pictures of what entered the model",
    ),
    _verb(
        "O", "probe", "probe…", "look at what really flows through it, at one step of its training"
    ),
    _verb("P", "promote", "promote…", "train it on the whole training set"),
    _verb("U", "sync", "sync…", "bring main into it"),
    _verb("E", "note", "note…", "write down what it has taught, or drop it"),
    _verb("D", "retire", "retire…", "take the branch of an experiment that is over away"),
    _verb("X", "stop", "stop…", "stop what runs of the branch"),
    _verb("N", "new-exp", "", "start a new experiment"),
    Key(
        keys="m",
        action="pane('summary')",
        label="m",
        word="",
        says="what is said of it, and its runs",
    ),
    Key(keys="shift+tab", action="turn(-1)", label="S-Tab", word="", says="the pane before"),
    Key(
        keys="left_square_bracket",
        action="change(-1)",
        label="[",
        word="",
        says="the change before",
    ),
    Key(keys="full_stop", action="file(1)", label=".", word="", says="the next file of the diff"),
    Key(keys="comma", action="file(-1)", label=",", word="", says="the file before"),
    Key(
        keys="w",
        action="metric",
        label="w",
        word="",
        says="curves: the next metric that its runs have logged",
    ),
    Key(keys="x", action="axis", label="x", word="", says="curves: over epochs or over steps"),
    Key(
        keys="o",
        action="smooth",
        label="o",
        word="",
        says="curves: smooth them, or show what was logged",
    ),
    Key(
        keys="plus,equals_sign",
        action="zoom(0.5)",
        label="+",
        word="",
        says="curves: a part of them; ← → move it",
    ),
    Key(keys="minus", action="zoom(2)", label="-", word="", says="curves: more of them"),
    Key(
        keys="z",
        action="zoom_pane",
        label="z",
        word="",
        says="this pane alone, or with its neighbours",
    ),
    Key(keys="escape", action="back", label="Esc", word="back", says="back to the branches"),
)
_OF_CURVES = (
    Key(keys="w", action="metric", label="w", word="metric", says="another metric in the chart"),
    Key(keys="o", action="smooth", label="o", word="smooth", says="smooth the curves"),
    Key(keys="x", action="axis", label="x", word="axis", says="over steps, epochs or time"),
    Key(keys="plus", action="zoom(0.5)", label="+", word="zoom", says="the last half of the chart"),
    Key(keys="minus", action="zoom(2.0)", label="-", word="", says="twice as much of the chart"),
    Key(
        keys="left_square_bracket",
        action="pan(-0.5)",
        label="[",
        word="",
        says="earlier in a chart",
    ),
    Key(
        keys="right_square_bracket", action="pan(0.5)", label="]", word="", says="later in a chart"
    ),
)
_OF_RUNS = (
    _verb("X", "cancel", "stop…", "stop the run, or those marked; they keep a checkpoint"),
    Key(
        keys="R",
        action="again",
        label="R",
        word="again…",
        says="run it again as it was planned: goes on with what has not ended",
    ),
    _verb("F", "debug", "debug…", "train its branch in this terminal, for breakpoint()"),
)
RUNS = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the run: facts and log"),
    Key(
        keys="slash",
        action="filter",
        label="/",
        word="filter",
        says="words, state:running branch:x seed:1 scale:full device:cpu since:1d; Esc clears",
    ),
    *_OF_RUNS,
    Key(keys="space", action="mark", label="␣", word="mark", says="mark the run for X, or for a"),
    Key(keys="s", action="sort", label="s", word="sort", says="sort by the next column"),
    Key(keys="v", action="live_only", label="v", word="live", says="only what runs or waits"),
    Key(keys="t", action="log", label="t", word="log", says="the log in place of the curves"),
    *_OF_CURVES,
    Key(
        keys="p",
        action="pause",
        label="p",
        word="pause",
        says="let the screen stand still; nothing else is paused",
    ),
    Key(keys="full_stop", action="follow", label=".", word="", says="follow the log, or stay"),
    Key(keys="S", action="reverse", label="S", word="", says="turn the order round"),
    Key(keys="a", action="marked_only", label="a", word="", says="only what is marked"),
    Key(
        keys="escape",
        action="back",
        label="Esc",
        word="",
        says="clear the filter, then v and a, then the marks",
    ),
)
COMPARE = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the branch"),
    Key(keys="a", action="add", label="a", word="add", says="another branch beside these"),
    Key(
        keys="d,space",
        action="take_away",
        label="d",
        word="take away",
        says="take the selected branch away; Space does so, too",
    ),
    Key(
        keys="w",
        action="metric(1)",
        label="w",
        word="metric",
        says="the next metric, for curves and verdicts; W goes back",
    ),
    Key(
        keys="t",
        action="view",
        label="t",
        word="table",
        says="curves and table, curves alone, table alone",
    ),
    _verb("R", "pair", "missing seeds…", "run the seeds that have no partner yet"),
    Key(
        keys="b",
        action="against",
        label="b",
        word="against",
        says="hold them against main, the reference, or one of them",
    ),
    Key(
        keys="m",
        action="scale",
        label="m",
        word="scale",
        says="runs of the sample, of the full set, or those with most seeds",
    ),
    Key(keys="o", action="smooth", label="o", word="smooth", says="smooth the curves"),
    Key(keys="x", action="axis", label="x", word="axis", says="curves over epochs or steps"),
    Key(
        keys="z",
        action="zoom",
        label="z",
        word="zoom",
        says="the pane with the focus alone; Tab moves",
    ),
    Key(
        keys="plus,equals_sign",
        action="closer(1)",
        label="+",
        word="",
        says="a shorter stretch of the curves",
    ),
    Key(
        keys="minus", action="closer(-1)", label="-", word="", says="a longer stretch of the curves"
    ),
    Key(keys="h,left", action="pan(-1)", label="h", word="", says="the stretch before this one"),
    Key(keys="l,right", action="pan(1)", label="l", word="", says="the stretch behind this one"),
    Key(keys="W", action="metric(-1)", label="W", word="", says="the metric before"),
    Key(keys="escape", action="back", label="Esc", word="", says="all of the curves, all panes"),
)
_FILTER = Key(
    keys="slash", action="filter", label="/", word="filter", says="filter as you type; Esc clears"
)
_CLEAR = Key(keys="escape", action="back", label="Esc", word="", says="clear the filter")
MAP = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the branch"),
    _FILTER,
    Key(keys="t", action="view", label="t", word="tree/list", says="a tree, or a list by state"),
    _verb("E", "note", "note…", "write down what it has taught"),
    Key(
        keys="z",
        action="zoom",
        label="z",
        word="zoom",
        says="what it tells of others alone, and back",
    ),
    _CLEAR,
)
JOURNAL = (
    Key(keys="enter", action="open", label="⏎", word="open", says="open the branch, or the run"),
    _FILTER,
    _verb("E", "note", "note…", "write down what an experiment has taught"),
    Key(
        keys="t",
        action="kind",
        label="t",
        word="kind",
        says="one kind of entry after the other, then all",
    ),
    Key(keys="z", action="zoom", label="z", word="zoom", says="the whole entry alone, and back"),
    _CLEAR,
)
RUN = (
    Key(keys="escape", action="back", label="Esc", word="back", says="back to where you came from"),
    Key(keys="t", action="view", label="t", word="view", says="facts, curves, metrics, …"),
    Key(keys="slash", action="filter", label="/", word="find", says="find in the log as you type"),
    *_OF_RUNS,
    Key(keys="z", action="zoom_log", label="z", word="log", says="the log alone, or with the rest"),
    Key(
        keys="i",
        action="environment",
        label="i",
        word="env",
        says="what it trained in, and in what that differs from main's",
    ),
    *_OF_CURVES,
    Key(keys="n", action="find_next(1)", label="n", word="", says="the next place in the log"),
    Key(keys="N", action="find_next(-1)", label="N", word="", says="the place before"),
    Key(keys="full_stop", action="follow", label=".", word="", says="follow the log, or stay"),
)
COMMANDS = (
    Key(keys="escape", action="back", label="Esc", word="back", says="back to where you came from"),
    _verb("X", "interrupt", "stop…", "interrupt the command"),
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


def key_of_verb(keys: Sequence[Key], verb: str) -> str:
    """Return the key that offers a verb; empty where none does."""
    return next((key.label for key in keys if key.action == f"offer('{verb}')"), "")


def bindings(keys: Sequence[Key]) -> list[BindingType]:
    """Return keys as Textual binds them."""
    return [Binding(key.keys, key.action, key.says, show=False) for key in keys]
