"""``sample``: draws the representative sample with main's code, in a process of its own, and says how far it can be trusted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from branchlab.domain import (
    Branch,
    Drawn,
    Manifest,
    RunRecord,
    RunState,
    Sample,
    Scale,
    Strata,
)
from branchlab.errors import BranchlabError, ConfigError
from branchlab.git.memo import Tell, silently
from branchlab.lab.branches import (
    all_branches,
    contents_of,
    experiments_of,
    main_branch,
    reference_branch,
)
from branchlab.lab.judge import subjects_of
from branchlab.lab.project import Project
from branchlab.lab.recordings import Recorder, commit_side
from branchlab.lab.samples import manifest_of, manifest_path
from branchlab.run_folder import AskedLook, Attempt, RunFolder, write_manifest
from branchlab.schedule.executor import Executor


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleReport:
    """A sample and what is known of it.

    Attributes:
        picture: None where the inputs are no images.
        is_new: Whether it has just been drawn.
        notes: What the user should know, in sentences.
    """

    manifest: Manifest
    path: Path
    picture: Path | None
    is_new: bool
    notes: tuple[str, ...] = ()


def draw_sample(
    project: Project,
    *,
    fraction: float | None = None,
    is_anew: bool = False,
    executor: Executor | None = None,
    tell: Tell = silently,
) -> SampleReport:
    """Return the config's sample, or one of another fraction; drawn on main's tip where there is none yet.

    Raises:
        ConfigError: There is no task, or the fraction is none.
        BranchlabError: Main's code could not draw it.
        KeyboardInterrupt: The user interrupted; nothing has changed.
    """
    sample = project.config.sample.sample()
    if fraction is not None:
        sample = replace(sample, fraction=checked_fraction(fraction, "--fraction"))
    main = main_branch(project, all_branches(project))
    manifest = None if is_anew else manifest_of(project, sample)
    is_new = manifest is None
    path = manifest_path(project, sample)
    if manifest is None:
        manifest = _draw(project, main, sample, path, executor=executor, tell=tell)
    picture = path.with_suffix(".png")
    return SampleReport(
        manifest=manifest,
        path=path,
        picture=picture if picture.exists() else None,
        is_new=is_new,
        notes=(*manifest.notes, *_moved(project, manifest, main)),
    )


def checked_fraction(fraction: float, option: str) -> float:
    """Return a fraction that means something.

    Raises:
        ConfigError: It does not.
    """
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"{option} {fraction:g}: needs 0 < fraction <= 1", hint="see: branchlab sample --help"
        )
    return fraction


def _moved(project: Project, manifest: Manifest, main: Branch) -> list[str]:
    if manifest.content == contents_of(project, [main])[main.tree]:
        return []
    since = f"it was drawn at {manifest.commit[:10]}, {main.name} has moved since"
    return [f"{since}; where its data has changed, draw it again: branchlab sample --anew"]


def _draw(
    project: Project,
    main: Branch,
    sample: Sample,
    path: Path,
    *,
    executor: Executor | None,
    tell: Tell,
) -> Manifest:
    weights, whose = _weights(project, main)
    recorder = Recorder(
        project,
        steps=0,
        device="cpu",
        executor=executor,
        tell=tell,
        sample=sample,
        verb="sample",
        purpose="drawing the sample",
    )
    try:
        recorder.warm_up(main.tip)
        side = commit_side(project, main.name, main.tip)
        run = recorder.plan(side, how=["look"])
        folder = recorder.write_plan(run)
        folder.ask_to_look(AskedLook(checkpoint="" if weights is None else str(weights)))
        recorder.carry_out([(run, side)])
        attempt = _attempt(folder)
        tell("looking at the sample", 0, 1)
        content = contents_of(project, [main])[main.tree]
        manifest = _manifest(_read(attempt), sample, main, whose=whose, content=content)
        project.state.samples.mkdir(parents=True, exist_ok=True)
        picture = path.with_suffix(".png")
        picture.unlink(missing_ok=True)
        if attempt.look_picture.exists():
            shutil.move(attempt.look_picture, picture)
        write_manifest(path, manifest)
    finally:
        recorder.close()
    return manifest


def _attempt(folder: RunFolder) -> Attempt:
    """Return the attempt that has looked.

    Raises:
        BranchlabError: It could not.
    """
    attempt = folder.latest()
    if attempt is None or not attempt.look.exists():
        result = attempt.read_result() if attempt is not None else None
        reason = result["reason"] if result else "its process left no result"
        raise BranchlabError(
            f"main's code could not draw the sample: {reason}",
            hint="try it as a run: branchlab run main --full --seeds 1 --epochs 1",
        )
    return attempt


def _read(attempt: Attempt) -> Mapping[str, Any]:
    import numpy as np

    with np.load(attempt.look) as file:
        return {name: file[name] for name in file.files}


def _manifest(
    found: Mapping[str, Any], sample: Sample, main: Branch, *, whose: str, content: str
) -> Manifest:
    """Return the manifest of what a process has found."""
    from branchlab.analysis.copies import Images
    from branchlab.analysis.sampling import Look, checks_of

    about: dict[str, Any] = json.loads(str(found["about"]))
    splits = [name for name in ("train", "val", "test") if f"{name}_thumbs" in found]
    look = Look(
        sample=sample,
        strata=Strata(about["strata"]),
        ids=found["ids"],
        of=about["of"],
        redraws=_parted(found["redraws"], found["redraw_sizes"]),
        looked=found["looked"],
        class_of=found.get("class_of"),
        present=found.get("present"),
        shares=found.get("shares"),
        features=found["features"],
        images={
            name: Images(
                ids=found["looked" if name == "train" else f"{name}_ids"],
                digests=found[f"{name}_digests"],
                thumbs=found[f"{name}_thumbs"],
            )
            for name in splits
        },
        classes=about["classes"],
        layer=about["layer"],
        model=whose,
        why_no_layer=about["why_no_layer"],
        groups=tuple(about["num_groups"]),
    )
    drawn = Drawn(
        sample=sample,
        num=about["num"],
        of=about["of"],
        digest=about["digest"],
        targets=about["targets"],
        ids=tuple(found["ids"].tolist()),
    )
    return Manifest(
        drawn=drawn,
        strata=look.strata,
        num_groups=look.groups[0] if look.groups else 0,
        commit=main.tip,
        content=content,
        made_at=datetime.now(UTC).replace(microsecond=0),
        epochs=about["epochs"],
        batch_size=about["batch_size"],
        notes=tuple(about["notes"]),
        checks=checks_of(look),
    )


def _parted(joined: Any, sizes: Any) -> tuple[Any, ...]:  # noqa: ANN401  arrays of NumPy
    import numpy as np

    return tuple(np.split(joined, np.cumsum(sizes)[:-1]))


def _weights(project: Project, main: Branch) -> tuple[Path | None, str]:
    """Return the best weights of a done run that main's code can load, and whose they are: main's own, else the reference's."""
    index = project.index()
    records = [record for record in index.runs() if record.state is RunState.DONE]
    index.close()
    frozen = reference_branch(project, project.repository.refs())
    known = [branch for branch in (main, frozen) if branch is not None]
    for branch, subject in zip(
        known, subjects_of(project, known, experiments_of(project, known), []), strict=True
    ):
        of_branch = [r for r in records if subject.is_of(r.run) and not r.run.flags]
        for record in sorted(of_branch, key=_is_full, reverse=True):
            path = project.state.run(record.run.id).best_checkpoint
            if path.exists():
                return path, branch.name
    return None, ""


def _is_full(record: RunRecord) -> bool:
    return record.run.scale is Scale.FULL
