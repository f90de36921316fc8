"""Names inside the folder of one attempt at a run, and the files that say how it went."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from branchlab.domain import RunState
from branchlab.run_folder.files import JSON, to_text, write_atomically

_DIGEST = re.compile(rb'\{"digest": "([0-9a-f]+)"')
_DIGEST_BYTES_MAX = 100


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a run: the files that its processes write."""

    path: Path

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def usage(self) -> Path:
        """What the run takes of the machine, every few seconds: also the breath of whoever watches over it."""
        return self.path / "usage.jsonl"

    @property
    def pulse(self) -> Path:
        """Touched by the training while it gets on."""
        return self.path / "pulse"

    @property
    def told(self) -> Path:
        """Where ``branchlab.log`` appends what a script tells, until it has been taken in."""
        return self.path / "told.jsonl"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def environment(self) -> Path:
        """What it trains in: Python, packages, machine, and how it came to be planned."""
        return self.path / "environment.json"

    @property
    def val_examples(self) -> Path:
        """What the last validation found for each example; ``read_examples`` reads it."""
        return self.path / "val_examples.npz"

    @property
    def probe(self) -> Path:
        """What a probe has seen."""
        return self.path / "probe.json.gz"

    @property
    def recording(self) -> Path:
        return self.path / "recording.json.gz"

    @property
    def trace(self) -> Path:
        return self.path / "trace.json.gz"

    @property
    def look(self) -> Path:
        """What a process found that drew the sample and looked at it."""
        return self.path / "look.npz"

    @property
    def look_picture(self) -> Path:
        return self.path / "look.png"

    def write_result(self, state: RunState, *, reason: str = "", **more: object) -> None:
        """Say how the attempt ended. The first result stands: a later call changes nothing."""
        if self.result.exists():
            return
        document = {
            "state": str(state),
            "reason": reason,
            "ended_at": to_text(datetime.now(UTC)),
            **more,
        }
        write_atomically(self.result, json.dumps(document, indent=1).encode())

    def write_environment(self, document: JSON) -> None:
        """Say what the attempt trains in; its ``digest`` comes first in the file.

        Not synced: it would cost a run up to 20 ms, and what a power cut leaves damaged counts as not recorded.
        """
        self.environment.write_text(json.dumps(document))

    def read_environment(self) -> JSON | None:
        """Return what the attempt trained in; None where that is not recorded."""
        try:
            document = json.loads(self.environment.read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def environment_digest(self) -> str:
        """Return the digest of what the attempt trained in, from the beginning of the file; "" where it is not recorded."""
        try:
            with self.environment.open("rb") as file:
                found = _DIGEST.match(file.read(_DIGEST_BYTES_MAX))
        except OSError:
            return ""
        return found[1].decode() if found else ""

    def read_result(self) -> JSON | None:
        """Return the result, or None while there is none that can be read."""
        try:
            document = json.loads(self.result.read_bytes())
        except (OSError, ValueError):
            return None
        is_result = isinstance(document, dict) and document.get("state") in set(RunState)
        return document if is_result else None
