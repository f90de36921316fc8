"""Every experiment that there is or ever was: on branches, landed on main, given up, and those whose branches are gone.

An experiment's file may stand in several places, on its branch and on main, with notes that only one of them has; what
was written down anywhere is taken together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from branchlab.domain import Branch, Fate, RunRecord, WrittenNote, dropped
from branchlab.errors import ConfigError
from branchlab.experiment import (
    FOLDER,
    Experiment,
    experiment_name,
    experiment_path,
    is_description,
    parse_experiment,
)
from branchlab.git.experiments import kept_experiments
from branchlab.git.sources import paths_below
from branchlab.lab.branches import all_branches, deleted_branches, is_experiment, main_branch
from branchlab.lab.project import Project
from branchlab.written import parse_notes


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownExperiment:
    """One experiment.

    Attributes:
        name: As its file is called.
        branch: Its branch, which may be gone.
        tip: The commit that is best known of it: the branch's, else main's where it has landed, else the last one kept.
        is_live: Whether the branch is there.
        experiment: What its file says; an empty one without a usable file.
        notes: From every place where its file stands, oldest first.
    """

    name: str
    branch: str
    tip: str
    is_live: bool
    is_on_main: bool
    experiment: Experiment = field(default_factory=Experiment)
    notes: tuple[WrittenNote, ...] = ()

    @property
    def path(self) -> str:
        return experiment_path(self.name)

    @property
    def fate(self) -> Fate:
        """What has become of it, as far as files and branches tell."""
        if dropped(self.notes) is not None:
            return Fate.DROPPED
        if self.experiment.landed is not None or (self.is_on_main and not self.is_live):
            return Fate.LANDED
        return Fate.OPEN if self.is_live else Fate.GONE


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownExperiments:
    """All of them, by name; ``complaints`` say which files could not be read."""

    main: Branch
    by_name: Mapping[str, KnownExperiment]
    complaints: tuple[str, ...] = ()

    def called(self, name: str) -> KnownExperiment | None:
        """Return the experiment of a name, which may be its own or its branch's, with a remote before it or not."""
        found = self.by_name.get(name)
        if found is not None:
            return found
        return next((one for one in self.by_name.values() if _is_called(one, name)), None)

    @property
    def names(self) -> list[str]:
        """All names that one can be called by."""
        return [*self.by_name, *(one.branch for one in self.by_name.values())]


def _is_called(one: KnownExperiment, name: str) -> bool:
    return one.branch == name or name.endswith(f"/{one.branch}")


def known_experiments(project: Project, records: Sequence[RunRecord]) -> KnownExperiments:
    """Return every experiment that branches, main, kept tips or recorded runs know of.

    Raises:
        RepositoryError: There is no main.
    """
    branches = all_branches(project)
    main = main_branch(project, branches)
    patterns = project.config.branches.experiments
    places = _Places()
    for branch in branches:
        if is_experiment(project, branch):
            name = experiment_name(branch.own_name, patterns)
            places.add(name, branch=branch.own_name, tip=branch.tip, is_live=True)
    for path in paths_below(project.repository.root, main.tip, FOLDER):
        name = PurePosixPath(path).relative_to(FOLDER).with_suffix("").as_posix()
        if path == experiment_path(name):
            branch_name = _branch_name(name, patterns)
            places.add(name, branch=branch_name, tip=main.tip, is_on_main=True)
    for kept, (tip, _) in sorted(kept_experiments(project.repository).items()):
        places.add(experiment_name(kept, patterns), branch=kept, tip=tip)
    for gone in deleted_branches(project, records, branches):
        places.add(experiment_name(gone.own_name, patterns), branch=gone.own_name, tip=gone.tip)
    texts = project.repository.read_files(places.files())
    complaints: list[str] = []
    found = [one for name in places.tips if (one := places.read(name, texts, complaints))]
    return KnownExperiments(
        main=main, by_name={one.name: one for one in found}, complaints=tuple(complaints)
    )


def _branch_name(name: str, patterns: Sequence[str]) -> str:
    pattern = patterns[0] if patterns else "exp/*"
    return pattern.replace("*", name, 1) if "*" in pattern else name


class _Places:
    """Where the files of experiments stand, the best place first."""

    def __init__(self) -> None:
        self.tips: dict[str, list[str]] = {}
        self._branch: dict[str, str] = {}
        self._live: set[str] = set()
        self._on_main: dict[str, str] = {}

    def add(
        self, name: str, *, branch: str, tip: str, is_live: bool = False, is_on_main: bool = False
    ) -> None:
        """Learn of one place."""
        self.tips.setdefault(name, []).append(tip)
        self._branch.setdefault(name, branch)
        if is_live:
            self._live.add(name)
        if is_on_main:
            self._on_main[name] = tip

    def files(self) -> list[tuple[str, str]]:
        return [(tip, experiment_path(name)) for name, tips in self.tips.items() for tip in tips]

    def read(
        self, name: str, texts: Mapping[tuple[str, str], str | None], complaints: list[str]
    ) -> KnownExperiment | None:
        """Return the experiment; None for a file on main that is something else of the project's own."""
        path = experiment_path(name)
        described = Experiment()
        notes: list[WrittenNote] = []
        for tip in reversed(self.tips[name]):  # so that the best place has the last word
            text = texts[tip, path]
            if text is None:
                continue
            is_own = set(self.tips[name]) != {self._on_main.get(name)}
            if not is_own and not is_description(text):
                return None
            try:
                described = _joined(parse_experiment(text, where=f"{tip[:10]}:{path}"), described)
                notes += [
                    note
                    for note in parse_notes(text, where=f"{tip[:10]}:{path}")
                    if note not in notes
                ]
            except ConfigError as error:
                complaints.append(error.message)
        return KnownExperiment(
            name=name,
            branch=self._branch[name],
            tip=self.tips[name][0],
            is_live=name in self._live,
            is_on_main=name in self._on_main and texts[self._on_main[name], path] is not None,
            experiment=described,
            notes=tuple(sorted(notes, key=_written_at)),
        )


def _joined(best: Experiment, other: Experiment) -> Experiment:
    """Return what the best place says, and that it has landed where only another one says so."""
    return best if best.landed is not None else replace(best, landed=other.landed)


def _written_at(note: WrittenNote) -> float:
    return note.at.timestamp() if note.at is not None else 0.0
