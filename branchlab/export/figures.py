"""Figures for notebooks and papers, drawn by matplotlib from plain values; shown or saved by whoever asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from branchlab.domain import Outcome, Verdict
from branchlab.export.tables import not_installed

Curve = Sequence[tuple[int, float]]
"""Values by step, of one run."""

# Told apart also by those who do not see red and green (Okabe and Ito).
_COLOURS = {
    Outcome.BETTER: "#0072B2",
    Outcome.WORSE: "#D55E00",
    Outcome.NO_DIFFERENCE: "#555555",
    Outcome.UNDECIDED: "#AAAAAA",
}
_MAIN_COLOUR = "black"
_HEIGHT_OF_ROW = 0.35


def draw_curves(
    curves: Mapping[str, Sequence[Curve]],
    *,
    metric: str,
    main: str,
    axes: Any = None,  # noqa: ANN401  matplotlib's, unknown without it
) -> Any:  # noqa: ANN401
    """Draw a metric over steps, a line a branch: the mean of its seeds, in a band from the lowest to the highest.

    Args:
        curves: Of every branch, the curve of each of its seeds; the mean is taken at steps that all of them have.
        metric: What the values are.
        main: The branch that is drawn black, below the others.
        axes: Where to draw; a figure of its own unless given.

    Returns:
        The figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    axes = axes if axes is not None else _new_axes(height=4.0)
    for number, name in enumerate(sorted(curves, key=lambda name: name != main)):
        rows = _by_step(curves[name])
        if not rows:
            continue
        steps = [step for step, _ in rows]
        means = [sum(values) / len(values) for _, values in rows]
        colour = _MAIN_COLOUR if name == main else f"C{number % 10}"
        label = f"{name} ({len(curves[name])} seeds)"
        axes.plot(steps, means, color=colour, label=label, marker="." if len(steps) < 3 else None)  # noqa: PLR2004
        lows, highs = [min(v) for _, v in rows], [max(v) for _, v in rows]
        axes.fill_between(steps, lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("step")
    axes.set_ylabel(metric)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    return axes.figure


def draw_verdicts(
    verdicts: Iterable[Verdict],
    *,
    metric: str,
    against: str,
    min_effect: float,
    axes: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Draw differences from main with their intervals, a row a branch, the largest above.

    Args:
        verdicts: Those without a difference, for want of common seeds, are left out.
        metric: What was compared, in whose unit the differences are.
        against: What the branches are held against.
        min_effect: Differences within it are called none: the grey band.
        axes: Where to draw; a figure of its own unless given.

    Returns:
        The figure.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    found = sorted((v for v in verdicts if v.difference is not None), key=_difference)
    axes = axes if axes is not None else _new_axes(height=1.2 + _HEIGHT_OF_ROW * len(found))
    axes.axvspan(-min_effect, min_effect, color="#EEEEEE", linewidth=0)
    axes.axvline(0.0, color=_MAIN_COLOUR, linewidth=0.8)
    for row, verdict in enumerate(found):
        colour = _COLOURS[verdict.outcome]
        if verdict.interval is not None:
            axes.plot(verdict.interval, [row, row], color=colour, linewidth=2)
        axes.plot([_difference(verdict)], [row], color=colour, marker="o")
    labels = [f"{v.branch}: {v.outcome}, {v.seeds} seeds" for v in found]
    axes.set_yticks(range(len(found)), labels)
    confidence = found[0].confidence if found else 0.95
    axes.set_xlabel(f"{metric}, difference from {against} ({confidence:.0%} interval)")
    return axes.figure


def _difference(verdict: Verdict) -> float:
    assert verdict.difference is not None
    return verdict.difference


def _by_step(curves: Sequence[Curve]) -> list[tuple[int, list[float]]]:
    """Return the values of all curves at the steps that every one of them has."""
    tables = [dict(curve) for curve in curves if curve]
    common = set.intersection(*map(set, tables)) if tables else set()
    return [(step, [table[step] for table in tables]) for step in sorted(common)]


def _new_axes(*, height: float) -> Any:  # noqa: ANN401
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise not_installed("matplotlib") from None
    figure, axes = plt.subplots(figsize=(8.0, height), layout="constrained")
    # Out of pyplot's hands: a notebook would show the figure twice, a script keep it for ever.
    plt.close(figure)
    return axes
