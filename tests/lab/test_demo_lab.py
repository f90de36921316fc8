"""The demo's lab: its history, and that every branch does what its experiment file says."""

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile

import pytest
import torch

from branchlab import Batch
from branchlab.config import read_config
from branchlab.errors import BranchlabError, ConfigError
from branchlab.experiment import parse_experiment
from branchlab.lab import demo_lab
from branchlab.lab.demo_lab import build_demo_lab

NEUTRAL = {  # with no flag given they train like main
    "batch-norm",
    "random-shift",
    "squeeze-excite",
    "spatial-attention",
    "residual",
    "focal-loss",
    "shape-notes",
    "channel-growth",
}
CHANGED = {"wider", "gelu", "concat-pool"}
BROKEN = {"cosine-head"}
ALL = sorted(NEUTRAL | CHANGED | BROKEN)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep small tensors on one thread: several only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return build_demo_lab(tmp_path_factory.mktemp("demo") / "lab")


def git(lab, *args, is_text=True):
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *args], cwd=lab, env=env, capture_output=True, text=is_text, check=True
    )
    return done.stdout.strip() if is_text else done.stdout


def experiment(lab, name, rev=None):
    path = f"experiments/{name}.toml"
    return parse_experiment(git(lab, "show", f"{rev or 'exp/' + name}:{path}"), where=path)


@pytest.fixture
def package(lab, tmp_path, monkeypatch):
    """Return a function that imports a revision's ``fashion`` under a name of its own."""
    made = []

    def load(rev):
        name = "lab_" + "".join(letter if letter.isalnum() else "_" for letter in rev)
        folder = tmp_path / name
        archive = git(lab, "archive", rev, "fashion", is_text=False)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        (folder / "data").symlink_to(lab / "data")
        place = folder / "fashion"
        spec = importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=[str(place)]
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        made.append(name)
        spec.loader.exec_module(sys.modules[name])
        return importlib.import_module(f"{name}.task").FashionTask

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield load
    for module in [m for m in sys.modules if m.partition(".")[0] in made]:
        del sys.modules[module]


