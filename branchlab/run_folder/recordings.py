"""What a run that records itself is asked for, and the form in which its recording is kept."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass

from branchlab.domain import Note, Noted, Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedRecording:
    """How a training is recorded.

    Attributes:
        steps: Steps that are taken at most.
        closely: Steps of which every module, gradient and weight is noted.
        is_strict: Whether an operation without a deterministic form ends the training; else it is noted.
    """

    steps: int
    closely: tuple[int, ...] = (1, 2)
    is_strict: bool = True


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
