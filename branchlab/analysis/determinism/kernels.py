"""Operations that torch refuses where the same bits are asked for, and what to use instead.

Which these are stands in torch's page on ``use_deterministic_algorithms``; it names them as its kernels do.
"""

from __future__ import annotations

import re

from branchlab.domain import Cause, Recording

_PLACE = re.compile(r" \(([^()]+:\d+)\)$")
_SWITCH_OFF = (
    "set [run] deterministic = false: runs of one key then differ in their last digits, "
    "a resume is no longer exact, and parity is judged within a measured tolerance"
)
_INSTEAD = (
    ("adaptive_avg_pool", "x.mean(dim=(2, 3)) for an output of 1 by 1, or nn.AvgPool2d with a fixed size"),
    ("adaptive_max_pool", "x.amax(dim=(2, 3)) for an output of 1 by 1, or nn.MaxPool2d with a fixed size"),
    ("fractional_max_pool", "nn.MaxPool2d"),
    ("max_pool3d", "nn.MaxPool2d on the folded axis, or nn.AvgPool3d's strided convolution"),
    ("avg_pool3d", "a convolution with constant weights"),
    ("max_unpool", "nn.Upsample followed by a convolution, or index a zero tensor with scatter"),
    ("nll_loss2d", "the loss on flattened pixels: cross_entropy(x.permute(0, 2, 3, 1).flatten(0, 2), y.flatten())"),
    ("grid_sampler", "F.affine_grid and gather by hand, or flips, crops and shifts by index"),
    ("upsample", "mode='nearest' by index, or a transposed convolution"),
    ("pad", "F.pad(mode='constant'), or index with clamped positions"),
    ("cumsum", "torch.matmul with a triangular matrix of ones, or the sum on the CPU"),
    ("put_", "index_put with unique positions, or scatter"),
    ("scatter", "index_add or scatter_add, which have a deterministic form"),
    ("histc", "torch.bucketize and bincount without weights"),
    ("bincount", "one_hot(x).sum(0), or bincount without weights"),
    ("kthvalue", "torch.sort and an index"),
    ("median", "torch.sort and an index"),
    ("ctc_loss", "the loss on the CPU"),
    ("embedding_bag", "nn.Embedding and a sum"),
    ("index_reduce", "scatter_add"),
    ("roi", "the loss of boxes on the CPU, or mode='nearest' by index"),
)  # fmt: skip


def refused_operation(recording: Recording) -> Cause | None:
    """Return the operation without a deterministic form that ended a training; None where it is none."""
    if not recording.failure or not recording.kernels:
        return None
    kernel = next((k for k in recording.kernels if k in recording.failure), recording.kernels[0])
    place = _PLACE.search(recording.failure)
    others = [name for name in recording.kernels if name != kernel]
    also = f"; so have {', '.join(others)}" if others else ""
    return Cause(
        operation=kernel,
        place=place[1] if place else "",
        reason=f"torch has no form of it that gives the same bits twice on this device{also}",
        remedy=f"{_instead_of(kernel)}; else {_SWITCH_OFF}",
    )


def place_in(failure: str) -> str:
    """Return the line of the project that a failure names; empty where it names none."""
    place = _PLACE.search(failure)
    return place[1] if place else ""


def _instead_of(kernel: str) -> str:
    found = next((instead for part, instead in _INSTEAD if part in kernel), "")
    return f"use instead: {found}" if found else "compute it in another way"
