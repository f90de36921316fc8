"""The tracker beside real runs, as a user meets it: through the command line, files and servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from branchlab.lab.track import TrackerFiles
from branchlab.run_folder import StateFolder, locked
from branchlab.store.index import Index
from tests.cli.conftest import CONFIG, TASK, UserRepository
from tests.export.reading_back import is_equal, metrics_of, of_tensorboard, of_wandb, single

pytestmark = [pytest.mark.tools]
WITHIN_S = 300.0
SLOW = """
    def augment(self, batch, generator):
        import time
        time.sleep(self.pause)
        return batch
"""


class Tracked:
    """A repository whose runs are tracked; a step takes as long as a test wants."""

    def __init__(self, root: Path, track: str, *, pause: float) -> None:
        root.mkdir()
        self.user = UserRepository(root)
        self.state = StateFolder(root / ".branchlab")
        task = TASK.replace("bias: bool = False", "bias: bool = False, pause: float = 0.0")
        task = task.replace("self.hidden, self.bias", "self.pause = pause; self.hidden, self.bias")
        self.user.git("init", "-q", "-b", "main")
        first = self.user.commit({"tiny/task.py": task + SLOW, ".gitignore": ".branchlab/\n"})
        self.user.git("branch", "original")
        self.config = CONFIG.format(reference=first).replace(
            '"tiny.task:Tiny"', f'"tiny.task:Tiny"\narguments = {{ pause = {pause} }}'
        )
        self.user.commit({".branchlab.toml": self.config + track}, "config")
        self.user.branch("exp/wide", {"experiments/wide.toml": "flags = { hidden = 32 }\n"})

    def wait(self, what: Callable[[], object]) -> None:
        until = time.monotonic() + WITHIN_S
        while not what():
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.05)

    def is_tracker_gone(self) -> bool:
        """Whether none works; one that was started a moment ago holds no lock yet."""
        if self.tracker() is not None:
            return False
        with locked(TrackerFiles.of(self.state).lock) as is_free:
            return is_free

    def tracker(self) -> int | None:
        """Return the process that tracks this repository."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().split(b"\0")
                if b"branchlab.lab.tracker" in line and os.fsencode(self.user.root) in line:
                    return int(entry.name)
        return None

    def steps(self) -> int:
        """Return how far the run that got on most is."""
        index = Index(self.state)
        index.refresh()
        found = max((record.step for record in index.runs()), default=0)
        index.close()
        return found

    def ids(self) -> list[str]:
        """Return the runs that have begun."""
        return [folder.path.name for folder in self.state.all_runs() if folder.attempts()]

    def indexed(self, run_id: str) -> dict[str, dict[int, float]]:
        index = Index(self.state)
        index.refresh()
        found = {name: dict(index.curve(run_id, name)) for name in index.metric_names()}
        index.close()
        return {name: curve for name, curve in found.items() if curve}

    def boards_are_whole(self) -> bool:
        """Whether TensorBoard has of every run what the index has, and nothing twice."""
        found = {}
        for path in (self.state.path / "tensorboard").rglob("events.*"):
            found[path.parent.name.partition("-")[2]] = of_tensorboard(path.parent)
        return found.keys() == set(self.ids()) and all(
            is_equal(metrics_of(curves), single(self.indexed(run_id)))
            and set(count.values()) == {1}
            for run_id, (_, curves, count) in found.items()
        )


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [n for n in os.environ if n.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def tracked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tracked]:
    made = Tracked(tmp_path / "project", *request.param[:1], pause=request.param[1])
    yield made
    if (left := made.tracker()) is not None:
        os.kill(left, signal.SIGKILL)


def tracking(to: str, *, pause: float = 0.0):
    return pytest.mark.parametrize("tracked", [(f"\n[track]\nto = [{to}]\n", pause)], indirect=True)


