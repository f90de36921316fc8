"""What stands at the other end of the output: how many columns, whether in colour, in which characters.

What is piped is for programs: as wide as it is, without colour, in the encoding of the stream. On a terminal colour gives
way to ``--color never``, to ``NO_COLOR`` and to ``TERM=dumb``, and marks to plain characters where its locale has no
others. Each mark has one plain character in its place, so that columns stay where they are.
"""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import TextIO

import click

from branchlab.terminal_text import plain_characters

_PLAIN = "plain-ascii"


class Colour(StrEnum):
    """When output is coloured."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


_chosen = Colour.AUTO


def choose_colour(choice: Colour) -> None:
    """Remember what ``--color`` says: it also holds for errors, which are said when no command is left."""
    global _chosen  # noqa: PLW0603  one process, one command line
    _chosen = choice


def colour() -> bool | None:
    """Return whether output is coloured; None: where it goes to a terminal."""
    if _chosen is not Colour.AUTO:
        return _chosen is Colour.ALWAYS
    is_colourless = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return False if is_colourless else None


def columns() -> int | None:
    """Return how many columns stdout has; None where it is no terminal, and nothing may be left out."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lines() -> int:
    """Return how many lines the terminal has."""
    return shutil.get_terminal_size().lines


@lru_cache(maxsize=8192)
def width(text: str) -> int:
    """Return the columns that a text takes on a terminal, colours not counted."""
    plain = click.unstyle(text) if "\x1b" in text else text
    if plain.isascii():
        return len(plain)
    return sum(map(_width_of_character, plain))


@lru_cache(maxsize=1024)
def _width_of_character(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def can_redraw(stream: TextIO) -> bool:
    """Whether what stands there can be drawn over: on a terminal whose cursor moves."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def use_plain_characters_where_needed() -> None:
    """Let stdout and stderr write plain characters in place of what their encoding, or the terminal's locale, lacks."""
    for stream in (sys.stdout, sys.stderr):
        if not hasattr(stream, "reconfigure"):
            continue
        if not stream.encoding.lower().replace("-", "").startswith("utf"):
            codecs.register_error(_PLAIN, _plainly)
            stream.reconfigure(encoding=_encoding(stream.encoding), errors=_PLAIN)
        elif stream.isatty() and is_plain_locale(os.environ):
            codecs.register_error(_PLAIN, _plainly)
            stream.reconfigure(encoding=_encoding("ascii"), errors=_PLAIN)


def is_plain_locale(environ: Mapping[str, str]) -> bool:
    """Whether the user asks for the C locale, or for one in which UTF-8 is not written.

    Python itself writes UTF-8 in the C locale and sets LC_CTYPE to C.UTF-8 (PEP 538): that one is not the user's word.
    Where nothing is set at all, as in most containers, the terminal is trusted.
    """
    kind = environ.get("LC_CTYPE", "")
    said = environ.get("LC_ALL") or ("" if kind == "C.UTF-8" else kind) or environ.get("LANG") or ""
    name, _, encoding = said.partition(".")
    if encoding:
        return not encoding.lower().replace("-", "").startswith("utf8")
    return name in {"C", "POSIX"}


def _encoding(name: str) -> str:
    """Return an encoding that click leaves alone: it takes ASCII for a mistake and writes UTF-8 all the same."""
    if codecs.lookup(name).name != "ascii":
        return name
    codecs.register(_plain_ascii)
    return _PLAIN


def _plain_ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _PLAIN:
        return None
    ascii_codec = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_PLAIN,
        encode=ascii_codec.encode,
        decode=ascii_codec.decode,
        incrementalencoder=ascii_codec.incrementalencoder,
        incrementaldecoder=ascii_codec.incrementaldecoder,
        streamreader=ascii_codec.streamreader,
        streamwriter=ascii_codec.streamwriter,
    )


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """Put plain characters of the same width in the place of what cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return plain_characters(lacking), error.end
