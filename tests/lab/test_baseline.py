"""The reference against a published figure, on real runs of a task whose accuracy is planted."""

from __future__ import annotations

import pytest

from branchlab.domain import BaselineState
from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.baseline import baseline, baseline_request
from branchlab.lab.run import RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.lab.status import status
from tests.lab.conftest import CONFIG, TASK

PLANTED = (
    TASK.replace(
        "val=e(inputs[32:], targets[32:])",
        "val=e(inputs[32:], targets[32:]), test=e(inputs[32:], targets[32:])",
    )
    .replace("pause: float = 0.0):", "pause: float = 0.0, figure: float = 0.0):")
    .replace(
        "self.squeeze, self.pause = squeeze, pause",
        "self.squeeze, self.pause, self.figure = squeeze, pause, figure",
    )
    + """
    def metrics(self, outputs, batch):
        noise = 0.0001 * float(torch.rand((), generator=torch.Generator().manual_seed(round(1e6 * abs(float(outputs[0, 0]))))))
        return {"accuracy": torch.full((len(batch),), self.figure + noise)}
"""
)
FIGURE = """
[baseline]
published = 0.9
tolerance = 0.005
source = "a table"
arguments = { figure = 0.9 }
"""


@pytest.fixture
def lab(repo):
    def set_up(figure: str = FIGURE, task: str = PLANTED) -> None:
        repo.commit({".branchlab.toml": CONFIG + figure, "tiny/task.py": task})
        repo.git("branch", "--force", "original", "main")

    repo.set_up = set_up
    return repo


def reproduce(repo, **asked: object):
    project = repo.open()
    trained, request = baseline_request(project, baseline(project), RunRequest(**asked))
    session = RunSession(trained, request, executor=repo.executor)
    prepared = session.prepare()
    *_, last = session.carry_out(prepared)
    session.close()
    return prepared, last


def test_the_reference_alone_runs_on_the_full_set_with_the_arguments_of_the_figure(lab) -> None:
    lab.set_up()
    assert baseline(lab.open()).verdict.state is BaselineState.NOT_RUN
    prepared, _ = reproduce(lab, seeds=3)
    runs = [planned.run for planned in prepared.plan.runs]
    assert [(run.branch, run.seed, str(run.scale)) for run in runs] == [
        ("original", seed, "full") for seed in range(3)
    ]
    assert dict(runs[0].arguments) == {"figure": 0.9}
    found = baseline(lab.open())
    assert found.verdict.state is BaselineState.REPRODUCED
    assert found.verdict.seeds == 3
    assert found.notes == ()
    # What was trained for the figure alone is no result of the reference's beside main's.
    assert status(lab.open()).reference_results.records == ()
    prepared, _ = reproduce(lab, seeds=3)
    assert prepared.plan.to_start == ()


def test_ordinary_full_runs_of_the_reference_are_not_taken_for_the_figures_own(lab) -> None:
    lab.set_up()
    lab.run(names=("original",), is_full=True)
    assert baseline(lab.open()).verdict.state is BaselineState.NOT_RUN


def test_another_figure_is_not_reproduced(lab) -> None:
    lab.set_up(FIGURE.replace("figure = 0.9", "figure = 0.85"))
    reproduce(lab, seeds=3)
    found = baseline(lab.open())
    assert found.verdict.state is BaselineState.NOT_REPRODUCED
    assert "below by 0.05" in found.verdict.sentence


def test_a_reference_that_moved_is_said_to_have_results_of_an_older_commit(lab) -> None:
    lab.set_up()
    reproduce(lab)
    lab.git("switch", "--quiet", "original")
    lab.commit({"notes.md": "moved"})
    lab.git("switch", "--quiet", "main")
    found = baseline(lab.open())
    assert found.verdict.mean is not None
    assert "it has moved" in found.notes[0]
    assert not found.results.is_of_tip


def test_a_missing_test_split_is_said_with_what_was_recorded(lab) -> None:
    lab.set_up(task=PLANTED.replace(", test=e(inputs[32:], targets[32:])", ""))
    reproduce(lab)
    found = baseline(lab.open())
    assert found.verdict.state is BaselineState.UNDECIDED
    assert "recorded no test/accuracy" in found.verdict.sentence
    assert "val/accuracy" in found.verdict.sentence


def test_without_a_figure_it_is_said_how_to_set_one_and_status_is_silent(lab) -> None:
    lab.set_up(figure="")
    with pytest.raises(ConfigError, match="no published figure") as caught:
        baseline(lab.open())
    assert "[baseline] metric, published" in caught.value.hint
    assert status(lab.open()).baseline.verdict.state is BaselineState.NONE


def test_a_reference_without_the_task_is_told_what_to_do(repo) -> None:
    repo.git("switch", "--quiet", "--orphan", "found")
    repo.commit({"train.py": "print('as it was found')\n"})
    repo.git("branch", "--force", "original", "found")
    repo.git("switch", "--quiet", "main")
    repo.commit({".branchlab.toml": CONFIG + FIGURE})
    project = repo.open()
    with pytest.raises(ConfigError, match=r"original at \w+ has no tiny/task.py") as caught:
        baseline_request(project, baseline(project), RunRequest())
    assert "init --repin" in caught.value.hint


def test_without_a_reference_nothing_can_reproduce(repo) -> None:
    repo.commit({".branchlab.toml": CONFIG + FIGURE})
    repo.git("branch", "--quiet", "-D", "original")
    with pytest.raises(RepositoryError, match="no reference branch"):
        baseline(repo.open())


def test_a_metric_of_the_validation_set_is_remarked_on(lab) -> None:
    lab.set_up(FIGURE.replace("[baseline]", '[baseline]\nmetric = "val/accuracy"'))
    assert "not measured on the test set" in baseline(lab.open()).notes[0]
