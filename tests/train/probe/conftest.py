"""Tasks written as text, imported from a folder of their own as a branch's are, and probed in this process."""

from __future__ import annotations

import itertools
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from branchlab.analysis.probe.findings import findings
from branchlab.domain import Run, Sample, Scale
from branchlab.run_folder import AskedProbe, pack_probe, unpack_probe
from branchlab.train import randomness
from branchlab.train.probe.probing import probe

_NUMBER = itertools.count()
_HEAD = """
import math
import torch
from torch import nn
from torch.nn import functional as F
import branchlab
from branchlab import Batch, Examples, Recipe, Splits
"""


class Prober:
    """Probes tasks given as source text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def probe(self, source: str, *, flags=None, run=None, **asked):
        """Return the probe of ``class T`` in a source; packed and unpacked on the way."""
        name = f"probed_{next(_NUMBER)}"
        (self.folder / f"{name}.py").write_text(_HEAD + textwrap.dedent(source))
        planned = Run(
            id=name, key="", branch="exp/a", commit="", tree="", task=f"{name}:T", seed=0,
            scale=Scale.FULL, sample=Sample(fraction=1.0), flags=flags or {}, **(run or {}),
        )  # fmt: skip
        before = list(sys.path), sys.dont_write_bytecode
        torch.set_num_threads(1)
        with randomness.undisturbed(torch.device("cpu")):
            try:
                randomness.seed_global(0, "task")
                found = probe(planned, AskedProbe(**asked), self.folder, self.folder / "pictures")
            finally:
                sys.path[:], sys.dont_write_bytecode = before
                sys.modules.pop(name, None)
                torch.use_deterministic_algorithms(mode=False)
        again = unpack_probe(pack_probe(found))
        assert again is not None
        return again

    def names(self, source: str, **more) -> dict[str, str]:
        """Return what is found in a source: sentences by the names of rules."""
        return self.named(self.probe(source, **more))

    def named(self, found) -> dict[str, str]:
        """Return what is found in a probe, likewise."""
        return {one.id: f"{one.where}: {one.sentence}" for one in findings(found)}


@pytest.fixture
def prober(tmp_path: Path) -> Prober:
    return Prober(tmp_path)
