from __future__ import annotations

import pytest

from branchlab.lab.dependencies import dependencies_changed_since_main
from branchlab.lab.status import status

PYPROJECT = '[project]\nname = "p"\ndependencies = ["numpy"]\n\n[tool.ruff]\nline-length = 100\n'


@pytest.fixture
def lab(repo):
    repo.commit({"pyproject.toml": PYPROJECT, "sub/requirements.txt": "numpy\npillow\n"})
    repo.branch("exp/none", {"notes.md": "x"})
    repo.branch("exp/tools", {"pyproject.toml": PYPROJECT.replace("100", "88")})
    repo.branch("exp/more", {"pyproject.toml": PYPROJECT.replace('"numpy"', '"numpy", "timm"')})
    repo.branch("exp/sub", {"sub/requirements.txt": "numpy\npillow\nscipy\n"})
    repo.branch("exp/comment", {"sub/requirements.txt": "# images\nnumpy\npillow\n"})
    return repo


def changed(repo) -> dict[str, tuple[str, ...]]:
    found = {b.standing.branch.name: b.dependencies_changed for b in status(repo.open()).branches}
    return {name: paths for name, paths in found.items() if paths}


def test_status_names_the_files_in_which_a_branch_changes_dependencies(lab) -> None:
    assert changed(lab) == {"exp/more": ("pyproject.toml",), "exp/sub": ("sub/requirements.txt",)}
    by_name = {one.standing.branch.name: one for one in status(lab.open()).branches}
    assert "other dependencies: sub/requirements.txt" in by_name["exp/sub"].notes
    assert by_name["exp/tools"].notes == ()


def test_what_main_changes_is_not_laid_to_its_branches(lab) -> None:
    lab.commit({"sub/requirements.txt": "numpy>=2\n"})
    assert set(changed(lab)) == {"exp/more", "exp/sub"}


def test_a_file_that_is_renamed_added_or_deleted_is_named(lab) -> None:
    lab.git("switch", "--quiet", "-c", "exp/moved", "main")
    lab.git("mv", "sub/requirements.txt", "requirements-all.txt")
    lab.git("commit", "--quiet", "-m", "move")
    lab.git("switch", "--quiet", "main")
    lab.branch("exp/lock", {"uv.lock": "version = 1\n"})
    found = changed(lab)
    assert found["exp/moved"] == ("requirements-all.txt", "sub/requirements.txt")
    assert found["exp/lock"] == ("uv.lock",)


def test_a_branch_that_has_landed_changes_nothing_any_more(lab) -> None:
    lab.git("merge", "--quiet", "--squash", "exp/sub")
    lab.git("commit", "--quiet", "-m", "land it")
    assert set(changed(lab)) == {"exp/more"}


def test_a_second_look_reads_nothing_and_says_the_same(lab, monkeypatch) -> None:
    before = changed(lab)
    import branchlab.lab.dependencies as module

    def read(*_: object) -> dict[object, object]:
        raise AssertionError("it reads again")

    monkeypatch.setattr(module, "_read", read)
    assert changed(lab) == before


def test_branches_are_held_against_where_they_left_main_for_a_plan_too(lab) -> None:
    lab.commit({"sub/requirements.txt": "numpy>=2\n"})
    project = lab.open()
    branches = {branch.name: branch for branch in project.repository.branches()}
    found = dependencies_changed_since_main(project, branches.values(), branches["main"])
    assert found == {"exp/more": ("pyproject.toml",), "exp/sub": ("sub/requirements.txt",)}
