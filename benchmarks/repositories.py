"""The repositories that the benchmarks run in: real git, built by one ``git fast-import``, the same at every start.

Two kinds. ``build_lab`` gives a project of some hundred files with many experiment branches in every state that
``branchlab status`` tells apart. ``build_tiny_project`` gives a project that trains in milliseconds, once as a
``branchlab.Task`` and once as a plain ``train.py``, so that what is left of a run's time is what the tool adds.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from timing import clean_environment

from branchlab.domain import Run, RunState, Sample, Scale
from branchlab.run_folder import EventWriter, StateFolder

_FIRST_COMMIT_AT = 1_790_000_000
_BETWEEN_COMMITS_S = 1_800
_NUM_FILES = 300
_FILES_PER_FOLDER = 15
_LINES_PER_FILE = 60
_SEEDS = 3
_SHARE_FAILED = 0.05


def git(root: Path, *words: str, stdin: str | None = None) -> str:
    """Run git with no config but the repository's own."""
    done = subprocess.run(
        ["git", *words],
        cwd=root,
        env=clean_environment(),
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@dataclass(slots=True)
class Importer:
    """Writes a stream for ``git fast-import``: commits as changed files on top of a branch."""

    lines: list[str] = field(default_factory=list)
    num_commits: int = 0
    tips: dict[str, int] = field(default_factory=dict)

    def commit(
        self, branch: str, files: Mapping[str, str], *, start: str = "", merged: str = ""
    ) -> None:
        """Commit ``files`` on ``branch``, which is born at ``start`` by its first commit; ``merged`` is a second parent."""
        self.num_commits += 1
        when = _FIRST_COMMIT_AT + self.num_commits * _BETWEEN_COMMITS_S
        who = f"Ann Example <ann@example.org> {when} +0000"
        message = f"Change {len(files)} files on {branch}"
        parent = self.tips.get(branch) or self.tips.get(start)
        self.lines += [f"commit refs/heads/{branch}", f"mark :{self.num_commits}"]
        self.lines += [f"author {who}", f"committer {who}", f"data {len(message)}", message]
        self.lines += [f"from :{parent}"] if parent else []
        self.lines += [f"merge :{self.tips[merged]}"] if merged else []
        for path, text in files.items():
            self.lines += [f"M 100644 inline {path}", f"data {len(text.encode())}", text]
        self.tips[branch] = self.num_commits

    def write(self, root: Path) -> None:
        """Make the repository, with main checked out."""
        root.mkdir(parents=True)
        git(root, "init", "--quiet", "--template=", "--initial-branch=main")
        git(root, "config", "user.name", "Ann Example")
        git(root, "config", "user.email", "ann@example.org")
        git(root, "fast-import", "--quiet", stdin="\n".join(self.lines) + "\n")
        git(root, "reset", "--quiet", "--hard", "main")


def source_file(number: int, *, changed: Mapping[int, str] | None = None) -> str:
    """Return a file of plausible length; ``changed`` replaces lines."""
    lines = [
        f"def step_{number}_{at}(x): return x * {at} + {number}" for at in range(_LINES_PER_FILE)
    ]
    for at, line in (changed or {}).items():
        lines[at] = line
    return "\n".join(lines) + "\n"


def source_path(number: int) -> str:
    """Return where a file stands."""
    return f"project/part{number // _FILES_PER_FOLDER}/module{number}.py"


def build_lab(root: Path, *, num_branches: int) -> None:
    """Build a project with experiment branches; main moves on between them and lands every fifth by squash.

    Of five branches two are clean and ahead of the main that they left, one touches a file that main changed
    elsewhere in it, one conflicts with main, and one has landed as a squash; main gets two commits a branch.
    """
    made = Importer()
    texts = {source_path(n): source_file(n) for n in range(_NUM_FILES)}
    config = '[branches]\nmain = "main"\nreference = "original"\nexperiments = ["exp/*"]\n[trainer]\ntask = "project.task:Task"\n'
    made.commit("main", {**texts, ".branchlab.toml": config, ".gitignore": ".branchlab/\n"})
    made.tips["original"] = 1
    made.lines += ["reset refs/heads/original", "from :1"]
    landing: list[dict[str, str]] = []
    for branch in range(num_branches):
        kind, number = branch % 5, (7 * branch) % _NUM_FILES
        path, name = source_path(number), f"exp/idea-{branch:03d}"
        experiment = {
            f"experiments/idea-{branch:03d}.toml": f'title = "Idea {branch}"\nbase = "main"\nflags = {{ idea_{branch} = true }}\n'
        }
        own = texts[path].splitlines()
        own[10] = (
            f"def step_{number}_10(x, idea_{branch}=False): return x if idea_{branch} else 10 * x"
        )
        change = {path: "\n".join(own) + "\n"}
        made.commit(name, experiment, start="main")
        for again in range(1 + branch % 3):
            made.commit(
                name, {f"project/ideas/idea_{branch}.py": source_file(1000 * again + branch)}
            )
        made.commit(name, change)
        landing = landing[-4:]
        if kind == 4:  # noqa: PLR2004  the squash-landed one of five
            last = 1000 * (branch % 3) + branch
            squashed = {
                **experiment,
                **change,
                f"project/ideas/idea_{branch}.py": source_file(last),
            }
            made.commit("main", squashed)
            texts |= change
        else:
            theirs = texts[path].splitlines()
            line = {2: 50, 3: 10}.get(kind)
            if line is not None:
                theirs[line] = f"def step_{number}_{line}(x): return x - {branch}"
                texts[path] = "\n".join(theirs) + "\n"
                made.commit("main", {path: texts[path]})
        made.commit("main", {"CHANGES.md": f"{branch} ideas seen\n"})
    made.write(root)


def record_runs(root: Path, *, num_runs: int) -> None:
    """Write run folders as runs leave them: three seeds of main and of as many branches as it takes.

    One run of twenty has failed, so that the table of branches and seeds has holes, as real ones do.
    """
    state = StateFolder(root / ".branchlab")
    state.create()
    rows = git(
        root, "for-each-ref", "--format=%(refname:short) %(objectname) %(tree)", "refs/heads"
    )
    tips = [row.split(" ") for row in rows.splitlines()]
    tips.sort(key=lambda tip: tip[0] != "main")
    left = num_runs
    for name, commit, tree in tips:
        for seed in range(_SEEDS):
            if left:
                _record(state, name, commit, tree, seed)
                left -= 1


def _record(state: StateFolder, branch: str, commit: str, tree: str, seed: int) -> None:
    short = branch.rpartition("/")[2]
    idea = short.removeprefix("idea-")
    planned = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seed)
    run = Run(
        id=f"{short}-s{seed}-{commit[:8]}",
        key=f"{tree}{seed}",
        branch=branch,
        commit=commit,
        tree=tree,
        task="project.task:Task",
        seed=seed,
        scale=Scale.SAMPLE,
        sample=Sample(fraction=0.1),
        flags={f"idea_{int(idea)}": True} if idea.isdigit() else {},
        environment={"torch": "2.10", "device": "cpu"},
        batch="20261101-000000",
        planned_at=planned,
    )
    folder = state.run(run.id)
    folder.write_plan(run)
    attempt = folder.attempt(1)
    attempt.path.mkdir(parents=True)
    events = EventWriter(attempt.events)
    events.write("start", epochs=8, steps=800, device="cpu")
    # Branches differ by some 0.01, seeds of one branch by some 0.004.
    noise = random.Random(f"{branch}/{seed}").gauss(0, 0.004) + random.Random(branch).gauss(0, 0.01)
    metrics: dict[str, float] = {}
    for epoch in range(1, 9):
        accuracy = 0.6 + 0.03 * epoch + noise
        metrics = {"val/accuracy": accuracy, "val/loss": 1 - accuracy, "train/loss": 1 - accuracy}
        events.write("epoch", epoch=epoch, step=100 * epoch, values=metrics, images_per_s=9000.0)
    has_failed = branch != "main" and random.Random(run.id).random() < _SHARE_FAILED
    state_after = RunState.FAILED if has_failed else RunState.DONE
    reason = "ValueError: made for the benchmark" if has_failed else ""
    events.write("end", state=str(state_after), reason=reason)
    events.close()
    attempt.write_result(
        state_after,
        reason=reason,
        metrics={} if has_failed else metrics,
        steps=800,
        loss_digest="0" * 16,
        duration_s=12.5,
    )


