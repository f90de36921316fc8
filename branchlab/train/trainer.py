"""The shared trainer: one loop for every branch.

An explicit state (``Training``) is made, stepped and ended; the loop owns the branching, what it calls does one thing.
Losses are fetched from the device once an epoch, or about once a second for whoever watches. Restarted
from a checkpoint it goes on at the next step with the same bits as if never interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from branchlab.domain import Run, RunState
from branchlab.run_folder import Attempt, EventWriter, RunFolder
from branchlab.train import randomness
from branchlab.train.ear import TRAIN
from branchlab.train.ranks import ALONE, Ranks
from branchlab.train.resuming import resume, save
from branchlab.train.task import Task
from branchlab.train.training import Training, begin, gauges, take_step
from branchlab.train.validation import conclude, end_epoch, plain

_WATCH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a training ended: done, cancelled (a checkpoint was kept) or failed, with the reason in one line.

    One that its device had no memory for may do better alone on it. ``slices`` are final values of parts of the
    validation set.
    """

    state: RunState
    metrics: Mapping[str, float]
    steps: int
    loss_digest: str
    reason: str = ""
    is_out_of_memory: bool = False
    slices: Mapping[str, float] = field(default_factory=dict)


def train(  # noqa: PLR0913  what it trains, where it writes, when it ends
    task: Task,
    run: Run,
    folder: RunFolder,
    attempt: Attempt,
    events: EventWriter,
    *,
    should_stop: Callable[[], bool],
    checkpoint_every_s: float = 30.0,
    ranks: Ranks = ALONE,
) -> Ending:
    """Train a task as a run plans it, and write events, checkpoints and per-example results into its folder.

    ``should_stop`` is asked after every step; once true, a checkpoint is written and the training ends as cancelled.
    A loss that is not finite is an ending too. Whatever the project's own code raises passes through.
    Of several ``ranks`` the first one writes; what the others are given as events leads nowhere.
    """
    training = begin(task, run, ranks, drawn=folder.read_drawn())
    resumed = resume(training, folder)
    if resumed is None and folder.checkpoint.exists():
        events.write("warning", text="the checkpoint cannot be used, so the run starts anew")
    for note in training.data.notes:
        events.write("warning", text=note)
    _announce(training, events, resumed_at_step=resumed or 0)
    saved_at = time.monotonic()
    while not training.is_finished:
        began_at, first_step = time.monotonic(), training.step
        for loss_is_watched in epoch_steps(training):
            is_due = time.monotonic() - saved_at > checkpoint_every_s
            is_stopped, is_saved = ranks.agree(should_stop=should_stop(), should_save=is_due)
            if is_stopped:
                save(training, folder)
                return _ending(
                    training, RunState.CANCELLED, reason=f"stopped at step {training.step}"
                )
            if loss_is_watched:
                _report_step(training, events)
            if is_saved:
                save(training, folder)
                saved_at = time.monotonic()
        training.level_losses()
        reason = _loss_trouble(training)
        if reason:
            return _ending(training, RunState.FAILED, reason=reason)
        rate = (training.step - first_step) * training.batch_size / (time.monotonic() - began_at)
        with randomness.undisturbed(training.device):
            end_epoch(training, folder, attempt, events, images_per_s=rate)
    save(training, folder)
    with randomness.undisturbed(training.device):
        conclude(training, folder, attempt, events)
    return _ending(training, RunState.DONE)


def epoch_steps(training: Training) -> Iterator[bool]:
    """Take the steps that are left of the current epoch; yields after each whether it is time to report."""
    if training.epoch > training.epochs_validated:
        return  # resumed between an epoch's last step and its validation
    training.freezing.set_modes(training.share)
    training.make_room()
    done = training.step % training.steps_per_epoch
    if done:
        training.order.set_state(training.order_state)
    else:
        training.order_state = training.order.get_state()
    batches = training.data.train.batches(
        torch.randperm(len(training.data.train), generator=training.order),
        size=training.batch_size,
        first=done,
        share=training.ranks.share,
        epoch=training.epoch,
    )
    watched_at = time.monotonic()
    for _ in range(done, training.steps_per_epoch):
        if training.budget is not None and training.budget.is_spent:
            break
        is_watched = time.monotonic() - watched_at > _WATCH_EVERY_S
        is_first = training.step == 0 and training.ranks.is_first
        with (
            training.ear.during(TRAIN, looks=is_first),
            _counted(training, is_waiting=is_watched),
        ):
            take_step(training, next(batches))
        if training.budget is not None:
            training.budget.spent_s = training.ranks.of_first(training.budget.spent_s)
        if training.freezing.is_any:
            training.freezing.thaw(training.share)
        if is_watched:
            watched_at = time.monotonic()
        yield is_watched
    # What a device still has to do of this epoch is training too.
    with _counted(training, is_waiting=True):
        pass
    if training.budget is not None:
        training.budget.spent_s = training.ranks.of_first(training.budget.spent_s)


def _counted(training: Training, *, is_waiting: bool) -> AbstractContextManager[None]:
    if training.budget is None:
        return nullcontext()
    return training.budget.counting(training.device, is_waiting=is_waiting)


def _loss_trouble(training: Training) -> str:
    since = training.step - training.steps_per_epoch
    finite = torch.isfinite(training.losses[max(0, since) : training.step])
    if bool(finite.all()):
        return ""
    step = max(0, since) + int((~finite).nonzero()[0])
    value = float(training.losses[step])
    return (
        f"the loss is {value} at step {step + 1} of {training.num_steps} (epoch {training.epoch})"
    )


def _announce(training: Training, events: EventWriter, *, resumed_at_step: int) -> None:
    events.write(
        "start",
        device=str(training.device),
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
        num_parameters=sum(p.numel() for p in training.model.parameters()),
        num_train=len(training.data.train),
        num_val=len(training.data.val),
        sample_digest=training.data.sample_digest,
        targets_digest=training.data.targets_digest,
        epochs=0 if training.budget is not None else training.recipe.epochs,
        steps=0 if training.budget is not None else training.num_steps,
        resumed_at_step=resumed_at_step,
    )


def _report_step(training: Training, events: EventWriter) -> None:
    values = {"train/loss": float(training.losses[training.step - 1]), **gauges(training)}
    events.write(
        "metric",
        epoch=training.epoch,
        step=training.step,
        steps=training.num_steps,
        values=plain(values),
    )


def _ending(training: Training, state: RunState, *, reason: str = "") -> Ending:
    return Ending(
        state=state,
        metrics=training.metrics,
        steps=training.step,
        loss_digest=training.loss_digest(),
        reason=reason,
        slices=training.slices,
    )
