"""Scalars in the event files that TensorBoard reads, followed while a script writes them.

TensorBoard's own reader is used, where it is installed and once there is such a file: importing it takes a second.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from branchlab.train.tally import Told

_MARK = "tfevents"
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "eval"}
"""Writers of one split each log the same tags; the name of their folder tells them apart."""
_FOLDERS_MAX = 2000
_LEFT_OUT = ("_hparams_/", "hp_metric")


class EventFiles:
    """The event files below a folder; what is there already is somebody else's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = set(self._files())
        self._loaders: dict[Path, Any] = {}
        self._sizes: dict[Path, int] = {}
        self._epochs: dict[int, int] = {}
        self._is_installed = importlib.util.find_spec("tensorboard") is not None
        self.is_missed = False
        """Whether there are event files and nothing that could read them."""

    def news(self) -> Iterator[Told]:
        """Yield what has been written since the last time."""
        for path in self._files():
            if path in self._before:
                continue
            if not self._is_installed:
                self.is_missed = True
                return
            try:
                size = path.stat().st_size
            except OSError:
                continue
            if self._sizes.get(path) != size:
                self._sizes[path] = size
                yield from self._read(path)

    def _files(self) -> list[Path]:
        found: list[Path] = []
        for num, (parent, folders, names) in enumerate(os.walk(self._folder)):
            if num > _FOLDERS_MAX:
                break
            folders[:] = [name for name in folders if name not in {"wandb", "mlruns"}]
            found += [Path(parent) / name for name in names if _MARK in name]
        return sorted(found)

    def _read(self, path: Path) -> Iterator[Told]:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util.tensor_util import make_ndarray

        if path not in self._loaders:
            self._loaders[path] = EventFileLoader(str(path))
        split = path.parent.name
        prefix = f"{split}/" if split in _SPLITS else ""
        try:
            for event in self._loaders[path].Load():
                for value in event.summary.value:
                    if value.tag.startswith(_LEFT_OUT) or not value.HasField("tensor"):
                        continue
                    array = make_ndarray(value.tensor)
                    if array.size == 1 and array.dtype.kind in "fiu":
                        yield from self._scalar(
                            f"{prefix}{value.tag}", float(array.item()), event.step
                        )
        except Exception:  # noqa: BLE001  a damaged file of the script's ends no training
            self._loaders.pop(path, None)
            self._before.add(path)

    def _scalar(self, tag: str, value: float, step: int) -> Iterator[Told]:
        if tag == "epoch":  # Lightning's loggers say the epoch of a step so
            self._epochs[step] = int(value) if math.isfinite(value) else 0
            return
        number = value if math.isfinite(value) else str(value)
        yield Told({tag: number}, step=step, epoch=self._epochs.get(step))
