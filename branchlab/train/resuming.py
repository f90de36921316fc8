"""A training's own checkpoint: what it holds, and how a training goes on from it with the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from branchlab.run_folder import RunFolder
from branchlab.train import randomness
from branchlab.train.checkpoint import load_tensors, save_tensors
from branchlab.train.training import Training, gauges


def save(training: Training, folder: RunFolder) -> None:
    """Write all that is needed to go on; of several processes the first one does."""
    training.level_losses()
    streams = [
        randomness.snapshot(training.device),
        training.augmenting.get_state(),
        training.ear.state(),
    ]
    own, *others = training.ranks.gather(streams) or [streams]
    if not training.ranks.is_first:
        return
    document = {
        "model": training.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "schedule": training.schedule.state_dict(),
        "random": own[0],
        "augmenting": own[1],
        "heard": own[2],
        "order_state": training.order_state,
        "order": training.order.get_state(),
        "losses": training.losses[: training.step].clone(),
        "step": training.step,
        "epochs_validated": training.epochs_validated,
        "validated_step": training.validated_step,
        "budget": training.budget.state_dict() if training.budget is not None else None,
        "metrics": training.metrics,
        "gauges": gauges(training),
        "best": [training.best, training.best_step, training.num_worse],
        "scaler": training.scaler.state_dict() if training.scaler is not None else None,
        "average": training.average.state_dict() if training.average is not None else None,
        **({"other_ranks": others} if others else {}),
    }
    save_tensors(folder.checkpoint, document)


def resume(training: Training, folder: RunFolder) -> int | None:
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
    training.resumed_step, training.resumed_gauges = saved["step"], saved["gauges"]
    training.best, training.best_step, training.num_worse = saved["best"]
    if training.scaler is not None:
        training.scaler.load_state_dict(saved["scaler"])
    if training.average is not None:
        training.average.load_state_dict(saved["average"])
    first = [saved["random"], saved["augmenting"], saved.get("heard", {})]
    random, augmenting, *heard = [first, *saved.get("other_ranks", ())][training.ranks.rank]
    training.ear.restore(heard[0] if heard else {})
    training.augmenting.set_state(augmenting)
    randomness.restore(random, training.device)
    return training.step


def _serves(saved: Mapping[str, Any], training: Training) -> bool:
    """Whether a document is a checkpoint of this training, of this version."""
    if len(saved.get("other_ranks", ())) != training.ranks.size - 1:
        return False
    if "best" not in saved or (saved["budget"] is None) != (training.budget is None):
        return False
    return training.budget is not None or saved["step"] <= training.num_steps
