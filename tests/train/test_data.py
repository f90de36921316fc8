from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset, TensorDataset

import branchlab
from branchlab.domain import Run, Sample, Scale
from branchlab.train.data import hold
from branchlab.train.sampling import sample_ids

CPU = torch.device("cpu")


def planned(*, scale: Scale = Scale.SAMPLE, fraction: float = 1.0, **more: object) -> Run:
    sample = Sample(fraction=fraction)
    return Run(
        id="r", key="k", branch="b", commit="c", tree="t", task="m:T", seed=0,
        scale=scale, sample=sample, **more,
    )  # fmt: skip


TARGETS = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(torch.tensor)


@settings(max_examples=80, deadline=None)
@given(
    targets=TARGETS,
    fractions=st.lists(st.floats(0.01, 1), min_size=2, max_size=2).map(sorted),
    strategy=st.sampled_from(["stratified", "random"]),
    seed=st.integers(0, 5),
)
def test_samples_of_growing_fraction_are_nested(
    targets, fractions, strategy: str, seed: int
) -> None:
    small, large = (
        set(sample_ids(targets, Sample(fraction=f, strategy=strategy, seed=seed)).tolist())
        for f in fractions
    )
    assert small <= large


@settings(max_examples=80, deadline=None)
@given(targets=TARGETS, fraction=st.floats(0.01, 1))
def test_a_stratified_sample_keeps_the_share_of_every_class_and_at_least_one(
    targets, fraction: float
) -> None:
    ids = sample_ids(targets, Sample(fraction=fraction))
    assert ids.tolist() == sorted(set(ids.tolist()))
    for kind in targets.unique():
        num, kept = int((targets == kind).sum()), int((targets[ids] == kind).sum())
        assert kept == max(1, round(fraction * num))


def test_another_seed_draws_another_sample_of_the_same_size() -> None:
    targets = torch.arange(100) % 4
    one, other = (sample_ids(targets, Sample(fraction=0.2, seed=s)) for s in (0, 1))
    assert len(one) == len(other) == 20
    assert not torch.equal(one, other)


@pytest.mark.parametrize("targets", [torch.rand(50), torch.zeros(50, 4, 4, dtype=torch.long)])
def test_targets_that_are_no_classes_are_drawn_at_random(targets) -> None:
    assert len(sample_ids(targets, Sample(fraction=0.2))) == 10


class Pairs(Dataset):
    def __init__(self, *items: object) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> object:
        return self.items[index]


def test_a_dataset_is_held_in_memory_as_it_is_stored() -> None:
    inputs = torch.randint(0, 256, (10, 1, 4, 4), dtype=torch.uint8)
    splits = branchlab.Splits(
        train=TensorDataset(inputs, torch.arange(10) % 2),
        val=Pairs((inputs[0], 0), (inputs[1], 1)),
        test=Pairs((inputs[0], 0)),
    )
    held = hold(splits, planned(scale=Scale.FULL), device=CPU)
    assert torch.equal(held.train.inputs, inputs)
    assert held.val.targets.tolist() == [0, 1]
    assert held.test is not None
    reduced = hold(splits, planned(fraction=0.4), device=CPU)
    assert len(reduced.train) == 4
    assert torch.equal(reduced.train.inputs, inputs[reduced.train.ids])
    assert reduced.test is None
    assert reduced.sample_digest != held.sample_digest


@pytest.mark.parametrize(
    "items",
    [
        [torch.zeros(()), torch.zeros(())],
        [("path.png", 0)],
        [{"image": torch.zeros(1)}],
        [(torch.zeros(1, 4, 4), 0, 1)],
        [],
    ],
    ids=["no-pairs", "paths", "dicts", "triples", "empty"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["held", "streamed"])
def test_a_dataset_of_something_else_says_what_its_items_must_be(
    items: list[object], *, stream: bool
) -> None:
    splits = branchlab.Splits(train=Pairs(*items), val=Pairs(*items), stream=stream)
    with pytest.raises(TypeError, match="each item must be"):
        next(hold(splits, planned(workers=0), device=CPU).val.in_order(2))


def test_targets_in_a_list_of_numbers_are_classes() -> None:
    inputs = torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8)
    listed = branchlab.Examples(inputs, [n % 4 for n in range(20)])
    held = hold(branchlab.Splits(train=listed, val=listed), planned(fraction=0.4), device=CPU)
    assert held.num_classes == 4
    assert sorted(held.train.targets.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not held.notes


def test_a_sample_that_cannot_be_stratified_says_so() -> None:
    inputs = torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8)
    masks = branchlab.Examples(inputs, inputs[:, 0].long())
    held = hold(branchlab.Splits(train=masks, val=masks), planned(fraction=0.5), device=CPU)
    assert "drawn at random, not class by class" in held.notes[0]


@pytest.mark.parametrize(("num_inputs", "num_targets"), [(3, 2), (0, 0)])
def test_a_split_needs_examples_and_their_targets(num_inputs: int, num_targets: int) -> None:
    with pytest.raises(ValueError, match=f"{num_inputs} inputs and {num_targets} targets"):
        branchlab.Examples(torch.zeros(num_inputs, 1), torch.zeros(num_targets))
