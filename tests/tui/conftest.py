"""A real repository with hand-written run folders, and the screen as rows of text."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from textual.events import Paste

from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.lab.project import open_project
from branchlab.run_folder import EventWriter, StateFolder, locked
from branchlab.tui import feed
from branchlab.tui.app import BranchlabApp

START = 1_700_000_000
NOW = datetime.fromtimestamp(START, UTC) + timedelta(days=3)
CONFIG = """\
[branches]
reference_commit = "@PINNED@"

[trainer]
task = "fashion.task:FashionTask"
"""


class TuiLab:
    """A repository being built: commits by git, runs by their folders."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self._home = home
        self._ticks = 0
        self._leases = contextlib.ExitStack()
        if root.exists():
            return
        root.mkdir(parents=True)
        home.mkdir(exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit({"model.py": "width = 8\n", ".gitignore": ".branchlab/\n"}, "First model")
        self.git("branch", "original")
        pinned = self.git("rev-parse", "original")
        self.commit({".branchlab.toml": CONFIG.replace("@PINNED@", pinned)}, "Set branchlab up")

    def git(self, *args: str) -> str:
        self._ticks += 60
        when = f"{START + self._ticks} +0000"
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"), ("DATE", when))
        }
        env = {"PATH": os.environ["PATH"], "HOME": str(self._home), "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *args], cwd=self.root, env=env | who, capture_output=True, check=False
        )
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def commit(self, files: dict[str, str], message: str) -> str:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
            self.git("add", "--", path)
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, files: dict[str, str], message: str, *, title: str = "") -> None:
        self.git("checkout", "--quiet", "-b", name, "main")
        if title:
            short = name.removeprefix("exp/")
            files = {f"experiments/{short}.toml": f'title = "{title}"\n', **files}
        self.commit(files, message)
        self.git("checkout", "--quiet", "main")

    def plan(self, branch: str, seed: int) -> str:
        """Write the plan of a run of a branch's tip and return its id."""
        short = re.sub(r"[^a-z0-9-]", "", branch.removeprefix("exp/")) or "odd"
        run_id = f"{short}-s{seed}"
        commit, tree = (self.git("rev-parse", f"{branch}{what}") for what in ("", "^{tree}"))
        run = Run(
            id=run_id,
            key=run_id,
            branch=branch,
            commit=commit,
            tree=tree,
            task="fashion.task:FashionTask",
            seed=seed,
            scale=Scale.SAMPLE,
            sample=Sample(fraction=0.1),
            planned_at=NOW - timedelta(hours=1),
        )
        self.state.create()
        self.state.run(run_id).write_plan(run)
        return run_id

    def begin(self, branch: str, seed: int, *, epochs: int = 10) -> EventWriter:
        """Begin an attempt as a trainer does: with its lease held, until it is let go or the test ends."""
        folder = self.state.run(self.plan(branch, seed))
        assert self._leases.enter_context(locked(folder.lease))
        attempt = folder.attempt(1)
        attempt.path.mkdir(parents=True)
        attempt.log.write_text("starting\n")
        events = EventWriter(attempt.events)
        events.write("start", epochs=epochs, steps=epochs * 10)
        return events

    def let_go(self) -> None:
        """Free the leases of what has begun, as processes that end do."""
        self._leases.close()

    def done(self, branch: str, *values: float) -> None:
        """Add finished runs, one a seed, with these values of the metric."""
        for seed, value in enumerate(values):
            folder = self.state.run(self.plan(branch, seed))
            attempt = folder.attempt(1)
            attempt.path.mkdir(parents=True)
            attempt.log.write_text("epoch 1 of 4\nepoch 4 of 4\n")
            events = EventWriter(attempt.events)
            events.write("start", epochs=4, steps=40)
            for number in range(1, 5):
                epoch(events, number, value - 0.02 * (4 - number))
            attempt.write_result(
                RunState.DONE, metrics={"val/accuracy": value}, duration_s=12.0 + seed
            )

    def failed(self, branch: str, seed: int, reason: str) -> None:
        folder = self.state.run(self.plan(branch, seed))
        folder.attempt(1).write_result(RunState.FAILED, reason=reason)

    @property
    def state(self) -> StateFolder:
        return StateFolder(self.root / ".branchlab")

    def app(self, **how: object) -> BranchlabApp:
        return BranchlabApp(open_project(self.root), now=lambda: NOW, **how)  # type: ignore[arg-type]

    def close(self) -> None:
        self._leases.close()


