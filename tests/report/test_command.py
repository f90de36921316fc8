from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from branchlab.domain import RunState
from branchlab.run_folder import EventWriter, locked


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that a process does, as long as it lives and patience lasts."""
    for _ in range(600):
        if holds() or process.poll() is not None:
            break
        time.sleep(0.1)
    if not holds():
        process.kill()
        raise AssertionError(process.communicate())


def text_of(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text()
    return ""


def test_the_page_of_the_whole_lab_is_written_and_its_path_said(lab) -> None:
    done = lab.branchlab("report")
    assert (done.returncode, done.stderr) == (0, "")
    path = Path(done.stdout.strip())
    assert path == lab.root / ".branchlab/report.html"
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert "exp/b" in path.read_text()
    assert not list(path.parent.glob(".report.html*"))


def test_some_branches_are_reported_alone(lab, tmp_path) -> None:
    done = lab.branchlab("report", "a", "--output", str(tmp_path / "a.html"))
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "a.html").read_text()
    assert "<title>lab: exp/a</title>" in text
    assert "alert(1)" not in text.partition('id="map"')[0]


def test_markdown_goes_to_stdout_or_into_a_file(lab, tmp_path) -> None:
    printed = lab.branchlab("report", "a", "--markdown")
    written = lab.branchlab("report", "a", "--markdown", "-o", str(tmp_path / "a.md"))
    assert printed.returncode == written.returncode == 0, printed.stderr
    assert printed.stdout.startswith("## lab: exp/a\n")
    assert (tmp_path / "a.md").read_text().splitlines()[:4] == printed.stdout.splitlines()[:4]


def test_what_cannot_be_done_is_said_without_a_traceback(lab, tmp_path) -> None:
    (tmp_path / "file").touch()
    for arguments, said in (
        (["nobody"], "there is no branch 'nobody'"),
        (["main"], "name experiments"),
        (["-o", str(tmp_path / "file/page.html")], "cannot be written"),
        (["--markdown", "--watch"], "name a file"),
    ):
        done = lab.branchlab("report", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_metric_that_nobody_recorded_is_said_on_the_page(own_lab) -> None:
    config = own_lab.root / ".branchlab.toml"
    config.write_text(f'{config.read_text()}\n[run]\nmetric = "val/f1"\n')
    done = own_lab.branchlab("report")
    assert done.returncode == 0, done.stderr
    assert "no run has recorded the metric &#x27;val/f1&#x27;" in text_of(
        own_lab.root / ".branchlab/report.html"
    )


def test_watching_ends_by_itself_where_nothing_runs(lab, tmp_path) -> None:
    done = lab.branchlab("report", "--watch", "-o", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert 'http-equiv="refresh"' not in (tmp_path / "page.html").read_text()


def test_watching_rewrites_the_page_until_the_runs_are_over(own_lab, tmp_path) -> None:
    path = tmp_path / "page.html"
    folder = own_lab.plan("exp/b", 1)
    events = EventWriter(folder.attempt(1).events)
    with locked(folder.lease) as is_ours:
        assert is_ours
        events.write("start", epochs=3, steps=30, device="cpu")
        process = own_lab.start("report", "--watch", "-o", str(path))
        until(lambda: 'http-equiv="refresh"' in text_of(path), process)
        assert "epoch 1: 0.4321" not in text_of(path)
        events.write("epoch", epoch=1, step=10, values={"val/accuracy": 0.4321}, images_per_s=9.0)
        until(lambda: "exp/b, epoch 1: 0.4321, 1 seed" in text_of(path), process)
        metrics = {"train/loss": 0.5, "val/accuracy": 0.4321}
        folder.attempt(1).write_result(RunState.DONE, reason="", metrics=metrics)
    said, complained = process.communicate(timeout=120)
    assert (process.returncode, complained) == (0, "")
    assert said.strip() == str(path)
    assert 'http-equiv="refresh"' not in path.read_text()
    assert "0 running" not in path.read_text()


def test_watching_that_is_told_to_end_leaves_a_page_that_does_not_look_alive(
    own_lab, tmp_path
) -> None:
    path = tmp_path / "page.html"
    folder = own_lab.plan("exp/b", 1)
    with locked(folder.lease):
        EventWriter(folder.attempt(1).events).write("start", epochs=3, steps=30, device="cpu")
        process = own_lab.start("report", "--watch", "-o", str(path))
        until(lambda: 'http-equiv="refresh"' in text_of(path), process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 130
    assert 'http-equiv="refresh"' not in path.read_text()
    assert "1 running now" in path.read_text()
