"""``guard`` on the demo's lab: the patches stand, off is main, on is the branch, and nothing of the user's moves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from branchlab.lab.demo_lab import build_demo_lab
from branchlab.lab.guard import switched_on
from tests import warm_command

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
FLAGS = {"concat-pool": "concat_pool", "wider": "wider", "gelu": "gelu"}
SHOW = """
import json, sys
import torch
torch.set_num_threads(1)
from branchlab import Batch
from fashion.task import FashionTask
torch.manual_seed(3)
task = FashionTask(**json.loads(sys.argv[1]))
model = task.model()
draws = torch.Generator().manual_seed(5)
inputs = torch.randint(0, 256, (8, 1, 28, 28), generator=draws, dtype=torch.uint8)
batch = Batch(inputs, torch.arange(8) % 10, torch.arange(8))
batch = task.augment(task.prepare(batch), draws)
step = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(3):
    loss = task.loss(task.forward(model, batch), batch)
    step.zero_grad()
    loss.backward()
    step.step()
    losses.append(loss.item().hex())
state = {name: value.double().sum().item().hex() for name, value in model.state_dict().items()}
print(json.dumps([losses, list(state.items()), torch.rand(1).item().hex(), draws.get_state().sum().item()]))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo_lab(tmp_path_factory.mktemp("guard") / "lab")


