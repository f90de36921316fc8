"""Where every experiment branch stands: the join of graph, changes and forecast, in five git processes for any number.

Whether a branch has landed is a rule about values and lives in ``analysis``, a room beside this one; the caller hands it
in.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence, Set
from fnmatch import fnmatchcase
from typing import Protocol

from branchlab.domain import Branch, Drift, Landed, Overview, ReferenceState, Standing
from branchlab.errors import RepositoryError
from branchlab.git.changes import Changes, Content, first_place_after, read_changes
from branchlab.git.forecast import Forecast, conflicts, is_surely_clean
from branchlab.git.graph import Graph, read_graph
from branchlab.git.patches import squashed_tips
from branchlab.git.repository import Repository

_USUAL_MAINS = ("main", "master", "trunk", "develop")


class LandedRule(Protocol):
    """Decides by which road a branch is in main; ``analysis.landing.landed``."""

    def __call__(
        self,
        *,
        num_own: int | None,
        is_on_chain: bool,
        changed: Mapping[str, Content],
        main: Mapping[str, Sequence[tuple[int, Content]]],
        since: int,
        has_equal_patch: bool,
    ) -> Landed: ...


def overview(
    repository: Repository,
    *,
    main: str,
    reference: str | None,
    pinned: str | None,
    experiments: tuple[str, ...],
    landed: LandedRule,
) -> Overview:
    """Return where main, the reference and every experiment branch stand now.

    A ``reference`` that is asked for but is no branch gives an overview whose ``reference`` is None, and so is every
    standing's: the caller who gave a name tells by that.

    Args:
        repository: Where to look.
        main: The integration branch.
        reference: The frozen branch, or None where the project has none.
        pinned: The commit that the reference was frozen at.
        experiments: Glob patterns of branch names; ``*`` also matches ``/``. Main and reference never match.
        landed: The rule about landing.

    Raises:
        RepositoryError: Main does not exist, or there is no commit at all.
    """
    branches = {branch.name: branch for branch in repository.branches()}
    trunk = branches.get(main) or _missing_main(repository, main, branches)
    frozen = branches.get(reference) if reference else None
    chosen = [
        branch
        for name, branch in branches.items()
        if name not in {main, reference} and any(fnmatchcase(name, glob) for glob in experiments)
    ]
    if repository.is_shallow():
        return _shallow_overview(trunk, frozen, pinned, chosen)
    tips = list(dict.fromkeys(branch.tip for branch in chosen))
    graph = read_graph(repository, tips, main=trunk.tip, reference=frozen.tip if frozen else None)
    bases = {tip: graph.bases(tip) for tip in tips}
    drift = {tip: graph.drift(tip) for tip in tips}
    own = {tip: graph.own(tip) for tip in tips}
    pairs = [(tip, base) for tip in tips if own[tip] and (base := drift[tip].merge_base)]
    changes = read_changes(repository, graph, pairs)
    forecast = _forecast(repository, graph, changes, bases)
    squashed = squashed_tips(repository, graph, changes, dict(pairs))
    stacked = _base_branches(chosen, own)
    standings = []
    for branch in chosen:
        road = _landed(branch.tip, drift[branch.tip], graph, changes, squashed, landed)
        standings.append(
            Standing(
                branch=branch,
                main=drift[branch.tip],
                reference=graph.reference_drift(branch.tip),
                base_branch=stacked.get(branch.name, main),
                landed=road,
                landed_commits=_num_landed(road, branch.tip, graph, own),
                conflicts=forecast[branch.tip],
            )
        )
    return Overview(
        main=trunk,
        reference=_reference_state(frozen, pinned, graph.reference_drift(trunk.tip)),
        standings=tuple(standings),
    )


def _forecast(
    repository: Repository, graph: Graph, changes: Changes, bases: Mapping[str, Sequence[str]]
) -> dict[str, Forecast]:
    """Merge only where neither the graph nor the changed paths can tell."""
    found: dict[str, Forecast] = {}
    doubtful = []
    main_tip = graph.main_tip
    for tip, tip_bases in bases.items():
        if not tip_bases:
            found[tip] = None
        elif {tip, main_tip} & set(tip_bases) or _is_surely_clean(graph, changes, tip, tip_bases):
            found[tip] = ()
        else:
            doubtful.append(tip)
    return found | (conflicts(repository, main_tip, doubtful) if doubtful else {})


def _is_surely_clean(graph: Graph, changes: Changes, tip: str, bases: Sequence[str]) -> bool:
    # From several bases, or one beside main's chain, what main changed since is more than what its chain says.
    if len(bases) != 1 or not graph.is_on_chain(bases[0]):
        return False
    since = first_place_after(graph, bases[0])
    return is_surely_clean(changes.branches[tip], changes.main, since=since)


def _landed(
    tip: str, drift: Drift, graph: Graph, changes: Changes, squashed: Set[str], rule: LandedRule
) -> Landed:
    own = changes.branches.get(tip)
    return rule(
        num_own=drift.ahead,
        is_on_chain=graph.is_on_chain(tip),
        changed=own.after if own else {},
        main=changes.main.at,
        since=first_place_after(graph, drift.merge_base) if drift.merge_base else 0,
        has_equal_patch=tip in squashed,
    )


def _num_landed(road: Landed, tip: str, graph: Graph, own: Mapping[str, Sequence[str]]) -> int:
    """A merged branch has no commit left that main has not: count those that its merge brought."""
    if road is Landed.MERGED:
        return graph.num_merged(tip)
    return len(own[tip]) if road in {Landed.SQUASHED, Landed.REBASED} else 0


def _base_branches(chosen: Sequence[Branch], own: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the branch that each is stacked on: the one whose tip comes first among its own commits."""
    named = {branch.tip: branch.name for branch in reversed(chosen)}
    found = {}
    for branch in chosen:
        below = (commit for commit in own[branch.tip] if commit != branch.tip and commit in named)
        base = next(below, None)
        if base is not None:
            found[branch.name] = named[base]
    return found


