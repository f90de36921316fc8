from __future__ import annotations

from typing import Any

from branchlab.analysis.environments import commonest, difference


def document(*pins: str, python: str = "3.11.7", **more: Any) -> dict[str, Any]:
    return {
        "python": {"version": python},
        "packages": {"installed": list(pins), "elsewhere": {}},
        "torch": {"version": "2.15.0"},
        **more,
    }


def test_a_version_is_said_against_the_other_side() -> None:
    assert difference(document("numpy==2.4.6"), document("numpy==2.3.1")) == (
        "numpy 2.4.6 against 2.3.1"
    )


def test_nothing_is_said_of_equal_environments_or_of_the_machine_they_stand_on() -> None:
    here, there = document("a==1", host="one"), document("a==1", host="two")
    assert difference(here, there) == ""


def test_what_only_one_side_has_is_said_and_python_comes_first() -> None:
    said = difference(document("timm==1.0", python="3.12.1"), document())
    assert said == "Python 3.12.1 against 3.11.7, timm 1.0 against none"


def test_many_differences_are_counted_not_listed() -> None:
    said = difference(document(*(f"p{n}==2" for n in range(9))), document())
    assert said.endswith(" and 6 more")


def test_a_commit_of_a_repository_counts_as_a_version() -> None:
    mine, theirs = document("a==1"), document("a==1")
    mine["packages"]["elsewhere"] = {"a": {"url": "git+https://x/a", "commit": "c" * 40}}
    assert difference(mine, theirs) == "a 1 cccccccccc against 1"


def test_gpus_count_only_where_a_run_used_them() -> None:
    mine = document(gpus=[{"name": "H100"}, {"name": "H100"}], device="cpu")
    theirs = document(gpus=[], device="cpu")
    assert difference(mine, theirs) == ""
    assert difference({**mine, "device": "cuda"}, theirs) == "GPU 2 H100 against none"


def test_damaged_documents_are_compared_as_far_as_they_go() -> None:
    assert difference({}, {"packages": None, "torch": 3, "gpus": None}) == ""


def test_the_commonest_differing_pair_is_counted_and_unknown_ones_are_left_out() -> None:
    pairs = [("a", "b"), ("a", "b"), ("a", "a"), ("", "b"), ("c", "b")]
    assert commonest(pairs) == (("a", "b"), 2)
    assert commonest([("a", "a"), ("", "")]) is None
