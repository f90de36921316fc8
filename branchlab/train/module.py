"""A module that tells what it measures: torch's own, with ``self.log`` and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from branchlab import metric_log


class Module(nn.Module):
    """``nn.Module`` with ``self.log``; any other module calls ``branchlab.log`` to the same effect."""

    def log(self, name: str, value: Any) -> None:  # noqa: ANN401  a number, a tensor, or what returns one
        """Tell a value, as ``branchlab.log`` does."""
        metric_log.log(name, value)

    def log_table(self, name: str, values: Any, rows: Sequence[str]) -> None:  # noqa: ANN401
        """Tell a value for each row of a table, as ``branchlab.log_table`` does."""
        metric_log.log_table(name, values, rows)

    def log_image(self, name: str, image: Any, **options: Any) -> None:  # noqa: ANN401
        """Show an image, as ``branchlab.log_image`` does."""
        metric_log.log_image(name, image, **options)

    def log_histogram(self, name: str, values: Any) -> None:  # noqa: ANN401
        """Show how values are spread, as ``branchlab.log_histogram`` does."""
        metric_log.log_histogram(name, values)
