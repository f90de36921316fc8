"""``annotate``: comments on what flows through the code, as a patch, written, checked, mended, or taken away again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import print_document
from branchlab.cli.guard import safe_lines
from branchlab.cli.options import json_option, project_here
from branchlab.cli.proof_documents import annotate_document
from branchlab.cli.telling import say_notes, telling
from branchlab.errors import ConfigError
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.analysis.annotations.review import Finding
    from branchlab.lab.annotate import Annotated
    from branchlab.lab.project import Project

_LINES_SHOWN_MAX = 5


@click.command(
    epilog="\b\nExamples:\n  branchlab annotate squeeze-excite\n  branchlab annotate squeeze-excite --apply\n"
    "  branchlab annotate --in-place --function ConvNet.forward\n  branchlab annotate --check"
)
@click.argument("branch", required=False, shell_complete=branch_names)
@click.option("--apply", "is_applied", is_flag=True, help="Commit them on the branch.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Write them into the work tree where the branch is checked out.",
)
@click.option("--check", is_flag=True, help="Exit with 1 where a comment is no longer true.")
@click.option("--update", is_flag=True, help="Mend those that --check finds; add none.")
@click.option("--strict", is_flag=True, help="With --check: what did not run this time fails too.")
@click.option("--strip", "strips", is_flag=True, help="Take the comments away; nothing is run.")
@click.option("--path", "paths", multiple=True, metavar="GLOB", help="Only files like this.")
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME",
    help="Only in a function, a method, or a class; * stands for anything.",
)
@click.option("--device", default="cpu", show_default=True, help="What runs the task.")
@json_option
@click.pass_context
def annotate(
    ctx: click.Context,
    branch: str | None,
    is_applied: bool,
    in_place: bool,
    check: bool,
    update: bool,
    strict: bool,
    strips: bool,
    paths: tuple[str, ...],
    functions: tuple[str, ...],
    device: str,
    as_json: bool,
) -> None:
    """Write what really flows through the code as short comments where it happens: shapes and types, line by line.

    The branch's task runs on a few real batches of several sizes, so that what follows the batch is B, and what follows height
    and width H/8. The patch is printed, unless --apply commits it or --in-place writes it. Without BRANCH the work
    tree is looked at as it stands, so that --check serves before a commit. Comments written by hand are never touched.
    """
    from branchlab.analysis.annotations.review import Scope
    from branchlab.lab.annotate import AnnotateRequest
    from branchlab.lab.annotate import annotate as annotate_branch

    checks = check or update or strict
    _check_options(is_applied=is_applied, in_place=in_place, checks=checks, strips=strips)
    request = AnnotateRequest(
        branch=branch,
        scope=Scope(paths=paths, functions=functions, adds=not checks),
        is_here=in_place or (branch is None and not is_applied),
        strips=strips,
        device=device,
    )
    project = project_here()
    with telling() as tell:
        found = annotate_branch(project, request, tell=tell)
    say_notes(found.notes)
    num = sum(len(one.findings) for one in found.files)
    writes = is_applied or update or (in_place and not checks)
    if found.failure and writes:
        raise ConfigError(
            f"nothing was written: {found.branch or 'the work tree'} raises {found.failure}",
            hint=f"see what ran until then: branchlab annotate {branch or ''}".rstrip(),
        )
    commit = _write(project, found, update=update, strips=strips) if writes else None
    if as_json:
        print_document(annotate_document(found, commit=commit))
    elif checks:
        _print_check(found, num=num, is_mended=update)
    else:
        _print_patch(found, is_written=writes)
    if not as_json:
        how = "--update" if checks else "--strip" if strips else ""
        _print_end(found, commit=commit, writes=writes, how=how)
    ctx.exit(1 if _falls_short(found, checks=checks, update=update, strict=strict) else 0)


def _check_options(*, is_applied: bool, in_place: bool, checks: bool, strips: bool) -> None:
    clash = ""
    if is_applied and in_place:
        clash = "--apply commits and --in-place writes files"
    elif strips and checks:
        clash = "--strip takes comments away and --check looks at them"
    elif checks and is_applied:
        clash = "--check adds nothing that --apply could commit, and --update commits what it mends"
    if clash:
        raise ConfigError(f"{clash}: give one of them", hint="branchlab annotate --help")


def _falls_short(found: Annotated, *, checks: bool, update: bool, strict: bool) -> bool:
    from branchlab.analysis.annotations.review import CommentState

    if found.failure:
        return True
    if not checks:
        return False
    # A check that has looked at nothing has not passed.
    num = sum(len(one.findings) for one in found.files)
    is_stale = bool(found.num(CommentState.STALE)) and not update
    return not num or is_stale or (strict and bool(found.num(CommentState.UNVERIFIED)))


def _write(project: Project, found: Annotated, *, update: bool, strips: bool) -> str | None:
    from branchlab.lab.annotate import write_annotations

    what = "Write down what flows through the code"
    if update:
        what = "Mend comments on what flows through the code"
    elif strips:
        what = "Take away comments on what flows through the code"
    return write_annotations(project, found, what=what)


def _print_patch(found: Annotated, *, is_written: bool) -> None:
    """Print the patch on stdout, so that it can be piped to git apply."""
    if found.diff and not is_written:
        click.echo(safe_lines(found.diff) if sys.stdout.isatty() else found.diff, nl=False)


def _print_check(found: Annotated, *, num: int, is_mended: bool) -> None:
    from branchlab.analysis.annotations.review import CommentState

    word = "mended" if is_mended else "stale"
    for one in found.files:
        for finding in one.findings:
            if finding.state is CommentState.STALE:
                click.echo(_said(one.path, finding, word))
    for one in found.files:
        for finding in one.findings:
            if finding.state is CommentState.UNVERIFIED:
                click.echo(_said(one.path, finding, "unverified"))
    counts = {state: found.num(state) for state in CommentState if state is not CommentState.NEW}
    if num:
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        click.echo(f"{num} comment{'' if num == 1 else 's'}: {said}", err=True)
    else:
        name = safe_text(found.branch or "")
        click.echo(
            f"there is no comment to check: branchlab annotate {name}".rstrip() + " --apply",
            err=True,
        )


def _said(path: str, finding: Finding, word: str) -> str:
    place = f"{safe_text(path)}:{finding.line}"
    name = f" in {safe_text(finding.function)}" if finding.function else ""
    if word == "unverified":
        return f"{place}: {click.style(word, fg='yellow')}{name}: {safe_text(finding.old)}"
    lines = [
        f"{place}: {click.style(word, fg='red')}{name}",
        f"    was: {safe_text(finding.old)}",
        f"    now: {safe_text(finding.text) or 'nothing to say'}",
    ]
    return "\n".join(lines)


def _print_end(found: Annotated, *, commit: str | None, writes: bool, how: str) -> None:
    """Say on stderr what could not be done, and what has been or can be done."""
    _print_left_out(found)
    if found.failure:
        click.echo(
            f"{click.style('raises:', fg='red')} {safe_text(found.failure)}; comments are on what ran until then",
            err=True,
        )
    name = safe_text(found.branch or "")
    num = len(found.changed)
    files = f"{num} file{'' if num == 1 else 's'}"
    if commit:
        click.echo(f"committed on {name} ({commit[:10]}): {files}", err=True)
    elif writes and num:
        click.echo(f"written: {files} in {found.folder}", err=True)
    elif num and not found.failure:
        where = [name if found.folder is None else "", how]
        if how != "--update":
            where.append("--apply" if found.folder is None else "--in-place")
        command = " ".join(["branchlab annotate", *(word for word in where if word)])
        click.echo(f"{files} would change: {command}", err=True)
    elif how == "--strip":
        click.echo("there is no comment of ours that was asked for", err=True)
    elif not (how or found.failure or any(one.findings for one in found.files)):
        click.echo("nothing to say: no line that was asked for has a tensor, and ran", err=True)


def _print_left_out(found: Annotated) -> None:
    for one in found.files:
        if one.trouble:
            click.echo(f"left alone: {safe_text(one.path)}: {safe_text(one.trouble)}", err=True)
        if one.left_out:
            shown = ", ".join(map(str, one.left_out[:_LINES_SHOWN_MAX]))
            more = len(one.left_out) - _LINES_SHOWN_MAX
            click.echo(
                f"no room in {safe_text(one.path)} at line {shown}{f' and {more} more' if more > 0 else ''}",
                err=True,
            )
