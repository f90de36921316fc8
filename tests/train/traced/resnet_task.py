"""A residual net as torchvision writes it: blocks, a downsampling branch that some have, in-place activations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from branchlab import Batch, Examples, Recipe, Splits, Task


class BasicBlock(nn.Module):
    def __init__(self, inside: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inside != planes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        out = self.conv1(x)
        out = self.relu(self.bn1(out))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, widths: tuple[int, ...] = (8, 16, 32, 64), classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        sizes = zip((widths[0], *widths), widths, strict=False)
        self.layers = nn.ModuleList(
            nn.Sequential(BasicBlock(a, b, 1 + (a != b)), BasicBlock(b, b)) for a, b in sizes
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x)
        for layer in self.layers:
            x = layer(x)
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(x)


class ResNetTask(Task):
    recipe = Recipe(epochs=1, batch_size=8)

    def data(self) -> Splits:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (64, 3, 32, 64), generator=source, dtype=torch.uint8)
        classes = torch.randint(0, 5, (64,), generator=source)
        train = Examples(images[:48], classes[:48])
        return Splits(train=train, val=Examples(images[48:], classes[48:]))

    def model(self) -> nn.Module:
        return ResNet()

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        is_flipped = torch.rand(len(batch), generator=generator) < 0.5
        flipped = batch.inputs.flip(3)
        return batch.with_inputs(
            torch.where(is_flipped[:, None, None, None], flipped, batch.inputs)
        )
