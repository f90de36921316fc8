"""The whole life of runs that train by the project's own script: real branches, real processes, no torch in the scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from branchlab.domain import Freshness, RunRecord, RunState, Scale
from branchlab.errors import ConfigError
from branchlab.lab import runs as verbs
from branchlab.lab.judge import compare, why_none
from branchlab.lab.status import status
from branchlab.run_folder import RunFolder, read_events

CONFIG = """
[trainer]
command = ["python", "train.py", "--seed", "{seed}", "--out", "{run_dir}", "--epochs", "{epochs}", "{flags}"]
{trainer}

[run]
seeds = 2
device = "cpu"
jobs = 2
{run}
"""

SCRIPT = """
import argparse, json, random
from pathlib import Path
from net import QUALITY
p = argparse.ArgumentParser()
p.add_argument("--seed", type=int)
p.add_argument("--out", type=Path)
p.add_argument("--epochs", type=int, default=2)
p.add_argument("--wide", action=argparse.BooleanOptionalAction, default=False)
p.add_argument("--resume", type=Path)
a = p.parse_args()
random.seed(a.seed)
for epoch in range(1, a.epochs + 1):
    value = QUALITY + 0.01 * random.random() + 0.1 * a.wide
    print(json.dumps({"epoch": epoch, "val/accuracy": value}))
"""


class Scripted:
    """A repository whose branches train by ``train.py``, which imports ``net.py`` beside it."""

    def __init__(self, repo) -> None:
        self.repo = repo

    def main(self, script: str = SCRIPT, *, trainer: str = "", run: str = "", **files: str) -> None:
        config = CONFIG.replace("{trainer}", trainer).replace("{run}", run)
        self.repo.commit(
            {".branchlab.toml": config, "train.py": script, "net.py": "QUALITY = 0.5\n", **files}
        )
        self.repo.git("branch", "-f", "original", "main")

    def branch(self, name: str, **files: str) -> None:
        self.repo.branch(name, {path.replace("__", "."): text for path, text in files.items()})

    def run(self, **request: object) -> dict[str, RunRecord]:
        """Run, and return the records by branch; of one seed unless said."""
        _, last = self.repo.run(**{"seeds": 1, **request})
        return {record.run.branch: record for record in last.records.values()}

    def one(self, script: str, **how: object) -> RunRecord:
        """Return the record of main's only run."""
        self.main(script, **how)  # type: ignore[arg-type]
        return self.run(names=("main",))["main"]

    def folder(self, record: RunRecord) -> RunFolder:
        return self.repo.open().state.run(record.run.id)

    def log(self, record: RunRecord) -> bytes:
        latest = self.folder(record).latest()
        assert latest is not None
        return latest.log.read_bytes()

    def curve(self, record: RunRecord, metric: str) -> list[tuple[int, float]]:
        index = self.repo.open().index()
        try:
            return index.curve(record.run.id, metric)
        finally:
            index.close()


@pytest.fixture
def lab(repo) -> Scripted:
    return Scripted(repo)


def when(is_so: Callable[[Path], bool], level: int) -> Callable[..., None]:
    """Stop a batch as soon as a run's log says something."""

    def watch(session, progress) -> None:
        for record in progress.records.values():
            latest = session.project.state.run(record.run.id).latest()
            if latest is not None and latest.log.exists() and is_so(latest.log):
                session.stop.level = max(session.stop.level, level)

    return watch


def says(text: bytes) -> Callable[[Path], bool]:
    return lambda log: text in log.read_bytes()


def test_branches_are_trained_judged_and_known_like_those_of_a_task(lab, repo) -> None:
    lab.main()
    lab.branch("exp/wide", experiments__wide__toml="")
    repo.git("switch", "-q", "exp/wide")
    repo.commit({"experiments/wide.toml": "flags = { wide = true }\n"})
    repo.git("switch", "-q", "main")
    before = repo.fingerprint()
    _, last = repo.run(is_all=True, seeds=3)
    assert {r.state for r in last.records.values()} == {RunState.DONE}
    assert all(r.run.scale is Scale.FULL for r in last.records.values())
    assert repo.fingerprint() == before
    judged = compare(repo.open(), ["wide"]).judged[0]
    assert judged.verdict is not None
    assert judged.verdict.difference == pytest.approx(0.1)
    assert str(judged.verdict.outcome) == "better"
    _, again = repo.run(is_all=True, seeds=3)
    assert set(again.records) == again.reused
    assert not list((repo.open().state.path / "worktrees").glob("run-*"))


