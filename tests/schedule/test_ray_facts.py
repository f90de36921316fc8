"""What is said of clusters that do not serve: no Ray is needed to know it."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

import pytest

from branchlab.config import RayOptions
from branchlab.errors import ExecutorError
from branchlab.schedule import ray_facts
from branchlab.schedule.executor import Facts
from branchlab.schedule.on_ray import RayExecutor
from branchlab.version import __version__


def node(name: str, **facts: object) -> dict[str, object]:
    """Return what a node answers."""
    has = {"cpus": 4.0, "gpus": 2.0, "memory": float(8 << 30), "fits": True, "missing": []}
    versions = {
        "python": "3.11.7",
        "torch": "2.10.0",
        "trainer": "1",
        "branchlab": __version__,
    }
    return {"name": name, **has, **versions, **facts}


def refusal(*nodes: dict[str, object], **options: object) -> ExecutorError:
    with pytest.raises(ExecutorError) as caught:
        ray_facts._facts(list(nodes), RayOptions(**options))
    assert caught.value.hint
    return caught.value


def test_equal_nodes_give_their_versions_and_the_devices_that_were_asked_for() -> None:
    environment = {"python": "3.11.7", "torch": "2.10.0", "trainer": "1"}
    nodes = [node("one"), node("other")]
    found = ray_facts._facts(nodes, RayOptions(gpus=2))
    devices = ("cuda:0", "cuda:1")
    assert found == Facts(devices=devices, environment=environment, threads=1, has_slots=False)
    assert ray_facts._facts(nodes, RayOptions(gpus=0.5)).devices == ("cuda:0",)
    assert ray_facts._facts(nodes, RayOptions()).devices == ("cpu",)


def test_a_node_that_no_run_fits_on_is_not_asked_for_anything() -> None:
    small = {"name": "head", "cpus": 0.0, "gpus": 0.0, "memory": 0.0, "fits": False}
    assert ray_facts._facts([small, node("one")], RayOptions()).environment["torch"] == "2.10.0"
    error = refusal(small, gpus=1)
    assert "has room for a run (1 CPUs, 1 GPUs): the largest has 0 CPUs, 0 GPUs" in error.message
    assert "it has no node" in refusal().message


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"torch": "2.9.1"},
            "Ray nodes differ: one has torch 2.10.0, other has torch 2.9.1",
        ),
        (
            {"python": "3.12.1"},
            "Ray nodes differ: one has python 3.11.7, other has python 3.12.1",
        ),
        ({"trainer": "0"}, "Ray nodes differ: one has trainer 1, other has trainer 0"),
        (
            {"branchlab": "0.0.1"},
            f"the Ray node other has branchlab 0.0.1, this machine {__version__}",
        ),
        (
            {"error": "ModuleNotFoundError: No module named 'branchlab'"},
            "the Ray node other cannot carry runs out: ModuleNotFoundError: No module named 'branchlab'",
        ),
        (
            {"missing": ["/data/cifar"]},
            "[run] share: /data/cifar does not exist on the Ray node other",
        ),
    ],
)
def test_nodes_whose_results_could_not_be_compared_are_named(
    facts: dict[str, object], said: str
) -> None:
    assert refusal(node("one"), node("other", **facts)).message == said


def test_without_ray_the_hint_is_how_to_install_it(monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ExecutorError, match="ray is not installed here") as caught:
        ray_facts.ask_cluster(RayOptions())
    assert caught.value.hint == "pip install 'branchlab[ray]'"


def test_an_address_where_nobody_listens_is_said_at_once(monkeypatch) -> None:
    monkeypatch.setattr(ray_facts, "check_installed", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(ExecutorError, match=f"no Ray cluster answers at {address}"):
            ray_facts.ask_cluster(RayOptions(address=address))
    with pytest.raises(ExecutorError, match="needs auto, HOST:PORT or ray://HOST:PORT"):
        ray_facts.ask_cluster(RayOptions(address="somewhere"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("import time; time.sleep(60)", "it did not answer within 1 s"),
        ("import os; os.abort()", "asking it ended with -6"),
        ('print(\'{"error": "ConnectionError: nobody"}\')', "ConnectionError: nobody"),
        (
            "import sys; sys.stderr.write('... InvalidAuthToken ...'); sys.exit(1)",
            "refuses the token of this machine",
        ),
    ],
)
def test_a_cluster_that_hangs_aborts_or_refuses_is_an_error_in_one_line(
    monkeypatch, tmp_path: Path, answer: str, said: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{answer}\n")
    python.chmod(0o755)
    monkeypatch.setattr(ray_facts.sys, "executable", str(python))
    monkeypatch.setattr(ray_facts, "_ANSWER_WITHIN_S", 1.0 if "sleep" in answer else 60.0)
    with pytest.raises(ExecutorError) as caught:
        ray_facts._ask({}, "auto")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_shared_data_needs_a_place_on_the_nodes() -> None:
    repository = None
    executor = RayExecutor(repository, RayOptions(), share=("data",))  # type: ignore[arg-type]
    with pytest.raises(ExecutorError, match="Ray nodes do not see it") as caught:
        executor.facts()
    assert "data_root" in caught.value.hint


def test_closing_an_executor_that_was_never_used_does_nothing() -> None:
    RayExecutor(None, RayOptions()).close()  # type: ignore[arg-type]
    assert "ray" not in sys.modules
