"""The filter of the overview: words, and terms such as ``verdict:better !merge:conflict delta>1 age<3d``.

A term that cannot be read is said and left out, so that half a term, as it stands while one types, hides nothing.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from branchlab.domain import (
    Freshness,
    HypothesisState,
    Landed,
    MergeBack,
    Outcome,
    RunState,
)
from branchlab.errors import nearest
from branchlab.lab.next_of_branch import Step
from branchlab.tui.views import BranchView

_TERM = re.compile(r"(?P<name>[a-z]+)(?P<sign>:|>=|<=|>|<|=)(?P<value>.*)")
_AGE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[mhdw]?)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "": "days", "w": "weeks"}
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "=": operator.eq,
}  # fmt: skip
_OLD = {Freshness.BRANCH_MOVED, Freshness.MAIN_MOVED}
Test = Callable[[BranchView], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is wanted of a branch.

    Attributes:
        text: As it was typed.
        words: All of them have to occur in what is said of it; with ``True``, none may.
        tests: All of them have to hold.
        wrong: What could not be read, in a sentence; empty where all could.
    """

    text: str = ""
    words: tuple[tuple[str, bool], ...] = ()
    tests: tuple[Test, ...] = ()
    wrong: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether every branch is wanted."""
        return not self.words and not self.tests

    def wants(self, view: BranchView, said: str) -> bool:
        """Whether a branch, of which ``said`` is ``said_of``, is wanted."""
        return all((word in said) is not is_unwanted for word, is_unwanted in self.words) and all(
            test(view) for test in self.tests
        )


def parse_filter(text: str, now: datetime) -> Filter:
    """Return a filter; nothing that is typed is an error."""
    words: list[tuple[str, bool]] = []
    tests: list[Test] = []
    wrong: list[str] = []
    for part in text.casefold().split():
        is_negated = part.startswith("!")
        bare = part.removeprefix("!")
        found = _TERM.fullmatch(bare)
        if found is None or found["name"] not in (*_CHOICES, *_NUMBERS, "age", "flag"):
            if bare:
                words.append((bare, is_negated))
            if found is not None:
                known = (*_CHOICES, *_NUMBERS, "age", "flag")
                # A branch or a note may hold a colon: the word is looked for, and the doubt said.
                wrong.append(
                    f"no term is called {found['name']}; {nearest(found['name'], known)}{', '.join(known)}"
                )
            continue
        if not found["value"]:
            wrong.append(_hint(found["name"]))
            continue
        test = _test(found["name"], found["sign"], found["value"], now)
        if isinstance(test, str):
            wrong.append(test)
        else:
            tests.append(_not(test) if is_negated else test)
    return Filter(text=text, words=tuple(words), tests=tuple(tests), wrong="; ".join(wrong[:1]))


def said_of(view: BranchView) -> str:
    """Return all in which words are looked for: name, title, subject, notes, and the states as the table says them."""
    states = {run.state for run in view.runs}
    landed, conflicts = view.landed, view.conflicts
    said: list[str] = [view.name, view.title, view.subject, *view.notes, *states]
    if landed is not Landed.NO:
        said.append(landed)
    elif conflicts or conflicts is None:
        said.append("conflict" if conflicts else "unknown")
    if view.merge_back is not None:
        said.append(view.merge_back)
    if view.verdict is not None:
        said.append(view.verdict.outcome)
    if view.freshness in _OLD:
        said.append("old")
    if view.is_stale:
        said.append("stale")
    if not states:
        said.append("no runs")
    return "\n".join(said).casefold()


def _test(name: str, sign: str, value: str, now: datetime) -> Test | str:
    """Return what a term tests, or what is wrong with it."""
    if name == "flag":
        return lambda view: any(value in flag.casefold() for flag in view.flags)
    if name == "age":
        return _age_test(sign, value, now)
    if name in _NUMBERS:
        return _number_test(name, sign, value)
    known, values_of = _CHOICES[name]
    if sign not in {":", "="}:
        return f"{name} is compared with a colon: {name}:{known[0]}"
    wanted = {value} if value in known else {one for one in known if one.startswith(value)}
    if not wanted:
        return f"{name} is one of {', '.join(known)}"
    return lambda view: not wanted.isdisjoint(values_of(view))


def _number_test(name: str, sign: str, value: str) -> Test | str:
    compare, value_of = _SIGNS.get("=" if sign == ":" else sign), _NUMBERS[name]
    try:
        wanted = float(value.rstrip("%pt"))
    except ValueError:
        return f"{name} is compared with a number: {name}>0.8"
    assert compare is not None
    return lambda view: (found := value_of(view)) is not None and compare(found, wanted)


def _age_test(sign: str, value: str, now: datetime) -> Test | str:
    found = _AGE.fullmatch(value)
    compare = _SIGNS.get(sign)
    if found is None or compare is None:
        return "age is compared with a time: age<3d (m, h, d or w)"
    try:
        wanted = timedelta(**{_UNITS[found["unit"]]: float(found["number"])})
    except OverflowError:
        return "age is compared with a time: age<3d (m, h, d or w)"

    def test(view: BranchView) -> bool:
        if view.last_commit_at is None:
            return False
        return compare((now - view.last_commit_at).total_seconds(), wanted.total_seconds())

    return test


def _not(test: Test) -> Test:
    return lambda view: not test(view)


def _hint(name: str) -> str:
    """Return what may follow a term's name."""
    if name in _CHOICES:
        return f"{name}: {', '.join(_CHOICES[name][0])}"
    return {"flag": "flag: a flag's name", "age": "age<3d (m, h, d or w)"}.get(
        name, f"{name}>, {name}< or {name}= a number"
    )


