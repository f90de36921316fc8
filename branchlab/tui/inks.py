"""Code in colours: what a token is becomes a look. Called in threads: 5,000 lines of Python take a second."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from branchlab.tui.looks import Line, Look, Piece

if TYPE_CHECKING:
    from pygments.lexer import Lexer

_LINES_MAX = 3_000
"""Of one file; what stands below is plain."""


def inked(path: str, lines: Sequence[str]) -> list[Line]:
    """Return lines of a file in colours, by what its name says it is; plain where nothing does."""
    plain: list[Line] = [((line, Look.PLAIN),) for line in lines]
    lexer = _lexer(path.rpartition("/")[2])
    if lexer is None:
        return plain
    found: list[list[Piece]] = [[]]
    # No line ends within a line: a lone carriage return would end one for some lexers.
    source = "\n".join(line.replace("\r", " ") for line in lines[:_LINES_MAX])
    for kind, text in lexer.get_tokens(source):
        look = _look(tuple(kind))
        first, *rest = text.split("\n")
        found[-1].append((first, look))
        found += [[(part, look)] for part in rest]
    coloured = [tuple(piece for piece in line if piece[0]) for line in found]
    is_whole = len(coloured) >= min(len(lines), _LINES_MAX)
    return [*coloured[: min(len(lines), _LINES_MAX)], *plain[_LINES_MAX:]] if is_whole else plain


@lru_cache(maxsize=64)
def _lexer(name: str) -> Lexer | None:
    from pygments.lexers import get_lexer_for_filename
    from pygments.util import ClassNotFound

    try:
        return get_lexer_for_filename(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _look(kind: tuple[str, ...]) -> Look:
    """Return the look of a kind of token, given as its path from the root."""
    match kind:
        case ("Comment", *_) | ("Literal", "String", "Doc", *_):
            return Look.COMMENT
        case ("Keyword", *_) | ("Operator", "Word", *_):
            return Look.KEYWORD
        case ("Literal", "String", *_):
            return Look.STRING
        case ("Literal", "Number", *_):
            return Look.NUMBER
        case ("Name", "Function" | "Class" | "Decorator", *_):
            return Look.NAME
        case _:
            return Look.PLAIN
