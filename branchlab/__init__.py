"""branchlab: a git-branch-aware experiment manager for PyTorch computer-vision projects.

A project's task needs the first names of this list, a notebook ``branchlab.open(".")``; all of them are loaded on first use, so
that ``branchlab --help`` never imports torch.
"""

from __future__ import annotations

from branchlab.version import __version__

TYPE_CHECKING = (
    False  # type checkers know the name; importing typing would be a third of ``branchlab --help``
)
if TYPE_CHECKING:
    from branchlab.lab.notebook import Lab
    from branchlab.lab.notebook import open_lab as open  # noqa: A004  branchlab.open reads as it is meant
    from branchlab.train.task import Batch, Examples, Recipe, Splits, Task

__all__ = ["Batch", "Examples", "Lab", "Recipe", "Splits", "Task", "__version__", "open"]

_OF_NOTEBOOKS = {"Lab": "Lab", "open": "open_lab"}


def __getattr__(name: str) -> object:
    if name in _OF_NOTEBOOKS:
        from branchlab.lab import notebook

        return getattr(notebook, _OF_NOTEBOOKS[name])
    if name in __all__:
        from branchlab.train import task

        return getattr(task, name)
    raise AttributeError(f"module 'branchlab' has no attribute '{name}'")
