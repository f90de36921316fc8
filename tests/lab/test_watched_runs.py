"""What screens ask about single runs: folders are written by hand, nothing is trained."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from branchlab.domain import Origin, Run, RunRecord, RunState, Sample, Scale
from branchlab.lab.again import again_arguments
from branchlab.lab.progress import fraction_of
from branchlab.lab.project import Project, open_project
from branchlab.lab.run_curves import Axis, loss_of, run_curves, value_at
from branchlab.lab.run_log import read_log
from branchlab.lab.run_pairs import RunPairs, apart_text, queue_of
from branchlab.lab.run_usage import machine_of
from branchlab.run_folder import EventWriter, Job
from branchlab.store.index import Index

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
METRIC = "val/accuracy"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("watched") / "project"
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    (root / ".branchlab.toml").write_text('[trainer]\ntask = "tiny:Tiny"\n')
    subprocess.run(["git", "-C", str(root), "add", "."], check=True)
    subprocess.run(["git", "-C", str(root), *who, "commit", "-qm", "First"], check=True)
    return root


@pytest.fixture
def project(empty: Path, tmp_path: Path) -> Project:
    shutil.copytree(empty, tmp_path / "project")
    found = open_project(tmp_path / "project")
    found.state.create()
    return found


def planned(branch: str = "main", seed: int = 0, **more: object) -> Run:
    values: dict[str, object] = {
        "id": f"{branch.rsplit('/', 1)[-1]}-s{seed}", "key": "k", "branch": branch, "commit": "c" * 40,
        "tree": "t" * 40, "task": "tiny:Tiny", "seed": seed, "scale": Scale.SAMPLE,
        "sample": Sample(fraction=0.1), "planned_at": START, **more,
    }  # fmt: skip
    return Run(**values)  # type: ignore[arg-type]


def done(run: Run, value: float) -> RunRecord:
    return RunRecord(run=run, state=RunState.DONE, metrics={METRIC: value})


def begun(project: Project, run: Run, *, log: bytes = b"") -> EventWriter:
    folder = project.state.run(run.id)
    folder.write_plan(run)
    attempt = folder.attempt(folder.attempts() + 1)
    attempt.path.mkdir(parents=True)
    attempt.log.write_bytes(log)
    events = EventWriter(attempt.events)
    events.write("start", epochs=2, steps=8)
    return events


def indexed(project: Project) -> None:
    index = Index(project.state)
    index.refresh()
    index.close()


def test_a_run_is_held_beside_mains_latest_of_the_same_seed_and_protocol() -> None:
    old = done(planned(id="old"), 0.80)
    new = done(planned(id="new", planned_at=START + timedelta(hours=1)), 0.82)
    failed = replace(old, run=planned(id="x", planned_at=START + timedelta(hours=2)))
    failed = replace(failed, state=RunState.FAILED)
    landed = done(planned(id="flags", flags={"se": True}), 0.9)
    ours = done(planned("exp/se", flags={"se": True}), 0.83)
    pairs = RunPairs()
    assert pairs.look([failed, new, old, landed, ours], main="main")
    assert pairs.of(ours) is new
    assert pairs.difference_text(ours, METRIC) == "+1.00pt"
    assert pairs.of(new) is None
    assert pairs.of(landed) is new
    assert not pairs.look([failed, new, old, landed, ours], main="main")


def test_runs_that_cannot_be_compared_have_no_difference() -> None:
    main = done(planned(), 0.8)
    pairs = RunPairs()
    full = done(planned("exp/se", scale=Scale.FULL), 0.9)
    other_seed = done(planned("exp/se", seed=1), 0.9)
    running = replace(done(planned("exp/se"), 0.9), state=RunState.RUNNING)
    without = replace(done(planned("exp/se"), 0.9), metrics={})
    pairs.look([main], main="main")
    for record in (full, other_seed, running, without):
        assert pairs.difference(record, METRIC) is None
        assert pairs.difference_text(record, METRIC) == ""
    assert apart_text("val/loss", 0.5, 0.75) == "-0.2500"


def test_what_waits_comes_in_the_order_of_its_plan() -> None:
    later = planned("main", 0, id="later", planned_at=START + timedelta(minutes=1))
    runs = [later, planned("exp/b", 0), planned("main", 1), planned("main", 0), planned("exp/a", 0)]
    waiting = [RunRecord(run=run, state=RunState.PLANNED) for run in runs]
    waiting.append(done(planned("exp/c"), 0.5))
    assert [record.run.id for record in queue_of(waiting, main="main")] == [
        "main-s0", "a-s0", "b-s0", "main-s1", "later",
    ]  # fmt: skip


def test_how_far_a_run_is_is_said_by_steps_or_else_by_epochs_or_not_at_all() -> None:
    running = RunRecord(run=planned(), state=RunState.RUNNING)
    assert fraction_of(running) is None
    assert fraction_of(replace(running, epoch=1, epochs=4)) == 0.25
    assert fraction_of(replace(running, step=9, steps=8)) == 1.0
    assert fraction_of(replace(running, state=RunState.DONE)) == 1.0


def test_curves_are_drawn_over_steps_epochs_or_seconds_of_training(project, monkeypatch) -> None:
    from branchlab.run_folder import events as module

    clock = [START]

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock[0]

    monkeypatch.setattr(module, "datetime", Clock)
    events = begun(project, planned())
    for step in (2, 4):
        clock[0] += timedelta(seconds=10)
        events.write("metric", epoch=step // 4, step=step, values={"train/loss": 1 / step})
    clock[0] += timedelta(hours=3)  # it was killed, and goes on
    events = begun(project, planned())
    clock[0] += timedelta(seconds=10)
    events.write(
        "epoch", epoch=1, step=6, values={"train/loss": 0.1, METRIC: 0.7}, images_per_s=1.0
    )
    indexed(project)
    by_step, by_epoch, by_time = (
        run_curves(project, "main-s0", ["train/loss", "no"], axis) for axis in Axis
    )
    assert by_step.points == {"train/loss": [(2, 0.5), (4, 0.25), (6, 0.1)]}
    assert by_epoch.points == {"train/loss": [(0, 0.5), (1, 0.1)]}
    assert by_time.points == {"train/loss": [(10, 0.5), (20, 0.25), (30, 0.1)]}
    assert by_step.names == ("train/loss", METRIC)


def test_a_run_that_is_gone_has_no_curves_log_or_samples(project) -> None:
    assert run_curves(project, "gone", [METRIC], Axis.TIME).points == {}
    assert read_log(project, "gone").lines == ()
    assert machine_of(project, "gone").samples == ()


def test_the_value_at_a_place_is_the_last_one_said_before_it() -> None:
    points = [(2, 0.5), (4, 0.25)]
    assert [value_at(points, place) for place in (1, 2, 3, 9)] == [None, 0.5, 0.5, 0.25]
    assert value_at([], 1) is None


def test_the_loss_is_the_training_loss_where_there_are_several() -> None:
    assert loss_of(["val/loss", "train/loss", "train/lr", "val/loss[shirt]"]) == "train/loss"
    assert loss_of(["val/Loss"]) == "val/Loss"
    assert loss_of(["accuracy"]) == ""


def test_a_log_is_read_on_where_the_last_reading_ended(project) -> None:
    begun(project, planned(), log=b"one\ntw")
    log = project.state.run("main-s0").attempt(1).log
    first = read_log(project, "main-s0")
    assert (first.lines, first.unfinished, first.is_anew) == (("one",), "tw", True)
    with log.open("ab") as file:
        file.write(b"o\nthree\n")
    second = read_log(project, "main-s0", after=first)
    assert (second.lines, second.unfinished, second.is_anew) == (("two", "three"), "", False)
    assert read_log(project, "main-s0", after=second).lines == ()
    log.write_bytes(b"cut\n")  # as a flood is
    third = read_log(project, "main-s0", after=second)
    assert (third.lines, third.is_anew) == (("cut",), True)
    begun(project, planned(), log=b"again\n")
    fourth = read_log(project, "main-s0", after=third)
    assert (fourth.attempt, fourth.lines, fourth.is_anew) == (2, ("again",), True)


def test_only_the_end_of_a_long_log_is_read_and_in_parts(project) -> None:
    begun(project, planned(), log=b"".join(b"line %d\n" % i for i in range(1000)))
    end = read_log(project, "main-s0", from_end_bytes=30)
    assert end.lines == ("line 997", "line 998", "line 999")
    assert end.is_left_out
    part = read_log(project, "main-s0", bytes_max=20)
    assert part.lines == ("line 0", "line 1")
    assert part.has_more
    assert read_log(project, "main-s0", after=part, bytes_max=20).lines == ("line 2", "line 3")


def test_nothing_in_a_log_acts_on_the_terminal_and_a_bar_is_its_last_state(project) -> None:
    bar = b"".join(b"\r%3d%%" % i for i in range(101))
    hostile = b"\x1b[31mred\x1b[0m\x1b]52;c;cHduZWQ=\x1b\\ \xff [red]x[/red]\x00"
    long = b"x" * 3_000_000
    begun(project, planned(), log=bar + b"\n" + hostile + b"\n" + long + b"\nlast\r 50%")
    part = read_log(project, "main-s0", from_end_bytes=4 << 20)
    shown, safe, cut = part.lines
    assert shown == "100%"
    assert safe == "red \N{REPLACEMENT CHARACTER} [red]x[/red]\N{SYMBOL FOR NULL}"
    assert len(cut) == 2000
    assert part.unfinished == " 50%"


def test_a_line_that_never_ends_is_given_in_pieces(project) -> None:
    begun(project, planned(), log=b"x" * 200_000)
    part = read_log(project, "main-s0")
    assert len(part.lines) == 1
    assert part.end == 200_000
    assert part.unfinished == ""


def test_the_samples_of_the_last_minute_are_given_with_the_machine_and_the_job(project) -> None:
    begun(project, planned())
    folder = project.state.run("main-s0")
    folder.write_job(Job(executor="slurm", job="17_3"))
    folder.attempt(1).write_environment({"digest": "a", "host": "node4"})
    usage = EventWriter(folder.attempt(1).usage)
    for percent in (10.0, 30.0):
        usage.write("usage", cpu_percent=percent, is_stopped=False)
    with folder.attempt(1).usage.open("ab") as file:
        file.write(b'{"seq":9,"cut')
    machine = machine_of(project, "main-s0")
    assert machine.of("cpu_percent") == [10.0, 30.0]
    assert machine.of("gpu_percent") == []
    assert (machine.host, machine.job) == ("node4", Job(executor="slurm", job="17_3"))
    assert len(machine_of(project, "main-s0", seconds=-1.0).samples) == 0


def test_the_command_that_goes_on_names_what_the_config_does_not(project) -> None:
    assert again_arguments(project, planned("exp/se")) == ("run", "exp/se")
    other = planned("exp/se", 7, scale=Scale.FULL, epochs=4, budget_s=90.0)
    assert again_arguments(project, other) == (
        "run", "exp/se", "--seeds", "8", "--full", "--epochs", "4", "--budget", "90s",
    )  # fmt: skip
    command = ("branchlab", "run", "se", "--flag", "p=0.5", "--flag=x=1", "--detach")
    typed = planned("exp/se", sample=Sample(fraction=0.25), origin=Origin(command=command))
    project.state.run(typed.id).write_plan(typed)
    assert again_arguments(project, typed) == (
        "run", "exp/se", "--sample", "0.25", "--flag", "p=0.5", "--flag=x=1",
    )  # fmt: skip


def test_a_value_that_is_no_number_is_no_reason_to_stop() -> None:
    assert apart_text(METRIC, math.nan, 0.5) == "+nan"
