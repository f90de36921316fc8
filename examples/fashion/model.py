"""The network: three convolutions and a linear head, 24 thousand parameters at its usual width."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the usual name


class ConvNet(nn.Module):
    """Halve the image three times, double the channels, average what is left, classify.

    Args:
        num_classes: Rows of the head.
        width: Channels after the first convolution (W below).
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        width: int = 16,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, padding=1)
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [B, K] of images [B, 1, 28, 28]."""
        x = self.conv1(images)  # [B, W, 14, 14]
        x = F.relu(x)
        x = F.max_pool2d(x, 2)  # [B, W, 7, 7]
        x = self.conv2(x)  # [B, 2W, 7, 7]
        x = F.relu(x)
        x = F.max_pool2d(x, 2)  # [B, 2W, 3, 3]
        x = self.conv3(x)  # [B, 4W, 3, 3]
        x = F.relu(x)
        x = x.mean(dim=(2, 3))  # [B, 4W]
        return self.head(x)
