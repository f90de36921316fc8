"""branchlab: a git-branch-aware experiment manager for PyTorch computer-vision projects.

What a project needs is named here, all of it loaded on first use so that ``branchlab --help`` never imports torch.
"""

from __future__ import annotations

from branchlab.version import __version__

TYPE_CHECKING = (
    False  # type checkers know the name; importing typing would be a third of ``branchlab --help``
)
if TYPE_CHECKING:
    from branchlab.metric_log import log
    from branchlab.train.recipe import Recipe
    from branchlab.train.scores import dice_per_class, iou_per_class
    from branchlab.train.task import Batch, Examples, Splits, Task

__all__ = [
    "Batch",
    "Examples",
    "Recipe",
    "Splits",
    "Task",
    "__version__",
    "dice_per_class",
    "iou_per_class",
    "log",
]
_PLACES = {
    "Batch": "branchlab.train.task",
    "Examples": "branchlab.train.task",
    "Recipe": "branchlab.train.recipe",
    "Splits": "branchlab.train.task",
    "Task": "branchlab.train.task",
    "dice_per_class": "branchlab.train.scores",
    "iou_per_class": "branchlab.train.scores",
    "log": "branchlab.metric_log",
}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'branchlab' has no attribute '{name}'")
