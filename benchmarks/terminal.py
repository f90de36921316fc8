"""A terminal for benchmarks: a program on a pty, what it sends with the time at which it came, and what it costs.

Nothing is drawn. Escape sequences are taken out of what comes, and texts are looked for in the rest: a program says when
its rows stand by sending them. The usual questions of a program to its terminal are answered, for some wait for that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from timing import clean_environment

_ESCAPES = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a title, a colour, the clipboard
    rb"|\x1b[P_^X][^\x1b]*\x1b\\"
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"
    rb"|\x1b[ -/]*[0-~]"
)
_ANSWERS = {
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[0c": b"\x1b[?62;22c",
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
    b"\x1b]10;?": b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
}
_TICKS = os.sysconf("SC_CLK_TCK")
_KEPT_BYTES_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class Seen:
    """When a text stood on the screen, in seconds from the start of the program, and the CPU time until then."""

    wall: float
    cpu: float
    match: re.Match[str] | None = None


class Terminal:
    """A program on a pty of its own, from its start on."""

    def __init__(
        self, command: Sequence[str | Path], *, cwd: Path, columns: int, lines: int
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = clean_environment(
            TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8", LC_ALL="C.UTF-8"
        )
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  no thread runs here
        )
        os.close(slave)
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self._raw = b""
        self.num_bytes = 0
        self.first_byte_s: float | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def pump(self, within_s: float) -> bool:
        """Take what comes within some time, once; return whether anything came."""
        if not self._poll.poll(max(0.0, within_s) * 1000):
            return False
        try:
            data = os.read(self._master, 1 << 20)
        except OSError:  # the program has gone
            data = b""
        if not data:
            sys.exit(f"the program ended early:\n{self.text()[-2000:]}")
        if self.first_byte_s is None:
            self.first_byte_s = time.perf_counter() - self.started
        self.num_bytes += len(data)
        self._raw = (self._raw + data)[-_KEPT_BYTES_MAX:]
        for question, answer in _ANSWERS.items():
            for _ in range(data.count(question)):
                os.write(self._master, answer)
        return True

    def text(self) -> str:
        """Return what has come since ``forget``, without escape sequences."""
        return _ESCAPES.sub(b" ", self._raw).decode(errors="replace")

    def forget(self) -> None:
        """Look only at what comes from here on."""
        self._raw = b""

    def see(self, wanted: str | Callable[[str], bool], *, within_s: float = 600.0) -> Seen:
        """Wait until something stands in what has come: a regular expression, or what a test of the text accepts."""
        until = time.perf_counter() + within_s
        while True:
            text = self.text()
            match = re.search(wanted, text) if isinstance(wanted, str) else None
            if match or (callable(wanted) and wanted(text)):
                return Seen(time.perf_counter() - self.started, self.cpu(), match)
            left = until - time.perf_counter()
            if left <= 0:
                sys.exit(f"{wanted!r} was not seen within {within_s:g} s in:\n{text[-3000:]}")
            self.pump(left)

    def settle(self, quiet_s: float = 0.3, *, within_s: float = 60.0) -> None:
        """Wait until nothing has come for a while."""
        until = time.perf_counter() + within_s
        while self.pump(quiet_s) and time.perf_counter() < until:
            pass

    def press(self, keys: str) -> float:
        """Send keys; return when."""
        os.write(self._master, keys.encode())
        return time.perf_counter()

    def answer(
        self, keys: str, *, quiet_s: float = 0.25, within_s: float = 30.0
    ) -> tuple[float, float]:
        """Press keys; return the seconds to the first byte that comes back, and to the last before the screen stands still."""
        pressed = self.press(keys)
        if not self.pump(within_s):
            sys.exit(f"nothing came back for {keys!r} within {within_s:g} s")
        first = last = time.perf_counter() - pressed
        while self.pump(quiet_s) and last < within_s:
            last = time.perf_counter() - pressed
        return first, last

    def cpu(self) -> float:
        """Return the user and system seconds of the program and of its children that have ended."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def memory_mib(self) -> float:
        """Return how much memory the program holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def close(self, keys: str = "q") -> None:
        """Ask the program to leave; one that does not is killed."""
        with contextlib.suppress(OSError):
            self.press(keys)
        until = time.monotonic() + 15
        while self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(SystemExit):
                self.pump(0.02)
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._master)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
