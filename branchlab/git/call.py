"""The one way in which branchlab starts git.

A repository's own config can run programs (hooks, fsmonitor, external diffs, signature checks) and change what a command
prints; so can the environment. Every call therefore carries the same flags and a cleared environment, tried against
a repository whose config abuses every key. Only clean and smudge filters still run: large-file storage needs them.
Bytes go out and come back; text is decoded with surrogateescape, because git takes names that are not UTF-8.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from branchlab.errors import RepositoryError

_FLAGS = (
    *("--no-pager", "--no-optional-locks", "--no-replace-objects"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "diff.external="),
    *("-c", "log.showSignature=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
    *("-c", "submodule.recurse=false", "-c", "protocol.ext.allow=never"),
    *("-c", "core.quotePath=false", "-c", "color.ui=false"),
)
_OBJECT_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SEPARATORS = b"\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What git said. ``complaint`` is the last line of stderr: the first ones are progress and warnings."""

    rc: int
    out: bytes
    complaint: str


def git(
    cwd: Path,
    *args: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> bytes:
    """Run git in ``cwd`` and return its stdout.

    Args:
        cwd: Where it runs.
        *args: Subcommand and arguments; names that came from outside only where no option could stand.
        stdin: What to feed it; closed when None.
        env: Added to the cleared environment, for instance ``GIT_INDEX_FILE``.
        timeout_s: After that it is killed.

    Raises:
        RepositoryError: Git is missing, was too slow, or failed; then with the last line that it complained of.
    """
    answer = ask(cwd, *args, stdin=stdin, env=env, timeout_s=timeout_s)
    if answer.rc:
        what = answer.complaint or f"git {_verb(args)} ended with {answer.rc}"
        raise RepositoryError(what, hint=f"look at the repository: git -C {cwd} status")
    return answer.out


def ask(
    cwd: Path,
    *args: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> Answer:
    """Run git where a non-zero exit is an answer; raises only when git could not be run or did not end."""
    command = ["git", *_FLAGS, *args]
    try:
        done = subprocess.run(
            [to_bytes(word) for word in command],
            cwd=cwd,
            env={**_environment(), **(env or {})},
            # No input is an empty input: git must never wait for somebody to type.
            input=stdin or b"",
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise RepositoryError(f"{cwd} does not exist", hint="go to a repository") from None
        raise RepositoryError(
            "git was not found on PATH", hint="install git 2.38 or newer"
        ) from None
    except NotADirectoryError:
        raise RepositoryError(f"{cwd} is not a folder", hint="go to a repository") from None
    except subprocess.TimeoutExpired:
        raise RepositoryError(
            f"git {_verb(args)} took longer than {timeout_s:g} s in {cwd}",
            hint="is the disk slow, or another git process stuck? try again",
        ) from None
    lines = done.stderr.strip(_SEPARATORS).split(b"\n")
    return Answer(done.returncode, done.stdout, text(lines[-1].strip()))


def text(content: bytes) -> str:
    """Decode what git printed, so that encoding it again gives the same bytes."""
    return content.decode("utf-8", "surrogateescape")


def to_bytes(content: str) -> bytes:
    """Undo ``text``."""
    return content.encode("utf-8", "surrogateescape")


def is_argument(word: str) -> bool:
    """Whether ``word`` can be handed to a process at all: no NUL, no surrogate that stands for no byte; not empty."""
    try:
        return bool(word) and b"\0" not in to_bytes(word)
    except UnicodeEncodeError:
        return False


def is_object_id(name: str) -> bool:
    """Whether ``name`` is a full object id, and so can never be taken for an option or a branch."""
    return _OBJECT_ID.fullmatch(name) is not None


def object_id(name: str) -> str:
    """Return ``name`` unchanged; a caller that has anything but a full object id has a bug."""
    if not is_object_id(name):
        raise ValueError(f"{name!r} is not a full object id")
    return name


def _environment() -> dict[str, str]:
    """Without GIT_*: a hook that starts us sets GIT_DIR, and every call would go to the wrong repository."""
    dropped = {"SSH_ASKPASS", "LANGUAGE"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") and k not in dropped}
    return {**kept, "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}


def _verb(args: tuple[str, ...]) -> str:
    return next((arg for arg in args if arg[:1] != "-" and "=" not in arg), "")
