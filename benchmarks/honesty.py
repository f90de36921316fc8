"""How often verdicts claim what is not there, and how often they find what is.

Batches are simulated and judged by the code that judges real ones. Noise is normal, skewed or heavy-tailed, alike or not,
shared by seed, rounded, incomplete; or it is that of real runs: ``seed_noise.json`` holds final metrics of branches of the
demo lab by seed, recorded with

    branchlab demo LAB --no-run && cd LAB && branchlab run --all-branches --seeds 8
    python benchmarks/honesty.py --record LAB

Each simulated branch then draws its noise from one recorded branch: a run of it with an eighth-of-a-sample kernel around
(smoothed bootstrap), so that branches are as unlike as those were. Figures are rates with the simulation's own standard
error, no times. Stated: in at most 5% of comparisons without any difference is one claimed, whatever the number of
branches; an interval covers the truth in at least 95%; the seeds that are said to be needed show the effect in at least
80%; of what p_better says happens as often as it says.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from branchlab.analysis.curtail import settled
from branchlab.analysis.declared import Declared
from branchlab.analysis.noise import Noise
from branchlab.analysis.verdict import Question, judge, seeds_needed
from branchlab.domain import Goal, Outcome, Scale

_RECORDED = Path(__file__).with_name("seed_noise.json")
_CLAIMS = {Outcome.BETTER, Outcome.WORSE}
_QUESTION = Question(goal=Goal.MAX, min_effect=3.0, scale=Scale.SAMPLE, against="main")
_SMALL = replace(_QUESTION, min_effect=0.5)
_BRANCHES, _SEEDS = (1, 5, 20), (2, 3, 5)
_KERNEL = 0.6
"""Width of the smoothing of recorded noise, in standard deviations: 8 to the power -1/5, about."""
_LEVEL = 0.05
_PAIRS_MIN = 2

Random = np.random.Generator
Table = dict[str, dict[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What noise is like: deviations of main and of the branches as factors of one unit, and its shape."""

    shape: str = "normal"
    main: float = 1.0
    first: float = 1.0
    uneven_df: float | None = None
    by_seed: float = 1.0
    step: float = 0.0
    missing: float = 0.0


WORLDS = {
    "equal, normal": World(),
    "recorded: val/accuracy": World(shape="val/accuracy"),
    "recorded: val/loss": World(shape="val/loss"),
    "strongly shared by seed": World(by_seed=4.0),
    "skewed (exponential)": World(shape="skewed"),
    "heavy tails (t, 3 df)": World(shape="heavy"),
    "one branch 2 x as noisy": World(first=2.0),
    "one branch 3 x as noisy": World(first=3.0),
    "one branch 10 x as noisy": World(first=10.0),
    "main 2 x as noisy": World(main=2.0),
    "each its own (chi-square, 10 df)": World(uneven_df=10.0),
    "rounded to one deviation": World(step=1.0),
    "a third of the runs missing": World(missing=1 / 3),
}


def _deviations(random: Random, world: World, num: int) -> np.ndarray:
    found = np.ones(num + 1)
    if world.uneven_df is not None:
        found = np.sqrt(world.uneven_df / random.chisquare(world.uneven_df, num + 1))
    found[0] *= world.main
    found[1] *= world.first
    return found


def _noise(random: Random, world: World, rows: int, seeds: int) -> np.ndarray:
    size = (rows, seeds)
    match world.shape:
        case "normal":
            return random.normal(0, 1, size)
        case "skewed":
            return random.exponential(1, size) - 1
        case "heavy":
            return random.standard_t(3, size) / math.sqrt(3)
        case metric:
            kept = recorded(metric)
            mine = kept[random.integers(0, len(kept), rows)]
            drawn = np.take_along_axis(mine, random.integers(0, mine.shape[1], size), axis=1)
            width = _KERNEL * mine.std(axis=1, ddof=1, keepdims=True)
            return (drawn + width * random.normal(0, 1, size)) / math.sqrt(1 + _KERNEL**2)


def recorded(metric: str, cache: dict[str, np.ndarray] = {}) -> np.ndarray:  # noqa: B006  read once a process
    """Return what is left of each recorded branch's values without branch and seed (branches by seeds), of unit variance in the mean."""
    if metric not in cache:
        values = np.array(list(json.loads(_RECORDED.read_text())["metrics"][metric].values()))
        rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
        cache[metric] = rest / math.sqrt((rest**2).mean() * rest.shape[1] / (rest.shape[1] - 1))
    return cache[metric]


def a_batch(
    random: Random, world: World, num: int, seeds: int, effects: np.ndarray | float = 0.0
) -> tuple[Table, dict[int, float]]:
    """Return branches and main by seed."""
    noise = _noise(random, world, num + 1, seeds) * _deviations(random, world, num)[:, None]
    values = noise + world.by_seed * random.normal(0, 1, seeds)
    values[1:] += np.broadcast_to(effects, num)[:, None]
    if world.step:
        values = np.round(values / world.step) * world.step
    main, *others = (dict(enumerate(row.tolist())) for row in values)
    if world.missing:
        for row in others:
            for seed in list(row):
                if len(row) > _PAIRS_MIN and random.random() < world.missing:
                    del row[seed]
    return {f"b{i}": row for i, row in enumerate(others)}, main


