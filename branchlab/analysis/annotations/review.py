"""Comments of a project's files held against what was seen: new, true, stale, or not seen this time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from branchlab.analysis.annotations.source import Source, Statement, is_same_code, read_source
from branchlab.analysis.annotations.wording import is_ours, said_of
from branchlab.domain import BatchSize, SeenLine, Traced

MARK_LENGTH_MAX = 300
"""A comment that would be longer says too much of one line to be read."""


class CommentState(StrEnum):
    """What became of a comment."""

    NEW = "new"
    TRUE = "true"
    STALE = "stale"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comment, there or to come.

    Attributes:
        line: Of the comment where it is there, else of the statement's end, where it goes.
        old: What it says now; "" of a new one. ``text``: what is true; "" where nothing is to be said any more.
    """

    line: int
    function: str
    state: CommentState
    text: str
    old: str = ""
    statement: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """One file. ``left_out`` are lines of statements that had no room for a comment."""

    path: str
    before: str
    after: str
    findings: tuple[Finding, ...] = ()
    trouble: str = ""
    left_out: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which lines are asked for.

    Attributes:
        paths: Glob patterns of files; all of them where there is none.
        functions: Names, or glob patterns of them: of a function, ``Class.method``, or a class.
        adds: Whether lines without a comment get one; else those that have one are looked at alone.
    """

    paths: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    adds: bool = True

    @property
    def is_wide(self) -> bool:
        """Whether nothing was asked for by name: then only what a batch flows through gets comments."""
        return not (self.paths or self.functions)

    def has_path(self, path: str) -> bool:
        """Whether a file is asked for."""
        return not self.paths or any(fnmatchcase(path, one) for one in self.paths)

    def has_function(self, name: str) -> bool:
        """Whether a function is asked for, by its qualified name."""
        if not self.functions:
            return True
        parts = name.split(".")
        tails = [
            ".".join(parts[at:upto])
            for at in range(len(parts))
            for upto in range(at + 1, len(parts) + 1)
        ]
        return any(fnmatchcase(tail, one) for one in self.functions for tail in tails)


def review(
    texts: Mapping[str, str], traced: Traced, scope: Scope, *, length_max: int
) -> list[Reviewed]:
    """Return the files that have comments, or are to have some, by path.

    Args:
        texts: By path, of all files that are the project's own.
        traced: What was seen when they ran.
        scope: Which lines are asked for.
        length_max: Of a line, in characters.
    """
    seen: dict[str, list[SeenLine]] = {}
    for line in traced.lines:
        seen.setdefault(line.path, []).append(line)
    found = []
    for path, text in sorted(texts.items()):
        if scope.has_path(path) and (path in seen or "#: " in text):
            one = _reviewed(path, text, seen.get(path, ()), scope, (traced.batches, length_max))
            if one.findings or one.trouble or one.left_out:
                found.append(one)
    return found


def functions_seen(texts: Mapping[str, str], traced: Traced) -> list[str]:
    """Return the qualified names of the functions that ran and showed something, in order."""
    lines: dict[str, list[SeenLine]] = {}
    for line in traced.lines:
        if line.before or any(line.batches):
            lines.setdefault(line.path, []).append(line)
    found = {
        statement.function
        for path, seen in lines.items()
        if path in texts
        for source in [read_source(texts[path])]
        for line in seen
        if (statement := source.statement_at(line.first)) is not None
    }
    return sorted(found)


def strip(texts: Mapping[str, str], scope: Scope) -> list[Reviewed]:
    """Return the files that have comments of ours, without those that are asked for."""
    found = []
    for path, text in sorted(texts.items()):
        if not scope.has_path(path) or "#: " not in text:
            continue
        source = read_source(text)
        every = {
            one.first: ""
            for one in source.statements
            if one.comments and scope.has_function(one.function)
        }
        if every:
            after, _ = source.with_comments(every, length_max=0)
            found.append(Reviewed(path=path, before=text, after=_checked(text, after)))
        elif source.trouble:
            found.append(Reviewed(path=path, before=text, after=text, trouble=source.trouble))
    return found


def _reviewed(
    path: str,
    text: str,
    seen: Iterable[SeenLine],
    scope: Scope,
    how: tuple[Sequence[BatchSize], int],
) -> Reviewed:
    batches, length_max = how
    source = read_source(text)
    if source.trouble:
        return Reviewed(path=path, before=text, after=text, trouble=source.trouble)
    said: dict[int, list[str]] = {}
    asked: set[int] = set()
    for line in seen:
        statement = source.statement_at(line.first)
        if statement is None:
            continue
        words = said_of(line, batches)
        said.setdefault(statement.first, []).extend([words] if words else [])
        if not scope.is_wide or line.is_flow:
            asked.add(statement.first)
    findings = []
    for statement in source.statements:
        if scope.has_function(statement.function):
            is_asked = scope.adds and statement.first in asked
            finding = _finding(statement, said.get(statement.first), is_asked=is_asked)
            findings += [finding] if finding is not None else []
    return _written(path, source, findings, length_max)


def _finding(statement: Statement, said: list[str] | None, *, is_asked: bool) -> Finding | None:
    """Return what is to be said of a statement; None where nothing is, or nothing is asked for."""
    old = " ".join(one.text for one in statement.comments)
    text = ", ".join(said or ())
    if not is_ours(text) or len(text) > MARK_LENGTH_MAX:
        text = ""
    if old:
        state = (
            CommentState.UNVERIFIED
            if said is None
            else CommentState.TRUE
            if old == text
            else CommentState.STALE
        )
        text = old if said is None else text
    elif text and is_asked:
        state = CommentState.NEW
    else:
        return None
    return Finding(
        line=statement.comments[0].line if old else statement.last,
        function=statement.function,
        state=state,
        text=text,
        old=old,
        statement=statement.first,
    )


def _written(path: str, source: Source, findings: list[Finding], length_max: int) -> Reviewed:
    changes = {
        one.statement: one.text
        for one in findings
        if one.state in {CommentState.NEW, CommentState.STALE}
    }
    after, left_out = source.with_comments(changes, length_max=length_max)
    missing = set(left_out)
    kept = [
        one for one in findings if not (one.state is CommentState.NEW and one.statement in missing)
    ]
    return Reviewed(
        path=path,
        before=source.text,
        after=_checked(source.text, after),
        findings=tuple(kept),
        left_out=tuple(sorted(missing)),
    )


def _checked(before: str, after: str) -> str:
    """Return a text that is to be written: to Python it must be the same as before."""
    assert is_same_code(before, after)
    return after
