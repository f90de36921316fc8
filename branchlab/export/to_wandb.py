"""W&B: a run a run, grouped by branch; offline unless somebody is logged in.

Of what is written offline W&B can append to nothing: a run that another process has begun is written anew from its folder, in the
place of the first, unless that was synced already. Online the server keeps one run an id and takes steps once.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from branchlab.domain import RunRecord, RunState
from branchlab.export.facts import labels_of, settings_of, title_of
from branchlab.export.names import for_wandb
from branchlab.export.news import News
from branchlab.export.tool import Destination, Tell
from branchlab.run_folder import JSON, RunFolder

_TAG_MAX = 64


def open_tool(destination: Destination, tell: Tell) -> WandbTool:
    """Return W&B's folder, or its server where somebody is logged in."""
    os.environ.setdefault("WANDB_MODE", "online" if _is_logged_in() else "offline")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return WandbTool(wandb, destination, tell)


def _is_logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    with contextlib.suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    return False


class WandbTool:
    """Runs of one project; those that this process has open."""

    takes_earlier_steps = False

    def __init__(self, wandb: Any, destination: Destination, tell: Tell) -> None:  # noqa: ANN401  a module
        self._wandb = wandb
        self._destination = destination
        self._tell = tell
        self._open: dict[str, Any] = {}
        self._renamed: set[str] = set()

    def begin(self, record: RunRecord, own: JSON, *, is_anew: bool) -> tuple[JSON, bool]:
        """Begin the run; offline, what was left of it and never synced is taken away first."""
        run = record.run
        is_offline = os.environ.get("WANDB_MODE") != "online"
        if (left := self._open.pop(run.id, None)) is not None:
            left.finish()
        if is_offline:
            self._clear_away(run.id)
        folder = Path(self._destination.address)
        folder.mkdir(parents=True, exist_ok=True)
        labels = labels_of(run)
        opened = self._wandb.init(
            project=self._destination.project,
            id=run.id,
            name=title_of(run),
            group=run.branch,
            job_type=str(run.scale),
            config={**settings_of(run), **{f"branchlab.{n}": v for n, v in labels.items()}},
            tags=[run.branch[:_TAG_MAX], str(run.scale)],
            dir=str(folder),
            resume=None if is_offline else "allow",
            reinit="create_new",
            settings=self._wandb.Settings(
                console="off",
                disable_git=True,
                disable_code=True,
                save_code=False,
                silent=True,
                x_disable_stats=True,
                x_disable_meta=True,
            ),
        )
        self._open[run.id] = opened
        return {"begun_by": os.getpid()}, is_offline or is_anew or not own

    def _clear_away(self, run_id: str) -> None:
        for folder in Path(self._destination.address).glob(f"wandb/offline-run-*-{run_id}"):
            is_whole_name = folder.name.split("-", 3)[3] == run_id
            if is_whole_name and not any(folder.glob("*.synced")):
                shutil.rmtree(folder, ignore_errors=True)

    def send(self, record: RunRecord, news: News, own: JSON) -> JSON:
        """Log a row a step; samples of the machine join the step that was taken last."""
        opened = self._open[record.run.id]
        rows: Mapping[int, dict[str, object]] = defaultdict(dict)
        for point in news.points:
            rows[point.step] |= {self._name(point.name): point.value, "epoch": point.epoch}
        for picture in news.pictures:
            image = self._wandb.Image(str(picture.path))
            rows[picture.step][f"pictures/{picture.name}"] = image
        for step in sorted(rows):
            opened.log(rows[step], step=step)
        for point in news.usage:
            opened.log({point.name: point.value}, commit=False)
        return own

    def end(self, record: RunRecord, folder: RunFolder, own: JSON) -> JSON:
        """Hand over the logs, and say how the run ended."""
        opened = self._open.pop(record.run.id)
        for number in range(1, record.attempts + 1):
            log = folder.attempt(number).log
            if log.is_file():
                opened.save(str(log), base_path=str(folder.path), policy="now")
        opened.summary["branchlab.state"] = str(record.state)
        if record.reason:
            opened.summary["branchlab.reason"] = record.reason
        opened.finish(exit_code=0 if record.state is RunState.DONE else 1)
        return own

    def close(self) -> None:
        """Finish what is open here; another process begins it anew."""
        while self._open:
            self._open.popitem()[1].finish()

    def _name(self, name: str) -> str:
        taken = for_wandb(name)
        if taken != name and name not in self._renamed:
            self._renamed.add(name)
            self._tell(f"W&B keeps the name {name} to itself: it is written {taken}")
        return taken
