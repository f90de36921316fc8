"""Promotion on real runs of a task whose effects are planted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from branchlab.domain import Outcome, RunState, Scale, TrustState
from branchlab.errors import ConfigError
from branchlab.lab.branches import all_branches, contents_of, experiment_of, main_branch
from branchlab.lab.halving import candidates, halve
from branchlab.lab.promote import Choice, is_drawn, promotion, promotion_request
from branchlab.lab.run_request import RunRequest
from branchlab.lab.trust import trust_of
from tests.lab.conftest import CONFIG

PLANTED = """
import torch
from torch import nn
import branchlab

class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs=1, batch_size=8)

    def __init__(self, *, gain: float = 0.0, on_full: float = 1.0, fails: bool = False):
        self.gain, self.on_full, self.fails = gain, on_full, fails

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (48, 1, 4, 4), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        e = branchlab.Examples
        return branchlab.Splits(train=e(inputs[:32], targets[:32]), val=e(inputs[32:], targets[32:]), test=e(inputs[32:], targets[32:]))

    def model(self):
        if self.fails:
            raise ValueError("planted")
        torch.rand(round(abs(self.gain) * 1e4))  # each branch has noise of its own
        self.noise = 0.002 * float(torch.rand(()))
        self.num_seen = 0
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))

    def augment(self, batch, generator):
        self.num_seen += len(batch)
        return batch

    def metrics(self, outputs, batch):
        gain = self.gain * (self.on_full if self.num_seen > 16 else 1.0)
        return {"accuracy": torch.full((len(batch),), 0.8 + gain + self.noise)}
