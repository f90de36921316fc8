"""A U-Net with skips on a list, for segmentation: targets have the size of the images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from branchlab import Batch, Examples, Recipe, Splits, Task


class UNet(nn.Module):
    def __init__(self, widths: tuple[int, ...] = (4, 8, 16), classes: int = 3) -> None:
        super().__init__()
        pairs = list(zip((1, *widths), widths, strict=False))
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.ups = nn.ModuleList(nn.Conv2d(2 * b, a, 3, padding=1) for a, b in pairs[:0:-1])
        self.lifts = nn.ModuleList(nn.Conv2d(b, b, 1) for _, b in pairs[:0:-1])
        self.head = nn.Conv2d(2 * widths[0], classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x, skips = images, []
        for down in self.downs:
            x = F.relu(down(x))
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = F.interpolate(x, scale_factor=2)
        for up, lift in zip(self.ups, self.lifts, strict=True):
            x = torch.cat([lift(x), skips.pop()], 1)
            x = F.interpolate(up(x), scale_factor=2)
        return {"logits": self.head(torch.cat([x, skips.pop()], 1)), "last": x}


class UNetTask(Task):
    recipe = Recipe(epochs=1, batch_size=8)

    def data(self) -> Splits:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (64, 1, 32, 32), generator=source, dtype=torch.uint8)
        masks = (images[:, 0].long() // 86).clamp(max=2)
        train = Examples(images[:48], masks[:48])
        return Splits(train=train, val=Examples(images[48:], masks[48:]))

    def model(self) -> nn.Module:
        return UNet()

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Tensor:
        return F.cross_entropy(outputs["logits"], batch.targets)

    def metrics(self, outputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        is_right = outputs["logits"].argmax(1) == batch.targets
        return {"pixels": is_right.float().mean((1, 2))}
