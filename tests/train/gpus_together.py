"""Trains runs of two processes on two GPUs, and prints how they ended; started by test_gpu.

An argument "cpu" after the folder trains with gloo instead, so that this file itself can be tried where there is no GPU.
"""

import json
import sys
from pathlib import Path

from branchlab.domain import Run, Sample, Scale
from branchlab.run_folder import RunFolder
from branchlab.train.launch import train_together

TASK = """
import torch
from torch import nn
from branchlab import Examples, Recipe, Splits, Task

class Small(Task):
    recipe = Recipe(epochs=3, batch_size=32, lr=0.01)

    def data(self):
        g = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (256, 3, 16, 16), generator=g, dtype=torch.uint8)
        y = (x[:, 0].float().mean((1, 2)) > 127).long()
        return Splits(train=Examples(x[:192], y[:192]), val=Examples(x[192:], y[192:]))

    def model(self):
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), *head
        )

    def augment(self, batch, generator):
        drawn = torch.rand(batch.inputs.shape, device=batch.inputs.device, generator=generator)
        return batch.with_inputs(batch.inputs + 0.1 * drawn)
"""


def main(root: Path, device: str) -> None:
    (root / "small.py").write_text(TASK)

    def carry_out(name: str, *, attempt: int = 1, stop_after: int = 10_000) -> list[object]:
        folder = RunFolder(root / name)
        here = folder.attempt(attempt)
        here.path.mkdir(parents=True)
        run = Run(
            id=name, key="k", branch="b", commit="0" * 40, tree="0" * 40, task="small:Small", seed=0,
            scale=Scale.SAMPLE, sample=Sample(fraction=1.0), device=device, processes=2,
        )  # fmt: skip
        asked = iter(range(1, 10_000))
        ending = train_together(
            run, root, folder, here, should_stop=lambda: next(asked) >= stop_after
        )
        return [str(ending.state), ending.reason, ending.loss_digest, dict(ending.metrics)]

    one, two = carry_out("one"), carry_out("two")
    stopped = carry_out("cut", stop_after=7)
    assert stopped[0] == "cancelled", stopped
    sys.stdout.write(json.dumps([one, two, carry_out("cut", attempt=2)]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "cuda")