"""


def an_experiment(gain: float, **flags: object) -> dict[str, str]:
    more = "".join(f", {name} = {str(value).lower()}" for name, value in flags.items())
    return {"gain": f"flags = {{ gain = {gain}{more} }}\n"}


@pytest.fixture
def lab(repo):
    """A lab whose branches are named by what they gain, in thousandths."""
    config = CONFIG.replace("jobs = 2", "jobs = 2\nmin_effect = 0.005")
    repo.commit({".branchlab.toml": config, "tiny/task.py": PLANTED})

    def branch(name: str, gain: float, **flags: object) -> None:
        text = an_experiment(gain, **flags)["gain"]
        repo.branch(f"exp/{name}", {f"experiments/{name}.toml": text})

    repo.plant = branch
    return repo


def promote(repo, *names: str, **how: object):
    """Choose, run, and return what both scales say then."""
    found = promotion(repo.open(), names, **how)
    asked = promotion_request(found, RunRequest())
    _, last = repo.run(is_full=True, exactly=asked.exactly, exact_seeds=asked.exact_seeds)
    assert {record.state for record in last.records.values()} == {RunState.DONE}
    return found, promotion(repo.open(), names, **how)


def full_runs(repo) -> set[tuple[str, str, int]]:
    runs = [record.run for record in repo.records().values() if record.run.scale is Scale.FULL]
    return {(run.branch, run.commit, run.seed) for run in runs}


def test_winners_and_main_run_on_the_full_set_at_the_commits_and_seeds_of_the_sample(lab) -> None:
    lab.plant("good", 0.05)
    lab.plant("bad", -0.05)
    lab.run(is_all=True, seeds=3)
    judged = {name: lab.git("rev-parse", name).strip() for name in ("main", "exp/good")}
    # Both move on before anybody promotes.
    lab.commit({"notes.md": "main has moved"})
    lab.git("switch", "--quiet", "exp/good")
    lab.commit({"tiny/extra.py": "EXTRA = 1\n"})
    lab.git("switch", "--quiet", "main")
    before, after = promote(lab, with_losers=False)
    assert [one.branch for one in before.chosen] == ["exp/good"]
    said = " ".join(before.notes)
    assert f"exp/good has moved since: {judged['exp/good'][:10]} is run" in said
    assert f"main has moved since: {judged['main'][:10]}" in said
    assert "no loser runs on the full set" in said
    assert full_runs(lab) == {(name, judged[name], seed) for name in judged for seed in range(3)}
    (good,) = [one for one in after.branches if one.branch == "exp/good"]
    assert (good.sample.verdict.outcome, good.full.outcome) == (Outcome.BETTER,) * 2
    assert good.full.scale is Scale.FULL
    assert good.full.difference == pytest.approx(0.05, abs=0.003)
    (bad,) = [one for one in after.branches if one.branch == "exp/bad"]
    assert bad.full is None


def test_one_in_four_losers_runs_too_the_same_ones_each_time(lab) -> None:
    lab.plant("good", 0.05)
    for number in range(8):
        lab.plant(f"bad{number}", -0.03 - 0.001 * number)
    lab.run(is_all=True)
    project = lab.open()
    branches = [b for b in all_branches(project) if b.name.startswith("exp/bad")]
    contents = contents_of(project, branches)
    flags = {b.name: experiment_of(project, b).flags for b in branches}
    drawn = {b.name for b in branches if is_drawn(contents[b.tree], flags[b.name])}
    assert 0 < len(drawn) < 8, "plant other effects: none of these is drawn, or all are"
    found = promotion(lab.open())
    assert {one.branch for one in found.chosen} == {"exp/good"} | drawn
    assert {one.choice for one in found.chosen} == {Choice.BETTER, Choice.AT_RANDOM}
    assert "so that the score does not flatter itself" in " ".join(found.notes)
    assert [one.branch for one in promotion(lab.open()).chosen] == [o.branch for o in found.chosen]
    without = promotion(lab.open(), with_losers=False)
    assert [one.branch for one in without.chosen] == ["exp/good"]


def test_a_quarter_of_all_trees_is_drawn_on_average() -> None:
    share = sum(is_drawn(f"{number:040x}", {"gain": 0.1}) for number in range(4000)) / 4000
    assert share == pytest.approx(0.25, abs=0.02)


def test_without_a_winner_nothing_runs_and_a_named_loser_is_said_to_be_left_out(lab) -> None:
    for number in range(2):
        lab.plant(f"bad{number}", -0.03 - 0.001 * number)
    lab.run(is_all=True)
    found = promotion(lab.open(), ["bad0"])
    assert found.chosen == ()
    assert "exp/bad0 is worse on the sample and left out" in found.notes[0]
    assert "branchlab run exp/bad0 --full" in found.notes[0]


def test_what_ran_on_both_scales_gives_the_score_and_deleting_a_branch_does_not_take_it_away(
    lab,
) -> None:
    gains = [0.06, 0.05, 0.04, 0.03, -0.03, -0.04, -0.05, -0.06]
    for number, gain in enumerate(gains):
        lab.plant(f"b{number}", gain, on_full=0.5)
    lab.run(is_all=True)
    project = lab.open()
    assert promotion(project).trust.state is TrustState.UNKNOWN
    lab.run(is_all=True, is_full=True)
    found = promotion(lab.open())
    trust = found.trust
    assert (trust.num, trust.num_others) == (8, 4)
    assert (trust.signs.held, trust.signs.of) == (8, 8)
    assert trust.state is TrustState.TRUSTED
    assert trust.slope == pytest.approx(0.5, abs=0.03)
    best = next(one for one in found.branches if one.branch == "exp/b0")
    assert best.expected[0] == pytest.approx(0.03, abs=0.003)
    # It is derived from runs alone: neither the memo nor the branches are needed.
    project.memo().path.unlink()
    for number in range(8):
        lab.git("branch", "--quiet", "-D", f"exp/b{number}")
    project = lab.open()
    main = main_branch(project, all_branches(project))
    records = list(lab.records().values())
    again = trust_of(project, records, main)
    assert replace(again, sentence="") == replace(trust, sentence="")
    assert trust_of(project, records, main) == again  # kept now


@pytest.mark.slow
def test_runs_on_another_sample_do_not_count_for_the_configured_one(lab) -> None:
    for number in range(6):
        lab.plant(f"b{number}", 0.03 + 0.005 * number)
    lab.run(is_all=True, fraction=0.25)
    lab.run(is_all=True, is_full=True)
    assert promotion(lab.open()).trust is None


def test_a_lab_without_a_sample_is_told_so(lab) -> None:
    config = (lab.root / ".branchlab.toml").read_text().replace("fraction = 0.5", "fraction = 1")
    lab.commit({".branchlab.toml": config})
    with pytest.raises(ConfigError, match="fraction is 1"):
        promotion(lab.open())
    script = CONFIG.replace('task = "tiny.task:Tiny"', 'command = ["python", "train.py"]')
    lab.commit({".branchlab.toml": script})
    with pytest.raises(ConfigError, match=r"takes no \{sample\}"):
        promotion(lab.open())


def halved(repo, **asked: object):
    """Halve as the command does; return the outcome and the fractions and branches of each batch."""
    pytest.importorskip("optuna")
    project = repo.open()
    main, taking_part, _ = candidates(project, [])
    batches = []

    def carry(request: RunRequest):
        prepared, last = repo.run(fraction=request.fraction, exactly=request.exactly)
        batches.append((request.fraction, {p.run.branch for p in prepared.plan.runs}, prepared))
        return last.records

    return halve(project, main, taking_part, RunRequest(**asked), carry), batches


def test_halving_keeps_the_best_and_main_runs_on_every_rung(lab) -> None:
    config = (lab.root / ".branchlab.toml").read_text() + "\n[promote]\nrungs = [0.5, 1]\n"
    lab.commit({".branchlab.toml": config})
    for number in range(6):
        lab.plant(f"b{number}", 0.01 * number)
    lab.plant("broken", 0.2, fails=True)
    found, batches = halved(lab)
    assert [fraction for fraction, _, _ in batches] == [0.25, 0.5]
    assert all("main" in names for _, names, _ in batches)
    assert batches[1][1] == {"main", "exp/b5", "exp/b4"}
    assert (found.is_over, found.survivors) == (True, ("exp/b5", "exp/b4"))
    dropped = {one.branch: one.reason for one in found.rungs[0].dropped}
    assert dropped.keys() == {"exp/b0", "exp/b1", "exp/b2", "exp/b3", "exp/broken"}
    assert "not among the best 2 of 6" in dropped["exp/b3"]
    assert "its runs failed" in dropped["exp/broken"]
    # The same command finds all that is known, and decides the same again.
    again, batches = halved(lab)
    assert (again.survivors, again.rungs) == (found.survivors, found.rungs)
    assert all(
        {run.branch for run in prepared.plan.to_start} <= {"exp/broken"}
        for _, _, prepared in batches
    )


def test_a_rung_that_is_not_finished_decides_nothing(lab) -> None:
    lab.plant("b0", 0.01)
    project = lab.open()
    pytest.importorskip("optuna")
    main, taking_part, _ = candidates(project, [])

    def stops(request: RunRequest):
        def watch(session, progress) -> None:
            session.stop.level = 1

        _, last = lab.run(fraction=request.fraction, exactly=request.exactly, watch=watch)
        return last.records

    found = halve(project, main, taking_part, RunRequest(), stops)
    assert (found.is_over, found.rungs, found.survivors) == (False, (), ())


@pytest.mark.slow
def test_an_effect_on_another_sample_lets_nothing_be_expected(lab) -> None:
    gains = [0.06, 0.05, 0.04, 0.03, -0.03, -0.04]
    for number, gain in enumerate(gains):
        lab.plant(f"b{number}", gain, on_full=0.5)
    lab.run(is_all=True)
    lab.run(is_all=True, is_full=True)
    lab.plant("late", 0.05)
    lab.run(names=("late",), fraction=0.25)
    expected = {one.branch: one.expected for one in promotion(lab.open()).branches}
    assert expected["exp/b0"] is not None
    assert expected["exp/late"] is None


def test_another_class_min_is_another_sample(lab) -> None:
    lab.run(names=("main",), seeds=1)
    project = lab.open()
    main = main_branch(project, all_branches(project))
    records = list(lab.records().values())
    assert trust_of(project, records, main) is not None
    (run,) = [record.run for record in records]
    other = [replace(records[0], run=replace(run, sample=replace(run.sample, class_min=5)))]
    assert trust_of(project, other, main) is None
