"""Comments of ours in a source text: found, put in, taken out; all else stays as it is, byte for byte.

A comment stands behind the statement that it speaks of, two blanks after whatever is there, a comment written by hand too; where
the line would grow beyond the project's length it stands on a line of its own above the statement. Taking one out removes these
two blanks or that line and nothing else, so that what was there before comes back.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from branchlab.analysis.annotations.wording import MARK, is_ours

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SKIPPED = {
    *(tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
_GAP = "  "
_TAB = 4
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of ours that a text holds. ``line`` is its own, counted from 1; ``is_above`` whether that is all it holds."""

    line: int
    text: str
    is_above: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """A logical line, or several statements on one: its physical lines, and the function that it is in."""

    first: int
    last: int
    function: str
    comments: tuple[Comment, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text, read.

    Attributes:
        trouble: Why nothing can be written into it; "" where it can.
        lines: Physical ones, each with its end.
    """

    text: str
    trouble: str = ""
    lines: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()

    def statement_at(self, line: int) -> Statement | None:
        """Return the statement that a line belongs to."""
        return next((one for one in self.statements if one.first <= line <= one.last), None)

    def with_comments(
        self, changes: Mapping[int, str], *, length_max: int
    ) -> tuple[str, list[int]]:
        """Return the text with other comments of ours, and the lines of statements for which there was no room.

        Args:
            changes: First line of a statement -> what to say of it; "" takes away what is said.
            length_max: Of a line, in characters.
        """
        lines = [*self.lines]
        above: dict[int, str] = {}
        dropped: set[int] = set()
        left_out: list[int] = []
        for statement in self.statements:
            if statement.first not in changes:
                continue
            for comment in statement.comments:
                if comment.is_above:
                    dropped.add(comment.line)
                else:
                    lines[comment.line - 1] = _without(lines[comment.line - 1], comment)
            said = changes[statement.first]
            if not said:
                continue
            code, end = _parted(lines[statement.last - 1])
            behind = f"{code}{_GAP}{MARK}{said}"
            first, first_end = _parted(lines[statement.first - 1])
            alone = f"{first[: len(first) - len(first.lstrip())]}{MARK}{said}"
            if _width(behind) <= length_max:
                lines[statement.last - 1] = behind + end
            elif _width(alone) <= length_max:
                above[statement.first] = alone + (first_end or _end_of(self.lines))
            else:
                left_out.append(statement.first)
        made = [
            part
            for number, line in enumerate(lines, 1)
            for part in (above.get(number, ""), "" if number in dropped else line)
        ]
        return "".join(made), left_out


def read_source(text: str) -> Source:
    """Return a file's text with its statements and the comments of ours in it.

    What is not UTF-8 (surrogates stand for its bytes), does not parse, or has line ends that not all tools count is not
    written into.
    """
    if any("\udc80" <= char <= "\udcff" for char in text):
        return Source(text, "it is not UTF-8")
    if "\r" in text.replace("\r\n", ""):
        return Source(text, "it has line ends that not all tools count: a lone CR")
    try:
        tree = ast.parse(text.encode())
        tokens = list(_tokens(text.removeprefix(_BOM)))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        return Source(text, f"it does not parse: {error}")
    lines = tuple(_LINES.findall(text))
    return Source(text, lines=lines, statements=tuple(_statements(lines, tokens, _functions(tree))))


def is_same_code(before: str, after: str) -> bool:
    """Whether two texts are the same to Python: their syntax trees, places left out."""
    return ast.dump(ast.parse(before.encode())) == ast.dump(ast.parse(after.encode()))


def stripped(text: str) -> str:
    """Return a text without comments of ours, as it was before they came; what cannot be read is returned as it is."""
    if MARK not in text:
        return text
    source = read_source(text)
    every = {one.first: "" for one in source.statements if one.comments}
    return source.with_comments(every, length_max=0)[0] if every else text


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text, newline="").readline)


def _statements(
    lines: Sequence[str], tokens: Sequence[tokenize.TokenInfo], functions: Mapping[int, str]
) -> list[Statement]:
    """Return each logical line with the comments of ours on it and above it; those after the last one go with that."""
    found: list[Statement] = []
    held: list[Comment] = []
    first = 0
    for token in tokens:
        line = token.start[0]
        if token.type == tokenize.COMMENT:
            said = token.string.removeprefix(MARK)
            if not token.line[: token.start[1]].strip() and said != token.string and is_ours(said):
                held.append(Comment(line, said, is_above=True))
            elif (tail := _tail(lines[line - 1])) is not None:
                held.append(Comment(line, tail, is_above=False))
        elif token.type == tokenize.NEWLINE:
            name = functions.get(first, functions.get(line, ""))
            found.append(Statement(first, line, name, tuple(held)))
            held, first = [], 0
        elif token.type not in _SKIPPED and not first:
            first = line
    if held and found:
        found[-1] = replace(found[-1], comments=(*found[-1].comments, *held))
    return found


def _functions(tree: ast.Module) -> dict[int, str]:
    """Return the qualified name of the innermost function around each line, the function's own header in it."""
    found: dict[int, str] = {}

    def visit(node: ast.AST, path: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = (*path, child.name)
                if not isinstance(child, ast.ClassDef):
                    for line in range(child.lineno, (child.end_lineno or child.lineno) + 1):
                        found[line] = ".".join(name)
                visit(child, name)
            else:
                visit(child, path)

    visit(tree, ())
    return found


def _tail(line: str) -> str | None:
    """Return what our comment at the end of a line says; None where there is none."""
    code, _ = _parted(line)
    at = code.rfind(f"{_GAP}{MARK}")
    said = code[at + len(_GAP) + len(MARK) :]
    return said if at >= 0 and is_ours(said) else None


def _without(line: str, comment: Comment) -> str:
    code, end = _parted(line)
    return code.removesuffix(f"{_GAP}{MARK}{comment.text}") + end


def _parted(line: str) -> tuple[str, str]:
    code = line.rstrip("\r\n")
    return code, line[len(code) :]


def _end_of(lines: Sequence[str]) -> str:
    return _parted(lines[0])[1] or "\n"


def _width(line: str) -> int:
    return len(line.expandtabs(_TAB))
