"""Whether a sample looks like the whole: labels, features against redraws, groups; each in a sentence.

A distance has no scale of its own, so it is held against the distances of other samples of the same size, drawn class by class
with other seeds. Of bad samples of Fashion-MNIST (file order, the brightest half, hard or outlying images) labels alone let most
pass; the Frechet distance of features finds them all but copies, which are looked for by themselves (see ``copies``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from branchlab.analysis.copies import Images, copies_check, leakage_check
from branchlab.analysis.verdict import holm
from branchlab.domain import Sample, SampleCheck, Strata

_COMPONENTS_MAX = 32
_EXPECTED_MIN = 5
"""Classes of which fewer are expected go into one, as the chi-square test needs it."""
_P_MIN = 0.01
_UNUSUAL = 0.99
"""A sample further away than so many redraws does not look like the whole: a good one is called so once in a hundred."""
_REDRAWS_MIN = 20
_FEW = 10
_SHOWN_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a process found that drew a sample and looked at the training set.

    Attributes:
        ids: Of the sample, sorted. ``of``: examples of the training set.
        redraws: Ids of stratified samples with other seeds.
        looked: Ids of the training images that were looked at; ``features`` has a row for each, or none.
        class_of: Int[N]. ``present``: Bool[N, K]. ``shares``: Float[N, K]; None where targets are of another kind.
        images: By split; those without thumbnails are left out.
        layer: Whose input the features are, "" where no model gave them. ``model``: the branch that trained it.
        why_no_layer: Why no model did.
        groups: In the sample, in the whole, and split between both; empty where there are none.
    """

    sample: Sample
    strata: Strata
    ids: NDArray[np.int64]
    of: int
    redraws: tuple[NDArray[np.int32], ...]
    looked: NDArray[np.int64]
    class_of: NDArray[np.int64] | None = None
    present: NDArray[np.bool_] | None = None
    shares: NDArray[np.float32] | None = None
    features: NDArray[np.float32] | None = None
    images: Mapping[str, Images] = field(default_factory=dict)
    classes: Sequence[str] = ()
    layer: str = ""
    model: str = ""
    why_no_layer: str = ""
    groups: tuple[int, ...] = ()


def checks_of(look: Look) -> tuple[SampleCheck, ...]:
    """Return all that can be said of a sample."""
    found = [*label_checks(look), features_check(look)]
    if look.groups:
        found.append(_groups_check(look))
    train = look.images.get("train")
    held_out = {name: images for name, images in look.images.items() if name != "train"}
    if train is not None:
        is_in = [np.isin(look.looked, look.ids)]
        is_in += [np.isin(look.looked, ids) for ids in look.redraws]
        found.append(copies_check(train, is_in))
        if held_out:
            found.append(leakage_check(train, held_out))
    else:
        said = "copies cannot be looked for: the inputs are no images of one kind"
        found.append(SampleCheck(name="copies", is_ok=None, sentence=said))
    return tuple(found)


def label_checks(look: Look) -> list[SampleCheck]:
    """Hold the shares of classes, labels or pixels against the whole's, and say which are rare."""
    match look.strata:
        case Strata.CLASSES:
            assert look.class_of is not None
            numbers, inverse = np.unique(look.class_of, return_inverse=True)
            whole = np.bincount(inverse, minlength=len(numbers))
            kept = np.bincount(inverse[look.ids], minlength=len(numbers))
            names = [_name(look, int(number)) for number in numbers]
            return [_chi_square_check(whole, kept, names), _rare_check(look, whole, kept, names)]
        case Strata.LABELS | Strata.MASKS:
            assert look.present is not None
            names = [_name(look, k) for k in range(look.present.shape[1])]
            whole, kept = look.present.sum(0), look.present[look.ids].sum(0)
            found = [_presence_check(look, whole, kept, names)]
            if look.shares is not None:
                found.append(_pixels_check(look, look.shares, names))
            return [*found, _rare_check(look, whole, kept, names)]
        case Strata.NONE:
            said = "shares of labels cannot be held against each other: targets are no classes, labels or masks"
            return [SampleCheck(name="labels", is_ok=None, sentence=said)]


def _name(look: Look, number: int) -> str:
    return look.classes[number] if 0 <= number < len(look.classes) else f"class {number}"