def losses_of(task, *, num_steps=2):
    """Return the losses of the first steps, and check metrics and pictures on the way."""
    train = task.data().train
    batch = Batch(train.inputs[:64], train.targets[:64], torch.arange(64))
    torch.manual_seed(0)
    model, generator, losses = task.model(), torch.Generator().manual_seed(1), []
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(num_steps):
        step = task.augment(task.prepare(batch), generator)
        outputs = task.forward(model, step)
        loss = task.loss(outputs, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(values.shape == (64,) for values in task.metrics(outputs, step).values())
    for picture in task.pictures(outputs.detach(), step).values():
        assert picture.ndim == 3
        assert 0 <= float(picture.min()) <= float(picture.max()) <= 1
    return losses


def test_the_lab_has_the_same_ids_wherever_it_is_built(lab, tmp_path, monkeypatch):
    (tmp_path / "config").write_text(
        "[user]\nname = Somebody\n[commit]\ngpgsign = true\n[core]\nautocrlf = true\n"
        "[init]\ndefaultBranch = trunk\n[apply]\nwhitespace = fix\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    other = build_demo_lab(tmp_path / "other")
    assert git(other, "for-each-ref") == git(lab, "for-each-ref")


def test_every_branch_is_there(lab):
    branches = git(lab, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert branches == sorted(["main", "original", *(f"exp/{name}" for name in ALL)])


def test_main_is_checked_out_and_clean_and_data_is_ignored(lab):
    assert git(lab, "branch", "--show-current") == "main"
    assert git(lab, "status", "--porcelain") == ""
    assert git(lab, "check-ignore", "data") == "data"
    assert len(list((lab / "data").iterdir())) == 4
    # With a slash at its end the rule would miss the link that a run's work tree has instead.
    assert "/data" in (lab / ".gitignore").read_text().split()


def test_the_reference_is_an_ancestor_of_main_and_pinned(lab):
    git(lab, "merge-base", "--is-ancestor", "original", "main")
    config = read_config(lab)
    assert config.branches.reference_commit == git(lab, "rev-parse", "original")
    assert config.trainer.task == "fashion.task:FashionTask"
    assert config.run.share == ("data",)


def test_main_has_moved_on_since_every_fork_by_different_amounts(lab):
    behind = {
        name: int(git(lab, "rev-list", "--count", f"exp/{name}..main"))
        for name in NEUTRAL | CHANGED | BROKEN
    }
    assert min(behind.values()) >= 1
    assert len(set(behind.values())) >= 3


def test_one_branch_is_stacked_on_another(lab):
    git(lab, "merge-base", "--is-ancestor", "exp/squeeze-excite", "exp/spatial-attention")
    assert experiment(lab, "spatial-attention").base == "exp/squeeze-excite"


def test_the_squashed_branch_is_no_ancestor_but_its_content_is_in_main(lab):
    merge_base = git(lab, "merge-base", "main", "exp/batch-norm")
    assert merge_base != git(lab, "rev-parse", "exp/batch-norm")
    merged = git(lab, "merge-tree", "--write-tree", "main", "exp/batch-norm")
    assert merged == git(lab, "rev-parse", "main^{tree}")
    assert experiment(lab, "batch-norm", rev="main").flags == {"batch_norm": True}


def test_just_one_branch_conflicts_with_main(lab):
    conflicts = []
    for name in ALL:
        done = subprocess.run(
            ["git", "merge-tree", "--write-tree", "main", f"exp/{name}"],
            cwd=lab,
            capture_output=True,
            check=False,
        )
        assert done.returncode in {0, 1}
        conflicts += [name] * done.returncode
    assert conflicts == ["random-shift"]


def test_the_broken_branch_fails_at_import(package):
    with pytest.raises(ModuleNotFoundError, match="heads"):
        package("exp/cosine-head")


@pytest.mark.parametrize("name", sorted(NEUTRAL | CHANGED))
def test_a_branch_trains_with_its_flags_and_is_neutral_without_where_it_claims_so(
    lab, package, name
):
    main, branch = package("main"), package(f"exp/{name}")
    flags = experiment(lab, name).flags
    base, with_flags = losses_of(main()), losses_of(branch(**flags))
    assert (losses_of(branch()) == base) == (name in NEUTRAL)
    assert (with_flags == base) == (name == "shape-notes")


def test_main_trains_bit_for_bit_like_the_reference(package):
    assert losses_of(package("main")()) == losses_of(package("original")())


def test_the_landed_experiment_runs_on_main(lab, package):
    flags = experiment(lab, "batch-norm", rev="main").flags
    on_main, on_branch = package("main")(**flags), package("exp/batch-norm")(**flags)
    assert losses_of(on_main) == losses_of(on_branch)


def test_the_default_that_is_on_and_the_one_that_changed_can_be_set_back(package):
    base = losses_of(package("main")())
    assert losses_of(package("exp/gelu")(gelu=False)) == base
    assert losses_of(package("exp/wider")(width=16)) == base


def test_a_lab_that_is_there_is_left_as_it_is(lab):
    (lab / "mine.txt").write_text("note")
    before = git(lab, "for-each-ref")
    assert build_demo_lab(lab) == lab
    assert git(lab, "for-each-ref") == before
    (lab / "mine.txt").unlink()


def test_a_folder_with_anything_else_in_it_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match="is no lab of the demo") as caught:
        build_demo_lab(tmp_path)
    assert "branchlab demo DIR" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_repository_is_refused(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    with pytest.raises(ConfigError, match="is no lab of the demo"):
        build_demo_lab(tmp_path)


def test_an_empty_folder_is_filled_and_keeps_its_identity(lab, tmp_path):
    (tmp_path / "empty").mkdir()
    inode = (tmp_path / "empty").stat().st_ino
    built = build_demo_lab(tmp_path / "empty")
    assert built.stat().st_ino == inode
    assert git(built, "rev-parse", "main") == git(lab, "rev-parse", "main")
    assert git(built, "status", "--porcelain") == ""


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "lab").write_text("x")
    with pytest.raises(ConfigError, match="is no lab of the demo"):
        build_demo_lab(tmp_path / "lab")
    with pytest.raises(ConfigError, match="cannot be written"):
        build_demo_lab(tmp_path / "lab" / "below")


def test_a_build_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    shutil.copytree(demo_lab.find_examples(), tmp_path / "examples")
    patch = tmp_path / "examples" / "lab" / "patches" / "gelu.patch"
    patch.write_text(patch.read_text().replace("\n-", "\n-nothing like it ", 3))
    place = tmp_path / "branchlab" / "lab" / "demo_lab.py"
    monkeypatch.setattr(demo_lab, "__file__", str(place))
    target = tmp_path / "labs"
    target.mkdir()
    with pytest.raises(BranchlabError, match="patch"):
        build_demo_lab(target / "lab")
    assert list(target.iterdir()) == []


def test_missing_examples_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_lab, "__file__", str(tmp_path / "branchlab" / "lab" / "demo_lab.py"))
    with pytest.raises(BranchlabError, match="the examples are neither in"):
        build_demo_lab(tmp_path / "lab")
