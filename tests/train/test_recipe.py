"""What each option of a recipe does to a training, and that every one of them goes on exactly."""

from __future__ import annotations

import copy
import math
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import branchlab
from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.errors import ConfigError
from branchlab.run_folder import read_examples
from branchlab.train.checkpoint import load_tensors
from branchlab.train.digests import digest
from branchlab.train.optimizer import MuonWithAdamW, lr_factor, make_optimizer, make_schedule
from branchlab.train.trainer import epoch_steps
from branchlab.train.training import begin, evaluate, take_step

CPU = torch.device("cpu")
RECIPES = {
    "sgd-cosine": {"optimizer": "sgd", "schedule": "cosine", "warmup": 0.2},
    "plain-sgd-clipped": {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "clip_norm": 0.1},
    "muon": {"optimizer": "muon"},
    "muon-clipped-constant": {"optimizer": "muon", "schedule": "constant", "clip_norm": 0.1},
    "step": {"schedule": "step", "step_at": (0.3, 0.6), "step_factor": 0.5},
    "bf16": {"precision": "bf16", "channels_last": False},
    "fp16": {"precision": "fp16", "clip_norm": 1.0, "schedule": "constant"},
    "one-epoch": {"schedule": "cosine", "weight_decay": 0.0, "epochs": 1},
    "smoothed": {"label_smoothing": 0.1},
    "mixup": {"mixup": 0.4},
    "mixup-or-cutmix-smoothed": {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1},
    "average": {"ema": 0.9},
    "in-parts": {"accumulate": 3},
    "in-parts-fp16-average": {"accumulate": 2, "precision": "fp16", "ema": 0.9, "schedule": "constant"},
    "thawing": {"frozen": {"0.*": 0.4, "1.*": 1.0}, "epochs": 3},
    "patient": {"patience": 1, "epochs": 6, "lr": 0.5},
    "best": {"final": "best", "epochs": 4, "lr": 0.3, "ema": 0.5},
    "seldom": {"validate_every": 2, "epochs": 3},
}  # fmt: skip


class Net(branchlab.Task):
    """Two convolutions, batch norm and dropout on noise whose class is whether it is bright."""

    def __init__(self, *, dropout: float = 0.2, **recipe: object) -> None:
        self.recipe = branchlab.Recipe(**{"epochs": 2, "batch_size": 8, "lr": 0.02, **recipe})  # type: ignore[arg-type]
        self.dropout = dropout

    def data(self) -> branchlab.Splits:
        def some(num: int, seed: int) -> branchlab.Examples:
            source = torch.Generator().manual_seed(seed)
            inputs = torch.randint(0, 256, (num, 1, 8, 8), generator=source, dtype=torch.uint8)
            return branchlab.Examples(inputs, (inputs.float().mean((1, 2, 3)) > 127).long())

        classes = ("dark", "bright")
        return branchlab.Splits(
            train=some(44, 0), val=some(20, 1), test=some(12, 2), classes=classes
        )

    def model(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(),
            nn.Flatten(), nn.Dropout(self.dropout), nn.Linear(64, 2),
        )  # fmt: skip


def planned() -> Run:
    return Run(
        id="r", key="k", branch="b", commit="c", tree="t", task="m:T", seed=0,
        scale=Scale.SAMPLE, sample=Sample(fraction=1.0),
    )  # fmt: skip


def begun(**recipe: object):
    return begin(Net(**recipe), planned())  # type: ignore[arg-type]