def test_each_run_has_its_own_work_tree_and_nothing_of_another_seed(lab, repo) -> None:
    record = lab.one(
        "from pathlib import Path\n"
        "left = Path('left.txt')\n"
        "print('{\"found\": %d}' % left.exists())\n"
        "left.write_text('x')\n"
    )
    other = lab.run(names=("main",), seeds=2)["main"]
    assert record.metrics == other.metrics == {"found": 0.0}


def test_main_lends_its_script_and_the_branch_its_modules(lab, repo) -> None:
    lab.main(trainer='trainer_from = "main"')
    lab.branch(
        "exp/a",
        train__py="raise SystemExit('the branch judges itself')\n",
        net__py="QUALITY = 0.7\n",
    )
    lab.branch("exp/none", net__py="QUALITY = 0.6\n")
    repo.git("switch", "-q", "exp/none")
    repo.git("rm", "-q", "train.py")
    repo.git("commit", "-q", "-m", "gone")
    repo.git("switch", "-q", "main")
    records = lab.run(is_all=True)
    assert records["exp/a"].metrics["val/accuracy"] == pytest.approx(0.7, abs=0.02)
    assert records["exp/none"].metrics["val/accuracy"] == pytest.approx(0.6, abs=0.02)
    tips = {name: repo.git("rev-parse", name).strip() for name in ("exp/a", "main")}
    assert records["exp/a"].run.commit == tips["exp/a"]
    assert records["main"].run.checked_out == tips["main"]
    kept = repo.git("rev-parse", f"refs/branchlab/runs/{records['exp/a'].run.id}").strip()
    assert kept == records["exp/a"].run.checked_out != tips["exp/a"]


def test_results_under_two_scripts_of_main_are_not_mixed(lab, repo) -> None:
    lab.main(trainer='trainer_from = "main"')
    lab.branch("exp/a", net__py="QUALITY = 0.7\n")
    repo.run(is_all=True, seeds=2)
    fresh = {b.standing.branch.name: b.freshness for b in status(repo.open()).branches}
    assert fresh == {"exp/a": Freshness.CURRENT}
    lab.main(SCRIPT.replace("QUALITY +", "QUALITY - 0.3 +"), trainer='trainer_from = "main"')
    repo.run(names=("main",), seeds=2)
    found = {b.standing.branch.name: b for b in status(repo.open()).branches}["exp/a"]
    assert found.freshness is Freshness.MAIN_MOVED
    assert found.verdict is not None
    assert found.verdict.difference == pytest.approx(0.2)  # against main's old script, not the new
    prepared = repo.session(is_all=True, seeds=2).prepare()
    assert "main's script has changed" in " ".join(prepared.reasons.values())
    repo.run(is_all=True, seeds=1)  # fewer seeds than under the old one
    found = {b.standing.branch.name: b for b in status(repo.open()).branches}["exp/a"]
    assert (found.freshness, found.num_done) == (Freshness.CURRENT, 1)
    assert found.mean == pytest.approx(0.4, abs=0.02)
    assert compare(repo.open(), ["a"]).judged[0].results == found.results


def test_a_branch_without_the_script_fails_and_says_what_would_help(lab, repo) -> None:
    lab.main()
    repo.git("switch", "-q", "-c", "exp/none")
    repo.git("rm", "-q", "train.py")
    repo.git("commit", "-q", "-m", "gone")
    repo.git("switch", "-q", "main")
    record = lab.run(is_all=True)["exp/none"]
    assert record.state is RunState.FAILED
    assert record.reason == (
        'this branch has no train.py ([trainer] command); trainer_from = "main" takes main\'s'
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("def f():\n    raise ValueError('boom')\nf()\n", "ValueError: boom (train.py:2)"),
        ("import sys\nsys.exit('no data at /x')\n", "exit code 1: no data at /x"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere' (train.py:1)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "the script was ended by SIGKILL"),
        ("print('all is well')\n", "it ended well and no metric came in: print JSON lines"),
    ],
)  # fmt: skip
def test_a_failure_is_said_in_one_line(lab, script, reason) -> None:
    record = lab.one(script)
    assert record.state is RunState.FAILED
    assert record.reason.startswith(reason)


def test_a_command_that_is_not_there_is_named(lab, repo) -> None:
    lab.main()
    text = (repo.root / ".branchlab.toml").read_text().replace('"python", ', '"pythn", ')
    repo.commit({".branchlab.toml": text})
    record = lab.run(names=("main",))["main"]
    assert record.reason.startswith("'pythn' of [trainer] command cannot be started")


