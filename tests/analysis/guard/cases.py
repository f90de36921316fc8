"""Before/after pairs that can be guarded: source on both sides, and an expression that shows what the code does.

``{on}`` in an expression is where the flag is passed: nothing on the base and on head.
"""

from dataclasses import dataclass, field
from textwrap import dedent

HEADER = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n"


@dataclass(frozen=True, kw_only=True)
class Case:
    """``base`` and ``head`` are ``m.py``; ``rest`` stands beside it on both sides."""

    name: str
    base: str
    head: str
    show: str
    rest: dict[str, str] = field(default_factory=dict)
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


CASES: list[Case] = []


def case(  # noqa: PLR0913
    name: str,
    base: str,
    head: str,
    show: str,
    *,
    has: tuple[str, ...] = (),
    lacks: tuple[str, ...] = (),
    rest: dict[str, str] | None = None,
) -> None:
    CASES.append(
        Case(
            name=name,
            base=HEADER + dedent(base).lstrip("\n"),
            head=HEADER + dedent(head).lstrip("\n"),
            show=show,
            has=has,
            lacks=lacks,
            rest={path: dedent(text).lstrip("\n") for path, text in (rest or {}).items()},
        )
    )


def net(init: str, forward: str, more: str = "", signature: str = "self, width") -> str:
    """Return a module with the given lines in its constructor and its forward."""
    lines = [
        "class Net(nn.Module):",
        f"    def __init__({signature}):",
        "        super().__init__()",
    ]
    lines += [f"        {line}" for line in init.strip("\n").splitlines()]
    lines += ["", "    def forward(self, x):"]
    lines += [f"        {line}" for line in forward.strip("\n").splitlines()]
    return "\n".join(lines) + "\n" + more


NET = "Net(4{on})"
LINEAR = "self.a = nn.Linear(width, width)"

