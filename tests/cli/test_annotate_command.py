"""``annotate`` as it is typed, and as hooks and scripts call it."""

from __future__ import annotations

import json
import subprocess

from tests.cli.conftest import TASK
from tests.cli.test_errors import assert_said

NET = TASK.replace(
    "class Tiny(",
    """class Net(nn.Module):
    def __init__(self, hidden, bias):
        super().__init__()
        self.first, self.second = nn.Linear(16, hidden), nn.Linear(hidden, 2, bias)

    def forward(self, images):
        x = self.first(images.flatten(1)).relu()
        return self.second(x)


class Tiny(""",
).replace(
    TASK[TASK.index("        return nn.Sequential(") :],
    "        return Net(self.hidden, self.bias)\n",
)
PATH = "tiny/task.py"


def test_comments_are_written_checked_mended_and_taken_away(project) -> None:
    project.branch("exp/net", {PATH: NET})

    done = project.branchlab("annotate", "net", "--function", "Net.forward")
    assert done.returncode == 0, done.stderr
    assert "+        x = self.first(images.flatten(1)).relu()  #: [B, 4] float32" in done.stdout
    assert "1 file would change: branchlab annotate exp/net --apply" in done.stderr
    project.git("switch", "-q", "exp/net")
    subprocess.run(
        ["git", "apply", "-"], cwd=project.root, input=done.stdout, text=True, check=True
    )
    project.git("commit", "-qam", "by hand")

    done = project.branchlab("annotate", "--check", "--strict")
    assert (done.returncode, done.stdout) == (0, "")
    assert "3 comments: 3 true" in done.stderr

    project.write(
        {PATH: (project.root / PATH).read_text().replace("hidden: int = 4", "hidden: int = 6")}
    )
    done = project.branchlab("annotate", "--check")
    assert done.returncode == 1
    assert done.stdout == (
        "tiny/task.py:13: stale in Net.forward\n    was: [B, 4] float32\n    now: [B, 6] float32\n"
    )
    found = json.loads(project.branchlab("annotate", "--check", "--json").stdout)
    assert (found["branch"], found["num_stale"], found["num_new"]) == ("exp/net", 1, 0)
    assert {"path", "comments"} <= set(found["files"][0])
    (stale,) = [one for one in found["files"][0]["comments"] if one["state"] == "stale"]
    assert (stale["line"], stale["function"], stale["text"]) == (
        13,
        "Net.forward",
        "[B, 6] float32",
    )

    done = project.branchlab("annotate", "--update")
    assert done.returncode == 0, done.stderr
    assert "mended in Net.forward" in done.stdout
    assert "#: [B, 6] float32" in (project.root / PATH).read_text()

    done = project.branchlab("annotate", "--strip", "--in-place")
    assert done.returncode == 0, done.stderr
    assert (project.root / PATH).read_text() == NET.replace("hidden: int = 4", "hidden: int = 6")


def test_a_check_that_looks_at_nothing_has_not_passed(project) -> None:
    done = project.branchlab("annotate", "main", "--check")
    assert done.returncode == 1
    assert "there is no comment to check: branchlab annotate main --apply" in done.stderr


def test_what_cannot_run_is_said(project) -> None:
    done = project.branchlab("annotate", "broken")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no_such_module" in done.stderr
    assert_said(project.branchlab("annotate", "broken", "--apply"), "nothing was written")


def test_mistakes_are_said(project) -> None:
    assert_said(project.branchlab("annotate", "wiide"), "no branch 'wiide'", "wide")
    assert_said(project.branchlab("annotate", "--apply", "--in-place"), "give one of them")
    assert_said(project.branchlab("annotate", "--strip", "--check"), "give one of them")
    assert_said(project.branchlab("annotate", "--check", "--apply"), "--update commits")
    assert_said(project.branchlab("annotate", "wide", "--in-place"), "checked out nowhere")
    assert_said(project.branchlab("annotate", "--path", "x.py"), "no Python file", "tiny/task.py")
    project.git("switch", "-q", "--detach")
    assert_said(project.branchlab("annotate", "--apply"), "no branch is checked out here")
