"""What is done from the screens: forms, the palette, commands with what they print, editor and shell."""

import pytest
from textual.events import Key

from branchlab.terminal_text import plain_characters
from branchlab.tui import commands
from branchlab.tui.commands import edit_command
from branchlab.tui.jobs import said_of
from branchlab.tui.memory import Memory
from branchlab.tui.typed import Typed


@pytest.fixture
def instead(monkeypatch, tmp_path):
    """A program in the place of Python: keeps its arguments, says them, and ends as one says."""
    kept, script = tmp_path / "started", tmp_path / "python"

    def be(ending="exit 0"):
        script.write_text(f'#!/bin/sh\nshift 3; echo "$*" >> {kept}; echo "did $*"\n{ending}\n')
        script.chmod(0o755)
        monkeypatch.setattr(commands.sys, "executable", str(script))
        return lambda: kept.read_text().splitlines() if kept.exists() else []

    return be


def test_a_form_asks_shows_the_command_and_starts_only_with_y(full_lab, tui, instead):
    started = instead()

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("colon")
        await eyes.see("what to do…")
        await eyes.press(*"new exp")
        await eyes.see("branchlab new-exp …")
        await eyes.press("enter")
        await eyes.see("name *")
        await eyes.press(*["enter"] * 7)
        await eyes.see("✗ name is needed")
        # Faster than a focus could move.
        for key in ("tab", *"try", "enter", *"it's", "left", "backspace", "up", *"-2", "up", *"-x"):
            eyes.app.simulate_key(key)
        await eyes.see("$ branchlab new-exp try-2")
        eyes.app.screen.post_message(tui.paste("y\x1b[31m\nz"))
        await eyes.see("-xy␛[31m▏")
        await eyes.press("ctrl+u")
        assert started() == []
        await eyes.press("enter", "escape")
        await eyes.see("better than main")
        assert started() == []

    tui.watch(full_lab.app(), look)


def test_a_command_is_kept_with_all_that_it_printed(full_lab, tui, instead):
    started = instead("echo 'error: no [red]way[/red]' >&2; echo 'hint: try this' >&2; exit 2")

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("colon")
        await eyes.see("what to do…")
        await eyes.press(*"bring main")
        await eyes.see("branchlab sync exp/gelu")
        await eyes.press("enter")
        await eyes.see("y start it")
        await eyes.press("y")
        await eyes.see("✗ error: no [red]way[/red]  hint: try this  (@ shows all of it)")
        assert started() == ["sync exp/gelu"]
        await eyes.press("at")
        await eyes.see("did sync exp/gelu")
        await eyes.see("✗ exit 2")
        await eyes.press("y")
        await eyes.see("copied branchlab sync exp/gelu")
        await eyes.press("X")
        await eyes.see("it is over")
        await eyes.press("escape")
        await eyes.see("better than main")

    tui.watch(full_lab.app(), look, size=(120, 30))


def test_what_only_reads_starts_at_once_and_can_be_interrupted(full_lab, tui, instead):
    started = instead("trap 'echo interrupted; exit 130' INT; sleep 60 & wait")

    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("colon")
        await eyes.see("what to do…")
        await eyes.press(*"for a pull request")
        await eyes.see("branchlab report --markdown exp/gelu")
        await eyes.press("enter")
        await eyes.see("● running")
        await eyes.see("did report --markdown exp/gelu")
        await eyes.press("X")
        await eyes.see("✗ exit 130")
        await eyes.see("interrupted")
        assert started() == ["report --markdown exp/gelu"]

    tui.watch(full_lab.app(), look)


