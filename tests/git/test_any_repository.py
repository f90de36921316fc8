"""Every answer held against git's own, on random histories and on any repository: ``BRANCHLAB_TEST_REPO=PATH``.

Slow on purpose: a process a question. Of a large repository a seeded sample of its branches is compared.
"""

import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from branchlab.analysis.landing import landing
from branchlab.domain import Landed
from branchlab.git.refs import HEADS, REMOTES
from branchlab.git.repository import Repository
from branchlab.git.standing import Survey, overview
from branchlab.lab.demo_lab import build_demo_lab
from tests.git.test_landings import ACTIONS, grow

_SAMPLE = 40


def ask(root, *args, ok=(0,)):
    env = {**os.environ, "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *args], cwd=root, capture_output=True, check=False, env=env, stdin=subprocess.DEVNULL
    )  # fmt: skip
    assert done.returncode in ok, (args, done.stderr)
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def survey_of(repository, main, names, reference):
    refs = repository.refs()
    every = {**refs.local, **refs.remote}
    return Survey(
        refs=refs,
        main=every[main],
        reference=every[reference],
        branches=[every[name] for name in names],
    )


def compare(root, main, names, reference):
    """Hold the standing of some branches against git, one process a question."""
    repository = Repository.find(root)
    seen = overview(repository, survey_of(repository, main, names, reference), rule=landing)
    tips = {s.branch.name: s.branch.tip for s in seen.standings}
    chain = set(ask(root, "rev-list", "--first-parent", seen.main.tip).split())
    for found in seen.standings:
        for other, drift in ((seen.main.tip, found.main), (seen.reference.tip, found.reference)):
            check_drift(root, found.branch.tip, other, drift)
        check_forecast(root, seen.main.tip, found)
        check_landing(root, seen.main.tip, chain, found)
        check_base(root, seen.main.tip, tips, found)
    return seen


def check_drift(root, tip, other, drift):
    counts = ask(root, "rev-list", "--left-right", "--count", f"{tip}...{other}").split()
    assert [drift.ahead, drift.behind] == [int(count) for count in counts]
    bases = ask(root, "merge-base", "--all", tip, other, ok=(0, 1)).split()
    assert drift.merge_base in (bases or [None])


def check_forecast(root, main, found):
    if found.main.merge_base is None:
        assert found.conflicts is None
        return
    how = ("--write-tree", "--name-only", "--no-messages")
    if found.conflicts is None:  # a file of either is missing in a partial clone
        ask(root, "merge-tree", *how, main, found.branch.tip, ok=(128,))
        return
    _, *files = ask(root, "merge-tree", *how, main, found.branch.tip, ok=(0, 1)).splitlines()
    assert sorted(found.conflicts) == sorted({file for file in files if file})


def check_landing(root, main, chain, found):
    """A tip in main's history is merged (or fresh, or undone); what ``git cherry`` finds there is there."""
    tip, road = found.branch.tip, found.landed
    if found.main.ahead == 0:
        fresh = {Landed.NO} if tip in chain else set()
        assert road in {Landed.MERGED, Landed.REVERTED} | fresh
        return
    assert road is not Landed.MERGED
    if found.main.merge_base is None:
        return
    lines = ask(root, "cherry", main, tip).splitlines()
    num_there = sum(line.startswith("-") for line in lines)
    if road is Landed.NO:
        assert num_there == 0
    if road is Landed.PARTLY:
        assert found.landed_commits > 0
    if lines and num_there == len(lines) and len(lines) > 1:
        assert road in {Landed.REBASED, Landed.SQUASHED, Landed.REVERTED, Landed.PARTLY}


def check_base(root, main, tips, found):
    """The base branch is the experiment whose tip is the closest below, else main."""
    own = ask(root, "rev-list", "--topo-order", found.branch.tip, f"^{main}").split()
    below = [commit for commit in own[1:] if commit in tips.values()]
    if not below:
        assert found.num_own == len(own)
        return
    assert tips[found.base_branch] in below
    count = ask(root, "rev-list", "--count", f"{tips[found.base_branch]}..{found.branch.tip}")
    assert found.num_own == int(count)


@given(ACTIONS)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_answer_agrees_with_git_on_random_histories(shared_lab, actions):
    names = grow(shared_lab, actions)
    stack, orphan = f"{names[0]}-stacked", f"{names[0]}-orphan"
    shared_lab.git("branch", stack, names[2])
    shared_lab.git("checkout", "--quiet", stack)
    shared_lab.commit({"stacked.py": "1"})
    shared_lab.git("checkout", "--quiet", "--orphan", orphan)
    shared_lab.commit({"orphan.py": "1"})
    shared_lab.git("checkout", "--quiet", "-f", "main")
    compare(shared_lab.root, "main", [*names, stack, orphan], names[1])


@pytest.fixture
def repository(tmp_path):
    """The repository that was named, else the lab of the demo."""
    named = os.environ.get("BRANCHLAB_TEST_REPO")
    return Path(named).resolve() if named else build_demo_lab(tmp_path / "lab")


def test_every_answer_agrees_with_git_on_a_repository_given_by_its_path(repository):
    root = repository
    main = ask(root, "symbolic-ref", "--short", "HEAD")
    refs = ask(root, "for-each-ref", "--format=%(refname)%09%(symref)", HEADS, REMOTES)
    rows = [row.partition("\t") for row in refs.splitlines()]
    names = [ref.removeprefix(HEADS).removeprefix(REMOTES) for ref, _, symref in rows if not symref]
    others = sorted(set(names) - {main})
    assert others, "the repository has no branch besides the one that is checked out"
    chosen = random.Random(0).sample(others, min(_SAMPLE, len(others)))
    seen = compare(root, main, chosen, chosen[0])
    assert len(seen.standings) == len(chosen)
