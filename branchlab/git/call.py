"""The one way in which branchlab starts git.

A repository's own config can run programs (hooks, fsmonitor, external diffs, signature checks) and change what a command
prints; so can the environment. Every call therefore carries the same flags and a cleared environment, tried against
a repository whose config abuses every key. Only clean and smudge filters still run: large-file storage needs them. No
call reaches the network: what a partial clone lacks is missing, not fetched.
Bytes go out and come back; text is decoded with surrogateescape, because git takes names that are not UTF-8.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from branchlab.errors import RepositoryError

_FLAGS = (
    *("--no-pager", "--no-optional-locks", "--no-replace-objects"),
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "diff.external="),
    *("-c", "log.showSignature=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false"),
    *("-c", "submodule.recurse=false", "-c", "protocol.allow=never"),
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
        raise _failed(cwd, args, answer.complaint, answer.rc)
    return answer.out


def ask(
    cwd: Path,
    *args: str,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> Answer:
    """Run git where a non-zero exit is an answer; raises only when git could not be run or did not end."""
    try:
        done = subprocess.run(
            _command(args),
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
        raise _too_slow(cwd, args, timeout_s) from None
    return Answer(done.returncode, done.stdout, _complaint(done.stderr))


def pipe(
    cwd: Path, first: Sequence[str], second: Sequence[str], *, stdin: bytes, timeout_s: float = 600
) -> bytes:
    """Run one git command into another and return the stdout of the second; what flows between is never held whole.

    Raises:
        RepositoryError: Either of them failed or was too slow.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as complaints:
        asked.write(stdin)
        asked.seek(0)
        how: dict[str, Any] = {"cwd": cwd, "env": _environment(), "stderr": complaints}
        source = subprocess.Popen(_command(first), stdin=asked, stdout=subprocess.PIPE, **how)
        try:
            assert source.stdout is not None
            answer: subprocess.CompletedProcess[bytes] = subprocess.run(
                _command(second),
                stdin=source.stdout,
                stdout=subprocess.PIPE,
                check=False,
                timeout=timeout_s,
                **how,
            )
        except subprocess.TimeoutExpired:
            source.kill()
            raise _too_slow(cwd, first, timeout_s) from None
        finally:
            if source.stdout is not None:
                source.stdout.close()
            rc = source.wait()
        if answer.returncode or rc > 0:
            complaints.seek(0)
            raise _failed(cwd, first, _complaint(complaints.read()), rc or answer.returncode)
        return answer.stdout


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


def _command(args: Sequence[str]) -> list[bytes]:
    return [to_bytes(word) for word in ("git", *_FLAGS, *args)]


def _complaint(stderr: bytes) -> str:
    return text(stderr.strip(_SEPARATORS).split(b"\n")[-1].strip())


def _failed(cwd: Path, args: Sequence[str], complaint: str, rc: int) -> RepositoryError:
    what = complaint or f"git {_verb(args)} ended with {rc}"
    return RepositoryError(what, hint=f"look at the repository: git -C {cwd} status")


def _too_slow(cwd: Path, args: Sequence[str], timeout_s: float) -> RepositoryError:
    return RepositoryError(
        f"git {_verb(args)} took longer than {timeout_s:g} s in {cwd}",
        hint="is the disk slow, or another git process stuck? try again",
    )


def _environment() -> dict[str, str]:
    """Without GIT_*: a hook that starts us sets GIT_DIR, and every call would go to the wrong repository."""
    dropped = {"SSH_ASKPASS", "LANGUAGE"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") and k not in dropped}
    # A graft file changes what the parents of a commit are.
    fixed = {"GIT_GRAFT_FILE": os.devnull, "GIT_NO_LAZY_FETCH": "1"}
    return {**kept, **fixed, "LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0"}


def _verb(args: Sequence[str]) -> str:
    return next((arg for arg in args if arg[:1] != "-" and "=" not in arg), "")
