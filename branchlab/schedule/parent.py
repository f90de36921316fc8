"""The warm parent process as this side sees it: started or found, told things, listened to.

A private parent lives as long as whoever started it. A lingering one is shared by all commands of a user that would start
the same: it listens on a socket, and ends by itself some time after its last run. It forks trainers with the environment
of the command that asked; what only takes effect while torch is imported is part of which parent is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import selectors
import site
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from branchlab import version
from branchlab.train import exits

_AT_IMPORT = (
    *("CUBLAS", "CUDA", "GOMP", "HIP", "KMP", "LD_", "MALLOC", "MKL", "NCCL", "NVIDIA", "OMP"),
    *("OPENBLAS", "PATH", "PYTHON", "PYTORCH", "ROCR", "TORCH", "TRITON", "VIRTUAL_ENV"),
)
"""Beginnings of variables that act when Python starts or torch is imported."""
_OURS = ("train", "domain", "run_folder")
_OF_A_REPOSITORY = {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"}
"""Set for each repository by ``surroundings``: they would part parents, and act when something is compiled."""
_STDERR = 2
_LOOK_EVERY_S = 0.02
_SPAWN_AGAIN_S = 2.0
_CONNECT_WITHIN_S = 2.0
_NAME_MAX = 60
"""Bytes of a runtime folder's path: the address of a socket takes 108 in all."""


class Parent:
    """A connection to a warm parent; ``receive`` returns nothing until it is warm.

    Args:
        preload: Modules to import besides torch.
        log: Where a private parent complains; it stands in the folder of that.
        environment: Of the runs that are started through this connection.
        linger_s: A parent that is shared stays for so long; 0 starts one of our own.
        python: Of another environment than this one; its packages are those that count.
    """

    def __init__(
        self,
        preload: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        linger_s: float,
        *,
        python: Path | None = None,
    ) -> None:
        self._python = python
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._command: list[str] = []
        self._spawned_at = 0.0
        self._socket: socket.socket | None = None
        self._address: Path | None = None
        self._pending = b""
        self._unsent: list[bytes] = []
        self._preload, self._linger_s = list(preload), linger_s
        self.log, self.log_from = log, 0

    def open(self) -> None:
        """Find the parent or start one; returns at once."""
        command = [str(self._python or sys.executable), "-P", "-m", "branchlab.train.host"]
        place = runtime_folder() if self._linger_s else None
        if place is None:
            self._start([*command, *self._preload])
            os.set_blocking(self._stdout().fileno(), False)
            return
        name = _identity(self._preload, self._environment, self._python)
        self._address, self.log = place / f"{name}.sock", place / f"{name}.log"
        if not self._connect():
            words = ["--socket", str(self._address), "--linger", str(self._linger_s)]
            self._command = [*command, *words, *self._preload]
            self._spawn()

    def send(self, **message: object) -> None:
        """Tell the parent something.

        Raises:
            OSError: It has ended.
        """
        line = json.dumps(message).encode() + b"\n"
        if self._address is not None and not self._connect():
            self._unsent.append(line)
        elif self._socket is not None:
            self._socket.sendall(line)
        elif self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        else:
            raise BrokenPipeError

    def receive(self, timeout_s: float) -> list[dict[str, Any]] | None:
        """Return what the parent says within a time; None once it has ended."""
        if self._address is not None and not self._connect():
            if self._has_failed():
                return None
            if self._pid is None and time.monotonic() - self._spawned_at > _SPAWN_AGAIN_S:
                self._spawn()  # the one that was there first has ended, or was just ending
            time.sleep(min(_LOOK_EVERY_S, max(0.0, timeout_s)))
            return []
        source = self._socket if self._socket is not None else self._stdout()
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            if not selector.select(max(0.0, timeout_s)):
                return []
        try:
            chunk = os.read(source.fileno(), 1 << 16)
        except ConnectionError:
            return None
        if not chunk:
            return None
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self, *, is_unused: bool) -> None:
        """Let the parent go: a private one ends once its runs have, at once when it was given none."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        if is_unused:
            process.kill()  # it may be importing torch, and would see only later that nobody wants it
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)

    def _spawn(self) -> None:
        """Start a parent that will outlive this process and answers to nobody."""
        # What this command was started with, a lock or a pipe, is none of the parent's.
        foreign = _inheritable()
        with self.log.open("ab") as log:
            self.log_from, self._spawned_at = log.tell(), time.monotonic()
            self._pid = os.posix_spawn(
                self._command[0],
                self._command,
                self._environment,
                file_actions=[
                    *((os.POSIX_SPAWN_CLOSE, fd) for fd in foreign),
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                ],
                setsid=True,
            )

    def _has_failed(self) -> bool:
        """Whether the parent that was spawned here has ended, and not because another was there first."""
        if self._pid is None:
            return False
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return False
        self._pid = None
        return os.waitstatus_to_exitcode(status) != exits.ANOTHER

    def _start(self, command: list[str]) -> None:
        with self.log.open("ab") as log:
            self.log_from = log.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.log.parent,
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the command line alone, which decides what stops
            )

    def _stdout(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout

    def _connect(self) -> bool:
        """Return whether the parent listens; the first thing that it is told is for whom it works."""
        if self._socket is not None:
            return True
        found = socket.socket(socket.AF_UNIX)
        found.settimeout(_CONNECT_WITHIN_S)
        try:
            found.connect(str(self._address))
        except OSError:
            found.close()
            return False
        found.setblocking(True)  # noqa: FBT003  its only parameter
        self._socket = found
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        umask = os.umask(0o077)
        os.umask(umask)
        hello = {"op": "hello", "environment": self._environment, "cores": cores, "umask": umask}
        with contextlib.suppress(OSError):  # reading finds out that it has ended
            found.sendall(b"".join([json.dumps(hello).encode() + b"\n", *self._unsent]))
        self._unsent.clear()
        return True


def runtime_folder() -> Path | None:
    """Return a folder for sockets that is this user's alone, or None where there is none."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    for folder in (
        *([Path(base) / "branchlab"] if base else []),
        Path("/tmp") / f"branchlab-{os.getuid()}",  # noqa: S108  made 0700, its owner checked
    ):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            continue
        is_ours = found.st_uid == os.getuid() and not found.st_mode & 0o077
        if stat.S_ISDIR(found.st_mode) and is_ours and len(os.fsencode(folder)) <= _NAME_MAX:
            return folder
    return None


