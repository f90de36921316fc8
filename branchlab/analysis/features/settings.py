"""Config files as flat keys: YAML (the part of it that configs use), TOML and JSON, and what changed between two.

A key that is new is a flag with the value that stands there as its default; a changed value is a changed default.
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from branchlab.analysis.features.changes import FileChange
from branchlab.analysis.features.findings import Finding
from branchlab.analysis.features.flags import Flag
from branchlab.domain import FeatureVerdict

Scalar = bool | int | float | str | None
_KEYS_MAX = 5000
_SHOWN_MAX = 40
_WORDS: Mapping[str, Scalar] = {
    **dict.fromkeys(("true", "True", "yes", "on"), True),
    **dict.fromkeys(("false", "False", "no", "off"), False),
    **dict.fromkeys(("null", "Null", "~", "None", ""), None),
}


def flat(path: str, text: str) -> dict[str, Scalar] | str:
    """Return dotted key -> value of a config file, or why it cannot be read."""
    suffix = PurePosixPath(path).suffix.lower()
    try:
        if suffix == ".json":
            return dict(_flattened(json.loads(text)))
        if suffix == ".toml":
            return dict(_flattened(tomllib.loads(text)))
    except (ValueError, RecursionError) as error:
        return str(error)[:80]
    return _flat_yaml(text)


def _flattened(value: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict) and depth < 30:  # noqa: PLR2004  deeper is data
        for key, one in list(value.items())[:_KEYS_MAX]:
            yield from _flattened(one, f"{prefix}.{key}" if prefix else str(key), depth + 1)
        if not value:
            yield prefix, None
    elif isinstance(value, bool | int | float | str) or value is None:
        yield prefix, value
    else:
        yield prefix, json.dumps(value, default=str, sort_keys=True)[:500]


def _flat_yaml(text: str) -> dict[str, Scalar] | str:
    """Read ``key: value`` lines by their indent; a list or block below a key is one text."""
    found: dict[str, Scalar] = {}
    above: list[tuple[int, str]] = []
    block: tuple[int, str] | None = None
    for number, raw in enumerate(text.splitlines()[:_KEYS_MAX], 1):
        if block is not None:
            if not raw.strip() or len(raw) - len(raw.lstrip()) > block[0]:
                found[block[1]] = f"{found[block[1]]}\n{raw.strip()}"
                continue
            block = None
        if raw.startswith(("<<<<<<< ", ">>>>>>> ")):
            return f"holds the marker of a merge conflict in line {number}"
        line = _without_comment(raw).rstrip()
        if not line.strip() or line.strip() in {"---", "..."}:
            continue
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        key, colon, value = _key_value(line.strip())
        prefix = ".".join(name for _, name in above)
        if not colon:
            found[prefix] = f"{found.get(prefix) or ''} {line.strip()}".strip()
            continue
        whole = f"{prefix}.{key}" if prefix else key
        above.append((indent, key))
        found[whole] = _scalar(value)
        if value[:1] in {"|", ">"}:
            block = indent, whole
    parents = {key.rpartition(".")[0] for key in found}
    return {key: one for key, one in found.items() if not (one is None and key in parents)}


def _key_value(line: str) -> tuple[str, str, str]:
    """Split ``key: value``; the colon of a key is followed by a space or ends the line."""
    if line.startswith(("-", "[", "{", "]", "}")):
        return "", "", line
    quote = line[0] if line[0] in "\"'" else ""
    start = line.find(quote, 1) + 1 if quote else 0
    at = line.find(": ", start)
    if at < 0 and line.endswith(":"):
        at = len(line) - 1
    if at < 0:
        return "", "", line
    return line[:at].strip().strip("\"'"), ":", line[at + 1 :].strip()


def _without_comment(line: str) -> str:
    """Drop ``# …`` outside quotes."""
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#" and (at == 0 or line[at - 1] in " \t"):
            return line[:at]
    return line


def _scalar(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in {'"', "'"} and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def config_findings(change: FileChange) -> tuple[list[Finding], list[Flag]]:
    """Compare a config file, and return its new keys as flags."""
    path = change.head_path
    if change.is_added or change.is_deleted or change.base is None or change.head is None:
        return [_whole(change)], []
    old, new = flat(change.base_path, change.base), flat(path, change.head)
    if isinstance(new, str):
        reason = f"{path} cannot be read: {new}"
        return [_finding(path, "", FeatureVerdict.UNPARSED, reason)], []
    if isinstance(old, str):
        reason = f"{path} could not be read before and can be now"
        return [_finding(path, "", FeatureVerdict.UNGUARDED, reason)], []
    found: list[Finding] = []
    flags: list[Flag] = []
    for key, value in new.items():
        name = key.rpartition(".")[2]
        if key not in old:
            made = _finding(
                path,
                key,
                FeatureVerdict.GUARDED,
                f"new key {key} in {path}, {_shown(value)} by default",
            )
            made.flags = frozenset({name})
            found.append(made)
            flags.append(
                Flag(
                    name=name,
                    kind="config",
                    owner="",
                    path=path,
                    line=0,
                    default=ast.Constant(value),
                )
            )
        elif value != old[key] or isinstance(value, bool) != isinstance(old[key], bool):
            reason = f"{key} in {path} was {_shown(old[key])} and is now {_shown(value)}"
            found.append(_finding(path, key, FeatureVerdict.DEFAULT_CHANGED, reason))
    found += [
        _finding(path, key, FeatureVerdict.BREAKING, f"key {key} of {path} is gone")
        for key in old
        if key not in new and not any(one.startswith(f"{key}.") for one in new)
    ]
    return found or [_finding(path, "", FeatureVerdict.INERT, f"{path} says what it said")], flags


def _whole(change: FileChange) -> Finding:
    path = change.head_path
    if change.is_deleted:
        return _finding(path, "", FeatureVerdict.BREAKING, f"config {path} is gone")
    if change.is_added:
        return _finding(path, "", FeatureVerdict.ADDITIVE, f"config {path} is new")
    return _finding(
        path, "", FeatureVerdict.UNGUARDED, f"config {path} changed and holds no text to compare"
    )


def _shown(value: Scalar) -> str:
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def _finding(path: str, key: str, verdict: FeatureVerdict, reason: str) -> Finding:
    return Finding(
        verdict=verdict, kind="config", symbol=key, path=path, line=0, reason=reason, text=reason
    )
