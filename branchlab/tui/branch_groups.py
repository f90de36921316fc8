"""Which branches the overview shows, in which order, and under which headings. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from branchlab.domain import Station
from branchlab.lab.stations import STATIONS
from branchlab.tui.looks import Line, Look
from branchlab.tui.rows import AnyRow, Row
from branchlab.tui.views import BranchView

_PREFIX = "\0station:"
"""No branch is called so: git forbids control characters in names."""
_LOOKS = {
    Station.READY: Look.GOOD,
    Station.GUARD: Look.GOOD,
    Station.PROVE: Look.GOOD,
    Station.CONFLICT: Look.WARN,
    Station.FAILED: Look.BAD,
    Station.RUNNING: Look.LIVE,
    Station.OLD: Look.WARN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """The rows below main and the reference.

    Attributes:
        num_shown: Branches that are wanted, those under a folded heading too.
    """

    rows: tuple[AnyRow, ...]
    num_shown: int


def arranged(
    views: Sequence[BranchView],
    rows: Mapping[str, AnyRow],
    *,
    is_grouped: bool = False,
    folded: Collection[str] = (),
) -> Arranged:
    """Return rows in the order of the views; grouped, under a heading for each station, the most urgent first."""
    if not is_grouped:
        return Arranged(rows=tuple([rows[view.name] for view in views]), num_shown=len(views))
    groups: dict[Station, list[BranchView]] = {}
    for view in views:
        if view.station is not None:
            groups.setdefault(view.station, []).append(view)
    found: list[AnyRow] = []
    for station in sorted(groups, key=lambda one: one.rank):
        is_folded = station in folded
        found.append(_heading(station, groups[station], is_folded=is_folded))
        if not is_folded:
            found += [rows[view.name] for view in groups[station]]
    return Arranged(rows=tuple(found), num_shown=len(views))


def heading_key(station: Station) -> str:
    """Return the key of a heading's row."""
    return _PREFIX + station


def station_of_key(key: str | None) -> Station | None:
    """Return the station of a heading's row; None for any other row."""
    return Station(key.removeprefix(_PREFIX)) if key and key.startswith(_PREFIX) else None


def _heading(station: Station, views: Sequence[BranchView], *, is_folded: bool) -> Row:
    mark = "▸" if is_folded else "▾"
    step = STATIONS[station]
    line: Line = (
        (f"{mark} {step.title}", _LOOKS.get(station, Look.STRONG)),
        (f"  {len(views)}", Look.STRONG),
        (f"   {step.why}", Look.DIM),
    )
    return Row(key=heading_key(station), cells=(line,), is_heading=True)
