"""Comments on what flows through a branch's code: written, checked, mended and taken away, in real repositories."""

from __future__ import annotations

import pytest

from branchlab.analysis.annotations.review import CommentState, Scope
from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.annotate import AnnotateRequest, annotate, write_annotations

NET = """
import torch
from torch import nn
import branchlab


class Net(nn.Module):
    def __init__(self, channels=6, wide=False):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.wide = nn.Conv2d(channels, 12, 1) if wide else None
        self.head = nn.Linear(12 if wide else channels, 2)

    def forward(self, images):
        x = self.conv1(images)
        if self.wide is not None:
            x = self.wide(x)
        return self.head(x.mean((2, 3)))  # by hand


class Task(branchlab.Task):
    recipe = branchlab.Recipe(epochs=1, batch_size=8)

    def __init__(self, *, wide: bool = False):
        self.wide = wide

    def data(self):
        source = torch.Generator().manual_seed(0)
        inputs = torch.randint(0, 256, (48, 1, 8, 8), generator=source, dtype=torch.uint8)
        rows = branchlab.Examples(inputs, torch.zeros(48, dtype=torch.long))
        return branchlab.Splits(train=rows, val=rows)

    def model(self):
        return Net(wide=self.wide)
"""
CONFIG = """
[branches]
reference = "original"

[trainer]
task = "net.task:Task"

[run]
device = "cpu"
"""
PATH = "net/task.py"


@pytest.fixture
def lab(repo):
    """A project with a model of its own, and an experiment that switches a layer on."""
    repo.commit({PATH: NET, "net/__init__.py": "", ".branchlab.toml": CONFIG}, "a net")
    repo.git("branch", "-f", "original")
    repo.branch("exp/wide", {"experiments/wide.toml": 'title = "Wide"\nflags = { wide = true }\n'})
    return repo


def looked(lab, branch=None, *, is_here=False, strips=False, **scope):
    request = AnnotateRequest(
        branch=branch, scope=Scope(**scope), is_here=is_here or branch is None, strips=strips
    )
    return annotate(lab.open(), request, executor=lab.executor)


def said(found):
    return {one.function: one.text for file in found.files for one in file.findings}


def states(found):
    return [str(one.state) for file in found.files for one in file.findings]


def text_of(lab, branch):
    return lab.git("show", f"{branch}:{PATH}")


def test_a_branch_is_looked_at_with_its_flags_on_and_nothing_changes(lab) -> None:
    before = lab.fingerprint()

    found = looked(lab, "wide")

    assert lab.fingerprint() == before
    assert "+            x = self.wide(x)  #: [B, 12, H, W] float32" in found.diff
    assert "self.wide(x)  #:" not in looked(lab, "main").diff
    assert found.num(CommentState.STALE) == 0
    assert not found.failure


def test_comments_are_committed_on_a_branch_and_taken_away_byte_for_byte(lab) -> None:
    before = lab.fingerprint()
    project = lab.open()

    commit = write_annotations(project, looked(lab, "wide"), what="Write down")

    assert lab.git("rev-parse", "exp/wide").strip() == commit
    text = text_of(lab, "exp/wide")
    assert "# by hand  #: [B, 2] float32" in text
    assert {key for key, value in lab.fingerprint().items() if before[key] != value} == {"refs"}
    again = looked(lab, "wide")
    assert (set(states(again)), again.changed) == ({"true"}, {})
    assert write_annotations(project, again, what="Write down") is None

    write_annotations(project, looked(lab, "wide", strips=True), what="Take away")
    assert text_of(lab, "exp/wide") == NET


def test_a_branch_that_is_checked_out_moves_with_its_work_tree(lab) -> None:
    lab.git("switch", "--quiet", "exp/wide")
    write_annotations(lab.open(), looked(lab, "wide"), what="Write down")
    assert "#: [B, 2] float32" in (lab.root / PATH).read_text()
    assert lab.git("status", "--porcelain") == ""

    (lab.root / PATH).write_text(NET.replace("by hand", "by hand, half a thought"))
    stripped = looked(lab, "wide", strips=True)
    with pytest.raises(RepositoryError, match="cannot move there"):
        write_annotations(lab.open(), stripped, what="Take away")
    assert "half a thought" in (lab.root / PATH).read_text()


def test_a_changed_list_of_channels_makes_comments_stale_with_line_old_and_new(lab) -> None:
    write_annotations(lab.open(), looked(lab, "main"), what="Write down")
    place = lab.root / PATH
    place.write_text(place.read_text().replace("channels=6", "channels=10"))
    before = place.read_bytes()

    found = looked(lab, adds=False)

    stale = [one for one in found.files[0].findings if one.state is CommentState.STALE]
    assert [(one.line, one.function, one.old, one.text) for one in stale] == [
        (15, "Net.forward", "[B, 6, H, W] float32", "[B, 10, H, W] float32")
    ]
    assert place.read_bytes() == before

    write_annotations(lab.open(), found, what="Mend")
    assert place.read_bytes() == before.replace(b"#: [B, 6,", b"#: [B, 10,")
    assert set(states(looked(lab, adds=False))) == {"true"}


