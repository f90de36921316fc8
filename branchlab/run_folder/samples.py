"""The files of the representative sample: what a run is told of it, what a look at it is asked for, and the manifest.

samples/<name>.json    the manifest: ids, digests, how it was drawn, what was found
samples/<name>.png     a picture of it
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from branchlab.domain import Drawn, Manifest, Sample, SampleCheck, Strata
from branchlab.errors import StoreError
from branchlab.run_folder.files import from_text, to_text, write_atomically

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedLook:
    """What a process that has main's code draws and looks at.

    Attributes:
        redraws: Samples that are drawn beside it with other seeds, as many as ``redraws_s`` seconds allow.
        looked_at_max: Images that are looked at; of a larger training set so many at random.
        checkpoint: Weights of a model of main's code whose features are taken; "" for none.
    """

    redraws: int = 100
    redraws_s: float = 60.0
    looked_at_max: int = 100_000
    checkpoint: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> AskedLook:
        """Return what a JSON document holds."""
        return cls(**document)


def pack_drawn(drawn: Drawn) -> bytes:
    """Return what a run is told of the sample."""
    return json.dumps(asdict(drawn)).encode()


def unpack_drawn(content: bytes) -> Drawn:
    """Return what ``pack_drawn`` gave.

    Raises:
        ValueError: It is damaged.
    """
    try:
        return _drawn(json.loads(content))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no sample: {error}") from None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest beside, sync and rename."""
    document = {
        "version": _VERSION,
        **asdict(manifest),
        "made_at": to_text(manifest.made_at),
    }
    write_atomically(path, json.dumps(document).encode())


def read_manifest(path: Path) -> Manifest | None:
    """Return a manifest; None where there is none.

    Raises:
        StoreError: It is damaged, or of a newer version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    hint = f"draw it anew: branchlab sample --anew (or delete {path})"
    try:
        document = json.loads(content)
        version = document.pop("version")
        if version != _VERSION:
            raise StoreError(
                f"the sample's manifest {path} has version {version}; this branchlab knows {_VERSION}",
                hint=f"update branchlab, or {hint}",
            )
        made_at = from_text(document["made_at"])
        assert made_at is not None
        checks = tuple(SampleCheck(**check) for check in document["checks"])
        manifest = Manifest(
            **{
                **document,
                "drawn": _drawn(document["drawn"]),
                "strata": Strata(document["strata"]),
                "notes": tuple(document["notes"]),
                "made_at": made_at,
                "checks": checks,
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise StoreError(
            f"the sample's manifest {path} cannot be read: {error}", hint=hint
        ) from None
    if len(manifest.drawn.ids) != manifest.drawn.num:
        raise StoreError(
            f"the sample's manifest {path} is damaged: it speaks of {manifest.drawn.num} ids and holds {len(manifest.drawn.ids)}",
            hint=hint,
        )
    return manifest


def _drawn(document: Mapping[str, Any]) -> Drawn:
    return Drawn(
        **{
            **document,
            "sample": Sample(**document["sample"]),
            "ids": tuple(map(int, document["ids"])),
        }
    )
