"""The process that trains one run: the only place where a branch's own code is imported.

It is forked from the warm parent, stands in the run's work tree, and speaks through the run folder alone. Whatever
goes wrong in the project's code becomes a failed result with one line that says why; the log keeps the traceback.
"""

from __future__ import annotations

import importlib
import inspect
import math
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from branchlab.domain import Run, RunState
from branchlab.errors import ConfigError, nearest
from branchlab.run_folder import EventWriter, RunFolder
from branchlab.train import randomness
from branchlab.train.task import Task
from branchlab.train.trainer import Ending, train

_REASON_LENGTH_MAX = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the warm parent is told to start: a planned run, where its code stands, and for how long at most."""

    ticket: int
    run_folder: Path
    attempt: int
    worktree: Path
    timeout_s: float
    visible_device: str | None = None


def work(order: Order) -> int:
    """Train the run of an order in this process and write its result; return the exit code."""
    folder = RunFolder(order.run_folder)
    run, attempt = folder.read_plan(), folder.attempt(order.attempt)
    events = EventWriter(attempt.events)
    stopping = _StopRequest()
    started = time.monotonic()
    torch.set_num_threads(run.threads)
    randomness.seed_global(run.seed, "task")
    try:
        task = load_task(run, order.worktree)
        ending = train(task, run, folder, attempt, events, should_stop=stopping)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: recorded whole in the log, in one line in the result
        if isinstance(error, ConfigError):
            sys.stderr.write(f"{error.message}\n")
        else:
            traceback.print_exc()
        reason = say_why(error, order.worktree)
        ending = Ending(state=RunState.FAILED, metrics={}, steps=0, loss_digest="", reason=reason)
    sys.stdout.flush()
    sys.stderr.flush()
    events.write("end", state=str(ending.state), reason=ending.reason)
    attempt.write_result(
        ending.state,
        reason=ending.reason,
        metrics={
            n: value if math.isfinite(value) else str(value) for n, value in ending.metrics.items()
        },
        steps=ending.steps,
        loss_digest=ending.loss_digest,
        duration_s=round(time.monotonic() - started, 3),
    )
    return 0 if ending.state is RunState.DONE else 1


class _StopRequest:
    """True once SIGTERM has come."""

    def __init__(self) -> None:
        self._is_set = False
        signal.signal(signal.SIGTERM, self._set)

    def _set(self, _number: int, _frame: object) -> None:
        self._is_set = True

    def __call__(self) -> bool:
        return self._is_set


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
