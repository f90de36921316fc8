from __future__ import annotations

import pytest

from branchlab.errors import RepositoryError
from branchlab.git.compose import compose, files_at
from branchlab.git.repository import Repository


@pytest.fixture
def repository(lab) -> Repository:
    lab.commit({"train.py": "main\n", "net.py": "main\n"})
    return Repository.find(lab.root)


def of_main(repository: Repository, *paths: str) -> tuple[str, dict[str, str]]:
    tip = repository.tip_of("main")
    assert tip is not None
    return tip, files_at(repository, tip, list(paths))


def test_a_branch_with_mains_file_keeps_its_own_others(lab, repository) -> None:
    branch = lab.branch("exp/a", {"train.py": "branch\n", "net.py": "branch\n"})
    main, blobs = of_main(repository, "train.py")
    made = compose(repository, branch, blobs, like=main)
    assert repository.read_file(made, "train.py") == "main\n"
    assert repository.read_file(made, "net.py") == "branch\n"
    assert lab.git("rev-parse", f"{made}^").strip() == branch


def test_the_same_two_always_give_the_same_commit(lab, repository) -> None:
    branch = lab.branch("exp/a", {"train.py": "branch\n"})
    main, blobs = of_main(repository, "train.py")
    assert compose(repository, branch, blobs, like=main) == compose(
        repository, branch, blobs, like=main
    )


def test_a_branch_that_has_the_file_already_is_left_as_it_is(lab, repository) -> None:
    branch = lab.branch("exp/a", {"net.py": "branch\n"})
    main, blobs = of_main(repository, "train.py")
    assert compose(repository, branch, blobs, like=main) == branch


def test_a_file_that_the_branch_has_not_is_put_in_with_its_mode(lab, repository) -> None:
    lab.git("update-index", "--chmod=+x", "train.py")
    lab.git("commit", "-q", "-m", "executable")
    branch = lab.branch("exp/a", {"net.py": "branch\n"})
    lab.git("switch", "-q", "exp/a")
    lab.git("rm", "-q", "-f", "train.py")
    lab.git("commit", "-q", "-m", "gone")
    branch = lab.git("rev-parse", "HEAD").strip()
    main, blobs = of_main(repository, "train.py")
    made = compose(repository, branch, blobs, like=main)
    assert lab.git("ls-tree", made, "train.py").startswith("100755 blob")


def test_neither_refs_nor_index_nor_work_tree_are_touched(lab, repository) -> None:
    branch = lab.branch("exp/a", {"train.py": "branch\n"})
    before = lab.git("for-each-ref"), lab.git("status", "--porcelain"), lab.git("ls-files", "-s")
    main, blobs = of_main(repository, "train.py")
    compose(repository, branch, blobs, like=main)
    assert before == (
        lab.git("for-each-ref"),
        lab.git("status", "--porcelain"),
        lab.git("ls-files", "-s"),
    )


def test_folders_links_and_what_is_not_there_are_no_files(lab, repository) -> None:
    (lab.root / "link.py").symlink_to("train.py")
    lab.commit({"pkg/a.py": "1\n"})
    lab.git("add", "link.py")
    lab.git("commit", "-q", "-m", "link")
    assert set(of_main(repository, "pkg", "link.py", "nowhere.py", "pkg/a.py", "--epochs")[1]) == {
        "pkg/a.py"
    }


def test_a_folder_in_the_files_place_is_said(lab, repository) -> None:
    lab.git("switch", "-q", "-c", "exp/a")
    lab.git("rm", "-q", "train.py")
    lab.commit({"train.py/__init__.py": "\n"})
    branch = lab.git("rev-parse", "HEAD").strip()
    main, blobs = of_main(repository, "train.py")
    with pytest.raises(RepositoryError, match=r"stands where main's train\.py belongs"):
        compose(repository, branch, blobs, like=main)
