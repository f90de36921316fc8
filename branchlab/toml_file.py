"""Reading TOML that may be missing, huge, damaged or not text at all, and saying where.

Beyond 1 MB a file is refused unread: tomli needs 13 s for a million keys (measured).
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from branchlab.errors import ConfigError

_SIZE_MAX = 1_000_000


def shown(value: object, *, length_max: int = 80) -> str:
    """Return a value of a file as an error message names it: in one line, and never longer than serves."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, tables within tables
        return "a value too large to be shown"
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"


def is_plain(value: object) -> bool:
    """Whether a value is a string, a boolean or a number as TOML bounds it (integers of 64 bits)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return isinstance(value, bool | float | str)


def read_toml_text(path: Path, *, hint_when_missing: str = "") -> str:
    """Return a TOML file's text, with the size bounded and every failure named."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", hint=hint_when_missing) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint=hint_when_missing
        ) from None
    if len(content) > _SIZE_MAX:
        raise ConfigError(
            f"{path} has {len(content)} bytes; at most {_SIZE_MAX} are read", hint="shorten it"
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8", hint="save the file as UTF-8") from None


def parse_toml(text: str, *, path: PurePath) -> dict[str, Any]:
    """Return the TOML document, or say where it is malformed."""
    import tomli

    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError(
            f"{path}:{error.lineno}:{error.colno}: not TOML: {error.msg}",
            hint=f"mend {path} at that line",
        ) from None
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: not TOML: {error}", hint=f"mend {path}") from None
