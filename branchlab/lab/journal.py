"""``log``: everything that has happened to experiments, in the order of time, failed ideas too.

Nothing is kept for it: it is read from experiment files and their history in git, from recorded runs, and from verdicts as
they were on the runs that were there at the time. So it is complete for what happened before anybody asked, and a branch
that was deleted still has its story.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from branchlab.domain import RunRecord, RunState, Scale, Verdict, WrittenNote
from branchlab.errors import RepositoryError, nearest
from branchlab.experiment import FOLDER
from branchlab.git.experiments import archived, arrivals, first_seen
from branchlab.lab.known_experiments import KnownExperiment, known_experiments
from branchlab.lab.past_verdicts import past_verdicts
from branchlab.lab.project import Project
from branchlab.lab.retire import TAGS
from branchlab.run_folder import from_text


class Happening(StrEnum):
    """What can happen to an experiment."""

    CREATED = "created"
    RAN = "ran"
    VERDICT = "verdict"
    NOTE = "note"
    DROPPED = "dropped"
    REOPENED = "reopened"
    LANDED = "landed"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the journal.

    Attributes:
        experiment: Its name; main's and the reference's own runs are listed under the branch.
        note: What was written down, of a note and of what was dropped or reopened.
        verdict: As it was then.
        runs: Ids of the runs that are meant.
    """

    at: datetime
    experiment: str
    what: Happening
    text: str
    note: WrittenNote | None = None
    verdict: Verdict | None = None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The entries, oldest first; ``complaints`` say which files could not be read."""

    entries: tuple[Entry, ...]
    complaints: tuple[str, ...] = ()


def journal(project: Project, names: Sequence[str] = (), *, with_verdicts: bool = True) -> Journal:
    """Return what has happened to all experiments, or to some.

    Args:
        project: Whose.
        names: Only these experiments.
        with_verdicts: Whether verdicts as they were are among it: in a big lab they take most of the time.

    Raises:
        RepositoryError: There is no main, or an experiment is unknown.
    """
    index = project.index()
    records = index.runs()
    index.close()
    known = known_experiments(project, records)
    by_branch = {one.branch: one.name for one in known.by_name.values()}
    entries = [
        *_from_files(project, list(known.by_name.values()), main=known.main.tip),
        *_from_runs(records, by_branch, project),
        *(_verdicts(project, records, by_branch) if with_verdicts else ()),
    ]
    wanted = set()
    for name in names:
        found = known.called(name)
        if found is None and name not in {known.main.name, project.config.branches.reference}:
            raise RepositoryError(
                f"there is no experiment '{name}'",
                hint=f"{nearest(name, known.names)}see them: branchlab map",
            )
        wanted.add(found.name if found is not None else name)
    kept = [entry for entry in entries if not wanted or entry.experiment in wanted]
    return Journal(
        entries=tuple(sorted(kept, key=lambda entry: entry.at)), complaints=known.complaints
    )


def _from_files(
    project: Project, known: Sequence[KnownExperiment], *, main: str
) -> Iterator[Entry]:
    root = project.repository.root
    created, landed = first_seen(root, FOLDER), arrivals(root, main, FOLDER)
    tags = archived(root, [f"{TAGS}{one.name}" for one in known])
    for one in known:
        described = one.experiment
        began = created.get(one.path)
        if began is not None:
            title = f"{described.title}, " if described.title not in {"", one.name} else ""
            idea = f": {described.idea}" if described.idea else ""
            yield Entry(
                at=began,
                experiment=one.name,
                what=Happening.CREATED,
                text=f"{title}from {described.base}{idea}",
            )
        for note in one.notes:
            yield Entry(
                at=note.at or began or datetime.fromtimestamp(0, UTC),
                experiment=one.name,
                what=_kind_of(note),
                text=note.text,
                note=note,
            )
        at = from_text(described.landed.at) if described.landed is not None else None
        at = at or (landed.get(one.path) if one.is_on_main else None)
        if at is not None:
            flags = ", ".join(described.flags)
            behind = f" behind {flags}" if described.landed is not None and flags else ""
            text = f"its content is on main{behind}"
            yield Entry(at=at, experiment=one.name, what=Happening.LANDED, text=text)
        tag = f"{TAGS}{one.name}"
        if tag in tags:
            text = f"its branch went, under the tag {tag}"
            yield Entry(at=tags[tag], experiment=one.name, what=Happening.RETIRED, text=text)


def _kind_of(note: WrittenNote) -> Happening:
    if note.drops is None:
        return Happening.NOTE
    return Happening.DROPPED if note.drops else Happening.REOPENED


def _from_runs(
    records: Sequence[RunRecord], by_branch: dict[str, str], project: Project
) -> Iterator[Entry]:
    metric = project.config.run.metric
    for (branch, _), group in _batches(records).items():
        over = [record for record in group if record.ended_at is not None]
        if not over:
            continue
        yield Entry(
            at=max(record.ended_at for record in over if record.ended_at is not None),
            experiment=by_branch.get(branch, branch),
            what=Happening.RAN,
            text=_ran(group, metric),
            runs=tuple(record.run.id for record in group),
        )


def _batches(records: Sequence[RunRecord]) -> dict[tuple[str, str], list[RunRecord]]:
    found: dict[tuple[str, str], list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.run.seed):
        found.setdefault((record.run.branch, record.run.batch), []).append(record)
    return found


def _ran(group: Sequence[RunRecord], metric: str) -> str:
    run = group[0].run
    done = [record for record in group if record.state is RunState.DONE]
    values = [record.metrics[metric] for record in done if metric in record.metrics]
    seeds = f"{len(group)} seed{'s' if len(group) > 1 else ''}"
    whole = f"the {run.scale} set"
    if run.scale is Scale.SAMPLE and run.sample.fraction < 1:
        whole = f"{run.sample.fraction:.0%} of the training set"
    text = f"{seeds} on {whole}, commit {run.commit[:10]}"
    if values:
        text += f": {metric} {sum(values) / len(values):.4f}"
    for state in (RunState.FAILED, RunState.CANCELLED, RunState.LOST):
        ended = [record for record in group if record.state is state]
        if ended:
            reason = f" ({ended[0].reason})" if ended[0].reason else ""
            text += f"; {len(ended)} {state}{reason}"
    return text


def _verdicts(
    project: Project, records: Sequence[RunRecord], by_branch: dict[str, str]
) -> Iterator[Entry]:
    for one in past_verdicts(project, records):
        yield Entry(
            at=one.at,
            experiment=by_branch.get(one.verdict.branch, one.verdict.branch),
            what=Happening.VERDICT,
            text=one.verdict.sentence,
            verdict=one.verdict,
        )
