"""branchlab: a git-branch-aware experiment manager for PyTorch computer-vision projects.

What a project needs is named here, all of it loaded on first use so that ``branchlab --help`` never imports torch.
"""

from __future__ import annotations

from branchlab.version import __version__

TYPE_CHECKING = (
    False  # type checkers know the name; importing typing would be a third of ``branchlab --help``
)
if TYPE_CHECKING:
    from branchlab.lab.notebook import Lab
    from branchlab.lab.notebook import open_lab as open  # noqa: A004  branchlab.open reads as it is meant
    from branchlab.metric_log import log, log_histogram, log_image, log_table
    from branchlab.train.drawing import draw_masks, draw_segments
    from branchlab.train.module import Module
    from branchlab.train.recipe import Recipe
    from branchlab.train.scores import dice_per_class, iou_per_class
    from branchlab.train.task import Batch, Examples, Splits, Task

__all__ = [
    "Batch",
    "Examples",
    "Lab",
    "Module",
    "Recipe",
    "Splits",
    "Task",
    "__version__",
    "dice_per_class",
    "draw_masks",
    "draw_segments",
    "iou_per_class",
    "log",
    "log_histogram",
    "log_image",
    "log_table",
    "open",
]
_PLACES = {
    "Batch": "branchlab.train.task:Batch",
    "Examples": "branchlab.train.task:Examples",
    "Lab": "branchlab.lab.notebook:Lab",
    "Module": "branchlab.train.module:Module",
    "Recipe": "branchlab.train.recipe:Recipe",
    "Splits": "branchlab.train.task:Splits",
    "Task": "branchlab.train.task:Task",
    "dice_per_class": "branchlab.train.scores:dice_per_class",
    "draw_masks": "branchlab.train.drawing:draw_masks",
    "draw_segments": "branchlab.train.drawing:draw_segments",
    "iou_per_class": "branchlab.train.scores:iou_per_class",
    "log": "branchlab.metric_log:log",
    "log_histogram": "branchlab.metric_log:log_histogram",
    "log_image": "branchlab.metric_log:log_image",
    "log_table": "branchlab.metric_log:log_table",
    "open": "branchlab.lab.notebook:open_lab",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        from importlib import import_module

        module, _, own_name = _PLACES[name].partition(":")
        found = globals()[name] = getattr(import_module(module), own_name)
        return found

    raise AttributeError(f"module 'branchlab' has no attribute '{name}'")
