from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
