"""``run --check-determinism``: each planted fault is found and named, and nothing is said of what is harmless."""

from __future__ import annotations

import pytest

from branchlab.domain import DeterminismStatus, Proof
from branchlab.errors import ConfigError
from branchlab.lab.determinism import check_determinism
from branchlab.lab.run_request import RunRequest
from tests.lab.conftest import CONFIG, TASK, repo
from tests.lab.determinism_cases import BY_HASH, FAULTS, FLAGGED, HARMLESS, REFUSED, Fault


def edited(edits) -> str:
    text = TASK
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def check(root, warm, cases: dict[str, tuple], files: dict[str, dict[str, str]]) -> dict:
    """Check every case as a branch of one repository, all at once."""
    patch = pytest.MonkeyPatch()
    made = repo.__wrapped__(root, patch, warm)
    for name, edits in cases.items():
        made.branch(f"exp/{name}", {"tiny/task.py": edited(edits), **files.get(name, {})})
    before = made.fingerprint()
    request = RunRequest(is_all=True)
    found = check_determinism(made.open(), request, steps=12, executor=made.executor)
    assert made.fingerprint() == before
    assert not list((made.root / ".branchlab/parity").iterdir())
    patch.undo()
    return {one.branch.removeprefix("exp/"): one for one in found}


@pytest.fixture(scope="module")
def checked(tmp_path_factory, warm):
    faults = [*FAULTS, *REFUSED]
    cases = {**{one.name: one.edits for one in faults}, **HARMLESS, "by-hash": BY_HASH}
    files = {one.name: one.files for one in faults}
    return check(tmp_path_factory.mktemp("cases"), warm, cases, files)


def line_at(fault: Fault, place: str) -> str:
    path, _, number = place.partition(":")
    assert path == "tiny/task.py"
    return edited(fault.edits).splitlines()[int(number) - 1]


def assert_named(found, fault: Fault) -> None:
    assert found.status is DeterminismStatus.DIFFERS
    assert getattr(found, fault.part).status is Proof.DIFFERS
    assert found.first_difference.stage in fault.stages
    assert fault.operation in f"{found.cause.operation}: {found.cause.reason}"
    assert found.cause.remedy
    if fault.code:
        assert fault.code in line_at(fault, found.cause.place)


def assert_refused(found, fault: Fault) -> None:
    assert found.status is DeterminismStatus.FAILED
    assert found.first_difference.stage in fault.stages
    if fault.operation:
        assert fault.operation in found.cause.operation
        assert fault.code in line_at(fault, found.cause.place)


def assert_proven(found) -> None:
    assert found.first_difference is None
    assert found.status is DeterminismStatus.DETERMINISTIC
    assert found.repeat.status is found.resume.status is Proof.SAME
    assert found.steps == 4
    stops = [(stop.step, stop.is_kill) for stop in found.resume.stops]
    assert stops == [(1, False), (2, False), (3, True), (4, False)]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_and_named(checked, fault) -> None:
    assert_named(checked[fault.name], fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", REFUSED, ids=lambda fault: fault.name)
def test_what_torch_refuses_is_named(checked, fault) -> None:
    assert_refused(checked[fault.name], fault)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["main", "original", *HARMLESS])
def test_nothing_is_said_of_what_is_harmless(checked, name) -> None:
    assert_proven(checked[name])


@pytest.mark.slow
def test_what_the_hash_seed_decides_is_said_and_breaks_nothing(checked) -> None:
    found = checked["by-hash"]

    assert_proven(found)
    assert len(found.remarks) == 1
    assert "depends on the hash seed, which every run here has fixed" in found.remarks[0]


@pytest.mark.slow
def test_drawing_from_the_global_generator_in_augment_is_said(checked) -> None:
    (remark,) = checked["global-in-augment"].remarks

    edits = HARMLESS["global-in-augment"]
    line = edited(edits).splitlines().index("    def augment(self, batch, generator):") + 1
    assert f"augment() draws from the global generator (tiny/task.py:{line})" in remark
    assert not checked["main"].remarks


@pytest.mark.slow
def test_main_is_checked_beside_a_branch_and_flags_reach_it(repo) -> None:
    repo.branch("exp/noisy", {"tiny/task.py": edited(FLAGGED)})

    def statuses(**request):
        wanted = RunRequest(names=("noisy",), **request)
        found = check_determinism(repo.open(), wanted, steps=4, executor=repo.executor)
        return [(one.branch, str(one.status)) for one in found]

    assert statuses() == [("main", "deterministic"), ("exp/noisy", "deterministic")]
    assert statuses(flags={"noisy": True}) == [
        ("main", "deterministic"),
        ("exp/noisy", "differs"),
    ]


def test_what_cannot_be_checked_is_refused_before_anything_is_trained(repo) -> None:
    with pytest.raises(ConfigError, match="--steps 0: needs at least 1"):
        check_determinism(repo.open(), RunRequest(), steps=0, executor=repo.executor)
    repo.commit({".branchlab.toml": CONFIG.replace('task = "tiny.task:Tiny"', "")})
    with pytest.raises(ConfigError, match=r"\[trainer\] task is not set"):
        check_determinism(repo.open(), RunRequest(), steps=2, executor=repo.executor)


@pytest.mark.slow
def test_runs_without_determinism_are_told_what_they_miss(repo) -> None:
    repo.commit({".branchlab.toml": CONFIG.replace("[run]", "[run]\ndeterministic = false")})

    (found,) = check_determinism(
        repo.open(), RunRequest(names=("main",)), steps=4, executor=repo.executor
    )

    assert found.status is DeterminismStatus.DETERMINISTIC
    assert "deterministic = false" in found.remarks[0]
