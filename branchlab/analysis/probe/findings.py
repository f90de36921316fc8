"""All rules over one probe. A rule that finds nothing says nothing; each names its figures, so that a reader can judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from branchlab.analysis.probe.on_calls import on_calls
from branchlab.analysis.probe.on_data import (
    on_augmentation,
    on_inputs,
    on_labels,
    on_leak,
    on_preparation,
)
from branchlab.analysis.probe.on_model import (
    on_activations,
    on_finite,
    on_first_layer,
    on_layout,
    on_loss,
    on_mixing,
    on_modes,
    on_outputs,
    on_use,
)
from branchlab.analysis.probe.on_update import (
    on_gradients,
    on_shared_weights,
    on_size_of_gradients,
    on_update,
)
from branchlab.domain import Finding, Probe, Severity

RULES: tuple[Callable[[Probe], Iterator[Finding]], ...] = (
    on_inputs,
    on_preparation,
    on_augmentation,
    on_labels,
    on_leak,
    on_finite,
    on_first_layer,
    on_use,
    on_mixing,
    on_modes,
    on_activations,
    on_calls,
    on_outputs,
    on_loss,
    on_gradients,
    on_size_of_gradients,
    on_update,
    on_shared_weights,
    on_layout,
)


def findings(probe: Probe) -> tuple[Finding, ...]:
    """Return what is wrong, certain faults first, each group in the order of the step."""
    found = [finding for rule in RULES for finding in rule(probe)]
    if probe.failure:
        found.insert(0, _failure(probe))
    return tuple(sorted(found, key=lambda one: one.severity is not Severity.FAULT))


def _failure(probe: Probe) -> Finding:
    return Finding(
        id="step-failed",
        severity=Severity.FAULT,
        where="the step",
        sentence=f"the step could not be taken: {probe.failure}",
    )