def _states(view: BranchView) -> set[str]:
    found = {
        str(run.state) for run in view.runs if run.run.id in view.counted or run in view.open_runs
    }
    return found or {"none"}


def _landed(view: BranchView) -> set[str]:
    is_in = view.landed.is_settled or view.merge_back is MergeBack.LANDED
    return {str(view.landed), "yes"} if is_in else {str(view.landed)}


def _merge(view: BranchView) -> set[str]:
    if view.landed.is_settled:
        return {"landed"}
    if view.conflicts is None:
        return {"unknown"}
    return {"conflict" if view.conflicts else "clean"}


def _freshness(view: BranchView) -> set[str]:
    found = {"current" if view.freshness is Freshness.CURRENT else str(view.freshness)}
    if view.freshness in _OLD:
        found.add("old")
    return found | ({"stale"} if view.is_stale else set())


def _delta(view: BranchView) -> float | None:
    """Return the difference in the unit that the table says it in: points where the metric is a share."""
    if view.verdict is None or view.verdict.difference is None:
        return None
    return view.verdict.difference * (100.0 if view.verdict.is_share else 1.0)


_CHOICES: Mapping[str, tuple[Sequence[str], Callable[[BranchView], set[str]]]] = {
    "status": ((*RunState, "none"), _states),
    "verdict": (
        (*Outcome, "none"),
        lambda view: {str(view.verdict.outcome) if view.verdict else "none"},
    ),
    "merge": (("conflict", "clean", "unknown", "landed"), _merge),
    "hyp": (
        (*HypothesisState, "none"),
        lambda view: {str(one.state) for one in view.hypotheses} or {"none"},
    ),
    "landed": ((*Landed, "yes"), _landed),
    "fresh": (("current", "old", "stale", "branch-moved", "main-moved", "none"), _freshness),
    "back": (
        (*MergeBack, "unread"),
        lambda view: {str(view.merge_back) if view.merge_back else "unread"},
    ),
    "next": (tuple(Step), lambda view: {str(view.next.step)} if view.next else set()),
}
_NUMBERS: Mapping[str, Callable[[BranchView], float | None]] = {
    "best": lambda view: view.mean,
    "delta": _delta,
    "seeds": lambda view: float(view.count(RunState.DONE)),
    "ahead": lambda view: view.main.ahead if view.main else None,
    "behind": lambda view: view.main.behind if view.main else None,
}
