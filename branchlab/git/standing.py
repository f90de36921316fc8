"""Where every experiment branch stands: the join of graph, diffs, landings and forecast, in a few git processes for any number.

What a branch's content is to one commit of main never changes, so it is kept by both object ids: a second look walks the graph
and asks git nothing else. Whether a branch has landed is a rule about values and lives in ``analysis``, a room beside
this one; the caller hands it in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.domain import (
    Branch,
    CheckedOut,
    Counterpart,
    Drift,
    Landed,
    Landing,
    LandingEvidence,
    Overview,
    Standing,
)
from branchlab.git.changes import Diffs, main_changes, read_diffs
from branchlab.git.checkouts import checkouts
from branchlab.git.frozen import reference_state
from branchlab.git.graph import Graph, read_graph
from branchlab.git.landings import Landings, main_pairs, main_steps, pairs_of, since_of
from branchlab.git.least_merges import History, merges_of
from branchlab.git.memo import Forgetful, Memo, Tell, silently
from branchlab.git.refs import Refs, began_at
from branchlab.git.repository import Repository

LandingRule = Callable[[LandingEvidence], Landing]
"""Decides by which road a branch is in main; ``analysis.landing.landing``."""

_KIND = "content-1"
"""Raise the number when a rule changes."""

_CHUNK = 500
"""Branches that are looked at before what was found is kept, so that nobody waits twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is to be looked at.

    Attributes:
        pinned: The commit that the reference was frozen at; empty where none is recorded.
        measured: The commit that each branch's latest results come from, by the branch's name.
        declared_bases: The branch that each branch's experiment file names as its base.
    """

    refs: Refs
    main: Branch
    reference: Branch | None
    branches: Sequence[Branch]
    pinned: str = ""
    measured: Mapping[str, str] = field(default_factory=dict)
    declared_bases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Content:
    """What a branch's content is to main: landed or not, and what a merge would meet."""

    landing: Landing
    conflicts: tuple[str, ...] | None
    has_content: bool


def overview(
    repository: Repository,
    survey: Survey,
    *,
    rule: LandingRule,
    memo: Memo | None = None,
    tell: Tell = silently,
) -> Overview:
    """Return where main, the reference and every branch of a survey stand now."""
    memo = Forgetful() if memo is None else memo
    if repository.is_shallow():
        return _shallow_overview(repository, survey)
    graph = _graph(repository, survey)
    known = [branch for branch in survey.branches if branch.tip in graph]
    starts = _starts(repository, graph, known)
    contents = _contents(
        repository, graph, survey.main, starts, rule=rule, memo=memo, tell=tell, branches=known
    )
    places = checkouts(repository)
    stacks = _stacks(graph, survey, known)
    standings = [
        _standing(branch, survey, graph, contents[branch.tip], places, stacks)
        if branch.tip in graph
        else _unknown(branch, survey, places)
        for branch in survey.branches
    ]
    return Overview(
        main=survey.main,
        reference=reference_state(
            repository, graph, survey.reference, pinned=survey.pinned, main=survey.main, memo=memo
        ),
        standings=tuple(standings),
    )


def _graph(repository: Repository, survey: Survey) -> Graph:
    counterparts = [survey.refs.counterpart(branch) for branch in survey.branches]
    live = {branch.tip for branch in survey.branches if not branch.is_gone}
    gone = {branch.tip for branch in survey.branches} - live
    bases = {branch.base for branch in survey.branches if branch.base}
    pinned = {survey.pinned} if survey.pinned else set()
    return read_graph(
        repository,
        [*live, *(branch.tip for branch in counterparts if branch is not None)],
        main=survey.main.tip,
        reference=survey.reference.tip if survey.reference else None,
        also={*gone, *bases, *pinned, *survey.measured.values()},
    )


def _starts(repository: Repository, graph: Graph, branches: Sequence[Branch]) -> dict[str, str]:
    """Return, by tip, where those branches began that main was fast-forwarded to; a fresh branch looks just alike."""
    found = {}
    for branch in branches:
        if graph.own(branch.tip) or not graph.is_on_chain(branch.tip):
            continue
        start = branch.base if branch.remote else began_at(repository.common_dir, branch)
        if start in graph and start != branch.tip and not graph.between(start, branch.tip)[0]:
            found[branch.tip] = start
    return found


def _contents(  # noqa: PLR0913  one value of each kind that the answer depends on
    repository: Repository,
    graph: Graph,
    main: Branch,
    starts: Mapping[str, str],
    *,
    branches: Sequence[Branch],
    rule: LandingRule,
    memo: Memo,
    tell: Tell,
) -> dict[str, _Content]:
    """Return what each tip's content is to main, from what is kept or else from git."""
    keys = {b.tip: f"{main.tip} {b.tip} {starts.get(b.tip, '')}" for b in branches}
    kept = memo.get(_KIND, list(keys.values()))
    found = {
        tip: content
        for tip, key in keys.items()
        if key in kept and (content := _unpacked(kept[key])) is not None
    }
    missing = [tip for tip in keys if tip not in found]
    if not missing:
        return found
    start = min(since_of(graph, tip) for tip in missing)
    tell("reading what main changed", 0, len(missing))
    of_main = read_diffs(repository, main_pairs(graph, start))
    on_main = main_changes(graph, of_main, start=start)
    steps = main_steps(graph, of_main, start=start)
    for at in range(0, len(missing), _CHUNK):
        tell("looking at branches", at, len(missing))
        tips = missing[at : at + _CHUNK]
        own = read_diffs(repository, [p for tip in tips for p in pairs_of(graph, tip, starts)])
        seen = History(graph, {**of_main, **own}, on_main)
        merges = merges_of(repository, seen, tips, main_tree=main.tree)
        landings = Landings(seen, steps, starts=starts)
        evidence = landings.evidence(
            tips,
            repository,
            # Of a binary file in conflict the tree holds main's version.
            without_effect={
                tip: merge is not None and not merge.conflicts and merge.tree == main.tree
                for tip, merge in merges.items()
            },
            memo=memo,
        )
        new = {
            tip: _Content(
                landing=rule(evidence[tip]),
                conflicts=None if merge is None else merge.conflicts,
                has_content=_has_content(graph, own, tip),
            )
            for tip, merge in merges.items()
        }
        # What is unknown today may be known with a newer git, or once objects have been fetched.
        certain = {
            tip: one
            for tip, one in new.items()
            if one.conflicts is not None and landings.is_complete
        }
        memo.put(_KIND, {keys[tip]: _packed(one) for tip, one in certain.items()})
        found |= new
    return found


