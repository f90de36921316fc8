"""Arguments and elements with what was starred spread out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from branchlab.analysis.features import literals
from branchlab.analysis.features.trees import (
    all_flags,
    dotted,
    last_name,
    with_flags,
)


def is_known(node: ast.expr) -> bool:
    """Whether an element can be looked for: a plain value."""
    return literals.is_constant(node)


def identity(like: ast.Call) -> ast.expr:
    """Return ``nn.Identity()`` with the flags of the call that it stands for."""
    made = ast.Call(ast.Attribute(ast.Name("nn", ast.Load()), "Identity", ast.Load()), [], [])
    return with_flags(ast.copy_location(made, like), all_flags(like))


def spread(word: ast.keyword) -> list[ast.keyword]:
    """Return ``**{'a': 1}`` as ``a=1``."""
    assert isinstance(word.value, ast.Dict)
    keys = word.value.keys
    if not all(isinstance(key, ast.Constant) and isinstance(key.value, str) for key in keys):
        return [word]
    return [
        ast.keyword(str(key.value), value)
        for key, value in zip(keys, word.value.values, strict=True)
        if isinstance(key, ast.Constant)
    ]


def without_empty(elements: Iterable[ast.expr]) -> list[ast.expr]:
    """Spread starred literals, of which an empty one leaves nothing."""
    found: list[ast.expr] = []
    for one in elements:
        if isinstance(one, ast.Starred) and isinstance(one.value, ast.List | ast.Tuple):
            found += one.value.elts
        else:
            found.append(one)
    return found


def callee_name(node: ast.Call, bases: Sequence[str]) -> str:
    """Return the name under which a callee is known; ``super().__init__`` is the constructor of the first base."""
    func = node.func
    if not isinstance(func, ast.Attribute) or func.attr != "__init__":
        return last_name(func)
    if isinstance(func.value, ast.Call) and dotted(func.value.func) == "super":
        return bases[0] if bases else ""
    return last_name(func.value)


def is_default_place(word: ast.keyword) -> bool:
    """Whether an argument only leaves PyTorch its default device or type, as a flag says."""
    is_none = isinstance(word.value, ast.Constant) and word.value.value is None
    return word.arg in {"device", "dtype"} and is_none and bool(all_flags(word.value))


_CONFIGS = re.compile(
    r"(?i)(cfg|conf|arg|opt|hyp|param|setting|default|flags|kw|task|environ|self|^c$|^o$|^p$)"
)


def looks_like_config(node: ast.expr) -> bool:
    """Whether an expression is, by its name, what settings are kept in: ``args``, ``self.cfg``, ``opt``; not a tensor."""
    name = last_name(node.func if isinstance(node, ast.Call) else node)
    return bool(_CONFIGS.search(name)) or isinstance(node, ast.Dict)
