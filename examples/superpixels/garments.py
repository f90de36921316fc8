"""The garments that scenes are made of: Fashion-MNIST's images, cut out to the pixel, under four names."""

from __future__ import annotations

import gzip
from math import prod
from pathlib import Path

import torch
from torch import Tensor

CLASSES = ("ground", "top", "trouser", "shoe", "bag")
CLASS_OF = {0: 1, 2: 1, 4: 1, 6: 1, 1: 2, 5: 3, 7: 3, 9: 3, 8: 4}
"""Class by Fashion-MNIST's label; dresses are left out."""
_HERE = Path(__file__).parent
_FAINT = 24
"""Pixels of a garment are brighter than that, of 255."""


def load(data: str, split: str) -> tuple[Tensor, Tensor]:
    """Return garments (UInt8[Tensor, "N 28 28"], 0 around them) and their classes (Int[Tensor, "N"]).

    Args:
        data: ``sample``, for the folder ``data/`` beside this package or that of the example fashion; else a folder.
        split: ``train`` or ``t10k``.

    Raises:
        FileNotFoundError: The files are not there.
    """
    folder = find_folder(data, split)
    images = _read(folder / f"{split}-images-idx3-ubyte.gz")
    labels = _read(folder / f"{split}-labels-idx1-ubyte.gz").tolist()
    kept = torch.tensor([number for number, label in enumerate(labels) if label in CLASS_OF])
    images = images[kept]
    classes = torch.tensor([CLASS_OF[labels[number]] for number in kept.tolist()])
    return torch.where(images > _FAINT, images, 0), classes


def find_folder(data: str, split: str) -> Path:
    """Return the folder that ``data`` means, with the files of a split in it."""
    beside = (_HERE.parent / "data", _HERE.parent / "fashion" / "data")
    places = beside if data == "sample" else (Path(data),)
    names = [f"{split}-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
    for place in places:
        if all((place / name).is_file() for name in names):
            return place
    raise FileNotFoundError(
        f"data={data!r}: no {' and '.join(names)} in {' or '.join(str(place) for place in places)}. "
        f"Next: apt install dataset-fashion-mnist, then use data=/usr/share/datasets/fashion-mnist"
    )


def _read(path: Path) -> Tensor:
    """Return a file in the idx format: two zero bytes, type 8 (uint8), the number of dimensions, sizes, bytes."""
    content = gzip.decompress(path.read_bytes())
    start = 4 + 4 * content[3]
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if content[:3] != b"\0\0\x08" or len(content) != start + prod(shape):
        raise ValueError(f"{path} is not an idx file of bytes")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).view(shape)
