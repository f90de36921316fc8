"""How small a sample may be: what runs at several fractions say of signal, noise and known differences.

A fraction serves when branches still differ by several times what seeds do, differences that are known keep their sign, the model
does not simply learn the sample by heart, and a run takes no longer than it may. Steps are kept near those of the full set: with
few steps branches were ranked by how fast they learn (understood by measurement, see docs/sampling.md).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.analysis.verdict import Question, Seeds, judge
from branchlab.domain import Goal, Outcome

SIGNAL_MIN = 4.0
"""Of branches' standard deviation over that of seeds."""
STEPS_SHARE_MIN = 0.5
"""Of the steps that the recipe takes on the full set."""
_BY_HEART = 0.1
"""A training loss below so much of the validation loss."""
_SIGNAL_BRANCHES_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What was measured at one fraction.

    Attributes:
        epochs: That runs took; ``is_recipes`` where the recipe's own serve.
        steps: Of a run. ``full_steps``: of the recipe on the full set.
        values: The metric's final value by branch and seed, main's among them.
        train_loss: Main's, the mean over seeds; None where it is not recorded. ``val_loss`` likewise.
        run_s: Mean duration of a run.
    """

    fraction: float
    num: int
    epochs: int
    is_recipes: bool
    steps: int
    full_steps: int
    values: Mapping[str, Seeds]
    train_loss: float | None = None
    val_loss: float | None = None
    run_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a rung is worth.

    Attributes:
        between: Standard deviation of branches' means. ``noise``: of seeds, pooled over branches.
        signal: The one over the other; None where too few branches differ, infinite without noise.
        signs_kept: Of the known differences. ``signs_known``: how many there are.
        short: Why it does not serve, in a few words each; empty where it does.
    """

    rung: Rung
    between: float | None
    noise: float | None
    signal: float | None
    signs_kept: int
    signs_known: int
    is_by_heart: bool
    short: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Differences from main that are decided, by branch: 1 for a larger value, -1 for a smaller one.

    Attributes:
        source: What decided them.
    """

    signs: Mapping[str, int] = field(default_factory=dict)
    source: str = ""


def epochs_for(num: int, of: int, *, epochs: int, batch_size: int) -> tuple[int, int, int]:
    """Return how many epochs on ``num`` of ``of`` examples take steps enough, these steps, and those on the full set."""
    full_steps = epochs * max(1, of // min(batch_size, of))
    per_epoch = max(1, num // min(batch_size, num))
    wanted = max(epochs, math.ceil(STEPS_SHARE_MIN * full_steps / per_epoch))
    return wanted, wanted * per_epoch, full_steps


def known_signs(
    values: Mapping[str, Seeds], main: str, question: Question, *, source: str
) -> Known:
    """Return the differences from main that some runs decide."""
    others = {name: seeds for name, seeds in values.items() if name != main and seeds}
    if main not in values or not others:
        return Known()
    verdicts = judge(others, values[main], question)
    signs = {
        name: 1 if (verdict.difference or 0.0) > 0 else -1
        for name, verdict in verdicts.items()
        if verdict.outcome in {Outcome.BETTER, Outcome.WORSE}
    }
    return Known(signs=signs, source=source)


def judge_rungs(
    rungs: Sequence[Rung],
    known: Known,
    *,
    main: str,
    goal: Goal,
    full: Seeds | None = None,
    minutes: float | None = None,
) -> tuple[Judgement, ...]:
    """Judge rungs, which stand by growing fraction.

    Args:
        rungs: What was measured.
        known: Differences whose sign has to be kept.
        main: What the others are held against.
        goal: Of the metric.
        full: Main's values on the full set, where these are known.
        minutes: That a run may take.
    """
    found = []
    for place, rung in enumerate(rungs):
        larger = rungs[place + 1].values.get(main) if place + 1 < len(rungs) else full
        found.append(_judged(rung, larger, known, main=main, goal=goal, minutes=minutes))
    return tuple(found)


def recommended(judgements: Sequence[Judgement]) -> Judgement | None:
    """Return the smallest fraction that serves."""
    return next((one for one in judgements if not one.short), None)


def _judged(
    rung: Rung,
    larger: Seeds | None,
    known: Known,
    *,
    main: str,
    goal: Goal,
    minutes: float | None,
) -> Judgement:
    between, noise = _spread(rung.values, main)
    signal = None if between is None or noise is None else _ratio(between, noise)
    differences = _differences(rung.values, main)
    held = {name: sign for name, sign in known.signs.items() if name in differences}
    lost = [name for name, sign in held.items() if differences[name] * sign <= 0]
    is_by_heart = _is_by_heart(rung, larger, main=main, goal=goal, noise=noise or 0.0)
    short = []
    if signal is None:
        short.append(
            "fewer than 3 branches that differ have run with 2 seeds: no signal can be told from noise"
        )
    elif signal < SIGNAL_MIN:
        short.append(f"branches differ by {signal:.1f} times what seeds do, needs {SIGNAL_MIN:g}")
    if lost:
        short.append(f"turns the sign of {', '.join(lost)}")
    if is_by_heart:
        short.append("main learns it by heart, and more data still helps")
    if minutes is not None and rung.run_s is not None and rung.run_s > 60 * minutes:
        short.append(f"a run takes {rung.run_s / 60:.1f} minutes, may take {minutes:g}")
    return Judgement(
        rung=rung,
        between=between,
        noise=noise,
        signal=signal,
        signs_kept=len(held) - len(lost),
        signs_known=len(held),
        is_by_heart=is_by_heart,
        short=tuple(short),
    )


def _spread(values: Mapping[str, Seeds], main: str) -> tuple[float | None, float | None]:
    """Return the deviation of branches' means and that of seeds; a branch that computes what main does is main once more."""
    of_main = values.get(main, {})
    apart = [
        s for name, s in values.items() if len(s) > 1 and (name == main or dict(s) != dict(of_main))
    ]
    if len(apart) < _SIGNAL_BRANCHES_MIN:
        return None, None
    means = [statistics.fmean(seeds.values()) for seeds in apart]
    df = sum(len(seeds) - 1 for seeds in apart)
    squares = math.fsum(
        (value - mean) ** 2
        for seeds, mean in zip(apart, means, strict=True)
        for value in seeds.values()
    )
    return statistics.stdev(means), math.sqrt(squares / df)


def _ratio(between: float, noise: float) -> float:
    if noise == 0:
        return math.inf if between > 0 else 0.0
    return between / noise


def _differences(values: Mapping[str, Seeds], main: str) -> dict[str, float]:
    of_main = values.get(main, {})
    found = {}
    for name, seeds in values.items():
        pairs = [seeds[seed] - of_main[seed] for seed in seeds.keys() & of_main.keys()]
        if name != main and pairs:
            found[name] = statistics.fmean(pairs)
    return found


def _is_by_heart(rung: Rung, larger: Seeds | None, *, main: str, goal: Goal, noise: float) -> bool:
    """Whether main's training loss is near nothing while its validation still gains with more data."""
    of_main = rung.values.get(main, {})
    if rung.train_loss is None or not rung.val_loss or not larger or not of_main:
        return False
    gain = statistics.fmean(larger.values()) - statistics.fmean(of_main.values())
    gain = gain if goal is Goal.MAX else -gain
    return rung.train_loss < _BY_HEART * rung.val_loss and gain > noise
