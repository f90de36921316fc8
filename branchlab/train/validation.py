"""What happens at the end of an epoch: validation, the best weights so far, what is drawn and reported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from branchlab.errors import ConfigError, nearest
from branchlab.run_folder import Attempt, EventWriter, RunFolder, write_examples
from branchlab.train.checkpoint import load_tensors, save_tensors
from branchlab.train.ear import TEST, TRAIN, VAL
from branchlab.train.entering import draw_entered
from branchlab.train.pictures import keep_seen, save_picture
from branchlab.train.recipe import Recipe
from branchlab.train.slices import slices_of
from branchlab.train.task import Task
from branchlab.train.training import Training, autocast, evaluate, gauges, in_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray


def end_epoch(
    training: Training,
    folder: RunFolder,
    attempt: Attempt,
    events: EventWriter,
    *,
    images_per_s: float,
) -> None:
    """Validate where it is time for it, keep the weights if they are the best so far, and report."""
    is_last, epoch = training.is_trained, training.epoch
    since = max(0, training.step - training.steps_per_epoch)
    values = {"train/loss": float(training.losses[since : training.step].cpu().double().mean())}
    values |= gauges(training)
    values = _with_heard(training, TRAIN, values)
    training.epochs_validated = epoch
    is_best = False
    if is_last or epoch % training.recipe.validate_every == 0:
        values |= _validate(training)
        is_best = _hold_against_best(training, values)
        training.validated_step = training.step
        # Patience may end the training here, so that this was the last validation.
        is_last = training.is_trained
        if is_last and not _returns_to_best(training):
            values |= _judge_finally(training, attempt)
    training.metrics = {**training.metrics, **values}
    if is_best and training.ranks.is_first:
        save_tensors(folder.best_checkpoint, _best_document(training))
    _report_epoch(training, events, values, is_best=is_best, images_per_s=images_per_s)
    if training.ranks.is_first and (epoch == 1 or is_last):
        if _has_pictures(training):
            _draw(training, folder, events)
        elif training.entered is not None:
            draw_entered(training.entered, folder, events, epoch=epoch)
    keep_seen(training.ear, folder, events, epoch=epoch)


def _validate(training: Training) -> dict[str, float]:
    number = training.epoch // training.recipe.validate_every
    is_due = training.is_trained or is_time_to_look(number)
    with training.ear.during(VAL, looks=training.ranks.is_first and is_due):
        training.val = evaluate(training, training.data.val)
    return _with_heard(training, VAL, _means("val", training.val))


def is_time_to_look(number: int) -> bool:
    """Whether pictures are kept of a validation by its number: of 1, 2, 4, 8 and so on, so few of a long training."""
    return number & (number - 1) == 0


def _with_heard(training: Training, phase: str, values: dict[str, float]) -> dict[str, float]:
    """Add the means of what was told from inside the model; the trainer's and the task's own names come first."""
    heard = training.ear.means(phase, training.ranks)
    for name in sorted(heard.keys() & values.keys()):
        text = f"branchlab.log: '{name}' is a metric already, so what was told under that name is left out"
        training.ear.complain(name, text)
    return {**values, **{name: mean for name, mean in heard.items() if name not in values}}


def _judge_finally(training: Training, attempt: Attempt) -> dict[str, float]:
    """Keep what the last validation found for each example, and look at the test set where the run has one."""
    training.is_judged = True
    if training.ranks.is_first:
        per_example = {name: value.cpu() for name, value in training.val.items() if name != "loss"}
        training.slices = slices_of(per_example, training.data.val_parts)
        found = {"ids": training.data.val.ids.cpu(), **per_example}
        write_examples(attempt.val_examples, {name: _array(v) for name, v in found.items()})
    if training.data.test is None:
        return {}
    with training.ear.during(TEST):
        found = evaluate(training, training.data.test)
    return _with_heard(training, TEST, _means("test", found))


def _array(value: Tensor) -> NDArray[Any]:
    # NumPy knows no bfloat16.
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _hold_against_best(training: Training, values: Mapping[str, float]) -> bool:
    """Return whether this validation is the best so far by the recipe's monitor, and count those that are not.

    Raises:
        ConfigError: The recipe needs the monitor, and validation has no such metric.
    """
    recipe = training.recipe
    value = values.get(recipe.monitor, math.nan)
    is_meant = _needs_monitor(recipe) or recipe.monitor != Recipe().monitor
    if training.ranks.is_first and recipe.monitor not in values and is_meant:
        raise ConfigError(
            f"recipe.monitor = '{recipe.monitor}' is none of what validation gives: "
            f"{nearest(recipe.monitor, values)}there are {', '.join(values)}"
        )
    value = training.ranks.of_first(value)
    sign = 1 if recipe.monitor_goal == "max" else -1
    is_best = math.isfinite(value) and (training.best is None or sign * (value - training.best) > 0)
    if is_best:
        training.best, training.best_step, training.num_worse = value, training.step, 0
    else:
        training.num_worse += 1
    return is_best


def _returns_to_best(training: Training) -> bool:
    """Whether a training that is at its end is judged by other weights than its last."""
    return (
        training.recipe.final == "best"
        and training.best is not None
        and training.best_step != training.step
    )


def _needs_monitor(recipe: Recipe) -> bool:
    return recipe.patience is not None or recipe.final == "best"


def _best_document(training: Training) -> dict[str, Any]:
    return {
        "model": training.judged.state_dict(),
        "step": training.step,
        "epoch": training.epoch,
        "metrics": training.metrics,
    }


def conclude(training: Training, folder: RunFolder, attempt: Attempt, events: EventWriter) -> None:
    """See to the final metrics of a training that has taken its last step and been validated."""
    recipe = training.recipe
    if training.best is None and _needs_monitor(recipe):
        text = f"recipe.monitor = '{recipe.monitor}' was never a finite number: there are no best weights"
        events.write("warning", text=text)
    if _returns_to_best(training):
        _return_to_best(training, folder, attempt, events)
    elif (
        not training.is_judged
    ):  # an earlier attempt was killed between its last step and its result
        _judge_again(training, attempt)


def _judge_again(training: Training, attempt: Attempt) -> dict[str, float]:
    values = {**_validate(training), **_judge_finally(training, attempt)}
    training.metrics = {**training.metrics, **values}
    return values


def _return_to_best(
    training: Training, folder: RunFolder, attempt: Attempt, events: EventWriter
) -> None:
    """Take the best weights for the run's final metrics."""
    saved = load_tensors(folder.best_checkpoint)
    if saved is None:
        events.write("warning", text="the best weights cannot be read, so the last ones count")
        _judge_again(training, attempt)
        return
    training.judged.load_state_dict(saved["model"])
    values = _judge_again(training, attempt)
    # No epoch of its own: the curve of the training stays what it was.
    events.write("best", step=saved["step"], epoch=saved["epoch"], values=plain(values))


