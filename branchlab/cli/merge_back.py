"""``merge-back`` and ``retire``: how an experiment's life on a branch ends."""

from __future__ import annotations

from pathlib import Path

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, parity_options, project_here
from branchlab.cli.proof_documents import merge_back_document, retire_document
from branchlab.cli.telling import telling
from branchlab.errors import ConfigError
from branchlab.lab.evidence import pull_request
from branchlab.lab.merge_back import Merged, MergeRequest, Passed
from branchlab.lab.merge_back import merge_back as carry_out
from branchlab.lab.parity import ParityRequest
from branchlab.lab.project import Project
from branchlab.lab.retire import retire as carry_out_retire
from branchlab.schedule.check import feed
from branchlab.terminal_text import safe_text


@click.command(
    epilog="\b\nExamples:\n  branchlab merge-back squeeze-excite\n  branchlab merge-back squeeze-excite --to-main\n"
    "  branchlab merge-back squeeze-excite --pr text.md"
)
@click.argument("branch", shell_complete=branch_names)
@click.option("--to-main", is_flag=True, help="Fast-forward main to the merge.")
@click.option(
    "--pr", metavar="FILE|-|gh", help="Write the text of a pull request, or open it with gh."
)
@parity_options
@json_option
@click.pass_context
def merge_back(
    ctx: click.Context,
    branch: str,
    to_main: bool,
    pr: str | None,
    steps: int,
    seeds: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Merge a branch into main behind its flag, proved step by step: on a new branch, or nothing at all.

    Forecast, features, off-parity, on-parity and the project's own check ([merge_back] check) come first; then a merge commit
    on merge-back/NAME carries the evidence, with the experiment marked as landed. When a step fails, nothing has changed.
    """
    project = project_here()
    _check_can_offer(pr, as_json=as_json)
    request = MergeRequest(
        name=branch,
        parity=ParityRequest(steps=steps, seeds=seeds, device=device),
        to_main=to_main,
    )
    # The text of the pull request is what stdout is for then.
    to_stderr = pr == "-"

    def hear(step: Passed) -> None:
        if not as_json:
            print_step(step, err=to_stderr)

    with telling() as tell:
        found = carry_out(project, request, tell=tell, hear=hear)
    code = 0 if found.is_passed else 1
    if as_json:
        print_document(merge_back_document(found))
    else:
        print_end(found, err=to_stderr)
    if pr is not None and found.commit is not None:
        code = code or _offer(project, found, pr)
    ctx.exit(code)


def _check_can_offer(pr: str | None, *, as_json: bool) -> None:
    """Refuse a place for the pull request's text before anything is trained."""
    if pr is None or pr == "gh":
        return
    if pr == "-":
        if as_json:
            raise ConfigError(
                "--json and --pr - both want stdout", hint="name a file: --pr text.md"
            )
        return
    place = Path(pr)
    if place.is_dir() or not place.absolute().parent.is_dir():
        what = "it is a folder" if place.is_dir() else f"{place.absolute().parent} does not exist"
        raise ConfigError(f"--pr {pr}: {what}", hint="name a file, for instance: --pr text.md")


def print_step(step: Passed, *, err: bool = False) -> None:
    """Print one step as soon as it is done."""
    mark = click.style("✓", fg="green") if step.is_passed else click.style("✗", fg="red", bold=True)
    first, *rest = step.said.splitlines() or [""]
    click.echo(f"{mark} {step.step:<11} {safe_text(first)}", err=err)
    for line in rest:
        click.echo(f"              {safe_text(line)}", err=err)
    if not step.is_passed and step.hint:
        click.echo(f"  {click.style('hint:', bold=True)} {safe_text(step.hint)}", err=err)


def print_end(found: Merged, *, err: bool = False) -> None:
    """Say what has changed, and what comes next."""
    name, main = safe_text(found.branch), safe_text(found.main)
    made = safe_text(str(found.made))
    if found.commit is None or not found.is_passed:
        said = f"{name} was not merged; nothing has changed"
    elif found.is_in_main:
        said = f"{name} is in {main}; its branch can go: branchlab retire {name}"
    else:
        said = f"look at it: git show {made}; take it over: git switch {main} && git merge --ff-only {made}"
    click.echo(said, err=err)


def _offer(project: Project, found: Merged, pr: str) -> int:
    """Write the text of the pull request; return the exit code."""
    assert found.evidence is not None
    assert found.made is not None
    folders = [
        project.state.run(record.run.id).pictures
        for record in project.index().runs()
        if record.run.branch == found.branch
    ]
    pictures = [path for folder in folders[:1] for path in sorted(folder.glob("*.png"))[-2:]]
    title, body = pull_request(found.evidence, made=found.made, pictures=pictures)
    if pr == "-":
        click.echo(f"# {title}\n\n{body}", nl=False)
        return 0
    if pr != "gh":
        try:
            Path(pr).write_text(f"# {title}\n\n{body}", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"--pr {pr}: {error.strerror}; the merge is made, on {found.made}",
                hint=f"its evidence is in: git show {found.made}",
            ) from None
        click.echo(f"the text of the pull request is in {pr}", err=True)
        return 0
    command = ["gh", "pr", "create", "--title", title, "--body-file", "-", "--head", found.made]
    command += ["--base", found.evidence.main]
    code = feed(command, body, project.repository.root)
    if code is None:
        raise ConfigError(
            "gh was not found on PATH",
            hint=f"install it; or write the text: git show {found.made}",
        )
    if code:
        click.echo(f"gh ended with {code}; push first: git push -u origin {found.made}", err=True)
    return 1 if code else 0


@click.command(
    epilog="\b\nExamples:\n  branchlab retire squeeze-excite\n  branchlab retire exp/gelu --force"
)
@click.argument("branch", shell_complete=branch_names)
@click.option(
    "--force", "is_forced", is_flag=True, help="Also a branch whose content is not in main."
)
@json_option
def retire(branch: str, is_forced: bool, as_json: bool) -> None:
    """Take away the branch of an experiment that is over: a tag keeps its commits, its results stay.

    The tag is archive/NAME. The branch and its work tree are removed, the latter only when it holds nothing that is saved
    nowhere else. `branchlab status --all` still shows its results.
    """
    found = carry_out_retire(project_here(), branch, is_forced=is_forced)
    if as_json:
        print_document(retire_document(found))
        return
    tree = f" and {found.worktree}" if found.worktree else ""
    click.echo(
        f"{safe_text(found.branch)}{tree} is gone; its commits are under the tag {safe_text(found.tag)}"
    )
    click.echo(f"{found.num_runs} runs stay recorded: branchlab status --all")
