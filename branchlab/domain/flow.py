"""What flowed through lines of code: shapes and types as one process saw them, under batches of several sizes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor, an array of NumPy (``np.uint8``) or a picture of PIL (``PIL.RGB``); rows before columns."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Group:
    """A list, a table or a record with arrays in it.

    Attributes:
        kind: "list", "table", or the name of the record's class.
        keys: Of a table, or the fields of a record; none of a list.
        items: The first ones; None for one without an array in it.
        num: Of all items.
    """

    kind: str
    keys: tuple[str, ...]
    items: tuple[Shown | None, ...]
    num: int


Shown = Array | Group
Sighting = tuple[tuple[str, Shown], ...]
"""What one execution of a line assigned, took or gave back: (label, value); the label is empty where it goes without saying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """One batch that was sent through the task: its examples, and the height and width of its images; 0 where there are none."""

    batch: int
    height: int = 0
    width: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLine:
    """A statement that ran.

    Attributes:
        path: In the repository.
        first: Its first line. ``last``: its last one, of a compound statement that of its header.
        is_flow: Whether a batch passes through it, or the task's data: what is looked at unless something else is asked for.
        before: While the data was loaded and the model built.
        batches: For each batch, in the order in which it happened there.
    """

    path: str
    first: int
    last: int
    is_flow: bool
    before: tuple[Sighting, ...] = ()
    batches: tuple[tuple[Sighting, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What was seen of a task.

    Attributes:
        batches: The first is the one that the others are held against.
        failure: What the project's code raised, with its place; then what came before it was seen all the same.
        notes: What to know of the batches.
    """

    batches: tuple[BatchSize, ...] = ()
    lines: tuple[SeenLine, ...] = ()
    failure: str = ""
    notes: tuple[str, ...] = ()
