"""A small vision transformer: tokens, a class token, heads unpacked from one tensor, positions of one size of image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from branchlab import Batch, Examples, Recipe, Splits, Task


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        b, n, width = tokens.shape
        shape = (b, n, 3, self.heads, width // self.heads)
        q, k, v = self.qkv(tokens).reshape(shape).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(b, n, width))


class ViT(nn.Module):
    def __init__(self, *, is_flexible: bool, width: int = 16, depth: int = 2) -> None:
        super().__init__()
        self.is_flexible = is_flexible
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, width, 4, 4))
        self.blocks = nn.ModuleList(Attention(width, 4) for _ in range(depth))
        self.head = nn.Linear(width, 7)

    def forward(self, images: Tensor) -> Tensor:
        grid = self.patches(images)
        positions = self.positions
        if self.is_flexible:
            positions = F.interpolate(positions, grid.shape[2:])
        tokens = (grid + positions).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        for block in self.blocks:
            tokens = tokens + block(tokens)
        return self.head(tokens[:, 0])


class ViTTask(Task):
    def __init__(self, *, is_flexible: bool = True, is_compiled: bool = False) -> None:
        self.is_flexible = is_flexible
        self.recipe = Recipe(epochs=1, batch_size=8, compile=is_compiled)

    def data(self) -> Splits:
        source = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (64, 3, 32, 32), generator=source, dtype=torch.uint8)
        classes = torch.randint(0, 7, (64,), generator=source)
        train = Examples(images[:48], classes[:48])
        return Splits(train=train, val=Examples(images[48:], classes[48:]))

    def model(self) -> nn.Module:
        return ViT(is_flexible=self.is_flexible)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        mean, std = batch.inputs.mean((2, 3), keepdim=True), batch.inputs.std((2, 3), keepdim=True)
        return batch.with_inputs((batch.inputs - mean) / std)
