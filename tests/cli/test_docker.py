from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from branchlab.lab.dockerfile import Wanted, devcontainer, dockerfile, requirements
from tests.cli.conftest import UserRepository

SCRIPTED = """
[trainer]
command = ["python", "train.py", "--data", "/srv/photos", "--labels=/srv/labels.csv", "--out", "{run_dir}", "--cache=/srv/{seed}"]
trainer_from = "main"

[run]
device = "cpu"
"""
SCRIPT = """
import json
from net import QUALITY
print(json.dumps({"epoch": 1, "val/accuracy": QUALITY}))
"""


def document(**more: object) -> dict[str, object]:
    return {
        "python": {"version": "3.11.7"},
        "torch": {"version": "2.15.0+cu132", "cuda": "13.2"},
        "packages": {"installed": ["numpy==2.4.6", "torch==2.15.0"], "elsewhere": {}},
        "device": "cpu",
        "variables": {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TZ": "UTC"},
        **more,
    }


def wanted(**more: object) -> Wanted:
    values: dict[str, object] = {
        "run_id": "se-s0-1f3c22ab",
        "branch": "exp/se",
        "commit": "c" * 40,
        "checked_out": "c" * 40,
        "plan": '{"id": "se-s0-1f3c22ab"}',
        "environment": document(),
        "build": "docker build .",
        **more,
    }
    return Wanted(**values)  # type: ignore[arg-type]


CUDA = wanted(
    environment=document(device="cuda", gpus=[{"name": "H100"}]), branchlab="branchlab==0.1.0"
)
LOCAL = wanted(
    environment=document(
        packages={"installed": ["torch==2.15.0+cu126", "a==1"], "elsewhere": {}},
        variables={"OMP_NUM_THREADS": '1" $(reboot)\nRUN rm -rf /'},
    ),
    branch="exp/a\nRUN reboot",
    plan="EOF\n$(reboot)\nEOF",
)


def instructions(text: str) -> list[str]:
    """Return the instructions without comments, and without what here documents hold."""
    found, until = [], ""
    for line in text.splitlines():
        if until:
            until = "" if line == until else until
        elif line and not line.startswith(("#", "    ")):
            found.append(line)
            mark = re.search(r"<<'(\w+)'", line)
            until = mark[1] if mark else ""
    assert not until
    return found


def test_every_recorded_package_is_pinned_and_what_only_this_machine_has_is_said() -> None:
    elsewhere = {
        "own": {"url": "file:///home/ada/own", "commit": "", "is_editable": True},
        "vcs": {"url": "git+https://host/vcs", "commit": "c1", "is_editable": False},
        "wheel": {"url": "https://host/wheel-1.whl", "commit": "", "is_editable": False},
    }
    pinned = ["branchlab==0.1.0", "numpy==2.4.6", "own==1", "pip==23", "vcs==2", "wheel==1"]
    pins, left_out = requirements({"packages": {"installed": pinned, "elsewhere": elsewhere}})
    assert pins == [
        "numpy==2.4.6",
        "vcs @ git+https://host/vcs@c1",
        "wheel @ https://host/wheel-1.whl",
    ]
    assert left_out == ["own==1 from file:///home/ada/own"]


def test_a_run_on_a_cpu_gets_pythons_own_image_and_nobody_is_root() -> None:
    found = instructions(dockerfile(wanted()))
    assert found[0] == "FROM python:3.11.7-slim AS environment"
    assert "USER 10001" in found
    assert [line for line in found if line.startswith("FROM")][-1] == "FROM environment AS run"
    assert 'ENV OMP_NUM_THREADS="1"' in found
    assert not any("TZ" in line for line in found)
    assert found[-1].startswith('CMD ["sh", "-c", "python -P -m branchlab.train.node')


def test_a_run_on_cuda_gets_nvidias_runtime_and_the_exact_python() -> None:
    text = dockerfile(CUDA)
    assert "FROM nvidia/cuda:13.2.0-runtime-ubuntu24.04 AS environment" in text
    assert "uv venv --seed --python 3.11.7" in text
    assert "docker run --rm --gpus all " in text
    assert 'pip install --no-cache-dir --no-deps "branchlab==0.1.0"' in text
    older = document(device="cuda", torch={"version": "2.5", "cuda": "12.4"})
    assert "nvidia/cuda:12.4.0-runtime-ubuntu22.04" in dockerfile(wanted(environment=older))


def test_nothing_that_was_recorded_becomes_an_instruction() -> None:
    text = dockerfile(LOCAL)
    assert not [line for line in instructions(text) if "reboot" in line and "ENV" not in line]
    assert 'ENV OMP_NUM_THREADS="1\\" \\$(reboot) RUN rm -rf /"' in text
    assert "<<'EOF_'" in text
    assert '--extra-index-url "$EXTRA_INDEX"' in text


def test_the_devcontainer_has_the_fields_of_its_schema() -> None:
    options = ["--build-context=branchlab=../branchlab"]
    found = json.loads(devcontainer(CUDA, context="../..", options=options))
    assert found["build"] == {
        "dockerfile": "../Dockerfile",
        "context": "../..",
        "target": "environment",
        "options": options,
    }
    assert found["remoteUser"] == "lab"
    assert found["runArgs"] == ["--gpus", "all"]
    assert found["hostRequirements"] == {"gpu": True}
    plain = json.loads(devcontainer(wanted(), context="..", options=[]))
    assert plain.keys() == {"name", "build", "remoteUser", "customizations"}


def test_a_run_is_found_by_id_and_by_branch_and_files_are_not_overwritten(
    trained, tmp_path
) -> None:
    out = str(tmp_path / "image")
    done = trained.branchlab("docker", "wide", "--devcontainer", "--out", out)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "image/Dockerfile").read_text()
    run_id = re.findall(r"-t (\S+)", done.stdout)[0]
    assert run_id.startswith("wide-s")
    assert f"refs/branchlab/runs/{run_id}" in text
    assert (tmp_path / "image/Dockerfile.dockerignore").read_text().endswith("*\n!.git\n")
    context = json.loads((tmp_path / "image/.devcontainer/devcontainer.json").read_text())["build"]
    assert (tmp_path / "image/.devcontainer" / context["context"]).resolve() == trained.root
    again = trained.branchlab("docker", run_id, "--out", out)
    assert again.returncode == 0  # the same files
    other = trained.branchlab("docker", "main", "--out", out)
    assert other.returncode == 2
    assert "--force" in other.stderr
    assert (tmp_path / "image/Dockerfile").read_text() == text
    assert trained.branchlab("docker", "main", "--out", out, "--force").returncode == 0
    assert (tmp_path / "image/Dockerfile").read_text() != text


