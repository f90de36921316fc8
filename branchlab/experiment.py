"""``experiments/<name>.toml`` on a branch: what the experiment is about, and which flags it switches on.

One file an experiment, so that two never conflict; it is merged together with the feature. Keys that belong to later
stages of an experiment's life (hypotheses, notes) are kept as they are and read where they are used.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from branchlab.domain import Flags, WrittenNote, dropped
from branchlab.errors import ConfigError
from branchlab.toml_file import is_plain, parse_toml, shown
from branchlab.written import parse_notes

FOLDER = "experiments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What runs need to know of an experiment."""

    title: str = ""
    base: str = "main"
    idea: str = ""
    flags: Flags = field(default_factory=dict)
    landed: Landing | None = None
    notes: tuple[WrittenNote, ...] = ()

    @property
    def given_up(self) -> str:
        """Why the idea was dropped, in its last note's words; "" while it is open."""
        note = dropped(self.notes)
        return note.text if note is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """``[landed]``: that the experiment is main and its flags now. ``branch`` was at ``tip`` when it was merged."""

    branch: str
    tip: str
    onto: str
    at: str


def experiment_name(branch: str, patterns: tuple[str, ...]) -> str:
    """Return a branch's name without the fixed part of the pattern that it matches: ``exp/se`` -> ``se``."""
    for pattern in patterns:
        if fnmatchcase(branch, pattern):
            prefix = pattern.split("*", 1)[0].split("?", 1)[0].split("[", 1)[0]
            return branch.removeprefix(prefix) or branch
    return branch


def experiment_path(name: str) -> str:
    """Return where in the repository the file of an experiment stands."""
    return f"{FOLDER}/{name}.toml"


def is_description(text: str) -> bool:
    """Whether a file is one that ``new-exp`` would write, and no configuration of the project's own in the same folder."""
    try:
        document = parse_toml(text, path=PurePosixPath(FOLDER))
    except ConfigError:
        return False
    return (
        isinstance(document.get("title"), str)
        and (isinstance(document.get("base"), str) or isinstance(document.get("idea"), str))
        and isinstance(document.get("flags", {}), dict)
    )


def parse_experiment(text: str, *, where: str) -> Experiment:
    """Return the experiment that ``text`` describes; ``where`` is named in errors.

    Raises:
        ConfigError: It is not TOML, or one of the keys that runs need has no usable value.
    """
    document = parse_toml(text, path=PurePosixPath(where))
    for key in ("title", "base", "idea"):
        if not isinstance(document.get(key, ""), str):
            raise ConfigError(
                f"{where}: {key} = {shown(document[key])}: expected a string", hint=f"mend {where}"
            )
    flags = document.get("flags", {})
    if not isinstance(flags, dict) or not all(is_plain(value) for value in flags.values()):
        raise ConfigError(
            f"{where}: flags = {shown(flags)}: expected a table of strings, numbers and booleans",
            hint=f"mend {where}, for instance: flags = {{ squeeze_excite = true }}",
        )
    return Experiment(
        title=document.get("title", ""),
        base=document.get("base", "main"),
        idea=document.get("idea", ""),
        flags=flags,
        landed=_landing(document.get("landed")),
        notes=_notes(text, where),
    )


def _notes(text: str, where: str) -> tuple[WrittenNote, ...]:
    try:
        return parse_notes(text, where=where)
    except ConfigError:
        return ()  # runs need none; whoever reads notes says what is wrong with them


def _landing(table: object) -> Landing | None:
    if not isinstance(table, dict):
        return None
    words = {name: str(table.get(name, "")) for name in ("branch", "tip", "onto", "at")}
    return Landing(**words)


def mark_landed(text: str, *, where: str, at: datetime, onto: str, branch: str, tip: str) -> str:
    """Return an experiment's file with a ``[landed]`` table; all else stays as it is written.

    Raises:
        ConfigError: It is not TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"{where}: {error}", hint=f"mend {where}") from None
    document.pop("landed", None)
    kept = tomlkit.dumps(document).rstrip()
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = {"branch": branch, "tip": tip, "onto": onto}
    rows = "".join(f"{name} = {_value(value)}\n" for name, value in words.items())
    return f"{kept}\n\n[landed]  # main and the flags above are this experiment now\nat = {moment}\n{rows}"


def render_experiment(experiment: Experiment) -> str:
    """Return the text of a new experiment's file."""
    flags = ", ".join(f"{_key(key)} = {_value(value)}" for key, value in experiment.flags.items())
    return (
        f"title = {_value(experiment.title)}\n"
        f"base = {_value(experiment.base)}\n"
        f"idea = {_value(experiment.idea)}\n"
        f"flags = {{ {flags} }}  # what this experiment switches on\n"
    )


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: bool | float | str) -> str:  # noqa: FBT001  any plain value
    if isinstance(value, str):
        # JSON leaves DEL as it is, TOML does not allow it; JSON's pairs of surrogates are no TOML either.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
