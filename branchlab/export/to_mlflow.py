"""MLflow: an experiment a repository, one of its runs a run, seeds told apart by tags.

Seeds are grouped by the tag ``group`` and not below a parent run: "Group by" of MLflow's table and charts then averages
them, the list shows only what was trained, and a seed that is added later joins its group. MLflow keeps a metric once that comes
twice with the same step, time and value, which makes repeating safe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from branchlab.domain import RunRecord, RunState
from branchlab.export.facts import labels_of, settings_of, title_of
from branchlab.export.names import for_mlflow
from branchlab.export.news import News, Point
from branchlab.export.tool import Destination, Tell
from branchlab.run_folder import JSON, RunFolder

if TYPE_CHECKING:
    from datetime import datetime

_ID_TAG = "branchlab.run"
_NAME_MAX, _VALUE_MAX = 250, 5000
_BATCH = 1000
_STATUS = {
    RunState.DONE: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.LOST: "FAILED",
    RunState.CANCELLED: "KILLED",
}
_SQLITE = "sqlite:///"
_Item = TypeVar("_Item")


def open_tool(destination: Destination, tell: Tell) -> MlflowTool:
    """Return MLflow at a destination; a server that does not answer is given up after seconds, not minutes."""
    for name, value in {
        "MLFLOW_CONFIGURE_LOGGING": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    artifacts = None
    if destination.address.startswith(_SQLITE):
        folder = Path(destination.address.removeprefix(_SQLITE)).parent
        folder.mkdir(parents=True, exist_ok=True)
        artifacts = (folder / "artifacts").as_uri()
    client = MlflowClient(tracking_uri=destination.address)
    found = client.get_experiment_by_name(destination.project)
    experiment = (
        found.experiment_id
        if found is not None
        else client.create_experiment(destination.project, artifact_location=artifacts)
    )
    return MlflowTool(client, experiment, tell)


class MlflowTool:
    """One experiment of one MLflow."""

    takes_earlier_steps = True

    def __init__(self, client: Any, experiment: str, tell: Tell) -> None:  # noqa: ANN401  MlflowClient, untyped here
        self._client = client
        self._experiment = experiment
        self._tell = tell
        self._renamed: dict[str, str] = {}

    def begin(self, record: RunRecord, own: JSON, *, is_anew: bool) -> tuple[JSON, bool]:
        """Make the run, or find it again by the tag that holds its id."""
        run = record.run
        found = self._client.search_runs(
            [self._experiment], f"tags.`{_ID_TAG}` = '{run.id}'", max_results=1
        )
        if found and is_anew:
            # MLflow takes no value back, and shows the last step as the result; what is deleted can be restored.
            self._client.delete_run(found[0].info.run_id)
            found = []
        is_new = not found or found[0].info.run_id != own.get("run")
        if found:
            name = found[0].info.run_id
            self._client.update_run(name, status="RUNNING")
        else:
            name = self._client.create_run(
                self._experiment,
                start_time=_ms(record.started_at or run.planned_at),
                tags={_ID_TAG: run.id},
                run_name=title_of(run),
            ).info.run_id
        self._describe(record, name)
        return {"run": name}, is_new

    def _describe(self, record: RunRecord, name: str) -> None:
        from mlflow.entities import Param, RunTag

        run = record.run
        tags = {
            **labels_of(run),
            "mlflow.source.git.commit": run.commit,
            "mlflow.source.git.branch": run.branch,
            "mlflow.source.name": run.task if run.script is None else run.script.line,
            "mlflow.source.type": "LOCAL",
        }
        settings = {n: str(value) for n, value in settings_of(run).items()}
        for some in _batches([RunTag(n, v[:_VALUE_MAX]) for n, v in tags.items()], 100):
            self._client.log_batch(name, tags=some)
        for some in _batches(
            [Param(self._name(n), v[:_VALUE_MAX]) for n, v in settings.items()], 100
        ):
            self._client.log_batch(name, params=some)

    def send(self, record: RunRecord, news: News, own: JSON) -> JSON:
        """Write points with step and time, and pictures as artifacts."""
        from mlflow.entities import Metric

        points: Sequence[Point] = [*news.points, *news.usage]
        metrics = [Metric(self._name(p.name), p.value, _ms(p.at), p.step) for p in points]
        for some in _batches(metrics, _BATCH):
            self._client.log_batch(own["run"], metrics=some)
        for picture in news.pictures:
            self._client.log_artifact(own["run"], str(picture.path), "pictures")
        return own

    def end(self, record: RunRecord, folder: RunFolder, own: JSON) -> JSON:
        """Hand over the logs, one an attempt, and say how the run ended."""
        for number in range(1, record.attempts + 1):
            log = folder.attempt(number).log
            if log.is_file():
                self._client.log_artifact(own["run"], str(log), f"attempts/{number}")
        if record.reason:
            self._client.set_tag(own["run"], "mlflow.note.content", record.reason[:_VALUE_MAX])
        status = _STATUS[record.state]
        self._client.set_terminated(own["run"], status=status, end_time=_ms(record.ended_at))
        return own

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _name(self, name: str) -> str:
        if name not in self._renamed:
            taken = for_mlflow(name)
            if len(taken) > _NAME_MAX:
                import hashlib

                digest = hashlib.sha256(name.encode()).hexdigest()[:12]
                taken = f"{taken[: _NAME_MAX - 13]}_{digest}"
            self._renamed[name] = taken
            if taken != name:
                self._tell(f"MLflow refuses the name {name}: it is written {taken}")
        return self._renamed[name]


def _batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