def train_steps(training, num: int) -> None:
    while training.step < num:
        for _ in epoch_steps(training):
            if training.step == num:
                break
        training.epochs_validated = training.epoch


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("step", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_every_recipe_trains_and_goes_on_exactly(new_training, name: str, step: int) -> None:
    expected, resumed = new_training(), new_training()
    ending = expected(Net(**RECIPES[name]))
    assert ending.state is RunState.DONE
    assert resumed(Net(**RECIPES[name]), stop_at=step).state is RunState.CANCELLED
    assert resumed(Net(**RECIPES[name])) == ending
    one, two = (load_tensors(training.folder.checkpoint) for training in (expected, resumed))
    assert one is not None
    assert digest(one) == digest(two)


@pytest.mark.parametrize(
    "name", [name for name in RECIPES if name not in {"seldom", "best", "patient"}]
)
def test_every_recipe_changes_the_training(new_training, name: str) -> None:
    base = {"epochs": RECIPES[name].get("epochs", 2)}
    assert (
        new_training()(Net(**RECIPES[name])).metrics["val/loss"]
        != new_training()(Net(**base)).metrics["val/loss"]
    )


@pytest.mark.parametrize("warmup", [None, 0.25])
@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_the_learning_rate_rises_to_its_peak_and_follows_its_schedule(
    schedule: str, warmup: float | None
) -> None:
    recipe = branchlab.Recipe(lr=1.0, schedule=schedule, warmup=warmup)  # type: ignore[arg-type]
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=recipe.lr)
    found, made = [], make_schedule(optimizer, recipe, num_steps=100)
    for _ in range(100):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    start = 0 if warmup is None else 25
    assert found[:start] == pytest.approx([(n + 1) / 26 for n in range(start)])
    after = {
        "cosine": [(1 + math.cos(math.pi * n / (100 - start))) / 2 for n in range(100 - start)],
        "step": [1.0 if n < 50 else 0.1 if n < 75 else 0.01 for n in range(start, 100)],
        "constant": [1.0] * (100 - start),
    }[schedule]
    assert found[start:] == pytest.approx(after)
    assert lr_factor(recipe, 100, 100) <= 1


@pytest.mark.parametrize(
    ("warmup", "steps"), [(0.25, 3), (0.1, 9), (0.05, 19), (0.5, 1), (0.0, 5), (None, 2)]
)
def test_one_cycle_takes_any_number_of_steps(warmup: float | None, steps: int) -> None:
    recipe = branchlab.Recipe(optimizer="sgd", lr=1.0, warmup=warmup)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(2))], lr=1.0, momentum=0.5)
    made = make_schedule(optimizer, recipe, num_steps=steps)
    for _ in range(steps):
        assert 0 <= optimizer.param_groups[0]["lr"] <= 1.0
        optimizer.step()
        made.step()


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_the_momentum_of_a_recipe_is_that_of_the_training(optimizer: str) -> None:
    training = begun(optimizer=optimizer, momentum=0.5, schedule="onecycle")
    train_steps(training, 3)
    other = begun(optimizer=optimizer, momentum=0.9, schedule="onecycle")
    train_steps(other, 3)
    assert not torch.equal(training.losses[:3], other.losses[:3])
    if optimizer == "sgd":
        assert {group["momentum"] for group in training.optimizer.param_groups} == {0.5}


def test_a_batch_in_parts_trains_like_a_whole_one() -> None:
    whole, parts = (
        begun(dropout=0.0, optimizer="sgd", accumulate=num, frozen={"1.*": 1.0}) for num in (1, 3)
    )
    for training in (whole, parts):
        train_steps(training, 5)
    assert parts.step == whole.step
    torch.testing.assert_close(parts.losses[:5], whole.losses[:5])
    torch.testing.assert_close(parts.model.state_dict(), whole.model.state_dict())


def test_smoothed_labels_are_those_of_torch_and_validation_has_none() -> None:
    smoothed, plain = begun(label_smoothing=0.3, dropout=0.0), begun(dropout=0.0)
    batch = plain.data.train.slice(0, 8)
    logits = plain.model.train()(batch.inputs / 255)
    expected = cross_entropy(logits, batch.targets, label_smoothing=0.3)
    take_step(smoothed, batch)
    torch.testing.assert_close(smoothed.losses[0], expected.detach())
    assert torch.equal(
        evaluate(begun(label_smoothing=0.3), plain.data.val)["loss"],
        evaluate(begun(), plain.data.val)["loss"],
    )