def _means(split: str, values: Mapping[str, Tensor]) -> dict[str, float]:
    # float64 on the CPU: MPS has no float64, and a mean of a million booleans in float32 loses digits.
    return {
        f"{split}/{name}": float(value.cpu().double().nanmean()) for name, value in values.items()
    }


def plain(values: Mapping[str, float]) -> dict[str, float | str]:
    """Return values as JSON takes them."""
    return {name: value if math.isfinite(value) else str(value) for name, value in values.items()}


def _report_epoch(
    training: Training,
    events: EventWriter,
    values: Mapping[str, float],
    *,
    is_best: bool,
    images_per_s: float,
) -> None:
    events.write(
        "epoch",
        epoch=training.epoch,
        step=training.step,
        steps=training.num_steps,
        values=plain(values),
        **({"is_best": True} if is_best else {}),
        images_per_s=round(images_per_s, 1),
        **_device_memory(training.device),
    )


def _device_memory(device: torch.device) -> dict[str, float]:
    """Return what the run has reserved on its GPU at most, by name; nothing where it has none."""
    if device.type != "cuda":
        return {}
    return {"device_memory_gib": round(torch.cuda.max_memory_reserved(device) / 2**30, 3)}


def _has_pictures(training: Training) -> bool:
    return getattr(training.task.pictures, "__func__", None) is not Task.pictures


def _draw(training: Training, folder: RunFolder, events: EventWriter) -> None:
    """Save what the task wants to be looked at; a picture that fails is said and hurts nothing."""
    batch = training.task.prepare(
        training.data.val.slice(0, training.recipe.batch_size // training.recipe.accumulate)
    )
    model = training.judged.eval()
    try:
        with torch.inference_mode(), autocast(training), training.ear.during(""):
            outputs = training.task.forward(model, in_layout(batch, training.recipe))
            pictures = training.task.pictures(outputs, batch)
        for name, picture in pictures.items():
            path = save_picture(folder.pictures, f"{name}-epoch{training.epoch:04d}", picture)
            events.write("picture", name=name, epoch=training.epoch, file=path.name)
    except Exception as error:  # noqa: BLE001  the project's own drawing code; recorded, never fatal
        events.write("warning", text=f"no pictures: {type(error).__name__}: {error}"[:500])
