"""``features``: what branches change, as a table a branch or JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchlab.cli.documents import features_document, flags_document, print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import table
from branchlab.cli.telling import telling
from branchlab.domain import Feature, FeatureVerdict, MergeBack
from branchlab.lab.feature_reading import BranchFeatures, check_revisions, features_between
from branchlab.lab.words import age
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.lab.landed_flags import LandedFlag

_COLOURS = {
    FeatureVerdict.BROKEN: "red",
    FeatureVerdict.UNPARSED: "red",
    FeatureVerdict.BREAKING: "red",
    FeatureVerdict.UNGUARDED: "red",
    FeatureVerdict.DEFAULT_CHANGED: "yellow",
    FeatureVerdict.DEFAULT_ON: "yellow",
    FeatureVerdict.UNDECIDED: "yellow",
    FeatureVerdict.GUARDED: "green",
    FeatureVerdict.ADDITIVE: "green",
    FeatureVerdict.LANDED: "bright_black",
    FeatureVerdict.INERT: "bright_black",
}
_NEXT = {
    MergeBack.BREAKS_BASE: "mend the branch, or keep the old name or position beside the new one",
    MergeBack.NEEDS_FLAG: "put it behind a new argument that is off by default: branchlab guard {name}",
    MergeBack.DEFAULT_ON: "turn the default of the new argument round",
    MergeBack.NEEDS_PARITY: "reading cannot tell, training can: branchlab parity {name}",
    MergeBack.READY: "may go back to main, once parity shows that main trains as before: branchlab merge-back {name}",
    MergeBack.ADDITIVE: "may go back to main as it is: branchlab merge-back {name}",
    MergeBack.NOTHING: "brings nothing that runs",
    MergeBack.LANDED: "is in main already",
}


@click.command(
    epilog="\b\nExamples:\n  branchlab features\n  branchlab features squeeze-excite --json\n"
    "  branchlab features --base v1.0 --head HEAD"
)
@branches_argument
@click.option("--base", metavar="REV", help="Compare with this revision, in any repository.")
@click.option("--head", metavar="REV", help="The revision that is compared with --base.")
@json_option
def features(branches: tuple[str, ...], base: str | None, head: str | None, as_json: bool) -> None:
    """Say what branches change in the code, and what each change needs before it may go back to main.

    New flags are put at their defaults, what is then dead is folded away, and the rest is compared with the merge
    base. Nothing is checked out or run. With --base and --head any two revisions of any repository are compared.
    Naming main lists the flags of experiments that have landed, and which of them are ripe to go.
    """
    given = check_revisions(base, head)
    if given:
        found = [features_between(Path.cwd(), *given)]
    else:
        project = project_here()
        main = project.config.branches.main
        if branches == (main,):
            from branchlab.lab.landed_flags import landed_flags

            flags = landed_flags(project)
            print_document(flags_document(main, flags)) if as_json else print_flags(main, flags)
            return
        from branchlab.lab.features import features_of_branches

        with telling() as tell:
            found = features_of_branches(project, branches, tell=tell)
    if as_json:
        print_document(features_document(found))
    else:
        print_features(found, are_branches=not given)


def print_flags(main: str, flags: list[LandedFlag]) -> None:
    """Print the flags on main as a table for people."""
    if not flags:
        click.echo(f"no experiment on {safe_text(main)} owns a flag yet")
        return
    from branchlab.lab.landed_flags import Ripeness

    colours = {
        Ripeness.KEEP: "bright_black",
        Ripeness.PERMANENT: "green",
        Ripeness.REMOVE: "yellow",
    }
    now = datetime.now(UTC)
    rows = [
        [
            safe_text(flag.name),
            safe_text(flag.experiment),
            age(flag.since, now),
            {True: "off", False: "on", None: "?"}[flag.is_off],
            safe_text(", ".join(flag.used_by)) or "-",
            click.style(str(flag.ripeness), fg=colours[flag.ripeness]),
            safe_text(flag.reason),
        ]
        for flag in flags
    ]
    header = ["FLAG", "EXPERIMENT", "AGE", "DEFAULT", "SWITCHED ON BY", "NEXT", "WHY"]
    click.echo(table(rows, header=header, giving_way=(4, 2)))


def print_features(branches: list[BranchFeatures], *, are_branches: bool = True) -> None:
    """Print a table a branch for people; of revisions no command is named that takes a branch."""
    if not branches:
        click.echo("no experiment branch yet; start one: branchlab new-exp NAME")
    for at, branch in enumerate(branches):
        if at:
            click.echo()
        name = click.style(safe_text(branch.name), bold=True)
        said = safe_text(branch.problem) or _next(branch, is_branch=are_branches)
        click.echo(f"{name}  {branch.merge_back}: {said}")
        if branch.features:
            rows = [_row(feature) for feature in branch.features]
            click.echo(table(rows, header=["VERDICT", "FLAG", "WHERE", "WHY"], giving_way=(2, 1)))
        for feature in branch.features:
            for warning in feature.warnings:
                click.echo(f"! {safe_text(warning)}")


def _next(branch: BranchFeatures, *, is_branch: bool) -> str:
    said = _NEXT[branch.merge_back]
    named = said.format(name=safe_text(branch.name))
    return named if is_branch else said.partition(": branchlab")[0]


def _row(feature: Feature) -> list[str]:
    flag = f"{feature.flag}={feature.default}" if feature.flag else ""
    where = f"{feature.path}:{feature.line}" if feature.line else feature.path
    also = f" (also on {', '.join(feature.also_on)})" if feature.also_on else ""
    return [
        click.style(str(feature.verdict), fg=_COLOURS[feature.verdict]),
        safe_text(flag),
        safe_text(where),
        safe_text(feature.reason + also),
    ]
