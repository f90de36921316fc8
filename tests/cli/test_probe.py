"""``probe`` as it is typed."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from branchlab.cli.blocks import picture_in_blocks


def test_a_probe_is_told_with_findings_first_and_as_a_document(project):
    done = project.branchlab("probe", "wide")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("exp/wide")
    assert lines[2].startswith(("✓", "✗", "?"))
    assert any(line.startswith("module") and "(Linear)" in line for line in lines)
    found = json.loads(project.branchlab("probe", "wide", "--json").stdout)
    assert found["flags"] == {"hidden": 32}
    kinds = [stage["kind"] for stage in found["stages"]]
    assert [
        kinds.index(k) for k in ("stored", "prepared", "enters", "loss", "gradient", "update")
    ] == sorted(
        kinds.index(k) for k in ("stored", "prepared", "enters", "loss", "gradient", "update")
    )


def test_a_branch_that_fails_says_why_first_and_exits_1(project):
    done = project.branchlab("probe", "broken")
    assert done.returncode == 1
    assert "no_such_module" in done.stdout.splitlines()[2]


def test_two_branches_are_held_against_each_other(project):
    done = project.branchlab("probe", "clash", "--assert-same", "main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exp/clash is the same as main at all" in done.stdout
    held = json.loads(project.branchlab("probe", "wide", "--against", "main", "--json").stdout)
    assert held["is_same"] is False
    assert held["first_difference"]["kind"] == "shape"
    project.branch(
        "exp/other",
        {"tiny/task.py": (project.root / "tiny/task.py").read_text().replace("nn.ReLU", "nn.Tanh")},
    )
    done = project.branchlab("probe", "other", "--assert-same", "main")
    assert done.returncode == 1
    assert "first difference: 2 (Tanh)" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "epoch=3"], "expected step=N"),
        (["--at", "step=0"], "expected step=N"),
        (["--at", "step=1000000"], "the training has"),
        (["--against", "main", "--assert-same", "main"], "exclude each other"),
        (["--break", "0"], "needs a terminal"),
        (["--run", "nothing"], "no run"),
    ],
)
def test_what_cannot_be_done_is_said(project, words, said):
    done = project.branchlab("probe", "wide", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_picture_is_drawn_two_pixels_a_character(tmp_path):
    image = Image.new("RGB", (2, 3), (255, 0, 0))
    image.save(tmp_path / "a.png")
    lines = picture_in_blocks(tmp_path / "a.png", columns=80).splitlines()
    assert len(lines) == 2
    assert lines[0].count("▀") == 2
    assert "38;2;255;0;0;48;2;255;0;0" in lines[0]
    assert "48;2;0;0;0" in lines[1]
    assert picture_in_blocks(tmp_path / "a.png", columns=1).count("▀") == 1
