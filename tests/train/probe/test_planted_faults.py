"""Faults as people make them, planted one by one: each is found and named; clean networks give no finding at all."""

from __future__ import annotations

import textwrap

import pytest

SLOTS = {
    **dict.fromkeys(
        (
            "more",
            "before",
            "middle",
            "late",
            "after",
            "data",
            "model",
            "prepare",
            "augment",
            "loss",
        ),
        "pass",
    ),
    "channels": "3",
    "outputs": "10",
    "offset": "0",
    "recipe": "lr=1e-3",
}
CLASSIFY = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d({channels}, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        {more}
        self.head = nn.Linear(16, {outputs})

    def forward(self, x):
        {before}
        x = self.norm(F.relu(self.conv1(x)))
        {middle}
        x = F.relu(self.conv2(x))
        {late}
        x = x.mean((2, 3))
        x = self.head(x)
        {after}
        return x


class T(branchlab.Task):
    recipe = Recipe(batch_size=16, epochs=2, {recipe})

    def data(self):
        g = torch.Generator().manual_seed(0)
        y = torch.arange(160) % 10
        shade = torch.arange({channels})[:, None, None] * 20
        x = torch.rand(160, {channels}, 16, 16, generator=g) * 120 + 8 * y[:, None, None, None] + shade
        x, y = x.byte(), y + {offset}
        {data}
        return Splits(train=Examples(x[:128], y[:128]), val=Examples(x[128:], y[128:]))

    def model(self):
        net = Net()
        {model}
        return net

    def prepare(self, batch):
        x = batch.inputs.float() / 255
        x = (x - 0.45) / 0.15
        {prepare}
        return batch.with_inputs(x)

    def augment(self, batch, generator):
        x = batch.inputs
        {augment}
        return batch.with_inputs(x)

    def loss(self, outputs, batch):
        {loss}
        return F.cross_entropy(outputs, batch.targets)
"""


def written(template: str, **slots: str) -> str:
    filled = {**SLOTS, **slots}
    text = textwrap.dedent(template)
    for name, value in filled.items():
        lines = []
        for line in text.split("\n"):
            at = line.find("{" + name + "}")
            if at >= 0 and not line[:at].strip() and "\n" in value:
                lines += [line[:at] + one for one in value.split("\n")]
            else:
                lines.append(line.replace("{" + name + "}", value))
        text = "\n".join(lines)
    return text


FAULTS = [
    ("normalised-twice", {"prepare": "x = (x - 0.45) / 0.15"}),
    ("bytes-as-floats", {"prepare": "x = batch.inputs.float()"}),
    ("divided-twice", {"prepare": "x = batch.inputs.float() / 255 / 255"}),
    ("channels-reversed", {"prepare": "x = x.flip(1)"}),
    ("prepare-random", {"prepare": "x = x + 0.1 * torch.randn_like(x)"}),
    ("inputs-not-finite", {"prepare": "x = x / (x > x.amin())"}),
    ("inputs-constant", {"prepare": "x = x * 0"}),
    ("channel-constant", {"prepare": "x = x * torch.tensor([1.0, 0.0, 1.0])[:, None, None]"}),
    ("inputs-off-centre", {"prepare": "x = x + 5"}),
    (
        "augmentation-shared",
        {"augment": "x = x.flip(3) if torch.rand((), generator=generator) < 0.5 else x.roll(1, 3)"},
    ),
    ("augmentation-draws-outside", {"augment": "x = x + torch.randn_like(x)"}),
    ("labels-start-at-one", {"offset": "1", "outputs": "11"}),
    (
        "labels-out-of-range",
        {"offset": "1", "loss": "return F.cross_entropy(outputs, batch.targets.clamp(max=9))"},
    ),
    ("classes-without-examples", {"outputs": "14"}),
    ("one-class-only", {"data": "y = y * 0"}),
    ("validation-in-training", {"data": "x = torch.cat([x[:80], x[:80]])"}),
    ("not-finite", {"after": "x = torch.log(F.relu(x))"}),
    ("input-clamped", {"before": "x = x.clamp(-0.8, 0.8)"}),
    ("input-not-used", {"before": "x = torch.cat([x[:, :1], x[:, :1], x[:, 2:]], 1)"}),
    ("output-constant", {"late": "x = x * 0"}),
    ("examples-mix", {"middle": "x = x - x.mean(0)"}),
    ("examples-mix", {"late": "x = x.permute(1, 0, 2, 3).reshape(x.shape)"}),
    ("softmax-over-batch", {"late": "x = x * F.softmax(x.mean((2, 3)), dim=0)[:, :, None, None]"}),
    ("eval-left-on", {"model": "net.norm.eval()\nnet.norm.train = lambda mode=True: net.norm"}),
    ("train-left-on", {"model": "net.norm.train = lambda mode=True: net.norm"}),
    ("eval-random", {"middle": "x = F.dropout(x, 0.5, True)"}),
    (
        "units-dead",
        {
            "more": "self.relu = nn.ReLU()\nself.conv2.bias.data.fill_(-50)",
            "late": "x = self.relu(self.conv2(self.norm(x[:, :8])))",
        },
    ),
    ("saturated", {"more": "self.gate = nn.Sigmoid()", "middle": "x = self.gate(x * 200)"}),
    ("softmax-twice", {"after": "x = F.softmax(x, 1)"}),
    ("softmax-twice", {"more": "self.soft = nn.Softmax(1)", "after": "x = self.soft(x)"}),
    ("nll-without-log", {"loss": "return F.nll_loss(F.softmax(outputs, 1), batch.targets)"}),
    ("nll-without-log", {"loss": "return F.nll_loss(outputs, batch.targets)"}),
    (
        "sigmoid-twice",
        {
            "after": "x = torch.sigmoid(x)",
            "loss": "return F.binary_cross_entropy_with_logits(outputs, F.one_hot(batch.targets, 10).float())",
        },
    ),
    ("logits-rectified", {"after": "x = F.relu(x)"}),
    ("targets-not-used", {"loss": "return F.cross_entropy(outputs, outputs.argmax(1))"}),
    ("loss-begins-high", {"after": "x = x * 100"}),
    ("broadcasting", {"loss": "return F.mse_loss(outputs[:, :1], batch.targets.float())"}),
    ("broadcasting", {"loss": "return ((outputs[:, :1] - batch.targets.float()) ** 2).mean()"}),
    ("module-never-called", {"more": "self.spare = nn.Conv2d(8, 8, 3)"}),
    ("cut-off", {"middle": "x = x.detach()"}),
    ("cut-off", {"middle": "with torch.no_grad():\n    x = self.norm(x)"}),
    ("frozen-by-mistake", {"model": "net.conv1.weight.requires_grad_(False)"}),
    (
        "not-in-the-optimizer",
        {
            "before": "if not hasattr(self, 'late'):\n    self.late = nn.Conv2d(3, 3, 1)\nx = self.late(x)"
        },
    ),
    ("nothing-learnt", {"recipe": "lr=0.0"}),
    ("gradient-blows-up", {"after": "x = x * 1e6"}),
    ("gradient-vanishes", {"before": "x = x * 1.0", "middle": "x = x.detach() + 1e-7 * x"}),
    (
        "not-contiguous",
        {"before": "x = x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)[:, :, ::2, ::2]"},
    ),
    ("step-failed", {"late": "x = x @ torch.zeros(3, 3)"}),
    (
        "gradient-not-finite",
        {"late": "x = x + (x * 0).pow(2).sum((2, 3), keepdim=True).sqrt()"},
    ),
    (
        "not-finite",
        {
            "loss": "return -F.softmax(outputs * 1e4, 1).log().gather(1, batch.targets[:, None]).mean()"
        },
    ),
    ("cut-off", {"middle": "x = torch.from_numpy(x.detach().numpy())"}),
    ("cut-off", {"more": "self.extra = nn.Conv2d(8, 8, 1)", "middle": "y = self.extra(x)"}),
    (
        "broadcasting",
        {"loss": "return F.mse_loss(outputs.mean(1), batch.targets[:, None].float())"},
    ),
    ("eval-left-on", {"before": "self.eval()"}),
    (
        "module-not-registered",
        {
            "more": "self.blocks = [nn.Conv2d(8, 8, 1) for _ in range(2)]",
            "middle": "for one in self.blocks:\n    x = x + one(x)",
        },
    ),
    (
        "tied-wrongly",
        {
            "more": "self.conv3 = nn.Conv2d(8, 16, 3, stride=2, padding=1)\nself.conv3.weight = nn.Parameter(self.conv2.weight.data)"
        },
    ),
    (
        "softmax-over-queries",
        {
            "late": "t = x.flatten(2).transpose(1, 2)\na = torch.softmax(t @ t.transpose(1, 2), dim=1)\nx = x + (a @ t).transpose(1, 2).reshape(x.shape)"
        },
    ),
    ("dropout-all", {"more": "self.drop = nn.Dropout(1.0)", "middle": "x = self.drop(x)"}),
    ("broadcasting-channels", {"channels": "16", "prepare": "x = x - torch.linspace(0, 1, 16)"}),
]


@pytest.mark.parametrize(
    ("rule", "slots"), FAULTS, ids=[f"{n}-{r}" for n, (r, _) in enumerate(FAULTS)]
)
def test_a_planted_fault_is_found_and_named(prober, rule, slots):
    asked = {"step": 1}
    found = prober.names(written(CLASSIFY, **slots), **asked)
    assert rule in found, found


@pytest.mark.parametrize(
    "part", ["{'x': x, 'y': y}", "[F.relu(one) for one in (x, y)]"], ids=["parts", "list"]
)
def test_a_gradient_that_is_no_number_is_traced_to_where_it_begins(prober, part):
    late = f"y = (x * 0).pow(2).sum((2, 3), keepdim=True).sqrt()\nkept = {part}\nx = x + y"
    found = prober.names(written(CLASSIFY, late=late))
    assert "first behind conv2 (Conv2d)" in found["gradient-not-finite"]
    assert "input-not-used" not in found


def test_a_rate_far_too_high_shows_later_on(prober):
    source = written(CLASSIFY, recipe="lr=2.0, schedule='constant', optimizer='sgd'")
    found = prober.names(source, step=12)
    assert {"loss-diverges", "not-finite", "gradient-zero"} & set(found), found


def test_a_part_of_a_batch_is_a_batch_too(prober):
    found = prober.names(
        written(
            CLASSIFY,
            recipe="accumulate=2",
            loss="return F.mse_loss(outputs[:, :1], batch.targets.float())",
        )
    )
    assert "broadcasting" in found


def test_a_clean_network_gives_no_finding(prober):
    assert prober.names(written(CLASSIFY)) == {}


SEGMENT = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.tokens = nn.Embedding(32, 8)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, image, segments):
        x = F.relu(self.conv(image))
        {middle}
        x = x + self.tokens(segments).permute(0, 3, 1, 2)
        return self.head(x)


class T(branchlab.Task):
    recipe = Recipe(batch_size=8, epochs=2, lr=1e-3)

    def data(self):
        g = torch.Generator().manual_seed(0)
        cells = torch.randint(0, 30, (48, 1, 4, 4), generator=g).float()
        segments = F.interpolate(cells, (16, 16)).byte()
        masks = (segments[:, 0] % 4).long()
        images = (torch.rand(48, 3, 16, 16, generator=g) * 60 + masks[:, None] * 40).byte()
        x = torch.cat([images, segments], 1)
        {data}
        return Splits(train=Examples(x[:40], masks[:40]), val=Examples(x[40:], masks[40:]))

    def model(self):
        return Net()

    def prepare(self, batch):
        image = (batch.inputs[:, :3].float() / 255 - 0.35) / 0.2
        segments = batch.inputs[:, 3].long()
        {prepare}
        return branchlab.Batch({{"image": image, "segments": segments}}, batch.targets, batch.ids)

    def augment(self, batch, generator):
        image, segments, masks = batch.inputs["image"], batch.inputs["segments"], batch.targets
        {augment}
        return branchlab.Batch({{"image": image, "segments": segments}}, masks, batch.ids)

    def forward(self, model, batch):
        return model(batch.inputs["image"], batch.inputs["segments"])

    def metrics(self, outputs, batch):
        return {{"accuracy": (outputs.argmax(1) == batch.targets).float().mean((1, 2))}}
"""
FLIP = "flips = torch.rand(len(image), generator=generator) < 0.5\n"
SEGMENT_FAULTS = [
    (
        "labels-blend",
        {
            "prepare": "segments = F.interpolate(segments[:, None].float(), (16, 16), mode='bilinear') if 0 else F.interpolate(F.interpolate(segments[:, None].float(), (8, 8), mode='nearest'), (16, 16), mode='bilinear')[:, 0].round().long()"
        },
    ),
    ("input-not-used", {"middle": "segments = segments * 0"}),
    (
        "augmented-apart",
        {"augment": FLIP + "image = torch.where(flips[:, None, None, None], image.flip(3), image)"},
    ),
    (
        "augmented-apart",
        {
            "augment": FLIP
            + "image = torch.where(flips[:, None, None, None], image.flip(3), image)\nmasks = torch.where(flips[:, None, None], masks.flip(2), masks)"
        },
    ),
    (
        "labels-blend",
        {
            "data": "masks = F.interpolate(masks[:, None].float(), (31, 31), mode='bilinear')[:, 0, ::2, ::2].round().long()"
        },
    ),
    (
        "augmented-off-by",
        {"augment": "image, masks, segments = image.roll(1, 3), masks.roll(1, 2), segments"},
    ),
    (
        "augmented-apart",
        {
            "augment": "order = torch.randperm(len(image), generator=generator)\nsegments = segments[order]"
        },
    ),
]
CLEAN_FLIP = FLIP + (
    "image = torch.where(flips[:, None, None, None], image.flip(3), image)\n"
    "masks = torch.where(flips[:, None, None], masks.flip(2), masks)\n"
    "segments = torch.where(flips[:, None, None], segments.flip(2), segments)"
)


def segmenting(**slots: str) -> str:
    return written(SEGMENT, **slots).replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize(
    ("rule", "slots"), SEGMENT_FAULTS, ids=[f"{n}-{r}" for n, (r, _) in enumerate(SEGMENT_FAULTS)]
)
def test_a_fault_with_segmentations_is_found_and_named(prober, rule, slots):
    found = prober.names(segmenting(**slots))
    assert rule in found, found


def test_segmentations_in_step_give_no_finding(prober):
    assert prober.names(segmenting()) == {}
    assert prober.names(segmenting(augment=CLEAN_FLIP)) == {}


WHOLE = """
class T(branchlab.Task):
    recipe = Recipe(batch_size=8, epochs=2, lr=1e-3)

    def data(self):
        g = torch.Generator().manual_seed(0)
        y = torch.arange(48) % 6
        x = (torch.rand(48, 3, 32, 32, generator=g) * 120 + 16 * y[:, None, None, None]).byte()
        return Splits(train=Examples(x[:40], y[:40]), val=Examples(x[40:], y[40:]))

    def prepare(self, batch):
        return batch.with_inputs((batch.inputs.float() / 255 - 0.4) / 0.2)

    def augment(self, batch, generator):
        flips = torch.rand(len(batch), generator=generator) < 0.5
        return batch.with_inputs(torch.where(flips[:, None, None, None], batch.inputs.flip(3), batch.inputs))

    def model(self):
        {more}
"""
UNET = """
class Double(nn.Sequential):
    def __init__(self, a, b):
        super().__init__(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True),
                         nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(inplace=True))

class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([Double(3, 8), Double(8, 16)])
        self.middle = Double(16, 32)
        self.up = nn.ModuleList([nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)])
        self.join = nn.ModuleList([Double(32, 16), Double(16, 8)])
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for up, join in zip(self.up, self.join):
            x = join(torch.cat([up(x), skips.pop()], 1))
        return self.head(x)

class T(branchlab.Task):
    recipe = Recipe(batch_size=8, epochs=2, lr=1e-3)

    def data(self):
        g = torch.Generator().manual_seed(0)
        masks = F.interpolate(torch.randint(0, 4, (48, 1, 4, 4), generator=g).float(), (16, 16))[:, 0].long()
        x = (torch.rand(48, 3, 16, 16, generator=g) * 60 + masks[:, None] * 40).byte()
        return Splits(train=Examples(x[:40], masks[:40]), val=Examples(x[40:], masks[40:]))

    def model(self):
        return UNet()

    def metrics(self, outputs, batch):
        return {"accuracy": (outputs.argmax(1) == batch.targets).float().mean((1, 2))}
"""
RESNET = "from torchvision.models import resnet18\nreturn resnet18(num_classes=6)"
VIT = (
    "from torchvision.models import VisionTransformer\n"
    "return VisionTransformer(image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=6)"
)


@pytest.mark.parametrize(
    "source",
    [written(WHOLE, more=RESNET), written(WHOLE, more=VIT), UNET],
    ids=["ResNet-18", "ViT", "U-Net"],
)
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"step": 1}, id="first"),
        pytest.param({"step": 4}, id="later", marks=pytest.mark.slow),
        pytest.param({"mode": "eval"}, id="eval", marks=pytest.mark.slow),
    ],
)
def test_a_network_as_people_use_it_gives_no_finding(prober, source, asked):
    assert prober.names(source, **asked) == {}
