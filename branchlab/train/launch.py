"""Starts the ranks of one run with torchrun's launcher, and says how they ended together.

The launcher runs in the run's trainer process and forks every rank from it, so that torch is imported already; there is no
CUDA context before the fork. A rank that fails ends all: the launcher ends those it can, and those that hang in a collective
operation with a peer that is gone end themselves. What the failed one says is the run's reason.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import psutil
import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import LogsDest, LogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from branchlab.domain import Run, RunState
from branchlab.errors import ConfigError
from branchlab.run_folder import Attempt, EventWriter, RunFolder
from branchlab.train import randomness
from branchlab.train.loading import load_task, say_why
from branchlab.train.processes import die_with_parent
from branchlab.train.ranks import JoinedRanks
from branchlab.train.trainer import Ending, train
from branchlab.train.usage import out_of_memory_kills

_EXIT_WITH_PEER = 75
_LOOK_EVERY_S = 0.2
_GRACE_S = 1.0
"""So long a rank waits for the launcher to end it once a peer is gone."""
_CLOSING_S = 0.3
"""Connections of a process close a moment before it counts as ended."""
_FORK_S = 0.002
_COLLECTIVE_S = 30 * 86_400
"""A rank waits for its peers as long as they live: what bounds time and silence is the shim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What every rank of a run is given.

    Attributes:
        report: Pipe into which a rank writes why it failed.
        forked: Shared memory in which every rank sets its byte once it is there.
    """

    run: Run
    worktree: Path
    folder: RunFolder
    attempt: Attempt
    should_stop: Callable[[], bool]
    checkpoint_every_s: float
    launcher: int
    report: int
    forked: mmap.mmap


def train_together(
    run: Run,
    worktree: Path,
    folder: RunFolder,
    attempt: Attempt,
    *,
    should_stop: Callable[[], bool],
    checkpoint_every_s: float = 30.0,
) -> Ending:
    """Train a run in as many processes as it plans; return the first one's ending, or why one failed.

    ``should_stop`` is asked in every rank, so it has to be true in all of them once this process is asked to stop.
    """
    kills_before = out_of_memory_kills()
    reader, report = os.pipe()
    os.set_blocking(reader, False)
    logging.disable(logging.CRITICAL)  # the launcher's own: ranks turn theirs on again
    # Ranks are on this machine, whatever its host name leads to.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    # Counting GPUs, as the launcher does, must make no CUDA context before the fork.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=run.processes,
        run_id=run.id,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        start_method="fork",
        logs_specs=_NoFiles(),
        signals_to_handle="SIGQUIT",  # SIGTERM asks for a checkpoint here
    )
    together = Together(
        run=run,
        worktree=worktree,
        folder=folder,
        attempt=attempt,
        should_stop=should_stop,
        checkpoint_every_s=checkpoint_every_s,
        launcher=os.getpid(),
        report=report,
        forked=mmap.mmap(-1, run.processes),
    )
    try:
        ending: Ending = elastic_launch(config, _rank)(together)[0]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        return _failed(run, rank, failure.exitcode, _first_line(reader), kills_before)
    else:
        return ending
    finally:
        logging.disable(logging.NOTSET)
        os.close(reader)
        os.close(report)


def _first_line(reader: int) -> dict[str, object]:
    try:
        content = os.read(reader, 1 << 16)
    except BlockingIOError:
        return {}
    found: dict[str, object] = json.loads(content.split(b"\n")[0])
    return found


def _failed(
    run: Run, rank: int, code: int, said: dict[str, object], kills_before: int | None
) -> Ending:
    reason, is_out_of_memory = str(said.get("reason", "")), bool(said.get("is_out_of_memory"))
    if not said:
        kills = out_of_memory_kills()
        is_killed = code == -signal.SIGKILL and None not in {kills, kills_before}
        is_out_of_memory = is_killed and kills != kills_before
        which = f"process {rank} of {run.processes}"
        how = (
            f"was ended by {signal.Signals(-code).name}"
            if code < 0
            else f"left with exit code {code} without a result"
        )
        if code == _EXIT_WITH_PEER:
            which, how = f"one of {run.processes} processes", "ended without a word"
        reason = f"{which} {how}" + (": the machine ran out of memory" if is_out_of_memory else "")
    return Ending(
        state=RunState.FAILED,
        metrics={},
        steps=0,
        loss_digest="",
        reason=reason,
        is_out_of_memory=is_out_of_memory,
    )


def _rank(together: Together) -> Ending:
    """Train as one rank. A failure is written down and ends the process, as nothing may return to the launcher's code."""
    die_with_parent(together.launcher)
    logging.disable(logging.NOTSET)
    run, number = together.run, int(os.environ["RANK"])
    if number:
        sys.stdout = _Prefixed(sys.stdout, f"[process {number}] ")
        sys.stderr = _Prefixed(sys.stderr, f"[process {number}] ")
    peers: list[int] = []
    is_over = threading.Event()
    try:
        torch.set_num_threads(run.threads)
        _meet(together, number, peers)
        threading.Thread(target=_end_with_peers, args=(peers, is_over), daemon=True).start()
        ending = _train(together)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the project's own code: recorded whole in the log, in one line in the result
        _give_up(error, together, peers)
    is_over.set()
    dist.destroy_process_group()
    return ending