def test_a_script_finds_its_share_of_the_machine_and_tools_that_stay_here(lab) -> None:
    names = "OMP_NUM_THREADS MKL_NUM_THREADS PYTHONHASHSEED PYTHONUNBUFFERED BRANCHLAB_RUN WANDB_MODE WANDB_DIR MLFLOW_TRACKING_URI"  # fmt: skip
    record = lab.one(
        "import json, os, sys\n"
        f"print(json.dumps({{n: os.environ.get(n) for n in {names.split()!r}}} | {{'n': 1, 'path': sys.path[0]}}))\n"
        "print(sys.executable)\n"
    )
    said = json.loads(next(line for line in lab.log(record).splitlines() if line[:1] == b"{"))
    folder = lab.folder(record)
    assert (said["OMP_NUM_THREADS"], said["MKL_NUM_THREADS"]) == (str(record.run.threads),) * 2
    assert (said["PYTHONHASHSEED"], said["PYTHONUNBUFFERED"]) == ("0", "1")
    assert said["BRANCHLAB_RUN"] == str(folder.path)
    assert (said["WANDB_MODE"], said["WANDB_DIR"]) == ("offline", str(folder.files))
    assert said["MLFLOW_TRACKING_URI"].startswith(f"sqlite:///{folder.files}")
    assert Path(said["path"]).parent == folder.path.parent.parent / "worktrees"


def test_where_the_users_environment_says_otherwise_tools_obey_it(lab, monkeypatch) -> None:
    from branchlab.train.script import _environment

    record = lab.one(SCRIPT)
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mine")
    folder = lab.folder(record)
    found = _environment(record.run, lab.repo.root, folder, folder.attempt(1))
    assert (found["WANDB_MODE"], found["MLFLOW_TRACKING_URI"]) == ("online", "http://mine")
    assert found["WANDB_DIR"] == str(folder.files)


def test_every_road_brings_metrics_in(lab) -> None:
    record = lab.one(
        "import branchlab\n"
        "branchlab.log(told=0.25, step=7)\n"
        "branchlab.log({'val/told': 0.5}, epoch=2)\n"
        'print(\'{"epoch": 3, "printed": NaN}\')\n'
        "print('---')\nprint('val_bpb:   0.997900')\n",
        trainer='pattern = "key: value"',
    )
    assert record.state is RunState.DONE
    assert {n: v for n, v in record.metrics.items() if n != "printed"} == {
        "told": 0.25, "val/told": 0.5, "val_bpb": 0.9979,
    }  # fmt: skip
    assert record.metrics["printed"] != record.metrics["printed"]
    assert lab.curve(record, "told") == [(7, 0.25)]


def test_what_comes_in_is_seen_while_the_run_goes_on(lab) -> None:
    lab.main(
        'import time\nprint(\'{"a": 1, "epoch": 1}\')\nprint(\'{"b": 2}\')\nwhile True: time.sleep(0.05)\n'
    )
    seen: list[dict[str, float]] = []

    def watch(session, progress) -> None:
        seen.extend(dict(r.metrics) for r in progress.records.values() if len(r.metrics) == 2)
        if seen:
            session.stop.level = 2

    lab.run(names=("main",), watch=watch)
    assert seen[0] == {"a": 1.0, "b": 2.0}


def test_a_metric_that_only_one_branch_has_is_named_and_nothing_is_judged(lab, repo) -> None:
    lab.main()
    lab.branch("exp/other", train__py=SCRIPT.replace("val/accuracy", "val/acc"))
    repo.run(is_all=True, seeds=2)
    found = compare(repo.open(), ["other"])
    assert found.judged[0].verdict is None
    assert why_none(found.judged[0], found) == (
        "exp/other: its runs recorded no val/accuracy; did you mean 'val/acc'? recorded: val/acc"
    )
    assert {r.state for r in repo.records().values()} == {RunState.DONE}


def test_a_metric_that_is_never_finite_is_said_to_be_so(lab, repo) -> None:
    lab.main()
    lab.branch("exp/nan", net__py="QUALITY = float('nan')\n")
    repo.run(is_all=True, seeds=2)
    found = compare(repo.open(), ["nan"])
    assert found.judged[0].verdict is None
    assert why_none(found.judged[0], found) == (
        "exp/nan: its runs recorded val/accuracy, never a finite value"
    )


