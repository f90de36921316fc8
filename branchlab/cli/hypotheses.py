"""``hypotheses``: what experiments claim, and what their runs say of it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from branchlab.cli.documents import print_document
from branchlab.cli.hypothesis_documents import hypotheses_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import hypothesis_text, table
from branchlab.domain import HypothesisState, JudgedClaim, JudgedHypothesis, Registration
from branchlab.lab.hypotheses import BranchHypotheses
from branchlab.lab.hypotheses import hypotheses as judged_hypotheses
from branchlab.lab.words import REGISTRATION_WORDS, figure
from branchlab.terminal_text import safe_text


@click.command(
    epilog="\b\nExamples:\n  branchlab hypotheses\n  branchlab hypotheses squeeze-excite\n"
    "  branchlab hypotheses --json"
)
@branches_argument
@json_option
def hypotheses(branches: tuple[str, ...], as_json: bool) -> None:
    """Say which hypotheses of experiments are supported, refuted or undecided, each with its evidence.

    They stand in an experiment's file as [[hypothesis]]; those that stood there before its first run count as registered,
    those that were changed or added afterwards are marked as post hoc. docs/hypotheses.md has the grammar.
    """
    found = judged_hypotheses(project_here(), branches)
    if as_json:
        print_document(hypotheses_document(found))
        return
    print_hypotheses(found)


def print_hypotheses(branches: Sequence[BranchHypotheses]) -> None:
    """Print hypotheses for people: all of them in one table, then the evidence of each."""
    judged = [(branch, one) for branch in branches for one in branch.judged]
    if len(judged) > 1:
        rows = [
            [
                safe_text(branch.name),
                safe_text(one.hypothesis.id),
                hypothesis_text(one.state),
                REGISTRATION_WORDS[one.registration],
                safe_text(one.hypothesis.claim),
            ]
            for branch, one in judged
        ]
        header = ["BRANCH", "ID", "STATE", "REGISTERED", "CLAIM"]
        click.echo(table(rows, header=header, giving_way=(4, 3)) + "\n")
    for branch in branches:
        _print_branch(branch)
    if not judged and not any(branch.problem for branch in branches):
        click.echo("no experiment claims anything yet; write [[hypothesis]] into its file, or:")
        click.echo(
            "branchlab new-exp NAME --hypothesis 'why it works' --expect 'val/accuracy > main + 0.5pt'"
        )


def _print_branch(branch: BranchHypotheses) -> None:
    if branch.problem:
        click.echo(
            f"{safe_text(branch.name)}: {click.style(safe_text(branch.problem), fg='red')}\n"
        )
    for one in branch.judged:
        _print_hypothesis(branch, one)
    said = [branch.remark] if branch.remark else []
    said += [] if branch.is_of_tip else ["its runs are of an older commit of the branch"]
    for sentence in said:
        click.echo(f"! {safe_text(branch.name)}: {safe_text(sentence)}\n")


def _print_hypothesis(branch: BranchHypotheses, one: JudgedHypothesis) -> None:
    hypothesis = one.hypothesis
    head = f"{safe_text(branch.name)} {safe_text(hypothesis.id)}"
    click.echo(f"{click.style(head, bold=True)}  {safe_text(hypothesis.claim)}")
    needed = one.seeds_needed or 0
    is_more = needed > hypothesis.min_seeds
    seeds = f"; about {needed} seeds would decide it" if is_more else ""
    registered = REGISTRATION_WORDS[one.registration]
    click.echo(
        f"  {hypothesis_text(one.state, safe_text(one.words))}{seeds}; {registered}, {hypothesis.min_seeds} seeds asked for"
    )
    if one.state is HypothesisState.DAMAGED:
        click.echo(f"  mend it in {safe_text(branch.file)}")
    if one.registration is Registration.POST_HOC and one.original is None:
        click.echo("  it was not there before the first run")
    elif one.original is not None:
        for text in _differences(one):
            click.echo(f"  before the first run: {safe_text(text)}")
    for word, findings in (("expect", one.expect), ("guard", one.guard)):
        for found in findings:
            _print_finding(word, found)
    click.echo()


def _differences(one: JudgedHypothesis) -> list[str]:
    """Return how it was registered, as far as that differs."""
    now, then = one.hypothesis, one.original
    assert then is not None
    found = [f"claim: {then.claim}"] if then.claim != now.claim else []
    found += [f"min_seeds {then.min_seeds}"] if then.min_seeds != now.min_seeds else []
    found += [f"damaged: {then.damage}"] if then.damage else []
    for word, before, after in (
        ("expect", then.expect, now.expect),
        ("guard", then.guard, now.guard),
    ):
        found += [f"{word} {k}: {text}" for k, text in before.items() if after.get(k) != text]
        found += [f"no {word} {key}" for key in after if key not in before]
    return found


def _print_finding(word: str, found: JudgedClaim) -> None:
    is_broken = word == "guard" and found.state is HypothesisState.REFUTED
    state = hypothesis_text(found.state, "broke" if is_broken else "")
    click.echo(f"  {word} {safe_text(found.key)}: {safe_text(found.text)}")
    if found.column:
        reason = found.sentence.partition(": ")[2]
        start = len(f"  {word} {safe_text(found.key)}: ") + found.column - 1
        click.echo(f"{' ' * start}^ {safe_text(reason)}")
        return
    click.echo(f"    {state}: {safe_text(found.sentence)}")


def print_short(branches: Sequence[BranchHypotheses]) -> None:
    """Print a line a hypothesis, under what a run has shown."""
    rows = [
        [
            safe_text(f"{branch.name} {one.hypothesis.id}"),
            hypothesis_text(one.state, safe_text(one.words)),
            safe_text(_grounds(one)),
        ]
        for branch in branches
        for one in branch.judged
    ]
    if rows:
        click.echo("\n" + table(rows, header=["HYPOTHESIS", "STATE", "BECAUSE"]))
    for branch in branches:
        if branch.remark:
            click.echo(f"! {safe_text(branch.name)}: {safe_text(branch.remark)}")


def _grounds(one: JudgedHypothesis) -> str:
    """Return what a state rests on: each expectation with its estimate, or why it has none."""
    parts = []
    for found in one.expect:
        if found.interval is None:
            parts.append(f"{found.text}: {found.sentence}")
            continue
        low, high = (figure(end, sign=True) for end in found.interval)
        parts.append(f"{found.text}: {figure(found.estimate, sign=True)} [{low}, {high}]")
    return "; ".join(parts)
