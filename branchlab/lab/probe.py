"""``probe``: one real step of a branch looked at from outside, and where two branches that are walked in step first differ.

A probe is made by a fork of the warm parent, from a work tree of the exact commit, as a run is. What was seen is kept by
everything that decides it, so that main and the reference cost nothing after the first time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from branchlab.analysis.probe.divergence import Divergence, divergence
from branchlab.analysis.probe.findings import findings
from branchlab.domain import Branch, Finding, Flags, Probe, Run
from branchlab.errors import BranchlabError, ConfigError
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import all_branches, experiment_of, find_branches, main_branch
from branchlab.lab.kept_probes import FOLDER, say_whose
from branchlab.lab.project import Project
from branchlab.lab.recordings import Recorder, Side, commit_side
from branchlab.lab.runs import find_run
from branchlab.run_folder import AskedProbe, pack_probe, unpack_probe
from branchlab.schedule.executor import Executor

_KIND = "probes-2"
"""Raise the number when probes hold something else."""
_KEPT_MAX = 100
_SHARED_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What is looked at.

    Attributes:
        step: The step of the training.
        is_eval: A batch of validation after that step, instead of the step itself.
        run: Id of a run whose best weights the model gets first, its last ones without any; "" for fresh weights.
        maps: Patterns of modules whose outputs are drawn.
        with_flags: Whether a branch's experiment is switched on.
        is_anew: Whether what is known is looked at again.
    """

    step: int = 1
    is_eval: bool = False
    run: str = ""
    maps: tuple[str, ...] = ()
    with_flags: bool = True
    device: str | None = None
    seed: int = 0
    is_anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One branch's probe and what it means. ``pictures`` by what they show; paths exist."""

    branch: str
    commit: str
    flags: Flags
    probe: Probe
    findings: tuple[Finding, ...]
    pictures: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """A branch held against another: both probes, and where they first differ."""

    ours: Probed
    theirs: Probed
    divergence: Divergence


