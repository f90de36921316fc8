"""Notes, the map and the journal, on real branches with recorded runs."""

from __future__ import annotations

import pytest

from branchlab.domain import Fate, Freshness, Relation, Scale
from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.journal import Happening, journal
from branchlab.lab.new_exp import new_experiment
from branchlab.lab.note import note
from branchlab.lab.relations import experiment_map
from branchlab.lab.retire import retire
from branchlab.lab.status import status
from branchlab.written import parse_notes

BUILDS, RELATES, CONTRADICTS = Relation.BUILDS_ON, Relation.RELATES, Relation.CONTRADICTS


def start(repo, *names, **more):
    for name in names:
        new_experiment(repo.open(), name, with_worktree=False, **more)


def texts(repo, where, name="a"):
    file = repo.git("show", f"{where}:experiments/{name}.toml")
    return [one.text for one in parse_notes(file, where="f")]


def told(repo, *names):
    return [(e.what, e.experiment, e.text) for e in journal(repo.open(), names).entries]


def test_a_note_is_a_commit_on_the_branch_and_nothing_else_moves(repo):
    start(repo, "a", "b")
    before = repo.fingerprint()
    made = note(repo.open(), "a", " learned ", relations=[(RELATES, "exp/b"), (RELATES, "b")])
    after = repo.fingerprint()
    assert texts(repo, "exp/a") == ["learned"]
    assert made.note.relations == ((RELATES, "b"),)
    assert repo.git("rev-parse", "exp/a").strip() == made.commit
    assert {name for name in before if before[name] != after[name]} == {"refs"}


def test_a_note_leaves_results_known_and_current(repo):
    start(repo, "a", flags={"squeeze": True})
    repo.run(names=("a",))
    note(repo.open(), "a", "learned")
    prepared, _ = repo.run(names=("a",))
    assert not prepared.plan.to_start
    (branch,) = status(repo.open()).branches
    assert (branch.freshness, branch.num_done) == (Freshness.CURRENT, 2)


def test_a_branch_that_is_checked_out_moves_with_its_work_tree(repo):
    start(repo, "a")
    repo.git("switch", "--quiet", "exp/a")
    (repo.root / "tiny/task.py").write_text("half a thought")
    note(repo.open(), "a", "learned")
    assert "learned" in (repo.root / "experiments/a.toml").read_text()
    assert (repo.root / "tiny/task.py").read_text() == "half a thought"
    assert repo.git("status", "--porcelain").split() == ["M", "tiny/task.py"]


def test_a_file_that_is_being_edited_is_not_written_over(repo):
    start(repo, "a")
    repo.git("switch", "--quiet", "exp/a")
    (repo.root / "experiments/a.toml").write_text("title = 'in the middle of'\n")
    before = repo.fingerprint()
    with pytest.raises(RepositoryError, match="cannot move there"):
        note(repo.open(), "a", "learned")
    assert repo.fingerprint() == before


def test_a_branch_without_a_file_gets_one(repo):
    repo.branch("exp/a", {"x.py": "x = 1\n"})
    note(repo.open(), "a", "learned")
    assert texts(repo, "exp/a") == ["learned"]


def test_what_is_told_of_an_experiment_whose_branch_is_gone_is_kept(repo):
    start(repo, "a")
    repo.git("branch", "--quiet", "-D", "exp/a")
    note(repo.open(), "a", "one")
    note(repo.open(), "exp/a", "two", drops=True)
    (node,) = experiment_map(repo.open()).nodes
    assert (node.name, node.fate, node.reason, node.num_notes) == ("a", Fate.DROPPED, "two", 2)
    repo.git("gc", "--quiet", "--prune=now")
    assert [what for what, *_ in told(repo)] == [
        Happening.CREATED, Happening.NOTE, Happening.DROPPED,
    ]  # fmt: skip


def test_of_a_landed_experiment_main_has_the_notes(repo):
    start(repo, "a")
    note(repo.open(), "a", "on the branch")
    repo.git("merge", "--quiet", "--no-ff", "exp/a", "-m", "merge")
    repo.git("branch", "--quiet", "-D", "exp/a")
    note(repo.open(), "a", "on main")
    assert texts(repo, "main") == ["on the branch", "on main"]
    assert (repo.root / "experiments/a.toml").read_text().count("[[notes]]") == 2
    assert experiment_map(repo.open()).nodes[0].fate is Fate.LANDED


