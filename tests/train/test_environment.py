from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from branchlab.domain import Origin, Run, Sample, Scale
from branchlab.run_folder import Attempt
from branchlab.train.environment import environment_document, record_environment
from branchlab.train.installed import installed, normalised

RUN = Run(
    id="r", key="k", branch="exp/se", commit="c" * 40, tree="t" * 40, task="m:T", seed=0,
    scale=Scale.FULL, sample=Sample(fraction=1.0),
    origin=Origin(command=("branchlab", "run"), checked_out="main", dirty=("a.py",)),
)  # fmt: skip


def put(folder: Path, name: str, direct_url: object = None) -> None:
    (folder / name).mkdir(parents=True)
    if direct_url is not None:
        (folder / name / "direct_url.json").write_text(json.dumps(direct_url))


def test_the_packages_are_those_that_importlib_finds() -> None:
    import sys

    found = {package.name: package.version for package in installed(sys.path).packages}
    told: dict[str, str] = {}
    for one in metadata.distributions():
        told.setdefault(normalised(one.name), one.version)
    assert found == told


def test_what_is_installed_later_is_seen(tmp_path: Path) -> None:
    put(tmp_path, "a_b-1.0.dist-info")
    before = installed([str(tmp_path)])
    put(tmp_path, "later-2.0.dist-info")
    os.utime(
        tmp_path, ns=(1, 1)
    )  # the clock of a file system may stand still for some milliseconds
    after = installed([str(tmp_path)])
    assert [p.pin for p in before.packages] == ["a-b==1.0"]
    assert [p.pin for p in after.packages] == ["a-b==1.0", "later==2.0"]
    assert before.digest != after.digest


def test_the_first_of_a_name_counts_as_for_an_import(tmp_path: Path) -> None:
    put(tmp_path / "one", "a-1.0.dist-info")
    put(tmp_path / "two", "A-2.0.dist-info")
    put(tmp_path / "two", "old-0.1-py3.11.egg-info")
    folders = [str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "nowhere")]
    assert [p.pin for p in installed(folders).packages] == ["a==1.0", "old==0.1"]


def test_where_a_package_came_from_is_recorded_without_the_password_of_its_url(tmp_path) -> None:
    secret = "https://ada:hunter2@host/repo.git"
    put(tmp_path, "vcs-1.dist-info", {"url": secret, "vcs_info": {"vcs": "git", "commit_id": "c1"}})
    put(tmp_path, "here-1.dist-info", {"url": "file:///x", "dir_info": {"editable": True}})
    put(tmp_path, "torn-1.dist-info", ["no", "object"])
    document = installed([str(tmp_path)]).document()
    assert document["elsewhere"] == {
        "here": {"url": "file:///x", "commit": "", "is_editable": True},
        "vcs": {"url": "git+https://host/repo.git", "commit": "c1", "is_editable": False},
    }
    assert "hunter2" not in json.dumps(document)


def test_only_variables_that_hold_no_secret_are_recorded(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("WANDB_API_KEY", "hunter2")
    monkeypatch.setenv("SOME_TOKEN", "hunter3")
    document = environment_document(RUN)
    assert document["variables"]["OMP_NUM_THREADS"] == "1"
    assert "hunter" not in json.dumps(document)


def test_the_document_names_versions_machine_and_how_the_run_was_planned(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    record_environment(RUN, attempt)
    found = attempt.read_environment()
    assert found is not None
    assert attempt.environment_digest() == found["digest"]
    assert found["torch"]["version"]
    assert found["python"]["executable"]
    assert found["cpu"]["cores"] >= found["cpu"]["usable"] >= 1
    assert found["git"]["dirty"] == ["a.py"]
    assert found["git"]["commit"] == found["git"]["trained"] == "c" * 40
    assert found["command"] == ["branchlab", "run"]


def test_a_run_by_mains_script_names_the_commit_that_it_trained_beside_the_branchs() -> None:
    found = environment_document(replace(RUN, code="d" * 40))["git"]
    assert (found["commit"], found["trained"]) == ("c" * 40, "d" * 40)


def test_a_disk_that_takes_nothing_fails_no_run_here(tmp_path: Path) -> None:
    gone = Attempt(tmp_path / "nowhere")
    record_environment(RUN, gone)
    assert gone.read_environment() is None
    assert gone.environment_digest() == ""


def test_a_torn_document_counts_as_not_recorded(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path)
    attempt.environment.write_text('{"digest": "ab12", "pyt')
    assert attempt.read_environment() is None
    assert attempt.environment_digest() == "ab12"
