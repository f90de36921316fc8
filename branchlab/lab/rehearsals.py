"""Trainings that are interrupted on purpose: the real trainer, stopped and killed, each attempt in a process of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from branchlab.domain import Noted, Recording, Run, RunState, Stop
from branchlab.errors import BranchlabError
from branchlab.lab.recordings import Recorder, Side
from branchlab.run_folder import AskedRehearsal, unpack_recording

_EPOCHS_MAX = 6
_STEPS_PER_EPOCH_MIN = 2
_STOPS_AT_ONCE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long a rehearsal is, and where it is interrupted.

    Attributes:
        fraction: Of the config's sample.
    """

    epochs: int
    fraction: float
    stops: tuple[Stop, ...]
    look_at: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One training with all its attempts; the last one has trained to the end, or failed."""

    attempts: tuple[Recording, ...]
    failure: str = ""

    @property
    def steps(self) -> int:
        return max((one.num_steps for one in self.attempts), default=0)


def course_of(recording: Recording, steps: int) -> Course:
    """Return a course of at most so many steps, but two epochs, from what a recording says of the task's data.

    It is interrupted after the first step, by a kill soon after, within an epoch, and between an epoch's last step and its
    validation.
    """
    num_train = _number_of_examples(recording)
    batch = _batch_size(recording, num_train)
    per_epoch = max(1, num_train // batch)
    wanted = min(per_epoch, max(_STEPS_PER_EPOCH_MIN, steps // 2))
    fraction = 1.0
    if wanted < per_epoch:
        # Rounding class by class may leave out a few examples: half a batch more keeps the number of steps.
        fraction = min(1.0, (wanted + 0.5) * batch / num_train)
        per_epoch = wanted
    epochs = max(2, min(_EPOCHS_MAX, steps // per_epoch))
    stops = _stops(per_epoch, per_epoch * epochs)
    resumed = [stop.step - stop.is_kill for stop in stops]
    return Course(
        epochs=epochs,
        fraction=fraction,
        stops=stops,
        look_at=tuple(sorted({step + 1 for step in resumed})),
    )


def rehearse(
    recorder: Recorder, sides: Sequence[tuple[Side, Course]]
) -> dict[str, tuple[Rehearsed, Rehearsed]]:
    """Return each side's training without and with interruptions, by name.

    Raises:
        KeyboardInterrupt: The user interrupted; what was running has ended.
        BranchlabError: A tree could not be checked out, or no process could be started.
    """
    runs: dict[str, tuple[Run, Run]] = {}
    left: list[tuple[Run, Side, int]] = []
    for side, course in sides:
        whole, cut = (_plan(recorder, side, course, stops) for stops in ((), course.stops))
        runs[side.name] = whole, cut
        left += [(whole, side, 1), (cut, side, 1 + len(course.stops))]
    for _ in range(max(most for _, _, most in left)):
        recorder.carry_out([(run, side) for run, side, _ in left])
        left = [(run, side, most) for run, side, most in left if _goes_on(recorder, run, most=most)]
    return {
        name: (_rehearsed(recorder, one), _rehearsed(recorder, two))
        for name, (one, two) in runs.items()
    }


def _plan(recorder: Recorder, side: Side, course: Course, stops: tuple[Stop, ...]) -> Run:
    planned = recorder.plan(side, how=["rehearsal", course.epochs, course.fraction, len(stops)])
    sample = replace(planned.sample, fraction=planned.sample.fraction * course.fraction)
    run = replace(planned, epochs=course.epochs, sample=sample)
    folder = recorder.write_plan(run)
    folder.ask_to_rehearse(AskedRehearsal(stops=stops, look_at=course.look_at))
    return run


def _goes_on(recorder: Recorder, run: Run, *, most: int) -> bool:
    """Whether a run's latest attempt ended as it was asked to, and another one has to go on."""
    folder = recorder.state.run(run.id)
    number, latest = folder.attempts(), folder.latest()
    result = latest.read_result() if latest is not None else None
    if number >= most or result is None or result["state"] == RunState.DONE:
        return False
    recording = _recording(recorder, run, number)
    return recording is not None and not recording.failure


def _recording(recorder: Recorder, run: Run, number: int) -> Recording | None:
    try:
        return unpack_recording(recorder.state.run(run.id).attempt(number).recording.read_bytes())
    except OSError:
        return None


def _rehearsed(recorder: Recorder, run: Run) -> Rehearsed:
    folder = recorder.state.run(run.id)
    found = [_recording(recorder, run, n) for n in range(1, folder.attempts() + 1)]
    latest = folder.latest()
    result = (latest.read_result() if latest is not None else None) or {}
    recordings = tuple(one for one in found if one is not None)
    if not recordings:
        raise BranchlabError(
            f"{run.branch} could not be trained: {result.get('reason', 'it left no result')}",
            hint="try it as a run: branchlab run --force --seeds 1",
        )
    failure = (
        ""
        if result.get("state") == RunState.DONE
        else str(result.get("reason", "it left no result"))
    )
    return Rehearsed(attempts=recordings, failure=failure)


def _stops(per_epoch: int, num_steps: int) -> tuple[Stop, ...]:
    """Return where a training is interrupted, each once and in order."""
    first = [Stop(step=1), Stop(step=_STOPS_AT_ONCE, is_kill=True)]
    wanted = [*first, Stop(step=per_epoch // 2 + 1), Stop(step=per_epoch)]
    wanted += [Stop(step=per_epoch + per_epoch // 2 + 1)]
    found: dict[int, Stop] = {}
    for stop in wanted:
        if 0 < stop.step < num_steps:
            found.setdefault(stop.step, stop)
    return tuple(found[step] for step in sorted(found))


def _number_of_examples(recording: Recording) -> int:
    """Return how many examples the sample has; one batch where a recording does not say."""
    rows = [n.value[1] for n in recording.named(Noted.DATA, 0) if n.name == "train ids"]
    return int(math.prod(rows[0])) if rows else 1


def _batch_size(recording: Recording, num_train: int) -> int:
    recipes = recording.named(Noted.RECIPE)
    size = int(recipes[0].value["batch_size"]) if recipes else 1
    return max(1, min(size, num_train))
