"""Tasks that are right, of the kinds that rules may take for a mistake: none gives a finding, and nothing fails on the way."""

from __future__ import annotations

import pytest

from tests.train.probe.test_planted_faults import CLASSIFY, segmenting, written


def task(methods: str = "", **slots: str) -> str:
    """Return the classifier of the planted faults with methods replaced by others."""
    text = written(CLASSIFY, **slots)
    return text + "\n".join(f"    {line}" for line in methods.strip().split("\n")) + "\n"


EMBEDDING_LOSS = """
def loss(self, outputs, batch):
    z = F.normalize(outputs, dim=1)
    alike = z @ z.T / 0.1 - 1e9 * torch.eye(len(z))
    same = (batch.targets[:, None] == batch.targets) & ~torch.eye(len(z), dtype=torch.bool)
    return -(alike.log_softmax(1) * same).sum(1).div(same.sum(1).clamp_min(1)).mean()
def metrics(self, outputs, batch):
    return {"norm": outputs.norm(dim=1)}
"""
RECONSTRUCTION = """
def model(self):
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.ConvTranspose2d(8, 3, 2, 2))
def loss(self, outputs, batch):
    return ((outputs - batch.inputs) ** 2).sum((1, 2, 3)).mean() * 10
def metrics(self, outputs, batch):
    return {"error": ((outputs - batch.inputs) ** 2).mean((1, 2, 3))}
"""
PAIRS = """
def model(self):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.image, self.text = Net(), nn.Embedding(10, 10)
        def forward(self, x, y):
            return F.normalize(self.image(x), dim=1) @ F.normalize(self.text(y), dim=1).T
    return Two()
def prepare(self, batch):
    return batch.with_inputs({"image": (batch.inputs.float() / 255 - 0.45) / 0.15, "text": batch.targets})
def augment(self, batch, generator):
    return batch
def forward(self, model, batch):
    return model(batch.inputs["image"], batch.inputs["text"])
def loss(self, outputs, batch):
    return -(F.log_softmax(outputs, 1) + F.log_softmax(outputs, 0)).diagonal().mean()
def metrics(self, outputs, batch):
    return {"first": outputs.argmax(1) == torch.arange(len(outputs))}
"""
BINARY = """
def loss(self, outputs, batch):
    return F.binary_cross_entropy_with_logits(outputs[:, 0] * 0.01 + 0.4, (batch.targets > 4).float())
def metrics(self, outputs, batch):
    return {"accuracy": (outputs[:, 0] > 0) == (batch.targets > 4)}
"""
FEATURES_TOO = """
def forward(self, model, batch):
    logits = model(batch.inputs)
    return F.relu(logits).repeat(1, 4), logits
def loss(self, outputs, batch):
    return F.cross_entropy(outputs[1], batch.targets)
def metrics(self, outputs, batch):
    return {"accuracy": outputs[1].argmax(1) == batch.targets}
"""
LISTS = """
def data(self):
    g = torch.Generator().manual_seed(0)
    xs = [(torch.rand(3, 16, 16 + 2 * (i % 3), generator=g) * 200).byte() for i in range(40)]
    ys = [{"boxes": torch.rand(1 + i % 16, 4, generator=g), "label": i % 10} for i in range(40)]
    return Splits(train=Examples(xs[:32], ys[:32]), val=Examples(xs[32:], ys[32:]))
def prepare(self, batch):
    return batch.with_inputs([(x.float() / 255 - 0.45) / 0.15 for x in batch.inputs])
def augment(self, batch, generator):
    flips = (torch.rand(len(batch), generator=generator) < 0.5).tolist()
    return batch.with_inputs([x.flip(-1) if is_on else x for x, is_on in zip(batch.inputs, flips)])
def forward(self, model, batch):
    logits = torch.cat([model(x[None]) for x in batch.inputs])
    return logits if model.training else [{"boxes": t["boxes"] * r.mean()} for t, r in zip(batch.targets, logits)]
def loss(self, outputs, batch):
    if isinstance(outputs, list):
        return None
    return F.cross_entropy(outputs, torch.tensor([t["label"] for t in batch.targets]))
def metrics(self, outputs, batch):
    return {"num": torch.tensor([float(len(one["boxes"])) for one in outputs])} if isinstance(outputs, list) else {}
"""
MASKED = """
def model(self):
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.randn(1, 16, 12), requires_grad=False)
            self.project, self.attend = nn.Linear(48, 12), nn.MultiheadAttention(12, 2, batch_first=True)
            nn.init.zeros_(self.attend.out_proj.weight)
            self.head = nn.Linear(12, 10)
        def forward(self, x, padding, length):
            x = self.project(x) + self.position
            x = x + self.attend(x, x, x, key_padding_mask=padding)[0]
            return self.head(x.sum(1) / length[:, None])
    return Attends()
def prepare(self, batch):
    x = ((batch.inputs.float() / 255 - 0.45) / 0.15).flatten(2).transpose(1, 2).reshape(len(batch), 16, 48)
    return batch.with_inputs({"x": x, "padding": torch.zeros(len(x), 16, dtype=torch.bool), "length": torch.full((len(x),), 16)})
def augment(self, batch, generator):
    return batch
def forward(self, model, batch):
    return model(**batch.inputs)
"""
GATED = """
def model(self):
    from torchvision.ops import StochasticDepth
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1)])
            self.norm, self.drop = nn.GroupNorm(4, 8), StochasticDepth(0.7, "batch")
            self.gamma = nn.Parameter(torch.zeros(8, 1, 1))
        def forward(self, x):
            for layer in self.layers:
                if not self.training or torch.rand(()) > 0.3:
                    x = x + self.drop(self.gamma * F.gelu(self.norm(layer(x))))
            return x
    blocks = [Block() for _ in range(4)]
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""
SQUEEZED = """
def model(self):
    from torchvision.ops import SqueezeExcitation
    return nn.Sequential(nn.Conv2d(3, 8, 3), SqueezeExcitation(8, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""
BYTES = "def prepare(self, batch):\n    return batch.with_inputs(batch.inputs.float())\n"
RESIZED = """
def prepare(self, batch):
    return batch.with_inputs((F.interpolate(batch.inputs.float(), (12, 12), mode="bilinear") / 255 - 0.45) / 0.15)
"""
IN_PLACE = """
def data(self):
    splits = super().data() if False else T.base(self)
    return Splits(train=Examples(splits.train.inputs.float(), splits.train.targets),
                  val=Examples(splits.val.inputs.float(), splits.val.targets))
def prepare(self, batch):
    return batch.with_inputs(batch.inputs.div_(255).sub_(0.45).div_(0.15))
def augment(self, batch, generator):
    batch.inputs.mul_(1 + 0.1 * torch.rand(len(batch), 1, 1, 1, generator=generator))
    return batch
"""
MULTISCALE = """
def augment(self, batch, generator):
    size = 12 + 4 * int(torch.randint(3, (), generator=generator))
    return batch.with_inputs(F.interpolate(batch.inputs, (size, size), mode="bilinear"))
"""
TIED = """
def data(self):
    x = torch.randint(0, 50, (48, 9), generator=torch.Generator().manual_seed(0))
    return Splits(train=Examples(x[:40, :-1], x[:40, 1:]), val=Examples(x[40:, :-1], x[40:, 1:]))
def prepare(self, batch):
    return batch
def augment(self, batch, generator):
    return batch
def model(self):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rnn = nn.Embedding(50, 16), nn.GRU(16, 16)
            self.layer = nn.TransformerEncoderLayer(16, 2, 32)
            self.head = nn.Linear(16, 50, bias=False)
            self.head.weight = self.embed.weight
        def forward(self, x):
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.head(self.rnn(self.layer(self.embed(x).transpose(0, 1), src_mask=mask))[0]).transpose(0, 1)
    return Tokens()
def loss(self, outputs, batch):
    return F.cross_entropy(outputs.flatten(0, 1), batch.targets.flatten())
def metrics(self, outputs, batch):
    return {"accuracy": (outputs.argmax(2) == batch.targets).float().mean(1)}
"""
BEFORE_NORM = {"more": "self.norm2 = nn.BatchNorm2d(16)", "late": "x = self.norm2(x)"}
KINDS = {
    "a bias before a norm": task(recipe="lr=1e-3, optimizer='sgd'", **BEFORE_NORM).replace("F.relu(self.conv2(x))", "self.conv2(x)"),
    "accumulated": task(recipe="accumulate=4"),
    "averaged": task(recipe="ema=0.99"),
    "mixed": task(recipe="mixup=0.2, cutmix=1.0, label_smoothing=0.1"),
    "half precision": task(recipe="precision='fp16', clip_norm=1.0, optimizer='sgd'"),
    "bfloat16": task(recipe="precision='bf16'"),
    "compiled": task(model="return torch.compile(net)"),
    "compiled by recipe": task(recipe="compile=True"),
    "frozen by the recipe": task(recipe="frozen={'conv1.*': 1.0, 'norm.*': 1.0}"),
    "frozen by itself": task(model="net.conv1.requires_grad_(False)"),
    "a last layer of zeros": task(model="nn.init.zeros_(net.head.weight)\nnn.init.zeros_(net.head.bias)"),
    "normalised in forward": task(BYTES, before="x = (x - 115) / 38"),
    "a norm first": task(BYTES, more="self.first = nn.BatchNorm2d(3)", before="x = self.first(x)"),
    "bytes resized": task(RESIZED),
    "in place": task(IN_PLACE).replace("    def model(self):", "    base = data\n\n    def model(self):", 1),
    "of several sizes": task(MULTISCALE),
    "binary": task(BINARY),
    "embeddings": task(EMBEDDING_LOSS, outputs="6"),
    "reconstruction": task(RECONSTRUCTION),
    "pairs": task(PAIRS),
    "features too": task(FEATURES_TOO),
    "lists": task(LISTS),
    "masked": task(MASKED),
    "gated": task(GATED),
    "squeezed": task(SQUEEZED),
    "tied": task(TIED),
    "void labels": segmenting(data="masks[:, :4] = 255").replace(
        "    def metrics", "    def loss(self, outputs, batch):\n        return F.cross_entropy(outputs, batch.targets, ignore_index=255)\n\n    def metrics"
    ),
    "inverted": segmenting(augment="image = image * torch.where(torch.rand(len(image), 1, 1, 1, generator=generator) < 0.5, -1, 1)"),
}  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    # Importing the compiler alone takes some seconds.
    [pytest.param(one, marks=[pytest.mark.slow] * (one == "compiled")) for one in KINDS],
)
def test_a_task_that_is_right_gives_no_finding(prober, kind):
    _gives_no_finding(prober, kind)


def test_images_of_different_sizes_are_drawn_too(prober):
    found = prober.probe(KINDS["lists"])
    assert (prober.folder / "pictures" / found.checks["pictures"]["inputs"]).exists()
    assert found.checks["pictures"]["rows"] == ["stored", "prepared", "augmented"]


@pytest.mark.parametrize("kind", ["averaged", "lists", "gated", "void labels", "half precision"])
def test_nor_does_its_validation(prober, kind):
    _gives_no_finding(prober, kind, mode="eval")


def _gives_no_finding(prober, kind, **asked):
    found = prober.probe(KINDS[kind], **asked)
    assert prober.named(found) == {}
    failed = {name: one for name, one in found.checks.items() if "failed" in (one or ())}
    assert not failed


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["swin_t", "convnext_tiny", "mobilenet_v3_small", "efficientnet_b0", "densenet121"]
)
def test_a_network_of_torchvision_gives_no_finding(prober, name):
    build = f"from torchvision import models\nreturn models.{name}(num_classes=10)"
    data = "x = F.interpolate(x.float(), (64, 64)).byte()"
    assert prober.names(task(model=build, data=data).replace("net = Net()", "pass")) == {}