def _inheritable() -> list[int]:
    """Return the descriptors beyond the standard three that a child would be given."""
    found = []
    for path in sorted(Path("/dev/fd").glob("*")):
        with contextlib.suppress(OSError):  # the one that listing itself opened is closed again
            if int(path.name) > _STDERR and os.get_inheritable(int(path.name)):
                found.append(int(path.name))
    return found


def _package_folders(python: Path | None) -> list[Path]:
    """Return where packages are installed, and what adds to that: a parent does not see what is installed after it."""
    if python is None:
        folders = [Path(path) for path in {*site.getsitepackages(), site.getusersitepackages()}]
    else:
        folders = list(python.parents[1].glob("lib/python*/site-packages"))
    there = [folder for folder in sorted(folders) if folder.is_dir()]
    return [*there, *(path for folder in there for path in sorted(folder.glob("*.pth")))]


def _torch_of(python: Path | None) -> Path | None:
    if python is not None:
        return next(python.parents[1].glob("lib/python*/site-packages/torch/__init__.py"), None)
    torch = importlib.util.find_spec("torch")
    return Path(torch.origin) if torch is not None and torch.origin is not None else None


def _identity(preload: Sequence[str], environment: Mapping[str, str], python: Path | None) -> str:
    """Return what tells a parent that would be started now from any other: interpreter, code, variables."""
    torch = _torch_of(python)
    home = Path(version.__file__).parent
    sources = [path for room in _OURS for path in sorted((home / room).rglob("*.py"))]
    if torch is not None:
        sources += [torch, torch.with_name("version.py")]
    found = {
        "python": [str(python or sys.executable), sys.version],
        "branchlab": [version.__version__, str(home)],
        "sources": [[str(path), path.stat().st_mtime_ns] for path in sources if path.exists()],
        "preload": list(preload),
        "packages": [[str(path), path.stat().st_mtime_ns] for path in _package_folders(python)],
        "variables": {
            name: value
            for name, value in sorted(environment.items())
            if name.startswith(_AT_IMPORT) and name not in _OF_A_REPOSITORY
        },
    }
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]
