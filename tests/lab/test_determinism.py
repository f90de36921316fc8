"""``run --check-determinism``: each planted fault is found and named, and nothing is said of what is harmless."""

from __future__ import annotations

import os

import pytest

from branchlab.domain import DeterminismStatus, Proof
from branchlab.lab.determinism import check_determinism
from branchlab.lab.run_request import RunRequest
from tests.lab.conftest import CONFIG, TASK
from tests.lab.determinism_cases import BY_HASH, FAULTS, HARMLESS, REFUSED, Fault


def edited(edits) -> str:
    text = TASK
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.fixture(scope="module")
def checked(tmp_path_factory, warm):
    """Every case is a branch of one repository, and all are checked at once."""
    from tests.lab.conftest import repo as make

    patch = pytest.MonkeyPatch()
    made = make.__wrapped__(tmp_path_factory.mktemp("cases"), patch, warm)
    for fault in [*FAULTS, *REFUSED]:
        made.branch(f"exp/{fault.name}", {"tiny/task.py": edited(fault.edits), **fault.files})
    for name, edits in HARMLESS.items():
        made.branch(f"exp/{name}", {"tiny/task.py": edited(edits)})
    made.branch("exp/by-hash", {"tiny/task.py": edited(BY_HASH)})
    before = made.fingerprint()
    found = check_determinism(
        made.open(), RunRequest(is_all=True), steps=12, executor=made.executor
    )
    assert made.fingerprint() == before
    patch.undo()
    return {one.branch.removeprefix("exp/"): one for one in found}


def line_at(fault: Fault, place: str) -> str:
    path, _, number = place.partition(":")
    assert path == "tiny/task.py"
    return edited(fault.edits).splitlines()[int(number) - 1]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_named(checked, fault) -> None:
    found = checked[fault.name]

    assert found.status is DeterminismStatus.DIFFERS
    assert getattr(found, fault.part).status is Proof.DIFFERS
    assert found.first_difference.stage in fault.stages
    assert fault.operation in found.cause.operation
    assert found.cause.remedy
    if fault.code:
        assert fault.code in line_at(fault, found.cause.place)


@pytest.mark.parametrize("fault", REFUSED, ids=lambda fault: fault.name)
def test_what_torch_refuses_is_named(checked, fault) -> None:
    found = checked[fault.name]

    assert found.status is DeterminismStatus.FAILED
    assert found.first_difference.stage in fault.stages
    if fault.operation:
        assert fault.operation in found.cause.operation
        assert fault.code in line_at(fault, found.cause.place)


@pytest.mark.parametrize("name", ["main", "original", *HARMLESS])
def test_what_is_harmless_is_deterministic(checked, name) -> None:
    found = checked[name]

    assert found.first_difference is None
    assert found.status is DeterminismStatus.DETERMINISTIC
    assert found.repeat.status is found.resume.status is Proof.SAME
    assert found.steps == 4
    assert [stop.step for stop in found.resume.stops]
