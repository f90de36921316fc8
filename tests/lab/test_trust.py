"""Which recorded runs the score of the sample rests on: real branches, run folders written by hand."""

from __future__ import annotations

import pytest

from branchlab.domain import Scale
from branchlab.lab.branches import all_branches, contents_of, main_branch
from branchlab.lab.trust import trust_of
from tests.lab.conftest import Recorder
from tests.lab.test_judge import MAIN

NAMES = "cdefgh"


@pytest.fixture
def record(repo) -> Recorder:
    for name in NAMES:
        repo.branch(f"exp/{name}", {f"{name}.py": "A = 1\n"})
    return Recorder(repo)


def on_both_scales(record: Recorder) -> None:
    for number, name in enumerate(NAMES, 1):
        better = tuple(value + number / 100 + value**5 / 100 for value in MAIN[:3])
        record(f"exp/{name}", better)
        record(f"exp/{name}", better, scale=Scale.FULL)


def num_trusted(repo) -> int:
    project = repo.open()
    index = project.index()
    records = index.runs()
    index.close()
    trust = trust_of(project, records, main_branch(project, all_branches(project)))
    return -1 if trust is None else trust.num


def test_full_runs_of_a_reference_that_is_main_still_are_mains(repo, record) -> None:
    on_both_scales(record)
    record("main", MAIN[:3])
    record("original", MAIN[:3], scale=Scale.FULL)  # as baseline leaves them
    assert num_trusted(repo) == len(NAMES)


def test_runs_of_a_branch_that_main_was_forwarded_to_are_mains(repo, record) -> None:
    description = 'title = "x"\nbase = "main"\n'
    repo.branch("exp/x", {"x.py": "X = 1\n", "experiments/x.toml": description})
    repo.git("merge", "--quiet", "--ff-only", "exp/x")
    tree = repo.git("rev-parse", "HEAD^{tree}").strip()
    without = repo.open()
    content = contents_of(without, [main_branch(without, all_branches(without))])[tree]
    on_both_scales(record)
    record("exp/x", MAIN[:3], content=content)
    record("exp/x", MAIN[:3], scale=Scale.FULL, content=content)
    assert num_trusted(repo) == len(NAMES)


def test_a_reference_on_a_remote_is_no_experiment(repo, record) -> None:
    on_both_scales(record)
    repo.git("branch", "--quiet", "-D", "original")
    repo.commit({"main.py": "MAIN = 1\n"})
    record("main", MAIN[:3])
    record("main", MAIN[:3], scale=Scale.FULL)
    repo.git("update-ref", "refs/remotes/origin/original", "main~1")
    for scale in Scale:
        record("origin/original", tuple(value + 0.1 for value in MAIN[:3]), scale=scale)
    assert num_trusted(repo) == len(NAMES)
