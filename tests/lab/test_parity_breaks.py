"""Planted breaks are found at the right place with the right remedy, and harmless features are neutral.

All are trained for real, beside the example's main, by one warm parent.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from branchlab.analysis.parity.compare import first_difference
from branchlab.domain import Noted, Recording
from branchlab.lab.demo_lab import build_demo_lab
from branchlab.lab.project import open_project
from branchlab.lab.recordings import Recorder, Side
from tests.lab.parity_cases import BREAKS, FEW, HARMLESS, RARER, Break, Edit

STEPS = 9  # one epoch of a tenth of the data, its validation, and some steps more


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """Main, and the breaks and harmless features that every run of the tests looks at, recorded."""
    breaks = {case.name: case.edits for case in BREAKS if case.name not in RARER}
    few = {name: edits for name, edits in HARMLESS.items() if name in FEW}
    return recorded(tmp_path_factory.mktemp("parity"), {"main": (), **few, **breaks})


@pytest.fixture(scope="module")
def rarer_recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    breaks = {case.name: case.edits for case in BREAKS if case.name in RARER}
    many = {name: edits for name, edits in HARMLESS.items() if name not in FEW}
    return recorded(tmp_path_factory.mktemp("rarer"), {"main": (), **many, **breaks})


def recorded(root: Path, cases: dict[str, tuple[Edit, ...]]) -> dict[str, Recording]:
    """Return the recording of each case, all made by one warm parent."""
    lab = build_demo_lab(root / "lab")
    config = lab / ".branchlab.toml"
    config.write_text(config.read_text().replace("fraction = 0.5", "fraction = 0.1"))
    sides = [
        _side(name, written(lab, root, number, edits))
        for number, (name, edits) in enumerate(cases.items())
    ]
    recorder = Recorder(open_project(lab), steps=STEPS)
    recorder.warm_up(open_project(lab).repository.resolve("main"))
    try:
        return recorder.record(sides)
    finally:
        recorder.close()


def _side(name: str, folder: Path) -> Side:
    return Side(name=name, tree=folder.name, folder=lambda: folder)


def written(lab: Path, root: Path, number: int, edits: tuple[Edit, ...]) -> Path:
    folder = root / f"tree{number}"
    shutil.copytree(lab / "fashion", folder / "fashion")
    (folder / "data").symlink_to(lab / "data")
    for path, old, new in edits:
        file = folder / path
        text = file.read_text() if file.exists() else ""
        assert old in text, f"{path} no longer holds {old!r}"
        file.write_text(text.replace(old, new, 1) if old else new)
    return folder


@pytest.mark.parametrize(
    "case", [case for case in BREAKS if case.name not in RARER], ids=lambda case: case.name
)
def test_a_break_is_found_at_its_place(recordings, case) -> None:
    check(recordings, case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in BREAKS if case.name in RARER], ids=lambda case: case.name
)
def test_a_rarer_break_is_found_at_its_place(rarer_recordings, case) -> None:
    check(rarer_recordings, case)


def check(recordings: dict[str, Recording], case: Break) -> None:
    found = first_difference(recordings["main"], recordings[case.name])

    assert found is not None
    assert found.stage == case.stage, found
    assert case.where in found.where, found
    assert case.reason in found.reason, found
    assert case.remedy in found.remedy, found


@pytest.mark.parametrize("name", sorted(FEW))
def test_a_harmless_feature_is_neutral(recordings, name) -> None:
    check_neutral(recordings, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HARMLESS.keys() - FEW))
def test_another_harmless_feature_is_neutral(rarer_recordings, name) -> None:
    check_neutral(rarer_recordings, name)


def check_neutral(recordings: dict[str, Recording], name: str) -> None:
    assert first_difference(recordings["main"], recordings[name]) is None
    assert recordings[name].num_steps == STEPS
    assert not recordings[name].failure


def test_there_are_twenty_harmless_features_and_more_breaks() -> None:
    assert len(HARMLESS) >= 20
    assert len({case.name for case in BREAKS}) == len(BREAKS) >= 40
    assert {case.name for case in BREAKS} > RARER
    assert HARMLESS.keys() > FEW


def test_a_recording_holds_what_ran(recordings) -> None:
    (note,) = recordings["main"].named(Noted.EXECUTED)

    assert ["fashion/model.py", "ConvNet.forward"] in note.value
    assert ["fashion/task.py", "FashionTask.metrics"] in note.value
    assert not any(path.startswith("/") for path, _ in note.value)