def _train(together: Together) -> Ending:
    run, ranks = together.run, JoinedRanks()
    events = EventWriter(together.attempt.events if ranks.is_first else Path(os.devnull))
    randomness.seed_global(run.seed, "task")
    task = load_task(run, together.worktree)
    return train(
        task,
        run,
        together.folder,
        together.attempt,
        events,
        should_stop=together.should_stop,
        checkpoint_every_s=together.checkpoint_every_s,
        ranks=ranks,
    )


def _meet(together: Together, number: int, peers: list[int]) -> None:
    """Make the process group, and learn the process ids of all peers. Until then, SIGTERM simply ends this process."""
    asked, run = signal.signal(signal.SIGTERM, signal.SIG_DFL), together.run
    # The launcher's store looks up who connects to it, in a thread: a fork at that moment would leave its child with a lock
    # of the C library that nobody gives back (seen once in some fifty runs on a busy machine).
    together.forked[number] = 1
    while not all(together.forked[:]):
        time.sleep(_FORK_S)
    is_cuda = run.device == "cuda"
    if is_cuda:
        torch.cuda.set_device(number)
    dist.init_process_group("nccl" if is_cuda else "gloo", timeout=timedelta(seconds=_COLLECTIVE_S))
    found: list[int] = [0] * run.processes
    dist.all_gather_object(found, os.getpid())
    peers += [pid for pid in found if pid != os.getpid()]
    signal.signal(signal.SIGTERM, asked)


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _end_with_peers(peers: list[int], is_over: threading.Event) -> None:
    """End this process when a peer has ended before its time: what it waits for never comes."""
    while not is_over.wait(_LOOK_EVERY_S):
        if any(_is_gone(pid) for pid in peers):
            # The launcher sees the one that was first, and ends this one with it.
            if not is_over.wait(_GRACE_S):
                os._exit(_EXIT_WITH_PEER)
            return


def _give_up(error: BaseException, together: Together, peers: list[int]) -> None:
    time.sleep(_CLOSING_S)
    if any(_is_gone(pid) for pid in peers):
        sys.stderr.write(
            f"it ends with another process of its run: {say_why(error, together.worktree)}\n"
        )
        sys.stderr.flush()
        time.sleep(_GRACE_S)
        os._exit(_EXIT_WITH_PEER)
    if isinstance(error, ConfigError):
        sys.stderr.write(f"{error.message}\n")
    else:
        traceback.print_exc()
    said = {
        "reason": say_why(error, together.worktree),
        "is_out_of_memory": isinstance(error, torch.OutOfMemoryError),
    }
    os.write(together.report, json.dumps(said).encode() + b"\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


class _NoFiles(LogsSpecs):
    """Ranks write where their launcher does: no files of its own, and no threads that follow them."""

    def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
        """Return where each rank writes, by its number."""
        for environment in envs.values():
            environment["TORCHELASTIC_ERROR_FILE"] = ""
        own = dict.fromkeys(envs, "")
        return LogsDest(stdouts=own, stderrs=own, error_files=dict.fromkeys(envs, os.devnull))

    @property
    def root_log_dir(self) -> str:
        return os.devnull


class _Prefixed:
    """A stream whose lines say which process wrote them."""

    def __init__(self, stream: TextIO, prefix: str) -> None:
        self._stream, self._prefix = stream, prefix
        self._is_at_start = True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self._stream.write(self._prefix + line if self._is_at_start else line)
            self._is_at_start = line.endswith("\n")
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
