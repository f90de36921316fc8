"""Which seeds of a comparison were declared before they ran, which of them are still to come, and how often one has looked.

Seeds come in declared batches: a plan is recorded before its first run starts. Until all of its runs are done, what their
figures say is interim: whoever stops when they please would see differences that are none. Seeds that are added later are
another declaration, and every declaration is another look at the same question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from branchlab.analysis.noise import SEEDS_MIN
from branchlab.analysis.results import BranchResults
from branchlab.domain import RunRecord, RunState

NOT_NEEDED = "not needed"
"""How the reason of a run begins that was left out because it could change nothing; see ``analysis/curtail``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What was declared of a comparison.

    Attributes:
        num_seeds: Pairs of runs that were declared, without those that were found not to be needed.
        num_open: Of those, the ones that are not done.
        num_looks: Declarations, one after another, that something could have been claimed after.
    """

    num_seeds: int = 0
    num_open: int = 0
    num_looks: int = 1

    @property
    def is_interim(self) -> bool:
        return self.num_open > 0


def declared(results: BranchResults, against: BranchResults) -> Declared:
    """Return what was declared of a branch's pairs with another: each seed of the branch that the other has a run of, too.

    A pair belongs to the later of the two batches that planned its runs. Branches that are measured against runs of main
    that were known already have one look, as has a batch of which some runs failed and were run again.
    """
    theirs = {record.run.seed: record for record in against.records}
    pairs = [(r, theirs[r.run.seed]) for r in results.records if r.run.seed in theirs]
    wanted = [pair for pair in pairs if not any(map(_is_left_out, pair))]
    return Declared(
        num_seeds=len(wanted),
        num_open=sum(any(r.state is not RunState.DONE for r in pair) for pair in wanted),
        num_looks=_num_looks(max(one.run.batch, other.run.batch) for one, other in wanted),
    )


def _num_looks(batches: Iterable[str]) -> int:
    """Return after how many of the batches there were enough pairs to claim anything; a first try with one seed can't."""
    pairs = Counter(batches)
    so_far = accumulate(pairs[batch] for batch in sorted(pairs))
    return max(1, sum(num >= SEEDS_MIN for num in so_far))


def _is_left_out(record: RunRecord) -> bool:
    return record.state is RunState.CANCELLED and record.reason.startswith(NOT_NEEDED)
