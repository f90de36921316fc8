"""``guard``: a branch's unguarded changes behind a new flag, as a patch, or as a commit on a branch of its own.

The patch stands on the branch's tip. The experiment's file switches the new flag on, so that the experiment goes on with
its change. Nothing of the user's moves: not the branch, not a work tree.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from branchlab.analysis.features.engine import find_features
from branchlab.analysis.patch_text import unified_diff
from branchlab.domain import Branch, Feature, FeatureVerdict
from branchlab.errors import BranchlabError, ConfigError, RepositoryError, nearest
from branchlab.experiment import Experiment, experiment_name, experiment_path, render_experiment
from branchlab.git.sources import TreeSources, merge_base, read_difference, resolve_revision
from branchlab.git.write import check_branch_name, commit_files, create_branch
from branchlab.lab.branches import all_branches, find_branches, main_branch
from branchlab.lab.feature_reading import file_change
from branchlab.lab.project import Project

if TYPE_CHECKING:
    from branchlab.analysis.features.changes import FileChange
    from branchlab.analysis.guard.proposal import Proposal, Refusal

_ASKED = (FeatureVerdict.UNGUARDED, FeatureVerdict.DEFAULT_CHANGED, FeatureVerdict.DEFAULT_ON)
_FITTING = "{0}", "use_{0}", "{0}_on", "with_{0}"
_NUMBERS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What ``guard`` found.

    Attributes:
        feature: Id of the feature that was asked for; None for all of the branch. Other changes of its class go
            with it.
        flag: None where nothing could be guarded.
        diff: Unified, against the branch's tip; the empty string without one.
        branch_made: The new branch, and ``commit`` its tip; None unless it was asked for.
    """

    branch: str
    feature: str | None
    flag: str | None
    files: tuple[str, ...]
    diff: str
    refused: tuple[Refusal, ...]
    branch_made: str | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """A branch against its merge base with main, read."""

    branch: Branch
    changes: Sequence[FileChange]
    around: TreeSources
    features: Sequence[Feature]


def guard_branch(
    project: Project,
    name: str,
    feature: str | None = None,
    *,
    flag: str | None = None,
    is_applied: bool = False,
) -> Guarded:
    """Put what no flag reaches behind a new flag; commit it on ``guard/<name>`` when asked.

    Args:
        project: Where.
        name: The branch, by full name or by the name of its experiment.
        feature: Id of a feature or the beginning of it, or its symbol; all that need a flag without it.
        flag: Name of the new flag; made from the experiment's name unless said.
        is_applied: Whether to commit it.

    Raises:
        RepositoryError: There is no such branch or feature, or the new branch exists.
        ConfigError: The flag's name cannot be one, or is taken.
    """
    branches = all_branches(project)
    branch = find_branches(project, [name], branches)[0]
    short = experiment_name(branch.own_name, project.config.branches.experiments)
    made = f"guard/{short}"
    if is_applied and any(one.name == made for one in branches):
        raise RepositoryError(
            f"the branch '{made}' exists already",
            hint=f"look at it: git log {made}, or remove it: git branch -D {made}",
        )
    sides = _read(project, branch, main_branch(project, branches))
    wanted = _wanted(sides, feature)
    asked = wanted[0].id if feature else None
    known = _names_used(sides)
    chosen = _checked(flag, known, sides) if flag else _fitting(short, known, sides)
    proposal = _propose(project, sides, wanted, chosen)
    files = {path: _marked(project, branch, path, text) for path, text in proposal.files.items()}
    if files:
        files |= _experiment_file(project, branch, short, proposal.switched_on)
    diff = unified_diff(
        (path, project.repository.read_file(branch.tip, path), text)
        for path, text in sorted(files.items())
    )
    commit = None
    if is_applied and files:
        check_branch_name(project.repository, made)
        commit = commit_files(
            project.repository,
            parent=branch.tip,
            files=files,
            message=f"Put what {branch.name} changes behind {proposal.flag}, off by default",
        )
        create_branch(project.repository, made, commit)
    return Guarded(
        branch=branch.name,
        feature=asked,
        flag=proposal.flag or None,
        files=tuple(sorted(files)),
        diff=diff,
        refused=proposal.refused,
        branch_made=made if commit else None,
        commit=commit,
    )


def _read(project: Project, branch: Branch, main: Branch) -> _Sides:
    root = project.repository.root
    start = merge_base(root, main.tip, branch.tip)
    if start is None:
        raise RepositoryError(
            f"{branch.name} has no history in common with {main.name}",
            hint=f"start it from main: branchlab new-exp {branch.name} --from {main.name}",
        )
    base_tree = resolve_revision(root, start)[1]
    changed = read_difference(root, base_tree, branch.tree)
    around = TreeSources(
        root,
        base_tree,
        without={one.base.path for one in changed} | {one.head.path for one in changed},
    )
    changes = [file_change(one) for one in changed]
    return _Sides(
        branch=branch, changes=changes, around=around, features=find_features(changes, around)
    )


