"""The command palette: every verb of the command line for what is selected, every place, every branch and run.

Textual's own palette reads help texts as markup, so everything that a repository may have named is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.markup import escape

from branchlab.terminal_text import safe_text
from branchlab.tui.frame import LabScreen
from branchlab.tui.tabs import Place
from branchlab.tui.verbs import VERBS, command_of

if TYPE_CHECKING:
    from branchlab.tui.app import BranchlabApp

_NAMED_MAX = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the palette."""

    text: str
    help: str
    run: Callable[[], object]


class Everything(Provider):
    """All that can be done from where one is."""

    async def discover(self) -> Hits:
        for entry in self._verbs():
            yield DiscoveryHit(_display(entry), entry.run, entry.text, _help(entry))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        wanted = query.lower()
        for entry in self._verbs():
            # What stands there as typed comes before what merely has its letters in order.
            is_in_text, is_in_help = wanted in entry.text.lower(), wanted in entry.help.lower()
            # The matcher gives 1 and more for some of the latter.
            score = (
                1.0 if is_in_text else 0.9 if is_in_help else min(0.8, matcher.match(entry.text))
            )
            if score > 0:
                yield Hit(score, _display(entry), entry.run, entry.text, _help(entry))
        num_named = 0
        for entry in self._named():
            # By substring: fuzzy matching of 10,000 names takes a tenth of a second.
            if wanted in entry.text.lower():
                yield Hit(0.85, _display(entry), entry.run, entry.text, _help(entry))
                num_named += 1
                if num_named == _NAMED_MAX:
                    return

    @property
    def _lab(self) -> BranchlabApp:
        return cast("BranchlabApp", self.app)

    def _verbs(self) -> Iterator[Entry]:
        screen = self.screen
        if not isinstance(screen, LabScreen):
            return
        for verb in VERBS.values():
            names = screen.names_for(verb)
            if names is None:
                continue
            try:
                said = command_of(verb, names).text
            except ValueError:
                said = " ".join(("branchlab", *verb.arguments, "…"))
            yield Entry(verb.title, said, partial(screen.offer, verb, names))
        for key in screen.KEYS:
            if key.word and not key.action.startswith("offer"):
                yield Entry(key.says, f"key {key.label}", partial(screen.run_action, key.action))
        for place in Place:
            yield Entry(f"Go to the {place}", "", partial(self._lab.go_to, place))
        yield Entry("Change the theme", "", self._lab.action_change_theme)
        yield Entry("Commands that were carried out", "key @", self._lab.action_commands)
        yield Entry("Quit; runs go on", "key q", self._lab.action_leave)

    def _named(self) -> Iterator[Entry]:
        snapshot = self._lab.snapshot
        if snapshot is None:
            return
        for branch in snapshot.status.branches:
            name = branch.standing.branch.name
            yield Entry(f"Open {name}", branch.title, partial(self._lab.open_branch, name))
        for record in snapshot.records:
            run_id = record.run.id
            yield Entry(f"Open {run_id}", record.run.branch, partial(self._lab.open_run, run_id))


def _display(entry: Entry) -> Text:
    return Text(safe_text(entry.text))


def _help(entry: Entry) -> str | None:
    return escape(safe_text(entry.help)) or None
