import asyncio
import os
import signal
import unicodedata

import pytest
from textual.color import Color

from branchlab.lab.project import open_project
from branchlab.terminal_text import safe_text
from branchlab.tui import app as app_module
from branchlab.tui import commands
from branchlab.tui.app import BranchlabApp
from branchlab.tui.asking import Answer
from branchlab.tui.messages import Said


def row_of(eyes, name):
    return next(row for row in eyes.rows() if row[1:].startswith(name))


def test_the_overview_says_where_every_branch_stands(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        assert "0.8610 ±0.0010" in row_of(eyes, "main")
        assert "0.8510 ±0.0010" in row_of(eyes, "original")
        gelu, wider = row_of(eyes, "exp/gelu"), row_of(eyes, "exp/wider")
        for words in ("↑1 ↓1", "✓ clean", "0.8718", "+1.08pt", "▲ better", "✓3"):
            assert words in gelu
        assert "✗ conflict" in wider
        assert "✗1" in row_of(eyes, "exp/focal")
        assert "none" in row_of(eyes, "exp/new-idea")

    tui.watch(full_lab.app(), look)


def test_the_selected_branch_is_told_in_full(full_lab, tui):
    async def look(eyes):
        await eyes.see("better than main: +1.08 points")
        await eyes.press("j")
        await eyes.see("✗ conflicts with main in model.py")
        await eyes.press("G")
        await eyes.see("ValueError: logits are NaN at step 12")
        await eyes.see("no result: 1 failed; ⏎ shows why, R runs it again")
        await eyes.press("g")
        await eyes.see("mean 0.8610 ±0.0010, 3 seeds")

    tui.watch(full_lab.app(), look)


def test_a_filter_narrows_and_esc_clears_it(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("slash", "g", "E", "l")
        await eyes.see("[/gEl]")
        assert "exp/wider" not in eyes.text()
        await eyes.press("enter")
        await eyes.see("1 of 4 branches")
        assert "⏎ keep" not in eyes.text()
        await eyes.press("escape")
        await eyes.see("exp/wider")
        assert "[/gEl]" not in eyes.text()
        await eyes.press("slash", "z", "z")
        await eyes.see("no branch has 'zz'")
        await eyes.press("q", "backspace", "escape")
        await eyes.see("exp/wider")

    tui.watch(full_lab.app(), look)


def test_keys_typed_faster_than_the_screen_answers_reach_the_filter(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        for key in ("slash", *"wider", "enter", "y"):
            eyes.app.simulate_key(key)
        await eyes.see("copied exp/wider")
        await eyes.see("[/wider]")

    tui.watch(full_lab.app(), look)


def test_enter_opens_a_branch_and_a_run_and_esc_returns(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("enter")
        await eyes.see("gelu-s2")
        assert "✓ done" in eyes.text()
        await eyes.press("enter")
        await eyes.see("epoch 4 of 4")
        await eyes.see("seed 0, sample (0.1 of the training set)")
        await eyes.press("escape")
        await eyes.see("gelu-s2")
        await eyes.press("escape")
        await eyes.see("exp/wider")
        await eyes.press("escape")
        await eyes.see("exp/wider")

    tui.watch(full_lab.app(), look)


def test_sorting_goes_through_the_columns_and_keeps_the_selection(full_lab, tui):
    async def look(eyes):
        await eyes.see("Δ MAIN▾")
        await eyes.press("j", "s", "s")
        await eyes.see("BRANCH▾")
        names = [row[1:].split()[0] for row in eyes.rows() if row[1:].startswith("exp/")]
        assert names[:4] == ["exp/focal", "exp/gelu", "exp/new-idea", "exp/wider"]
        assert "▌exp/wider" in eyes.text()

    tui.watch(full_lab.app(), look)


def test_the_help_lists_every_key_of_the_screen(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("question_mark")
        await eyes.see("filter as you type")
        assert "open the branch" in eyes.text()
        await eyes.press(*"runs go")
        await eyes.see("quit; runs go on")
        await eyes.press("escape")
        await eyes.press(*"filter as")
        await eyes.see("[filter as]")
        assert "quit; runs go on" not in eyes.text()
        await eyes.press("enter")
        await eyes.see("⏎ keep")
        await eyes.press("escape")
        await eyes.see("better than main")

    tui.watch(full_lab.app(), look)


@pytest.fixture
def started(monkeypatch, tmp_path):
    """What was started in place of branchlab: its arguments, its folder, and whether it leads a session."""
    kept, instead = tmp_path / "started", tmp_path / "python"
    instead.write_text(
        "#!/bin/sh\n"
        f'[ "$(ps -o sid= -p $$ | tr -d " ")" = $$ ] && lead=leads; echo "$lead $(pwd) $*" >> {kept}\n'
        "echo 3 runs go on in the background; echo more\n"
    )
    instead.chmod(0o755)
    monkeypatch.setattr(commands.sys, "executable", str(instead))
    return lambda: kept.read_text().splitlines() if kept.exists() else []


def test_a_run_starts_only_with_y(full_lab, tui, started):
    async def look(eyes):
        await eyes.see("exp/gelu")
        for refusal in ("R", "enter", "q", "space"):
            await eyes.press("R", refusal)
            await eyes.see("branchlab run exp/gelu --detach")
            await eyes.press("escape")
            await eyes.see("better than main")
        assert started() == []
        await eyes.press("R", "y")
        await eyes.see("3 runs go on in the background")
        told = f"leads {full_lab.root} -P -m branchlab.cli run exp/gelu --detach"
        assert started() == [told]
        await eyes.press("at")
        await eyes.see("branchlab run exp/gelu --detach")
        await eyes.see("more")

    tui.watch(full_lab.app(), look)


def test_stopping_names_the_runs_that_go_on_and_no_others(full_lab, tui, started):
    events = full_lab.begin("exp/new-idea", 0)
    tui.epoch(events, 1, 0.5)

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("X")
        await eyes.see("nothing runs here")
        await eyes.press("s", "s", "s", "s", "g", "j", "j", "X")
        await eyes.see("branchlab cancel new-idea-s0")
        await eyes.press("y")
        await eyes.see("go on in the background")
        assert started()[0].endswith("cancel new-idea-s0")

    tui.watch(full_lab.app(), look)


def test_a_command_that_fails_says_why(full_lab, tui):
    config = full_lab.root / ".branchlab.toml"
    config.write_text(config.read_text().partition("[trainer]")[0])

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("R", "y")
        await eyes.see("✗ error:")
        said = eyes.text().replace("\n", "").replace(" ", "")
        assert "[trainer]taskisnotset" in said
        assert "hint:setit" in said

    tui.watch(full_lab.app(), look, size=(140, 30))


def test_what_a_running_run_appends_appears(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/new-idea")
        events = full_lab.begin("exp/new-idea", 0, epochs=7)
        tui.epoch(events, 1, 0.5)
        await eyes.see("● 1 running")
        await eyes.see("●1 1/7")
        tui.epoch(events, 2, 0.6)
        await eyes.see("●1 2/7")
        full_lab.state.run("new-idea-s0").attempt(1).write_result(
            "done", metrics={"val/accuracy": 0.75}
        )
        full_lab.let_go()
        await eyes.see("0.7500")
        assert "✓1" in row_of(eyes, "exp/new-idea")

    tui.watch(full_lab.app(), look)


def test_a_commit_made_elsewhere_appears(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        full_lab.branch("exp/later", {"later.py": "x\n"}, "Come late")
        await eyes.see("exp/later")
        assert "▌exp/gelu" in eyes.text()

    tui.watch(full_lab.app(), look)


def test_a_moved_reference_shouts(full_lab, tui):
    full_lab.git("branch", "-f", "original", "main")

    async def look(eyes):
        row = await eyes.see("MOVED")
        assert row.startswith(" ! the frozen reference 'original' MOVED")

    tui.watch(full_lab.app(), look)


def test_without_experiments_the_next_command_is_said(lab, tui):
    async def look(eyes):
        await eyes.see("start one: branchlab new-exp NAME")

    tui.watch(lab.app(), look)


def test_without_runs_the_next_command_is_said(lab, tui):
    lab.branch("exp/se", {"se.py": "x\n"}, "Squeeze")

    async def look(eyes):
        await eyes.see("no runs yet; R runs the selected branch")
        await eyes.see("R runs it: branchlab run exp/se")

    tui.watch(lab.app(), look)


def test_an_error_is_shown_with_its_hint_and_passes(full_lab, tui):
    config = full_lab.root / ".branchlab.toml"
    good = config.read_text()

    async def look(eyes):
        await eyes.see("exp/gelu")
        config.write_text(good + "\n[runn]\n")
        await eyes.see("unknown table [runn]")
        await eyes.see("did you mean 'run'?")
        config.write_text(good)
        await eyes.see("✓ as of")

    tui.watch(full_lab.app(), look, size=(250, 30))


def test_a_bug_in_a_worker_is_shown_and_logged_whole(full_lab, tui):
    def broken_clock():
        raise ZeroDivisionError("a [/foo] bug")

    async def look(eyes):
        await eyes.see("a bug in branchlab: ZeroDivisionError: a [/foo] bug")

    tui.watch(BranchlabApp(open_project(full_lab.root), now=broken_clock), look)
    log = (full_lab.state.path / "tui.log").read_text()
    assert "Traceback" in log
    assert log.count("ZeroDivisionError: a [/foo] bug") == 1


HOSTILE = [
    "[red]x[/red] [/foo] [@click=app.quit]y[/] \x1b]52;c;cHduZWQ=\x07\x1b[2J\x1b[H",
    "\x9b31m\x85 \x7f \u202eright to left\u202c \u200b\ufeff",
    "実験 👩\u200d🔬 e\u0301",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_neither_acts_nor_crashes(lab, tui, text):
    name = "exp/" + "".join(c for c in text if c > " " and c not in "[\x7f\\^:?*~")
    lab.branch(name, {"x.py": "x\n"}, f"subject {text}")
    lab.done(name, 0.5)
    lab.done("main", 0.5)
    lab.failed(name, 7, f"reason {text}")
    for log in lab.state.runs.glob("*-s*/attempts/1/log.txt"):
        log.write_text(f"log: {text}\n" * 3)

    async def look(eyes):
        seen = []
        await eyes.see("subject")
        for key, wanted in (
            ("enter", "done"),
            ("enter", "log:"),
            ("escape", "done"),
            ("j", "reason"),
            ("enter", "reason"),
            ("escape", "reason"),
        ):
            seen += eyes.rows()
            await eyes.press(key)
            await eyes.see(wanted)
        await eyes.press("escape", "R")
        await eyes.see("$ branchlab run")
        seen += eyes.rows()
        await eyes.press("escape")
        for key, wanted in (
            ("2", "[2 "),
            ("3", "[3 "),
            ("4", "[4 "),
            ("5", "● ran"),
            ("at", "nothing was"),
        ):
            await eyes.press(key)
            await eyes.see(wanted)
            await eyes.pilot.pause(0.3)
            seen += eyes.rows()
        assert [safe_text(row) for row in seen] == seen
        assert not [c for c in "".join(seen) if unicodedata.category(c) == "Cc"]

    tui.watch(lab.app(), look)


def test_a_name_that_is_not_safe_to_paste_is_not_copied(lab, tui):
    lab.branch("exp/a\u202eb", {"x.py": "x\n"}, "x")
    lab.branch("exp/plain", {"y.py": "x\n"}, "y")

    async def look(eyes):
        await eyes.see("exp/plain")
        await eyes.press("y")
        await eyes.see("copied exp/plain")
        assert eyes.app.clipboard == "exp/plain"
        await eyes.press("j", "y")
        await eyes.see("not safe to paste")
        assert eyes.app.clipboard == "exp/plain"

    tui.watch(lab.app(), look)


def test_a_terminal_that_is_too_small_is_told_the_size_needed(full_lab, tui):
    async def look(eyes):
        await eyes.see("a terminal of 60x15 is needed; this one is 59x20")
        assert "exp/gelu" not in eyes.text()
        await eyes.pilot.resize_terminal(60, 15)
        await eyes.see("exp/gelu")
        assert "q quit" in eyes.text()

    tui.watch(full_lab.app(), look, size=(59, 20))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_in_order(full_lab, tui, number):
    app = full_lab.app()

    async def look(eyes):
        await eyes.see("exp/gelu")
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.2)

    tui.watch(app, look)
    assert app.return_code == 128 + number


def test_no_color_means_no_colour_codes(full_lab, tui, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = full_lab.app()

    async def look(eyes):
        await eyes.see("exp/gelu")
        strips = app.screen._compositor.render_strips()
        filtered = [
            strip.apply_filter(f, Color(0, 0, 0))
            for strip in strips
            for f in app._filters
            if f.enabled
        ]
        colours = {
            found.name
            for strip in filtered
            for segment in strip
            if segment.style is not None
            for found in (segment.style.color, segment.style.bgcolor)
            if found is not None
        }
        assert colours == {"default"}

    tui.watch(app, look)
    monkeypatch.setenv("NO_COLOR", "")
    assert full_lab.app().theme != "ansi-dark"


def test_news_that_come_while_a_screen_is_taken_down_do_no_harm(full_lab, tui):
    app = full_lab.app()

    async def look(eyes):
        await eyes.see("exp/gelu")
        removal = app._prune(app.screen)  # what an app that closes does first
        app.on_answer(Answer("nobody's", 0, None))
        await removal
        app.on_answer(Answer("nobody's", 0, None))
        app.on_said(Said("news", is_error=True))

    tui.watch(app, look)


def test_there_is_no_command_palette(full_lab, tui):
    assert not app_module.BranchlabApp.ENABLE_COMMAND_PALETTE
