"""Probes of real branches, made by forks of the warm parent."""

from __future__ import annotations

import pytest
import torch

from branchlab.domain import Drawn, Sample, StageKind
from branchlab.errors import BranchlabError, ConfigError, RepositoryError
from branchlab.lab.kept_probes import kept_probes, last_probe
from branchlab.lab.probe import ProbeRequest, probe, probe_against
from branchlab.lab.samples import SampleOfRuns
from tests.lab.conftest import CONFIG, TASK

HIDDEN = TASK.replace(
    "nn.Linear(64, 2, bias=not self.squeeze)",
    "nn.Linear(64, 8), nn.{act}(), nn.Linear(8, 2)",
)


def test_a_branch_is_probed_and_what_was_seen_is_kept(repo, monkeypatch):
    repo.branch("exp/a", {"tiny/task.py": HIDDEN.replace("{act}", "ReLU")})
    before = repo.fingerprint()
    found = probe(repo.open(), "a", executor=repo.executor)
    assert [one.id for one in found.findings] == []
    assert found.pictures["inputs"].read_bytes().startswith(b"\x89PNG")
    assert {"1", "2", "3"} <= {stage.name for stage in found.probe.stages}
    assert repo.fingerprint() == before
    monkeypatch.setattr(
        "branchlab.lab.recordings.Recorder.carry_out", None
    )  # nothing is trained again
    assert probe(repo.open(), "a", executor=repo.executor).probe == found.probe


def test_pictures_that_were_taken_away_are_drawn_again(repo):
    found = probe(repo.open(), "main", executor=repo.executor)
    found.pictures["inputs"].unlink()
    assert probe(repo.open(), "main", executor=repo.executor).pictures["inputs"].exists()


def test_kept_pictures_say_whose_they_are(repo):
    found = probe(repo.open(), "main", ProbeRequest(step=2), executor=repo.executor)
    (kept,) = kept_probes(repo.open())
    assert (kept.branch, kept.commit, kept.step) == ("main", found.commit, 2)
    assert found.pictures["inputs"] in kept.pictures
    seen = last_probe(repo.open(), "main")
    assert seen is not None
    assert (seen.probe, seen.findings) == (found.probe, found.findings)
    (kept.place / "probe.json.gz").write_bytes(b"cut off")
    assert last_probe(repo.open(), "main") is None
    assert last_probe(repo.open(), "exp/never") is None


def test_data_outside_of_git_that_changed_is_looked_at_anew(repo):
    (repo.root / "data").mkdir()
    torch.save(torch.zeros(48, 1, 8, 8, dtype=torch.uint8), repo.root / "data/images.pt")
    before = "source = torch.Generator()"
    reading = 'inputs = torch.load("data/images.pt")\n        targets'
    task = TASK.replace("        targets = ", f"        {reading} = ", 1)
    assert before in task
    assert reading in task
    config = CONFIG.replace("seeds = 2", 'seeds = 2\nshare = ["data"]')
    repo.commit({".branchlab.toml": config, "tiny/task.py": task})

    def highest() -> float:
        found = probe(repo.open(), "main", executor=repo.executor).probe
        return found.of(StageKind.STORED)[0].outputs[0].high

    assert highest() == 0
    torch.save(torch.full((48, 1, 8, 8), 9, dtype=torch.uint8), repo.root / "data/images.pt")
    assert highest() == 9


def test_what_was_drawn_on_main_is_what_is_probed(repo, monkeypatch):
    """A strategy of the project's own has its ids in the run's folder alone."""
    sample = Sample(fraction=0.5, strategy="tiny.task:chosen", manifest="m")
    drawn = Drawn(sample=sample, ids=tuple(range(16)), num=16, of=32, digest="")
    told = SampleOfRuns(sample=drawn.sample, drawn=drawn)
    monkeypatch.setattr("branchlab.lab.recordings.sample_of_runs", lambda _project: told)
    found = probe(repo.open(), "main", executor=repo.executor)
    assert found.probe.facts["num_train"] == 16


def test_two_branches_are_walked_in_step(repo):
    repo.branch("exp/relu", {"tiny/task.py": HIDDEN.replace("{act}", "ReLU")})
    repo.branch("exp/tanh", {"tiny/task.py": HIDDEN.replace("{act}", "Tanh")})
    repo.branch("exp/again", {"tiny/task.py": HIDDEN.replace("{act}", "ReLU") + "\n# a note\n"})
    held = probe_against(repo.open(), "tanh", "relu", executor=repo.executor)
    assert held.divergence.first is not None
    assert held.divergence.first.where.startswith("2 (Tanh)")
    assert held.divergence.noise == 0.0
    same = probe_against(repo.open(), "again", "relu", executor=repo.executor)
    assert same.divergence.first is None


def test_a_module_that_is_built_first_raises_no_false_alarm(repo):
    """It shifts what all later ones draw, so their weights are taken over."""
    relu = HIDDEN.replace("{act}", "ReLU")
    more = relu.replace("    def model(self):\n", "    def model(self):\n        nn.Linear(3, 3)\n")
    assert more != relu
    repo.branch("exp/relu", {"tiny/task.py": relu})
    repo.branch("exp/first", {"tiny/task.py": more})
    assert (
        probe_against(repo.open(), "first", "relu", executor=repo.executor).divergence.first is None
    )


def test_a_step_that_fails_is_a_finding(repo):
    repo.branch("exp/a", {"tiny/task.py": TASK.replace("nn.Linear(64, 2", "nn.Linear(63, 2")})
    found = probe(repo.open(), "a", executor=repo.executor)
    assert found.findings[0].id == "step-failed"
    assert "mat1 and mat2" in found.findings[0].sentence


def test_a_run_lends_its_weights(repo):
    _, last = repo.run(names=("main",), seeds=1)
    run = next(iter(last.records))
    fresh = probe(repo.open(), "main", ProbeRequest(is_eval=True), executor=repo.executor)
    used = probe(repo.open(), "main", ProbeRequest(is_eval=True, run=run), executor=repo.executor)
    assert used.probe.facts["weights"]
    assert used.probe.stages != fresh.probe.stages


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (ProbeRequest(step=0), ConfigError, "steps count from 1"),
        (ProbeRequest(step=10_000), BranchlabError, "the training has"),
        (ProbeRequest(run="nothing"), ConfigError, "no run"),
    ],
)
def test_what_cannot_be_probed_is_said(repo, request_, error, said):
    with pytest.raises(error, match=said):
        probe(repo.open(), "main", request_, executor=repo.executor)
    with pytest.raises(RepositoryError, match="there is no branch"):
        probe(repo.open(), "nobody", executor=repo.executor)
