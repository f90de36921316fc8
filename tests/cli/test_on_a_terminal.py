"""``status`` and ``compare`` on a real terminal: width, colour, characters; and ``branchlab`` alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from branchlab.cli.terminal import width
from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.run_folder import EventWriter, StateFolder

SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")
LIKE_MAIN = {"main": (0.80, 0.81), "exp/wide": (0.83, 0.84), "exp/clash": (0.79, 0.81)}


@pytest.fixture(scope="module")
def recorded(untouched: Any) -> Any:
    """A project whose run folders were written by hand; tests of this module share it and only read."""
    state = StateFolder(untouched.root / ".branchlab")
    state.create()
    for branch, values in LIKE_MAIN.items():
        for seed, value in enumerate(values):
            record(untouched, state, branch, seed, value)
    record(untouched, state, "exp/broken", 0, None)
    return untouched


def record(project: Any, state: StateFolder, branch: str, seed: int, value: float | None) -> None:
    """Write the run folder of one run; without a value it failed."""
    run = Run(
        id=f"{branch.replace('/', '-')}-s{seed}",
        key=f"{branch} {seed}",
        branch=branch,
        commit=project.git("rev-parse", branch),
        tree=project.git("rev-parse", f"{branch}^{{tree}}"),
        seed=seed,
        task="tiny.task:Tiny",
        scale=Scale.SAMPLE,
        sample=Sample(fraction=0.5),
        flags={"hidden": 32} if branch == "exp/wide" else {},
        batch="a",
        planned_at=datetime(2026, 1, 2, tzinfo=UTC) + timedelta(minutes=seed),
    )
    folder = state.run(run.id)
    folder.write_plan(run)
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    events = EventWriter(attempt.events)
    events.write("start", epochs=4, steps=40, device="cpu")
    metrics = {"val/accuracy": value} if value is not None else {}
    for epoch in range(1, 5) if value is not None else ():
        values = {"val/accuracy": (value or 0.0) * epoch / 4}
        events.write("epoch", epoch=epoch, step=10 * epoch, values=values, images_per_s=1.0)
    over = RunState.FAILED if value is None else RunState.DONE
    events.write("end", state=str(over), reason="")
    attempt.write_result(
        over, reason="", metrics=metrics, steps=40, loss_digest="0" * 16, duration_s=1.0
    )


@pytest.mark.parametrize("columns", [60, 80, 120, 160])
def test_status_and_compare_fit_the_terminal(recorded: Any, columns: int) -> None:
    for command, curves_from in (("status", 100), ("compare", 80)):
        said = recorded.on_a_terminal(columns, command)
        lines = SEQUENCE.sub("", said).splitlines()
        assert any(line.startswith("exp/wide ") for line in lines)
        assert max(map(width, lines)) <= columns
        assert ("CURVE" in said) == (columns >= curves_from)
        assert ("●" in said) == (command == "compare" and columns >= 120)


def test_colour_is_taken_away_by_whatever_says_so_and_kept_where_it_is_asked_for(
    recorded: Any,
) -> None:
    coloured = recorded.on_a_terminal(80, "compare")
    assert "\x1b[" in coloured
    for arguments, environment in (
        (("--color", "never", "compare"), {}),
        (("compare",), {"NO_COLOR": "1"}),
        (("compare",), {"TERM": "dumb"}),
    ):
        said = recorded.on_a_terminal(80, *arguments, **environment)
        assert said == SEQUENCE.sub("", coloured)
    assert "\x1b[" in recorded.branchlab("compare", "--color=always").stdout
    refused = recorded.branchlab("compare", "--color", "blue")
    assert refused.returncode == 2
    assert "'never'" in refused.stderr


def test_a_plain_locale_gets_plain_characters_in_the_same_places(recorded: Any) -> None:
    marked = SEQUENCE.sub("", recorded.on_a_terminal(120, "compare", LANG="C.UTF-8"))
    plain = SEQUENCE.sub("", recorded.on_a_terminal(120, "compare", LANG="C"))
    assert plain.isascii()
    assert not marked.isascii()
    assert [len(line) for line in plain.splitlines()] == [
        width(line) for line in marked.splitlines()
    ]
    assert SEQUENCE.sub("", recorded.on_a_terminal(120, "compare")) == marked


def test_an_encoding_without_marks_is_no_crash_and_loses_no_document(recorded: Any) -> None:
    recorded.git("branch", "exp/ü名", "exp/clash")
    try:
        said = recorded.on_a_terminal(100, "status", PYTHONIOENCODING="ascii")
        assert "exp/???" in said
        found = recorded.on_a_terminal(100, "status", "--json", PYTHONIOENCODING="ascii")
        assert "exp/\\u00fc\\u540d" in found
    finally:
        recorded.git("branch", "-D", "exp/ü名")


def test_watching_ends_when_nothing_runs_and_leaves_the_overview_behind(recorded: Any) -> None:
    said = recorded.on_a_terminal(80, "status", "--watch")
    other, _, after = said.rpartition("\x1b[?1049l")
    assert other.startswith("\x1b[?1049h")
    assert "0 runs go on · Ctrl-C leaves" in other
    assert after == recorded.on_a_terminal(80, "status")


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_watching_needs_a_terminal(recorded: Any, arguments: tuple[str, ...]) -> None:
    refused = recorded.branchlab("status", "--watch", *arguments)
    assert refused.returncode == 2
    assert "hint: for one look, type: branchlab status" in refused.stderr
    assert refused.stdout == ""


def test_branchlab_alone_says_where_a_lab_stands_and_what_to_type_next(recorded: Any) -> None:
    done = recorded.branchlab()
    assert done.returncode == 0
    overview, _, steps = done.stdout.partition("\nnext:\n")
    assert overview == recorded.branchlab("status").stdout
    commands = [line.split("   ")[0].strip() for line in steps.splitlines()]
    assert len(commands) == 3
    assert "branchlab runs exp/broken" in commands
    assert all(command.startswith("branchlab ") for command in commands)


def test_branchlab_alone_is_the_help_where_there_is_no_lab(recorded: Any, tmp_path: Path) -> None:
    done = recorded.branchlab(cwd=tmp_path)
    assert done.returncode == 0
    assert "branchlab demo" in done.stdout
    assert "Commands:" in done.stdout


def test_a_damaged_config_is_said_by_branchlab_alone_too(empty_repository: Any) -> None:
    empty_repository.commit({".branchlab.toml": "[run\n"})
    done = empty_repository.branchlab()
    assert done.returncode == 2
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
