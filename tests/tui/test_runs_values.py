"""Rows, order, filter, charts and meters of runs, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from branchlab.domain import Goal, Run, RunRecord, RunState, Sample, Scale
from branchlab.lab.run_curves import Axis, RunCurves
from branchlab.lab.run_usage import Machine, UsageSample
from branchlab.run_folder import Job
from branchlab.tui.looks import plain
from branchlab.tui.meters import meter_lines
from branchlab.tui.run_charts import ChartView, Curves, chart_lines, next_metric
from branchlab.tui.run_facts import event_lines, head_line, metric_lines
from branchlab.tui.run_filter import RunFilter, parse_filter, text_of
from branchlab.tui.run_list import RunList, RunSort, bar, kept, ordered

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
METRIC = "val/accuracy"


def record(
    run_id: str,
    state: RunState = RunState.DONE,
    *,
    branch: str = "exp/se",
    seed: int = 0,
    minutes_ago: float = 60.0,
    **more: object,
) -> RunRecord:
    run = Run(
        id=run_id, key=run_id, branch=branch, commit="c" * 40, tree="t" * 40, task="t:T", seed=seed,
        scale=Scale.SAMPLE, sample=Sample(fraction=0.1), planned_at=NOW - timedelta(minutes=minutes_ago),
    )  # fmt: skip
    return RunRecord(run=run, state=state, **more)  # type: ignore[arg-type]


def listed(records, rows: RunList | None = None, *, now=NOW, is_at_work=False):
    found = (rows or RunList()).take(
        records, metric=METRIC, main="main", now=now, is_at_work=is_at_work
    )
    return found.entries


def cells(entry) -> list[str]:
    return [plain(cell) for cell in entry.row.cells]


RECORDS = [
    record("bad", RunState.FAILED, minutes_ago=9, reason="ValueError: NaN"),
    record("main-1", branch="main", metrics={METRIC: 0.80, "train/loss": 0.5}, minutes_ago=50),
    record("ours-1", metrics={METRIC: 0.83, "train/loss": 0.4}, minutes_ago=40),
    record("wait-1", RunState.PLANNED, seed=1, minutes_ago=5),
    record("wait-0", RunState.PLANNED, branch="main", seed=1, minutes_ago=5),
    record(
        "live",
        RunState.RUNNING,
        seed=2,
        step=25,
        steps=100,
        started_at=NOW - timedelta(minutes=1),
        metrics={METRIC: float("nan")},
        images_per_s=1234.5,
    ),
]


def test_what_runs_stands_first_then_what_waits_then_the_latest_that_ended() -> None:
    entries = listed(RECORDS, is_at_work=True)
    order = ordered(entries.values(), RunSort.LIVE, is_reversed=False, goal=Goal.MAX)
    assert [e.record.run.id for e in order] == [
        "live",
        "wait-0",
        "wait-1",
        "bad",
        "ours-1",
        "main-1",
    ]
    assert "○ queued 2" in cells(entries["wait-1"])
    assert "✗ failed" in cells(entries["bad"])
    assert "+3.00pt" in cells(entries["ours-1"])
    assert "main" in cells(entries["main-1"])
    live = cells(entries["live"])
    assert {"● running", "██░░░░░░  25%", "nan", "1,234", "3m00s"} <= set(live)


def test_what_nobody_carries_out_is_planned_and_not_queued() -> None:
    assert "○ planned" in cells(listed(RECORDS)["wait-1"])


def test_a_column_sorts_the_best_first_and_what_has_no_value_last_in_either_direction() -> None:
    entries = listed(RECORDS).values()
    for is_reversed, first in ((False, "ours-1"), (True, "main-1")):
        order = ordered(entries, RunSort.RESULT, is_reversed=is_reversed, goal=Goal.MAX)
        assert order[0].record.run.id == first
        assert order[1].record.metrics.get(METRIC) in {0.80, 0.83}
    order = ordered(entries, RunSort.LOSS, is_reversed=False, goal=Goal.MAX)
    assert order[0].record.run.id == "ours-1"
    order = ordered(entries, RunSort.AGE, is_reversed=False, goal=Goal.MAX)
    assert order[0].record.run.id == "live"


def test_rows_of_runs_that_have_not_changed_are_the_same_objects() -> None:
    rows = RunList()
    before = listed(RECORDS, rows)
    moved = [*RECORDS[:-1], replace(RECORDS[-1], step=50)]
    after = listed(moved, rows, now=NOW + timedelta(seconds=5))
    assert all(after[name] is before[name] for name in ("bad", "main-1", "ours-1"))
    assert "████░░░░  50%" in cells(after["live"])
    later = listed(moved, rows, now=NOW + timedelta(minutes=1))
    assert "10m" in cells(later["bad"])
    assert later["bad"].row.cells[:14] == before["bad"].row.cells[:14]


def test_the_difference_changes_when_mains_run_does() -> None:
    rows = RunList()
    listed(RECORDS, rows)
    better = replace(RECORDS[1], metrics={METRIC: 0.85})
    after = listed([better, *RECORDS[2:]], rows)
    assert "-2.00pt" in cells(after["ours-1"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"bad", "main-1", "ours-1", "wait-1", "wait-0", "live"}),
        ("state:running", {"live"}),
        ("state:fail,plan", {"bad", "wait-0", "wait-1"}),
        ("branch:main", {"main-1", "wait-0"}),
        ("seed:1", {"wait-0", "wait-1"}),
        ("seed:1 branch:se", {"wait-1"}),
        ("since:10m", {"bad", "wait-0", "wait-1", "live"}),
        ("NaN", {"bad"}),
        ("scale:full", set()),
        ("state:", {"bad", "main-1", "ours-1", "wait-1", "wait-0", "live"}),
        ("colour:red", set()),
    ],
)
def test_a_filter_keeps_what_it_says(text, expected) -> None:
    entries = listed(RECORDS).values()
    found = kept(entries, parse_filter(text), NOW)
    assert {entry.record.run.id for entry in found} == expected


def test_a_filter_that_means_nothing_says_so() -> None:
    assert parse_filter("since:yesterday").complaint == "since: needs a time, as 30m, 2h or 1d"
    assert parse_filter("since:yesterday").is_empty
    assert RunFilter().has(RECORDS[0], text_of(RECORDS[0]), NOW)


def test_marks_and_the_live_only_switch_narrow_what_is_shown() -> None:
    entries = listed(RECORDS).values()
    found = kept(entries, RunFilter(), NOW, is_live_only=True)
    assert {entry.record.run.id for entry in found} == {"wait-1", "wait-0", "live"}
    found = kept(entries, RunFilter(), NOW, among=frozenset({"bad"}))
    assert [entry.record.run.id for entry in found] == ["bad"]


def test_a_bar_is_never_longer_than_its_room() -> None:
    assert [bar(share, 4) for share in (-1, 0, 0.5, 0.53, 1, 7)] == [
        "░░░░", "░░░░", "██░░", "██▏░", "████", "████",
    ]  # fmt: skip


def test_a_view_zooms_into_its_end_moves_and_never_leaves_the_axis() -> None:
    view = ChartView().zoomed(0.5)
    assert (view.start, view.end) == (0.5, 1.0)
    assert (view.moved(-1).start, view.moved(-9).start, view.moved(9).end) == (0.0, 0.0, 1.0)
    assert (view.moved(-1).zoomed(8).start, view.moved(-1).zoomed(8).end) == (0.0, 1.0)
    assert [ChartView().smoother().smooth, ChartView(smooth=0.9).smoother().smooth] == [0.6, 0.0]
    assert view.next_axis() == ChartView(axis=Axis.EPOCH)
    assert next_metric(["a", "b"], "b") == "a"
    assert next_metric([], "x") == "x"


def curves(values, beside=()) -> Curves:
    def of(run_id, points):
        return RunCurves(run_id=run_id, axis=Axis.STEP, names=("l",), points={"l": points})

    return Curves(own=of("a", values), beside=of("m", beside) if beside else None, beside_id="m")


def test_a_chart_says_what_both_runs_say_at_the_present_step() -> None:
    lines = chart_lines(
        curves([(1, 0.5), (2, 0.25)], [(1, 0.6), (2, 0.4), (3, 0.1)]),
        "l", ChartView(smooth=0.6), width=60, height=8,
    )  # fmt: skip
    assert plain(lines[0]) == "l [smooth 0.6]  now 0.2500  main at this step 0.4000"
    assert len(lines) == 8
    assert "main: m" in plain(lines[-1])


def test_a_chart_of_nothing_says_why() -> None:
    view = ChartView()
    assert plain(chart_lines(curves([]), "l", view, width=40, height=8, notice="it broke")[1]) == (
        "it broke"
    )
    infinite = chart_lines(curves([(1, float("inf"))]), "l", view, width=40, height=8)
    assert "no finite value" in plain(infinite[1])
    assert len(chart_lines(curves([(1, 0.5)]), "l", view, width=3, height=2)) >= 1


def test_meters_say_no_gpu_in_a_word_and_show_the_rest() -> None:
    usage = {"cpu_percent": 98.0, "memory_gib": 0.5, "memory_gib_max": 0.75}
    run = record("a", RunState.RUNNING, usage=usage)
    samples = tuple(UsageSample(at=NOW, values={"cpu_percent": n * 10.0}) for n in range(5))
    job = Job(executor="slurm", job="17_3")
    machine = Machine(run_id="a", samples=samples, host="node4", job=job)
    text = "\n".join(plain(line) for line in meter_lines(run, machine, 30, 75.0))
    for words in ("cpu on node4", "no GPU", "98%  ▁▃▅▆█", "0.75 GiB", "1m15s", "17_3 of slurm"):
        assert words in text
    assert "not sampled" in plain(meter_lines(record("a"), None, 30)[1])


def test_meters_of_a_gpu_show_its_use_memory_and_heat_within_their_room() -> None:
    usage = {
        "gpu_percent": 93.0, "gpu_memory_gib": 40.0, "gpu_memory_gib_total": 80.0, "gpu_temperature_c": 71.0,
    }  # fmt: skip
    run = record("a", RunState.RUNNING, usage=usage)
    lines = [plain(line) for line in meter_lines(run, None, 40)]
    assert {"GPU   93%", "temp  71 °C"} <= {line.rstrip() for line in lines}
    assert any("40.0/80 GiB  █████░░░░░" in line for line in lines)
    assert all(len(plain(line)) <= 12 for line in meter_lines(run, None, 12))


def test_the_head_of_a_run_says_how_it_stands_or_that_it_is_gone() -> None:
    live = RECORDS[-1]
    assert "25%  3m00s left" in plain(head_line(live, NOW))
    assert "ValueError: NaN" in plain(head_line(RECORDS[0], NOW))
    assert "its folder is gone" in plain(head_line(live, NOW, is_gone=True))


def test_metrics_stand_beside_mains_with_those_of_parts_below() -> None:
    ours = replace(RECORDS[2], slices={"val/accuracy[shirt]": 0.5})
    text = [plain(line) for line in metric_lines(ours, RECORDS[1], METRIC)]
    assert text[1].split() == [METRIC, "0.8300", "0.8000", "+3.00pt"]
    assert text[-1].split() == ["val/accuracy[shirt]", "0.5000"]
    assert plain(metric_lines(RECORDS[0], None, METRIC)[0]) == "no metric yet"


def test_events_are_told_the_latest_first_and_damaged_ones_do_no_harm() -> None:
    events = [
        {"kind": "start", "at": "2026-11-23T10:00:00Z", "epochs": 4},
        {"kind": "metric", "at": "2026-11-23T10:00:01Z", "values": {}},
        {"kind": "warning", "at": None, "text": "[red]no pictures[/]"},
        {"at": 7},
    ]
    text = [plain(line) for line in event_lines(events)]
    assert text[0] == "1 warning"
    assert "! [red]no pictures[/]" in text[2]
    assert text[-1].endswith("start epochs 4")
    assert plain(event_lines([])[0]) == "nothing has happened yet"
