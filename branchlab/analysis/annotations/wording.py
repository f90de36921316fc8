"""What a line showed, in the words of a comment, and whether a text is such words.

    [B, 16, H/2, W/2] float32             a tensor
    q [B, 4, 17, 8], k [B, 4, 17, 8] float32   several names; what has one type says it once
    3 x [B, 64] float32                   a list of tensors alike
    {cls: [B, 10], box: [B, 4]} float32   a table; Batch(inputs [...] uint8, ...) a record
    [B, 8, H, W] | [B, 16, H/2, W/2] float32           calls that differ

Only what reads like this in full is taken for a comment of ours, so that ``#: The default width`` of another tool is left alone.
All of it is ASCII: a linter has nothing to say about it, and every encoding holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from branchlab.analysis.annotations.symbols import VARIES, named_shape, named_size
from branchlab.domain import Array, BatchSize, Group, SeenLine, Shown, Sighting

MARK = "#: "
_CALLS_MAX = 3
_PARTS_MAX = 4
_MORE = "..."


@dataclass(frozen=True, slots=True)
class _Tensor:
    sizes: tuple[str, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class _Parts:
    kind: str
    keys: tuple[str, ...]
    items: tuple[_Word | None, ...]
    num: str


_Word = _Tensor | _Parts
_Words = tuple[tuple[str, _Word], ...]


def said_of(line: SeenLine, batches: Sequence[BatchSize]) -> str:
    """Return what a line's comment says, without the mark; "" where nothing is to be said."""
    found = _aligned(line.batches, batches)
    alone = (BatchSize(batch=0),)
    found += [words for one in line.before if (words := _merged([one], alone)) is not None]
    calls = list(dict.fromkeys(found))
    texts = list(dict.fromkeys(_sentence(words) for words in calls))
    dtypes = {dtype for words in calls for _, word in words for dtype in _dtypes(word)}
    shown, more = texts[:_CALLS_MAX], [_MORE] if len(texts) > _CALLS_MAX else []
    if len(dtypes) == 1:
        # What all calls have in common is said once, at the end.
        tail = f" {next(iter(dtypes))}"
        shown = [*(text.removesuffix(tail) for text in shown[:-1]), *shown[-1:]]
    return " | ".join([*shown, *more])


def _aligned(seen: Sequence[Sequence[Sighting]], batches: Sequence[BatchSize]) -> list[_Words]:
    """Return what calls showed, each held against the same call in the other batches.

    Where a line ran another number of times, as in a loop over examples, different ones are held against each other in order.
    """
    seen = [one for one, _ in zip(seen, batches, strict=False) if one]
    known = [size for one, size in zip(seen, batches, strict=False) if one]
    if not seen:
        return []
    for calls in (seen, [list(dict.fromkeys(one)) for one in seen]):
        if len({len(one) for one in calls}) == 1:
            merged = [_merged(row, known) for row in zip(*calls, strict=True)]
            if all(words is not None for words in merged):
                return [words for words in merged if words is not None]
    folded: dict[object, list[Sighting]] = {}
    for one in dict.fromkeys(sighting for calls in seen for sighting in calls):
        folded.setdefault(tuple((label, _kind(value)) for label, value in one), []).append(one)
    return [words for same in folded.values() if (words := _merged(same, ())) is not None]


def _kind(value: Shown | None) -> object:
    """Return what values have in common that differ in sizes alone."""
    if value is None:
        return None
    if isinstance(value, Array):
        return len(value.shape), value.dtype
    return value.kind, value.keys, tuple(dict.fromkeys(map(_kind, value.items)))


def _merged(row: Sequence[Sighting], batches: Sequence[BatchSize]) -> _Words | None:
    """Return one call under several batches; without batches, sizes that differ follow from the data. None where they do not fit."""
    labels = [tuple(label for label, _ in one) for one in row]
    if len(set(labels)) > 1:
        return None
    found = []
    for label, values in zip(labels[0], zip(*row, strict=True), strict=True):
        word = _word([value for _, value in values], batches)
        if word is None:
            return None
        found.append((label, word))
    return tuple(found)


def _word(values: Sequence[Shown | None], batches: Sequence[BatchSize]) -> _Word | None:
    arrays = [one for one in values if isinstance(one, Array)]
    groups = [one for one in values if isinstance(one, Group)]
    if len(arrays) == len(values):
        if len({(one.dtype, len(one.shape)) for one in arrays}) > 1:
            return None
        return _Tensor(_sizes([one.shape for one in arrays], batches), arrays[0].dtype)
    if len(groups) < len(values) or len({(one.kind, one.keys) for one in groups}) > 1:
        return None
    first = groups[0]
    if len({len(one.items) for one in groups}) > 1 or len({one.num for one in groups}) > 1:
        return _of_varying_length(groups, batches)
    items: list[_Word | None] = []
    for row in zip(*(one.items for one in groups), strict=True):
        if all(item is None for item in row):
            items.append(None)
            continue
        word = _word(row, batches)
        if word is None:
            return None
        items.append(word)
    return _Parts(first.kind, first.keys, tuple(items), str(first.num))


