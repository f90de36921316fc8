"""The keys of all screens: each does something, none means two things, and the same letter means the same."""

from __future__ import annotations

import re

import pytest

from branchlab.tui import screen_keys
from branchlab.tui.app import BranchlabApp
from branchlab.tui.branch_screen import BranchScreen
from branchlab.tui.branches_screen import BranchesScreen
from branchlab.tui.commands_screen import CommandsScreen
from branchlab.tui.compare_screen import CompareScreen
from branchlab.tui.help_screen import help_rows
from branchlab.tui.journal_screen import JournalScreen
from branchlab.tui.keys import GLOBAL, PLACES
from branchlab.tui.looks import plain
from branchlab.tui.map_screen import MapScreen
from branchlab.tui.run_screen import RunScreen
from branchlab.tui.runs_screen import RunsScreen
from branchlab.tui.verbs import VERBS

SCREENS = (
    BranchesScreen, BranchScreen, RunsScreen, RunScreen, CompareScreen, MapScreen, JournalScreen, CommandsScreen,
)  # fmt: skip
OF_THEIR_OWN = {"stop", "interrupt", "pair"}
"""Verbs that a screen turns into others, about the runs that are meant."""


def names(keys):
    return [name for key in keys for name in key.keys.split(",")]


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_does_something_and_only_one_thing(screen):
    own = names(screen.KEYS)
    assert own
    assert len(own) == len(set(own))
    for key in (*screen.KEYS, *GLOBAL, *PLACES):
        called, _, _ = key.action.partition("(")
        where, _, what = called.rpartition(".")
        holder = BranchlabApp if where == "app" else screen
        assert hasattr(holder, f"action_{what}"), (key.label, key.action)
        verb = re.fullmatch(r"offer\('(.+)'\)", key.action)
        if verb:
            assert verb[1] in {*VERBS, *OF_THEIR_OWN}, key.label


@pytest.mark.parametrize("screen", SCREENS)
def test_what_asks_first_is_a_capital_and_nothing_else_is(screen):
    for key in screen.KEYS:
        asks = key.word.endswith("…") or key.action.startswith("offer(")
        is_capital = len(key.label) == 1 and key.label.isupper()
        assert is_capital or not asks, key.label


def test_a_verb_has_the_same_capital_on_every_screen():
    found: dict[str, set[str]] = {}
    for screen in SCREENS:
        for key in screen.KEYS:
            verb = re.fullmatch(r"offer\('(.+)'\)", key.action)
            if verb:
                found.setdefault(verb[1], set()).add(key.label)
    assert {verb: labels for verb, labels in found.items() if len(labels) > 1} == {}


@pytest.mark.parametrize("screen", SCREENS)
def test_the_help_lists_every_key(screen):
    shown = [plain(row.cells[0]) for row in help_rows(screen.KEYS)]
    assert {key.label for key in (*screen.KEYS, *GLOBAL, *PLACES)} <= set(shown)


def test_every_list_of_keys_belongs_to_a_screen():
    lists = {id(v) for name, v in vars(screen_keys).items() if name.isupper() and name[0] != "_"}
    assert lists == {id(screen.KEYS) for screen in SCREENS}
