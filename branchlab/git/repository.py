"""What a repository holds: its branches, commits and files, and whether its work tree is dirty.

Read with plumbing alone, a constant number of processes for any number of branches. A name that came from outside is
looked up as ``refs/heads/NAME`` first, and from then on only its object id is used: a tag of the same name and a
branch called ``--output=x`` are then harmless.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchlab.domain import Branch
from branchlab.errors import RepositoryError
from branchlab.git.call import ask, git, is_argument, object_id, text, to_bytes
from branchlab.git.refs import Refs, read_refs
from branchlab.run_folder import STATE_FOLDER, StateFolder

_RUNS = "refs/branchlab/runs/"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a work tree.

    Attributes:
        root: Top level of the main work tree, also when found from a linked one: recorded state is shared.
        common_dir: Where objects and refs are, absolute.
    """

    root: Path
    common_dir: Path

    @classmethod
    def find(cls, start: Path) -> Repository:
        """Return the repository that ``start`` lies in.

        Raises:
            RepositoryError: There is none, or it has no work tree.
        """
        wanted = ("--is-bare-repository", "--git-dir", "--git-common-dir", "--show-toplevel")
        answer = ask(start, "rev-parse", "--path-format=absolute", *wanted)
        lines = text(answer.out).removesuffix("\n").split("\n")
        if lines[0] == "true":
            raise RepositoryError(
                f"{start} is a bare repository; branchlab needs one with a work tree",
                hint=f"git clone {start}",
            )
        if answer.rc:
            raise _not_found(start, answer.complaint, is_inside_git_dir=len(lines) > 1)
        git_dir, common_dir, top = (Path(line) for line in lines[1:4])
        if git_dir == common_dir:
            return cls(top, common_dir)
        return cls(_main_work_tree(common_dir), common_dir)

    @property
    def state(self) -> StateFolder:
        """``.branchlab/`` of the main work tree; it need not exist."""
        return StateFolder(self.root / STATE_FOLDER)

    def branches(self) -> list[Branch]:
        """Return all local branches by name; a ref that is no commit is left out."""
        return list(self.refs().local.values())

    def refs(self) -> Refs:
        """Return all branches, local and remote-tracking."""
        return read_refs(self.root)

    def check_has_commits(self) -> None:
        """Raise RepositoryError when nothing was ever committed here."""
        if self.resolve("HEAD") is None and not self.branches():
            raise RepositoryError(
                f"{self.root} has no commits yet", hint='git commit --allow-empty -m "first"'
            )

    def resolve(self, branch_or_rev: str) -> str | None:
        """Return the commit that a branch, an id or another revision names; None when nothing is called so."""
        if not is_argument(branch_or_rev):
            return None
        for rev in (f"refs/heads/{branch_or_rev}", branch_or_rev):
            found = self._commit_id(rev)
            if found is not None:
                return found
        return None

    def tip_of(self, branch: str) -> str | None:
        """Return the commit that a local branch points at; None when there is no such branch."""
        return self._commit_id(f"refs/heads/{branch}") if is_argument(branch) else None

    def _commit_id(self, rev: str) -> str | None:
        wanted = ("--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        answer = ask(self.root, "rev-parse", *wanted)
        return None if answer.rc else text(answer.out).strip()

    def tree_of(self, commit: str) -> str:
        """Return the id of a commit's tree."""
        wanted = f"{object_id(commit)}^{{tree}}"
        return text(git(self.root, "rev-parse", "--verify", "--end-of-options", wanted)).strip()

    def trees_of(self, commits: Sequence[str]) -> dict[str, str]:
        """Return the trees of many commits in one process; what is missing is left out."""
        wanted = list(dict.fromkeys(object_id(commit) for commit in commits))
        if not wanted:
            return {}
        lines = "".join(f"{commit}^{{tree}}\n" for commit in wanted).encode()
        out = text(git(self.root, "cat-file", "--batch-check=%(objectname)", stdin=lines))
        rows = zip(wanted, out.splitlines(), strict=True)
        return {commit: tree for commit, tree in rows if not tree.endswith(" missing")}

    def read_file(self, commit: str, path: str) -> str | None:
        """Return a file's text as of a commit; None when it is not there, or not a file."""
        return self.read_files([(commit, path)])[commit, path]

    def read_files(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
        """Return the texts of many (commit, path) in one process; None where there is no such file."""
        pairs = list(dict.fromkeys(wanted))
        # A path with a line break cannot be asked for in this protocol; there is no such source file.
        asked = [(commit, path) for commit, path in pairs if "\n" not in path]
        found: dict[tuple[str, str], str | None] = dict.fromkeys(pairs)
        if asked:
            lines = b"".join(to_bytes(f"{object_id(commit)}:{path}\n") for commit, path in asked)
            out = git(self.root, "cat-file", "--batch", stdin=lines)
            found.update(zip(asked, _batch_contents(out, len(asked)), strict=True))
        return found

    def current_branch(self, *, at: Path | None = None) -> str | None:
        """Return the branch that the main work tree (or the one ``at``) is on; None when HEAD is detached."""
        answer = ask(at or self.root, "symbolic-ref", "--quiet", "HEAD")
        return None if answer.rc else text(answer.out).strip().removeprefix("refs/heads/")

    def head(self, *, at: Path | None = None) -> str | None:
        """Return the commit that the main work tree (or the one ``at``) stands at; None before the first."""
        answer = ask(at or self.root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return None if answer.rc else text(answer.out).strip()

    def dirty_paths(self, *, at: Path | None = None) -> list[str]:
        """Return changed and untracked paths that are not ignored; a whole untracked folder is one, with ``/``."""
        wanted = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal")
        out = git(at or self.root, "status", *wanted)
        return [text(entry[3:]) for entry in out.split(b"\0") if entry]

    def is_shallow(self) -> bool:
        """Whether history is cut off, so that counts along it mean nothing."""
        return (self.common_dir / "shallow").exists()

    def is_partial(self) -> bool:
        """Whether the clone left objects on its remote, so that reading a file may need the network."""
        return any((self.common_dir / "objects" / "pack").glob("*.promisor"))

    def keep_all(self, commits: Mapping[str, str]) -> None:
        """Keep the commits of runs, by run id, from git's collector, whatever happens to their branches."""
        lines = (
            f"update {_RUNS}{run_id} {object_id(commit)}\n" for run_id, commit in commits.items()
        )
        if commits:
            git(self.root, "update-ref", "--no-deref", "--stdin", stdin=to_bytes("".join(lines)))

    def grep(self, commit: str, pattern: str) -> bool:
        """Whether a line of a Python file of a commit matches an extended regular expression."""
        how = ("--quiet", "-E", "-I", "--no-textconv", "--no-recurse-submodules")
        answer = ask(self.root, "grep", *how, "-e", pattern, object_id(commit), "--", "*.py")
        if answer.rc > 1:
            raise RepositoryError(
                f"git grep for {pattern!r}: {answer.complaint}",
                hint="give a POSIX extended regular expression",
            )
        return answer.rc == 0

    def grep_lines(self, commit: str, pattern: str) -> list[tuple[str, str]]:
        """Return (path, line) of every line of a commit's Python files that matches an extended regular expression."""
        how = ("-z", "-E", "-I", "--no-textconv", "--no-recurse-submodules")
        answer = ask(self.root, "grep", *how, "-e", pattern, object_id(commit), "--", "*.py")
        found = (text(line).partition("\0") for line in answer.out.split(b"\n") if line)
        return [(place.removeprefix(f"{commit}:"), line) for place, _, line in found]


def top_of(folder: Path) -> Path:
    """Return the top level of the work tree that a folder lies in."""
    wanted = ("--path-format=absolute", "--show-toplevel")
    return Path(text(git(folder, "rev-parse", *wanted)).removesuffix("\n"))


def _batch_contents(out: bytes, num: int) -> list[str | None]:
    contents: list[str | None] = []
    at = 0
    for _ in range(num):
        end = out.index(b"\n", at)
        _, _, kind_and_size = out[at:end].partition(b" ")
        kind, _, size = kind_and_size.rpartition(b" ")
        at = end + 1
        if not size.isdigit():  # "<what was asked> missing"
            contents.append(None)
            continue
        contents.append(text(out[at : at + int(size)]) if kind == b"blob" else None)
        at += int(size) + 1
    return contents


def _main_work_tree(common_dir: Path) -> Path:
    """Return the main work tree of a repository that was found from a linked one."""
    own = {"GIT_DIR": str(common_dir)}
    is_bare = ask(common_dir, "rev-parse", "--is-bare-repository", env=own).out.strip() == b"true"
    if not is_bare and common_dir.name == ".git":
        return common_dir.parent
    raise RepositoryError(
        f"the main work tree of {common_dir} cannot be told from this linked one",
        hint="run branchlab in the main work tree (a bare repository has none: git clone it)",
    )


def _not_found(start: Path, complaint: str, *, is_inside_git_dir: bool) -> RepositoryError:
    if is_inside_git_dir:
        return RepositoryError(f"{start} is inside a .git folder", hint="go to the work tree")
    if "safe.directory" in complaint:
        return RepositoryError(f"{start} belongs to another user", hint=complaint)
    if "not a git repository" in complaint:
        return RepositoryError(f"not a git repository: {start}", hint="git init")
    return RepositoryError(f"{start}: {complaint}", hint="git status")
