"""``promote``: what is better on the sample runs on the full set, and with it some of what is not.

The commits and seeds are those that the sample was judged by, so that both scales speak of the same thing. One in four of the
losers runs too: were it winners alone, the score of the sample would flatter itself, since nobody would ever see what it missed.
Which losers is decided by a hash of their content: at random, the same ones each time, and open to anybody's check.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from branchlab.analysis.results import BranchResults, Subject, content_of
from branchlab.analysis.trust import expected_on_full
from branchlab.domain import (
    Branch,
    Flags,
    Goal,
    Outcome,
    RunRecord,
    RunState,
    Scale,
    Trust,
    Verdict,
    placeholders_of,
)
from branchlab.errors import ConfigError
from branchlab.experiment import Experiment
from branchlab.lab.branches import (
    all_branches,
    deleted_branches,
    experiments_of,
    find_branches,
    is_experiment,
    main_branch,
)
from branchlab.lab.judge import Judged, judge_all, subjects_of
from branchlab.lab.own_script import taken_from_main
from branchlab.lab.project import Project
from branchlab.lab.run_request import Pinned, RunRequest, given_up
from branchlab.lab.trust import is_on, trust_of, trusted_sample

_ONE_IN = 4
_NO_LOSERS = "no loser runs on the full set: what the sample misses stays unknown, and its score speaks of winners alone"


class Choice(StrEnum):
    """Why a branch runs on the full set, or that it does not."""

    BETTER = "better"
    AT_RANDOM = "at-random"
    HALVED = "halved"
    NOT = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBothScales:
    """An experiment on the sample and on the full set.

    Attributes:
        sample: Its runs there, main's beside them, and the verdict.
        full: The verdict of the same content there; None while that has not run.
        expected: The full effect that the sample lets expect, and its deviation; None while the slope is not known.
        is_moved: Whether the branch has another content now than was judged.
    """

    branch: str
    choice: Choice
    sample: Judged
    full: Verdict | None
    expected: tuple[float, float] | None
    is_moved: bool

    @property
    def commit(self) -> str:
        """The commit that was judged on the sample; empty without runs."""
        records = self.sample.results.records
        return records[0].run.commit if records else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What is known of experiments on both scales, and what a promotion would run.

    Attributes:
        notes: What the user should know before, in sentences.
    """

    metric: str
    goal: Goal
    main: str
    branches: tuple[OnBothScales, ...]
    trust: Trust | None
    notes: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[OnBothScales, ...]:
        return tuple(one for one in self.branches if one.choice is not Choice.NOT)


