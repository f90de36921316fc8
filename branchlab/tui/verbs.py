"""All that the command line can do, as the screens offer it: by key and in the palette.

A verb becomes a ``Command``, which is shown before anything changes and kept with what it printed. Nothing here is
carried out by the screens themselves: what a key does is what the command does.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from branchlab.tui.commands import Command, Manner


class About(StrEnum):
    """What a verb is told of: nothing, branches, or runs."""

    LAB = "lab"
    BRANCH = "branch"
    BRANCHES = "branches"
    RUN = "run"
    RUNS = "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Something that is asked before a command stands.

    Attributes:
        option: ``--seeds``; empty for an argument that has no name; ``...`` for options as one types them.
        is_switch: Whether the option takes no value; anything typed but ``no`` sets it.
    """

    name: str
    option: str = ""
    hint: str = ""
    is_needed: bool = False
    is_switch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing to do.

    Attributes:
        arguments: With which the command begins.
        options: What always follows the names.
        effect: What it does, in one sentence.
    """

    id: str
    title: str
    arguments: tuple[str, ...]
    effect: str
    about: About = About.LAB
    manner: Manner = Manner.READS
    options: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()

    @property
    def is_of_branches(self) -> bool:
        return self.about in {About.BRANCH, About.BRANCHES}


_MORE = Field(name="more options", option="...", hint="as one types them")
_SEEDS = Field(name="seeds", option="--seeds", hint="as configured")
_STEPS = Field(name="steps", option="--steps", hint="200")
_CHANGES, _TERMINAL = Manner.CHANGES, Manner.TERMINAL

_VERBS = (
    Verb(
        id="run", title="Run", arguments=("run",), about=About.BRANCHES, manner=_CHANGES,
        options=("--detach",),
        effect="Trains it and main beside it in the background; results that are known are reused.",
    ),
    Verb(
        id="run-with", title="Run with options", arguments=("run",), about=About.BRANCHES, manner=_CHANGES,
        options=("--detach",), effect="Trains it and main beside it in the background.",
        fields=(_SEEDS, Field(name="epochs", option="--epochs", hint="as the recipe says"),
                Field(name="whole training set", option="--full", is_switch=True, hint="no"),
                Field(name="anew", option="--force", is_switch=True, hint="no"), _MORE),
    ),
    Verb(
        id="run-all", title="Run all branches", arguments=("run", "--all-branches", "--detach"), manner=_CHANGES,
        effect="Trains main, the reference and every experiment; results that are known are reused.",
    ),
    Verb(
        id="debug", title="Debug: train in this terminal", arguments=("run",), options=("--debug",),
        about=About.BRANCH, manner=_TERMINAL, fields=(_MORE,),
        effect="Trains it here, so that breakpoint() opens the debugger; nothing is kept.",
    ),
    Verb(
        id="plan", title="Plan: what a run would train", arguments=("run",), options=("--dry-run",), about=About.BRANCHES,
        effect="Shows the plan, starts nothing.",
    ),
    Verb(
        id="determinism", title="Check determinism", arguments=("run",), options=("--check-determinism",),
        about=About.BRANCH, manner=_CHANGES, effect="Proves that two runs of one key are the same to the bit; keeps no run.",
    ),
    Verb(
        id="cancel", title="Stop runs", arguments=("cancel",), about=About.RUNS, manner=_CHANGES,
        effect="They write a checkpoint and end; the same run command goes on from there.",
    ),
    Verb(
        id="new-exp", title="New experiment", arguments=("new-exp",), manner=_CHANGES,
        effect="Makes a branch off main, its experiment file, and a work tree of its own.",
        fields=(Field(name="name", is_needed=True, hint="squeeze-excite"), Field(name="title", option="--title", hint="a line for people"),
                Field(name="from", option="--from", hint="main"), Field(name="flag", option="--flag", hint="squeeze_excite=true"),
                Field(name="hypothesis", option="--hypothesis", hint="why it ought to work"),
                Field(name="expect", option="--expect", hint="val/accuracy > main + 0.5pt"), _MORE),
    ),
    Verb(
        id="note", title="Note", arguments=("note",), about=About.BRANCH, manner=_CHANGES,
        effect="Writes down what the experiment has taught, as a commit on its branch; its results stay.",
        fields=(Field(name="text", is_needed=True, hint="what it has taught"), Field(name="relates to", option="--relates", hint="another experiment"),
                Field(name="drop the idea", option="--dropped", is_switch=True, hint="no"), _MORE),
    ),
    Verb(
        id="promote", title="Promote to the full set", arguments=("promote",), about=About.BRANCHES, manner=_CHANGES,
        effect="Trains it on the whole training set, at the commits and seeds of the sample, with some of the losers.",
    ),
    Verb(
        id="baseline", title="Baseline: reproduce the published figure", arguments=("baseline",), manner=_CHANGES,
        effect="Trains the reference on the full set and says whether the published figure comes out.",
    ),
    Verb(
        id="sync", title="Sync: bring main into the branch", arguments=("sync",), about=About.BRANCHES, manner=_CHANGES,
        effect="Merges main into it where that is clean; branchlab sync --undo puts it back.",
    ),
    Verb(
        id="sync-all", title="Sync all branches", arguments=("sync", "--all-branches"), manner=_CHANGES,
        effect="Merges main into every experiment where that is clean; branchlab sync --undo puts them back.",
    ),
    Verb(
        id="sync-undo", title="Undo the last sync", arguments=("sync", "--undo"), manner=_CHANGES,
        effect="Puts the branches of the last sync back.",
    ),
    Verb(
        id="features", title="Features: what it changes", arguments=("features",), about=About.BRANCHES,
        effect="Says what branches change, and what that needs to go back.",
    ),
    Verb(
        id="guard", title="Guard: propose the patch", arguments=("guard",), about=About.BRANCH, fields=(Field(name="feature", hint="all"),),
        effect="Shows the patch that puts an unguarded change behind a flag that is off.",
    ),
    Verb(
        id="guard-apply", title="Guard: put it behind a flag", arguments=("guard",), options=("--apply",), about=About.BRANCH, manner=_CHANGES,
        effect="Commits the patch on a new branch, guard/NAME.", fields=(Field(name="feature", hint="all"), Field(name="flag", option="--flag", hint="the experiment's name")),
    ),
    Verb(
        id="parity", title="Parity: prove the merge by training", arguments=("parity",), about=About.BRANCH, manner=_CHANGES, fields=(_STEPS, _MORE),
        effect="Trains main and the merge side by side, flags off and on; no run is kept.",
    ),
    Verb(
        id="parity-all", title="Parity of all that is ready", arguments=("parity", "--all-ready"), manner=_CHANGES, fields=(_STEPS, _MORE),
        effect="Merges all branches that are ready into one tree and trains it beside main.",
    ),
    Verb(
        id="merge-back", title="Merge back", arguments=("merge-back",), about=About.BRANCH, manner=_CHANGES, fields=(
            Field(name="move main, too", option="--to-main", is_switch=True, hint="no"), _STEPS, _MORE),
        effect="Merges it behind its flag on a new branch when parity holds, or changes nothing.",
    ),
    Verb(
        id="retire", title="Retire", arguments=("retire",), about=About.BRANCH, manner=_CHANGES,
        effect="Takes the branch of an experiment that is over away, under a tag.",
    ),
    Verb(
        id="drift", title="Drift: main against the frozen reference", arguments=("drift",), manner=_CHANGES, fields=(_STEPS, _MORE),
        effect="Trains main and the reference side by side, and finds the commit that made the difference.",
    ),
    Verb(
        id="status", title="Status", arguments=("status",), about=About.BRANCHES, effect="Says where branches stand, and how they did.",
    ),
    Verb(
        id="compare", title="Compare", arguments=("compare",), about=About.BRANCHES, options=("--slices",), effect="Says whether branches are better than main.",
    ),
    Verb(
        id="hypotheses", title="Hypotheses", arguments=("hypotheses",), about=About.BRANCHES, effect="Says which hypotheses runs support or refute.",
    ),
    Verb(
        id="probe", title="Probe: what flows through the model", arguments=("probe",), about=About.BRANCH, manner=_CHANGES, fields=(
            Field(name="at", option="--at", hint="step=1"), Field(name="draw modules", option="--map", hint="a pattern"), _MORE),
        effect="Looks at one real step of its training; changes nothing but the pictures below .branchlab.",
    ),
    Verb(
        id="probe-against", title="Probe against another branch", arguments=("probe",), about=About.BRANCH, manner=_CHANGES, fields=(
            Field(name="against", option="--against", is_needed=True, hint="main"), _MORE),
        effect="Walks both in step, and says where they first differ.",
    ),
    Verb(
        id="probe-break", title="Probe: open the debugger at a module", arguments=("probe",), about=About.BRANCH, manner=_TERMINAL, fields=(
            Field(name="module", option="--break", is_needed=True, hint="as named_modules() calls it"),),
        effect="Opens the debugger at that module's forward, with a live batch.",
    ),
    Verb(
        id="probe-shell", title="Probe: a prompt with the model", arguments=("probe",), options=("--shell",), about=About.BRANCH, manner=_TERMINAL,
        effect="Opens a prompt with task, batch, model, outputs and loss.",
    ),
    Verb(
        id="annotate", title="Annotate: comments that say shapes", arguments=("annotate",), about=About.BRANCH, fields=(
            Field(name="path", option="--path", hint="all"),), effect="Shows what flows through the code as comments.",
    ),
    Verb(
        id="annotate-apply", title="Annotate and commit", arguments=("annotate",), options=("--apply",), about=About.BRANCH, manner=_CHANGES, fields=(
            Field(name="path", option="--path", hint="all"),), effect="Writes the comments, as a commit on the branch.",
    ),
    Verb(
        id="sample", title="Sample: how far it can be trusted", arguments=("sample",), manner=_CHANGES, fields=(
            Field(name="fraction", option="--fraction", hint="as configured"), _MORE),
        effect="Draws the sample where it is not known yet, and says how far it can be trusted.",
    ),
    Verb(
        id="calibrate", title="Sample: find the smallest that will do", arguments=("sample", "--calibrate"), manner=_CHANGES, fields=(
            Field(name="fractions", option="--fractions", hint="0.05,0.1,0.2"), _MORE), effect="Trains main, the reference and some experiments at several fractions.",
    ),
    Verb(
        id="report", title="Report: one page for the browser", arguments=("report",), about=About.BRANCHES, manner=_CHANGES,
        effect="Writes .branchlab/report.html.",
    ),
    Verb(
        id="markdown", title="Report for a pull request", arguments=("report", "--markdown"), about=About.BRANCHES, effect="Prints it in Markdown.",
    ),
    Verb(
        id="export", title="Export runs", arguments=("export",), manner=_CHANGES, fields=(
            Field(name="to", option="--to", is_needed=True, hint="mlflow, tensorboard, wandb, csv or parquet"), Field(name="out", option="--out"), _MORE),
        effect="Writes all runs for another tool.",
    ),
    Verb(
        id="docker", title="Dockerfile that trains a run again", arguments=("docker",), about=About.RUN, options=("--out", "-"), effect="Prints it.",
    ),
    Verb(id="show", title="Show a run", arguments=("show",), about=About.RUN, effect="Plan, result, reason."),
    Verb(id="map-svg", title="Draw the map into a file", arguments=("map",), manner=_CHANGES, fields=(
        Field(name="file", option="--svg", is_needed=True, hint="map.svg"),), effect="Draws what experiments grew from and tell about each other."),
)  # fmt: skip
VERBS: Mapping[str, Verb] = {verb.id: verb for verb in _VERBS}


def command_of(
    verb: Verb, names: Sequence[str] = (), answers: Mapping[str, str] | None = None
) -> Command:
    """Return the command of a verb.

    Args:
        verb: What to do.
        names: Branches or runs, where it is about any.
        answers: By name of a field, as typed; what is empty is left out.

    Raises:
        ValueError: A needed answer is missing, or options are quoted wrongly; the text says which.
    """
    places: list[str] = []
    options: list[str] = []
    for field in verb.fields:
        typed = (answers or {}).get(field.name, "").strip()
        if not typed:
            if field.is_needed:
                raise ValueError(f"{field.name} is needed")
            continue
        if field.is_switch:
            options += [field.option] if typed.lower() not in {"no", "n", "0", "false"} else []
        elif field.option == "...":
            try:
                options += shlex.split(typed)
            except ValueError as error:
                raise ValueError(f"{field.name}: {error}") from error
        elif field.option:
            options += [f"{field.option}={typed}" if typed.startswith("-") else field.option]
            options += [] if typed.startswith("-") else [typed]
        else:
            places.append(typed)
    told = (*names, *places)
    rest = (*options, *verb.options)
    # What begins with a dash would be taken for an option.
    arguments = (*rest, "--", *told) if any(one.startswith("-") for one in told) else (*told, *rest)
    about = f" {', '.join(names)}" if names and len(names) < 4 else ""  # noqa: PLR2004
    return Command(
        title=f"{verb.title}{about}",
        arguments=(*verb.arguments, *arguments),
        effect=verb.effect,
        manner=verb.manner,
    )
