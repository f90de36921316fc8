"""Meters and data, as the reference scripts of torchvision have them beside their train.py."""

import gzip
import os
from collections import deque

import torch


class SmoothedValue:
    def __init__(self, window_size=20):
        self.deque = deque(maxlen=window_size)
        self.total, self.count = 0.0, 0

    def update(self, value, n=1):
        self.deque.append(value)
        self.count += n
        self.total += value * n

    @property
    def global_avg(self):
        return self.total / max(1, self.count)

    def __str__(self):
        return f"{sorted(self.deque)[len(self.deque) // 2]:.4f} ({self.global_avg:.4f})"


def accuracy(output, target, topk=(1,)):
    with torch.inference_mode():
        _, pred = output.topk(max(topk), 1, True, True)
        correct = pred.t().eq(target[None])
        return [
            correct[:k].flatten().sum(dtype=torch.float32) * (100.0 / target.size(0)) for k in topk
        ]


def load_part(root, split, fraction=1.0):
    with gzip.open(os.path.join(root, f"{split}-images-idx3-ubyte.gz")) as f:
        images = torch.frombuffer(bytearray(f.read()[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)
    with gzip.open(os.path.join(root, f"{split}-labels-idx1-ubyte.gz")) as f:
        labels = torch.frombuffer(bytearray(f.read()[8:]), dtype=torch.uint8).long()
    n = int(len(images) * fraction)
    return torch.utils.data.TensorDataset(images[:n].float() / 255, labels[:n])


def save_on_master(*args, **kwargs):
    torch.save(*args, **kwargs)
