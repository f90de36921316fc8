"""The group of commands, and the one door at which errors become a message and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from branchlab.cli import terminal
from branchlab.errors import BranchlabError
from branchlab.terminal_text import safe_text
from branchlab.version import __version__

COMMANDS = {
    "init": ("setup", "Freeze the reference, write .branchlab.toml."),
    "demo": ("setup", "Build a small lab with real data and branches, run it, show it."),
    "new-exp": ("setup", "Start an experiment: branch, experiment file, work tree."),
    "status": ("status", "Show where every branch stands, and how it did."),
    "run": ("run", "Train branches beside main, with several seeds."),
    "compare": ("compare", "Say whether branches are better than main."),
    "baseline": ("baseline", "Say whether the reference reproduces the published figure."),
    "promote": ("promote", "Run what is better on the sample on the full set."),
    "note": ("written", "Write down what an experiment has taught."),
    "map": ("written", "Draw what experiments grew from and tell about each other."),
    "log": ("written", "Tell what has happened to experiments, failed ideas too."),
    "sample": ("sample", "Draw the reduced set, and say how far it can be trusted."),
    "hypotheses": ("hypotheses", "Say which hypotheses runs support or refute."),
    "probe": ("probe", "Look at what really flows through a branch's model."),
    "features": ("features", "Say what branches change, and what that needs to go back."),
    "guard": ("guard", "Put an unguarded change behind a new flag that is off."),
    "annotate": ("annotate", "Write what flows through the code as comments where it happens."),
    "parity": ("parity", "Prove by training that a merge leaves main what it is."),
    "merge-back": ("merge_back", "Merge a branch into main behind its flag, or change nothing."),
    "drift": ("drift", "Say whether main still trains like the frozen reference."),
    "retire": ("merge_back", "Take away the branch of an experiment that is over."),
    "runs": ("runs", "List what ran and runs."),
    "show": ("runs", "Show one run: plan, result, reason, log."),
    "logs": ("runs", "Print the log of a run, or follow it."),
    "cancel": ("runs", "Stop runs; they keep a checkpoint."),
    "docker": ("docker", "Write a Dockerfile that trains a run again."),
    "report": ("report", "Write one page of all that is known, pictures and plots too."),
    "export": ("export", "Write runs to MLflow, TensorBoard, W&B, CSV or Parquet."),
    "sync": ("sync", "Bring main into experiment branches, where that is clean."),
    "tui": ("screen", "Open the overview."),
    "completion": ("setup", "Print the completion script of a shell."),
}
"""Name -> (module of this package, short help). The help page is written from here, so that no command is imported."""


def _color_option(*, hidden: bool = False) -> click.Option:
    """Return ``--color``, which stands before the command or, like any other option, behind it."""

    def choose(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            terminal.choose_colour(terminal.Colour(value))
            ctx.color = terminal.colour()

    return click.Option(
        ["--color"],
        type=click.Choice([str(choice) for choice in terminal.Colour]),
        callback=choose,
        expose_value=False,
        is_eager=True,
        hidden=hidden,
        help="Colour on a terminal unless NO_COLOR is set, always, or never.",
    )


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and names the nearest known one for a wrong name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"branchlab.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        if all(param.name != "color" for param in command.params):
            command.params.append(_color_option(hidden=True))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from branchlab.errors import nearest

            raise click.UsageError(
                f"{error.message} {nearest(args[0], COMMANDS)}".strip(), ctx
            ) from None


EPILOG = """\b
Examples:
  branchlab demo                        see it work, in a folder of its own
  branchlab init --task fashion.task:FashionTask
  branchlab new-exp squeeze-excite --flag squeeze_excite=true
  branchlab run --all-branches          train main and every experiment, 3 seeds each
  branchlab tui
"""


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
    params=[_color_option()],
    invoke_without_command=True,
)
@click.version_option(__version__, message="branchlab %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Manage the experiments of a PyTorch vision project as git branches.

    Every experiment branch is tracked against main and against a frozen reference, trained by one shared trainer with
    several seeds, and judged honestly. Without a command: the status, and what to do next. Also answers as `git lab`.
    """
    if ctx.invoked_subcommand is None:
        importlib.import_module("branchlab.cli.status").status_or_help(ctx)


def run_app(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    terminal.use_plain_characters_where_needed()
    try:
        code = app.main(
            args=list(arguments),
            prog_name=_program(),
            standalone_mode=False,
            color=terminal.colour(),
        )
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except BranchlabError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def complain(error: BranchlabError) -> None:
    """Say what is wrong and what to type next, on stderr."""
    color = terminal.colour()
    error_word = click.style("error:", fg="red", bold=True)
    click.echo(f"{error_word} {safe_text(error.message)}", err=True, color=color)
    if error.hint:
        hint_word = click.style("hint:", bold=True)
        click.echo(f"{hint_word} {safe_text(error.hint)}", err=True, color=color)


def _program() -> str:
    return "git lab" if os.path.basename(sys.argv[0]) == "git-lab" else "branchlab"  # noqa: PTH119


def branch_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete branch names and names of experiments."""
    from pathlib import Path

    from branchlab.experiment import experiment_name
    from branchlab.lab.branches import all_branches, is_experiment
    from branchlab.lab.project import open_project

    try:
        project = open_project(Path.cwd())
        branches = all_branches(project)
    except BranchlabError:
        return []
    patterns = project.config.branches.experiments
    short = [experiment_name(b.own_name, patterns) for b in branches if is_experiment(project, b)]
    names = [branch.name for branch in branches]
    return [name for name in (*names, *short) if name.startswith(incomplete)]


def run_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Complete ids of runs from the names of their folders."""
    from pathlib import Path

    from branchlab.git.repository import Repository

    try:
        folders = Repository.find(Path.cwd()).state.all_runs()
    except BranchlabError:
        return []
    return [folder.path.name for folder in folders if folder.path.name.startswith(incomplete)]
