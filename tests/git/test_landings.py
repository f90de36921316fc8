"""Every road by which a branch's content gets into main, and out of it again, walked with real git."""

import itertools
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branchlab.domain import Landed
from branchlab.git.changes import main_changes, read_diffs
from branchlab.git.graph import read_graph
from branchlab.git.landings import Landings, main_pairs, main_steps, pairs_of, since_of
from branchlab.git.least_merges import History
from branchlab.git.memo import Forgetful
from branchlab.git.repository import Repository
from tests.git.test_standing import squash, standing

LINES = [f"line {n}" for n in range(60)]


def text(**changed):
    return "".join(changed.get(f"l{n}", line) + "\n" for n, line in enumerate(LINES))


@pytest.fixture
def grown(lab):
    """Main with one long file, and a branch of three commits at three places of it; main has moved on elsewhere."""
    lab.commit({"net.py": text(), "loss.py": text()}, "long files")
    lab.git("checkout", "--quiet", "-b", "exp/a")
    lab.commit({"net.py": text(l5="one")}, "one")
    lab.commit({"net.py": text(l5="one", l30="two")}, "two")
    lab.commit({"loss.py": text(l7="three"), "se.py": "class SE: ...\n"}, "three")
    lab.git("checkout", "--quiet", "main")
    lab.commit({"net.py": text(l58="main")}, "main moves")
    return lab


def pick(lab, *commits):
    for commit in commits:
        lab.git("cherry-pick", commit)
    return lab.git("rev-parse", "main")


def revert(lab, commit="HEAD", *how):
    lab.git("revert", "--no-edit", *how, commit)
    return lab.git("rev-parse", "main")


def road(lab, name="exp/a"):
    found = standing(lab, name)
    return found.landed, found.landed_commits


def test_a_branch_picked_commit_by_commit_is_rebased(grown):
    pick(grown, "exp/a~2", "exp/a~1", "exp/a")
    assert road(grown) == (Landed.REBASED, 3)


def test_a_branch_rebased_and_fast_forwarded_is_rebased(grown):
    grown.git("checkout", "--quiet", "-b", "copy", "exp/a")
    grown.git("rebase", "--quiet", "main")
    grown.git("checkout", "--quiet", "main")
    grown.git("merge", "--quiet", "--ff-only", "copy")
    grown.commit({"net.py": "rewritten"})
    assert road(grown) == (Landed.REBASED, 3)


def test_one_picked_commit_is_a_part(grown):
    pick(grown, "exp/a~1")
    assert road(grown) == (Landed.PARTLY, 1)


def test_commits_picked_on_another_branch_that_was_merged_count(grown):
    grown.git("checkout", "--quiet", "-b", "release")
    grown.commit({"release.py": "x"})
    pick(grown, "exp/a~2", "exp/a")
    grown.git("checkout", "--quiet", "main")
    grown.commit({"b.py": "x"})
    grown.git("merge", "--quiet", "--no-ff", "--no-edit", "release")
    assert road(grown) == (Landed.PARTLY, 2)


def test_a_squash_of_the_first_commits_is_a_part_of_two(grown):
    squash(grown, "exp/a~1")
    assert road(grown) == (Landed.PARTLY, 2)


def test_a_squash_with_later_commits_on_main_is_squashed(grown):
    squash(grown, "exp/a")
    grown.commit({"net.py": "rewritten", "se.py": None})
    assert road(grown) == (Landed.SQUASHED, 3)


def test_a_squash_that_brought_more_is_squashed_while_a_merge_would_change_nothing(grown):
    grown.git("merge", "--quiet", "--squash", "exp/a")
    grown.commit({"CHANGES.md": "a\n", "se.py": "class SE: ...\n# touched up\n"})
    grown.commit({"se.py": "class SE: ...\n"})
    grown.commit({"loss.py": text(l7="three", l50="later")})
    assert road(grown) == (Landed.SQUASHED, 3)


@pytest.mark.parametrize("how", [(), ("-m", "1")])
def test_what_landed_as_one_and_was_reverted_is_reverted(grown, how):
    if how:
        grown.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/a")
    else:
        squash(grown, "exp/a")
    grown.commit({"net.py": text(l5="one", l30="two", l58="main", l50="later")})
    revert(grown, "HEAD~1", *how)
    assert road(grown) == (Landed.REVERTED, 3)
    revert(grown)
    assert road(grown) == (Landed.MERGED if how else Landed.SQUASHED, 3)


def test_a_merge_reverted_commit_by_commit_is_reverted(grown):
    tips = [grown.git("rev-parse", name) for name in ("exp/a", "exp/a~1", "exp/a~2")]
    grown.git("merge", "--quiet", "--no-ff", "--no-edit", "exp/a")
    for tip in tips[:2]:
        revert(grown, tip)
    assert road(grown) == (Landed.MERGED, 3)
    revert(grown, tips[2])
    assert road(grown) == (Landed.REVERTED, 3)


