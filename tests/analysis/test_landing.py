import pytest

from branchlab.analysis.landing import landed
from branchlab.domain import Landed


def judge(changed, main=None, *, since=5, num_own=2, is_on_chain=False):
    return landed(
        num_own=num_own, is_on_chain=is_on_chain, changed=changed, main=main or {}, since=since
    )


def test_a_tip_that_main_was_never_at_but_contains_is_merged():
    assert judge({}, num_own=0) is Landed.MERGED


def test_a_fresh_branch_has_nothing_to_land():
    assert judge({}, num_own=0, is_on_chain=True) is Landed.NO


def test_what_git_cannot_count_is_unknown():
    assert judge({}, num_own=None) is Landed.UNKNOWN


def test_every_path_held_at_one_place_is_squashed_though_main_moved_on():
    main = {"a": [(3, "0"), (6, "A"), (9, "later")], "b": [(6, "B")]}
    assert judge({"a": "A", "b": "B"}, main) is Landed.SQUASHED


def test_paths_held_at_different_places_are_not():
    main = {"a": [(6, "A"), (7, "other")], "b": [(8, "B")]}
    assert judge({"a": "A", "b": "B"}, main) is Landed.NO


def test_what_main_held_before_the_merge_base_does_not_count():
    main = {"a": [(2, "A"), (4, "base")]}
    assert judge({"a": "A"}, main) is Landed.NO


def test_content_that_came_back_counts_again():
    main = {"a": [(2, "A"), (4, "base"), (8, "A"), (9, "base")], "b": [(8, "B")]}
    assert judge({"a": "A", "b": "B"}, main) is Landed.SQUASHED


def test_a_deletion_lands_as_a_deletion():
    assert judge({"a": None}, {"a": [(6, None)]}) is Landed.SQUASHED
    assert judge({"a": None}, {"a": [(6, "A")]}) is Landed.NO


@pytest.mark.parametrize("main", [{}, {"b": [(6, "B")]}])
def test_a_path_that_main_never_touched_has_not_landed(main):
    assert judge({"a": "A"}, main) is Landed.NO


def test_a_branch_without_net_change_has_not_landed():
    assert judge({}) is Landed.NO
