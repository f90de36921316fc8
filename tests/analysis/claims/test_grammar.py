"""Claims are read or refused, with the column; nothing else ever happens to a text."""

from __future__ import annotations

import contextlib
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.claims.claim import (
    Amount,
    Comparison,
    Equivalence,
    Estimand,
    Named,
    Point,
    Relation,
    Trend,
    Unit,
    estimands_of,
    has_better_side,
    is_rising_better,
    shifts_of,
)
from branchlab.analysis.claims.grammar import parse_claim
from branchlab.domain import Goal
from branchlab.errors import ClaimError

ACCURACY = Estimand(metric="val/accuracy")
MAIN = Named(name="main")
PLAIN = st.builds("{}{}".format, st.sampled_from("abMT_"), st.text("aZ09_./@:-", max_size=8))
ODD = st.text(st.characters(codec="ascii", exclude_characters='"[]\n\r\t'), min_size=1, max_size=8)
NAMES = PLAIN.filter(
    lambda n: n not in {"True", "False", "None"} and not n.startswith(("main-", "reference-"))
)
METRICS = NAMES | ODD.map(str.strip).filter(bool)
PARTS = (ODD | st.sampled_from(["shirt", "T-shirt/top", "last", "epoch=5", "ankle boot"])).map(
    str.strip
)
NUMBERS = st.floats(0, 1e12, allow_subnormal=False) | st.integers(0, 500).map(float)
UNITS = st.sampled_from([Unit.OWN, Unit.POINTS, Unit.PERCENT])


@st.composite
def estimands(draw: st.DrawFn) -> Estimand:
    point = draw(st.sampled_from(Point))
    metric, part = draw(METRICS), draw(PARTS)
    match point:
        case Point.EPOCH:
            number = float(draw(st.integers(0, 10**6)))
            return Estimand(metric=metric, part=part, point=point, number=number)
        case Point.EPOCH_TO:
            level = draw(NUMBERS) * draw(st.sampled_from([1, -1])) or 0.0
            relation = draw(st.none() | st.sampled_from(Relation))
            return Estimand(metric=metric, part=part, point=point, number=level, relation=relation)
        case _:
            return Estimand(metric=metric, part=part, point=point)


@st.composite
def claims(draw: st.DrawFn) -> Comparison | Equivalence | Trend:
    estimand = draw(estimands())
    is_epochs = estimand.point is Point.EPOCH_TO
    units = st.sampled_from([Unit.OWN, Unit.PERCENT]) if is_epochs else UNITS
    kind = draw(st.sampled_from(["comparison", "equivalence", "trend"]))
    if kind == "trend":
        return Trend(
            estimand=Estimand(metric=estimand.metric, part=estimand.part),
            is_rising=draw(st.booleans()),
        )
    constants = st.builds(
        Amount,
        number=NUMBERS.map(lambda n: -n or 0.0) | NUMBERS,
        unit=st.sampled_from([Unit.OWN, Unit.POINTS]),
    )
    named = NAMES.map(lambda n: Named(name=n)) | ODD.map(str.strip).filter(bool).map(
        lambda n: Named(name=n, may_be_metric=False)
    )
    measured = estimands().filter(
        lambda e: e.point is Point.EPOCH_TO or ("[" in str(e) and not str(e).startswith('"'))
    )
    target = draw(named | measured | constants)
    if kind == "equivalence":
        within = Amount(number=draw(NUMBERS.filter(bool)), unit=draw(units))
        return Equivalence(estimand=estimand, within=within, target=target)
    margin = Amount(number=0.0)
    if not isinstance(target, Amount):
        number = draw(NUMBERS.filter(bool)) * draw(st.sampled_from([1, -1]))
        margin = draw(st.sampled_from([margin, Amount(number=number, unit=draw(units))]))
    relation = draw(st.sampled_from(Relation))
    return Comparison(estimand=estimand, relation=relation, target=target, margin=margin)


@settings(max_examples=120)
@given(claims())
def test_a_claim_that_is_printed_reads_back_the_same(claim: Comparison) -> None:
    assert parse_claim(str(claim)) == claim


