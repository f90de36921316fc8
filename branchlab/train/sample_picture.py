"""A picture of a sample: some images of each class, beside the class's share in the sample and in the whole training set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from branchlab.run_folder import replacing
from branchlab.train.rows import as_tensors
from branchlab.train.sampling import Seen

if TYPE_CHECKING:
    from PIL.Image import Image

    from branchlab.train.data import Split

_SIDE = 56
_GAP = 4
_IMAGES_A_CLASS = 8
_CLASSES_MAX = 30
_LABEL_WIDTH = 200
_BAR_WIDTH = 150
_INK, _PALE, _PAPER = (30, 30, 30), (190, 190, 190), (255, 255, 255)
_BLUE = (58, 110, 165)
_LONGEST_NAME = 22


def draw_picture(
    path: Path, train: Split, ids: Tensor, seen: Seen, *, names: Sequence[str]
) -> None:
    """Save the picture; where the inputs are no images there is none."""
    from PIL import Image, ImageDraw

    rows = _rows(ids, seen, names)
    cell = _SIDE + _GAP
    size = (_LABEL_WIDTH + _BAR_WIDTH + cell * _IMAGES_A_CLASS + _GAP, cell * len(rows) + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (name, share, of_whole, chosen) in enumerate(rows):
        top = _GAP + number * cell
        pen.text((_GAP, top + 8), name[:_LONGEST_NAME], fill=_INK)
        if share is not None and of_whole is not None:
            pen.text((_GAP, top + 24), f"sample {share:.1%}, whole {of_whole:.1%}", fill=_INK)
            longest = max(max(row[1] or 0.0, row[2] or 0.0) for row in rows) or 1.0
            _bar(pen, (_LABEL_WIDTH, top + 12), share / longest, colour=_BLUE)
            _bar(pen, (_LABEL_WIDTH, top + 28), of_whole / longest, colour=_PALE)
        for place, position in enumerate(chosen):
            image = _image(train.slice(position, position + 1).inputs[0])
            if image is None:
                return
            left = _LABEL_WIDTH + _BAR_WIDTH + place * cell
            sheet.paste(image, (left, top))
    with replacing(path) as file:
        sheet.save(file, format="PNG")


def _rows(
    ids: Tensor, seen: Seen, names: Sequence[str]
) -> list[tuple[str, float | None, float | None, list[int]]]:
    """Return for each class its name, its share in the sample and in the whole, and examples of the sample."""
    present = _present(seen)
    if present is None:
        chosen = ids[: 4 * _IMAGES_A_CLASS].tolist()
        lines = [chosen[i : i + _IMAGES_A_CLASS] for i in range(0, len(chosen), _IMAGES_A_CLASS)]
        return [("the sample", None, None, line) for line in lines]
    kept = present[ids.numpy()]
    found: list[tuple[str, float | None, float | None, list[int]]] = []
    for k in range(min(present.shape[1], _CLASSES_MAX)):
        chosen = ids[np.flatnonzero(kept[:, k])[:_IMAGES_A_CLASS]].tolist()
        name = names[k] if k < len(names) else f"class {k}"
        found.append((name, float(kept[:, k].mean()), float(present[:, k].mean()), chosen))
    return found


def _present(seen: Seen) -> NDArray[np.bool_] | None:
    if seen.classes is None:
        return seen.present
    least = min(0, int(seen.classes.min()))
    numbers = torch.arange(least, int(seen.classes.max()) + 1)[:_CLASSES_MAX]
    found: NDArray[np.bool_] = (seen.classes[:, None] == numbers).numpy()
    return found


def _bar(pen: Any, place: tuple[int, int], part: float, *, colour: tuple[int, int, int]) -> None:  # noqa: ANN401  PIL's
    left, top = place
    width = round(part * (_BAR_WIDTH - 3 * _GAP))
    pen.rectangle((left, top, left + max(1, width), top + 11), fill=colour)


def _image(stored: object) -> Image | None:
    """Return an image as it is stored, stretched to what can be seen; None where it is none."""
    from PIL import Image

    image = as_tensors(stored)
    if not isinstance(image, Tensor) or image.ndim < 2:  # noqa: PLR2004  H W
        return None
    pixels = image.float()
    if pixels.ndim == 2:  # noqa: PLR2004  H W
        pixels = pixels[None]
    while pixels.ndim > 3:  # noqa: PLR2004  C H W
        pixels = pixels.mean(1)
    pixels = pixels[:3] if pixels.shape[0] >= 3 else pixels[:1].expand(3, -1, -1)  # noqa: PLR2004  colours
    if image.dtype != torch.uint8:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / (high - low).clamp(min=1e-12) * 255
    small = nn.functional.interpolate(pixels[None], (_SIDE, _SIDE), mode="bilinear")[0]
    return Image.fromarray(small.round().to(torch.uint8).permute(1, 2, 0).numpy())
