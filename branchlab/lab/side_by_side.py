"""Two sides of one seed, held side by side: to the bit where main gives the same bits twice, else within what it shows itself."""

from __future__ import annotations

from branchlab.analysis.parity.compare import (
    first_difference,
    first_difference_within,
    steps_to_look_at,
    tolerance_of,
)
from branchlab.domain import Divergence, ParityCheck, ParityStatus, Recording
from branchlab.lab.recordings import Recorder, Side, again

_NUM_OF_MAIN = 3
"""Trainings of main that a tolerance is measured by."""
_STEPS_MIN = 2


class SideBySide:
    """Holds two sides of one seed side by side, and trains again what the first look leaves open."""

    def __init__(
        self, recorder: Recorder, one: Side, two: Side, *, with_signature: bool = True
    ) -> None:
        self._recorder = recorder
        self._one = one
        self._two = two
        self._with_signature = with_signature
        self._is_fresh = False

    def check(self, ours: Recording, theirs: Recording) -> ParityCheck:
        """Return what two recordings show, and where they first differ."""
        one = self._one
        if ours.kernels and ours.failure:
            return self._within(f"{', '.join(ours.kernels)} has no deterministic form here")
        if ours.failure:
            return ParityCheck(
                status=ParityStatus.NOT_RUN,
                reason=f"{one.name} itself does not train: {ours.failure}",
            )
        found = first_difference(ours, theirs, base=one.name, with_signature=self._with_signature)
        steps = min(ours.num_steps, theirs.num_steps)
        if found is None:
            return ParityCheck(status=ParityStatus.NEUTRAL, steps=steps)
        # Main against itself, as far as the difference: what comes later can't be its cause.
        upto = max(_STEPS_MIN, found.step)
        same = again(one, 2)
        twice = self._recorder.record([same], is_anew=True, steps=upto)[same.name]
        noise = first_difference(ours.upto(upto), twice)
        if noise is not None and not self._is_fresh:
            return self._once_more()
        if noise is not None:
            return self._within(
                f"{one.name} does not give the same bits twice: {noise.where}: {noise.reason}"
            )
        return ParityCheck(
            status=ParityStatus.DIFFERS,
            steps=steps,
            first_difference=self._closer(ours, theirs) or found,
        )

    def _once_more(self) -> ParityCheck:
        """Train both again: what was kept of them may be of other data or packages than today's."""
        self._is_fresh = True
        seen = self._recorder.record([self._one, self._two], is_anew=True)
        return self.check(seen[self._one.name], seen[self._two.name])

    def _closer(self, ours: Recording, theirs: Recording) -> Divergence | None:
        """Train both again and note every module in the steps before the difference, where that tells more."""
        one, two = self._one, self._two
        closely = steps_to_look_at(ours, theirs)
        if not closely:
            return None
        seen = self._recorder.record([one, two], closely=closely, steps=max(closely))
        return first_difference(
            seen[one.name], seen[two.name], base=one.name, with_signature=self._with_signature
        )

    def _within(self, why: str) -> ParityCheck:
        """Compare within what main shows against itself, where bits cannot be had twice."""
        one, two = self._one, self._two
        mains = [one, *(again(one, number) for number in range(2, _NUM_OF_MAIN + 1))]
        seen = self._recorder.record([*mains, two], is_strict=False)
        ours = [seen[side.name] for side in mains]
        kernels = tuple(sorted({name for recording in ours for name in recording.kernels}))
        failed = next((recording.failure for recording in ours if recording.failure), "")
        if failed:
            return ParityCheck(
                status=ParityStatus.NOT_RUN, reason=f"{one.name} itself does not train: {failed}"
            )
        tolerance = tolerance_of(ours)
        found = first_difference_within(
            ours[0],
            seen[two.name],
            tolerance,
            base=one.name,
            with_signature=self._with_signature,
        )
        return ParityCheck(
            status=ParityStatus.DIFFERS if found else ParityStatus.NEUTRAL,
            steps=min(ours[0].num_steps, seen[two.name].num_steps),
            first_difference=found,
            reason=f"{why}; compared within twice the largest difference of {_NUM_OF_MAIN} trainings of {one.name}",
            tolerance=tolerance.allowed,
            kernels=kernels,
        )
