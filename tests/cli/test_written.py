"""``note``, ``map`` and ``log`` as they are typed."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest


@pytest.fixture
def noted(project):
    project.branch("exp/deep", {"tiny/extra.py": "DEEP = 1\n"}, start="exp/wide")
    done = project.branchlab(
        "note", "deep", "on top of\x1b[2J <wide>", "--builds-on", "wide", "--contradicts", "clash"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("noted in experiments/deep.toml on exp/deep, ")
    return project


def test_a_note_is_answered_as_a_document(project):
    done = project.branchlab("note", "wide", "slow", "--dropped", "--relates", "clash", "--json")
    found = json.loads(done.stdout)
    assert (found["experiment"], found["dropped"], found["relates"]) == ("wide", True, ["clash"])
    assert project.git("show", f"{found['commit']}:{found['file']}").endswith("dropped = true")
    status = json.loads(project.branchlab("status", "wide", "--json").stdout)
    assert status["branches"][0]["given_up"] == "slow"


def test_the_map_is_a_tree_with_what_crosses_it(noted):
    lines = noted.branchlab("map").stdout.splitlines()
    assert lines[0] == "main"
    wide = next(i for i, line in enumerate(lines) if "wide" in line)
    assert lines[wide + 1].endswith("└─ deep")
    assert lines[wide + 2].endswith("builds on wide, contradicts clash: on top of␛[2J <wide>")


def test_the_map_is_a_document_and_a_picture(noted, tmp_path):
    picture = tmp_path / "map.svg"
    found = json.loads(noted.branchlab("map", "--json", "--svg", str(picture)).stdout)
    assert {node["name"]: node["parent"] for node in found["nodes"]}["deep"] == "wide"
    # A branch of which only the commit graph tells that it has landed.
    assert {node["name"]: node["state"] for node in found["nodes"]}["squashed"] == "landed"
    assert [edge["relation"] for edge in found["edges"] if edge["text"]] == [
        "builds-on",
        "contradicts",
    ]
    drawn = "".join(ET.parse(picture).getroot().itertext())
    assert "deep contradicts clash: on top of␛[2J <wide>" in drawn


def test_the_journal_tells_it_in_order(noted):
    found = json.loads(noted.branchlab("log", "--json").stdout)["entries"]
    assert [entry["at"] for entry in found] == sorted(entry["at"] for entry in found)
    assert [e["what"] for e in found if e["experiment"] == "deep"] == ["created", "note"]
    assert found[-1]["contradicts"] == ["clash"]
    last = noted.branchlab("log", "-n", "1").stdout.splitlines()[-1]
    assert "note      deep  on top of␛[2J <wide> (builds on wide, contradicts clash)" in last


@pytest.mark.parametrize("command", ["map", "log"])
def test_an_unknown_experiment_is_named_with_the_nearest(project, command):
    done = project.branchlab(command, "wied")
    assert done.returncode == 2
    assert "there is no experiment 'wied'" in done.stderr
    assert "wide" in done.stderr


def test_a_picture_that_cannot_be_written_is_said(project, tmp_path):
    done = project.branchlab("map", "--svg", str(tmp_path / "no" / "map.svg"))
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
