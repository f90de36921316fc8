"""The network: features of pixels, pooled over superpixels into tokens, which attend to each other and go back to their pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the usual name

from branchlab import Module

NUM_SEGMENTS = 64
"""Superpixels of an image, at most."""


class SuperpixelNet(Module):
    """Segment images with the help of superpixels that are given with them.

    Args:
        num_classes: Channels of the logits.
        num_segments: Superpixels of an image, at most.
        width: Channels of the pixels' features; tokens have twice as many (D below).
        heads: Of the attention.
    """

    def __init__(
        self,
        *,
        num_classes: int = 5,
        num_segments: int = NUM_SEGMENTS,
        width: int = 24,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.stem = nn.Sequential(
            *_block(3, width, stride=2),
            *_block(width, width),
            *_block(width, width, dilation=2),
            *_block(width, width, dilation=4),
        )
        self.embed = nn.Linear(width + 3, 2 * width)
        self.attention = TokenAttention(2 * width, heads)
        self.token_head = nn.Linear(2 * width, num_classes)
        self.pixel_head = nn.Conv2d(width, num_classes, 1)

    def forward(self, images: Tensor, segments: Tensor) -> Tensor:
        """Return logits [B, K, H, W] of images [B, 3, H, W] and their superpixels (Int[Tensor, "B H W"])."""
        features = self.stem(images)  # [B, W, H/2, W/2]
        tokens, area = self.pool(features, segments[:, ::2, ::2])  # [B, S, W + 3], [B, S]
        tokens = self.attention(self.embed(tokens), is_there=area > 0)  # [B, S, D]
        of_tokens = self.unpool(self.token_head(tokens), segments)  # [B, K, H, W]
        of_pixels = self.pixel_head(features)  # [B, K, H/2, W/2]
        size = images.shape[2:]
        logits = of_tokens + F.interpolate(of_pixels, size=size, mode="bilinear")
        self.log("segments/used", lambda: (area > 0).sum(1).float())
        self.log_image("segments/fed", images, segments=segments)
        return logits

    def pool(self, features: Tensor, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (mean feature, mean place and area of each superpixel) and areas in pixels."""
        num, _, height, width = features.shape
        rows = torch.linspace(-1, 1, height, device=features.device)
        columns = torch.linspace(-1, 1, width, device=features.device)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(num, -1, -1, -1)
        pixels = torch.cat([features, place], 1).flatten(2).transpose(1, 2)  # [B, HW, W + 2]
        index = self.rows_of(segments)
        size = num * self.num_segments
        sums = pixels.new_zeros(size, pixels.shape[2]).index_add(0, index, pixels.flatten(0, 1))
        ones = pixels.new_ones(len(index))
        area = pixels.new_zeros(size).index_add(0, index, ones)
        means = sums / area.clamp(min=1)[:, None]
        share = area[:, None] / (height * width / self.num_segments)
        tokens = torch.cat([means, share], 1).view(num, self.num_segments, -1)
        return tokens, area.view(num, self.num_segments)

    def unpool(self, tokens: Tensor, segments: Tensor) -> Tensor:
        """Return what each superpixel has [B, S, C] at all of its pixels [B, C, H, W]."""
        found = tokens.flatten(0, 1).index_select(0, self.rows_of(segments))
        return found.view(*segments.shape, -1).permute(0, 3, 1, 2)

    def rows_of(self, segments: Tensor) -> Tensor:
        """Return which row each pixel belongs to, where the superpixels of a batch are laid end to end."""
        first = self.num_segments * torch.arange(len(segments), device=segments.device)
        return (segments.flatten(1) + first[:, None]).flatten()


def _block(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


class TokenAttention(Module):
    """Self-attention over the tokens of an image, with a feed-forward layer; tokens without a pixel are not looked at."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )

    def forward(self, tokens: Tensor, *, is_there: Tensor) -> Tensor:
        """Return tokens [B, S, D] that have seen each other."""
        num, count, dim = tokens.shape
        qkv = self.to_qkv(self.norm(tokens)).view(num, count, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # [B, heads, S, D / heads] each
        scores = query @ key.transpose(2, 3) / (dim // self.heads) ** 0.5
        weights = scores.masked_fill(~is_there[:, None, None], -torch.inf).softmax(3)
        self.log("attn/entropy", lambda: entropy(weights, is_there))
        self.log_histogram("attn/weights", weights)
        seen = (weights @ value).transpose(1, 2).reshape(num, count, dim)
        tokens = tokens + self.out(seen)
        return tokens + self.mlp(tokens)


def entropy(weights: Tensor, is_there: Tensor) -> Tensor:
    """Return how far the attention [B, heads, S, S] of each image is spread: 0 for one token, 1 for all alike."""
    each = torch.special.entr(weights.float()).sum(3).mean(1)  # [B, S]
    most = is_there.sum(1).clamp(min=2).log()
    return (each * is_there).sum(1) / is_there.sum(1) / most