def branchlab(lab: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return warm_command.call(arguments, cwd=lab, env={**os.environ, **IDENTITY})


def git(lab: Path, *arguments: str, **more: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=lab, check=True, capture_output=True, text=True, **more
    ).stdout


def state_of(lab: Path) -> list[str]:
    return [
        git(lab, "status", "--porcelain"),
        git(lab, "symbolic-ref", "HEAD"),
        git(lab, "rev-parse", "HEAD"),
        git(lab, "for-each-ref", "refs/heads/exp", "refs/heads/main"),
    ]


def shown(lab: Path, revision: str, folder: Path, **flags: bool) -> object:
    """Return losses, weights and random state of three steps of a revision's task."""
    if not folder.exists():
        folder.mkdir()
        archive = folder / "code.tar"
        git(lab, "archive", "-o", str(archive), revision)
        subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    done = subprocess.run(
        [sys.executable, "-c", SHOW, json.dumps(flags)],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLAGS)
def test_off_trains_like_main_and_on_like_the_branch(lab: Path, tmp_path: Path, name: str) -> None:
    before = state_of(lab)
    done = branchlab(lab, "guard", name, "--apply", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    flag = FLAGS[name]
    assert found["branch"] == f"exp/{name}"
    assert found["feature"] is None
    assert found["flag"] == flag
    assert found["refused"] == []
    assert f"experiments/{name}.toml" in found["files"]
    assert found["branch_made"] == f"guard/{name}"
    assert git(lab, "rev-parse", f"guard/{name}").strip() == found["commit"]
    assert git(lab, "rev-parse", f"guard/{name}~1") == git(lab, "rev-parse", f"exp/{name}")
    assert state_of(lab) == before

    base = git(lab, "merge-base", "main", f"exp/{name}").strip()
    main = shown(lab, base, tmp_path / "main")
    branch = shown(lab, f"exp/{name}", tmp_path / "branch")
    guarded = f"guard/{name}"
    assert main != branch
    assert shown(lab, guarded, tmp_path / "guarded") == main
    assert shown(lab, guarded, tmp_path / "guarded", **{flag: False}) == main
    assert shown(lab, guarded, tmp_path / "guarded", **{flag: True}) == branch
    assert f"{flag} = true" in git(lab, "show", f"{guarded}:experiments/{name}.toml")
    features = json.loads(branchlab(lab, "features", guarded, "--json").stdout)
    assert features["branches"][0]["merge_back"] == "ready"

    again = branchlab(lab, "guard", name, "--apply")
    assert again.returncode == 2
    assert f"'guard/{name}' exists already" in again.stderr
    git(lab, "branch", "-D", f"guard/{name}")


def test_the_printed_patch_applies_to_the_tip(lab: Path, tmp_path: Path) -> None:
    done = branchlab(lab, "guard", "concat-pool")
    assert done.returncode == 0
    assert "guard/concat-pool" not in git(lab, "branch", "--list", "guard/*")
    tree = tmp_path / "tree"
    git(lab, "worktree", "add", "--detach", str(tree), "exp/concat-pool")
    subprocess.run(
        ["git", "apply", "--check", "-"], cwd=tree, input=done.stdout, text=True, check=True
    )
    git(lab, "worktree", "remove", str(tree))
    assert "--apply" in done.stderr


def test_a_branch_that_no_flag_mends_is_refused_feature_by_feature(lab: Path) -> None:
    for name, word in (
        ("channel-growth", "breaking"),
        ("cosine-head", "broken"),
        ("residual", "undecided"),
    ):
        done = branchlab(lab, "guard", name, "--apply", "--json")
        found = json.loads(done.stdout)
        assert done.returncode == 1
        assert (found["flag"], found["files"], found["diff"]) == (None, [], "")
        assert (found["branch_made"], found["commit"]) == (None, None)
        assert any(word in one["reason"] for one in found["refused"])
        assert all(one["by_hand"] for one in found["refused"])
    assert not git(lab, "branch", "--list", "guard/*")


def test_a_branch_that_is_guarded_already_needs_nothing(lab: Path) -> None:
    done = branchlab(lab, "guard", "squeeze-excite")
    assert done.returncode == 0
    assert done.stdout == ""
    assert "nothing that needs a flag" in done.stderr


def test_one_feature_can_be_named_by_symbol_or_id(lab: Path) -> None:
    by_symbol = json.loads(
        branchlab(lab, "guard", "wider", "FashionTask.__init__", "--json").stdout
    )
    by_id = json.loads(branchlab(lab, "guard", "wider", by_symbol["feature"][:8], "--json").stdout)
    assert by_symbol["flag"] == "wider"
    assert by_symbol == by_id


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wider", "--flag", "width"], "the project has that name already"),
        (["wider", "--flag", "class"], "expected a name that Python takes"),
        (["wider", "--flag", "a-b"], "expected a name that Python takes"),
        (["widr"], "did you mean 'wider'?"),
        (["wider", "FashionTask.init"], "did you mean 'FashionTask.__init__'?"),
    ],
)
def test_a_wrong_word_is_named_with_what_is_needed(
    lab: Path, arguments: list[str], said: str
) -> None:
    done = branchlab(lab, "guard", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "hint:" in done.stderr


def test_a_chosen_flag_is_used(lab: Path) -> None:
    found = json.loads(branchlab(lab, "guard", "wider", "--flag", "broad", "--json").stdout)
    assert found["flag"] == "broad"
    assert "+        broad: bool = False," in found["diff"]
    assert "+flags = { broad = true }" in found["diff"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("flags = {}  # on\n", "flags = { a = true }  # on\n"),
        ("# why\nflags = { b = 2 }\n", "# why\nflags = { b = 2, a = true }\n"),
        ("[flags]\nb = 2  # two\n", "[flags]\nb = 2  # two\na = true\n"),
        ('title = "t"\n', 'title = "t"\nflags = { a = true }\n'),
        (
            'title = "t"\n\n[[notes]]\ntext = "n"\n',
            'title = "t"\n\nflags = { a = true }\n\n[[notes]]\ntext = "n"\n',
        ),
        ("flags = { a = false }\n", "flags = { a = true }\n"),
    ],
)
def test_the_experiments_file_keeps_what_is_written_in_it(before: str, after: str) -> None:
    assert switched_on(before, "a", where="x.toml") == after


def test_help_and_status_do_not_import_the_rewriter(lab: Path) -> None:
    code = (
        "import sys\nfrom branchlab.cli.app import run_app\n"
        "for words in (['--help'], ['guard', '--help'], ['status']):\n"
        "    run_app(words)\n"
        "sys.exit(bool({'libcst', 'tomlkit', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=lab, capture_output=True, check=False)
    assert done.returncode == 0


def test_other_changes_of_its_class_go_with_a_feature(lab: Path) -> None:
    whole = json.loads(branchlab(lab, "guard", "concat-pool", "--json").stdout)
    one = json.loads(branchlab(lab, "guard", "concat-pool", "ConvNet.forward", "--json").stdout)
    assert one["feature"]
    assert one["diff"] == whole["diff"]
