"""The flag put along its path: taken by each place, kept where methods read it, handed on by each call."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

import libcst as cst

from branchlab.analysis.features.syntax import Class
from branchlab.analysis.features.trees import last_name, stored_names
from branchlab.analysis.guard.bodies import condition_in
from branchlab.analysis.guard.chain import Path, is_unbound
from branchlab.analysis.guard.code import body_of, exchange, with_body
from branchlab.analysis.guard.docstrings import documented
from branchlab.analysis.guard.files import HeadFiles
from branchlab.analysis.guard.proposal import CannotGuardError
from branchlab.analysis.guard.signatures import add_field, add_parameter, pass_on, take_flag
from branchlab.analysis.guard.uses import Call, Place

Modules = dict[str, cst.Module]
_NO_INIT = {"Module", "object", "Task", "ABC", "Protocol", "Dataset", "Function", "Generic"}


class Thread:
    """Puts one flag through the modules. ``modules`` holds those that differ from the head so far."""

    def __init__(self, files: HeadFiles, modules: Modules, flag: str) -> None:
        self._files = files
        self._flag = flag
        self.modules = modules

    def along(self, path: Path, readers: Iterable[Place]) -> None:
        """Let the flag go along a path; ``readers`` are classes whose methods read it from self."""
        keeping = {*readers, *self._keepers(path.calls)}
        for call in sorted(path.calls, key=lambda one: (one.path, one.context)):
            self._hand_on(call)
        for place in sorted(path.places - path.heirs, key=lambda one: (one.path, one.symbol)):
            self._take(place, is_stored=place in keeping)
        for heir in path.heirs & keeping:
            self._take(heir, is_stored=True)

    def _change(self, path: str, symbol: str, how: Callable[[cst.CSTNode], cst.CSTNode]) -> None:
        module = self.modules.get(path) or cst.parse_module(self._files.text(path))
        self.modules[path] = exchange(module, symbol, how)

    def _keepers(self, calls: Iterable[Call]) -> set[Place]:
        """Return the classes whose other methods hand the flag on."""
        found = set()
        for call in calls:
            module = self._files.module(call.path)
            function = module.functions[call.context] if module else None
            if function is None or not function.owner or function.name == "__init__":
                continue
            if not is_unbound(function.node):
                found.add(Place(path=call.path, symbol=function.owner, is_class=True))
        return found

    def _hand_on(self, call: Call) -> None:
        module = self._files.module(call.path)
        assert module is not None
        function = module.functions[call.context]
        is_method = bool(function.owner) and not is_unbound(function.node)
        value = condition_in(function.node, self._flag, is_method=is_method)
        give = pass_on(call.spelled, self._flag, value)

        def handed(node: cst.CSTNode) -> cst.CSTNode:
            assert isinstance(node, cst.FunctionDef)
            inner = [give(one) for one in body_of(node)[1]]
            return with_body(node, inner)  # type: ignore[arg-type]

        self._change(call.path, call.context, handed)

    def _take(self, place: Place, *, is_stored: bool) -> None:
        if not place.is_class:
            self._change(
                place.path,
                place.symbol,
                lambda node: (
                    documented(add_parameter(node, self._flag), self._flag)
                    if isinstance(node, cst.FunctionDef)
                    else node
                ),
            )
            return
        module = self._files.module(place.path)
        assert module is not None
        cls = module.classes[place.symbol]
        self._check_class(cls, place)
        if is_dataclass(cls):
            self._change(place.path, place.symbol, lambda node: add_field(node, self._flag))  # type: ignore[arg-type]
            return
        inherits = any(last_name(base) not in _NO_INIT for base in cls.node.bases)

        def taking(node: cst.CSTNode) -> cst.CSTNode:
            assert isinstance(node, cst.ClassDef)
            made = take_flag(node, self._flag, is_stored=is_stored, inherits=inherits)
            return documented(made, self._flag)

        self._change(place.path, place.symbol, taking)

    def _check_class(self, cls: Class, place: Place) -> None:
        odd = [one.arg for one in cls.node.keywords if one.arg == "metaclass"]
        bases = {last_name(base) for base in cls.node.bases}
        by_hand = f"add `{self._flag}` to {place.symbol} in {place.path}, and keep it on self"
        if "__new__" in cls.methods or any(
            "__slots__" in stored_names([s]) for s in cls.statements
        ):
            raise CannotGuardError(
                f"{place.symbol} has a __new__ or __slots__ of its own, which would not know the flag",
                by_hand=by_hand,
            )
        heirs = [
            f"{other.symbol} in {path}"
            for path, module in self._files.mentioning(cls.name).items()
            for other in module.classes.values()
            if cls.name in other.bases and is_dataclass(cls)
        ]
        if heirs:
            raise CannotGuardError(
                f"{place.symbol} is a dataclass, and a field more would shift those of {heirs[0]}",
                by_hand=by_hand,
            )
        if odd or bases & {"NamedTuple", "TypedDict", "Enum", "StrEnum", "BaseModel"}:
            raise CannotGuardError(
                f"{place.symbol} makes its constructor itself ({ast.unparse(cls.node).splitlines()[0]})",
                by_hand=f"add a field `{self._flag}: bool = False` to {place.symbol} in {place.path}",
            )


def is_dataclass(cls: Class) -> bool:
    """Whether a class is decorated as a dataclass."""
    names = {
        last_name(one.func if isinstance(one, ast.Call) else one) for one in cls.node.decorator_list
    }
    return bool(names & {"dataclass", "define", "frozen"})