def test_picks_of_which_one_was_reverted_are_a_part(grown):
    pick(grown, "exp/a~2", "exp/a~1")
    revert(grown)
    assert road(grown) == (Landed.PARTLY, 1)


def test_a_single_picked_commit_is_rebased_and_a_single_squashed_one_squashed(lab):
    lab.commit({"net.py": text()})
    for name, line in (("exp/picked", "l5"), ("exp/squashed", "l30")):
        lab.branch(name, {"net.py": text(**{line: name})})
    lab.commit({"net.py": text(l58="main")})
    pick(lab, "exp/picked")
    squash(lab, "exp/squashed")
    assert road(lab, "exp/picked") == (Landed.REBASED, 1)
    assert road(lab, "exp/squashed") == (Landed.SQUASHED, 1)


def test_another_binary_file_at_the_same_path_has_not_landed(lab):
    lab.commit({"weights.bin": "\0base"})
    lab.branch("exp/a", {"weights.bin": "\0one"})
    lab.branch("exp/b", {"weights.bin": "\0two"})
    squash(lab, "exp/b")
    lab.commit({"weights.bin": "\0three"})
    assert road(lab, "exp/a") == (Landed.NO, 0)
    assert road(lab, "exp/b") == (Landed.SQUASHED, 1)


def test_a_branch_that_main_was_fast_forwarded_to_is_merged_by_its_reflog(grown):
    grown.git("checkout", "--quiet", "exp/a")
    grown.git("rebase", "--quiet", "main")
    grown.git("checkout", "--quiet", "main")
    grown.git("merge", "--quiet", "--ff-only", "exp/a")
    assert standing(grown, "exp/a").landed is Landed.MERGED
    revert(grown, "exp/a~2..exp/a")
    revert(grown, "exp/a~2")
    assert standing(grown, "exp/a").landed is Landed.REVERTED


def test_a_branch_that_only_followed_main_is_fresh(grown):
    grown.git("branch", "exp/fresh", "main~1")
    grown.git("checkout", "--quiet", "exp/fresh")
    grown.git("merge", "--quiet", "--ff-only", "main")
    grown.git("checkout", "--quiet", "main")
    grown.commit({"b.py": "x"})
    found = standing(grown, "exp/fresh")
    assert (found.landed, found.has_content) == (Landed.NO, False)


def test_a_branch_that_undid_its_work_has_no_content(lab):
    lab.branch("exp/a", {"model.py": "new"})
    lab.git("checkout", "--quiet", "exp/a")
    revert(lab)
    lab.git("checkout", "--quiet", "main")
    lab.commit({"b.py": "x"})
    found = standing(lab, "exp/a")
    assert (found.landed, found.has_content) == (Landed.NO, False)


def test_a_partial_clone_is_judged_by_object_ids_alone(grown, tmp_path):
    squash(grown, "exp/a")
    for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        grown.git("config", key, "true")
    url = f"file://{grown.root}"
    where = tmp_path / "partial"
    grown.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", url, str(where))
    grown.git("update-ref", "refs/heads/exp/a", "origin/exp/a", cwd=where)
    # Nothing can be fetched: whoever reads a file fails.
    grown.git("config", "remote.origin.url", str(tmp_path / "nowhere"), cwd=where)
    found = standing(Repository.find(where), "exp/a")
    assert (found.landed, found.conflicts, found.main.ahead) == (Landed.NO, None, 3)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["pick", "squash", "merge", "rebase"]), st.integers(0, 3)),
        st.tuples(st.sampled_from(["revert", "commit", "rename", "octopus", "orphan"]), st.integers(0, 5)),
    ),
    min_size=2,
    max_size=7,
)  # fmt: skip
_number = itertools.count()


def attempt(lab, *command):
    """Run git; return whether it succeeded, with nothing left under way."""
    before = lab.git("rev-parse", "HEAD")
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b", *command],
        cwd=lab.root, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lab.git("reset", "--quiet", "--hard", before)
        for state in ("CHERRY_PICK_HEAD", "REVERT_HEAD", "MERGE_HEAD", "SQUASH_MSG"):
            (lab.root / ".git" / state).unlink(missing_ok=True)
        subprocess.run(["rm", "-rf", str(lab.root / ".git/sequencer")], check=True)
    return done.returncode == 0


def land(lab, name, how, number):
    match how:
        case "pick":
            attempt(lab, "cherry-pick", f"{name}~{number % 2}")
        case "squash":
            if attempt(lab, "merge", "--squash", "--quiet", name):
                attempt(lab, "commit", "--quiet", "--allow-empty", "-m", f"squash {name}")
        case "merge":
            attempt(lab, "merge", "--quiet", "--no-ff", "--no-edit", name)
        case "rebase":
            attempt(lab, "cherry-pick", f"main..{name}")


