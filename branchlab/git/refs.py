"""All branches, local and remote-tracking, from one ``for-each-ref``.

Local and remote come together because a branch that lives only on a remote is an experiment too, and because a local one
is compared with its counterpart. What ``new-exp`` recorded stands in ``refs/branchlab/base/``: git cannot tell a
branch that was fast-forwarded into main from one that has never had a commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from branchlab.domain import Branch
from branchlab.git.call import git, text

HEADS = "refs/heads/"
REMOTES = "refs/remotes/"
BASES = "refs/branchlab/base/"
_FORMAT = "%00".join(
    f"%({field})"
    for field in (
        *("refname", "symref", "objecttype", "objectname", "tree"),
        *("committerdate:unix", "upstream", "contents:subject"),
    )
)
_SUBJECT_LENGTH_MAX = 500
_OWN_WORK = re.compile(r"commit|cherry-pick|rebase|am|revert")

CREATED = "branchlab: created"
"""The first line of the reflog of a branch that ``new-exp`` made."""


@dataclass(frozen=True, slots=True)
class Refs:
    """Branches by name: local ones as ``exp/se``, remote-tracking ones as ``origin/exp/se``."""

    local: Mapping[str, Branch]
    remote: Mapping[str, Branch]

    def counterpart(self, branch: Branch) -> Branch | None:
        """Return the branch that a local one's upstream names, local or remote; None when it is gone, or there is none."""
        return self.remote.get(branch.upstream) or self.local.get(branch.upstream)

    def only_remote(self) -> list[Branch]:
        """Return remote branches that no local one stands for, by its name or as its upstream.

        Of two remotes that have the same branch at the same commit one is enough, origin if it is one of them.
        """
        tracked = {branch.upstream for branch in self.local.values()}
        found: dict[tuple[str, str], Branch] = {}
        for name, branch in sorted(self.remote.items(), key=_origin_first):
            if branch.own_name not in self.local and name not in tracked:
                found.setdefault((branch.own_name, branch.tip), branch)
        return sorted(found.values(), key=lambda branch: branch.name)


def _origin_first(item: tuple[str, Branch]) -> bool:
    return item[1].remote != "origin"


def read_refs(root: Path) -> Refs:
    """Read all branches of the repository at ``root``; a ref that is no commit is left out."""
    out = text(git(root, "for-each-ref", f"--format={_FORMAT}", HEADS, REMOTES, BASES))
    rows = [line.split("\0", 7) for line in out.split("\n") if line]
    commits = [row for row in rows if row[2] == "commit"]
    bases = {row[0].removeprefix(BASES): row[3] for row in commits if row[0].startswith(BASES)}
    heads = [_branch(row, HEADS, bases) for row in commits if row[0].startswith(HEADS)]
    # origin/HEAD is symbolic: it points at another one.
    tracking = [row for row in commits if row[0].startswith(REMOTES) and not row[1]]
    remotes = [_branch(row, REMOTES, {}) for row in tracking]
    return Refs({branch.name: branch for branch in heads}, {b.name: b for b in remotes})


def preferred(branches: Iterable[Branch]) -> Branch | None:
    """Return origin's branch, else the first, of several remotes' branches of one name."""
    return min(branches, key=lambda branch: branch.remote != "origin", default=None)


def _branch(row: list[str], folder: str, bases: Mapping[str, str]) -> Branch:
    ref, _, _, tip, tree, seconds, upstream, subject = row
    name = ref.removeprefix(folder)
    return Branch(
        name=name,
        tip=tip,
        tree=tree,
        last_commit_at=moment(seconds),
        subject=subject[:_SUBJECT_LENGTH_MAX],
        remote=name.partition("/")[0] if folder == REMOTES else "",
        upstream=upstream.removeprefix(REMOTES).removeprefix(HEADS),
        base=bases.get(name, ""),
    )


def moment(seconds: str) -> datetime:
    """Return a commit's time; one may claim the year 300,000, or none."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def began_at(common_dir: Path, branch: Branch) -> str:
    """Return the commit at which a branch began that was committed to afterwards; empty where nothing tells.

    What ``new-exp`` recorded holds for the branch that it made, not for another one of the same name. Else the reflog tells:
    a branch that only ever followed main by pulls and resets has had no commit of its own.
    """
    try:
        log = (common_dir / "logs" / HEADS / branch.name).read_text("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return branch.base
    lines = [line.partition("\t") for line in log.splitlines()]
    if branch.base and lines and lines[0][2] == CREATED:
        return branch.base
    if not any(_OWN_WORK.match(message) for _, _, message in lines):
        return ""
    before, _, after = lines[0][0].partition(" ")
    return after.partition(" ")[0] if set(before) == {"0"} else before
