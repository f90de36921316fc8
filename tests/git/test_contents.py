"""Ids of trees without the descriptions of experiments, held against the ids that git itself gives."""

from __future__ import annotations

import pytest

from branchlab.experiment import Experiment, render_experiment
from branchlab.git.contents import contents
from branchlab.git.memo import Forgetful
from branchlab.store.memo import Memo

DESCRIPTION = render_experiment(Experiment(title="Wider", base="main", flags={"width": 32}))


def content_of(lab, commit="HEAD", memo=None):
    tree = lab.git("rev-parse", f"{commit}^{{tree}}")
    return contents(lab.root, [tree], memo or Forgetful())[tree]


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"experiments/train.py": "x = 1\n"},
        {"experiments/sub/wide.toml": DESCRIPTION},  # not where new-exp writes
        {"experiments/notes.toml": "lr = 0.1\n"},  # a configuration of the project's own
        {"experiments/own.toml": 'title = "a run"\n[flags]\nx = 1\n'},
        {"experiments-2/wide.toml": DESCRIPTION, "experiments.toml": DESCRIPTION},
    ],
)
def test_content_is_the_tree_as_if_experiments_were_not_described(lab, others):
    lab.commit(others)
    without = lab.git("rev-parse", "HEAD^{tree}")
    assert content_of(lab) == without
    lab.commit({"experiments/wide.toml": DESCRIPTION, "experiments/b.toml": DESCRIPTION})
    assert lab.git("rev-parse", "HEAD^{tree}") != without
    assert content_of(lab) == without


def test_another_note_is_no_other_content_and_another_line_of_code_is(lab):
    lab.commit({"experiments/wide.toml": DESCRIPTION})
    before = content_of(lab)
    lab.commit({"experiments/wide.toml": DESCRIPTION + "[[notes]]\ntext = 'slow'\n"})
    assert content_of(lab) == before
    lab.commit({"model.py": "width = 32\n"})
    assert content_of(lab) != before


def test_a_damaged_description_counts_as_content(lab):
    lab.commit({"experiments/wide.toml": DESCRIPTION})
    before = content_of(lab)
    lab.commit({"experiments/wide.toml": "title = "})
    assert content_of(lab) != before


def test_a_link_or_a_module_of_that_name_is_left_alone(lab):
    lab.commit({"wide.toml": DESCRIPTION})
    (lab.root / "experiments").mkdir()
    (lab.root / "experiments" / "wide.toml").symlink_to("../wide.toml")
    lab.git("add", "experiments")
    lab.commit()
    assert content_of(lab) == lab.git("rev-parse", "HEAD^{tree}")


def test_a_missing_tree_stands_for_itself(lab):
    nowhere = "1" * 40
    assert contents(lab.root, [nowhere, ""], Forgetful()) == {nowhere: nowhere}


def test_what_was_found_once_is_kept(lab, monkeypatch):
    lab.commit({"experiments/wide.toml": DESCRIPTION})
    memo = Memo(lab.repository.state)
    first = content_of(lab, memo=memo)
    monkeypatch.setattr("branchlab.git.contents.git", None)  # nothing more is asked
    assert content_of(lab, memo=memo) == first


def test_repositories_of_sha256_have_contents_too(tmp_path, empty_lab):
    empty_lab.git("init", "--quiet", "--object-format=sha256", str(tmp_path / "other"))
    lab = type(empty_lab)(tmp_path / "other", tmp_path / "home")
    lab.commit({"model.py": "x = 1\n"})
    without = lab.git("rev-parse", "HEAD^{tree}")
    lab.commit({"experiments/wide.toml": DESCRIPTION})
    assert content_of(lab) == without


def test_what_a_partial_clone_lacks_is_not_taken_for_no_description(lab):
    lab.commit({"experiments/wide.toml": DESCRIPTION})
    tree = lab.git("rev-parse", "HEAD^{tree}")
    blob = lab.git("rev-parse", "HEAD:experiments/wide.toml")
    file = lab.root / ".git/objects" / blob[:2] / blob[2:]
    memo = Memo(lab.repository.state)
    kept = file.read_bytes()
    file.unlink()
    assert content_of(lab, memo=memo) == tree
    file.write_bytes(kept)
    assert content_of(lab, memo=memo) != tree
