"""A hypothesis put together from its claims: state, evidence, and what to make of it in words.

It is refuted when one expectation is, supported when all are. Guards are judged apart: what a guard says never changes the
state, for why something works and what it costs are two questions. Expectations share one error rate (Holm), whether they
are supported or refuted: with five of them one is refuted by chance alone five times as often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from branchlab.analysis.claims.claim import Amount, Claim, Comparison, Point, Trend
from branchlab.analysis.claims.grammar import parse_claim
from branchlab.analysis.claims.judging import Measured, Reading, Side, noise_words, read
from branchlab.analysis.verdict import CONFIDENCE, holm, seeds_needed
from branchlab.domain import (
    Hypothesis,
    HypothesisState,
    JudgedClaim,
    JudgedHypothesis,
    Outcome,
    Registration,
)
from branchlab.errors import ClaimError

_LARGE, _SMALL = 1000.0, 0.0001
_STATES = HypothesisState
_MANY = 1000
"""Beyond so many ``seeds_needed`` gives none."""


def judge_hypothesis(
    hypothesis: Hypothesis,
    measured: Mapping[str, Measured],
    *,
    registration: Registration,
    original: Hypothesis | None = None,
) -> JudgedHypothesis:
    """Return a hypothesis with its evidence.

    Args:
        hypothesis: Its claims are read here; one that cannot be read is a finding of its own.
        measured: What runs measured for a claim, by its text; a claim that cannot be read needs none.
        registration: Whether it stood before the first run.
        original: How it stood then, where that differs.
    """
    expect = _findings(hypothesis.expect, measured, hypothesis.min_seeds, is_family=True)
    guard = _findings(hypothesis.guard, measured, hypothesis.min_seeds, is_family=False)
    state = _state(hypothesis, expect, guard)
    needed = [one.seeds_needed for one in expect if one.state is _STATES.UNDECIDED]
    return JudgedHypothesis(
        hypothesis=hypothesis,
        state=state,
        registration=registration,
        expect=expect,
        guard=guard,
        original=original,
        seeds_needed=max((n for n in needed if n), default=None) if all(needed) else None,
        words=_words(hypothesis, state, expect, guard),
    )


def remark(
    judged: Iterable[JudgedHypothesis], outcome: Outcome | None, *, metric: str, main: str
) -> str:
    """Return what hypotheses and the verdict on the project's metric say of each other where they disagree."""
    said = []
    for one in judged:
        name = one.hypothesis.id
        if one.state is _STATES.REFUTED and outcome is Outcome.BETTER:
            is_about_it = any(
                one.state is _STATES.REFUTED and _is_about(one.text, metric) for one in one.expect
            )
            why = "by another amount than expected" if is_about_it else "for another reason"
            said.append(
                f"{name} is refuted and the branch is better than {main} all the same: the idea worked {why}"
            )
        elif (
            one.state is _STATES.SUPPORTED and outcome is not Outcome.BETTER and outcome is not None
        ):
            words = {
                Outcome.WORSE: f"worse than {main} all the same",
                Outcome.NO_DIFFERENCE: f"no better than {main}",
            }.get(outcome, f"not shown to be better than {main}")
            said.append(f"{name} is supported, and the branch is {words}")
    return "; ".join(said)


def same_hypothesis(one: Hypothesis, other: Hypothesis) -> bool:
    """Whether two hypotheses claim the same, however they are written."""
    return one == other or (
        (one.id, _plain(one.claim), one.min_seeds, one.damage)
        == (other.id, _plain(other.claim), other.min_seeds, other.damage)
        and _canonical(one.expect) == _canonical(other.expect)
        and _canonical(one.guard) == _canonical(other.guard)
    )


