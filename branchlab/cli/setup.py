"""``init``, ``new-exp``, ``demo``, ``completion``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchlab.cli.app import app, branch_names
from branchlab.cli.options import flag_option, json_option, parse_flags, project_here
from branchlab.errors import ClaimError, ConfigError

if TYPE_CHECKING:
    from branchlab.domain import Hypothesis
    from branchlab.lab.project import Project

_TRIES = 20


@click.command(
    epilog="\b\nExamples:\n  branchlab init\n  branchlab init --task fashion.task:FashionTask --experiments 'exp/*'\n"
    '  branchlab init --repin --reason "the published code had a bug in its evaluation"'
)
@click.option(
    "--main",
    metavar="M",
    shell_complete=branch_names,
    help="The branch that features are integrated into.",
)
@click.option(
    "--reference",
    metavar="R",
    help="The frozen branch; made at main's tip if there is none. [original]",
)
@click.option(
    "--experiments", multiple=True, metavar="GLOB", help="Branches that are experiments. [exp/*]"
)
@click.option(
    "--task", metavar="M:A", help="The task, module:Class; found by itself where there is only one."
)
@click.option("--repin", is_flag=True, help="Accept a reference that has moved; needs --reason.")
@click.option("--reason", metavar="WHY", default="", help="Why it has moved; kept in the config.")
@json_option
def init(
    main: str | None,
    reference: str | None,
    experiments: tuple[str, ...],
    task: str | None,
    repin: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Freeze the reference, pin its commit, write .branchlab.toml.

    Nothing is asked: main is the branch called main or master, or the one checked out; the task is the only subclass
    of branchlab.Task. No branch but the reference is made, no file but .branchlab.toml is written.
    """
    from branchlab.cli.documents import print_document
    from branchlab.lab.init import init as initialise

    if repin:
        _repin(reason, as_json=as_json)
        return
    if reason:
        raise ConfigError("--reason belongs to --repin", hint="branchlab init --help")

    made = initialise(
        Path.cwd(), main=main, reference=reference, experiments=experiments, task=task
    )
    if as_json:
        print_document(
            {
                "config": str(made.config),
                "main": made.main,
                "reference": made.reference,
                "reference_commit": made.reference_commit,
                "task": made.task or None,
            }
        )
        return
    click.echo(
        f"wrote {made.config.name}: main is {made.main}, experiments are {', '.join(made.experiments)}"
    )
    verb = "made" if made.is_reference_new else "found"
    click.echo(f"{verb} the reference '{made.reference}', pinned at {made.reference_commit[:10]}")
    if made.task:
        click.echo(f"the task is {made.task}")
        click.echo(
            "next: git add .branchlab.toml && git commit -m 'Manage experiments with branchlab'"
        )
        click.echo("then: branchlab run")
    else:
        click.echo(
            "no subclass of branchlab.Task was found: write one and set [trainer] task in .branchlab.toml, "
            "or set command to run a training script of your own"
        )


def _repin(reason: str, *, as_json: bool) -> None:
    from branchlab.cli.documents import print_document
    from branchlab.lab.init import repin

    made = repin(project_here(warns=False), reason=reason)
    if as_json:
        print_document(
            {
                "reference": made.reference,
                "before": made.before or None,
                "reference_commit": made.commit,
                "reason": made.reason,
            }
        )
        return
    before = made.before[:10] or "nowhere"
    click.echo(f"pinned {made.reference} at {made.commit[:10]} (before: {before}): {made.reason}")
    click.echo("next: git commit -m 'Pin the reference anew' .branchlab.toml")


@click.command(
    "new-exp",
    epilog="\b\nExamples:\n  branchlab new-exp squeeze-excite --title 'Squeeze and excite' --flag squeeze_excite=true\n"
    "  branchlab new-exp focal-loss --hypothesis 'the gain is on hard classes' --expect 'val/accuracy[shirt] > main + 1pt'\n"
    "  branchlab new-exp se-wider --from exp/squeeze-excite --no-worktree",
)
@click.argument("name")
@click.option(
    "--from", "base", metavar="B", shell_complete=branch_names, help="Start there instead of main."
)
@click.option("--title", metavar="T", default="", help="A line for people.")
@flag_option("What the experiment switches on; written into its file.")
@click.option("--hypothesis", metavar="CLAIM", help="Why it ought to work, in a sentence.")
@click.option(
    "--expect",
    multiple=True,
    metavar="C",
    help="What will be seen then: 'val/accuracy > main + 0.5pt'; may be given several times.",
)
@click.option("--no-hypothesis", is_flag=True, help="Don't ask for one.")
@click.option("--no-worktree", is_flag=True, help="Make the branch only, no folder to work in.")
@json_option
def new_exp(
    name: str,
    base: str | None,
    title: str,
    flags: tuple[str, ...],
    hypothesis: str | None,
    expect: tuple[str, ...],
    no_hypothesis: bool,
    no_worktree: bool,
    as_json: bool,
) -> None:
    """Start an experiment: a branch, experiments/NAME.toml on it, and a work tree beside this one.

    Your own work tree, index and branch stay as they are. On a terminal it asks for a hypothesis: what will be seen if the
    idea holds; docs/hypotheses.md has the grammar.
    """
    from branchlab.cli.documents import print_document
    from branchlab.lab.new_exp import new_experiment

    project = project_here()
    made = new_experiment(
        project,
        name,
        base=base,
        title=title,
        flags=parse_flags(flags),
        with_worktree=not no_worktree,
        ask=_who_says(project, hypothesis, expect, is_asked=not (no_hypothesis or as_json)),
    )
    if as_json:
        worktree = str(made.worktree) if made.worktree else None
        print_document(
            {
                "branch": made.branch,
                "commit": made.commit,
                "base": made.base,
                "file": made.file,
                "worktree": worktree,
                "hypothesis": made.hypothesis and made.hypothesis.id,
            }
        )
        return
    click.echo(f"made {made.branch} from {made.base}, with {made.file}")
    if made.worktree:
        click.echo(f"work in: cd {made.worktree}")
    click.echo(f"then:    branchlab run {made.branch}")
    if made.hypothesis is None and not no_hypothesis:
        click.echo(
            f"it claims nothing yet: before its first run, fill in [[hypothesis]] in {made.file} (docs/hypotheses.md)"
        )


