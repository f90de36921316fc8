"""One run in the terminal: the debugger at a module, a prompt beside a live batch, or a training in which ``breakpoint()`` works.

What is trained is what a run would train: the exact commit from a work tree, the same seeds, the same trainer. But it is a child of
this command with the terminal as its own, without a shim, and nothing of it is recorded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum

from branchlab.config import CONFIG_NAME
from branchlab.errors import ConfigError
from branchlab.lab.branches import all_branches, experiment_of, find_branches, main_branch
from branchlab.lab.own_environments import environment_for_all
from branchlab.lab.probe import ProbeRequest
from branchlab.lab.project import Project
from branchlab.lab.recordings import Recorder, commit_side


class Attached(StrEnum):
    """What the terminal is for."""

    BREAK = "break"
    SHELL = "shell"
    DEBUG = "debug"


def attach(
    project: Project, name: str, request: ProbeRequest, what: Attached, *, module: str = ""
) -> int:
    """Carry it out; return its exit code.

    Args:
        project: Whose.
        name: The branch.
        request: Step, seed, device, and whether its flags are on.
        what: What the terminal is for.
        module: Where to break.

    Raises:
        RepositoryError: There is no such branch.
        ConfigError: There is no terminal, or no task.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and not os.environ.get("PYTHONBREAKPOINT"):
        raise ConfigError(
            f"--{what} needs a terminal, and this is none",
            hint="type it in a terminal, or set PYTHONBREAKPOINT to what shall be called",
        )
    branches = all_branches(project)
    main = main_branch(project, branches)
    branch = find_branches(project, [name], branches)[0]
    is_on = request.with_flags and branch.name != main.name
    flags = experiment_of(project, branch).flags if is_on else {}
    side = commit_side(project, branch.name, branch.tip, flags=flags)
    recorder = Recorder(project, steps=request.step, device=request.device, verb="probe")
    try:
        recorder.warm_up(branch.tip, main=main.tip)
        run = recorder.plan(side, how=[str(what), module])
        folder = recorder.write_plan(run)
        python = environment_for_all(project, branch.tip).python_of(run) or sys.executable
        words = [
            str(python),
            "-m",
            "branchlab.train.attached",
            str(folder.path),
            str(side.folder()),
        ]
        words += [str(what), str(request.step), module]
        return subprocess.run(words, check=False).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        recorder.close()


def branch_to_debug(project: Project, names: tuple[str, ...]) -> str:
    """Return the one branch that ``run --debug`` trains: the one named, else the one checked out here.

    Raises:
        ConfigError: There is not exactly one.
    """
    if len(names) == 1:
        return names[0]
    current = project.repository.current_branch(at=project.here)
    if names or current is None:
        raise ConfigError(
            f"--debug trains one branch, and {len(names) or 'none'} are named ({CONFIG_NAME} names no other)",
            hint="branchlab run exp/NAME --debug",
        )
    return current