def _findings(
    claims: Mapping[str, str], measured: Mapping[str, Measured], min_seeds: int, *, is_family: bool
) -> tuple[JudgedClaim, ...]:
    read_claims: dict[str, Claim | ClaimError] = {key: _read(text) for key, text in claims.items()}
    readings = {
        key: read(claim, measured[claims[key]])
        for key, claim in read_claims.items()
        if not isinstance(claim, ClaimError) and not measured[claims[key]].missing
    }
    p_values = dict.fromkeys(claims, 1.0)  # what is open counts: it will be judged one day
    p_values |= {
        key: reading.p
        for key, reading in readings.items()
        if reading is not None and reading.num_seeds >= min_seeds
    }
    adjusted = holm(p_values) if is_family else p_values
    num = len(claims) if is_family else 1
    found = []
    for key, text in claims.items():
        claim = read_claims[key]
        if isinstance(claim, ClaimError):
            sentence = f"column {claim.column}: {claim.reason}"
            found.append(
                JudgedClaim(
                    key=key,
                    text=text,
                    state=_STATES.DAMAGED,
                    sentence=sentence,
                    column=claim.column,
                )
            )
            continue
        found.append(
            _finding(
                (key, text, claim),
                measured[text],
                readings.get(key),
                min_seeds=min_seeds,
                p=adjusted[key],
                num=num,
            )
        )
    return tuple(found)


def _finding(
    what: tuple[str, str, Claim],
    measured: Measured,
    reading: Reading | None,
    *,
    min_seeds: int,
    p: float,
    num: int,
) -> JudgedClaim:
    key, text, claim = what
    if measured.missing:
        return JudgedClaim(
            key=key, text=text, state=_STATES.NOT_MEASURED, sentence=measured.missing
        )
    if reading is None:
        n = len(measured.pairs[0.0][0]) if measured.pairs else len(measured.own)
        why = measured.waiting or f"{_seeds(n)} so far, {min_seeds} are asked for"
        return JudgedClaim(
            key=key,
            text=text,
            state=_STATES.UNDECIDED,
            seeds=n,
            seeds_needed=None if measured.waiting else min_seeds,
            sentence=why,
        )
    state, why, needed = _conclusion(claim, reading, min_seeds=min_seeds, p=p, num=num)
    return JudgedClaim(
        key=key,
        text=text,
        state=state,
        estimate=reading.estimate,
        interval=reading.interval,
        seeds=reading.num_seeds,
        seeds_needed=needed,
        sentence=f"{_evidence(claim, measured, reading)}: {why}",
    )


def _conclusion(
    claim: Claim, reading: Reading, *, min_seeds: int, p: float, num: int
) -> tuple[HypothesisState, str, int | None]:
    """Return the state of a claim, why, and how many seeds would decide it."""
    n = reading.num_seeds
    if n < min_seeds:
        more = min_seeds - n
        return (
            _STATES.UNDECIDED,
            f"{_seeds(more)} more {'is' if more == 1 else 'are'} asked for",
            min_seeds,
        )
    alone = _STATES.SUPPORTED if reading.is_inside else _STATES.REFUTED
    is_shown, level = p < 1 - CONFIDENCE, 1 - CONFIDENCE
    if is_shown and not reading.bar:
        return alone, _region_words(claim, reading, is_inside=reading.is_inside), None
    needed = seeds_needed(reading.effect, reading.noise)
    needed = needed and max(needed, n + 1, min_seeds)
    if is_shown:
        return _STATES.UNDECIDED, reading.bar, None
    if reading.p < level:
        why = f"alone it would be {alone}, not as one of {num} (Holm p {p:.2g})"
    else:
        ends = " and ".join(_figure(side.bound, sign=True) for side in _ends_within(reading))
        why = f"{ends} {'lies' if ends.count(' and ') == 0 else 'lie'} within it"
    tail = (
        f"about {needed} seeds would decide it" if needed else f"no {_MANY} seeds would decide it"
    )
    return _STATES.UNDECIDED, f"{why}; {tail}", needed


def _ends_within(reading: Reading) -> list[Side]:
    low, high = reading.interval
    found = [side for side in reading.sides if low <= side.bound <= high]
    return found or [min(reading.sides, key=lambda side: abs(side.gap))]


