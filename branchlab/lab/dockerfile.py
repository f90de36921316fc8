"""The text of a Dockerfile that trains one recorded run again, and of a devcontainer for its environment; from values alone.

Two stages: ``environment`` has Python, the exact packages and branchlab, and a user of its own; ``run`` adds the
repository at the run's commit and the plan. Lists stand in it as here documents, so that the file is whole by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_UV = "0.13.9"
"""Brings the exact Python into an image that has none."""
_UBUNTU_SINCE = (12, 6)
"""The first CUDA that NVIDIA builds on Ubuntu 24.04."""
_NOT_PINNED = {"branchlab", "pip"}
_VARIABLES = (
    *("CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "KMP_AFFINITY", "MKL_NUM_THREADS"),
    *("NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"),
    *("PYTHONHASHSEED", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"),
)
_USER = 10001
_EXTRA = 'ARG EXTRA_INDEX=""'


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an image shall do again.

    Attributes:
        run_id: Of the run; ``plan`` is its ``run.json``, ``environment`` what it trained in.
        commit: The branch's own; ``checked_out`` is what the run trained, another one where main's script was put in.
        share: Paths of the repository that are not in git and that the run needs.
        branchlab: Requirement that installs it; "" where its source is the build context ``branchlab``.
        build: The command that builds the image, said in its head.
    """

    run_id: str
    branch: str
    commit: str
    checked_out: str
    plan: str
    environment: Mapping[str, Any]
    share: Sequence[str] = ()
    branchlab: str = ""
    build: str = ""
    mounts: Sequence[str] = field(default_factory=tuple)

    @property
    def uses_cuda(self) -> bool:
        return self.environment.get("device") == "cuda"


def dockerfile(wanted: Wanted) -> str:
    """Return the Dockerfile."""
    pins, left_out = requirements(wanted.environment)
    parts = [
        _head(wanted, left_out),
        *_python(wanted),
        *_packages(wanted, pins),
        *_user(wanted),
        *_run(wanted),
    ]
    return "\n".join(parts) + "\n"