@pytest.mark.slow
def test_a_flood_is_bounded_and_the_metric_behind_it_comes_in(lab) -> None:
    record = lab.one(
        "import sys\n"
        "line = b'x' * 1023 + b'\\n'\n"
        "for _ in range(100): sys.stdout.buffer.write(line * 1024)\n"
        "sys.stdout.buffer.write(b'\\xff\\xfe not utf-8\\n' + b'y' * (1 << 21) + b'\\n')\n"
        "sys.stdout.flush()\n"
        "print('{\"a\": 1}')\n"
    )
    assert (record.state, record.metrics) == (RunState.DONE, {"a": 1.0})
    assert len(lab.log(record)) < 80 << 20


FINISHING = """
import signal, sys, time
def end(*_):
    print("saving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('{"a": 1}\\nready', flush=True)
while True: time.sleep(0.05)
"""


def test_an_interrupt_is_passed_on_and_the_run_is_cancelled(lab) -> None:
    lab.main(FINISHING)
    record = lab.run(names=("main",), watch=when(says(b"ready"), 1))["main"]
    assert record.state is RunState.CANCELLED
    assert record.reason == "stopped; without [trainer] checkpoint it begins anew"
    assert b"saving" in lab.log(record)


def test_cancel_from_elsewhere_ends_the_script(lab, repo) -> None:
    lab.main(FINISHING)

    def watch(session, progress) -> None:
        for record in progress.records.values():
            latest = session.project.state.run(record.run.id).latest()
            if latest is not None and latest.log.exists() and b"ready" in latest.log.read_bytes():
                session.project.state.run(record.run.id).ask_to_stop()

    record = lab.run(names=("main",), watch=watch)["main"]
    assert record.state is RunState.CANCELLED
    with pytest.raises(ConfigError, match="is cancelled already"):
        verbs.cancel(repo.open(), [record.run.id])


