"""What ``run`` was asked for: whether it can be met, and which branches it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from branchlab.config import CONFIG_NAME, is_device
from branchlab.domain import Branch, Flags
from branchlab.errors import ConfigError, RepositoryError
from branchlab.experiment import Experiment, experiment_path, parse_experiment
from branchlab.lab.branches import experiments_of, find_branches, is_experiment
from branchlab.lab.project import Project

_SEEDS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A branch at a commit that somebody has chosen, which need not be its tip, with the flags that it ran with there."""

    branch: Branch
    flags: Flags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the user asked for; None means what the config says.

    Attributes:
        budget_s: Seconds that every run trains instead of its epochs.
        budget_total_s: After so many seconds nothing more is started.
        command: The command line that asks for it, word by word; recorded with what it plans.
        exactly: These and nothing beside them, main included; ``names`` then mean nothing.
        exact_seeds: These instead of the first ``seeds``.
    """

    names: Sequence[str] = ()
    is_all: bool = False
    seeds: int | None = None
    is_full: bool = False
    fraction: float | None = None
    epochs: int | None = None
    flags: Flags = field(default_factory=dict)
    experiment: str | None = None
    device: str | None = None
    jobs: int | None = None
    executor: str | None = None
    is_forced: bool = False
    budget_s: float | None = None
    budget_total_s: float | None = None
    command: tuple[str, ...] = ()
    exactly: Sequence[Pinned] = ()
    exact_seeds: Sequence[int] = ()


def check_request(project: Project, request: RunRequest) -> None:
    """Refuse what cannot be met.

    Raises:
        ConfigError: A value means nothing, two exclude each other, or the config lacks the task.
    """
    config = project.config
    if not (config.trainer.task or config.trainer.command):
        raise ConfigError(
            f"[trainer] task is not set in {CONFIG_NAME}, nor is command: nothing says what to train",
            hint='set it: task = "package.module:Class" (a subclass of branchlab.Task), '
            'or command = ["python", "train.py", "--seed", "{seed}", "{flags}"]',
        )
    checks: list[tuple[bool, str, str]] = [
        (
            request.seeds is not None and not 1 <= request.seeds <= _SEEDS_MAX,
            "--seeds",
            f"at least 1 and at most {_SEEDS_MAX}",
        ),
        (request.epochs is not None and request.epochs < 1, "--epochs", "at least 1"),
        (
            request.budget_s is not None and not request.budget_s > 0,
            "--budget",
            "more than 0 seconds",
        ),
        (
            request.budget_total_s is not None and not request.budget_total_s > 0,
            "--budget-total",
            "more than 0 seconds",
        ),
        (request.jobs is not None and request.jobs < 0, "--jobs", "0 (as many as serve) or more"),
        (
            request.fraction is not None and not 0 < request.fraction <= 1,
            "--sample",
            "0 < fraction <= 1",
        ),
        (
            request.device is not None and not is_device(request.device),
            "--device",
            "auto, cpu, mps, cuda or cuda:N",
        ),
    ]
    for is_wrong, option, needed in checks:
        if is_wrong:
            found = {
                "--sample": request.fraction,
                "--budget": request.budget_s,
                "--budget-total": request.budget_total_s,
            }.get(option, getattr(request, option[2:], None))
            raise ConfigError(f"{option} {found}: needs {needed}", hint="see: branchlab run --help")
    if request.budget_s is not None and request.epochs is not None:
        raise ConfigError("--budget and --epochs exclude each other", hint="leave one of them out")
    if request.is_full and request.fraction is not None:
        raise ConfigError("--full and --sample exclude each other", hint="leave one of them out")


def wanted_branches(
    project: Project, request: RunRequest, branches: Sequence[Branch], main: Branch
) -> list[Branch]:
    """Return what to run: main first, as the other half of every pair."""
    if request.exactly:
        return [pinned.branch for pinned in request.exactly]
    if request.is_all:
        reference = project.config.branches.reference
        frozen = [branch for branch in branches if branch.own_name == reference]
        open_ones = [branch for branch in branches if is_experiment(project, branch)]
        left_out = _left_out(project, open_ones)
        others = frozen + [branch for branch in open_ones if branch.name not in left_out]
    elif request.names:
        others = find_branches(project, request.names, branches)
    else:
        current = project.repository.current_branch(at=project.here)
        others = [b for b in branches if b.name == current and is_experiment(project, b)]
    if request.experiment is not None and others and others != [main]:
        raise ConfigError(
            "--experiment runs main with the flags of a landed experiment; it takes no other branch",
            hint=f"branchlab run {main.name} --experiment {request.experiment}",
        )
    return list({branch.name: branch for branch in [main, *others]}.values())


def given_up(project: Project, branches: Sequence[Branch]) -> Mapping[str, str]:
    """Return why branches were dropped, by name; open ones are left out."""
    found = experiments_of(project, branches)
    return {
        name: one.given_up
        for name, one in found.items()
        if isinstance(one, Experiment) and one.given_up
    }


def left_out_notes(project: Project, request: RunRequest, branches: Sequence[Branch]) -> list[str]:
    """Say which experiments a run of all branches leaves out."""
    if not request.is_all:
        return []
    return list(_left_out(project, [b for b in branches if is_experiment(project, b)]).values())


def _left_out(project: Project, branches: Sequence[Branch]) -> Mapping[str, str]:
    """Return why a run of all branches leaves some out, in a sentence, by name: dropped, or described in a damaged file."""
    found = {}
    for name, one in experiments_of(project, branches).items():
        if isinstance(one, ConfigError):
            found[name] = f"{name} is left out: {one.message}"
        elif one.given_up:
            why = f"{name} was given up ({one.given_up}), so it is left out"
            found[name] = f"{why}; to run it all the same, name it"
    return found


def landed_flags(
    project: Project, main: Branch, name: str
) -> Mapping[str, bool | int | float | str]:
    """Return the flags of an experiment that has landed on main.

    Raises:
        RepositoryError: Main has no such experiment.
    """
    path = experiment_path(name)
    text = project.repository.read_file(main.tip, path)
    if text is None:
        raise RepositoryError(
            f"{main.name} has no experiment '{name}': {path} is not there",
            hint=f"see which have landed: git ls-tree --name-only {main.name} experiments/",
        )
    return parse_experiment(text, where=f"{main.name}:{path}").flags
