"""Rules on the forward pass: modules, operations as they are called, outputs and the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase

from branchlab.analysis.probe.reading import (
    at,
    begun_at_zero,
    doubt,
    fault,
    few,
    first,
    leaves,
    loss_of,
    num_classes,
)
from branchlab.domain import Call, Finding, Probe, Stage, StageKind

_DEAD_MIN = 0.9
_HALF = 0.5
_SATURATED_MIN = 0.9
_MOVES_MIN = 1e-7
_LEAK_MIN = 1e-4
_GUESS_FACTOR = 4.0
_UNITS_MIN = 4
_UNITS_WITHOUT_PLACES_MIN = 16
_CHANGED_INSIDE = 1e-6
_EDGE_MIN = 0.02


def on_finite(probe: Probe) -> Iterator[Finding]:
    """The first place where something that is not a number comes up."""
    is_harmed = _is_harmed(probe)
    for stage in probe.stages:
        if stage.kind in {
            StageKind.STORED,
            StageKind.PREPARED,
            StageKind.GRADIENT,
            StageKind.UPDATE,
        }:
            continue
        came_in = any(look.nan or look.inf for look in stage.inputs)
        # Infinities alone are how places are masked; they are wrong where they reach the loss or a gradient.
        bad = next((o for o in stage.outputs if o.nan or (o.inf and is_harmed)), None)
        if bad is None or came_in or stage.kind is StageKind.ENTERS:
            continue
        what = f"{bad.nan} NaN and {bad.inf} infinite values of {math.prod(bad.shape)}"
        where = at(stage) if stage.kind is StageKind.MODULE else stage.name
        yield fault("not-finite", where, f"{where} is the first to give what is no number: {what}")
        return


def _is_harmed(probe: Probe) -> bool:
    loss = loss_of(probe)
    gradients = [s.measures.get("grad_norm", 0.0) for s in probe.of(StageKind.GRADIENT)]
    is_loss = first(probe, StageKind.LOSS) is not None and (loss is None or not math.isfinite(loss))
    return is_loss or bool(probe.failure) or not all(map(math.isfinite, gradients))


def on_use(probe: Probe) -> Iterator[Finding]:
    """Modules that are built and never called, inputs that change nothing, outputs that are the same for all."""
    loose = (probe.checks.get("modules") or {}).get("unregistered") or []
    if loose:
        yield fault(
            "module-not-registered",
            few(loose),
            f"{few(loose)}: has weights that get a gradient, and the model does not know it: it is neither trained nor saved",
            "keep modules in nn.ModuleList or nn.ModuleDict, not in a list or dict of Python's",
        )
    unused = (probe.checks.get("modules") or {}).get("never_called") or []
    # Some weights are used without their module being called, as attention uses its projection's.
    idle = _without_gradient(probe)
    never = [name for name in unused if name in idle]
    if never:
        yield doubt(
            "module-never-called",
            few(never),
            f"{few(never)}: built with weights and never called in this step",
            "call it, or build it only where its flag is on",
        )
    moves = probe.checks.get("sensitivity") or {}
    if "failed" not in moves:
        quiet = [name for name, moved in moves.items() if moved <= _MOVES_MIN]
        whole = [name for name in quiet if "[" not in name]
        parts = [name for name in quiet if "[" in name and name.split("[")[0] not in whole]
        for name in (*whole, *parts):
            yield fault(
                "input-not-used",
                name,
                f"{name} is fed to the model and changes nothing: with another example's in its place the outputs are the same",
                "use it in forward, or do not feed it",
            )
    repeat = probe.checks.get("repeat") or {}
    if repeat.get("is_constant"):
        yield fault(
            "output-constant",
            "forward",
            "the outputs are the same for every example, whatever enters",
        )


def _without_gradient(probe: Probe) -> set[str]:
    return {
        stage.name.rpartition(".")[0]
        for stage in probe.of(StageKind.GRADIENT)
        if not stage.measures.get("has_grad")
    }


def on_mixing(probe: Probe) -> Iterator[Finding]:
    """Examples that see each other in ``eval`` mode."""
    found = probe.checks.get("mixing") or {}
    if "failed" not in found and found.get("others", 0.0) > _LEAK_MIN:
        yield fault(
            "examples-mix",
            "forward",
            f"examples of a batch see each other: with another last example the outputs of the others move by {found['others']:.2g} of their spread",
            "look for a softmax, norm, mean or view over the batch axis",
        )


def on_modes(probe: Probe) -> Iterator[Finding]:
    """``eval`` left on in training, ``train`` left on in validation, randomness that no mode switches off."""
    if probe.facts.get("mode") == "train":
        frozen = probe.facts.get("frozen") or ()
        kinds = ("BatchNorm", "SyncBatch") if frozen else ("BatchNorm", "SyncBatch", "Dropout")
        still = [
            at(stage)
            for stage in leaves(probe)
            if not stage.measures.get("trains", 1.0)
            and stage.type.startswith(kinds)
            and not any(fnmatchcase(f"{stage.name}.weight", pattern) for pattern in frozen)
            and stage.name not in _without_requiring(probe)
        ]
        if still:
            yield fault(
                "eval-left-on",
                few(still),
                f"{few(still)}: in eval mode while training, so that statistics are not learnt and nothing is dropped",
                "take out the eval() in forward or model(); what shall stay still goes into recipe.frozen",
            )
    training = (probe.checks.get("modes") or {}).get("still_training") or []
    if training:
        yield fault(
            "train-left-on",
            few(training),
            f"{few(training)}: stays in training mode in validation",
            "call super().train(mode), or take out the train() in forward",
        )
    repeat = probe.checks.get("repeat") or {}
    if repeat.get("is_random") and not training:
        yield fault(
            "eval-random",
            "forward",
            "the model gives something else each time in eval mode: validation is not the same twice",
            "draw only where self.training is true (F.dropout takes training=self.training)",
        )


def _without_requiring(probe: Probe) -> set[str]:
    """Return modules that are frozen by their own project: no weight of theirs asks for a gradient."""
    stages = probe.of(StageKind.GRADIENT)
    asking = {s.name.rpartition(".")[0] for s in stages if s.measures.get("requires_grad", 1.0)}
    return {s.name.rpartition(".")[0] for s in stages} - asking


def on_activations(probe: Probe) -> Iterator[Finding]:
    """Units that are dead, flat or constant."""
    at_zero = begun_at_zero(probe)
    all_leaves = leaves(probe)
    for stage in all_leaves:
        if stage.name in at_zero:
            continue
        dead, units = stage.measures.get("dead", 0.0), int(stage.measures.get("units", 0))
        # In eval mode a fresh norm lets pass what it has not seen yet.
        is_fair = probe.facts.get("mode") == "train"
        # What draws drops on purpose; what is fed with zeros is not where they come from.
        is_dropping = stage.measures.get("draws") or stage.type.startswith("Drop")
        is_own = not is_dropping and not _is_fed_with_zeros(stage)
        if is_fair and is_own and units >= _units_min(stage) and dead > _DEAD_MIN:
            yield fault(
                "units-dead",
                at(stage),
                f"{at(stage)}: {dead:.0%} of {units} units are 0 for every example and place",
                "look at the learning rate, the bias, and what enters",
            )
        saturated = stage.measures.get("saturated", 0.0)
        # A last sigmoid says what it is sure of.
        if saturated >= _SATURATED_MIN and stage is not all_leaves[-1]:
            yield doubt(
                "saturated",
                at(stage),
                f"{at(stage)}: {saturated:.0%} of its values are at an end of its range, where no gradient passes",
                "scale down what enters it",
            )
        if stage.type.startswith("Dropout") and stage.measures.get("trains") and stage.outputs:
            zeros = stage.outputs[0].zeros
            if zeros >= _SATURATED_MIN and (not stage.inputs or stage.inputs[0].zeros < _HALF):
                yield doubt("dropout-all", at(stage), f"{at(stage)} drops {zeros:.0%} of its input")


def _is_fed_with_zeros(stage: Stage) -> bool:
    return bool(stage.inputs) and stage.inputs[0].zeros > _DEAD_MIN


def _units_min(stage: Stage) -> int:
    """Return how many units it takes: where each has one value an example, a few may be below 0 for all of a small batch."""
    shape = stage.outputs[0].shape if stage.outputs else ()
    has_places = math.prod(shape[2:]) > 1
    return _UNITS_MIN if has_places else _UNITS_WITHOUT_PLACES_MIN


def on_loss(probe: Probe) -> Iterator[Finding]:
    """A loss that does not hear the targets, or begins far from a guess."""
    moved = probe.checks.get("targets") or {}
    # Embeddings that are held against each other, or against the images, need none.
    is_choice = num_classes(probe) is not None and num_classes(probe) == (
        probe.checks.get("labels") or {}
    ).get("num_outputs")
    is_own = bool(moved.get("moves_by_inputs"))
    if "failed" not in moved and moved.get("moves") == 0 and is_choice and not is_own:
        yield fault(
            "targets-not-used",
            "loss",
            "the loss is the same with other examples' targets: it does not depend on them",
        )
    high = next((c for c in probe.calls if c.what == "cross_entropy" and _is_high(c)), None)
    if high is None or probe.facts.get("weights"):
        return
    loss, num = high.facts["value"], high.facts["num_classes"]
    guess = f"guessing among {num} classes gives {math.log(num):.3g}"
    if probe.facts.get("step") == 1:
        yield doubt(
            "loss-begins-high",
            "loss",
            f"the cross entropy begins at {loss:.3g}; {guess}",
            "outputs are too large at the start: look at what enters, and at the last layer's initial weights",
        )
    else:
        yield doubt(
            "loss-diverges",
            "loss",
            f"the cross entropy is {loss:.3g} at step {probe.facts['step']}; {guess}",
            "lower recipe.lr, or set recipe.clip_norm",
        )


def _is_high(call: Call) -> bool:
    """Whether a cross entropy is far above that of a guess."""
    value, num = call.facts.get("value"), call.facts["num_classes"]
    if value is None or num < 2 or not math.isfinite(value):  # noqa: PLR2004
        return False
    return bool(value > _GUESS_FACTOR * math.log(num))


def on_outputs(probe: Probe) -> Iterator[Finding]:
    """Logits that can only be positive: an activation after the last layer."""
    for call in probe.calls:
        facts = call.facts
        if call.what != "cross_entropy" or facts.get("size", 0) < 64:  # noqa: PLR2004  too few to tell
            continue
        if facts["low"] == 0 and facts["zeros"] > 0.05 and facts["high"] > 0:  # noqa: PLR2004
            if facts["is_probability"]:
                continue
            yield fault(
                "logits-rectified",
                "forward",
                f"logits are never below 0, and {facts['zeros']:.0%} are 0: a ReLU stands behind the last layer",
                "take the activation off the last layer",
            )
            return


def on_first_layer(probe: Probe) -> Iterator[Finding]:
    """What enters the first layer is not what enters the model: clamped, squeezed or shifted on the way."""
    enters = first(probe, StageKind.ENTERS)
    layers = leaves(probe)
    if enters is None or not layers or not enters.inputs or not layers[0].inputs:
        return
    given, taken = enters.inputs[0], layers[0].inputs[0]
    if given.shape != taken.shape or given.low is None or taken.low is None:
        return
    assert given.high is not None
    assert taken.high is not None
    cut_low = taken.edges[0] > given.edges[0] + _EDGE_MIN and taken.low > given.low
    cut_high = taken.edges[1] > given.edges[1] + _EDGE_MIN and taken.high < given.high
    if cut_low or cut_high:
        share = max(
            taken.edges[0] - given.edges[0] if cut_low else 0,
            taken.edges[1] - given.edges[1] if cut_high else 0,
        )
        yield fault(
            "input-clamped",
            at(layers[0]),
            f"forward cuts the images before {at(layers[0])}: [{given.low:.3g}, {given.high:.3g}] enter, "
            f"[{taken.low:.3g}, {taken.high:.3g}] arrive, {share:.0%} of the values at the edge",
            "take the clamp out, or clamp before normalising",
        )


def on_layout(probe: Probe) -> Iterator[Finding]:
    """Convolutions that are fed in a memory layout of neither kind, and copy first."""
    slow = [
        at(stage)
        for stage in leaves(probe)
        if stage.type.startswith("Conv2d")
        and stage.inputs
        and stage.inputs[0].layout == "strided"
        and min(stage.inputs[0].shape[-2:], default=0) > 1
    ]
    if slow:
        yield doubt(
            "not-contiguous",
            few(slow),
            f"{few(slow)}: its input lies in memory in neither layout, so that it is copied at every step",
            "permute once in data(), or call contiguous(memory_format=torch.channels_last)",
        )
    wide = [at(s) for s in leaves(probe) if any(look.dtype == "float64" for look in s.outputs)]
    if wide:
        yield doubt(
            "double-precision",
            few(wide),
            f"{few(wide)}: computes in float64, many times slower on a GPU",
        )
