import pytest

from branchlab.analysis.landing import landing
from branchlab.domain import Landed, Landing, LandingEvidence, Trace


def trace(*made, undone=(), num=1):
    return Trace(num_commits=num, made=made, undone=tuple(undone))


def judge(*commits, squashes=(), own=None, **more):
    num_own = len(commits) if own is None else own
    return landing(LandingEvidence(num_own=num_own, commits=commits, squashes=squashes, **more))


def merged(*commits, whole, num=2):
    return judge(*commits, squashes=[whole], own=0, num_brought=num)


def test_what_git_cannot_count_is_unknown():
    assert landing(LandingEvidence(num_own=None)) == Landing(road=Landed.UNKNOWN)


def test_a_branch_with_no_commit_of_its_own_has_nothing_to_land():
    assert judge(own=0).road is Landed.NO


def test_commits_that_main_has_by_ancestry_are_merged():
    found = merged(trace(4), trace(4), whole=trace(4, num=2))
    assert found == Landing(road=Landed.MERGED, num_commits=2)


@pytest.mark.parametrize(
    ("commits", "whole"),
    [
        ([trace(4), trace(4)], trace(4, undone=[6], num=2)),
        ([trace(4, undone=[7]), trace(4, undone=[6])], trace(4, num=2)),
    ],
)
def test_a_merge_undone_as_a_whole_or_commit_by_commit_is_reverted(commits, whole):
    assert merged(*commits, whole=whole) == Landing(road=Landed.REVERTED, num_commits=2)


def test_a_merge_of_which_one_commit_was_undone_is_still_merged():
    found = merged(trace(4, undone=[6]), trace(4), whole=trace(4, num=2))
    assert found.road is Landed.MERGED


def test_what_was_undone_and_made_again_is_there():
    assert merged(trace(4), whole=trace(4, 9, undone=[6])).road is Landed.MERGED
    singly = [trace(4, undone=[6]), trace(4, undone=[7])]
    assert judge(*singly, squashes=[trace(3, 9, num=2)]).road is Landed.SQUASHED


def test_each_commit_by_itself_is_rebased():
    found = judge(trace(5), trace(6), squashes=[trace(num=2)])
    assert found == Landing(road=Landed.REBASED, num_commits=2)


def test_the_whole_patch_as_one_is_squashed():
    found = judge(trace(), trace(), trace(), squashes=[trace(7, num=3)])
    assert found == Landing(road=Landed.SQUASHED, num_commits=3)


def test_a_single_commit_is_rebased_when_it_kept_its_date_and_squashed_when_not():
    one = {"squashes": [trace(5)]}
    assert judge(trace(5), **one, is_same_author_date=True).road is Landed.REBASED
    assert judge(trace(5), **one).road is Landed.SQUASHED


def test_some_commits_in_main_are_partly_there_and_counted():
    found = judge(trace(5), trace(), trace(8), squashes=[trace(num=3)])
    assert found == Landing(road=Landed.PARTLY, num_commits=2)


def test_a_squash_of_the_first_commits_counts_them_and_what_was_picked_beyond():
    beginnings = [trace(num=1), trace(6, num=2), trace(num=3), trace(num=4)]
    found = judge(trace(), trace(), trace(), trace(9), squashes=beginnings)
    assert found == Landing(road=Landed.PARTLY, num_commits=3)


def test_first_commits_squashed_and_the_rest_picked_are_all_of_it():
    found = judge(
        trace(), trace(), trace(9), squashes=[trace(num=1), trace(6, num=2), trace(num=3)]
    )
    assert found == Landing(road=Landed.SQUASHED, num_commits=3)


def test_a_squash_that_was_undone_is_reverted():
    found = judge(trace(), trace(), squashes=[trace(6, undone=[8], num=2)])
    assert found == Landing(road=Landed.REVERTED, num_commits=2)


def test_a_pick_that_was_undone_does_not_count_as_part():
    assert judge(trace(5, undone=[6]), trace(7)).num_commits == 1
    assert judge(trace(5, undone=[6]), trace()) == Landing(road=Landed.REVERTED, num_commits=1)


def test_a_merge_without_effect_means_that_the_content_is_there():
    found = judge(trace(), trace(), squashes=[trace(num=2)], is_without_effect=True)
    assert found == Landing(road=Landed.SQUASHED, num_commits=2)


def test_commits_that_main_never_made_have_not_landed():
    assert judge(trace(), trace(), squashes=[trace(num=2)]) == Landing(road=Landed.NO)


def test_a_branch_whose_commits_change_nothing_has_not_landed():
    assert judge(own=3).road is Landed.NO
