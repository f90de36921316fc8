"""What the keys of ``[trainer]`` that run a project's own script must be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from branchlab.config.reader import Reader
from branchlab.config.tables import Trainer
from branchlab.domain import CHECKPOINT, KEY_VALUE, PLACEHOLDERS, FlagStyle, placeholders_of
from branchlab.errors import nearest

_FROM = ("branch", "main")


def check_script(trainer: Trainer, reader: Reader) -> None:
    """Complain of the first value that has no meaning.

    Raises:
        ConfigError: With file, line and key.
    """
    if trainer.task and trainer.command:
        raise reader.error(
            "trainer",
            "command",
            "task and command are both set, and exactly one of them trains",
            hint="keep task for branchlab's own trainer, or command for a script of yours",
        )
    if not trainer.command:
        _check_alone(trainer, reader)
        return
    if trainer.arguments:
        raise reader.error(
            "trainer",
            "arguments",
            "arguments are those of a task; a script is given its own in command",
            hint='write them as words of command, for instance "--data", "/path"',
        )
    _check_words(trainer.command, "command", PLACEHOLDERS, reader)
    _check_words(trainer.resume, "resume", (*PLACEHOLDERS, CHECKPOINT), reader)
    reader.check_choice("trainer", "trainer_from", [trainer.trainer_from], _FROM)
    reader.check_choice("trainer", "flag_style", [trainer.flag_style], [*map(str, FlagStyle)])
    if trainer.resume and not trainer.checkpoint:
        raise reader.error(
            "trainer",
            "resume",
            "checkpoint is missing: resume says how to go on, checkpoint which file to go on from",
            hint='for instance: resume = ["--resume", "{checkpoint}"] and checkpoint = "*.pt"',
        )
    if trainer.checkpoint.startswith("/") or ".." in trainer.checkpoint.split("/"):
        raise reader.error(
            "trainer", "checkpoint", "checkpoint is a pattern of files below {run_dir}"
        )
    _check_pattern(trainer.pattern, reader)


def _check_alone(trainer: Trainer, reader: Reader) -> None:
    """See that nothing is said of a script where there is none."""
    usual = Trainer()
    for key in ("trainer_from", "flag_style", "resume", "checkpoint", "pattern"):
        if getattr(trainer, key) != getattr(usual, key):
            raise reader.error(
                "trainer",
                key,
                f"{key} belongs to command, which is not set",
                hint='set command, for instance ["python", "train.py", "--seed", "{seed}", "{flags}"]',
            )


def _check_words(words: Sequence[str], key: str, known: Sequence[str], reader: Reader) -> None:
    if any(not word for word in words):
        raise reader.error("trainer", key, f"{key} has an empty word")
    for found in sorted(placeholders_of(words)):
        if found not in known:
            listed = ", ".join(f"{{{name}}}" for name in known)
            raise reader.error(
                "trainer",
                key,
                f"{key}: unknown placeholder {{{found}}}",
                hint=f"{nearest(found, known)}known here: {listed}; the text itself is written {{{{{found}}}}}",
            )
    for word in words:
        if "flags" in placeholders_of([word]) and (word != "{flags}" or key == "resume"):
            raise reader.error(
                "trainer",
                key,
                f"{key}: {{flags}} stands for several words, and is a word of its own in command",
            )


def _check_pattern(pattern: str, reader: Reader) -> None:
    if not pattern or pattern == KEY_VALUE:
        return
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise reader.error(
            "trainer", "pattern", f"pattern is no regular expression: {error}"
        ) from None
    if not groups - {"epoch", "step"} or (("name" in groups) != ("value" in groups)):
        raise reader.error(
            "trainer",
            "pattern",
            "pattern names no metric",
            hint="name a group after each: '(?P<val_loss>[0-9.]+)', or use the groups name and value, "
            f'or pattern = "{KEY_VALUE}"',
        )