_TASK = """\
import torch
from torch import nn

import branchlab

WIDTH = {width}


class TinyTask(branchlab.Task):
    recipe = branchlab.Recipe(epochs=2, batch_size=16, precision="fp32")

    def data(self):
        made = torch.Generator().manual_seed(0)
        inputs = torch.randn(160, 4, generator=made)
        targets = (inputs.sum(1) > 0).long()
        return branchlab.Splits(
            train=branchlab.Examples(inputs[:128], targets[:128]),
            val=branchlab.Examples(inputs[128:], targets[128:]),
        )

    def model(self):
        return nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))
"""

_TRAIN = '''\
"""What one writes without a tool: the same training as tiny/task.py, results in metrics.json.

``train.py N`` trains N times in this process and writes the seconds of each.
"""

import json
import sys
import time

import torch
from torch import nn

WIDTH = {width}


def train(seed):
    started = time.perf_counter()
    torch.manual_seed(seed)
    made = torch.Generator().manual_seed(0)
    inputs = torch.randn(160, 4, generator=made)
    targets = (inputs.sum(1) > 0).long()
    model = nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=17)
    for _ in range(2):
        for rows in torch.randperm(128).split(16):
            loss = nn.functional.cross_entropy(model(inputs[:128][rows]), targets[:128][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            accuracy = (model(inputs[128:]).argmax(1) == targets[128:]).float().mean().item()
    return accuracy, time.perf_counter() - started


torch.set_num_threads(1)
found = [train(seed) for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1)]
with open("metrics.json", "w") as file:
    json.dump({{"accuracy": found[-1][0], "seconds": [seconds for _, seconds in found]}}, file)
'''