def _of_varying_length(groups: Sequence[Group], batches: Sequence[BatchSize]) -> _Word | None:
    """Return a list that has an item an example, for instance; its items must be alike."""
    kinds = [list(dict.fromkeys(item for item in one.items if item is not None)) for one in groups]
    if groups[0].kind != "list" or not all(kinds):
        return None
    num = named_size([one.num for one in groups], batches) if batches else VARIES
    if all(len(one) == 1 for one in kinds):
        word = _word([one[0] for one in kinds], batches)
    else:
        word = _word([item for one in kinds for item in one], ())
    return None if word is None else _Parts("list", (), (word,), num)


def _sizes(shapes: Sequence[tuple[int, ...]], batches: Sequence[BatchSize]) -> tuple[str, ...]:
    if batches:
        return named_shape(shapes, batches)
    columns = [set(column) for column in zip(*shapes, strict=True)]
    return tuple(str(next(iter(one))) if len(one) == 1 else VARIES for one in columns)


def _sentence(words: _Words) -> str:
    """Return what one call showed; a type that all have in common is said once, at the end."""
    dtypes = {dtype for _, word in words for dtype in _dtypes(word)}
    is_once = len(dtypes) == 1 and len(words) + sum(isinstance(w, _Parts) for _, w in words) > 1
    texts = [
        f"{label} {text}" if label else text
        for label, word in words
        for text in [_text(word, has_types=not is_once)]
    ]
    said = ", ".join(texts)
    return f"{said} {next(iter(dtypes))}" if is_once else said


def _dtypes(word: _Word | None) -> Iterable[str]:
    if isinstance(word, _Tensor):
        yield word.dtype
    elif word is not None:
        for item in word.items:
            yield from _dtypes(item)


def _text(word: _Word, *, has_types: bool) -> str:
    if isinstance(word, _Tensor):
        sizes = f"[{', '.join(word.sizes)}]"
        return f"{sizes} {word.dtype}" if has_types else sizes
    items = [None if one is None else _text(one, has_types=has_types) for one in word.items]
    if word.kind == "list":
        if len(set(items)) == 1 and (len(items) > 1 or str(len(items)) != word.num):
            return f"{word.num} x {items[0]}"
        shown = [one or "_" for one in items]
        return f"({', '.join(_few(shown, len(shown)))})"
    form = "{0}: {1}" if word.kind == "table" else "{0} {1}"
    pairs = [
        form.format(_key(key), text)
        for key, text in zip(word.keys, items, strict=False)
        if text is not None
    ]
    said = ", ".join(_few(pairs, len(pairs)))
    return f"{{{said}}}" if word.kind == "table" else f"{word.kind}({said})"


def _few(texts: Sequence[str], num: int) -> list[str]:
    return [*texts[:_PARTS_MAX], *([_MORE] if num > _PARTS_MAX else [])]


def _key(key: str) -> str:
    return re.sub(r"[^\w.-]+", "_", key, flags=re.ASCII) or "_"


_SIZE = r"(?:[\dBHWN*/+-]|(?:ceil)?\([\dBHWN*/+-]+\))+"
_DTYPE = r"(?:(?:np|PIL)\.[\w;]+|b?float\d+\w*|complex\d+|u?int\d+|q?u?int\d+\w*|bool)"
_SHAPE = re.compile(rf"\[(?:{_SIZE}(?:, {_SIZE})*)?\](?P<dtype> {_DTYPE})?", re.ASCII)
_NAME = r"[^\W\d][\w.]*"
_V = "\x00"
_STEPS = (
    re.compile(rf"(?:{_SIZE}) x {_V}"),
    re.compile(rf"\((?:{_V}|_)(?:, (?:{_V}|_|\.\.\.))*\)"),
    re.compile(rf"\{{[\w.-]+: {_V}(?:, (?:[\w.-]+: {_V}|\.\.\.))*\}}"),
    re.compile(rf"{_NAME}\({_NAME} {_V}(?:, (?:{_NAME} {_V}|\.\.\.))*\)"),
)
_CALL = rf"(?:{_NAME} )?{_V}(?:, (?:{_NAME} )?{_V})*(?: {_DTYPE})?"
_WHOLE = re.compile(rf"{_CALL}(?: \| {_CALL})*(?: \| \.\.\.)?")
_HAS_DTYPE = re.compile(rf" {_DTYPE}(?: \||$|,|\)|\}})", re.ASCII)


def is_ours(text: str) -> bool:
    """Whether a text, without the mark, reads as ``said_of`` writes."""
    if "\x00" in text or not _HAS_DTYPE.search(text):
        return False
    left, before = _SHAPE.sub(_V, text), ""
    while left != before:
        before = left
        for step in _STEPS:
            left = step.sub(_V, left)
    return _WHOLE.fullmatch(left) is not None
