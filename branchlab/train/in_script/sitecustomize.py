"""Runs as a script of a run starts, in whatever Python that is: what is logged to W&B and MLflow is told to the run as well.

Standard library only. A module is changed when the script itself imports it; what goes wrong here hurts no training. The
environment's own ``sitecustomize``, which this one hides, is run first.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_FILES_VARIABLE = "BRANCHLAB_FILES"


def _run_hidden() -> None:
    """Run the ``sitecustomize`` that would have been found without this folder."""
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _tell(values: Any, step: Any = None) -> None:  # noqa: ANN401  whatever the script logs
    with contextlib.suppress(Exception):
        from branchlab.metric_log import log

        log(dict(values), step=step)


def _watch_wandb(module: Any) -> None:  # noqa: ANN401  a module
    plain = module.Run.log

    @functools.wraps(plain)
    def log(run: Any, data: Any, step: Any = None, *rest: Any, **more: Any) -> Any:  # noqa: ANN401  W&B's own
        with contextlib.suppress(Exception):
            from branchlab.metric_log import STEP_KEYS

            # W&B counts calls; a script that says its own step among the metrics knows better.
            is_said = step is not None or any(key in data for key in STEP_KEYS)
            _tell(data, step if is_said else run.step)
        return plain(run, data, step, *rest, **more)

    module.Run.log = log


def _watch_mlflow(module: Any) -> None:  # noqa: ANN401  a module
    one, many = module.MlflowClient.log_metric, module.MlflowClient.log_batch

    @functools.wraps(one)
    def log_metric(
        client: Any,  # noqa: ANN401
        run_id: str,
        key: str,
        value: Any,  # noqa: ANN401
        timestamp: Any = None,  # noqa: ANN401
        step: Any = None,  # noqa: ANN401
        *rest: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        _tell({key: value}, step)
        return one(client, run_id, key, value, timestamp, step, *rest, **more)

    @functools.wraps(many)
    def log_batch(client: Any, run_id: str, metrics: Any = (), *rest: Any, **more: Any) -> Any:  # noqa: ANN401  MLflow's own
        with contextlib.suppress(Exception):
            by_step: dict[Any, dict[str, Any]] = {}
            for metric in metrics:
                by_step.setdefault(metric.step, {})[metric.key] = metric.value
            for step, values in by_step.items():
                _tell(values, step)
        return many(client, run_id, metrics, *rest, **more)

    module.MlflowClient.log_metric = log_metric
    module.MlflowClient.log_batch = log_batch


def _place_writer(module: Any) -> None:  # noqa: ANN401  a module
    """Let a SummaryWriter that is told no folder write into the run's own."""
    plain = module.SummaryWriter.__init__

    @functools.wraps(plain)
    def start(writer: Any, log_dir: Any = None, *rest: Any, **more: Any) -> None:  # noqa: ANN401  TensorBoard's own
        files = os.environ.get(_FILES_VARIABLE)
        if files and not log_dir:
            log_dir = str(Path(files) / "runs")
        plain(writer, log_dir, *rest, **more)

    module.SummaryWriter.__init__ = start


_WATCHED: dict[str, Callable[[Any], None]] = {
    "wandb.sdk.wandb_run": _watch_wandb,
    "mlflow.tracking.client": _watch_mlflow,
    "torch.utils.tensorboard.writer": _place_writer,
    "tensorboardX.writer": _place_writer,
}


class _Watcher(importlib.abc.MetaPathFinder):
    """Changes a module right after it has been imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:  # noqa: ANN401  the protocol of imports
        if name not in _WATCHED:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                self._follow(spec.loader, _WATCHED[name])
                return spec
        return None

    @staticmethod
    def _follow(loader: Any, change: Callable[[Any], None]) -> None:  # noqa: ANN401  any loader
        plain = loader.exec_module

        def exec_module(module: Any) -> None:  # noqa: ANN401  a module
            plain(module)
            with contextlib.suppress(Exception):
                change(module)

        loader.exec_module = exec_module


class _Lender(importlib.abc.MetaPathFinder):
    """Lends ``branchlab.log`` to an environment that has no branchlab; asked last."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:  # noqa: ANN401  the protocol of imports
        del path, target
        place = _HERE.parents[1] / "metric_log.py"
        if name == "branchlab.metric_log":
            return importlib.util.spec_from_file_location(name, place)
        if name == "branchlab":
            return importlib.util.spec_from_file_location(
                name, place, submodule_search_locations=[]
            )
        return None


with contextlib.suppress(Exception):
    sys.meta_path.insert(0, _Watcher())
    sys.meta_path.append(_Lender())
_run_hidden()
