"""Kills whatever carries runs out, at random, two hundred times, and proves that nothing was lost or done twice.

A lab of a main and four branches is trained by two ``branchlab run`` at once, while trainers, shims, warm parents, command
lines or all of them together are killed (-9), interrupted or stopped. Commands that end are started again, with more seeds
until all kills are done. Then one command goes on to the end, undisturbed, and must find:

- every planned run done, by exactly one attempt, and no two attempts at work at the same time;
- the loss bits and the metrics of an undisturbed lab;
- every event that an attempt acknowledged, in order;
- no process, no lease, no slot and no lock of git left.

    python tests/stress/kills.py [--kills 200] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from branchlab.run_folder import RunFolder, StateFolder, locked, read_events

BRANCHES = ("exp/wide", "exp/deep", "exp/slow", "exp/odd")
TARGETS = {
    "trainer": 30, "shim": 25, "parent": 12, "command": 12, "everything": 6,
    "stop the trainer": 5, "interrupt the command": 5, "stop the shim": 5,
}  # fmt: skip
CONFIG = """\
[branches]
main = "main"
reference = ""
experiments = ["exp/*"]
[trainer]
task = "tiny.task:Tiny"
[run]
device = "cpu"
silence_s = 4
checkpoint_s = 0.3
[sample]
fraction = 1.0
[executor]
linger_s = {linger_s}
"""
TASK = """\
import time
import torch
from torch import nn
import branchlab

class Tiny(branchlab.Task):
    recipe = branchlab.Recipe(epochs={epochs}, batch_size=8, lr=0.01)

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (240, 1, 8, 8), generator=source, dtype=torch.uint8)
        targets = (inputs.float().mean((1, 2, 3)) > 127).long()
        return branchlab.Splits(
            train=branchlab.Examples(inputs[:200], targets[:200]),
            val=branchlab.Examples(inputs[200:], targets[200:]),
        )

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, {width}), nn.ReLU(), nn.Linear({width}, 2))

    def augment(self, batch, generator):
        time.sleep(0.008)
        return batch.with_inputs(batch.inputs + 0.1 * torch.rand(batch.inputs.shape, generator=generator))
"""
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def main() -> int:
    """Build, disturb, prove; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--linger",
        type=float,
        default=2.0,
        help="seconds that a parent shared by all commands stays; 0: one each",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="branchlab-stress-") as folder:
        troubles = stress(
            Path(folder),
            kills=options.kills,
            source=random.Random(options.seed),
            linger_s=options.linger,
        )
    for trouble in troubles:
        print(f"FAILED: {trouble}")
    return 1 if troubles else 0


def stress(folder: Path, *, kills: int, source: random.Random, linger_s: float) -> list[str]:
    """Disturb a lab in a folder; return what is wrong afterwards."""
    template = folder / "template"
    build(template, linger_s=linger_s)
    disturbed = shutil.copytree(template, folder / "disturbed")
    started = time.monotonic()
    num_seeds, count = Disturber(disturbed, source).disturb(kills)
    print(
        f"{sum(count.values())} kills in {time.monotonic() - started:.0f} s: {dict(count)}; {num_seeds} seeds"
    )
    last = command(disturbed, num_seeds)
    last.communicate()
    undisturbed = shutil.copytree(template, folder / "undisturbed")
    command(undisturbed, num_seeds).communicate()
    time.sleep(1.0 + 2 * linger_s)
    troubles = [] if last.returncode == 0 else [f"the last command ended with {last.returncode}"]
    return troubles + compare(disturbed, undisturbed) + leftovers(disturbed)


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run(
        ["git", *who, *words], cwd=root, env=ENVIRONMENT, check=True, capture_output=True
    )


def build(root: Path, *, linger_s: float) -> None:
    """Make a repository with four branches that train for about a second and a half a run."""
    (root / "tiny").mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / ".branchlab.toml").write_text(CONFIG.format(linger_s=linger_s))
    (root / "r").mkdir()  # its runtime folder, so that its parents are found by where they stand
    for number, branch in enumerate(["main", *BRANCHES]):
        if number:
            git(root, "checkout", "--quiet", "-b", branch, "main")
        (root / "tiny/task.py").write_text(TASK.format(width=8 + number, epochs=6))
        git(root, "add", ".branchlab.toml", "tiny")
        git(root, "commit", "--quiet", "-m", f"Train {branch}")
    git(root, "checkout", "--quiet", "main")


