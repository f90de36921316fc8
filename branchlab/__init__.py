"""branchlab: a git-branch-aware experiment manager for PyTorch computer-vision projects.

A task needs five names from here, a script of one's own ``log``; all of them are loaded on first use, so that
``branchlab --help`` never imports torch.
"""

from __future__ import annotations

from branchlab.version import __version__

TYPE_CHECKING = (
    False  # type checkers know the name; importing typing would be a third of ``branchlab --help``
)
if TYPE_CHECKING:
    from branchlab.metric_log import log
    from branchlab.train.task import Batch, Examples, Recipe, Splits, Task

__all__ = ["Batch", "Examples", "Recipe", "Splits", "Task", "__version__", "log"]


def __getattr__(name: str) -> object:
    if name == "log":
        from branchlab.metric_log import log

        return log
    if name in __all__:
        from branchlab.train import task

        return getattr(task, name)
    raise AttributeError(f"module 'branchlab' has no attribute '{name}'")
