from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchlab.domain import Landed, MergeBack, ParityStatus
from branchlab.errors import RepositoryError
from branchlab.experiment import parse_experiment
from branchlab.lab.drift import drift
from branchlab.lab.evidence import pull_request
from branchlab.lab.merge_back import MergeRequest, Step, merge_back
from branchlab.lab.parity import ParityRequest
from branchlab.lab.retire import retire
from branchlab.lab.status import status
from tests.lab.conftest import CONFIG, TASK, LabRepo
from tests.lab.test_parity import FLAGGED, SWITCHED, UNGUARDED


def merged(repo, name: str = "wide", *, to_main: bool = False):
    request = MergeRequest(name=name, parity=ParityRequest(), to_main=to_main)
    return merge_back(repo.open(), request, executor=repo.executor)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """What earlier tests have trained: recordings are known by content, whatever repository asks for them."""
    return tmp_path_factory.mktemp("trained") / "memo.sqlite"


@pytest.fixture
def remembering(repo, trained) -> Iterator[LabRepo]:
    repo.open().state.create()
    memo = repo.root / ".branchlab" / "memo.sqlite"
    if trained.exists():
        shutil.copy(trained, memo)
    yield repo
    if memo.exists():
        shutil.copy(memo, trained)


@pytest.fixture
def wide(remembering):
    remembering.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    return remembering


def test_a_merge_stands_on_a_branch_of_its_own_with_its_evidence(wide) -> None:
    main, tip = wide.git("rev-parse", "main").strip(), wide.git("rev-parse", "exp/wide").strip()

    found = merged(wide)

    assert found.is_passed
    assert found.made == "merge-back/wide"
    assert [one.step for one in found.steps] == [
        Step.FORECAST,
        Step.FEATURES,
        Step.OFF,
        Step.ON,
        Step.COMMIT,
    ]
    assert wide.git("rev-parse", "main").strip() == main
    assert wide.git("log", "-1", "--format=%P", "merge-back/wide").split() == [main, tip]
    message = wide.git("log", "-1", "--format=%B", "merge-back/wide")
    assert message.startswith("Merge wide, behind wide: Wide\n")
    assert "off-parity: neutral, to the bit, 4 steps" in message
    assert f"Branchlab-Branch: exp/wide {tip}" in message
    landed = parse_experiment(
        wide.git("show", "merge-back/wide:experiments/wide.toml"), where="x"
    ).landed
    assert landed is not None
    assert (landed.branch, landed.tip, landed.onto) == ("exp/wide", tip, main)


def test_main_goes_forward_with_its_work_tree_and_the_experiment_is_landed(wide) -> None:
    found = merged(wide, to_main=True)

    assert found.is_in_main
    assert wide.git("rev-parse", "main").strip() == found.commit
    assert wide.git("status", "--porcelain") == ""
    assert "wide: bool" in (wide.root / "tiny/task.py").read_text()
    (branch,) = status(wide.open()).branches
    assert branch.standing.landed is Landed.MERGED
    assert branch.merge_back is MergeBack.LANDED
    assert "on main behind wide" in branch.notes
    _, last = wide.run(names=["main"], experiment="wide", seeds=1)
    (record,) = [r for r in last.records.values() if r.run.flags]
    assert record.run.flags == {"wide": True}
    assert record.state == "done"


def test_main_that_is_checked_out_nowhere_goes_forward_too(wide) -> None:
    wide.git("switch", "--quiet", "--detach")

    found = merged(wide, to_main=True)

    assert wide.git("rev-parse", "main").strip() == found.commit


@pytest.mark.parametrize(
    ("files", "step", "hint"),
    [
        ({"tiny/task.py": UNGUARDED}, Step.FEATURES, "branchlab guard"),
        ({"tiny/task.py": FLAGGED.replace("wide: bool = False", "wide: bool = True")}, Step.OFF, "let it default to False"),
        ({"tiny/task.py": FLAGGED.replace("return 2 * found if self.wide else found", "return found * (1.5 if self.wide is None else 1 + 1e-6)")}, Step.OFF, ""),
    ],
)  # fmt: skip
def test_a_step_that_fails_leaves_the_repository_exactly_as_it_was(
    remembering, files, step, hint
) -> None:
    remembering.branch("exp/wide", {**files, "experiments/wide.toml": SWITCHED})
    before, num_objects = remembering.fingerprint(), remembering.git("count-objects")

    found = merged(remembering)

    assert found.steps[-1].step is step
    assert not found.is_passed
    assert hint in found.steps[-1].hint
    assert found.commit is None
    assert remembering.fingerprint() == before
    assert remembering.git("count-objects") == num_objects


