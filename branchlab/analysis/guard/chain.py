"""The flag's path: from what reads it up to the task's constructor, by calls that reading can follow.

Only calls that the task leads to are given the flag; others (a script, a test) keep the default, which is the base.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from branchlab.analysis.features.trees import last_name
from branchlab.analysis.guard.files import HeadFiles
from branchlab.analysis.guard.proposal import CannotGuardError
from branchlab.analysis.guard.uses import Call, Place, Uses, uses_of

_PLACES_MAX = 200


@dataclass(slots=True, kw_only=True)
class Path:
    """Places that take the flag, and calls that hand it on."""

    places: set[Place] = field(default_factory=set)
    heirs: set[Place] = field(default_factory=set)
    calls: set[Call] = field(default_factory=set)


class Chain:
    """Climbs from a place to the task. ``task`` is ``module:Class``; without one a ``Task`` class or the top caller."""

    def __init__(self, files: HeadFiles, task: str) -> None:
        self._files = files
        self._task = task
        self._seen: dict[Place, Uses] = {}
        self._reaches: dict[Place, bool] = {}
        self._has_task = bool(task) or any(
            last_name(base) == "Task"
            for module in files.mentioning("Task").values()
            for cls in module.classes.values()
            for base in cls.node.bases
        )

    def path_from(self, start: Place, flag: str) -> Path:
        """Return how the flag gets to ``start``.

        Raises:
            CannotGuardError: Nothing that reading can follow leads there from the task.
        """
        if not self._climb(start):
            raise self._unreached(start, flag)
        found = Path()
        self._gather(start, found)
        for place in found.places:
            hidden = self._uses(place).indirect
            if hidden:
                raise self._hidden(place, hidden, flag)
        tops = [one for one in found.places if self._is_top(one)]
        if not self._has_task and len(tops) > 1:
            raise CannotGuardError(
                f"{start.symbol} has several callers at the top, and no task says which one trains: "
                + ", ".join(sorted(one.shown() for one in tops)),
                by_hand=f"set [trainer] task in .branchlab.toml, or pass `{flag}` to each of them by hand",
            )
        return found

    def _gather(self, place: Place, found: Path) -> None:
        if place in found.places:
            return
        found.places.add(place)
        if self._is_root(place):
            return
        uses = self._uses(place)
        for call in uses.calls:
            parent = self._parent(call)
            if parent is not None and (parent in found.places or self._climb(parent)):
                found.calls.add(call)
                self._gather(parent, found)
        for heir in uses.heirs:
            if self._climb(heir):
                found.heirs.add(heir)
                self._gather(heir, found)

    def _climb(self, place: Place) -> bool:
        if place in self._reaches:
            return self._reaches[place]
        self._reaches[place] = False
        if len(self._reaches) > _PLACES_MAX:
            return False
        if self._is_root(place):
            self._reaches[place] = True
            return True
        uses = self._uses(place)
        parents = [self._parent(call) for call in uses.calls]
        above = [*(one for one in parents if one is not None and one != place), *uses.heirs]
        reached = [self._climb(one) for one in above]
        self._reaches[place] = any(reached) or self._is_top(place)
        return self._reaches[place]

    def _is_top(self, place: Place) -> bool:
        """Whether nothing of the project calls it, where no task is known."""
        if self._has_task:
            return False
        uses = self._uses(place)
        parents = {self._parent(call) for call in uses.calls} - {None, place}
        return not parents and not uses.heirs and not uses.indirect

    def _is_root(self, place: Place) -> bool:
        if not place.is_class:
            return False
        module_name, _, class_name = self._task.partition(":")
        if class_name == place.symbol:
            stem = place.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            if stem == module_name or stem.endswith(f".{module_name}"):
                return True
        module = self._files.module(place.path)
        cls = module.classes.get(place.symbol) if module else None
        is_task = cls is not None and any(last_name(base) == "Task" for base in cls.node.bases)
        return is_task and not self._task

    def _parent(self, call: Call) -> Place | None:
        """Return what has to take the flag so that a call can hand it on."""
        if not call.context:
            return None
        module = self._files.module(call.path)
        function = module.functions.get(call.context) if module else None
        if function is None:
            return None
        if function.owner and not is_unbound(function.node):
            return Place(path=call.path, symbol=function.owner, is_class=True)
        return Place(path=call.path, symbol=call.context, is_class=False)

    def _uses(self, place: Place) -> Uses:
        if place not in self._seen:
            self._seen[place] = uses_of(self._files, place)
        return self._seen[place]

    def _unreached(self, start: Place, flag: str) -> CannotGuardError:
        top = self._task.partition(":")[2] or "a task"
        hidden = [one for place in self._reaches for one in self._uses(place).indirect]
        if hidden:
            return self._hidden(start, hidden, flag)
        ends = [p.shown() for p in self._reaches if not self._uses(p).calls and p != start]
        said = f"; the callers end at {', '.join(sorted(ends)[:3])}" if ends else ""
        return CannotGuardError(
            f"nothing that {top} calls by name leads to {start.shown()}{said}",
            by_hand=f"{_by_hand(start, flag)}, and hand it down from {top}",
        )

    def _hidden(self, place: Place, hidden: list[str], flag: str) -> CannotGuardError:
        return CannotGuardError(
            f"{place.shown()} is reached in a way that reading cannot follow: {hidden[0]}",
            by_hand=f"{_by_hand(place, flag)}, and pass it where that happens ({hidden[0].split(' ')[0]})",
        )


def _by_hand(place: Place, flag: str) -> str:
    taker = f"{place.symbol}.__init__" if place.is_class else place.symbol
    return f"add `{flag}: bool = False` to {taker} in {place.path}"


def is_unbound(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method has no instance to read the flag from."""
    names = {last_name(one) for one in node.decorator_list}
    return bool(names & {"staticmethod", "classmethod"}) or node.name in {
        "__new__",
        "__init_subclass__",
        "__class_getitem__",
    }
