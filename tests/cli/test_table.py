"""Tables on a terminal of some width, and piped."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

CODE = """
from branchlab.cli.table import table
print(table([["a" * 20, "b" * 20, "c" * 20]], header=["A", "B", "C"], giving_way=(1, 2)))
"""


def on_a_terminal(columns: int) -> str:
    parent, child = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", CODE], stdout=child, env=env, check=True)
    os.close(child)
    said = os.read(parent, 4096).decode()
    os.close(parent)
    assert done.returncode == 0
    return said


def test_columns_give_way_in_their_order_where_the_terminal_is_narrow() -> None:
    assert [letter in on_a_terminal(64) for letter in "abc"] == [True, True, True]
    assert [letter in on_a_terminal(63) for letter in "abc"] == [True, False, True]
    assert [letter in on_a_terminal(30) for letter in "abc"] == [True, False, False]


def test_what_is_piped_is_whole() -> None:
    env = {**os.environ, "COLUMNS": "10"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=env, check=True, capture_output=True, text=True
    )
    assert all(letter * 20 in done.stdout for letter in "abc")
