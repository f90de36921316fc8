"""Draw the checked-in sample from the whole of Fashion-MNIST: a class-balanced part, in the same file format.

Usage: python examples/fashion/draw_sample.py [--source FOLDER] [--into FOLDER] [--train 6000] [--test 1000]

The same arguments always choose the same images in the same order, and the files carry no time stamp.
"""

from __future__ import annotations

import argparse
import gzip
import random
import struct
from pathlib import Path

DEBIAN = Path(
    "/usr/share/datasets/fashion-mnist"
)  # what `apt install dataset-fashion-mnist` puts there
NUM_CLASSES = 10
SIDE = 28
SEED = 2017


def draw(labels: bytes, num_images: int, seed: int = SEED) -> list[int]:
    """Return the positions of ``num_images`` images, as many of each class, in a shuffled order."""
    if num_images % NUM_CLASSES:
        raise SystemExit(f"{num_images} images cannot be shared out among {NUM_CLASSES} classes")
    rng = random.Random(seed)  # noqa: S311  a draw, not a secret
    chosen: list[int] = []
    for number in range(NUM_CLASSES):
        of_class = [position for position, label in enumerate(labels) if label == number]
        chosen += rng.sample(of_class, num_images // NUM_CLASSES)
    rng.shuffle(chosen)
    return chosen


def draw_split(source: Path, into: Path, split: str, num_images: int) -> None:
    """Write ``num_images`` of one split ("train" or "t10k") as idx files."""
    images_name, labels_name = f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"
    size = SIDE * SIDE
    pixels = gzip.decompress((source / images_name).read_bytes())[16:]
    labels = gzip.decompress((source / labels_name).read_bytes())[8:]
    chosen = draw(labels, num_images)
    images_header = struct.pack(">IIII", 0x803, num_images, SIDE, SIDE)
    labels_header = struct.pack(">II", 0x801, num_images)
    drawn = b"".join(pixels[i * size : (i + 1) * size] for i in chosen)
    _write(into / images_name, images_header + drawn)
    _write(into / labels_name, labels_header + bytes(labels[i] for i in chosen))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))


def main() -> None:
    """Draw both splits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--source", type=Path, default=DEBIAN)
    parser.add_argument("--into", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--train", type=int, default=6000)
    parser.add_argument("--test", type=int, default=1000)
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    draw_split(asked.source, asked.into, "train", asked.train)
    draw_split(asked.source, asked.into, "t10k", asked.test)


if __name__ == "__main__":
    main()
