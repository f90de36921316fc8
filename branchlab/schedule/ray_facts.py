"""Asks a Ray cluster what its nodes have, from a process of its own.

Ray hangs for minutes on an address where nothing answers, prints what it cannot reach again and again, and may abort its
process. So it is asked in a child that is given a bounded time, and whose complaints are told apart: nobody there, token
refused, another version. ``python -m branchlab.schedule.ray_facts QUESTION`` prints one JSON document.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

from branchlab.config import RayOptions
from branchlab.errors import ExecutorError
from branchlab.schedule.executor import Facts
from branchlab.version import __version__

_CONNECT_WITHIN_S = 5.0
_ANSWER_WITHIN_S = 90.0
_TASKS_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.1
_COMPLAINTS_READ = 1 << 16
_TOKEN_REFUSED = b"InvalidAuthToken"
_GIB = 1 << 30
_LINE_LENGTH_MAX = 300


def ask_cluster(options: RayOptions, *, share: Sequence[str] = ()) -> Facts:
    """Return what plans depend on, of the nodes that a run can be carried out on.

    Raises:
        ExecutorError: Ray is not installed, no cluster answers, no node is large enough, a node cannot carry runs out,
            or nodes differ in what results depend on.
    """
    check_installed(options)
    _knock(options.address)
    question = {
        "address": options.address,
        "cpus": options.cpus,
        "gpus": options.gpus,
        "memory": options.memory_gib * _GIB,
        "data": [os.path.join(options.data_root, path) for path in share],  # noqa: PTH118  paths of another machine
    }
    nodes = _ask(question, options.address)
    return _facts(nodes, options)


def check_installed(options: RayOptions) -> None:
    """Raise ExecutorError unless what it takes to reach the cluster is installed here."""
    if importlib.util.find_spec("ray") is None:
        raise ExecutorError(
            '[executor] kind = "ray": ray is not installed here',
            hint="pip install 'branchlab[ray]'",
        )
    if options.address.startswith("ray://") and importlib.util.find_spec("grpc") is None:
        raise ExecutorError(
            f"{options.address} takes Ray's client, which is not installed here",
            hint="pip install 'ray[client]'",
        )


def _knock(address: str) -> None:
    """Raise ExecutorError when nothing listens at an address: Ray takes more than a minute to say so."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        if address != "auto":
            raise ExecutorError(
                f'[executor.ray] address = "{address}": needs auto, HOST:PORT or ray://HOST:PORT',
                hint="ray status shows the cluster of this machine",
            )
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from None


def _unreachable(address: str, why: str) -> ExecutorError:
    return ExecutorError(
        f"no Ray cluster answers at {address}: {why}",
        hint="start one: ray start --head; or set [executor.ray] address",
    )


