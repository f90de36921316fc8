"""What flows through the lines of real models, followed in this process."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from branchlab.analysis.annotations.review import Scope, review
from branchlab.analysis.annotations.source import stripped
from branchlab.run_folder import pack_trace, unpack_trace
from branchlab.train.flow import trace
from branchlab.train.places import places_of

TRACED = Path(__file__).parent / "traced"


@pytest.fixture
def look(monkeypatch, training, tmp_path):
    """Trace a task of a folder; give what was seen and its files with comments."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def trace_task(folder, task, *, scope=None, **flags):
        traced = trace(replace(training.plan(), task=task, flags=flags), folder)
        assert unpack_trace(pack_trace(traced)) == traced
        texts = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.py")}
        found = review(texts, traced, scope or Scope(), length_max=1000)
        assert all(stripped(one.after) == one.before for one in found)
        return traced, {one.path: one.after for one in found}

    yield trace_task
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith((str(TRACED), str(tmp_path))):
            del sys.modules[name]


def said(text: str) -> dict[str, str]:
    """Return what is said of each line of code that has a comment."""
    pairs = (line.strip().partition("  #: ") for line in text.splitlines())
    return {code: comment for code, _, comment in pairs if comment}


def write(folder, body):
    """Write a task whose model's forward pass has a body of its own; x is the batch of images [B, 1, 6, 10]."""
    text = textwrap.dedent("""
        import torch
        from torch import nn
        import branchlab


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(1, 2, 1)

            def forward(self, x):
        BODY


        class Odd(branchlab.Task):
            recipe = branchlab.Recipe(epochs=1, batch_size=4)

            def data(self):
                images = torch.rand(40, 1, 6, 10, generator=torch.Generator().manual_seed(0))
                rows = branchlab.Examples(images, torch.zeros(40, dtype=torch.long))
                return branchlab.Splits(train=rows, val=rows)

            def model(self):
                return Net()
    """).replace("BODY", textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8))
    (folder / f"odd_{folder.name}.py").write_text(text)
    return f"odd_{folder.name}:Odd", f"odd_{folder.name}.py"


def forward(look, folder, body):
    task, path = write(folder, body)
    _, texts = look(folder, task, scope=Scope(functions=("forward",)))
    return said(texts[path])


def test_a_residual_net(look) -> None:
    traced, texts = look(TRACED, "resnet_task:ResNetTask")
    assert not traced.failure
    found = said(texts["resnet_task.py"])

    assert found["x = self.relu(self.bn1(self.conv1(x)))"] == "[B, 8, H/2, W/2] float32"
    assert found["x = torch.flatten(self.avgpool(x), 1)"] == "[B, 64] float32"
    assert found["return self.fc(x)"] == "[B, 5] float32"
    assert found["identity = self.downsample(x)"] == (
        "[B, 16, H/8, W/8] | [B, 32, H/16, W/16] | [B, 64, H/32, W/32] float32"
    )
    assert found["out += identity"] == (
        "[B, 8, H/4, W/4] | [B, 16, H/8, W/8] | [B, 32, H/16, W/16] float32 | ..."
    )
    assert found["is_flipped = torch.rand(len(batch), generator=generator) < 0.5"] == "[B] bool"


def test_a_u_net_with_skips_on_a_list(look) -> None:
    _, texts = look(TRACED, "unet_task:UNetTask")
    found = said(texts["unet_task.py"])

    assert found["x = torch.cat([lift(x), skips.pop()], 1)"] == (
        "[B, 32, H/4, W/4] | [B, 16, H/2, W/2] float32"
    )
    assert found['is_right = outputs["logits"].argmax(1) == batch.targets'] == "[B, H, W] bool"
    assert found['return {"logits": self.head(torch.cat([x, skips.pop()], 1)), "last": x}'] == (
        "{logits: [B, 3, H, W], last: [B, 4, H, W]} float32"
    )


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_transformer(look, is_compiled) -> None:
    """Compiled or not: a compiled frame has no lines, so what is compiled is run as it is written."""
    _, texts = look(TRACED, "vit_task:ViTTask", is_compiled=is_compiled)
    found = said(texts["vit_task.py"])

    assert found["q, k, v = self.qkv(tokens).reshape(shape).permute(2, 0, 3, 1, 4)"] == (
        "q [B, 4, H*W/64+1, 4], k [B, 4, H*W/64+1, 4], v [B, 4, H*W/64+1, 4] float32"
    )
    assert found["tokens = (grid + positions).flatten(2).transpose(1, 2)"] == (
        "[B, H*W/64, 16] float32"
    )


def test_a_model_of_one_size_of_image_has_numbers_and_says_so(look) -> None:
    traced, texts = look(TRACED, "vit_task:ViTTask", is_flexible=False)

    assert "images of one size only" in traced.notes[0]
    assert said(texts["vit_task.py"])["grid = self.patches(images)"] == "[B, 16, 4, 4] float32"


def test_the_same_code_gives_the_same_comments(look, tmp_path) -> None:
    body = """
        keep = torch.rand(len(x)) < 0.5
        y = x[keep]
        return self.conv(x).mean((2, 3))
    """
    found = forward(look, tmp_path, body)
    assert found["y = x[keep]"] == "[N, 1, H, W] float32"
    assert forward(look, tmp_path, body) == found


