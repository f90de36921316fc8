"""Tasks that two runs of one key train differently, each for a reason of its own, and tasks that only look like it.

Each is written as replacements in the tiny task of ``tests/lab/conftest.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Edit = tuple[str, str]

IMPORTS = "import time\n"
INIT = "        self.squeeze, self.pause = squeeze, pause\n"
AUGMENT = "        time.sleep(self.pause)\n        return batch\n"
MODEL = "        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=not self.squeeze))\n"
DATA = "        e = branchlab.Examples\n"
LOSS = "    def augment(self, batch, generator):\n"


def noise(value: str) -> str:
    """Return an augmentation that adds a number to the inputs."""
    return f"        return batch.with_inputs(batch.inputs + {value})\n"


def own_loss(*lines: str) -> str:
    return (
        "    def loss(self, outputs, batch):\n"
        + "".join(f"        {one}\n" for one in lines)
        + "\n"
    )


@dataclass(frozen=True)
class Fault:
    """One way to break determinism.

    Attributes:
        operation: Part of what is named as the culprit.
        code: The line that ``place`` has to point to; empty where only the stage can be known.
        stages: Where the first difference may be said to be.
    """

    name: str
    edits: tuple[Edit, ...]
    operation: str
    code: str = ""
    stages: tuple[str, ...] = ()
    part: str = "repeat"
    files: dict[str, str] = field(default_factory=dict)


def imports(*names: str) -> Edit:
    return IMPORTS, IMPORTS + "".join(f"import {name}\n" for name in names)


FAULTS = [
    Fault("clock", ((AUGMENT, noise("(time.time() % 1)")),),
          "time.time()", "time.time()", ("augmentation",)),
    Fault("seed-of-the-clock",
          ((INIT, INIT + "        torch.manual_seed(int(time.time()))\n        self.shift = torch.rand(())\n"), (AUGMENT, noise("self.shift"))),
          "time.time()", "int(time.time())", ("construction",)),
    Fault("stopwatch", ((AUGMENT, noise("(time.perf_counter_ns() % 7)")),),
          "time.perf_counter_ns()", "perf_counter_ns", ("augmentation",)),
    Fault("date", (imports("datetime"), (DATA, DATA + "        inputs[0, 0, 0, 0] = datetime.datetime.now().microsecond % 250\n")),
          "datetime.datetime.now()", "datetime.datetime.now()", ("data",)),
    Fault("system-noise", (imports("os"), (AUGMENT, noise("int.from_bytes(os.urandom(2)) / 65536"))),
          "os.urandom(2)", "os.urandom(2)", ("augmentation",)),
    Fault("numpy-generator", (imports("numpy as np"), (INIT, INIT + "        self.rng = np.random.default_rng()\n"), (AUGMENT, noise("float(self.rng.random())"))),
          "np.random.default_rng()", "np.random.default_rng()", ("augmentation",)),
    Fault("python-generator", (imports("random"), (INIT, INIT + "        self.rng = random.Random()\n"), (AUGMENT, noise("self.rng.random()"))),
          "random.Random()", "random.Random()", ("augmentation",)),
    Fault("torch-seed", ((DATA, DATA + "        torch.seed()\n        inputs = inputs + torch.randint(0, 2, inputs.shape, dtype=torch.uint8)\n"),),
          "torch.seed()", "torch.seed()", ("data",)),
    Fault("generator-seeded-at-random",
          ((INIT, INIT + "        self.own = torch.Generator()\n        self.own.seed()\n"), (AUGMENT, noise("torch.rand((), generator=self.own)"))),
          "self.own.seed()", "self.own.seed()", ("augmentation",)),
    Fault("uuid", (imports("uuid"), (MODEL, "        torch.manual_seed(uuid.uuid4().int % 2**31)\n" + MODEL)),
          "uuid.uuid4()", "uuid.uuid4()", ("construction",)),
    Fault("folder", (imports("os", "pathlib"), (DATA, DATA + "        names = os.listdir(pathlib.Path(__file__).parent / 'images')\n        inputs[:len(names)] += torch.tensor([ord(n[0]) for n in names], dtype=torch.uint8)[:, None, None, None]\n")),
          "os.listdir", "os.listdir", ("data", "data order"), files={f"tiny/images/{n}.txt": n for n in "abcdef"}),
    Fault("glob", (imports("pathlib"), (DATA, DATA + "        names = [p.stem for p in (pathlib.Path(__file__).parent / 'images').glob('*.txt')]\n        inputs[:len(names)] += torch.tensor([ord(n[0]) for n in names], dtype=torch.uint8)[:, None, None, None]\n")),
          "glob", ".glob(", ("data", "data order"), files={f"tiny/images/{n}.txt": n for n in "abcdef"}),
    Fault("objects-in-a-set",
          ((MODEL, "        layers = {nn.Linear(64, 8) for _ in range(97)}\n        first = list(layers)[0]\n        return nn.Sequential(nn.Flatten(), first, nn.Linear(8, 2))\n"),),
          "a set of objects", "", ("construction",)),
    Fault("memory", (imports("numpy as np"), (AUGMENT, noise("float(np.empty(300, dtype=np.uint8).astype(float).mean())"))),
          "np.empty(300, dtype=np.uint8)", "np.empty", ("augmentation",)),
    Fault("threads", (("import time\n", "import time\nimport threading\n"), (DATA, DATA +
          "        found = []\n        def read(i):\n            decode(i)\n            found.append(i)\n"
          "        threads = [threading.Thread(target=read, args=(i,)) for i in range(16)]\n"
          "        [one.start() for one in threads]\n        [one.join() for one in threads]\n"
          "        inputs[:16] = inputs[found]\n"), ("class Tiny(", "def decode(i):\n    return [step(i) for _ in range(20)]\n\ndef step(i):\n    return i\n\nclass Tiny(")),
          "start()", "one.start()", ("data", "data order")),
    Fault("address", ((AUGMENT, noise("(id(object()) // 16 % 64)")),),
          "id(object())", "id(object())", ("augmentation",)),
    Fault("counter", ((INIT, INIT + "        self.calls = 0\n"), (LOSS, own_loss("self.calls += 1", "return super().loss(outputs, batch) * (1 + self.calls / 100)") + LOSS)),
          "Tiny.calls", "self.calls += 1", ("loss",), "resume"),
    Fault("own-generator", ((INIT, INIT + "        self.own = torch.Generator().manual_seed(3)\n"), (AUGMENT, noise("torch.rand((), generator=self.own)"))),
          "Tiny.own", "self.own = torch.Generator()", ("augmentation",), "resume"),
    Fault("own-numpy-generator", (imports("numpy as np"), (INIT, INIT + "        self.rng = np.random.default_rng(5)\n"), (AUGMENT, noise("float(self.rng.random())"))),
          "Tiny.rng", "np.random.default_rng(5)", ("augmentation",), "resume"),
    Fault("buffer-not-kept", (
          (MODEL, "        return Net()\n"),
          ("class Tiny(", ("class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(64, 2)\n"
           "        self.register_buffer('mean', torch.zeros(()), persistent=False)\n    def forward(self, x):\n        x = x.flatten(1)\n"
           "        if self.training:\n            self.mean = 0.9 * self.mean + 0.1 * x.mean().detach()\n        return self.head(x - self.mean)\n\nclass Tiny("))),
          "model.mean", "self.register_buffer('mean'", ("forward",), "resume"),
    Fault("attribute-of-a-module", (
          (MODEL, "        return Net()\n"),
          ("class Tiny(", ("class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(64, 2)\n"
           "        self.warmth = 0.0\n    def forward(self, x):\n        if self.training:\n            self.warmth += 0.01\n        return self.head(x.flatten(1)) * (1 + self.warmth)\n\nclass Tiny("))),
          "model.warmth", "self.warmth += 0.01", ("forward",), "resume"),
    Fault("global-of-a-module", (("class Tiny(", "seen = []\n\nclass Tiny("), (AUGMENT, "        seen.append(1)\n" + noise("len(seen) / 100"))),
          "tiny.task.seen", "seen = []", ("augmentation",), "resume"),
    Fault("data-changed-in-place", (("    def augment(", "    def metrics(self, outputs, batch):\n        batch.inputs.add_(0.01)\n        return super().metrics(outputs, batch)\n\n    def augment("),
          (DATA, DATA + "        inputs = inputs.float()\n")),
          "state outside the checkpoint", "", ("preparation", "validation", "data"), "resume"),
    Fault("closure", (("    def augment(", ("    def model(self):\n        count = iter(range(10**6))\n        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))\n"
          "        net.register_forward_hook(lambda m, i, o: o * (1 + next(count) / 1000))\n        return net\n\n    def augment(")),),
          "state outside the checkpoint", "", ("forward",), "resume"),
]  # fmt: skip
REFUSED = [
    Fault("put", ((AUGMENT, "        torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))\n" + AUGMENT),),
          "put_", "put_(", ("operation",)),
    Fault("unpool", ((MODEL, "        return Net()\n"),
          ("class Tiny(", ("class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(64, 2)\n    def forward(self, x):\n"
           "        small, where = nn.functional.max_pool2d(x, 2, return_indices=True)\n        x = nn.functional.max_unpool2d(small, where, 2)\n        return self.head(x.flatten(1))\n\nclass Tiny("))),
          "max_unpool", "max_unpool2d(", ("operation",)),
    Fault("refused-on-the-way-back", ((LOSS, own_loss("return Odd.apply(super().loss(outputs, batch))") + LOSS),
          ("class Tiny(", ("class Odd(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x):\n        return x * 1\n    @staticmethod\n    def backward(ctx, g):\n"
           "        return torch.zeros(()).put_(torch.tensor([0]), g[None])\n\nclass Tiny("))),
          "put_", "put_(", ("operation",)),
    Fault("empty", ((AUGMENT, noise("torch.empty(1)")),),
          "torch.empty(1)", "torch.empty(1)", ("loss",)),
    Fault("broken", ((MODEL, "        return nn.Flattened()\n"),), "", "", ("training",)),
]  # fmt: skip

NET = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.head = nn.Linear(64, 2)\n"
HARMLESS = {
    "dropout": ((MODEL, "        return nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 2))\n"),),
    "given-generator": ((AUGMENT, noise("torch.rand(batch.inputs.shape, generator=generator)")),),
    "seeded-generator": ((DATA, DATA + "        own = torch.Generator().manual_seed(7)\n        inputs = inputs[torch.randperm(48, generator=own)]\n        targets = (inputs.float().mean((1, 2, 3)) > 127).long()\n"),),
    "average-in-buffers": ((MODEL, "        return Net()\n"), ("class Tiny(", NET +
        "        self.register_buffer('mean', torch.zeros(()))\n    def forward(self, x):\n        x = x.flatten(1)\n        if self.training:\n"
        "            self.mean.mul_(0.9).add_(0.1 * x.mean().detach())\n        return self.head(x - self.mean)\n\nclass Tiny(")),
    "batch-norm": ((MODEL, "        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))\n"),),
    "python-random": (imports("random"), (AUGMENT, noise("random.random()"))),
    "numpy-random": (imports("numpy as np"), (AUGMENT, noise("float(np.random.rand())"))),
    "global-in-augment": ((AUGMENT, noise("torch.rand(())")),),
    "stopwatch-for-a-log": ((AUGMENT, "        self.took = time.perf_counter()\n        print(self.took)\n" + AUGMENT),),
    "counter-for-a-log": ((INIT, INIT + "        self.calls = 0\n"), (AUGMENT, "        self.calls += 1\n        print(self.calls)\n" + AUGMENT)),
    "sorted-folder": (imports("os", "pathlib"), (DATA, DATA + "        names = sorted(os.listdir(pathlib.Path(__file__).parent))\n        inputs[0] += len(names)\n")),
    "threads-in-order": (("import time\n", "import time\nfrom concurrent.futures import ThreadPoolExecutor\n"), (DATA, DATA +
        "        with ThreadPoolExecutor(4) as pool:\n            found = list(pool.map(lambda i: i, range(16)))\n        inputs[:16] = inputs[found]\n")),
    "empty-then-filled": ((AUGMENT, "        scale = torch.empty(1).fill_(2.0)\n" + noise("scale")),),
    "run-name": (imports("uuid"), (INIT, INIT + "        self.name = uuid.uuid4().hex\n")),
}  # fmt: skip
BY_HASH = ((INIT, INIT + "        self.order = list({'red', 'green', 'blue', 'white', 'black', 'grey'})\n"),
           (AUGMENT, noise("len(self.order[0])")))  # fmt: skip
FLAGGED = (
    ("squeeze: bool = False,", "squeeze: bool = False, noisy: bool = False,"),
    (INIT, INIT + "        self.noisy = noisy\n"),
    (AUGMENT, noise("(time.time() % 1) * self.noisy")),
)
