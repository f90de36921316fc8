"""The far end of a run on a machine that shares nothing with this one: unpacks the commit, starts the run, hands out what it wrote.

An engine makes one of these a run, over there, and calls it from here; nothing in it knows the engine. A run of an outpost
ends with it. Every call may be repeated. What is left of an outpost that was killed is taken away by the next one there.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from branchlab.errors import BranchlabError, ConfigError
from branchlab.git.parcel import Parcel, unpack
from branchlab.git.worktrees import link
from branchlab.run_folder import RunFolder, locked, write_atomically
from branchlab.schedule.mirror import Copy, Had, Piece, Source
from branchlab.train.processes import RUN_VARIABLE, end_strays

_ANSWER_EVERY_S = 0.4
_LOOK_EVERY_S = 0.05
_ANSWER_BYTES_MAX = 16 << 20
_PREFIX = "branchlab-run-"
_END_WITHIN_S = 5.0
_SWEPT_AFTER_S = 60.0
"""One that is being made has no lock yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """What travels with an order and its commit where no file system is shared.

    Attributes:
        share: Paths that the work tree gets links for; ``data_root``: the folder of that machine that has them.
    """

    run_id: str
    share: tuple[str, ...] = ()
    data_root: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What is new of a run.

    Attributes:
        code: Exit code of its shim, once that has ended and all that it wrote has been handed out.
        complaint: What that printed last, when it never came to record anything.
    """

    pieces: tuple[Piece, ...] = ()
    code: int | None = None
    complaint: str = ""


class Outpost:
    """One run on a machine; ``scratch`` is where it may write there, "" for the usual place."""

    def __init__(self, scratch: str, checkpoint_every_s: float) -> None:
        self._parent = scratch or None
        self._every_s = checkpoint_every_s
        self._alive = ExitStack()
        self._scratch: Path | None = None
        self._folder: RunFolder | None = None
        self._source: Source | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._copy: Copy | None = None

    def arrive(self) -> str:
        """Return what this machine is called; its scratch folder is there from now on."""
        if self._scratch is None:
            if self._parent is not None:
                Path(self._parent).mkdir(parents=True, exist_ok=True)
            _sweep(Path(self._parent or tempfile.gettempdir()))
            scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._parent)).resolve()
            # Whoever can take this lock knows that the folder's owner is gone.
            self._alive.enter_context(locked(scratch / "alive"))
            self._scratch = scratch
            self._copy = Copy(scratch)
        return platform.node()

    def give(self, piece: Piece) -> None:
        """Take part of a file that the run needs; its path begins with the run's id."""
        assert self._copy is not None
        self._copy.take(piece)

    def begin(self, order: Mapping[str, Any], goods: Goods | None, parcel: Parcel | None) -> str:
        """Start the run; return why that cannot be, or nothing.

        Args:
            order: What ``branchlab.train.node`` is told; its paths are those of the machine that asks.
            goods: None where those paths can be seen from here.
            parcel: The commit; comes with the goods.
        """
        if self._process is not None:
            return ""
        assert self._scratch is not None
        order = dict(order)
        if goods is not None and parcel is not None:
            try:
                order |= self._lay_out(goods, parcel)
            except (BranchlabError, OSError) as error:
                return getattr(error, "message", str(error))
        self._folder = RunFolder(Path(order["run_folder"]))
        if goods is not None:
            self._source = Source(self._folder.path, checkpoint_every_s=self._every_s)
        # Which GPUs are its own is in the environment already, set by the engine.
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES") or None
        order |= {"visible_device": gpus, "slot": None, "parent": os.getpid()}
        with (self._scratch / "node.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "branchlab.train.node", json.dumps(order)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._scratch,
                env=_environment(),
                start_new_session=True,
            )
        return ""

    def pull(self, had: Had, stop: str) -> News:
        """Return what is new beyond what the caller ``had``, after a moment; pass on that the run shall ``stop``."""
        assert self._process is not None
        assert self._folder is not None
        code = self._wait()
        if code is None:
            if stop and not self._is_told(stop):
                write_atomically(self._folder.stop, stop.encode())
        elif code < 0:
            end_strays(RUN_VARIABLE, str(self._folder.path))
        if self._source is not None:
            is_over = code is not None
            pieces = self._source.pieces(had, num_bytes_max=_ANSWER_BYTES_MAX, is_over=is_over)
            if pieces:
                return News(pieces=tuple(pieces))
        return News(code=code, complaint="" if code is None else self._complaint())

    def leave(self) -> None:
        """End what still runs, and take everything away."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=_END_WITHIN_S)
        if self._source is not None:
            self._source.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._alive.close()

    def _lay_out(self, goods: Goods, parcel: Parcel) -> dict[str, str]:
        assert self._scratch is not None
        tree = self._scratch / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        unpack(parcel, tree)
        for path in goods.share:
            source = Path(goods.data_root) / path
            if not source.exists():
                raise ConfigError(
                    f"[run] share: '{path}' is not at {source} on the node {platform.node()} ([executor.ray] data_root)"
                )
            link(tree, path, source)
        return {"run_folder": str(self._scratch / goods.run_id), "worktree": str(tree)}

    def _wait(self) -> int | None:
        """Give the run time to write something; returns at once when it has ended."""
        assert self._process is not None
        until = time.monotonic() + _ANSWER_EVERY_S
        while (code := self._process.poll()) is None and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
        return code

    def _is_told(self, stop: str) -> bool:
        assert self._folder is not None
        # A shim that has just begun takes away what was asked before: then it is asked again.
        with contextlib.suppress(OSError):
            return self._folder.stop.read_text() == stop
        return False

    def _complaint(self) -> str:
        assert self._scratch is not None
        with contextlib.suppress(OSError):
            log = (self._scratch / "node.log").read_bytes()[-4096:]
            return (log.decode(errors="replace").strip().splitlines() or [""])[-1]
        return ""


def _environment() -> dict[str, str]:
    """Return what local runs get too: a fixed hash seed, and kernels that give the same bits every time."""
    fixed = {"PYTHONHASHSEED": "0", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    return {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", **os.environ, **fixed}


def _sweep(parent: Path) -> None:
    """Take away the folders of outposts that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.stat()
            is_fresh = time.time() - found.st_mtime < _SWEPT_AFTER_S
            if is_fresh or found.st_uid != os.getuid() or not (folder / "alive").exists():
                continue
            with locked(folder / "alive") as is_free:
                if is_free:
                    shutil.rmtree(folder, ignore_errors=True)
