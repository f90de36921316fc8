from branchlab.analysis.results import BranchResults
from branchlab.domain import Run, RunRecord, RunState, Sample, Scale
from branchlab.lab.curves import Curve, Point, curves_by_branch, is_comparable, thinned_curve


def record(branch, seed, *, state=RunState.DONE, epoch=2, scale=Scale.SAMPLE):
    run = Run(
        id=f"{branch}-s{seed}", key="k", branch=branch, commit="c", tree="t", task="a:B",
        seed=seed, scale=scale, sample=Sample(fraction=0.1),
    )  # fmt: skip
    return RunRecord(run=run, state=state, epoch=epoch, attempts=1)


def test_a_branch_without_a_finite_value_has_no_curve():
    results = {
        "a": BranchResults(records=(record("a", 0), record("a", 1))),
        "b": BranchResults(records=(record("b", 0),)),
        "c": BranchResults(),
    }
    curves = {"a-s0": [(1, 0.2), (2, 0.4)], "a-s1": [(1, 0.4)], "b-s0": [(1, float("nan"))]}
    found = curves_by_branch(results, curves)
    assert list(found) == ["a"]
    assert [(p.epoch, round(p.mean, 6), p.low, p.high) for p in found["a"].points] == [
        (1, 0.3, 0.2, 0.4)
    ]


def test_runs_of_two_scales_never_share_a_chart():
    sample = BranchResults(records=(record("a", 0),))
    full = BranchResults(records=(record("main", 0, scale=Scale.FULL),))
    assert is_comparable(sample, BranchResults(records=(record("main", 0),)))
    assert not is_comparable(sample, full)
    assert not is_comparable(sample, BranchResults())


def test_a_thinned_curve_keeps_its_ends_and_a_spike_of_one_epoch_in_a_single_seed():
    def point(epoch):
        high = 9.0 if epoch == 4321 else 1.0
        return Point(epoch=epoch, mean=1.0, low=-5.0 if epoch == 77 else 1.0, high=high)

    whole = Curve(branch="a", points=tuple(point(epoch) for epoch in range(10_000)), num_seeds=3)
    thin = thinned_curve(whole, 400)
    assert 200 < len(thin.points) <= 404
    assert {0, 77, 4321, 9999} <= {p.epoch for p in thin.points}
    assert list(thin.points) == sorted(thin.points, key=lambda p: p.epoch)
    few = Curve(branch="a", points=whole.points[:400], num_seeds=3)
    assert thinned_curve(few, 400) is few