def _has_content(graph: Graph, diffs: Diffs, tip: str) -> bool:
    bases = graph.bases(tip)
    if not bases or not graph.own(tip):
        return bool(graph.own(tip))
    return bool(diffs[tip, max(bases, key=graph.number.__getitem__)])


def _packed(content: _Content) -> bytes:
    landing = content.landing
    fields = (landing.road, landing.num_commits, content.conflicts, content.has_content)
    return json.dumps(fields).encode()


def _unpacked(kept: bytes) -> _Content | None:
    """Return what was kept; None when it is damaged."""
    try:
        road, num_commits, conflicts, has_content = json.loads(kept)
        landing = Landing(road=Landed(road), num_commits=int(num_commits))
        return _Content(landing, tuple(conflicts), bool(has_content))
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class _Stack:
    """The branch that another grew from, and how many commits it has beyond it."""

    base: str
    num_own: int
    is_moved: bool = False


def _stacks(graph: Graph, survey: Survey, branches: Sequence[Branch]) -> dict[str, _Stack]:
    """Return what each branch is stacked on: the branch whose tip comes first among its own commits.

    Else the experiment that its file names as base, when that went on or was rewritten and has left commits behind here.
    """
    named = {branch.tip: branch.name for branch in reversed(branches)}
    by_name = {branch.name: branch for branch in branches}
    found: dict[str, _Stack] = {}
    for branch in branches:
        own = graph.own(branch.tip)
        below = next((c for c in own if c != branch.tip and c in named), None)
        declared = by_name.get(survey.declared_bases.get(branch.name, ""))
        if below is not None:
            found[branch.name] = _Stack(named[below], graph.between(branch.tip, below)[0])
        elif declared is not None and own and declared.tip != branch.tip:
            left = [c for c in own if c == branch.base or c in set(graph.own(declared.tip))]
            if left:
                beyond = graph.between(branch.tip, left[0])[0]
                found[branch.name] = _Stack(declared.name, beyond, is_moved=True)
    return found


def _standing(
    branch: Branch,
    survey: Survey,
    graph: Graph,
    content: _Content,
    places: Mapping[str, tuple[CheckedOut, ...]],
    stacks: Mapping[str, _Stack],
) -> Standing:
    drift = graph.drift(branch.tip)
    stack = stacks.get(branch.name)
    measured = survey.measured.get(branch.name, "")
    return Standing(
        branch=branch,
        main=drift,
        reference=graph.reference_drift(branch.tip),
        base_branch=stack.base if stack else survey.main.name,
        landed=content.landing.road,
        landed_commits=content.landing.num_commits,
        conflicts=content.conflicts,
        num_own=stack.num_own if stack else drift.ahead,
        is_base_moved=stack is not None and stack.is_moved,
        num_merge_bases=len(graph.bases(branch.tip)),
        merge_base_at=graph.committed_at(drift.merge_base) if drift.merge_base else None,
        has_content=content.has_content,
        counterpart=_counterpart(branch, survey.refs, graph),
        checked_out=() if branch.remote else places.get(branch.name, ()),
        results_behind=_results_behind(graph, branch.tip, measured),
    )


def _counterpart(branch: Branch, refs: Refs, graph: Graph | None) -> Counterpart | None:
    if not branch.upstream:
        return None
    other = refs.counterpart(branch)
    if other is None or graph is None:
        return Counterpart(name=branch.upstream, ahead=None, behind=None)
    ahead, behind = graph.between(branch.tip, other.tip)
    return Counterpart(name=branch.upstream, ahead=ahead, behind=behind)


def _results_behind(graph: Graph, tip: str, measured: str) -> int | None:
    """Return how many commits came after the measured one; None where it was rewritten since, or is gone."""
    if measured not in graph:
        return None
    ahead, behind = graph.between(tip, measured)
    return None if behind else ahead


def _unknown(
    branch: Branch, survey: Survey, places: Mapping[str, tuple[CheckedOut, ...]]
) -> Standing:
    """Say what is known without history: name and tip."""
    unknown = Drift(merge_base=None, ahead=None, behind=None)
    return Standing(
        branch=branch,
        main=unknown,
        reference=unknown if survey.reference else None,
        base_branch=survey.main.name,
        landed=Landed.UNKNOWN,
        landed_commits=0,
        conflicts=None,
        checked_out=() if branch.remote else places.get(branch.name, ()),
    )


def _shallow_overview(repository: Repository, survey: Survey) -> Overview:
    places = checkouts(repository)
    return Overview(
        main=survey.main,
        reference=reference_state(
            repository,
            None,
            survey.reference,
            pinned=survey.pinned,
            main=survey.main,
            memo=Forgetful(),
        ),
        standings=tuple(_unknown(branch, survey, places) for branch in survey.branches),
    )
