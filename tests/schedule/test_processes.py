"""Runs of several processes, through the real launcher: gloo on the CPU."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
from pathlib import Path

import pytest
import torch

from branchlab.domain import RunState
from branchlab.run_folder import read_examples
from branchlab.schedule.pool import StopRequest
from branchlab.train.checkpoint import load_tensors

TASK = """
import os, signal, time
from pathlib import Path
import torch
from torch import nn
import branchlab

RANK = int(os.environ.get("RANK", 0))

class Telling(nn.Conv2d):
    def forward(self, inputs):
        branchlab.log("enters", inputs.mean())
        return super().forward(inputs)

class Net(nn.Module):
    def __init__(self, *, is_normed, dropout, has_spare):
        super().__init__()
        self.encoder = Telling(1, 4, 3)
        self.norm = nn.BatchNorm2d(4) if is_normed else nn.Identity()
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(144, 2)
        if has_spare:
            self.spare = nn.Linear(3, 3)

    def forward(self, inputs):
        return self.head(self.drop(self.norm(self.encoder(inputs)).relu().flatten(1)))

class Joint(branchlab.Task):
    def __init__(self, *, normed=False, dropout=0.0, noise=0.0, spare=False, around=False,
                 size=12, optimizer="adamw", clip=0.0, precision="auto", parts=1, ema=0.0, thaws="", deed="", rank=1, at=6, gate="", pids=""):
        self.recipe = branchlab.Recipe(
            epochs=4, batch_size=size, lr=0.02, optimizer=optimizer, clip_norm=clip or None,
            precision=precision, accumulate=parts, ema=ema or None,
            frozen={thaws: 0.5} if thaws else {},
        )
        self.options = dict(is_normed=normed, dropout=dropout, has_spare=spare)
        self.noise, self.around, self.step = noise, around, 0
        self.at, self.gate = at, gate
        # A deed is done once, by one rank: a run that goes on finds its gate open.
        is_done = gate and Path(gate).exists()
        self.deed = "" if is_done or (rank != RANK and rank >= 0) else deed
        if pids:
            Path(pids, f"{RANK}-{os.getpid()}").touch()
            Path(pids, f"launcher-{os.getppid()}").touch()

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (87, 1, 8, 8), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        return branchlab.Splits(
            train=branchlab.Examples(inputs[:52], targets[:52]),
            val=branchlab.Examples(inputs[52:], targets[52:]),
        )

    def model(self):
        return Net(**self.options)

    def augment(self, batch, generator):
        self.step += 1
        if self.deed and self.step == self.at:
            print("at the gate", flush=True)
            if self.gate:
                Path(self.gate).touch()
            getattr(self, self.deed)()
            if self.deed == "poison":
                return batch.with_inputs(batch.inputs * float("nan"))
        elif self.deed == "slow" and self.step > self.at:
            time.sleep(0.1)
        if self.noise:
            drawn = torch.rand(batch.inputs.shape, generator=generator)
            return batch.with_inputs(batch.inputs + self.noise * drawn)
        return batch

    def forward(self, model, batch):
        if self.deed == "drift" and model.training:
            with torch.no_grad():
                model.head.weight.add_(torch.rand_like(model.head.weight))
        if self.around:
            hidden = model.norm(model.encoder(batch.inputs)).relu().flatten(1)
            return model.head(model.drop(hidden))
        return model(batch.inputs)

    def slow(self):
        pass

    def drift(self):
        pass

    def poison(self):
        pass

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self):
        os._exit(7)

    def hang(self):
        time.sleep(600)

    def blow(self):
        raise ValueError(f"boom on {RANK}")

    def behead(self):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
