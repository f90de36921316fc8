"""The screens of all runs and of one, as somebody sees them; each session presses many keys, for a start takes seconds."""

from __future__ import annotations

import shutil

from branchlab.domain import RunState
from branchlab.run_folder import EventWriter
from branchlab.tui.log_view import LogView
from branchlab.tui.run_screen import RunScreen

HOSTILE = b"\x1b]52;c;cHduZWQ=\x1b\\[red]x[/red] \xff\x00\n" + b"x" * 1_000_000 + b"\n"


def row_of(eyes, name):
    return next(row for row in eyes.rows() if name in row)


def test_runs_are_shown_filtered_sorted_marked_and_stopped(full_lab, tui):
    events = full_lab.begin("exp/new-idea", 0)
    events.write("metric", epoch=0, step=25, values={"train/loss": 0.75})

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("2")
        await eyes.see("14 runs")
        assert "● running" in row_of(eyes, "new-idea-s0")
        assert "25%" in row_of(eyes, "new-idea-s0")
        await eyes.see("train/loss  now 0.7500")
        assert "no GPU" in eyes.text() or "not sampled" in eyes.text()
        events.write("metric", epoch=0, step=50, values={"train/loss": 0.5})
        await eyes.see("train/loss  now 0.5000")
        assert "50%" in row_of(eyes, "▌")

        await eyes.press("slash", *"state:fail", "enter")
        await eyes.see("1 of 14 runs")
        await eyes.see("logits are NaN at step 12")
        assert "branchlab runs" in eyes.app.screen.equivalent()
        await eyes.press("X")
        await eyes.see("focal-s0: over already, nothing to stop")
        await eyes.press("R")
        await eyes.see("$ branchlab run exp/focal --detach")
        await eyes.press("escape")
        await eyes.press("escape")
        await eyes.see("14 runs")
        await eyes.press("slash", *"since:soon")
        await eyes.see("since: needs a time")
        await eyes.press("escape")

    tui.watch(full_lab.app(), look, size=(160, 45))


def test_runs_are_marked_sorted_and_held_still(full_lab, tui):
    events = full_lab.begin("exp/new-idea", 0)
    events.write("metric", epoch=0, step=50, values={"train/loss": 0.5})

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("2")
        await eyes.see("now 0.5000")
        await eyes.press("g", "space", "space", "X")
        await eyes.see("$ branchlab cancel new-idea-s0")
        await eyes.press("escape", "a")
        await eyes.see("2 of 14 runs")
        await eyes.press("escape", "escape", "v")
        await eyes.see("1 of 14 runs")
        await eyes.press("v", "s", "s")
        await eyes.see("accuracy▾")
        assert "gelu-s1" in eyes.rows()[3]
        await eyes.press("S")
        await eyes.see("accuracy▴")
        assert "original-s0" in eyes.rows()[3]
        at = eyes.rows()[2].index
        said = ("accuracy▾", "accuracy▴", "COMMIT is no order")
        for title, words in zip(("accuracy", "accuracy", "COMMIT"), said, strict=True):
            await eyes.pilot.click("#runs", offset=(at(title), 0))
            await eyes.see(words)

        await eyes.press("s", "s", "s", "s", "s", "g", "p")
        await eyes.see("paused")
        events.write("metric", epoch=0, step=75, values={"train/loss": 0.25})
        await eyes.see("this screen stands still")
        await eyes.press("w", "o", "x", "plus", "minus", "left_square_bracket", "full_stop")
        await eyes.see("log stands")
        await eyes.press("p")
        await eyes.see("75%")
        await eyes.press("t")
        assert eyes.app.screen.has_class("-log")
        await eyes.press("y")
        await eyes.see("copied")

    tui.watch(full_lab.app(), look, size=(160, 45))
    kept = full_lab.app()
    assert kept.memory.text("runs.sort") == "live first"
    assert kept.memory.is_set("runs.log")


def test_the_runs_outlive_an_index_that_is_deleted_and_folders_that_are(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("2")
        await eyes.see("13 runs")
        for path in full_lab.state.path.glob("index.sqlite*"):
            path.unlink()
        shutil.rmtree(full_lab.state.run("gelu-s2").path)
        await eyes.see("12 runs")
        assert "✗" not in eyes.rows()[-2]
        full_lab.begin("exp/new-idea", 3)
        await eyes.see("new-idea-s3")

    tui.watch(full_lab.app(), look)


def test_without_runs_it_says_what_starts_some(lab, tui):
    async def look(eyes):
        await eyes.press("2")
        await eyes.see("no runs yet: branchlab run --all-branches")
        await eyes.press("X", "R", "space", "w", "a", "t", "enter")
        await eyes.see("nothing is marked")

    tui.watch(lab.app(), look, size=(60, 15))


def test_one_run_is_told_view_by_view_and_its_log_is_followed_and_searched(full_lab, tui):
    events = full_lab.begin("exp/new-idea", 0)
    log = full_lab.state.run("new-idea-s0").attempt(1).log
    lines = b"".join(b"step %d\n" % i for i in range(50_000))
    log.write_bytes(lines + HOSTILE + b"needle\n 10%\r 20%")

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.app.run_action("app.place('runs')")
        await eyes.see("new-idea-s0")
        await eyes.press("enter")
        await eyes.see("50,004 lines")
        await eyes.see("20%")
        await eyes.see("branch     exp/new-idea at")
        with log.open("ab") as file:
            file.write(b" 30%\nnext\n")
        await eyes.see("next")
        assert "\x1b" not in eyes.text()

        await eyes.press("slash", *"needle")
        await eyes.see("1 of 1")
        await eyes.press("enter", "n", "N")
        assert not eyes.app.screen.query_one(LogView).is_following
        await eyes.see("stands, . follows")
        await eyes.press("full_stop", "escape")
        await eyes.see("next")
        await eyes.press("z", "g")
        await eyes.see("step 0")
        assert "exp/new-idea at" not in eyes.text()
        await eyes.press("z")

        tui.epoch(events, 1, 0.5)
        for words in ("now 0.5000", "0.5000", "not recorded", "no picture", "start epochs 10"):
            await eyes.press("t")
            await eyes.see(words)
        await eyes.press("w", "o", "x", "plus", "minus", "i")
        await eyes.see("[environment]")
        await eyes.press("i")
        await eyes.see("progress   epoch 1 of 10")

    tui.watch(full_lab.app(), look, size=(100, 30))


def test_one_run_is_followed_into_another_attempt_and_out_of_its_folder(full_lab, tui):
    full_lab.begin("exp/new-idea", 0)

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("2")
        await eyes.see("new-idea-s0")
        await eyes.press("enter")
        await eyes.see("starting")
        folder = full_lab.state.run("new-idea-s0")
        folder.attempt(1).write_result(RunState.FAILED, reason="KeyError: 'needle'")
        full_lab.let_go()  # after its result: free without one it would be lost
        await eyes.see("✗ failed  KeyError: 'needle'")
        full_lab.git("branch", "-D", "exp/new-idea")
        again = folder.attempt(2)
        again.path.mkdir()
        again.log.write_text("second try\n")
        EventWriter(again.events).write("start", epochs=10, steps=100)
        again.write_result(RunState.DONE, metrics={"val/accuracy": 0.75}, duration_s=3.0)
        await eyes.see("✓ done")
        await eyes.see("second try")
        await eyes.see("(deleted since)")
        shutil.rmtree(folder.path)
        await eyes.see("its folder is gone")
        assert isinstance(eyes.app.screen, RunScreen)
        await eyes.press("escape")
        await eyes.see("13 runs")

    tui.watch(full_lab.app(), look, size=(100, 30))
