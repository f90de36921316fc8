from __future__ import annotations

import math

import pytest
import torch
from PIL import Image
from torch import nn

import branchlab
from branchlab.domain import RunState, Scale
from branchlab.run_folder import read_events, read_examples
from branchlab.train.checkpoint import load_tensors, save_tensors


def kinds(training, kind: str) -> list[dict]:
    events = read_events(training.latest.events).events
    return [event for event in events if event["kind"] == kind]


def saved(training) -> dict:
    document = load_tensors(training.folder.checkpoint)
    assert document is not None
    return document


def assert_same_bits(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def assert_same_training(one, other) -> None:
    assert_same_bits(saved(one)["model"], saved(other)["model"])
    assert torch.equal(saved(one)["losses"], saved(other)["losses"])
    examples = one.latest.val_examples.read_bytes(), other.latest.val_examples.read_bytes()
    assert examples[0] == examples[1]


def test_two_runs_of_one_plan_give_the_same_bits(new_training) -> None:
    one, other = new_training(), new_training()
    endings = one(), other()
    assert endings[0] == endings[1]
    assert endings[0].state is RunState.DONE
    assert endings[0].steps == 12
    assert_same_training(one, other)


def test_another_seed_gives_another_training(new_training) -> None:
    assert new_training()(seed=0).loss_digest != new_training()(seed=1).loss_digest


# Four steps an epoch, three epochs: within one, at both boundaries, and the very last step.
@pytest.mark.parametrize("step", [1, 4, 6, 8, 12])
def test_a_stopped_run_goes_on_bit_for_bit(new_training, step: int) -> None:
    undisturbed, resumed = new_training(), new_training()
    expected = undisturbed()
    ending = resumed(stop_at=step)
    assert ending.state is RunState.CANCELLED
    assert ending.reason == f"stopped at step {step}"
    torch.manual_seed(99)  # another process would have other global state
    assert resumed() == expected
    assert kinds(resumed, "start")[0]["resumed_at_step"] == step
    assert_same_training(undisturbed, resumed)


def test_a_run_stopped_after_every_step_still_ends_the_same(new_training) -> None:
    expected, resumed = new_training()(), new_training()
    for step in range(1, 13):
        assert resumed(stop_at=1).reason == f"stopped at step {step}"
    assert resumed() == expected


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"optimizer": "lion"}, "known here are adamw, sgd and muon"),
        ({"schedule": "linear"}, "known here are onecycle"),
        ({"precision": "fp8"}, "known here are auto, fp32, bf16 and fp16"),
        ({"epochs": 0}, "at least one epoch"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"accumulate": 9, "batch_size": 8}, "1 to batch_size parts"),
        ({"frozen": {"*": 2.0}}, "frozen = .* shares from 0 to 1"),
        ({"ema": 1.0}, "a decay between 0 and 1"),
        ({"patience": 0}, "at least 1, or None"),
        ({"final": "first"}, "known here are last and best"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused(training, tiny, recipe: dict, said: str) -> None:
    def train_by_it() -> None:
        task = tiny()
        task.recipe = branchlab.Recipe(**recipe)
        training(task)

    with pytest.raises(ValueError, match=said):
        train_by_it()


def test_a_model_that_draws_more_numbers_sees_the_same_batches(new_training, tiny) -> None:
    base, more = tiny(), tiny(extra_draws=1000)
    endings = new_training()(base), new_training()(more)
    assert [ids.tolist() for ids in base.seen] == [ids.tolist() for ids in more.seen]
    assert len(base.seen) == 12
    assert endings[0].loss_digest != endings[1].loss_digest


def test_numbers_drawn_for_metrics_and_pictures_are_no_part_of_the_training(
    new_training, tiny
) -> None:
    class Drawing(tiny):
        def metrics(self, outputs, batch):
            torch.rand(3)
            return super().metrics(outputs, batch)

        def pictures(self, outputs, batch):
            return {"noise": torch.rand(1, 4, 4)}

    plain, drawing = new_training(), new_training()
    assert plain(tiny()).loss_digest == drawing(Drawing()).loss_digest


def test_every_example_is_seen_at_most_once_an_epoch_in_an_order_of_its_own(training, tiny) -> None:
    task = tiny()
    training(task)
    epochs = [torch.cat(task.seen[start : start + 4]).tolist() for start in (0, 4, 8)]
    for ids in epochs:
        assert len(set(ids)) == len(ids) == 32
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_test_set_is_touched_at_full_scale_alone(new_training) -> None:
    sample, full = new_training()(), new_training()(scale=Scale.FULL)
    state = {"train/loss", "train/lr", "train/grad_norm", "train/weight_norm"}
    assert set(sample.metrics) == {"val/loss", "val/accuracy", *state}
    assert set(full.metrics) == {*sample.metrics, "test/loss", "test/accuracy"}
    assert full.steps == 15


def test_a_batch_larger_than_the_sample_is_the_whole_sample(training, tiny) -> None:
    task = tiny()
    task.recipe = branchlab.Recipe(epochs=2, batch_size=1000)
    assert training(task).steps == 2


def test_planned_epochs_come_before_the_recipes_own(training) -> None:
    assert training(epochs=1).steps == 4


def test_validation_is_kept_for_each_example(training) -> None:
    ending = training()
    examples = read_examples(training.latest.val_examples)
    assert examples is not None
    assert examples["ids"].tolist() == list(range(20))
    assert examples["accuracy"].mean() == ending.metrics["val/accuracy"]


def test_a_loss_that_is_not_finite_fails_with_its_step(training, tiny) -> None:
    class Diverging(tiny):
        def loss(self, outputs, batch):
            factor = math.inf if len(self.seen) == 6 else 1.0
            return super().loss(outputs, batch) * factor

    ending = training(Diverging())
    assert ending.state is RunState.FAILED
    assert ending.reason == "the loss is inf at step 6 of 12 (epoch 2)"


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (lambda outputs, batch: outputs.mean(), r"shape \(\) for a batch of"),
        (lambda outputs, batch: outputs[:-1, 0], r"shape \(19,\) for a batch of 20"),
        (lambda outputs, batch: 0.5, "type float for a batch of"),
    ],
)
def test_a_metric_that_is_not_one_value_an_example_fails_with_its_name(
    training, tiny, metric, said: str
) -> None:
    class Odd(tiny):
        def metrics(self, outputs, batch):
            return {"odd": metric(outputs, batch)}

    with pytest.raises(ValueError, match=f"metric 'odd' has {said}"):
        training(Odd())


