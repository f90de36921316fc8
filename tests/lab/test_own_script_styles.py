"""Scripts as people write them, run for real on a part of Fashion-MNIST: torchvision's references, nanoGPT, Lightning's CLI."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from branchlab.domain import RunRecord, RunState
from branchlab.lab.judge import compare

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "examples" / "fashion" / "data"

VISION = """
[trainer]
command = ["python", "train.py", "--device", "{device}", "--seed", "{seed}", "--fraction", "{sample}", "--output-dir", "{run_dir}", "--epochs", "{epochs}", "{flags}"]
trainer_from = "main"
resume = ["--resume", "{checkpoint}"]
checkpoint = "checkpoint.pth"
pattern = 'Test:\\s+Acc@1 (?P<acc1>[\\d.]+) Acc@5 (?P<acc5>[\\d.]+)'

[run]
metric = "acc1"
share = ["data"]
device = "cpu"
jobs = 2

[sample]
fraction = 0.2
"""

GPT = """
[trainer]
command = ["python", "train.py", "--out_dir={run_dir}", "--device={device}", "--seed={seed}", "{flags}"]
flag_style = "--name=value"
resume = ["--init_from=resume"]
checkpoint = "ckpt.pt"
pattern = 'step (?P<step>\\d+): train loss (?P<train__loss>\\S+), val loss (?P<val__loss>\\S+)'

[run]
metric = "val/loss"
goal = "min"
share = ["data"]
device = "cpu"
jobs = 2
"""

LIGHTNING = """
[trainer]
command = ["python", "main.py", "fit", "--config", "config.yaml", "--seed_everything={seed}", "--trainer.default_root_dir={run_dir}", "--trainer.max_epochs", "{epochs}", "{flags}"]
trainer_from = "main"
flag_style = "--name=value"
resume = ["--ckpt_path", "{checkpoint}"]
checkpoint = "*.ckpt"

