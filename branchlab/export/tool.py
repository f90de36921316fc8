"""What a tool has to do that runs are written into, and which place of which tool is meant."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from branchlab.config import TOOLS, Track
from branchlab.domain import RunRecord
from branchlab.errors import ConfigError, nearest
from branchlab.export.bookmarks import Bookmarks
from branchlab.export.news import News
from branchlab.run_folder import JSON, RunFolder, StateFolder

_SQLITE = "sqlite:///"

Tell = Callable[[str], object]
"""Hears what a user should know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One place of one tool.

    Attributes:
        tool: ``mlflow``, ``tensorboard`` or ``wandb``.
        address: A URI of MLflow, or a folder.
        project: What the runs of this repository are filed under there.
    """

    tool: str
    address: str
    project: str

    def bookmarks(self, state: StateFolder) -> Bookmarks:
        """Return how far runs have been written here."""
        digest = hashlib.sha256(f"{self.address}\n{self.project}".encode()).hexdigest()[:8]
        return Bookmarks(state.path / "track" / f"{self.tool}-{digest}")


class Tool(Protocol):
    """A tool that runs are written into; what it raises is its own, and hurts no run.

    Attributes:
        takes_earlier_steps: Whether a step before the last one may still be written, as a new attempt at a run does.
    """

    takes_earlier_steps: bool

    def begin(self, record: RunRecord, own: JSON, *, is_anew: bool) -> tuple[JSON, bool]:
        """Make its record of a run, or find it again; return what finds it, and whether all has to be written anew.

        Where the run itself has begun anew it has to: the curves that the record has are the run's no more.
        """
        ...

    def send(self, record: RunRecord, news: News, own: JSON) -> JSON:
        """Write news; return what finds the record again."""
        ...

    def end(self, record: RunRecord, folder: RunFolder, own: JSON) -> JSON:
        """Say how a run ended, and hand over its log."""
        ...

    def close(self) -> None:
        """Let go of what is held."""
        ...


def destination_of(
    tool: str, track: Track, state: StateFolder, *, address: str = ""
) -> Destination:
    """Return where runs go: the address given, what the config says, the tool's own variables, a local place."""
    local = str(state.path / tool)
    variables = os.environ.get
    match tool:
        case "mlflow":
            place = address or track.mlflow_uri or variables("MLFLOW_TRACKING_URI") or ""
            project = track.project or variables("MLFLOW_EXPERIMENT_NAME")
            address = _mlflow_uri(place or local, state.path.parent)
        case "tensorboard":
            address = str(Path(address or track.tensorboard_dir or local).absolute())
            project = track.project
        case "wandb":
            # W&B puts its files into a folder of that name by itself.
            address = str(Path(address or variables("WANDB_DIR") or state.path).absolute())
            project = track.project or variables("WANDB_PROJECT")
        case _:
            raise ConfigError(
                f"runs cannot be written to '{tool}'",
                hint=f"{nearest(tool, TOOLS)}known: {', '.join(TOOLS)}",
            )
    project = project or state.path.parent.name
    return Destination(tool=tool, address=address, project=project)


def _mlflow_uri(place: str, root: Path) -> str:
    """Return a URI for MLflow; a folder or a file of the repository is a database there."""
    if place.startswith(_SQLITE):
        place = place.removeprefix(_SQLITE)
    elif ":" in place or place == "databricks":
        return place
    path = root / place
    return f"{_SQLITE}{path if path.suffix == '.db' else path / 'mlflow.db'}"


def missing(tool: str) -> ConfigError | None:
    """Return the complaint where a tool is not installed here; nothing of it is imported."""
    if importlib.util.find_spec(tool) is not None:
        return None
    return ConfigError(f"{tool} is not installed here", hint=f"pip install 'branchlab[{tool}]'")


def open_tool(destination: Destination, tell: Tell) -> Tool:
    """Return the tool of a destination, imported now.

    Raises:
        ConfigError: It is not installed.
        Exception: Whatever it raises when it cannot be reached.
    """
    if (complaint := missing(destination.tool)) is not None:
        raise complaint
    module = importlib.import_module(f"branchlab.export.to_{destination.tool}")
    tool: Tool = module.open_tool(destination, tell)
    return tool
