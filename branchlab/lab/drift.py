"""``drift``: whether main with every flag at its default still trains like the frozen reference, and which commit ended that.

The search halves main's first-parent history, two commits at a time; recordings are kept by tree, so that a question that was
answered once, here or by ``parity``, costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from branchlab.analysis.parity.compare import first_difference
from branchlab.domain import ParityCheck, ParityStatus, Recording
from branchlab.errors import RepositoryError
from branchlab.git.memo import Tell, silently
from branchlab.git.sources import FirstParent, first_parents
from branchlab.lab.branches import reference_branch
from branchlab.lab.parity import ParityProof, ParityRequest
from branchlab.lab.project import Project
from branchlab.lab.recordings import Side, commit_side
from branchlab.schedule.executor import Executor


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """The first commit of main that trains otherwise than the one before.

    Attributes:
        check: It against its parent on main.
        untold: Commits before it that do not train, and so may have done it as well.
    """

    commit: str
    subject: str
    at: datetime
    check: ParityCheck
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What became of the reference's training on main.

    Attributes:
        num_commits: On main since the reference. ``num_trained``: of them were looked at.
    """

    reference: str
    main: str
    main_name: str
    check: ParityCheck
    num_commits: int
    num_trained: int = 0
    culprit: Culprit | None = None


def drift(
    project: Project,
    request: ParityRequest,
    *,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> DriftReport:
    """Hold main against the frozen reference by training both, and find the commit that changed it.

    Raises:
        RepositoryError: There is no reference.
        ConfigError: There is no task.
        KeyboardInterrupt: The user interrupted; what was trained is kept.
    """
    frozen = reference_branch(project, project.repository.refs())
    if frozen is None:
        name = project.config.branches.reference
        raise RepositoryError(
            f"there is no reference '{name}': drift holds main against it",
            hint="freeze one: branchlab init --repin --reason WHY, or name it in [branches] reference",
        )
    with ParityProof(project, request, executor=executor, tell=tell) as proof:
        history = first_parents(project.repository.root, frozen.tip, proof.main.tip)
        reference = commit_side(project, frozen.name, frozen.tip)
        search = _Search(project, proof, reference, history)
        check = search.check(len(history)) if history else _with_main(proof, reference)
        is_lost = bool(history) and check.status is ParityStatus.DIFFERS
        culprit = search.culprit() if is_lost else None
        return DriftReport(
            reference=frozen.tip,
            main=proof.main.tip,
            main_name=proof.main.name,
            check=check,
            num_commits=len(history),
            num_trained=len(search.known),
            culprit=culprit,
        )


def _with_main(proof: ParityProof, reference: Side) -> ParityCheck:
    """Return main against a reference that has all that main has: they are one commit, or main lies behind it."""
    main = proof.of_main()
    return proof.compared(reference, main, proof.record([reference, main]))


class _Search:
    """Halves the history; place 0 is the reference, place n the n-th commit of main after it."""

    def __init__(
        self,
        project: Project,
        proof: ParityProof,
        reference: Side,
        history: Sequence[FirstParent],
    ) -> None:
        self._project = project
        self._proof = proof
        self._reference = reference
        self._history = history
        self.known: dict[int, ParityCheck] = {}
        self._failed: set[int] = set()

    def check(self, place: int) -> ParityCheck:
        """Return a commit of main against the reference."""
        self._train([place])
        return self.known[place]

    def culprit(self) -> Culprit:
        """Return the first commit that differs from the reference while the one before does not."""
        same, differs = 0, len(self._history)
        while differs - same > 1:
            between = [p for p in range(same + 1, differs) if p not in self._failed]
            if not between:
                break
            thirds = {between[len(between) // 3], between[2 * len(between) // 3]}
            self._train(sorted(thirds))
            for place in sorted(thirds - self._failed):
                if self.known[place].status is ParityStatus.DIFFERS:
                    differs = min(differs, place)
                elif place < differs:
                    same = max(same, place)
        found = self._history[differs - 1]
        before = self._side(same)
        side = self._side(differs)
        known = self._proof.record([before, side])
        return Culprit(
            commit=found.commit,
            subject=found.subject,
            at=found.at,
            check=self._proof.compared(before, side, known),
            untold=tuple(self._history[p - 1].commit for p in range(same + 1, differs)),
        )

    def _train(self, places: Sequence[int]) -> None:
        new = [place for place in places if place not in self.known]
        sides = {place: self._side(place) for place in new}
        known = self._proof.record([self._reference, *sides.values()])
        for place, side in sides.items():
            is_last = place == len(self._history)
            failed = known[side.name, 0].failure and not known[self._reference.name, 0].failure
            if failed and not is_last:
                self._failed.add(place)
            self.known[place] = (
                self._proof.compared(self._reference, side, known)
                if is_last or not self._differs_at_once(side, known)
                else ParityCheck(status=ParityStatus.DIFFERS)
            )

    def _differs_at_once(self, side: Side, known: Mapping[tuple[str, int], Recording]) -> bool:
        """Whether bits differ on a machine that gives main's last commit a verdict by bits: no need to say where."""
        last = self.known.get(len(self._history))
        if last is None or last.tolerance is not None:
            return False
        seeds = range(self._proof.request.seeds)
        return any(
            first_difference(known[self._reference.name, s], known[side.name, s]) for s in seeds
        )

    def _side(self, place: int) -> Side:
        if place == 0:
            return self._reference
        commit = self._history[place - 1].commit
        return replace(commit_side(self._project, f"main at {commit[:10]}", commit), flags={})