case(
    "forward, one expression",
    net(LINEAR, "return F.relu(self.a(x))"),
    net(LINEAR, "return F.gelu(self.a(x))"),
    NET,
    has=("F.gelu(self.a(x)) if self.fl else F.relu(self.a(x))", "self.fl = fl"),
)
case(
    "forward, one argument",
    net(LINEAR, "return F.dropout(self.a(x), 0.0)"),
    net(LINEAR, "return F.dropout(self.a(x), 0.5)"),
    NET,
    has=("0.5 if self.fl else 0.0",),
)
case(
    "forward, a line more",
    net(LINEAR, "x = self.a(x)\nreturn x"),
    net(LINEAR, "x = self.a(x)\nx = x * 2  # twice\nreturn x"),
    NET,
    has=("if self.fl:", "# twice"),
    lacks=("else",),
)
case(
    "forward, a line less",
    net(LINEAR, "x = self.a(x)\nx = x * 2\nreturn x"),
    net(LINEAR, "x = self.a(x)\nreturn x"),
    NET,
    has=("if not self.fl:",),
)
case(
    "forward, two lines",
    net(LINEAR, "x = self.a(x)\nx = x.relu()\nx = x + 1\nreturn x"),
    net(LINEAR, "x = self.a(x)\nx = x.tanh()\nx = x + 2\nreturn x"),
    NET,
    has=("if self.fl:", "else:"),
)
case(
    "a layer built differently",
    net(LINEAR, "return self.a(x)"),
    net("self.a = nn.Linear(width, width, bias=False)", "return self.a(x)"),
    NET,
    has=("nn.Linear(width, width, bias=False) if fl else nn.Linear(width, width)",),
)
case(
    "a layer of another size",
    net("self.a = nn.Linear(width, 3)", "return self.a(x)"),
    net("self.a = nn.Linear(width, 5)", "return self.a(x)"),
    NET,
    has=("5 if fl else 3",),
)
case(
    "a layer more",
    net(LINEAR, "return self.a(x)"),
    net(LINEAR + "\nself.b = nn.Linear(width, 2)", "return self.b(self.a(x))"),
    NET,
    has=("if fl:\n            self.b",),
)
case(
    "a layer less",
    net(LINEAR + "\nself.b = nn.Linear(width, width)", "return self.b(self.a(x))"),
    net(LINEAR, "return self.a(x)"),
    NET,
    has=("if not fl:",),
)
case(
    "layers in another order",
    net(LINEAR + "\nself.b = nn.Linear(width, width)", "return self.b(self.a(x))"),
    net("self.b = nn.Linear(width, width)\n" + LINEAR, "return self.b(self.a(x)) * 2"),
    NET,
)
case(
    "a buffer more",
    net(LINEAR, "return self.a(x)"),
    net(
        LINEAR + "\nself.register_buffer('scale', torch.ones(1) * 3)",
        "return self.a(x) * self.scale",
    ),
    NET,
)
case(
    "random numbers drawn in forward",
    net(LINEAR, "return self.a(x)"),
    net(LINEAR, "return self.a(x) + torch.randn(4)"),
    NET,
)
case(
    "a sequential with one more entry",
    net("self.body = nn.Sequential(nn.Linear(width, width), nn.ReLU())", "return self.body(x)"),
    net(
        "self.body = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))",
        "return self.body(x)",
    ),
    NET,
)
case(
    "an in-place initialisation",
    net(LINEAR, "return self.a(x)"),
    net(LINEAR + "\nnn.init.zeros_(self.a.weight)", "return self.a(x)"),
    NET,
    has=("if fl:\n            nn.init",),
)
case(
    "a loop's body",
    net(LINEAR, "for _ in range(2):\n    x = self.a(x)\nreturn x"),
    net(LINEAR, "for _ in range(2):\n    x = self.a(x)\n    x = x + 1\nreturn x"),
    NET,
    has=("            if self.fl:",),
)
case(
    "an if's branch",
    net(LINEAR, "if self.training:\n    x = x + 1\nelse:\n    x = x - 1\nreturn self.a(x)"),
    net(LINEAR, "if self.training:\n    x = x + 2\nelse:\n    x = x - 3\nreturn self.a(x)"),
    NET,
    has=("x + 2 if self.fl else x + 1", "x - 3 if self.fl else x - 1"),
)
case(
    "a with's body",
    net(LINEAR, "with torch.no_grad():\n    x = x + 1\nreturn self.a(x)"),
    net(LINEAR, "with torch.no_grad():\n    x = x + 5\nreturn self.a(x)"),
    NET,
    has=("x + 5 if self.fl else x + 1",),
)
case(
    "an if that turned into two",
    net(LINEAR, "if x.sum() > 0:\n    x = x * 2\nreturn self.a(x)"),
    net(LINEAR, "if x.sum() > 1:\n    x = x * 3\nelif x.sum() > 0:\n    x = -x\nreturn self.a(x)"),
    NET,
)
case(
    "an early return",
    net(LINEAR, "x = self.a(x)\nreturn x"),
    net(LINEAR, "if x.ndim > 0:\n    return x\nx = self.a(x)\nreturn x"),
    NET,
)
case(
    "a body that is all new",
    net(LINEAR, "a = x + 1\nb = a * 2\nc = b - 3\nd = c / 4\ne = d + 5\nreturn self.a(e)"),
    net(
        LINEAR,
        "h = self.a(x)\ng = torch.sigmoid(h)\nm = g * h\nn = m.sum()\nk = n.exp()\nreturn h * k",
    ),
    NET,
    has=("if self.fl:", "else:"),
)
case(
    "augmented assignment",
    net(LINEAR, "x = self.a(x)\nx += 1\nreturn x"),
    net(LINEAR, "x = self.a(x)\nx += 2\nreturn x"),
    NET,
    has=("x += 2 if self.fl else 1",),
)
case(
    "a tuple returned",
    net(LINEAR, "y = self.a(x)\nreturn y, x"),
    net(LINEAR, "y = self.a(x)\nreturn y, x * 2"),
    NET,
)
case(
    "a lambda kept",
    net(LINEAR + "\nself.act = lambda x: x + 1", "return self.act(self.a(x))"),
    net(LINEAR + "\nself.act = lambda x: x + 2", "return self.act(self.a(x))"),
    NET,
)
case(
    "a comprehension",
    net(
        "self.a = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])",
        "for a in self.a:\n    x = a(x)\nreturn x",
    ),
    net(
        "self.a = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])",
        "for a in self.a:\n    x = a(x)\nreturn x",
    ),
    NET,
)
case(
    "a constructor that calls its methods",
    net(
        "self.build(width)",
        "return self.a(x)",
        "\n    def build(self, width):\n        self.a = nn.Linear(width, 3)\n",
    ),
    net(
        "self.build(width)",
        "return self.a(x)",
        "\n    def build(self, width):\n        self.a = nn.Linear(width, 6)\n",
    ),
    NET,
    has=("super().__init__()\n        self.fl = fl\n        self.build(width)",),
)
case(
    "a module without a constructor",
    "class Net(nn.Module):\n    def forward(self, x):\n        return x + 1\n",
    "class Net(nn.Module):\n    def forward(self, x):\n        return x + 2\n",
    "Net({on1})",
    has=("def __init__(self, *, fl: bool = False) -> None:",),
)
case(
    "parameters one a line",
    net(
        LINEAR,
        "return self.a(x)",
        signature="\n        self,\n        width,\n        depth=1,  # unused\n    ",
    ),
    net(
        LINEAR,
        "return self.a(x) + 1",
        signature="\n        self,\n        width,\n        depth=1,  # unused\n    ",
    ),
    NET,
    has=("        depth=1,  # unused\n        fl=False,\n    )",),
)
case(
    "annotated parameters",
    net(LINEAR, "return self.a(x)", signature="self, width: int"),
    net(LINEAR, "return self.a(x) + 1", signature="self, width: int"),
    NET,
    has=("fl: bool = False",),
)
case(
    "keyword-only parameters",
    net(LINEAR, "return self.a(x)", signature="self, width, *, depth=1"),
    net(LINEAR, "return self.a(x) + 1", signature="self, width, *, depth=1"),
    NET,
    has=("*, depth=1, fl=False",),
)
case(
    "keywords taken and kept",
    net(LINEAR, "return self.a(x)", signature="self, width, **kwargs"),
    net(LINEAR, "return self.a(x) + 1", signature="self, width, **kwargs"),
    NET,
    has=("fl=False, **kwargs",),
)
case(
    "a property",
    net(
        LINEAR,
        "return self.a(x) * self.scale",
        "\n    @property\n    def scale(self):\n        return 2\n",
    ),
    net(
        LINEAR,
        "return self.a(x) * self.scale",
        "\n    @property\n    def scale(self):\n        return 3\n",
    ),
    NET,
)
case(
    "a static method",
    net(
        LINEAR,
        "return self.mix(self.a(x))",
        "\n    @staticmethod\n    def mix(x):\n        return x + 1\n",
    ),
    net(
        LINEAR,
        "return self.mix(self.a(x))",
        "\n    @staticmethod\n    def mix(x):\n        return x + 2\n",
    ),
    NET,
    has=("def mix(x, fl=False)", "self.mix(self.a(x), fl=self.fl)"),
)
case(
    "a block within a net",
    "class Block(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, width)\n\n    def forward(self, x):\n        return self.a(x)\n\n\n"
    + net("self.block = Block(width)", "return self.block(x)"),
    "class Block(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, width)\n\n    def forward(self, x):\n        return x + self.a(x)\n\n\n"
    + net("self.block = Block(width)", "return self.block(x)"),
    NET,
    has=("Block(width, fl=fl)",),
)
case(
    "blocks in a comprehension",
    "class Block(nn.Module):\n    def forward(self, x):\n        return x + 1\n\n\n"
    + net("self.b = nn.Sequential(*[Block() for _ in range(2)])", "return self.b(x)"),
    "class Block(nn.Module):\n    def forward(self, x):\n        return x * 3\n\n\n"
    + net("self.b = nn.Sequential(*[Block() for _ in range(2)])", "return self.b(x)"),
    NET,
    has=("Block(fl=fl)",),
)
case(
    "a class above",
    "class Above(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, 2)\n\n    def forward(self, x):\n        return self.a(x)\n\n\nclass Net(Above):\n    def __init__(self, width):\n        super().__init__(width)\n        self.more = 1\n",
    "class Above(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, 2)\n\n    def forward(self, x):\n        return self.a(x) + 1\n\n\nclass Net(Above):\n    def __init__(self, width):\n        super().__init__(width)\n        self.more = 1\n",
    NET,
    has=("super().__init__(width, fl=fl)",),
)
case(
    "a class above, inherited constructor",
    "class Above(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, 2)\n\n    def forward(self, x):\n        return self.a(x)\n\n\nclass Net(Above):\n    pass\n",
    "class Above(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, 2)\n\n    def forward(self, x):\n        return self.a(x) + 1\n\n\nclass Net(Above):\n    pass\n",
    NET,
)
case(
    "a partial",
    "from functools import partial\n\n\ndef act(x):\n    return x + 1\n\n\n"
    + net("self.act = partial(act)", "return self.act(x)"),
    "from functools import partial\n\n\ndef act(x):\n    return x + 2\n\n\n"
    + net("self.act = partial(act)", "return self.act(x)"),
    NET,
    has=("partial(act, fl=fl)",),
)

