from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchlab.domain import KEY_VALUE
from branchlab.train.output import Output, why_failed

VISION = r"Test:.* Acc@1 (?P<acc1>[\d.]+) Acc@5 (?P<acc5>[\d.]+)"
GPT = r"step (?P<step>\d+): train loss (?P<train__loss>\S+), val loss (?P<val__loss>[^,\s]+)"


def values(text: str, pattern: str = "") -> list[dict[str, object]]:
    output = Output(pattern)
    return [dict(told.values) for told in (*output.take(text.encode()), *output.end())]


def test_a_line_of_json_is_metrics() -> None:
    text = 'epoch 1\n{"epoch": 3, "val/accuracy": 0.91, "name": "x", "val": {"loss": NaN}}\n[1, 2]\n{"broken": \n'
    assert values(text) == [{"epoch": 3.0, "val/accuracy": 0.91, "val/loss": "nan"}]


def test_so_is_a_dictionary_as_python_prints_it() -> None:
    assert values("{'loss': 0.5, 'epoch': 1.0, 'on': True}\n{'loss': nan}\n{'a'\n") == [
        {"loss": 0.5, "epoch": 1.0}
    ]


def test_the_last_line_counts_without_an_end() -> None:
    assert values('{"a": 1}') == [{"a": 1.0}]


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        (VISION, "Test:  Acc@1 12.300 Acc@5 45.600", {"acc1": 12.3, "acc5": 45.6}),
        (GPT, "step 250: train loss 1.25, val loss nan", {"step": 250.0, "train/loss": 1.25, "val/loss": "nan"}),
        (r"(?P<name>\w+)=(?P<value>[\d,]+)", "a=1,000 b=2", {"a": 1000.0, "b": 2.0}),
        (KEY_VALUE, "val_bpb:          0.997900", {"val_bpb": 0.9979}),
        (KEY_VALUE, "mfu: 39.8%", {"mfu": 39.8}),
        (KEY_VALUE, "loss: inf", {"loss": "inf"}),
    ],
)  # fmt: skip
def test_a_pattern_finds_metrics(pattern, line, found) -> None:
    assert values(f"{line}\n", pattern) == [found]


@pytest.mark.parametrize("line", ["device: cuda", "Vocab size: 8192", "http://host:80", "12:30", "a: 1 b: 2"])  # fmt: skip
def test_key_and_value_are_a_whole_line(line) -> None:
    assert values(f"{line}\n", KEY_VALUE) == []


def test_without_a_pattern_text_is_no_metric() -> None:
    assert values("val_bpb: 0.9979\n") == []


def test_a_progress_bar_ends_its_lines_by_carriage_returns() -> None:
    assert values('10%|#  |\r{"a": 1}\r20%|## |\r\n') == [{"a": 1.0}]


def test_bytes_that_are_no_utf_8_hide_no_metric() -> None:
    output = Output(KEY_VALUE)
    found = [dict(t.values) for t in output.take(b"\xff\xfe\x00 garbage\nloss: 2\n\xc3\n")]
    assert found == [{"loss": 2.0}]


def test_a_huge_line_is_left_out_and_the_next_is_read() -> None:
    output = Output()
    found = []
    for chunk in (b"{" + b"x" * 60_000, b"x" * 60_000, b"x" * 60_000, b'}\n{"a": 1}\n'):
        found += [dict(t.values) for t in output.take(chunk)]
    assert found == [{"a": 1.0}]
    assert sum(map(len, output.lines())) < 10_000


@given(st.lists(st.integers(1, 40), max_size=30))
def test_where_a_chunk_ends_changes_nothing(cuts: list[int]) -> None:
    text = b'one\n{"a": 1}\r\nloss: 2\n' * 5 + "é\n".encode() + b'{"z": 3}'
    output, found, at = Output(KEY_VALUE), [], 0
    for cut in [*cuts, len(text)]:
        found += [dict(t.values) for t in output.take(text[at : at + cut])]
        at += cut
    found += [dict(t.values) for t in output.end()]
    assert found == [{"a": 1.0}, {"loss": 2.0}] * 5 + [{"z": 3.0}]


TRACEBACK = """\
loading
Traceback (most recent call last):
  File "/tree/old.py", line 1, in <module>
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/tree/train.py", line 9, in <module>
    main()
  File "/tree/models/net.py", line 33, in forward
    x @ y
  File "/usr/lib/torch.py", line 5, in f
RuntimeError: mat1 and mat2 shapes cannot be multiplied
more of it: [2, 3]
bye
"""


def test_a_failure_is_its_exception_with_the_innermost_place_of_the_project() -> None:
    why = why_failed(TRACEBACK.splitlines(), 1, Path("/tree"))
    assert why == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (models/net.py:33)"


def test_torchrun_puts_its_rank_before_a_traceback() -> None:
    lines = ["[rank0]: Traceback (most recent call last):", '[rank0]:   File "train.py", line 2', "[rank0]: ValueError: no"]  # fmt: skip
    assert why_failed(lines, 1, Path("/tree")) == "ValueError: no (train.py:2)"


def test_without_a_traceback_it_is_what_was_printed_last() -> None:
    lines = ["usage: train.py", "train.py: error: unrecognized arguments: --wide", "", "  "]
    assert why_failed(lines, 2, Path("/tree")) == (
        "exit code 2: train.py: error: unrecognized arguments: --wide"
    )
    assert why_failed([], 3, Path("/tree")) == "exit code 3: it printed nothing"


def test_values_that_are_not_finite_are_text_for_json() -> None:
    assert values('{"a": Infinity}') == [{"a": "inf"}]
    assert math.isnan(float(values('{"a": NaN}')[0]["a"]))  # type: ignore[arg-type]