def probe(
    project: Project,
    name: str,
    request: ProbeRequest | None = None,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> Probed:
    """Probe a branch.

    Raises:
        RepositoryError: There is no such branch.
        ConfigError: The request cannot be met.
        BranchlabError: No process could be started, or it left nothing.
    """
    with _Prober.of(project, request or ProbeRequest(), executor, tell) as prober:
        return prober.probe(prober.branch(name))


def probe_against(
    project: Project,
    name: str,
    against: str,
    request: ProbeRequest | None = None,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> Against:
    """Walk two branches in step: the same seed and batch, the same weights where both have them.

    The other one is probed twice, so that its own noise is known. Raises as ``probe`` does.
    """
    with _Prober.of(project, request or ProbeRequest(), executor, tell) as prober:
        branch, other = prober.branch(name), prober.branch(against)
        return prober.hold(branch, other)


class _Prober:
    """Makes probes of one project."""

    def __init__(self, project: Project, request: ProbeRequest, recorder: Recorder) -> None:
        self.project, self.request, self.recorder = project, request, recorder
        self._branches = all_branches(project)
        self.main = main_branch(project, self._branches)
        self._weights = self._weights_of_run()
        self._shared = _state_of_shared(project)

    @classmethod
    @contextmanager
    def of(
        cls, project: Project, request: ProbeRequest, executor: Executor | None, tell: Tell
    ) -> Iterator[_Prober]:
        if request.step < 1:
            raise ConfigError(
                f"--at step={request.step}: steps count from 1", hint="branchlab probe --help"
            )
        recorder = Recorder(
            project,
            steps=request.step,
            device=request.device,
            executor=executor,
            verb="probe",
            purpose="probing",
            tell=tell,
        )
        try:
            prober = cls(project, request, recorder)
            recorder.warm_up(prober.main.tip)
            yield prober
        finally:
            recorder.close()

    def branch(self, name: str) -> Branch:
        return find_branches(self.project, [name], self._branches)[0]

    def probe(self, branch: Branch) -> Probed:
        """Return a branch's own probe."""
        return self._probes([(self._side(branch), self._asked())])[0]

    def hold(self, branch: Branch, other: Branch) -> Against:
        """Return both probes in step, and where they differ."""
        weights = self.recorder.state.path / "weights.pt"
        weights.parent.mkdir(parents=True, exist_ok=True)
        asked = replace(self._asked(), is_in_step=True)
        theirs = self._side(other)
        leaving = replace(asked, leaves=str(weights))
        again = replace(theirs, name=f"{theirs.name}, again", number=2)
        first, second = self._probes([(theirs, leaving), (again, asked)], keeps=False)
        taking = replace(asked, takes=str(weights) if weights.exists() else "")
        ours = self._probes([(self._side(branch), taking)], keeps=False)[0]
        found = divergence(ours.probe, first.probe, again=second.probe, base=other.name)
        return Against(ours=ours, theirs=first, divergence=found)

    def _side(self, branch: Branch) -> Side:
        flags: Flags = {}
        if self.request.with_flags and branch.name != self.main.name:
            flags = experiment_of(self.project, branch).flags
        side = commit_side(self.project, branch.name, branch.tip, flags=flags)
        return replace(side, seed=self.request.seed)

    def _asked(self) -> AskedProbe:
        return AskedProbe(
            step=self.request.step,
            mode="eval" if self.request.is_eval else "train",
            weights=self._weights,
            maps=self.request.maps,
        )

    def _weights_of_run(self) -> str:
        """Return the checkpoint of the run that is asked for.

        Raises:
            ConfigError: There is no such run, or it has none.
        """
        if not self.request.run:
            return ""
        folder = self.project.state.run(find_run(self.project, self.request.run).run.id)
        for path in (folder.best_checkpoint, folder.checkpoint):
            if path.exists():
                return str(path)
        raise ConfigError(
            f"{self.request.run} has no checkpoint", hint="branchlab runs: choose one that is done"
        )

    def _probes(
        self, wanted: Sequence[tuple[Side, AskedProbe]], *, keeps: bool = True
    ) -> list[Probed]:
        """Return probes, from what is kept where the same was asked before."""
        planned = [(self._plan(side, asked), side, asked) for side, asked in wanted]
        memo = self.project.memo()
        kept = (
            memo.get(_KIND, [run.key for run, _, _ in planned])
            if keeps and not self.request.is_anew
            else {}
        )
        known = {key: found for key, content in kept.items() if (found := unpack_probe(content))}
        for run, _, _ in planned:
            # What was drawn is part of the answer; somebody may have taken it away.
            if run.key in known and self._lacks_pictures(run, known[run.key]):
                del known[run.key]
        missing = [(run, side, asked) for run, side, asked in planned if run.key not in known]
        for run, _, asked in missing:
            self.recorder.write_plan(run).ask_to_probe(asked)
        if missing:
            self.recorder.carry_out([(run, side) for run, side, _ in missing])
        for run, side, _ in missing:
            known[run.key] = found = self._read(run, side)
            if keeps and not found.failure:
                memo.put(_KIND, {run.key: pack_probe(found)}, most=_KEPT_MAX)
        return [self._probed(run, side, known[run.key]) for run, side, _ in planned]

    def _plan(self, side: Side, asked: AskedProbe) -> Run:
        weights = ""
        if asked.weights:
            weights = hashlib.sha256(Path(asked.weights).read_bytes()).hexdigest()
        how = ["probe", asked.step, asked.mode, weights, list(asked.maps), asked.is_in_step]
        how.append(self._shared)
        return self.recorder.plan(side, how=[*how, bool(asked.takes), bool(asked.leaves)])

    def _read(self, run: Run, side: Side) -> Probe:
        folder = self.recorder.state.run(run.id)
        attempt = folder.latest()
        try:
            content = attempt.probe.read_bytes() if attempt is not None else b""
        except OSError:
            content = b""
        found = unpack_probe(content)
        if found is None:
            result = attempt.read_result() if attempt is not None else None
            reason = str(result["reason"]) if result else "it left no result"
            raise BranchlabError(
                f"{side.name} could not be probed: {reason}",
                hint=f"try it as a run: branchlab run {side.name} --seeds 1",
            )
        place = self._pictures_of(run)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True, exist_ok=True)
        if folder.pictures.is_dir():
            shutil.copytree(folder.pictures, place, dirs_exist_ok=True)
        if side.number == 1:
            say_whose(
                place,
                branch=side.name,
                commit=self.branch(side.name).tip,
                step=self.request.step,
                probe=found,
            )
        return found

    def _pictures_of(self, run: Run) -> Path:
        return self.project.state.path / FOLDER / run.id

    def _lacks_pictures(self, run: Run, found: Probe) -> bool:
        place = self._pictures_of(run)
        return not all((place / file).exists() for file in _files_of(found).values())

    def _probed(self, run: Run, side: Side, found: Probe) -> Probed:
        place, files = self._pictures_of(run), _files_of(found)
        pictures = {name: place / file for name, file in files.items() if (place / file).exists()}
        commit = self.branch(side.name).tip if "," not in side.name else ""
        return Probed(
            branch=side.name,
            commit=commit,
            flags=side.flags,
            probe=found,
            findings=findings(found),
            pictures=pictures,
        )


def _files_of(found: Probe) -> dict[str, str]:
    """Return the files of a probe's pictures by what they show."""
    drawn = found.checks.get("pictures") or {}
    files = {"inputs": drawn["inputs"]} if "inputs" in drawn else {}
    return files | (drawn.get("maps") or {})


def _state_of_shared(project: Project) -> list[list[object]]:
    """Return what tells the data outside of git, as ``[run] share`` names it, from what it is after a change.

    Sizes and times of what lies in a shared folder, not of all below it, which may be millions of files.
    """
    found: list[list[object]] = []
    for name in sorted(project.config.run.share):
        place = project.repository.root / name
        inside = sorted(place.iterdir())[:_SHARED_MAX] if place.is_dir() else []
        for path in (place, *inside):
            if path.exists():
                state = path.stat()
                found.append([name, path.name, state.st_size, state.st_mtime_ns])
    return found
