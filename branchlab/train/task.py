"""What a project gives the shared trainer: data, model, loss, metrics, pictures; how it is trained is in its recipe.

The trainer is the same for every branch; what a branch may change is its task. A task's constructor takes keyword
arguments only, and each is a flag whose default leaves the base behaviour as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from branchlab.train.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.data import Dataset


Rows = Tensor | Sequence[Any]
"""One value an example: a tensor with N rows, or a sequence of N values where these differ in shape or are no tensors."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What flows through one step.

    Attributes:
        inputs: Float[Tensor, "B C H W"] for images, after ``Task.prepare``; as stored (usually uint8) before. A list of B
            tensors where images differ in size.
        targets: Int[Tensor, "B"] for classes, Int[Tensor, "B H W"] for segmentation, a list of B values for anything
            else (``{"boxes": Float[Tensor, "N 4"], "labels": Int[Tensor, "N"]}`` each for detection). While training with
            label smoothing, mixup or cutmix: Float[Tensor, "B K"], the probability of each class.
        ids: Int[Tensor, "B"], each example's position in its split; it never changes over epochs.
    """

    inputs: Any
    targets: Any
    ids: Tensor

    def with_inputs(self, inputs: Any) -> Batch:  # noqa: ANN401  as above
        """Return the same batch with other inputs."""
        return replace(self, inputs=inputs)

    def part(self, start: int, end: int) -> Batch:
        """Return the examples from ``start`` to before ``end``."""
        return Batch(self.inputs[start:end], self.targets[start:end], self.ids[start:end])

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Examples:
    """One split held in memory.

    Attributes:
        inputs: Tensor with N rows, best as uint8: it is held on the device as it is, and converted batch by batch. A list
            of N tensors where these differ in size.
        targets: Tensor with N rows, or a list of N values: numbers, tensors, or tables of them.
    """

    inputs: Rows
    targets: Rows

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets) or not len(self.inputs):
            raise ValueError(
                f"a split needs as many inputs as targets, and at least one: "
                f"found {len(self.inputs)} inputs and {len(self.targets)} targets"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        return self.inputs[row], self.targets[row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Train, validation and test data. Only ``train`` is ever reduced; the test set is touched at full scale alone.

    Attributes:
        train: Held in memory, on the device where it fits. A map-style Dataset of (image, target) pairs is read through
            once, so random transforms inside it would be drawn once; such belong into ``Task.augment``, or ``stream``.
        classes: Names of the classes, in the order of their numbers.
        groups: The group of each training example, a name or number (Int[Tensor, "N"]): frames of one video, patches of one
            slide, images of one patient. A sample holds all of a group or none of it.
        stream: Read Datasets batch by batch in worker processes instead, for what is larger than the memory. Their random
            transforms are drawn anew each epoch, from the run's seed.
        val_groups: Further ways to part the validation set, besides its classes: for each a name, and one label an example
            (``{"camera": ["left", "right", …]}``). Metrics are then kept for each part, as ``val/accuracy[camera=left]``.
    """

    train: Examples | Dataset[Any]
    val: Examples | Dataset[Any]
    test: Examples | Dataset[Any] | None = None
    classes: Sequence[str] = ()
    stream: bool = False
    groups: Tensor | Sequence[Any] | None = None
    val_groups: Mapping[str, Sequence[Any] | Tensor] = field(default_factory=dict)


class Task:
    """Base class of a project's task; subclass it and name it in ``[trainer] task``.

    Only ``data`` and ``model`` must be written; the rest has the defaults of image classification.
    """

    recipe: Recipe = Recipe()

    def data(self) -> Splits:
        """Return the data; called once a run, before ``model``."""
        raise NotImplementedError(f"{type(self).__name__}.data() must return branchlab.Splits")

    def model(self) -> nn.Module:
        """Return a fresh model; called once a run with the global generators freshly seeded."""
        raise NotImplementedError(f"{type(self).__name__}.model() must return a torch.nn.Module")

    def prepare(self, batch: Batch) -> Batch:
        """Turn stored inputs into what the model takes, in training and validation alike; here uint8 to [0, 1]."""
        inputs = batch.inputs
        if isinstance(inputs, Tensor):
            return batch.with_inputs(_in_unit_range(inputs))
        return batch.with_inputs([_in_unit_range(one) for one in inputs])

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the training batch, augmented on its device; draw random numbers from ``generator`` alone.

        One call sees the whole batch: a random transform that draws once would treat all its images alike.
        """
        return batch

    def forward(self, model: nn.Module, batch: Batch) -> Any:  # noqa: ANN401  whatever the project's model gives
        """Call the model on a batch; override when it takes more than the inputs, or images that differ in size."""
        if not isinstance(batch.inputs, Tensor):
            raise TypeError(
                f"the {len(batch)} images of a batch differ in size or type, and Task.forward gives the model one tensor: "
                f"bring them to one size in data() or prepare(), or override forward()"
            )
        return model(batch.inputs)

    def loss(self, outputs: Any, batch: Batch) -> Tensor | None:  # noqa: ANN401
        """Return the scalar that is minimised; cross entropy over class logits here.

        In validation the outputs are those of a model in ``eval`` mode; where these have no loss (a detector gives boxes),
        return None there.
        """
        return nn.functional.cross_entropy(outputs, batch.targets)

    def metrics(self, outputs: Any, batch: Batch) -> Mapping[str, Tensor]:  # noqa: ANN401
        """Return one value per example for each metric (Tensor with B rows), so that runs can be paired.

        NaN says that an example has no such value (no pixel of that class); it is left out of the mean.
        """
        return {"accuracy": outputs.argmax(1) == batch.targets}

    def pictures(self, outputs: Any, batch: Batch) -> Mapping[str, Tensor]:  # noqa: ANN401
        """Return what to look at, by name: Float[Tensor, "C H W"] in [0, 1] or UInt8; saved as PNG now and then."""
        return {}


def _in_unit_range(image: Any) -> Any:  # noqa: ANN401  whatever is stored
    return (
        image.float() / 255 if isinstance(image, Tensor) and image.dtype == torch.uint8 else image
    )
