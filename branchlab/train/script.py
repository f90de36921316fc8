"""A run whose project trains by its own script: the command is a child of this process, which watches and listens.

What it prints goes to the log and is read on the way; what it tells through ``branchlab.log``, event files and the tools that
it uses comes in beside. All of it becomes the run's events, and is the sign that the script lives. SIGTERM is passed on, and
followed by SIGKILL; whatever else the script has started is ended by the shim, as for any run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from branchlab.domain import Run, RunState, Script
from branchlab.errors import ConfigError
from branchlab.metric_log import TOLD_VARIABLE
from branchlab.run_folder import Attempt, EventWriter, RunFolder, newest_whole, read_events
from branchlab.train.event_files import EventFiles
from branchlab.train.output import Output, why_failed
from branchlab.train.processes import die_with_parent
from branchlab.train.tally import Tally, Told
from branchlab.train.trainer import Ending
from branchlab.train.usage import out_of_memory_kills

_GRACE_S = 25.0
"""For a script that was asked to end: less than the shim gives this process."""
_LOOK_EVERY_S = 0.5
_TICK_S = 0.1
_DRAIN_S = 1.0
"""For what is left in the pipe when the script has ended: a daemon of its may hold it open for ever."""
_CHUNK = 64 << 10
_PIPE_BYTES = 1 << 20
_TOLD_BYTES_MAX = 4 << 20
_F_SETPIPE_SZ = 1031
_IN_SCRIPT = Path(__file__).with_name("in_script")
_PYTHONS = {"python", "python3"}
_NO_MEMORY = ("OutOfMemoryError", "CUDA out of memory")


class Watched:
    """What the run's process hears and shows: whether it shall end, and that its script gets on."""

    def __init__(self, *, is_stopped: Callable[[], bool], feel: Callable[[], None]) -> None:
        self.is_stopped, self.feel = is_stopped, feel


def train_by_script(
    run: Run,
    worktree: Path,
    folder: RunFolder,
    attempt: Attempt,
    events: EventWriter,
    watched: Watched,
) -> Ending:
    """Run the script of a run to its end; an end that is not good is the ending of a run, too.

    Raises:
        ConfigError: The command cannot be started on this branch.
        OSError: The run's folder cannot be written.
    """
    assert run.script is not None
    checkpoint = _checkpoint(run.script, folder)
    is_anew = checkpoint is None
    if is_anew and folder.files.exists():
        # What an attempt left that is not gone on with would be taken for this one's.
        shutil.rmtree(folder.files)
    folder.files.mkdir(exist_ok=True)
    tally = Tally(events)
    if not is_anew:
        _take_over(tally, folder, attempt)
    words = _words(run, run.script, worktree, folder, checkpoint)
    events.write(
        "start",
        device=run.device,
        epochs=run.epochs or 0,
        steps=0,
        command=words,
        resumed_at_step=0 if is_anew else max([*tally.steps, 0]),
        **(
            {"is_anew": True} if is_anew else {"metrics": tally.last, "checkpoint": str(checkpoint)}
        ),
    )
    if is_anew and run.script.checkpoint and attempt.path.name != "1":
        text = f"there is no whole {run.script.checkpoint} of an earlier attempt, so the script begins anew"
        events.write("warning", text=text)
    _log(f"[branchlab] {shlex.join(words)}\n".encode())
    return _Child(run, worktree, folder, attempt, tally, watched).see_through(words)


def _checkpoint(script: Script, folder: RunFolder) -> Path | None:
    """Return the file that the script can go on from."""
    if not script.checkpoint or folder.attempts() <= 1:
        return None
    return newest_whole(folder.files, script.checkpoint)


def _take_over(tally: Tally, folder: RunFolder, attempt: Attempt) -> None:
    for number in range(1, int(attempt.path.name)):
        tally.go_on(read_events(folder.attempt(number).events).events)


def _words(
    run: Run, script: Script, worktree: Path, folder: RunFolder, checkpoint: Path | None
) -> list[str]:
    values = {
        "device": run.device,
        "seed": str(run.seed),
        "sample": str(float(run.sample.fraction)),
        "sample_seed": str(run.sample.seed),
        "run_dir": str(folder.files),
        "threads": str(run.threads),
        "processes": str(run.processes),
        **({"epochs": str(run.epochs)} if run.epochs is not None else {}),
        **({"budget": f"{run.budget_s:g}"} if run.budget_s is not None else {}),
    }
    words = script.words(values, run.flags)
    if checkpoint is not None:
        words += script.resume_words(str(checkpoint), values)
    if words[0] in _PYTHONS:
        words[0] = sys.executable  # of the environment that the run has
        source = next((word for word in words[1:2] if word.endswith(".py")), "")
        if source and not (worktree / source).exists():
            raise ConfigError(
                f"this branch has no {source} ([trainer] command); "
                'trainer_from = "main" takes main\'s'
            )
    return words


def _environment(run: Run, worktree: Path, folder: RunFolder, attempt: Attempt) -> dict[str, str]:
    """Return what the script finds: its own branch first, one run's share of the machine, and tools that write into its folder."""
    files, threads = str(folder.files), str(run.threads)
    beside = str(Path(sys.executable).parent)
    # The branch's own packages go before those that an editable installation takes from the user's work tree.
    sources = [str(path) for path in (worktree, worktree / "src") if path.is_dir()]
    usual = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": files,
        "WANDB_ERROR_REPORTING": "false",
        "MLFLOW_TRACKING_URI": f"sqlite:///{files}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return {
        **usual,
        **os.environ,
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(_IN_SCRIPT), *sources]),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "BRANCHLAB_FILES": files,
        TOLD_VARIABLE: str(attempt.told),
    }