DEAF = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print('{"a": 1}')
print("pids", os.getpid(), child.pid, flush=True)
while True: time.sleep(0.05)
"""


def pids(log: bytes) -> list[int]:
    line = next(line for line in log.splitlines() if line.startswith(b"pids"))
    return [int(word) for word in line.split()[1:]]


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except FileNotFoundError:
        return True


def test_a_second_interrupt_ends_a_script_that_ignores_the_first_and_what_it_started(lab) -> None:
    lab.main(DEAF)
    record = lab.run(names=("main",), watch=when(says(b"pids"), 2))["main"]
    assert record.state is RunState.CANCELLED
    assert all(is_gone(pid) for pid in pids(lab.log(record)))


@pytest.mark.slow
def test_a_script_that_ignores_sigterm_is_killed_after_a_while(lab) -> None:
    lab.main(DEAF)
    record = lab.run(names=("main",), watch=when(says(b"pids"), 1))["main"]
    assert record.state is RunState.CANCELLED
    assert "did not end within 25 s of SIGTERM, and was killed" in record.reason
    assert all(is_gone(pid) for pid in pids(lab.log(record)))


def test_a_daemon_holds_no_run_up_and_does_not_outlive_it(lab) -> None:
    record = lab.one(
        "import os, time\n"
        "told, tell = os.pipe()\n"
        "print('{\"a\": 1}', flush=True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    print('pids', os.getpid(), flush=True)\n"
        "    os.write(tell, b'.')\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
        "        print('still here', flush=True)\n"
        "os.read(told, 1)\n"
    )
    assert record.state is RunState.DONE
    assert all(is_gone(pid) for pid in pids(lab.log(record)))


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        pytest.param(
            "timeout_s = 2", "it took longer than [run] timeout_s = 2", marks=pytest.mark.slow
        ),
        ("silence_s = 2", "it gave no sign of life for [run] silence_s = 2 seconds"),
    ],
)
def test_a_script_that_hangs_is_ended(lab, bound, reason) -> None:
    record = lab.one("import time\nprint('{\"a\": 1}', flush=True)\ntime.sleep(600)\n", run=bound)
    assert (record.state, record.reason) == (RunState.FAILED, reason)


@pytest.mark.slow
def test_output_and_metrics_are_signs_of_life(lab) -> None:
    record = lab.one(
        "import time, branchlab\n"
        "for _ in range(22):\n    time.sleep(0.25)\n    print('.', end='', flush=True)\n"
        "for i in range(22):\n    time.sleep(0.25)\n    branchlab.log(a=i)\n",
        run="silence_s = 5",
    )
    assert (record.state, record.metrics) == (RunState.DONE, {"a": 21.0})


RESUMING = """
import argparse, json, os, signal, sys, time
from pathlib import Path
p = argparse.ArgumentParser()
p.add_argument("--seed"); p.add_argument("--out", type=Path); p.add_argument("--resume", type=Path)
a = p.parse_args()
first = 1 + (int(a.resume.read_text()) if a.resume else 0)
print("first", first, sorted(x.name for x in a.out.iterdir()), flush=True)
for epoch in range(first, 6):
    print(json.dumps({"epoch": epoch, "val/accuracy": epoch / 10, f"seen by {first}": 1}), flush=True)
    if epoch == 4 and first == 1:
        (a.out / "newer.ckpt").write_text("")   # half written
        events = Path(os.environ["BRANCHLAB_RUN"], "attempts", "1", "events.jsonl")
        while '"epoch":4' not in events.read_text().replace(" ", ""):
            time.sleep(0.02)                    # until what was told is among the events
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    (a.out / f"{epoch}.ckpt").write_text(str(epoch))
"""


def test_a_run_that_was_killed_goes_on_from_its_newest_whole_checkpoint(lab) -> None:
    record = lab.one(
        RESUMING,
        trainer='resume = ["--resume", "{checkpoint}"]\ncheckpoint = "*.ckpt"',
    )
    record = record if record.state is RunState.DONE else lab.run(names=("main",))["main"]
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    assert b"first 4" in lab.log(record)
    assert lab.curve(record, "val/accuracy") == [(e, e / 10) for e in range(1, 6)]
    assert record.metrics == {"val/accuracy": 0.5, "seen by 1": 1.0, "seen by 4": 1.0}


def test_without_a_checkpoint_option_it_begins_anew_and_mixes_nothing_in(lab) -> None:
    record = lab.one(
        RESUMING.replace(
            "first == 1", "not Path(os.environ['BRANCHLAB_RUN'], 'attempts', '2').exists()"
        )
    )
    record = record if record.state is RunState.DONE else lab.run(names=("main",))["main"]
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    assert b"first 1 []" in lab.log(record)
    assert record.metrics == {"val/accuracy": 0.5, "seen by 1": 1.0}
    folder = lab.folder(record)
    starts = [
        event["is_anew"]
        for number in (1, 2)
        for event in read_events(folder.attempt(number).events).events
        if event["kind"] == "start"
    ]
    assert starts == [True, True]


def test_metrics_of_an_attempt_that_is_not_gone_on_with_leave_the_curves(lab) -> None:
    record = lab.one(
        "import os, signal, time\nfrom pathlib import Path\n"
        "n = 1 if Path(os.environ['BRANCHLAB_RUN'], 'attempts', '2').exists() else 5\n"
        'for step in range(n): print(\'{"a": %d, "step": %d}\' % (n, step), flush=True)\n'
        "events = Path(os.environ['BRANCHLAB_RUN'], 'attempts', '1', 'events.jsonl')\n"
        "while n == 5 and '\"step\":4' not in events.read_text().replace(' ', ''): time.sleep(0.02)\n"
        "if n == 5: os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)\n"
    )
    record = record if record.state is RunState.DONE else lab.run(names=("main",))["main"]
    assert lab.curve(record, "a") == [(0, 1.0)]


def test_everything_killed_at_once_leaves_nothing_and_is_tried_again(lab) -> None:
    """The script kills its shim: supervisor and script go with it."""
    record = lab.one(
        "import os, signal, subprocess, sys, time\nfrom pathlib import Path\n"
        "run = Path(os.environ['BRANCHLAB_RUN'])\n"
        "if (run / 'attempts' / '2').exists():\n    print('{\"a\": 1}')\n    sys.exit(0)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "(run / 'pids').write_text(f'{os.getpid()} {child.pid}')\n"
        "supervisor = os.getppid()\n"
        "shim = int(Path(f'/proc/{supervisor}/stat').read_text().rpartition(')')[2].split()[1])\n"
        "os.kill(shim, signal.SIGKILL)\n"
        "time.sleep(600)\n"
    )
    assert (record.state, record.attempts) == (RunState.DONE, 2)
    left = (lab.folder(record).path / "pids").read_text().split()
    until = time.monotonic() + 30
    while not all(is_gone(int(pid)) for pid in left) and time.monotonic() < until:
        time.sleep(0.05)
    assert all(is_gone(int(pid)) for pid in left)


@pytest.mark.parametrize(
    ("request_", "lacks"),
    [
        ({"budget_s": 60.0}, "--budget: the script is told of it by {budget}"),
        ({"fraction": 0.5}, "--sample: the script is told of it by {sample}"),
    ],
)
def test_what_the_command_has_no_word_for_cannot_be_asked(lab, repo, request_, lacks) -> None:
    lab.main()
    with pytest.raises(ConfigError) as caught:
        repo.session(names=("main",), **request_).prepare()
    assert lacks in caught.value.message
    assert "add it in .branchlab.toml" in caught.value.hint


def test_epochs_reach_the_script_only_where_they_are_asked_for(lab) -> None:
    lab.main()
    assert lab.run(names=("main",), epochs=4)["main"].epoch == 4
    assert lab.run(names=("main",))["main"].epoch == 2


def test_flags_without_a_word_for_them_are_refused(lab, repo) -> None:
    lab.main()
    text = (repo.root / ".branchlab.toml").read_text().replace(', "{flags}"', "")
    repo.commit({".branchlab.toml": text})
    with pytest.raises(
        ConfigError, match=r"main runs with wide, and \[trainer\] command has no \{flags\}"
    ):
        repo.session(names=("main",), flags={"wide": True}).prepare()


def test_main_without_the_script_cannot_lend_it(lab, repo) -> None:
    lab.main(trainer='trainer_from = "main"')
    repo.git("rm", "-q", "train.py")
    repo.git("commit", "-q", "-m", "gone")
    with pytest.raises(ConfigError, match="no word of command is a file on main"):
        repo.session(names=("main",)).prepare()


def test_parity_says_that_it_takes_a_task(lab, repo) -> None:
    from branchlab.lab.parity import ParityProof, ParityRequest

    lab.main()
    with pytest.raises(ConfigError) as caught:
        ParityProof(repo.open(), ParityRequest())
    assert "this project trains by a script of its own" in caught.value.message
    assert "branchlab.Task" in caught.value.hint


def test_wrong_words_are_noted_before_anything_runs(lab, repo) -> None:
    lab.main()
    text = (repo.root / ".branchlab.toml").read_text()
    repo.commit({".branchlab.toml": text.replace('"--seed", "{seed}", "--out", "{run_dir}", ', "")})
    notes = " ".join(repo.session(names=("main",)).prepare().notes)
    assert "no {seed}" in notes
    assert "no {run_dir}" in notes


def test_an_installed_copy_of_the_project_does_not_hide_the_branch(lab, repo, monkeypatch) -> None:
    """Packages of the branch go before those that are installed, an editable one of the user's own work tree for instance."""
    lab.main(
        "print('in tools')\n",
        **{
            "tools/train.py": "import pkg\nprint('{\"a\": %d}' % pkg.A)\n",
            "src/pkg/__init__.py": "A = 7\n",
        },
    )
    text = (repo.root / ".branchlab.toml").read_text().replace('"train.py"', '"tools/train.py"')
    repo.commit({".branchlab.toml": text})
    assert lab.run(names=("main",))["main"].metrics == {"a": 7.0}