def _region_words(claim: Claim, reading: Reading, *, is_inside: bool) -> str:
    if isinstance(claim, Trend):
        word = "rises" if claim.is_rising is is_inside else "falls"
        return f"it {word}" if reading.estimate else "it does not move"
    bounds = [_figure(side.bound, sign=not _is_of_one(claim)) for side in reading.sides]
    if len(reading.sides) > 1:
        return f"{'all' if is_inside else 'none'} of it between {bounds[0]} and {bounds[1]}"
    word = "above" if reading.sides[0].is_lower else "below"
    if reading.estimate == reading.sides[0].bound:
        return f"it is {bounds[0]} on every seed"
    return f"{'all' if is_inside else 'none'} of it {word} {bounds[0]}"


def _evidence(claim: Claim, measured: Measured, reading: Reading) -> str:
    is_one = _is_of_one(claim) and not isinstance(claim, Trend)
    low, high = (_figure(end, sign=not is_one) for end in reading.interval)
    estimate = _figure(reading.estimate, sign=not is_one)
    if isinstance(claim, Trend):
        head = f"slope {estimate} an epoch"
    elif measured.other:
        head = f"{estimate} against {measured.other}"
    else:
        head = f"{estimate}"
    if claim.estimand.point is Point.EPOCH_TO:
        head += " (epochs)"
    text = f"{head}, 95% interval [{low}, {high}], {_seeds(reading.num_seeds)}, {noise_words(reading.noise)}"
    num_open = len(measured.open_own) + len(measured.open_other)
    if num_open:
        text += f", {num_open} {'run' if num_open == 1 else 'runs'} that never reached it counted as one epoch late"
    return text


def _is_of_one(claim: Claim) -> bool:
    """Whether a claim is about values of its own alone, not about differences."""
    return isinstance(claim, Trend) or isinstance(claim.target, Amount)


def _state(
    hypothesis: Hypothesis, expect: Sequence[JudgedClaim], guard: Sequence[JudgedClaim]
) -> HypothesisState:
    states = {one.state for one in expect}
    if hypothesis.damage or _STATES.DAMAGED in states | {one.state for one in guard}:
        return _STATES.DAMAGED
    if _STATES.REFUTED in states:
        return _STATES.REFUTED
    return next(iter(states)) if len(states) == 1 else _STATES.UNDECIDED


def _words(
    hypothesis: Hypothesis,
    state: HypothesisState,
    expect: Sequence[JudgedClaim],
    guard: Sequence[JudgedClaim],
) -> str:
    if hypothesis.damage:
        return f"damaged: {hypothesis.damage}"
    words = str(state).replace("-", " ")
    named = {
        _STATES.REFUTED: [one.key for one in expect if one.state is _STATES.REFUTED],
        _STATES.UNDECIDED: [one.key for one in expect if one.state is not _STATES.SUPPORTED],
        _STATES.DAMAGED: [one.key for one in (*expect, *guard) if one.state is _STATES.DAMAGED],
    }.get(state, [])
    if named and len(expect) > 1:
        words += f": {', '.join(named)}"
    broken = [f"{one.key} ({one.text})" for one in guard if one.state is _STATES.REFUTED]
    if broken:
        joint = ", but breaks" if state is _STATES.SUPPORTED else "; breaks"
        return f"{words}{joint} {', '.join(broken)}"
    is_open = {_STATES.UNDECIDED, _STATES.NOT_MEASURED}
    open_guards = [one.key for one in guard if one.state in is_open]
    if open_guards and state is _STATES.SUPPORTED:
        return f"{words}; whether {', '.join(open_guards)} holds is open"
    return words


def _is_about(text: str, metric: str) -> bool:
    claim = _read(text)
    return (
        isinstance(claim, Comparison)
        and claim.estimand.metric == metric
        and not claim.estimand.part
    )


def _read(text: str) -> Claim | ClaimError:
    try:
        return parse_claim(text)
    except ClaimError as error:
        return error


def _canonical(claims: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, text in claims.items():
        claim = _read(text)
        found[key] = text.strip() if isinstance(claim, ClaimError) else str(claim)
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _figure(value: float, *, sign: bool) -> str:
    if value == 0:
        return "0"
    plus = "+" if sign else ""
    is_usual = _SMALL <= abs(value) < _LARGE
    return f"{value:{plus}.4f}" if is_usual else f"{value:{plus}.4g}"