def false_claims(random: Random, world: World, num: int, seeds: int) -> bool:
    """Whether a difference is claimed in a batch without any."""
    branches, main = a_batch(random, world, num, seeds)
    return any(v.outcome in _CLAIMS for v in judge(branches, main, _QUESTION).values())


def ever_claimed(random: Random, looks: tuple[int, ...], num: int, *, is_declared: bool) -> bool:
    """Whether a difference is claimed at any of several looks at growing numbers of seeds, until one suits.

    Declared looks are each tested at half the level of the one before; undeclared ones are what a peeker does.
    """
    branches, main = a_batch(random, WORLDS["equal, normal"], num, looks[-1])
    for number, seen in enumerate(looks, 1):
        said = Declared(num_seeds=seen, num_looks=number if is_declared else 1)
        question = replace(_QUESTION, declared=dict.fromkeys(branches, said))
        some = {n: {s: v for s, v in row.items() if s < seen} for n, row in branches.items()}
        if any(v.outcome in _CLAIMS for v in judge(some, main, question).values()):
            return True
    return False


def early_claims(random: Random, num: int, planned: int) -> bool:
    """Whether a difference is claimed in a batch without any when seeds are left out that could change nothing."""
    branches, main = a_batch(random, WORLDS["equal, normal"], num, planned)
    taken: Table = {name: {} for name in branches}
    over: dict[str, Outcome] = {}
    for seed in range(planned):
        for name in branches.keys() - over.keys():
            taken[name][seed] = branches[name][seed]
        so_far = {s: v for s, v in main.items() if s <= seed}
        over |= settled(taken, so_far, _SMALL, num_planned=planned) | over
    last = judge(taken, main, _SMALL)
    return any(over.get(name, last[name].outcome) in _CLAIMS for name in branches)


def found(random: Random, world: World, num: int, effect: float) -> bool:
    """Whether an effect is found with the seeds that are said to be needed for it."""
    noise = Noise(deviation=1.0, df=9, num_branches=num + 1)
    seeds = seeds_needed(effect, noise, num_compared=num)
    assert seeds is not None
    effects = np.zeros(num)
    effects[0] = effect
    branches, main = a_batch(random, world, num, seeds, effects)
    return judge(branches, main, _QUESTION)["b0"].outcome is Outcome.BETTER


def covered(random: Random, world: World, num: int, seeds: int) -> float:
    """Return the share of intervals that hold the true difference."""
    effects = random.normal(0, 2, num)
    branches, main = a_batch(random, world, num, seeds, effects)
    hits = 0
    for effect, verdict in zip(effects, judge(branches, main, _QUESTION).values(), strict=True):
        assert verdict.interval is not None
        hits += verdict.interval[0] <= effect <= verdict.interval[1]
    return hits / num


def sure(random: Random, num: int, seeds: int) -> tuple[float, float, int]:
    """Return the sum of max(p_better, 1 - p_better), how often that side was right, and of how many: effects as large as the noise."""
    effects = random.normal(0, 1, num)
    branches, main = a_batch(random, WORLDS["equal, normal"], num, seeds, effects)
    said = right = 0.0
    for effect, verdict in zip(effects, judge(branches, main, _QUESTION).values(), strict=True):
        assert verdict.p_better is not None
        said += max(verdict.p_better, 1 - verdict.p_better)
        right += (verdict.p_better > 0.5) == (effect > 0)  # noqa: PLR2004
    return said, right, num


def _rate(job: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], int, int]) -> list[Any]:
    what, arguments, more, num, seed = job
    random = np.random.default_rng(seed)
    return [what(random, *arguments, **more) for _ in range(num)]


class Bench:
    """Runs simulations on all cores, and prints a table as it goes."""

    def __init__(self, pool: ProcessPoolExecutor, num: int) -> None:
        self._pool, self._num = pool, num

    def rates(
        self, jobs: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]
    ) -> Iterator[list[Any]]:
        """Yield what each of several simulations gave, ``num`` times."""
        whole = [(*job, self._num, seed) for seed, job in enumerate(jobs, 1)]
        yield from self._pool.map(_rate, whole)

    def table(self, title: str, header: list[str], rows: dict[str, list[Any]], bound: str) -> None:
        """Print rates in percent, one row a world; ``bound`` says what they should be."""
        print(f"\n{title} ({bound}; {self._num:,} batches each)\n")
        width = max(len(name) for name in rows)
        print(f"| {'':{width}} | " + " | ".join(header) + " |")
        print(
            f"|{'-' * (width + 2)}|" + "|".join("-" * (len(one) + 1) + ":" for one in header) + "|"
        )
        for name, jobs in rows.items():
            cells = [f"{100 * np.mean(values):.1f}" for values in self.rates(jobs)]
            print(
                f"| {name:{width}} | "
                + " | ".join(f"{c:>{len(h)}}" for c, h in zip(cells, header, strict=True))
                + " |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=2000, help="simulated for each figure")
    parser.add_argument(
        "--record", metavar="LAB", type=Path, help="write seed_noise.json from the runs of a lab"
    )
    options = parser.parse_args()
    if options.record is not None:
        _record(options.record)
        return
    num = options.batches
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {where}; `python benchmarks/honesty.py --batches {num}`"
    )
    error = 100 * math.sqrt(_LEVEL * (1 - _LEVEL) / num)
    print(
        f"Standard error of a rate of 5%: {error:.2f}%; of 80%: {100 * math.sqrt(0.16 / num):.2f}%."
    )
    with ProcessPoolExecutor() as pool:
        _run(Bench(pool, num))