def test_an_undefined_metric_is_recorded_and_is_no_crash(training, tiny) -> None:
    class Undefined(tiny):
        def metrics(self, outputs, batch):
            return {"ratio": torch.full((len(batch),), math.nan)}

    assert math.isnan(training(Undefined()).metrics["val/ratio"])
    assert kinds(training, "epoch")[-1]["values"]["val/ratio"] == "nan"


def damage_cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_bytes(content: bytes) -> bytes:
    return content[:100] + b"\xff" * 200 + content[300:]


@pytest.mark.parametrize(
    "damage",
    [damage_cut, damage_bytes, lambda _: b"", lambda _: b"\x80\x02garbage", lambda _: b"{}"],
    ids=["cut", "overwritten", "empty", "pickle", "text"],
)
def test_a_damaged_checkpoint_starts_the_run_anew_and_says_so(new_training, damage) -> None:
    expected, resumed = new_training()(), new_training()
    resumed(stop_at=6)
    checkpoint = resumed.folder.checkpoint
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert resumed() == expected
    assert kinds(resumed, "start")[0]["resumed_at_step"] == 0
    assert "starts anew" in kinds(resumed, "warning")[0]["text"]


def test_no_damaged_byte_of_a_checkpoint_goes_unnoticed(training) -> None:
    training(stop_at=2)
    checkpoint = training.folder.checkpoint
    content = checkpoint.read_bytes()
    whole = saved(training)
    for at in range(0, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        checkpoint.write_bytes(bytes(damaged))
        found = load_tensors(checkpoint)
        if found is not None:
            assert_same_bits(found["model"], whole["model"])
            assert torch.equal(found["losses"], whole["losses"])


def test_a_checkpoint_of_something_else_starts_the_run_anew(new_training) -> None:
    expected, odd = new_training()(), new_training()
    save_tensors(odd.folder.checkpoint, {"weights": torch.zeros(3)})
    assert odd() == expected


def test_a_run_without_a_checkpoint_warns_of_nothing(training) -> None:
    training()
    assert kinds(training, "warning") == []


def test_pictures_are_saved_after_the_first_and_the_last_epoch(training, tiny) -> None:
    class Seeing(tiny):
        def pictures(self, outputs, batch):
            return {"in put/1": batch.inputs[0], "map": batch.inputs[0].repeat(3, 1, 1)}

    training(Seeing())
    names = sorted(path.name for path in training.folder.pictures.iterdir())
    assert names == [f"{n}-epoch000{e}.png" for n in ("in-put-1", "map") for e in (1, 3)]
    assert [event["file"] for event in kinds(training, "picture")] == sorted(
        names, key=lambda name: name[-5]
    )


def test_what_entered_is_drawn_where_a_task_draws_nothing(training, tiny) -> None:
    class Dark(tiny):
        def augment(self, batch, generator):
            return batch.with_inputs(super().augment(batch, generator).inputs * 0)

    training(Dark())
    names = sorted(path.name for path in training.folder.pictures.iterdir())
    assert names == ["inputs-epoch0001.png", "inputs-epoch0003.png"]
    drawn = Image.open(training.folder.pictures / names[0]).convert("L")
    above = drawn.crop((0, 0, drawn.width, drawn.height // 2))
    below = drawn.crop((0, drawn.height // 2, drawn.width, drawn.height))
    assert above.getextrema()[1] > 200
    assert below.getextrema() == (0, 0)


def test_inputs_that_are_no_images_are_not_drawn(training, tiny) -> None:
    class Flat(tiny):
        def prepare(self, batch):
            return batch.with_inputs(super().prepare(batch).inputs.flatten(1))

        def data(self):
            given = super().data()
            flat = lambda one: branchlab.Examples(one.inputs.flatten(1), one.targets)  # noqa: E731
            return branchlab.Splits(train=flat(given.train), val=flat(given.val))

        def model(self):
            return nn.Linear(64, 2)

    training(Flat())
    assert not training.folder.pictures.exists()
    assert kinds(training, "warning") == []


@pytest.mark.parametrize(
    "pictures",
    [{"flat": torch.zeros(64)}, {"many": torch.zeros(7, 8, 8)}, None, {"text": "x"}],
    ids=["flat", "channels", "none", "text"],
)
def test_a_picture_that_fails_is_a_warning_and_hurts_nothing(
    new_training, tiny, pictures: object
) -> None:
    class Blind(tiny):
        def pictures(self, outputs, batch):
            return pictures

    expected, blind = new_training()(), new_training()
    assert blind(Blind()) == expected
    assert len(kinds(blind, "warning")) == 2
    assert "no pictures" in kinds(blind, "warning")[0]["text"]


def test_what_the_project_raises_passes_through(training, tiny) -> None:
    class Broken(tiny):
        def model(self) -> nn.Module:
            raise RuntimeError("no such layer")

    with pytest.raises(RuntimeError, match="no such layer"):
        training(Broken())


def test_events_tell_the_whole_course_of_a_training(training) -> None:
    ending = training()
    start = kinds(training, "start")[0]
    assert (start["steps"], start["epochs"], start["num_train"], start["num_val"]) == (
        12,
        3,
        33,
        20,
    )
    epochs = kinds(training, "epoch")
    assert [event["epoch"] for event in epochs] == [1, 2, 3]
    assert epochs[-1]["values"] == ending.metrics


BUDGET_S = 0.4


def test_a_budget_of_time_ends_the_training_and_the_whole_schedule_is_gone_through(
    training, tiny
) -> None:
    task = tiny()
    task.recipe = branchlab.Recipe(epochs=1, batch_size=8, lr=0.02)  # four steps
    ending = training(task, budget_s=BUDGET_S)
    assert ending.state is RunState.DONE
    assert ending.steps > 4  # the recipe's epochs do not count
    (start,) = kinds(training, "start")
    assert (start["epochs"], start["steps"]) == (0, 0)
    last = kinds(training, "epoch")[-1]
    assert (last["step"], last["steps"]) == (ending.steps, ending.steps)
    document = saved(training)
    assert document["budget"]["spent_s"] >= BUDGET_S
    # The last step is taken at the rate that its beginning calls for.
    assert 500 < document["budget"]["ticks"] <= 1000
    assert document["schedule"]["last_epoch"] == document["budget"]["ticks"]
    assert torch.isfinite(document["losses"]).all()
    assert "val/accuracy" in ending.metrics


def test_a_stopped_run_goes_on_with_the_time_that_is_left(training, tiny) -> None:
    stopped = training(tiny(), stop_at=9, budget_s=BUDGET_S)
    assert stopped.state is RunState.CANCELLED
    spent_s = saved(training)["budget"]["spent_s"]
    assert 0 < spent_s < BUDGET_S
    ending = training(tiny(), budget_s=BUDGET_S)
    assert (ending.state, ending.steps > 9) == (RunState.DONE, True)
    start = kinds(training, "start")[-1]
    assert start["resumed_at_step"] == 9


def test_a_checkpoint_of_epochs_is_none_of_a_budget(new_training, tiny) -> None:
    one = new_training()
    one(tiny(), stop_at=5)
    one(tiny(), budget_s=BUDGET_S)
    assert kinds(one, "start")[-1]["resumed_at_step"] == 0
