"""What a run that records itself is asked for, and the form in which its recording is kept."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from branchlab.domain import Note, Noted, Outside, Recording, Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRecording:
    """How a training is recorded.

    Attributes:
        steps: Steps that are taken at most.
        closely: Steps of which every module, gradient and weight is noted.
        is_strict: Whether an operation without a deterministic form ends the training; else it is noted.
        is_watchful: Whether calls that may give something else each time are noted too.
        varied: What is made different from other recordings, of that which no seed decides.
        number: Of several recordings of one training.
    """

    steps: int
    closely: tuple[int, ...] = (1, 2)
    is_strict: bool = True
    is_watchful: bool = False
    varied: tuple[Outside, ...] = ()
    number: int = 1

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AskedRecording:
        """Return what a JSON document holds."""
        varied = tuple(map(Outside, document["varied"]))
        return cls(**{**document, "closely": tuple(document["closely"]), "varied": varied})


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRehearsal:
    """How a training is rehearsed: trained to its end by the trainer itself, and watched.

    Attributes:
        stops: Where it is interrupted, the first in the first attempt; the attempt after the last one trains to the end.
        look_at: Steps before which all is noted that a project holds.
    """

    stops: tuple[Stop, ...] = ()
    look_at: tuple[int, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AskedRehearsal:
        """Return what a JSON document holds."""
        stops = tuple(Stop(**stop) for stop in document["stops"])
        return cls(stops=stops, look_at=tuple(document["look_at"]))


def pack_recording(recording: Recording) -> bytes:
    """Return a recording as bytes that are equal for equal recordings."""
    notes = [[str(n.kind), n.step, n.name, n.value] for n in recording.notes]
    document = {
        "notes": notes,
        "failure": recording.failure,
        "kernels": list(recording.kernels),
    }
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 1, mtime=0)


def unpack_recording(content: bytes) -> Recording | None:
    """Return what ``pack_recording`` gave; None where it is damaged."""
    try:
        document = json.loads(gzip.decompress(content))
        return Recording(
            notes=tuple(Note(Noted(kind), *rest) for kind, *rest in document["notes"]),
            failure=document["failure"],
            kernels=tuple(document["kernels"]),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