def _chi_square_check(
    whole: NDArray[np.int64], kept: NDArray[np.int64], names: Sequence[str]
) -> SampleCheck:
    """Hold the sample's classes against the whole's shares."""
    from scipy.stats import chisquare

    expected = whole * (kept.sum() / whole.sum())
    is_common = expected >= _EXPECTED_MIN
    pooled_kept, pooled_expected = kept[is_common], expected[is_common]
    if not is_common.all():
        pooled_kept = np.append(pooled_kept, kept[~is_common].sum())
        pooled_expected = np.append(pooled_expected, expected[~is_common].sum())
    p = 1.0 if len(pooled_kept) < 2 else float(chisquare(pooled_kept, pooled_expected).pvalue)  # noqa: PLR2004  two classes
    worst = int(np.argmax(np.abs(kept / kept.sum() - whole / whole.sum())))
    shares = (
        f"{names[worst]} is {kept[worst] / kept.sum():.1%} of the sample, "
        f"{whole[worst] / whole.sum():.1%} of the whole"
    )
    is_ok = p >= _P_MIN
    has = "have" if is_ok else "do not have"
    return SampleCheck(
        name="labels",
        is_ok=is_ok,
        sentence=f"the {len(whole)} classes {has} the shares of the whole (chi-square p {p:.2g}); furthest off: {shares}",
        figures={"p": p, "classes": len(whole), "furthest": names[worst]},
    )


def _presence_check(
    look: Look, whole: NDArray[np.int64], kept: NDArray[np.int64], names: Sequence[str]
) -> SampleCheck:
    """Hold how many examples have each label against drawing at random (hypergeometric, Holm over labels)."""
    from scipy.stats import hypergeom

    num = len(look.ids)
    low = hypergeom.cdf(kept, look.of, whole, num)
    high = hypergeom.sf(kept - 1, look.of, whole, num)
    p_values = {str(k): float(p) for k, p in enumerate(np.minimum(1, 2 * np.minimum(low, high)))}
    # What class_min adds is meant.
    least = {k for k in p_values if whole[int(k)] * num / look.of < look.sample.class_min}
    adjusted = holm({k: p for k, p in p_values.items() if k not in least})
    return _shares_check("labels", look, kept / num, whole / look.of, adjusted, names)


def _pixels_check(look: Look, shares: NDArray[np.float32], names: Sequence[str]) -> SampleCheck:
    """Hold the mean share of pixels of each class against drawing at random (normal, Holm over classes)."""
    from scipy.stats import norm

    num = len(look.ids)
    whole, kept = shares.mean(0), shares[look.ids].mean(0)
    error = shares.std(0) * np.sqrt(max(0.0, 1 - num / look.of) / num)
    z = np.abs(kept - whole) / np.where(error > 0, error, np.inf)
    adjusted = holm({str(k): float(2 * norm.sf(one)) for k, one in enumerate(z)})
    return _shares_check("pixels", look, kept, whole, adjusted, names)


def _shares_check(
    name: str,
    look: Look,
    kept: NDArray[Any],
    whole: NDArray[Any],
    adjusted: Mapping[str, float],
    names: Sequence[str],
) -> SampleCheck:
    what = "images have each label" if look.strata is Strata.LABELS else "images show each class"
    what = "pixels belong to each class" if name == "pixels" else what
    worst = min(adjusted, key=lambda k: adjusted[k], default="0")
    p = adjusted.get(worst, 1.0)
    shares = f"{names[int(worst)]} {kept[int(worst)]:.1%} of {whole[int(worst)]:.1%}"
    is_ok = p >= _P_MIN
    share = "the same share of" if is_ok else "not the same share of"
    return SampleCheck(
        name=name,
        is_ok=is_ok,
        sentence=f"{share} {what} as in the whole (least p {p:.2g} after Holm, {len(names)} classes); furthest off: {shares}",
        figures={"p": p, "classes": len(names), "furthest": names[int(worst)]},
    )


def _rare_check(
    look: Look, whole: NDArray[np.int64], kept: NDArray[np.int64], names: Sequence[str]
) -> SampleCheck:
    """Say which classes the sample holds few of, and where the least number was applied."""
    missing = [names[k] for k in _where((kept == 0) & (whole > 0))]
    few = _where((kept > 0) & (kept < _FEW))
    plain = np.round(whole * look.sample.fraction)
    is_raised = (plain < look.sample.class_min) & (kept > plain)
    raised = [names[k] for k in _where(is_raised & (look.sample.class_min > 1))]
    parts = []
    if missing:
        parts.append(f"the sample has no example of {_few_of(missing)}")
    if few:
        counts = [
            f"{names[k]} ({kept[k]} of {whole[k]})" for k in sorted(few, key=lambda k: kept[k])
        ]
        parts.append(f"fewer than {_FEW} examples of {_few_of(counts)}")
    if raised:
        least = look.sample.class_min
        parts.append(f"class_min = {least} was applied to {_few_of(raised)}")
    least_kept = int(kept[whole > 0].min()) if (whole > 0).any() else 0
    said = "; ".join(parts) or f"no class is rare: each has {least_kept:,} examples at least"
    return SampleCheck(
        name="rare-classes",
        is_ok=not missing,
        sentence=said,
        figures={"missing": missing, "few": [names[k] for k in few], "raised": raised},
    )