def test_a_conflict_ends_it_at_the_forecast(wide) -> None:
    wide.commit(
        {
            "tiny/task.py": TASK.replace(
                "squeeze: bool = False", "squeeze: bool = False, deep: bool = False"
            )
        }
    )

    found = merged(wide)

    assert [one.step for one in found.steps] == [Step.FORECAST]
    assert "conflicts in tiny/task.py" in found.steps[0].said


@pytest.mark.parametrize("is_good", [True, False])
def test_the_projects_own_check_runs_on_the_merged_tree(wide, is_good) -> None:
    wide.commit({"main.txt": "here"})
    program = "import pathlib; assert pathlib.Path('main.txt').exists(); assert 'wide' in pathlib.Path('tiny/task.py').read_text()"
    program += "" if is_good else "; print('it is bad'); raise SystemExit(3)"
    config = CONFIG + f'\n[merge_back]\ncheck = ["python", "-c", "{program}"]\n'
    (wide.root / ".branchlab.toml").write_text(config)
    before = wide.fingerprint()

    found = merged(wide)

    check = next(one for one in found.steps if one.step is Step.CHECK)
    assert check.is_passed is is_good
    assert (found.commit is not None) is is_good
    if not is_good:
        assert "it is bad" in check.said
        assert wide.fingerprint() == before


def test_a_merge_that_is_there_already_is_said_before_anything_is_trained(wide) -> None:
    merged(wide)

    with pytest.raises(RepositoryError, match="'merge-back/wide' exists already"):
        merged(wide)


def test_main_that_moves_meanwhile_is_left_and_the_merge_is_undone(wide, monkeypatch) -> None:
    from branchlab.lab import merge_back as module

    made = module.create_branch

    def create_branch(*args: object) -> None:
        made(*args)
        wide.commit({"README.md": "somebody was quicker"})

    monkeypatch.setattr(module, "create_branch", create_branch)

    found = merged(wide, to_main=True)

    assert not found.is_passed
    assert found.steps[-1].said == "main has moved meanwhile"
    assert "merge-back/wide" not in wide.git("branch", "--list", "--all")


def test_a_pull_request_says_how_to_switch_it_on(wide) -> None:
    found = merged(wide)
    assert found.evidence is not None

    title, body = pull_request(found.evidence, made="merge-back/wide", pictures=[])

    assert title == "Merge wide, behind wide: Wide"
    assert "branchlab run main --experiment wide" in body
    assert "| off-parity | neutral, to the bit, 4 steps" in body


def test_drift_is_nothing_while_main_trains_like_the_reference(wide) -> None:
    merged(wide, to_main=True)

    found = drift(wide.open(), ParityRequest(), executor=wide.executor)

    assert found.check.status is ParityStatus.NEUTRAL
    assert found.num_commits == 1
    assert found.culprit is None


def test_drift_names_the_first_commit_that_changed_main(remembering) -> None:
    for number in range(3):
        remembering.commit({"README.md": f"{number}"}, f"Word {number}")
    remembering.commit({"tiny/task.py": UNGUARDED}, "Train faster")
    for number in range(5):
        remembering.commit({"README.md": f"again {number}"}, f"More words {number}")
    remembering.commit(
        {"tiny/task.py": UNGUARDED.replace("batch_size=8", "batch_size=4")}, "Smaller batches"
    )

    found = drift(remembering.open(), ParityRequest(), executor=remembering.executor)

    assert found.check.status is ParityStatus.DIFFERS
    assert found.culprit is not None
    assert found.culprit.subject == "Train faster"
    assert found.culprit.check.first_difference is not None
    assert found.culprit.check.first_difference.where == "recipe.lr"
    assert "on main at" in found.culprit.check.first_difference.reason
    assert found.num_trained < found.num_commits == 10


def test_drift_goes_round_commits_that_do_not_train(remembering) -> None:
    remembering.commit({"tiny/task.py": TASK.replace("nn.Flatten()", "nn.Flattened()")}, "Break it")
    remembering.commit({"tiny/task.py": UNGUARDED}, "Mend it, and train faster")
    remembering.commit({"README.md": "words"}, "Words")

    found = drift(remembering.open(), ParityRequest(), executor=remembering.executor)

    assert found.culprit is not None
    assert found.culprit.subject == "Mend it, and train faster"
    assert len(found.culprit.untold) == 1


