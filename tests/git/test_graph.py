import itertools
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branchlab.domain import Drift
from branchlab.git.graph import read_graph
from branchlab.git.repository import Repository

_batch = itertools.count()


@st.composite
def histories(draw):
    """Draw the parents of each commit by number: roots, lines, merges, octopuses, criss-crosses."""
    num = draw(st.integers(2, 14))
    history = [[]]
    for n in range(1, num):
        near = st.integers(max(0, n - 5), n - 1)
        anywhere = st.integers(0, n - 1)
        parents = st.lists(near | anywhere, min_size=0, max_size=3, unique=True)
        is_root = draw(st.integers(0, 9)) == 0
        history.append([] if is_root else draw(parents) or [n - 1])
    return history


def build(lab, history):
    """Write the history in one process and return the commit ids."""
    batch = next(_batch)
    lines = []
    for n, parents in enumerate(history):
        ref = f"refs/heads/h{batch}/{n}"
        lines.append(f"reset {ref}\n\ncommit {ref}\nmark :{n + 1}\n")
        lines.append(f"committer A <a@b> {1_700_000_000 + n * 7 % 5} +0000\ndata <<E\n{batch}\nE\n")
        lines += [f"{'from' if i == 0 else 'merge'} :{p + 1}\n" for i, p in enumerate(parents)]
        lines.append(f"M 100644 inline f{batch}\ndata <<E\n{n}\nE\n\n")
    lab.git("fast-import", "--quiet", "--force", stdin="".join(lines).encode())
    out = lab.git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/heads/h{batch}")
    ids = dict(line.split() for line in out.splitlines())
    return [ids[f"refs/heads/h{batch}/{n}"] for n in range(len(history))]


def asked_of_git(lab, tip, other):
    counts = lab.git("rev-list", "--left-right", "--count", f"{tip}...{other}").split()
    bases = subprocess.run(
        ["git", "-C", str(lab.root), "merge-base", "--all", tip, other],
        capture_output=True,
        text=True,
        check=False,  # 1 when there is none
    )
    return int(counts[0]), int(counts[1]), set(bases.stdout.split())


@given(histories(), st.data())
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_drift_agrees_with_git_on_random_histories(shared_lab, history, data):
    ids = build(shared_lab, history)
    number = st.integers(0, len(ids) - 1)
    main = ids[data.draw(number)]
    reference = ids[data.draw(number)]
    tips = [ids[n] for n in data.draw(st.lists(number, min_size=1, max_size=3, unique=True))]
    repository = Repository(shared_lab.root, shared_lab.root / ".git")
    graph = read_graph(repository, tips, main=main, reference=reference)
    for tip in tips:
        for other, drift in ((main, graph.drift(tip)), (reference, graph.reference_drift(tip))):
            left, right, bases = asked_of_git(shared_lab, tip, other)
            assert (drift.ahead, drift.behind) == (left, right)
            assert drift.merge_base in (bases or {None})
            if other == main:
                assert set(graph.bases(tip)) == bases


def test_a_line_of_commits_counts_both_ways(lab):
    base = lab.git("rev-parse", "main")
    tip = lab.branch("exp/a", {"a.py": "1"})
    lab.commit({"b.py": "1"})
    main = lab.commit({"c.py": "1"})
    graph = read_graph(lab.repository, [tip], main=main, reference=base)
    assert (graph.drift(tip), graph.reference_drift(tip)) == (
        Drift(merge_base=base, ahead=1, behind=2),
        Drift(merge_base=base, ahead=1, behind=0),
    )


def test_an_unrelated_history_has_no_merge_base(lab):
    lab.git("checkout", "--quiet", "--orphan", "exp/other")
    tip = lab.commit({"z.py": "1"}, "orphan")
    main = lab.git("rev-parse", "main")
    graph = read_graph(lab.repository, [tip], main=main)
    assert graph.drift(tip) == Drift(merge_base=None, ahead=1, behind=1)
    assert graph.reference_drift(tip) is None


def test_a_criss_cross_has_two_merge_bases(lab):
    left = lab.branch("left", {"l.py": "1"})
    right = lab.branch("right", {"r.py": "1"})
    lab.git("checkout", "--quiet", "left")
    lab.git("merge", "--quiet", "--no-edit", "right")
    lab.git("checkout", "--quiet", "right")
    lab.git("merge", "--quiet", "--no-edit", left)
    a, b = lab.git("rev-parse", "left"), lab.git("rev-parse", "right")
    graph = read_graph(lab.repository, [b], main=a)
    assert set(graph.bases(b)) == {left, right}
    assert graph.drift(b).merge_base in {left, right}
    assert (graph.drift(b).ahead, graph.drift(b).behind) == (1, 1)


def test_a_reference_with_commits_of_its_own_is_counted(lab):
    base = lab.git("rev-parse", "main")
    reference = lab.branch("original", {"pin.txt": "1"})
    lab.commit({"b.py": "1"})
    tip = lab.branch("exp/a", {"a.py": "1"})
    on_reference = lab.branch("exp/b", {"c.py": "1"}, start="original")
    main = lab.git("rev-parse", "main")
    graph = read_graph(lab.repository, [tip, on_reference], main=main, reference=reference)
    assert graph.reference_drift(tip) == Drift(merge_base=base, ahead=2, behind=1)
    assert graph.reference_drift(on_reference) == Drift(merge_base=reference, ahead=1, behind=0)


@pytest.mark.parametrize("name", ["--all", "main"])
def test_only_ids_are_walked(lab, name):
    with pytest.raises(ValueError, match="not a full object id"):
        read_graph(lab.repository, [name], main=lab.git("rev-parse", "main"))
