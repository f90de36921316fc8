"""The seed noise that branches are judged by: pooled over all of them, and never less than a branch's own or main's.

Model: value(branch, seed) = branch + seed + noise. With few seeds the noise of one branch cannot be known from its own
runs; pooled over k branches it has about k(n-1) degrees of freedom. Pooling supposes that all are about as noisy, which
cannot be relied on: where the seeds of a branch, or those of what all are held against, show more noise than the pool,
that counts. A branch with more than four times the variance of all others is judged by its own seeds alone, and left out
of the others' pool. What this costs in power, and the rates that it keeps, are in docs/verdicts.md.

A metric over few examples takes few values, and differences that agree by chance look free of noise: noise is never taken
to be smaller than what rounding to the metric's steps makes (with 100 examples and two seeds, 10% of batches without a
difference claimed one before).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

Seeds = Mapping[int, float]
"""A metric's final value by seed."""

SEEDS_MIN = 2
_NOISY_FACTOR = 4.0
_OTHER = ""
"""Stands beside branch names; no branch is called so."""
_ROUNDS_MAX = 500
_MANY = 10
_FIT_PRECISION = 1e-12
_STEP_PRECISION = 1e-9


class Source(StrEnum):
    """Whose noise a branch is judged by."""

    POOL = "pool"
    OTHER = "other"
    """That of what all are held against, which is above the pool."""
    OWN = "own"
    """The branch's own, above the pool, with the pool's degrees of freedom."""
    ALONE = "alone"
    """The branch's own with its own degrees of freedom: it is far above the pool, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Standard deviation of one run's noise after branch and seed are accounted for, and its degrees of freedom.

    ``num_branches`` are those that it was pooled over, with what they are held against.
    """

    deviation: float
    df: int
    num_branches: int
    source: Source = Source.POOL


Noises = tuple[dict[str, list[float]], dict[str, Noise | None], Noise | None]
"""Differences by branch, the noise that each is judged by, and the pool of all."""


def noises_of(branches: Mapping[str, Seeds], other: Seeds) -> Noises:
    """Return each branch's differences from ``other`` by seed, the noise it is judged by, and the pool of all.

    A branch's noise is None without two common seeds, the pool without any degree of freedom.
    """
    pairs = {name: _differences(seeds, other) for name, seeds in branches.items()}
    table = {**branches, _OTHER: other}
    rounding = _rounding(table)
    noises, pool = _noises(table, pairs)
    found = {name: _at_least(rounding, noise) for name, noise in noises.items()}
    return pairs, found, _at_least(rounding, pool)


def additive_noise(table: Mapping[str, Seeds]) -> Noise | None:
    """Return the pooled noise of the additive branch + seed model, or None without degrees of freedom.

    Missing cells are allowed: the least-squares fit is found by fitting branch and seed effects in turn.
    """
    rows = {branch: seeds for branch, seeds in table.items() if seeds}
    columns: dict[int, dict[str, float]] = {}
    for branch, seeds in rows.items():
        for seed, value in seeds.items():
            columns.setdefault(seed, {})[branch] = value
    num_cells = sum(len(seeds) for seeds in rows.values())
    df = num_cells - len(rows) - len(columns) + _num_islands(rows)
    if df < 1:
        return None
    scale = max(_FIT_PRECISION, *(abs(v) for seeds in rows.values() for v in seeds.values()))
    by_row: dict[str, float] = {}
    by_column = dict.fromkeys(columns, 0.0)
    for _ in range(_ROUNDS_MAX):
        before = by_column
        by_row = {b: _mean([v - by_column[s] for s, v in rows[b].items()]) for b in rows}
        by_column = {s: _mean([v - by_row[b] for b, v in columns[s].items()]) for s in columns}
        if max(abs(by_column[s] - before[s]) for s in columns) < _FIT_PRECISION * scale:
            break
    squares = math.fsum(
        (v - by_row[b] - by_column[s]) ** 2 for b, seeds in rows.items() for s, v in seeds.items()
    )
    return Noise(deviation=math.sqrt(squares / df), df=df, num_branches=len(rows))


def _num_islands(table: Mapping[str, Seeds]) -> int:
    """Return how many groups of branches there are that share no seed; each has a level of its own."""
    islands: list[set[int]] = []
    for seeds in table.values():
        apart = [island for island in islands if island.isdisjoint(seeds)]
        touched = [island for island in islands if not island.isdisjoint(seeds)]
        islands = [*apart, set(seeds).union(*touched)]
    return len(islands)