WORDS = st.sampled_from(
    [
        "val/accuracy",
        "main",
        "reference",
        "[shirt]",
        "[best]",
        "[epoch=5]",
        "epoch_to(",
        ")",
        ">",
        ">=",
        "<",
        "within",
        "of",
        "decreases",
        "+",
        "-",
        "1",
        "0.5",
        "pt",
        "%",
        '"se"',
        "1e999",
        "True",
        "(",
        "'",
        "/",
        "[",
        "]",
        "\x00",
        "é",
        "open('x')",
        "\n",
        "\t",
        "9" * 400,
    ]
)


@settings(max_examples=400)
@given(st.text(max_size=60) | st.lists(WORDS, max_size=8).map(" ".join))
def test_any_text_is_a_claim_or_a_claim_error_with_a_column_inside_it(text: str) -> None:
    refused = None
    try:
        claim = parse_claim(text)
    except ClaimError as error:
        refused = error
    if refused is None:
        assert parse_claim(str(claim)) == claim
        return
    assert 1 <= refused.column <= len(text) + 1
    assert refused.reason
    assert "Token" not in refused.message


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        (
            "val/accuracy[shirt] > main + 1pt",
            Comparison(
                estimand=Estimand(metric="val/accuracy", part="shirt"),
                relation=Relation.ABOVE,
                target=MAIN,
                margin=Amount(number=1, unit=Unit.POINTS),
            ),
        ),
        (
            "val/iou>=reference - 0.2pt",
            Comparison(
                estimand=Estimand(metric="val/iou"),
                relation=Relation.AT_LEAST,
                target=Named(name="reference"),
                margin=Amount(number=-0.2, unit=Unit.POINTS),
            ),
        ),
        (
            "train/step_ms within 5% of main",
            Equivalence(
                estimand=Estimand(metric="train/step_ms"),
                within=Amount(number=5, unit=Unit.PERCENT),
                target=MAIN,
            ),
        ),
        (
            "val/loss < 0.3",
            Comparison(
                estimand=Estimand(metric="val/loss"),
                relation=Relation.BELOW,
                target=Amount(number=0.3),
            ),
        ),
        (
            "attn_entropy decreases",
            Trend(estimand=Estimand(metric="attn_entropy"), is_rising=False),
        ),
        (
            "mAP@50[best][T-shirt/top] >= exp/resnet-50",
            Comparison(
                estimand=Estimand(metric="mAP@50", part="T-shirt/top", point=Point.BEST),
                relation=Relation.AT_LEAST,
                target=Named(name="exp/resnet-50"),
            ),
        ),
        (
            'epoch_to(0.8) val/accuracy < "se" - 1',
            Comparison(
                estimand=Estimand(metric="val/accuracy", point=Point.EPOCH_TO, number=0.8),
                relation=Relation.BELOW,
                target=Named(name="se", may_be_metric=False),
                margin=Amount(number=-1),
            ),
        ),
        (
            "val/accuracy[shirt] > val/accuracy[epoch=5]",
            Comparison(
                estimand=Estimand(metric="val/accuracy", part="shirt"),
                relation=Relation.ABOVE,
                target=Estimand(metric="val/accuracy", point=Point.EPOCH, number=5),
            ),
        ),
    ],
)
def test_every_form_of_a_claim_is_read(text: str, claim: Comparison) -> None:
    assert parse_claim(text) == claim


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("val/iou >> main", 10, "one relation"),
        ("open('x')", 5, "nothing is called here"),
        ("val/iou / main", 9, "nothing is calculated here"),
        ("val/iou > main * 2", 16, "nothing is calculated here"),
        ("val/iou > True", 11, "never a truth value"),
        ("True", 5, "never a truth value"),
        ("False > 1", 1, "never a truth value"),
        ("val/iou == main", 9, "never equal"),
        ("val/iou > main and a > b", 16, "one claim a key"),
        ("val/iou > main + 1pts", 21, "units are pt"),
        ("val/iou > main + 1 points", 20, "units are pt"),
        ("val/iou > main-1pt", 11, "put blanks around it"),
        ("val/iou > 5%", 12, "percent of what"),
        ("val/iou > 0.8 + 1pt", 15, "takes no margin"),
        ("val/iou decrease", 9, "did you mean 'decreases'"),
        ("val/iou[best] increases", 15, "leave the point out"),
        ("val/iou[best][last] > main", 14, "two points"),
        ("val/iou[shirt][bag] > main", 15, "two parts"),
        ("val/iou[epoch=x] > main", 8, "whole number"),
        ("val/iou[] > main", 8, "expected a part"),
        ("val/iou within 0pt of main", 16, "never shown"),
        ("val/iou within 1pt main", 20, "expected 'of'"),
        ("epoch_to(0.8) a < main - 1pt", 27, "without a unit"),
        ("val/iou > 1e999", 11, "too large"),
        ("val/iou >", 10, "it ends here"),
        ("  ", 1, "it is empty"),
        ("val/iou > 'se'", 11, "double quotes"),
        ("a" * 500, 401, "at most 400"),
    ],
)
def test_what_is_no_claim_is_refused_at_its_column(text: str, column: int, said: str) -> None:
    with pytest.raises(ClaimError, match=r"column \d+") as caught:
        parse_claim(text)
    assert (caught.value.column, said in caught.value.reason) == (column, True), caught.value.reason
    shown, below = caught.value.pointed()
    assert shown == text
    assert below.index("^") == column - 1


