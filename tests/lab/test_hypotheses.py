"""Hypotheses on real git: what stood before the first run, what runs say of it, and what is said before a run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from branchlab.domain import (
    HypothesisState,
    JudgedHypothesis,
    Registration,
    Run,
    RunState,
    Sample,
    Scale,
)
from branchlab.errors import ConfigError, RepositoryError
from branchlab.git.contents import contents
from branchlab.git.memo import Forgetful
from branchlab.lab.branches import all_branches, is_experiment
from branchlab.lab.hypotheses import BranchHypotheses, hypotheses, unrecorded
from branchlab.lab.new_exp import new_experiment
from branchlab.lab.project import Project, open_project
from branchlab.lab.status import status
from branchlab.lab.words import hypotheses_text
from branchlab.run_folder import EventWriter, StateFolder

SUPPORTED, REFUTED = HypothesisState.SUPPORTED, HypothesisState.REFUTED
UNDECIDED, NOT_MEASURED = HypothesisState.UNDECIDED, HypothesisState.NOT_MEASURED
DAMAGED = HypothesisState.DAMAGED
START = datetime(2026, 11, 23, 10, tzinfo=UTC)
GOOD, SAME, BAD = (0.90, 0.91, 0.92), (0.80, 0.81, 0.82), (0.70, 0.71, 0.72)
CONFIG = '[trainer]\ntask = "tiny.task:Tiny"\n'


def text_of(*claims: str, number: int = 1, more: str = "") -> str:
    lines = "".join(f"{key} = '{claim}'\n" for key, claim in zip("abcdef", claims, strict=False))
    return f'[[hypothesis]]\nid = "H{number}"\nclaim = "It sees more."\n{more}[hypothesis.expect]\n{lines}'


@dataclass
class ClaimLab:
    """A repository, and run folders written by hand as finished runs leave them."""

    root: Path
    ticks: int = 0
    runs: list[str] = field(default_factory=list)

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.root, capture_output=True, check=False)
        assert done.returncode == 0, (args, done.stderr)
        return done.stdout.decode().strip()

    def commit(self, files: Mapping[str, str], *, at: str = "main") -> str:
        self.git("switch", "--quiet", at)
        for path, content in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "work")
        tip = self.git("rev-parse", "HEAD")
        self.git("switch", "--quiet", "main")
        return tip

    def experiment(self, name: str, hypothesis: str = "", *, start: str = "main") -> None:
        self.git("branch", f"exp/{name}", start)
        self.claim(name, hypothesis)

    def claim(self, name: str, hypothesis: str, *, head: str = "") -> str:
        content = f'title = "{name}"\n{head}\n{hypothesis}'
        return self.commit({f"experiments/{name}.toml": content}, at=f"exp/{name}")

    def done(
        self,
        branch: str,
        *values: float,
        metric: str = "val/accuracy",
        curves: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> None:
        """Add a finished run a seed; ``curves`` holds a row of values by epoch for every seed."""
        commit, tree = (self.git("rev-parse", f"{branch}{what}") for what in ("", "^{tree}"))
        state = StateFolder(self.root / ".branchlab")
        state.create()
        content = contents(self.root, [tree], Forgetful())[tree]
        for seed, value in enumerate(values):
            self.ticks += 1
            run_id = f"r{self.ticks}"
            run = Run(
                id=run_id, key=run_id, branch=branch, commit=commit, tree=tree, content=content,
                seed=seed,
                task="tiny.task:Tiny", scale=Scale.SAMPLE, sample=Sample(fraction=0.1),
                planned_at=START + timedelta(minutes=self.ticks),
            )  # fmt: skip
            folder = state.run(run_id)
            folder.write_plan(run)
            attempt = folder.attempt(1)
            attempt.path.mkdir(parents=True)
            events = EventWriter(attempt.events)
            rows = {metric: [value], **{n: c[seed] for n, c in (curves or {}).items()}}
            num = max(len(row) for row in rows.values())
            events.write("start", epochs=num, steps=num)
            for epoch in range(1, num + 1):
                found = {n: row[epoch - 1] for n, row in rows.items() if epoch <= len(row)}
                events.write("epoch", epoch=epoch, step=epoch, values=found, images_per_s=1.0)
            attempt.write_result(RunState.DONE, metrics={n: row[-1] for n, row in rows.items()})
            self.git("update-ref", f"refs/branchlab/runs/{run_id}", commit)
            self.runs.append(run_id)

    def project(self) -> Project:
        return open_project(self.root)

    def of(self, name: str) -> BranchHypotheses:
        return hypotheses(self.project(), [name])[0]

    def one(self, name: str, number: int = 0) -> JudgedHypothesis:
        return self.of(name).judged[number]

    def said_before(self) -> list[str]:
        project = self.project()
        index = project.index()
        branches = [b for b in all_branches(project) if is_experiment(project, b)]
        found = unrecorded(project, branches, index, index.runs())
        index.close()
        return list(found)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClaimLab:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "1700000000 +0000")
    root = tmp_path / "project"
    root.mkdir()
    made = ClaimLab(root)
    made.git("init", "--quiet", "-b", "main")
    made.git("commit", "--quiet", "--allow-empty", "-m", "first")
    made.commit({".branchlab.toml": CONFIG, ".gitignore": ".branchlab/\n", "m.py": "w = 1\n"})
    made.git("branch", "original")
    return made


def test_a_hypothesis_is_not_run_then_registered_before_its_runs(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main + 1pt"))
    one = lab.one("se")
    assert (one.state, one.registration) == (NOT_MEASURED, Registration.NOT_RUN)
    assert one.expect[0].sentence == "no run of this branch is done"
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    one = lab.one("se")
    assert (one.state, one.registration) == (SUPPORTED, Registration.BEFORE_RUNS)
    assert one.expect[0].estimate == pytest.approx(0.1)


def test_one_that_is_changed_after_the_first_run_is_post_hoc_and_its_original_is_kept(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main + 15pt"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    assert lab.one("se").state is REFUTED
    lab.claim("se", text_of("val/accuracy > main + 5pt"))
    one = lab.one("se")
    assert (one.state, one.registration) == (SUPPORTED, Registration.POST_HOC)
    assert not lab.of("se").is_of_tip
    assert one.original is not None
    assert one.original.expect == {"a": "val/accuracy > main + 15pt"}
    assert hypotheses_text([one]) == "H1 ✓*"


def test_one_that_is_added_after_the_first_run_is_post_hoc_without_an_original(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    lab.claim("se", text_of("val/accuracy > main") + text_of("val/loss < 9", number=2))
    first, second = lab.of("se").judged
    assert first.registration is Registration.BEFORE_RUNS
    assert (second.registration, second.original) == (Registration.POST_HOC, None)


def test_one_that_is_removed_after_the_first_run_stays_listed_as_withdrawn(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main"))
    lab.done("main", *SAME)
    lab.done("exp/se", *BAD)
    lab.claim("se", "")
    one = lab.one("se")
    assert (one.state, one.registration) == (REFUTED, Registration.WITHDRAWN)
    lab.git(
        "rm", "-q", "--cached", "-r", "--ignore-unmatch", "nothing"
    )  # the branch itself goes on
    lab.git("switch", "--quiet", "exp/se")
    lab.git("rm", "-q", "experiments/se.toml")
    lab.git("commit", "--quiet", "-m", "no file at all")
    lab.git("switch", "--quiet", "main")
    assert lab.one("se").registration is Registration.WITHDRAWN


def test_formatting_comments_and_notes_leave_it_registered(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main + 1pt"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    written = (
        '# thoughts\n[[hypothesis]]\nclaim = "It  sees more."  # still\nid = "H1"\n'
        'expect = { a = "val/accuracy>main+1 pt" }\n\n[[notes]]\ntext = "done"\n'
    )
    lab.claim("se", written, head="idea = 'other'")
    one = lab.one("se")
    assert (one.registration, one.original) == (Registration.BEFORE_RUNS, None)


def test_a_rebase_and_an_amend_keep_it_registered_and_a_rewritten_one_is_found_out(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main + 15pt"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    lab.commit({"n.py": "x = 1\n"})
    lab.git("switch", "--quiet", "exp/se")
    lab.git("rebase", "--quiet", "main")
    lab.git("commit", "--quiet", "--amend", "-m", "other words")
    lab.git("switch", "--quiet", "main")
    lab.git("reflog", "expire", "--expire=now", "--all")
    lab.git("gc", "--quiet", "--prune=now")
    assert lab.one("se").registration is Registration.BEFORE_RUNS
    # Who rewrites history to have claimed something else is held to what the first run's commit says.
    lab.git("switch", "--quiet", "exp/se")
    (lab.root / "experiments/se.toml").write_text(text_of("val/accuracy > main + 5pt"))
    lab.git("commit", "--quiet", "--all", "--amend", "-m", "as if it had always been so")
    lab.git("switch", "--quiet", "main")
    assert lab.one("se").registration is Registration.POST_HOC


def test_a_file_that_could_not_be_read_at_the_first_run_registers_nothing(lab) -> None:
    lab.git("branch", "exp/se")
    lab.commit({"experiments/se.toml": "title = ["}, at="exp/se")
    lab.done("exp/se", *GOOD)
    assert "not TOML" in lab.of("se").problem
    lab.claim("se", text_of("val/accuracy > main"))
    assert lab.one("se").registration is Registration.POST_HOC


def test_damaged_hypotheses_are_shown_with_what_is_wrong_and_the_flags_still_work(lab) -> None:
    lab.experiment("se")
    lab.claim(
        "se",
        text_of("val/accuracy >> main")
        + '[[hypothesis]]\nid = "H2"\nclaim = "c"\nexpects = {}\n'
        + text_of("val/accuracy > main", number=3),
        head="flags = { squeeze = true }",
    )
    lab.done("main", *SAME)
    found = lab.of("se").judged
    assert [one.state for one in found] == [DAMAGED, DAMAGED, NOT_MEASURED]
    assert (found[0].expect[0].column, "one relation" in found[0].expect[0].sentence) == (15, True)
    assert "did you mean 'expect'" in found[1].words
    shown = status(lab.project()).branches[0]
    assert shown.flags == {"squeeze": True}
    assert hypotheses_text(shown.hypotheses) == "H1 ! H2 ! H3 ○"


def test_a_claim_is_held_against_reference_other_experiments_and_other_metrics(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main"))
    lab.experiment(
        "wide",
        text_of(
            "val/accuracy > reference + 1pt",
            "val/accuracy < exp/se",
            'val/accuracy < "se"',
            "val/accuracy > se",
            "val/accuracy > top2 - 20pt",
            'val/accuracy > "gone"',
        ),
    )
    lab.commit({"m.py": "w = 2\n"})
    lab.done("original", *BAD)
    lab.done("main", *SAME)
    lab.done("exp/se", 0.95, 0.96, 0.97)
    lab.done("exp/wide", *GOOD, curves={"top2": [[0.9], [0.9], [0.9]]})
    states = [one.state for one in lab.one("wide").expect]
    assert states == [SUPPORTED, SUPPORTED, SUPPORTED, REFUTED, SUPPORTED, NOT_MEASURED]
    sentences = [one.sentence for one in lab.one("wide").expect]
    assert "against original" in sentences[0]
    assert "against exp/se" in sentences[2]
    assert "against top2" in sentences[4]
    assert "no branch or experiment 'gone'" in sentences[5]


def test_points_of_the_training_are_read_from_the_curves(lab) -> None:
    lab.experiment(
        "se",
        text_of(
            "val/accuracy[best] > main",
            "val/accuracy[epoch=1] within 2pt of main",
            "val/accuracy[mean] > main",
            "entropy decreases",
            "epoch_to(0.85) val/accuracy < main",
            "val/accuracy[epoch=9] > main",
        ),
    )
    low = [[0.50, 0.60, 0.80], [0.51, 0.61, 0.81], [0.52, 0.62, 0.82]]
    high = [[0.50, 0.90, 0.80], [0.51, 0.91, 0.82], [0.52, 0.92, 0.82]]
    falling = [[3.0, 2.0, 1.1], [3.1, 2.0, 1.0], [2.9, 2.1, 1.0]]
    lab.done("main", *SAME, metric="final", curves={"val/accuracy": low})
    lab.done("exp/se", *SAME, metric="final", curves={"val/accuracy": high, "entropy": falling})
    found = lab.one("se").expect
    assert [one.state for one in found[:5]] == [SUPPORTED] * 5
    assert found[0].estimate == pytest.approx(0.1)
    assert found[3].estimate == pytest.approx(-2.95 / 3)
    assert found[4].estimate == pytest.approx(-2.0)  # epoch 2 against 4, one after main's last
    assert "3 runs that never reached it counted as one epoch late" in found[4].sentence
    assert "not recorded at epoch 9" in found[5].sentence


def test_what_computed_the_same_bits_is_decided_by_them(lab) -> None:
    lab.experiment(
        "se", text_of("val/accuracy > main", number=1) + text_of("val/accuracy >= main", number=2)
    )
    losses = {"train/loss": [[0.5], [0.5], [0.5]]}
    for branch in ("main", "exp/se"):
        lab.done(branch, *SAME, curves=losses)
    assert [one.state for one in lab.of("se").judged] == [REFUTED, SUPPORTED]


def test_a_refuted_hypothesis_of_a_better_branch_is_said_in_words(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main + 20pt"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    assert "H1 is refuted and the branch is better than main all the same" in lab.of("se").remark
    assert status(lab.project()).branches[0].remark == lab.of("se").remark


def test_before_a_run_it_says_what_nobody_has_recorded_and_what_cannot_be_read(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main", "attn_entropy decreases", "a >> b"))
    assert lab.said_before() == [
        "exp/se: H1.b needs attn_entropy; log it (Task.metrics, branchlab.log)",
        "exp/se:experiments/se.toml: H1.c cannot be read: 'a >> b': column 4: one relation: > >= < <=",
    ]
    lab.done("main", *SAME, curves={"attn_entropi": [[1.0]] * 3})
    unknown = "which no run has recorded: did you mean"
    log_it = "log it (Task.metrics, branchlab.log)"
    lab.claim("se", text_of("attn_entropy decreases", "val/accuracy[shirt] > main"))
    assert lab.said_before() == [
        f"exp/se: H1.a needs attn_entropy, {unknown} 'attn_entropi'? {log_it}",
        f"exp/se: H1.b needs val/accuracy[shirt], {unknown} 'val/accuracy'? {log_it}",
    ]


def test_results_are_kept_and_a_new_run_or_another_claim_is_judged_anew(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD[:2])
    assert lab.one("se").state is UNDECIDED
    assert lab.one("se") == lab.one("se")
    memo = lab.root / ".branchlab/memo.sqlite"
    memo.write_bytes(b"damaged" * 500)
    assert lab.one("se").state is UNDECIDED
    lab.done("exp/se", *GOOD)
    assert lab.one("se").state is SUPPORTED
    lab.claim("se", text_of("val/accuracy < main"))
    assert lab.one("se").state is REFUTED


def test_a_deleted_branch_keeps_its_hypotheses(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main"))
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    lab.git("branch", "--quiet", "-D", "exp/se")
    assert lab.one("exp/se").state is SUPPORTED
    assert hypotheses(lab.project()) == ()


def test_unknown_branches_are_refused_and_branches_without_a_hypothesis_left_out(lab) -> None:
    lab.experiment("se")
    assert hypotheses(lab.project()) == ()
    assert lab.of("se").judged == ()
    with pytest.raises(RepositoryError, match="no branch 'ze'"):
        hypotheses(lab.project(), ["ze"])


def test_a_new_experiment_that_is_refused_asks_for_no_hypothesis(lab) -> None:
    def ask() -> None:
        raise AssertionError

    lab.experiment("se")
    with pytest.raises(RepositoryError, match="exists already"):
        new_experiment(lab.project(), "se", ask=ask)
    with pytest.raises(ConfigError, match="cannot be an experiment's name"):
        new_experiment(lab.project(), "s e", ask=ask)


def test_a_branch_that_is_main_still_refutes_nothing(lab) -> None:
    claim = 'base = "main"\n'
    lab.git("branch", "exp/new", "main")
    lab.claim("new", text_of("val/accuracy > main + 1pt"), head=claim)
    lab.done("main", *SAME)
    one = lab.one("new")
    assert (one.state, one.registration) == (NOT_MEASURED, Registration.NOT_RUN)
    assert one.expect[0].sentence.startswith("its runs are those of main")


def test_what_has_landed_as_it_was_is_not_refuted_by_itself(lab) -> None:
    lab.experiment("se", text_of("val/accuracy > main + 1pt"))
    lab.commit({"m.py": "w = 2\n"}, at="exp/se")
    lab.done("main", *SAME)
    lab.done("exp/se", *GOOD)
    assert lab.one("se").state is SUPPORTED
    lab.git("merge", "--quiet", "--ff-only", "exp/se")
    assert lab.one("se").state is NOT_MEASURED


def test_a_renamed_branch_is_held_to_what_it_claimed_under_its_old_name(lab) -> None:
    lab.experiment("old", text_of("val/accuracy > main + 15pt"))
    lab.commit({"m.py": "w = 2\n"}, at="exp/old")
    lab.claim("old", text_of("val/accuracy > main + 15pt"), head='base = "main"\n')
    lab.done("main", *SAME)
    lab.done("exp/old", *GOOD)
    lab.git("branch", "-m", "exp/old", "exp/new")
    lab.git("switch", "--quiet", "exp/new")
    lab.git("mv", "experiments/old.toml", "experiments/new.toml")
    lab.git("commit", "--quiet", "-m", "another name")
    lab.git("switch", "--quiet", "main")
    assert lab.one("new").registration is Registration.BEFORE_RUNS
    lab.claim("new", text_of("val/accuracy > main + 5pt"), head='base = "main"\n')
    one = lab.one("new")
    assert (one.state, one.registration) == (SUPPORTED, Registration.POST_HOC)
    assert one.original is not None
