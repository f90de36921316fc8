"""Rules on the forward pass: modules, operations as they are called, outputs and the loss."""

from __future__ import annotations

import math
from collections.abc import Iterator

from branchlab.analysis.probe.reading import (
    at,
    begun_at_zero,
    doubt,
    fault,
    few,
    first,
    leaves,
    loss_of,
)
from branchlab.domain import Finding, Probe, StageKind

_DEAD_MIN = 0.5
_SATURATED_MIN = 0.9
_MOVES_MIN = 1e-7
_LEAK_MIN = 1e-4
_GUESS_FACTOR = 4.0
_UNITS_MIN = 4
_CHANGED_INSIDE = 1e-6
_EDGE_MIN = 0.02


def on_finite(probe: Probe) -> Iterator[Finding]:
    """The first place where something that is not a number comes up."""
    for stage in probe.stages:
        if stage.kind in {
            StageKind.STORED,
            StageKind.PREPARED,
            StageKind.GRADIENT,
            StageKind.UPDATE,
        }:
            continue
        came_in = any(look.nan or look.inf for look in stage.inputs)
        bad = next((look for look in stage.outputs if look.nan or look.inf), None)
        if bad is None or came_in or stage.kind is StageKind.ENTERS:
            continue
        what = f"{bad.nan} NaN and {bad.inf} infinite values of {math.prod(bad.shape)}"
        where = at(stage) if stage.kind is StageKind.MODULE else stage.name
        yield fault("not-finite", where, f"{where} is the first to give what is no number: {what}")
        return


def on_use(probe: Probe) -> Iterator[Finding]:
    """Modules that are built and never called, inputs that change nothing, outputs that are the same for all."""
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
    if probe.facts.get("mode") == "train" and not probe.facts.get("frozen"):
        still = [
            at(stage)
            for stage in leaves(probe)
            if not stage.measures.get("trains", 1.0)
            and stage.type.startswith(("BatchNorm", "Dropout", "SyncBatch"))
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


def on_activations(probe: Probe) -> Iterator[Finding]:
    """Units that are dead, flat or constant."""
    at_zero = begun_at_zero(probe)
    for stage in leaves(probe):
        if stage.name in at_zero:
            continue
        dead, units = stage.measures.get("dead", 0.0), int(stage.measures.get("units", 0))
        # In eval mode a fresh norm lets pass what it has not seen yet.
        is_fair = probe.facts.get("mode") == "train"
        if is_fair and units >= _UNITS_MIN and dead > _DEAD_MIN and stage.type != "Dropout":
            yield fault(
                "units-dead",
                at(stage),
                f"{at(stage)}: {dead:.0%} of {units} units are 0 for every example and place",
                "look at the learning rate, the bias, and what enters",
            )
        saturated = stage.measures.get("saturated", 0.0)
        if saturated >= _SATURATED_MIN:
            yield doubt(
                "saturated",
                at(stage),
                f"{at(stage)}: {saturated:.0%} of its values are at an end of its range, where no gradient passes",
                "scale down what enters it",
            )
        if stage.type.startswith("Dropout") and stage.measures.get("trains") and stage.outputs:
            zeros = stage.outputs[0].zeros
            if zeros >= _SATURATED_MIN and (not stage.inputs or stage.inputs[0].zeros < _DEAD_MIN):
                yield doubt("dropout-all", at(stage), f"{at(stage)} drops {zeros:.0%} of its input")


def on_calls(probe: Probe) -> Iterator[Finding]:
    """Operations that go wrong silently, where they stand in the project."""
    seen: set[tuple[str, str]] = set()
    for call in probe.calls:
        found = _of_call(call.what, call.facts, call.place or call.scope or "forward")
        if found is not None and (found.id, found.where) not in seen:
            seen.add((found.id, found.where))
            yield found


def _of_call(what: str, facts: object, where: str) -> Finding | None:  # noqa: PLR0911  one answer a mistake
    assert isinstance(facts, dict)
    match what:
        case "softmax" if facts["is_over_batch"]:
            return fault(
                "softmax-over-batch",
                where,
                f"softmax over axis 0 of {facts['shape']}: the probabilities of one class sum to 1 over the batch",
                "take the axis of the classes: dim=1, or dim=-1",
            )
        case "cross_entropy" if facts["is_probability"]:
            return fault(
                "softmax-twice",
                where,
                "cross_entropy is given probabilities and applies softmax again: gradients are squashed",
                "give it logits: take the softmax out of the model",
            )
        case "nll_loss" if not facts["is_log_probability"]:
            given = "probabilities" if facts["is_probability"] else "raw outputs"
            return fault(
                "nll-without-log",
                where,
                f"nll_loss is given {given}, not logarithms of probabilities",
                "use cross_entropy on logits, or log_softmax first",
            )
        case "bce_with_logits" if facts["is_probability"]:
            return doubt(
                "sigmoid-twice",
                where,
                "binary_cross_entropy_with_logits is given values from 0 to 1 only, as if they had been through a sigmoid",
                "give it logits",
            )
        case "interpolate" if facts["is_blended"]:
            return fault(
                "labels-blend",
                where,
                f"a map of {facts['labels']} labels is resized with mode={facts['mode']!r}: labels blend into values in between",
                'resize labels with mode="nearest"',
            )
        case "broadcast":
            return fault(
                "broadcasting",
                where,
                f"{facts['shapes'][0]} against {facts['shapes'][-1]} gives every pair of examples, [B, B], not one value an example",
                "bring both to one shape: squeeze(1), or [:, None]",
            )
        case _:
            return None


def on_loss(probe: Probe) -> Iterator[Finding]:
    """A loss that does not hear the targets, or begins far from a guess."""
    moved = probe.checks.get("targets") or {}
    if "failed" not in moved and moved.get("moves") == 0:
        yield fault(
            "targets-not-used",
            "loss",
            "the loss is the same with other examples' targets: it does not depend on them",
        )
    loss = loss_of(probe)
    num = next((c.facts["num_classes"] for c in probe.calls if c.what == "cross_entropy"), None)
    is_fresh = probe.facts.get("step") == 1 and not probe.facts.get("weights")
    if loss is not None and num is not None and num > 1 and is_fresh and math.isfinite(loss):
        guess = math.log(num)
        if loss > _GUESS_FACTOR * guess:
            yield doubt(
                "loss-begins-high",
                "loss",
                f"the loss begins at {loss:.3g}; guessing among {num} classes gives {guess:.3g}",
                "outputs are too large at the start: look at what enters, and at the last layer's initial weights",
            )


def on_outputs(probe: Probe) -> Iterator[Finding]:
    """Logits that can only be positive: an activation after the last layer."""
    outputs = first(probe, StageKind.OUTPUTS)
    if (
        outputs is None
        or not outputs.outputs
        or not any(c.what == "cross_entropy" for c in probe.calls)
    ):
        return
    look = outputs.outputs[0]
    is_wide = math.prod(look.shape) >= 64  # noqa: PLR2004  enough to tell
    if look.low == 0 and look.zeros > 0.05 and is_wide and (look.high or 0) > 0:  # noqa: PLR2004
        yield fault(
            "logits-rectified",
            "forward",
            f"logits are never below 0, and {look.zeros:.0%} are 0: a ReLU stands behind the last layer",
            "take the activation off the last layer",
        )


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