def _run(bench: Bench) -> None:
    grid = [(k, n) for k in _BRANCHES for n in _SEEDS]
    header = [f"{k}b {n}s" for k, n in grid]
    bench.table(
        "Batches without a difference in which one is claimed, in %, by branches and seeds", header,
        {name: [(false_claims, (world, k, n), {}) for k, n in grid] for name, world in WORLDS.items()},
        "stated: at most 5",
    )  # fmt: skip
    few = {
        "2 looks: 3, 6": (3, 6),
        "3 looks: 3, 6, 9": (3, 6, 9),
        "8 looks: 2 to 9": tuple(range(2, 10)),
    }
    bench.table(
        "Claimed at any look at equal branches, until one suits, in %",
        ["declared, 1b", "declared, 5b", "undeclared, 1b", "undeclared, 5b"],
        {
            name: [
                (ever_claimed, (looks, k), {"is_declared": declared})
                for declared in (True, False) for k in (1, 5)
            ]
            for name, looks in few.items()
        },
        "stated for declared looks: at most 7.5, 8.75 and 9.96",
    )  # fmt: skip
    bench.table(
        "Claimed of equal branches with [run] stop_early, in %",
        ["1b", "5b"],
        {f"{planned} seeds planned": [(early_claims, (k, planned), {}) for k in (1, 5)] for planned in (5, 8)},
        "stated: at most 5",
    )  # fmt: skip
    effects = (1.0, 2.0, 4.0)
    bench.table(
        "Effects found with the seeds that are said to be needed, in %, by branches and effect in deviations of a run",
        [f"{k}b {effect:g}" for k in _BRANCHES for effect in effects],
        {
            name: [(found, (WORLDS[name], k, effect), {}) for k in _BRANCHES for effect in effects]
            for name in ("equal, normal", "recorded: val/accuracy")
        },
        "stated: at least 80",
    )  # fmt: skip
    bench.table(
        "Intervals that hold the true difference, in %", header,
        {
            name: [(covered, (WORLDS[name], k, n), {}) for k, n in grid]
            for name in ("equal, normal", "recorded: val/accuracy", "skewed (exponential)", "main 2 x as noisy")
        },
        "stated: at least 95",
    )  # fmt: skip
    print("\nWhat p_better says of the likelier side, and how often that was the right one, in %\n")
    print("| branches, seeds | said | right |\n|-----------------|-----:|------:|")
    for (k, n), values in zip(
        grid, bench.rates([(sure, (k, n), {}) for k, n in grid]), strict=True
    ):
        said, right, total = (sum(column) for column in zip(*values, strict=True))
        print(
            f"| {f'{k}b {n}s':15} | {100 * said / total:4.1f} | {100 * right / total:5.1f} |",
            flush=True,
        )


def _record(lab: Path) -> None:
    """Keep the final metrics of branches that have the most seeds, one row for branches that computed the same."""
    done = subprocess.run(
        ["branchlab", "runs", "--json"], cwd=lab, capture_output=True, text=True, check=True
    )
    runs = [run for run in json.loads(done.stdout)["runs"] if run["state"] == "done"]
    metrics: dict[str, dict[str, list[float]]] = {}
    for metric in ("val/accuracy", "val/loss"):
        table: Table = {}
        for run in runs:
            table.setdefault(run["branch"], {})[run["seed"]] = run["metrics"][metric]
        most = max(map(len, table.values()))
        rows = {
            b: [s[seed] for seed in sorted(s)] for b, s in sorted(table.items()) if len(s) == most
        }
        distinct = {tuple(row): branch for branch, row in reversed(rows.items())}
        metrics[metric] = {branch: rows[branch] for branch in sorted(distinct.values())}
    document = {
        "command": "branchlab demo LAB --no-run; branchlab run --all-branches --seeds 8; benchmarks/honesty.py --record LAB",
        "recorded_at": f"{datetime.now(UTC):%Y-%m-%d}",
        "environment": {"machine": platform.machine(), "device": runs[0]["device"]},
        "metrics": metrics,
    }
    _RECORDED.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