def test_a_landed_branch_is_retired_under_a_tag(wide) -> None:
    merged(wide, to_main=True)
    tip = wide.git("rev-parse", "exp/wide").strip()
    place = wide.root.parent / "tree"
    wide.git("worktree", "add", "--quiet", str(place), "exp/wide")
    (place / "notes.txt").write_text("only here")
    with pytest.raises(RepositoryError, match="holds what is saved nowhere: notes"):
        retire(wide.open(), "wide")
    (place / "notes.txt").unlink()
    (place / "data").mkdir()
    (place / "data" / "model.pt").write_text("weights")
    with pytest.raises(RepositoryError, match="data/"):
        retire(wide.open(), "wide")
    (place / "data" / "model.pt").unlink()
    (place / "data").rmdir()
    (place / "data").symlink_to(wide.root)

    found = retire(wide.open(), "wide")

    assert (found.tag, found.tip, found.worktree) == ("archive/wide", tip, place)
    assert not place.exists()
    assert wide.git("rev-parse", "archive/wide^{commit}").strip() == tip
    assert "exp/wide" not in wide.git("branch", "--list")
    assert (wide.root / "tiny").exists()


def test_a_branch_that_is_not_in_main_is_retired_only_by_force(wide) -> None:
    before = wide.fingerprint()
    with pytest.raises(RepositoryError, match="is not in main"):
        retire(wide.open(), "wide")
    assert wide.fingerprint() == before

    assert retire(wide.open(), "wide", is_forced=True).tag == "archive/wide"


def test_what_is_checked_out_here_main_and_the_reference_are_never_retired(wide) -> None:
    wide.git("switch", "--quiet", "exp/wide")
    with pytest.raises(RepositoryError, match="is checked out in"):
        retire(wide.open(), "wide", is_forced=True)
    for name in ("main", "original"):
        with pytest.raises(RepositoryError, match="it is never retired"):
            retire(wide.open(), name, is_forced=True)


def test_a_tag_of_another_commit_is_kept(wide) -> None:
    wide.git("tag", "archive/wide", "main")

    with pytest.raises(RepositoryError, match="the tag 'archive/wide' exists already"):
        retire(wide.open(), "wide", is_forced=True)
    assert "exp/wide" in wide.git("branch", "--list")


def test_what_main_wrote_into_the_experiments_file_stays(wide) -> None:
    wide.git("switch", "--quiet", "main")
    wide.commit({"experiments/wide.toml": SWITCHED})
    wide.git("switch", "--quiet", "exp/wide")
    wide.git("merge", "--quiet", "--no-edit", "main")
    wide.git("switch", "--quiet", "main")
    wide.commit({"experiments/wide.toml": SWITCHED + '\n[[notes]]\ntext = "of main"\n'})

    merged(wide)

    assert 'text = "of main"' in wide.git("show", "merge-back/wide:experiments/wide.toml")


def test_an_uncommitted_change_in_the_way_is_said_before_anything_is_trained(wide) -> None:
    (wide.root / "tiny/task.py").write_text(TASK + "\n# mine\n")

    main = wide.git("rev-parse", "main")
    with pytest.raises(RepositoryError, match="has uncommitted changes"):
        merged(wide, to_main=True)

    assert wide.git("rev-parse", "main") == main
    assert (wide.root / "tiny/task.py").read_text().endswith("# mine\n")


def test_a_retirement_that_fails_leaves_the_work_tree(wide, monkeypatch) -> None:
    place = wide.root.parent / "tree"
    wide.git("worktree", "add", "--quiet", str(place), "exp/wide")
    wide.git(
        "tag", "archive/wide/deeper", "main"
    )  # refs/tags/archive/wide cannot be made beside it
    before = wide.fingerprint()

    with pytest.raises(RepositoryError):
        retire(wide.open(), "wide", is_forced=True)

    assert place.exists()
    assert wide.fingerprint() == before


def test_main_behind_the_reference_is_held_against_it(repo) -> None:
    repo.git("switch", "--quiet", "original")
    repo.commit({"tiny/task.py": UNGUARDED})
    repo.git("switch", "--quiet", "main")

    found = drift(repo.open(), ParityRequest(), executor=repo.executor)

    assert found.check.status is ParityStatus.DIFFERS
    assert (found.num_commits, found.culprit) == (0, None)
