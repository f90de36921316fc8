from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from branchlab.domain import DeterminismStatus, Proof, RunState
from branchlab.errors import ConfigError
from branchlab.lab.determinism import check_determinism
from branchlab.lab.judge import compare
from branchlab.lab.own_environments import check_supported, ingredients_of
from branchlab.lab.run import RunSession
from branchlab.lab.run_request import RunRequest
from branchlab.lab.runs import show
from tests.lab.conftest import TASK
from tests.wheels import build_wheel

PYPROJECT = '[project]\nname = "p"\nversion = "1"\ndependencies = ["numpy"]\n'
CACHE = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
"""Of whoever runs the tests: their own home is another one."""
TOOLS = "[tool.ruff]\nline-length = 88\n"


def env(repo, text: str = "") -> None:
    config = (repo.root / ".branchlab.toml").read_text().partition("\n[env]")[0]
    (repo.root / ".branchlab.toml").write_text(
        f'{config}\n[env]\nmanager = "uv"\n{text}\n[executor]\nlinger_s = 0\n'
    )


def own(repo, branch: str = "main"):
    commit = repo.git("rev-parse", branch).strip()
    return ingredients_of(repo.open(), [commit])[commit]


@pytest.mark.parametrize(
    ("files", "sources"),
    [
        ({"README.md": "x"}, ()),
        ({"requirements.txt": "numpy"}, ("requirements.txt",)),
        ({"requirements.txt": "numpy", "pyproject.toml": PYPROJECT}, ("requirements.txt",)),
        ({"requirements.txt": "# none", "pyproject.toml": PYPROJECT}, ("pyproject.toml",)),
        ({"pyproject.toml": TOOLS, "setup.py": "setup(install_requires=['a'])"}, ("setup.py",)),
        ({"uv.lock": "version = 1", "requirements.txt": "numpy"}, ("requirements.txt",)),
        ({"uv.lock": "version = 1", "pyproject.toml": PYPROJECT}, ("uv.lock",)),
    ],
)
def test_without_files_in_the_config_the_usual_ones_are_taken(repo, files, sources) -> None:
    env(repo)
    repo.commit(files)
    assert own(repo).ingredients.sources == sources


def test_what_a_list_includes_is_part_of_it_and_read_from_the_commit(repo) -> None:
    env(repo, 'files = ["deps/gpu.txt", "constraints.txt"]\n')
    repo.commit(
        {
            "deps/gpu.txt": "-r ../base.txt\ntorch\n",
            "base.txt": "-r deeper/x.txt\n-r ../../outside.txt\n",
            "deeper/x.txt": "numpy\n-r missing.txt\n",
            "constraints.txt": "numpy<3\n",
        }
    )
    (repo.root / "base.txt").write_text("not committed")
    found = own(repo).ingredients
    assert found.sources == ("deps/gpu.txt",)
    assert found.constraints == ("constraints.txt",)
    assert set(found.files) == {"deps/gpu.txt", "base.txt", "deeper/x.txt", "constraints.txt"}
    assert "not committed" not in found.files["base.txt"]


def test_lists_that_include_each_other_come_to_an_end(repo) -> None:
    env(repo)
    repo.commit({"requirements.txt": "-r b.txt\n", "b.txt": "-r requirements.txt\nnumpy\n"})
    assert set(own(repo).ingredients.files) == {"requirements.txt", "b.txt"}


def test_a_project_that_installs_itself_gives_its_dependencies_instead(repo) -> None:
    env(repo)
    repo.commit({"requirements.txt": "timm\n-e .[dev]\n", "pyproject.toml": PYPROJECT})
    found = own(repo).ingredients
    assert found.sources == ("requirements.txt", "pyproject.toml")
    assert found.files["requirements.txt"] == "timm\n"


def test_a_change_that_touches_no_dependency_keeps_the_environment(repo) -> None:
    env(repo)
    repo.commit({"pyproject.toml": PYPROJECT, "requirements.txt": "-e .\n"})
    repo.branch("exp/tools", {"pyproject.toml": PYPROJECT + TOOLS, "tiny/more.py": ""})
    repo.branch("exp/more", {"pyproject.toml": PYPROJECT.replace('"numpy"', '"numpy", "timm"')})
    key = own(repo).ingredients.key
    assert own(repo, "exp/tools").ingredients.key == key
    assert own(repo, "exp/more").ingredients.key != key


def test_the_python_of_a_branch_counts_unless_the_config_names_one(repo) -> None:
    env(repo)
    repo.commit({".python-version": "# ours\n3.12\n"})
    assert own(repo).ingredients.python == "3.12"
    env(repo, 'python = "3.13"\n')
    assert own(repo).ingredients.python == "3.13"


def test_a_branch_without_a_file_that_the_config_names_is_said(repo) -> None:
    env(repo, 'files = ["requirements-gpu.txt"]\n')
    assert own(repo).failure == "requirements-gpu.txt, which [env] files names, is not in it"


def test_a_dry_run_makes_no_environment_and_says_that_it_will(repo) -> None:
    env(repo)
    repo.commit({"requirements.txt": "numpy\n"})
    repo.branch("exp/more", {"requirements.txt": "numpy\nno-such-package\n"})
    session = RunSession(repo.open(), RunRequest(names=("more",), seeds=1))
    try:
        prepared = session.prepare(is_dry=True)
    finally:
        session.close()
    assert len(prepared.plan.to_start) == 2
    assert any("made first" in note and "main, exp/more" in note for note in prepared.notes)
    assert any(
        note.startswith("exp/more changes dependencies against main (requirements.txt)")
        for note in prepared.notes
    )
    assert not (repo.root / ".branchlab/environments").exists()