def promotion(
    project: Project,
    names: Sequence[str] = (),
    *,
    with_losers: bool = True,
    halved: Sequence[str] | None = None,
) -> Promotion:
    """Return how experiments did on both scales, and which of them are to run on the full set.

    Args:
        project: Whose.
        names: Only winners among these.
        with_losers: Whether one in four of the losers is chosen as well.
        halved: These instead, which a halving has left over.

    Raises:
        RepositoryError: A branch is unknown.
        ConfigError: There is no sample to promote from.
    """
    _check_has_sample(project)
    branches = all_branches(project)
    main = main_branch(project, branches)
    records = project.index().runs()
    gone = deleted_branches(project, records, branches)
    named = {b.name for b in find_branches(project, names, [*branches, *gone])} if names else None
    experiments = [branch for branch in branches if is_experiment(project, branch)]
    family = list({b.name: b for b in [*experiments, *gone]}.values())
    on_sample = _judged_on_sample(project, records, family, main)
    trust, sample = trust_of(project, records, main), trusted_sample(project)
    on_full = _judged_on_full(project, records, list(on_sample.values()), main)
    living = {branch.name for branch in experiments}
    dropped = given_up(project, experiments)
    found = []
    for name, judged in on_sample.items():
        if halved is not None:
            is_left = name in halved and judged.results.records and judged.against.records
            choice = Choice.HALVED if is_left else Choice.NOT
        elif name not in living and not (named and name in named):
            choice = Choice.NOT  # deleted: nobody waits for it
        elif name in dropped and not named and _is_better(judged):
            choice = Choice.NOT
        else:
            choice = _choice(
                judged, is_named=named is None or name in named, with_losers=with_losers
            )
        results = judged.results
        # The slope is that of the config's sample: what ran on another one, a rung of a halving, is not told by it.
        is_trusted = bool(results.records) and is_on(sample, results.records[0].run)
        effect = judged.verdict.difference if judged.verdict and is_trusted else None
        found.append(
            OnBothScales(
                branch=name,
                choice=choice,
                sample=judged,
                full=on_full.get(name),
                expected=expected_on_full(trust, effect),
                is_moved=bool(results.records) and not results.is_of_tip,
            )
        )
    is_wanted = any(one.choice in {Choice.BETTER, Choice.HALVED} for one in found)
    if not is_wanted:  # losers run beside winners, not alone
        found = [replace(one, choice=Choice.NOT) for one in found]
    shown = [
        one for one in found if one.sample.verdict is not None or (named and one.branch in named)
    ]
    return Promotion(
        metric=project.config.run.metric,
        goal=project.config.run.goal,
        main=main.name,
        branches=tuple(shown),
        trust=trust,
        notes=tuple(_notes(found, main, named, with_losers=with_losers or halved is not None)),
    )


def promotion_request(found: Promotion, asked: RunRequest) -> RunRequest:
    """Return the runs of a promotion: main and the chosen branches, at the commits and with the seeds of the sample."""
    mains: dict[str, Pinned] = {}
    pinned, seeds = [], set()
    for one in found.chosen:
        results, against = one.sample.results, one.sample.against
        base = _pinned(found.main, against, {})
        mains.setdefault(content_of(against.records[0].run), base)
        pinned.append(_pinned(one.branch, results, one.sample.subject.flags))
        seeds |= _done(results) & _done(against)
    return replace(
        asked,
        is_full=True,
        exactly=(*mains.values(), *pinned),
        exact_seeds=() if asked.seeds is not None else tuple(sorted(seeds)),
    )


def is_drawn(content: str, flags: Flags) -> bool:
    """Whether a loser of this content and these flags is one of the one in four that run on the full set."""
    named = json.dumps([content, dict(flags)], sort_keys=True)
    digest = hashlib.sha256(named.encode()).digest()
    return int.from_bytes(digest[:8], "big") % _ONE_IN == 0


def _choice(judged: Judged, *, is_named: bool, with_losers: bool) -> Choice:
    verdict = judged.verdict
    if verdict is None or verdict.interval is None or not judged.against.records:
        return Choice.NOT
    if _is_better(judged):
        return Choice.BETTER if is_named else Choice.NOT
    if verdict.interval == (0.0, 0.0):  # main once more, to the bit: it will be that everywhere
        return Choice.NOT
    run = judged.results.records[0].run
    is_chosen = with_losers and is_drawn(content_of(run), run.flags)
    return Choice.AT_RANDOM if is_chosen else Choice.NOT


def _is_better(judged: Judged) -> bool:
    return judged.verdict is not None and judged.verdict.outcome is Outcome.BETTER


def _check_has_sample(project: Project) -> None:
    trainer, sample = project.config.trainer, project.config.sample
    if trainer.command and "sample" not in placeholders_of(trainer.command):
        raise ConfigError(
            "the command of [trainer] takes no {sample}: every run is on the full set already",
            hint='give it one, for instance: "--subset", "{sample}"',
        )
    if sample.fraction == 1:
        raise ConfigError(
            "[sample] fraction is 1: what ran on the sample has seen the whole training set",
            hint="set a smaller fraction, or judge by: branchlab run --full",
        )