def devcontainer(wanted: Wanted, *, context: str, options: Sequence[str]) -> str:
    """Return ``devcontainer.json``: the environment alone, the repository comes as the workspace."""
    document: dict[str, Any] = {
        "name": f"{wanted.branch} ({wanted.run_id})",
        "build": {
            "dockerfile": "../Dockerfile",
            "context": context,
            "target": "environment",
            **({"options": list(options)} if options else {}),
        },
        "remoteUser": "lab",
        **(
            {"runArgs": ["--gpus", "all"], "hostRequirements": {"gpu": True}}
            if wanted.uses_cuda
            else {}
        ),
        "customizations": {"vscode": {"extensions": ["ms-python.python"]}},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def requirements(environment: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return exact requirements, and the packages that only the machine itself could install again, with where they came from."""
    packages = environment.get("packages") or {}
    elsewhere = packages.get("elsewhere") or {}
    pins, left_out = [], []
    for pin in packages.get("installed") or ():
        name = str(pin).partition("==")[0]
        source = elsewhere.get(name) or {}
        url = str(source.get("url", ""))
        if name in _NOT_PINNED:
            continue
        if not url:
            pins.append(str(pin))
        elif source.get("commit"):
            pins.append(f"{name} @ {url}@{source['commit']}")
        elif url.startswith(("http://", "https://")):
            pins.append(f"{name} @ {url}")
        else:
            left_out.append(f"{pin} from {url}")
    return pins, left_out


def _head(wanted: Wanted, left_out: Sequence[str]) -> str:
    torch = (wanted.environment.get("torch") or {}).get("version")
    gpus = "--gpus all " if wanted.uses_cuda else ""
    mounts = "".join(f"-v {mount} " for mount in wanted.mounts)
    about = f"{wanted.run_id} of {wanted.branch} again: {wanted.commit[:10]}"
    lines = [
        f" Trains {about}, Python {_python_version(wanted)}, torch {torch}.",
        f"   {wanted.build}",
        f"   docker run --rm {gpus}{mounts}{wanted.run_id}",
        *(f" Not in it, install it by hand: {package}" for package in left_out),
    ]
    said = ["#" + " ".join(line.splitlines()) for line in lines]
    return "\n".join(["# syntax=docker/dockerfile:1", *said])


def _python(wanted: Wanted) -> list[str]:
    version = _python_version(wanted)
    git = "ca-certificates git"
    install = (
        "# hadolint ignore=DL3008\n"
        "RUN apt-get update \\\n"
        f"    && apt-get install -y --no-install-recommends {git} \\\n"
        "    && rm -rf /var/lib/apt/lists/*"
    )
    if not wanted.uses_cuda:
        return [
            f"FROM python:{version}-slim AS environment",
            "",
            install,
            "RUN python -m venv /opt/venv",
            *_PATH,
        ]
    cuda = str((wanted.environment.get("torch") or {}).get("cuda") or "12.8")
    return [
        f"FROM python:{version}-slim AS uv",
        f"RUN pip install --no-cache-dir uv=={_UV}",
        "",
        f"FROM nvidia/cuda:{cuda}.0-runtime-{_ubuntu(cuda)} AS environment",
        "",
        install,
        "COPY --from=uv /usr/local/bin/uv /usr/local/bin/uv",
        "ENV UV_PYTHON_INSTALL_DIR=/opt/python",
        f"RUN uv venv --seed --python {version} /opt/venv",
        *_PATH,
    ]


_PATH = ("ENV PATH=/opt/venv/bin:$PATH", "")


def _packages(wanted: Wanted, pins: Sequence[str]) -> list[str]:
    local = sorted(
        {pin.partition("+")[2] for pin in pins if re.fullmatch(r"[^@]+==[^@]+\+.+", pin)}
    )
    index = ' --extra-index-url "$EXTRA_INDEX"' if local else ""
    pip = "pip install --no-cache-dir --no-deps"
    given = f' \\\n    && {pip} "{_line(wanted.branchlab)}"' if wanted.branchlab else ""
    ours = [
        "# hadolint ignore=DL3022",
        "COPY --from=branchlab pyproject.toml README.md /opt/branchlab/",
        "# hadolint ignore=DL3022",
        "COPY --from=branchlab branchlab /opt/branchlab/branchlab",
        "# hadolint ignore=DL3022",
        "COPY --from=branchlab examples /opt/branchlab/examples",
        f"RUN {pip} /opt/branchlab",
    ]
    return [
        *(
            [
                f"# {', '.join(local)}: builds of PyTorch's own index; give its address with --build-arg EXTRA_INDEX=",
                _EXTRA,
            ]
            if local
            else []
        ),
        *_here("/opt/requirements.txt", "\n".join(pins)),
        f"RUN {pip}{index} -r /opt/requirements.txt{given}",
        *([] if wanted.branchlab else ours),
        "",
    ]


def _user(wanted: Wanted) -> list[str]:
    variables = wanted.environment.get("variables") or {}
    return [
        *(
            f"ENV {name}={_quoted(str(variables[name]))}"
            for name in _VARIABLES
            if name in variables
        ),
        "RUN git config --system --add safe.directory '*' \\",
        f"    && useradd --create-home --shell /bin/bash --uid {_USER} lab \\",
        "    && mkdir /work /runs \\",
        "    && chown lab:lab /work /runs",
        f"USER {_USER}",
        "WORKDIR /work",
        "",
    ]


def _run(wanted: Wanted) -> list[str]:
    folder = f"/runs/{wanted.run_id}"
    order = {
        "run_folder": folder,
        "attempt": 1,
        "worktree": "/work",
        "timeout_s": 86_400,
        "silence_s": 86_400,
    }
    train = f"python -P -m branchlab.train.node '{json.dumps(order)}'"
    shown = f"code=$?; cat {folder}/attempts/1/result.json; exit $code"
    return [
        "FROM environment AS run",
        "",
        "RUN --mount=type=bind,source=.git,target=/repository.git \\",
        "    git init --quiet \\",
        f"    && git fetch --quiet /repository.git refs/branchlab/runs/{wanted.run_id} \\",
        f"    && git checkout --quiet --detach {wanted.checked_out}",
        *_here(f"{folder}/run.json", wanted.plan, owner="lab:lab"),
        f"CMD {json.dumps(['sh', '-c', f'{train}; {shown}'])}",
    ]


def _here(path: str, text: str, *, owner: str = "") -> list[str]:
    """Return the instruction that writes a text into the image, whatever it holds."""
    mark = "EOF"
    while mark in text.splitlines():
        mark += "_"
    chown = f"--chown={owner} " if owner else ""
    return [f"COPY {chown}<<'{mark}' {path}", text, mark, ""]


def _ubuntu(cuda: str) -> str:
    found = tuple(int(part) for part in re.findall(r"\d+", cuda)[:2])
    return "ubuntu24.04" if found >= _UBUNTU_SINCE else "ubuntu22.04"


def _python_version(wanted: Wanted) -> str:
    return str((wanted.environment.get("python") or {}).get("version"))


def _quoted(value: str) -> str:
    return '"' + re.sub(r'([\\"$])', r"\\\1", _line(value)) + '"'


def _line(text: str) -> str:
    """Return a text that comes from outside, in one line."""
    return " ".join(text.split())
