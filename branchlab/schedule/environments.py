"""Environments of branches, made by uv below ``.branchlab/environments/`` and kept by what goes into them.

What the project's files leave open is taken from the environment that branchlab itself runs in, where that can be had: a
branch that adds one package differs in that package, and torch comes from uv's cache. branchlab is linked in, not
installed, so that both sides always speak of run folders alike; its training part needs few packages, see ``NEEDS``.

One is built beside and renamed, under a lock, so that there is a whole one or none. ``branchlab.json`` in it says what it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from branchlab import version
from branchlab.analysis.dependencies import dependencies_of
from branchlab.errors import ConfigError, ExecutorError
from branchlab.run_folder import JSON, locked, write_atomically
from branchlab.train.installed import Installed, installed
from branchlab.train.versions import TRAINER_VERSION, python_version, torch_version_in

NEEDS = ("torch>=2.10", "numpy", "nvidia-ml-py", "pillow", "psutil>=6")
"""What the training part of branchlab imports."""

_FORMAT = 1
"""Raised when environments are made otherwise."""
_CARD = "branchlab.json"
_LOCK = "uv.lock"
_PYTHON_MIN = (3, 11)
_UV_WITHIN_S = 2 * 3600.0
_WAIT_S = _UV_WITHIN_S
_REASON_LENGTH_MAX = 600
_FOREIGN = {
    *("CONDA_PREFIX", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "PYTHONHOME", "PYTHONPATH"),
    *("UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "UV_SYSTEM_PYTHON", "VIRTUAL_ENV"),
}
"""Variables that would turn uv to another environment or repository than the one that is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What an environment is made of.

    Attributes:
        files: Texts by path, those that are included by others too.
        sources: Of them, what names requirements: a lock, a project file, lists. ``constraints``: what bounds versions.
        python: Version asked for; "" is branchlab's own.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    python: str = ""
    extras: tuple[str, ...] = ()
    needs: tuple[str, ...] = NEEDS

    @property
    def key(self) -> str:
        """Digest of all that decides what is installed, as far as that can be told beforehand: the name of its folder."""
        names = {re.split(r"[<>=!~ ]", need)[0] for need in self.needs}
        told = [
            _FORMAT,
            {path: dependencies_of(path, text) for path, text in sorted(self.files.items())},
            [self.sources, self.constraints, self.extras, self.needs],
            self.python or python_version(),
            [sys.platform, platform.machine(), *platform.libc_ver()],
            [one.pin for one in installed(sys.path).packages if one.name in names],
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One that is there. ``packages`` is the digest of what is installed in it, ``torch`` "" where there is none."""

    key: str
    python: Path
    python_version: str
    torch: str
    packages: str

    @property
    def facts(self) -> dict[str, str]:
        """Return what results depend on, as every executor says it, and the packages besides."""
        versions = {"python": self.python_version, "torch": self.torch, "trainer": TRAINER_VERSION}
        return {**versions, "packages": self.packages}


def existing(home: Path, ingredients: Ingredients) -> Environment | None:
    """Return the environment where it has been made already."""
    folder = home / ingredients.key
    try:
        card = json.loads((folder / _CARD).read_bytes())
        found = Environment(**{**card, "key": folder.name, "python": folder / "bin" / "python"})
    except (OSError, ValueError, TypeError):
        return None
    return found if found.python.exists() else None


def provide(home: Path, ingredients: Ingredients) -> Environment:
    """Return the environment, made when there is none; another command that is making it is waited for.

    Raises:
        ConfigError: uv is not installed.
        ExecutorError: uv cannot make it, its own words say why; or nothing can be trained in it.
    """
    folder = home / ingredients.key
    found = existing(home, ingredients)
    if found is None:
        uv = _uv()
        with locked(_lock_of(folder), wait_s=_WAIT_S) as is_ours:
            if not is_ours:
                raise ExecutorError(
                    f"another command has been making {folder} for {_WAIT_S:g} s",
                    hint="wait for it to end, or end it",
                )
            found = existing(home, ingredients) or _make(uv, folder, ingredients)
    _link(_packages_folder(folder))
    return found


def tidy(home: Path, keep: set[str]) -> int:
    """Remove the environments that are not in ``keep``, and what is left of half-made ones; one in the making stays."""
    num = 0
    keys = {path.name.lstrip(".").partition(".")[0] for path in home.glob("*")}
    for key in sorted(keys - keep):
        with locked(home / f"{key}.lock") as is_ours:
            if is_ours:
                num += (home / key).exists()
                _drop_half_made(home / key)
                shutil.rmtree(home / key, ignore_errors=True)
                (home / f"{key}.lock").unlink(missing_ok=True)
    return num


def _make(uv: Sequence[str], folder: Path, ingredients: Ingredients) -> Environment:
    _drop_half_made(folder)
    shutil.rmtree(folder, ignore_errors=True)  # a damaged one
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        # Outside of the repository: uv takes settings from project files in the folders above.
        with tempfile.TemporaryDirectory(prefix=_workshop_prefix(folder)) as workshop:
            card = _build(uv, beside, ingredients, Path(workshop))
        write_atomically(beside / _CARD, json.dumps(card).encode())
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Environment(key=folder.name, python=folder / "bin" / "python", **card)


def _build(uv: Sequence[str], beside: Path, ingredients: Ingredients, workshop: Path) -> JSON:
    """Make the environment in a folder; return what its card says of it."""
    for path, text in ingredients.files.items():
        place = workshop / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    wanted = ingredients.python or sys.executable
    _ask(uv, workshop, "venv", "--relocatable", "--no-project", "--python", wanted, str(beside))
    found = _python_of(beside)
    if tuple(map(int, found.split(".")[:2])) < _PYTHON_MIN:
        raise ExecutorError(
            f"its environment would have Python {found}; branchlab trains with 3.11 or newer",
            hint='set [env] python = "3.11" in .branchlab.toml',
        )
    python = str(beside / "bin" / "python")
    pins = _resolve(uv, python, ingredients, workshop)
    if pins.read_text().strip():
        _ask(uv, workshop, "pip", "install", "--no-deps", "--python", python, "-r", str(pins))
    packages = _packages_folder(beside)
    _link(packages)
    if ingredients.needs:
        _check_imports(python)
    return {
        "python_version": found,
        "torch": torch_version_in(packages),
        "packages": _installed_in(packages).digest,
    }


def _resolve(uv: Sequence[str], python: str, ingredients: Ingredients, workshop: Path) -> Path:
    """Write down what is to be installed, exactly; what the files leave open is as it is here, where that can be had."""
    pins, needs = workshop / ".pins.txt", workshop / ".needs.in"
    here = [package.pin for package in installed(sys.path).packages if not package.url]
    pins.write_text("\n".join(here))
    needs.write_text("\n".join(ingredients.needs))
    extras = [word for extra in ingredients.extras for word in ("--extra", extra)]
    sources = [source for source in ingredients.sources if Path(source).name != _LOCK]
    if len(sources) < len(ingredients.sources):
        lock = workshop / ".lock.txt"
        how = ("--frozen", "--no-emit-project", "--no-hashes", "--no-dev", "--no-header")
        _ask(uv, workshop, "export", *how, "--python", python, *extras, "-o", str(lock))
        sources, extras = [*sources, str(lock)], []
    bounds = [word for path in ingredients.constraints for word in ("-c", path)]
    if any("branchlab" in text for text in ingredients.files.values()):
        (workshop / ".ours.txt").write_text("branchlab\n")  # it is linked in
        bounds += ["--excludes", ".ours.txt"]
    told = ("--no-header", "--no-annotate", "--emit-index-url", "--emit-find-links")
    into = ("--python", python, "-o", str(pins))
    _ask(uv, workshop, "pip", "compile", *told, *into, *extras, *bounds, *sources, str(needs))
    return pins


def _ask(uv: Sequence[str], folder: Path, *words: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    try:
        done = subprocess.run(
            [*uv, *words, "--quiet", "--color", "never"],
            cwd=folder,
            env={**kept, "UV_NO_PROGRESS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_UV_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExecutorError(
            f"its environment cannot be made: uv {words[0]} took longer than {_UV_WITHIN_S:g} s",
            hint="see what it waits for: uv pip compile requirements.txt",
        ) from None
    if done.returncode:
        said = re.sub(r"[^\w\s]*[×╰─▶├│┬]+", " ", done.stderr.decode(errors="replace"))  # noqa: RUF001  uv's own
        said = " ".join(said.split()).removeprefix("error: ").replace(" cause: ", ": ")
        said = said or f"uv {words[0]} left with exit code {done.returncode}"
        raise ExecutorError(
            f"its environment cannot be made: {said[:_REASON_LENGTH_MAX]}",
            hint="mend what the branch requires, then run it again",
        )


def _check_imports(python: str) -> None:
    """See that runs can be trained there: a warm parent that cannot start would stop the runs of all branches."""
    done = subprocess.run(
        [python, "-P", "-c", "import branchlab.train.host"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if name not in _FOREIGN},
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise ExecutorError(
            f"its environment cannot train: {said[-1]}",
            hint="mend what the branch requires, then run it again",
        )


def _uv() -> list[str]:
    if (found := shutil.which("uv")) is not None:
        return [found]
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise ConfigError(
        '[env] manager = "uv": uv is neither on PATH nor installed beside branchlab',
        hint="pip install uv",
    )


def _link(packages: Path) -> None:
    """Let the environment import the branchlab that runs here."""
    ours, place = Path(version.__file__).parent, packages / "branchlab"
    if place.is_symlink() and place.readlink() == ours:
        return
    beside = packages / f".branchlab.{os.getpid()}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(ours)
    beside.replace(place)


def _python_of(folder: Path) -> str:
    found = re.search(
        r"^version_info\s*=\s*([\d.]+)", (folder / "pyvenv.cfg").read_text(), re.MULTILINE
    )
    return ".".join(found[1].split(".")[:3]) if found else "0.0"


def _packages_folder(folder: Path) -> Path:
    return next(iter(folder.glob("lib/python*/site-packages")), folder)


def _installed_in(packages: Path) -> Installed:
    return installed([str(packages)])


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _drop_half_made(folder: Path) -> None:
    """Take away what killed commands left; whoever lives and makes this one holds its lock."""
    workshops = Path(tempfile.gettempdir()).glob(f"{_workshop_prefix(folder)}*")
    for left in (*folder.parent.glob(f".{folder.name}.*"), *workshops):
        shutil.rmtree(left, ignore_errors=True)


def _workshop_prefix(folder: Path) -> str:
    """Return how workshops for one final place are called, so that the next maker finds what a killed one left."""
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return f"branchlab-env-{place}-"
