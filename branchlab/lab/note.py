"""``note``: a line of the written track, committed to the experiment's own file wherever that lives.

On its branch while there is one; on main once it has landed and its branch is gone; else on the last tip that was kept.
A branch that is checked out is fast-forwarded in its work tree as ``git merge --ff-only`` does it, so that what is not
committed there stays as it is, or nothing happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from branchlab.domain import Relation, WrittenNote
from branchlab.errors import ConfigError, RepositoryError, nearest
from branchlab.experiment import Experiment, render_experiment
from branchlab.git.experiments import keep_experiments, kept_experiments, move_kept
from branchlab.git.write import commit_files
from branchlab.lab.advance import advance
from branchlab.lab.known_experiments import KnownExperiment, KnownExperiments, known_experiments
from branchlab.lab.project import Project
from branchlab.written import with_note

_SUBJECT_LENGTH_MAX = 60
_TEXT_LENGTH_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What ``note`` did: where the note stands now, and who else was named."""

    experiment: str
    place: str
    commit: str
    file: str
    note: WrittenNote


def note(
    project: Project,
    name: str,
    text: str,
    *,
    relations: Sequence[tuple[Relation, str]] = (),
    drops: bool | None = None,
) -> Noted:
    """Append a note to an experiment's file and commit it.

    Args:
        project: Where.
        name: The experiment, by its name or its branch's; the branch may be gone.
        text: What is to be remembered.
        relations: (relation, the other experiment).
        drops: True gives the idea up with ``text`` as the reason, False takes it up again.

    Raises:
        RepositoryError: An experiment is unknown, or the branch cannot move where it is checked out.
        ConfigError: There is no text, an experiment is related to itself, or its file is damaged.
    """
    if not text.strip() or len(text) > _TEXT_LENGTH_MAX:
        raise ConfigError(
            f"the note has {len(text.strip())} characters: 1 to {_TEXT_LENGTH_MAX} are needed",
            hint=f"branchlab note {name} 'what was learned'",
        )
    index = project.index()
    known = known_experiments(project, index.runs())
    index.close()
    subject = _called(known, name)
    others = [(relation, _called(known, other)) for relation, other in relations]
    for relation, other in others:
        if other.name == subject.name:
            raise ConfigError(
                f"{subject.name} {relation} itself",
                hint="name another experiment of: branchlab map",
            )
    written = WrittenNote(
        at=datetime.now(UTC).replace(microsecond=0),
        text=text.strip()
        .encode("utf-8", "replace")
        .decode(),  # a terminal may give half a character
        relations=tuple(dict.fromkeys((relation, other.name) for relation, other in others)),
        drops=drops,
    )
    return _write(project, known, subject, written)


def _called(known: KnownExperiments, name: str) -> KnownExperiment:
    found = known.called(name)
    if found is None:
        raise RepositoryError(
            f"there is no experiment '{name}'",
            hint=f"{nearest(name, known.names)}see them: branchlab map",
        )
    return found


def _write(
    project: Project, known: KnownExperiments, subject: KnownExperiment, written: WrittenNote
) -> Noted:
    repository = project.repository
    kept = kept_experiments(repository)
    is_branch = subject.is_live or subject.is_on_main
    branch = subject.branch if subject.is_live else known.main.name
    local = repository.tip_of(branch) if is_branch else None
    if is_branch and local is None:
        raise RepositoryError(
            f"{subject.name} lives only on a remote", hint=f"git switch {subject.branch}"
        )
    tip = local or (kept[subject.branch][0] if subject.branch in kept else subject.tip)
    place = branch if is_branch else f"{subject.branch}, which is gone: its last tip is kept"
    before = repository.read_file(tip, subject.path)
    if before is None:
        described = Experiment(title=subject.name, base=known.main.name, idea="")
        before = render_experiment(described)
    commit = commit_files(
        repository,
        parent=tip,
        files={subject.path: with_note(before, written, where=f"{branch}:{subject.path}")},
        message=f"Note on {subject.name}: {_subject(written.text)}\n",
    )
    if is_branch:
        advance(project, branch, before=tip, after=commit, by="note")
    elif subject.branch in kept:
        move_kept(repository, subject.branch, before=tip, after=commit)
    if subject.is_live or not is_branch:
        keep_experiments(repository, {subject.branch: commit})
    return Noted(
        experiment=subject.name, place=place, commit=commit, file=subject.path, note=written
    )


def _subject(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SUBJECT_LENGTH_MAX else f"{line[: _SUBJECT_LENGTH_MAX - 1]}…"
