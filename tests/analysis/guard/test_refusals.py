"""What cannot be guarded is refused with its reason and what to do by hand, and leaves no trace in the patch."""

from __future__ import annotations

from textwrap import dedent

import pytest

from branchlab.analysis.features.changes import FileChange, Nowhere
from branchlab.analysis.features.engine import find_features
from branchlab.analysis.guard.guard import guard_features
from branchlab.analysis.guard.proposal import Proposal
from branchlab.domain import FeatureVerdict

ONE = "def f(x):\n    return x + 1\n"
TWO = "def f(x):\n    return x + 2\n"
TASK = "class Task:\n    pass\n\n\nclass MyTask(Task):\n    def __init__(self, *, width=4):\n        self.width = width\n"


def propose(base: str, head: str, rest: dict[str, str] | None = None, task: str = "") -> Proposal:
    changes = [FileChange(base_path="m.py", head_path="m.py", base=dedent(base), head=dedent(head))]
    around = Nowhere({path: dedent(text) for path, text in (rest or {}).items()})
    features = find_features(changes, around)
    wanted = [one for one in features if one.verdict.rank <= FeatureVerdict.UNDECIDED.rank]
    assert wanted
    return guard_features(changes, around, wanted=wanted, flag="fl", task=task)


REFUSED = {
    "made while a file is loaded": (
        ONE,
        TWO,
        {"a.py": "from m import f\n\nTABLE = [f(1)]\n\n\ndef main():\n    return f(2), TABLE\n"},
        "",
        "calls f(1) while the file is loaded",
        "f in m.py",
    ),
    "a class with slots": (
        "class A:\n    __slots__ = ('k',)\n\n    def f(self, x):\n        return x\n",
        "class A:\n    __slots__ = ('k',)\n\n    def f(self, x):\n        return x + 1\n",
        {},
        "",
        "__slots__ of its own",
        "keep it on self",
    ),
    "looked up by a string": (
        ONE,
        TWO,
        {"task.py": "import m\n\n\ndef main(name):\n    return getattr(m, name)(1)\n"},
        "",
        "task.py:5 looks it up: getattr(m, name)",
        "add `fl: bool = False` to f in m.py",
    ),
    "handed on as a value": (
        ONE,
        TWO,
        {"task.py": "from m import f\n\n\ndef main(xs):\n    return map(f, xs)\n"},
        "",
        "task.py:5 hands f on without calling it",
        "pass it where that happens",
    ),
    "kept in a registry": (
        f"def register(f):\n    return f\n\n\n@register\n{ONE}",
        f"def register(f):\n    return f\n\n\n@register\n{TWO}",
        {},
        "",
        "hands f to @register",
        "add `fl: bool = False`",
    ),
    "an entry of a table": (
        ONE + "\n\nTABLE = {'f': f}\n",
        TWO + "\n\nTABLE = {'f': f}\n",
        {},
        "",
        "hands f on without calling it",
        "f in m.py",
    ),
    "not reached by the task": (
        ONE,
        TWO,
        {"task.py": TASK},
        "task:MyTask",
        "nothing that MyTask calls by name leads to f in m.py",
        "hand it down from MyTask",
    ),
    "several callers at the top": (
        ONE,
        TWO,
        {
            "a.py": "from m import f\n\n\ndef one():\n    return f(1)\n",
            "b.py": "from m import f\n\n\ndef two():\n    return f(2)\n",
        },
        "",
        "several callers at the top",
        "set [trainer] task",
    ),
    "a decorator that changed": (
        "import functools\n\n\ndef f(x):\n    return x\n",
        "import functools\n\n\n@functools.lru_cache\ndef f(x):\n    return x\n",
        {},
        "",
        "the decorators of f changed",
        "restore the decorators",
    ),
    "a generator on one side": (
        "def f(x):\n    return [x]\n",
        "def f(x):\n    yield x\n",
        {},
        "",
        "one of the two is a generator",
        "f in m.py",
    ),
    "an import from elsewhere": (
        "from a import g\n\n\ndef f(x):\n    return g(x)\n",
        "from b import g\n\n\ndef f(x):\n    return g(x)\n",
        {"a.py": "def g(x):\n    return x\n", "b.py": "def g(x):\n    return -x\n"},
        "",
        "before any flag is known",
        "restore g",
    ),
    "a body whose import means another thing": (
        "from a import g\n\n\ndef f(x):\n    return g(x)\n",
        "from b import g\n\n\ndef f(x):\n    return g(x) + 1\n",
        {"a.py": "def g(x):\n    return x\n", "b.py": "def g(x):\n    return -x\n"},
        "",
        "'g' was a:g and is b:g now",
        "under another name",
    ),
    "a field of a dataclass": (
        "from dataclasses import dataclass\n\n\n@dataclass\nclass A:\n    rate: int = 1\n",
        "from dataclasses import dataclass\n\n\n@dataclass\nclass A:\n    rate: int = 2\n",
        {},
        "",
        "the default of a field changed",
        "restore A",
    ),
    "other bases": (
        "class B:\n    pass\n\n\nclass C:\n    pass\n\n\nclass A(B):\n    pass\n",
        "class B:\n    pass\n\n\nclass C:\n    pass\n\n\nclass A(C):\n    pass\n",
        {},
        "",
        "the class itself changed",
        "restore A",
    ),
    "a constant that others import": (
        "K = 1\n\n\ndef f(x):\n    return x + K\n",
        "K = 2\n\n\ndef f(x):\n    return x + K\n",
        {"a.py": "from m import K\n\n\ndef g():\n    return K\n"},
        "",
        "K is read in a.py too",
        "restore K",
    ),
    "a constant read while the module is loaded": (
        "K = 1\nL = [K]\n\n\ndef f(x):\n    return x + K\n",
        "K = 2\nL = [K]\n\n\ndef f(x):\n    return x + K\n",
        {},
        "",
        "while the module is loaded",
        "restore K",
    ),
    "a constant read from the class": (
        "class A:\n    k = 1\n\n    @classmethod\n    def f(cls):\n        return cls.k\n",
        "class A:\n    k = 2\n\n    @classmethod\n    def f(cls):\n        return cls.k\n",
        {},
        "",
        "A.k is read from the class",
        "set it on self",
    ),
    "a default that callers give": (
        "def f(x, k=1):\n    return x * k\n\n\ndef main():\n    return f(2, k=1)\n",
        "def f(x, k=2):\n    return x * k\n\n\ndef main():\n    return f(2, k=1)\n",
        {},
        "",
        "gives f(2, k=1) the value itself",
        "pass the new value in main",
    ),
    "a default that is made by a call": (
        "def f(x, k=list()):\n    return k\n",
        "def f(x, k=list('a')):\n    return k\n",
        {},
        "",
        "made by a call",
        "build `list('a')`",
    ),
    "a parameter that is gone": (
        "def f(x, k):\n    return x * k\n",
        "def f(x):\n    return x * 2\n",
        {},
        "",
        "which no flag mends",
        "keep the old name",
    ),
    "an heir that calls no constructor above": (
        "class A:\n    def __init__(self):\n        self.a = 1\n\n    def f(self, x):\n        return x\n\n\nclass B(A):\n    def __init__(self):\n        self.b = 1\n",
        "class A:\n    def __init__(self):\n        self.a = 1\n\n    def f(self, x):\n        return x + 1\n\n\nclass B(A):\n    def __init__(self):\n        self.b = 1\n",
        {},
        "",
        "does not call super().__init__",
        "A.__init__",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_its_reason(name: str) -> None:
    base, head, rest, task, reason, by_hand = REFUSED[name]
    proposal = propose(base, head, rest, task)
    said = [f"{one.reason} | {one.by_hand}" for one in proposal.refused]
    assert any(reason in one.reason for one in proposal.refused), (said, proposal.files)
    assert any(by_hand in one.by_hand for one in proposal.refused), said
    assert not proposal.files, proposal.files
    assert not proposal.flag


def test_one_refused_feature_leaves_the_others_guarded() -> None:
    base = "def f(x):\n    return x\n\n\n@register\ndef g(x):\n    return x\n"
    head = "def f(x):\n    return x + 1\n\n\n@register\ndef g(x):\n    return x + 1\n"
    proposal = propose(f"from r import register\n\n\n{base}", f"from r import register\n\n\n{head}")
    assert [one.symbol for one in proposal.guarded] == ["f"]
    assert [one.feature.symbol for one in proposal.refused] == ["g"]
    assert "def g(x):\n    return x + 1" in proposal.files["m.py"]


def test_half_a_class_is_never_guarded() -> None:
    base = "class A:\n    def __init__(self, k):\n        self.k = k\n\n    def f(self):\n        return self.k\n\n    def g(self):\n        return [1]\n"
    head = "class A:\n    def __init__(self, k):\n        self.k = k + 1\n\n    def f(self):\n        return self.k * 2\n\n    def g(self):\n        yield 1\n"
    proposal = propose(base, head)
    assert not proposal.files
    assert {one.feature.symbol for one in proposal.refused} == {"A.__init__", "A.f", "A.g"}


def test_a_flag_that_is_on_by_default_is_turned_off() -> None:
    proposal = propose(
        "def f(x):\n    return x\n", "def f(x, twice=True):\n    return x * 2 if twice else x\n"
    )
    assert "def f(x, twice=False):" in proposal.files["m.py"]
    assert proposal.switched_on == ("twice",)
    assert proposal.flag == "twice"