def test_notes_of_branch_and_main_are_told_once(repo):
    start(repo, "a")
    note(repo.open(), "a", "shared")
    repo.git("merge", "--quiet", "--no-ff", "exp/a", "-m", "merge")
    note(repo.open(), "a", "later")
    said = [text for what, _, text in told(repo) if what is Happening.NOTE]
    assert sorted(said) == ["later", "shared"]


@pytest.mark.parametrize(
    ("name", "text", "relations", "said"),
    [
        ("c", "x", [], "there is no experiment 'c'"),
        ("a", "x", [(RELATES, "c")], "there is no experiment 'c'"),
        ("a", "x", [(CONTRADICTS, "exp/a")], "a contradicts itself"),
        ("a", "  ", [], "has 0 characters"),
        ("main", "x", [], "there is no experiment 'main'"),
    ],
)
def test_what_cannot_be_noted_changes_nothing(repo, name, text, relations, said):
    start(repo, "a", "b")
    before = repo.fingerprint()
    with pytest.raises((RepositoryError, ConfigError), match=said):
        note(repo.open(), name, text, relations=relations)
    assert repo.fingerprint() == before


def test_a_rebase_under_way_is_left_alone(repo):
    start(repo, "a")
    repo.git("switch", "--quiet", "exp/a")
    repo.commit({"tiny/task.py": "one\n"})
    repo.git("switch", "--quiet", "main")
    repo.commit({"tiny/task.py": "two\n"})
    repo.git("switch", "--quiet", "exp/a")
    with pytest.raises(AssertionError):
        repo.git("rebase", "main")
    with pytest.raises(RepositoryError, match="a rebase of exp/a is under way"):
        note(repo.open(), "a", "learned")


def test_the_map_grows_from_bases_and_is_crossed_by_notes(repo):
    start(repo, "a", "b")
    start(repo, "c", base="exp/a")
    note(repo.open(), "b", "the other way round", relations=[(CONTRADICTS, "c"), (BUILDS, "c")])
    found = experiment_map(repo.open())
    assert {node.name: node.parent for node in found.nodes} == {"a": "", "c": "a", "b": "c"}
    assert [node.name for node in found.nodes] == ["a", "c", "b"]
    assert {(e.source, e.relation, e.target) for e in found.edges} == {
        ("c", BUILDS, "a"), ("b", CONTRADICTS, "c"), ("b", BUILDS, "c"),
    }  # fmt: skip
    only = experiment_map(repo.open(), ["a"])
    assert {node.name for node in only.nodes} == {"a", "c"}


def test_experiments_that_build_on_each_other_in_a_circle_are_drawn_all_the_same(repo):
    start(repo, "a", "b")
    note(repo.open(), "a", "x", relations=[(BUILDS, "b")])
    note(repo.open(), "b", "x", relations=[(BUILDS, "a")])
    found = experiment_map(repo.open())
    assert {node.name for node in found.nodes} == {"a", "b"}
    assert sum(node.parent == "" for node in found.nodes) == 1


def test_the_journal_tells_verdicts_as_they_were(repo):
    start(repo, "a", flags={"squeeze": True})
    repo.run(names=("a",))
    found = journal(repo.open(), ["a"]).entries
    assert [entry.what for entry in found] == [Happening.CREATED, Happening.RAN, Happening.VERDICT]
    assert len(found[1].runs) == 2
    assert found[2].verdict is not None
    assert found[2].verdict.seeds == 2
    at_first = found[2].text
    repo.git("switch", "--quiet", "exp/a")
    repo.commit({"tiny/task.py": (repo.root / "tiny/task.py").read_text() + "\n# later\n"})
    repo.git("switch", "--quiet", "main")
    again = [e.text for e in journal(repo.open(), ["a"]).entries if e.what is Happening.VERDICT]
    assert again == [at_first]


def test_past_verdicts_that_are_kept_are_those_that_were_judged(repo, record):
    for number, branch in enumerate(("main", "exp/a", "exp/b")):
        record(branch, (0.8 + number / 20, 0.81 + number / 20), batch=branch)
    first = journal(repo.open()).entries
    assert any(entry.what is Happening.VERDICT for entry in first)
    assert journal(repo.open()).entries == first
    soon = journal(repo.open(), with_verdicts=False).entries
    assert soon == tuple(entry for entry in first if entry.what is not Happening.VERDICT)
    record("exp/b", (0.95,), first=2, batch="later")
    record("main", (0.80,), first=2, batch="later")
    again = journal(repo.open()).entries
    assert [e for e in again if e.what is Happening.VERDICT][:2] == [
        e for e in first if e.what is Happening.VERDICT
    ][:2]


