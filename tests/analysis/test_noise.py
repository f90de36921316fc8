from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.noise import Source, additive_noise, noises_of

Table = dict[str, dict[int, float]]

TABLES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.dictionaries(st.integers(0, 5), st.floats(-1, 1).map(lambda v: round(v, 6)), max_size=6),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(table=TABLES)
def test_pooled_noise_is_that_of_least_squares_on_any_incomplete_table(table: Table) -> None:
    cells = [(b, s, v) for b, seeds in table.items() for s, v in seeds.items()]
    names = sorted({f"branch {b}" for b, _, _ in cells} | {f"seed {s}" for _, s, _ in cells})
    design = np.zeros((len(cells), len(names)))
    for row, (branch, seed, _) in enumerate(cells):
        design[row, names.index(f"branch {branch}")] = design[row, names.index(f"seed {seed}")] = 1
    df = len(cells) - (int(np.linalg.matrix_rank(design)) if cells else 0)
    noise = additive_noise(table)
    if df < 1:
        assert noise is None
        return
    values = np.array([v for _, _, v in cells])
    rest = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    assert noise is not None
    assert noise.df == df
    assert noise.deviation == pytest.approx(math.sqrt(rest @ rest / df), abs=1e-7)


@pytest.mark.filterwarnings("ignore:The design matrix is rank-deficient")
@settings(max_examples=20, deadline=None)
@given(table=TABLES)
def test_pooled_noise_and_its_degrees_of_freedom_are_those_of_statsmodels(table: Table) -> None:
    cells = [(b, s, v) for b, seeds in table.items() for s, v in seeds.items()]
    noise = additive_noise(table)
    if noise is None:
        return
    names = sorted({f"branch {b}" for b, _, _ in cells} | {f"seed {s}" for _, s, _ in cells})
    design = [[name in {f"branch {b}", f"seed {s}"} for name in names] for b, s, _ in cells]
    fit = sm.OLS(np.array([v for _, _, v in cells]), np.array(design, dtype=float)).fit()
    assert fit.df_resid == noise.df
    assert math.sqrt(max(0.0, fit.ssr) / noise.df) == pytest.approx(noise.deviation, abs=1e-7)


def some(random: np.random.Generator, deviation: float, num: int = 6) -> dict[int, float]:
    return dict(enumerate(random.normal(0, deviation, num).tolist()))


def sources(branches: Table, other: dict[int, float]) -> dict[str, Source]:
    _, noises, _ = noises_of(branches, other)
    return {name: noise.source for name, noise in noises.items() if noise is not None}


def test_noise_is_never_below_a_branchs_own() -> None:
    random = np.random.default_rng(3)
    branches = {f"b{i}": some(random, 1.0) for i in range(8)}
    branches["b0"] = {seed: 1.3 * value for seed, value in branches["b0"].items()}
    other = some(random, 1.0)
    pairs, noises, pool = noises_of(branches, other)
    assert pool is not None
    for name, noise in noises.items():
        assert noise is not None
        own = float(np.std(pairs[name], ddof=1)) / math.sqrt(2)
        assert (
            noise.deviation == pytest.approx(max(own, pool.deviation))
            or noise.source is Source.ALONE
        )
    assert noises["b0"].source is Source.OWN


def test_a_noisy_main_raises_the_noise_of_every_branch() -> None:
    random = np.random.default_rng(3)
    branches = {f"b{i}": some(random, 0.1) for i in range(8)}
    found = sources(branches, some(random, 3.0))
    assert set(found) == set(branches)
    assert set(found.values()) <= {Source.OTHER, Source.OWN}


def test_a_branch_far_noisier_is_alone_and_leaves_the_others_their_pool() -> None:
    random = np.random.default_rng(3)
    branches = {f"b{i}": some(random, 0.1) for i in range(8)}
    other = some(random, 0.1)
    _, before, _ = noises_of(branches, other)
    _, after, _ = noises_of({**branches, "wild": some(random, 50.0)}, other)
    assert after["wild"].source is Source.ALONE
    assert after["wild"].df == 5
    for name in branches:
        assert after[name] == before[name]


def test_two_sides_have_one_noise() -> None:
    random = np.random.default_rng(3)
    assert sources({"b": some(random, 1.0)}, some(random, 5.0)) == {"b": Source.POOL}
    assert sources({"b": {0: 1.0}}, {0: 2.0}) == {}
