"""What the screen of a branch has read, from hand-written run folders."""

from branchlab.lab.branch_curves import Axis
from branchlab.lab.diff import Base, Side
from branchlab.lab.project import open_project
from branchlab.lab.status import status
from branchlab.tui.branch_reads import Chosen, read_curves, read_diff, sides_of, wishes
from branchlab.tui.views import Snapshot, branch_views
from tests.tui.conftest import NOW


def seen(lab):
    project = open_project(lab.root)
    found = status(project)
    index = project.index()
    records = tuple(index.runs())
    index.close()
    snapshot = Snapshot(status=found, records=records, read_at=NOW)
    return project, snapshot, {view.name: view for view in branch_views(snapshot)}


def curves(lab, name, how):
    project, snapshot, views = seen(lab)
    return read_curves(project, *sides_of(views[name], snapshot.status), how)


def test_a_run_that_goes_on_is_drawn_beside_those_that_are_done(full_lab, tui):
    events = full_lab.begin("exp/gelu", 7)
    tui.epoch(events, 1, 0.4)
    drawn = curves(full_lab, "exp/gelu", ("", Axis.EPOCH, False))
    assert [one.name for one in drawn.series] == [
        "exp/gelu (3 seeds)", "main (3 seeds)", "seed 7 (1 seed, running)",
    ]  # fmt: skip
    assert drawn.series[2].points == [(1, 0.4)]
    assert drawn.beside.metrics == ("val/accuracy",)


def test_a_metric_that_was_never_logged_gives_way_to_one_that_was(full_lab):
    drawn = curves(full_lab, "exp/gelu", ("val/never", Axis.STEP, True))
    assert drawn.beside.metric == "val/accuracy"
    assert [step for step, _ in drawn.series[0].points] == [10, 20, 30, 40]
    nothing = curves(full_lab, "exp/new-idea", ("", Axis.EPOCH, False))
    assert (nothing.beside.curve, nothing.series) == (None, ())


def test_what_is_read_is_asked_again_when_a_tip_or_a_run_has_changed(full_lab):
    chosen = Chosen(base=Base.MAIN, curves=("", Axis.EPOCH, False), width=80, run="gelu-s0")

    def keys(parts=("chart", "spark", "notes")):
        _, snapshot, views = seen(full_lab)
        return {one.slot: one.key for one in wishes(views["exp/gelu"], snapshot, chosen, parts)}

    before = keys()
    assert keys() == before
    assert set(before) == {"features", "diff", "curves", "spark", "notes"}
    full_lab.git("branch", "-f", "exp/gelu", "exp/focal")
    after = keys()
    assert {slot for slot in before if before[slot] != after[slot]} == set(before) - {"spark"}
    assert set(keys(())) == {"features", "diff"}


def test_a_branch_is_held_against_whatever_there_is(full_lab):
    project, snapshot, views = seen(full_lab)
    head = Side(name="exp/gelu", commit=views["exp/gelu"].tip)
    found = {
        base: read_diff(project, snapshot.status, head, base, snapshot.records) for base in Base
    }
    assert [file.path for file in found[Base.MAIN].files] == ["act.py", "experiments/gelu.toml"]
    assert ".branchlab.toml" in [file.path for file in found[Base.REFERENCE].files]
    assert not found[Base.LAST_RUN].files
    idea = Side(name="exp/new-idea", commit=views["exp/new-idea"].tip)
    alone = read_diff(project, snapshot.status, idea, Base.LAST_RUN, snapshot.records)
    assert alone.problem == "there is no last run to hold it against"
