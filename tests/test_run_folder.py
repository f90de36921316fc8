from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branchlab.domain import FlagStyle, Run, RunState, Sample, Scale, Script
from branchlab.errors import StoreError
from branchlab.run_folder import (
    Attempt,
    EventWriter,
    RunFolder,
    StateFolder,
    is_whole,
    locked,
    newest_whole,
    parse_event,
    read_events,
    read_examples,
    write_atomically,
    write_examples,
)

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PLAIN = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False)


def a_run(run_id: str = "main-s0-abc", **more: object) -> Run:
    values: dict[str, object] = {
        "id": run_id,
        "key": "k" * 64,
        "branch": "main",
        "commit": "c" * 40,
        "tree": "t" * 40,
        "task": "tiny.task:Tiny",
        "seed": 0,
        "scale": Scale.SAMPLE,
        "sample": Sample(fraction=0.1),
        "planned_at": datetime(2026, 11, 23, 10, tzinfo=UTC),
        **more,
    }
    return Run(**values)  # type: ignore[arg-type]


def events_file(folder: Path, num: int = 5) -> tuple[Path, bytes]:
    path = folder / "events.jsonl"
    path.unlink(missing_ok=True)
    writer = EventWriter(path)
    for i in range(num):
        writer.write("metric", step=i, text="é\n\x00" * i)
    return path, path.read_bytes()


@QUICK
@given(where=st.floats(0, 1))
def test_events_survive_a_cut_at_any_byte(tmp_path: Path, where: float) -> None:
    path, content = events_file(tmp_path)
    cut = round(where * len(content))
    path.write_bytes(content[:cut])
    chunk = read_events(path)
    whole = content[:cut].count(b"\n")
    assert [event["seq"] for event in chunk.events] == list(range(whole))
    assert chunk.num_damaged == 0
    # What comes later is read from where the whole lines ended, and nothing is read twice.
    path.write_bytes(content)
    rest = read_events(path, offset=chunk.next_offset)
    assert [event["seq"] for event in rest.events] == list(range(whole, 5))


@QUICK
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_its_own_lines_and_no_other(
    tmp_path: Path, where: float, bit: int
) -> None:
    path, content = events_file(tmp_path)
    at = int(where * len(content))
    damaged = bytearray(content)
    damaged[at] ^= 1 << bit
    path.write_bytes(bytes(damaged))
    hit = content[:at].count(b"\n")
    # A flipped line end glues two lines together (or leaves the last one unfinished).
    lost = {hit, hit + 1} if content[at : at + 1] == b"\n" else {hit}
    chunk = read_events(path)
    assert [event["seq"] for event in chunk.events] == [n for n in range(5) if n not in lost]
    is_unfinished = content[at : at + 1] == b"\n" and at == len(content) - 1
    assert (chunk.num_damaged > 0) != is_unfinished


@QUICK
@given(line=st.binary(max_size=200))
def test_no_line_that_was_not_written_as_an_event_is_read_as_one(line: bytes) -> None:
    assert parse_event(line) is None


_SHORT_WRITE = """
import resource, sys
from branchlab.run_folder import EventWriter
from pathlib import Path
writer = EventWriter(Path(sys.argv[1]))
writer.write("first")
size = Path(sys.argv[1]).stat().st_size
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
for _ in range(2):
    try:
        writer.write("torn", text="x" * 100)
    except OSError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.write("after")
"""


def test_a_torn_line_on_a_full_disk_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", _SHORT_WRITE, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "is the disk full?" in done.stdout
    chunk = read_events(path)
    assert [event["kind"] for event in chunk.events] == ["first", "after"]
    assert chunk.num_damaged == 1


def test_events_are_read_on_from_an_offset_in_small_bites(tmp_path: Path) -> None:
    path, content = events_file(tmp_path)
    seen, offset = [], 0
    while (chunk := read_events(path, offset=offset, size_max=200)).next_offset > offset:
        seen += [event["seq"] for event in chunk.events]
        offset = chunk.next_offset
    assert seen == [0, 1, 2, 3, 4]
    assert offset == len(content)


