"""The second example: its scenes, superpixels and model, and what is wrong on the branches of its lab."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from branchlab import Batch
from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.errors import ConfigError
from branchlab.experiment import parse_experiment
from branchlab.lab.demo_lab import build_demo_lab
from branchlab.run_folder import EventWriter, RunFolder, read_events
from branchlab.train.trainer import train
from examples.superpixels import garments, scenes, task
from examples.superpixels.model import SuperpixelNet, TokenAttention, entropy
from examples.superpixels.slic import superpixels
from examples.superpixels.task import SuperpixelTask, purity

EXPERIMENTS = ("half-resolution", "fast-pooling", "random-shift", "second-look")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep small tensors on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="module")
def pieces():
    return garments.load("sample", "t10k")


@pytest.fixture(scope="module")
def few(pieces):
    """Return eight scenes with their superpixels, as a stored batch."""
    images, masks = scenes.compose(*pieces, 8, seed=5)
    stored = torch.cat([images, superpixels(images)[:, None]], 1)
    return Batch(stored, masks.long(), torch.arange(8))


@pytest.fixture(scope="module")
def base(few):
    return losses_of(SuperpixelTask(), few)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return build_demo_lab(tmp_path_factory.mktemp("demo") / "lab", example="superpixels")


def git(lab, *args):
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *args], cwd=lab, env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def on_branch(lab, tmp_path, monkeypatch):
    """Return a function that makes the task of a branch with its flags, or with others."""

    def make(name, **flags):
        folder = tmp_path / name.replace("-", "_")
        (folder / "superpixels").mkdir(parents=True, exist_ok=True)
        for path in git(lab, "ls-tree", "--name-only", name, "superpixels/").splitlines():
            (folder / path).write_text(git(lab, "show", f"{name}:{path}") + "\n")
        for module in [m for m in sys.modules if m.partition(".")[0] == "superpixels"]:
            del sys.modules[module]
        monkeypatch.syspath_prepend(folder)
        __import__("superpixels.task")
        return sys.modules["superpixels.task"].SuperpixelTask(**flags)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield make
    for module in [m for m in sys.modules if m.partition(".")[0] == "superpixels"]:
        del sys.modules[module]


def flags_of(lab, name):
    path = f"experiments/{name}.toml"
    return parse_experiment(git(lab, "show", f"exp/{name}:{path}"), where=path).flags


def losses_of(task, few, *, num_steps=2):
    torch.manual_seed(0)
    model, generator, losses = task.model(), torch.Generator().manual_seed(1), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(num_steps):
        step = task.augment(task.prepare(few), generator)
        outputs = task.forward(model, step)
        loss = task.loss(outputs, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(values.shape == (8,) for values in task.metrics(outputs, step).values())
    for picture in task.pictures(outputs.detach(), step).values():
        assert (picture.dtype, picture.shape) == (torch.uint8, (3, 6 * 128, 4 * 128))
    return losses


def test_scenes_are_the_same_for_one_seed_and_follow_no_other(pieces):
    torch.manual_seed(1)
    one = scenes.compose(*pieces, 8, seed=3)
    torch.manual_seed(2)
    again, other = scenes.compose(*pieces, 8, seed=3), scenes.compose(*pieces, 8, seed=4)
    assert torch.equal(one[0], again[0])
    assert torch.equal(one[1], again[1])
    assert not torch.equal(one[1], other[1])


def test_masks_are_exact_to_the_pixel():
    shape = torch.zeros(1, 28, 28, dtype=torch.uint8)
    shape[0, 10:18, 3:25] = 255
    images, masks = scenes.compose(shape, torch.tensor([2]), 40, seed=0)
    ground, _ = scenes.compose(torch.zeros_like(shape), torch.tensor([2]), 40, seed=0)
    # The same draws without a garment: what differs is what was painted.
    differs = (images != ground).any(1)
    assert not bool((differs & (masks == 0)).any())
    painted = masks == 2
    assert float((differs & painted).sum() / painted.sum()) > 0.99


def test_missing_garments_are_said_with_the_next_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt install dataset-fashion-mnist"):
        SuperpixelTask(data=str(tmp_path)).data()


def test_train_and_val_share_no_garment_and_no_scene(monkeypatch):
    asked = {}

    def compose(pieces, classes, num, *, seed):
        asked[seed] = {piece.numpy().tobytes() for piece in pieces}
        return scenes.compose(pieces, classes, 2, seed=seed)

    monkeypatch.setattr(task, "compose", compose)
    splits = SuperpixelTask().data()
    train, val, _ = (asked[task.SEEDS[name]] for name in ("train", "val", "test"))
    assert not train & val
    assert len(train) > 3 * len(val) > 1000
    assert splits.train.inputs.shape == (2, 4, 64, 64)


def test_superpixels_follow_edges_better_than_a_grid_and_stay_near(few):
    segments, masks = few.inputs[:, 3].long(), few.targets
    assert torch.equal(superpixels(few.inputs[:, :3]).long(), segments)
    side = torch.arange(64) // 8
    grid = (8 * side[:, None] + side).expand_as(segments)
    assert purity(segments, masks).nanmean() > purity(grid, masks).nanmean() + 0.03
    # A pixel belongs to its own cell or to one beside it.
    assert int((segments // 8 - grid // 8).abs().max()) <= 1
    assert int((segments % 8 - grid % 8).abs().max()) <= 1


def test_what_is_pooled_is_the_mean_over_a_superpixel_and_goes_back_to_its_pixels(few):
    model, segments = SuperpixelNet(), few.inputs[:, 3].long()
    features = torch.randn(8, 24, 64, 64)
    tokens, area = model.pool(features, segments)
    is_here = segments[3] == 17
    assert int(area[3, 17]) == int(is_here.sum()) > 0
    torch.testing.assert_close(tokens[3, 17, :24], features[3][:, is_here].mean(1))
    back = model.unpool(tokens, segments)
    assert torch.equal(back[3][:, is_here], tokens[3, 17][:, None].expand(-1, int(is_here.sum())))


def test_tokens_without_a_pixel_are_not_looked_at():
    torch.manual_seed(0)
    attention, tokens = TokenAttention(8, 2), torch.randn(1, 5, 8)
    is_there = torch.tensor([[True, True, True, False, True]])
    other = tokens.clone()
    other[0, 3] = 99.0
    one, two = attention(tokens, is_there=is_there), attention(other, is_there=is_there)
    assert torch.equal(one[is_there], two[is_there])


def test_entropy_is_one_for_all_alike_and_none_for_one():
    is_there = torch.ones(2, 4, dtype=torch.bool)
    alike, one = torch.full((2, 3, 4, 4), 0.25), torch.eye(4).expand(2, 3, -1, -1)
    assert entropy(alike, is_there).tolist() == pytest.approx([1, 1])
    assert entropy(one, is_there).tolist() == [0, 0]


def test_purity_leaves_out_a_class_that_is_not_there():
    segments = torch.zeros(1, 2, 2, dtype=torch.long)
    found = purity(segments, torch.tensor([[[0, 0], [0, 2]]]))
    assert found[0, [0, 2]].tolist() == [1, 0]
    assert found[0, [1, 3, 4]].isnan().all()


def test_augmentation_moves_image_superpixels_and_mask_together(few):
    example = SuperpixelTask()
    prepared = example.prepare(few)
    moved = example.augment(prepared, torch.Generator().manual_seed(0))
    before = purity(prepared.inputs["segments"], prepared.targets)
    after = purity(moved.inputs["segments"], moved.targets)
    assert torch.equal(before.nan_to_num(-1), after.nan_to_num(-1))
    is_moved = (moved.targets != prepared.targets).flatten(1).any(1)
    assert 0 < int(is_moved.sum()) < 8


def test_the_loss_falls(few):
    losses = losses_of(SuperpixelTask(), few, num_steps=5)
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_tells_of_its_attention_and_shows_what_was_fed(few, monkeypatch, tmp_path):
    monkeypatch.setattr(task, "NUM_SCENES", {"train": 32, "val": 16, "test": 16})
    folder = RunFolder(tmp_path / "run")
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    run = Run(
        id="r", key="k", branch="main", commit="c", tree="t", task="superpixels:Task", seed=0,
        scale=Scale.FULL, sample=Sample(fraction=1.0), epochs=1,
    )  # fmt: skip
    events = EventWriter(attempt.events)
    ending = train(SuperpixelTask(), run, folder, attempt, events, should_stop=lambda: False)
    assert ending.state is RunState.DONE
    assert 0 < ending.metrics["val/attn/entropy"] <= 1
    assert 0.7 < ending.metrics["val/purity[top]"] <= 1
    said = list(read_events(attempt.events).events)
    assert not [event for event in said if event["kind"] == "warning"]
    shown = {event["name"] for event in said if event["kind"] == "picture"}
    assert {"scenes", "train/segments/fed", "val/segments/fed", "val/attn/weights"} <= shown


def test_the_lab_has_a_branch_an_experiment_and_the_same_ids_everywhere(lab, tmp_path):
    branches = git(lab, "for-each-ref", "--format=%(refname:short)", "refs/heads").splitlines()
    assert set(branches) == {"main", "original", *(f"exp/{name}" for name in EXPERIMENTS)}
    assert git(lab, "status", "--porcelain") == ""
    again = build_demo_lab(tmp_path / "again", example="superpixels")
    assert git(again, "for-each-ref") == git(lab, "for-each-ref")
    assert build_demo_lab(lab, example="superpixels") == lab


def test_the_lab_of_one_example_is_not_taken_for_that_of_another(lab):
    with pytest.raises(ConfigError, match="is no lab of the demo"):
        build_demo_lab(lab)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_branch_trains_with_its_flags_and_is_neutral_without(lab, on_branch, few, base, name):
    assert losses_of(on_branch(f"exp/{name}"), few) == base
    assert losses_of(on_branch(f"exp/{name}", **flags_of(lab, name)), few) != base


def test_superpixels_that_were_resized_by_blending_lie_where_none_of_their_number_was(
    lab, on_branch, few
):
    wrong = on_branch("exp/half-resolution", **flags_of(lab, "half-resolution"))
    found, stored = wrong.prepare(few).inputs["segments"], few.inputs[:, 3].long()
    assert found.shape == (8, 32, 32)
    around = stored.view(8, 32, 2, 32, 2).permute(0, 1, 3, 2, 4).flatten(3)
    is_invented = (found[..., None] != around).all(3)
    assert 0.05 < float(is_invented.float().mean()) < 0.9
    assert purity(found, few.targets).nanmean() < purity(stored, few.targets).nanmean() - 0.02


def test_superpixels_that_are_fed_and_not_used_change_no_output(lab, on_branch, few):
    def outputs(made, segments):
        torch.manual_seed(0)
        model = made.model().eval()
        inputs = {**made.prepare(few).inputs, "segments": segments}
        return made.forward(model, Batch(inputs, few.targets, few.ids))

    stored = few.inputs[:, 3].long()
    wrong = on_branch("exp/fast-pooling", **flags_of(lab, "fast-pooling"))
    assert torch.equal(outputs(wrong, stored), outputs(wrong, stored.flip(0)))
    right = on_branch("exp/fast-pooling")
    assert not torch.equal(outputs(right, stored), outputs(right, stored.flip(0)))


def test_a_mask_that_is_moved_by_a_draw_of_its_own_leaves_its_image(lab, on_branch, few):
    wrong = on_branch("exp/random-shift", **flags_of(lab, "random-shift"))
    prepared = wrong.prepare(few)
    moved = wrong.augment(prepared, torch.Generator().manual_seed(0))
    before = purity(prepared.inputs["segments"], prepared.targets).nanmean()
    assert purity(moved.inputs["segments"], moved.targets).nanmean() < before - 0.05


def test_the_patches_are_all_used_and_each_has_its_experiment():
    folder = Path(task.__file__).parent / "lab"
    assert {path.stem for path in (folder / "patches").iterdir()} == set(EXPERIMENTS)
    assert {path.stem for path in (folder / "experiments").iterdir()} == set(EXPERIMENTS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("branch", "found"),
    [
        ("main", set()),
        ("second-look", set()),
        ("half-resolution", {"labels-blend"}),
        ("fast-pooling", {"input-not-used"}),
        ("random-shift", {"augmented-apart"}),
    ],
)
def test_a_probe_finds_what_is_wrong_and_nothing_else(lab, branch, found):
    done = subprocess.run(
        [sys.executable, "-m", "branchlab.cli", "probe", branch, "--json"],
        cwd=lab, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert {one["id"] for one in json.loads(done.stdout)["findings"]} == found