class Seen(Net):
    """Keeps what reaches the loss while training."""

    def __init__(self, **recipe: object) -> None:
        super().__init__(**recipe)
        self.batches: list[branchlab.Batch] = []

    def loss(self, outputs, batch: branchlab.Batch):
        if torch.is_grad_enabled():
            self.batches.append(batch)
        return super().loss(outputs, batch)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixed_images_have_the_mixed_classes(kind: str) -> None:
    task, plain = Seen(**{kind: 1.0}), Seen()
    for one in (task, plain):
        train_steps(begin(one, planned()), 5)
    for mixed, whole in zip(task.batches, plain.batches, strict=True):
        assert torch.equal(mixed.ids, whole.ids)
        assert mixed.targets.shape == (8, 2)
        torch.testing.assert_close(mixed.targets.sum(1), torch.ones(8))
        # The share of the own class is that of the own pixels, where the partner is of the other one.
        partner = whole.inputs.roll(1, 0)
        share = mixed.targets[torch.arange(8), whole.targets]
        for row in range(8):
            if whole.targets[row] == whole.targets.roll(1)[row]:
                continue
            if kind == "mixup":
                expected = whole.inputs[row] * share[row] + partner[row] * (1 - share[row])
                torch.testing.assert_close(mixed.inputs[row], expected)
            else:
                is_own = mixed.inputs[row] == whole.inputs[row]
                assert bool((is_own | (mixed.inputs[row] == partner[row])).all())
                assert float(is_own.float().mean()) == pytest.approx(float(share[row]), abs=0.1)
    assert not torch.equal(task.batches[0].targets, task.batches[1].targets)


def test_mixing_draws_no_number_of_the_training() -> None:
    states = []
    for recipe in ({"mixup": 0.4}, {}):
        training = begun(dropout=0.5, **recipe)
        train_steps(training, 3)
        states.append((torch.get_rng_state(), training.augmenting.get_state()))
    for mixed, plain in zip(*states, strict=True):
        assert torch.equal(mixed, plain)


def test_branches_at_one_seed_mix_alike_whatever_their_models_draw() -> None:
    one, two = Seen(mixup=0.4, dropout=0.0), Seen(mixup=0.4, dropout=0.5)
    for task in (one, two):
        train_steps(begin(task, planned()), 4)
    for mine, theirs in zip(one.batches, two.batches, strict=True):
        assert torch.equal(mine.inputs, theirs.inputs)
        assert torch.equal(mine.targets, theirs.targets)


@pytest.mark.parametrize("option", ["label_smoothing", "mixup", "cutmix"])
def test_targets_that_are_no_classes_are_not_mixed(option: str, training) -> None:
    class Masks(Net):
        def data(self) -> branchlab.Splits:
            split = super().data().train
            masks = (split.inputs[:, 0] > 127).long()
            return branchlab.Splits(train=branchlab.Examples(split.inputs, masks), val=split)

    with pytest.raises(ConfigError, match=r"one class number an example.*int64 of shape"):
        training(Masks(**{option: 0.5}))


def test_the_moving_average_is_what_is_validated_and_follows_the_weights() -> None:
    training = begun(ema=0.8, dropout=0.0)
    mean = {name: value.clone() for name, value in training.model.named_parameters()}
    for number in range(5):
        train_steps(training, number + 1)
        decay = 0.0 if number == 0 else min(0.8, (1 + number) / (10 + number))
        mean = {
            name: decay * mean[name] + (1 - decay) * value.detach()
            for name, value in training.model.named_parameters()
        }
    torch.testing.assert_close(dict(training.judged.named_parameters()), mean)
    assert training.judged is not training.model
    judged = evaluate(training, training.data.val)["loss"]
    logits = training.judged.eval()(training.data.val.inputs / 255)
    torch.testing.assert_close(judged, cross_entropy(logits, training.data.val.targets).detach())


def test_a_frozen_part_stays_as_it_is_and_thaws_in_time() -> None:
    training = begun(frozen={"0.*": 0.5, "1.*": 1.0}, epochs=4)
    assert training.num_steps == 20
    before = weights(training.model)
    train_steps(training, 10)
    half = weights(training.model)
    train_steps(training, 20)
    end = weights(training.model)
    for name in ("0.weight", "0.bias"):
        assert torch.equal(before[name], half[name])
        assert not torch.equal(half[name], end[name])
    for name in ("1.weight", "1.bias", "1.running_mean"):
        assert torch.equal(before[name], end[name])
    assert not torch.equal(before["3.weight"], half["3.weight"])


def test_a_part_thaws_within_an_epoch() -> None:
    training = begun(frozen={"0.*": 0.25}, epochs=2)
    before = weights(training.model)
    train_steps(training, 3)
    assert torch.equal(before["0.weight"], weights(training.model)["0.weight"])
    train_steps(training, 4)
    assert not torch.equal(before["0.weight"], weights(training.model)["0.weight"])


