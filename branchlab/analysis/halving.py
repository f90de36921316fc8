"""Which branches go on to the next rung of successive halving; Optuna's pruner decides.

``SuccessiveHalvingPruner`` is asynchronous (Li et al. 2020, ASHA): a trial is held against those that have reached the rung
before it, so that whoever reports first goes on whatever it is worth. All branches of a rung have run here before anything
is decided. So each is judged as if it had reported last, in a study in which all others have reported: the answer is the same in any
order, and is that of synchronous halving (Jamieson and Talwalkar 2016): the best of every ``eta``, ties together, at least one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from branchlab.errors import ConfigError


def survivors(gains: Mapping[str, float], *, eta: int) -> list[str]:
    """Return who goes on, the best first.

    Args:
        gains: By how much each branch did better than main, larger is better; what is not finite never goes on.
        eta: One in so many goes on.

    Raises:
        ConfigError: Optuna is not installed.
    """
    found = [
        name
        for name, gain in gains.items()
        if math.isfinite(gain)
        and not _is_pruned(gain, [v for n, v in gains.items() if n != name], eta=eta)
    ]
    return sorted(found, key=lambda name: (-gains[name], name))


def check_installed() -> None:
    """Complain where Optuna is not installed, before anything has run.

    Raises:
        ConfigError: It is not.
    """
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ConfigError(
            "--halving needs Optuna, which is not installed",
            hint="pip install 'branchlab[halving]'",
        ) from None


def _is_pruned(gain: float, others: list[float], *, eta: int) -> bool:
    """Return what the pruner says of a branch that reports after all others."""
    check_installed()
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize",
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta),
        )
        is_pruned = False
        for value in [*(v for v in others if math.isfinite(v)), gain]:
            trial = study.ask()
            trial.report(value, step=1)
            is_pruned = trial.should_prune()
        return is_pruned
    finally:
        optuna.logging.set_verbosity(level)
