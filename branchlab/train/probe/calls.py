"""Operations as they are called, wherever they stand: those that hooks on modules cannot see.

A ``TorchFunctionMode`` hears of every call of torch made by Python. It looks only at the few that go wrong silently: softmax
over the batch, probabilities where logits are meant, labels that are resized as if they were brightness, and arithmetic in
the loss that broadcasts [B] against [B, 1] into [B, B].
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from branchlab.domain import Call

_CALLS_MAX = 200
_SUM_TOLERANCE = 1e-3
_LABELS_MAX = 512
_LABELS_MIN = 3
_FEW_LABELS = 64
_CHANNELS_MAX = 16
"""A batch of images has more levels than this."""
_PIECES_MIN = 0.6
_STEPS_MAX = 12
_RESHAPING = tuple(
    f"{name}Backward"
    for name in (
        "Squeeze", "Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Select", "Slice", "Permute", "Transpose", "T",
        "Clone", "ToCopy", "Index", "Expand", "Cat", "Alias",
    )
)  # fmt: skip
_ARITHMETIC = {"sub", "add", "mul", "div", "true_divide", "eq", "__sub__", "__add__", "__mul__"}
_ARITHMETIC |= {
    "__truediv__",
    "__eq__",
    "__rsub__",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
}
_BROADCASTING = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"}


class Listening(TorchFunctionMode):
    """Hears calls while it is entered.

    Args:
        place: Gives the line of the project at or above a frame.
    """

    def __init__(self, place: Callable[[Any], str]) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.scope = ""
        self.batch_size = 0
        """Examples of the batch, or the part of one, that is on its way."""
        self._place = place

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever torch gives
        kwargs = dict(kwargs or {})
        result = func(*args, **kwargs)
        look = _LOOKS.get(getattr(func, "__name__", ""))
        if look is not None and len(self.calls) < _CALLS_MAX:
            # What a function of torch calls by itself was not written by anybody here.
            with torch.no_grad(), torch._C.DisableTorchFunction():  # noqa: SLF001  the documented way to look inside one
                found = look(self, args, kwargs, result)
            if found is not None:
                what, facts = found
                place = self._place(inspect.currentframe())
                self.calls.append(Call(what=what, place=place, scope=self.scope, facts=facts))
        return result

    def softmax(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object
    ) -> tuple[str, dict[str, Any]] | None:
        """Note over which axis probabilities sum to one."""
        given = _argument(args, kwargs, 0, "input")
        axis = _argument(args, kwargs, 1, "dim")
        if not isinstance(given, Tensor) or not isinstance(axis, int) or given.ndim < 1:
            return None
        axis %= given.ndim
        # Of each example with each other one (contrastive losses), both axes are examples.
        is_pairwise = self.scope == "loss" and given.ndim == 2 and given.shape[0] == given.shape[1]  # noqa: PLR2004
        is_batch = axis == 0 and given.ndim > 1 and given.shape[0] == self.batch_size
        is_batch = is_batch and not is_pairwise
        is_square = given.ndim > 2 and 1 < given.shape[-1] == given.shape[-2]  # noqa: PLR2004  scores
        return "softmax", {
            "axis": axis,
            "shape": list(given.shape),
            "is_over_batch": is_batch,
            "is_over_queries": is_square and axis == given.ndim - 2,
            "is_over_last": axis == given.ndim - 1,
        }

    def cross_entropy(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object
    ) -> tuple[str, dict[str, Any]] | None:
        """Note whether what is given are probabilities already."""
        given = _argument(args, kwargs, 0, "input")
        if not isinstance(given, Tensor) or given.ndim < 2:  # noqa: PLR2004  classes are its second axis
            return None
        ignored = _argument(args, kwargs, 4, "ignore_index")
        reduction = _argument(args, kwargs, 6, "reduction") or "mean"
        value = float(result) if reduction == "mean" and isinstance(result, Tensor) else None
        return "cross_entropy", {
            "is_probability": _is_probability(given, 1),
            "num_classes": given.shape[1],
            "ignored": ignored,
            "value": value,
            **_of_logits(given),
        }

    def nll(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object
    ) -> tuple[str, dict[str, Any]] | None:
        """Note whether what is given are logarithms of probabilities."""
        given = _argument(args, kwargs, 0, "input")
        if not isinstance(given, Tensor) or given.ndim < 2:  # noqa: PLR2004
            return None
        sums = given.float().exp().sum(1)
        is_log = bool(((sums - 1).abs() < _SUM_TOLERANCE).float().mean() > 0.99)  # noqa: PLR2004  rounding
        return "nll_loss", {
            "is_log_probability": is_log,
            "num_classes": given.shape[1],
            "ignored": _argument(args, kwargs, 4, "ignore_index"),
            "is_probability": _is_probability(given, 1),
        }

    def binary_with_logits(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object
    ) -> tuple[str, dict[str, Any]] | None:
        """Note whether what is given has been through a sigmoid already."""
        given = _argument(args, kwargs, 0, "input")
        if not isinstance(given, Tensor):
            return None
        # Logits near 0 lie between 0 and 1 as well, so that what made them is asked.
        return "bce_with_logits", {"is_probability": _comes_of(given, "SigmoidBackward")}

    def interpolate(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object
    ) -> tuple[str, dict[str, Any]] | None:
        """Note whether labels were resized in a way that blends them."""
        given = _argument(args, kwargs, 0, "input")
        mode = _argument(args, kwargs, 3, "mode") or "nearest"
        if not isinstance(given, Tensor) or not isinstance(result, Tensor):
            return None
        before = _labels(given)
        if before is None or not (before <= _FEW_LABELS or _is_in_pieces(given)):
            # A map may ride along with an image, as one of its channels.
            before, given, result = _channel_in_pieces(given, result)
        is_blended = (
            before is not None
            and before >= _LABELS_MIN
            and _labels(result) is None
            and "nearest" not in str(mode)
        )
        facts = {"mode": str(mode), "labels": before, "is_blended": is_blended}
        return "interpolate", {**facts, "from": list(given.shape), "to": list(result.shape)}

    def arithmetic(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object
    ) -> tuple[str, dict[str, Any]] | None:
        """Note a column of the batch's values against a row of them, and a value a channel along the width."""
        given = [one for one in (*args[:2], kwargs.get("target")) if isinstance(one, Tensor)]
        shapes = [tuple(one.shape) for one in given]
        if sorted(map(len, shapes)) == [1, 4]:
            flat, image = sorted(shapes, key=len)
            if 1 < flat[0] == image[1] == image[3]:
                return "broadcast-last", {"shapes": [list(image), list(flat)]}
        if not isinstance(result, Tensor) or self.scope not in {"loss", "metrics"}:
            return None
        column, row = (self.batch_size, 1), (self.batch_size,)
        # Something against itself is every pair on purpose: which labels are the same, how far embeddings are apart.
        is_itself = len({one.untyped_storage().data_ptr() for one in given}) < len(given)
        if self.batch_size > 1 and column in shapes and row in shapes and not is_itself:
            return "broadcast", {"shapes": [list(shape) for shape in shapes]}
        return None


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], at: int, name: str) -> Any:  # noqa: ANN401
    return args[at] if len(args) > at else kwargs.get(name)


