"""Good and bad samples of real Fashion-MNIST images; the bad ones are those that labels alone let pass, most of them."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from branchlab.analysis.copies import Images, copies_check, leakage_check
from branchlab.analysis.sampling import (
    FrechetDistance,
    Look,
    checks_of,
    features_check,
    label_checks,
)
from branchlab.domain import Sample, SampleCheck, Strata

DATA = Path(__file__).parents[2] / "examples/fashion/data"
NUM, SHARE = 2000, 0.1


def read(name: str, start: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress((DATA / name).read_bytes()), dtype=np.uint8, offset=start)


def seen(pixels: np.ndarray) -> Images:
    """Return images of 28 x 28 as they are looked at: thumbnails of their middle, and a digest each."""
    num = len(pixels)
    middle = np.pad(pixels, ((0, 0), (2, 2), (2, 2))).astype(np.float32)
    thumbs = middle.reshape(num, 16, 2, 16, 2).mean((2, 4)).round().astype(np.uint8)
    digests = np.array([hash(image.tobytes()) & (2**63 - 1) for image in pixels], dtype=np.uint64)
    return Images(ids=np.arange(num), digests=digests, thumbs=thumbs.reshape(num, -1))


def stratified(classes: np.ndarray, seed: int) -> np.ndarray:
    source = np.random.default_rng(seed)
    parts = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    return np.sort(np.concatenate([source.permutation(p)[: round(SHARE * len(p))] for p in parts]))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)[: NUM + 500]


@pytest.fixture(scope="module")
def look(pixels: np.ndarray) -> Look:
    classes = read("train-labels-idx1-ubyte.gz", 8)[:NUM].astype(np.int64)
    return Look(
        sample=Sample(fraction=SHARE),
        strata=Strata.CLASSES,
        ids=stratified(classes, 0),
        of=NUM,
        redraws=tuple(stratified(classes, seed).astype(np.int32) for seed in range(1, 51)),
        looked=np.arange(NUM),
        class_of=classes,
        images={"train": seen(pixels[:NUM]), "val": seen(pixels[NUM:])},
    )


def per_class(look: Look, score: np.ndarray) -> np.ndarray:
    """Return the tenth of every class with the highest score."""
    assert look.class_of is not None
    parts = [np.flatnonzero(look.class_of == c) for c in range(10)]
    return np.concatenate([p[np.argsort(-score[p])][: round(SHARE * len(p))] for p in parts])


def bad_sample(kind: str, look: Look, pixels: np.ndarray) -> np.ndarray:
    assert look.class_of is not None
    flat = look.images["train"].thumbs.astype(float)
    source = np.random.default_rng(7)
    middles = np.stack([flat[look.class_of == c].mean(0) for c in range(10)])
    off = ((flat[:, None] - middles) ** 2).sum(2)
    own = off[np.arange(NUM), look.class_of]
    match kind:
        case "file order":
            return np.argsort(look.class_of, kind="stable")[: round(SHARE * NUM)]
        case "brightest half":
            brightness = pixels[:NUM].mean((1, 2))
            halves = [np.flatnonzero(look.class_of == c) for c in range(10)]
            halves = [h[np.argsort(-brightness[h])][: len(h) // 2] for h in halves]
            return np.concatenate([source.permutation(h)[: len(h) // 5] for h in halves])
        case "imbalanced":
            parts = [np.flatnonzero(look.class_of == c) for c in range(10)]
            return np.concatenate([p[: 30 if c < 5 else 10] for c, p in enumerate(parts)])
        case "outlying":
            found, nearest = [0], np.full(NUM, np.inf)
            for _ in range(round(SHARE * NUM) - 1):
                nearest = np.minimum(nearest, ((flat - flat[found[-1]]) ** 2).sum(1))
                found.append(int(nearest.argmax()))
            return np.array(found)
        case "hardest":
            off[np.arange(NUM), look.class_of] = np.inf
            return per_class(look, own - off.min(1))
        case "easiest":
            return per_class(look, -own)
        case _:
            raise AssertionError(kind)


def check(found: Sequence[SampleCheck], name: str) -> SampleCheck:
    return next(one for one in found if one.name == name)


def test_a_stratified_sample_passes_every_check(look: Look) -> None:
    found = checks_of(look)
    assert [one.name for one in found] == [
        "labels", "rare-classes", "features", "copies", "leakage",
    ]  # fmt: skip
    assert all(one.is_ok for one in found), [one.sentence for one in found]
    assert "looks like the whole: its distance is larger than" in check(found, "features").sentence


@pytest.mark.parametrize(
    ("kind", "labels_see_it"),
    [
        ("file order", True),
        ("brightest half", False),
        ("imbalanced", True),
        ("outlying", True),
        ("hardest", False),
        ("easiest", False),
    ],
)
def test_a_bad_sample_does_not_look_like_the_whole(
    kind: str, look: Look, pixels: np.ndarray, *, labels_see_it: bool
) -> None:
    bad = replace(look, ids=np.sort(bad_sample(kind, look, pixels)))
    features = features_check(bad)
    assert features.is_ok is False
    assert (
        "does not look like the whole: its distance is larger than all of 50" in features.sentence
    )
    assert check(label_checks(bad), "labels").is_ok is not labels_see_it


def test_a_fifth_of_copies_is_found_where_distances_see_none(
    look: Look, pixels: np.ndarray
) -> None:
    planted = pixels[:NUM].copy()
    planted[look.ids[:40]] = planted[look.ids[100:140]]
    images = {"train": seen(planted)}
    is_in = [np.isin(look.looked, ids) for ids in (look.ids, *look.redraws)]
    found = copies_check(images["train"], is_in)
    assert found.is_ok is False
    assert found.figures["exact_in_sample"] == 40
    assert "more than redraws have" in found.sentence


def test_many_copies_in_the_training_set_are_said_though_the_sample_has_few(
    look: Look, pixels: np.ndarray
) -> None:
    planted = pixels[:NUM].copy()
    planted[1000:1400] = planted[:400]
    images = seen(planted)
    found = copies_check(images, [np.isin(images.ids, ids) for ids in (look.ids, *look.redraws)])
    assert found.is_ok is False
    assert "400 of 2,000 training images are exact copies" in found.sentence


def test_images_in_both_splits_are_named_exact_and_near_ones(pixels: np.ndarray) -> None:
    held_out = pixels[NUM:].copy()
    held_out[3] = pixels[17]
    held_out[8] = np.clip(pixels[42].astype(int) + 1, 0, 255)  # saved again, a little brighter
    found = leakage_check(seen(pixels[:NUM]), {"val": seen(held_out)})
    assert found.is_ok is False
    assert "1 exactly and 1 nearly in val (train 17 = val 3, 42 = val 8)" in found.sentence
    assert found.figures["ids_val"] == [17, 3, 42, 8]


def test_splits_without_an_image_in_common_leak_nothing(look: Look) -> None:
    found = leakage_check(look.images["train"], {"val": look.images["val"]})
    assert found.is_ok
    assert "no training image is among the 500 of val" in found.sentence


def test_a_class_that_the_sample_lacks_is_named(look: Look) -> None:
    assert look.class_of is not None
    ids = look.ids[look.class_of[look.ids] != 3]
    found = check(
        label_checks(replace(look, ids=ids, classes=["a", "b", "c", "dress"])), "rare-classes"
    )
    assert found.is_ok is False
    assert "no example of dress" in found.sentence


def test_a_minimum_that_was_applied_is_said(look: Look) -> None:
    classes = np.zeros(NUM, dtype=np.int64)
    classes[:12] = 1
    ids = np.concatenate([np.arange(5), np.arange(12, 12 + 199)])
    some = replace(look, sample=Sample(fraction=SHARE, class_min=5), class_of=classes, ids=ids)
    found = check(label_checks(some), "rare-classes")
    assert "fewer than 10 examples of class 1 (5 of 12)" in found.sentence
    assert "class_min = 5 was applied to class 1" in found.sentence


def test_masks_with_too_much_of_a_class_are_found(look: Look) -> None:
    source = np.random.default_rng(0)
    shares = source.dirichlet((4, 2, 1), NUM).astype(np.float32)
    masks = replace(look, strata=Strata.MASKS, class_of=None, present=shares > 0.01, shares=shares)
    assert check(label_checks(masks), "pixels").is_ok
    skewed = replace(masks, ids=np.sort(np.argsort(-shares[:, 2])[:200]))
    assert check(label_checks(skewed), "pixels").is_ok is False


def test_labels_that_are_missing_from_a_sample_are_found(look: Look) -> None:
    present = np.random.default_rng(0).random((NUM, 3)) < (0.5, 0.2, 0.1)
    labelled = replace(look, strata=Strata.LABELS, class_of=None, present=present)
    assert check(label_checks(labelled), "labels").is_ok
    without = replace(labelled, ids=np.flatnonzero(~present[:, 2])[:200])
    assert check(label_checks(without), "labels").is_ok is False
    assert check(label_checks(without), "rare-classes").is_ok is False


def test_what_cannot_be_looked_at_is_said_and_is_no_pass(look: Look) -> None:
    found = checks_of(
        replace(
            look, strata=Strata.NONE, class_of=None, images={}, why_no_layer="no run has left any"
        )
    )
    assert {one.name: one.is_ok for one in found} == dict.fromkeys(("labels", "features", "copies"))


def test_too_few_redraws_are_no_measure(look: Look) -> None:
    found = features_check(replace(look, redraws=look.redraws[:5]))
    assert found.is_ok is None
    assert "5 redraws are too few" in found.sentence


def test_the_frechet_distance_is_that_of_two_normal_distributions() -> None:
    source = np.random.default_rng(0)
    points = np.concatenate([source.normal(0, 1, (4000, 2)), source.normal((3, 0), 2, (4000, 2))])
    distance = FrechetDistance(points)
    assert distance.of(np.arange(8000)) == pytest.approx(0, abs=1e-9)
    mean, covariance = points.mean(0), np.cov(points.T)
    part = points[4000:]
    from scipy.linalg import sqrtm

    root = sqrtm(covariance @ np.cov(part.T)).real
    expected = ((mean - part.mean(0)) ** 2).sum() + np.trace(covariance + np.cov(part.T) - 2 * root)
    assert distance.of(np.arange(4000, 8000)) == pytest.approx(expected, rel=1e-6)
