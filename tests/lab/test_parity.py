from __future__ import annotations

import pytest

from branchlab.domain import MergeBack, ParityStatus
from branchlab.errors import ConfigError, RepositoryError
from branchlab.lab.all_ready import prove_all_ready
from branchlab.lab.parity import ParityRequest, prove_parity
from branchlab.lab.status import status
from tests.lab.conftest import CONFIG, TASK

FLAGGED = TASK.replace("squeeze: bool = False,", "squeeze: bool = False, wide: bool = False,").replace(
    "self.squeeze, self.pause = squeeze, pause", "self.squeeze, self.pause, self.wide = squeeze, pause, wide"
).replace(
    "    def augment", "    def loss(self, outputs, batch):\n        found = super().loss(outputs, batch)\n"
    "        return 2 * found if self.wide else found\n\n    def augment"
)  # fmt: skip
UNGUARDED = TASK.replace("lr=0.02", "lr=0.03")
SWITCHED = 'title = "Wide"\nflags = { wide = true }\n'


def parity(repo, name: str, **request):
    return prove_parity(repo.open(), name, ParityRequest(**request), executor=repo.executor)


def test_a_guarded_branch_is_neutral_off_and_trains_like_itself_on(repo) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    before = repo.fingerprint()

    found = parity(repo, "wide")

    assert (found.off.status, found.on.status) == (ParityStatus.NEUTRAL, ParityStatus.NEUTRAL)
    assert found.off.steps == found.on.steps == 4
    assert found.holds
    assert repo.fingerprint() == before


def test_an_unguarded_branch_differs_and_has_nothing_to_switch_on(repo) -> None:
    repo.branch("exp/fast", {"tiny/task.py": UNGUARDED})

    found = parity(repo, "fast")

    assert found.off.status is ParityStatus.DIFFERS
    assert found.off.first_difference is not None
    assert found.off.first_difference.where == "recipe.lr"
    assert found.on.status is ParityStatus.NOT_RUN
    assert "switches nothing on" in found.on.reason
    assert not found.holds


def test_the_merge_is_with_todays_main(repo) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    repo.commit(
        {
            "tiny/task.py": TASK.replace("import time\n", "import time\n\n# slower\n").replace(
                "nn.Linear(64, 2,", "nn.Linear(64, 2, "
            )
        }
    )

    found = parity(repo, "wide")

    assert found.main == repo.git("rev-parse", "main").strip()
    assert found.off.status is ParityStatus.NEUTRAL
    assert found.on.status is ParityStatus.NEUTRAL


def test_a_conflict_is_said_and_nothing_is_trained(repo) -> None:
    repo.branch("exp/fast", {"tiny/task.py": UNGUARDED})
    repo.commit({"tiny/task.py": TASK.replace("lr=0.02", "lr=0.04")})

    found = parity(repo, "fast")

    assert found.off.status is ParityStatus.NOT_RUN
    assert "conflicts in tiny/task.py" in found.off.reason
    assert not found.holds


def test_flags_that_change_nothing_are_said(repo) -> None:
    dead = TASK.replace("squeeze: bool = False,", "squeeze: bool = False, wide: bool = False,")
    repo.branch("exp/dead", {"tiny/task.py": dead, "experiments/dead.toml": SWITCHED})

    assert "wide changes nothing" in parity(repo, "dead").on.reason


def test_a_branch_that_does_not_train_is_a_difference_and_main_that_does_not_is_none(repo) -> None:
    broken = TASK.replace("nn.Flatten()", "nn.Flattened()")
    repo.branch("exp/broken", {"tiny/task.py": broken})
    repo.branch("exp/mended", {"tiny/task.py": FLAGGED})

    found = parity(repo, "broken")
    assert found.off.first_difference is not None
    assert "AttributeError" in found.off.first_difference.reason
    assert "tiny/task.py:" in found.off.first_difference.where

    repo.commit({"tiny/other.py": "", "tiny/task.py": broken})
    found = parity(repo, "broken")
    assert found.off.status is ParityStatus.NOT_RUN
    assert "main itself does not train" in found.off.reason


def test_a_function_that_no_step_ran_is_named(repo) -> None:
    more = "\n\ndef describe(x):\n    return x\n"
    repo.commit({"tiny/task.py": TASK + more})
    changed = FLAGGED + more.replace("return x", "return [x]")
    repo.branch("exp/wide", {"tiny/task.py": changed, "experiments/wide.toml": SWITCHED})

    assert parity(repo, "wide").off.not_exercised == ("tiny/task.py:describe",)


