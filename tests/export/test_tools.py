from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchlab.config import TOOLS, Track
from branchlab.domain import RunState, Script
from branchlab.export.sender import Sender
from branchlab.export.tool import Destination, destination_of, open_tool
from branchlab.run_folder import StateFolder
from tests.export.conftest import WrittenRun
from tests.export.reading_back import (
    is_equal,
    metrics_of,
    of_mlflow,
    of_tensorboard,
    of_wandb,
    single,
)

pytestmark = [pytest.mark.tools, pytest.mark.filterwarnings("default")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    # What a tool sets for its process shall not outlive the test.
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.chdir(tmp_path)


class Writing:
    """One tool at the place that a repository without further settings has."""

    def __init__(self, tool: str, state: StateFolder) -> None:
        self.notes: list[str] = []
        self.state = state
        self.destination: Destination = destination_of(tool, Track(), state)
        self._open()

    def _open(self) -> None:
        tool = open_tool(self.destination, self.notes.append)
        self.sender = Sender(tool, self.destination.bookmarks(self.state), self.notes.append)

    def send(self, written: WrittenRun) -> bool:
        return self.sender.send(written.record(), written.folder)

    def restart(self) -> None:
        """Go on as another process would."""
        self.sender.close()
        self._open()


@pytest.fixture
def writing(request: pytest.FixtureRequest, state: StateFolder) -> Iterator[Writing]:
    made = Writing(request.param, state)
    yield made
    made.sender.close()


def with_tool(*names: str):
    return pytest.mark.parametrize("writing", names, indirect=True)


def board_of(written: WrittenRun) -> Path:
    run = written.run
    return written.state.path / "tensorboard" / run.branch / f"{run.seed}-{run.id}"


def equals_index(tool: str, written: WrittenRun) -> bool:
    """Whether a tool holds what the index holds, number for number, and nothing twice."""
    indexed, count = written.indexed(), None
    if tool == "mlflow":
        uri = f"sqlite:///{written.state.path}/mlflow/mlflow.db"
        _, found, count = of_mlflow(uri, "project", written.run.id)
    elif tool == "tensorboard":
        _, found, count = of_tensorboard(board_of(written))
        indexed = single(indexed)
    else:
        _, found, _ = of_wandb(written.state.path, written.run.id)
    return is_equal(metrics_of(found), indexed) and (count is None or set(count.values()) == {1})


@with_tool(*TOOLS)
def test_a_run_that_is_followed_arrives_number_for_number(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    for epoch in (1, 2, 3):
        written.epoch(epoch)
        assert writing.send(written)
        assert not writing.send(written)
    written.end()
    assert writing.send(written)
    assert not writing.send(written)
    assert equals_index(writing.destination.tool, written)
    assert not writing.notes


@with_tool(*TOOLS)
def test_a_new_attempt_goes_on_in_the_same_run_with_each_step_once(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    for epoch in (1, 2, 3):
        written.epoch(epoch)
        writing.send(written)
    written.end(RunState.CANCELLED)
    writing.send(written)
    written.begin(resumed_at_step=10)
    for epoch in (2, 3, 4):
        written.epoch(epoch)
        writing.send(written)
    written.end()
    writing.send(written)
    assert equals_index(writing.destination.tool, written)


@with_tool(*TOOLS)
def test_an_attempt_that_follows_at_once_may_take_a_step_before_the_last(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    for epoch in (1, 2, 4):
        written.epoch(epoch)
    writing.send(written)
    written.end(RunState.LOST)
    written.begin(resumed_at_step=20)  # nobody has looked in between
    for epoch in (3, 4, 5):
        written.epoch(epoch)
    writing.send(written)
    written.end()
    writing.send(written)
    assert equals_index(writing.destination.tool, written)


def abandon_and_begin_anew(writing: Writing, written: WrittenRun, *, restarts: bool) -> None:
    written.begin(is_anew=True)
    for epoch in (1, 2, 3):
        written.epoch(epoch, **{"only/first": 1.0})
        writing.send(written)
    written.end(RunState.CANCELLED)
    writing.send(written)
    written.begin(is_anew=True)
    writing.send(written)  # its start is seen before its first value
    if restarts:
        writing.restart()
    for epoch in (1, 2):
        written.epoch(epoch)
        writing.send(written)
    written.end()
    writing.send(written)


@with_tool(*TOOLS)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_run_that_begins_anew_is_written_anew(
    writing: Writing, written: WrittenRun, restarts
) -> None:
    abandon_and_begin_anew(writing, written, restarts=restarts)
    assert equals_index(writing.destination.tool, written)


@with_tool("mlflow")
def test_what_a_run_told_mlflow_before_it_began_anew_can_be_restored(
    writing: Writing, written: WrittenRun
) -> None:
    from mlflow.entities import ViewType
    from mlflow.tracking import MlflowClient

    abandon_and_begin_anew(writing, written, restarts=False)
    client = MlflowClient(tracking_uri=writing.destination.address)
    experiment = client.get_experiment_by_name("project").experiment_id
    (deleted,) = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    assert deleted.data.metrics["only/first"] == 1.0


@with_tool(*TOOLS)
def test_another_process_goes_on_where_the_first_stopped(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    written.epoch(1)
    writing.send(written)
    writing.restart()
    written.epoch(2)
    writing.send(written)
    writing.restart()
    written.end()
    writing.send(written)
    writing.restart()
    assert not writing.send(written)
    assert equals_index(writing.destination.tool, written)


@with_tool(*TOOLS)
def test_bookmarks_that_are_lost_double_nothing(writing: Writing, written: WrittenRun) -> None:
    written.begin()
    written.epoch(1)
    written.epoch(2)
    written.end()
    writing.send(written)
    (writing.destination.bookmarks(written.state).folder / f"{written.run.id}.json").unlink()
    writing.restart()
    assert writing.send(written)
    assert equals_index(writing.destination.tool, written)


@with_tool(*TOOLS)
def test_damaged_lines_and_values_that_are_no_numbers_hurt_nothing(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    written.epoch(1, **{"val/bad": float("inf"), "val/worse": float("nan")})
    with written.folder.attempt(1).events.open("ab") as file:
        file.write(b'{"seq":3,"kind":"epoch"\n')
    written.epoch(2)
    written.end(RunState.FAILED, "the loss is nan")
    assert writing.send(written)
    (note,) = writing.notes
    assert "1 damaged lines" in note
    tool = writing.destination.tool
    if tool == "mlflow":  # its databases have no infinity
        uri = f"sqlite:///{written.state.path}/mlflow/mlflow.db"
        run, found, _ = of_mlflow(uri, "project", written.run.id)
        assert run.info.status == "FAILED"
        assert found["val/bad"][10] > 1e308
    elif tool == "tensorboard":
        _, found, _ = of_tensorboard(board_of(written))
        assert found["val/bad"][10] == float("inf")
    else:
        _, found, last = of_wandb(written.state.path, written.run.id)
        assert last == {"exit_code": 1}
        assert found["val/bad"][10] == float("inf")
    assert found["val/worse"][10] != found["val/worse"][10]
    assert set(found["val/accuracy"]) == {10, 20}


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_a_process_that_is_killed_at_any_moment_misses_nothing_and_doubles_nothing(
    tool: str, written: WrittenRun
) -> None:
    written.begin()
    written.lease.close()
    chance = random.Random(tool)
    command = [sys.executable, "-m", "tests.export.pushing", tool, str(written.state.path.parent)]
    for until in (1, 3, 6, 9):
        process = subprocess.Popen(
            [*command, "40"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(until):
            print("go", file=process.stdin, flush=True)
            assert process.stdout.readline().startswith("sent")
        print("go", file=process.stdin, flush=True)
        time.sleep(chance.random() * 0.02)
        process.kill()
        process.communicate()
    done = subprocess.run(
        [*command, "40"], cwd=ROOT, input="go\n" * 40, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("end\n"), done.stderr
    assert len(written.indexed()["val/x"]) == 40
    assert equals_index(tool, written)


@with_tool("mlflow")
def test_mlflow_tells_branch_seeds_flags_and_end(writing: Writing, state: StateFolder) -> None:
    runs = [WrittenRun(state, f"se-s{seed}-1f3c22ab", seed=seed) for seed in (0, 1)]
    runs.append(WrittenRun(state, "se-s0-full", epochs=3))
    for one, ending in zip(runs, (RunState.DONE, RunState.CANCELLED, RunState.FAILED), strict=True):
        one.begin()
        one.epoch(1)
        one.picture(1)
        one.end(ending, "why" if ending is not RunState.DONE else "")
        writing.send(one)
    uri = writing.destination.address
    found = [of_mlflow(uri, "project", one.run.id)[0] for one in runs]
    assert [one.info.status for one in found] == ["FINISHED", "KILLED", "FAILED"]
    groups = [one.data.tags["group"] for one in found]
    assert groups[0] == groups[1] != groups[2]
    first = found[0]
    assert first.info.run_name == "exp/se seed 0"
    assert first.data.tags["branch"] == "exp/se"
    assert first.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert first.data.params["squeeze"] == "True"
    assert first.data.params["ratio"] == "0.25"
    assert found[2].data.params["run.epochs"] == "3"
    assert first.data.metrics["system/cpu_percent"] == 10.0
    kept = [p.name for p in (state.path / "mlflow/artifacts").rglob("*.*") if p.is_file()]
    assert sorted(kept) == ["filters-epoch0001.png"] * 3 + ["log.txt"] * 3


@with_tool("mlflow")
def test_the_source_of_a_run_in_mlflow_is_the_script_that_trained_it(
    writing: Writing, state: StateFolder
) -> None:
    one = WrittenRun(state, task="", script=Script(command=("python", "train.py", "{flags}")))
    one.begin()
    one.end()
    writing.send(one)
    found, _, _ = of_mlflow(writing.destination.address, "project", one.run.id)
    assert found.data.tags["mlflow.source.name"] == "python train.py '{flags}'"
    assert found.data.params["run.command"] == "python train.py '{flags}'"


@with_tool("mlflow")
def test_a_name_that_mlflow_refuses_is_replaced_and_said_once(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    for epoch in (1, 2):
        written.epoch(epoch, **{"val/accuracy[shirt]": 0.5, "x" * 300: 1.0})
        writing.send(written)
    written.end()
    writing.send(written)
    _, found, _ = of_mlflow(writing.destination.address, "project", written.run.id)
    assert found["val/accuracy:5B:shirt:5D:"] == {10: 0.5, 20: 0.5}
    assert len(writing.notes) == 2
    assert "val/accuracy:5B:shirt:5D:" in writing.notes[0]


@with_tool("mlflow")
def test_a_run_that_was_deleted_in_mlflow_is_written_anew(
    writing: Writing, written: WrittenRun
) -> None:
    from mlflow.tracking import MlflowClient

    written.begin()
    written.epoch(1)
    writing.send(written)
    run, _, _ = of_mlflow(writing.destination.address, "project", written.run.id)
    MlflowClient(tracking_uri=writing.destination.address).delete_run(run.info.run_id)
    writing.restart()
    written.epoch(2)
    written.end()
    writing.send(written)
    assert equals_index("mlflow", written)


@with_tool("tensorboard")
def test_tensorboard_shows_pictures_and_settings(writing: Writing, written: WrittenRun) -> None:
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    written.begin()
    written.epoch(1)
    written.picture(1)
    written.end()
    writing.send(written)
    reader, _, _ = of_tensorboard(board_of(written))
    (picture,) = reader.Images("filters")
    assert (picture.step, picture.width, picture.height) == (10, 1, 1)
    settings = EventAccumulator(str(board_of(written)))
    settings.Reload()
    content = settings.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["squeeze"].bool_value
    assert found["ratio"].number_value == 0.25


@with_tool("tensorboard")
def test_a_full_disk_keeps_a_board_readable_and_it_is_complete_when_there_is_room(
    writing: Writing, written: WrittenRun, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root")
    try:
        destination = destination_of("tensorboard", Track(), written.state, address=str(small))
        tool = open_tool(destination, writing.notes.append)
        sender = Sender(tool, destination.bookmarks(written.state), writing.notes.append)
        written.begin()
        written.epoch(1)
        sender.send(written.record(), written.folder)
        filler = small / "filler"
        filler.write_bytes(b"\0" * (small.stat().st_dev and 48 << 10))
        for epoch in range(2, 400):
            written.epoch(epoch)
        with pytest.raises(OSError, match="No space left"):
            sender.send(written.record(), written.folder)
        board = small / "exp/se" / f"0-{written.run.id}"
        assert of_tensorboard(board)[1]["val/accuracy"].keys() >= {10}
        filler.unlink()
        written.end()
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        sender.send(written.record(), written.folder)
        _, found, count = of_tensorboard(board)
        assert is_equal(metrics_of(found), single(written.indexed()))
        assert set(count.values()) == {1}
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@with_tool("wandb")
def test_wandb_groups_seeds_by_branch_without_an_account(
    writing: Writing, written: WrittenRun
) -> None:
    import json

    written.begin()
    written.epoch(1)
    written.picture(1)
    written.end()
    writing.send(written)
    run, found, last = of_wandb(written.state.path, written.run.id)
    assert (run.run_id, run.run_group, run.project) == (written.run.id, "exp/se", "project")
    assert run.display_name == "exp/se seed 0"
    config = {
        item.key or item.nested_key[0]: json.loads(item.value_json) for item in run.config.update
    }
    assert config["squeeze"] is True
    assert last == {"exit_code": 0}
    assert found["epoch"] == {10: 1.0}
    assert found["system/cpu_percent"] == {10: 10.0}


@with_tool("wandb")
def test_a_run_that_was_synced_already_is_not_taken_away(
    writing: Writing, written: WrittenRun
) -> None:
    written.begin()
    written.epoch(1)
    written.end(RunState.CANCELLED)
    writing.send(written)
    (first,) = written.state.path.glob("wandb/offline-run-*")
    (first / f"run-{written.run.id}.wandb.synced").touch()
    time.sleep(1.1)  # W&B names folders by the second
    written.begin()
    written.epoch(2)
    written.end()
    writing.send(written)
    assert first.is_dir()
    assert len(list(written.state.path.glob("wandb/offline-run-*"))) == 2
