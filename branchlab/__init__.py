"""branchlab: a git-branch-aware experiment manager for PyTorch computer-vision projects.

A project needs four names from here, all of them loaded on first use so that ``branchlab --help`` never imports torch.
"""

from __future__ import annotations

from branchlab.version import __version__

TYPE_CHECKING = (
    False  # type checkers know the name; importing typing would be a third of ``branchlab --help``
)
if TYPE_CHECKING:
    from branchlab.train.task import Batch, Examples, Recipe, Splits, Task

__all__ = ["Batch", "Examples", "Recipe", "Splits", "Task", "__version__"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from branchlab.train import task

        return getattr(task, name)
    raise AttributeError(f"module 'branchlab' has no attribute '{name}'")
