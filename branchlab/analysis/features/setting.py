"""What is known while a body is reduced: values of names, attributes and keys, and how callables are called."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.analysis.features.clean import same
from branchlab.analysis.features.syntax import Class, Function
from branchlab.analysis.features.trees import NO_FLAGS

Values = Mapping[str, ast.expr]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """How something is called: its positional parameters in order, and the defaults that may be left out.

    Attributes:
        positional: Without ``self``. ``has_starred``: further positional arguments are taken.
        defaults: Only those that mean the same on both sides of the comparison.
    """

    positional: tuple[str, ...]
    defaults: Values
    has_starred: bool = False


Callees = Mapping[str, Sequence[Callee]]


@dataclass(slots=True, kw_only=True)
class Setting:
    """Everything that a reduction may use.

    Attributes:
        names: Parameters and names of the module, by name.
        attributes: ``self.x`` of the class at hand.
        anywhere: ``.x`` of whatever object: options and fields of configs.
        in_configs: ``.x`` of objects that look like a config alone: names that tensors and modules have too.
        keys: ``['x']`` and ``.get('x')`` of whatever object.
        tables: Dictionaries at module level that nothing changes, by name.
        starred: Parameters ``*args`` and ``**kwargs`` that nobody could give before: empty.
        helpers: Functions that only this side has, by name; ``methods`` likewise, of the class at hand.
        one_liners: Functions that return one expression, by name.
        classes: Classes that only this side has, by name.
        positional: Names of the first parameters of callables, where both sides agree on them.
        handed: Defaults of the new parameters of modules' ``forward``: modules are called through names of any kind.
        owner: Name of the class at hand. ``absent``: its attributes that are never set at these values.
        stored: Attributes that the class or one related to it sets: of ``self`` they are what that says.
        enums: Members of enumerations, as ``Mode.FAST``.
        dropped_attributes: New attributes that nothing reads at these values: storing them is left out.
    """

    names: Values = field(default_factory=dict)
    attributes: Values = field(default_factory=dict)
    anywhere: Values = field(default_factory=dict)
    in_configs: Values = field(default_factory=dict)
    keys: Values = field(default_factory=dict)
    tables: Values = field(default_factory=dict)
    starred: frozenset[str] = NO_FLAGS
    helpers: Mapping[str, Function] = field(default_factory=dict)
    methods: Mapping[str, Function] = field(default_factory=dict)
    one_liners: Mapping[str, Function] = field(default_factory=dict)
    classes: Mapping[str, Class] = field(default_factory=dict)
    callees: Callees = field(default_factory=dict)
    positional: Mapping[str, Sequence[str]] = field(default_factory=dict)
    handed: Values = field(default_factory=dict)
    bases: Sequence[str] = ()
    owner: str = ""
    absent: frozenset[str] = NO_FLAGS
    stored: frozenset[str] = NO_FLAGS
    enums: frozenset[str] = NO_FLAGS
    dropped_attributes: frozenset[str] = NO_FLAGS


_NONE = ast.Constant(None)
_TRUE, _FALSE = ast.Constant(True), ast.Constant(False)  # noqa: FBT003  nodes
_ZERO, _ONE = ast.Constant(0), ast.Constant(1)
_CONV = {
    "stride": _ONE,
    "padding": _ZERO,
    "dilation": _ONE,
    "groups": _ONE,
    "bias": _TRUE,
    "padding_mode": ast.Constant("zeros"),
    "device": _NONE,
    "dtype": _NONE,
}
_NORM = {
    "eps": ast.Constant(1e-05),
    "momentum": ast.Constant(0.1),
    "affine": _TRUE,
    "track_running_stats": _TRUE,
}
_LOSS = {
    "weight": _NONE,
    "size_average": _NONE,
    "reduce": _NONE,
    "reduction": ast.Constant("mean"),
    "label_smoothing": ast.Constant(0.0),
    "ignore_index": ast.Constant(-100),
    "pos_weight": _NONE,
}
_OPTIMIZER = {
    "weight_decay": ast.Constant(0),
    "amsgrad": _FALSE,
    "nesterov": _FALSE,
    "maximize": _FALSE,
    "foreach": _NONE,
    "fused": _NONE,
    "dampening": _ZERO,
}
LIBRARY: Mapping[str, Values] = {
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), _CONV),
    **{key: {"stride": _ONE, "padding": _ZERO, "output_padding": _ZERO, "groups": _ONE, "bias": _TRUE, "dilation": _ONE} for key in ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")},
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"), _NORM),
    "GroupNorm": {"eps": ast.Constant(1e-05), "affine": _TRUE},
    "LayerNorm": {"eps": ast.Constant(1e-05), "elementwise_affine": _TRUE},
    "Linear": {"bias": _TRUE, "device": _NONE, "dtype": _NONE},
    "Dropout": {"inplace": _FALSE},
    "Dropout2d": {"inplace": _FALSE},
    **{key: {"inplace": _FALSE} for key in ("ReLU", "ReLU6", "SiLU", "Hardswish", "Mish", "ELU", "SELU")},
    "GELU": {"approximate": ast.Constant("none")},
    "gelu": {"approximate": ast.Constant("none")},
    "LeakyReLU": {"inplace": _FALSE, "negative_slope": ast.Constant(0.01)},
    "MultiheadAttention": {"dropout": ast.Constant(0.0), "bias": _TRUE, "batch_first": _FALSE,
                           "add_bias_kv": _FALSE, "add_zero_attn": _FALSE, "kdim": _NONE, "vdim": _NONE},
    **dict.fromkeys(("CrossEntropyLoss", "BCEWithLogitsLoss", "NLLLoss", "cross_entropy",
                     "binary_cross_entropy_with_logits", "nll_loss", "BCELoss", "MSELoss", "L1Loss"), _LOSS),
    "Adam": {**_OPTIMIZER, "eps": ast.Constant(1e-08)},
    "SGD": {**_OPTIMIZER, "momentum": _ZERO},
    "AdamW": {"amsgrad": _FALSE, "maximize": _FALSE, "foreach": _NONE, "fused": _NONE, "eps": ast.Constant(1e-08),
              "weight_decay": ast.Constant(0.01)},
    "DataLoader": {"batch_size": _ONE, "shuffle": _FALSE, "sampler": _NONE, "batch_sampler": _NONE,
                   "num_workers": _ZERO, "collate_fn": _NONE, "pin_memory": _FALSE, "drop_last": _FALSE,
                   "timeout": _ZERO, "worker_init_fn": _NONE, "generator": _NONE,
                   "persistent_workers": _FALSE, "prefetch_factor": _NONE, "multiprocessing_context": _NONE},
    "scaled_dot_product_attention": {"attn_mask": _NONE, "dropout_p": ast.Constant(0.0),
                                     "is_causal": _FALSE, "scale": _NONE, "enable_gqa": _FALSE},
    "clip_grad_norm_": {"norm_type": ast.Constant(2.0), "error_if_nonfinite": _FALSE, "foreach": _NONE},
    "interpolate": {"size": _NONE, "scale_factor": _NONE, "mode": ast.Constant("nearest"),
                    "align_corners": _NONE, "recompute_scale_factor": _NONE, "antialias": _FALSE},
    "one_hot": {"num_classes": ast.Constant(-1)},
    "step": {"closure": _NONE},
    "load": {"map_location": _NONE},
}  # fmt: skip
"""Defaults of PyTorch's own callables, as of 2.10: naming one of them changes nothing."""


def is_left_out(
    name: str, keyword: str, value: ast.expr, callees: Callees, order: int | None
) -> bool:
    """Whether an argument only says what the callee's own default says.

    Args:
        name: What is called, its last name.
        keyword: Of the argument; empty for a positional one.
        value: What is given, reduced.
        callees: Those known from the code at hand.
        order: Place of a positional argument.
    """
    known = callees.get(name)
    if known is None:
        default = LIBRARY.get(name, {}).get(keyword)
        return default is not None and same(default, value)
    verdicts = set()
    for callee in known:
        word = keyword
        if order is not None:
            word = callee.positional[order] if order < len(callee.positional) else ""
        default = callee.defaults.get(word)
        verdicts.add(default is not None and same(default, value))
    return verdicts == {True}