def move(lab, names, how, number):
    match how:
        case "revert":
            num = int(lab.git("rev-list", "--count", "--first-parent", "HEAD"))
            commit = f"HEAD~{min(number % 3, num - 1)}"
            is_merge = len(lab.git("rev-list", "--parents", "-1", commit).split()) > 2
            attempt(lab, "revert", "--no-edit", *(("-m", "1") if is_merge else ()), commit)
        case "commit":
            lab.commit({f"f{number % 3}.py": text(**{f"l{40 + number}": f"main {number}"})})
        case "rename":
            attempt(lab, "mv", f"f{number % 3}.py", f"renamed{number}.py")
            attempt(lab, "commit", "--quiet", "--allow-empty", "-m", "rename")
        case "octopus":
            attempt(lab, "merge", "--quiet", "--no-ff", "--no-edit", names[0], names[-1])
        case "orphan":
            tree = lab.git("mktree", stdin=b"")
            root = lab.git("commit-tree", tree, "-m", f"root {number}")
            attempt(lab, "merge", "--quiet", "--no-edit", "--allow-unrelated-histories", root)


def grow(lab, actions):
    """Build three branches and let main do things to them; return their names."""
    prefix = f"p{next(_number)}"
    lab.git("checkout", "--quiet", "--orphan", f"{prefix}/start")
    lab.git("rm", "-rf", "--quiet", "--ignore-unmatch", ".")
    lab.commit({f"f{n}.py": text() for n in range(3)}, f"start {prefix}")
    lab.git("checkout", "--quiet", "-B", "main")
    names = []
    for at in range(3):
        name = f"{prefix}/{at}"
        lab.git("checkout", "--quiet", "-b", name, "main")
        for commit in range(1 + at):
            file, line = f"f{(at + commit) % 3}.py", 5 + 9 * commit + at
            body = (lab.root / file).read_text() if (lab.root / file).exists() else text()
            lab.commit({file: body.replace(f"line {line}\n", f"{name} {commit}\n")})
        lab.git("checkout", "--quiet", "main")
        names.append(name)
    for action, number in actions:
        land(lab, names[number % len(names)], action, number)
        move(lab, names, action, number)
    return names


def patch_id(lab, old, new):
    how = ("-U0", "--no-renames", "--full-index")
    patch = lab.git("diff-tree", "-r", "-p", *how, old, new)
    found = lab.git("patch-id", "--stable", stdin=f"{patch}\n".encode("utf-8", "surrogateescape"))
    return found.split(" ")[0]


def came_in(lab):
    """Return (place, patch id) of everything that came into main after its root, asked of git commit by commit."""
    chain = lab.git("rev-list", "--first-parent", "--reverse", "main").split()
    found = []
    for place, (before, commit) in enumerate(itertools.pairwise(chain), 1):
        found.append((place, commit, patch_id(lab, before, commit)))
        for side in lab.git("rev-list", "--no-merges", commit, f"^{before}").split():
            parents = lab.git("rev-list", "--parents", "-1", side).split()[1:]
            if side != commit and parents:
                found.append((place, side, patch_id(lab, parents[0], side)))
    return found


@given(ACTIONS)
@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_traces_agree_with_patch_ids_that_git_gives_one_by_one(shared_lab, actions):
    lab = shared_lab
    names = grow(lab, actions)
    repository = Repository(lab.root, lab.root / ".git")
    tips = {name: lab.git("rev-parse", name) for name in names}
    graph = read_graph(repository, tips.values(), main=lab.git("rev-parse", "main"))
    start = min(since_of(graph, tip) for tip in tips.values())
    pairs = [pair for tip in tips.values() for pair in pairs_of(graph, tip, {})]
    diffs = read_diffs(repository, [*main_pairs(graph, start), *pairs])
    seen = History(graph, diffs, main_changes(graph, diffs, start=start))
    evidence = Landings(seen, main_steps(graph, diffs, start=start), starts={}).evidence(
        tips.values(), repository, without_effect={}, memo=Forgetful()
    )
    everything = came_in(lab)
    for name, tip in tips.items():
        found = evidence[tip]
        own = lab.git("rev-list", "--reverse", f"main..{name}").split()
        assert found.num_own == len(own)
        if not own:
            is_on_chain = tip in lab.git("rev-list", "--first-parent", "main").split()
            assert bool(found.num_brought) == (not is_on_chain)
            continue
        reached = set(lab.git("rev-list", name).split())
        new = [(place, patch) for place, commit, patch in everything if commit not in reached]
        assert len(found.commits) == len(own)
        for commit, trace in zip(own, found.commits, strict=True):
            made = {place for place, patch in new if patch == patch_id(lab, f"{commit}~", commit)}
            undone = patch_id(lab, commit, f"{commit}~")
            assert set(trace.made) == made
            assert set(trace.undone) == {
                place for place, patch in new if made and place > min(made) and patch == undone
            }
        base = lab.git("merge-base", name, "main")
        whole = patch_id(lab, base, name)
        assert {place for place, patch in new if patch == whole} <= set(found.squashes[-1].made)
        cherry = lab.git("cherry", "main", name).splitlines()
        if not any(trace.undone for trace in found.commits):
            assert sum(line[0] == "-" for line in cherry) <= sum(
                t.is_in_main for t in found.commits
            )
