"""What models saw, for a page: the latest pictures of runs and of kept probes, bounded in number and in bytes.

Pictures lie in folders that a branch's own code wrote to: only plain files that begin as a PNG does are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.analysis.results import BranchResults
from branchlab.domain import RunRecord, RunState
from branchlab.lab.kept_probes import kept_probes
from branchlab.lab.project import Project

OF_A_BRANCH_MAX = 4
BYTES_MAX = 400_000
"""Of one picture."""
ALL_BYTES_MAX = 12_000_000
_EPOCH = re.compile(r"(?P<name>.+)-epoch(?P<epoch>\d+)")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_LENGTH = 24
_SIDE_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One PNG. ``what`` it shows and ``source``, the run or probe that drew it, are said in words; sides are in pixels."""

    branch: str
    what: str
    source: str
    content: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The pictures that were taken, and how many were not: for their number or their bytes, or because they are none."""

    taken: tuple[Picture, ...] = ()
    num_left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    branch: str
    what: str
    source: str
    path: Path


def pictures_of(
    project: Project, results: Sequence[tuple[str, BranchResults]], tips: dict[str, str]
) -> Pictures:
    """Return the latest pictures of branches in the order given: of one run each, and of a kept probe.

    Args:
        project: Whose.
        results: Branches with the runs that speak for them, the most important first.
        tips: Commit by branch; a probe of another one says so.
    """
    probes: dict[str, list[_Found]] = {}
    for one in kept_probes(project):
        old = "" if tips.get(one.branch) == one.commit else f", commit {one.commit[:10]}"
        for path in one.pictures:
            source = f"probe of step {one.step}{old}"
            what = path.stem
            found = _Found(branch=one.branch, what=what, source=source, path=path)
            probes.setdefault(one.branch, []).append(found)
    taken: list[Picture] = []
    num_found = num_bytes = 0
    for branch, runs in results:
        of_branch = 0
        for found in (*_of_runs(project, branch, runs), *probes.get(branch, [])):
            num_found += 1
            if of_branch == OF_A_BRANCH_MAX or num_bytes >= ALL_BYTES_MAX:
                continue
            picture = _read(found)
            if picture is not None and num_bytes + len(picture.content) <= ALL_BYTES_MAX:
                taken.append(picture)
                of_branch += 1
                num_bytes += len(picture.content)
    return Pictures(taken=tuple(taken), num_left_out=num_found - len(taken))


def pictures_of_run(project: Project, record: RunRecord) -> Pictures:
    """Return the latest pictures of one run, one of each name."""
    found = list(_of_runs(project, record.run.branch, BranchResults(records=(record,))))
    read = [_read(one) for one in found[:OF_A_BRANCH_MAX]]
    taken = tuple(picture for picture in read if picture is not None)
    return Pictures(taken=taken, num_left_out=len(found) - len(taken))


def _of_runs(project: Project, branch: str, results: BranchResults) -> Iterator[_Found]:
    """Yield the latest picture of each name of the first run that has any, those that are done before others."""
    for record in sorted(results.records, key=lambda r: r.state is not RunState.DONE):
        latest: dict[str, tuple[int, Path]] = {}
        for path in sorted(project.state.run(record.run.id).pictures.glob("*.png")):
            named = _EPOCH.fullmatch(path.stem)
            name, epoch = (named["name"], int(named["epoch"])) if named else (path.stem, 0)
            if epoch >= latest.get(name, (0, path))[0]:
                latest[name] = epoch, path
        for name, (epoch, path) in latest.items():
            when = f" after epoch {epoch}" if epoch else ""
            source = f"seed {record.run.seed}{when}"
            yield _Found(branch=branch, what=name, source=source, path=path)
        if latest:
            return


def _read(found: _Found) -> Picture | None:
    """Return a picture; None for what is too large, no plain file, or no PNG."""
    try:
        if found.path.is_symlink() or not found.path.is_file():
            return None
        with found.path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError:
        return None
    if len(content) > BYTES_MAX or not content.startswith(_SIGNATURE):
        return None
    header = content[:_HEADER_LENGTH]
    width, height = (int.from_bytes(header[at : at + 4]) for at in (16, 20))
    if not (0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX):
        return None
    return Picture(
        branch=found.branch,
        what=found.what,
        source=found.source,
        content=content,
        width=width,
        height=height,
    )
