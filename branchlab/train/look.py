"""Draws the sample of a task and looks at it: what ``branchlab sample`` does in a process that has main's code.

What is found are arrays of numbers, written into one file; what they mean is judged elsewhere. Images are looked at small, as
thumbnails, and by what enters the last layer of a trained model where there is one.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.errors import ConfigError
from branchlab.run_folder import AskedLook, Attempt, replacing
from branchlab.train import randomness
from branchlab.train.checkpoint import load_tensors
from branchlab.train.data import HeldSplit, Split, digest_of_ids, hold, note_of, see
from branchlab.train.loading import load_task, say_why
from branchlab.train.rows import take
from branchlab.train.sample_picture import draw_picture
from branchlab.train.sampling import Seen, drawn_ids, group_numbers
from branchlab.train.streaming import StreamedSplit
from branchlab.train.task import Batch, Rows, Splits, Task
from branchlab.train.trainer import Ending

_THUMB_SIDE = 16
_BATCH = 256
_PROJECTED = 128
"""A wider layer is projected onto so many random directions."""
_CPU = torch.device("cpu")


def look(run: Run, asked: AskedLook, worktree: Path, attempt: Attempt) -> Ending:
    """Draw the sample of a run's task, look at it, and write what was found."""
    task = load_task(run, worktree)
    randomness.seed_global(run.seed, "data")
    splits = task.data()
    source, seen = see(splits.train, is_streamed=splits.stream)
    splits = replace(splits, train=source)
    if run.sample.is_own:
        ids = _own_ids(run.sample, source, seen, splits)
    else:
        ids = drawn_ids(seen, run.sample, splits.groups)
    held = hold(splits, replace(run, scale=Scale.FULL), device=_CPU)
    looked = _looked_at(seen.num, asked.looked_at_max)
    train = _part(held.train, looked)
    found: dict[str, Any] = {
        "ids": ids.numpy(),
        "looked": looked.numpy(),
        **_redraws(run.sample, asked, seen, splits, num=len(ids)),
        **_labels(seen),
        **_images("train", train),
    }
    for name, split in (("val", held.val), ("test", held.test)):
        if split is not None:
            rows = _looked_at(len(split), asked.looked_at_max)
            found |= {f"{name}_ids": rows.numpy(), **_images(name, _part(split, rows))}
    features, layer, why_none = _features(task, asked, train, worktree)
    found["features"] = features
    note = note_of(seen, is_streamed=splits.stream) if run.sample.strategy == "stratified" else ""
    about = {
        "strata": str(seen.strata),
        "digest": digest_of_ids(ids),
        "targets": seen.digest(ids),
        "num": len(ids),
        "of": seen.num,
        "num_val": len(held.val),
        "classes": [str(name) for name in splits.classes],
        "num_groups": _num_groups(splits, seen, ids),
        "layer": layer,
        "why_no_layer": why_none,
        "epochs": task.recipe.epochs,
        "batch_size": task.recipe.batch_size,
        "notes": [note] if note else [],
    }
    draw_picture(attempt.look_picture, held.train, ids, seen, names=splits.classes)
    with replacing(attempt.look) as file:
        np.savez(file, about=np.array(json.dumps(about)), **found)
    return Ending(state=RunState.DONE, metrics={}, steps=0, loss_digest="")


def _own_ids(sample: Sample, source: Any, seen: Seen, splits: Splits) -> Tensor:  # noqa: ANN401  Examples or a Dataset
    """Return the ids that a function of the project draws.

    Raises:
        ConfigError: There is no such function, or what it returns are no ids of the training set.
    """
    module_name, _, name = sample.strategy.partition(":")
    function = getattr(importlib.import_module(module_name), name, None)
    said = f'[sample] strategy = "{sample.strategy}"'
    if not callable(function):
        raise ConfigError(f"{said}: {module_name} has no function '{name}'")
    groups = None
    if splits.groups is not None:
        groups = torch.from_numpy(group_numbers(splits.groups, seen.num))
    targets = seen.classes if seen.classes is not None else getattr(source, "targets", None)
    returned = function(targets=targets, groups=groups, fraction=sample.fraction, seed=sample.seed)
    try:
        ids = torch.as_tensor(returned)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{said} returned a {type(returned).__name__}: needs ids") from None
    if ids.ndim != 1 or not len(ids) or ids.is_floating_point() or ids.dtype == torch.bool:
        raise ConfigError(
            f"{said} returned {ids.dtype} of shape {tuple(ids.shape)}: needs whole numbers, one an example, at least one"
        )
    ids = ids.long().sort().values
    if int(ids[0]) < 0 or int(ids[-1]) >= seen.num:
        raise ConfigError(
            f"{said} returned ids from {int(ids[0])} to {int(ids[-1])}: the training set has {seen.num} examples"
        )
    if repeated := int((ids[1:] == ids[:-1]).sum()):
        raise ConfigError(f"{said} returned {repeated} ids more than once")
    return ids