def test_a_claim_that_looks_like_code_runs_none() -> None:
    seen: list[str] = []
    is_on = True

    def hear(event: str, _: tuple[object, ...]) -> None:
        if is_on and event in {"exec", "compile", "open", "os.system", "subprocess.Popen"}:
            seen.append(event)

    parse_claim("a > main")  # the grammar itself is built before
    sys.addaudithook(hear)
    for text in ("__import__('os').system('x') > 1", "open('x')", "a > (lambda: 1)()", "a > b[c]"):
        with contextlib.suppress(ClaimError):
            parse_claim(text)
    is_on = False
    assert seen == []


def test_amounts_come_to_the_metrics_own_unit() -> None:
    assert math.isclose(Amount(number=0.5, unit=Unit.POINTS).value, 0.005)
    assert Amount(number=3).value == 3
    assert (Amount(number=5, unit=Unit.PERCENT).value, Amount(number=5).percent) == (0, 0)
    assert shifts_of(parse_claim("a within 5% of main")) == (0.0, -5.0, 5.0)
    assert shifts_of(parse_claim("a > main + 5%")) == (0.0, 5.0)
    assert shifts_of(parse_claim("a > main + 5pt")) == (0.0,)


def test_what_has_to_be_recorded_leaves_branches_out() -> None:
    names = [e.name for e in estimands_of(parse_claim("val/accuracy[shirt] > b[best]"))]
    assert names == ["val/accuracy[shirt]", "b"]
    assert len(estimands_of(parse_claim("a > exp/se"))) == 1


@pytest.mark.parametrize(
    ("metric", "is_rising"),
    [
        ("val/iou", True),
        ("val/loss", False),
        ("train/step_ms", False),
        ("top1_err", False),
        ("terrain/iou", True),
        ("custom", False),
    ],
)
def test_which_values_are_better_is_known_of_the_configs_metric_and_guessed_of_others(
    metric: str,
    *,
    is_rising: bool,
) -> None:
    found = is_rising_better(metric, metric_of_run="custom", goal=Goal.MIN)
    assert found is is_rising


def test_a_large_norm_is_no_better_than_a_small_one_unless_the_project_says_so() -> None:
    assert not has_better_side("train/weight_norm", metric_of_run="val/iou")
    assert not has_better_side("train/lr", metric_of_run="val/iou")
    assert has_better_side("train/loss", metric_of_run="val/iou")
    assert has_better_side("train/lr", metric_of_run="train/lr")
