"""One size as it was under batches of several sizes, said as what it follows: ``B``, ``H/8``, ``2B``, or the number that it always was.

A size that follows the height and the width at once is their product (``H*W/16+1``: the tokens of a transformer). What follows
nothing that is known, because it depends on the data, is ``N``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from branchlab.domain import BatchSize

VARIES = "N"
_PARTS_MAX = 64
_MULTIPLE_MAX = 64
_OFFSET_MAX = 8
_OFFSET_OF_PART_MAX = 2
_PARTS_WITH_OFFSET = (2, 4, 8, 16, 32)


def named_shape(shapes: Sequence[tuple[int, ...]], batches: Sequence[BatchSize]) -> tuple[str, ...]:
    """Return a tensor's sizes in words, from its shape in each batch.

    Shapes are of one rank; where height and width were made larger by one factor, the last size that follows is the width.
    """
    columns = list(zip(*shapes, strict=True))
    found = [named_size(column, batches) for column in columns]
    base = batches[0]
    if found and shapes[0][0] == base.batch and all(one.batch == base.batch for one in batches):
        found[0] = "B"  # no other batch came here: the first size is taken for what it always is
    larger = _larger(batches)
    if larger is not None and larger.height * base.width == larger.width * base.height:
        spatial = [at for at, word in enumerate(found) if "H" in word and "W" not in word]
        if len(spatial) > 1:
            found[spatial[-1]] = named_size(columns[spatial[-1]], batches, is_width=True)
    return tuple(found)


def named_size(
    values: Sequence[int], batches: Sequence[BatchSize], *, is_width: bool = False
) -> str:
    """Return one size in words, from its value in each batch."""
    if len(set(values)) == 1:
        return str(values[0])
    base, value = batches[0], values[0]
    by_batch = {size.batch: one for one, size in zip(values, batches, strict=True)}
    others = [batch for batch in by_batch if batch != base.batch]
    batch = (base.batch, others[0] if others else base.batch)
    more = by_batch[batch[1]] if others else value
    sizes = _larger(batches) or base
    larger = values[list(batches).index(sizes)] if sizes is not base else value
    if larger == value:
        return _first(_following((value, more), batch, "B"))
    pairs = {
        "H": (base.height, sizes.height),
        "W": (base.width, sizes.width),
        "H*W": (base.height * base.width, sizes.height * sizes.width),
    }
    if is_width:
        pairs = {"W": pairs["W"]}
    if more == value:
        return _first(_spatial((value, larger), pairs))
    # Both: B images of so many tokens each, for instance.
    if value * batch[1] != more * batch[0] or value % batch[0] or larger % batch[0]:
        return VARIES
    rest = _first(_spatial((value // batch[0], larger // batch[0]), pairs))
    return VARIES if rest == VARIES else f"B*{rest}" if _is_product(rest) else f"B*({rest})"


def _larger(batches: Sequence[BatchSize]) -> BatchSize | None:
    """Return the look at larger images, if any."""
    base = (batches[0].height, batches[0].width)
    return next((one for one in batches if (one.height, one.width) != base), None)


def _is_product(text: str) -> bool:
    return not set(text) & set("+-(")


def _first(candidates: Iterator[str]) -> str:
    return next(candidates, VARIES)


def _spatial(values: tuple[int, int], pairs: dict[str, tuple[int, int]]) -> Iterator[str]:
    """Yield what a size may follow, the plain before the far-fetched."""
    sides = {name: pair for name, pair in pairs.items() if name != "H*W"}
    for name, pair in pairs.items():
        yield from _in_proportion(values, pair, name)
    for name, pair in sides.items():
        yield from _rounded(values, pair, name)
    for name, pair in pairs.items():
        yield from _shifted(values, pair, name)
    if len(sides) > 1:
        yield from _rounded_product(values, pairs["H"], pairs["W"])


def _following(values: tuple[int, int], pair: tuple[int, int], name: str) -> Iterator[str]:
    yield from _in_proportion(values, pair, name)
    yield from _shifted(values, pair, name)


def _in_proportion(values: tuple[int, int], pair: tuple[int, int], name: str) -> Iterator[str]:
    if pair[0] and values[0] and values[0] * pair[1] == values[1] * pair[0] and pair[0] != pair[1]:
        ratio = Fraction(values[0], pair[0])
        is_area = name == "H*W"
        if ratio.numerator <= _MULTIPLE_MAX * _MULTIPLE_MAX and (
            ratio.denominator <= _PARTS_MAX or is_area
        ):
            many = f"{ratio.numerator}*" if is_area else f"{ratio.numerator}"
            part = f"/{ratio.denominator}" if ratio.denominator > 1 else ""
            yield f"{many if ratio.numerator > 1 else ''}{name}{part}"


def _rounded(values: tuple[int, int], pair: tuple[int, int], name: str) -> Iterator[str]:
    for part in range(2, min(_PARTS_MAX, pair[0]) + 1):
        if tuple(size // part for size in pair) == values:
            yield f"{name}//{part}"
        if tuple(-(-size // part) for size in pair) == values:
            yield f"ceil({name}/{part})"


def _shifted(values: tuple[int, int], pair: tuple[int, int], name: str) -> Iterator[str]:
    """Yield ``H-2``, as a convolution without padding leaves it, ``H/2-1``, and ``H*W/16+1``, a token more."""
    shift = values[0] - pair[0]
    if shift == values[1] - pair[1] and 0 < abs(shift) <= _OFFSET_MAX:
        yield f"{name}{shift:+d}"
    parts: Sequence[int] = _PARTS_WITH_OFFSET
    bound = _OFFSET_OF_PART_MAX
    if name == "H*W":
        parts, bound = [n * n for n in range(2, _PARTS_MAX + 1)], _OFFSET_MAX
    for part in parts:
        if pair[0] % part or pair[1] % part:
            continue
        shift = values[0] - pair[0] // part
        if shift == values[1] - pair[1] // part and 0 < abs(shift) <= bound:
            yield f"{name}/{part}{shift:+d}"


def _rounded_product(
    values: tuple[int, int], height: tuple[int, int], width: tuple[int, int]
) -> Iterator[str]:
    for part in range(2, min(_PARTS_MAX, *height, *width) + 1):
        roundings: tuple[tuple[str, Callable[[int, int], int]], ...] = (
            ("{0}//{1}", lambda size, by: size // by),
            ("ceil({0}/{1})", lambda size, by: -(-size // by)),
        )
        for form, rounded in roundings:
            areas = tuple(
                rounded(h, part) * rounded(w, part) for h, w in zip(height, width, strict=True)
            )
            if areas == values:
                sides = [form.format(name, part) for name in ("H", "W")]
                yield "*".join(side if "(" in side else f"({side})" for side in sides)
