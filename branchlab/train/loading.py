"""From a work tree to a task: the only place where a branch's own code is imported, and what its errors are called."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import torch

from branchlab.domain import Run
from branchlab.errors import ConfigError, nearest
from branchlab.train.task import Task

_REASON_LENGTH_MAX = 400


def load_task(run: Run, worktree: Path) -> Task:
    """Import the task from the work tree and construct it with the run's arguments and flags.

    Raises:
        ConfigError: The branch has no such task, it is no ``branchlab.Task``, or it does not take a flag.
        Exception: Whatever the project's code raises while it is imported or constructed.
    """
    sys.path.insert(0, str(worktree))
    # Work trees are reused for other commits; bytecode left in them could outlive its source.
    sys.dont_write_bytecode = True
    module_name, class_name = run.task.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (
            module_name == error.name or module_name.startswith(f"{error.name}.")
        ):
            raise ConfigError(
                f"this branch has no module '{module_name}' ([trainer] task = \"{run.task}\")"
            ) from None
        raise
    kind = getattr(module, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        found = "is missing" if kind is None else "is no subclass of branchlab.Task"
        raise ConfigError(
            f"'{class_name}' in {module_name} {found} ([trainer] task = \"{run.task}\")"
        )
    options = {**run.arguments, **run.flags}
    _check_options(kind, options)
    return kind(**options)


def _check_options(kind: type[Task], options: Mapping[str, object]) -> None:
    parameters = inspect.signature(kind).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in options:
        if name not in parameters:
            takes = ", ".join(parameters) or "none"
            raise ConfigError(
                f"{kind.__name__} takes no argument '{name}': {nearest(name, parameters)}it takes: {takes}"
            )


def say_why(error: BaseException, worktree: Path) -> str:
    """Return an exception in one line, with the innermost place in the project's own code."""
    text = " ".join(str(error).split())
    if isinstance(error, ConfigError):
        return text[:_REASON_LENGTH_MAX]
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(worktree):
            place = f" ({path.relative_to(worktree)}:{frame.lineno})"
    if (
        isinstance(error, SyntaxError)
        and error.filename
        and Path(error.filename).is_relative_to(worktree)
    ):
        text, place = error.msg, f" ({Path(error.filename).relative_to(worktree)}:{error.lineno})"
    if isinstance(error, torch.OutOfMemoryError):
        text = "the device is out of memory: " + text
    said = f"{type(error).__name__}: {text[:_REASON_LENGTH_MAX]}" if text else type(error).__name__
    return said + place
