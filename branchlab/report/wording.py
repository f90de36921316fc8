"""What a report says in words, the same on a page and in Markdown: the summary, and the cells of its tables. Plain text, unescaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean, stdev

from branchlab.analysis.results import BranchResults
from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import (
    BaselineState,
    Feature,
    FeatureVerdict,
    HypothesisState,
    JudgedHypothesis,
    Outcome,
    Parity,
    Registration,
    RunState,
    TrustState,
)
from branchlab.lab.baseline import BaselineFound
from branchlab.lab.evidence import parity_said
from branchlab.lab.journal import Entry, Happening
from branchlab.lab.judge import why_none
from branchlab.lab.report import Report
from branchlab.lab.status import BranchStatus
from branchlab.lab.words import (
    HYPOTHESIS_MARKS,
    OUTCOME_MARKS,
    REGISTRATION_WORDS,
    RELATION_WORDS,
    STATE_MARKS,
    age,
    drift_text,
    few,
    figure,
    hypotheses_text,
    merge_words,
    old_text,
)

OUTCOME_WORDS = {
    Outcome.BETTER: "better",
    Outcome.WORSE: "worse",
    Outcome.NO_DIFFERENCE: "no difference",
    Outcome.UNDECIDED: "undecided",
}
_NOTES = {Happening.NOTE, Happening.DROPPED, Happening.REOPENED}


def summary(found: Report) -> list[str]:
    """Return the report in a few sentences, what matters most first."""
    seen = found.status
    main = seen.overview.main
    goal = "higher" if seen.goal == "max" else "lower"
    number = len(found.branches)
    many = "experiment" if number == 1 else "experiments"
    against = f"{main.name} at {main.tip[:10]}"
    lines = [f"{number} {many} against {against}, by {seen.metric} ({goal} is better)."]
    for outcome in (Outcome.BETTER, Outcome.WORSE):
        ones = [b for b in found.branches if b.verdict and b.verdict.outcome is outcome]
        if ones:
            lines.append(f"{OUTCOME_WORDS[outcome].capitalize()}: {few(list(map(_judged, ones)))}.")
    lines += [line for line in (_others(found), _waiting(found), _hypotheses(found)) if line]
    lines.append(_runs(found))
    return [*lines, *filter(None, (baseline_line(seen.baseline), trust_line(found)))]


def _judged(one: BranchStatus) -> str:
    assert one.verdict is not None
    seeds = f"{one.verdict.seeds} seeds" + (", interim" if one.verdict.is_interim else "")
    change = f"{difference_text(one.verdict)} {interval_text(one.verdict)}".rstrip()
    return f"{name_of(one)} {change} ({seeds})"


def _others(found: Report) -> str:
    outcomes = [b.verdict.outcome if b.verdict else None for b in found.branches]
    counts = {
        "no difference": outcomes.count(Outcome.NO_DIFFERENCE),
        "undecided": outcomes.count(Outcome.UNDECIDED),
        "no result": outcomes.count(None),
    }
    said = [f"{number} {word}" for word, number in counts.items() if number]
    return f"The others: {', '.join(said)}." if said else ""


def _waiting(found: Report) -> str:
    ones = [b for b in found.branches if b.recommendation.action.is_waiting]
    said = [f"{name_of(b)} ({str(b.recommendation.action).replace('-', ' ')})" for b in ones]
    return f"Did well and waiting to be brought back: {few(said, 5)}." if said else ""


def _hypotheses(found: Report) -> str:
    states = [
        one.state
        for branch in found.branches
        for one in branch.hypotheses
        if one.registration is not Registration.WITHDRAWN
    ]
    said = [
        f"{states.count(state)} {state_words(state)}"
        for state in HypothesisState
        if state in states
    ]
    number = len(states)
    return f"{number} hypothes{'is' if number == 1 else 'es'}: {', '.join(said)}." if states else ""


def _runs(found: Report) -> str:
    done = sum(branch.num_done for branch in found.branches)
    failed = sum(branch.num_failed for branch in found.branches)
    said = f"Their verdicts rest on {done} run{'' if done == 1 else 's'} that are done"
    said += f"; {failed} failed" if failed else ""
    return f"{said}; {found.num_running} running now." if found.num_running else f"{said}."


def baseline_line(known: BaselineFound | None) -> str:
    """Return whether the reference is anchored to a published figure; empty where none is named."""
    if known is None or known.verdict.state is BaselineState.NONE:
        return ""
    if known.verdict.state is BaselineState.NOT_RUN:
        return "Baseline: not reproduced yet (branchlab baseline)."
    return f"Baseline {known.verdict.sentence}."


def trust_line(found: Report) -> str:
    """Return how far the sample can be trusted; empty where nothing has run on it."""
    trust = found.status.trust
    if trust is None:
        return ""
    advice = ": branchlab promote" if trust.state is TrustState.UNKNOWN else ""
    said = f"{trust.sentence}{advice}"
    return f"{said[:1].upper()}{said[1:]}."


def ends(found: Report) -> list[str]:
    """Return how main and the reference did, which every branch is held against."""
    seen = found.status
    said = [_result(seen.overview.main.name, seen.metric, seen.main_results)]
    if (reference := seen.overview.reference) is not None:
        said.append(_result(reference.name, seen.metric, seen.reference_results))
    return said


def _result(name: str, metric: str, results: BranchResults) -> str:
    values = list(results.seeds(metric).values())
    if not values:
        return f"{name}: no result yet"
    spread = f" ±{stdev(values):.4f}" if len(values) > 1 else ""
    old = "" if results.is_of_tip else ", of an older commit"
    seeds = f"{len(values)} seed{'' if len(values) == 1 else 's'}"
    return f"{name}: {metric} {fmean(values):.4f}{spread} ({seeds}, {results.scale} set{old})"


def trust_lines(found: Report) -> list[str]:
    """Return what all of it rests on: the reference and its published figure, the sample."""
    seen, said = found.status, []
    if (reference := seen.overview.reference) is not None:
        ahead = "?" if reference.main_ahead is None else reference.main_ahead
        main = seen.overview.main.name
        said.append(
            f"Reference {reference.name}, frozen at {reference.tip[:10]}; {main} is {ahead} ahead."
        )
    said.append(baseline_line(seen.baseline))
    if seen.baseline is not None:
        if (published := seen.baseline.published) is not None:
            source = f", {published.source}" if published.source else ""
            said.append(
                f"Published: {published.metric} {published.value:g} ± {published.tolerance:g}{source}."
            )
        said += [f"{note}." for note in seen.baseline.notes]
    return [one for one in (*said, trust_line(found)) if one]


def name_of(one: BranchStatus) -> str:
    """Return the branch's name."""
    return one.standing.branch.name


