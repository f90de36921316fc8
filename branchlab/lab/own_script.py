"""A project that trains by its own script: what the config says of it as a value, and what it cannot be asked for.

With ``trainer_from = "main"`` the files that the command names are main's on every branch. A run then checks out a commit with the
branch's files and those, so that the script finds the branch's own modules beside itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from branchlab.config import CONFIG_NAME, Trainer
from branchlab.domain import Branch, Flags, FlagStyle, Script, placeholders_of
from branchlab.errors import ConfigError
from branchlab.git.compose import compose, files_at
from branchlab.lab.project import Project
from branchlab.lab.run_request import RunRequest

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def script_of_project(project: Project, main: Branch) -> Script | None:
    """Return the script that trains the branches; None where a task does.

    Raises:
        ConfigError: Its files are to be main's, and the command names none that main has.
    """
    trainer = project.config.trainer
    if not trainer.command:
        return None
    taken = taken_from_main(project, main)
    if trainer.trainer_from == "main" and not taken:
        raise ConfigError(
            f'[trainer] trainer_from = "main": no word of command is a file on {main.name}',
            hint=f"commit the script on {main.name}, or leave trainer_from out",
        )
    return Script(
        command=trainer.command,
        flag_style=FlagStyle(trainer.flag_style),
        resume=trainer.resume,
        checkpoint=trainer.checkpoint,
        pattern=trainer.pattern,
        taken=taken,
    )


def taken_from_main(project: Project, main: Branch) -> dict[str, str]:
    """Return the files of main's that train every branch, each with its blob; none where branches have their own."""
    trainer = project.config.trainer
    if not trainer.command or trainer.trainer_from != "main":
        return {}
    return files_at(project.repository, main.tip, list(_paths(trainer)))


def code_of(project: Project, script: Script | None, branch: Branch, main: Branch) -> str:
    """Return the commit that a branch's runs check out; "" where it is the branch's own."""
    if script is None or not script.taken:
        return ""
    made = compose(project.repository, branch.tip, script.taken, like=main.tip)
    return "" if made == branch.tip else made


def check_script_request(script: Script, request: RunRequest, *, processes: int) -> None:
    """Refuse what the command has no word for.

    Raises:
        ConfigError: With the words that it lacks.
    """
    asked = [
        (request.epochs is not None, "epochs", "--epochs", '"--epochs", "{epochs}"'),
        (request.budget_s is not None, "budget", "--budget", '"--seconds", "{budget}"'),
        (request.fraction is not None, "sample", "--sample", '"--subset", "{sample}"'),
        (
            processes > 1,
            "processes",
            "[run] processes",
            '"torchrun", "--nproc_per_node", "{processes}"',
        ),
    ]
    for is_asked, placeholder, option, words in asked:
        if is_asked and not script.takes(placeholder):
            raise ConfigError(
                f"{option}: the script is told of it by {{{placeholder}}}, which [trainer] command has not",
                hint=f"add it in {CONFIG_NAME}, as the script takes it: {words}",
            )


def check_flags(script: Script | None, flags: Flags, branch: str) -> None:
    """Refuse flags that would not reach the script.

    Raises:
        ConfigError: The command has no word for them.
    """
    if script is not None and flags and not script.takes("flags"):
        raise ConfigError(
            f"{branch} runs with {', '.join(flags)}, and [trainer] command has no {{flags}}",
            hint=f'add the word "{{flags}}" to command in {CONFIG_NAME}',
        )


def script_notes(script: Script | None) -> tuple[str, ...]:
    """Say what the words of a command leave out that results are judged by."""
    if script is None:
        return ()
    found = []
    if not script.takes("seed"):
        found.append(
            "[trainer] command has no {seed}: branches are not paired by seed, and runs of one branch may be the same run"
        )
    if not script.takes("run_dir"):
        found.append(
            "[trainer] command has no {run_dir}: what the script writes beside itself goes with the run's work tree"
        )
    return tuple(found)


def needs_task(project: Project, what: str) -> None:
    """Raise where a verb trains the task, and the project has a script instead.

    Raises:
        ConfigError: With what the verb needs.
    """
    if project.config.trainer.command:
        raise ConfigError(
            f"{what} trains a task step by step, and this project trains by a script of its own ([trainer] command)",
            hint="write a branchlab.Task for it; without one, features and compare still judge a branch, "
            "and git merge brings it in, unproved",
        )


def _paths(trainer: Trainer) -> Iterator[str]:
    """Yield what may be a file among the words of a command: a word, what follows its equals sign, a module after -m."""
    before = ""
    for word in trainer.command:
        if before == "-m" and _MODULE.fullmatch(word):
            module = word.replace(".", "/")
            yield from (f"{module}.py", f"{module}/__main__.py")
        before = word
        for text in (word, word.partition("=")[2]):
            path = PurePosixPath(text)
            is_inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
            if is_inside and not placeholders_of([text]):
                yield str(path)
