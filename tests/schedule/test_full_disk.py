from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchlab.domain import RunState
from tests.schedule.conftest import Lab


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.getuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("left", [0, pytest.param(8192, marks=pytest.mark.slow), 24576])
def test_a_full_disk_fails_runs_with_the_reason_and_they_go_on_when_there_is_room(
    small: Path, warm, left: int
) -> None:
    lab = Lab(small, warm)
    run, whole = lab.plan("a"), lab.plan("whole")
    lab.carry_out(whole)
    filler = small / "filler"
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\0" * 4096)
            except OSError:
                break
    os.truncate(filler, filler.stat().st_size - left)
    for _ in lab.start([run]):
        pass
    latest = lab.state.run("a").latest()
    result = latest.read_result() if latest is not None else None
    assert result is None or (result["state"], "No space left" in result["reason"]) == (
        RunState.FAILED, True,
    )  # fmt: skip
    assert lab.outcome("whole")[0] == RunState.DONE
    filler.unlink()
    assert lab.carry_out(run)["a"].state is RunState.DONE
    assert lab.outcome("a") == lab.outcome("whole")