def _looked_at(num: int, most: int) -> Tensor:
    if num <= most:
        return torch.arange(num)
    return torch.randperm(num, generator=randomness.generator(0, "look"))[:most].sort().values


def _part(split: Split, rows: Tensor) -> Split:
    if len(rows) == len(split):
        return split
    if isinstance(split, StreamedSplit):
        return StreamedSplit(split.dataset, split.ids[rows], device=_CPU, seed=0)
    return HeldSplit(take(split.inputs, rows), take(split.targets, rows), split.ids[rows])


def _redraws(
    sample: Sample, asked: AskedLook, seen: Seen, splits: Splits, *, num: int
) -> dict[str, NDArray[Any]]:
    """Return the ids of stratified samples of the same size with other seeds, one after the other."""
    plain = replace(
        sample, strategy="stratified", fraction=num / seen.num if sample.is_own else sample.fraction
    )
    until = time.monotonic() + asked.redraws_s
    found: list[NDArray[np.int32]] = []
    while len(found) < asked.redraws and (len(found) < 2 or time.monotonic() < until):  # noqa: PLR2004
        seed = sample.seed + 1 + len(found)
        drawn = drawn_ids(seen, replace(plain, seed=seed), splits.groups)
        found.append(drawn.numpy().astype(np.int32))
    sizes = np.array([len(one) for one in found])
    return {"redraws": np.concatenate(found), "redraw_sizes": sizes}


def _labels(seen: Seen) -> dict[str, NDArray[Any]]:
    if seen.classes is not None:
        return {"class_of": seen.classes.long().numpy()}
    found: dict[str, NDArray[Any]] = {}
    if seen.present is not None:
        found["present"] = seen.present
    if seen.shares is not None:
        found["shares"] = seen.shares.astype(np.float32)
    return found


def _num_groups(splits: Splits, seen: Seen, ids: Tensor) -> list[int]:
    """Return how many groups the sample touches, and how many there are; nothing where there are none."""
    if splits.groups is None:
        return []
    numbers = group_numbers(splits.groups, seen.num)
    inside, outside = np.unique(numbers[ids.numpy()]), np.ones(seen.num, dtype=bool)
    outside[ids.numpy()] = False
    split = np.intersect1d(inside, numbers[outside])
    return [len(inside), int(numbers.max()) + 1, len(split)]


def _images(name: str, split: Split) -> dict[str, NDArray[Any]]:
    """Return thumbnails (UInt8[N, P]) and digests of the bytes of all images of a split; nothing where these are none."""
    thumbs: list[NDArray[np.uint8]] = []
    digests: list[bytes] = []
    for batch in split.in_order(_BATCH):
        images = list(batch.inputs)
        if not all(isinstance(image, Tensor) and image.ndim > 1 for image in images):
            return {}
        digests += [_digest_of(image) for image in images]
        thumbs.append(_thumbnails(batch.inputs))
    if len({thumb.shape[1] for thumb in thumbs}) != 1:
        return {}  # grey images beside coloured ones
    return {
        f"{name}_thumbs": np.concatenate(thumbs),
        f"{name}_digests": np.frombuffer(b"".join(digests), dtype=np.uint64),
    }


def _digest_of(image: Tensor) -> bytes:
    content = image.detach().contiguous().cpu()
    hasher = hashlib.sha256(str((tuple(content.shape), content.dtype)).encode())
    hasher.update(content.numpy().tobytes())
    return hasher.digest()[:8]