@pytest.mark.parametrize("option", ["frozen", "no_decay"])
def test_a_pattern_that_names_nothing_is_refused_with_the_nearest_name(option: str) -> None:
    value = {"7.wieght": 1.0} if option == "frozen" else ("7.wieght",)
    with pytest.raises(ConfigError, match=r"'7\.wieght' matches no trained parameter.*7\.weight"):
        begun(**{option: value})


def test_what_no_decay_names_has_none() -> None:
    model = Net().model()
    recipe = branchlab.Recipe(no_decay=("3.*",), weight_decay=0.5)
    decayed, spared = make_optimizer(model, recipe, CPU).param_groups
    assert [p.shape for p in decayed["params"]] == [model[0].weight.shape, model[7].weight.shape]
    assert decayed["weight_decay"] == 0.5
    assert any(p is model[3].weight for p in spared["params"])
    assert spared["weight_decay"] == 0.0


def test_muon_trains_hidden_weights_like_torchs_own_and_the_rest_by_adamw() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2))
    recipe = branchlab.Recipe(optimizer="muon", lr=0.1, weight_decay=0.1)
    twin = copy.deepcopy(model)
    ours = make_optimizer(model, recipe, CPU)
    assert isinstance(ours, MuonWithAdamW)
    muon = torch.optim.Muon(
        [twin[1].weight], lr=0.1, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    rest = [p for name, p in twin.named_parameters() if name != "1.weight"]
    adamw = torch.optim.AdamW(
        [{"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.1},
         {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0}], lr=0.1,
    )  # fmt: skip
    for _ in range(3):
        inputs = torch.randn(8, 4)
        for one in (model, twin):
            one.zero_grad()
            one(inputs).square().mean().backward()
        ours.step()
        muon.step()
        adamw.step()
    torch.testing.assert_close(model.state_dict(), twin.state_dict())


def test_muon_updates_a_kernel_alike_in_either_memory_layout() -> None:
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = Net(dropout=0.0).model().to(memory_format=layout)
        optimizer = make_optimizer(model, branchlab.Recipe(optimizer="muon", lr=0.1), CPU)
        before = model[3].weight.detach().clone()
        model(torch.rand(8, 1, 8, 8).to(memory_format=layout)).square().mean().backward()
        optimizer.step()
        assert not torch.equal(before, model[3].weight)
        found.append(model[3].weight.detach().clone())
    torch.testing.assert_close(found[0], found[1], atol=2e-3, rtol=0)  # Muon computes in bf16


@pytest.mark.parametrize("kind", ["volumes", "transformer", "scaled"])
def test_muon_takes_the_weights_of_hidden_layers_alone_and_trains_them(kind: str) -> None:
    made = {
        "volumes": lambda: nn.Sequential(
            nn.Conv3d(1, 4, 3), nn.Conv3d(4, 4, 1), nn.Conv3d(4, 2, 1)
        ),
        "transformer": _Tokens,
        "scaled": _Scaled,
    }[kind]
    torch.manual_seed(0)
    model = made()
    if kind == "volumes":
        model = model.to(memory_format=torch.channels_last_3d)
    optimizer = make_optimizer(model, branchlab.Recipe(optimizer="muon", lr=0.1), CPU)
    names = {id(p): name for name, p in model.named_parameters()}
    hidden = [names[id(p)] for p in optimizer.param_groups[0]["params"]]
    assert (
        hidden
        == {
            "volumes": ["1.weight"],
            "transformer": ["attention.in_proj_weight", "attention.out_proj.weight"],
            "scaled": ["hidden.weight"],
        }[kind]
    )
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    inputs = torch.rand(2, 1, 4, 4, 4) if kind == "volumes" else torch.rand(2, 3, 8)
    model(inputs).square().mean().backward()
    optimizer.step()
    for name, value in model.named_parameters():
        assert not torch.equal(value, before[name]), name


class _Tokens(nn.Module):
    """A token and positions before the first layer, as in a vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.rand(1, 1, 8))
        self.positions = nn.Parameter(torch.rand(1, 4, 8))
        self.project = nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, inputs):
        x = torch.cat([self.token.expand(len(inputs), -1, -1), self.project(inputs)], 1)
        x = x + self.positions
        return self.head(self.attention(x, x, x)[0])


class _Scaled(nn.Module):
    """A scale with two axes, as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.hidden, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.scale = nn.Parameter(torch.ones(3, 1))

    def forward(self, inputs):
        return self.head(self.scale * self.hidden(self.first(inputs)))


def test_muon_without_a_hidden_weight_says_so() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    with pytest.raises(ConfigError, match="between the first and the last"):
        make_optimizer(model, branchlab.Recipe(optimizer="muon"), CPU)


def test_a_patient_training_ends_early_and_says_its_best(training) -> None:
    ending = training(Net(patience=1, epochs=30, lr=0.5))
    assert ending.state is RunState.DONE
    assert ending.steps < 30 * 5
    epochs = [e for e in training.events() if e["kind"] == "epoch"]
    assert [bool(e.get("is_best")) for e in epochs[-2:]] == [True, False]
    losses = [e["values"]["val/loss"] for e in epochs]
    assert min(losses) == losses[-2]
    saved = load_tensors(training.folder.best_checkpoint)
    assert saved is not None
    assert saved["step"] == epochs[-2]["step"]
    assert saved["metrics"]["val/loss"] == losses[-2]


def test_the_best_weights_give_the_final_metrics_where_they_shall(new_training) -> None:
    last, best = (new_training() for _ in range(2))
    recipe = {"epochs": 6, "lr": 0.5}
    by_last = last(Net(**recipe), scale=Scale.FULL)
    by_best = best(Net(**recipe, final="best"), scale=Scale.FULL)
    epochs = [e["values"] for e in last.events() if e["kind"] == "epoch"]
    best_epoch = min(epochs, key=lambda values: values["val/loss"])
    assert best_epoch is not epochs[-1]  # or there is nothing to see
    assert by_last.metrics["val/loss"] == epochs[-1]["val/loss"]
    for name in ("val/loss", "val/accuracy"):
        assert by_best.metrics[name] == best_epoch[name]
    (said,) = [e for e in best.events() if e["kind"] == "best"]
    assert said["values"]["val/loss"] == best_epoch["val/loss"]
    curve = [e["values"]["val/loss"] for e in best.events() if e["kind"] == "epoch"]
    assert curve == [values["val/loss"] for values in epochs]
    held = read_examples(best.latest.val_examples)
    assert held is not None
    assert float(held["accuracy"].mean()) == best_epoch["val/accuracy"]


def test_best_weights_that_cannot_be_read_leave_the_last_ones(training) -> None:
    task = Net(epochs=6, lr=0.5, final="best")
    training(task)
    training.folder.best_checkpoint.write_bytes(b"damaged")
    again = training(Net(epochs=6, lr=0.5, final="best"))
    assert again.state is RunState.DONE
    said = [e["text"] for e in training.events() if e["kind"] == "warning"]
    assert said == ["the best weights cannot be read, so the last ones count"]


@pytest.mark.parametrize("option", [{"patience": 2}, {"final": "best"}])
def test_a_monitor_that_nothing_measures_is_refused_with_what_there_is(training, option) -> None:
    with pytest.raises(ConfigError, match=r"'val/acuracy'.*val/accuracy"):
        training(Net(monitor="val/acuracy", **option))


@pytest.mark.parametrize("option", [{"patience": 2}, {"final": "best"}])
def test_a_monitor_that_is_never_a_number_is_said(training, option) -> None:
    class Undefined(Net):
        def metrics(self, outputs, batch: branchlab.Batch):
            return {"odd": torch.full((len(batch),), math.nan)}

    ending = training(Undefined(monitor="val/odd", epochs=4, **option))
    assert ending.state is RunState.DONE
    said = [e["text"] for e in training.events() if e["kind"] == "warning"]
    assert said == [
        "recipe.monitor = 'val/odd' was never a finite number: there are no best weights"
    ]
    assert training.latest.val_examples.exists()


def test_a_mistyped_monitor_is_refused_even_where_nothing_waits_for_it(training) -> None:
    with pytest.raises(ConfigError, match=r"'val/acuracy'.*val/accuracy"):
        training(Net(monitor="val/acuracy"))


def test_the_test_set_is_seen_by_the_weights_that_count_alone(training) -> None:
    ending = training(Net(epochs=6, lr=0.5, final="best"), scale=Scale.FULL)
    epochs = [e for e in training.events() if e["kind"] == "epoch"]
    assert not any("test/loss" in e["values"] for e in epochs)
    assert "test/loss" in ending.metrics


@pytest.mark.parametrize("final", ["last", "best"])
def test_a_run_that_was_killed_before_its_result_is_judged_again(training, final) -> None:
    task = {"epochs": 6, "lr": 0.5, "final": final}
    first = training(Net(**task), scale=Scale.FULL)
    before = training.latest.val_examples.read_bytes()
    again = training(Net(**task), scale=Scale.FULL)
    assert again == first
    assert training.latest.val_examples.read_bytes() == before


def test_a_metric_that_some_batches_lack_is_refused_with_its_name(training) -> None:
    class Now(Net):
        def metrics(self, outputs, batch: branchlab.Batch):
            is_first = int(batch.ids[0]) == 0
            return {"now": outputs[:, 0]} if is_first else {}

    with pytest.raises(ValueError, match="metric 'now' has values for 16 of 20 examples"):
        training(Now(batch_size=4))


def test_gradients_are_measured_before_they_are_clipped(training) -> None:
    training(Net(clip_norm=1e-3, epochs=1))
    (epoch,) = [e["values"] for e in training.events() if e["kind"] == "epoch"]
    assert epoch["train/grad_norm"] > 0.01


def test_a_model_for_volumes_trains_in_whatever_layout(training) -> None:
    class Volumes(Net):
        def data(self) -> branchlab.Splits:
            inputs = torch.rand(24, 1, 4, 4, 4)
            both = branchlab.Examples(inputs, (inputs.mean((1, 2, 3, 4)) > 0.5).long())
            return branchlab.Splits(train=both, val=both)

        def model(self) -> nn.Module:
            return nn.Sequential(nn.Conv3d(1, 2, 3), nn.Flatten(), nn.Linear(16, 2))

    assert training(Volumes(epochs=1)).state is RunState.DONE


def test_everything_frozen_is_refused(training) -> None:
    with pytest.raises(ConfigError, match="so nothing trains"):
        training(Net(frozen={"*": 0.3}))


def test_classes_as_bytes_are_mixed_and_unknown_ones_are_asked_for(training) -> None:
    class Bytes(Net):
        def data(self) -> branchlab.Splits:
            splits = super().data()
            train = branchlab.Examples(splits.train.inputs, splits.train.targets.to(torch.uint8))
            return branchlab.Splits(train=train, val=splits.val)

    assert training(Bytes(label_smoothing=0.1, epochs=1)).state is RunState.DONE


def test_validation_comes_every_few_epochs_and_at_the_end(training) -> None:
    training(Net(validate_every=2, epochs=5))
    epochs = [e["values"] for e in training.events() if e["kind"] == "epoch"]
    assert ["val/loss" in values for values in epochs] == [False, True, False, True, True]
    assert all({"train/loss", "train/lr", "train/grad_norm"} <= set(values) for values in epochs)


def test_the_norms_of_scaled_gradients_are_those_of_unscaled_ones() -> None:
    from branchlab.train.training import gauges

    scaled, plain = begun(precision="fp16", dropout=0.0), begun(dropout=0.0)
    for training in (scaled, plain):
        train_steps(training, 1)
    assert gauges(scaled)["train/grad_norm"] == pytest.approx(
        gauges(plain)["train/grad_norm"], rel=0.02
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_first_step_that_the_scaler_leaves_out_leaves_the_weights_sound(optimizer: str) -> None:
    training = begun(precision="fp16", optimizer=optimizer)
    training.scaler = torch.amp.GradScaler("cpu", init_scale=1e38, backoff_factor=1e-37)
    before = [one.detach().clone() for one in training.model.parameters()]
    train_steps(training, 1)
    assert all(map(torch.equal, before, training.model.parameters()))
    train_steps(training, 2)
    assert all(bool(torch.isfinite(one).all()) for one in weights(training.model).values())


def test_the_page_of_recipes_names_every_option() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text()
    names = {field.name for field in fields(branchlab.Recipe)}
    assert names <= set(re.findall(r"\w+", page))


@pytest.mark.slow
def test_a_compiled_model_trains_like_the_plain_one_and_goes_on_exactly(new_training) -> None:
    plain = new_training()(Net(dropout=0.0))
    expected, resumed = new_training()(Net(dropout=0.0, compile=True)), new_training()
    assert expected.metrics["val/loss"] == pytest.approx(plain.metrics["val/loss"], rel=1e-3)
    resumed(Net(dropout=0.0, compile=True), stop_at=3)
    assert resumed(Net(dropout=0.0, compile=True)) == expected
