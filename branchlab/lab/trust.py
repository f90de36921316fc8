"""How far the sample can be trusted, from the recorded runs alone: nothing is written down that could be forgotten or wrong.

An experiment counts when one content of it (with its flags) and one content of main ran with two common seeds on the
sample of the config and on the full set. Of several contents of one branch the latest counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from branchlab.analysis.results import ProtocolKey, content_of, protocol_of, when_planned
from branchlab.analysis.trust import DoublyRun, Population, trust_in_sample, unknown_trust
from branchlab.analysis.verdict import Question, Seeds, judge
from branchlab.domain import (
    Branch,
    Goal,
    Outcome,
    Run,
    RunRecord,
    RunState,
    Sample,
    Scale,
    Signs,
    Trust,
    TrustState,
)
from branchlab.domain.trust import DOUBLY_RUN_MIN
from branchlab.errors import BranchlabError
from branchlab.lab.branches import contents_of, is_experiment_name
from branchlab.lab.project import Project
from branchlab.lab.samples import manifest_of

_KIND = "trust-1"
"""Raise the number when the method changes."""
_SEEDS_MIN = 2
_Content = tuple[str, tuple[tuple[str, object], ...]]
_MAIN_HAS: tuple[tuple[str, object], ...] = ()


@dataclass(slots=True, kw_only=True)
class _Experiment:
    """The runs of one content: by protocol, the metric by seed."""

    branch: str
    planned: float = 0.0
    by_protocol: dict[ProtocolKey, dict[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pairing:
    """Which runs an experiment is judged by: its content, main's content, and a protocol on each scale."""

    content: _Content
    main: _Content
    sample: ProtocolKey
    full: ProtocolKey
    num_seeds: int


def trust_of(project: Project, records: Sequence[RunRecord], main: Branch) -> Trust | None:
    """Return the score of the configured sample; None where nothing has run on it.

    SciPy is loaded for a score that is not kept from before, and only for one that there is.
    """
    sample = trusted_sample(project)
    on_sample = [r for r in records if r.state is RunState.DONE and is_on(sample, r.run)]
    if not on_sample:
        return None
    on_full = [r for r in records if r.state is RunState.DONE and r.run.scale is Scale.FULL]
    if not on_full:
        return unknown_trust(0)
    mains = {content_of(r.run) for r in records if r.run.branch == main.name}
    mains |= {main.tree, contents_of(project, [main])[main.tree]}
    # Most of a large lab has never been on the full set, and need not be looked at while too few have.
    known = mains | {content_of(r.run) for r in on_full}
    looked_at = [*(r for r in on_sample if content_of(r.run) in known), *on_full]
    scales = {protocol_of(r.run): r.run for r in looked_at}
    pairings = _pairings(project, _contents(project, looked_at, mains), mains, scales)
    if len(pairings) < DOUBLY_RUN_MIN:
        return unknown_trust(len(pairings))
    contents = _contents(project, [*on_sample, *on_full], mains)
    figures = [[contents[p.content].branch, *_seeds_of(contents, p)] for p in pairings]
    others = [
        [one.branch, protocol_seeds]
        for one in contents.values()
        for protocol_seeds in one.by_protocol.values()
    ]
    asked = json.dumps(
        [figures, others, project.config.run.min_effect, str(project.config.run.goal)]
    )
    key = hashlib.sha256(asked.encode()).hexdigest()
    memo = project.memo()
    kept = memo.get(_KIND, [key]).get(key)
    if kept is not None and (before := _kept(kept)) is not None:
        return before
    found = _scored(project, contents, pairings, mains)
    memo.put(_KIND, {key: json.dumps(asdict(found)).encode()})
    return found


def trusted_sample(project: Project) -> Sample:
    """Return the sample that the config names now; another one has a trust of its own."""
    sample = project.config.sample.sample()
    manifest = None
    if sample.is_own:
        with contextlib.suppress(BranchlabError):  # a damaged one is said where it is drawn
            manifest = manifest_of(project, sample)
    return replace(sample, manifest=manifest.drawn.digest) if manifest is not None else sample


def is_on(sample: Sample, run: Run) -> bool:
    """Whether a run saw this very sample."""
    return run.scale is Scale.SAMPLE and run.sample == sample


def _contents(
    project: Project, records: Sequence[RunRecord], mains: set[str]
) -> dict[_Content, _Experiment]:
    """Return what ran, by content, that which was planned last at the end; the reference's is left out where main never was that."""
    metric, frozen = project.config.run.metric, project.config.branches.reference
    found: dict[_Content, _Experiment] = {}
    for record in sorted(records, key=when_planned):
        run, value = record.run, record.metrics.get(metric)
        content = content_of(run), tuple(sorted(run.flags.items()))
        # A reference that lives only on a remote runs under its name there.
        is_frozen = bool(frozen) and f"/{run.branch}".endswith(f"/{frozen}")
        is_frozen = is_frozen and not is_experiment_name(project, run.branch)
        is_left_out = is_frozen and not _is_main(content, mains)
        if value is None or not math.isfinite(value) or is_left_out:
            continue
        one = found.pop(content, None) or _Experiment(branch=run.branch)
        one.planned = when_planned(record)
        one.by_protocol.setdefault(protocol_of(run), {})[run.seed] = value
        found[content] = one
    return found


