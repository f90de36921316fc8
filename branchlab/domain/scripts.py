"""A project's own training script: the command that runs it, and what its words come to for one run.

A word may hold placeholders, ``{seed}``. A placeholder that has no value for a run takes its word away, and the option before
it: ``--epochs {epochs}`` stands there only where a number of epochs was asked for. ``{{seed}}`` is the text itself.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PLACEHOLDERS = (
    "device",
    "seed",
    "sample",
    "sample_seed",
    "run_dir",
    "flags",
    "epochs",
    "budget",
    "threads",
    "processes",
)
"""What a command may ask for."""
CHECKPOINT = "checkpoint"
"""What the words of ``resume`` may ask for besides."""
KEY_VALUE = "key: value"
"""The pattern that has a name: whole lines of that form."""

_BRACED = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")


class FlagStyle(StrEnum):
    """How a script takes a flag, each named by how it looks.

    ``--name value`` is that of argparse and click, with ``--name`` and ``--no-name`` for booleans. The other two write a
    boolean as ``True`` or ``False``, which Lightning's CLI, nanoGPT's configurator and Hydra all read.
    """

    WORDS = "--name value"
    EQUALS = "--name=value"
    BARE = "name=value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How a project trains by itself.

    Attributes:
        command: Its words, with placeholders.
        resume: Words that are appended where an earlier attempt has left a checkpoint.
        checkpoint: Glob below the run's own folder that finds it; the newest whole file is meant.
        pattern: Regular expression with named groups that finds metrics in lines of output, or ``key: value``.
        taken: Files that are main's for every branch: path to blob id.
    """

    command: tuple[str, ...]
    flag_style: FlagStyle = FlagStyle.WORDS
    resume: tuple[str, ...] = ()
    checkpoint: str = ""
    pattern: str = ""
    taken: Mapping[str, str] = field(default_factory=dict)

    @property
    def protocol(self) -> tuple[object, ...]:
        """What decides a result, so that runs are only held against runs of the same."""
        return (
            self.command,
            str(self.flag_style),
            self.pattern,
            tuple(sorted(self.taken.items())),
        )

    @property
    def line(self) -> str:
        """The command as one line, with its placeholders, as a shell would be given it."""
        return shlex.join(self.command)

    def takes(self, placeholder: str) -> bool:
        """Whether the command asks for something."""
        return placeholder in placeholders_of(self.command)

    def words(
        self, values: Mapping[str, str], flags: Mapping[str, bool | int | float | str]
    ) -> list[str]:
        """Return the words of one run's command."""
        given = flag_words(flags, self.flag_style)
        return _filled([*self.command], values, flags=given)

    def resume_words(self, checkpoint: str, values: Mapping[str, str]) -> list[str]:
        """Return the words that let the script go on from a checkpoint."""
        return _filled([*self.resume], {**values, CHECKPOINT: checkpoint}, flags=[])


def placeholders_of(words: Iterable[str]) -> set[str]:
    """Return what some words ask for."""
    return {match[2] for word in words for match in _BRACED.finditer(word) if match[2]}


def flag_words(flags: Mapping[str, bool | int | float | str], style: FlagStyle) -> list[str]:
    """Return flags as a script of some style takes them."""
    words: list[str] = []
    for name, value in flags.items():
        match style, value:
            case FlagStyle.WORDS, bool():
                words.append(f"--{name}" if value else f"--no-{name}")
            # An argument that begins with a dash would be taken for an option.
            case FlagStyle.WORDS, str() if value.startswith("-"):
                words.append(f"--{name}={value}")
            case FlagStyle.WORDS, _:
                words += [f"--{name}", str(value)]
            case FlagStyle.EQUALS, _:
                words.append(f"--{name}={value}")
            case FlagStyle.BARE, _:
                words.append(f"{name}={value}")
    return words


def _filled(words: Sequence[str], values: Mapping[str, str], *, flags: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        if word == "{flags}":
            found += flags
            continue
        missing = placeholders_of([word]) - values.keys()
        if missing:
            if word == f"{{{next(iter(missing))}}}" and found and found[-1].startswith("-"):
                found.pop()
            continue
        found.append(_BRACED.sub(lambda m: values[m[2]] if m[2] else f"{{{m[1]}}}", word))
    return found