def test_a_line_that_no_longer_runs_is_unverified_and_no_failure(lab) -> None:
    write_annotations(lab.open(), looked(lab, "wide"), what="Write down")
    lab.git("switch", "--quiet", "exp/wide")
    (lab.root / "experiments/wide.toml").write_text('title = "Wide"\n')

    found = looked(lab, adds=False)

    off = [one for one in found.files[0].findings if one.state is CommentState.UNVERIFIED]
    assert [(one.old, one.text) for one in off] == [("[B, 12, H, W] float32",) * 2]
    assert found.num(CommentState.STALE) == 0


def test_a_work_tree_is_looked_at_as_it_stands_and_written_into(lab) -> None:
    """What is not committed counts, new files too; line ends and modes stay."""
    place = lab.root / PATH
    more = NET.replace(
        "import branchlab\n", "import branchlab\nfrom net.more import half\n"
    ).replace("x = self.conv1(images)", "x = half(self.conv1(images))")
    place.write_bytes(more.replace("\n", "\r\n").encode())
    place.chmod(0o755)
    (lab.root / "net/more.py").write_text("def half(x):\n\treturn x[:, :, ::2]\n")

    write_annotations(lab.open(), looked(lab), what="Write down")

    assert b"x = half(self.conv1(images))  #: [B, 6, H/2, W] float32\r\n" in place.read_bytes()
    assert b"\n" not in place.read_bytes().replace(b"\r\n", b"")
    assert place.stat().st_mode & 0o777 == 0o755
    assert (lab.root / "net/more.py").read_text() == (
        "def half(x):  #: x [B, 6, H, W] float32\n\treturn x[:, :, ::2]  #: [B, 6, H/2, W] float32\n"
    )
    assert lab.git("status", "--porcelain").split() == ["M", PATH, "??", "net/more.py"]


def test_only_what_is_asked_for_is_written(lab) -> None:
    assert set(said(looked(lab, "main", functions=("forward",)))) == {"Net.forward"}
    assert "Task.data" in said(looked(lab, "main", functions=("Task.*",)))
    with pytest.raises(ConfigError, match="no Python file of the project"):
        looked(lab, "main", paths=("nte/*.py",))
    with pytest.raises(ConfigError, match="nothing that ran") as error:
        looked(lab, "main", functions=("forwrd",))
    assert "forward" in error.value.hint
    assert "Net.forward" in error.value.hint


def test_a_model_that_raises_is_said_and_what_ran_until_then_is_shown(lab) -> None:
    broken = NET.replace(
        "        if self.wide is", "        x = x.view(-1, 7)\n        if self.wide is"
    )
    lab.branch("exp/broken", {PATH: broken})

    found = looked(lab, "broken")

    assert found.failure.startswith("RuntimeError: shape '[-1, 7]' is invalid")
    assert found.failure.endswith("(net/task.py:16)")
    assert "+        x = self.conv1(images)  #: [B, 6, 8, 8] float32" in found.diff
    assert "view(-1, 7)  #:" not in found.diff


def test_a_file_that_is_not_utf_8_is_left_alone(lab) -> None:
    bad = "# -*- coding: latin-1 -*-\nNAME = 'gr\xf6\xdfe'  #: [B] float32\n".encode("latin-1")
    (lab.root / "net/names.py").write_bytes(bad)

    found = looked(lab)

    assert {one.path: one.trouble for one in found.files}["net/names.py"] == "it is not UTF-8"
    write_annotations(lab.open(), found, what="Write down")
    assert (lab.root / "net/names.py").read_bytes() == bad


def test_what_must_not_be_written_is_refused(lab) -> None:
    project = lab.open()
    frozen = looked(lab, "original")
    with pytest.raises(RepositoryError, match="frozen reference"):
        write_annotations(project, frozen, what="Write down")
    with pytest.raises(RepositoryError, match="checked out nowhere"):
        looked(lab, "wide", is_here=True)
    with pytest.raises(RepositoryError, match="no branch 'wied'"):
        looked(lab, "wied")
    here = looked(lab)
    (lab.root / PATH).write_text(NET + "# meanwhile\n")
    with pytest.raises(RepositoryError, match="changed meanwhile"):
        write_annotations(project, here, what="Write down")
    assert (lab.root / PATH).read_text() == NET + "# meanwhile\n"
    (lab.root / ".branchlab.toml").write_text('[trainer]\ncommand = ["python", "train.py"]\n')
    with pytest.raises(ConfigError, match="annotate trains a task step by step"):
        looked(lab, "wide")
