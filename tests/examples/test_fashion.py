"""The example's data, augmentation and task."""

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from branchlab import Batch
from examples.fashion import augment, data, draw_sample
from examples.fashion.task import FashionTask, grid

CHECKED_IN = Path(data.__file__).parent / "data"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep small tensors on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits():
    return FashionTask().data()


@pytest.fixture
def batch(splits):
    return Batch(splits.train.inputs[:96], splits.train.targets[:96], torch.arange(96))


def write_idx(folder, *, num_train=60, num_test=20):
    """Write four files whose image number i is i everywhere, its class i modulo 10."""
    for split, num in (("train", num_train), ("t10k", num_test)):
        pixels = b"".join(bytes([i]) * 784 for i in range(num))
        images = struct.pack(">IIII", 0x803, num, 28, 28) + pixels
        labels = struct.pack(">II", 0x801, num) + bytes(i % 10 for i in range(num))
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_sample_holds_bytes_in_image_shape(splits):
    for split, num in ((splits.train, 5000), (splits.val, 1000), (splits.test, 1000)):
        assert split.inputs.shape == (num, 1, 28, 28)
        assert split.inputs.dtype == torch.uint8
        assert split.targets.shape == (num,)


def test_every_class_is_there_as_often_in_each_split(splits):
    for split in (splits.train, splits.val, splits.test):
        assert split.targets.bincount().tolist() == [len(split) // 10] * 10
    assert len(splits.classes) == 10


def test_the_sample_is_small_enough_to_be_checked_in():
    assert 0 < sum(path.stat().st_size for path in CHECKED_IN.iterdir()) < 4_000_000


def test_train_and_val_share_no_image():
    labels = torch.arange(600) % 10
    train, val = data.split_off_val(labels)
    assert sorted(train.tolist() + val.tolist()) == list(range(600))
    assert labels[val].bincount().tolist() == [10] * 10


def test_val_never_depends_on_the_seed_of_the_run(splits):
    torch.manual_seed(12345)
    assert torch.equal(FashionTask().data().val.inputs, splits.val.inputs)


def test_a_folder_with_the_published_files_is_read(tmp_path):
    write_idx(tmp_path)
    splits = FashionTask(data=str(tmp_path)).data()
    assert (len(splits.train), len(splits.val), len(splits.test)) == (50, 10, 20)
    assert torch.equal(splits.test.inputs[:, 0, 5, 5], torch.arange(20, dtype=torch.uint8))
    assert torch.equal(splits.test.targets, torch.arange(20) % 10)


def test_the_sample_beside_the_package_serves_a_lab(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_HERE", tmp_path / "fashion")
    (tmp_path / "data").mkdir()
    write_idx(tmp_path / "data")
    assert data.find_folder("sample") == tmp_path / "data"


def test_missing_data_names_the_place_the_files_and_the_next_command(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        FashionTask(data=str(tmp_path)).data()
    for part in (str(tmp_path), "t10k-labels-idx1-ubyte.gz", "apt install dataset-fashion-mnist"):
        assert part in str(caught.value)


def test_a_missing_sample_names_both_places(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_HERE", tmp_path / "fashion")
    with pytest.raises(FileNotFoundError) as caught:
        FashionTask().data()
    assert str(tmp_path / "fashion" / "data") in str(caught.value)
    assert f"or {tmp_path / 'data'};" in str(caught.value)


@pytest.mark.slow
def test_a_missing_torchvision_folder_says_how_to_fill_it(tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(FileNotFoundError, match=r"Next: python -c .*download=True"):
        FashionTask(data=f"torchvision:{tmp_path}").data()


@pytest.mark.parametrize("cut", [0, 5, -10])
def test_a_cut_off_file_is_named(tmp_path, cut):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz is not"):
        data.load(str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", struct.pack(">II", 0x801, 7) + b"123", struct.pack(">II", 0xD01, 3) + b"123"],
)
def test_a_file_of_another_format_is_refused(tmp_path, content):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match="is not an idx file of bytes"):
        data.read_idx(path)


def test_drawing_again_gives_the_same_balanced_files(tmp_path):
    for name in ("source", "one", "two"):
        (tmp_path / name).mkdir()
    write_idx(tmp_path / "source", num_train=100)
    for name in ("one", "two"):
        draw_sample.draw_split(tmp_path / "source", tmp_path / name, "train", 30)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    images = data.read_idx(tmp_path / "one" / "train-images-idx3-ubyte.gz")[:, 0, 0].long()
    labels = data.read_idx(tmp_path / "one" / "train-labels-idx1-ubyte.gz").long()
    assert torch.equal(images % 10, labels)
    assert len(images.unique()) == 30
    assert labels.bincount().tolist() == [3] * 10


def test_a_draw_that_cannot_be_balanced_is_refused():
    with pytest.raises(SystemExit, match="25 images cannot be shared out"):
        draw_sample.draw(bytes(i % 10 for i in range(100)), 25)


@pytest.mark.skipif(not draw_sample.DEBIAN.is_dir(), reason="needs dataset-fashion-mnist")
def test_the_checked_in_sample_is_what_the_script_draws(tmp_path):
    draw_sample.draw_split(draw_sample.DEBIAN, tmp_path, "t10k", 1000)
    for path in tmp_path.iterdir():
        # Unpacked: another zlib may pack the same bytes otherwise.
        assert torch.equal(data.read_idx(path), data.read_idx(CHECKED_IN / path.name))


def test_each_image_of_a_batch_has_its_own_draw():
    images = torch.arange(28, dtype=torch.uint8).repeat(256, 1, 28, 1)
    is_flipped = augment.random_flip(images, seeded())[:, 0, 0, 0] == 27
    assert 90 < int(is_flipped.sum()) < 166


def test_a_flip_mirrors_whole_images_and_keeps_the_rest(batch):
    flipped = augment.random_flip(batch.inputs, seeded())
    is_same = (flipped == batch.inputs).flatten(1).all(dim=1)
    is_mirrored = (flipped == batch.inputs.flip(3)).flatten(1).all(dim=1)
    assert bool((is_same | is_mirrored).all())


def test_augmentation_follows_its_generator_alone(batch):
    task = FashionTask()
    first = task.augment(batch, seeded(3)).inputs
    torch.manual_seed(99)
    assert torch.equal(task.augment(batch, seeded(3)).inputs, first)
    assert not torch.equal(task.augment(batch, seeded(4)).inputs, first)


def test_prepared_images_have_mean_0_and_deviation_1(splits):
    inputs = splits.train.inputs
    prepared = FashionTask().prepare(Batch(inputs, splits.train.targets, torch.arange(5000)))
    assert abs(float(prepared.inputs.mean())) < 0.02
    assert abs(float(prepared.inputs.std()) - 1) < 0.02


def losses_of(task, batch, *, num_steps=3):
    torch.manual_seed(0)
    model, generator, losses = task.model(), seeded(1), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(num_steps):
        step = task.augment(task.prepare(batch), generator)
        loss = task.loss(task.forward(model, step), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_each_argument_at_its_default_leaves_the_loss_bits(batch):
    base = losses_of(FashionTask(), batch)
    for flags in ({"data": "sample"}, {"width": 16}, {"loss": "cross_entropy"}):
        assert losses_of(FashionTask(**flags), batch) == base
    assert losses_of(FashionTask(width=8), batch) != base


def test_the_loss_falls(batch):
    losses = losses_of(FashionTask(), batch, num_steps=30)
    assert losses[-1] < 0.7 * losses[0]


def test_an_unknown_loss_is_refused_at_once():
    with pytest.raises(AttributeError, match="no_such_loss"):
        FashionTask(loss="no_such_loss")


def test_the_picture_shows_what_entered_the_model(batch):
    task = FashionTask()
    prepared = task.prepare(batch)
    picture = task.pictures(task.model()(prepared.inputs), prepared)["inputs"]
    assert picture.shape == (1, 8 * 28, 8 * 28)
    expected = batch.inputs[9, 0].float() / 255
    torch.testing.assert_close(picture[0, 28:56, 28:56], expected, atol=1e-5, rtol=0)


def test_a_grid_that_is_not_full_ends_in_black():
    picture = grid(torch.ones(3, 1, 2, 2), columns=2)
    assert picture.shape == (1, 4, 4)
    assert picture.sum() == 12
    assert picture[0, 2:, 2:].sum() == 0


@pytest.mark.slow
def test_torchvision_stays_out_unless_it_is_asked_for():
    code = (
        "import sys; from examples.fashion.task import FashionTask; FashionTask().data(); "
        "sys.exit('torchvision' in sys.modules)"
    )
    root = Path(data.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