class _Child:
    """The script as a process, from its start to its end."""

    def __init__(
        self,
        run: Run,
        worktree: Path,
        folder: RunFolder,
        attempt: Attempt,
        tally: Tally,
        watched: Watched,
    ) -> None:
        assert run.script is not None
        self._run, self._worktree, self._attempt = run, worktree, attempt
        self._environment = _environment(run, worktree, folder, attempt)
        self._tally, self._watched = tally, watched
        self._output = Output(run.script.pattern)
        self._files = EventFiles(folder.files)
        self._told_from = 0
        self._is_asked = False
        self._kill_at = float("inf")

    def see_through(self, words: list[str]) -> Ending:
        """Start it, listen until it has ended, and say how."""
        kills_before, process = out_of_memory_kills(), self._start(words)
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
        looked_at, is_open, code = 0.0, True, None
        while code is None:
            code = process.poll()
            is_open = is_open and self._listen(pipe, _TICK_S if code is None else 0.0)
            if not is_open and code is None:
                time.sleep(_TICK_S)
            self._pass_on(process)
            if time.monotonic() - looked_at > _LOOK_EVERY_S:
                looked_at = time.monotonic()
                self._look()
        until = time.monotonic() + _DRAIN_S
        while is_open and time.monotonic() < until:
            is_open = self._listen(pipe, 0.0, is_ending=True)
        for told in self._output.end():
            self._tally.hear(told)
        self._look()
        self._attempt.told.unlink(missing_ok=True)
        return self._ending(code, is_killed_for_memory=out_of_memory_kills() != kills_before)

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        supervisor = os.getpid()
        try:
            return subprocess.Popen(
                words,
                cwd=self._worktree,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: die_with_parent(supervisor),  # noqa: PLW1509  this process has one thread
            )
        except OSError as error:
            raise ConfigError(
                f"'{words[0]}' of [trainer] command cannot be started: {error.strerror}"
            ) from None

    def _listen(self, pipe: int, timeout_s: float, *, is_ending: bool = False) -> bool:
        """Read what there is; returns whether more may come."""
        readable, _, _ = select.select([pipe], [], [], timeout_s)
        if not readable:
            return not is_ending
        chunk = os.read(pipe, _CHUNK)
        if not chunk:
            return False
        self._watched.feel()
        _log(chunk)
        for told in self._output.take(chunk):
            self._tally.hear(told)
        return True

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        """Let the script know that the run shall end; it is not asked for ever."""
        if self._watched.is_stopped() and not self._is_asked:
            self._is_asked = True
            self._kill_at = time.monotonic() + _GRACE_S
            process.send_signal(signal.SIGTERM)
        if time.monotonic() > self._kill_at:
            process.kill()

    def _look(self) -> None:
        """Take in what has come in beside the output, and write all that was heard."""
        heard = [self._tally.hear(told) for told in (*self._told(), *self._files.news())]
        if any(heard):
            self._watched.feel()
        self._tally.write()

    def _told(self) -> Iterator[Told]:
        """Yield what ``branchlab.log`` has appended."""
        try:
            with self._attempt.told.open("rb") as file:
                file.seek(self._told_from)
                content = file.read(_TOLD_BYTES_MAX)
        except FileNotFoundError:
            return
        end = content.rfind(b"\n") + 1
        self._told_from += end
        for line in content[:end].splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                yield Told(**json.loads(line))

    def _ending(self, code: int, *, is_killed_for_memory: bool) -> Ending:
        state, reason = self._judged(code, is_killed_for_memory=is_killed_for_memory)
        if self._files.is_missed:
            _log(
                b"[branchlab] event files were written, and nothing here reads them: "
                b"pip install 'branchlab[tensorboard]'\n"
            )
        return Ending(
            state=state,
            metrics={name: float(value) for name, value in self._tally.last.items()},
            steps=self._tally.step,
            loss_digest="",
            reason=reason,
            is_out_of_memory=is_killed_for_memory or any(word in reason for word in _NO_MEMORY),
        )

    def _judged(self, code: int, *, is_killed_for_memory: bool) -> tuple[RunState, str]:
        script = self._run.script
        assert script is not None
        if self._is_asked:
            how = "stopped"
            if code == -signal.SIGKILL:
                how = f"stopped: it did not end within {_GRACE_S:g} s of SIGTERM, and was killed"
            again = "" if script.checkpoint else "; without [trainer] checkpoint it begins anew"
            return RunState.CANCELLED, how + again
        if code == 0 and self._tally.last:
            return RunState.DONE, ""
        if code == 0:
            return RunState.FAILED, _SAID_NOTHING
        if code < 0:
            name = signal.Signals(-code).name
            why = ": the machine ran out of memory" if is_killed_for_memory else ""
            return RunState.FAILED, f"the script was ended by {name}{why}"
        return RunState.FAILED, why_failed(self._output.lines(), code, self._worktree)


_SAID_NOTHING = (
    "it ended well and no metric came in: print JSON lines, call branchlab.log, write event files, "
    "or set [trainer] pattern"
)


def _log(content: bytes) -> None:
    """Write to the run's log; a full disk ends no training."""
    with contextlib.suppress(OSError):
        os.write(1, content)
