"""``demo``: a small lab with real data and real branches, grown from an example.

That of ``examples/fashion`` has a branch for every answer to "could this be merged back?"; that of ``examples/superpixels`` has
branches that get wrong what flows through the model. Beside the code, a folder (``examples/lab``, ``examples/superpixels/lab``)
holds what a lab's history adds to it: a patch a commit (message, ``---``, diff) and an experiment file a branch. Every commit has
the same id wherever the lab is built. To change a patch: change the code in a built lab, and write message and ``git diff`` back to
the patch's file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from branchlab.config import CONFIG_NAME
from branchlab.errors import BranchlabError, ConfigError
from branchlab.experiment import experiment_path, parse_experiment
from branchlab.git.lab_repository import LabRepository, is_lab

MAIN, REFERENCE = "main", "original"
FASHION, SUPERPIXELS = "fashion", "superpixels"

_ELSEWHERE = "choose another folder: branchlab demo DIR"
_IGNORED = b"/data\n/.branchlab/\n__pycache__/\n"  # data without a slash: in a run's work tree it is a link


def build_demo_lab(folder: Path, *, example: str = FASHION) -> Path:
    """Build the lab of an example at ``folder`` and return its root; one that is there already is left as it is.

    Raises:
        ConfigError: There is something else at ``folder``, the lab of another example too, or it cannot be written.
        BranchlabError: The examples are missing from this installation.
    """
    folder = folder.absolute()
    if is_lab(folder, REFERENCE, holding=f"{example}/task.py"):
        return folder
    examples = find_examples()
    try:
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            what = "the demo" if example == FASHION else f"the example {example}"
            raise ConfigError(f"{folder} exists and is no lab of {what}", hint=_ELSEWHERE)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".branchlab-demo-") as beside:
            built = Path(beside) / "lab"
            _HISTORIES[example](LabRepository(built), examples).grow()
            shutil.copytree(examples / "fashion" / "data", built / "data")
            _put_in_place(built, folder)
    except OSError as error:
        what = f"the lab cannot be written to {folder}: {error.strerror or error}"
        raise ConfigError(what, hint=_ELSEWHERE) from None
    return folder


def _put_in_place(built: Path, folder: Path) -> None:
    """Rename; a folder that is there, and empty, may be somebody's current one, so it stays and is filled."""
    if not folder.exists():
        built.rename(folder)
        return
    # .git comes last: without it nobody takes the folder for a lab.
    for item in sorted(built.iterdir(), key=lambda item: item.name == ".git"):
        item.rename(folder / item.name)


def find_examples() -> Path:
    """Return the folder ``examples``: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parents[1]
    for place in (package / "examples", package.parent / "examples"):
        if (place / "lab").is_dir() and (place / "fashion").is_dir():
            return place
    raise BranchlabError(
        f"the examples are neither in {package} nor beside it",
        hint="install branchlab anew: pip install --force-reinstall branchlab",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the code of an example lies, which of its files come first, and what the first two commits say."""

    package: str
    history: str
    data_files: tuple[str, ...]
    model_files: tuple[str, ...]
    data_subject: str
    model_subject: str


class _Growth:
    """The history of a lab: what happened, in order."""

    source: _Source

    def __init__(self, lab: LabRepository, examples: Path) -> None:
        self.lab = lab
        self.code = examples / self.source.package
        self.history = examples / self.source.history

    def grow(self) -> None:
        self.lab.create(MAIN)
        self.begin()
        self.go_on()
        self.lab.check_out(MAIN)

    def go_on(self) -> None:
        """Let happen what this lab shows."""
        raise NotImplementedError

    def begin(self) -> None:
        """Commit the code as it was found, freeze it, and set branchlab up."""
        readme, source = (self.history / "README.md").read_bytes(), self.source
        first = {"README.md": readme, ".gitignore": _IGNORED, **self._code(source.data_files)}
        self.lab.commit_files(MAIN, source.data_subject, first)
        original = self.lab.commit_files(MAIN, source.model_subject, self._code(source.model_files))
        self.lab.point(REFERENCE, original)
        config = (self.history / "branchlab.toml").read_text(encoding="utf-8")
        self.lab.commit_files(
            MAIN,
            "Manage experiments with branchlab",
            {CONFIG_NAME: config.replace("@ORIGINAL@", original).encode()},
        )

    def experiment(self, name: str) -> None:
        """Fork a branch from the base that its experiment file names, and commit its idea and its code."""
        content = (self.history / "experiments" / f"{name}.toml").read_bytes()
        base = parse_experiment(content.decode(), where=f"{name}.toml").base
        branch = f"exp/{name}"
        self.lab.point(branch, self.lab.tip(base))
        files = {experiment_path(name): content}
        self.lab.commit_files(branch, f"Start experiment {name}", files)
        self.lab.commit_patch(branch, *self._patch(name))

    def improve(self, name: str) -> None:
        """Commit to main what makes no difference to how it trains."""
        self.lab.commit_patch(MAIN, *self._patch(f"main-{name}"))

    def land(self, name: str, *, number: int) -> None:
        """Squash an experiment into main, as a hosting site's button does."""
        subject = self._patch(name)[0].splitlines()[0]
        self.lab.commit_squash(MAIN, f"{subject} (#{number})", of=f"exp/{name}")

    def _code(self, names: tuple[str, ...]) -> dict[str, bytes]:
        package = self.source.package
        return {f"{package}/{name}": (self.code / name).read_bytes() for name in names}

    def _patch(self, name: str) -> tuple[str, bytes]:
        content = (self.history / "patches" / f"{name}.patch").read_bytes()
        message, _, patch = content.partition(b"\n---\n")
        return message.decode(), patch


class _FashionGrowth(_Growth):
    """A branch for every answer to the question whether it could be merged back."""

    source = _Source(
        package=FASHION,
        history="lab",
        data_files=("__init__.py", "data.py", "LICENSE-fashion-mnist"),
        model_files=("augment.py", "losses.py", "model.py", "published.py", "task.py"),
        data_subject="Read Fashion-MNIST and hold a validation set back",
        model_subject="Classify it with a small conv net",
    )

    def go_on(self) -> None:
        self.experiment("batch-norm")
        self.experiment("random-shift")
        self.improve("frame-predictions")
        self.land("batch-norm", number=1)
        self.experiment("squeeze-excite")
        self.experiment("spatial-attention")
        self.experiment("residual")
        self.improve("flip-probability")
        self.experiment("channel-growth")
        self.experiment("wider")
        self.experiment("gelu")
        self.experiment("concat-pool")
        self.experiment("cosine-head")
        self.improve("accuracy-top2")
        self.experiment("focal-loss")
        self.experiment("shape-notes")
        self.improve("worst-first")


class _SuperpixelGrowth(_Growth):
    """Branches that train, and get wrong what flows through their model; and one that does not."""

    source = _Source(
        package=SUPERPIXELS,
        history="superpixels/lab",
        data_files=("__init__.py", "garments.py", "scenes.py", "slic.py", "LICENSE-fashion-mnist"),
        model_files=("augment.py", "model.py", "task.py"),
        data_subject="Compose scenes of garments, with their superpixels",
        model_subject="Segment them with attention over superpixels",
    )

    def go_on(self) -> None:
        self.experiment("half-resolution")
        self.experiment("fast-pooling")
        self.experiment("random-shift")
        self.experiment("second-look")


_HISTORIES: dict[str, type[_Growth]] = {
    FASHION: _FashionGrowth,
    SUPERPIXELS: _SuperpixelGrowth,
}
