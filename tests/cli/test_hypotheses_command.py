"""``hypotheses`` and the question of ``new-exp``, as a user or a script calls them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import sys
import time
import tomllib
from typing import Any

import pytest

_ESCAPE = re.compile(rb"\x1b\[[?0-9;]*[A-Za-z]")
_PATIENCE_S = 120.0


def file_of(project: Any, name: str) -> str:
    return project.git("show", f"exp/{name}:experiments/{name}.toml")


def type_at_a_terminal(project: Any, arguments: list[str], answers: list[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own, give an answer to each prompt, and return exit code and screen."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(project.root)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs in the background ignores it
        os.environ["GIT_AUTHOR_NAME"] = os.environ["GIT_COMMITTER_NAME"] = "Ada"
        os.environ["GIT_AUTHOR_EMAIL"] = os.environ["GIT_COMMITTER_EMAIL"] = "ada@example.org"
        os.execv(sys.executable, [sys.executable, "-m", "branchlab.cli", *arguments])
    screen, waiting, until = b"", list(answers), time.monotonic() + _PATIENCE_S
    while True:
        if not select.select([terminal], [], [], 1.0)[0]:
            if time.monotonic() > until:
                os.kill(process, signal.SIGKILL)
                pytest.fail(f"it waits, and nobody knows for what: {screen!r}")
            if answers[-1] == "\x03" and not waiting:
                # Between its prompt and its read Python only remembers a signal, and reads: a person presses again.
                os.write(terminal, b"\x03")
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other end has closed
            break
        if not part:
            break
        screen += part
        # What a line editor sends to set the terminal up may come behind the prompt.
        if waiting and _ESCAPE.sub(b"", screen).endswith(b"> "):
            os.write(terminal, waiting.pop(0).encode())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), screen.decode()


def test_a_script_gives_the_hypothesis_on_the_command_line(project: Any) -> None:
    done = project.branchlab(
        *("new-exp", "se", "--no-worktree", "--hypothesis", 'It "sees" more.'),
        *("--expect", "val/accuracy > main+1pt", "--expect", "val/loss decreases", "--json"),
    )
    assert json.loads(done.stdout)["hypothesis"] == "H1"
    (found,) = tomllib.loads(file_of(project, "se"))["hypothesis"]
    assert found == {
        "id": "H1",
        "claim": 'It "sees" more.',
        "min_seeds": 3,
        "expect": {"a": "val/accuracy > main+1pt", "b": "val/loss decreases"},
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hypothesis", "why"], "add --expect"),
        (["--expect", "a > main"], "add --hypothesis"),
        (["--hypothesis", " ", "--expect", "a > main"], "add --hypothesis"),
        (["--hypothesis", "why", "--expect", "a >> main"], "column 4: one relation"),
    ],
)
def test_half_a_hypothesis_or_one_that_cannot_be_read_makes_no_branch(
    project: Any, arguments: list[str], said: str
) -> None:
    done = project.branchlab("new-exp", "se", "--no-worktree", *arguments)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert "exp/se" not in project.git("branch")


def test_off_a_terminal_nothing_is_asked_and_the_file_shows_how_it_is_written(project: Any) -> None:
    done = project.branchlab("new-exp", "se", "--no-worktree")
    assert "fill in [[hypothesis]] in experiments/se.toml" in done.stdout
    text = file_of(project, "se")
    assert "hypothesis" not in tomllib.loads(text)
    template = "\n".join(
        line.removeprefix("# ") for line in text.partition("run:\n")[2].split("\n")
    )
    assert tomllib.loads(template)["hypothesis"][0]["expect"] == {
        "a": "val/accuracy > main + 0.5pt"
    }
    quiet = project.branchlab("new-exp", "te", "--no-worktree", "--no-hypothesis")
    assert "hypothesis" not in quiet.stdout


def test_at_a_terminal_an_expectation_is_read_as_it_is_typed(project: Any) -> None:
    code, screen = type_at_a_terminal(
        project,
        ["new-exp", "se", "--no-worktree"],
        ["It sees more.\n", "val/loss >> 1\n", "val/loss < main\n"],
    )
    assert code == 0, screen
    line, below = next(
        (line, below)
        for line, below in zip(screen.splitlines(), screen.splitlines()[1:], strict=False)
        if "^ one relation" in below
    )
    assert line[below.index("^")] == ">"  # the caret stands below what was typed
    (found,) = tomllib.loads(file_of(project, "se"))["hypothesis"]
    assert (found["claim"], found["expect"]) == ("It sees more.", {"a": "val/loss < main"})


@pytest.mark.parametrize("answers", [["\n"], ["It sees more.\n", "\n"]])
def test_an_empty_answer_is_no_hypothesis(project: Any, answers: list[str]) -> None:
    code, screen = type_at_a_terminal(project, ["new-exp", "se", "--no-worktree"], answers)
    assert code == 0, screen
    assert "hypothesis" not in tomllib.loads(file_of(project, "se"))


def test_an_interrupted_question_makes_nothing(project: Any) -> None:
    code, _ = type_at_a_terminal(project, ["new-exp", "se", "--no-worktree"], ["\x03"])
    assert code == 130
    assert "exp/se" not in project.git("branch")


def test_hypotheses_are_listed_before_anything_has_run(project: Any) -> None:
    done = project.branchlab("hypotheses", "--json")
    (branch,) = json.loads(done.stdout)["branches"]
    assert (branch["name"], branch["remark"], branch["problem"]) == ("exp/wide", None, None)
    (found,) = branch["hypotheses"]
    assert (
        found.items()
        >= {
            "id": "H1",
            "claim": "The net is too narrow.",
            "state": "not-measured",
            "registered": "not-run",
            "min_seeds": 2,
            "seeds_needed": None,
            "original": None,
        }.items()
    )
    assert [one["key"] for one in found["expect"] + found["guard"]] == ["a", "b", "c"]
    assert (
        found["expect"][0].items()
        >= {
            "text": "val/loss < main + 100",
            "state": "not-measured",
            "estimate": None,
            "interval": None,
            "seeds": 0,
            "seeds_needed": None,
            "sentence": "no run of this branch is done",
        }.items()
    )
    said = project.branchlab("run", "--all-branches", "--dry-run").stderr
    assert "exp/wide: H1.c needs val/flicker" in said


def test_an_unreadable_claim_is_shown_with_a_caret_below_it(project: Any) -> None:
    text = '[[hypothesis]]\nid = "H1"\nclaim = "c"\n[hypothesis.expect]\na = "val/iou / main"\n'
    project.branch("exp/odd", {"experiments/odd.toml": text})
    lines = project.branchlab("hypotheses", "odd").stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if "^" in line)
    assert lines[at - 1][lines[at].index("^")] == "/"
    assert lines[at - 1].endswith("a: val/iou / main")
    assert "nothing is calculated here" in lines[at]


def test_a_lab_without_hypotheses_says_how_to_make_one(project: Any) -> None:
    done = project.branchlab("hypotheses", "broken")
    assert (done.returncode, "--expect 'val/accuracy" in done.stdout) == (0, True)
    assert project.branchlab("hypotheses", "wied").returncode == 2
