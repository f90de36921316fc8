"""What a project holds between two steps: every value that could decide the next one, by the name that its source gives it.

A checkpoint has the model's state, the optimiser's and the generators'. Whatever else changes while training, a counter of
the task, a buffer that is not persistent, a generator of one's own, begins anew after a resume. Held against a training
that was not interrupted, the values that differ name what a checkpoint lacks.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from branchlab.train.digests import digest

_OF_MODULES = frozenset(vars(nn.Module()))
_DEPTH_MAX = 3
_LENGTH_MAX = 60
_ENTRIES_MAX = 10_000
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
Row = list[str]
"""[name, what it is: ``buffer``, ``generator``, ``value``; its value, place in the source]"""


class Holdings:
    """Looks through a task, its model and the modules of its project.

    Args:
        task: The task.
        model: The model that is trained.
        worktree: Where the project's code lies.
    """

    def __init__(self, task: object, model: nn.Module, worktree: Path) -> None:
        self._task, self._model, self._worktree = task, model, worktree
        self._trees: dict[str, ast.Module | None] = {}
        self._seen: set[int] = set()

    def rows(self) -> list[Row]:
        """Return everything that is held now and can be told apart, in a fixed order."""
        self._seen = {id(self._model)}
        of_model = list(self._of_module(self._model, "model"))
        of_task = list(self._of_object(self._task, type(self._task).__name__, depth=0))
        return [*of_model, *of_task, *self._of_project()]

    def _of_module(self, model: nn.Module, name: str) -> Iterator[Row]:
        kept = set(model.state_dict())
        for path, module in model.named_modules():
            self._seen.add(id(module))
            prefix = f"{path}." if path else ""
            for key, buffer in module.named_buffers(recurse=False):
                if f"{prefix}{key}" not in kept:
                    place = self._place(type(module), _registers(key))
                    yield [f"{name}.{prefix}{key}", "buffer", digest(buffer), place]
            for key, value in vars(module).items():
                if key not in _OF_MODULES:
                    yield from self._of_value(
                        value, f"{name}.{prefix}{key}", (type(module), _sets(key)), depth=1
                    )

    def _of_object(self, held: object, name: str, *, depth: int) -> Iterator[Row]:
        self._seen.add(id(held))
        for key, value in vars(held).items():
            yield from self._of_value(value, f"{name}.{key}", (type(held), _sets(key)), depth=depth)

    def _of_value(
        self,
        value: object,
        name: str,
        source: tuple[type, Callable[[ast.AST], bool]],
        *,
        depth: int,
    ) -> Iterator[Row]:
        found = describe(value)
        if found is not None:
            yield [name, *found, self._place(*source)]
        elif isinstance(value, nn.Module) and id(value) not in self._seen:
            yield [name, "value", digest(value.state_dict()), self._place(*source)]
            yield from self._of_module(value, name)
        elif depth < _DEPTH_MAX and id(value) not in self._seen and self._is_own(type(value)):
            yield from self._of_object(value, name, depth=depth + 1)

    def _of_project(self) -> Iterator[Row]:
        """Give the values of the project's modules and of the classes in them."""
        for name, module in sorted(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if not path or not Path(path).is_relative_to(self._worktree):
                continue
            for key, value in list(vars(module).items()):
                if isinstance(value, type) and value.__module__ == name:
                    yield from self._of_class(value, f"{name}.{key}")
                elif not key.startswith("__") and (found := describe(value)) is not None:
                    yield [f"{name}.{key}", *found, self._place(module, _binds(key))]

    def _of_class(self, kind: type, name: str) -> Iterator[Row]:
        for key, value in list(vars(kind).items()):
            if not key.startswith("__") and (found := describe(value)) is not None:
                yield [f"{name}.{key}", *found, self._place(kind, _sets(key))]

    def _is_own(self, kind: type) -> bool:
        module = sys.modules.get(kind.__module__)
        path = getattr(module, "__file__", None)
        return bool(path) and Path(str(path)).is_relative_to(self._worktree)

    def _place(self, owner: type | ModuleType, is_it: Callable[[ast.AST], bool]) -> str:
        """Return the line that changes a value last, as far as reading tells; else that of its owner."""
        for one in owner.__mro__ if isinstance(owner, type) else [owner]:
            try:
                path = inspect.getsourcefile(one) or ""
                line = 1 if isinstance(one, ModuleType) else inspect.getsourcelines(one)[1]
            except (TypeError, OSError):
                continue
            if not Path(path).is_relative_to(self._worktree):
                continue
            tree = self._tree(path)
            lines = [node.lineno for node in ast.walk(tree) if is_it(node)] if tree else []  # type: ignore[attr-defined]
            return f"{Path(path).relative_to(self._worktree)}:{max(lines, default=line)}"
        return ""

    def _tree(self, path: str) -> ast.Module | None:
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(Path(path).read_bytes())
            except (OSError, SyntaxError, ValueError):
                self._trees[path] = None
        return self._trees[path]


def describe(value: object) -> list[str] | None:
    """Return what a value is and a text that is equal for equal values; None where it cannot be told."""
    if isinstance(value, torch.Generator):
        return ["generator", digest(value.get_state())]
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return ["generator", digest(value.getstate())]
    if isinstance(value, np.random.Generator):
        return ["generator", digest(repr(value.bit_generator.state))]
    if isinstance(value, np.random.RandomState):
        return ["generator", digest(repr(value.get_state(legacy=False)))]
    text = _text(value, depth=0)
    if text is None:
        return None
    return ["value", text if len(text) <= _LENGTH_MAX else f"#{digest(text)}"]


def _text(value: object, *, depth: int) -> str | None:
    if isinstance(value, (*_PLAIN, itertools.count)):
        return repr(value)
    if isinstance(value, Tensor | np.ndarray):
        tensor = torch.as_tensor(value) if _is_numeric(value) else None
        return None if tensor is None else f"tensor {digest(tensor)}"
    if depth >= _DEPTH_MAX or not isinstance(value, Mapping | Set | list | tuple | deque):
        return None
    if len(value) > _ENTRIES_MAX:
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, Mapping):
        pairs = [(repr(key), _text(one, depth=depth + 1)) for key, one in list(value.items())]
        return "{" + ", ".join(f"{key}: {one}" for key, one in pairs) + "}"
    parts = [str(_text(one, depth=depth + 1)) for one in list(value)]
    return (
        f"{type(value).__name__}({', '.join(sorted(parts) if isinstance(value, Set) else parts)})"
    )


def _is_numeric(value: Tensor | np.ndarray) -> bool:
    return isinstance(value, Tensor) or value.dtype.kind in "biufc"


def _sets(name: str) -> Callable[[ast.AST], bool]:
    """Return whether a node sets an attribute of some name."""

    def is_it(node: ast.AST) -> bool:
        targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
        is_assignment = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        return is_assignment and any(_names(target, name) for target in targets)

    return is_it


_binds = _sets


def _names(target: ast.AST | None, name: str) -> bool:
    if isinstance(target, ast.Subscript):
        return _names(target.value, name)
    if isinstance(target, ast.Tuple | ast.List):
        return any(_names(one, name) for one in target.elts)
    return name in (getattr(target, "attr", None), getattr(target, "id", None))


def _registers(name: str) -> Callable[[ast.AST], bool]:
    """Return whether a node registers a buffer of some name."""

    def is_it(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", None) == "register_buffer"
            and any(isinstance(one, ast.Constant) and one.value == name for one in node.args)
        )

    return is_it
