"""Run folders built by hand, as the processes of a run would write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.run_folder import Attempt, EventWriter, RunFolder, StateFolder

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


class Folders:
    """The state folder of a repository while runs are written into it."""

    def __init__(self, path: Path) -> None:
        self.state = StateFolder(path)
        self.state.create()

    def plan(self, run_id: str, *, minute: int = 0, **more: object) -> RunFolder:
        values: dict[str, object] = {
            "key": f"key of {run_id}", "branch": "main", "commit": "c" * 40, "tree": "t" * 40,
            "task": "tiny:Tiny", "seed": 0, "scale": Scale.SAMPLE, "sample": Sample(fraction=0.1),
            "planned_at": START + timedelta(minutes=minute), "flags": {"se": True, "p": 0.5},
            "environment": {"torch": "2.15"}, "batch": "b1", **more,
        }  # fmt: skip
        folder = self.state.run(run_id)
        folder.write_plan(Run(id=run_id, **values))  # type: ignore[arg-type]
        return folder

    def attempt(
        self, folder: RunFolder, *, epochs: range = range(1, 4), state: RunState | None = None
    ) -> Attempt:
        """Write an attempt that trained ``epochs`` of three; without a state it has no result."""
        attempt = folder.attempt(folder.attempts() + 1)
        attempt.path.mkdir(parents=True)
        events = EventWriter(attempt.events)
        events.write("start", epochs=3, steps=12)
        for epoch in epochs:
            step = epoch * 4
            events.write("metric", epoch=epoch - 1, step=step - 2, values={"train/loss": 1 / step})
            values = {"val/accuracy": epoch / 10, "val/odd": "nan", "val/far": "inf"}
            events.write("epoch", epoch=epoch, step=step, values=values, images_per_s=10.0)
        if state is not None:
            more = {"metrics": {"val/accuracy": 0.3}} if state is RunState.DONE else {}
            events.write("end", state=str(state), reason="")
            attempt.write_result(state, reason=f"it is {state}", duration_s=1.5, **more)
        return attempt


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / ".branchlab")


@pytest.fixture
def contents() -> Callable[[object], tuple[object, ...]]:
    """Return everything that an index says."""

    def read(index) -> tuple[object, ...]:
        records = index.runs()
        curves = {
            (record.run.id, name): index.curve(record.run.id, name)
            for record in records
            for name in index.metric_names()
        }
        return records, curves

    return read