def test_a_missing_events_file_has_no_events(tmp_path: Path) -> None:
    chunk = read_events(tmp_path / "none", offset=7)
    assert (chunk.events, chunk.next_offset) == ((), 7)


def test_the_first_result_stands(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    attempt.write_result(RunState.DONE, metrics={"val/accuracy": 0.5})
    attempt.write_result(RunState.LOST, reason="too late")
    result = attempt.read_result()
    assert result is not None
    assert (result["state"], result["reason"]) == ("done", "")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'"done"', b"{}", b'{"state": 3}', b'{"state": "asleep"}'],
)
def test_a_result_that_says_nothing_is_none(tmp_path: Path, content: bytes) -> None:
    attempt = Attempt(tmp_path)
    attempt.result.write_bytes(content)
    assert attempt.read_result() is None


@QUICK
@given(
    flags=st.dictionaries(st.text(), PLAIN), arguments=st.dictionaries(st.text(), PLAIN, max_size=3)
)
def test_a_plan_reads_back_as_it_was_written(
    tmp_path: Path, flags: dict[str, bool], arguments: dict[str, bool]
) -> None:
    run = a_run(flags=flags, arguments=arguments, environment={"torch": "2.15"}, epochs=3)
    folder = StateFolder(tmp_path).run(run.id)
    folder.write_plan(run)
    assert folder.read_plan() == run


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda _: "[]",
        lambda _: "null",
        lambda text: text.replace("sample", "simple"),
        lambda text: text.replace('"planned_at": "2026', '"planned_at": "x'),
        lambda text: text.replace('"scale": "sample"', '"scale": "huge"'),
    ],
)
def test_a_damaged_plan_is_a_store_error_that_names_the_run(tmp_path: Path, damage) -> None:
    folder = StateFolder(tmp_path).run("main-s0-abc")
    folder.write_plan(a_run())
    folder.plan.write_text(damage(folder.plan.read_text()))
    with pytest.raises(StoreError, match="main-s0-abc"):
        folder.read_plan()