def test_places_are_reached_by_digit_and_by_mouse_and_stay_as_they_were(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        await eyes.press("enter")
        await eyes.see("gelu-s2")
        await eyes.press("2")
        await eyes.see("[2 Runs]")
        await eyes.pilot.click("#tabs", offset=(2, 0))
        await eyes.see("gelu-s2")
        await eyes.press("1")
        await eyes.see("better than main")
        for digit, place in (("3", "Compare"), ("4", "Map"), ("5", "Journal")):
            await eyes.press(digit)
            await eyes.see(f"[{digit} {place}]")
        footer = eyes.rows()[-1]
        await eyes.pilot.click("KeyBar", offset=(footer.index("? keys"), 0))
        await eyes.see("type to narrow")

    tui.watch(full_lab.app(), look)
    again = full_lab.app()

    async def look_again(eyes):
        await eyes.see("[5 Journal]")

    tui.watch(again, look_again)


def test_ascii_leaves_no_other_character_on_any_screen(full_lab, tui):
    async def look(eyes):
        await eyes.see("exp/gelu")
        for keys in (
            (),
            ("question_mark",),
            ("escape", "enter"),
            ("2",),
            ("5",),
            ("1", "R"),
            ("escape", "colon"),
        ):
            await eyes.press(*keys)
            await eyes.pilot.pause()
            shown = eyes.text()
            assert shown.strip()
            assert shown.isascii(), [c for c in shown if not c.isascii()]

    tui.watch(full_lab.app(is_ascii=True), look)


def test_plain_characters_are_as_wide_as_what_they_stand_for():
    assert plain_characters("✓ done ▁▄█ ⣿⠁ ↑3 ↓5 …") == "+ done _-# #. +3 -5 ~"
    assert plain_characters("実験") == "????"
    assert plain_characters("é") == "?"


def test_an_editor_is_told_the_line_in_its_own_way(monkeypatch, tmp_path):
    def said(editor):
        monkeypatch.setenv("VISUAL", editor)
        return edit_command(tmp_path / "a b.py", 7).arguments

    path = str(tmp_path / "a b.py")
    assert said("nvim -R") == ("nvim", "-R", "+7", path)
    assert said("/usr/bin/code --wait") == ("/usr/bin/code", "--wait", "--goto", f"{path}:7")
    assert said("odd") == ("odd", path)
    assert said("un'balanced") == ("un'balanced", path)


def test_the_line_that_says_most_is_taken_from_an_answer():
    assert said_of(0, ["3 runs", "more"], ["! careful"]) == "3 runs"
    assert said_of(0, [], []) == "done"
    assert said_of(2, ["x"], ["! careful", "error: no", "hint: yes", "z"]) == "error: no  hint: yes"
    assert said_of(1, ["differs"], []) == "differs"
    assert said_of(-9, [], []) == "it ended with -9"


def typed(text, *keys):
    line = Typed(text)
    for key in keys:
        line.take(Key(key, key if len(key) == 1 else None))
    return line.text


def test_a_line_is_edited_as_lines_are():
    assert typed("abc", "left", "backspace", "x") == "axc"
    assert typed("one two ", "ctrl+w", "z") == "one z"
    assert typed("abc", "home", "delete", "end", "d") == "bcd"
    assert typed("abc", "left", "ctrl+u") == "c"
    line = Typed()
    line.insert("a\x1b]52;c;aGk=\x07b\nsecond")
    assert line.text.isprintable()
    assert "second" not in line.text


@pytest.mark.parametrize(
    "damage", ["", "{", "[1]", '{"theme": 3, "place": ["x"], "list": [1]}', "[" * 100_000]
)
def test_a_damaged_memory_is_none(tmp_path, damage):
    path = tmp_path / "state.json"
    path.write_text(damage)
    memory = Memory(path)
    memory.load()
    assert memory.text("theme", "dark") == "dark"
    assert memory.text("place", "runs", among=frozenset({"runs"})) == "runs"
    assert memory.texts("list") == ()
    assert memory.is_set("list", fallback=True)


def test_what_is_kept_is_there_again(tmp_path):
    memory = Memory(tmp_path / "deep" / "state.json")
    memory.keep("sort", "name")
    memory.keep("columns", ["a", "b"])
    memory.keep("live", value=False)
    memory.save()
    again = Memory(tmp_path / "deep" / "state.json")
    again.load()
    assert (again.text("sort"), again.texts("columns")) == ("name", ("a", "b"))
    assert not again.is_set("live", fallback=True)
    assert again.text("sort", "age", among=frozenset({"age"})) == "age"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state.json"]
