"""``probe``: what flows through a branch's model, findings first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from branchlab.cli.app import branch_names, run_ids
from branchlab.cli.blocks import picture_in_blocks
from branchlab.cli.documents import print_document
from branchlab.cli.options import json_option, project_here
from branchlab.cli.probe_documents import against_document, probe_document
from branchlab.cli.table import table
from branchlab.cli.telling import telling
from branchlab.domain import Finding, Seen, Severity, Stage, StageKind
from branchlab.errors import ConfigError
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.analysis.probe.divergence import Difference
    from branchlab.lab.probe import Against, Probed

_SHOWN_MAX = 12


@click.command(
    epilog="\b\nExamples:\n  branchlab probe squeeze-excite\n  branchlab probe squeeze-excite --against main\n"
    "  branchlab probe se --at step=500 --map 'conv*'\n  branchlab probe se --assert-same main    exits 1 where anything differs\n"
    "  branchlab probe se --break block1.attention"
)
@click.argument("branch", shell_complete=branch_names)
@click.option(
    "--against",
    metavar="B",
    shell_complete=branch_names,
    help="Walk both in step; say where they first differ.",
)
@click.option(
    "--assert-same",
    metavar="B",
    shell_complete=branch_names,
    help="Exit 1 where anything differs from B, flags off.",
)
@click.option("--at", metavar="step=N", help="The step that is looked at. [step=1]")
@click.option(
    "--run", "run", metavar="RUN", shell_complete=run_ids, help="With the best weights of a run."
)
@click.option(
    "--train/--eval",
    "is_train",
    default=True,
    help="A step of the training, or a batch of validation after it.",
)
@click.option("--map", "maps", multiple=True, metavar="GLOB", help="Draw what these modules give.")
@click.option(
    "--flags/--no-flags",
    "with_flags",
    default=True,
    help="With the experiment switched on, or off.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Of data order, weights and augmentation."
)
@click.option("--device", help="auto, cpu, mps, cuda or cuda:N; as the config says unless given.")
@click.option("--all", "shows_all", is_flag=True, help="Every module, not the leaves alone.")
@click.option("--again", "is_anew", is_flag=True, help="Look again, even at what is known.")
@click.option("--show", is_flag=True, help="Show the pictures here, in half blocks.")
@click.option(
    "--break",
    "breaks",
    metavar="MODULE",
    help="Open the debugger at that module's forward, with a live batch.",
)
@click.option(
    "--shell", is_flag=True, help="Open a prompt with task, batch, model, outputs and loss."
)
@json_option
def probe(
    branch: str,
    against: str | None,
    assert_same: str | None,
    at: str | None,
    run: str | None,
    is_train: bool,
    maps: tuple[str, ...],
    with_flags: bool,
    seed: int,
    device: str | None,
    shows_all: bool,
    is_anew: bool,
    show: bool,
    breaks: str | None,
    shell: bool,
    as_json: bool,
) -> int:
    """Look at what really flows through a branch: stored batch, preparation, augmentation, every module, loss, gradients, update.

    The step is the trainer's own, on the branch's live task, model and data. Findings come first, in sentences; then the table. Pictures
    of what enters are saved, and their paths printed. --against walks two branches in step: the same batch, the same weights where both
    have them, random numbers by module; what the other one differs from itself by is measured, not assumed.
    """
    from branchlab.lab.probe import ProbeRequest, probe_against
    from branchlab.lab.probe import probe as look

    request = ProbeRequest(
        step=_step(at),
        is_eval=not is_train,
        run=run or "",
        maps=maps,
        with_flags=with_flags and not assert_same,
        device=device,
        seed=seed,
        is_anew=is_anew,
    )
    project = project_here()
    if breaks is not None or shell:
        from branchlab.lab.attached import Attached, attach

        what = Attached.SHELL if shell else Attached.BREAK
        return attach(project, branch, request, what, module=breaks or "")
    if against and assert_same:
        raise ConfigError(
            "--against and --assert-same exclude each other", hint="leave one of them out"
        )
    other = against or assert_same
    if other is None:
        with telling() as tell:
            found = look(project, branch, request, tell=tell)
        if as_json:
            print_document(probe_document(found))
        else:
            print_probe(found, shows_all=shows_all, shows_pictures=show)
        is_sound = not found.probe.failure
        return 0 if is_sound else 1
    with telling() as tell:
        held = probe_against(project, branch, other, request, tell=tell)
    if as_json:
        print_document(against_document(held))
    else:
        print_against(held)
    return 1 if assert_same and held.divergence.first is not None else 0


def _step(at: str | None) -> int:
    if at is None:
        return 1
    name, equals, number = at.partition("=")
    value = number if equals else name
    if (equals and name != "step") or not value.isdigit() or int(value) < 1:
        raise ConfigError(
            f"--at {at}: expected step=N, N from 1", hint="for instance: --at step=500"
        )
    return int(value)


def print_probe(found: Probed, *, shows_all: bool = False, shows_pictures: bool = False) -> None:
    """Print findings, then what was seen, stage by stage."""
    facts = found.probe.facts
    where = (
        f"step {facts['step']}"
        if facts["mode"] == "train"
        else f"validation after step {facts['step']}"
    )
    click.echo(
        f"{click.style(safe_text(found.branch), bold=True)} {found.commit[:10]}  {where}, "
        f"{facts.get('batch_size', '?')} examples on {facts['device']}, {facts.get('num_parameters', 0):,} parameters\n"
    )
    _print_findings(found.findings)
    for name, path in found.pictures.items():
        click.echo(f"picture of {safe_text(name)}: {path}")
        if shows_pictures:
            click.echo(picture_in_blocks(path), color=True)
    click.echo()
    rows = [_row(stage) for stage in _shown(found.probe.stages, shows_all=shows_all)]
    if rows:
        header = [
            "STAGE",
            "WHERE",
            "SHAPE",
            "DTYPE",
            "LOW",
            "HIGH",
            "MEAN",
            "STD",
            "ZEROS",
            "ms",
            "GRAD",
        ]
        click.echo(
            table(rows, header=header, right=(4, 5, 6, 7, 8, 9, 10), giving_way=(3, 9, 8, 4, 5))
        )


def _print_findings(findings: tuple[Finding, ...]) -> None:
    for one in findings:
        is_fault = one.severity is Severity.FAULT
        mark = click.style("✗" if is_fault else "?", fg="red" if is_fault else "yellow", bold=True)
        click.echo(f"{mark} {safe_text(one.sentence)}")
        if one.remedy:
            click.echo(f"    {click.style('hint:', bold=True)} {safe_text(one.remedy)}")
    if not findings:
        click.echo(click.style("✓ nothing found that is wrong or looks so", fg="green"))


def _shown(stages: tuple[Stage, ...], *, shows_all: bool) -> list[Stage]:
    if shows_all:
        return [stage for stage in stages if stage.kind is not StageKind.STORED or stage.outputs]
    names = {stage.name for stage in stages if stage.kind is StageKind.MODULE}
    inner = {name[:at] for name in names for at in range(len(name)) if name[at] == "."} | {""}
    kept = {StageKind.GRADIENT, StageKind.UPDATE}
    return [
        stage
        for stage in stages
        if stage.kind not in kept
        and (stage.kind is not StageKind.MODULE or stage.name not in inner)
    ]


def _row(stage: Stage) -> list[str]:
    looks = stage.outputs or stage.inputs
    look = looks[0] if looks else None
    measures = stage.measures
    name = f"{stage.name} ({stage.type})" if stage.type else stage.name
    return [
        str(stage.kind),
        safe_text(name),
        _shape(look),
        look.dtype if look else "",
        *(_number(value) for value in _numbers(look)),
        f"{look.zeros:.0%}" if look else "",
        f"{measures['time_us'] / 1000:.2f}" if "time_us" in measures else "",
        _number(measures.get("grad_norm")),
    ]


def _numbers(look: Seen | None) -> tuple[float | None, ...]:
    return (look.low, look.high, look.mean, look.std) if look else (None,) * 4


def _shape(look: Seen | None) -> str:
    return f"[{', '.join(map(str, look.shape))}]" if look else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def print_against(held: Against) -> None:
    """Print where two branches first differ, then what else does."""
    found, ours, theirs = (
        held.divergence,
        safe_text(held.ours.branch),
        safe_text(held.theirs.branch),
    )
    for other, name in found.renamed.items():
        click.echo(f"renamed: {safe_text(name)} is {safe_text(other)} here")
    for what, names in (
        ("new weights", found.added),
        (f"weights of {theirs} that are gone", found.removed),
    ):
        if names:
            shown = ", ".join(names[:_SHOWN_MAX]) + (" …" if len(names) > _SHOWN_MAX else "")
            click.echo(f"{what}: {safe_text(shown)}")
    noise = (
        f"{theirs} differs from itself by {found.noise:.2g}"
        if found.noise
        else f"{theirs} gives the same twice, to the bit"
    )
    if found.first is None:
        click.echo(
            click.style(
                f"✓ {ours} is the same as {theirs} at all {found.num_stages} stages; {noise}",
                fg="green",
            )
        )
        return
    click.echo(
        f"{click.style('✗ first difference:', fg='red', bold=True)} {safe_text(found.first.sentence)}"
    )
    later = [one for one in found.differences if one is not found.first]
    own = [
        one for one in later if one.is_caused_here and not _holds_another(one, found.differences)
    ]
    for one in own[:_SHOWN_MAX]:
        click.echo(f"  also begins: {safe_text(one.sentence)}")
    shared = [one for one in found.differences if not one.kind.startswith("only-")]
    alone = len(found.differences) - len(shared)
    more = f", {alone} run on one side alone" if alone else ""
    click.echo(
        f"{len(shared)} of {found.num_stages} common stages differ in the end{more}; {noise}"
    )


def _holds_another(one: Difference, others: Sequence[Difference]) -> bool:
    """Whether a module differs because one inside it does."""
    name = one.where.partition(" (")[0]
    inside = "" if name == "the model" else f"{name}."
    return one.stage is StageKind.MODULE and any(
        other is not one and other.stage is StageKind.MODULE and other.where.startswith(inside)
        for other in others
    )
