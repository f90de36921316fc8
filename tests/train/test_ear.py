"""What is told from inside a model: means of an epoch, exact over a resume, without a bit of the training changed."""

from __future__ import annotations

import math
import re

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import branchlab
from branchlab.domain import RunState


class Telling(branchlab.Module):
    """A head that tells what enters it."""

    def __init__(self, tell) -> None:
        super().__init__()
        self.tell = tell
        self.linear = nn.Linear(72, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.tell(self, x)
        return self.linear(x)


def everything(module: branchlab.Module, x: Tensor) -> None:
    module.log("size", len(x))
    module.log("mean", x.mean())
    module.log("of/each", lambda: x.mean(1))
    module.log_table("rows", x[:, :2], ("left", "right"))
    branchlab.log({"deep": {"er": 1.0}}, named=2.0)
    module.log_histogram("spread", x)
    module.log_image("map", x.view(-1, 1, 6, 12))


@pytest.fixture
def telling(tiny):
    """Return a maker of tasks whose head calls what is given."""

    def make(tell=lambda module, x: None, *, recipe=None, **more):
        task = tiny(**more)
        build = task.model

        def model() -> nn.Module:
            found = build()
            assert isinstance(found, nn.Sequential)
            head = found[5]
            found[5] = Telling(tell)
            found[5].linear = head
            return found

        task.model = model
        if recipe is not None:
            task.recipe = recipe
        return task

    return make


def epochs(training) -> list[dict]:
    return [event["values"] for event in training.events() if event["kind"] == "epoch"]


def warnings(training) -> list[str]:
    return [event["text"] for event in training.events() if event["kind"] == "warning"]


def test_what_a_model_tells_is_among_the_values_of_the_epoch_and_the_final_metrics(
    training, telling
) -> None:
    ending = training(telling(everything))
    assert [one["train/size"] for one in epochs(training)] == [8.0] * 3
    wanted = {"size", "mean", "of/each", "rows[left]", "rows[right]", "deep/er", "named"}
    for phase in ("train", "val"):
        assert {f"{phase}/{name}" for name in wanted} <= ending.metrics.keys()
    assert ending.metrics["val/named"] == 2.0
    assert not warnings(training)


def test_a_mean_weighs_batches_by_their_examples_and_leaves_out_what_has_no_value(
    training, telling
) -> None:
    seen: list[Tensor] = []

    def tell(module: branchlab.Module, x: Tensor) -> None:
        if not module.training:
            seen.append(x.detach().clone())
        module.log("mean", x.mean())
        is_odd = torch.arange(len(x)) % 2 == 1
        module.log("odd", x.mean(1).where(is_odd, math.nan))

    # Twenty examples in batches of twelve: the last one is smaller.
    recipe = branchlab.Recipe(epochs=1, batch_size=3, lr=0.02)
    ending = training(telling(tell, recipe=recipe))
    assert [len(x) for x in seen] == [12, 8]
    every = torch.cat(seen).double()
    assert ending.metrics["val/mean"] == pytest.approx(float(every.mean()), rel=1e-6)
    assert ending.metrics["val/odd"] == pytest.approx(float(every[1::2].mean()), rel=1e-6)


@pytest.mark.parametrize(
    "options",
    [{}, {"accumulate": 2}, {"ema": 0.9}, {"final": "best", "monitor": "val/loss"}],
    ids=["plain", "accumulate", "ema", "best"],
)
def test_telling_changes_no_bit_of_the_training_and_is_exact_over_a_resume(
    new_training, telling, options
) -> None:
    recipe = branchlab.Recipe(epochs=3, batch_size=8, lr=0.02, **options)
    silent = new_training()(telling(recipe=recipe))
    expected = new_training()(telling(everything, recipe=recipe))
    assert expected.loss_digest == silent.loss_digest
    assert silent.metrics.items() <= expected.metrics.items()
    for stop_at in (1, 4, 6):  # within an epoch, at its end, within another
        resumed = new_training()
        assert resumed(telling(everything, recipe=recipe), stop_at=stop_at).state is (
            RunState.CANCELLED
        )
        assert resumed(telling(everything, recipe=recipe)) == expected


def test_the_moving_average_is_what_is_told_of_in_validation(training, telling) -> None:
    told: list[nn.Module] = []

    def tell(module: branchlab.Module, x: Tensor) -> None:
        module.log("weight", module.linear.weight.norm())
        told.append(module)

    recipe = branchlab.Recipe(epochs=1, batch_size=8, lr=0.5, ema=0.99)
    ending = training(telling(tell, recipe=recipe))
    assert ending.metrics["val/weight"] == pytest.approx(float(told[-1].linear.weight.norm()))
    assert told[-1] is not told[0]


def test_a_function_is_called_only_where_somebody_listens() -> None:
    def never() -> float:
        raise AssertionError

    module = Telling(lambda module, _x: module.log("a", never))
    module(torch.zeros(2, 72))
    branchlab.log("a", never)
    branchlab.log_image("a", never)
    branchlab.log_histogram("a", never)
    branchlab.log_table("a", never, ("x",))


def test_the_gradient_knows_nothing_of_what_was_told(training, telling) -> None:
    def tell(module: branchlab.Module, x: Tensor) -> None:
        assert torch.is_grad_enabled() == module.training
        module.log("x", lambda: x.norm() if not torch.is_grad_enabled() else math.inf)
        assert torch.is_grad_enabled() == module.training

    assert math.isfinite(training(telling(tell)).metrics["train/x"])


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        (lambda m, x: m.log("a", x), r"'a' has shape \(\d+, 72\) for a batch of \d+"),
        (lambda m, x: m.log("a", "text"), "'a' is a str"),
        (lambda m, x: m.log("", 1.0), "'' is no name"),
        (lambda m, x: m.log("a", lambda: 1 / 0), "ZeroDivisionError"),
        (lambda m, x: m.log("loss", 1.0), "'train/loss' is a metric already"),
        (lambda m, x: m.log_table("a", x, ("one",)), "for 1 rows"),
        (lambda m, x: m.log_image("a", x.view(-1, 2, 36)), "needs \\[1 or 3, H, W\\]"),
        (lambda m, x: m.log_image("a", x.view(-1, 1, 8, 9), masks=x), "has a map of"),
        (lambda m, x: [m.log(f"n{i}", 1.0) for i in range(600)], "is one too many"),
    ],
)  # fmt: skip
def test_what_is_told_amiss_is_said_once_and_hurts_nothing(
    new_training, telling, tell, said
) -> None:
    training, silent = new_training(), new_training()
    ending = training(telling(tell))
    assert ending.state is RunState.DONE
    expected = silent(telling())
    assert ending.loss_digest == expected.loss_digest
    assert ending.metrics["train/loss"] == expected.metrics["train/loss"]
    found = warnings(training)
    assert found[0].startswith("branchlab.log: ")
    assert len(found) == len(set(found)) <= 32
    assert any(re.search(said, text) for text in found)


