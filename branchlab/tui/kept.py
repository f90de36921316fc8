"""The rows of the overview as they last were, to look through while the lab is read anew.

One file a lab, written beside and renamed when the app is left. It holds texts alone, which pass ``safe_text`` as any
row does. Damaged, too large or of another version it is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from branchlab.lab.columns import Column
from branchlab.terminal_text import safe_text
from branchlab.tui.line_table import LineTable
from branchlab.tui.looks import Look, plain
from branchlab.tui.rows import AnyRow, Row
from branchlab.version import __version__

FILE_NAME = "tui/branches.json"
_VERSION = f"1 of {__version__}"
_ROWS_MAX = 500
"""Ten screens of them; a read that takes longer than one scrolls so far is a matter of seconds."""
_WARNINGS_MAX = 10
_SIZE_MAX = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRows:
    """What the table of branches showed.

    Attributes:
        num_pinned: So many of the first rows stayed on top.
    """

    columns: tuple[Column, ...]
    rows: tuple[AnyRow, ...]
    num_pinned: int
    warnings: tuple[str, ...] = ()
    kept_at: datetime

    @property
    def words(self) -> str:
        """Say of when the rows are."""
        moment = self.kept_at.astimezone()
        is_today = moment.date() == datetime.now(UTC).astimezone().date()
        when = f"{moment:%H:%M}" if is_today else f"{moment.day} {moment:%b %H:%M}"
        return f"as of {when}, reading…"


def rows_to_keep(table: LineTable, *, warnings: Sequence[str], at: datetime) -> KeptRows:
    """Return the first rows of a table, and the warnings above it, as they are to be kept."""
    return KeptRows(
        columns=table.columns,
        rows=tuple(row for row in table.rows if not row.is_heading)[:_ROWS_MAX],
        num_pinned=table.num_pinned,
        warnings=tuple(warnings[:_WARNINGS_MAX]),
        kept_at=at,
    )


def keep_rows(path: Path, kept: KeptRows) -> None:
    """Write rows; where that cannot be, nothing is said: the next start shows all the same."""
    document = {
        "version": _VERSION,
        "kept_at": kept.kept_at.isoformat(),
        "columns": [asdict(column) for column in kept.columns],
        "num_pinned": kept.num_pinned,
        "warnings": kept.warnings,
        "rows": [[row.key, *(plain(cell) for cell in row.cells)] for row in kept.rows],
    }
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, ensure_ascii=False)
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(path)


def read_rows(path: Path) -> KeptRows | None:
    """Return the rows that were kept, all of them dim; None where there are none that can be trusted to fit."""
    try:
        if path.stat().st_size > _SIZE_MAX:
            return None
        return _unpacked(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _unpacked(values: dict[str, object]) -> KeptRows | None:
    columns, rows = values["columns"], values["rows"]
    if values["version"] != _VERSION or not isinstance(columns, list) or not isinstance(rows, list):
        return None
    num_pinned, warnings = values["num_pinned"], values["warnings"]
    if not isinstance(num_pinned, int) or not isinstance(warnings, list):
        return None
    moment = datetime.fromisoformat(str(values["kept_at"]))
    read = tuple(_row(row, len(columns)) for row in rows[:_ROWS_MAX])
    if not 0 <= num_pinned <= len(read) or moment.tzinfo is None:
        return None
    return KeptRows(
        columns=tuple(_column(column) for column in columns),
        rows=read,
        num_pinned=num_pinned,
        warnings=tuple(str(warning) for warning in warnings[:_WARNINGS_MAX]),
        kept_at=moment,
    )


def _column(values: dict[str, object]) -> Column:
    rank, width_min = values["rank"], values["width_min"]
    if not isinstance(rank, int) or not isinstance(width_min, int | None):
        raise TypeError("no column")
    return Column(
        title=safe_text(str(values["title"]), length_max=40),
        rank=rank,
        width_min=width_min,
        is_right=values["is_right"] is True,
        is_hidden=values["is_hidden"] is True,
    )


def _row(texts: list[str], num_columns: int) -> Row:
    if len(texts) != num_columns + 1 or not all(isinstance(text, str) for text in texts):
        raise TypeError("no row")
    key, *cells = texts
    return Row(key=key, cells=tuple(((text, Look.DIM),) for text in cells))
