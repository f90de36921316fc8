"""A run's folder as its processes write it: real files, no training; and what the index says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from branchlab.domain import Run, RunRecord, RunState, Sample, Scale
from branchlab.run_folder import EventWriter, RunFolder, StateFolder, locked
from branchlab.store.index import Index

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001"
    "48afa4710000000049454e44ae426082"
)


class WrittenRun:
    """One run; while it is ``held``, somebody seems to work on it."""

    def __init__(
        self, state: StateFolder, run_id: str = "se-s0-1f3c22ab", **values: object
    ) -> None:
        self.state = state
        self.run = Run(
            **{
                "id": run_id,
                "key": f"key of {run_id}",
                "branch": "exp/se",
                "commit": "c" * 40,
                "tree": "t" * 40,
                "task": "tiny.task:Tiny",
                "seed": 0,
                "scale": Scale.SAMPLE,
                "sample": Sample(fraction=0.5),
                "flags": {"squeeze": True, "ratio": 0.25, "name": "x"},
                "batch": "20260101-000000",
                "planned_at": datetime(2026, 1, 1, tzinfo=UTC),
                **values,
            }  # type: ignore[arg-type]
        )
        self.folder = RunFolder(state.runs / run_id)
        self.folder.write_plan(self.run)
        self.number = 0
        self.lease = ExitStack()

    def begin(self, *, resumed_at_step: int = 0, is_anew: bool = False) -> None:
        """Begin another attempt; as a script without a checkpoint does, if it is anew."""
        self.number += 1
        attempt = self.folder.attempt(self.number)
        attempt.path.mkdir(parents=True)
        self.lease.enter_context(locked(self.folder.lease))
        self.events, self.usage = EventWriter(attempt.events), EventWriter(attempt.usage)
        attempt.log.write_text(f"log of attempt {self.number}\n")
        self.events.write(
            "start",
            epochs=9,
            steps=90,
            device="cpu",
            resumed_at_step=resumed_at_step,
            **({"is_anew": True} if is_anew else {}),
        )

    def epoch(self, epoch: int, **more: float) -> None:
        """Report an epoch of ten steps, and what the machine does."""
        values = {"val/accuracy": 1 - 1 / (epoch + 1), "train/loss": 1 / (epoch + 7), **more}
        plain = {n: v if math.isfinite(v) else str(v) for n, v in values.items()}
        self.events.write(
            "epoch",
            epoch=epoch,
            step=10 * epoch,
            steps=90,
            values=plain,
            images_per_s=100.0 + epoch,
        )
        self.usage.write("usage", cpu_percent=10.0 * epoch, memory_gib=0.5, is_stopped=False)

    def picture(self, epoch: int, name: str = "filters") -> None:
        self.folder.pictures.mkdir(exist_ok=True)
        path = self.folder.pictures / f"{name}-epoch{epoch:04d}.png"
        path.write_bytes(PIXEL)
        self.events.write("picture", name=name, epoch=epoch, file=path.name)

    def end(self, state: RunState = RunState.DONE, reason: str = "") -> None:
        self.folder.attempt(self.number).write_result(state, reason=reason, duration_s=1.0)
        self.lease.close()

    def record(self) -> RunRecord:
        index = Index(self.state)
        index.refresh()
        found = index.run(self.run.id)
        index.close()
        assert found is not None
        return found

    def indexed(self) -> dict[str, dict[int, float]]:
        """Return what the index holds: values by metric and step."""
        index = Index(self.state)
        index.refresh()
        found = {name: dict(index.curve(self.run.id, name)) for name in index.metric_names()}
        index.close()
        return {name: curve for name, curve in found.items() if curve}


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "project" / ".branchlab")
    made.create()
    return made


@pytest.fixture
def written(state: StateFolder) -> Iterator[WrittenRun]:
    made = WrittenRun(state)
    yield made
    made.lease.close()
