"""Parts of a model that stay as they are for a share of the training."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from branchlab.errors import ConfigError
from branchlab.train.optimizer import matching
from branchlab.train.recipe import Recipe


class Freezing:
    """Freezes and thaws the parameters that a recipe names.

    Raises:
        ConfigError: A pattern names no trained parameter, or nothing is left that trains.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self._model = model
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        names = matching(recipe.frozen, trained, what="frozen")
        self._until = {
            name: max(
                share for pattern, share in recipe.frozen.items() if fnmatchcase(name, pattern)
            )
            for name in names
        }
        self._parameters = {name: trained[name] for name in names}
        self._set_at = 0.0
        self.is_any = bool(names)
        if names and len(names) == len(trained) and min(self._until.values()) > 0:
            raise ConfigError(
                "recipe.frozen: every parameter is frozen at first, so nothing trains"
            )

    def set_modes(self, share: float) -> None:
        """Make the model ready to train at a share of the training: frozen parts are in ``eval`` mode and get no gradient."""
        self._model.train()
        self._set_at = share
        if not self.is_any:
            return
        frozen: set[int] = set()
        for name, parameter in self._parameters.items():
            is_thawed = share >= self._until[name] and self._until[name] < 1
            parameter.requires_grad_(is_thawed)
            if not is_thawed:
                frozen.add(id(parameter))
        for module in self._model.modules():
            own = list(module.parameters())
            if own and all(id(parameter) in frozen for parameter in own):
                module.eval()

    def thaw(self, share: float) -> None:
        """Let train what is frozen no longer at a share of the training; called after every step."""
        if any(self._set_at < until <= share for until in self._until.values()):
            self.set_modes(share)
