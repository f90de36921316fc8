"""``sample --calibrate``: runs main and known variants at several fractions, and says which is the smallest that serves."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from branchlab.analysis.calibration import (
    Judgement,
    Known,
    Rung,
    epochs_for,
    judge_rungs,
    known_signs,
    recommended,
)
from branchlab.analysis.results import Recorded, Subject, protocol_of, results_of
from branchlab.analysis.verdict import Question, Seeds
from branchlab.config import CONFIG_NAME
from branchlab.domain import Branch, Goal, Manifest, RunRecord, RunState, Scale
from branchlab.errors import ConfigError
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import (
    all_branches,
    experiments_of,
    find_branches,
    is_experiment,
    main_branch,
    reference_branch,
)
from branchlab.lab.judge import subjects_of
from branchlab.lab.project import Project
from branchlab.lab.run_request import RunRequest
from branchlab.lab.sample import checked_fraction, draw_sample
from branchlab.run_folder import write_atomically
from branchlab.schedule.executor import Executor
from branchlab.toml_file import read_toml_text

Carry = Callable[[RunRequest], Sequence[RunRecord]]
"""Carries runs out and returns how all of them ended, the known ones too."""

FRACTIONS = (0.05, 0.1, 0.2)
SEEDS = 2
_VARIANTS_MIN, _VARIANTS_MAX = 2, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRequest:
    """What was asked for. ``minutes`` is what a run may take; without ``names`` experiments that have run are taken."""

    names: Sequence[str] = ()
    fractions: Sequence[float] = FRACTIONS
    seeds: int = SEEDS
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was found, by growing fraction.

    Attributes:
        best: The smallest fraction that serves; None where none does.
        epochs: For ``[sample] epochs``; None where the recipe's own serve.
        sentence: What to do.
        notes: What the user should know of it.
    """

    metric: str
    goal: Goal
    branches: tuple[str, ...]
    judgements: tuple[Judgement, ...]
    known: Known
    best: Judgement | None
    epochs: int | None
    sentence: str
    notes: tuple[str, ...] = ()