DETECTION = """
def data(self):
    g = torch.Generator().manual_seed(0)
    xs = [(torch.rand(3, 64 + 8 * (i % 3), 64, generator=g) * 200).byte() for i in range(12)]
    corners = [torch.rand(1 + i % 3, 2, generator=g) * 20 for i in range(12)]
    ys = [{"boxes": torch.cat([one, one + 20], 1), "labels": torch.ones(len(one), dtype=torch.long)} for one in corners]
    return Splits(train=Examples(xs[:8], ys[:8]), val=Examples(xs[8:], ys[8:]))
def prepare(self, batch):
    return batch.with_inputs([x.float() / 255 for x in batch.inputs])
def augment(self, batch, generator):
    gains = 1 + 0.1 * torch.rand(len(batch), generator=generator)
    return batch.with_inputs([x * gain for x, gain in zip(batch.inputs, gains)])
def model(self):
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as build
    return build(weights=None, weights_backbone=None, num_classes=3, min_size=96, max_size=128)
def forward(self, model, batch):
    return model(batch.inputs, batch.targets) if model.training else model(batch.inputs)
def loss(self, outputs, batch):
    return sum(outputs.values()) if isinstance(outputs, dict) else None
def metrics(self, outputs, batch):
    return {} if isinstance(outputs, dict) else {"num": torch.tensor([float(len(one["boxes"])) for one in outputs])}
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, 4])
def test_a_detector_gives_no_finding(prober, size):
    source = task(DETECTION).replace("batch_size=16", f"batch_size={size}")
    assert prober.names(source) == {}
    assert prober.names(source, mode="eval") == {}
