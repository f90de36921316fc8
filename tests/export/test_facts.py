from __future__ import annotations

from branchlab.domain import Script
from branchlab.export.facts import settings_of
from branchlab.export.tables import run_rows
from branchlab.run_folder import StateFolder
from tests.export.conftest import WrittenRun

SCRIPT = Script(command=("python", "train.py", "--note", "two words", "{flags}"))


def test_what_is_said_of_a_run_names_the_script_that_trained_it(state: StateFolder) -> None:
    record = WrittenRun(state, task="", script=SCRIPT).record()
    said = "python train.py --note 'two words' '{flags}'"
    assert settings_of(record.run)["run.command"] == said
    assert run_rows([record])[0]["command"] == said


def test_a_run_of_a_task_has_no_command(written: WrittenRun) -> None:
    record = written.record()
    assert "run.command" not in settings_of(record.run)
    assert run_rows([record])[0]["command"] == ""
