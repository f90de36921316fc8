"""The manifest of the repository's sample: where it stands, what runs are told of it, and whose results trained on another one.

There is one for each sample that a config can ask for, so that ``--fraction`` makes another and changes none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from branchlab.analysis.results import BranchResults
from branchlab.config import Config
from branchlab.domain import (
    Drawn,
    Manifest,
    RunRecord,
    RunState,
    Sample,
    Scale,
    Script,
    is_other_data,
)
from branchlab.errors import ConfigError
from branchlab.lab.project import Project
from branchlab.lab.run_request import RunRequest
from branchlab.run_folder import read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOfRuns:
    """The sample that runs train on.

    Attributes:
        drawn: What runs are told of the one that was drawn on main; None where none was drawn.
    """

    sample: Sample
    drawn: Drawn | None


def sample_of_runs(project: Project, *, fraction: float | None = None) -> SampleOfRuns:
    """Return the config's sample, or one of another fraction, with what its manifest holds.

    Raises:
        ConfigError: A strategy of the project's own has drawn nothing yet.
        StoreError: The manifest is damaged.
    """
    sample = project.config.sample.sample()
    if fraction is not None:
        sample = replace(sample, fraction=fraction)
    manifest = manifest_of(project, sample)
    if manifest is None and sample.is_own:
        size = "" if fraction is None else f" --fraction {fraction:g}"
        raise ConfigError(
            f'[sample] strategy = "{sample.strategy}" has not drawn {sample.fraction:g} of the training set yet: '
            "it does so on main, once for all branches",
            hint=f"branchlab sample{size}",
        )
    if manifest is None:
        return SampleOfRuns(sample=sample, drawn=None)
    drawn = manifest.drawn
    if sample.is_own:
        return SampleOfRuns(sample=replace(sample, manifest=drawn.digest), drawn=drawn)
    # Its ids are those that every run draws by itself.
    return SampleOfRuns(sample=sample, drawn=replace(drawn, ids=()))


def epochs_on_sample(config: Config, request: RunRequest, script: Script | None) -> int | None:
    """Return how many epochs runs on the sample take instead of the recipe's own, or those that a script takes by itself."""
    if request.epochs is not None or request.budget_s is not None:
        return request.epochs
    return config.sample.epochs if script is None or script.takes("epochs") else None


def manifest_of(project: Project, sample: Sample) -> Manifest | None:
    """Return what was drawn for a sample; None where nothing was.

    Raises:
        StoreError: The manifest is damaged.
    """
    return read_manifest(manifest_path(project, sample))


def manifest_path(project: Project, sample: Sample) -> Path:
    """Return the place of a sample's manifest: readable, and another one for everything that decides what is drawn."""
    trainer = project.config.trainer
    drawn = [sample.fraction, sample.strategy, sample.seed, sample.class_min]
    decides = [trainer.task, dict(sorted(trainer.arguments.items())), *drawn]
    digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:8]
    word = re.sub(r"[^A-Za-z0-9]+", "-", sample.strategy)[:40].strip("-")
    name = f"{word}-{sample.fraction:g}-s{sample.seed}-{digest}.json"
    return project.state.samples / name


def other_sample(ours: BranchResults, theirs: BranchResults, *, against: str) -> str:
    """Say that a branch's runs trained on other examples than those they are paired with; "" where they did not."""
    others = {record.run.seed: record for record in _done(theirs.records)}
    pairs = [(r, others[r.run.seed]) for r in _done(ours.records) if r.run.seed in others]
    differing = [pair for pair in pairs if is_other_data(pair[0].data, pair[1].data)]
    if not differing:
        return ""
    one, other = differing[0]
    is_of_ids = one.data.partition(":")[0] != other.data.partition(":")[0]
    what = "other examples" if is_of_ids else "the same examples with other targets"
    if one.run.scale is Scale.FULL:
        what = "another training set" if is_of_ids else "a training set with other targets"
    return f"trained on {what} than {against}, in {len(differing)} of {len(pairs)} pairs"


def _done(records: Sequence[RunRecord]) -> list[RunRecord]:
    return [record for record in records if record.state is RunState.DONE]
