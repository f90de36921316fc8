"""Whatever the texts are, the engine answers: mutated sources, noise, depth, sizes."""

from __future__ import annotations

import random
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchlab.analysis.features.changes import FileChange, Nowhere
from branchlab.analysis.features.engine import find_features
from branchlab.analysis.features.syntax import Failure, Module, parse_module
from branchlab.git.sources import decoded

CORPUS = Path(__file__).parent / "corpus"
TEXTS = [
    text
    for path in sorted(CORPUS.glob("*.toml"))
    for case in tomllib.loads(path.read_text())["case"]
    for side in ("base", "head")
    for name, text in case.get(side, {}).items()
    if name.endswith(".py")
]
PIECES = [
    *("match x:\n    case [1, *_]: pass", "try:\n    pass\nexcept* E as e:\n    pass", "global g"),
    *("class A(B, metaclass=M): z: int = 1", "lambda *a, b=1, **k: 0", "with a as b, c: pass"),
    *("for i in x: break\nelse: pass", "while 1: continue", "(yield)", 'print "x"', "<<<<<<< HEAD"),
    *("from . import *", "x = y = z", "a, *b = c", "x[1:2, ...] @= 3", "if (n := f()): pass"),
    *("async def f(): return [x async for x in g()]", "\0", "\udcff", "del x, y[0]", "assert x, y"),
    *('f"{x!r:>{w}}"', "'%s' % (a,)", "'{} {a}'.format(1, a=2)", "def f(a, /, b, *, c): ..."),
    *("return", "@d(1)\nclass C: pass", "raise A from b", "nonlocal q", "super().f(*a, **k)"),
]


def mutated(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(lines) + 1)
        match rng.randint(0, 5):
            case 0 if lines:
                del lines[min(at, len(lines) - 1)]
            case 1:
                lines.insert(at, rng.choice(PIECES))
            case 2:
                other = rng.choice(TEXTS).split("\n")
                lines[at:at] = other[: rng.randint(1, 25)]
            case 3 if lines:
                place = min(at, len(lines) - 1)
                lines[place] = "    " * rng.randint(0, 3) + lines[place].strip()
            case 4 if lines:
                place = min(at, len(lines) - 1)
                old = rng.choice(["x", "self", "0", "if", "=", "(", "None", "False"])
                new = rng.choice(["1", "y", "lambda: 0", "*a", "not ", "[*x]", "{**x}", "await z"])
                lines[place] = lines[place].replace(old, new, 1)
            case _ if lines:
                rng.shuffle(
                    lines
                ) if rng.random() < 0.1 else lines.reverse() if rng.random() < 0.1 else None
    return "\n".join(lines)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_mutated_sources_get_an_answer(seed: int):
    rng = random.Random(seed)
    base = rng.choice(TEXTS)
    head = mutated(base if rng.random() < 0.7 else rng.choice(TEXTS), rng)
    base = mutated(base, rng) if rng.random() < 0.3 else base
    change = FileChange(
        base_path="pkg/a.py", head_path=rng.choice(["pkg/a.py", "pkg/b.py"]), base=base, head=head
    )
    around = Nowhere({"pkg/__init__.py": "", "use.py": mutated(rng.choice(TEXTS), rng)})
    for one in find_features([change], around):
        assert one.reason
        assert one.line >= 0


@settings(max_examples=150)
@given(
    st.text(max_size=400),
    st.text(max_size=400),
    st.sampled_from(["a.py", "a.yaml", "a.toml", "a.json", "a.pyi"]),
)
def test_any_text_gets_an_answer(base: str, head: str, path: str):
    find_features([FileChange(base_path=path, head_path=path, base=base, head=head)])


@given(st.binary(max_size=200))
def test_any_bytes_can_be_decoded_and_read(content: bytes):
    assert isinstance(parse_module("a.py", decoded(content)), Module | Failure)


@pytest.mark.parametrize("depth", [90, 400, 3000])
def test_depth_is_read_or_refused_but_never_raises(depth: int):
    limit = sys.getrecursionlimit()
    chain = "def f(a):\n    if a == 0:\n        return 0\n" + "".join(
        f"    elif a == {n}:\n        return {n}\n" for n in range(1, depth)
    )
    for base, head in (
        (chain, chain + "    else:\n        return 5\n"),
        ("x = 1\n", "x = " + "+".join(["a"] * depth) + "\n"),
        ("def f(a):\n    return a\n", "def f(a):\n    return a" + ".b()" * depth + "\n"),
        ("x = 1\n", "x = " + "[" * depth + "]" * depth + "\n"),
    ):
        assert find_features([FileChange(base_path="a.py", head_path="a.py", base=base, head=head)])
    assert sys.getrecursionlimit() == limit


def test_a_huge_file_is_left_unread_and_said_so():
    change = FileChange(base_path="a.py", head_path="a.py", base="x = 1\n", head="x = 1\n" * 50_000)
    (one,) = find_features([change])
    assert "lines" in one.reason
    assert isinstance(parse_module("a.py", change.head or ""), Failure)