def test_a_main_that_is_never_the_same_is_compared_within_what_it_shows_itself(repo) -> None:
    noisy = TASK.replace(
        "        time.sleep(self.pause)\n        return batch\n",
        "        import os\n        noise = int.from_bytes(os.urandom(4)) / 2**32 * 1e-4\n"
        "        return batch.with_inputs(batch.inputs + noise)\n",
    )
    repo.commit({"tiny/task.py": noisy})
    repo.branch("exp/same", {"tiny/more.py": "MORE = 1\n"})
    repo.branch("exp/fast", {"tiny/task.py": noisy.replace("nn.Linear(64, 2,", "nn.Linear(64, 2 + 0 * 1,").replace("return batch.with_inputs(batch.inputs + noise)", "return batch.with_inputs(2 * batch.inputs + noise)")})  # fmt: skip

    same, fast = parity(repo, "same"), parity(repo, "fast")

    assert same.off.tolerance is not None
    assert 0 < same.off.tolerance < 0.1
    assert "does not give the same bits twice" in same.off.reason
    assert fast.off.status is ParityStatus.DIFFERS
    assert fast.off.first_difference is not None
    assert "main is" in fast.off.first_difference.reason


def test_an_operation_without_a_deterministic_form_is_named(repo) -> None:
    kernel = TASK.replace(
        "        time.sleep(self.pause)\n",
        "        torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]), accumulate=False)\n",
    )
    repo.commit({"tiny/task.py": kernel})
    repo.branch("exp/same", {"tiny/more.py": "MORE = 1\n"})

    found = parity(repo, "same").off

    assert found.status is ParityStatus.NEUTRAL
    assert found.kernels == ("put_",)
    assert found.tolerance == 0
    assert "put_ has no deterministic form here" in found.reason


def test_several_seeds_are_all_compared(repo) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})

    assert parity(repo, "wide", seeds=2, steps=3).holds


def test_what_was_shown_is_in_status_until_a_tip_moves(repo) -> None:
    undecided = FLAGGED.replace(
        "return 2 * found if self.wide else found", "return found * (1 + self.wide)"
    )
    repo.branch("exp/wide", {"tiny/task.py": undecided, "experiments/wide.toml": SWITCHED})
    (before,) = status(repo.open()).branches
    assert before.parity is None

    parity(repo, "wide")

    (after,) = status(repo.open()).branches
    assert after.parity is not None
    assert after.parity.holds
    assert after.merge_back is MergeBack.READY
    repo.commit({"README.md": "moved"})
    (moved,) = status(repo.open()).branches
    assert moved.parity is None


def test_all_ready_branches_are_proved_in_one_tree(repo) -> None:
    other = "def half(x):\n    return x / 2\n"
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    repo.branch("exp/half", {"tiny/half.py": other})
    repo.branch(
        "exp/clash",
        {
            "tiny/task.py": FLAGGED.replace("wide", "tall"),
            "experiments/clash.toml": SWITCHED.replace("wide", "tall"),
        },
    )
    repo.branch("exp/fast", {"tiny/task.py": UNGUARDED})

    found = prove_all_ready(repo.open(), ParityRequest(), executor=repo.executor)

    assert found.off.status is ParityStatus.NEUTRAL
    assert {"exp/half"} < set(found.branches)
    assert len(found.branches) == 2
    assert [one.reason.split(" beside")[0] for one in found.left_out] == [
        "conflicts in tiny/task.py"
    ]
    assert found.together is not None
    assert found.together.failure == ""
    assert found.together.steps == 4
    assert not found.holds  # one was left out


def test_main_and_unknown_branches_and_no_steps_are_refused(repo) -> None:
    with pytest.raises(RepositoryError, match="is main itself"):
        parity(repo, "main")
    with pytest.raises(RepositoryError, match="no branch 'nothing'"):
        parity(repo, "nothing")
    with pytest.raises(ConfigError, match="--steps 0"):
        parity(repo, "main", steps=0)
    with pytest.raises(RepositoryError, match="no branch is ready"):
        prove_all_ready(repo.open(), ParityRequest(), executor=repo.executor)


def test_nothing_is_left_behind(repo) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    num_objects = repo.git("count-objects")

    parity(repo, "wide")

    assert repo.git("count-objects") == num_objects
    assert list((repo.root / ".branchlab" / "parity").iterdir()) == []


def test_a_recording_that_is_known_is_not_made_again(repo, monkeypatch) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    first = parity(repo, "wide")
    monkeypatch.setattr(repo.executor, "start", lambda order: pytest.fail(f"started {order}"))

    assert parity(repo, "wide") == first


def test_a_damaged_memo_is_trained_again(repo) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": SWITCHED})
    parity(repo, "wide")
    (repo.root / ".branchlab" / "memo.sqlite").write_bytes(b"not a database")

    assert parity(repo, "wide").holds