def _who_says(
    project: Project, claim: str | None, expect: Sequence[str], *, is_asked: bool
) -> Callable[[], Hypothesis | None]:
    """Return what gives the hypothesis of a new experiment: the command line, somebody at a terminal, or nobody."""
    from branchlab.lab.new_exp import example_claim, no_hypothesis

    if claim is not None or expect:
        given = _hypothesis(claim or "", expect)
        return lambda: given
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if is_asked and is_terminal:
        return lambda: _asked(example_claim(project))
    return no_hypothesis


def _hypothesis(claim: str, expect: Sequence[str]) -> Hypothesis:
    """Return the hypothesis of the command line.

    Raises:
        ConfigError: Half of it is missing, or an expectation cannot be read.
    """
    from branchlab.analysis.claims.grammar import parse_claim
    from branchlab.domain import Hypothesis

    if not claim.strip() or not expect:
        lacking = (
            "--expect 'val/accuracy > main + 0.5pt'"
            if claim.strip()
            else "--hypothesis 'why it ought to work'"
        )
        raise ConfigError(
            "--hypothesis and --expect belong together: why it ought to work, and what will be seen then",
            hint=f"add {lacking}",
        )
    for text in expect:
        try:
            parse_claim(text)
        except ClaimError as error:
            raise ConfigError(
                f"--expect {error.message}",
                hint="for instance: --expect 'val/accuracy > main + 0.5pt'",
            ) from None
    keys = [chr(ord("a") + n) if n < 26 else f"e{n}" for n in range(len(expect))]  # noqa: PLR2004  letters
    texts = [text.strip() for text in expect]
    return Hypothesis(id="H1", claim=claim.strip(), expect=dict(zip(keys, texts, strict=True)))


def _asked(example: str) -> Hypothesis | None:
    """Ask for a hypothesis; an empty answer is none."""
    from branchlab.analysis.claims.grammar import parse_claim
    from branchlab.domain import Hypothesis

    click.echo("Why ought it to work? One sentence; empty: no hypothesis.")
    claim = str(click.prompt(">", default="", show_default=False, prompt_suffix=" ")).strip()
    if not claim:
        return None
    click.echo(f"What will be seen then? For instance: {example}")
    for _ in range(_TRIES):
        text = str(click.prompt(">", default="", show_default=False, prompt_suffix=" ")).strip()
        if not text:
            break
        try:
            parse_claim(text)
        except ClaimError as error:
            click.echo(
                f"  {error.pointed()[1]}"
            )  # two columns further, as the prompt stands before what was typed
            continue
        return Hypothesis(id="H1", claim=claim, expect={"a": text})
    return None


@click.command(
    epilog="\b\nExamples:\n  branchlab demo\n  branchlab demo ~/lab --no-run\n"
    "  branchlab demo ~/scenes --example superpixels"
)
@click.argument(
    "folder", default="branchlab-demo", type=click.Path(path_type=Path), metavar="[DIR]"
)
@click.option(
    "--example",
    type=click.Choice(["fashion", "superpixels"]),
    default="fashion",
    show_default=True,
    help="Classification of garments, with branches for every merge-back verdict; "
    "or segmentation with superpixels as an input, with branches that get it wrong.",
)
@click.option("--no-run", is_flag=True, help="Build the lab, train nothing.")
def demo(folder: Path, example: str, no_run: bool) -> int:
    """Build a lab in DIR [branchlab-demo]: a repository with real data and branches of every kind; run them, show them.

    Main and every branch are trained with three seeds on a reduced set, some two minutes on two cores (superpixels:
    some six). A lab that is there already is used again, and results that are known are not computed twice.
    """
    from branchlab.cli.run import Outlook, run_and_report
    from branchlab.cli.status import print_status
    from branchlab.lab.demo_lab import build_demo_lab
    from branchlab.lab.project import open_project
    from branchlab.lab.run_request import RunRequest
    from branchlab.lab.status import status

    lab = build_demo_lab(folder, example=example)
    project = open_project(lab)
    click.echo(f"the lab is in {lab}", err=True)
    code = 0
    if not no_run:
        # One branch is broken on purpose, so a failed run is no failure of the demo.
        code = run_and_report(project, RunRequest(is_all=True), Outlook(shows_verdicts=False))
    print_status(project, status(project))
    click.echo(f"\nlook around: cd {folder} && branchlab tui")
    return 130 if code == 130 else 0  # noqa: PLR2004  interrupted


@click.command(
    epilog="\b\nExamples:\n  branchlab completion bash > ~/.local/share/bash-completion/completions/branchlab\n"
    "  branchlab completion fish > ~/.config/fish/completions/branchlab.fish"
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell; it completes commands, options, branches and runs."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(app, {}, "branchlab", "_BRANCHLAB_COMPLETE").source())
