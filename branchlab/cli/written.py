"""``note``, ``map`` and ``log``: the written track of what experiments tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from branchlab.analysis.wording import difference_text
from branchlab.cli.app import branch_names
from branchlab.cli.documents import Document, print_document
from branchlab.cli.options import branches_argument, json_option, project_here
from branchlab.cli.table import outcome_text
from branchlab.cli.terminal import width
from branchlab.domain import Fate, Relation
from branchlab.errors import ConfigError
from branchlab.lab.words import RELATION_WORDS, figure
from branchlab.run_folder import to_text
from branchlab.terminal_text import safe_text

if TYPE_CHECKING:
    from branchlab.lab.journal import Entry
    from branchlab.lab.relations import Edge, ExperimentMap, Node

_TEXT_LENGTH_MAX = 100
_FATE_COLOURS = {
    Fate.LANDED: "green",
    Fate.DROPPED: "bright_black",
    Fate.GONE: "bright_black",
}
_HAPPENING_COLOURS = {"verdict": "yellow", "landed": "green", "dropped": "red"}


@click.command(
    epilog="\b\nExamples:\n  branchlab note se 'the gain is on shirts alone' --relates wider\n"
    "  branchlab note gelu 'no gain, a tenth slower' --dropped\n"
    "  branchlab note focal 'loses where cosine-head wins' --contradicts cosine-head"
)
@click.argument("branch", shell_complete=branch_names)
@click.argument("text")
@click.option(
    "--relates",
    multiple=True,
    metavar="B",
    shell_complete=branch_names,
    help="Another experiment that this says something about.",
)
@click.option(
    "--contradicts",
    multiple=True,
    metavar="B",
    shell_complete=branch_names,
    help="One whose result speaks against this one's.",
)
@click.option(
    "--builds-on",
    multiple=True,
    metavar="B",
    shell_complete=branch_names,
    help="One that this takes further.",
)
@click.option(
    "--dropped/--reopened",
    default=None,
    help="Give the idea up, with TEXT as the reason; or take it up again.",
)
@json_option
def note(
    branch: str,
    text: str,
    relates: tuple[str, ...],
    contradicts: tuple[str, ...],
    builds_on: tuple[str, ...],
    dropped: bool | None,
    as_json: bool,
) -> None:
    """Write down what an experiment has taught, in its own file, as a commit on its branch.

    Results stay what they are: notes are no part of what a run depends on. Of an experiment whose branch is gone the note
    goes to main where it has landed, else to the last tip that is kept. `run --all-branches` leaves out what was dropped.
    """
    from branchlab.lab.note import note as write

    relations = [
        (relation, name)
        for relation, names in (
            (Relation.BUILDS_ON, builds_on),
            (Relation.RELATES, relates),
            (Relation.CONTRADICTS, contradicts),
        )
        for name in names
    ]
    found = write(project_here(), branch, text, relations=relations, drops=dropped)
    if as_json:
        print_document(
            {
                "experiment": found.experiment,
                "place": found.place,
                "commit": found.commit,
                "file": found.file,
                "at": to_text(found.note.at),
                "text": found.note.text,
                "dropped": found.note.drops,
                **_relations_document(found.note.relations),
            }
        )
        return
    click.echo(f"noted in {safe_text(found.file)} on {safe_text(found.place)}, {found.commit[:10]}")


@click.command(
    epilog="\b\nExamples:\n  branchlab map\n  branchlab map squeeze-excite      what it is related to\n"
    "  branchlab map --svg map.svg",
)
@branches_argument
@click.option(
    "--svg",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw it into a file.",
)
@json_option
def map(  # noqa: A001  the command's name
    branches: tuple[str, ...], svg: Path | None, as_json: bool
) -> None:
    """Draw the graph of experiments: what grew from what, how it did, and what experiments tell about each other.

    Landed, dropped and deleted ones are in it. Relations are what `branchlab note` has written down.
    """
    from branchlab.lab.relations import experiment_map

    found = experiment_map(project_here(), branches)
    if svg is not None:
        _draw(found, svg)
    if as_json:
        print_document(map_document(found))
    elif svg is None:
        print_map(found)


def _draw(found: ExperimentMap, path: Path) -> None:
    from branchlab.report.map_svg import map_svg

    try:
        path.write_text(map_svg(found), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="choose another: --svg FILE"
        ) from None
    click.echo(f"the map is in {path}", err=True)


def map_document(found: ExperimentMap) -> Document:
    """Return the map as ``map --json`` gives it."""
    return {
        "main": found.main,
        "metric": found.metric,
        "nodes": [
            {
                "name": node.name,
                "branch": node.branch,
                "title": node.title,
                "idea": node.idea,
                "state": str(node.fate),
                "reason": node.reason or None,
                "parent": node.parent or None,
                "mean": node.mean,
                "verdict": str(node.verdict.outcome) if node.verdict else None,
                "difference": node.verdict.difference if node.verdict else None,
                "interval": list(node.verdict.interval)
                if node.verdict and node.verdict.interval
                else None,
                "scale": str(node.verdict.scale) if node.verdict else None,
                "notes": node.num_notes,
            }
            for node in found.nodes
        ],
        "edges": [
            {
                "from": edge.source,
                "to": edge.target,
                "relation": str(edge.relation),
                "text": edge.text or None,
                "at": to_text(edge.at),
            }
            for edge in found.edges
        ],
        "warnings": list(found.complaints),
    }


def print_map(found: ExperimentMap) -> None:
    """Print the graph as a tree, with what crosses it below each experiment."""
    from branchlab.lab.experiment_tree import tree_lines

    _complain(found.complaints)
    mean = (
        f"  {safe_text(found.metric)} {figure(found.main_mean)}"
        if found.main_mean is not None
        else ""
    )
    click.echo(f"{click.style(safe_text(found.main), bold=True)}{mean}")
    for line in tree_lines(found):
        click.echo(f"{line.stem}{_node_text(line.node)}")
        for edges in line.notes:
            click.echo(f"{line.inner}{_edges_text(edges)}")
    if not found.nodes:
        click.echo("no experiment yet; start one: branchlab new-exp NAME")


def _node_text(node: Node) -> str:
    name = click.style(safe_text(node.name), bold=node.fate is Fate.OPEN)
    parts = [name]
    if node.verdict is not None:
        change = difference_text(node.verdict)
        parts.append(f"{outcome_text(node.verdict.outcome)} {change}")
    elif node.num_failed:
        parts.append(click.style("✗ failed", fg="red"))
    if node.fate is not Fate.OPEN:
        why = f": {_cut(node.reason)}" if node.reason and node.fate is Fate.DROPPED else ""
        parts.append(click.style(safe_text(f"{node.fate}{why}"), fg=_FATE_COLOURS[node.fate]))
    if node.title and node.title != node.name:
        parts.append(click.style(safe_text(_cut(node.title)), fg="bright_black"))
    return "  ".join(parts)


def _edges_text(edges: Sequence[Edge]) -> str:
    words = [
        click.style(
            f"{RELATION_WORDS[edge.relation]} {safe_text(edge.target)}",
            fg="red" if edge.relation is Relation.CONTRADICTS else "cyan",
        )
        for edge in edges
    ]
    text = safe_text(_cut(edges[0].text))
    return f"{', '.join(words)}: {text}" if text else ", ".join(words)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_LENGTH_MAX else f"{line[: _TEXT_LENGTH_MAX - 1]}…"


@click.command(
    epilog="\b\nExamples:\n  branchlab log\n  branchlab log squeeze-excite\n  branchlab log -n 20 --json"
)
@branches_argument
@click.option("-n", "number", type=click.IntRange(min=1), metavar="N", help="Only the latest N.")
@json_option
def log(branches: tuple[str, ...], number: int | None, as_json: bool) -> None:
    """Tell what has happened to experiments, oldest first: created, ran, verdict, note, landed, dropped and why.

    Verdicts are as they were on the runs that were there at the time. Experiments whose branches are gone are in it.
    """
    from branchlab.lab.journal import journal

    found = journal(project_here(), branches)
    entries = found.entries[-number:] if number else found.entries
    if as_json:
        print_document(
            {
                "entries": [entry_document(entry) for entry in entries],
                "warnings": list(found.complaints),
            }
        )
        return
    _complain(found.complaints)
    day, widest = "", max((width(safe_text(entry.experiment)) for entry in entries), default=0)
    for entry in entries:
        moment = entry.at.astimezone()
        if f"{moment:%Y-%m-%d}" != day:
            day = f"{moment:%Y-%m-%d}"
            click.echo(click.style(f"{moment:%A, %Y-%m-%d}", bold=True))
        what = click.style(f"{entry.what:<8}", fg=_HAPPENING_COLOURS.get(entry.what, "cyan"))
        told = safe_text(" ".join(_told(entry).split()))
        click.echo(f"  {moment:%H:%M}  {what}  {safe_text(entry.experiment):<{widest}}  {told}")
    if not entries:
        click.echo("nothing has happened yet; start an experiment: branchlab new-exp NAME")


def entry_document(entry: Entry) -> Document:
    """Return a line of the journal as ``log --json`` gives it."""
    verdict = entry.verdict
    return {
        "at": to_text(entry.at),
        "experiment": entry.experiment,
        "what": str(entry.what),
        "text": entry.text,
        "verdict": str(verdict.outcome) if verdict else None,
        "difference": verdict.difference if verdict else None,
        "runs": list(entry.runs),
        **_relations_document(entry.note.relations if entry.note else ()),
    }


def _told(entry: Entry) -> str:
    relations = entry.note.relations if entry.note is not None else ()
    said = [f"{RELATION_WORDS[relation]} {other}" for relation, other in relations]
    return f"{entry.text} ({', '.join(said)})" if said else entry.text


def _relations_document(relations: Sequence[tuple[Relation, str]]) -> Document:
    return {
        str(relation): [other for kind, other in relations if kind is relation]
        for relation in Relation
    }


def _complain(complaints: Sequence[str]) -> None:
    for complaint in complaints:
        click.echo(click.style(f"! {safe_text(complaint)}", fg="red", bold=True), err=True)