_TRAIN_LIGHT = '''\
"""A training that imports nothing heavy: what work trees and processes cost by themselves."""

import json

WIDTH = {width}
with open("metrics.json", "w") as file:
    json.dump({{"accuracy": 1 / WIDTH}}, file)
'''

_CONFIG = """\
[branches]
main = "main"
reference = ""
experiments = ["exp/*"]

[trainer]
task = "tiny.task:TinyTask"

[run]
device = "cpu"

[sample]
fraction = 1.0
"""


_DVC_FILES = {
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n",
    ".dvcignore": "",
    "params.yaml": "seed: 0\n",
}
_DVC_STAGE = """\
stages:
  train:
    cmd: {python} train.py
    deps: [train.py]
    params: [seed]
    metrics:
    - metrics.json:
        cache: false
"""


def build_tiny_project(root: Path, *, num_branches: int = 0, with_dvc: bool = False) -> list[str]:
    """Build a project that trains a few parameters on tiny tensors, and return the names of its experiment branches.

    Each branch is one commit ahead of main, with another width of the model. ``with_dvc`` adds what ``dvc init``
    writes, and a stage that runs ``train.py`` with this interpreter.
    """
    made = Importer()
    ignored = ".branchlab/\n__pycache__/\n" + ("" if with_dvc else "/metrics.json\n")
    static = {".branchlab.toml": _CONFIG, ".gitignore": ignored, "tiny/__init__.py": "#\n"}
    stage = _DVC_STAGE.format(python=sys.executable)
    dvc = {**_DVC_FILES, "dvc.yaml": stage} if with_dvc else {}
    made.commit("main", {**static, **dvc, **dict(_scripts(8))})
    names = [f"exp/width-{number + 9}" for number in range(num_branches)]
    for number, name in enumerate(names):
        made.commit(name, dict(_scripts(number + 9)), start="main")
    made.write(root)
    return names


def _scripts(width: int) -> Iterator[tuple[str, str]]:
    for path, text in (
        ("tiny/task.py", _TASK),
        ("train.py", _TRAIN),
        ("train_light.py", _TRAIN_LIGHT),
    ):
        yield path, text.format(width=width)
