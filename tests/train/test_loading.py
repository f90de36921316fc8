from __future__ import annotations

import sys
from pathlib import Path

import pytest

from branchlab.domain import Run, Sample, Scale
from branchlab.errors import ConfigError
from branchlab.train.loading import load_task, say_why

TASK = """
import branchlab
class Tiny(branchlab.Task):
    def __init__(self, *, squeeze: bool = False, width: int = 4):
        self.squeeze, self.width = squeeze, width
class Open(branchlab.Task):
    def __init__(self, **options):
        self.options = options
class Unrelated:
    pass
number = 3
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a work tree's folder; modules that are imported from it are forgotten again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    known = set(sys.modules)
    (tmp_path / "tinylab").mkdir()
    (tmp_path / "tinylab" / "task.py").write_text(TASK)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.split(".")[0] in {"tinylab", "broken"}:
            del sys.modules[name]


def plan(task: str = "tinylab.task:Tiny", **more: object) -> Run:
    return Run(
        id="r", key="k", branch="main", commit="c", tree="t", task=task, seed=0,
        scale=Scale.SAMPLE, sample=Sample(fraction=1.0), **more,
    )  # type: ignore[arg-type]  # fmt: skip


def failure(run: Run, tree: Path) -> str:
    with pytest.raises((Exception, SystemExit)) as caught:
        load_task(run, tree)
    return say_why(caught.value, tree)


def test_flags_come_before_the_configs_arguments(tree: Path) -> None:
    task = load_task(plan(flags={"squeeze": True}, arguments={"width": 8, "squeeze": False}), tree)
    assert (task.squeeze, task.width) == (True, 8)  # type: ignore[attr-defined]


def test_a_task_that_takes_everything_is_given_everything(tree: Path) -> None:
    task = load_task(plan("tinylab.task:Open", flags={"anything": 1}), tree)
    assert task.options == {"anything": 1}  # type: ignore[attr-defined]


def test_an_unknown_flag_names_the_nearest_one(tree: Path) -> None:
    said = failure(plan(flags={"squeze": True}), tree)
    assert (
        said == "Tiny takes no argument 'squeze': did you mean 'squeeze'? it takes: squeeze, width"
    )


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("tinylab.tasks:Tiny", "this branch has no module 'tinylab.tasks'"),
        ("nowhere.task:Tiny", "this branch has no module 'nowhere.task'"),
        ("tinylab.task:Large", "'Large' in tinylab.task is missing"),
        ("tinylab.task:Unrelated", "'Unrelated' in tinylab.task is no subclass of branchlab.Task"),
        ("tinylab.task:number", "'number' in tinylab.task is no subclass"),
    ],
)
def test_a_branch_without_the_task_says_what_is_missing(tree: Path, task: str, said: str) -> None:
    assert failure(plan(task), tree).startswith(said)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax (broken.py:2)"),
        (
            "import nowhere_at_all\n",
            "ModuleNotFoundError: No module named 'nowhere_at_all' (broken.py:1)",
        ),
        ("\nassert False\n", "AssertionError (broken.py:2)"),
        ("raise ValueError('a\\n  b')\n", "ValueError: a b (broken.py:1)"),
        ("def f():\n    raise KeyError('x')\nf()\n", "KeyError: 'x' (broken.py:2)"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3 (broken.py:2)"),
    ],
)
def test_a_failing_import_is_said_in_one_line_with_its_place(
    tree: Path, code: str, said: str
) -> None:
    (tree / "broken.py").write_text(code)
    assert failure(plan("broken:Tiny"), tree) == said


def test_a_long_message_is_cut(tree: Path) -> None:
    (tree / "broken.py").write_text("raise ValueError('x' * 100_000)\n")
    assert len(failure(plan("broken:Tiny"), tree)) < 500


def test_a_task_without_data_says_what_to_write(tree: Path) -> None:
    with pytest.raises(NotImplementedError, match=r"Tiny.data\(\) must return branchlab.Splits"):
        load_task(plan(), tree).data()


def test_the_class_of_a_task_must_take_its_arguments_by_name(tree: Path) -> None:
    with pytest.raises(ConfigError, match="takes no argument 'self'"):
        load_task(plan(flags={"self": 1}), tree)