def test_it_is_printed_and_nothing_is_written(trained) -> None:
    before = trained.git("status", "--porcelain")
    done = trained.branchlab("docker", "--out", "-")
    assert done.stdout.startswith("# syntax=docker/dockerfile:1\n# Trains main-s")
    assert trained.git("status", "--porcelain") == before
    told = json.loads(trained.branchlab("docker", "--out", "-", "--json").stdout)
    assert told["written"] == []
    assert told["files"]["Dockerfile"] == done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "--out", "-"], "nowhere"),
        (["--out", "-", "--devcontainer"], "--devcontainer makes two"),
    ],
)
def test_what_cannot_be_made_is_said(trained, arguments, said) -> None:
    done = trained.branchlab("docker", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout


def test_what_the_image_does_trains_the_same_bits_again(trained, tmp_path: Path) -> None:
    run_id, result = carried_out(trained, "wide", tmp_path)
    first = trained.root / ".branchlab/runs" / run_id / "attempts/1/result.json"
    assert result["loss_digest"] == json.loads(first.read_text())["loss_digest"]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> UserRepository:
    """A project whose own script has trained a branch with a script of its own; tests only read."""
    project = UserRepository(tmp_path_factory.mktemp("scripted"))
    project.git("init", "-q", "-b", "main")
    project.commit({".branchlab.toml": SCRIPTED, "train.py": SCRIPT, "net.py": "QUALITY = 0.5\n"})
    own = "raise SystemExit('the branch judges itself')\n"
    project.branch("exp/a", {"train.py": own, "net.py": "QUALITY = 0.7\n"})
    done = project.branchlab("run", "a", "--seeds", "1")
    assert done.returncode == 0, done.stderr
    return project


def test_data_that_a_scripts_command_names_is_mounted(scripted) -> None:
    text = scripted.branchlab("docker", "exp/a", "--out", "-").stdout
    (line,) = [line for line in text.splitlines() if "docker run" in line]
    assert re.findall(r"-v (\S+)", line) == [
        "/srv/labels.csv:/srv/labels.csv:ro",
        "/srv/photos:/srv/photos:ro",
    ]


@pytest.mark.slow
def test_the_image_trains_a_branch_by_mains_script_where_the_run_did(
    scripted, tmp_path: Path
) -> None:
    _, result = carried_out(scripted, "exp/a", tmp_path)
    assert result["metrics"]["val/accuracy"] == 0.7


def carried_out(
    project: UserRepository, branch: str, folder: Path
) -> tuple[str, dict[str, object]]:
    """Do what the image of a branch's run does; return the run's id and its result.

    No engine is needed: its last stage is carried out here, in other folders.
    """
    text = project.branchlab("docker", branch, "--out", "-").stdout
    stage = text.partition("FROM environment AS run\n")[2]
    run_id = re.findall(r"refs/branchlab/runs/(\S+)", stage)[0]
    fetch = stage.partition("git init")[2].partition("\nCOPY")[0]
    work, runs = folder / "work", folder / "runs" / run_id
    work.mkdir()
    runs.mkdir(parents=True)
    commands = f"git init {fetch}".replace("/repository.git", str(project.root / ".git"))
    subprocess.run(["sh", "-c", commands], cwd=work, check=True)
    (runs / "run.json").write_text(stage.partition("/run.json\n")[2].partition("\nEOF\n")[0])
    _, _, command = json.loads(stage.rpartition("\nCMD ")[2])
    command = command.replace("/work", str(work)).replace("/runs/", f"{runs.parent}/")
    command = command.replace("python -P", f"{sys.executable} -P")
    done = subprocess.run(["sh", "-c", command], cwd=work, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["state"] == "done", result
    return run_id, result


@pytest.mark.tools
@pytest.mark.parametrize("made", [wanted(), CUDA, LOCAL], ids=["cpu", "cuda", "hostile"])
def test_a_linter_parses_it_and_finds_nothing(made: Wanted, tmp_path: Path) -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or "hadolint"
    (tmp_path / "Dockerfile").write_text(dockerfile(made))
    done = subprocess.run(
        [linter, "--no-color", tmp_path / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text(dockerfile(made) + "RUN cd /tmp\nNOTHING\n")
    assert subprocess.run(
        [linter, tmp_path / "Dockerfile"], check=False, capture_output=True
    ).returncode
