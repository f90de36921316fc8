"""The table of a probe beside torchinfo's, which reads the same network by hooks of its own."""

from __future__ import annotations

import pytest

from branchlab.domain import StageKind
from tests.train.probe.test_planted_faults import RESNET, UNET, VIT, WHOLE, written

pytestmark = pytest.mark.tools


def model_of(source: str):
    names: dict = {}
    exec(
        "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\nimport branchlab\n"
        "from branchlab import Batch, Examples, Recipe, Splits\n" + source,
        names,
    )
    return names["T"]().model()


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        (written(WHOLE, more=RESNET), (8, 3, 32, 32)),
        (written(WHOLE, more=VIT), (8, 3, 32, 32)),
        (UNET, (8, 3, 16, 16)),
    ],
    ids=["ResNet-18", "ViT", "U-Net"],
)
def test_shapes_and_parameters_are_those_that_torchinfo_finds(prober, source, shape):
    torchinfo = pytest.importorskip("torchinfo")
    found = prober.probe(source)
    model = model_of(source)
    summary = torchinfo.summary(model, input_size=shape, verbose=0, depth=10, row_settings=())
    names = {id(module): name for name, module in model.named_modules()}
    theirs = {
        names[id(info.module)]: tuple(info.output_size)
        for info in summary.summary_list
        if info.output_size and not list(info.module.children())
    }
    ours = {
        stage.name: stage.outputs[0].shape
        for stage in found.of(StageKind.MODULE)
        if stage.outputs and stage.name in theirs
    }
    assert len(ours) > 3
    assert ours == {name: size for name, size in theirs.items() if name in ours}
    assert set(theirs) - {""} == set(ours)
    assert found.facts["num_parameters"] == summary.total_params