def test_without_a_manager_a_plan_says_what_to_do_about_other_dependencies(repo) -> None:
    repo.commit({"requirements.txt": "numpy\n"})
    repo.branch("exp/more", {"requirements.txt": "numpy\npsutil\n"})
    repo.branch("exp/none", {"notes.md": "x"})
    session = repo.session(names=("more", "none"), seeds=1)
    (note,) = session.prepare(is_dry=True).notes
    assert note.startswith("exp/more changes dependencies against main (requirements.txt); it")
    assert '[env] manager = "uv"' in note


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ("", "ray", "Ray cluster do not see them"),
        ('\n[executor.slurm]\ncontainer = "/a.sif"\n', "slurm", "exclude each other"),
    ],
)
def test_where_nodes_cannot_have_them_environments_are_refused(repo, more, kind, said) -> None:
    env(repo, more)
    with pytest.raises(ConfigError, match=said):
        check_supported(repo.open(), kind)
    check_supported(repo.open(), "local")


def test_branches_without_an_environment_fail_the_check_of_determinism_with_the_reason(
    repo,
) -> None:
    env(repo, 'files = ["requirements-gpu.txt"]\n')
    repo.branch("exp/none", {"notes.md": "x"})
    found = check_determinism(repo.open(), RunRequest(names=("none",)), steps=2)
    assert [one.branch for one in found] == ["main", "exp/none"]
    for one in found:
        assert one.status is DeterminismStatus.FAILED
        assert one.repeat.status is one.resume.status is Proof.NOT_RUN
        assert "requirements-gpu.txt" in one.repeat.reason


@pytest.mark.slow
def test_determinism_is_checked_in_the_environment_of_each_branch(
    repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(CACHE))
    wheels = tmp_path / "wheels"
    build_wheel(wheels, "spice", "1.5")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    env(repo)
    config = (repo.root / ".branchlab.toml").read_text()
    repo.commit({".branchlab.toml": config, "requirements.txt": "numpy\n"})
    repo.branch("exp/bad", {"requirements.txt": "numpy\nspice>=99\n"})
    spiced = {"requirements.txt": "numpy\nspice\n", "tiny/task.py": "import spice\n" + TASK}
    repo.branch("exp/spice", spiced)
    found = check_determinism(repo.open(), RunRequest(names=("bad", "spice")), steps=2)
    assert [(one.branch, one.status) for one in found] == [
        ("main", DeterminismStatus.DETERMINISTIC),
        ("exp/bad", DeterminismStatus.FAILED),
        ("exp/spice", DeterminismStatus.DETERMINISTIC),
    ]
    assert "No solution found" in found[1].repeat.reason
    assert {one.device for one in found} == {"cpu"}


@pytest.mark.slow
def test_each_branch_trains_in_its_own_and_one_that_cannot_have_any_fails_alone(
    repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch comes from uv's cache, which the installation of branchlab has filled.
    monkeypatch.setenv("UV_CACHE_DIR", str(CACHE))
    wheels = tmp_path / "wheels"
    build_wheel(wheels, "spice", "1.5")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    env(repo)
    config = (repo.root / ".branchlab.toml").read_text()
    repo.commit({".branchlab.toml": config, "requirements.txt": "numpy\n"})
    repo.branch(
        "exp/spice", {"requirements.txt": "numpy\nspice\n", "tiny/task.py": "import spice\n" + TASK}
    )
    repo.branch("exp/bad", {"requirements.txt": "numpy\nspice>=99\n"})

    def run(*names: str):
        session = RunSession(repo.open(), RunRequest(names=names, seeds=2))
        try:
            return list(session.carry_out(session.prepare()))[-1]
        finally:
            session.close()

    last = run("spice", "bad")
    states = {(r.run.branch, r.state) for r in last.records.values()}
    assert states == {
        ("main", RunState.DONE),
        ("exp/spice", RunState.DONE),
        ("exp/bad", RunState.FAILED),
    }
    reason = next(r.reason for r in last.records.values() if r.run.branch == "exp/bad")
    assert "spice" in reason
    assert "No solution found" in reason
    spiced = next(r for r in last.records.values() if r.run.branch == "exp/spice")
    found = show(repo.open(), spiced.run.id)
    assert "/.branchlab/environments/" in found.environment["python"]["executable"]
    assert "spice==1.5" in found.environment["packages"]["installed"]
    comparison = compare(repo.open())
    assert comparison.environments["exp/spice"] == "spice 1.5 against none in 2 runs of main"
    assert {j.subject.branch for j in comparison.judged if j.verdict} == {"exp/spice"}
    # Known results stay known, and what no branch needs any more is taken away.
    repo.git("branch", "--quiet", "-D", "exp/spice", "exp/bad")
    homes = repo.root / ".branchlab/environments"
    num = len([path for path in homes.iterdir() if path.is_dir()])
    assert num == 2
    again = run("main")
    assert len(again.reused) == 2
    repo.commit({"x.py": ""})
    run("main")
    assert len([path for path in homes.iterdir() if path.is_dir()]) == 1
    subprocess.run([next(homes.glob("*/bin/python")), "-c", "import torch"], check=True)
