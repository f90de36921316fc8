"""Reads a claim. The grammar is all there is: no name is looked up, nothing is called, nothing is executed.

lark takes 0.25 s to import, so it is imported by the first claim that is read, and what was read stays.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from branchlab.analysis.claims.claim import (
    MAIN,
    PLAIN_NAME,
    REFERENCE,
    Amount,
    Claim,
    Comparison,
    Equivalence,
    Estimand,
    Named,
    Point,
    Relation,
    Target,
    Trend,
    Unit,
)
from branchlab.errors import ClaimError, nearest

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

_LENGTH_MAX = 400
_EPOCH_MAX = 10**9
_GRAMMAR = rf"""
start: estimand RELATION target margin?          -> comparison
     | estimand WITHIN amount OF target          -> equivalence
     | estimand TREND                            -> trend
estimand: name BRACKET*                          -> of_name
     | EPOCH_TO "(" RELATION? constant ")" name BRACKET*  -> epoch_to
target: NAME BRACKET*                            -> bare
     | STRING                                    -> branch
     | EPOCH_TO "(" RELATION? constant ")" name BRACKET*  -> other_epoch_to
     | constant UNIT?                            -> amount
margin: SIGN amount
amount: NUMBER UNIT?
constant: SIGN? NUMBER
name: NAME | STRING
RELATION: ">=" | "<=" | ">" | "<"
SIGN: "+" | "-"
UNIT: "pt" | "%"
WITHIN: "within"
OF: "of"
TREND: "decreases" | "increases"
EPOCH_TO: "epoch_to"
NAME: /{PLAIN_NAME.pattern}/
STRING: /"[^"\[\]\n]+"/
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
BRACKET: /\[[^\[\]\n]*\]/
%ignore /[ \t]+/
"""
_EXPECTED = {
    "OF": "'of'",
    "NUMBER": "a number",
    "SIGN": "a margin (+ or -)",
    "UNIT": "a unit (pt or %)",
    "RELATION": "a relation (> >= < <=)",
    "LPAR": "'('",
    "RPAR": "')'",
    "$END": "the end",
}
_TRUTHS = {"True", "False", "None"}
_JOINTS = {"and", "or", "not"}
_UNITS_LIKE = {"pts", "pp", "point", "points", "percent", "pct", "epoch", "epochs", "ms", "s"}
_REMARKS = (
    ("/*", "nothing is calculated here: hold a metric against another one, 'a > b + 5%'"),
    ("(", "nothing is called here: a claim names metrics that runs have recorded"),
    ("'", "names stand bare or in double quotes"),
    ("=", "measured values are never equal: write 'within 0.5pt of main'"),
    ("!", "measured values are never equal: write a difference, '> main + 1pt'"),
    ("&|,;", "one claim a key: put the second one under a key of its own"),
)


def parse_claim(text: str) -> Claim:
    """Return what a claim says.

    Raises:
        ClaimError: It is none; says at which column, and what was expected there.
    """
    if len(text) > _LENGTH_MAX:
        raise ClaimError(
            f"a claim has at most {_LENGTH_MAX} characters", text=text, column=_LENGTH_MAX + 1
        )
    from lark.exceptions import UnexpectedInput

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _error(text, error) from None
    return _Reading(text).claim(tree)


@functools.cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


class _Reading:
    """Turns the tree of one claim into values; what the grammar cannot say is refused here."""

    def __init__(self, text: str) -> None:
        self.text = text

    def error(self, reason: str, at: Token) -> ClaimError:
        return ClaimError(reason, text=self.text, column=at.column or 1)

    def claim(self, tree: Tree[Token]) -> Claim:
        children: list[Any] = tree.children  # what stands where is the grammar's to say
        first, *rest = children
        estimand = self.estimand(first)
        match tree.data:
            case "trend":
                if estimand.point is not Point.LAST or "[last]" in self.text:
                    raise self.error("a trend is over all epochs: leave the point out", rest[0])
                return Trend(estimand=estimand, is_rising=rest[0] == "increases")
            case "equivalence":
                within, target = self.amount(rest[1]), self.target(rest[3])
                self.check_unit(estimand, within, rest[1])
                return Equivalence(estimand=estimand, within=within, target=target)
            case _:
                target = self.target(rest[1])
                margin = Amount(number=0.0)
                if len(rest) > 2:  # noqa: PLR2004  relation, target, margin
                    margin = self.margin(rest[2])
                    self.check_unit(estimand, margin, rest[2])
                    if isinstance(target, Amount):
                        at = rest[2].children[0]
                        raise self.error("a constant takes no margin: add it yourself", at)
                return Comparison(
                    estimand=estimand, relation=Relation(rest[0]), target=target, margin=margin
                )

    def estimand(self, tree: Tree[Token]) -> Estimand:
        tokens = list(_tokens(tree))
        if tree.data in {"epoch_to", "other_epoch_to"}:
            return self.epoch_to(tokens)
        return self.of_name(tokens[0], tokens[1:])

    def epoch_to(self, tokens: list[Token]) -> Estimand:
        end = max(place for place, token in enumerate(tokens) if token.type == "NUMBER")
        relation = next((Relation(t) for t in tokens[:end] if t.type == "RELATION"), None)
        level = self.number(tokens[end])
        is_below = any(t.type == "SIGN" and t == "-" for t in tokens[:end])
        found = self.of_name(tokens[end + 1], tokens[end + 2 :])
        if found.point is not Point.LAST:
            raise self.error("epoch_to( ) is over all epochs: leave the point out", tokens[-1])
        return Estimand(
            metric=found.metric,
            part=found.part,
            point=Point.EPOCH_TO,
            number=-level if is_below else level,
            relation=relation,
        )

    def of_name(self, name: Token, brackets: list[Token]) -> Estimand:
        if name in _TRUTHS:
            raise self.error(
                "a claim is about a metric that runs record, never a truth value", name
            )
        part, point, number = "", None, 0.0
        for bracket in brackets:
            inside = bracket[1:-1].strip()
            found = self.point(inside, bracket)
            if found is not None:
                if point is not None:
                    raise self.error("two points of the training: keep one of them", bracket)
                point, number = found
            elif part:
                raise self.error("two parts of the validation set: keep one of them", bracket)
            else:
                part = inside.strip('"')
                if not part or part != part.strip() or '"' in part:
                    what = "expected a part (a class, say) or a point: last, best, mean, max, min, epoch=5"
                    raise self.error(what, bracket)
        metric = name.strip('"').strip()
        if not metric:
            raise self.error("the name of a metric is empty", name)
        return Estimand(metric=metric, part=part, point=point or Point.LAST, number=number)

    def point(self, inside: str, bracket: Token) -> tuple[Point, float] | None:
        if inside.startswith('"'):
            return None
        if (epoch := re.fullmatch(r"epoch\s*=\s*(.*)", inside)) is not None:
            if not re.fullmatch(r"[0-9]{1,9}", epoch[1]):
                raise self.error("an epoch is a whole number: [epoch=5]", bracket)
            return Point.EPOCH, float(int(epoch[1]))
        if inside in {Point.LAST, Point.BEST, Point.MEAN, Point.MAX, Point.MIN}:
            return Point(inside), 0.0
        return None

    def target(self, tree: Tree[Token]) -> Target:
        tokens = list(_tokens(tree))
        match tree.data:
            case "amount":
                found = self.signed(tokens)
                if found.unit is Unit.PERCENT:
                    what = "percent of what? write a share (0.8 or 80pt), or '> main + 5%'"
                    raise self.error(what, tokens[-1])
                return found
            case "branch":
                return Named(name=self.branch(tokens[0]), may_be_metric=False)
            case "other_epoch_to":
                return self.epoch_to(tokens)
            case _:
                return self.bare(tokens[0], tokens[1:])

    def bare(self, name: Token, brackets: list[Token]) -> Target:
        if name in _TRUTHS:
            what = "a claim is held against a branch, a metric or a number, never a truth value"
            raise self.error(what, name)
        if brackets:
            return self.of_name(name, brackets)
        swallowed = re.fullmatch(rf"({MAIN}|{REFERENCE})-(\d\S*)", str(name))
        if swallowed:
            what = f"a dash belongs to the name: put blanks around it, '{swallowed[1]} - {swallowed[2]}'"
            raise self.error(what, name)
        return Named(name=str(name))

    def branch(self, token: Token) -> str:
        name = token[1:-1].strip()
        if not name:
            raise self.error("the name of a branch is empty", token)
        return name

    def margin(self, tree: Tree[Token]) -> Amount:
        return self.signed(list(_tokens(tree)))

    def amount(self, tree: Tree[Token]) -> Amount:
        tokens = list(_tokens(tree))
        found = self.signed(tokens)
        if not found.number:
            raise self.error(
                "within 0 of anything is never shown: name what is still the same", tokens[0]
            )
        return found

    def signed(self, tokens: list[Token]) -> Amount:
        sign = -1.0 if tokens[0] == "-" else 1.0
        number = next(self.number(token) for token in tokens if token.type == "NUMBER")
        unit = next((Unit(token) for token in tokens if token.type == "UNIT"), Unit.OWN)
        return Amount(number=(sign * number) or 0.0, unit=unit)

    def number(self, token: Token) -> float:
        value = float(token)
        if not math.isfinite(value):
            raise self.error("this number is too large", token)
        return value

    def check_unit(self, estimand: Estimand, amount: Amount, tree: Tree[Token]) -> None:
        if estimand.point is Point.EPOCH_TO and amount.unit is Unit.POINTS:
            at = list(_tokens(tree))[-1]
            raise self.error("epochs are counted without a unit: 'main - 1'", at)


def _tokens(tree: Tree[Token]) -> Iterator[Token]:
    children: list[Any] = tree.children
    for child in children:
        if hasattr(child, "children"):
            yield from _tokens(child)
        elif child.type not in {"EPOCH_TO", "LPAR", "RPAR"}:
            yield child


def _error(text: str, error: Any) -> ClaimError:  # noqa: ANN401  lark's three kinds
    """Return what was expected where lark went no further, in words."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedToken

    token: Any = getattr(error, "token", None)
    is_end = isinstance(error, UnexpectedToken) and token.type == "$END"
    column = len(text.rstrip()) + 1 if is_end else max(1, int(error.column))
    is_character = isinstance(error, UnexpectedCharacters)
    expected = error.allowed if is_character else error.accepts or error.expected
    found = "" if is_end else text[column - 1 : column]
    return ClaimError(
        _reason(text, column, found, str(token or ""), set(expected or ())),
        text=text,
        column=column,
    )


