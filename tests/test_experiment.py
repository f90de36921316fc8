from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.domain import Hypothesis
from branchlab.errors import ConfigError
from branchlab.experiment import (
    Experiment,
    experiment_name,
    experiment_path,
    parse_experiment,
    render_experiment,
)

PLAIN = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(
    title=st.text(),
    base=st.text(),
    idea=st.text(),
    flags=st.dictionaries(st.text(), PLAIN, max_size=4),
)
def test_what_is_rendered_reads_back_the_same(
    title: str, base: str, idea: str, flags: dict[str, bool]
) -> None:
    experiment = Experiment(title=title, base=base, idea=idea, flags=flags)
    assert parse_experiment(render_experiment(experiment), where="e.toml") == experiment


def test_keys_of_later_stages_are_left_alone() -> None:
    text = 'title = "x"\n[[hypothesis]]\nid = "H1"\n[[notes]]\ntext = "…"\n'
    assert parse_experiment(text, where="e.toml").title == "x"


def test_an_empty_file_is_an_experiment_of_main_without_flags() -> None:
    assert parse_experiment("", where="e.toml") == Experiment()


@pytest.mark.parametrize(
    "text",
    [
        "title = 3",
        "base = ['main']",
        "idea = 2026-01-01",
        "flags = ['squeeze']",
        "flags = { a = [1] }",
        "flags = { a = 2026-01-01 }",
        "flags = { a = 0x" + "F" * 6000 + " }",
        "flags = 3",
        "flags = {",
        "\x00",
        "title = " + "[" * 350 + "]" * 350,
    ],
)
def test_a_value_without_use_is_said_with_the_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r"exp/se:experiments/se\.toml") as caught:
        parse_experiment(text, where="exp/se:experiments/se.toml")
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("branch", "patterns", "name"),
    [
        ("exp/se", ("exp/*",), "se"),
        ("exp/a/b", ("exp/*",), "a/b"),
        ("try-7", ("exp/*", "try-?"), "7"),
        ("exp/", ("exp/*",), "exp/"),
        ("other", ("exp/*",), "other"),
        ("se", ("*",), "se"),
        ("se", ("se",), "se"),
    ],
)
def test_an_experiment_is_called_after_what_its_pattern_leaves_open(
    branch: str, patterns: tuple[str, ...], name: str
) -> None:
    assert experiment_name(branch, patterns) == name
    assert experiment_path(name) == f"experiments/{name}.toml"


CLAIMS = st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3)


@settings(max_examples=100, deadline=None)
@given(
    claim=st.text(min_size=1).filter(str.strip),
    expect=CLAIMS.filter(bool),
    guard=CLAIMS,
    min_seeds=st.integers(2, 1000),
)
def test_a_hypothesis_that_is_rendered_reads_back_the_same(
    claim: str, expect: dict[str, str], guard: dict[str, str], min_seeds: int
) -> None:
    one = Hypothesis(id="H1", claim=claim, min_seeds=min_seeds, expect=expect, guard=guard)
    text = render_experiment(Experiment(title="x", hypotheses=(one,)))
    assert parse_experiment(text, where="e.toml").hypotheses == (one,)


def test_a_new_file_shows_how_a_hypothesis_is_written() -> None:
    text = render_experiment(Experiment(title="x"), example="val/iou > main")
    assert parse_experiment(text, where="e.toml").hypotheses == ()
    shown = "\n".join(line.removeprefix("# ") for line in text.split("first run:\n")[1].split("\n"))
    (one,) = parse_experiment(shown, where="e.toml").hypotheses
    assert (one.damage, one.expect) == ("", {"a": "val/iou > main"})


WHOLE = 'id = "H1"\nclaim = "c"\n[hypothesis.expect]\na = "val/iou > main"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hypothesis = 3", "expected at most 100 tables"),
        ("hypothesis = [3]", "expected a table"),
        (f"[hypothesis]\n{WHOLE}", "in two brackets"),
        (f"[[hypotheses]]\n{WHOLE.replace('hypothesis', 'hypotheses')}", "write [[hypothesis]]"),
        (f"[[hypothesis]]\n{WHOLE}".replace('id = "H1"', ""), "it has no id"),
        (f"[[hypothesis]]\n{WHOLE}".replace('"H1"', '"a b"'), "expected a short name"),
        (f"[[hypothesis]]\n{WHOLE}".replace('"c"', '" "'), "says why it ought to work"),
        (f"[[hypothesis]]\nmin_seeds = 1\n{WHOLE}", "one seed shows nothing"),
        (f"[[hypothesis]]\nmin_seeds = true\n{WHOLE}", "expected a whole number"),
        (f"[[hypothesis]]\nminseeds = 5\n{WHOLE}", "did you mean 'min_seeds'"),
        ('[[hypothesis]]\nid = "H1"\nclaim = "c"\n', "expects nothing that can be measured"),
        ('[[hypothesis]]\nid = "H1"\nclaim = "c"\nexpect = "a > b"\n', "a table of claims"),
        ('[[hypothesis]]\nid = "H1"\nclaim = "c"\nexpect = { a = 3 }\n', "a table of claims"),
        (f"[[hypothesis]]\n{WHOLE}[hypothesis.guard]\nb = [1]\n", "guard = {'b': [1]}"),
    ],
)
def test_a_damaged_hypothesis_is_kept_with_what_is_wrong_and_stops_no_flag(
    text: str, said: str
) -> None:
    experiment = parse_experiment(f"flags = {{ a = true }}\n{text}", where="e.toml")
    (one,) = experiment.hypotheses
    assert (experiment.flags, said in one.damage) == ({"a": True}, True), one.damage


def test_two_hypotheses_of_one_id_are_told_apart_and_the_later_one_is_damaged() -> None:
    text = f"[[hypothesis]]\n{WHOLE}" * 2
    first, second = parse_experiment(text, where="e.toml").hypotheses
    assert (first.damage, first.id, second.id) == ("", "H1", "H1#2")
    assert "earlier hypothesis" in second.damage