def _thumbnails(images: Rows) -> NDArray[np.uint8]:
    """Return images as 16 x 16 squares of at most three channels, a row an image."""
    if isinstance(images, Tensor):
        return _small(images)
    return np.concatenate([_small(image[None]) for image in images])


def _small(images: Tensor) -> NDArray[np.uint8]:
    pixels = images.float()
    if images.dtype != torch.uint8:
        # Of floats only their order is known: each image is stretched to the whole range.
        low = pixels.flatten(1).min(1).values.view(-1, *[1] * (pixels.ndim - 1))
        high = pixels.flatten(1).max(1).values.view_as(low)
        pixels = (pixels - low) / (high - low).clamp(min=1e-12) * 255
    if pixels.ndim == 3:  # noqa: PLR2004  N H W
        pixels = pixels[:, None]
    while pixels.ndim > 4:  # noqa: PLR2004  a volume or a clip, seen from its front
        pixels = pixels.mean(2)
    small = nn.functional.adaptive_avg_pool2d(pixels[:, :3], _THUMB_SIDE)
    found: NDArray[np.uint8] = small.round().clamp(0, 255).to(torch.uint8).flatten(1).numpy()
    return found


def _features(
    task: Task, asked: AskedLook, split: Split, worktree: Path
) -> tuple[NDArray[np.float32], str, str]:
    """Return what enters the last layer of a trained model (Float[N, D]) and that layer's name, or why there is no such."""
    nothing = np.zeros((0, 0), dtype=np.float32)
    if not asked.checkpoint:
        return nothing, "", "no run has left the weights of a model"
    saved = load_tensors(Path(asked.checkpoint))
    if saved is None:
        return nothing, "", "the weights cannot be read"
    randomness.seed_global(0, "model")
    try:
        model = task.model()
        model.load_state_dict(saved["model"])
        rows, layer = _entering_last(task, model.eval(), split)
    except Exception as error:  # noqa: BLE001  the project's own model: without its features there are thumbnails
        return nothing, "", say_why(error, worktree)
    return rows, layer, ""


def _entering_last(task: Task, model: nn.Module, split: Split) -> tuple[NDArray[np.float32], str]:
    last: list[tuple[str, Any]] = [("", None)]

    def noting(name: str) -> Any:  # noqa: ANN401  a hook
        def note(_module: nn.Module, args: tuple[Any, ...]) -> None:
            last[0] = name, args[0] if args else None

        return note

    leaves = [
        (name, module)
        for name, module in model.named_modules()
        if not list(module.children()) and list(module.parameters(recurse=False))
    ]
    handles = [module.register_forward_pre_hook(noting(name)) for name, module in leaves]
    found: list[Tensor] = []
    directions: Tensor | None = None
    with torch.inference_mode():
        for batch in _prepared(task, split):
            task.forward(model, batch)
            rows = _as_rows(last[0][1], len(batch))
            if rows.shape[1] > _PROJECTED:
                if directions is None:
                    source = randomness.generator(0, "directions")
                    directions = torch.randn(rows.shape[1], _PROJECTED, generator=source)
                rows = rows @ directions / _PROJECTED**0.5
            found.append(rows)
    for handle in handles:
        handle.remove()
    return torch.cat(found).numpy(), last[0][0]


def _prepared(task: Task, split: Split) -> Iterator[Batch]:
    for batch in split.in_order(_BATCH):
        yield task.prepare(batch)


def _as_rows(entering: object, num: int) -> Tensor:
    """Return one vector an example: maps are averaged over their places, tokens over their number.

    Raises:
        TypeError: It is nothing of the kind.
    """
    if not (isinstance(entering, Tensor) and entering.ndim > 1 and len(entering) == num):
        raise TypeError(
            "what enters the model's last layer is not one tensor with a row an example"
        )
    rows = entering.float()
    if rows.ndim == 3:  # noqa: PLR2004  N T D
        return rows.mean(1)
    return rows.flatten(2).mean(2) if rows.ndim > 3 else rows  # noqa: PLR2004  N C H W
