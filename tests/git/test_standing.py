import os
import shutil

import pytest

from branchlab.analysis.landing import landing
from branchlab.domain import Landed, Pin
from branchlab.git.repository import Repository
from branchlab.git.standing import Survey, overview


def look(lab, *, reference="original", pinned="", measured=(), declared=(), memo=None):
    repository = lab if isinstance(lab, Repository) else lab.repository
    refs = repository.refs()
    remote = [branch for branch in refs.only_remote() if branch.own_name.startswith("exp/")]
    survey = Survey(
        refs=refs,
        main=refs.local["main"],
        reference=refs.local.get(reference),
        branches=[b for b in refs.local.values() if b.name.startswith("exp/")] + remote,
        pinned=pinned,
        measured=dict(measured),
        declared_bases=dict(declared),
    )
    return overview(repository, survey, rule=landing, memo=memo)


def standing(lab, name, **more):
    return next(s for s in look(lab, **more).standings if s.branch.name == name)


def squash(lab, name):
    lab.git("merge", "--quiet", "--squash", name)
    return lab.commit(message=f"squash {name}")


def test_an_overview_joins_main_reference_and_experiments(lab):
    lab.git("branch", "original")
    first = lab.git("rev-parse", "main")
    tip = lab.branch("exp/a", {"model.py": "branch"})
    main = lab.commit({"model.py": "main"})
    seen = look(lab, pinned=first)
    assert seen.main.tip == main
    assert (seen.reference.name, seen.reference.tip, seen.reference.is_moved) == (
        "original",
        first,
        False,
    )
    assert (seen.reference.main_ahead, seen.reference.main_behind) == (1, 0)
    (only,) = seen.standings
    assert (only.branch.name, only.branch.tip, only.base_branch) == ("exp/a", tip, "main")
    assert (only.main.merge_base, only.main.ahead, only.main.behind) == (first, 1, 1)
    assert (only.reference.ahead, only.reference.behind) == (1, 0)
    assert (only.landed, only.landed_commits, only.conflicts) == (Landed.NO, 0, ("model.py",))


def test_a_moved_reference_is_said(lab):
    pinned = lab.git("rev-parse", "main")
    lab.branch("original", {"x.py": "1"})
    assert look(lab, pinned=pinned).reference.is_moved


def test_a_missing_reference_is_none(lab):
    lab.branch("exp/a", {"a.py": "1"})
    seen = look(lab, reference="original")
    assert seen.reference is None
    assert seen.standings[0].reference is None


def test_a_squashed_branch_has_landed_though_main_moved_on(lab):
    lab.branch("exp/a", {"model.py": "branch", "docs/README": None})
    lab.git("checkout", "--quiet", "exp/a")
    lab.commit({"extra.py": "x"})
    lab.git("checkout", "--quiet", "main")
    lab.commit({"other.py": "1"})
    squash(lab, "exp/a")
    lab.commit({"model.py": "later", "other.py": "2"})
    found = standing(lab, "exp/a")
    assert (found.landed, found.landed_commits) == (Landed.SQUASHED, 2)


def test_a_branch_squashed_onto_a_main_that_had_changed_the_same_file_has_landed(lab):
    body = [f"line {n}" for n in range(40)]
    lab.commit({"model.py": "\n".join(body)})
    lab.branch("exp/a", {"model.py": "\n".join([*body[:30], "the idea", *body[30:]])})
    lab.commit({"model.py": "\n".join(["main's own", *body])})
    squash(lab, "exp/a")
    lab.commit({"model.py": "rewritten"})
    assert standing(lab, "exp/a").landed is Landed.SQUASHED


def test_another_change_of_the_same_file_on_main_is_no_landing(lab):
    body = [f"line {n}" for n in range(40)]
    lab.commit({"model.py": "\n".join(body)})
    lab.branch("exp/a", {"model.py": "\n".join([*body[:30], "the idea", *body[30:]])})
    lab.commit({"model.py": "\n".join([*body[:30], "another idea", *body[30:]])})
    assert standing(lab, "exp/a").landed is Landed.NO


