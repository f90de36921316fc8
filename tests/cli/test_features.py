"""``branchlab features`` as a user or a script calls it."""

from __future__ import annotations

import json
from typing import Any

KEYS = {
    *("id", "verdict", "kind", "symbol", "path", "line", "flag", "default", "reason", "also_on"),
}
OFF = """
def scale(x, factor=1.0, square=False):
    if square:
        x = x * x
    return x * factor
"""
PLAIN = """
def scale(x, factor=1.0):
    return x * factor
"""


def branches(done: Any) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {one["name"]: one for one in json.loads(done.stdout)["branches"]}


def lab(project: Any) -> Any:
    project.commit({"tiny/ops.py": PLAIN}, "ops")
    for name in ("exp/square", "exp/square-too"):
        project.branch(name, {"tiny/ops.py": OFF})
    project.branch("exp/faster", {"tiny/ops.py": PLAIN.replace("1.0", "2.0")})
    return project


def test_every_experiment_branch_keeps_the_contract(project: Any) -> None:
    found = branches(lab(project).branchlab("features", "--json"))
    assert set(found) >= {"exp/square", "exp/faster", "exp/wide", "exp/clash"}
    for one in found.values():
        assert set(one) >= {"name", "base", "merge_back", "features"}
        assert all(set(feature) >= KEYS for feature in one["features"])
    (square,) = found["exp/square"]["features"]
    assert (square["verdict"], square["flag"], square["default"]) == ("guarded", "square", "False")
    assert found["exp/square"]["merge_back"] == "ready"
    assert found["exp/faster"]["merge_back"] == "needs-flag"


def test_the_same_feature_on_two_branches_says_so_on_both(project: Any) -> None:
    found = branches(lab(project).branchlab("features", "square", "--json"))
    assert list(found) == ["exp/square"]
    assert found["exp/square"]["features"][0]["also_on"] == ["exp/square-too"]


def test_a_branch_whose_content_is_in_main_has_landed(project: Any) -> None:
    found = branches(project.branchlab("features", "squashed", "--json"))
    assert found["exp/squashed"]["merge_back"] == "landed"
    assert {one["verdict"] for one in found["exp/squashed"]["features"]} == {"landed"}


def test_people_get_a_table_and_the_next_action(project: Any) -> None:
    done = lab(project).branchlab("features", "square", "faster")
    assert "exp/square  ready: may go back to main" in done.stdout
    assert "VERDICT" in done.stdout
    assert "square=False" in done.stdout
    assert "the default of 'factor' was 1.0 and is now 2.0" in done.stdout


def test_any_two_revisions_of_any_repository_are_compared_without_a_config(
    empty_repository: Any,
) -> None:
    empty_repository.commit({"ops.py": PLAIN})
    empty_repository.commit({"ops.py": OFF})
    done = empty_repository.branchlab("features", "--base", "HEAD~1", "--head", "main", "--json")
    (one,) = branches(done).values()
    assert one["name"] == "main"
    assert one["merge_back"] == "ready"


def test_equal_revisions_bring_nothing(empty_repository: Any) -> None:
    empty_repository.commit({"ops.py": PLAIN})
    done = empty_repository.branchlab("features", "--base", "HEAD", "--head", "HEAD", "--json")
    (one,) = branches(done).values()
    assert (one["merge_back"], one["features"]) == ("nothing", [])


def test_a_history_of_its_own_has_nothing_to_be_compared_with(project: Any) -> None:
    project.git("switch", "-q", "--orphan", "exp/alien")
    project.commit({"x.py": "x = 1\n"})
    project.git("switch", "-q", "main")
    one = branches(project.branchlab("features", "alien", "--json"))["exp/alien"]
    assert one["base"] is None
    assert "no history in common" in one["problem"]


def test_what_is_wrong_on_the_command_line_is_said_in_one_line(empty_repository: Any) -> None:
    empty_repository.commit({"ops.py": PLAIN})
    for arguments, said in (
        (("--base", "HEAD"), "--head is missing"),
        (("--base", "nowhere", "--head", "HEAD"), "no revision 'nowhere'"),
        ((), ".branchlab.toml"),
    ):
        done = empty_repository.branchlab("features", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_outside_a_repository_it_says_so(tmp_path: Any, empty_repository: Any) -> None:
    done = empty_repository.branchlab("features", "--base", "a", "--head", "b", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_features_main_lists_flags_with_owner_age_and_ripeness(project: Any) -> None:
    project.commit(
        {
            "tiny/ops.py": OFF,
            "experiments/square.toml": 'title = "Square"\nflags = { square = true, forgotten = true }\n',
        },
        "land it",
    )
    done = project.branchlab("features", "main", "--json")
    assert done.returncode == 0, done.stderr
    flags = {one["name"]: one for one in json.loads(done.stdout)["flags"]}
    assert flags["square"]["experiment"] == "square"
    assert flags["square"]["is_off"] is True
    assert flags["square"]["read_in"] == ["tiny/ops.py"]
    assert flags["square"]["ripeness"] == "keep"
    assert flags["square"]["commit"] == project.git("rev-parse", "HEAD")
    assert flags["forgotten"]["ripeness"] == "remove"
    assert "forgotten" in project.branchlab("features", "main").stdout


def test_a_flag_that_every_branch_switches_on_is_ripe_to_be_the_rule(empty_repository: Any) -> None:
    empty_repository.commit(
        {
            ".branchlab.toml": '[trainer]\ntask = "a:B"\n',
            "ops.py": OFF,
            "experiments/square.toml": "flags = { square = true }\n",
        }
    )
    empty_repository.branch("exp/next", {"experiments/next.toml": "flags = { square = true }\n"})
    done = empty_repository.branchlab("features", "main", "--json")
    (flag,) = json.loads(done.stdout)["flags"]
    assert flag["ripeness"] == "make-permanent"
    assert flag["used_by"] == ["exp/next"]