def _differences(seeds: Seeds, other: Seeds) -> list[float]:
    return [seeds[seed] - other[seed] for seed in sorted(set(seeds) & set(other))]


def _noises(
    table: Mapping[str, Seeds], pairs: Mapping[str, list[float]]
) -> tuple[dict[str, Noise | None], Noise | None]:
    """Return the noise that each branch is judged by, and the pool.

    The bar for being judged alone is the noise of all the others; the bar for being left out of their pool is the noise
    with the branch itself in it, which is higher: to leave out whoever happens to be noisier than three others would
    make the rest look calmer than they are.
    """
    everyone = additive_noise(table)
    if everyone is None:
        return dict.fromkeys(pairs), None
    found = {name: _own_noise(differences) for name, differences in pairs.items()}
    own = {name: noise for name, noise in found.items() if noise is not None}
    far = _far_above_others(own)
    left_out = {
        name for name in far if _is_above(own[name], everyone.deviation, factor=_NOISY_FACTOR)
    }
    calm = additive_noise({name: seeds for name, seeds in table.items() if name not in left_out})
    pool = calm or everyone
    shared = _shared({name: noise for name, noise in own.items() if name not in left_out})
    if shared > pool.deviation:
        pool = replace(pool, deviation=shared, source=Source.OTHER)
    noises: dict[str, Noise | None] = dict.fromkeys(pairs)
    for name, noise in own.items():
        if name in far and _is_far_above(name, noise, table, everyone):
            noises[name] = noise
        elif noise.deviation > pool.deviation and pool.num_branches > 2:  # noqa: PLR2004  else it is the pool
            noises[name] = replace(pool, deviation=noise.deviation, source=Source.OWN)
        else:
            noises[name] = pool
    return noises, pool


def _far_above_others(own: Mapping[str, Noise]) -> set[str]:
    """Return the branches whose differences vary far more than those of all the others together."""
    df = sum(noise.df for noise in own.values())
    squares = math.fsum(noise.df * noise.deviation**2 for noise in own.values())
    found = set()
    for name, noise in own.items():
        rest, rest_df = squares - noise.df * noise.deviation**2, df - noise.df
        if rest_df and noise.deviation**2 > _NOISY_FACTOR * max(0.0, rest) / rest_df:
            found.add(name)
    return found


def _shared(own: Mapping[str, Noise]) -> float:
    """Return the deviation of one run by the differences of all branches from the other together.

    Each difference holds the other's noise besides the branch's own: where the other is noisier than the branches are, so
    is every difference.
    """
    df = sum(noise.df for noise in own.values())
    squares = math.fsum(noise.df * noise.deviation**2 for noise in own.values())
    return math.sqrt(squares / df) if df else 0.0


def _is_far_above(name: str, noise: Noise, table: Mapping[str, Seeds], everyone: Noise) -> bool:
    # Whoever is far above the others is above the pool with itself in it, among many by half as far at least (v/P is
    # 4k/(k+3) for k branches): most need no pool of their own.
    bar = _NOISY_FACTOR / 2 if len(table) >= _MANY else 1.0
    if not _is_above(noise, everyone.deviation, factor=bar):
        return False
    others = additive_noise({n: seeds for n, seeds in table.items() if n != name})
    return others is not None and _is_above(noise, others.deviation, factor=_NOISY_FACTOR)


def _own_noise(differences: list[float]) -> Noise | None:
    if len(differences) < SEEDS_MIN:
        return None
    deviation = math.sqrt(_variance(differences) / 2)
    return Noise(deviation=deviation, df=len(differences) - 1, num_branches=2, source=Source.ALONE)


def _is_above(noise: Noise, deviation: float, *, factor: float) -> bool:
    return noise.deviation**2 > factor * deviation**2


def _rounding(table: Mapping[str, Seeds]) -> float:
    """Return the deviation that rounding to the metric's steps makes: the smallest step seen, over the root of 12."""
    values = sorted(value for seeds in table.values() for value in seeds.values())
    smallest = _STEP_PRECISION * max([abs(value) for value in values], default=0.0)
    steps = [b - a for a, b in itertools.pairwise(values) if b - a > smallest]
    return min(steps, default=0.0) / math.sqrt(12)


def _at_least(deviation: float, noise: Noise | None) -> Noise | None:
    return noise and replace(noise, deviation=max(deviation, noise.deviation))


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: list[float]) -> float:
    middle = _mean(values)
    return math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
