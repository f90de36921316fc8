from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import branchlab
from branchlab.domain import Drawn, Run, Sample, Scale, Strata
from branchlab.errors import ConfigError
from branchlab.train.data import hold
from branchlab.train.sampling import drawn_ids, group_numbers, sample_ids, seen_in

CPU = torch.device("cpu")
FRACTIONS = st.lists(st.floats(0.01, 1), min_size=2, max_size=3).map(sorted)
CLASSES = st.lists(st.integers(0, 4), min_size=1, max_size=90).map(torch.tensor)


def labels(num: int, *, rates: tuple[float, ...] = (0.5, 0.2, 0.05), seed: int = 0):
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(num, len(rates), generator=source) < torch.tensor(rates)).long()


def blobs(num: int, *, seed: int = 0, side: int = 12):
    """Return masks of which most hold a small object, and few a large one of another class."""
    source = torch.Generator().manual_seed(seed)
    masks = torch.zeros(num, side, side, dtype=torch.long)
    for n in range(num):
        kind = int(torch.randint(0, 10, (1,), generator=source))
        size = int(torch.randint(1, 4, (1,), generator=source))
        masks[n, :size, : size + kind] = 2 if kind == 9 else 1
    return masks


@pytest.mark.parametrize(
    ("more", "num", "digest"),
    [
        ({}, 130, "2f99281dcdaf2f9b"),
        ({"strategy": "random"}, 130, "ad3d2ab37d3576fc"),
        ({"seed": 3}, 130, "6c2a2d3648a8f59d"),
    ],
)
def test_class_numbers_are_drawn_as_they_always_were(more, num: int, digest: str) -> None:
    targets = (torch.arange(997) * 7919) % 13 % 5
    ids = sample_ids(targets, Sample(fraction=0.13, **more))
    assert len(ids) == num
    assert hashlib.sha256(ids.numpy().tobytes()).hexdigest()[:16] == digest


def nested(sets: list[set[int]]) -> bool:
    return all(small <= large for small, large in itertools.pairwise(sets))


@settings(max_examples=40)
@given(
    num=st.integers(2, 70),
    fractions=FRACTIONS,
    seed=st.integers(0, 3),
    class_min=st.integers(1, 6),
    kind=st.sampled_from(["classes", "labels", "masks", "none"]),
    grouped=st.booleans(),
)
def test_samples_of_any_targets_are_nested(num, fractions, seed, class_min, kind, grouped) -> None:
    targets = {
        "classes": torch.arange(num) % 3,
        "labels": labels(num, seed=seed),
        "masks": blobs(num, seed=seed),
        "none": torch.rand(num),
    }[kind]
    groups = [n // 4 for n in range(num)] if grouped else None
    found = [
        sample_ids(targets, Sample(fraction=f, seed=seed, class_min=class_min), groups)
        for f in fractions
    ]
    assert nested([set(ids.tolist()) for ids in found])
    for ids in found:
        assert ids.tolist() == sorted(set(ids.tolist()))
        assert len(ids)


@settings(max_examples=40)
@given(
    targets=CLASSES,
    fraction=st.floats(0.01, 1),
    strategy=st.sampled_from(["stratified", "random"]),
    data=st.data(),
)
def test_a_group_is_never_split(targets, fraction: float, strategy: str, data) -> None:
    names = st.sampled_from(["anna", "ben", "cleo", "dora", "emil", "finn"])
    groups = data.draw(st.lists(names, min_size=len(targets), max_size=len(targets)))
    ids = sample_ids(targets, Sample(fraction=fraction, strategy=strategy), groups).tolist()
    inside = {groups[i] for i in ids}
    assert inside.isdisjoint(groups[i] for i in range(len(groups)) if i not in set(ids))


def test_whole_groups_keep_the_shares_of_classes_better_than_groups_at_random() -> None:
    source = torch.Generator().manual_seed(0)
    sizes = torch.randint(2, 30, (200,), generator=source)
    groups = torch.repeat_interleave(torch.arange(200), sizes)
    targets = torch.repeat_interleave(torch.arange(200) % 4, sizes)  # one class a group
    whole = torch.bincount(targets).double() / len(targets)

    def off(strategy: str, seed: int) -> float:
        kept = targets[
            sample_ids(targets, Sample(fraction=0.1, strategy=strategy, seed=seed), groups)
        ]
        return float((torch.bincount(kept, minlength=4) / len(kept) - whole).abs().sum())

    ours, theirs = ([off(s, seed) for seed in range(10)] for s in ("stratified", "random"))
    assert max(ours) < 0.12
    assert sum(ours) < 0.5 * sum(theirs)


def test_small_groups_are_not_preferred() -> None:
    sizes = torch.tensor([2, 20] * 100)
    groups = torch.repeat_interleave(torch.arange(200), sizes)
    targets = torch.arange(len(groups)) % 3
    chosen = groups[sample_ids(targets, Sample(fraction=0.2), groups)].unique()
    assert 10 <= int((sizes[chosen] == 20).sum()) <= 30
    assert 0.15 < len(chosen) / 200 < 0.25


def test_a_rare_class_keeps_its_least_number_or_all_it_has() -> None:
    targets = torch.tensor([0] * 900 + [1] * 30 + [2] * 4)
    kept = targets[sample_ids(targets, Sample(fraction=0.1, class_min=10))]
    assert Counter(kept.tolist()) == {0: 90, 1: 10, 2: 4}


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.3])
def test_several_labels_keep_their_shares(fraction: float) -> None:
    targets = labels(2000, rates=(0.6, 0.3, 0.1, 0.02, 0.005))
    kept = targets[sample_ids(targets, Sample(fraction=fraction))]
    assert len(kept) == round(2000 * fraction)
    off = (kept.sum(0) - fraction * targets.sum(0)).abs()
    assert float(off.max()) <= 1.0  # examples, of up to 360


