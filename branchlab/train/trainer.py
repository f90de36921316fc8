"""The shared trainer: one loop for every branch.

An explicit state (``Training``) is made, stepped and ended; the loop owns the branching, what it calls does one thing.
Losses are fetched from the device once an epoch, or about once a second for whoever watches. Restarted
from a checkpoint it goes on at the next step with the same bits as if never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from branchlab.domain import Run, RunState
from branchlab.run_folder import Attempt, EventWriter, RunFolder
from branchlab.train import randomness
from branchlab.train.checkpoint import load_tensors, save_tensors
from branchlab.train.pictures import save_picture
from branchlab.train.ranks import ALONE, Ranks
from branchlab.train.task import Task
from branchlab.train.training import Training, autocast, begin, evaluate, in_layout, take_step

_WATCH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a training ended: done, cancelled (a checkpoint was kept) or failed, with the reason in one line.

    One that its device had no memory for may do better alone on it.
    """

    state: RunState
    metrics: Mapping[str, float]
    steps: int
    loss_digest: str
    reason: str = ""
    is_out_of_memory: bool = False


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
    training = begin(task, run, ranks)
    resumed = _resume(training, folder)
    if resumed is None and folder.checkpoint.exists():
        events.write("warning", text="the checkpoint cannot be used, so the run starts anew")
    _announce(training, events, resumed_at_step=resumed or 0)
    saved_at = time.monotonic()
    while not training.is_finished:
        began_at, first_step = time.monotonic(), training.step
        for loss_is_watched in epoch_steps(training):
            is_due = time.monotonic() - saved_at > checkpoint_every_s
            is_stopped, is_saved = ranks.agree(should_stop=should_stop(), should_save=is_due)
            if is_stopped:
                _save(training, folder)
                return _ending(
                    training, RunState.CANCELLED, reason=f"stopped at step {training.step}"
                )
            if loss_is_watched:
                _report_step(training, events)
            if is_saved:
                _save(training, folder)
                saved_at = time.monotonic()
        training.level_losses()
        reason = _loss_trouble(training)
        if reason:
            return _ending(training, RunState.FAILED, reason=reason)
        rate = (training.step - first_step) * training.batch_size / (time.monotonic() - began_at)
        is_last = training.is_trained
        with randomness.undisturbed(training.device):
            training.metrics = _validate(training, attempt, is_last=is_last)
        training.epochs_validated, training.validated_step = training.epoch, training.step
        _report_epoch(training, events, images_per_s=rate)
        if ranks.is_first and (training.epochs_validated == 1 or is_last):
            with randomness.undisturbed(training.device):
                _draw(training, folder, events)
    _save(training, folder)
    return _ending(training, RunState.DONE)


def epoch_steps(training: Training) -> Iterator[bool]:
    """Take the steps that are left of the current epoch; yields after each whether it is time to report."""
    if training.epoch > training.epochs_validated:
        return  # resumed between an epoch's last step and its validation
    training.model.train()
    training.make_room()
    done = training.step % training.steps_per_epoch
    if done:
        training.order.set_state(training.order_state)
    else:
        training.order_state = training.order.get_state()
    rows = torch.randperm(len(training.data.train), generator=training.order).to(training.device)
    size = training.batch_size
    watched_at = time.monotonic()
    for number in range(done, training.steps_per_epoch):
        if training.budget is not None and training.budget.is_spent:
            break
        is_watched = time.monotonic() - watched_at > _WATCH_EVERY_S
        with _counted(training, is_waiting=is_watched):
            share = training.ranks.share(rows[number * size : (number + 1) * size])
            take_step(training, training.data.train.batch(share))
        if training.budget is not None:
            training.budget.spent_s = training.ranks.of_first(training.budget.spent_s)
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


def _validate(training: Training, attempt: Attempt, *, is_last: bool) -> dict[str, float]:
    values = evaluate(training, training.data.val)
    metrics = _means("val", values)
    since = training.step - training.steps_per_epoch
    metrics["train/loss"] = float(
        training.losses[max(0, since) : training.step].cpu().double().mean()
    )
    if is_last and training.ranks.is_first:
        per_example = {name: value.cpu() for name, value in values.items() if name != "loss"}
        save_tensors(attempt.val_examples, {"ids": training.data.val.ids.cpu(), **per_example})
    if is_last and training.data.test is not None:
        metrics |= _means("test", evaluate(training, training.data.test))
    return metrics


def _means(split: str, values: Mapping[str, Tensor]) -> dict[str, float]:
    # float64 on the CPU: MPS has no float64, and a mean of a million booleans in float32 loses digits.
    return {f"{split}/{name}": float(value.cpu().double().mean()) for name, value in values.items()}


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
        epochs=0 if training.budget is not None else training.recipe.epochs,
        steps=0 if training.budget is not None else training.num_steps,
        resumed_at_step=resumed_at_step,
    )


