"""Rules on gradients and weights: what gets none, what is left out, what vanishes or blows up."""

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
    is_skipped,
    leaves,
    loss_of,
    num_classes,
)
from branchlab.domain import Finding, Probe, Stage, StageKind

_RATIO_MAX = 1e4
_LARGE_NORM = 1e3
_LARGE_CHANGE = 0.5
_NORM_MIN = 1e-12
_WEIGHT_MIN = 0.01


def on_gradients(probe: Probe) -> Iterator[Finding]:
    """Weights without a gradient: never reached, cut off, or frozen by mistake."""
    stages = probe.of(StageKind.GRADIENT)
    if not stages or is_skipped(probe):
        return
    called = {stage.name for stage in probe.of(StageKind.MODULE)}
    free = [stage for stage in stages if not _is_frozen(probe, stage.name)]
    trained = [stage for stage in free if stage.measures.get("requires_grad", 1.0)]
    frozen = _frozen_by_mistake(probe, free, trained)
    reached = [stage for stage in trained if stage.measures.get("has_grad")]
    cut = [
        stage.name
        for stage in trained
        if stage not in reached and stage.name.rpartition(".")[0] in called
    ]
    zero = [stage.name for stage in reached if stage.measures.get("grad_norm", 0.0) == 0.0]
    if frozen:
        yield fault(
            "frozen-by-mistake",
            few(frozen),
            f"{few(frozen)}: requires_grad is off, and the recipe freezes nothing like it",
            "switch it on, or say so in recipe.frozen",
        )
    if cut:
        yield fault(
            "cut-off",
            few(cut),
            f"{few(cut)}: used in the forward pass and reached by no gradient",
            "look for detach(), torch.no_grad(), .data, or argmax on the way to the loss",
        )
    if zero and (begun_at_zero(probe) or _has_dropped(probe)):
        zero = []
    if zero and len(zero) < len(stages):
        yield doubt(
            "gradient-zero",
            few(zero),
            f"{few(zero)}: the gradient is 0 everywhere",
            "look for units that are dead, as a rate too high leaves them, and for saturated activations",
        )
    if zero and len(zero) == len(stages):
        yield fault("no-gradient-at-all", "loss", "no weight gets a gradient other than 0")
    yield from _unlearned(probe, stages)


def _frozen_by_mistake(probe: Probe, free: list[Stage], trained: list[Stage]) -> list[str]:
    """Return weights that look as if they should learn: beside them in the same module others do.

    Whole modules without gradients, and constants kept as parameters (positions, anchors), are meant so.
    """
    learning = {stage.name.rpartition(".")[0] for stage in trained}
    frozen = [
        stage.name
        for stage in free
        if stage not in trained
        and stage.name.rpartition(".")[0] in learning
        and stage.name.endswith(("weight", "bias"))
    ]
    # One kind for all of them, as where only biases are tuned, is a choice.
    return frozen if len(frozen) <= len(trained) // 2 else []


def _has_dropped(probe: Probe) -> bool:
    """Whether a module has dropped all of what went through it, as stochastic depth does now and then."""
    return any(
        stage.measures.get("draws") and stage.outputs and stage.outputs[0].zeros == 1.0
        for stage in leaves(probe)
    )


def _is_frozen(probe: Probe, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in probe.facts.get("frozen") or ())


def _unlearned(probe: Probe, stages: list[Stage]) -> Iterator[Finding]:
    """Weights that have a gradient and are the same after the step."""
    changes = {stage.name: stage.measures["change"] for stage in probe.of(StageKind.UPDATE)}
    if not changes:
        return
    moving = [s for s in stages if s.measures.get("grad_norm", 0.0) > 0]
    still = [s.name for s in moving if changes.get(s.name) == 0.0]
    # A step may be smaller than what a float can tell, as that of a bias before a norm.
    outside = [s.name for s in moving if not s.measures.get("is_in_optimizer", 1.0)]
    if still and len(still) == len(moving):
        lr = probe.facts.get("lr")
        yield fault(
            "nothing-learnt",
            "optimizer",
            f"the step changes no weight; the learning rate is {lr:g}",
        )
    elif outside:
        yield fault(
            "not-in-the-optimizer",
            few(outside),
            f"{few(outside)}: has a gradient and stays as it is: the optimiser does not know it",
            "build all weights in model(), before the first step",
        )