def epoch(events: EventWriter, number: int, value: float) -> None:
    events.write(
        "epoch",
        epoch=number,
        step=number * 10,
        values={"val/accuracy": value},
        images_per_s=1000.0,
    )


class Eyes:
    """What somebody sees who looks at the app, and waits for something to appear."""

    def __init__(self, app: BranchlabApp, pilot) -> None:
        self.app = app
        self.pilot = pilot

    def rows(self) -> list[str]:
        """Return the screen's rows, dialogs included."""
        app = self.app
        update = app.screen._compositor.render_update(
            full=True, screen_stack=app._background_screens
        )
        strips = [
            getattr(strip, "text", None) or "".join(s.text for s in strip)
            for strip in update.strips
        ]
        return [row.rstrip() for row in strips]

    def text(self) -> str:
        return "\n".join(self.rows())

    async def see(self, wanted: str, *, within_s: float = 60.0) -> str:
        """Wait until a text stands on the screen; return the row that it stands in."""
        until = time.monotonic() + within_s
        while True:
            await asyncio.sleep(0.01)
            found = [row for row in self.rows() if wanted in row]
            if found:
                return found[0]
            assert time.monotonic() < until, f"{wanted!r} is not in\n{self.text()}"

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await asyncio.sleep(0.02)


def watch(app: BranchlabApp, look, *, size: tuple[int, int] = (80, 24)) -> None:
    """Run an app without a terminal while ``look`` looks at it."""

    async def session() -> None:
        async with app.run_test(size=size) as pilot:
            await look(Eyes(app, pilot))

    asyncio.run(session())


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch):
    for name in ("_BUSY_PAUSE_S", "_IDLE_PAUSE_S"):
        monkeypatch.setattr(feed, name, 0.1)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both labs, built once: git takes longer than all else here."""
    folder = tmp_path_factory.mktemp("templates")
    TuiLab(folder / "empty" / "project", folder / "empty" / "home")
    build_full(TuiLab(folder / "full" / "project", folder / "full" / "home"))
    return folder


@pytest.fixture
def lab(tmp_path: Path, _templates: Path):
    """Main and the reference, no experiment."""
    shutil.copytree(_templates / "empty", tmp_path / "lab")
    found = TuiLab(tmp_path / "lab" / "project", tmp_path / "lab" / "home")
    yield found
    found.close()


@pytest.fixture
def full_lab(tmp_path: Path, _templates: Path):
    """Four experiments: better, in conflict, failed and never run."""
    shutil.copytree(_templates / "full", tmp_path / "lab")
    found = TuiLab(tmp_path / "lab" / "project", tmp_path / "lab" / "home")
    yield found
    found.close()


def build_full(lab: TuiLab) -> TuiLab:
    lab.branch("exp/wider", {"model.py": "width = 16\n"}, "Double the width", title="Twice as wide")
    lab.branch("exp/gelu", {"act.py": "ACT = 'gelu'\n"}, "Use GELU", title="GELU in place of ReLU")
    lab.branch("exp/focal", {"loss.py": "focal\n"}, "Focal loss")
    lab.branch("exp/new-idea", {"idea.py": "x\n"}, "Think of something")
    lab.commit({"model.py": "width = 12\n"}, "Settle on a width of 12")
    lab.done("original", 0.850, 0.852, 0.851)
    lab.done("main", 0.860, 0.862, 0.861)
    lab.done("exp/gelu", 0.871, 0.873, 0.8715)
    lab.done("exp/wider", 0.8605, 0.8615, 0.8612)
    lab.failed("exp/focal", 0, "ValueError: logits are NaN at step 12")
    return lab


@pytest.fixture
def tui():
    """The helpers, for tests are modules that cannot import one another."""

    class Helpers:
        watch = staticmethod(watch)
        epoch = staticmethod(epoch)
        paste = Paste

    return Helpers
