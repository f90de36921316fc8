"""Rules on gradients and weights: what gets none, what is left out, what vanishes or blows up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fnmatch import fnmatchcase

from branchlab.analysis.probe.reading import at, begun_at_zero, doubt, fault, few, leaves
from branchlab.domain import Finding, Probe, Stage, StageKind

_RATIO_MAX = 1e4
_LARGE_NORM = 1e3
_LARGE_CHANGE = 0.5
_NORM_MIN = 1e-12
_WEIGHT_MIN = 0.01


def on_gradients(probe: Probe) -> Iterator[Finding]:
    """Weights without a gradient: never reached, cut off, or frozen by mistake."""
    stages = probe.of(StageKind.GRADIENT)
    if not stages:
        return
    called = {stage.name for stage in probe.of(StageKind.MODULE)}
    free = [stage for stage in stages if not _is_frozen(probe, stage.name)]
    trained = [stage for stage in free if stage.measures.get("requires_grad", 1.0)]
    frozen = [stage.name for stage in free if stage not in trained]
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
    if zero and begun_at_zero(probe):
        zero = []
    if zero and len(zero) < len(stages):
        yield doubt("gradient-zero", few(zero), f"{few(zero)}: the gradient is 0 everywhere")
    if zero and len(zero) == len(stages):
        yield fault("no-gradient-at-all", "loss", "no weight gets a gradient other than 0")
    yield from _unlearned(probe, stages)


def _is_frozen(probe: Probe, name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in probe.facts.get("frozen") or ())


def _unlearned(probe: Probe, stages: list[Stage]) -> Iterator[Finding]:
    """Weights that have a gradient and are the same after the step."""
    changes = {stage.name: stage.measures["change"] for stage in probe.of(StageKind.UPDATE)}
    if not changes:
        return
    still = [
        stage.name
        for stage in stages
        if stage.measures.get("grad_norm", 0.0) > 0 and changes.get(stage.name) == 0.0
    ]
    if still and len(still) == sum(s.measures.get("grad_norm", 0.0) > 0 for s in stages):
        lr = probe.facts.get("lr")
        yield fault(
            "nothing-learnt",
            "optimizer",
            f"the step changes no weight; the learning rate is {lr:g}",
        )
    elif still:
        yield fault(
            "not-in-the-optimizer",
            few(still),
            f"{few(still)}: has a gradient and stays as it is: the optimiser does not know it",
            "build all weights in model(), before the first step",
        )


def on_size_of_gradients(probe: Probe) -> Iterator[Finding]:
    """Gradients that are not finite, blow up or vanish on their way back."""
    stages = [s for s in probe.of(StageKind.GRADIENT) if s.measures.get("has_grad")]
    bad = [s.name for s in stages if not math.isfinite(s.measures.get("grad_norm", 0.0))]
    if bad:
        yield fault("gradient-not-finite", few(bad), f"{few(bad)}: the gradient is not finite")
        return
    large = [s for s in stages if s.measures.get("grad_norm", 0.0) > _LARGE_NORM]
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