def on_size_of_gradients(probe: Probe) -> Iterator[Finding]:
    """Gradients that are not finite, blow up or vanish on their way back."""
    if is_skipped(probe):
        return
    stages = [s for s in probe.of(StageKind.GRADIENT) if s.measures.get("has_grad")]
    bad = [s.name for s in stages if not math.isfinite(s.measures.get("grad_norm", 0.0))]
    if bad:
        origin = _origin_of_bad(probe)
        yield fault(
            "gradient-not-finite",
            origin or few(bad),
            f"{few(bad)}: the gradient is not finite"
            + (f"; on its way back it is so first behind {origin}" if origin else ""),
            "look there for sqrt, log, norm or a division at 0, and add a small number under it",
        )
        return
    large = [s for s in stages if s.measures.get("grad_norm", 0.0) > _largest_norm(probe)]
    if large:
        worst = max(large, key=lambda s: s.measures["grad_norm"])
        yield fault(
            "gradient-blows-up",
            worst.name,
            f"the gradient of {worst.name} has norm {worst.measures['grad_norm']:.3g}",
            "normalise between layers, scale initial weights down, or set recipe.clip_norm",
        )
        return
    passing = [
        (stage, stage.measures["grad_norm"])
        for stage in leaves(probe)
        if stage.measures.get("grad_norm", 0.0) > _NORM_MIN and stage.call == 0
    ]
    if len(passing) > 1:
        (early, at_start), (_, at_end) = passing[0], max(passing, key=lambda pair: pair[1])
        if at_end / at_start > _RATIO_MAX:
            yield doubt(
                "gradient-vanishes",
                at(early),
                f"the gradient falls from {at_end:.2g} to {at_start:.2g} on its way back to {at(early)}",
                "use skips or norms, or another activation",
            )


def _origin_of_bad(probe: Probe) -> str:
    """Return the module behind which the gradient is not finite first, on its way back."""
    bad = [s for s in leaves(probe) if not math.isfinite(s.measures.get("grad_norm", 0.0))]
    return at(bad[-1]) if bad else ""


def _largest_norm(probe: Probe) -> float:
    """Return what gradients may be: those of a loss that is a sum, over pixels say, are as much larger as it is itself."""
    loss = abs(loss_of(probe) or 0.0)
    return _LARGE_NORM * (1.0 if num_classes(probe) is not None else max(1.0, loss))


def on_shared_weights(probe: Probe) -> Iterator[Finding]:
    """Weights that were to be one and are two."""
    for one, other in (probe.checks.get("tied") or {}).get("pairs") or ():
        yield fault(
            "tied-wrongly",
            other,
            f"{one} and {other} were made of the same memory and are two parameters all the same: they are not one weight",
            "tie weights by giving both modules the same Parameter",
        )


def on_update(probe: Probe) -> Iterator[Finding]:
    """Steps that change weights by as much as they hold."""
    if probe.facts.get("step", 1) < 2:  # noqa: PLR2004  the first step of Adam is as large as its learning rate
        return
    sizes = {s.name: s.measures.get("weight_norm", 0.0) for s in probe.of(StageKind.GRADIENT)}
    large = [
        s
        for s in probe.of(StageKind.UPDATE)
        if s.measures.get("relative_change", 0.0) > _LARGE_CHANGE
        # What begins at 0, as biases and class tokens do, has nothing yet that a step could be large beside.
        and sizes.get(s.name, 0.0) / math.sqrt(math.prod(s.outputs[0].shape)) > _WEIGHT_MIN
    ]
    if large:
        worst = max(large, key=lambda s: s.measures["relative_change"])
        yield doubt(
            "step-too-large",
            worst.name,
            f"one step changes {worst.name} by {worst.measures['relative_change']:.0%} of its size",
            "lower recipe.lr",
        )
