"""Where two probes differ, on stages made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from branchlab.analysis.probe.divergence import divergence
from branchlab.domain import Probe, Seen, Stage, StageKind


def look(value: float = 0.5, shape=(2, 3), **more) -> Seen:
    return Seen(
        name="", shape=shape, dtype="float32", device="cpu", layout="contiguous",
        low=0.0, high=1.0, mean=value, std=0.25, prints=(value, value / 2), **more,
    )  # fmt: skip


def module(name: str, before: float, after: float, type_: str = "Conv2d", **more) -> Stage:
    return Stage(
        kind=StageKind.MODULE, name=name, type=type_, inputs=(look(before),), outputs=(look(after),), **more
    )  # fmt: skip


def probe(*stages: Stage, checks=None) -> Probe:
    batch = Stage(kind=StageKind.STORED, outputs=(look(0.1),))
    loss = Stage(
        kind=StageKind.LOSS, name="loss", inputs=stages[-1].outputs, outputs=(look(0.9, ()),)
    )
    return Probe(facts={}, stages=(batch, *stages, loss), checks=checks or {})


MAIN = probe(module("a", 0.1, 0.2), module("b", 0.2, 0.3), module("c", 0.3, 0.4))


def first(other: Probe, again: Probe | None = MAIN):
    return divergence(other, MAIN, again=again, base="main")


def test_a_probe_is_the_same_as_itself():
    found = first(MAIN)
    assert (found.first, found.num_stages, found.noise) == (None, 5, 0.0)


def test_the_first_module_that_gives_something_else_is_named_and_what_follows_is_not_blamed():
    other = probe(module("a", 0.1, 0.2), module("b", 0.2, 0.31), module("c", 0.31, 0.41))
    found = first(other)
    assert found.first.where.startswith("b ")
    assert found.first.kind == "value"
    assert [one.where[0] for one in found.differences if one.is_caused_here] == ["b"]


def test_a_change_between_two_modules_is_placed_between_them():
    other = probe(module("a", 0.1, 0.2), module("b", 0.25, 0.31), module("c", 0.31, 0.41))
    assert "what enters b (Conv2d) differs already" in first(other).first.sentence
    assert "after a (Conv2d)" in first(other).first.sentence


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_module_that_is_put_in_is_named_wherever_it_stands(at):
    stages = [module("a", 0.1, 0.2), module("b", 0.2, 0.3), module("c", 0.3, 0.4)]
    stages.insert(at, module("new", 0.1, 0.1, "Identity"))
    found = first(probe(*stages))
    assert (found.first.kind, found.first.where) == ("only-here", "new (Identity)")


def test_a_module_that_is_gone_is_named():
    found = first(probe(module("a", 0.1, 0.2), module("c", 0.3, 0.4)))
    assert (found.first.kind, found.first.where) == ("only-there", "b (Conv2d)")


def test_another_shape_and_another_type_are_told_apart_from_other_values():
    wide = replace(module("b", 0.2, 0.3), outputs=(look(0.3, (2, 6)),))
    half = replace(module("b", 0.2, 0.3), outputs=(replace(look(0.3), dtype="float16"),))
    for stage, kind, said in (
        (wide, "shape", "[2, 6], on main [2, 3]"),
        (half, "dtype", "float16"),
    ):
        found = first(probe(module("a", 0.1, 0.2), stage, module("c", 0.3, 0.4))).first
        assert (found.kind, said in found.sentence) == (kind, True)


def test_a_module_that_draws_only_on_one_side_differs_in_randomness():
    drawn = module("b", 0.2, 0.35, measures={"draws": 1.0})
    assert (
        first(probe(module("a", 0.1, 0.2), drawn, module("c", 0.35, 0.4))).first.kind
        == "randomness"
    )


def test_renamed_modules_are_aligned():
    checks = {"weights": {"renamed": {"stem.weight": "a.weight"}}}
    other = probe(
        module("stem", 0.1, 0.2), module("b", 0.2, 0.3), module("c", 0.3, 0.4), checks=checks
    )
    assert first(other).first is None
    assert first(replace(other, checks={})).first.kind in {"only-here", "only-there"}


def test_what_main_differs_from_itself_by_is_allowed_ten_times():
    again = probe(module("a", 0.1, 0.2), module("b", 0.2, 0.301), module("c", 0.301, 0.401))
    near = probe(module("a", 0.1, 0.2), module("b", 0.2, 0.305), module("c", 0.305, 0.405))
    far = probe(module("a", 0.1, 0.2), module("b", 0.2, 0.35), module("c", 0.35, 0.45))
    assert first(near, again).first is None
    assert first(near).first is not None
    assert first(far, again).first.where.startswith("b ")


def test_a_branch_that_fails_differs():
    other = replace(MAIN, failure="RuntimeError: shapes")
    assert first(other).first.sentence == "RuntimeError: shapes"


def test_what_is_no_number_on_one_side_is_infinitely_far():
    bad = replace(module("b", 0.2, 0.3), outputs=(replace(look(0.3), prints=(float("nan"), 0.1)),))
    found = first(probe(module("a", 0.1, 0.2), bad, module("c", 0.3, 0.4)))
    assert found.first.apart == float("inf")