def _ask(question: dict[str, Any], address: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-P", "-m", "branchlab.schedule.ray_facts", json.dumps(question)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=complaints, start_new_session=True
        )
        try:
            _wait_for(child, complaints, address)
        finally:
            child.kill()
            child.wait()
        out.seek(0)
        said = out.read().decode(errors="replace")
    try:
        answer = json.loads(said.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise _unreachable(address, f"asking it ended with {child.returncode}") from None
    if "error" in answer:
        raise _unreachable(address, answer["error"])
    nodes: list[dict[str, Any]] = answer["nodes"]
    return nodes


def _wait_for(child: subprocess.Popen[bytes], complaints: IO[bytes], address: str) -> None:
    """Wait for an answer; raises ExecutorError as soon as it is plain that none will come: Ray goes on for 20 s."""
    until = time.monotonic() + _ANSWER_WITHIN_S
    while (code := child.poll()) is None or code:
        # Not read(): that would move the place at which the child writes.
        if _TOKEN_REFUSED in os.pread(complaints.fileno(), _COMPLAINTS_READ, 0):
            raise ExecutorError(
                f"the Ray cluster at {address} refuses the token of this machine, or there is none",
                hint="export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=FILE",
            )
        if code is not None:
            return
        if time.monotonic() > until:
            raise _unreachable(address, f"it did not answer within {_ANSWER_WITHIN_S:g} s")
        time.sleep(_LOOK_EVERY_S)


def _facts(nodes: list[dict[str, Any]], options: RayOptions) -> Facts:
    fit = [node for node in nodes if node["fits"]]
    if not fit:
        largest = max(nodes, key=lambda n: (n["gpus"], n["cpus"], n["memory"]), default=None)
        has = f"the largest has {_sizes(largest)}" if largest else "it has no node"
        wanted = {
            "cpus": options.cpus,
            "gpus": options.gpus,
            "memory": options.memory_gib * _GIB,
        }
        raise ExecutorError(
            f"no node of the Ray cluster at {options.address} has room for a run ({_sizes(wanted)}): {has}",
            hint="lower cpus, gpus or memory_gib in [executor.ray]",
        )
    for node in fit:
        if "error" in node:
            raise ExecutorError(
                f"the Ray node {node['name']} cannot carry runs out: {node['error']}",
                hint=f"on that node: pip install branchlab=={__version__}",
            )
        if node["branchlab"] != __version__:
            raise ExecutorError(
                f"the Ray node {node['name']} has branchlab {node['branchlab']}, this machine {__version__}",
                hint=f"on that node: pip install branchlab=={__version__}",
            )
        if node["missing"]:
            raise ExecutorError(
                f"[run] share: {node['missing'][0]} does not exist on the Ray node {node['name']}",
                hint="put the data there, or set [executor.ray] data_root",
            )
    versions = ("python", "torch", "trainer")
    for what in versions:
        found = {node[what]: node for node in fit}
        if len(found) > 1:
            (one, a), (other, b) = list(found.items())[:2]
            raise ExecutorError(
                f"Ray nodes differ: {a['name']} has {what} {one}, {b['name']} has {what} {other}",
                hint="results of both could not be compared; install the same on all",
            )
    num_gpus = math.ceil(options.gpus)
    return Facts(
        devices=tuple(f"cuda:{i}" for i in range(num_gpus)) or ("cpu",),
        environment={what: fit[0][what] for what in versions},
        threads=options.cpus,
        has_slots=False,
    )


def _sizes(node: dict[str, Any]) -> str:
    memory = f", {node['memory'] / _GIB:.3g} GiB" if node["memory"] else ""
    return f"{node['cpus']:g} CPUs, {node['gpus']:g} GPUs{memory}"


def main() -> None:
    """Answer the question of the command line."""
    question = json.loads(sys.argv[1])
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        answer: dict[str, Any] = {"nodes": _look(question)}
    except Exception as error:  # noqa: BLE001  whatever Ray raises is the answer
        why = " ".join(str(error).split())[:_LINE_LENGTH_MAX]
        answer = {"error": f"{type(error).__name__}: {why}"}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # Ray's own way out takes a second


def _look(question: dict[str, Any]) -> list[dict[str, Any]]:
    ray: Any = importlib.import_module("ray")
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    ray.init(address=question["address"], log_to_driver=False, logging_level="CRITICAL")
    nodes, asked = [], []
    look = ray.remote(num_cpus=0, max_retries=1)(_looker())
    for found in ray.nodes():
        if not found["Alive"]:
            continue
        has = found["Resources"]
        node = {"name": found["NodeManagerHostname"], "cpus": has.get("CPU", 0.0)}
        node |= {"gpus": has.get("GPU", 0.0), "memory": has.get("memory", 0.0)}
        node["fits"] = all(node[k] >= question[k] for k in ("cpus", "gpus", "memory"))
        nodes.append(node)
        if node["fits"]:
            there = strategies.NodeAffinitySchedulingStrategy(found["NodeID"], soft=False)
            asked.append((node, look.options(scheduling_strategy=there).remote(question["data"])))
    for node, answer in asked:
        try:
            node.update(ray.get(answer, timeout=_TASKS_WITHIN_S))
        except ray.exceptions.RayError as error:
            node["error"] = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return nodes


def _looker() -> Callable[[list[str]], dict[str, Any]]:
    """Return a function that is sent with its code: a node need not have branchlab to say that it has none."""

    def look(paths: list[str]) -> dict[str, Any]:
        import importlib
        import os
        import shutil

        try:
            version = importlib.import_module("branchlab.version").__version__
            found = importlib.import_module("branchlab.train.host").describe()
        except ImportError as error:
            return {"error": f"{type(error).__name__}: {error}"}
        if shutil.which("git") is None:
            return {"error": "git was not found on PATH"}
        missing = [path for path in paths if not os.path.exists(path)]  # noqa: PTH110
        return {**found, "branchlab": version, "missing": missing}

    return look


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
