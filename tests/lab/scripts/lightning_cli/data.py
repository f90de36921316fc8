"""The data."""

import gzip
import os

import lightning as L
import torch
from torch.utils.data import DataLoader, TensorDataset


def load(root, split, n):
    with gzip.open(os.path.join(root, f"{split}-images-idx3-ubyte.gz")) as f:
        images = torch.frombuffer(bytearray(f.read()[16:]), dtype=torch.uint8).view(-1, 1, 28, 28)
    with gzip.open(os.path.join(root, f"{split}-labels-idx1-ubyte.gz")) as f:
        labels = torch.frombuffer(bytearray(f.read()[8:]), dtype=torch.uint8).long()
    return TensorDataset(images[:n].float() / 255, labels[:n])


class Fashion(L.LightningDataModule):
    def __init__(self, root: str = "data", num: int = 512):
        super().__init__()
        self.root, self.num = root, num

    def train_dataloader(self):
        return DataLoader(load(self.root, "train", self.num), batch_size=64, shuffle=True)

    def val_dataloader(self):
        return DataLoader(load(self.root, "t10k", self.num), batch_size=256)
