"""``experiments/<name>.toml`` on a branch: what the experiment is about, and which flags it switches on.

One file an experiment, so that two never conflict; it is merged together with the feature. A damaged hypothesis stops no run:
it is read as one that says what is wrong with it. Its claims are texts here, and are read where they are judged; notes are kept
as they are.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from branchlab.domain import MIN_SEEDS, Flags, Hypothesis, WrittenNote, dropped
from branchlab.errors import ConfigError, nearest
from branchlab.toml_file import is_plain, parse_toml, shown
from branchlab.written import notes_of

FOLDER = "experiments"
_HYPOTHESIS_KEYS = ("id", "claim", "min_seeds", "expect", "guard")
_HYPOTHESES_MAX = 100
_SEEDS_MAX = 1000
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What runs need to know of an experiment."""

    title: str = ""
    base: str = "main"
    idea: str = ""
    flags: Flags = field(default_factory=dict)
    landed: Landing | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
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
        hypotheses=_hypotheses(document),
        notes=_notes(document, where),
    )


def _notes(document: Mapping[str, object], where: str) -> tuple[WrittenNote, ...]:
    try:
        return notes_of(document, where=where)
    except ConfigError:
        return ()  # runs need none; whoever reads notes says what is wrong with them


def _hypotheses(document: Mapping[str, object]) -> tuple[Hypothesis, ...]:
    """Return the hypotheses of a file, damaged ones with what is wrong with them; never an error."""
    for key in document:
        is_alike = key[:3].lower() == "hyp" and key != "hypothesis"
        if is_alike and difflib.get_close_matches(key, ["hypothesis"], 1, 0.8):
            return (Hypothesis(id="?", damage=f"unknown table [[{key}]]: write [[hypothesis]]"),)
    tables = document.get("hypothesis", [])
    if isinstance(tables, dict):
        return (Hypothesis(id="?", damage="[hypothesis]: write [[hypothesis]], in two brackets"),)
    if not isinstance(tables, list) or len(tables) > _HYPOTHESES_MAX:
        what = f"expected at most {_HYPOTHESES_MAX} tables [[hypothesis]]"
        return (Hypothesis(id="?", damage=f"hypothesis = {shown(tables)}: {what}"),)
    found: list[Hypothesis] = []
    for number, table in enumerate(tables, 1):
        one = _hypothesis(table, number)
        if any(known.id == one.id for known in found) and not one.damage:
            damage = f"the id {shown(one.id)} is that of an earlier hypothesis"
            one = Hypothesis(id=f"{one.id}#{number}", claim=one.claim, damage=damage)
        found.append(one)
    return tuple(found)


def _hypothesis(table: object, number: int) -> Hypothesis:
    if not isinstance(table, dict):
        what = f"{shown(table)}: expected a table with {', '.join(_HYPOTHESIS_KEYS)}"
        return Hypothesis(id=f"#{number}", damage=what)
    name, claim = table.get("id"), table.get("claim")
    is_named = isinstance(name, str) and _ID.fullmatch(name)
    damage = _damage(table)
    if not is_named:
        given = "it has no id" if name is None else f"id = {shown(name)}"
        damage = f"{given}: expected a short name of letters and digits, for instance H{number}"
    expect, guard = _claims(table.get("expect")), _claims(table.get("guard"))
    seeds = table.get("min_seeds", MIN_SEEDS)
    return Hypothesis(
        id=str(name) if is_named else f"#{number}",
        claim=claim if isinstance(claim, str) else "",
        min_seeds=seeds if _is_seeds(seeds) else MIN_SEEDS,
        expect=expect or {},
        guard=guard or {},
        damage=damage,
    )


def _damage(table: Mapping[str, object]) -> str:
    """Return the first thing that is wrong with a hypothesis, with what is expected; empty when nothing is."""
    unknown = next((key for key in table if key not in _HYPOTHESIS_KEYS), None)
    if unknown is not None:
        hint = f"{nearest(unknown, _HYPOTHESIS_KEYS)}known here: {', '.join(_HYPOTHESIS_KEYS)}"
        return f"unknown key {shown(unknown)}; {hint}"
    claim, seeds = table.get("claim"), table.get("min_seeds", MIN_SEEDS)
    if not isinstance(claim, str) or not claim.strip():
        return f"claim = {shown(claim)}: expected a sentence that says why it ought to work"
    if not _is_seeds(seeds):
        return f"min_seeds = {shown(seeds)}: expected a whole number, at least 2: one seed shows nothing"
    for key in ("expect", "guard"):
        if _claims(table.get(key)) is None:
            example = f'[hypothesis.{key}] with a = "val/accuracy > main + 0.5pt"'
            return f"{key} = {shown(table.get(key))}: expected a table of claims, {example}"
    if not _claims(table.get("expect")):
        example = '[hypothesis.expect] with a = "val/accuracy > main + 0.5pt"'
        return f"it expects nothing that can be measured: add {example}"
    return ""


def _claims(table: object) -> dict[str, str] | None:
    """Return claims by key, or None where the table is none."""
    if table is None:
        return {}
    if not isinstance(table, dict) or not all(isinstance(text, str) for text in table.values()):
        return None
    return {str(key): text for key, text in table.items()}


def _is_seeds(value: object) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and 2 <= value <= _SEEDS_MAX  # type: ignore[operator]  # noqa: PLR2004  two seeds have a spread


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


def render_experiment(
    experiment: Experiment, *, example: str = "val/accuracy > main + 0.5pt"
) -> str:
    """Return the text of a new experiment's file; without a hypothesis it shows how one is written, with an ``example``."""
    flags = ", ".join(f"{_key(key)} = {_value(value)}" for key, value in experiment.flags.items())
    return (
        f"title = {_value(experiment.title)}\n"
        f"base = {_value(experiment.base)}\n"
        f"idea = {_value(experiment.idea)}\n"
        f"flags = {{ {flags} }}  # what this experiment switches on\n"
        + ("".join(map(_rendered, experiment.hypotheses)) or _template(example))
    )


def _rendered(hypothesis: Hypothesis) -> str:
    lines = [
        "",
        "[[hypothesis]]",
        f"id = {_value(hypothesis.id)}",
        f"claim = {_value(hypothesis.claim)}",
        f"min_seeds = {hypothesis.min_seeds}",
    ]
    for name, claims in (("expect", hypothesis.expect), ("guard", hypothesis.guard)):
        if claims:
            lines.append(f"[hypothesis.{name}]")
            lines += [f"{_key(key)} = {_value(text)}" for key, text in claims.items()]
    return "\n".join(lines) + "\n"


def _template(example: str) -> str:
    """Return how a hypothesis is written, as comments."""
    shown_as = Hypothesis(id="H1", claim="Why it ought to work.", expect={"a": example})
    lines: Sequence[str] = _rendered(shown_as).strip().split("\n")
    return (
        "\n# What should be seen if the idea holds; it counts when it stands here before the first run:\n"
        + "".join(f"# {line}\n" for line in lines)
    )


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: bool | float | str) -> str:  # noqa: FBT001  any plain value
    if isinstance(value, str):
        # JSON leaves DEL as it is, TOML does not allow it; JSON's pairs of surrogates are no TOML either.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