def test_half_of_a_commit_on_main_has_not_landed(lab):
    lab.branch("exp/a", {"model.py": "branch", "extra.py": "x"})
    lab.commit({"extra.py": "x"})
    assert standing(lab, "exp/a").landed is Landed.NO


def test_a_merged_branch_counts_what_its_merge_brought(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.git("checkout", "--quiet", "exp/a")
    lab.commit({"a.py": "2"})
    lab.git("checkout", "--quiet", "main")
    lab.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/a")
    found = standing(lab, "exp/a")
    assert (found.landed, found.landed_commits, found.conflicts) == (Landed.MERGED, 2, ())
    assert (found.main.ahead, found.main.behind) == (0, 1)


def test_a_fresh_branch_has_not_landed(lab):
    lab.git("branch", "exp/now")
    lab.git("branch", "exp/then")
    lab.commit({"a.py": "1"})
    for name in ("exp/now", "exp/then"):
        assert standing(lab, name).landed is Landed.NO
        assert standing(lab, name).conflicts == ()


def test_a_branch_goes_on_after_its_merge(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/a")
    lab.git("checkout", "--quiet", "exp/a")
    lab.commit({"a.py": "2"})
    found = standing(lab, "exp/a")
    assert (found.landed, found.main.ahead, found.conflicts) == (Landed.NO, 1, ())


def test_a_branch_that_took_main_in_is_measured_from_there(lab):
    lab.branch("exp/a", {"a.py": "1"})
    synced = lab.commit({"model.py": "main"})
    lab.git("checkout", "--quiet", "exp/a")
    lab.git("merge", "--quiet", "--no-edit", "main")
    lab.git("checkout", "--quiet", "main")
    lab.commit({"train.py": "main"})
    found = standing(lab, "exp/a")
    assert (found.main.merge_base, found.main.ahead, found.main.behind) == (synced, 2, 1)
    squash(lab, "exp/a")
    assert standing(lab, "exp/a").landed is Landed.SQUASHED


def test_a_stack_names_the_closest_branch_below(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.branch("exp/b", {"b.py": "1"}, start="exp/a")
    lab.branch("exp/c", {"c.py": "1"}, start="exp/b")
    lab.git("branch", "exp/twin", "exp/c")
    bases = {s.branch.name: s.base_branch for s in look(lab).standings}
    assert bases == {"exp/a": "main", "exp/b": "exp/a", "exp/c": "exp/b", "exp/twin": "exp/b"}


def test_an_unrelated_branch_is_shown_with_what_is_known(lab):
    lab.git("checkout", "--quiet", "--orphan", "exp/other")
    lab.commit({"z.py": "1"}, "orphan")
    found = standing(lab, "exp/other")
    assert (found.main.merge_base, found.landed, found.conflicts) == (None, Landed.NO, None)


def test_a_shallow_clone_claims_nothing(lab, tmp_path):
    lab.git("branch", "original")
    lab.branch("exp/a", {"a.py": "1"})
    lab.commit({"b.py": "1"})
    url = f"file://{lab.root}"
    lab.git("clone", "-q", "--depth=1", "--no-single-branch", url, str(tmp_path / "s"))
    for name in ("exp/a", "original"):
        lab.git("branch", name, f"origin/{name}", cwd=tmp_path / "s")
    seen = look(Repository.find(tmp_path / "s"))
    (found,) = seen.standings
    assert (found.landed, found.conflicts, found.main.ahead) == (Landed.UNKNOWN, None, None)
    assert seen.reference.main_ahead is None


def test_looking_changes_nothing_in_the_repository(lab):
    lab.branch("exp/a", {"model.py": "branch"})
    lab.commit({"model.py": "main"})
    before = {p: p.stat().st_mtime_ns for p in (lab.root / ".git").rglob("*") if p.is_file()}
    look(lab)
    after = {p: p.stat().st_mtime_ns for p in (lab.root / ".git").rglob("*") if p.is_file()}
    assert after == before


def test_no_experiments_is_no_standings(lab):
    assert look(lab).standings == ()


def test_a_stack_counts_what_is_its_own(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.branch("exp/b", {"b.py": "1"}, start="exp/a")
    lab.git("checkout", "--quiet", "exp/b")
    lab.commit({"b.py": "2"})
    lab.git("checkout", "--quiet", "main")
    found = standing(lab, "exp/b")
    assert (found.base_branch, found.num_own, found.main.ahead) == ("exp/a", 2, 3)
    assert not found.is_base_moved
    assert standing(lab, "exp/a").num_own == 1


def test_a_base_that_went_on_is_still_the_base_and_said_to_have_moved(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.branch("exp/b", {"b.py": "1"}, start="exp/a")
    lab.git("checkout", "--quiet", "exp/a")
    lab.commit({"a.py": "2"})
    lab.git("checkout", "--quiet", "main")
    found = standing(lab, "exp/b", declared={"exp/b": "exp/a"})
    assert (found.base_branch, found.is_base_moved, found.num_own) == ("exp/a", True, 1)
    assert standing(lab, "exp/b").base_branch == "main"


def test_a_base_that_was_rewritten_is_known_by_where_the_branch_began(lab):
    old = lab.branch("exp/a", {"a.py": "1"})
    lab.branch("exp/b", {"b.py": "1"}, start="exp/a")
    lab.git("update-ref", "refs/branchlab/base/exp/b", old)
    lab.git("checkout", "--quiet", "exp/a")
    lab.git("commit", "--quiet", "--amend", "-m", "again")
    lab.git("checkout", "--quiet", "main")
    found = standing(lab, "exp/b", declared={"exp/b": "exp/a"})
    assert (found.base_branch, found.is_base_moved, found.num_own) == ("exp/a", True, 1)


def test_a_declared_base_that_the_branch_has_left_is_no_base(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.branch("exp/b", {"b.py": "1"})
    assert standing(lab, "exp/b", declared={"exp/b": "exp/a"}).base_branch == "main"


def test_a_criss_cross_says_how_many_merge_bases_there_are(lab):
    lab.branch("exp/a", {"a.py": "1"})
    tip = lab.commit({"b.py": "1"})
    lab.git("merge", "--quiet", "--no-edit", "exp/a")
    lab.git("checkout", "--quiet", "exp/a")
    lab.git("merge", "--quiet", "--no-edit", tip)
    lab.commit({"a.py": "2"})
    lab.git("checkout", "--quiet", "main")
    found = standing(lab, "exp/a")
    assert (found.num_merge_bases, found.main.ahead, found.main.behind) == (2, 2, 1)


def test_the_age_of_the_merge_base_is_its_commit_s(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.commit({"b.py": "1"})
    found = standing(lab, "exp/a")
    seconds = lab.git("log", "-1", "--format=%ct", "main~1")
    assert found.merge_base_at.timestamp() == int(seconds)


def cloned(lab, folder):
    lab.git("clone", "--quiet", str(lab.root), str(folder))
    return Repository.find(folder)


def test_a_branch_is_held_against_its_upstream(lab, tmp_path):
    lab.branch("exp/a", {"a.py": "1"})
    clone = cloned(lab, tmp_path / "clone")
    lab.git("checkout", "--quiet", "exp/a", cwd=clone.root)
    (clone.root / "mine.py").write_text("1")
    lab.git("add", "mine.py", cwd=clone.root)
    lab.git("commit", "--quiet", "-m", "mine", cwd=clone.root)
    lab.git("checkout", "--quiet", "exp/a")
    for number in range(2):
        lab.commit({"theirs.py": f"{number}"})
    lab.git("fetch", "--quiet", cwd=clone.root)
    found = standing(clone, "exp/a").counterpart
    assert (found.name, found.ahead, found.behind, found.is_gone) == ("origin/exp/a", 1, 2, False)
    lab.git("update-ref", "-d", "refs/remotes/origin/exp/a", cwd=clone.root)
    assert standing(clone, "exp/a").counterpart.is_gone


def test_a_branch_that_lives_only_on_a_remote_stands_like_any_other(lab, tmp_path):
    lab.branch("exp/a", {"a.py": "1"})
    lab.commit({"b.py": "1"})
    found = standing(cloned(lab, tmp_path / "clone"), "origin/exp/a")
    assert (found.branch.remote, found.main.ahead, found.main.behind) == ("origin", 1, 1)
    assert found.conflicts == ()


def test_results_are_counted_back_to_the_commit_that_they_measured(lab):
    measured = lab.branch("exp/a", {"a.py": "1"})
    lab.git("checkout", "--quiet", "exp/a")
    for number in range(2):
        lab.commit({"a.py": f"more {number}"})
    rewritten = lab.git("rev-parse", "HEAD")
    lab.git("commit", "--quiet", "--amend", "-m", "again")
    lab.git("checkout", "--quiet", "main")
    assert standing(lab, "exp/a", measured={"exp/a": measured}).results_behind == 2
    assert standing(lab, "exp/a", measured={"exp/a": rewritten}).results_behind is None
    assert standing(lab, "exp/a", measured={"exp/a": "0" * 40}).results_behind is None


def test_what_has_become_of_the_pin_is_said(lab):
    first = lab.git("rev-parse", "main")
    second = lab.branch("original", {"x.py": "1"})
    lab.commit({"y.py": "1"})
    assert look(lab, pinned=second).reference.pin is Pin.INTACT
    assert look(lab, pinned=first).reference.pin is Pin.ADVANCED
    assert look(lab).reference.pin is Pin.UNPINNED
    assert look(lab, pinned="0" * 40).reference.pin is Pin.REPLACED
    lab.git("branch", "-f", "original", first)
    lab.git("branch", "keep", second)
    assert look(lab, pinned=second).reference.pin is Pin.REWOUND
    lab.git("branch", "-f", "original", "main")
    found = look(lab, pinned=second).reference
    assert (found.pin, found.is_moved) == (Pin.REPLACED, True)


def test_how_main_has_departed_from_the_reference_is_counted_in_files_and_lines(lab):
    lab.git("branch", "original")
    text = (lab.root / "model.py").read_text()
    lab.commit({"model.py": text + "more\n", "train.py": None})
    found = look(lab).reference.departure
    assert (found.num_files, found.num_insertions, found.num_deletions) == (2, 1, 20)
    lab.git("branch", "-f", "original", "main")
    assert look(lab).reference.departure.num_files == 0


def test_replaced_and_grafted_commits_are_seen_as_they_were_made(lab):
    lab.branch("exp/a", {"a.py": "1"})
    lab.commit({"b.py": "1"})
    before = standing(lab, "exp/a").main
    other = lab.git("commit-tree", "-m", "other", "main^{tree}")
    lab.git("replace", "main", other)
    (lab.root / ".git/info").mkdir(exist_ok=True)
    (lab.root / ".git/info/grafts").write_text(f"{lab.git('rev-parse', 'exp/a')}\n")
    assert standing(lab, "exp/a").main == before


VERBS = {
    *("for-each-ref", "rev-list", "worktree", "rev-parse", "diff-tree", "merge-tree"),
    *("patch-id", "log", "cat-file"),
}


class Memory(dict):
    """A memo in memory that counts what is asked for in vain."""

    def get(self, kind, keys):
        return {key: self[kind, key] for key in keys if (kind, key) in self}

    def put(self, kind, items):
        self.update({(kind, key): value for key, value in items.items()})


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A log of every git command that is started."""
    log = tmp_path / "asked"
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {shutil.which("git")} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    return log


def test_a_second_look_asks_git_for_nothing_but_refs_graph_and_work_trees(lab, asked):
    lab.branch("exp/a", {"model.py": "branch"})
    lab.branch("exp/b", {"b.py": "1"})
    squash(lab, "exp/b")
    lab.commit({"model.py": "main"})
    memo = Memory()
    first = look(lab, memo=memo)
    kept = dict(memo)
    assert "diff-tree" in asked.read_text()
    repository = lab.repository
    asked.unlink()
    assert look(repository, memo=memo) == first
    verbs = [next(w for w in line.split() if w in VERBS) for line in asked.read_text().splitlines()]
    assert verbs == ["for-each-ref", "rev-list", "worktree"]
    assert memo == kept


def test_what_is_unknown_is_asked_again(lab):
    lab.git("checkout", "--quiet", "--orphan", "exp/other")
    lab.commit({"z.py": "1"}, "orphan")
    lab.git("checkout", "--quiet", "main")
    memo = Memory()
    look(lab, memo=memo)
    assert not [key for kind, key in memo if kind.startswith("content")]