X = "torch.arange(6.0)"
case(
    "a plain function",
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return x + 2\n",
    f"f({X}{{on}})",
    has=("x + 2 if fl else x + 1",),
)
case(
    "a loss",
    "def loss(x, y):\n    return F.mse_loss(x, y)\n",
    "def loss(x, y):\n    return F.l1_loss(x, y)\n",
    f"loss({X}, {X} * 2{{on}})",
)
case(
    "a loss with a name more",
    "def loss(x, y):\n    return F.mse_loss(x, y)\n",
    "def loss(x, y):\n    weight = (x - y).abs()\n    return (weight * F.mse_loss(x, y, reduction='none')).mean()\n",
    f"loss({X}, {X} * 2{{on}})",
)
case(
    "an augmentation",
    "def flip(x):\n    mask = torch.rand(len(x)) < 0.5\n    return torch.where(mask, -x, x)\n",
    "def flip(x):\n    mask = torch.rand(len(x)) < 0.9\n    noise = torch.randn(len(x))\n    return torch.where(mask, -x, x) + noise\n",
    f"flip({X}{{on}})",
)
case(
    "a function of a function",
    "def inner(x):\n    return x + 1\n\n\ndef f(x):\n    return inner(x) * 2\n",
    "def inner(x):\n    return x + 5\n\n\ndef f(x):\n    return inner(x) * 2\n",
    f"f({X}{{on}})",
    has=("inner(x, fl=fl)",),
)
case(
    "a recursive function",
    "def f(x, n=2):\n    if n == 0:\n        return x\n    return f(x + 1, n - 1)\n",
    "def f(x, n=2):\n    if n == 0:\n        return x\n    return f(x + 3, n - 1)\n",
    f"f({X}{{on}})",
    has=("fl=fl",),
)
case(
    "a generator",
    "def f(x):\n    for one in x:\n        yield one + 1\n",
    "def f(x):\n    for one in x:\n        yield one + 2\n",
    f"list(f({X}{{on}}))",
)
case(
    "names that clash",
    "def f(x):\n    return F.relu(x)\n",
    "def f(x):\n    F = x * 2\n    return F\n",
    f"f({X}{{on}})",
    has=("def _f_without_fl(x):",),
)
case(
    "a method's names that clash",
    net(LINEAR, "return F.relu(self.a(x))"),
    net(LINEAR, "F = self.a(x)\nreturn F * 2"),
    NET,
    has=("def _forward_without_fl(self, x):",),
)
case(
    "an import that only the base needs",
    "import math\n\n\ndef f(x):\n    return x * math.pi\n",
    "def f(x):\n    return x * 3\n",
    f"f({X}{{on}})",
    has=("import math",),
)
case(
    "an import of several names",
    "from math import e, pi\n\n\ndef f(x):\n    return x * pi + e\n",
    "from math import e\n\n\ndef f(x):\n    return x * 3 + e\n",
    f"f({X}{{on}})",
    has=("from math import pi",),
)
case(
    "a private function that only the base needs",
    "def _twice(x):\n    return x * 2\n\n\ndef f(x):\n    return _twice(x)\n",
    "def f(x):\n    return x * 3\n",
    f"f({X}{{on}})",
    has=("def _twice",),
)
case(
    "a private method that only the base needs",
    net(
        LINEAR,
        "return self._twice(self.a(x))",
        "\n    def _twice(self, x):\n        return x * 2\n",
    ),
    net(LINEAR, "return self.a(x) * 3"),
    NET,
    has=("def _twice",),
)
case(
    "a helper that only head has",
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return thrice(x)\n\n\ndef thrice(x):\n    return x * 3\n",
    f"f({X}{{on}})",
)
case(
    "a comment and a docstring kept",
    'def f(x):\n    """Add one."""\n    # why\n    y = x\n    return y + 1\n',
    'def f(x):\n    """Add two."""\n    # why\n    y = x\n    return y + 2  # two\n',
    f"f({X}{{on}})",
    has=("# why", "# two", '"""Add two."""'),
)
case(
    "both comments kept",
    "def f(x):\n    return x + 1  # one\n",
    "def f(x):\n    return x + 2  # two\n",
    f"f({X}{{on}})",
    has=("# one", "# two"),
)
case(
    "an existing default",
    "def f(x, k=1):\n    return x * k\n",
    "def f(x, k=2):\n    return x * k\n",
    f"f({X}{{on}})",
    has=("k=1", "if fl and k == 1:"),
)
case(
    "a default that is None",
    "def f(x, k=None):\n    return x if k is None else x * k\n",
    "def f(x, k=3):\n    return x if k is None else x * k\n",
    f"f({X}{{on}})",
    has=("k is None:\n        k = 3",),
)
case(
    "a default of a constructor",
    net("self.a = nn.Linear(width, k)", "return self.a(x)", signature="self, width, k=2"),
    net("self.a = nn.Linear(width, k)", "return self.a(x)", signature="self, width, k=5"),
    NET,
)
case(
    "a default of a method",
    net(
        LINEAR,
        "return self.scaled(x)",
        "\n    def scaled(self, x, k=2):\n        return self.a(x) * k\n",
    ),
    net(
        LINEAR,
        "return self.scaled(x)",
        "\n    def scaled(self, x, k=5):\n        return self.a(x) * k\n",
    ),
    NET,
)
case(
    "a body and a default",
    "def f(x, k=1):\n    return x * k\n",
    "def f(x, k=2):\n    return x * k + 1\n",
    f"f({X}{{on}})",
)
case(
    "a constant of the module",
    "SCALE = 2.0  # measured\n\n\ndef f(x):\n    return x * SCALE\n",
    "SCALE = 3.0  # measured\n\n\ndef f(x):\n    return x * SCALE\n",
    f"f({X}{{on}})",
    has=("SCALE_FL = 3.0",),
)
case(
    "a constant of the class",
    "class Net(nn.Module):\n    scale = 2.0\n\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, width)\n\n    def forward(self, x):\n        return self.a(x) * self.scale\n",
    "class Net(nn.Module):\n    scale = 5.0\n\n    def __init__(self, width):\n        super().__init__()\n        self.a = nn.Linear(width, width)\n\n    def forward(self, x):\n        return self.a(x) * self.scale\n",
    NET,
    has=("scale = 2.0", "self.scale = 5.0"),
)
case(
    "through a task in another file",
    net(LINEAR, "return self.a(x)"),
    net(LINEAR, "return self.a(x) + 1"),
    "__import__('task').MyTask({on1}).model()",
    rest={
        "task.py": "from m import Net\n\n\nclass Task:\n    pass\n\n\nclass MyTask(Task):\n    def __init__(self, *, width=4):\n        self.width = width\n\n    def model(self):\n        return Net(self.width)\n"
    },
)
case(
    "through an alias of the file",
    net(LINEAR, "return self.a(x)"),
    net(LINEAR, "return self.a(x) + 1"),
    "__import__('task').build({on1})",
    rest={"task.py": "import m as models\n\n\ndef build():\n    return models.Net(4)\n"},
)
case(
    "through a name that is exported again",
    net(LINEAR, "return self.a(x)"),
    net(LINEAR, "return self.a(x) + 1"),
    "__import__('task').build({on1})",
    rest={
        "exported.py": "from m import Net\n",
        "task.py": "from exported import Net as Model\n\n\ndef build():\n    return Model(\n        width=4,\n    )\n",
    },
)
case(
    "tabs",
    "def f(x):\n\ty = x + 1\n\treturn y\n",
    "def f(x):\n\ty = x + 2\n\tz = y * 2\n\treturn z\n",
    f"f({X}{{on}})",
    has=("\tif fl:\n\t\t",),
)
case(
    "a docstring that lists arguments",
    'def f(x):\n    """Add.\n\n    Args:\n        x: Numbers.\n\n    Returns:\n        More.\n    """\n    return x + 1\n',
    'def f(x):\n    """Add.\n\n    Args:\n        x: Numbers.\n\n    Returns:\n        More.\n    """\n    return x + 2\n',
    f"f({X}{{on}})",
    has=(
        "        x: Numbers.\n        fl: Take the new code; False leaves everything as it was.\n\n    Returns",
    ),
)
case(
    "an async function's helper",
    "def g(x):\n    return x\n\n\nasync def f(x):\n    return g(x) + 1\n",
    "def g(x):\n    return x\n\n\nasync def f(x):\n    return g(x) + 4\n",
    f"__import__('asyncio').run(f({X}{{on}}))",
)