def _reason(text: str, column: int, found: str, token: str, expected: Collection[str]) -> str:
    if not text.strip():
        return f"it is empty: write for instance 'val/accuracy > {MAIN} + 0.5pt'"
    if text.strip() in _TRUTHS:
        return "a claim names what is measured and what it is held against, never a truth value"
    asked = f"expected {_wanted(expected)}"
    if not found:
        return f"{asked}, and it ends here"
    before = text[: column - 1].rstrip()
    if found in "<>" and before.endswith(("<", ">")):
        return "one relation: > >= < <="
    remark = next((words for signs, words in _REMARKS if found in signs), "")
    if token in _UNITS_LIKE or (found.isalpha() and re.search(r"\dpt$", text[: column - 1])):
        remark = "units are pt (a hundredth of a share) and % (of what it is held against)"
    elif token in _JOINTS:
        remark = "one claim a key: put the second one under a key of its own"
    elif token.isidentifier() and "TREND" in expected:
        remark = nearest(token, ["decreases", "increases", "within"]).strip()
    return f"{asked}, found {token or found!r}" + (f"; {remark}" if remark else "")


def _wanted(expected: Collection[str]) -> str:
    if "TREND" in expected:
        return "> >= < <=, 'within', 'decreases' or 'increases'"
    if "NAME" in expected:
        is_target = "NUMBER" in expected
        return "main, reference, a branch, a metric or a number" if is_target else "a metric"
    known = [words for name, words in _EXPECTED.items() if name in expected]
    return (", ".join(known[:-1]) + (" or " if len(known) > 1 else "") + "".join(known[-1:])) or (
        "nothing more"
    )