def test_signals_are_those_that_a_script_expects(lab) -> None:
    names = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGCHLD", "SIGPIPE")
    record = lab.one(
        "import json, signal\n"
        f"print(json.dumps({{n: int(signal.getsignal(getattr(signal, n)) == signal.SIG_DFL) for n in {names!r}}}))\n"
    )
    assert record.metrics == {"SIGINT": 0.0, "SIGTERM": 1.0, "SIGUSR1": 1.0, "SIGCHLD": 1.0, "SIGPIPE": 0.0}  # Python's own  # fmt: skip


def test_a_python_without_branchlab_is_lent_its_log(lab, repo) -> None:
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    lab.main("import branchlab, sys\nbranchlab.log(a=len(branchlab.__file__))\n")
    text = (repo.root / ".branchlab.toml").read_text().replace('"python", ', f'"{python}", ')
    repo.commit({".branchlab.toml": text})
    assert lab.run(names=("main",))["main"].metrics.keys() == {"a"}


def test_the_sitecustomize_of_an_environment_is_run_all_the_same(tmp_path) -> None:
    from branchlab.train import in_script

    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    ours = Path(in_script.__file__).parent
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, sitecustomize; print(sitecustomize.__file__, sys.path[1])",
        ],
        env={**os.environ, "PYTHONPATH": f"{ours}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["theirs", str(tmp_path / "sitecustomize.py"), str(tmp_path)]