def test_no_task_is_said(repo) -> None:
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED})
    (repo.root / ".branchlab.toml").write_text(CONFIG.replace('task = "tiny.task:Tiny"', ""))

    with pytest.raises(ConfigError, match="task is not set"):
        parity(repo, "wide")


def test_a_guard_whose_model_conflicts_with_main_has_nothing_to_be_held_against(repo) -> None:
    repo.branch("exp/fast", {"tiny/task.py": UNGUARDED})
    guarded = FLAGGED.replace("lr=0.02", "lr=0.04")
    repo.commit({"tiny/task.py": TASK.replace("lr=0.02", "lr=0.04")})
    repo.branch("guard/fast", {"tiny/task.py": guarded, "experiments/fast.toml": SWITCHED})

    found = parity(repo, "guard/fast")

    assert found.off.status is ParityStatus.NEUTRAL
    assert found.on.status is ParityStatus.NOT_RUN
    assert "exp/fast conflicts with main" in found.on.reason
    assert not found.holds


def test_a_guard_trains_like_the_branch_that_it_was_made_from(repo) -> None:
    changed = TASK.replace("pause: float = 0.0", "pause: float = 1e-9")
    repo.branch("exp/slow", {"tiny/task.py": changed})
    repo.branch("guard/slow", {"tiny/task.py": FLAGGED, "experiments/slow.toml": 'flags = { pause = 1e-9 }\n'})  # fmt: skip

    assert parity(repo, "guard/slow").holds


def test_flags_that_the_task_does_not_take_are_no_proof(repo) -> None:
    misspelt = SWITCHED.replace("wide = true", "wiide = true")
    repo.branch("exp/wide", {"tiny/task.py": FLAGGED, "experiments/wide.toml": misspelt})

    found = parity(repo, "wide")

    assert found.on.status is ParityStatus.NOT_RUN
    assert "takes no argument 'wiide'" in found.on.reason
    assert not found.holds


def test_a_test_set_that_changes_is_seen_although_no_step_touches_it(repo) -> None:
    splits = "return branchlab.Splits(train=e(inputs[:32], targets[:32]), val=e(inputs[32:], targets[32:])"
    assert splits in TASK
    tested = TASK.replace(splits, f"{splits}, test=e(inputs[40:], targets[40:])")
    repo.commit({"tiny/task.py": tested})
    repo.branch("exp/untested", {"tiny/task.py": TASK})

    first = parity(repo, "untested").off.first_difference

    assert first is not None
    assert first.where.startswith("data(): test")


def test_a_default_without_a_text_of_its_own_is_the_same_default(repo) -> None:
    odd = "UNSET = object()\n" + TASK.replace(
        "squeeze: bool = False,", "squeeze: bool = False, odd=UNSET,"
    )
    repo.commit({"tiny/task.py": odd})
    repo.branch("exp/same", {"tiny/more.py": "MORE = 1\n"})

    assert parity(repo, "same").off.status is ParityStatus.NEUTRAL


def test_data_that_was_made_anew_since_main_was_recorded_is_no_difference(repo) -> None:
    reading = TASK.replace(
        "inputs = torch.randint(",
        "source.manual_seed(int((Path(__file__).parents[1] / 'data' / 'seed').read_text()))\n        inputs = torch.randint(",
    )
    (repo.root / ".branchlab.toml").write_text(
        CONFIG.replace("seeds = 2", 'seeds = 2\nshare = ["data"]')
    )
    (repo.root / "data").mkdir()
    (repo.root / "data" / "seed").write_text("1")
    repo.commit({"tiny/task.py": reading})
    repo.branch("exp/one", {"tiny/more.py": "MORE = 1\n"})
    repo.branch("exp/two", {"tiny/more.py": "MORE = 2\n"})
    assert parity(repo, "one").off.status is ParityStatus.NEUTRAL

    (repo.root / "data" / "seed").write_text("2")

    found = parity(repo, "two").off
    assert (found.status, found.tolerance) == (ParityStatus.NEUTRAL, None)


def test_a_main_whose_data_is_never_the_same_is_compared_within_what_it_shows_itself(repo) -> None:
    drawn = TASK.replace(
        "source = torch.Generator().manual_seed(0)", "source = torch.Generator(); source.seed()"
    )
    repo.commit({"tiny/task.py": drawn})
    repo.branch("exp/same", {"tiny/more.py": "MORE = 1\n"})

    found = parity(repo, "same").off

    assert found.tolerance is not None
    assert found.first_difference is None or found.first_difference.stage in {"loss", "validation"}
