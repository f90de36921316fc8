"""What a project holds between two steps: every value that could decide the next one, by the name that its source gives it.

A checkpoint has the model's state, the optimiser's and the generators'. Whatever else changes while training, a counter of
the task, a buffer that is not persistent, a generator of one's own, begins anew after a resume. Held against a training
that was not interrupted, the values that differ name what a checkpoint lacks.
"""

from __future__ import annotations

import ast
import itertools
import random
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Set
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
        self._lines: dict[Path, dict[str, int]] = {}
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
                    place = self._place(type(module), key)
                    yield [f"{name}.{prefix}{key}", "buffer", digest(buffer), place]
            for key, value in vars(module).items():
                if key not in _OF_MODULES:
                    yield from self._of_value(value, f"{name}.{prefix}{key}", type(module), depth=1)

    def _of_object(self, held: object, name: str, *, depth: int) -> Iterator[Row]:
        self._seen.add(id(held))
        for key, value in vars(held).items():
            yield from self._of_value(value, f"{name}.{key}", type(held), depth=depth)

    def _of_value(
        self,
        value: object,
        name: str,
        owner: type,
        *,
        depth: int,
    ) -> Iterator[Row]:
        found, key = describe(value), name.rpartition(".")[2]
        if found is not None:
            yield [name, *found, self._place(owner, key)]
        elif isinstance(value, nn.Module) and id(value) not in self._seen:
            yield [name, "value", digest(value.state_dict()), self._place(owner, key)]
            yield from self._of_module(value, name)
        elif depth < _DEPTH_MAX and id(value) not in self._seen and self._is_own(type(value)):
            yield from self._of_object(value, name, depth=depth + 1)

    def _of_project(self) -> Iterator[Row]:
        """Give the values of the project's modules and of the classes in them."""
        for name, module in sorted(sys.modules.items()):
            if self._path_of(module) is None:
                continue
            for key, value in list(vars(module).items()):
                if isinstance(value, type) and value.__module__ == name:
                    yield from self._of_class(value, f"{name}.{key}")
                elif not key.startswith("__") and (found := describe(value)) is not None:
                    yield [f"{name}.{key}", *found, self._place(module, key)]

    def _of_class(self, kind: type, name: str) -> Iterator[Row]:
        for key, value in list(vars(kind).items()):
            if not key.startswith("__") and (found := describe(value)) is not None:
                yield [f"{name}.{key}", *found, self._place(kind, key)]

    def _is_own(self, kind: type) -> bool:
        return self._path_of(sys.modules.get(kind.__module__)) is not None

    def _path_of(self, module: ModuleType | None) -> Path | None:
        """Return where a module of the project lies in it; None for any other."""
        path = getattr(module, "__file__", None)
        if not path or not Path(path).is_relative_to(self._worktree):
            return None
        return Path(path).relative_to(self._worktree)

    def _place(self, owner: type | ModuleType, name: str) -> str:
        """Return the line that changes a value of a class or a module last, as far as reading tells."""
        for one in owner.__mro__ if isinstance(owner, type) else [owner]:
            module = one if isinstance(one, ModuleType) else sys.modules.get(one.__module__)
            path = self._path_of(module)
            if path is not None:
                line = self._lines_of(path).get(name, 0)
                return f"{path}:{line}" if line else str(path)
        return ""

    def _lines_of(self, path: Path) -> dict[str, int]:
        if path not in self._lines:
            try:
                self._lines[path] = lines_that_set((self._worktree / path).read_bytes())
            except (OSError, SyntaxError, ValueError):
                self._lines[path] = {}
        return self._lines[path]


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


def lines_that_set(source: bytes) -> dict[str, int]:
    """Return the last line that assigns to each name or attribute; of a buffer the one that registers it."""
    found: dict[str, int] = {}
    buffers: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (name for target in targets for name in _names(target)):
                found[name] = max(node.lineno, found.get(name, 0))
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "register_buffer":
            named = [one.value for one in node.args[:1] if isinstance(one, ast.Constant)]
            buffers |= {str(name): node.lineno for name in named}
    return found | buffers


def _names(target: ast.AST) -> list[str]:
    match target:
        case ast.Subscript() | ast.Starred():
            return _names(target.value)
        case ast.Tuple() | ast.List():
            return [name for one in target.elts for name in _names(one)]
        case ast.Attribute():
            return [target.attr]
        case ast.Name():
            return [target.id]
        case _:
            return []
