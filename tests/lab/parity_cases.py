"""Changes to the example that break parity, each at a place of its own, and changes that leave main what it is.

Each is written as replacements in the example's files; ``FLAG`` adds a flag named ``extra`` that the task hands to the model.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL, TASK, DATA = "fashion/model.py", "fashion/task.py", "fashion/data.py"
AUGMENT, LOSSES = "fashion/augment.py", "fashion/losses.py"

Edit = tuple[str, str, str]

FLAG: tuple[Edit, ...] = (
    (MODEL, "batch_norm: bool = False,\n    )", "batch_norm: bool = False,\n        extra: bool = False,\n    )"),
    (MODEL, "        self.conv1 =", "        self.extra = extra\n        self.conv1 ="),
    (TASK, "batch_norm: bool = False,\n    )", "batch_norm: bool = False,\n        extra: bool = False,\n    )"),
    (TASK, "        self.source = data\n", "        self.source = data\n        self.extra = extra\n"),
    (TASK, "            batch_norm=self.batch_norm,\n", "            batch_norm=self.batch_norm,\n            extra=self.extra,\n"),
)  # fmt: skip
FIRST, LAST = "        self.conv1 =", "        self.head = nn.Linear(4 * width, num_classes)\n"
POOLED, HEAD = "        x = x.mean(dim=(2, 3))  # [B, 4W]\n", "        return self.head(x)\n"


@dataclass(frozen=True)
class Break:
    """What a change breaks: the stage, and parts of what is said about place, reason and remedy."""

    name: str
    edits: tuple[Edit, ...]
    stage: str
    where: str
    reason: str
    remedy: str


def model(old: str, new: str) -> Edit:
    return MODEL, old, new


def task(old: str, new: str) -> Edit:
    return TASK, old, new


BREAKS = [
    Break(
        "a module constructed before others",
        (*FLAG, model(FIRST, "        self.mix = nn.Linear(4 * width, 4 * width)\n" + FIRST),
         model(POOLED, POOLED + "        if self.extra:\n            x = self.mix(x)\n")),
        "construction", "mix (Linear, fashion/model.py:",
        "Linear is built although extra is off: it adds 2 tensors to the state_dict and draws random numbers, so that what is built after it",
        "build it only when extra is on, or after all the others",
    ),
    Break(
        "a module constructed last",
        (*FLAG, model(LAST, LAST + "        self.mix = nn.Linear(4 * width, 4 * width)\n")),
        "construction", "mix (Linear, fashion/model.py:", "it adds 2 tensors to the state_dict and draws random numbers",
        "build it only when extra is on",
    ),
    Break(
        "a module that is built and thrown away",
        (*FLAG, model(LAST, LAST + "        spare = nn.Linear(width, width)\n        if extra:\n            self.spare = spare\n")),
        "construction", "a module (Linear, fashion/model.py:", "draws random numbers", "build it only when extra is on",
    ),
    Break(
        "a whole block of a project's own class",
        (*FLAG, model(FIRST, "        self.block = Block(width)\n" + FIRST),
         model("class ConvNet", "class Block(nn.Module):\n    def __init__(self, width: int) -> None:\n        super().__init__()\n"
               "        self.inner = nn.Conv2d(width, width, 1)\n\n\nclass ConvNet")),
        "construction", "block (Block, fashion/model.py:", "Block is built although extra is off: it adds 2 tensors", "build it only when extra is on",
    ),
    Break(
        "a flag that defaults to on",
        (*(edit if edit[0] != TASK else (edit[0], edit[1], edit[2].replace("extra: bool = False", "extra: bool = True")) for edit in FLAG),
         model(POOLED, POOLED + "        if self.extra:\n            x = 2 * x\n")),
        "forward", "ConvNet.forward, after conv3 and before head", "what enters head differs", "extra is new and defaults to True: let it default to False",
    ),
    Break(
        "a changed default", (task("flip: float = 0.5", "flip: float = 0.25"),),
        "signature", "FashionTask(flip)", "its default is 0.25, on main 0.5", "put 0.5 back",
    ),
    Break(
        "an argument that is gone", (task("        width: int = 16,\n", ""), task("        self.width = width\n", "        self.width = 16\n")),
        "signature", "FashionTask(width)", "the argument is gone", "keep it",
    ),
    Break(
        "a new argument without a default",
        (task("        *,\n        data: str", "        *,\n        root: str,\n        data: str"),),
        "construction", "the task", "missing 1 required keyword-only argument", "mend the branch",
    ),
    Break(
        "an in-place change of a shared tensor",
        (task("        return {**super().metrics(outputs, batch), \"accuracy_top2\": is_among_two}\n",
              "        found = {**super().metrics(outputs, batch), \"accuracy_top2\": is_among_two}\n        batch.targets.clamp_(max=8)\n        return found\n"),),
        "data", "val targets", "they are changed in place", "clone",
    ),
    Break(
        "an in-place change that a metric sees",
        (task("        guesses = outputs.topk", "        batch.targets.clamp_(max=8)\n        guesses = outputs.topk"),),
        "validation", "val targets", "they are changed in place", "clone",
    ),
    Break(
        "an extra torch.rand in a guarded path",
        (*FLAG, model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"),
         model("        x = self.conv2(x)", "        noise = torch.rand(len(x))\n        if self.extra:\n            x = x * noise[:, None, None, None]\n        x = self.conv2(x)")),
        "forward", "ConvNet.forward, after conv1 and before conv2", "it draws random numbers that main does not although extra is off", "only when the flag is on",
    ),
    Break(
        "a parameter registered in another order",
        (model("        self.conv2 = nn", "        second = nn"), model(LAST, LAST.replace("self.head", "self.head") + "        self.conv2 = second\n")),
        "construction", "conv3.weight", "parameters and buffers stand in another order", "register them in main's order",
    ),
    Break(
        "a buffer", (*FLAG, model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"),
                     model(LAST, LAST + "        self.register_buffer(\"scale\", torch.ones(1))\n")),
        "construction", "scale", "the buffer is registered although extra is off", "persistent=False",
    ),
    Break(
        "a parameter", (*FLAG, model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"),
                        model(LAST, LAST + "        self.gain = nn.Parameter(torch.ones(1))\n")),
        "construction", "gain", "the parameter is created although extra is off", "create it only when the flag is on",
    ),
    Break(
        "an augmentation that draws one number more",
        ((AUGMENT, "    draw = torch.rand(", "    torch.rand(1, generator=generator)\n    draw = torch.rand("),),
        "augmentation", "augment()", "it draws other random numbers from its generator", "after all that main draws",
    ),
    Break(
        "an augmentation that draws one number more at its end",
        ((AUGMENT, "    return torch.where(", "    torch.rand(1, generator=generator)\n    return torch.where("),),
        "augmentation", "augment()", "it draws other random numbers from its generator", "after all that main draws",
    ),
    Break(
        "an augmentation that does something else with its draw", ((AUGMENT, "draw < probability", "draw > probability"),),
        "augmentation", "augment()", "it gives another batch with the same draws", "put it behind a flag",
    ),
    Break(
        "a dict order",
        (model("        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)\n        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, padding=1)\n",
               "        for name, wide in {\"conv3\": 2 * width, \"conv2\": width}.items():\n            setattr(self, name, nn.Conv2d(wide, 2 * wide, 3, padding=1))\n"),),
        "construction", "conv3 (Conv2d, fashion/model.py:", "it is built before conv2, on main after it", "in main's order",
    ),
    Break(
        "a learning rate", (task("lr=1e-2", "lr=2e-2"),),
        "recipe", "recipe.lr", "it is 0.02, on main 0.01", "set self.recipe in the constructor, only when the flag is on",
    ),
    Break(
        "a learning-rate group", (model(LAST, LAST + "        self.head.bias.requires_grad_(False)\n"),),
        "construction", "head.bias", "it is frozen, on main trained", "put it behind a flag",
    ),
    Break(
        "a parameter that moves to the group with weight decay",
        (model(LAST, LAST + "        self.head.bias = nn.Parameter(self.head.bias.data[None])\n"), model(HEAD, "        return F.linear(x, self.head.weight) + self.head.bias\n")),
        "construction", "head.bias", "its shape is (1, 10), on main (10,)", "put it behind a flag",
    ),
    Break(
        "a data order", ((DATA, "train=Examples(train_images[train], train_labels[train])", "train=Examples(train_images[train.flip(0)], train_labels[train.flip(0)])"),),
        "data order", "data(): train inputs", "the same rows stand in another order", "sort them as main does",
    ),
    Break(
        "other data", ((DATA, "train=Examples(train_images[train], train_labels[train])", "train=Examples(255 - train_images[train], train_labels[train])"),),
        "data", "data(): train inputs", "the values are others", "leave the data as main has it",
    ),
    Break(
        "less data", ((DATA, "train=Examples(train_images[train], train_labels[train])", "train=Examples(train_images[train[1:]], train_labels[train[1:]])"),),
        "data", "data(): train inputs", "the shape is (", "leave the data as main has it",
    ),
    Break(
        "another preparation", (task("/ 255 - MEAN)", "/ 256 - MEAN)"),),
        "preparation", "prepare()", "it gives other inputs for the same examples", "put it behind a flag",
    ),
    Break(
        "a metric that changes mode",
        (task("        guesses = outputs.topk", "        self.net.train()\n        guesses = outputs.topk"),
         task("    def metrics(", "    def forward(self, model: nn.Module, batch: Batch) -> Tensor:\n        self.net = model\n        return super().forward(model, batch)\n\n    def metrics(")),
        "validation", "metrics()", "the model is in train mode, on main in eval mode", "leave model.train() and model.eval() to the trainer",
    ),
    Break(
        "a metric that is gone", (task('{**super().metrics(outputs, batch), "accuracy_top2": is_among_two}', "super().metrics(outputs, batch)"),),
        "validation", "accuracy_top2", "the metric is gone", "keep it",
    ),
    Break(
        "a metric that means something else", (task("outputs.topk(2, dim=1)", "outputs.topk(3, dim=1)"),),
        "validation", "accuracy_top2", "it is ", "put it behind a flag",
    ),
    Break(
        "a seed set inside a module", (*FLAG, model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"),
                                       model(FIRST, "        torch.manual_seed(0)\n" + FIRST)),
        "construction", "fashion/model.py:", "torch.manual_seed is called there although extra is off", "seed a torch.Generator of its own",
    ),
    Break(
        "a seed set in a forward pass", (model("from torch import Tensor, nn\n", "import random\n\nfrom torch import Tensor, nn\n"),
                                         model("        x = self.conv1", "        random.seed(1)\n        x = self.conv1")),
        "forward", "fashion/model.py:", "random.seed is called there", "seed a torch.Generator of its own",
    ),
    Break(
        "random numbers drawn in data()", ((DATA, "    train, val = split_off_val", "    torch.rand(1)\n    train, val = split_off_val"),),
        "data", "data()", "it draws other random numbers than main", "torch.Generator of its own",
    ),
    Break(
        "random numbers drawn when the task is constructed", (task("        self.source = data\n", "        torch.rand(1)\n        self.source = data\n"),),
        "construction", "importing and constructing the task", "it draws other random numbers than main", "torch.Generator of its own",
    ),
    Break(
        "another initial value", (model(LAST, LAST + "        nn.init.zeros_(self.head.bias)\n"),),
        "construction", "head.bias", "it starts from other values", "initialise it as main does",
    ),
    Break(
        "another kind of module", (model("self.head = nn.Linear", "self.head = Head"), model("class ConvNet", "class Head(nn.Linear):\n    def forward(self, x: Tensor) -> Tensor:\n        return 2 * super().forward(x)\n\n\nclass ConvNet")),
        "forward", "head (Linear)", "it is a Head, on main a Linear, and gives other outputs for the same inputs", "put it behind a flag",
    ),
    Break(
        "another order of operations", (model("        x = self.conv3(x)  # [B, 4W, 3, 3]\n        if self.batch_norm:\n            x = self.norm3(x)\n        x = F.relu(x)\n", "        x = F.gelu(self.conv3(x))\n"),),
        "forward", "ConvNet.forward, after conv3 and before head", "what enters head differs", "put it behind a flag",
    ),
    Break(
        "a dropout that is always on", (*FLAG, model(LAST, LAST + "        self.drop = nn.Dropout(0.1)\n"), model(HEAD, "        return self.head(self.drop(x))\n")),
        "forward", "head", "", "only when",
    ),
    Break(
        "another loss", ((LOSSES, "F.cross_entropy(logits, targets)", "F.cross_entropy(logits, targets, label_smoothing=0.1)"),),
        "loss", "loss()", "for the same outputs, on main", "put it behind a flag",
    ),
    Break(
        "a gradient that is scaled on its way back",
        (model("        x = self.conv2(x)", "        if x.requires_grad:\n            x.register_hook(lambda gradient: 2 * gradient)\n        x = self.conv2(x)"),),
        "gradient", "conv1.weight", "its gradient differs although the loss is the same", "hook",
    ),
    Break(
        "a branch that ends in an error", (model("        x = self.conv2(x)", "        x = self.conv4(x)"),),
        "forward", "fashion/model.py:", "it ends with AttributeError", "mend the branch",
    ),
    Break(
        "a branch that cannot be imported", (task("from .model import ConvNet", "from .models import ConvNet"),),
        "construction", "fashion/task.py:", "it ends with ModuleNotFoundError", "mend the branch",
    ),
]  # fmt: skip

RARER = {
    "a module constructed last",
    "a module that is built and thrown away",
    "a new argument without a default",
    "a metric that is gone",
    "another kind of module",
    "another loss",
    "a gradient that is scaled on its way back",
    "a branch that ends in an error",
    "another preparation",
    "a whole block of a project's own class",
    "an argument that is gone",
    "an in-place change that a metric sees",
    "an augmentation that draws one number more at its end",
    "an augmentation that does something else with its draw",
    "a parameter that moves to the group with weight decay",
    "other data",
    "less data",
    "a metric that means something else",
    "a seed set in a forward pass",
    "random numbers drawn in data()",
    "random numbers drawn when the task is constructed",
    "another initial value",
    "another order of operations",
    "a dropout that is always on",
    "a branch that cannot be imported",
    "a parameter",
}
"""Breaks beyond the kinds that every run of the tests tells apart; they are tried where time is no matter."""

FEW = {
    "nothing at all",
    "a module built only when on",
    "an identity in the middle",
    "a dropout of zero",
    "draws that are made when on",
    "one more metric",
}
"""Harmless features that every run of the tests looks at."""

HARMLESS: dict[str, tuple[Edit, ...]] = {
    "nothing at all": (),
    "a module built only when on": (*FLAG, model(LAST, LAST + "        if extra:\n            self.mix = nn.Linear(4 * width, 4 * width)\n"),
                                    model(POOLED, POOLED + "        if self.extra:\n            x = self.mix(x)\n")),
    "an identity": (*FLAG, model(LAST, LAST + "        self.mix = nn.Linear(4, 4) if extra else nn.Identity()\n"), model(POOLED, POOLED + "        x = self.mix(x)\n")),
    "an identity in the middle": (*FLAG, model("        self.conv2 =", "        self.mix = nn.Linear(4, 4) if extra else nn.Identity()\n        self.conv2 ="), model("        x = self.conv2(x)", "        x = self.conv2(self.mix(x))")),
    "a dropout of zero": (*FLAG, model(LAST, LAST + "        self.drop = nn.Dropout(0.5 if extra else 0.0)\n"), model(HEAD, "        return self.head(self.drop(x))\n")),
    "a buffer that is not saved": (*FLAG, model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"), model(LAST, LAST + "        self.register_buffer(\"scale\", torch.ones(1), persistent=False)\n")),
    "a factor of one": (*FLAG, model(POOLED, POOLED + "        x = x * (2.0 if self.extra else 1.0)\n")),
    "an early return": (*FLAG, model(POOLED, POOLED + "        if self.extra:\n            return self.head(2 * x)\n")),
    "a conditional expression": (*FLAG, model(POOLED, POOLED + "        x = 2 * x if self.extra else x\n")),
    "a dictionary of choices": (*FLAG, model(POOLED, POOLED + "        x = {True: lambda x: 2 * x, False: lambda x: x}[self.extra](x)\n")),
    "an entry in a registry": ((LOSSES, "def cross_entropy", "def half(logits: Tensor, targets: Tensor) -> Tensor:\n    return F.cross_entropy(logits, targets) / 2\n\n\ndef cross_entropy"),),
    "draws that are made when on": (*FLAG, task("        return batch.with_inputs(images)\n", "        if self.extra:\n            images = images + torch.rand(1, generator=generator)\n        return batch.with_inputs(images)\n")),
    "draws in the forward pass that are made when on": (*FLAG, model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"), model(POOLED, POOLED + "        if self.extra:\n            x = x * torch.rand(1)\n")),
    "a recipe that is another when on": (*FLAG, task("        self.source = data\n", "        self.source = data\n        if extra:\n            self.recipe = Recipe(lr=1.0)\n")),
    "one more metric": (task('"accuracy_top2": is_among_two}', '"accuracy_top2": is_among_two, "margin": outputs.amax(1)}'),),
    "renamed locals": (model("        x = self.conv1(images)  # [B, W, 14, 14]\n        if", "        y = self.conv1(images)\n        x = y\n        if"),),
    "an extracted function": (model("        x = x.mean(dim=(2, 3))  # [B, 4W]\n", "        x = pooled(x)\n"), model("class ConvNet", "def pooled(x: Tensor) -> Tensor:\n    return x.mean(dim=(2, 3))\n\n\nclass ConvNet")),
    "other words": (model("average what is left", "average the rest"), task("class FashionTask(Task):", "class FashionTask(Task):  # the task")),
    "arguments in another order": (task("            width=self.width,\n            batch_norm=self.batch_norm,\n", "            batch_norm=self.batch_norm,\n            width=self.width,\n"),),
    "label smoothing of zero": (*FLAG, (LOSSES, "F.cross_entropy(logits, targets)", "F.cross_entropy(logits, targets, label_smoothing=0.0)")),
    "another file for a function": (task("from .model import ConvNet", "from .nets import ConvNet"), ("fashion/nets.py", "", "from .model import ConvNet\n\n__all__ = [\"ConvNet\"]\n")),
    "a module of a subclass when on": (*FLAG, task("        return ConvNet(\n", "        kind = Wide if self.extra else ConvNet\n        return kind(\n"), task("class FashionTask", "class Wide(ConvNet):\n    pass\n\n\nclass FashionTask")),
    "a generator of its own": (model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"), model(FIRST, "        self.fixed = torch.rand(3, generator=torch.Generator().manual_seed(1))\n" + FIRST)),
    "random numbers that are put back": (model("from torch import Tensor, nn\n", "import torch\nfrom torch import Tensor, nn\n"), model(FIRST, "        with torch.random.fork_rng():\n            self.fixed = torch.rand(3)\n" + FIRST)),
    "pictures of something else": (task('{"inputs": grid', '{"shown": grid'),),
    "keyword arguments passed through": (*FLAG, task("        return ConvNet(\n", "        more = {\"num_classes\": 10}\n        return ConvNet(\n            **more,\n")),
}  # fmt: skip