def test_pictures_are_of_the_first_batches_of_few_epochs_and_few(training, telling) -> None:
    def tell(module: branchlab.Module, x: Tensor) -> None:
        for number in range(40):
            module.log_image(f"map{number}", x.view(-1, 1, 6, 12))
        module.log_histogram("spread", x)

    recipe = branchlab.Recipe(epochs=6, batch_size=8, lr=0.02)
    training(telling(tell, recipe=recipe))
    events = training.events()
    shown = [e for e in events if e["kind"] == "picture" and e["name"].startswith("val/map")]
    assert {event["epoch"] for event in shown} == {1, 2, 4, 6}
    assert len(shown) == 4 * 32
    spread = [event for event in events if event["kind"] == "histogram"]
    assert [(e["name"], e["epoch"]) for e in spread][:2] == [("train/spread", 1), ("val/spread", 1)]
    # The first batch alone: 8 examples of 72 values while training, all 20 in validation.
    assert [sum(event["counts"]) for event in spread[:2]] == [8 * 72, 20 * 72]
    with Image.open(training.folder.pictures / shown[0]["file"]) as picture:
        assert max(picture.size) <= 1024
        assert len(picture.getcolors(1 << 16)) > 10


def test_a_script_tells_a_value_by_its_name(tmp_path, monkeypatch) -> None:
    path = tmp_path / "told"
    monkeypatch.setenv("BRANCHLAB_TOLD", str(path))
    branchlab.log("attn/entropy", lambda: torch.tensor(0.5), step=3)
    branchlab.log("odd", lambda: 1 / 0)
    branchlab.log_image("map", torch.zeros(3, 8, 8))
    assert path.read_text() == '{"values":{"attn/entropy":0.5},"step":3,"epoch":null}\n'


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor"
)  # torch's own, where a graph is split
def test_a_compiled_model_tells_the_same(new_training, telling) -> None:
    def tell(module: branchlab.Module, x: Tensor) -> None:
        module.log("mean", x.mean())
        module.log("each", lambda: x.mean(1))

    def task(*, compile: bool):  # noqa: A002
        recipe = branchlab.Recipe(epochs=3, batch_size=8, lr=0.02, compile=compile)
        return telling(tell, recipe=recipe, dropout=0.0)

    plain, compiled, resumed = (new_training() for _ in range(3))
    expected, found = plain(task(compile=False)), compiled(task(compile=True))
    assert found.metrics["val/each"] == pytest.approx(expected.metrics["val/each"], rel=1e-3)
    assert found.metrics["train/mean"] == pytest.approx(expected.metrics["train/mean"], rel=1e-3)
    resumed(task(compile=True), stop_at=4)
    assert resumed(task(compile=True)) == found
