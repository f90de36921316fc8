"""By which road a branch is in main, from the traces that its changes left there.

Of 2,596 squash-merged pull requests whose number main names, ancestry finds none, patch ids of single commits half, of
the whole patch 93%, object ids 95%, and all of them together 98%. So the claim is "the content is in main", not "it
was merged": two people may write the same line.
"""

from __future__ import annotations

from branchlab.domain import Landed, Landing, LandingEvidence


def landing(found: LandingEvidence) -> Landing:
    """Return by which road a branch is in main, and with how many of its commits.

    A branch whose commits main has by ancestry is merged, one whose commits main has each by itself rebased (or
    cherry-picked), one whose patch main made as a whole squashed. What was undone later does not count as there.
    """
    if found.num_own is None:
        return Landing(road=Landed.UNKNOWN)
    if not found.num_own:
        return _merged(found)
    if found.is_without_effect or _num_in_main(found) >= max(1, len(found.commits)):
        return Landing(road=_road(found), num_commits=len(found.commits) or found.num_own)
    num = _num_in_main(found)
    if num:
        return Landing(road=Landed.PARTLY, num_commits=num)
    num = _num_once_made(found)
    return Landing(road=Landed.REVERTED if num else Landed.NO, num_commits=num)


def _merged(found: LandingEvidence) -> Landing:
    if not found.num_brought:
        return Landing(road=Landed.NO)
    is_undone = bool(found.squashes) and not found.squashes[-1].is_in_main
    road = Landed.REVERTED if is_undone or _were_all_undone(found) else Landed.MERGED
    return Landing(road=road, num_commits=found.num_brought)


def _road(found: LandingEvidence) -> Landed:
    is_commit_by_commit = all(trace.is_in_main for trace in found.commits)
    if len(found.commits) == 1:
        # One commit squashed is that commit again: only its date tells.
        is_rebased = is_commit_by_commit and found.is_same_author_date
    else:
        is_rebased = bool(found.commits) and is_commit_by_commit
    return Landed.REBASED if is_rebased else Landed.SQUASHED


def _num_in_main(found: LandingEvidence) -> int:
    """Count the commits that are in main by themselves, or within a squash of the branch's first ones."""
    if _were_all_undone(found):
        return 0
    squashed = max((trace.num_commits for trace in found.squashes if trace.is_in_main), default=0)
    if found.squashes and found.squashes[-1].is_in_main:
        return max(len(found.commits), squashed)
    return squashed + sum(trace.is_in_main for trace in found.commits[squashed:])


def _num_once_made(found: LandingEvidence) -> int:
    whole = max((trace.num_commits for trace in found.squashes if trace.made), default=0)
    return max(whole, sum(bool(trace.made) for trace in found.commits))


def _were_all_undone(found: LandingEvidence) -> bool:
    """Whether main undid every single commit, though nothing undid them as a whole."""
    if not found.commits or any(trace.is_in_main or not trace.undone for trace in found.commits):
        return False
    last = max(place for trace in found.commits for place in trace.undone)
    return all(place <= last for trace in found.squashes for place in trace.made)
