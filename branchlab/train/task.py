"""What a project gives the shared trainer: data, model, loss, metrics, pictures, recipe.

The trainer is the same for every branch; what a branch may change is its task. A task's constructor takes keyword
arguments only, and each is a flag whose default leaves the base behaviour as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.utils.data import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train: optimiser, schedule, epochs, batch size.

    Attributes:
        lr: Peak learning rate of the schedule.
        momentum: Of SGD (Nesterov when above 0); AdamW keeps its own betas.
        schedule: ``onecycle`` (torch's OneCycleLR, a step a batch), ``cosine`` (to 0) or ``constant``.
        precision: ``auto`` is bf16 autocast on a GPU that has it and fp32 elsewhere.
        channels_last: Memory layout of image batches and the model; +25 to 75% images/s on CPU as measured.
        clip_norm: Largest global gradient norm; None leaves gradients alone.
    """

    epochs: int = 8
    batch_size: int = 256
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 3e-3
    weight_decay: float = 0.01
    momentum: float = 0.9
    schedule: Literal["onecycle", "cosine", "constant"] = "onecycle"
    clip_norm: float | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f"a recipe needs at least one epoch and one example a batch: "
                f"found epochs = {self.epochs} and batch_size = {self.batch_size}"
            )
        if self.precision not in {"auto", "fp32", "bf16"}:
            raise ValueError(
                f"recipe.precision = '{self.precision}': known here are auto, fp32 and bf16"
            )


@dataclass(frozen=True, slots=True)
class Batch:
    """What flows through one step.

    Attributes:
        inputs: Float[Tensor, "B C H W"] for images, after ``Task.prepare``; as stored (usually uint8) before.
        targets: Tensor with B rows: Int[Tensor, "B"] for classes, Int[Tensor, "B H W"] for segmentation.
        ids: Int[Tensor, "B"], each example's position in its split; it never changes over epochs.
    """

    inputs: Tensor
    targets: Tensor
    ids: Tensor

    def with_inputs(self, inputs: Tensor) -> Batch:
        """Return the same batch with other inputs."""
        return replace(self, inputs=inputs)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Examples:
    """One split held in memory.

    Attributes:
        inputs: Tensor with N rows, best as uint8: it is held on the device as it is, and converted batch by batch.
        targets: Tensor with N rows.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets) or not len(self.inputs):
            raise ValueError(
                f"a split needs as many inputs as targets, and at least one: "
                f"found {len(self.inputs)} inputs and {len(self.targets)} targets"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    @classmethod
    def of(cls, source: Examples | Dataset[Any]) -> Examples:
        """Return ``source`` in memory; a map-style Dataset of (image, target) pairs is read through once.

        Raises:
            TypeError: An item is not a pair of an image and a target, or the images differ in shape.
        """
        if isinstance(source, Examples):
            return source
        size = len(source)  # type: ignore[arg-type]
        items = [source[i] for i in range(size)]
        try:
            inputs = torch.stack([_as_tensor(item[0]) for item in items])
            targets = torch.stack([torch.as_tensor(item[1]) for item in items])
        except (TypeError, RuntimeError, IndexError, KeyError) as error:
            raise TypeError(
                f"a Dataset of {len(items)} items could not be held in memory: {error}; "
                f"each item must be (image, target) with all images of one shape"
            ) from None
        return cls(inputs, targets)


def _as_tensor(image: object) -> Tensor:
    if isinstance(image, Tensor):
        return image
    from torchvision.transforms.functional import pil_to_tensor

    return pil_to_tensor(image)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Train, validation and test data. Only ``train`` is ever reduced; the test set is touched at full scale alone.

    Attributes:
        classes: Names of the classes, in the order of their numbers.
    """

    train: Examples | Dataset[Any]
    val: Examples | Dataset[Any]
    test: Examples | Dataset[Any] | None = None
    classes: Sequence[str] = ()


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
        if batch.inputs.dtype == torch.uint8:
            return batch.with_inputs(batch.inputs.float() / 255)
        return batch

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the training batch, augmented on its device; draw random numbers from ``generator`` alone.

        One call sees the whole batch: a random transform that draws once would treat all its images alike.
        """
        return batch

    def forward(self, model: nn.Module, batch: Batch) -> Any:  # noqa: ANN401  whatever the project's model gives
        """Call the model on a batch; override when it takes more than the inputs."""
        return model(batch.inputs)

    def loss(self, outputs: Any, batch: Batch) -> Tensor:  # noqa: ANN401
        """Return the scalar that is minimised; cross entropy over class logits here."""
        return nn.functional.cross_entropy(outputs, batch.targets)

    def metrics(self, outputs: Any, batch: Batch) -> Mapping[str, Tensor]:  # noqa: ANN401
        """Return one value per example for each metric (Tensor with B rows), so that runs can be paired."""
        return {"accuracy": outputs.argmax(1) == batch.targets}

    def pictures(self, outputs: Any, batch: Batch) -> Mapping[str, Tensor]:  # noqa: ANN401
        """Return what to look at, by name: Float[Tensor, "C H W"] in [0, 1] or UInt8; saved as PNG now and then."""
        return {}
