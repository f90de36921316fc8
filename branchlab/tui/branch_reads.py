"""What the screen of a branch has read in threads: each function is called with the project and returns what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual.strip import Strip

from branchlab.analysis.results import BranchResults
from branchlab.domain import RunRecord, WrittenNote
from branchlab.lab.branch_curves import Axis, Beside, beside_main
from branchlab.lab.curves import Curve
from branchlab.lab.diff import Base, BranchDiff, Side, branch_diff, last_run_side, patch_of
from branchlab.lab.project import Project
from branchlab.lab.sparkline import Points, thinned
from branchlab.lab.status import Status
from branchlab.tui.chart import Series, smoothed
from branchlab.tui.diff_lines import DrawnPatch, drawn_patch
from branchlab.tui.looks import Line, Look
from branchlab.tui.picture_lines import drawn_pictures
from branchlab.tui.views import BranchView, Role, Snapshot

if TYPE_CHECKING:
    from branchlab.git.hunks import ChangedFile
    from branchlab.lab.feature_reading import BranchFeatures
    from branchlab.lab.kept_probes import SeenThen
    from branchlab.lab.known_experiments import KnownExperiment

_BAND_MAX = 400
_SMOOTHING = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Curves that are ready to be drawn."""

    beside: Beside
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written down about an experiment; ``others`` are (experiment, note) that name it."""

    known: KnownExperiment | None
    others: tuple[tuple[str, WrittenNote], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What the last probe saw, and pictures of what entered the model, as lines."""

    seen: SeenThen | None
    pictures: tuple[Line | Strip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Something to be read: for which part, what it depends on, and how."""

    slot: str
    key: Hashable
    read: Callable[[Project], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What somebody has chosen to see: the base of the diff; metric, axis and smoothing of the curves; a run, "" for none."""

    base: Base
    curves: tuple[str, Axis, bool]
    width: int
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """The curve of one run."""

    run: str
    points: Points


def wishes(
    view: BranchView, snapshot: Snapshot, chosen: Chosen, parts: Collection[str]
) -> list[Wish]:
    """Return what has to be read of a branch for the parts that are seen; each key changes when its answer may."""
    status, records, name = snapshot.status, snapshot.records, view.name
    overview = status.overview
    main_tip = overview.main.tip
    reference_tip = overview.reference.tip if overview.reference is not None else ""
    found: list[Wish] = []

    def wish(slot: str, key: Hashable, read: Callable[[Project], object]) -> None:
        found.append(Wish(slot=slot, key=key, read=read))

    if view.role is Role.EXPERIMENT and any(
        b.standing.branch.name == name for b in status.branches
    ):
        known = frozenset(b.standing.branch.tip for b in status.branches if b.features is not None)
        read: Callable[[Project], object] = partial(read_features, status=status, name=name)
        wish("features", (view.tip, main_tip, known), read)
    if view.tip:
        last = next((record.run.id for record in view.runs), "")
        head = Side(name=name, commit=view.tip)
        read = partial(read_diff, status=status, head=head, base=chosen.base, records=records)
        wish("diff", (chosen.base, view.tip, main_tip, reference_tip, last), read)
    branch, beside = sides_of(view, status)
    if "chart" in parts:
        ids = {r.run.id for r in (*branch[1].records, *beside[1].records)}
        now = tuple((r.run.id, r.state, r.step) for r in records if r.run.id in ids)
        read = partial(read_curves, branch=branch, main=beside, how=chosen.curves)
        wish("curves", (chosen.curves, now), read)
    record = next((one for one in view.runs if one.run.id == chosen.run), None)
    if "spark" in parts and record is not None:
        wish("spark", (chosen.run, record.step), partial(read_spark, run_id=chosen.run))
    if "notes" in parts:
        read = partial(read_notes, name=name, records=records)
        wish("notes", (view.tip, main_tip), read)
    if "probe" in parts:
        read = partial(read_probe, branch=branch, tip=view.tip, width=chosen.width)
        wish("probe", (view.tip, chosen.width, snapshot.read_at), read)
    return found


def sides_of(
    view: BranchView, status: Status
) -> tuple[tuple[str, BranchResults], tuple[str, BranchResults]]:
    """Return a branch and what it is held against, each with the runs that speak for it."""
    overview = status.overview
    main = (overview.main.name, status.main_results)
    reference = overview.reference.name if overview.reference is not None else ""
    frozen = (reference, status.reference_results)
    match view.role:
        case Role.MAIN:
            return main, frozen
        case Role.REFERENCE:
            return frozen, main
        case Role.EXPERIMENT:
            by_name = {one.standing.branch.name: one.results for one in status.branches}
            gone = BranchResults(records=view.runs)
            return (view.name, by_name.get(view.name, gone)), main


def read_features(project: Project, status: Status, name: str) -> BranchFeatures | None:
    """Return what a branch changes; of the others those are asked that have been read before."""
    from branchlab.lab.features import features_seen

    standings = [
        one.standing
        for one in status.branches
        if one.features is not None or one.standing.branch.name == name
    ]
    found = features_seen(project, standings, main=status.overview.main.name)
    return next((one for one in found if one.name == name), None)


def read_diff(
    project: Project, status: Status, head: Side, base: Base, records: Sequence[RunRecord]
) -> BranchDiff:
    """Return the files in which a branch differs from what it is held against."""
    overview = status.overview
    against: Side | None
    match base:
        case Base.MAIN:
            against = Side(name=overview.main.name, commit=overview.main.tip)
        case Base.REFERENCE:
            reference = overview.reference
            against = Side(name=reference.name, commit=reference.tip) if reference else None
        case Base.LAST_RUN:
            against = last_run_side(records, head.name)
    if against is None:
        return BranchDiff(head=head, problem=f"there is no {base} to hold it against")
    return branch_diff(project, head, against, since_they_parted=base is not Base.LAST_RUN)


def read_patch(project: Project, found: BranchDiff, file: ChangedFile) -> DrawnPatch:
    """Return the lines of one file."""
    return drawn_patch(patch_of(project, found, file))


def read_curves(
    project: Project,
    branch: tuple[str, BranchResults],
    main: tuple[str, BranchResults],
    how: tuple[str, Axis, bool],
) -> Drawn:
    """Return curves of a metric over an axis, smoothed or not."""
    metric, axis, is_smooth = how
    beside = beside_main(project, branch, main, metric=metric, axis=axis)
    curves: list[tuple[Curve | None, Look]] = [
        (beside.curve, Look.CURVE_1),
        (beside.main, Look.CURVE_3),
    ]
    curves += zip(beside.running, (Look.CURVE_2, Look.CURVE_4, Look.CURVE_5), strict=False)
    series = [series_of(one, look, is_smooth=is_smooth) for one, look in curves if one is not None]
    return Drawn(beside=beside, series=tuple(series))


def read_spark(project: Project, run_id: str) -> Spark:
    """Return how the metric of one run went."""
    index = project.index()
    points = index.curve(run_id, project.config.run.metric)
    index.close()
    return Spark(run=run_id, points=tuple(thinned(points)))


def series_of(curve: Curve, look: Look, *, is_smooth: bool) -> Series:
    """Return a curve as it is drawn: its mean over a band from the lowest seed to the highest."""
    points = [(point.epoch, point.mean) for point in curve.points]
    seeds = f" ({curve.num_seeds} seed{'s' if curve.num_seeds > 1 else ''}{', running' if curve.is_running else ''})"
    band: list[tuple[int, float, float]] = []
    if curve.num_seeds > 1 and not is_smooth:
        size = -(-len(curve.points) // _BAND_MAX)
        for start in range(0, len(curve.points), size):
            part = curve.points[start : start + size]
            band.append((part[0].epoch, min(p.low for p in part), max(p.high for p in part)))
    drawn = smoothed(points, _SMOOTHING) if is_smooth else points
    return Series(name=f"{curve.branch}{seeds}", points=thinned(drawn), look=look, band=band)


def read_notes(project: Project, name: str, records: Sequence[RunRecord]) -> Written:
    """Return what was written down about an experiment, in its own file and in those of others."""
    from branchlab.lab.known_experiments import known_experiments

    known = known_experiments(project, records)
    own = known.called(name)
    names = {own.name, own.branch} if own is not None else {name}
    others = [
        (one.name, note)
        for one in known.by_name.values()
        if one is not own
        for note in one.notes
        if any(other in names for _, other in note.relations)
    ]
    return Written(known=own, others=tuple(others))


def read_probe(project: Project, branch: tuple[str, BranchResults], tip: str, width: int) -> Looked:
    """Return what the last probe of a branch saw, with pictures in half blocks."""
    from branchlab.lab.kept_probes import last_probe
    from branchlab.lab.pictures import pictures_of

    name, results = branch
    found = pictures_of(project, [(name, results)], {name: tip})
    return Looked(seen=last_probe(project, name), pictures=drawn_pictures(found, width))
