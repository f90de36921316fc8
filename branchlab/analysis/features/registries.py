"""Decorators that keep what they decorate: in a list that somebody goes through, or under a name that may be taken."""

from __future__ import annotations

import ast
import re

from branchlab.analysis.features.syntax import Failure, parse_tree
from branchlab.analysis.features.trees import last_name, walk
from branchlab.analysis.features.world import World

_LISTS = {"append", "insert", "add", "extend"}


def kept_by(world: World, decorator: ast.expr, name: str) -> str:
    """Say where a decorator puts a new symbol so that the base gets to it; the empty string when it does not."""
    call = decorator if isinstance(decorator, ast.Call) else None
    word = last_name(call.func if call is not None else decorator)
    if not word:
        return ""
    taken = _taken(world, decorator, word, name)
    if taken:
        return taken
    for path, text in world.mentioning([word]).items():
        if not re.search(rf"def\s+{re.escape(word)}\b", text):
            continue
        tree = parse_tree(text)
        if isinstance(tree, Failure):
            continue
        for node in walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == word and _appends(node):
                return f"and @{word} of {path} puts it in a list with the others"
    return ""


def _appends(node: ast.FunctionDef) -> bool:
    return any(
        isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Attribute)
        and inner.func.attr in _LISTS
        and not re.search(r"names|_list|entrypoints|__all__|modules", ast.unparse(inner.func.value))
        for inner in walk(node)
    )


def _taken(world: World, decorator: ast.expr, word: str, name: str) -> str:
    """Say that something is registered under the same name already."""
    keys = [
        one.value
        for one in (
            [*decorator.args, *(w.value for w in decorator.keywords)]
            if isinstance(decorator, ast.Call)
            else []
        )
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]
    for key in keys:
        pattern = re.compile(rf"@[\w.]*\b{re.escape(word)}\([^)]*['\"]{re.escape(key)}['\"]")
        for path, text in world.mentioning(re.findall(r"\w+", key)[:1]).items():
            if pattern.search(text):
                return f"and {path} registers '{key}' already"
    if keys:
        return ""
    pattern = re.compile(
        rf"@[\w.]*\b{re.escape(word)}\b[^\n]*\n(?:\s*@[^\n]*\n)*\s*(?:def|class)\s+{re.escape(name)}\b"
    )
    for path, text in world.mentioning([name]).items():
        if pattern.search(text):
            return f"and {path} registers a {name} already"
    return ""
