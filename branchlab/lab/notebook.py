"""A lab in a notebook or a script: ``branchlab.open(".")``. Runs, values, verdicts and figures, without a command line.

Everything is read when it is asked for, so that a notebook sees runs that go on; nothing is ever written but the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from branchlab.domain import RunRecord, RunState, Scale
from branchlab.errors import ConfigError, nearest
from branchlab.export.figures import Curve, draw_curves, draw_verdicts
from branchlab.export.tables import (
    METRIC_COLUMNS,
    Row,
    metric_rows,
    run_columns,
    run_rows,
    to_pandas,
    to_polars,
)
from branchlab.lab.judge import Comparison
from branchlab.lab.judge import compare as judge
from branchlab.lab.project import Project, open_project
from branchlab.lab.runs import find_run, list_runs
from branchlab.lab.status import Status
from branchlab.lab.status import status as look

_Kind = TypeVar("_Kind", RunState, Scale)
_T = TypeVar("_T")


def open_lab(path: str | Path = ".") -> Lab:
    """Open the lab of a repository.

    Args:
        path: The repository, or a folder inside it.

    Raises:
        RepositoryError: There is no repository, or it has no commits.
        ConfigError: It has no usable ``.branchlab.toml``.
    """
    return Lab(open_project(Path(path).absolute()))


class Lab:
    """A repository and all that ran in it."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def __repr__(self) -> str:
        return f"Lab({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """Top of the repository's main work tree."""
        return self._project.repository.root

    def runs(
        self,
        branch: str | Sequence[str] = (),
        *,
        state: str | Sequence[str] = (),
        scale: str | None = None,
    ) -> Runs:
        """Return runs, the latest planned first.

        Args:
            branch: Only these, in full (``exp/se``) or by the experiment's name (``se``); deleted ones too.
            state: Only these: ``planned``, ``running``, ``done``, ``failed``, ``cancelled``, ``lost``.
            scale: Only ``sample`` or ``full``.

        Raises:
            BranchlabError: No branch and no run is called so, or a state or scale is unknown.
        """
        states = [_one_of(RunState, name) for name in _several(state)]
        wanted = _one_of(Scale, scale) if scale is not None else None
        records = list_runs(self._project, _several(branch), states=states)
        return Runs([r for r in records if wanted is None or r.run.scale is wanted])

    def run(self, run_id: str) -> RunRecord:
        """Return one run by its id, or by a beginning of it that fits one run only.

        Raises:
            ConfigError: No run, or several, are called so.
        """
        return find_run(self._project, run_id)

    def metrics(
        self,
        name: str | Sequence[str] = (),
        *,
        branch: str | Sequence[str] = (),
        state: str | Sequence[str] = (),
        scale: str | None = None,
    ) -> Metrics:
        """Return every value that runs have recorded, a row a value.

        Args:
            name: Only these metrics, for instance ``val/accuracy``.
            branch: Of these branches only.
            state: Of runs in these states only.
            scale: Of runs on this scale only.

        Raises:
            BranchlabError: No branch and no run is called so, or a state or scale is unknown.
        """
        names = set(_several(name))
        rows = [
            row
            for record in self.runs(branch, state=state, scale=scale)
            for row in metric_rows(record, self._project.state.run(record.run.id))
            if not names or row["name"] in names
        ]
        return Metrics(rows)

    def compare(
        self, *branches: str, metric: str | None = None, against: str | None = None
    ) -> Comparison:
        """Return what ``branchlab compare`` says: a verdict a branch, all experiments unless some are named.

        Args:
            branches: In full, or by the experiment's name.
            metric: Another than ``[run] metric``.
            against: Another branch than main.

        Raises:
            RepositoryError: A branch is unknown.
            ConfigError: No run has recorded the metric.
        """
        return judge(self._project, branches, metric=metric, against=against)

    def status(self, *branches: str) -> Status:
        """Return what ``branchlab status`` says: where branches stand, and how they did.

        Raises:
            RepositoryError: Main or a named branch is missing.
        """
        return look(self._project, branches)

    def plot_curves(
        self,
        *branches: str,
        metric: str | None = None,
        axes: Any = None,  # noqa: ANN401  matplotlib's, unknown without it
    ) -> Any:  # noqa: ANN401
        """Draw a metric over steps: main and branches, each the mean of its seeds in a band from lowest to highest.

        Args:
            branches: In full, or by the experiment's name; all experiments that have results unless some are named.
            metric: Another than ``[run] metric``; one of ``metrics()``.
            axes: Axes of matplotlib to draw on; a figure of its own unless given.

        Returns:
            A ``matplotlib.figure.Figure``.

        Raises:
            RepositoryError: A branch is unknown.
            ConfigError: No run has recorded the metric, or matplotlib is not installed.
        """
        found = self.compare(*branches, metric=metric)
        shown = {found.against: found.judged[0].against.records} if found.judged else {}
        shown |= {one.subject.branch: one.results.records for one in found.judged}
        index = self._project.index()
        curves: dict[str, list[Curve]] = {
            name: [c for r in records if (c := index.curve(r.run.id, found.metric))]
            for name, records in shown.items()
        }
        index.close()
        return draw_curves(curves, metric=found.metric, main=found.against, axes=axes)

    def plot_verdicts(
        self,
        *branches: str,
        metric: str | None = None,
        against: str | None = None,
        axes: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Draw verdicts: the difference of every branch from main with its interval, in the metric's unit.

        Args:
            branches: In full, or by the experiment's name; all experiments unless some are named.
            metric: Another than ``[run] metric``.
            against: Another branch than main.
            axes: Axes of matplotlib to draw on; a figure of its own unless given.

        Returns:
            A ``matplotlib.figure.Figure``.

        Raises:
            RepositoryError: A branch is unknown.
            ConfigError: No run has recorded the metric, or matplotlib is not installed.
        """
        found = self.compare(*branches, metric=metric, against=against)
        return draw_verdicts(
            [one.verdict for one in found.judged if one.verdict is not None],
            metric=found.metric,
            against=found.against,
            min_effect=self._project.config.run.min_effect,
            axes=axes,
        )


class _Held(Sequence[_T]):
    """A sequence that does not change."""

    def __init__(self, held: Sequence[_T]) -> None:
        self._held = tuple(held)

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        return self._held[index]

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[_T]:
        return iter(self._held)


class Runs(_Held[RunRecord]):
    """Runs as plain records, the latest planned first; as a table with a row a run."""

    def __repr__(self) -> str:
        return f"<{len(self)} runs of {len({r.run.branch for r in self})} branches>"

    def to_pandas(self) -> Any:  # noqa: ANN401  a DataFrame, unknown without pandas
        """Return a ``pandas.DataFrame`` with a row a run: plan, state, times (UTC), and a column a metric.

        Raises:
            ConfigError: pandas is not installed.
        """
        rows = run_rows(self)
        return to_pandas(rows, run_columns(rows))

    def to_polars(self) -> Any:  # noqa: ANN401
        """Return the same as a ``polars.DataFrame``.

        Raises:
            ConfigError: polars is not installed.
        """
        rows = run_rows(self)
        return to_polars(rows, run_columns(rows))


class Metrics(_Held[Row]):
    """Values as plain mappings: run, branch, seed, scale, epoch, step, name, value, at (UTC)."""

    def __repr__(self) -> str:
        return f"<{len(self)} values of {len({row['name'] for row in self})} metrics>"

    def to_pandas(self) -> Any:  # noqa: ANN401
        """Return a ``pandas.DataFrame`` in long form, a row a value.

        Raises:
            ConfigError: pandas is not installed.
        """
        return to_pandas(self._held, METRIC_COLUMNS)

    def to_polars(self) -> Any:  # noqa: ANN401
        """Return the same as a ``polars.DataFrame``.

        Raises:
            ConfigError: polars is not installed.
        """
        return to_polars(self._held, METRIC_COLUMNS)


def _several(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _one_of(kind: type[_Kind], name: str) -> _Kind:
    known = [str(one) for one in kind]
    if name not in known:
        hint = f"{nearest(name, known)}known: {', '.join(known)}"
        raise ConfigError(f"no run is of the kind '{name}'", hint=hint)
    return kind(name)
