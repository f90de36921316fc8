"""In what two recorded environments differ, in a few words: what weighs most comes first.

They are the documents that ``branchlab.train.environment`` writes; one of another version, or a damaged one, lacks some of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

_FIRST = ("torch", "torchvision", "numpy", "triton")
_SHOWN_MAX = 3


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return what the one has against the other: ``numpy 2.4.6 against 2.3.1``; empty where nothing that counts differs."""
    found = [
        f"{what} {mine or 'none'} against {theirs or 'none'}"
        for what, mine, theirs in _pairs(one, other)
        if mine != theirs
    ]
    more = len(found) - _SHOWN_MAX
    return ", ".join(found[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def commonest(pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], int] | None:
    """Return the pair of digests by which most pairs of runs differ, and by how many; None where none do."""
    differing = Counter((a, b) for a, b in pairs if a and b and a != b)
    return differing.most_common(1)[0] if differing else None


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (what, here, there) of all that results may depend on."""
    plain = (
        ("Python", "python", "version"),
        ("Python", "python", "implementation"),
        ("torch", "torch", "version"),
    )
    behind = (
        ("CUDA", "torch", "cuda"),
        ("cuDNN", "torch", "cudnn"),
        ("driver", "driver", ""),
        ("CPU", "cpu", "model"),
        ("libc", "system", "libc"),
        ("machine", "system", "machine"),
    )
    is_cuda = "cuda" in {one.get("device"), other.get("device")}
    gpus = [("GPU", _gpus(one), _gpus(other))] if is_cuda else []
    return [
        *((what, _at(one, *where), _at(other, *where)) for what, *where in plain),
        *_packages(one, other),
        *gpus,
        *((what, _at(one, *where), _at(other, *where)) for what, *where in behind),
    ]


def _packages(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    mine, theirs = _versions(one), _versions(other)
    rank = {name: number for number, name in enumerate(_FIRST)}
    names = sorted(mine.keys() | theirs.keys(), key=lambda name: (rank.get(name, len(rank)), name))
    # torch says its own version more fully than its package does.
    return [(name, mine.get(name, ""), theirs.get(name, "")) for name in names if name != "torch"]


def _versions(document: Mapping[str, Any]) -> dict[str, str]:
    packages = document.get("packages") or {}
    commits = {
        name: str(source.get("commit", ""))[:10]
        for name, source in (packages.get("elsewhere") or {}).items()
    }
    pins = (str(pin).partition("==") for pin in packages.get("installed") or ())
    return {name: f"{version} {commits.get(name, '')}".strip() for name, _, version in pins}


def _gpus(document: Mapping[str, Any]) -> str:
    counted = Counter(str(gpu.get("name")) for gpu in document.get("gpus") or ())
    return ", ".join(f"{num} {name}" if num > 1 else name for name, num in counted.items())


def _at(document: Mapping[str, Any], table: str, key: str = "") -> str:
    found = document.get(table)
    if key:
        found = found.get(key) if isinstance(found, Mapping) else None
    return "" if found is None else str(found)