def test_a_failed_idea_is_in_the_journal_with_its_reason(repo):
    start(repo, "a")
    repo.git("switch", "--quiet", "exp/a")
    repo.commit({"tiny/task.py": "raise ValueError('no such layer')\n"})
    repo.git("switch", "--quiet", "main")
    repo.run(names=("a",), seeds=1)
    (ran,) = [text for what, _, text in told(repo, "a") if what is Happening.RAN]
    assert "1 failed (" in ran
    assert "no such layer" in ran


def test_what_was_given_up_is_left_out_of_a_run_of_all_and_may_be_retired(repo):
    start(repo, "a", "b")
    note(repo.open(), "a", "no gain", drops=True)
    session = repo.session(is_all=True, seeds=1)
    prepared = session.prepare()
    session.close()
    # b trains what main trains, so that main's run stands for it.
    assert {planned.run.branch for planned in prepared.plan.runs} == {"main"}
    assert any("exp/a was given up (no gain)" in said for said in prepared.notes)
    with pytest.raises(RepositoryError, match="not in main"):
        retire(repo.open(), "b")
    retire(repo.open(), "a")
    assert Happening.RETIRED in [what for what, *_ in told(repo, "a")]
    assert "given up: no gain" in repo.git("tag", "-n9", "archive/a")


def test_a_damaged_description_keeps_no_other_branch_from_running(repo):
    start(repo, "a")
    repo.git("switch", "--quiet", "exp/a")
    repo.commit({"experiments/a.toml": "title = "})
    repo.git("switch", "--quiet", "main")
    session = repo.session(is_all=True, seeds=1)
    prepared = session.prepare()
    session.close()
    assert {planned.run.branch for planned in prepared.plan.runs} == {"main"}
    assert any("exp/a is left out: exp/a:experiments/a.toml" in said for said in prepared.notes)
    named = repo.session(names=("a",), seeds=1)
    with pytest.raises(ConfigError, match="not TOML"):
        named.prepare()
    named.close()


def test_an_idea_can_be_taken_up_again(repo):
    start(repo, "a")
    note(repo.open(), "a", "no gain", drops=True)
    assert status(repo.open()).branches[0].given_up == "no gain"
    note(repo.open(), "a", "a gain with more width", drops=False)
    assert status(repo.open()).branches[0].given_up == ""


def test_a_projects_own_file_in_that_folder_is_no_experiment(repo):
    repo.commit({"experiments/resnet.toml": "lr = 0.1\n"})
    start(repo, "a")
    assert [node.name for node in experiment_map(repo.open()).nodes] == ["a"]


def test_a_damaged_file_is_complained_of_and_hides_no_other(repo):
    start(repo, "a", "b")
    repo.git("switch", "--quiet", "exp/a")
    repo.commit({"experiments/a.toml": "title = "})
    repo.git("switch", "--quiet", "main")
    found = experiment_map(repo.open())
    assert {node.name for node in found.nodes} == {"a", "b"}
    assert any("experiments/a.toml" in said for said in found.complaints)
    with pytest.raises(ConfigError, match="not TOML"):
        note(repo.open(), "a", "learned")


def test_a_run_of_main_with_flags_is_no_baseline_of_the_journal(repo):
    start(repo, "a", flags={"pause": 0.001})
    repo.run(names=("a",))
    told_before = [text for what, _, text in told(repo, "a") if what is Happening.VERDICT]
    repo.run(names=("main",), flags={"squeeze": True})
    told_after = [text for what, _, text in told(repo, "a") if what is Happening.VERDICT]
    assert told_after == told_before


def test_the_journal_tells_verdicts_of_both_scales(repo):
    start(repo, "a", flags={"squeeze": True})
    repo.run(names=("a",))
    repo.run(names=("a",), is_full=True)
    found = [entry.verdict for entry in journal(repo.open(), ["a"]).entries]
    assert [one.scale for one in found if one is not None] == [Scale.SAMPLE, Scale.FULL]


def test_the_name_of_an_experiment_that_is_gone_is_not_taken_while_it_has_notes(repo):
    start(repo, "a", "b")
    note(repo.open(), "a", "no gain", drops=True)
    for name in ("a", "b"):
        repo.git("branch", "--quiet", "-D", f"exp/{name}")
    with pytest.raises(RepositoryError, match="there was an experiment 'exp/a'") as refused:
        start(repo, "a")
    assert told(repo, "a")[-1] == (Happening.DROPPED, "a", "no gain")
    start(repo, "b")  # it has left nothing behind
    repo.git(*refused.value.hint.partition("git ")[2].split())
    assert texts(repo, "exp/a") == ["no gain"]