def _judged_on_sample(
    project: Project, records: Sequence[RunRecord], family: Sequence[Branch], main: Branch
) -> Mapping[str, Judged]:
    on_sample = [record for record in records if record.run.scale is Scale.SAMPLE]
    subjects = subjects_of(project, family, experiments_of(project, family), records)
    (on_main,) = subjects_of(project, [main], {main.name: Experiment()}, [])
    return judge_all(
        on_sample,
        subjects,
        on_main,
        metric=project.config.run.metric,
        project=project,
        taken=taken_from_main(project, main),
    )


def _judged_on_full(
    project: Project, records: Sequence[RunRecord], on_sample: Sequence[Judged], main: Branch
) -> dict[str, Verdict]:
    """Judge on the full set the very contents that were judged on the sample, those beside one content of main together."""
    on_full = [record for record in records if record.run.scale is Scale.FULL]
    by_main: dict[str, list[Subject]] = {}
    for one in on_sample:
        if one.results.records and one.against.records:
            run, base = one.results.records[0].run, one.against.records[0].run
            subject = replace(one.subject, tree=run.tree, content=content_of(run))
            by_main.setdefault(content_of(base), []).append(subject)
    found: dict[str, Verdict] = {}
    for content, subjects in by_main.items():
        judged = judge_all(
            on_full,
            subjects,
            Subject(branch=main.name, tree=content, content=content),
            metric=project.config.run.metric,
            project=project,
            taken=taken_from_main(project, main),
        )
        found |= {
            name: one.verdict
            for name, one in judged.items()
            if one.verdict is not None and one.results.is_of_tip and one.against.is_of_tip
        }
    return found


def _pinned(name: str, results: BranchResults, flags: Flags) -> Pinned:
    """Return the content that results speak of, to be run again."""
    run = results.records[0].run
    moment = run.planned_at
    assert moment is not None
    branch = Branch(name=name, tip=run.commit, tree=run.tree, last_commit_at=moment)
    return Pinned(branch=branch, flags=flags)


def _done(results: BranchResults) -> set[int]:
    return {r.run.seed for r in results.records if r.state is RunState.DONE}


def _notes(
    found: Sequence[OnBothScales], main: Branch, named: set[str] | None, *, with_losers: bool
) -> list[str]:
    notes = []
    chosen = [one for one in found if one.choice is not Choice.NOT]
    for one in found:
        if named and one.branch in named and one.choice is Choice.NOT:
            said = one.sample.verdict.outcome if one.sample.verdict else "without a result"
            notes.append(
                f"{one.branch} is {said} on the sample and left out; to run it all the same: branchlab run {one.branch} --full"
            )
    notes += [
        f"{one.branch} has moved since: {one.commit[:10]} is run, which the sample has judged, not its tip"
        for one in chosen
        if one.is_moved
    ]
    old = {
        one.sample.against.records[0].run.commit
        for one in chosen
        if not one.sample.against.is_of_tip
    }
    notes += [
        f"{main.name} has moved since: {commit[:10]} is run beside them, which they were judged against"
        for commit in sorted(old)
    ]
    short = {one.branch for one in chosen if _is_shortened(one.sample.results)}
    if short:
        notes.append(
            f"{', '.join(sorted(short))}: judged on shortened runs; on the full set they train as long as their recipe says"
        )
    interim = [one.branch for one in chosen if one.sample.verdict and one.sample.verdict.is_interim]
    if interim:
        notes.append(
            f"{', '.join(sorted(interim))}: judged before all declared seeds are done: what is better so far may not stay so"
        )
    drawn = [one.branch for one in chosen if one.choice is Choice.AT_RANDOM]
    if drawn:
        notes.append(
            f"{', '.join(drawn)}: picked at random from what is not better, one in {_ONE_IN}, "
            "so that the score does not flatter itself; without: --no-losers"
        )
    if chosen and not with_losers:
        notes.append(_NO_LOSERS)
    return notes


def _is_shortened(results: BranchResults) -> bool:
    run = results.records[0].run
    return run.epochs is not None or run.budget_s is not None