def overview_header(found: Report) -> list[str]:
    """Return the columns of the table of branches, those of ``status``."""
    return [
        *("Branch", "Main", "Ref", "Merge", found.status.metric, "Δ main", "95% interval"),
        *("Verdict", "Merge back", "Runs", "Age", "Note"),
    ]


def overview_row(one: BranchStatus, now: datetime) -> list[str]:
    """Return the cells of one branch."""
    verdict = one.verdict
    return [
        name_of(one),
        drift_text(one.standing.main),
        drift_text(one.standing.reference),
        merge_words(one.standing),
        figure(one.mean),
        difference_text(verdict) if verdict else "-",
        interval_text(verdict) if verdict else "",
        verdict_words(one),
        _merge_back(one),
        _runs_of(one),
        age(one.standing.branch.last_commit_at, now),
        ", ".join(filter(None, (hypotheses_text(one.hypotheses), *one.notes))),
    ]


def verdict_words(one: BranchStatus) -> str:
    """Return the verdict with its mark, and what its results no longer speak of; without one, that runs have failed."""
    if one.verdict is None:
        return f"{STATE_MARKS[RunState.FAILED]} failed" if one.num_failed else ""
    said = f"{OUTCOME_MARKS[one.verdict.outcome]} {OUTCOME_WORDS[one.verdict.outcome]}"
    interim = "interim" if one.verdict.is_interim else ""
    old = old_text(one.freshness, one.standing.results_behind)
    return " ".join(filter(None, (said, interim, old)))


def _merge_back(one: BranchStatus) -> str:
    if one.merge_back is None:
        return "?"
    return f"★ {one.merge_back}" if one.recommendation.action.is_waiting else str(one.merge_back)


def _runs_of(one: BranchStatus) -> str:
    counts = {"done": one.num_done, "running": one.num_running, "failed": one.num_failed}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "none"


def why(found: Report, one: BranchStatus) -> str:
    """Return the verdict's sentence, or why there is none."""
    compared = found.comparison
    judged = {j.subject.branch: j for j in compared.judged} if compared else {}
    known = judged.get(name_of(one))
    said = why_none(known, compared) if known is not None and compared is not None else ""
    if said or one.verdict is not None:
        return said or (one.verdict.sentence if one.verdict is not None else "")
    reasons = dict.fromkeys(record.reason for record in one.results.records if record.reason)
    if reasons:
        return few(list(reasons))
    return "no run that is done" if one.results.records else "no run"


def state_words(state: HypothesisState) -> str:
    """Return the state of a hypothesis or of a claim."""
    return str(state).replace("-", " ")


def hypothesis_rows(one: JudgedHypothesis) -> list[list[str]]:
    """Return a row a claim: what kind it is, the claim, its state, and the evidence."""
    found = []
    for kind, claims in (("expects", one.expect), ("guards", one.guard)):
        found += [
            [
                f"{kind} {claim.key}",
                claim.text,
                f"{HYPOTHESIS_MARKS[claim.state]} {state_words(claim.state)}",
                claim.sentence,
            ]
            for claim in claims
        ]
    return found


def hypothesis_line(one: JudgedHypothesis) -> str:
    """Return a hypothesis with its state and whether it was registered."""
    state = f"{HYPOTHESIS_MARKS[one.state]} {one.words or state_words(one.state)}"
    claim = f": {one.hypothesis.claim}" if one.hypothesis.claim else ""
    return f"{one.hypothesis.id} {state}, {REGISTRATION_WORDS[one.registration]}{claim}"


def features_that_count(features: Sequence[Feature]) -> list[Feature]:
    """Return features that change anything, the most demanding first."""
    kept = [one for one in features if one.verdict is not FeatureVerdict.INERT]
    return sorted(kept, key=lambda one: one.verdict.rank)


def feature_place(one: Feature) -> str:
    """Return where a feature stands."""
    return f"{one.path}:{one.line}" if one.line else one.path


def parity_lines(parity: Parity | None) -> list[str]:
    """Return what training has shown of a merge; empty where that was not asked."""
    if parity is None:
        return []
    return [f"off-parity: {parity_said(parity.off)}", f"on-parity: {parity_said(parity.on)}"]


def notes_of(entries: Sequence[Entry]) -> list[Entry]:
    """Return what people wrote down, the latest first."""
    return [entry for entry in reversed(entries) if entry.what in _NOTES]


def told(entry: Entry) -> str:
    """Return a line of the journal with what it says of other experiments."""
    relations = entry.note.relations if entry.note is not None else ()
    said = [f"{RELATION_WORDS[relation]} {other}" for relation, other in relations]
    return f"{entry.text} ({', '.join(said)})" if said else entry.text
