"""Small readers of a probe's stages that the rules share."""

from __future__ import annotations

from branchlab.domain import Finding, Probe, Seen, Severity, Stage, StageKind

_SHOWN_MAX = 3


def fault(rule: str, where: str, sentence: str, remedy: str = "") -> Finding:
    """Return what is certainly wrong."""
    return Finding(id=rule, severity=Severity.FAULT, where=where, sentence=sentence, remedy=remedy)


def doubt(rule: str, where: str, sentence: str, remedy: str = "") -> Finding:
    """Return what is worth a look."""
    return Finding(id=rule, severity=Severity.DOUBT, where=where, sentence=sentence, remedy=remedy)


def at(stage: Stage) -> str:
    """Return a module's name with its class, and the line that built it where that is known."""
    name = f"{stage.name} ({stage.type})" if stage.name else stage.type
    return f"{name} at {stage.place}" if stage.place else name


def few(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(names[:_SHOWN_MAX])
    more = len(names) - _SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def leaves(probe: Probe) -> list[Stage]:
    """Return the calls of modules without children that ran, in order."""
    modules = probe.of(StageKind.MODULE)
    names = {stage.name for stage in modules}
    inner = {above for name in names for above in _all_above(name)} | {""}
    return [s for s in modules if s.name not in inner or (len(names) == 1 and not s.name)]


def _all_above(name: str) -> list[str]:
    """Return the modules that a module stands in; lists of modules on the way are never called themselves."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def images(looks: tuple[Seen, ...]) -> list[Seen]:
    """Return batches of images among some looks: float or byte tensors [B, C, H, W] of inputs."""
    return [
        look
        for look in looks
        if len(look.shape) == 4 and not look.name.startswith("targets")  # noqa: PLR2004  B C H W
    ]


def begun_at_zero(probe: Probe) -> set[str]:
    """Return modules with weights that were all 0 before the step, as some last layers and gates begin, and what they stand in.

    Nothing comes out of them, or back through them, yet.
    """
    gates = [
        stage.name.rpartition(".")[0]
        for stage in probe.of(StageKind.GRADIENT)
        if "bias" not in stage.name and stage.measures.get("weight_norm") == 0.0
    ]
    return {name for gate in gates for name in (gate, *_all_above(gate))}


def is_skipped(probe: Probe) -> bool:
    """Whether the step was none: fp16 leaves one out where a gradient does not fit, and scales the next one lower."""
    changes = [stage.measures["change"] for stage in probe.of(StageKind.UPDATE)]
    return probe.facts.get("precision") == "fp16" and not any(changes)


def num_classes(probe: Probe) -> int | None:
    """Return among how many classes the loss chooses; None where it is no choice of one."""
    chosen = [c for c in probe.calls if c.what in {"cross_entropy", "nll_loss"}]
    return next((int(c.facts["num_classes"]) for c in chosen), None)


def first(probe: Probe, kind: StageKind) -> Stage | None:
    """Return the first stage of a kind."""
    return next(iter(probe.of(kind)), None)


def loss_of(probe: Probe) -> float | None:
    """Return the loss of the step."""
    stage = first(probe, StageKind.LOSS)
    if stage is None or not stage.outputs:
        return None
    return stage.outputs[0].mean
