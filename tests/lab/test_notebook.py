from __future__ import annotations

import pytest

import branchlab
from branchlab.domain import RunState, Scale
from branchlab.errors import BranchlabError, ConfigError
from tests.lab.conftest import LabRepo


def test_a_lab_answers_with_plain_records(repo: LabRepo) -> None:
    repo.branch("exp/se", {"experiments/se.toml": "flags = { squeeze = true }\n"})
    repo.run(names=("exp/se",))
    lab = branchlab.open(repo.root / "tiny")
    assert lab.path == repo.root
    runs = lab.runs()
    assert [r.run.id for r in runs] == [r.run.id for r in repo.open().index().runs()]
    assert {r.run.branch for r in lab.runs("se")} == {"exp/se"}
    assert lab.runs(["main", "exp/se"], state="done", scale="sample")[:] == tuple(runs)
    assert not lab.runs(state=["failed", "lost"])
    assert not lab.runs(scale="full")
    assert lab.run(runs[0].run.id).state is RunState.DONE
    assert runs[0].run.scale is Scale.SAMPLE
    assert [one.subject.branch for one in lab.compare().judged] == ["exp/se"]
    assert [one.standing.branch.name for one in lab.status().branches] == ["exp/se"]
    rows = lab.metrics("val/accuracy", branch="se")
    assert {row["name"] for row in rows} == {"val/accuracy"}
    index = repo.open().index()
    curves = [
        index.curve(r.run.id, "val/accuracy")
        for r in sorted(lab.runs("se"), key=lambda r: r.run.id)
    ]
    index.close()
    found = [(row["step"], row["value"]) for row in sorted(rows, key=lambda row: row["run"])]
    assert found == [point for curve in curves for point in curve]
    assert "2 runs of 1 branches" in repr(lab.runs("se"))


def test_what_there_is_not_is_said(repo: LabRepo) -> None:
    lab = branchlab.open(repo.root)
    assert len(lab.runs()) == len(lab.metrics()) == 0
    with pytest.raises(ConfigError, match="'don'") as found:
        lab.runs(state="don")
    assert "did you mean 'done'" in found.value.hint
    with pytest.raises(BranchlabError, match="nothing"):
        lab.runs("nothing")
    with pytest.raises(ConfigError):
        lab.run("nothing")
    with pytest.raises(BranchlabError):
        branchlab.open(repo.root.parent)


def test_a_name_that_the_package_has_not_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="close"):
        _ = branchlab.close