def _wanted(sides: _Sides, feature: str | None) -> list[Feature]:
    """Return the features to guard.

    Raises:
        RepositoryError: The branch has no feature of that name.
    """
    if feature is None:
        asked = [one for one in sides.features if one.verdict in _ASKED]
        beyond = {FeatureVerdict.BROKEN, FeatureVerdict.UNPARSED, FeatureVerdict.BREAKING}
        hopeless = [one for one in sides.features if one.verdict in beyond]
        unread = [one for one in sides.features if one.verdict is FeatureVerdict.UNDECIDED]
        return [*asked, *hopeless, *([] if asked else unread)]
    found = [one for one in sides.features if one.id.startswith(feature) or one.symbol == feature]
    if not found:
        known = [one.symbol for one in sides.features if one.symbol]
        raise RepositoryError(
            f"{sides.branch.name} has no feature '{feature}'",
            hint=f"{nearest(feature, known)}see them: branchlab features {sides.branch.name}",
        )
    classes = {(one.path, _class_of(one)) for one in found if _class_of(one)}
    # Off would be broken if a constructor kept the new layers and forward the old way through them.
    beside = [
        one
        for one in sides.features
        if one not in found and one.verdict in _ASKED and (one.path, _class_of(one)) in classes
    ]
    return [*found, *beside]


def _class_of(feature: Feature) -> str:
    return feature.symbol.rpartition(".")[0]


def _names_used(sides: _Sides) -> set[str]:
    """Return every identifier of the files that differ, on both sides."""
    texts = [text for one in sides.changes for text in (one.base, one.head) if text]
    return {word for text in texts for word in re.findall(r"[^\W\d]\w*", text)}


def _is_taken(name: str, known: set[str], sides: _Sides) -> bool:
    return name in known or keyword.iskeyword(name) or bool(sides.around.mentioning([name]))


def _fitting(short: str, known: set[str], sides: _Sides) -> str:
    """Return a flag's name from the experiment's that nothing in the project is called yet.

    The experiment's own flags do not count: they stand in its file and not in the code that is changed.
    """
    words = re.sub(r"\W+", "_", short.lower()).strip("_") or "experiment"
    words = words if words[0].isalpha() else f"exp_{words}"
    numbered = (f"{words}_{n}" for n in range(2, _NUMBERS_MAX))
    candidates = [*(form.format(words) for form in _FITTING), *numbered]
    for candidate in candidates:
        if not _is_taken(candidate, known, sides):
            return candidate
    raise ConfigError(
        f"every name like '{words}' is taken in the project", hint="choose one: --flag NAME"
    )


def _checked(flag: str, known: set[str], sides: _Sides) -> str:
    if not flag.isidentifier() or keyword.iskeyword(flag) or not flag.isascii():
        raise ConfigError(
            f"--flag {flag}: expected a name that Python takes for an argument",
            hint="for instance: --flag squeeze_excite",
        )
    if _is_taken(flag, known, sides):
        raise ConfigError(
            f"--flag {flag}: the project has that name already, and the flag needs one of its own",
            hint=f"for instance: --flag use_{flag}",
        )
    return flag


def _propose(project: Project, sides: _Sides, wanted: Sequence[Feature], flag: str) -> Proposal:
    try:
        from branchlab.analysis.guard.guard import guard_features
    except ImportError as error:
        raise BranchlabError(
            f"guard needs LibCST to rewrite code ({error})", hint="pip install libcst"
        ) from None
    return guard_features(
        sides.changes,
        sides.around,
        wanted=wanted,
        flag=flag,
        task=project.config.trainer.task,
    )


def _marked(project: Project, branch: Branch, path: str, text: str) -> str:
    """Give a file the byte-order mark back that reading took off."""
    old = project.repository.read_file(branch.tip, path) or ""
    return f"\ufeff{text}" if old.startswith("\ufeff") and not text.startswith("\ufeff") else text


def _experiment_file(
    project: Project, branch: Branch, short: str, flags: Sequence[str]
) -> dict[str, str]:
    """Return the experiment's file with the flags switched on."""
    path = experiment_path(short)
    text = project.repository.read_file(branch.tip, path)
    if text is None:
        made = Experiment(
            title=short, base=project.config.branches.main, flags=dict.fromkeys(flags, True)
        )
        return {path: render_experiment(made)}
    for flag in flags:
        text = switched_on(text, flag, where=f"{branch.name}:{path}")
    return {path: text}


def switched_on(text: str, flag: str, *, where: str) -> str:
    """Return an experiment's file with ``flag = true`` among its flags; all else stays as it is written.

    Raises:
        ConfigError: It is not TOML, or its flags are no table.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"{where}: {error}", hint=f"mend {where}") from None
    flags = document.get("flags")
    if flags is None:
        line = f"flags = {{ {flag} = true }}\n"
        table = re.search(r"^\[", text, re.MULTILINE)
        if table is None:
            return f"{text.rstrip()}\n{line}".lstrip()
        return f"{text[: table.start()]}{line}\n{text[table.start() :]}"
    if not isinstance(flags, dict):
        raise ConfigError(f"{where}: flags: expected a table", hint=f"mend {where}")
    if flags.get(flag) is True:
        return text
    if isinstance(flags, tomlkit.items.InlineTable):
        known = [f"{k} = {v.as_string()}" for k, v in flags.items() if k != flag]
        row = ", ".join([*known, f"{flag} = true"])
        fresh = tomlkit.parse(f"flags = {{ {row} }}")["flags"]
        assert isinstance(fresh, tomlkit.items.InlineTable)
        fresh.trivia.comment_ws = flags.trivia.comment_ws
        fresh.trivia.comment = flags.trivia.comment
        document["flags"] = fresh
    else:
        flags[flag] = True
    return tomlkit.dumps(document)
