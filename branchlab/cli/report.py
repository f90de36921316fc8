"""``report``: one page with all that is known, for a browser or for a pull request."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from branchlab.cli.options import branches_argument, project_here
from branchlab.cli.telling import telling
from branchlab.errors import ConfigError
from branchlab.terminal_text import safe_text

_REFRESH_S = 5


@click.command(
    epilog="\b\nExamples:\n  branchlab report                          the whole lab; prints where the page is\n"
    "  branchlab report squeeze-excite wider -o se.html\n"
    "  branchlab report --watch                  rewritten while runs go on; the open page follows\n"
    "  branchlab report squeeze-excite --markdown | gh pr comment --body-file -"
)
@branches_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to. [.branchlab/report.html; stdout with --markdown]",
)
@click.option("--markdown", is_flag=True, help="In Markdown for a pull request, without pictures.")
@click.option("--watch", is_flag=True, help="Write it again while runs go on, until none does.")
def report(branches: tuple[str, ...], output: Path | None, markdown: bool, watch: bool) -> None:
    """Write one page of the whole lab, or of some branches: summary, verdicts, curves, slices, hypotheses, pictures, features, map and journal.

    The page is one file that needs no network, no server and no script: send it to anybody. What nobody has read of the code yet is left
    out (branchlab features reads it). Watching ends by itself when no run is open any more, or with Ctrl-C.
    """
    from branchlab.lab.report import report as gather
    from branchlab.lab.report import reports
    from branchlab.report.markdown import markdown as in_markdown
    from branchlab.report.page import page

    if watch and markdown and output is None:
        raise ConfigError(
            "--watch writes a file again and again, and --markdown goes to stdout",
            hint="name a file: branchlab report --markdown --watch --output report.md",
        )
    project = project_here(warns=False)
    path = output
    if path is None and not markdown:
        project.state.create()
        path = project.state.path / "report.html"
    if not watch:
        with telling() as tell:
            found = gather(project, branches, with_pictures=not markdown, tell=tell)
        _write(in_markdown(found) if markdown else page(found), path)
        return
    assert path is not None
    said = False
    try:
        for found, is_last in reports(project, branches, with_pictures=not markdown):
            refresh_s = None if is_last else _REFRESH_S
            whole = in_markdown(found) if markdown else page(found, refresh_s=refresh_s)
            _write(whole, path, says=not said)
            said = True
    except KeyboardInterrupt:
        # Nobody writes it again: a page that went on loading itself would look alive.
        found = gather(project, branches, with_pictures=not markdown)
        _write(in_markdown(found) if markdown else page(found), path, says=False)
        raise


def _write(content: str, path: Path | None, *, says: bool = True) -> None:
    """Write a file whole and say where it is, or print it.

    Raises:
        ConfigError: It cannot be written.
    """
    from branchlab.run_folder import write_atomically

    if path is None:
        sys.stdout.write(content)
        return
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="name another file: --output FILE"
        ) from None
    if says:
        click.echo(safe_text(str(path)))
