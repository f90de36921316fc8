"""``[track]``: seeing to it that a tracker mirrors the runs of a repository, and hearing what it has to say.

The tracker is a process of its own (``lab/tracker``), one a repository by a lock. Whoever starts runs starts it, waits for
nothing and goes on whatever becomes of it; what it could not do stands in a file, and the next command to look says it, once.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from branchlab.errors import BranchlabError
from branchlab.export.tool import destination_of, missing
from branchlab.lab.project import Project
from branchlab.run_folder import StateFolder, locked, to_text

_NOTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class TrackerFiles:
    """What a tracker and the commands share: ``.branchlab/track/``."""

    folder: Path

    @classmethod
    def of(cls, state: StateFolder) -> TrackerFiles:
        """Return those of a repository."""
        return cls(state.path / "track")

    @property
    def lock(self) -> Path:
        """Held by the tracker as long as it works."""
        return self.folder / "lock"

    @property
    def log(self) -> Path:
        """What the tracker and its tools printed, with tracebacks."""
        return self.folder / "log.txt"

    @property
    def notes(self) -> Path:
        return self.folder / "notes.jsonl"

    @property
    def said(self) -> Path:
        return self.folder / "said"

    def note(self, text: str) -> bool:
        """Leave something for the next command to say; return whether there was room for it."""
        line = (json.dumps({"at": to_text(datetime.now(UTC)), "text": text}) + "\n").encode()
        try:
            with self.notes.open("ab", buffering=0) as file:
                return file.write(line) == len(line)
        except OSError:
            return False

    def news(self) -> list[str]:
        """Return what no command has said yet; it counts as said from now on."""
        if not self.notes.exists():
            return []
        with locked(self.folder / "said.lock", wait_s=1.0) as is_ours:
            if not is_ours:
                return []
            said = _number_in(self.said)
            with self.notes.open("rb") as file:
                # A tracker that found the file too long has begun it anew.
                file.seek(min(said, file.seek(0, 2)) if said <= self.notes.stat().st_size else 0)
                content = file.read(_NOTES_MAX)
                end = file.tell() - len(content) + content.rfind(b"\n") + 1
            self.said.write_text(str(end))
        lines = [line for line in content.split(b"\n")[:-1] if line]
        return list(dict.fromkeys(text for line in lines if (text := _text_of(line))))

    def make_room(self) -> None:
        """Begin files anew that have grown too long; called by the tracker before it works."""
        for path in (self.notes, self.log):
            with contextlib.suppress(OSError):
                if path.stat().st_size > _NOTES_MAX:
                    path.write_bytes(b"")


def start_tracker(project: Project) -> tuple[str, ...]:
    """See to it that a tracker works where the config asks for one; return what the user should know.

    Called after the command has shown that it is at work: a tracker that is about to end sees that, and stays.
    """
    try:
        return _start(project)
    except (OSError, BranchlabError) as error:
        return (f"runs are not tracked: {error}; they go on",)


def _start(project: Project) -> tuple[str, ...]:
    wanted = dict.fromkeys(project.config.track.to)
    complaints = {tool: missing(tool) for tool in wanted}
    notes = [
        f"{complaint.message}, so runs are not tracked there; they go on. {complaint.hint}"
        for complaint in complaints.values()
        if complaint is not None
    ]
    if any(complaint is None for complaint in complaints.values()):
        files = TrackerFiles.of(project.state)
        # Before any run begins: what is over now is history, what is over later is not.
        for tool in wanted:
            destination = destination_of(tool, project.config.track, project.state)
            destination.bookmarks(project.state).earlier(lambda: project.index().runs())
        with locked(files.lock) as is_free:
            pass
        if is_free:
            _spawn(project.repository.root, files.log)
    return tuple(notes)


def tracker_news(project: Project) -> Sequence[str]:
    """Return what a tracker could not do, as far as no command has said it yet."""
    if not project.config.track.to:
        return []
    try:
        return TrackerFiles.of(project.state).news()
    except OSError:
        return []


def _spawn(root: Path, log: Path) -> None:
    """Start a tracker in a session of its own, so that Ctrl-C is not meant for it."""
    with log.open("ab") as file:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "branchlab.lab.tracker", str(root)],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _number_in(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _text_of(line: bytes) -> str:
    try:
        found = json.loads(line)
    except ValueError:
        return ""
    return str(found.get("text", "")) if isinstance(found, dict) else ""
