"""What the screen of a branch says in lines: features, hypotheses, notes, parity and what a probe saw; pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from branchlab.domain import (
    Feature,
    HypothesisState,
    JudgedClaim,
    JudgedHypothesis,
    Parity,
    ParityCheck,
    ParityStatus,
    Registration,
    Severity,
    Stage,
    StageKind,
    WrittenNote,
)
from branchlab.lab.columns import Column
from branchlab.lab.feature_reading import BranchFeatures
from branchlab.lab.kept_probes import SeenThen
from branchlab.lab.known_experiments import KnownExperiment
from branchlab.lab.words import REGISTRATION_WORDS, RELATION_WORDS, figure
from branchlab.tui.looks import Line, Look, Piece, hypothesis_piece
from branchlab.tui.rows import Row
from branchlab.tui.verdicts import feature_piece
from branchlab.tui.wrapping import wrapped

_PARITY = {
    ParityStatus.NEUTRAL: ("✓", Look.GOOD),
    ParityStatus.DIFFERS: ("✗", Look.BAD),
    ParityStatus.NOT_RUN: ("○", Look.WARN),
}
_NOTHING: Line = ()
_ROOMY = 100


def feature_columns() -> tuple[Column, ...]:
    """Return the columns of what a branch changes, which ``feature_rows`` fills."""
    return (
        Column(title="VERDICT"),
        Column(title="SYMBOL", width_min=10),
        Column(title="KIND", rank=3),
        Column(title="WHERE", width_min=10, rank=1),
        Column(title="FLAG", rank=2),
        Column(title="REASON", width_min=20, rank=4),
    )


def feature_rows(found: BranchFeatures) -> list[Row]:
    """Return what a branch changes, what demands most first."""
    rows = []
    for number, one in enumerate(found.features):
        flag = f"{one.flag}={one.default}" if one.flag else ""
        rows.append(
            Row(
                key=str(number),
                cells=(
                    (feature_piece(one.verdict),),
                    ((one.symbol or "the whole file", Look.PLAIN),),
                    ((one.kind, Look.DIM),),
                    ((_place(one), Look.PLAIN),),
                    ((flag, Look.LIVE),),
                    ((one.reason, Look.PLAIN),),
                ),
            )
        )
    return rows


def feature_lines(one: Feature, width: int) -> list[Line]:
    """Return all that is known of one change."""
    flag = ""
    if one.flag:
        flag = f", behind {one.flag}" + (f" (default {one.default})" if one.default else "")
    head: Line = (
        feature_piece(one.verdict),
        (f"  {one.kind} {one.symbol}".rstrip(), Look.STRONG),
        (f"  {_place(one)}{flag}", Look.DIM),
    )
    lines = [*wrapped(head, width, indent=2), *wrapped(((one.reason, Look.PLAIN),), width)]
    for warning in one.warnings:
        lines += wrapped(((f"! {warning}", Look.WARN),), width, indent=2)
    if one.also_on:
        lines += wrapped(((f"also on {', '.join(one.also_on)}", Look.DIM),), width)
    return lines


def hypotheses_text(
    judged: Sequence[JudgedHypothesis], remark: str, name: str, width: int
) -> list[Line]:
    """Return every hypothesis: its claim, what was predicted, what was seen, and how it was registered."""
    if not judged:
        return [
            (("no hypothesis in its experiment file", Look.DIM),),
            ((f"one is written as [[hypothesis]]: branchlab hypotheses {shlex.quote(name)} says how it did", Look.DIM),),
        ]  # fmt: skip
    lines: list[Line] = []
    for one in judged:
        hypothesis = one.hypothesis
        lines += wrapped(
            ((f"{hypothesis.id}  ", Look.STRONG), (hypothesis.claim, Look.STRONG)), width, indent=4
        )
        seeds = f", {hypothesis.min_seeds} seeds asked for"
        more = f"; about {one.seeds_needed} seeds would decide it" if one.seeds_needed else ""
        state: Line = (
            ("    ", Look.PLAIN),
            hypothesis_piece(one.state, one.words),
            (f"; {REGISTRATION_WORDS[one.registration]}{seeds}{more}", Look.DIM),
        )
        lines += wrapped(state, width, indent=4)
        if one.registration is Registration.POST_HOC:
            was = "another" if one.original is not None else "not there"
            lines.append(((f"    it was {was} before the first run", Look.WARN),))
        lines += _claims_lines(one, width)
        lines.append(_NOTHING)
    if remark:
        lines += wrapped(((f"! {remark}", Look.WARN),), width, indent=2)
    return lines


def _claims_lines(one: JudgedHypothesis, width: int) -> list[Line]:
    """Return expectations and guards under a header; where there is no room for it the interval stands in the sentence alone."""
    claims = [*(("expect", c) for c in one.expect), *(("guard", c) for c in one.guard)]
    if not claims:
        return []
    keys = max(len(f"{word} {claim.key}") for word, claim in claims)
    texts = min(48, max(9, *(len(claim.text) for _, claim in claims)))
    is_roomy = width >= _ROOMY
    interval = f"{'95% INTERVAL':20} " if is_roomy else ""
    head = f"    {'':{keys}} {'PREDICTED':{texts}} {'SEEN':>8}  {interval}VERDICT"
    lines: list[Line] = [((head, Look.DIM),)]
    for word, claim in claims:
        lines += _claim_lines(word, claim, (keys, texts, width), is_roomy=is_roomy)
    return lines


def _claim_lines(
    word: str, claim: JudgedClaim, widths: tuple[int, int, int], *, is_roomy: bool
) -> list[Line]:
    keys, texts, width = widths
    seen = figure(claim.estimate, sign=True) if claim.estimate is not None else "-"
    interval = ""
    if claim.interval is not None:
        low, high = (figure(end, sign=True) for end in claim.interval)
        interval = f"[{low}, {high}]"
    between = f"{interval:20} " if is_roomy else ""
    is_broken = word == "guard" and claim.state is HypothesisState.REFUTED
    head: Line = (
        (f"    {f'{word} {claim.key}':{keys}} ", Look.DIM),
        (f"{claim.text:{texts}} {seen:>8}  {between}", Look.PLAIN),
        hypothesis_piece(claim.state, "broke" if is_broken else str(claim.state)),
    )
    lines = wrapped(head, width, indent=keys + 5)
    if claim.sentence:
        lines += wrapped(((f"      {claim.sentence}", Look.DIM),), width, indent=6)
    return lines


def notes_text(
    known: KnownExperiment | None, others: Sequence[tuple[str, WrittenNote]], name: str, width: int
) -> list[Line]:
    """Return what was written down about an experiment, the latest first, and by others about it."""
    lines: list[Line] = []
    if known is not None and known.experiment.idea:
        lines += wrapped(
            (("idea  ", Look.DIM), (known.experiment.idea, Look.PLAIN)), width, indent=6
        )
        lines.append(_NOTHING)
    notes = known.notes if known is not None else ()
    for note in reversed(notes):
        lines += _note_lines(note, "", width)
    if not notes:
        lines.append((("nothing was written down yet; E writes a note: ", Look.DIM),
                      (f"branchlab note {shlex.quote(name)} 'what was learned'", Look.LIVE)))  # fmt: skip
    if others:
        lines += [_NOTHING, (("of others about it", Look.STRONG),)]
        for source, note in others:
            lines += _note_lines(note, source, width)
    return lines


def _note_lines(note: WrittenNote, source: str, width: int) -> list[Line]:
    when = f"{note.at.astimezone():%d %b %Y}" if note.at is not None else "undated"
    pieces: list[Piece] = [(f"{when:12} ", Look.DIM)]
    if source:
        pieces.append((f"{source}: ", Look.STRONG))
    if note.drops is not None:
        pieces.append(("dropped: ", Look.BAD) if note.drops else ("taken up again: ", Look.GOOD))
    pieces.append((note.text.replace("\n", " "), Look.PLAIN))
    lines = wrapped(tuple(pieces), width, indent=13)
    for relation, other in note.relations:
        lines.append(((f"{'':13}{RELATION_WORDS[relation]} ", Look.DIM), (other, Look.LIVE)))
    return lines


def parity_lines(parity: Parity | None, name: str, width: int) -> list[Line]:
    """Return what training beside main has shown of a merge."""
    if parity is None:
        return [
            (
                ("○ parity not asked: ", Look.DIM),
                (f"branchlab parity {shlex.quote(name)}", Look.LIVE),
            )
        ]
    lines: list[Line] = []
    for word, check in (("flags off", parity.off), ("flags on", parity.on)):
        if check.is_asked:
            lines += _check_lines(word, check, width)
    return lines


def _check_lines(word: str, check: ParityCheck, width: int) -> list[Line]:
    mark, look = _PARITY[check.status]
    steps = f" over {check.steps} steps" if check.steps else ""
    reason = f": {check.reason}" if check.reason else ""
    lines = wrapped(
        ((f"{mark} parity, {word}: {check.status}", look), (f"{steps}{reason}", Look.PLAIN)), width, indent=2
    )  # fmt: skip
    first = check.first_difference
    if first is not None:
        where = f"first at step {first.step}, {first.stage}, {first.where}: {first.reason}"
        remedy = f"; {first.remedy}" if first.remedy else ""
        lines += wrapped(((f"  {where}{remedy}", Look.BAD),), width, indent=2)
    if check.not_exercised:
        unseen = f"  no step ran {', '.join(check.not_exercised)}"
        lines += wrapped(((unseen, Look.WARN),), width, indent=2)
    return lines


def probe_lines(seen: SeenThen, tip: str, width: int) -> list[Line]:
    """Return what the last probe of a branch found, findings first."""
    kept, facts = seen.kept, seen.probe.facts
    old = "" if kept.commit == tip else "; the branch has moved since"
    size = f", {facts['batch_size']} examples" if "batch_size" in facts else ""
    head = f"step {kept.step} of commit {kept.commit[:10]} on {facts.get('device', '?')}{size}"
    lines: list[Line] = [((head, Look.DIM), (old, Look.WARN))]
    for one in seen.findings:
        is_fault = one.severity is Severity.FAULT
        mark: Piece = ("✗ ", Look.BAD) if is_fault else ("? ", Look.WARN)
        lines += wrapped((mark, (one.sentence, Look.PLAIN)), width, indent=2)
        if one.remedy:
            lines += wrapped(((f"  {one.remedy}", Look.DIM),), width, indent=2)
    if not seen.findings:
        lines.append((("✓ nothing found that is wrong or looks so", Look.GOOD),))
    return lines


def stage_lines(seen: SeenThen, width: int) -> list[Line]:
    """Return what flowed through the model, a line a station; modules that hold others are left out."""
    stages = seen.probe.stages
    names = {stage.name for stage in stages if stage.kind is StageKind.MODULE}
    inner = {name[:at] for name in names for at in range(len(name)) if name[at] == "."} | {""}
    left_out = {StageKind.GRADIENT, StageKind.UPDATE}
    room = max(14, width - 62)
    head = (
        f"{'STAGE':9} {'WHERE':{room}} {'SHAPE':18} {'LOW':>8} {'HIGH':>8} {'MEAN':>8} {'NaN':>4}"
    )
    lines: list[Line] = [((head, Look.STRONG),)]
    for stage in stages:
        is_leaf = stage.kind is not StageKind.MODULE or stage.name not in inner
        if stage.kind not in left_out and is_leaf:
            lines.append(_stage_line(stage, room))
    return lines


def _stage_line(stage: Stage, room: int) -> Line:
    one = next(iter((*stage.outputs, *stage.inputs)), None)
    name = f"{stage.name} ({stage.type})" if stage.type else stage.name
    if one is None:
        return ((f"{stage.kind:9} {name[:room]:{room}}", Look.PLAIN),)
    shape = "x".join(map(str, one.shape))
    numbers = " ".join(f"{_short(value):>8}" for value in (one.low, one.high, one.mean))
    wrong = one.nan + one.inf
    return (
        (f"{stage.kind:9} ", Look.DIM),
        (f"{name[:room]:{room}} {shape[:18]:18} {numbers} ", Look.PLAIN),
        (f"{wrong:>4}", Look.BAD if wrong else Look.DIM),
    )


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _place(one: Feature) -> str:
    return f"{one.path}:{one.line}" if one.line else one.path
