"""Images that are there twice: within the training set, and across the split into validation and test, where they leak.

Exact copies have the same bytes. Near ones have the same signs of brightness between neighbouring fields of their thumbnail (the
"difference hash", with a margin so that flat ground has no sign), and thumbnails that differ by little: a copy that was saved
again or made a little brighter is found, a cropped, turned or mirrored one is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from branchlab.domain import SampleCheck

Ids = NDArray[np.int64]
Thumbs = NDArray[np.uint8]

_MARGINS = (6, 12)
"""Of 255; a copy whose brightness just crosses the one margin has the same signs at the other."""
_NEAR_RMS = 3.0
"""Of 255, between two thumbnails."""
_NEIGHBOURS = 8
_SHARE_MAX = 0.01
_LISTED_MAX = 100
_SHOWN_MAX = 5
_UNUSUAL = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """The images of one split that were looked at: their ids, digests of their bytes, and thumbnails."""

    ids: Ids
    digests: NDArray[np.uint64]
    thumbs: Thumbs


def copies_check(train: Images, in_sample: Sequence[NDArray[np.bool_]]) -> SampleCheck:
    """Say how many images of the training set, and of the sample, are copies of others.

    Args:
        train: The training set.
        in_sample: Which of its images the sample holds, and after it which each of some redraws does.
    """
    num = len(train.ids)
    exact = _num_repeated(train.digests)
    near = len({int(pair[1]) for pair in near_pairs(train.thumbs, train.digests)})
    own, *others = [_num_repeated(train.digests[is_in]) for is_in in in_sample]
    size = int(in_sample[0].sum())
    is_above = own > 0 and bool(others) and np.mean([o < own for o in others]) >= _UNUSUAL
    is_many = exact > _SHARE_MAX * num
    said = f"{exact:,} of {num:,} training images are exact copies of others"
    said += f" and {near:,} nearly so" if near else ""
    said += f"; of the sample's {size:,}, {own:,} are exact copies within it"
    if is_above:
        said += ", more than redraws have: it holds fewer different images than its size says"
    elif is_many:
        said += "; copies count double in training: take them out of the training set"
    return SampleCheck(
        name="copies",
        is_ok=not is_above and not is_many,
        sentence=said,
        figures={"exact": exact, "near": near, "exact_in_sample": own, "images": num},
    )


def leakage_check(train: Images, held_out: Mapping[str, Images]) -> SampleCheck:
    """Say which images of the training set are in the validation or test set too."""
    parts: list[str] = []
    figures: dict[str, int | list[int]] = {}
    for name, split in held_out.items():
        exact = _shared(train, split)
        near = _near_across(train, split)
        figures |= {f"exact_{name}": len(exact), f"near_{name}": len(near)}
        figures[f"ids_{name}"] = [id_ for pair in (exact + near)[:_LISTED_MAX] for id_ in pair]
        if exact or near:
            kinds = [f"{len(exact)} exactly"] * bool(exact) + [f"{len(near)} nearly"] * bool(near)
            parts.append(f"{' and '.join(kinds)} in {name} ({_listed(exact + near, name)})")
    sizes = " and ".join(f"{len(split.ids):,} of {name}" for name, split in held_out.items())
    if not parts:
        said = f"no training image is among the {sizes}, exactly or nearly"
    else:
        said = f"training images are held out too: {'; '.join(parts)}; what is measured there is partly memory"
    return SampleCheck(name="leakage", is_ok=not parts, sentence=said, figures=figures)


def near_pairs(
    thumbs: Thumbs, digests: NDArray[np.uint64], *, side: int = 16
) -> list[tuple[int, int]]:
    """Return the places of pairs of images that are nearly, but not exactly, the same."""
    grey = thumbs.reshape(len(thumbs), -1, side, side).astype(np.float32).mean(1)
    brightness = grey.mean((1, 2))
    found: set[tuple[int, int]] = set()
    for margin in _MARGINS:
        keys = _difference_hash(grey, margin)
        order = np.lexsort((brightness, keys))
        for step in range(1, _NEIGHBOURS + 1):
            one, other = order[:-step], order[step:]
            is_candidate = (keys[one] == keys[other]) & (digests[one] != digests[other])
            one, other = one[is_candidate], other[is_candidate]
            rms = np.sqrt(((grey[one] - grey[other]) ** 2).mean((1, 2)))
            # A pattern so faint that the thumbnail is flat says nothing.
            is_near = (rms < _NEAR_RMS) & (grey[one].std((1, 2)) > 2 * _NEAR_RMS)
            pairs = np.sort(np.stack([one[is_near], other[is_near]], 1), 1)
            found |= {(int(a), int(b)) for a, b in pairs}
    return sorted(found)


def _difference_hash(grey: NDArray[np.float32], margin: float) -> NDArray[np.uint64]:
    """Return 64 bits an image: whether a field of 8 x 8 is darker by a margin than the one to its right, round the edge."""
    fields = grey.reshape(len(grey), 8, 2, 8, 2).mean((2, 4))
    is_darker = np.roll(fields, -1, 2) - fields > margin
    packed: NDArray[np.uint64] = np.packbits(is_darker.reshape(len(grey), 64), 1).view(np.uint64)
    return packed[:, 0]


def _num_repeated(digests: NDArray[np.uint64]) -> int:
    return len(digests) - len(np.unique(digests))


def _shared(train: Images, split: Images) -> list[tuple[int, int]]:
    """Return the ids of images with the same bytes, of the training set and of another split."""
    where = {int(digest): int(id_) for digest, id_ in zip(split.digests, split.ids, strict=True)}
    is_shared = np.isin(train.digests, split.digests)
    return [
        (int(id_), where[int(digest)])
        for digest, id_ in zip(train.digests[is_shared], train.ids[is_shared], strict=True)
    ]


def _near_across(train: Images, split: Images) -> list[tuple[int, int]]:
    if train.thumbs.shape[1] != split.thumbs.shape[1]:
        return []
    num = len(train.ids)
    pairs = near_pairs(
        np.concatenate([train.thumbs, split.thumbs]), np.concatenate([train.digests, split.digests])
    )
    return [
        (int(train.ids[one]), int(split.ids[other - num]))
        for one, other in pairs
        if one < num <= other
    ]


def _listed(pairs: list[tuple[int, int]], name: str) -> str:
    shown = ", ".join(f"{one} = {name} {other}" for one, other in pairs[:_SHOWN_MAX])
    more = len(pairs) - _SHOWN_MAX
    return f"train {shown}" + (f" and {more} more" if more > 0 else "")
