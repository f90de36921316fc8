"""What a run that is probed is asked for, and the form in which a probe is kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from branchlab.domain import Call, Probe, Seen, Stage, StageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedProbe:
    """How a training is probed.

    Attributes:
        step: The step that is looked at; those before it are taken as the trainer takes them.
        mode: ``train`` for a step of the training, ``eval`` for a batch of validation.
        weights: A checkpoint whose weights the model gets first; "" for fresh ones.
        maps: Patterns of modules whose outputs are drawn.
        leaves: File for the weights that the step begins with; "" keeps none.
        takes: Such a file of another probe, with which this one is walked in step: weights of one name, or of one shape at
            one place, are taken over, and random numbers in a module follow from its name.
        is_in_step: Whether random numbers follow from names; of the other side too.
    """

    step: int = 1
    mode: str = "train"
    weights: str = ""
    maps: tuple[str, ...] = ()
    leaves: str = ""
    takes: str = ""
    is_in_step: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AskedProbe:
        """Return what a JSON document holds."""
        return cls(**{**document, "maps": tuple(document["maps"])})


def pack_probe(probe: Probe) -> bytes:
    """Return a probe as bytes."""
    return gzip.compress(json.dumps(asdict(probe), separators=(",", ":")).encode(), 1, mtime=0)


def unpack_probe(content: bytes) -> Probe | None:
    """Return what ``pack_probe`` gave; None where it is damaged."""
    try:
        document = json.loads(gzip.decompress(content))
        return Probe(
            facts=document["facts"],
            stages=tuple(map(_stage, document["stages"])),
            calls=tuple(Call(**call) for call in document["calls"]),
            checks=document["checks"],
            failure=document["failure"],
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _stage(document: dict[str, Any]) -> Stage:
    looks = {name: tuple(map(_look, document[name])) for name in ("inputs", "outputs")}
    return Stage(**{**document, "kind": StageKind(document["kind"]), **looks})


def _look(document: dict[str, Any]) -> Seen:
    return Seen(
        **{
            **document,
            "shape": tuple(document["shape"]),
            "edges": tuple(document["edges"]),
            "channels": tuple(tuple(pair) for pair in document["channels"]),
            "prints": tuple(document["prints"]),
        }
    )