def command(root: Path, num_seeds: int) -> subprocess.Popen[bytes]:
    """Start ``branchlab run`` over everything."""
    words = [
        sys.executable,
        "-m",
        "branchlab.cli",
        "run",
        "--all-branches",
        "--seeds",
        str(num_seeds),
    ]
    log = (root / "command.log").open("ab")
    return subprocess.Popen(
        words, cwd=root, env={**ENVIRONMENT, "XDG_RUNTIME_DIR": str(root / "r")}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip


class Disturber:
    """Keeps two commands at work on a lab, and kills what it finds."""

    def __init__(self, root: Path, source: random.Random) -> None:
        self.root, self.source = root, source
        self.commands: list[subprocess.Popen[bytes]] = []
        self.num_seeds = 1

    def disturb(self, kills: int) -> tuple[int, Counter[str]]:
        """Return how many seeds it took and what was done how often."""
        count: Counter[str] = Counter()
        while sum(count.values()) < kills:
            self._keep_two_at_work()
            time.sleep(self.source.uniform(0.02, 0.8))
            what = self.source.choices(list(TARGETS), weights=list(TARGETS.values()))[0]
            if self._do(what):
                count[what] += 1
        for one in self.commands:
            one.kill()
            one.wait()
        return self.num_seeds, count

    def _keep_two_at_work(self) -> None:
        ended = [one for one in self.commands if one.poll() is not None]
        if any(one.returncode == 0 for one in ended):
            self.num_seeds += 1
        self.commands = [one for one in self.commands if one.poll() is None]
        while len(self.commands) < 2:
            self.commands.append(command(self.root, self.num_seeds))

    def _do(self, what: str) -> bool:
        """Do one thing to one process, if anything trains."""
        parents = [p for p in psutil.process_iter() if _is_parent(p) and self._is_of_lab(p)]
        shims = [shim for parent in parents for shim in _children(parent.pid)]
        trainers = [trainer for shim in shims for trainer in _children(shim.pid)]
        commands = [psutil.Process(one.pid) for one in self.commands]
        if not trainers:
            return False
        if what == "everything":
            # Every one of them, whether or not another is gone meanwhile.
            killed = [
                _send([one], signal.SIGKILL) for one in (*shims, *trainers, *parents, *commands)
            ]
            return any(killed)
        target, number = {
            "trainer": (trainers, signal.SIGKILL),
            "shim": (shims, signal.SIGKILL),
            "parent": (parents, signal.SIGKILL),
            "command": (commands, signal.SIGKILL),
            "stop the trainer": (trainers, signal.SIGSTOP),
            "stop the shim": (shims, signal.SIGSTOP),
            "interrupt the command": (commands, signal.SIGINT),
        }[what]
        return _send([self.source.choice(target)], number)

    def _is_of_lab(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return Path(process.cwd()).is_relative_to(self.root)
        return False


def _send(processes: list[psutil.Process], number: signal.Signals) -> bool:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
            return True
    return False


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children()
    return []


def _is_parent(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        is_host = "branchlab.train.host" in process.cmdline()
        parent = process.parent()
        return is_host and not (parent is not None and "branchlab.train.host" in parent.cmdline())
    return False


def compare(disturbed: Path, undisturbed: Path) -> list[str]:
    """Return what differs between the results of two labs, or is not as it must be in the first."""
    troubles = []
    theirs = {
        folder.path.name: folder for folder in StateFolder(undisturbed / ".branchlab").all_runs()
    }
    ours = {folder.path.name: folder for folder in StateFolder(disturbed / ".branchlab").all_runs()}
    if ours.keys() != theirs.keys():
        troubles.append(f"other runs: {sorted(ours.keys() ^ theirs.keys())}")
    for name, folder in ours.items():
        results = results_of(folder)
        done = [result for result in results if result.get("state") == "done"]
        if len(done) != 1 or results[-1] is not done[0]:
            troubles.append(
                f"{name}: attempts ended as {[r.get('state', 'nothing') for r in results]}"
            )
            continue
        other = results_of(theirs[name])[-1] if name in theirs else {}
        keys = ("loss_digest", "metrics", "steps")
        if [done[0][key] for key in keys] != [other.get(key) for key in keys]:
            troubles.append(
                f"{name}: {[done[0][k] for k in keys]} is not {[other.get(k) for k in keys]}"
            )
        troubles += [f"{name}: {trouble}" for trouble in events_of(folder)]
    print(f"{len(ours)} runs, {sum(folder.attempts() for folder in ours.values())} attempts")
    return troubles


def results_of(folder: RunFolder) -> list[dict]:
    found = [folder.attempt(number).read_result() for number in range(1, folder.attempts() + 1)]
    return [result or {} for result in found]


def events_of(folder: RunFolder) -> list[str]:
    """Return what is wrong with the events of a run: gaps, damage, attempts that overlap in time."""
    troubles, last_at = [], ""
    for number in range(1, folder.attempts() + 1):
        chunk = read_events(folder.attempt(number).events)
        if chunk.num_damaged:
            troubles.append(f"attempt {number} has {chunk.num_damaged} damaged events")
        if [event["seq"] for event in chunk.events] != list(range(len(chunk.events))):
            troubles.append(f"attempt {number} has gaps in its events")
        if chunk.events:
            if chunk.events[0]["at"] < last_at:
                troubles.append(f"attempt {number} began before the one before it had ended")
            last_at = chunk.events[-1]["at"]
    return troubles


def leftovers(root: Path) -> list[str]:
    """Return what is still there: processes, leases, slots, locks of work trees."""
    troubles = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(root):
                troubles.append(f"process {process.pid} is left: {process.cmdline()}")
    state = StateFolder(root / ".branchlab")
    for path in [*state.slots.glob("*"), *(folder.lease for folder in state.all_runs())]:
        with locked(path) as is_free:
            if not is_free:
                troubles.append(f"{path.relative_to(root)} is still locked")
    if state.is_at_work():
        troubles.append("a command is still at work")
    locks = (root / ".git").rglob("*.lock")
    troubles += [f"{path.relative_to(root)} is left" for path in locks]
    answer = subprocess.run(
        [sys.executable, "-m", "branchlab.cli", "runs", "--json"],
        cwd=root,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    ).stdout
    states = Counter(run["state"] for run in json.loads(answer)["runs"])
    return troubles + ([] if set(states) == {"done"} else [f"`branchlab runs` says {dict(states)}"])


if __name__ == "__main__":
    sys.exit(main())
