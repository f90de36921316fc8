"""What the engine says of small pairs, beyond the verdict: where, which flag, why, what else."""

from __future__ import annotations

from textwrap import dedent

import pytest

from branchlab.analysis.features.changes import FileChange, Nowhere
from branchlab.analysis.features.engine import find_features
from branchlab.domain import Feature, FeatureVerdict, MergeBack, merge_back_of

NET = """
    from torch import nn
    class Net(nn.Module):
        def __init__(self, dim):
            super().__init__()
            self.proj = nn.Linear(dim, dim)
        def forward(self, x):
            return self.proj(x)
"""


def features(
    base: str | None,
    head: str | None,
    *,
    path: str = "net.py",
    around: dict[str, str] | None = None,
) -> tuple[Feature, ...]:
    change = FileChange(
        base_path=path,
        head_path=path,
        base=None if base is None else dedent(base),
        head=None if head is None else dedent(head),
        is_added=base is None,
        is_deleted=head is None,
    )
    return find_features([change], Nowhere(around or {}))


def verdict(base: str | None, head: str | None, **more) -> str:
    return str(features(base, head, **more)[0].verdict)


def test_nothing_changed_is_nothing_to_merge_back():
    assert find_features([]) == ()
    assert merge_back_of(()) is MergeBack.NOTHING


def test_a_feature_names_its_flag_its_default_and_its_place():
    head = (
        NET.replace("dim):", "dim, act=None):")
        .replace(
            "return self.proj(x)",
            "x = self.proj(x)\n            return x if self.act is None else self.act(x)",
        )
        .replace("self.proj = ", "self.act = act\n            self.proj = ")
    )
    (one,) = features(NET, head)
    assert one.verdict is FeatureVerdict.GUARDED
    assert (one.flag, one.default, one.path) == ("act", "None", "net.py")
    assert "act=None" in one.reason


def test_two_flags_of_one_constructor_are_two_features():
    head = (
        NET.replace("dim):", "dim, a=False, b=False):")
        .replace("self.proj =", "self.a, self.b = a, b\n            self.proj =")
        .replace(
            "return self.proj(x)",
            "if self.a:\n                x = x + 1\n            if self.b:\n                x = x + 2\n            return self.proj(x)",
        )
    )
    assert {one.flag for one in features(NET, head)} == {"a", "b"}


def test_a_flag_that_only_tunes_another_belongs_to_it():
    base = "def f(x):\n    return x\n"
    head = "def f(x, mix=False, alpha=0.2):\n    if mix:\n        x = x * alpha\n    return x\n"
    (one,) = features(base, head)
    assert (one.verdict, one.flag) == (FeatureVerdict.GUARDED, "mix")


def test_a_module_built_although_the_flag_is_off_is_guarded_with_a_warning():
    head = (
        NET.replace("dim):", "dim, gate=False):")
        .replace(
            "self.proj =",
            "self.gate = gate\n            self.extra = nn.Linear(dim, dim)\n            self.proj =",
        )
        .replace(
            "return self.proj(x)",
            "x = self.proj(x)\n            if self.gate:\n                x = self.extra(x)\n            return x",
        )
    )
    (one,) = features(NET, head)
    assert one.verdict is FeatureVerdict.GUARDED
    assert "extra" in one.warnings[0]
    assert "parity" in one.warnings[0]


def test_a_module_built_without_any_flag_is_unguarded_though_nothing_reads_it():
    head = NET.replace("self.proj =", "self.extra = nn.Linear(dim, dim)\n            self.proj =")
    assert verdict(NET, head) == "unguarded"


def test_a_change_outside_the_guard_is_unguarded_and_its_line_is_named():
    base = "def f(x):\n    y = x + 1\n    return y\n"
    head = "def f(x, on=False):\n    y = x + 2\n    if on:\n        y = y * 3\n    return y\n"
    worst = features(base, head)[0]
    assert worst.verdict is FeatureVerdict.UNGUARDED
    assert worst.line == 2


def test_callers_of_other_files_keep_a_hook_from_being_additive():
    around = {
        "loop.py": "def run(task):\n    if hasattr(task, 'on_start'):\n        task.on_start()\n"
    }
    base = "class Task:\n    def step(self):\n        pass\n"
    head = (
        base
        + "    def on_start(self):\n        self.n = 1\n    def other(self):\n        self.n = 2\n"
    )
    found = {one.symbol: one.verdict for one in features(base, head, around=around)}
    assert found["Task.other"] is FeatureVerdict.ADDITIVE
    assert found["Task.on_start"] is FeatureVerdict.UNGUARDED


def test_a_file_that_does_not_parse_is_one_line_and_the_rest_goes_on():
    changes = [
        FileChange(
            base_path="a.py", head_path="a.py", base="x = 1\n", head="<<<<<<< HEAD\nx = 2\n"
        ),
        FileChange(
            base_path="b.py", head_path="b.py", base=None, head="def f(): pass\n", is_added=True
        ),
        FileChange(base_path="c.py", head_path="c.py", base="x = 1\n", head='print "x"\n'),
    ]
    found = find_features(changes)
    assert [one.verdict for one in found[:2]] == [FeatureVerdict.UNPARSED] * 2
    assert "merge conflict in line 1" in found[0].reason
    assert "Python 2" in found[1].reason
    assert found[2].verdict is FeatureVerdict.ADDITIVE


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("README.md", "docs"),
        ("setup.py", "packaging"),
        ("tests/test_net.py", "tests"),
        ("demo.ipynb", "notebook"),
        ("weights.bin", "data"),
        (".github/workflows/ci.yml", "tooling"),
        ("experiments/se.toml", "experiment"),
    ],
)
def test_what_is_no_code_of_the_project_is_inert(path: str, kind: str):
    (one,) = features("a", "b", path=path)
    assert (one.verdict, one.kind) == (FeatureVerdict.INERT, kind)


def test_the_same_change_has_the_same_id_on_another_base():
    head = "def f(x, on=False):\n    return x + 1 if on else x\n"
    one = features("def f(x):\n    return x\n", head)
    other = features("def f(x):\n    return x\n\nY = 1\n", head + "\nY = 1\n")
    assert one[0].id == other[0].id
    assert one[0].id != features("def f(x):\n    return x\n", head.replace("+ 1", "+ 2"))[0].id


def test_the_most_demanding_feature_comes_first():
    base = "def f(x):\n    return x\ndef g(x):\n    return x\n"
    head = "def f(x):\n    return x + 1\ndef h(x):\n    return x\n"
    found = features(base, head)
    assert [one.verdict.rank for one in found] == sorted(one.verdict.rank for one in found)
    assert found[0].verdict is FeatureVerdict.BREAKING


def test_a_default_that_only_moves_a_literal_out_is_guarded_and_another_value_is_default_on():
    base = "def f(x):\n    return drop(x, 0.1)\n"
    head = "def f(x, p={}):\n    return drop(x, p)\n"
    assert verdict(base, head.format("0.1")) == "guarded"
    assert verdict(base, head.format("0.2")) == "default-on"


def test_a_number_is_not_taken_for_another_because_python_holds_them_equal():
    base = "def f(x):\n    return x\n"
    assert verdict(base, "def f(x, on=0):\n    return x if on is False else x + 1\n") != "guarded"


def test_an_unrelated_repository_full_of_noise_decides_nothing():
    noise = {f"noise/m{n}.py": f"class C{n}: pass\n" * 50 for n in range(30)}
    assert verdict(NET, NET, around=noise) == "inert"