class Server:
    """A real MLflow server on this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self.folder
        folder.mkdir(exist_ok=True)
        with (folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
                    *("--artifacts-destination", str(folder / "artifacts")),
                ],
                cwd=folder,
                env=os.environ
                | {
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + WITHIN_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                assert time.monotonic() < until, (folder / "log.txt").read_text()
                assert self.process.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def ask(self, what: str, **values: object) -> dict:
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/{what}",
            data=json.dumps(values).encode() if values else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def runs(self, project: str, filter_text: str = "") -> list[dict]:
        experiments = self.ask("experiments/search", max_results=10)["experiments"]
        ids = [e["experiment_id"] for e in experiments if e["name"] == project]
        if not ids:
            return []
        return self.ask("runs/search", experiment_ids=ids, filter=filter_text).get("runs", [])

    def history(self, run: dict, name: str) -> list[tuple[int, float]]:
        """Return steps and values of a metric of a run."""
        asked = urllib.parse.urlencode({"run_id": run["info"]["run_id"], "metric_key": name})
        found = self.ask(f"metrics/get-history?{asked}")["metrics"]
        return sorted((int(metric.get("step", 0)), metric["value"]) for metric in found)

    def is_whole(self, lab: Tracked) -> bool:
        """Whether every run of a repository is there with every value that its index has, once."""
        found = {tags_of(run)["branchlab.run"]: run for run in self.runs(lab.user.root.name)}
        return found.keys() == set(lab.ids()) and all(
            self.history(run, name) == sorted(curve.items())
            for run_id, run in found.items()
            for name, curve in lab.indexed(run_id).items()
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server") / "mlflow")
    made.start()
    yield made
    made.kill()


def tags_of(run: dict) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def to_server(root: Path, uri: str, *, pause: float) -> Tracked:
    return Tracked(root, f'\n[track]\nto = ["mlflow"]\nmlflow_uri = "{uri}"\n', pause=pause)


def test_an_mlflow_server_shows_runs_while_they_train_with_branches_and_seeds_grouped(
    server: Server, tmp_path: Path
) -> None:
    lab = to_server(tmp_path / "live", server.uri, pause=0.5)
    command = lab.user.start("run", "--all-branches", "--epochs", "40")
    lab.wait(lambda: [r for r in server.runs("live") if r["data"].get("metrics")])
    assert "RUNNING" in {run["info"]["status"] for run in server.runs("live")}
    assert command.poll() is None
    for _ in range(2):
        command.send_signal(signal.SIGINT)
    command.wait()
    assert lab.user.branchlab("run", "--all-branches", "--epochs", "2").returncode == 0
    lab.wait(lab.is_tracker_gone)
    assert server.is_whole(lab)
    found = server.runs("live", "attributes.status = 'FINISHED'")
    groups: dict[str, set[str]] = {}
    for run in found:
        groups.setdefault(tags_of(run)["group"], set()).add(tags_of(run)["seed"])
    assert list(groups.values()) == [{"0", "1"}] * 3
    wide = server.runs("live", "tags.branch = 'exp/wide' and params.hidden = '32'")
    names = {run["info"]["run_name"] for run in wide}
    assert names == {"exp/wide seed 0", "exp/wide seed 1"}
    stopped = server.runs("live", "attributes.status = 'KILLED'")
    assert {tags_of(run)["branch"] for run in stopped} >= {"main"}


def test_a_server_that_nobody_answers_for_hurts_no_run_and_is_said_once(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        lab = to_server(
            tmp_path / "project", f"http://127.0.0.1:{probe.getsockname()[1]}", pause=0.0
        )
        done = lab.user.branchlab("run", "--all-branches", "--json")
        assert done.returncode == 0, done.stderr
        assert {run["state"] for run in json.loads(done.stdout)["runs"]} == {"done"}
        lab.wait(lab.is_tracker_gone)
    said = done.stderr + lab.user.branchlab("runs").stderr
    assert said.count("note: mlflow (http://127.0.0.1:") == 1
    assert "runs go on" in said
    assert "note:" not in lab.user.branchlab("runs").stderr


def test_a_server_that_dies_amid_runs_has_all_of_them_after_it_is_back(
    server: Server, tmp_path: Path
) -> None:
    lab = to_server(tmp_path / "dying", server.uri, pause=0.3)
    command = lab.user.start("run", "wide", "--epochs", "20")
    lab.wait(lambda: [r for r in server.runs("dying") if r["data"].get("metrics")])
    server.kill()
    assert command.wait() == 0
    lab.wait(lab.is_tracker_gone)
    server.start()
    assert lab.user.branchlab("run", "wide", "--epochs", "20").returncode == 0  # all is known
    lab.wait(lab.is_tracker_gone)
    assert [run["info"]["status"] for run in server.runs("dying")] == ["FINISHED"] * 4
    assert server.is_whole(lab)


@tracking('"tensorboard"', pause=0.2)
def test_a_tracker_that_is_killed_is_followed_by_another_that_misses_nothing(
    tracked: Tracked,
) -> None:
    command = tracked.user.start("run", "wide", "--epochs", "10")
    for step in (4, 10):
        tracked.wait(lambda step=step: tracked.steps() >= step)
        tracked.wait(lambda: tracked.tracker() is not None)
        os.kill(tracked.tracker() or 0, signal.SIGKILL)
        tracked.wait(lambda: tracked.tracker() is None)
        watching = tracked.user.start("runs", "-f")
        tracked.wait(lambda: tracked.tracker() is not None)
        watching.kill()
        watching.wait()
    assert command.wait() == 0
    tracked.wait(tracked.is_tracker_gone)
    assert tracked.boards_are_whole()


@tracking('"tensorboard", "wandb"', pause=0.2)
def test_a_run_that_is_stopped_and_goes_on_is_one_run_everywhere(tracked: Tracked) -> None:
    command = tracked.user.start("run", "wide", "--epochs", "10")
    tracked.wait(lambda: tracked.steps() >= 6)
    command.send_signal(signal.SIGINT)
    assert command.wait() == 130
    assert tracked.user.branchlab("run", "wide", "--epochs", "10").returncode == 0
    tracked.wait(tracked.is_tracker_gone)
    assert tracked.boards_are_whole()
    for run_id in tracked.ids():
        run, found, last = of_wandb(tracked.state.path, run_id)
        assert run.run_group in {"main", "exp/wide"}
        assert is_equal(metrics_of(found), tracked.indexed(run_id))
        assert last == {"exit_code": 0}


def test_what_ran_before_is_left_to_export(tmp_path: Path) -> None:
    lab = Tracked(tmp_path / "project", "", pause=0.0)
    assert lab.user.branchlab("run", "main").returncode == 0
    early = set(lab.ids())
    lab.user.write({".branchlab.toml": lab.config + '\n[track]\nto = ["tensorboard"]\n'})
    assert lab.user.branchlab("run", "wide").returncode == 0
    lab.wait(lab.is_tracker_gone)
    boards = lab.state.path / "tensorboard"
    shown = {path.parent.name.partition("-")[2] for path in boards.rglob("events.*")}
    assert shown == set(lab.ids()) - early
    done = lab.user.branchlab("export", "--to", "tensorboard", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["written"] == len(early)
    assert lab.boards_are_whole()


@tracking('"tensorboard"')
def test_a_run_that_cannot_be_written_is_said_once_and_keeps_no_other_waiting(
    tracked: Tracked,
) -> None:
    boards = tracked.state.path / "tensorboard"
    boards.mkdir(parents=True)
    (boards / "exp").write_text("in the way of exp/wide")
    done = tracked.user.branchlab("run", "wide")
    assert done.returncode == 0, done.stderr
    tracked.wait(tracked.is_tracker_gone)
    assert len(list(boards.glob("main/*/events.*"))) == 2
    said = done.stderr + tracked.user.branchlab("runs").stderr
    assert said.count("note: tensorboard (") == 1
    assert "NotADirectoryError" in (tracked.state.path / "track/log.txt").read_text()
    (boards / "exp").unlink()
    assert tracked.user.branchlab("run", "wide").returncode == 0
    tracked.wait(tracked.is_tracker_gone)
    assert tracked.boards_are_whole()
