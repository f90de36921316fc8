"""The module."""

import time

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


class Net(L.LightningModule):
    def __init__(self, hidden: int = 16, norm: bool = False, lr: float = 0.05, pause: float = 0.0):
        super().__init__()
        layers = [nn.Flatten(), nn.Linear(784, hidden)]
        layers += [nn.BatchNorm1d(hidden)] if norm else []
        self.net = nn.Sequential(*layers, nn.ReLU(), nn.Linear(hidden, 10))
        self.lr, self.pause = lr, pause

    def on_train_epoch_start(self):
        print(f"begin epoch {self.current_epoch}")
        time.sleep(self.pause)

    def training_step(self, batch, _):
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        hits = (self.net(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log("val_acc", hits)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.lr)
