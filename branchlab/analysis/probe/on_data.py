"""Rules on data: what is stored, prepared, augmented; labels; what validation shares with training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from branchlab.analysis.probe.reading import doubt, fault, few, first, images, leaves
from branchlab.domain import Call, Finding, Probe, Seen, StageKind

_MEAN_MAX = 1.5
_STD_MIN, _STD_MAX = 0.2, 3.0
_RANGE_MIN = 0.5
_VOID = 255
"""What maps say, by convention, where there is no label."""
_PHOTO_CHANNELS_MAX = 4
_BYTES = 255.0
_FIT_MIN = 0.98
_FIT_SAME_MAX = 0.98
_TWICE_WITHIN = 0.35
_OUT_OF_STEP_MAX = 0.05
_RARE = 0.001


def on_inputs(probe: Probe) -> Iterator[Finding]:
    """What enters the model: not finite, constant, of another range than networks are made for."""
    stage = first(probe, StageKind.PREPARED)
    if stage is None:
        return
    affine = probe.checks.get("affine") or {}
    for look in stage.outputs:
        if look.name.startswith("targets") or look.low is None:
            continue
        name = _named(look)
        if look.nan or look.inf:
            yield fault(
                "inputs-not-finite",
                "prepare",
                f"{name} holds {look.nan} NaN and {look.inf} infinite values",
            )
        # A mask that masks nothing, or one image of many, may well be the same everywhere.
        is_all = look.name == "inputs" or len(look.shape) == 4  # noqa: PLR2004  B C H W
        if look.low == look.high and math.prod(look.shape) > 1:
            if is_all:
                yield fault("inputs-constant", "prepare", f"{name} is {look.low:g} everywhere")
        elif _is_image(look) and not _is_normalised_inside(probe, look):
            yield from _range_of(look, affine)
    yield from _channels(stage.outputs)


def _is_image(look: Seen) -> bool:
    return len(look.shape) == 4 and look.dtype.startswith(("float", "bfloat"))  # noqa: PLR2004


def _is_normalised_inside(probe: Probe, look: Seen) -> bool:
    """Whether the model itself brings what enters into another range, by arithmetic or by a norm that comes first."""
    early = next((stage for stage in leaves(probe) if stage.inputs), None)
    if early is None or early.inputs[0].std is None or look.std is None:
        return False
    if "Norm" in early.type:
        return True
    mean, std = early.inputs[0].mean or 0.0, early.inputs[0].std
    is_other = abs(std - look.std) > look.std / 2
    return is_other and abs(mean) <= _MEAN_MAX and _STD_MIN / 4 <= std <= _STD_MAX


def _range_of(look: Seen, affine: dict[str, Any]) -> Iterator[Finding]:
    """Say what is wrong with the range of a batch of images, by name where a known mistake gives just this."""
    assert look.low is not None
    assert look.high is not None
    assert look.mean is not None
    assert look.std is not None
    figures = (
        f"mean {look.mean:.3g}, deviation {look.std:.3g}, from {look.low:.3g} to {look.high:.3g}"
    )
    if twice := _normalised_twice(affine):
        yield fault(
            "normalised-twice",
            "prepare",
            f"images are normalised twice: {figures}, which is what ((x - {twice[0]:.3g}) / {twice[1]:.3g} - {twice[0]:.3g}) / {twice[1]:.3g} gives",
            "normalise in one place: either in data() or in prepare()",
        )
    elif look.low >= 0 and 1.5 < look.high <= _BYTES and look.std > _STD_MAX:  # noqa: PLR2004
        yield fault(
            "bytes-as-floats",
            "prepare",
            f"images enter as 0 to 255: {figures}",
            "divide by 255, or normalise, in prepare()",
        )
    elif look.low >= 0 and look.high <= 2 / _BYTES:
        yield fault(
            "divided-twice",
            "prepare",
            f"images are divided by 255 twice: {figures}",
            "divide once; Task.prepare does it for bytes by itself",
        )
    elif abs(look.mean) > _MEAN_MAX or look.std > _STD_MAX:
        yield doubt(
            "inputs-off-centre", "prepare", f"images are far from mean 0 and deviation 1: {figures}"
        )
    elif look.std < _STD_MIN / 4 and look.high - look.low < _RANGE_MIN:
        yield doubt("inputs-flat", "prepare", f"images hardly vary: {figures}")


def _normalised_twice(affine: dict[str, Any]) -> tuple[float, float] | None:
    """Return (mean, deviation) of a normalisation that was made twice, if that is what preparation does."""
    if not affine or "scale" not in affine or min(affine["fit"]) < _FIT_MIN:
        return None
    found = []
    rows = zip(
        affine["scale"], affine["shift"], affine["stored_mean"], affine["stored_std"], strict=True
    )
    for scale, shift, mean, std in rows:
        if scale <= 1:
            return None
        once = 1 / math.sqrt(scale)  # ((x - m) / s - m) / s = x / s² - m (1 + s) / s²
        middle = -shift * once * once / (1 + once)
        is_once_wide = scale * std > 2.0  # noqa: PLR2004  one normalisation gives 1
        is_own = abs(middle - mean) < _TWICE_WITHIN and 0.4 < once / max(std, 1e-6) < 2.5  # noqa: PLR2004
        if not (is_once_wide and is_own):
            return None
        found.append((middle, once))
    middles, deviations = zip(*found, strict=True)
    return sum(middles) / len(found), sum(deviations) / len(found)


def _channels(looks: tuple[Seen, ...]) -> Iterator[Finding]:
    for look in images(looks):
        flat = [number for number, (_, std) in enumerate(look.channels) if std == 0]
        # Channels of whole numbers are labels side by side, and not each occurs in every batch.
        is_photo = look.distinct is None and len(look.channels) <= _PHOTO_CHANNELS_MAX
        if is_photo and flat and len(flat) < len(look.channels):
            yield fault(
                "channel-constant",
                "prepare",
                f"channel {few([str(n) for n in flat])} of {_named(look)} is the same everywhere",
            )


def on_preparation(probe: Probe) -> Iterator[Finding]:
    """What ``prepare`` does: channels in another order, something random."""
    affine = probe.checks.get("affine") or {}
    order = affine.get("from")
    if order is not None and order == list(reversed(range(len(order)))) and len(order) > 1:
        pairs = zip(affine["fit_from"], affine["fit_same"], strict=True)
        if all(there > _FIT_MIN > _FIT_SAME_MAX * abs(here) for there, here in pairs):
            yield doubt(
                "channels-reversed",
                "prepare",
                "channels enter in the reverse order of how they are stored (RGB as BGR, or back)",
                "meant, where images were stored as BGR; else take the reversal out",
            )
    if (probe.checks.get("prepare") or {}).get("is_random"):
        yield fault(
            "prepare-random",
            "prepare",
            "prepare() gives something else each time, so that validation is not the same twice",
            "draw in augment(), which training alone calls",
        )


def on_augmentation(probe: Probe) -> Iterator[Finding]:
    """What augmentation draws, from where, and whether maps that belong together stay together."""
    found = probe.checks.get("augment") or {}
    if "failed" in found:
        return
    if found.get("is_there"):
        if found["is_shared"]:
            yield fault(
                "augmentation-shared",
                "augment",
                "augmentation draws once for the whole batch: all images are changed alike",
                "draw one value an example (a tensor with B rows) and gather",
            )
        if found["draws_outside"]:
            yield fault(
                "augmentation-draws-outside",
                "augment",
                "augmentation draws from a global generator, so that branches at one seed see other images",
                "draw from the generator that augment() is given",
            )
    pairing = probe.checks.get("pairing") or {}
    for name, share in (pairing.get("out_of_step") or {}).items():
        if share > _OUT_OF_STEP_MAX:
            both = f"{pairing['with']} and {name}"
            yield fault(
                "augmented-apart",
                "augment",
                f"{both} are augmented apart: given the same pattern, {share:.0%} of the examples are out of step afterwards",
                "draw once for each example, and apply it to all that belongs to it",
            )
    for name, (down, right) in (pairing.get("shifted") or {}).items():
        yield fault(
            "augmented-off-by",
            "augment",
            f"{name} lies {down:+d} rows and {right:+d} columns beside {pairing['with']} after augmentation, in every example",
            "use the same offsets, and the same align_corners, for all maps",
        )
    yield from _blended_by_preparation(probe)


def _blended_by_preparation(probe: Probe) -> Iterator[Finding]:
    """Labels that hold values in between after a stage that should only have moved them."""
    for kind in (StageKind.PREPARED, StageKind.AUGMENTED):
        stage = first(probe, kind)
        if stage is None:
            continue
        before = {look.name: look for look in stage.inputs}
        for look in stage.outputs:
            given = before.get(look.name)
            is_map = len(look.shape) >= 3  # noqa: PLR2004  B H W
            if given is None or given.distinct is None or not is_map or given.distinct > 64:  # noqa: PLR2004
                continue
            if look.distinct is None and look.name.startswith("targets"):
                yield fault(
                    "labels-blend",
                    stage.name,
                    f"{look.name} held {given.distinct} labels and holds values in between after {stage.name}()",
                    'resize and rotate labels with mode="nearest"',
                )


def on_labels(probe: Probe) -> Iterator[Finding]:
    """Labels: classes without an example, more of them than the model tells apart, maps of another size."""
    found = probe.checks.get("labels") or {}
    counts, num = _without_ignored(probe, found.get("counts")), found.get("num_outputs")
    if not counts:
        return
    if num not in {int(c.facts["num_classes"]) for c in _choices(probe)}:
        return  # embeddings, an image: what comes out is no choice among classes
    high = len(counts) - 1
    kinds = "pixels" if found["is_map"] else "examples"
    empty = [c for c in range(min(len(counts), num or len(counts))) if not counts[c]]
    missing = [*empty, *range(len(counts), num or 0)]
    if counts[0] == 0 and num is not None and high == num - 1 and empty == [0]:
        yield doubt(
            "labels-start-at-one",
            "data",
            f"labels go from 1 to {high}: class 0 of {num} has no {kinds} at all, as if counted from 1",
            "count classes from 0",
        )
    elif missing and num is not None and num > 1:
        yield doubt(
            "classes-without-examples",
            "data",
            f"{len(missing)} of {num} classes have no {kinds}: {few([str(c) for c in missing])}",
        )
    if num is not None and num > 1 and high >= num:
        yield fault(
            "labels-out-of-range",
            "data",
            f"labels go up to {high}, and the model gives {num} classes (0 to {num - 1})",
            "count classes from 0, or give the model as many outputs",
        )
    sizes = found.get("map_sizes")
    if sizes and sizes[1] is not None and sizes[0] != sizes[1] and not _is_resized(probe):
        yield doubt(
            "mask-of-another-size",
            "data",
            f"masks are {_size(sizes[0])} and images {_size(sizes[1])}",
        )
    total = sum(counts)
    share = max(counts) / total if total else 0
    if share > 1 - _RARE and num is not None and num > 1:
        yield doubt(
            "one-class-only",
            "data",
            f"{share:.2%} of the {kinds} are of class {counts.index(max(counts))}",
        )


def _choices(probe: Probe) -> list[Call]:
    return [c for c in probe.calls if c.what in {"cross_entropy", "nll_loss"}]


def _without_ignored(probe: Probe, counts: list[int] | None) -> list[int]:
    """Return how often each class occurs, up to the last one that does; labels that mean none are no class."""
    ignored = {_VOID, *(c.facts.get("ignored") for c in _choices(probe))}
    num = max((int(c.facts["num_classes"]) for c in _choices(probe)), default=0)
    kept = [0 if c in ignored and c >= num else n for c, n in enumerate(counts or ())]
    while kept and not kept[-1]:
        kept.pop()
    return kept


def _is_resized(probe: Probe) -> bool:
    outputs = first(probe, StageKind.OUTPUTS)
    loss = first(probe, StageKind.LOSS)
    if outputs is None or loss is None or not outputs.outputs:
        return False
    targets = [look for look in loss.inputs if look.name.startswith("targets")]
    return bool(targets) and targets[0].shape[-2:] == outputs.outputs[0].shape[-2:]


def _size(size: list[int]) -> str:
    return "x".join(map(str, size))


def on_leak(probe: Probe) -> Iterator[Finding]:
    """Examples of validation that training has too."""
    found = probe.checks.get("leak") or {}
    if found.get("num"):
        rows = few([str(row) for row in found["rows"]])
        yield fault(
            "validation-in-training",
            "data",
            f"{found['num']} of {found['of']} examples of validation stand in the training set too, to the byte (rows {rows})",
            "split before anything is copied or augmented; group what belongs together",
        )


def _named(look: Seen) -> str:
    return look.name or "the input"