[run]
metric = "val_acc"
share = ["data"]
device = "cpu"
jobs = 2
"""


class Styled:
    def __init__(self, repo, style: str, config: str) -> None:
        self.repo = repo
        files = {path.name: path.read_text() for path in (HERE / "scripts" / style).iterdir()}
        shutil.copytree(DATA, repo.root / "data")
        repo.commit({".branchlab.toml": config, **files})
        repo.git("branch", "-f", "original", "main")

    def run(self, **request: object) -> dict[str, RunRecord]:
        _, last = self.repo.run(**request)
        return {f"{r.run.branch} {r.run.seed}": r for r in last.records.values()}

    def log(self, record: RunRecord, number: int | None = None) -> str:
        folder = self.repo.open().state.run(record.run.id)
        return folder.attempt(number or folder.attempts()).log.read_text()

    def curve(self, record: RunRecord, metric: str) -> list[tuple[int, float]]:
        index = self.repo.open().index()
        try:
            return index.curve(record.run.id, metric)
        finally:
            index.close()

    def killed_at(self, text: str, **request: object) -> RunRecord:
        """Run main, kill its script once it has said something, and return what became of it."""
        killed: list[int] = []

        def watch(session, progress) -> None:
            for record in progress.records.values():
                latest = session.project.state.run(record.run.id).latest()
                if (
                    killed
                    or latest is None
                    or not latest.log.exists()
                    or text not in latest.log.read_text()
                ):
                    continue
                for place in Path("/proc").glob("[0-9]*/environ"):
                    try:
                        if str(latest.path / "told.jsonl").encode() in place.read_bytes():
                            killed.append(int(place.parent.name))
                            killed_now(killed[-1])
                    except OSError:
                        continue

        _, last = self.repo.run(names=("main",), seeds=1, watch=watch, **request)
        assert killed
        return next(iter(last.records.values()))


def killed_now(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_torchvisions_style_is_trained_judged_killed_and_resumed(repo) -> None:
    lab = Styled(repo, "vision", VISION)
    source = (HERE / "scripts/vision/presets.py").read_text()
    repo.branch("exp/norm", {"experiments/norm.toml": "flags = { batch-norm = true, lr = 0.1 }\n"})
    repo.branch(
        "exp/wide",
        {"presets.py": source.replace("8", "16"), "train.py": "raise SystemExit('mine')\n"},
    )
    records = lab.run(is_all=True, seeds=2, epochs=2)
    assert {r.state for r in records.values()} == {RunState.DONE}, {
        n: r.reason for n, r in records.items()
    }
    assert [step for step, _ in lab.curve(records["main 0"], "acc1")] == [1, 2]
    assert records["main 0"].metrics["acc1"] > 40
    assert "--batch-norm" in lab.log(records["exp/norm 0"])
    found = {one.subject.branch: one.verdict for one in compare(repo.open()).judged}
    assert all(verdict is not None and verdict.difference is not None for verdict in found.values())
    whole = lab.run(names=("main",), seeds=1, epochs=12)["main 0"]
    killed = lab.killed_at("Epoch: [2]", epochs=12, is_forced=True)
    assert (killed.state, killed.reason) == (RunState.FAILED, "the script was ended by SIGKILL")
    resumed = lab.run(names=("main",), seeds=1, epochs=12, is_forced=True)["main 0"]
    assert (resumed.state, resumed.attempts, resumed.run.id) == (RunState.DONE, 2, killed.run.id)
    assert "Epoch: [0]" not in lab.log(resumed)
    assert "Epoch: [11]" in lab.log(resumed)  # the kill comes a moment after the third began
    assert resumed.metrics["acc1"] == pytest.approx(whole.metrics["acc1"], abs=15)


@pytest.mark.slow
def test_nanogpts_style_is_trained_judged_killed_and_resumed(repo) -> None:
    lab = Styled(repo, "gpt", GPT)
    repo.branch("exp/bias", {"experiments/bias.toml": "flags = { bias = true, n_embd = 32 }\n"})
    records = lab.run(names=("bias",), seeds=1)
    assert {r.state for r in records.values()} == {RunState.DONE}, {
        n: r.reason for n, r in records.items()
    }
    assert "Overriding: bias = True" in lab.log(records["exp/bias 0"])
    assert [step for step, _ in lab.curve(records["main 0"], "val/loss")] == [0, 10, 20]
    flags = {"max_iters": 30, "pause": 1.0}
    killed = lab.killed_at("step 20", flags=flags)
    assert killed.state is RunState.FAILED
    resumed = lab.run(names=("main",), seeds=1, flags=flags)["main 0"]
    assert (resumed.state, resumed.attempts) == (RunState.DONE, 2)
    assert "Resuming training from" in lab.log(resumed)
    assert [step for step, _ in lab.curve(resumed, "val/loss")] == [0, 10, 20, 30]


@pytest.mark.tools
def test_nanogpts_wandb_log_comes_in_and_stays_here(repo) -> None:
    lab = Styled(repo, "gpt", GPT.replace("pattern =", "# pattern ="))
    record = lab.run(names=("main",), seeds=1, flags={"wandb_log": True})["main 0"]
    assert record.state is RunState.DONE, record.reason
    assert [step for step, _ in lab.curve(record, "val/loss")] == [0, 10, 20]
    assert list((repo.open().state.run(record.run.id).files / "wandb").glob("offline-run-*"))


@pytest.mark.tools
def test_lightnings_cli_is_trained_killed_and_resumed(repo) -> None:
    lab = Styled(repo, "lightning_cli", LIGHTNING)
    repo.branch("exp/norm", {"experiments/norm.toml": 'flags = { "model.norm" = true }\n'})
    records = lab.run(names=("norm",), seeds=1, epochs=2)
    assert {r.state for r in records.values()} == {RunState.DONE}, {
        n: r.reason for n, r in records.items()
    }
    assert "--model.norm=True" in lab.log(records["exp/norm 0"])
    main = records["main 0"]
    assert len(lab.curve(main, "val_acc")) == 2
    assert len(lab.curve(main, "train_loss")) == 8
    assert main.run.script is not None
    assert set(main.run.script.taken) == {"main.py", "config.yaml"}
    flags = {"model.pause": 1.0}
    killed = lab.killed_at("begin epoch 2", epochs=4, flags=flags)
    assert killed.reason == "the script was ended by SIGKILL"
    resumed = lab.run(names=("main",), seeds=1, epochs=4, flags=flags)["main 0"]
    assert (resumed.state, resumed.attempts) == (RunState.DONE, 2), resumed.reason
    assert "--ckpt_path" in lab.log(resumed)
    assert "begin epoch 2" in lab.log(resumed)
    assert "begin epoch 1" not in lab.log(resumed)
    assert len(lab.curve(resumed, "val_acc")) == 4


TOOLS = """
import branchlab, mlflow, wandb
from torch.utils.tensorboard import SummaryWriter

run = wandb.init(project="p")
for step in range(3):
    wandb.log({"w/loss": 1.0 / (step + 1), "picture": "none"})
run.log({"w/late": 3}, step=10)
wandb.finish()
mlflow.log_metric("m/one", 0.5, step=3)
mlflow.log_metrics({"m/two": 0.7}, step=4)
with SummaryWriter() as writer:
    for step in range(4):
        writer.add_scalar("tb/x", 2.0 * step, step)
with SummaryWriter("{out}/val".format(out=__import__("sys").argv[1])) as writer:
    writer.add_scalar("loss", float("nan"), 0)
    writer.add_scalar("loss", 0.25, 1)
"""


@pytest.mark.tools
def test_what_is_logged_to_tools_comes_in_and_stays_here(repo) -> None:
    repo.commit(
        {
            ".branchlab.toml": '[trainer]\ncommand = ["python", "train.py", "{run_dir}"]\n[run]\ndevice = "cpu"\n',
            "train.py": TOOLS,
        }
    )
    _, last = repo.run(names=("main",), seeds=1)
    record = next(iter(last.records.values()))
    assert record.state is RunState.DONE, record.reason
    assert record.metrics == pytest.approx(
        {"w/loss": 1 / 3, "w/late": 3, "m/one": 0.5, "m/two": 0.7, "tb/x": 6.0, "val/loss": 0.25}
    )
    files = repo.open().state.run(record.run.id).files
    assert {path.name for path in files.iterdir()} == {"wandb", "mlflow.db", "runs", "val"}
    index = repo.open().index()
    assert index.curve(record.run.id, "w/loss") == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert index.curve(record.run.id, "m/two") == [(4, 0.7)]
    index.close()
