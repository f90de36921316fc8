"""What the tools hold, read by their own means: MLflow's client, TensorBoard's reader, the records of W&B's file."""

from __future__ import annotations

import math
import struct
from collections import Counter
from pathlib import Path
from typing import Any

Curves = dict[str, dict[int, float]]


def of_mlflow(uri: str, project: str, run_id: str) -> tuple[Any, Curves, Counter[tuple[str, int]]]:
    """Return MLflow's run, its curves, and how often each name has a value at each step."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(project)
    found = client.search_runs([experiment.experiment_id], f"tags.`branchlab.run` = '{run_id}'")
    (run,) = found
    curves: Curves = {}
    count: Counter[tuple[str, int]] = Counter()
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            curves.setdefault(name, {})[metric.step] = metric.value
            count[name, metric.step] += 1
    return run, curves, count


def of_tensorboard(folder: Path) -> tuple[Any, Curves, Counter[tuple[str, int]]]:
    """Return TensorBoard's reader of a run's folder, its curves, and how often each tag has each step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    reader.Reload()
    curves: Curves = {}
    count: Counter[tuple[str, int]] = Counter()
    for tag in reader.Tags()["scalars"]:
        for event in reader.Scalars(tag):
            curves.setdefault(tag, {})[event.step] = event.value
            count[tag, event.step] += 1
    return reader, curves, count


def single(curves: Curves) -> Curves:
    """Return curves in single precision, as TensorBoard keeps them."""
    return {
        name: {
            step: struct.unpack("f", struct.pack("f", value))[0] for step, value in curve.items()
        }
        for name, curve in curves.items()
    }


def of_wandb(folder: Path, run_id: str) -> tuple[Any, Curves, dict[str, Any]]:
    """Return the run's own record, its curves and its exit, of the one offline folder that the run has."""
    import json

    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb")
    run, curves, last = None, Curves(), {}
    for content in _leveldb_records(path.read_bytes()[7:]):
        record = Record()
        record.ParseFromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
        elif kind == "exit":
            last["exit_code"] = record.exit.exit_code
        elif kind == "history":
            items = {
                i.key or "/".join(i.nested_key): json.loads(i.value_json)
                for i in record.history.item
            }
            step = items.get("_step", record.history.step.num)
            for name, value in items.items():
                is_number = isinstance(value, int | float) or value in {"NaN", "Infinity"}
                if is_number and not name.startswith("_"):
                    curves.setdefault(name, {})[step] = float(value)
    return run, curves, last


def _leveldb_records(content: bytes):
    """Yield the records of a log in LevelDB's format: blocks of 32 KiB, of which W&B's head of 7 bytes is a part."""
    at, parts = 7, b""
    content = b"\0" * 7 + content
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", content[at : at + 7])
        if kind == 0:
            at += left
            continue
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in {1, 4}:
            yield parts
            parts = b""


def metrics_of(curves: Curves) -> Curves:
    """Return curves without those of the machine, W&B's own, and what it tells of pictures."""
    others = ("system/", "pictures/")
    return {n: c for n, c in curves.items() if not n.startswith(others) and n != "epoch"}


def is_equal(one: Curves, other: Curves) -> bool:
    """Whether curves are equal, NaN to NaN."""
    return one.keys() == other.keys() and all(
        one[name].keys() == other[name].keys()
        and all(
            one[name][step] == value or (math.isnan(value) and math.isnan(one[name][step]))
            for step, value in other[name].items()
        )
        for name in one
    )
