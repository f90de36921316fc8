"""Weights of one model for another that is nearly the same, so that both can be walked in step.

A branch that builds one module more draws other initial weights for all that come after it, and would differ everywhere. So
weights of one name and shape are taken over; what is left on both sides is aligned in order by the last part of the name and
the shape, which finds modules that were renamed or moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor, nn


def take_over(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Any]:
    """Load what fits; return what was renamed, and what stands on one side alone or has another shape."""
    own = model.state_dict()
    pairs = {n: n for n, value in own.items() if n in given and given[n].shape == value.shape}
    ours = [name for name in own if name not in pairs]
    theirs = [name for name in given if name not in pairs]
    renamed = _aligned(ours, theirs, own, given)
    with torch.no_grad():
        for name, other in {**pairs, **renamed}.items():
            own[name].copy_(given[other])
    matched = set(renamed.values())
    reshaped = [name for name in ours if name in given and name not in renamed]
    return {
        "renamed": renamed,
        "added": [name for name in ours if name not in renamed and name not in given],
        "removed": [name for name in theirs if name not in matched and name not in own],
        "reshaped": {n: [list(given[n].shape), list(own[n].shape)] for n in reshaped},
    }


def _aligned(
    ours: list[str], theirs: list[str], own: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> dict[str, str]:
    left = [(name.rpartition(".")[2], tuple(own[name].shape)) for name in ours]
    right = [(name.rpartition(".")[2], tuple(given[name].shape)) for name in theirs]
    blocks = SequenceMatcher(a=left, b=right, autojunk=False).get_matching_blocks()
    return {ours[a + i]: theirs[b + i] for a, b, size in blocks for i in range(size)}
