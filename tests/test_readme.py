"""The task of the README, run as it stands; only the download is replaced by a few made-up images."""

from __future__ import annotations

import re
import sys
import textwrap
import types
from pathlib import Path

import numpy as np

import branchlab
from branchlab.domain import Run, Sample, Scale

README = Path(__file__).resolve().parent.parent / "README.md"


class FewImages:
    """What torchvision's CIFAR10 has: ``data`` as uint8 [N, 32, 32, 3] and ``targets``."""

    def __init__(self, root: str) -> None:
        self.data = np.random.default_rng(0).integers(0, 256, (45_064, 32, 32, 3), dtype=np.uint8)
        self.targets = [n % 10 for n in range(len(self.data))]


def test_the_task_of_the_readme_trains(monkeypatch) -> None:
    from branchlab.train.training import begin, take_step

    datasets = types.ModuleType("torchvision.datasets")
    datasets.CIFAR10 = FewImages  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    names: dict[str, type[branchlab.Task]] = {}
    exec(textwrap.dedent("   " + code.lstrip()), names)
    sample = Sample(fraction=0.01)
    run = Run(
        id="r",
        key="k",
        branch="b",
        commit="c",
        tree="t",
        task="m:T",
        seed=0,
        scale=Scale.SAMPLE,
        sample=sample,
    )
    training = begin(names["MyTask"](wide=True), run)
    take_step(training, training.data.train.slice(0, 32))
    assert training.step == 1
    assert training.losses[0].isfinite()