def test_statements_of_every_kind(look, tmp_path) -> None:
    found = forward(
        look,
        tmp_path,
        """
        total = 0
        for image in x:
            total = total + image.sum()
        a = x[:, 0]; b = a.sum(1)
        if (c := x.sum(3)) is not None: d = c
        parts = [part * 2 for part in x.split(3, 2)]
        first, *rest = x.unbind(3)
        table = {}
        table["a"] = x.flatten(1)
        self.kept = b
        x[:, :, 0] = 0
        with torch.no_grad():
            e = self.conv(x)
            return (e
                    .mean((2, 3)))
        """,
    )
    assert found["for image in x:"] == "image [1, H, W] float32"
    assert found["total = total + image.sum()"] == "[] float32"
    assert found["a = x[:, 0]; b = a.sum(1)"] == "a [B, H, W], b [B, W] float32"
    assert found["if (c := x.sum(3)) is not None: d = c"] == "c [B, 1, H], d [B, 1, H] float32"
    assert found["parts = [part * 2 for part in x.split(3, 2)]"] == "H/3 x [B, 1, 3, W] float32"
    assert found["first, *rest = x.unbind(3)"] == ("first [B, 1, H], rest W-1 x [B, 1, H] float32")
    assert found['table["a"] = x.flatten(1)'] == "[B, H*W] float32"
    assert found["self.kept = b"] == "[B, W] float32"
    assert found["x[:, :, 0] = 0"] == "[B, 1, H, W] float32"
    assert found["e = self.conv(x)"] == "[B, 2, H, W] float32"
    assert found[".mean((2, 3)))"] == "[B, 2] float32"
    assert "total = 0" not in found


def test_generators_errors_and_endless_loops(look, tmp_path) -> None:
    found = forward(
        look,
        tmp_path,
        """
        def levels(y):
            while True:
                got = yield y
                y = y[..., 1:]

        for _, level in zip(range(2), levels(x)):
            last = level
        try:
            z = last.reshape(7, 7, 7)
        except RuntimeError:
            z = last
        if len(x) < 0:
            never = x
        pyramid = x
        while True:
            if pyramid.shape[2] < 4: break
            pyramid = pyramid[:, :, ::2]
        return self.conv(x).mean((2, 3))
        """,
    )
    assert found["got = yield y"] == "yield [B, 1, H, W] | yield [B, 1, H, W-1] float32"
    assert found["for _, level in zip(range(2), levels(x)):"] == (
        "level [B, 1, H, W] | level [B, 1, H, W-1] float32"
    )
    assert "z = last.reshape(7, 7, 7)" not in found
    assert found["z = last"] == "[B, 1, H, W-1] float32"
    assert "never = x" not in found


def test_a_line_that_raises_is_said_and_what_ran_before_is_seen(look, tmp_path) -> None:
    task, path = write(tmp_path, "y = self.conv(x)\nreturn y.reshape(3, -1)[:, 0] @ y")
    traced, texts = look(tmp_path, task)

    assert traced.failure.startswith("RuntimeError: ")
    assert traced.failure.endswith(f"({path}:14)")
    found = said(texts[path])
    assert found["y = self.conv(x)"] == "[B, 2, 6, 10] float32"
    assert "return y.reshape(3, -1)[:, 0] @ y" not in found


def test_a_task_that_cannot_be_imported_is_a_failure_without_lines(look, tmp_path) -> None:
    (tmp_path / "no_task_here.py").write_text("import a_module_that_is_nowhere\n")
    traced, texts = look(tmp_path, "no_task_here:Odd")
    assert "a_module_that_is_nowhere" in traced.failure
    assert (traced.lines, texts) == ((), {})


def test_items_of_a_data_set_and_their_transforms_are_followed(look, tmp_path) -> None:
    (tmp_path / "read_task.py").write_text(
        textwrap.dedent("""
        import numpy as np
        import torch
        from PIL import Image
        from torch import nn
        import branchlab


        class Noisy:
            def __call__(self, picture):
                array = np.asarray(picture)
                return torch.from_numpy(array.copy())[None]


        class Pictures(torch.utils.data.Dataset):
            targets = [0] * 40

            def __len__(self):
                return 40

            def __getitem__(self, at):
                picture = Image.new("L", (10, 6), at)
                image = Noisy()(picture)
                return image, self.targets[at]


        class ReadTask(branchlab.Task):
            recipe = branchlab.Recipe(epochs=1, batch_size=4)

            def __init__(self, *, stream: bool = False):
                self.stream = stream

            def data(self):
                return branchlab.Splits(train=Pictures(), val=Pictures(), stream=self.stream)

            def model(self):
                return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    """)
    )
    for stream in (False, True):
        _, texts = look(tmp_path, "read_task:ReadTask", stream=stream)
        found = said(texts["read_task.py"])
        assert found['picture = Image.new("L", (10, 6), at)'] == "[6, 10] PIL.L"
        assert found["array = np.asarray(picture)"] == "[6, 10] np.uint8"
        assert found["image = Noisy()(picture)"] == "[1, 6, 10] uint8"


def test_a_source_that_does_not_parse_has_no_places() -> None:
    assert places_of(b"def f(:\n") == {}
    assert places_of(b"x = 1\0\n") == {}
