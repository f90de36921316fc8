"""What is looked up by a text: ``getattr(x, 'k', d)``, ``hasattr(self, 'k')``, ``x.get('k', d)``."""

from __future__ import annotations

import ast

from branchlab.analysis.features import fold, literals
from branchlab.analysis.features.arguments import looks_like_config
from branchlab.analysis.features.setting import Setting
from branchlab.analysis.features.trees import clone, dotted

_METHODS = {"get", "pop", "setdefault"}


def table_of(node: ast.expr, setting: Setting) -> ast.expr:
    """Return the dictionary of the module that a name stands for, and anything else as it is."""
    return setting.tables.get(node.id, node) if isinstance(node, ast.Name) else node


def looked_up(node: ast.Call, setting: Setting) -> ast.expr | None:
    """Return what a lookup gives for a key or an attribute that is known; None where that is not."""
    asked = dotted(node.func)
    if asked in {"hasattr", "getattr"} and len(node.args) > 1:
        return _attribute(node, asked, setting)
    is_method = isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS
    if not is_method or not isinstance(node.func, ast.Attribute) or not node.args:
        return None
    key = node.args[0]
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        known = setting.keys.get(key.value)
        if known is not None:
            return clone(known)
    return _entry(node, node.func.value, setting) if node.func.attr == "get" else None


def _attribute(node: ast.Call, asked: str, setting: Setting) -> ast.expr | None:
    name = node.args[1]
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        return None
    is_self = dotted(node.args[0]) == "self"
    if is_self and name.value in setting.absent:
        nothing = literals.constant(False, like=node)  # noqa: FBT003  a node
        return nothing if asked == "hasattr" else node.args[2] if node.args[2:] else None
    if asked == "hasattr":
        return None
    known = setting.attributes.get(name.value) if is_self else None
    known = known or setting.anywhere.get(name.value)
    if known is None and looks_like_config(node.args[0]):
        known = setting.in_configs.get(name.value)
    return None if known is None else clone(known)


def _entry(node: ast.Call, holder: ast.expr, setting: Setting) -> ast.expr | None:
    table, key = table_of(holder, setting), node.args[0]
    found = fold.picked(table, key)
    if found is None and isinstance(table, ast.Dict) and literals.is_constant(key):
        keys = [one for one in table.keys if one is not None and literals.is_constant(one)]
        if len(keys) == len(table.keys):
            found = node.args[1] if len(node.args) > 1 else literals.constant(None, like=node)
    return None if found is None else clone(found)