def features_check(look: Look) -> SampleCheck:
    """Hold the distance of the sample's features to the whole's against the distances of redraws."""
    rows, kind = _rows_of(look)
    if rows is None:
        return SampleCheck(name="features", is_ok=None, sentence=f"features cannot be held: {kind}")
    if len(look.redraws) < _REDRAWS_MIN:
        said = f"features cannot be held: {len(look.redraws)} redraws are too few (needs {_REDRAWS_MIN})"
        return SampleCheck(name="features", is_ok=None, sentence=said)
    points = _principal(rows, num=len(look.ids))
    distance = FrechetDistance(points)
    where = np.full(look.of, -1)
    where[look.looked] = np.arange(len(look.looked))
    own = distance.of(_found(where, look.ids))
    others = [distance.of(_found(where, ids)) for ids in look.redraws]
    num_smaller = sum(other < own for other in others)
    share = num_smaller / len(others)
    is_ok = share < _UNUSUAL
    median = float(np.median(others))
    which = "all" if num_smaller == len(others) else f"{share:.0%}"
    times = f", {own / median:.1f} times their median" if not is_ok and median > 0 else ""
    size = f"the sample of {len(look.ids):,} of {look.of:,}"
    said = f"{size} {'looks' if is_ok else 'does not look'} like the whole: its distance is larger than {which} of {len(others)} redraws{times} ({kind})"
    return SampleCheck(
        name="features",
        is_ok=is_ok,
        sentence=said,
        figures={
            "distance": own,
            "percentile": 100 * share,
            "redraws": len(others),
            "redraws_median": median,
            "redraws_max": float(max(others)),
            "features": look.layer or "thumbnails",
            "components": points.shape[1],
            "looked_at": len(look.looked),
        },
    )


def _rows_of(look: Look) -> tuple[NDArray[Any] | None, str]:
    """Return what stands for an image, a row each, and what that is; or why there is nothing."""
    if look.features is not None and len(look.features):
        return (
            look.features,
            f"what enters the layer '{look.layer}' of {look.model}'s trained model",
        )
    train = look.images.get("train")
    if train is None:
        return None, f"the inputs are no images of one kind, and {look.why_no_layer}"
    why = f", as {look.why_no_layer}" if look.why_no_layer else ""
    return train.thumbs.astype(np.float32) / 255, f"principal components of thumbnails{why}"


def _principal(rows: NDArray[Any], *, num: int) -> NDArray[np.float64]:
    """Return rows by their principal components; of a small sample fewer, as its covariance has to be known."""
    from sklearn.decomposition import PCA

    most = min(_COMPONENTS_MAX, max(2, num // 4), rows.shape[1], len(rows))
    found: NDArray[np.float64] = PCA(most, random_state=0).fit_transform(rows.astype(np.float64))
    return found


def _found(where: NDArray[np.int64], ids: NDArray[Any]) -> NDArray[np.int64]:
    places: NDArray[np.int64] = where[ids]
    return places[places >= 0]


class FrechetDistance:
    """Frechet distance of some rows to all of them, both taken as normal (Dowson and Landau, 1982).

    Args:
        points: Float[N, D].
    """

    def __init__(self, points: NDArray[np.float64]) -> None:
        self._points = points
        self._mean, covariance = _moments(points)
        values, vectors = np.linalg.eigh(covariance)
        self._root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        self._trace = float(np.trace(covariance))

    def of(self, places: NDArray[np.int64]) -> float:
        """Return the distance of the rows at some places."""
        mean, covariance = _moments(self._points[places])
        cross = np.linalg.eigvalsh(self._root @ covariance @ self._root).clip(0)
        spread = self._trace + float(np.trace(covariance)) - 2 * float(np.sqrt(cross).sum())
        return max(0.0, float(((mean - self._mean) ** 2).sum()) + spread)


def _moments(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean: NDArray[np.float64] = points.mean(0)
    off = points - mean
    covariance: NDArray[np.float64] = off.T @ off / max(1, len(points) - 1)
    return mean, covariance


def _groups_check(look: Look) -> SampleCheck:
    inside, whole, split = look.groups
    said = f"{inside:,} of {whole:,} groups are in the sample"
    said += f"; {split} of them only in part" if split else ", none of them in part"
    return SampleCheck(
        name="groups",
        is_ok=not split,
        sentence=said,
        figures={"groups": inside, "of": whole, "split": split},
    )


def _where(is_so: NDArray[np.bool_]) -> list[int]:
    return [int(k) for k in np.flatnonzero(is_so)]


def _few_of(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_MAX
    return ", ".join(names[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