"""

RANDOM = {"normed": True, "dropout": 0.3, "noise": 0.1}


@pytest.fixture
def joint(lab):
    """Return the lab with a task that may be trained by several processes, and a maker of its runs."""
    (lab.tree / "joint.py").write_text(TASK)

    def plan(run_id: str, *, processes: int = 2, budget_s: float | None = None, **flags: object):
        run = lab.plan(run_id, processes=processes, **flags)
        run = dataclasses.replace(run, task="joint:Joint", budget_s=budget_s)
        lab.state.run(run_id).write_plan(run)
        return run

    lab.plan_joint = plan
    return lab


def checkpoint(lab, run_id: str) -> dict:
    document = load_tensors(lab.state.run(run_id).checkpoint)
    assert document is not None
    return document


def examples(lab, run_id: str) -> dict:
    found = read_examples(lab.state.run(run_id).latest().val_examples)
    assert found is not None
    return {name: torch.from_numpy(array) for name, array in found.items()}


def assert_same_bits(lab, one: str, other: str) -> None:
    assert lab.outcome(one) == lab.outcome(other)
    for found, expected in (
        (checkpoint(lab, one)["model"], checkpoint(lab, other)["model"]),
        (examples(lab, one), examples(lab, other)),
    ):
        assert found.keys() == expected.keys()
        for name, value in found.items():
            assert torch.equal(value, expected[name]), name


def are_gone(folder: Path) -> bool:
    pids = [int(path.name.rpartition("-")[2]) for path in folder.iterdir()]
    assert len(pids) == 3  # two ranks and their launcher
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(
    ("how", "tolerance"),
    [
        pytest.param({}, 1e-5, id="plain", marks=pytest.mark.slow),
        pytest.param({"optimizer": "sgd", "clip": 0.1}, 1e-5, id="clipped", marks=pytest.mark.slow),
        pytest.param({"precision": "bf16"}, 1e-2, id="bf16", marks=pytest.mark.slow),
        pytest.param(
            {"parts": 2, "ema": 0.9, "thaws": "encoder.*"}, 1e-5, id="in-parts-averaged-thawing"
        ),
    ],
)
def test_two_processes_train_like_one(joint, how: dict, tolerance: float) -> None:
    runs = [joint.plan_joint("one", processes=1, **how), joint.plan_joint("two", **how)]
    records = joint.carry_out(*runs)
    assert records["two"].state is RunState.DONE
    assert records["one"].step == records["two"].step == 16
    one, two = checkpoint(joint, "one"), checkpoint(joint, "two")
    assert torch.allclose(one["losses"], two["losses"], atol=tolerance)
    assert one["model"].keys() == two["model"].keys()
    metrics = [records[name].metrics for name in ("one", "two")]
    assert {"train/enters", "val/enters"} <= metrics[1].keys()  # told by both, one mean
    assert metrics[0] == pytest.approx(dict(metrics[1]), abs=10 * tolerance)
    one, two = examples(joint, "one"), examples(joint, "two")
    assert one["ids"].tolist() == two["ids"].tolist() == list(range(35))
    assert tolerance > 1e-5 or torch.equal(one["accuracy"], two["accuracy"])
    assert joint.log("two") == ""


def test_two_runs_of_two_processes_give_the_same_bits(joint) -> None:
    joint.carry_out(*(joint.plan_joint(name, ema=0.9, **RANDOM) for name in "ab"))
    assert joint.result("a")["state"] == "done"
    assert_same_bits(joint, "a", "b")


@pytest.mark.slow
def test_every_process_draws_numbers_of_its_own(joint) -> None:
    joint.carry_out(joint.plan_joint("a", **RANDOM))
    saved = checkpoint(joint, "a")
    ((random, augmenting, *_),) = saved["other_ranks"]
    assert not torch.equal(random["torch"], saved["random"]["torch"])
    assert not torch.equal(augmenting, saved["augmenting"])


@pytest.mark.slow
def test_a_task_that_goes_round_its_model_and_leaves_parts_out_trains_all_the_same(joint) -> None:
    joint.carry_out(joint.plan_joint("a"), joint.plan_joint("b", around=True, spare=True))
    # The spare layer is built last: what came before it has the same weights.
    assert joint.outcome("a")[:3] == joint.outcome("b")[:3]


@pytest.mark.slow
def test_a_stopped_run_of_two_processes_goes_on_bit_for_bit(joint) -> None:
    run, stop = joint.plan_joint("a", deed="slow", **RANDOM), StopRequest()
    for _ in joint.start([run], stop):
        if joint.gate("a").exists():
            stop.level = 1
    record = joint.records()["a"]
    assert record.state is RunState.CANCELLED
    assert record.reason.startswith("stopped at step ")
    again = joint.carry_out(run, joint.plan_joint("whole", **RANDOM))["a"]
    assert (again.state, again.attempts) == (RunState.DONE, 2)
    assert_same_bits(joint, "a", "whole")


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["0", "1", "launcher"])
def test_whichever_process_is_asked_all_stop_at_one_step(joint, tmp_path: Path, whom: str) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    run = joint.plan_joint("a", deed="slow", rank=-1, pids=str(pids), **RANDOM)
    is_sent = False
    for _ in joint.start([run]):
        if joint.gate("a").exists() and not is_sent:
            is_sent = True
            (path,) = pids.glob(f"{whom}-*")
            os.kill(int(path.name.rpartition("-")[2]), signal.SIGTERM)
    record = joint.records()["a"]
    assert record.reason == f"stopped at step {checkpoint(joint, 'a')['step']}"


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_one_process_fails_the_run_with_its_step(joint) -> None:
    record = joint.carry_out(joint.plan_joint("a", deed="poison"))["a"]
    assert record.state is RunState.FAILED
    assert record.reason == "the loss is nan at step 6 of 16 (epoch 2)"


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_goes_on_bit_for_bit_after_one_of_its_processes_was_killed(
    joint, processes: int
) -> None:
    how = {"processes": processes, **RANDOM}
    run = joint.plan_joint("a", deed="die", **how)
    record = joint.carry_out(run, checkpoint_s=0.0)["a"]
    assert record.state is RunState.FAILED
    assert record.reason == f"process 1 of {processes} was ended by SIGKILL"
    assert 0 < checkpoint(joint, "a")["step"] < 16
    joint.carry_out(run, joint.plan_joint("whole", **how))
    assert joint.result("a")["state"] == "done"
    assert_same_bits(joint, "a", "whole")


@pytest.mark.parametrize(
    "rank",
    [
        pytest.param(0, id="first", marks=pytest.mark.slow),
        pytest.param(1, id="second"),
        pytest.param(-1, id="all", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_raises_ends_the_run_with_its_reason(joint, rank: int) -> None:
    record = joint.carry_out(joint.plan_joint("a", deed="blow", rank=rank))["a"]
    assert record.state is RunState.FAILED
    who = rank if rank >= 0 else "[01]"
    assert re.fullmatch(rf"ValueError: boom on {who} \(joint.py:\d+\)", record.reason)
    assert "at the gate" in joint.log("a")
    assert "Traceback" in joint.log("a")
    assert ("[process 1] ValueError: boom on 1" in joint.log("a")) == (rank != 0)
    events = joint.state.run("a").latest().events.read_text().splitlines()
    assert [f'"seq":{number},' in line for number, line in enumerate(events)] == [True] * len(
        events
    )


@pytest.mark.slow
def test_a_process_that_leaves_is_named(joint) -> None:
    record = joint.carry_out(joint.plan_joint("a", deed="leave"))["a"]
    assert record.reason == "process 1 of 2 left with exit code 7 without a result"


def test_a_branch_that_does_not_import_fails_with_one_reason(joint) -> None:
    (joint.tree / "joint.py").write_text("import nowhere_at_all\n")
    record = joint.carry_out(joint.plan_joint("a"))["a"]
    assert record.reason == "ModuleNotFoundError: No module named 'nowhere_at_all' (joint.py:1)"


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (
            13,
            "recipe.batch_size = 13 cannot be shared by [run] processes = 2: needs a multiple of 2",
        ),
        pytest.param(1, "recipe.batch_size = 1 cannot be shared", marks=pytest.mark.slow),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(joint, size: int, said: str) -> None:
    record = joint.carry_out(joint.plan_joint("a", size=size))["a"]
    assert record.state is RunState.FAILED
    assert record.reason.startswith(said)
    assert "Traceback" not in joint.log("a")


@pytest.mark.slow
def test_a_training_set_smaller_than_a_batch_must_be_shared_too(joint) -> None:
    record = joint.carry_out(joint.plan_joint("a", processes=3, size=99))["a"]
    assert record.reason == (
        "the training set of 52 examples, which is less than one batch of 99, "
        "cannot be shared by [run] processes = 3: needs a multiple of 3"
    )


def test_weights_that_change_behind_the_optimiser_are_found_after_one_step(joint) -> None:
    record = joint.carry_out(joint.plan_joint("a", deed="drift", rank=-1, at=-1))["a"]
    assert record.state is RunState.FAILED
    assert "differ between the 2 processes of this run" in record.reason
    assert "after one step" in record.reason


@pytest.mark.parametrize("deed", ["die", pytest.param("behead", marks=pytest.mark.slow)])
def test_no_process_is_left_when_one_is_killed(
    joint, tmp_path: Path, wait_until, deed: str
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    record = joint.carry_out(joint.plan_joint("a", deed=deed, pids=str(pids)))["a"]
    assert record.state is RunState.FAILED
    wait_until(lambda: are_gone(pids))


@pytest.mark.slow
def test_a_process_that_hangs_ends_with_one_that_was_killed(joint, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    run = joint.plan_joint("a", deed="hang", rank=0, pids=str(pids))
    for _ in joint.start([run]):
        if joint.gate("a").exists():
            for path in pids.glob("1-*"):
                path.rename(pids / path.name.replace("1-", "killed-"))
                os.kill(int(path.name[2:]), signal.SIGKILL)
    assert joint.records()["a"].reason == "process 1 of 2 was ended by SIGKILL"
    assert are_gone(pids)


@pytest.mark.slow
def test_a_run_of_two_processes_that_takes_too_long_is_ended_whole(
    joint, tmp_path: Path, wait_until
) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    run = joint.plan_joint("a", deed="hang", pids=str(pids))
    record = joint.carry_out(run, timeout_s=3.0)["a"]
    assert record.reason == "it took longer than [run] timeout_s = 3"
    wait_until(lambda: are_gone(pids))


@pytest.mark.slow
def test_two_processes_share_one_budget_of_time(joint) -> None:
    record = joint.carry_out(joint.plan_joint("a", budget_s=0.3, **RANDOM))["a"]
    assert record.state is RunState.DONE, record.reason
    assert record.step > 4
