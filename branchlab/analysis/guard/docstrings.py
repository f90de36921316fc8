"""The flag among the arguments that a docstring lists, where it lists them in Google's form."""

from __future__ import annotations

import re

import libcst as cst

from branchlab.analysis.guard.code import Definition, body_of

_SECTION = re.compile(r"[ \t]*Args:[ \t]*")


def documented(node: Definition, flag: str) -> Definition:
    """Return a definition whose list of arguments names the flag; as it was where there is no such list."""
    docstring, statements = body_of(node)
    if not docstring or not isinstance(node.body, cst.IndentedBlock):
        return node
    line = docstring[0]
    assert isinstance(line, cst.SimpleStatementLine)
    first = line.body[0]
    if not (isinstance(first, cst.Expr) and isinstance(first.value, cst.SimpleString)):
        return node
    text = with_argument(first.value.value, flag)
    made = line.with_changes(body=[first.with_changes(value=first.value.with_changes(value=text))])
    return node.with_changes(body=node.body.with_changes(body=[made, *statements]))


def with_argument(text: str, flag: str) -> str:
    """Return a docstring's source with one entry more at the end of its ``Args:``."""
    lines = text.split("\n")
    start = next((at for at, one in enumerate(lines) if _SECTION.fullmatch(one)), None)
    if start is None or start + 1 >= len(lines) or re.search(rf"^\s*{flag}\b", text, re.MULTILINE):
        return text
    indent = re.match(r"[ \t]*", lines[start + 1])
    width = len(indent.group()) if indent else 0
    end = start + 1
    while end < len(lines) and lines[end].startswith(" " * width) and lines[end].strip():
        end += 1
    if width <= len(lines[start]) - len(lines[start].lstrip()) or end == len(lines):
        return text  # no entry below, or one that ends the string
    entry = f"{' ' * width}{flag}: Take the new code; False leaves everything as it was."
    return "\n".join([*lines[:end], entry, *lines[end:]])
