"""``docker``: an image in which a run trains again."""

from __future__ import annotations

from pathlib import Path

import click

from branchlab.cli.app import branch_names
from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, project_here
from branchlab.errors import ConfigError
from branchlab.lab.docker import container_of, write_container
from branchlab.terminal_text import safe_text


@click.command(
    epilog="\b\nExamples:\n  branchlab docker                        main's latest run, or that of the branch checked out here\n"
    "  branchlab docker squeeze-excite --devcontainer\n  branchlab docker se-s0-1f3c --out -      print the Dockerfile"
)
@click.argument("run", required=False, metavar="[RUN|BRANCH]", shell_complete=branch_names)
@click.option("--devcontainer", is_flag=True, help="Write .devcontainer/devcontainer.json, too.")
@click.option(
    "--out",
    default=".",
    metavar="DIR",
    help="Where to; - prints the Dockerfile. Here unless given.",
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@json_option
def docker(run: str | None, devcontainer: bool, out: str, force: bool, as_json: bool) -> None:
    """Write a Dockerfile that trains a recorded run again: its Python, exact packages, branchlab, the repository at its commit.

    A run on CUDA gets NVIDIA's runtime image, any other Python's own. Nothing is built here: the command that builds
    the image is said.
    """
    is_printed = out == "-"
    if is_printed and devcontainer:
        raise ConfigError(
            "--out - prints one file, and --devcontainer makes two", hint="give --out DIR"
        )
    place = Path.cwd() if is_printed else Path(out).resolve()
    project = project_here()
    container = container_of(project, run, place, with_devcontainer=devcontainer)
    if is_printed and not as_json:
        click.echo(container.files["Dockerfile"], nl=False)
        return
    written = [] if is_printed else write_container(container, place, is_forced=force)
    if as_json:
        document = {
            "run": container.run_id,
            "build": container.build,
            "files": dict(container.files),
        }
        print_document({**document, "written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {safe_text(str(path))}")
    click.echo(f"build it: {safe_text(container.build)}")
