"""The form in which a traced task comes back from the process that ran it."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from typing import Any

from branchlab.domain import Array, BatchSize, Group, SeenLine, Shown, Sighting, Traced


def pack_trace(traced: Traced) -> bytes:
    """Return a trace as bytes."""
    document = {
        "batches": [asdict(size) for size in traced.batches],
        "lines": [
            {
                "path": line.path,
                "span": [line.first, line.last],
                "is_flow": line.is_flow,
                "before": _written(line.before),
                "batches": [_written(sightings) for sightings in line.batches],
            }
            for line in traced.lines
        ],
        "failure": traced.failure,
        "notes": traced.notes,
    }
    return gzip.compress(json.dumps(document, separators=(",", ":")).encode(), 1, mtime=0)


def unpack_trace(content: bytes) -> Traced | None:
    """Return what ``pack_trace`` gave; None where it is damaged."""
    try:
        document = json.loads(gzip.decompress(content))
        return Traced(
            batches=tuple(BatchSize(**size) for size in document["batches"]),
            lines=tuple(
                SeenLine(
                    path=line["path"],
                    first=line["span"][0],
                    last=line["span"][1],
                    is_flow=line["is_flow"],
                    before=_read(line["before"]),
                    batches=tuple(map(_read, line["batches"])),
                )
                for line in document["lines"]
            ),
            failure=document["failure"],
            notes=tuple(document["notes"]),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None


def _written(sightings: tuple[Sighting, ...]) -> list[Any]:
    return [[[label, _written_value(value)] for label, value in one] for one in sightings]


def _written_value(value: Shown | None) -> Any:  # noqa: ANN401  plain types
    if value is None:
        return None
    if isinstance(value, Array):
        return [value.dtype, list(value.shape)]
    return [value.kind, value.num, list(value.keys), [_written_value(one) for one in value.items]]


def _read(rows: list[Any]) -> tuple[Sighting, ...]:
    return tuple(
        tuple((label, shown) for label, row in one if (shown := _read_value(row)) is not None)
        for one in rows
    )


def _read_value(row: Any) -> Shown | None:  # noqa: ANN401  plain types
    if row is None:
        return None
    if len(row) == 2:  # noqa: PLR2004  an array
        return Array(tuple(row[1]), row[0])
    kind, num, keys, items = row
    return Group(kind, tuple(keys), tuple(map(_read_value, items)), num)
