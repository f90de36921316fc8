from branchlab.analysis.landing import landing
from branchlab.domain import Landed
from branchlab.git.repository import Repository
from branchlab.git.standing import Survey, overview


def look(lab, *, reference="original", pinned="", measured=(), declared=()):
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
    return overview(repository, survey, rule=landing)


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
