"""``[[notes]]`` of an experiment's file: read leniently, for runs do not need them, and appended to without touching a line.

A note is kept in the file so that git carries it to whoever has the branch, and to main when the experiment lands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from branchlab.domain import Relation, WrittenNote
from branchlab.errors import ConfigError
from branchlab.toml_file import parse_toml, shown

_KEY = "notes"
_DROPPED = "dropped"


def parse_notes(text: str, *, where: str) -> tuple[WrittenNote, ...]:
    """Return the notes of an experiment's file, in the order written.

    Raises:
        ConfigError: It is not TOML, or a note has no usable text or relation; ``where`` is named.
    """
    return notes_of(parse_toml(text, path=PurePosixPath(where)), where=where)


def notes_of(document: Mapping[str, Any], *, where: str) -> tuple[WrittenNote, ...]:
    """Return the notes of a file that is parsed already, as ``parse_notes`` does it."""
    found = document.get(_KEY, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ConfigError(f"{where}: notes = {shown(found)}: expected [[notes]]", hint="mend it")
    return tuple(_note(one, f"{where}: note {number}") for number, one in enumerate(found, start=1))


def _note(table: dict[str, Any], where: str) -> WrittenNote:
    at, text, drops = table.get("at"), table.get("text"), table.get(_DROPPED)
    if not isinstance(text, str):
        raise ConfigError(f"{where}: text = {shown(text)}: expected a string", hint="mend it")
    if drops is not None and not isinstance(drops, bool):
        raise ConfigError(
            f"{where}: dropped = {shown(drops)}: expected true or false", hint="mend it"
        )
    return WrittenNote(
        at=_moment(at),
        text=text,
        relations=tuple(
            (relation, other)
            for relation in Relation
            for other in _names(table.get(str(relation), []), f"{where}: {relation}")
        ),
        drops=drops,
    )


def _names(found: object, where: str) -> list[str]:
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{where} = {shown(found)}: expected names of experiments", hint="mend it"
        )
    return names


def _moment(at: object) -> datetime | None:
    """Return a TOML date-time as an aware moment; one without an offset is taken as UTC."""
    if not isinstance(at, datetime):
        return None
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)


def with_note(text: str, note: WrittenNote, *, where: str) -> str:
    """Return an experiment's file with one more note at its end; all else stays as it is written.

    Raises:
        ConfigError: The file is damaged, so that nothing can be appended to it.
    """
    before = parse_notes(text, where=where)
    gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    longer = f"{text}{gap}{_rendered(note)}"
    try:
        after = parse_notes(longer, where=where)
    except ConfigError:
        after = ()
    if len(after) != len(before) + 1:
        raise ConfigError(
            f"{where}: notes are no [[notes]] tables, so none can be appended",
            hint=f"write them as [[notes]] tables in {where}",
        )
    return longer


def _rendered(note: WrittenNote) -> str:
    rows = ["[[notes]]"]
    if note.at is not None:
        moment = note.at.astimezone(UTC).isoformat(timespec="seconds")
        rows.append(f"at = {moment.replace('+00:00', 'Z')}")
    rows.append(f"text = {_quoted(note.text)}")
    for relation in Relation:
        names = [other for kind, other in note.relations if kind is relation]
        if names:
            rows.append(f"{relation} = [{', '.join(map(_quoted, names))}]")
    if note.drops is not None:
        rows.append(f"{_DROPPED} = {str(note.drops).lower()}")
    return "\n".join(rows) + "\n"


def _quoted(text: str) -> str:
    # JSON leaves DEL as it is, which TOML does not allow.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
