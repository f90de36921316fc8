"""``guard``: the patch that puts an unguarded change behind a flag, printed or committed on a branch of its own."""

from __future__ import annotations

import sys

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import guard_document, print_document
from branchlab.cli.options import json_option, project_here
from branchlab.lab.guard import Guarded, guard_branch
from branchlab.terminal_text import safe_text


@click.command(
    epilog="\b\nExamples:\n  branchlab guard concat-pool\n  branchlab guard concat-pool --apply\n"
    "  branchlab guard exp/wider FashionTask.__init__ --flag wide"
)
@click.argument("branch", shell_complete=branch_names)
@click.argument("feature", required=False)
@click.option(
    "--apply", "is_applied", is_flag=True, help="Commit the patch on a new branch, guard/NAME."
)
@click.option(
    "--flag", metavar="NAME", help="Name of the new flag; the experiment's name unless said."
)
@json_option
@click.pass_context
def guard(
    ctx: click.Context,
    branch: str,
    feature: str | None,
    is_applied: bool,
    flag: str | None,
    as_json: bool,
) -> None:
    """Put what a branch changes without a flag behind a new one that is off by default.

    Old and new code stand side by side, and the flag goes from the task's constructor to where it is read. The patch is
    printed; --apply commits it on top of the branch's tip, on a branch of its own. FEATURE is a feature's id, the
    beginning of one, or its symbol; other changes of its class go with it. What cannot be guarded safely is named, with what to do by hand.
    """
    found = guard_branch(project_here(), branch, feature, flag=flag, is_applied=is_applied)
    if as_json:
        print_document(guard_document(found))
    else:
        print_guarded(found)
    ctx.exit(1 if found.refused else 0)


def print_guarded(found: Guarded) -> None:
    """Print the patch on stdout, so that it can be piped to git apply, and all else on stderr."""
    name = safe_text(found.branch)
    if found.diff:
        shown = safe_lines(found.diff) if sys.stdout.isatty() else found.diff
        click.echo(shown, nl=False)
    for one in found.refused:
        what = safe_text(one.feature.symbol or one.feature.path)
        click.echo(f"{click.style('refused', fg='red')} {what}: {safe_text(one.reason)}", err=True)
        click.echo(f"  by hand: {safe_text(one.by_hand)}", err=True)
    if found.branch_made:
        made = safe_text(found.branch_made)
        click.echo(
            f"committed on {made} ({str(found.commit)[:10]}); take it over: "
            f"git switch {name} && git merge --ff-only {made}",
            err=True,
        )
    elif found.diff:
        click.echo(f"commit it on a branch of its own: branchlab guard {name} --apply", err=True)
    elif not found.refused:
        click.echo(f"{name} has nothing that needs a flag: branchlab features {name}", err=True)


def safe_lines(text: str) -> str:
    """Return a text with its lines kept and everything else that steers a terminal taken out."""
    lines = text.expandtabs(4).split("\n")[:-1]
    return "".join(f"{safe_text(line)}\n" for line in lines)
