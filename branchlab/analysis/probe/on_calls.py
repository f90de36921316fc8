"""Rules on operations as they are called, wherever they stand: over the wrong axis, on the wrong kind of values."""

from __future__ import annotations

from collections.abc import Iterator

from branchlab.analysis.probe.reading import doubt, fault
from branchlab.domain import Finding, Probe


def on_calls(probe: Probe) -> Iterator[Finding]:
    """Operations that go wrong silently, where they stand in the project."""
    seen: set[tuple[str, str]] = set()
    # Both ways at one place is how two sets are matched with each other.
    rows = {c.place for c in probe.calls if c.what == "softmax" and c.facts.get("is_over_last")}
    for call in probe.calls:
        if call.what == "softmax" and call.facts.get("is_over_queries") and call.place in rows:
            continue
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
        case "softmax" if facts.get("is_over_queries"):
            return doubt(
                "softmax-over-queries",
                where,
                f"softmax over axis {facts['axis']} of {facts['shape']}: of scores between tokens, each column sums to 1, not each row",
                "take the axis of what is attended to: dim=-1",
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
            return fault(
                "sigmoid-twice",
                where,
                "binary_cross_entropy_with_logits is given what a sigmoid gave, and applies one again",
                "give it logits",
            )
        case "interpolate" if facts["is_blended"]:
            return fault(
                "labels-blend",
                where,
                f"a map of {facts['labels']} labels is resized with mode={facts['mode']!r}: labels blend into values in between",
                'resize labels with mode="nearest"',
            )
        case "broadcast-last":
            return doubt(
                "broadcasting-channels",
                where,
                f"{facts['shapes'][0]} against {facts['shapes'][-1]}: one value a channel goes along the width, which is as large",
                "give it the axes of an image: [:, None, None]",
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