def calibrate(
    project: Project,
    asked: CalibrationRequest,
    *,
    carry: Carry,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> Calibration:
    """Run main, the reference and variants at several fractions, and judge these.

    Raises:
        ConfigError: A fraction means nothing, or there are too few variants.
        BranchlabError: The sample could not be drawn, or runs not be planned.
        KeyboardInterrupt: The user interrupted; what has run is kept.
    """
    fractions = sorted({checked_fraction(one, "--fractions") for one in asked.fractions})
    _check(asked, fractions)
    branches = all_branches(project)
    main = main_branch(project, branches)
    variants = _variants(project, asked, branches)
    frozen = reference_branch(project, project.repository.refs())
    taken = [main, *([frozen] if frozen is not None and frozen.tip != main.tip else []), *variants]
    subjects = _subjects(project, taken)
    manifest = draw_sample(project, executor=executor, tell=tell).manifest
    rungs = []
    for fraction in fractions:
        if manifest.drawn.sample.is_own:
            draw_sample(project, fraction=fraction, executor=executor, tell=tell)
        rungs.append(_rung(project, asked, manifest, subjects, fraction, carry))
    goal, metric = project.config.run.goal, project.config.run.metric
    full = _full_values(project, subjects, metric)
    known = _known(project, rungs, full, main.name)
    judgements = judge_rungs(
        rungs,
        known,
        main=main.name,
        goal=goal,
        full=full.get(main.name),
        minutes=asked.minutes,
    )
    best = recommended(judgements)
    return Calibration(
        metric=metric,
        goal=goal,
        branches=tuple(branch.name for branch in taken),
        judgements=judgements,
        known=known,
        best=best,
        epochs=None if best is None or best.rung.is_recipes else best.rung.epochs,
        sentence=_sentence(judgements, best, known),
        notes=(*_notes(rungs, taken, metric), *_hiding(project, asked)),
    )


def apply_calibration(project: Project, found: Calibration) -> None:
    """Write the recommended fraction, and its epochs, into the config; nothing else in it changes.

    Raises:
        ConfigError: No fraction is recommended, or the config is not in the main work tree.
    """
    import tomlkit

    if found.best is None:
        raise ConfigError(
            "no fraction serves, so nothing is written",
            hint="try larger ones: branchlab sample --calibrate --fractions 0.3,0.5",
        )
    path = project.repository.root / CONFIG_NAME
    document = tomlkit.parse(read_toml_text(path, hint_when_missing="git switch to main"))
    table = document.setdefault("sample", tomlkit.table())
    table["fraction"] = found.best.rung.fraction
    if found.epochs is not None:
        table["epochs"] = found.epochs
    elif "epochs" in table:
        del table["epochs"]
    write_atomically(path, tomlkit.dumps(document).encode())


def _check(asked: CalibrationRequest, fractions: Sequence[float]) -> None:
    hint = "see: branchlab sample --help"
    if not fractions:
        raise ConfigError("--fractions names none", hint=hint)
    if asked.seeds < 2:  # noqa: PLR2004  a deviation
        raise ConfigError(
            f"--seeds {asked.seeds}: needs 2 or more, to see what seeds do", hint=hint
        )
    if asked.minutes is not None and not asked.minutes > 0:
        raise ConfigError(f"--minutes {asked.minutes:g}: needs more than 0", hint=hint)


def _variants(
    project: Project, asked: CalibrationRequest, branches: Sequence[Branch]
) -> list[Branch]:
    """Return the experiments to run: those named, else those with most runs done.

    Raises:
        ConfigError: They are too few.
    """
    (on_main,) = _subjects(project, [main_branch(project, branches)])
    main_trains = _trains(on_main)
    if asked.names:
        config = project.config.branches
        named = find_branches(project, asked.names, branches)
        found = [b for b in named if b.own_name not in {config.main, config.reference}]
    else:
        index = project.index()
        recorded = Recorded([r for r in index.runs() if r.state is RunState.DONE])
        index.close()
        tried = [branch for branch in branches if is_experiment(project, branch)]
        num_done = {
            subject.branch: _num_of(subject, recorded)
            for subject in _subjects(project, tried)
            if _trains(subject) != main_trains
        }
        ran = [branch for branch in tried if num_done.get(branch.name)]
        found = sorted(ran, key=lambda b: -num_done[b.name])[:_VARIANTS_MAX]
    if (
        len({_trains(subject) for subject in _subjects(project, found)} - {main_trains})
        < _VARIANTS_MIN
    ):
        have = ", ".join(branch.name for branch in found) or "none"
        raise ConfigError(
            f"calibration needs {_VARIANTS_MIN} experiments that train differently, found {have}: "
            "without them there is no signal to hold against noise",
            hint="name some: branchlab sample --calibrate EXPERIMENT EXPERIMENT",
        )
    return found


def _subjects(project: Project, branches: Sequence[Branch]) -> list[Subject]:
    return subjects_of(project, branches, experiments_of(project, branches), [])


def _trains(subject: Subject) -> tuple[str, tuple[tuple[str, object], ...]]:
    """Return what makes one branch train differently from another: its content and its flags."""
    return subject.content, tuple(sorted(subject.flags.items()))


def _num_of(subject: Subject, recorded: Recorded) -> int:
    about = (record.run for record in recorded.about(subject))
    return sum(subject.is_of(run) and dict(run.flags) == dict(subject.flags) for run in about)


def _rung(
    project: Project,
    asked: CalibrationRequest,
    manifest: Manifest,
    subjects: Sequence[Subject],
    fraction: float,
    carry: Carry,
) -> Rung:
    """Run all branches at one fraction."""
    of = manifest.drawn.of
    num = max(1, round(fraction * of))
    epochs, steps, full_steps = epochs_for(
        num, of, epochs=manifest.epochs, batch_size=manifest.batch_size
    )
    # With the recipe's own epochs, results that are known are taken.
    is_recipes = epochs == manifest.epochs
    records = carry(
        RunRequest(
            names=[subject.branch for subject in subjects[1:]],
            seeds=asked.seeds,
            fraction=fraction,
            epochs=None if is_recipes and project.config.sample.epochs is None else epochs,
        )
    )
    metric = project.config.run.metric
    values = {s.branch: results_of(s, records).seeds(metric) for s in subjects}
    of_main = results_of(subjects[0], records)
    took = [r.duration_s for r in records if r.state is RunState.DONE and r.duration_s]
    return Rung(
        fraction=fraction,
        num=num,
        epochs=epochs,
        is_recipes=is_recipes,
        steps=steps,
        full_steps=full_steps,
        values={name: seeds for name, seeds in values.items() if seeds},
        train_loss=_mean(of_main.seeds("train/loss")),
        val_loss=_mean(of_main.seeds("val/loss")),
        run_s=statistics.fmean(took) if took else None,
    )


def _mean(values: Seeds) -> float | None:
    return statistics.fmean(values.values()) if values else None


def _full_values(project: Project, subjects: Sequence[Subject], metric: str) -> Mapping[str, Seeds]:
    """Return what is known of the branches on the full set, all of one protocol."""
    index = project.index()
    records = [record for record in index.runs() if record.run.scale is Scale.FULL]
    index.close()
    of_main = results_of(subjects[0], records)
    if not of_main.is_of_tip or not of_main.count(RunState.DONE):
        return {}
    protocol = protocol_of(of_main.records[0].run)
    found = {s.branch: results_of(s, records, protocol=protocol) for s in subjects}
    return {n: one.seeds(metric) for n, one in found.items() if one.is_of_tip and one.seeds(metric)}


def _known(project: Project, rungs: Sequence[Rung], full: Mapping[str, Seeds], main: str) -> Known:
    """Return the differences that the full set decides, else those of the largest fraction."""
    config = project.config.run
    for values, source, scale in (
        (full, "the full set", Scale.FULL),
        (rungs[-1].values, f"the largest fraction ({rungs[-1].fraction:g})", Scale.SAMPLE),
    ):
        question = Question(
            goal=config.goal, min_effect=config.min_effect, scale=scale, against=main
        )
        known = known_signs(values, main, question, source=source)
        if known.signs:
            return known
    return Known()


def _sentence(judgements: Sequence[Judgement], best: Judgement | None, known: Known) -> str:
    if best is None:
        largest = judgements[-1]
        return f"none of these fractions serves; the largest, {largest.rung.fraction:g}: {'; '.join(largest.short)}"
    rung = best.rung
    signal = f"branches differ by {best.signal:.1f} times what seeds do"
    signs = (
        f"all {best.signs_known} differences that {known.source} decides keep their sign"
        if best.signs_known
        else "no difference is decided yet, so that signs could not be held"
    )
    epochs = "the recipe's epochs" if rung.is_recipes else f"{rung.epochs} epochs"
    return (
        f"fraction {rung.fraction:g} with {epochs} is the smallest that serves: {signal}; {signs}"
    )


def _hiding(project: Project, asked: CalibrationRequest) -> list[str]:
    """Say that these runs may be those that are shown: of several protocols that is the one with most seeds."""
    seeds = project.config.run.seeds
    if seeds > asked.seeds:
        return []
    shown = f"where as many seeds are done, here {asked.seeds}, the runs planned last are shown"
    return [f"{shown}; to see your own again: branchlab run --seeds {asked.seeds + 1}"]


def _notes(rungs: Sequence[Rung], taken: Sequence[Branch], metric: str) -> tuple[str, ...]:
    lacking = {
        branch.name: rung.fraction
        for rung in rungs
        for branch in taken
        if branch.name not in rung.values
    }
    return tuple(
        f"{name} has no {metric} at fraction {fraction:g} and is left out there"
        for name, fraction in lacking.items()
    )