def _is_probability(given: Tensor, axis: int) -> bool:
    values = given.float()
    is_share = bool(((values >= 0) & (values <= 1)).all())
    return is_share and bool(((values.sum(axis) - 1).abs() < _SUM_TOLERANCE).all())


def _of_logits(given: Tensor) -> dict[str, Any]:
    """Return what tells logits from what is left of them behind an activation."""
    values = given.detach().float()
    if not values.numel():
        return {}
    return {
        "low": float(values.min()),
        "high": float(values.max()),
        "zeros": float((values == 0).float().mean()),
        "size": values.numel(),
    }


def _comes_of(given: Tensor, operation: str) -> bool:
    """Whether an operation made a tensor, as autograd knows it; reshaping and indexing since then do not count."""
    node = given.grad_fn
    for _ in range(_STEPS_MAX):
        if node is None:
            return False
        if node.name().startswith(operation):
            return True
        if not node.name().startswith(_RESHAPING):
            return False
        node = next((one for one, _ in node.next_functions if one is not None), None)
    return False


def _channel_in_pieces(given: Tensor, result: Tensor) -> tuple[int | None, Tensor, Tensor]:
    """Return how many labels the first channel in pieces holds, and the channel before and after; None without one."""
    if given.dim() == result.dim() == 4 and given.shape[1] == result.shape[1] <= _CHANNELS_MAX:  # noqa: PLR2004
        for before, after in zip(given.unbind(1), result.unbind(1), strict=True):
            found = _labels(before)
            if found is not None and _is_in_pieces(before):
                return found, before, after
    return None, given, result


def _is_in_pieces(given: Tensor) -> bool:
    """Whether most places have the value of their neighbour, as in a map of labels and in no photograph."""
    here, right = given[..., :-1], given[..., 1:]
    is_there = here != 0  # black backgrounds are flat in images too
    return bool(is_there.any()) and float((here == right)[is_there].float().mean()) > _PIECES_MIN


def _labels(given: Tensor) -> int | None:
    """Return how many labels a map holds; None where its values are no whole numbers or too many."""
    values = given.detach().float().reshape(-1)
    if not values.numel() or not bool((values == values.round()).all()):
        return None
    found = torch.unique(values)
    return found.numel() if found.numel() <= _LABELS_MAX else None


_Look = Callable[
    [Listening, tuple[Any, ...], Mapping[str, Any], object], "tuple[str, dict[str, Any]] | None"
]
_LOOKS: dict[str, _Look] = {
    "softmax": Listening.softmax,
    "log_softmax": Listening.softmax,
    functional.cross_entropy.__name__: Listening.cross_entropy,
    "nll_loss": Listening.nll,
    "binary_cross_entropy_with_logits": Listening.binary_with_logits,
    "interpolate": Listening.interpolate,
    **dict.fromkeys(_ARITHMETIC, Listening.arithmetic),
}