def test_a_copied_run_folder_is_not_taken_for_the_run_itself(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.run("main-s0-abc").write_plan(a_run())
    copy = state.run("backup")
    write_atomically(copy.plan, state.run("main-s0-abc").plan.read_bytes())
    with pytest.raises(StoreError, match="another run, main-s0-abc"):
        copy.read_plan()


def test_attempts_are_counted_by_number_and_not_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.attempts() == 0
    assert folder.latest() is None
    for name in ("1", "9", "10", "notes", "²"):
        (tmp_path / "attempts" / name).mkdir(parents=True)
    assert folder.attempts() == 10


def test_an_interrupted_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_state_folder_ignores_itself_in_git_and_keeps_what_the_user_wrote_there(
    tmp_path: Path,
) -> None:
    state = StateFolder(tmp_path / ".branchlab")
    state.create()
    ignore = state.path / ".gitignore"
    assert ignore.read_text() == "*\n"
    ignore.write_text("*\n!keep\n")
    state.create()
    assert "keep" in ignore.read_text()


_HOLD = """
import sys
from pathlib import Path
from branchlab.run_folder import locked
with locked(Path(sys.argv[1])) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_another_process_out_until_its_owner_is_killed(tmp_path: Path) -> None:
    lease = tmp_path / "lease"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lease)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"True\n"
        with locked(lease) as is_ours:
            assert not is_ours
        owner.kill()
        owner.wait()
        with locked(lease, wait_s=5) as is_ours:
            assert is_ours


def test_a_lock_is_not_lost_when_the_file_is_read_meanwhile(tmp_path: Path) -> None:
    lease = tmp_path / "lease"
    with locked(lease) as is_ours:
        assert is_ours
        lease.read_bytes()
        with locked(lease) as is_ours_again:
            assert not is_ours_again


def test_a_result_holds_no_number_that_json_cannot(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    attempt.write_result(RunState.FAILED, metrics={"val/loss": "nan"})
    assert json.loads(attempt.result.read_text())["metrics"] == {"val/loss": "nan"}


def test_the_newest_whole_checkpoint_is_found(tmp_path: Path) -> None:
    import torch

    for age, name in enumerate(("a.pt", "deep/b.pt", "c.pt", "d.pt", "e.pt")):
        place = tmp_path / name
        place.parent.mkdir(exist_ok=True)
        torch.save({"weights": torch.zeros(1000)}, place)
        os.utime(place, (1_000_000 + age, 1_000_000 + age))
    content = (tmp_path / "e.pt").read_bytes()
    (tmp_path / "c.pt").write_bytes(b"")
    (tmp_path / "d.pt").write_bytes(content[:-30])
    (tmp_path / "e.pt").write_bytes(content[:800] + b"\1" * 64 + content[864:])
    for age, name in enumerate(("c.pt", "d.pt", "e.pt"), 5):
        os.utime(tmp_path / name, (1_000_000 + age, 1_000_000 + age))
    assert newest_whole(tmp_path, "*.pt") == tmp_path / "deep/b.pt"
    assert newest_whole(tmp_path, "./*.pt") == tmp_path / "a.pt"
    assert newest_whole(tmp_path, "*.ckpt") is None
    assert newest_whole(tmp_path / "nowhere", "*.pt") is None


@pytest.mark.parametrize(
    ("size", "is_so"), [(None, True), (-1, False), (20, False), (8, False), (0, False)]
)
def test_safetensors_say_how_long_they_are(tmp_path: Path, size, is_so) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    content = struct.pack("<Q", len(header)) + header + b"\0" * 16
    (tmp_path / "m.safetensors").write_bytes(content[:size])
    assert is_whole(tmp_path / "m.safetensors") is is_so


def test_a_plan_with_a_script_is_read_as_it_was_written(tmp_path: Path) -> None:
    script = Script(
        command=("python", "t.py", "{flags}"),
        flag_style=FlagStyle.BARE,
        resume=("--resume", "{checkpoint}"),
        checkpoint="*.pt",
        taken={"t.py": "b" * 40},
    )
    run = a_run(task="", script=script, code="d" * 40)
    folder = RunFolder(tmp_path / run.id)
    folder.write_plan(run)
    assert folder.read_plan() == run
    assert run.checked_out == "d" * 40


def test_results_by_example_come_back_as_they_were_written(tmp_path) -> None:
    path = tmp_path / "attempts" / "1" / "val_examples.npz"
    arrays = {"ids": np.arange(5), "iou/shirt": np.linspace(0, 1, 5), "file": np.ones(5, bool)}
    write_examples(path, arrays)
    found = read_examples(path)
    assert found is not None
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    content = path.read_bytes()
    write_examples(path, arrays)
    assert path.read_bytes() == content


@QUICK
@given(place=st.floats(0, 1, exclude_max=True), is_cut=st.booleans())
def test_damaged_results_by_example_are_as_if_they_were_not_there(tmp_path, place, is_cut) -> None:
    path = tmp_path / "val_examples.npz"
    arrays = {"ids": np.arange(200), "accuracy": np.arange(200) % 3 == 0}
    write_examples(path, arrays)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if is_cut:
        content = content[:at]
    else:
        content[at] ^= 0xFF
    path.write_bytes(content)
    found = read_examples(path)
    # A flipped date or attribute is no damage to what the arrays say.
    assert found is None or (
        not is_cut and all(np.array_equal(found[name], arrays[name]) for name in found)
    )


def test_results_by_example_are_never_unpickled(tmp_path) -> None:
    path = tmp_path / "val_examples.npz"
    np.savez(path, ids=np.array([object()], dtype=object))
    assert read_examples(path) is None
    assert read_examples(tmp_path / "missing.npz") is None
