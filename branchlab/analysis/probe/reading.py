"""Small readers of a probe's stages that the rules share."""

from __future__ import annotations

from branchlab.domain import Finding, Look, Probe, Severity, Stage, StageKind

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
    inner = {name.rpartition(".")[0] for name in names} | {""}
    return [s for s in modules if s.name not in inner or (len(names) == 1 and not s.name)]


def images(looks: tuple[Look, ...]) -> list[Look]:
    """Return batches of images among some looks: float or byte tensors [B, C, H, W] of inputs."""
    return [
        look
        for look in looks
        if len(look.shape) == 4 and not look.name.startswith("targets")  # noqa: PLR2004  B C H W
    ]


def begun_at_zero(probe: Probe) -> set[str]:
    """Return modules whose weights were all 0 before the step, as some last layers begin: nothing comes back through them yet."""
    return {
        stage.name.removesuffix(".weight")
        for stage in probe.of(StageKind.GRADIENT)
        if stage.name.endswith(".weight") and stage.measures.get("weight_norm") == 0.0
    }


def first(probe: Probe, kind: StageKind) -> Stage | None:
    """Return the first stage of a kind."""
    return next(iter(probe.of(kind)), None)


def loss_of(probe: Probe) -> float | None:
    """Return the loss of the step."""
    stage = first(probe, StageKind.LOSS)
    if stage is None or not stage.outputs:
        return None
    return stage.outputs[0].mean