def test_examples_without_any_label_are_drawn_like_the_others() -> None:
    targets = labels(1000, rates=(0.1, 0.1))
    without = targets.sum(1) == 0
    kept = without[sample_ids(targets, Sample(fraction=0.1))]
    assert abs(int(kept.sum()) - 0.1 * int(without.sum())) <= 1


def test_masks_keep_presence_and_pixels_of_each_class() -> None:
    masks = blobs(600)
    seen = seen_in(masks, 600)
    assert seen.strata is Strata.MASKS
    assert seen.shares is not None
    assert seen.present is not None
    ids = drawn_ids(seen, Sample(fraction=0.1)).numpy()
    random = torch.randperm(600, generator=torch.Generator().manual_seed(5))[:60].numpy()
    off, off_random = (
        np.abs(seen.shares[one].mean(0) / seen.shares.mean(0) - 1).max() for one in (ids, random)
    )
    assert off < 0.15
    assert off < 0.5 * off_random
    assert np.abs(seen.present[ids].mean(0) - seen.present.mean(0)).max() < 0.015


def test_pixels_that_are_to_be_ignored_are_no_class() -> None:
    masks = blobs(20)
    masks[:, -1] = 255
    masks[:, -2] = -1
    seen = seen_in(masks, 20)
    assert seen.shares is not None
    assert seen.shares.shape == (20, 3)
    assert np.allclose(seen.shares.sum(1), 1)


def test_masks_of_several_sizes_are_drawn_by_their_classes_too() -> None:
    masks = [torch.full((4 + n % 3, 5), n % 2) for n in range(40)]
    kept = sample_ids(masks, Sample(fraction=0.5))
    assert sum(n % 2 for n in kept.tolist()) == 10


def test_an_image_as_target_is_no_mask() -> None:
    images = torch.randint(0, 256, (20, 8, 8), generator=torch.Generator().manual_seed(0))
    assert seen_in(images, 20).strata is Strata.NONE


def test_groups_that_are_not_one_for_each_example_are_refused() -> None:
    with pytest.raises(ConfigError, match="groups of 3 examples, the training set has 4"):
        group_numbers(["a", "b", "c"], 4)


def planned(sample: Sample, *, scale: Scale = Scale.SAMPLE) -> Run:
    return Run(
        id="r", key="k", branch="b", commit="c", tree="t", task="m:T", seed=0,
        scale=scale, sample=sample,
    )  # fmt: skip


def splits(num: int = 20, *, groups: object = None) -> branchlab.Splits:
    inputs = torch.zeros(num, 1, 4, 4, dtype=torch.uint8)
    examples = branchlab.Examples(inputs, torch.arange(num) % 2)
    return branchlab.Splits(train=examples, val=examples, groups=groups)  # type: ignore[arg-type]


OWN = Sample(fraction=0.2, strategy="own.draw:first", manifest="d")


def test_the_ids_of_an_own_strategy_come_from_the_manifest() -> None:
    drawn = Drawn(sample=OWN, num=3, of=20, digest="d", ids=(2, 5, 11))
    held = hold(splits(), planned(OWN), device=CPU, drawn=drawn)
    assert held.train.ids.tolist() == [2, 5, 11]


def test_a_rehearsal_takes_a_part_of_an_own_strategys_ids() -> None:
    drawn = Drawn(sample=OWN, num=4, of=20, digest="d", ids=(2, 5, 11, 17))
    half = replace(OWN, fraction=OWN.fraction / 2)
    assert hold(splits(), planned(half), device=CPU, drawn=drawn).train.ids.tolist() == [2, 5]


def test_an_own_strategy_without_its_ids_says_which_command_draws_them() -> None:
    with pytest.raises(ConfigError, match="not in the run's folder"):
        hold(splits(), planned(OWN), device=CPU)


def test_a_manifest_of_another_training_set_is_refused() -> None:
    drawn = Drawn(sample=OWN, num=1, of=50, digest="d", ids=(40,))
    with pytest.raises(ConfigError, match="example 40, this branch's training set has 20"):
        hold(splits(), planned(OWN), device=CPU, drawn=drawn)


def test_a_run_says_that_it_trains_on_another_sample_than_main() -> None:
    sample = Sample(fraction=0.5)
    of_main = hold(splits(), planned(sample), device=CPU)
    drawn = Drawn(
        sample=sample, num=10, of=20, digest=of_main.sample_digest, targets=of_main.targets_digest
    )
    same = hold(splits(), planned(sample), device=CPU, drawn=drawn)
    assert not same.notes
    other = hold(splits(32), planned(sample), device=CPU, drawn=drawn)
    assert other.notes == (
        "this run trains on another sample than the one drawn on main: 16 of 32 examples, main's is 10 of 20",
    )
    grouped = hold(
        splits(groups=[n // 5 for n in range(20)]), planned(sample), device=CPU, drawn=drawn
    )
    assert "but not the same ones" in grouped.notes[0]
