"""``demo``: a small lab with real data and real branches, one for every answer to "could this be merged back?".

The code is that of ``examples/fashion``; ``examples/lab`` holds what the lab's history adds to it: a patch a commit
(message, ``---``, diff) and an experiment file a branch. Every commit has the same id wherever the lab is built. To
change a patch: change the code in a built lab, and write message and ``git diff`` back to the patch's file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from branchlab.config import CONFIG_NAME
from branchlab.errors import BranchlabError, ConfigError
from branchlab.experiment import experiment_path, parse_experiment
from branchlab.git.lab_repository import LabRepository, is_lab

MAIN, REFERENCE = "main", "original"
_ELSEWHERE = "choose another folder: branchlab demo DIR"
_DATA_FILES = ("__init__.py", "data.py", "LICENSE-fashion-mnist")
_MODEL_FILES = ("augment.py", "losses.py", "model.py", "published.py", "task.py")
_IGNORED = b"/data\n/.branchlab/\n__pycache__/\n"  # data without a slash: in a run's work tree it is a link


def build_demo_lab(folder: Path) -> Path:
    """Build the lab at ``folder`` and return its root; one that is there already is left as it is.

    Raises:
        ConfigError: There is something else at ``folder``, or it cannot be written.
        BranchlabError: The examples are missing from this installation.
    """
    folder = folder.absolute()
    if is_lab(folder, REFERENCE):
        return folder
    examples = find_examples()
    try:
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            raise ConfigError(f"{folder} exists and is no lab of the demo", hint=_ELSEWHERE)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".branchlab-demo-") as beside:
            built = Path(beside) / "lab"
            _Growth(LabRepository(built), examples).grow()
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


class _Growth:
    """The history of the lab: what happened, in order."""

    def __init__(self, lab: LabRepository, examples: Path) -> None:
        self.lab = lab
        self.fashion = examples / "fashion"
        self.source = examples / "lab"

    def grow(self) -> None:
        self.lab.create(MAIN)
        self.begin()
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
        self.lab.check_out(MAIN)

    def begin(self) -> None:
        """Commit the code as it was found, freeze it, and set branchlab up."""
        readme = (self.source / "README.md").read_bytes()
        self.lab.commit_files(
            MAIN,
            "Read Fashion-MNIST and hold a validation set back",
            {"README.md": readme, ".gitignore": _IGNORED, **self._code(_DATA_FILES)},
        )
        original = self.lab.commit_files(
            MAIN, "Classify it with a small conv net", self._code(_MODEL_FILES)
        )
        self.lab.point(REFERENCE, original)
        config = (self.source / "branchlab.toml").read_text(encoding="utf-8")
        self.lab.commit_files(
            MAIN,
            "Manage experiments with branchlab",
            {CONFIG_NAME: config.replace("@ORIGINAL@", original).encode()},
        )

    def experiment(self, name: str) -> None:
        """Fork a branch from the base that its experiment file names, and commit its idea and its code."""
        content = (self.source / "experiments" / f"{name}.toml").read_bytes()
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
        return {f"fashion/{name}": (self.fashion / name).read_bytes() for name in names}

    def _patch(self, name: str) -> tuple[str, bytes]:
        content = (self.source / "patches" / f"{name}.patch").read_bytes()
        message, _, patch = content.partition(b"\n---\n")
        return message.decode(), patch