def _report_step(training: Training, events: EventWriter) -> None:
    loss = float(training.losses[training.step - 1])
    value = loss if math.isfinite(loss) else str(loss)
    events.write(
        "metric",
        epoch=training.epoch,
        step=training.step,
        steps=training.num_steps,
        values={"train/loss": value},
    )


def _report_epoch(training: Training, events: EventWriter, *, images_per_s: float) -> None:
    values = {
        name: value if math.isfinite(value) else str(value)
        for name, value in training.metrics.items()
    }
    events.write(
        "epoch",
        epoch=training.epoch,
        step=training.step,
        steps=training.num_steps,
        values=values,
        images_per_s=round(images_per_s, 1),
        **_device_memory(training.device),
    )


def _device_memory(device: torch.device) -> dict[str, float]:
    """Return what the run has reserved on its GPU at most, by name; nothing where it has none."""
    if device.type != "cuda":
        return {}
    return {"device_memory_gib": round(torch.cuda.max_memory_reserved(device) / 2**30, 3)}


def _draw(training: Training, folder: RunFolder, events: EventWriter) -> None:
    """Save what the task wants to be looked at; a picture that fails is said and hurts nothing."""
    batch = training.task.prepare(training.data.val.slice(0, training.recipe.batch_size))
    training.model.eval()
    try:
        with torch.inference_mode(), autocast(training):
            outputs = training.task.forward(training.model, in_layout(batch, training.recipe))
            pictures = training.task.pictures(outputs, batch)
        for name, picture in pictures.items():
            path = save_picture(folder.pictures, f"{name}-epoch{training.epoch:04d}", picture)
            events.write("picture", name=name, epoch=training.epoch, file=path.name)
    except Exception as error:  # noqa: BLE001  the project's own drawing code; recorded, never fatal
        events.write("warning", text=f"no pictures: {type(error).__name__}: {error}"[:500])


def _save(training: Training, folder: RunFolder) -> None:
    training.level_losses()
    streams = [randomness.snapshot(training.device), training.augmenting.get_state()]
    own, *others = training.ranks.gather(streams) or [streams]
    if not training.ranks.is_first:
        return
    document = {
        "model": training.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "schedule": training.schedule.state_dict(),
        "random": own[0],
        "augmenting": own[1],
        "order_state": training.order_state,
        "order": training.order.get_state(),
        "losses": training.losses[: training.step].clone(),
        "step": training.step,
        "epochs_validated": training.epochs_validated,
        "validated_step": training.validated_step,
        "budget": training.budget.state_dict() if training.budget is not None else None,
        "metrics": training.metrics,
        **({"other_ranks": others} if others else {}),
    }
    save_tensors(folder.checkpoint, document)


def _resume(training: Training, folder: RunFolder) -> int | None:
    """Go on from the run's checkpoint; return its step, or None when there is none that serves."""
    saved = load_tensors(folder.checkpoint)
    if saved is None or not _serves(saved, training):
        return None
    training.model.load_state_dict(saved["model"])
    training.optimizer.load_state_dict(saved["optimizer"])
    training.schedule.load_state_dict(saved["schedule"])
    training.order_state = saved["order_state"]
    training.order.set_state(saved["order"])
    training.num_levelled = training.step = saved["step"]
    training.epochs_validated = saved["epochs_validated"]
    training.validated_step = saved["validated_step"]
    if training.budget is not None:
        training.budget.load_state_dict(saved["budget"])
    training.make_room()
    training.losses[: training.step] = saved["losses"].to(training.device)
    training.metrics = saved["metrics"]
    every_rank = [[saved["random"], saved["augmenting"]], *saved.get("other_ranks", ())]
    random, augmenting = every_rank[training.ranks.rank]
    training.augmenting.set_state(augmenting)
    randomness.restore(random, training.device)
    return training.step


def _serves(saved: Mapping[str, Any], training: Training) -> bool:
    """Whether a document is a checkpoint of this training, of this version."""
    if len(saved.get("other_ranks", ())) != training.ranks.size - 1:
        return False
    if "validated_step" not in saved or (saved["budget"] is None) != (training.budget is None):
        return False
    return training.budget is not None or saved["step"] <= training.num_steps


def _ending(training: Training, state: RunState, *, reason: str = "") -> Ending:
    return Ending(
        state=state,
        metrics=training.metrics,
        steps=training.step,
        loss_digest=training.loss_digest(),
        reason=reason,
    )