def _pairings(
    project: Project,
    contents: Mapping[_Content, _Experiment],
    mains: set[str],
    runs: Mapping[ProtocolKey, Run],
) -> list[_Pairing]:
    """Return how each experiment that ran on both scales is judged; the one that came last at the end."""
    bases = {c: one for c, one in contents.items() if _is_main(c, mains)}
    found: dict[str, _Pairing] = {}
    for content, one in contents.items():
        if content in bases or one.branch == project.config.branches.main:
            continue
        ways = list(_ways(content, one, bases, runs))
        if ways:
            found.pop(one.branch, None)
            found[one.branch] = max(ways, key=lambda way: way.num_seeds)
    return list(found.values())


def _ways(
    content: _Content,
    one: _Experiment,
    bases: Mapping[_Content, _Experiment],
    runs: Mapping[ProtocolKey, Run],
) -> Iterator[_Pairing]:
    for sample, full in _both_scales(one, runs):
        for main, base in bases.items():
            differences = [_differences(one, base, protocol) for protocol in (sample, full)]
            num_seeds = min(map(len, differences))
            # Main once more under another name says nothing of the sample.
            if num_seeds >= _SEEDS_MIN and any(differences[0].values()):
                yield _Pairing(
                    content=content, main=main, sample=sample, full=full, num_seeds=num_seeds
                )


def _both_scales(
    one: _Experiment, runs: Mapping[ProtocolKey, Run]
) -> Iterator[tuple[ProtocolKey, ProtocolKey]]:
    """Yield pairs of protocols, one on each scale, of one task or script with the same arguments."""
    on_sample = [p for p in one.by_protocol if runs[p].scale is Scale.SAMPLE]
    on_full = [p for p in one.by_protocol if runs[p].scale is Scale.FULL]
    for sample in on_sample:
        for full in on_full:
            a, b = runs[sample], runs[full]
            is_same_script = _script(a) == _script(b)
            if a.task == b.task and is_same_script and dict(a.arguments) == dict(b.arguments):
                yield sample, full


def _scored(
    project: Project,
    contents: Mapping[_Content, _Experiment],
    pairings: Sequence[_Pairing],
    mains: set[str],
) -> Trust:
    sign = 1 if project.config.run.goal is Goal.MAX else -1
    judged: dict[tuple[_Content, ProtocolKey], dict[_Content, Outcome]] = {}
    experiments = []
    for pairing in pairings:
        outcomes = []
        for protocol, scale in ((pairing.sample, Scale.SAMPLE), (pairing.full, Scale.FULL)):
            group = pairing.main, protocol
            if group not in judged:
                judged[group] = _outcomes(project, contents, group, scale, mains)
            outcomes.append(judged[group].get(pairing.content, Outcome.NO_DIFFERENCE))
        sample, full = _seeds_of(contents, pairing)
        experiments.append(
            DoublyRun(
                name=contents[pairing.content].branch,
                sample={seed: sign * value for seed, value in sample.items()},
                full={seed: sign * value for seed, value in full.items()},
                sample_outcome=outcomes[0],
                full_outcome=outcomes[1],
            )
        )
    latest = {
        contents[content].branch: outcome
        for (_, protocol), group in judged.items()
        if any(protocol == pairing.sample for pairing in pairings)
        for content, outcome in group.items()
    }
    num_better = sum(outcome is Outcome.BETTER for outcome in latest.values())
    population = Population(num_better=num_better, num_others=len(latest) - num_better)
    return trust_in_sample(experiments, population, min_effect=project.config.run.min_effect)


def _outcomes(
    project: Project,
    contents: Mapping[_Content, _Experiment],
    group: tuple[_Content, ProtocolKey],
    scale: Scale,
    mains: set[str],
) -> dict[_Content, Outcome]:
    """Judge all experiments that ran by one protocol against one content of main."""
    main, protocol = group
    base = contents[main].by_protocol[protocol]
    others: dict[_Content, Seeds] = {
        content: one.by_protocol[protocol]
        for content, one in contents.items()
        if not _is_main(content, mains)
        and any(_differences(one, contents[main], protocol).values())
    }
    names = {str(number): content for number, content in enumerate(others)}
    question = Question(
        goal=project.config.run.goal,
        min_effect=project.config.run.min_effect,
        scale=scale,
        against=project.config.branches.main,
    )
    verdicts = judge({n: others[content] for n, content in names.items()}, base, question)
    return {names[number]: verdict.outcome for number, verdict in verdicts.items()}


def _seeds_of(
    contents: Mapping[_Content, _Experiment], pairing: _Pairing
) -> tuple[dict[int, float], dict[int, float]]:
    """Return by how much each common seed differs from main, on the sample and on the full set."""
    one, main = contents[pairing.content], contents[pairing.main]
    return _differences(one, main, pairing.sample), _differences(one, main, pairing.full)


def _differences(one: _Experiment, main: _Experiment, protocol: ProtocolKey) -> dict[int, float]:
    base = main.by_protocol.get(protocol, {})
    values = one.by_protocol.get(protocol, {})
    return {seed: value - base[seed] for seed, value in sorted(values.items()) if seed in base}


def _is_main(content: _Content, mains: set[str]) -> bool:
    return content[0] in mains and content[1] == _MAIN_HAS


def _script(run: Run) -> object:
    return run.script.protocol if run.script is not None else None


def _kept(content: bytes) -> Trust | None:
    """Return what was kept; None when it is damaged, or of another version."""
    try:
        found: dict[str, Any] = json.loads(content)
        signs = found["signs"]
        if signs is not None:
            signs["interval"] = signs["interval"] and tuple(signs["interval"])
        return Trust(
            **{
                **found,
                "state": TrustState(found["state"]),
                "signs": signs and Signs(**signs),
            }
        )
    except (ValueError, TypeError, KeyError):
        return None
