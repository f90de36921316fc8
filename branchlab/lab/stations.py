"""What to do next with a branch: for every station its name, and the command that takes it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from branchlab.domain import Station


@dataclass(frozen=True, slots=True, kw_only=True)
class StationWords:
    """What a station is called, and what comes after it.

    Attributes:
        title: Of a group of branches.
        why: What is to be done, in a few words.
        verb: The command for it, without the branch; empty where there is nothing to do but wait.
    """

    title: str
    why: str
    verb: str = ""


STATIONS: Mapping[Station, StationWords] = {
    Station.READY: StationWords(
        title="ready to merge", why="better, and safe for main: merge it back", verb="merge-back"
    ),
    Station.GUARD: StationWords(
        title="needs a guard", why="better, but it would change main: put it behind a flag that is off", verb="guard"
    ),
    Station.PROVE: StationWords(
        title="needs a proof", why="better; train the merge beside main to see that main stays what it is", verb="parity"
    ),
    Station.CONFLICT: StationWords(
        title="needs main brought in", why="better, but it conflicts with main: bring main in", verb="sync"
    ),
    Station.FAILED: StationWords(title="failed", why="no run came to an end: see why, then run it again", verb="run"),
    Station.PROMISING: StationWords(
        title="promising", why="better so far: finish what is declared, and read its code", verb="run"
    ),
    Station.RUNNING: StationWords(title="running", why="wait for its runs"),
    Station.OLD: StationWords(
        title="results are old", why="its results are of an older tip, or main has none of its own: run it", verb="run"
    ),
    Station.NOT_RUN: StationWords(title="not run", why="it has no result yet: run it", verb="run"),
    Station.OPEN: StationWords(title="undecided", why="no difference is shown yet: more seeds, or leave it", verb="run"),
    Station.NO_BETTER: StationWords(
        title="no better than main", why="write down what it has taught, and drop it", verb="note"
    ),
    Station.LANDED: StationWords(title="in main, or nothing to bring", why="it is over: retire it", verb="retire"),
    Station.DROPPED: StationWords(title="dropped", why="it is over: retire it", verb="retire"),
}  # fmt: skip
