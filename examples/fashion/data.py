"""Where Fashion-MNIST is found, how its files are read, and which part of it is held back for validation.

``data`` is one word of three kinds:

- ``sample``: the folder ``data/`` beside this file, else the one beside this package (a repository's root);
- a path: a folder with the four ``.gz`` files as they are published;
- ``torchvision:ROOT``: what ``torchvision.datasets.FashionMNIST`` has put below ROOT.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from branchlab import Examples, Splits

CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FILES = tuple(
    f"{split}-{what}-ubyte.gz"
    for split in ("train", "t10k")
    for what in ("images-idx3", "labels-idx1")
)
VAL_SHARE = 1 / 6  # of the train set: 10,000 of 60,000
VAL_SEED = 20_170_825  # never the run's seed: all runs are judged on the same images
_HERE = Path(__file__).parent


def load(data: str) -> Splits:
    """Return train, val and test as uint8 [N, 1, 28, 28] with labels [N].

    Raises:
        FileNotFoundError: The data is not there; the message says what is needed and the next command.
    """
    train_images, train_labels, test_images, test_labels = (
        _from_torchvision(data.removeprefix("torchvision:"))
        if data.startswith("torchvision:")
        else _from_folder(find_folder(data))
    )
    train, val = split_off_val(train_labels)
    return Splits(
        train=Examples(train_images[train], train_labels[train]),
        val=Examples(train_images[val], train_labels[val]),
        test=Examples(test_images, test_labels),
        classes=CLASSES,
    )


def split_off_val(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of train and of val, the same share of each class in both, always the same ones."""
    generator = torch.Generator().manual_seed(VAL_SEED)
    is_val = torch.zeros(len(labels), dtype=torch.bool)
    for number in range(len(CLASSES)):
        of_class = (labels == number).nonzero()[:, 0]
        order = torch.randperm(len(of_class), generator=generator)
        is_val[of_class[order[: round(VAL_SHARE * len(of_class))]]] = True
    return (~is_val).nonzero()[:, 0], is_val.nonzero()[:, 0]


def find_folder(data: str) -> Path:
    """Return the folder that ``data`` means, with all four files in it."""
    places = (_HERE / "data", _HERE.parent / "data") if data == "sample" else (Path(data),)
    for place in places:
        if all((place / name).is_file() for name in FILES):
            return place
    raise FileNotFoundError(
        f"data={data!r}: no Fashion-MNIST in {' or '.join(str(place) for place in places)}; "
        f"needed there: {', '.join(FILES)}. Next: apt install dataset-fashion-mnist, "
        f"then use data=/usr/share/datasets/fashion-mnist"
    )


def read_idx(path: Path) -> Tensor:
    """Return a file in the idx format, unpacked: two zero bytes, type 8 (uint8), the number of dimensions, sizes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}") from None
    num_dimensions = content[3] if content[:3] == b"\0\0\x08" else 0
    start = 4 + 4 * num_dimensions
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if not shape or len(content) != start + prod(shape):
        raise ValueError(f"{path} is not an idx file of bytes: {len(content)} bytes, shape {shape}")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).view(shape)


def _from_folder(folder: Path) -> Iterator[Tensor]:
    for name in FILES:
        values = read_idx(folder / name)
        yield values[:, None] if "images" in name else values.long()


def _from_torchvision(root: str) -> Iterator[Tensor]:
    from torchvision.datasets import FashionMNIST

    for train in (True, False):
        try:
            split = FashionMNIST(root, train=train, download=False)
        except RuntimeError as error:
            raise FileNotFoundError(
                f"data='torchvision:{root}': no Fashion-MNIST below {root}. Next: python -c "
                f"\"from torchvision.datasets import FashionMNIST as F; F('{root}', download=True)\""
            ) from error
        yield split.data[:, None]
        yield split.targets
