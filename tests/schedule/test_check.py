from __future__ import annotations

import sys

from branchlab.schedule.check import run_check


def test_the_exit_code_decides_and_the_end_of_the_output_is_kept(tmp_path) -> None:
    good = run_check([sys.executable, "-c", "print('a'); print('b')"], tmp_path, timeout_s=60)
    bad = run_check(
        [sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path, timeout_s=60
    )

    assert (good.is_passed, good.said) == (True, "a\nb")
    assert (bad.is_passed, bad.said) == (False, "why")


def test_it_runs_in_the_folder_without_gits_variables(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    program = "import os; print(os.getcwd(), sorted(n for n in os.environ if n.startswith('GIT_')))"

    assert (
        run_check([sys.executable, "-c", program], tmp_path, timeout_s=60).said == f"{tmp_path} []"
    )


def test_a_program_that_is_not_there_has_failed(tmp_path) -> None:
    found = run_check(["no-such-program"], tmp_path, timeout_s=60)

    assert not found.is_passed
    assert found.said == "no-such-program: No such file or directory"


def test_one_that_hangs_is_ended_with_what_it_started(tmp_path) -> None:
    program = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"

    found = run_check([sys.executable, "-c", program], tmp_path, timeout_s=0.5)

    assert not found.is_passed
    assert "longer than 0.5 s" in found.said


def test_the_folders_own_code_goes_before_what_is_installed(tmp_path) -> None:
    (tmp_path / "src" / "branchlab").mkdir(parents=True)
    (tmp_path / "src" / "branchlab" / "__init__.py").write_text("WHO = 'the folder'\n")
    program = "import branchlab; print(branchlab.WHO)"

    found = run_check([sys.executable, "-c", program], tmp_path, timeout_s=60)

    assert found.said == "the folder"