def _shallow_overview(
    trunk: Branch, frozen: Branch | None, pinned: str | None, chosen: Sequence[Branch]
) -> Overview:
    """Say what is known without history: names and tips."""
    unknown = Drift(merge_base=None, ahead=None, behind=None)
    standings = tuple(
        Standing(
            branch=branch,
            main=unknown,
            reference=unknown if frozen else None,
            base_branch=trunk.name,
            landed=Landed.UNKNOWN,
            landed_commits=0,
            conflicts=None,
        )
        for branch in chosen
    )
    reference = _reference_state(frozen, pinned, unknown if frozen else None)
    return Overview(main=trunk, reference=reference, standings=standings)


def _reference_state(
    frozen: Branch | None, pinned: str | None, main: Drift | None
) -> ReferenceState | None:
    if frozen is None or main is None:
        return None
    return ReferenceState(
        name=frozen.name,
        tip=frozen.tip,
        pinned=pinned or None,
        main_ahead=main.ahead,
        main_behind=main.behind,
    )


def _missing_main(repository: Repository, main: str, branches: Mapping[str, Branch]) -> Branch:
    """Raise, naming the branch that is most likely meant."""
    repository.check_has_commits()
    close = difflib.get_close_matches(main, branches, n=1, cutoff=0.6)
    usual = [name for name in _USUAL_MAINS if name in branches]
    current = repository.current_branch()
    likely = [*close, *usual, *([current] if current in branches and current else []), *branches]
    if not likely:
        raise RepositoryError(
            f"no branch '{main}' in {repository.root}: HEAD is detached and there is no branch",
            hint=f"git branch {main}",
        )
    raise RepositoryError(
        f"no branch '{main}' in {repository.root}; the nearest is '{likely[0]}'",
        hint=f'set [branches] main = "{likely[0]}" in .branchlab.toml',
    )
