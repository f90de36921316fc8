"""``python -m branchlab.train.attached``: a training with the terminal as its own, for a debugger or a prompt."""

from __future__ import annotations

import code
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from branchlab.domain import Run
from branchlab.errors import ConfigError, nearest
from branchlab.run_folder import EventWriter, RunFolder
from branchlab.train import randomness
from branchlab.train.loading import load_task
from branchlab.train.trainer import epoch_steps, train
from branchlab.train.training import Training, begin

_BANNER = (
    "one step of {branch} has been taken: task, model, batch (augmented), outputs, loss, training, torch\n"
    "Ctrl-D ends"
)


def main(words: list[str]) -> int:
    """Carry out what is asked for; return the exit code."""
    folder, worktree, what, step, module = RunFolder(Path(words[0])), Path(words[1]), *words[2:5]
    run = folder.read_plan()
    os.chdir(worktree)
    torch.set_num_threads(max(run.threads, torch.get_num_threads()))
    randomness.seed_global(run.seed, "task")
    try:
        if what == "debug":
            return _train(run, folder, worktree)
        training = _begin(run, folder, worktree, int(step))
        steps = epoch_steps(training)
        if what == "break":
            with _breaking(training.model, module):
                next(steps)
        else:
            _talk(run, training, steps)
    except ConfigError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    return 0


def _train(run: Run, folder: RunFolder, worktree: Path) -> int:
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True, exist_ok=True)
    events = EventWriter(attempt.events)
    task = load_task(run, worktree)
    ending = train(task, run, folder, attempt, events, should_stop=lambda: False)
    for name, value in ending.metrics.items():
        sys.stdout.write(f"{name} {value:.4f}\n")
    sys.stdout.write(f"{ending.state} after {ending.steps} steps {ending.reason}\n")
    return 0


def _begin(run: Run, folder: RunFolder, worktree: Path, step: int) -> Training:
    """Return the training before the step that is asked for.

    Raises:
        ConfigError: The training is shorter.
    """
    training = begin(load_task(run, worktree), run, drawn=folder.read_drawn())
    if step > training.num_steps:
        raise ConfigError(f"--at step={step}: the training has {training.num_steps} steps")
    while training.step < step - 1:
        for _ in epoch_steps(training):
            if training.step >= step - 1:
                break
        else:
            training.epochs_validated = training.epoch
    return training


@contextlib.contextmanager
def _breaking(model: nn.Module, name: str) -> Iterator[None]:
    """Open the debugger when a module is entered.

    Raises:
        ConfigError: There is no such module.
    """
    modules = dict(model.named_modules())
    if name not in modules:
        known = [one for one in modules if one]
        raise ConfigError(
            f"the model has no module '{name}': {nearest(name, known)}it has {', '.join(known[:12])}"
        )
    module = modules[name]
    forward = module.forward

    def at_forward(*inputs: Any, **named: Any) -> Any:  # noqa: ANN401  the module's own
        sys.stderr.write(
            f"--- {name} ({type(module).__name__}): `inputs` hold what enters; step into `forward`\n"
        )
        breakpoint()  # noqa: T100  this is what was asked for
        return forward(*inputs, **named)

    module.forward = at_forward
    with torch.compiler.set_stance("force_eager"):
        yield


def _talk(run: Run, training: Training, steps: Iterator[bool]) -> None:
    """Take the step, then give a prompt with all that was live in it."""
    seen: dict[str, Any] = {
        "task": training.task,
        "model": training.model,
        "training": training,
        "torch": torch,
    }
    task = training.task
    forward, loss_of = task.forward, task.loss

    def forwarding(model: nn.Module, batch: Any) -> Any:  # noqa: ANN401
        seen["batch"] = batch
        seen["outputs"] = forward(model, batch)
        return seen["outputs"]

    def losing(outputs: Any, batch: Any) -> Any:  # noqa: ANN401
        seen["loss"] = loss_of(outputs, batch)
        return seen["loss"]

    object.__setattr__(task, "forward", forwarding)
    object.__setattr__(task, "loss", losing)
    next(steps)
    object.__delattr__(task, "forward")
    object.__delattr__(task, "loss")
    code.interact(banner=_BANNER.format(branch=run.branch), local=seen, exitmsg="")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
