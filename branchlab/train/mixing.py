"""Label smoothing, mixup and cutmix: what turns class numbers into class probabilities while training.

Done after the task's own augmentation, with torchvision's transforms. The draw of a step comes from the seed and the step alone, so
that nothing has to be kept for a resume, and branches at one seed mix alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from branchlab.errors import ConfigError
from branchlab.train.randomness import derive_seed
from branchlab.train.recipe import Recipe
from branchlab.train.task import Batch


class Mixing:
    """What a recipe asks for.

    Args:
        num_classes: Of the whole training set.
        stream: Name of the stream of random numbers, of its own for each process of a run.
    """

    def __init__(self, recipe: Recipe, *, num_classes: int, seed: int, stream: str) -> None:
        self._recipe = recipe
        self._num_classes = num_classes
        self._seed, self._stream = seed, stream

    def __call__(self, batch: Batch, step: int) -> Batch:
        """Return the batch with Float[Tensor, "B K"] of class probabilities as targets; ``step`` says which draw.

        Raises:
            ConfigError: Targets are not one class number an example, or nothing says how many classes there are.
        """
        targets = batch.targets
        if not isinstance(targets, Tensor) or targets.ndim != 1 or targets.is_floating_point():
            found = f"{targets.dtype} of shape {tuple(targets.shape)}" if isinstance(targets, Tensor) else type(targets).__name__  # fmt: skip
            raise ConfigError(
                f"recipe.label_smoothing, mixup and cutmix need one class number an example as targets: found {found}"
            )
        if not self._num_classes:
            raise ConfigError(
                "recipe.label_smoothing, mixup and cutmix need the number of classes: name them in branchlab.Splits(classes=…)"
            )
        targets = targets.long()
        inputs, soft = batch.inputs, nn.functional.one_hot(targets, self._num_classes).float()
        if self._transform is not None:
            # torchvision draws from the global generator of the CPU, which is the training's own.
            kept = torch.get_rng_state()
            torch.default_generator.manual_seed(
                derive_seed(self._seed, f"{self._stream}/mix/{step}")
            )
            try:
                inputs, soft = self._transform(inputs, targets)
            finally:
                torch.set_rng_state(kept)
        if self._recipe.label_smoothing:
            spread = self._recipe.label_smoothing
            soft = soft * (1 - spread) + spread / self._num_classes
        return Batch(inputs, soft, batch.ids)

    @cached_property
    def _transform(self) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None:
        from torchvision.transforms import v2

        alphas = [(v2.MixUp, self._recipe.mixup), (v2.CutMix, self._recipe.cutmix)]
        asked = [
            kind(alpha=alpha, num_classes=self._num_classes) for kind, alpha in alphas if alpha
        ]
        if not asked:
            return None
        found: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
        found = asked[0] if len(asked) == 1 else v2.RandomChoice(asked)
        return found


def make_mixing(recipe: Recipe, *, num_classes: int, seed: int, stream: str) -> Mixing | None:
    """Return what a recipe asks for; None where it asks for nothing."""
    if not (recipe.label_smoothing or recipe.mixup or recipe.cutmix):
        return None
    return Mixing(recipe, num_classes=num_classes, seed=seed, stream=stream)
