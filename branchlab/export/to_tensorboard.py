"""TensorBoard: a folder a run, ``<branch>/<seed>-<id>``, with one file of events that only grows.

The file is written here, record by record, and not through a writer with a thread and a buffer: its length belongs to the
bookmark, what a kill or a full disk left beyond it is cut off, and a board that is open never sees a line twice. Values
have single precision, as everywhere in TensorBoard.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from branchlab.domain import RunRecord, RunState
from branchlab.export.facts import group_of, settings_of
from branchlab.export.news import News, Picture
from branchlab.export.tool import Destination, Tell
from branchlab.run_folder import JSON, RunFolder

_HPARAMS = "_hparams_/session_"


def open_tool(destination: Destination, tell: Tell) -> TensorboardTool:
    """Return the boards below a folder."""
    del tell  # any text is a name here
    import tensorboard.summary.writer.record_writer  # noqa: F401  a broken installation shows before a run begins

    return TensorboardTool(Path(destination.address))


class TensorboardTool:
    """Folders of events."""

    takes_earlier_steps = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, record: RunRecord, own: JSON, *, is_anew: bool) -> tuple[JSON, bool]:
        """Cut off what lies beyond the bookmark; a file that is shorter is written anew."""
        from tensorboard.compat.proto.event_pb2 import Event

        run = record.run
        began = run.planned_at
        began_s = began.timestamp() if began is not None else 0.0
        path = self._path(record)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0 if is_anew else own.get("size", 0)
        if size and path.is_file() and path.stat().st_size >= size:
            os.truncate(path, size)
            return own, False
        path.write_bytes(b"")
        first = [
            Event(wall_time=began_s, file_version="brain.Event:2"),
            Event(wall_time=began_s, summary=_session_start(record, began_s)),
        ]
        return {"size": self._append(path, 0, first)}, True

    def send(self, record: RunRecord, news: News, own: JSON) -> JSON:
        """Append scalars and pictures."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        events = [
            Event(
                wall_time=point.at.timestamp(),
                step=point.step,
                summary=Summary(value=[Summary.Value(tag=point.name, simple_value=point.value)]),
            )
            for point in (*news.points, *news.usage)
        ]
        for picture in news.pictures:
            value = Summary.Value(tag=picture.name, image=_image(picture))
            moment, summary = picture.at.timestamp(), Summary(value=[value])
            events.append(Event(wall_time=moment, step=picture.step, summary=summary))
        return {"size": self._append(self._path(record), own["size"], events)}

    def end(self, record: RunRecord, folder: RunFolder, own: JSON) -> JSON:
        """Append how the run ended."""
        del folder
        from tensorboard.compat.proto.event_pb2 import Event

        ended = record.ended_at.timestamp() if record.ended_at is not None else 0.0
        event = Event(wall_time=ended, summary=_session_end(record, ended))
        return {"size": self._append(self._path(record), own["size"], [event])}

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _path(self, record: RunRecord) -> Path:
        run = record.run
        planned = run.planned_at.timestamp() if run.planned_at is not None else 0
        name = f"events.out.tfevents.{planned:.0f}.branchlab"
        return self._folder / run.branch / f"{run.seed}-{run.id}" / name

    def _append(self, path: Path, size: int, events: list[Any]) -> int:
        from tensorboard.summary.writer.record_writer import RecordWriter

        content = io.BytesIO()
        writer = RecordWriter(content)
        for event in events:
            writer.write(event.SerializeToString())
        if not path.is_file() or path.stat().st_size != size:
            raise OSError(f"{path} is not as it was left: somebody else has changed it")
        with path.open("ab") as file:
            file.write(content.getvalue())
        return size + len(content.getvalue())


def _image(picture: Picture) -> Any:  # noqa: ANN401  a message of TensorBoard's
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    with Image.open(picture.path) as found:
        width, height, channels = found.width, found.height, len(found.getbands())
    content = picture.path.read_bytes()
    return Summary.Image(
        width=width, height=height, colorspace=channels, encoded_image_string=content
    )


def _session_start(record: RunRecord, at_s: float) -> Any:  # noqa: ANN401
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(group_name=group_of(record.run), start_time_secs=at_s)
    for name, value in settings_of(record.run).items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = value
    return _hparams("start_info", HParamsPluginData(version=0, session_start_info=info))


def _session_end(record: RunRecord, at_s: float) -> Any:  # noqa: ANN401
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = STATUS_SUCCESS if record.state is RunState.DONE else STATUS_FAILURE
    info = SessionEndInfo(status=status, end_time_secs=at_s)
    return _hparams("end_info", HParamsPluginData(version=0, session_end_info=info))


def _hparams(name: str, data: Any) -> Any:  # noqa: ANN401
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

    plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=data.SerializeToString())
    value = Summary.Value(tag=f"{_HPARAMS}{name}", metadata=SummaryMetadata(plugin_data=plugin))
    return Summary(value=[value])
