from __future__ import annotations

import json


def test_a_sample_is_drawn_said_and_calibrated_from_the_command_line(project) -> None:
    drawn = project.branchlab("sample", "--json")
    document = json.loads(drawn.stdout)
    assert (document["num"], document["of"], document["fraction"]) == (20, 40, 0.5)
    assert {check["name"] for check in document["checks"]} == {
        "labels", "rare-classes", "features", "copies", "leakage",
    }  # fmt: skip
    # The tiny task gives the same examples as val and as test; none of these is in train.
    assert all(check["ok"] for check in document["checks"]), document["checks"]
    assert drawn.returncode == 0
    shown = project.branchlab("sample")
    assert shown.stdout.startswith("20 of 40 training examples: fraction 0.5, drawn class by class")
    assert document["digest"] in shown.stdout
    assert max(map(len, shown.stdout.split("\n\n")[1].splitlines())) <= 80

    before = (project.root / ".branchlab.toml").read_text()
    asked = ("sample", "--calibrate", "wide", "clash", "--fractions", "0.5", "--apply")
    short = project.branchlab(*asked)
    assert short.returncode == 1, short.stderr
    assert "no signal can be told from noise" in short.stdout  # clash changes no code
    assert "nothing was written" in short.stdout
    assert (project.root / ".branchlab.toml").read_text() == before
    calibration = json.loads(project.branchlab(*asked, "--json").stdout)["calibration"]
    assert calibration["recommended"] is None
    assert calibration["fractions"][0]["signal"] is None


REFUSED = {
    ("wide",): "BRANCH is for --calibrate",
    ("--apply",): "--apply is for --calibrate",
    ("--fraction", "0"): "--fraction 0: needs 0 < fraction <= 1",
    ("--calibrate", "--fractions", "a"): "--fractions a: expected numbers",
    ("--calibrate", "nosuch"): "there is no branch 'nosuch'",
    ("--calibrate",): "needs 2 experiments that train differently, found none",
}


def test_what_cannot_be_asked_of_a_sample_is_said(project) -> None:
    for arguments, said in REFUSED.items():
        done = project.branchlab("sample", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "hint:" in done.stderr
        assert "Traceback" not in done.stderr
    config = project.root / ".branchlab.toml"
    task = 'task = "tiny.task:Tiny"'
    config.write_text(config.read_text().replace(task, 'command = ["python", "train.py"]'))
    done = project.branchlab("sample")
    assert done.returncode == 2
    assert "sample trains a task" in done.stderr
