"""The command line in a process of its own, forked from one that has done its imports: a start takes a twentieth of half a second.

What is loaded when a verb starts cold is part of the product: the first call of each verb starts a Python of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_ROOMS = ("cli", "lab", "report", "analysis", "git", "store", "schedule", "export")
_WITH_THEM = ("scipy.stats", "statsmodels.stats.contingency_tables", "lark", "tomlkit")
"""What verbs import only when they get there, and takes most of a second."""
_COLD = [sys.executable, "-m", "branchlab.cli"]
_AT_FIRST = dict(os.environ)
_begun: set[str] = set()


def call(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], is_cold: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``branchlab`` with arguments, nothing to read, and return what it wrote and its exit code.

    Args:
        is_cold: Start a Python of its own and read its output through pipes, as a script does that waits for their end.
    """
    verb = next(iter(arguments), "")
    if is_cold or verb not in _begun or _how_python_starts(env) != _how_python_starts(_AT_FIRST):
        _begun.add(verb)
        return subprocess.run(
            [*_COLD, *arguments], cwd=cwd, env=env, check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        order = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        parent = _parent()
        assert parent.stdin
        assert parent.stdout
        parent.stdin.write(json.dumps({**order, "out": str(out), "err": str(err)}) + "\n")
        parent.stdin.flush()
        answer = parent.stdout.readline()
        assert answer, "the process that forks has ended: see its complaint above"
        return subprocess.CompletedProcess(
            [*_COLD, *arguments], json.loads(answer), out.read_text(), err.read_text()
        )


def _how_python_starts(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


@cache
def _parent() -> subprocess.Popen[str]:
    """Return the process that forks; it ends when this one does, and its standard input with it."""
    found = subprocess.Popen(
        [sys.executable, "-P", __file__], env=_AT_FIRST,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    atexit.register(_let_go, found)
    return found


def _let_go(parent: subprocess.Popen[str]) -> None:
    for pipe in (parent.stdin, parent.stdout):
        assert pipe
        pipe.close()
    parent.wait(timeout=10)


def _serve() -> None:
    """Import all rooms but those with torch and textual, then answer each line with the exit code of a command."""
    for room in _ROOMS:
        package = importlib.import_module(f"branchlab.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    for name in _WITH_THEM:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    os.set_inheritable(answers.fileno(), False)  # noqa: FBT003  the child of a child ends with the test
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answers.close()
            _become(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def _become(order: Mapping[str, object]) -> None:
    """Be the process that an order asks for, up to its exit."""
    os.chdir(str(order["cwd"]))
    os.environ.clear()
    os.environ.update(order["env"])  # type: ignore[call-overload]
    for number, path in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        file = os.open(str(path), flags)
        os.dup2(file, number)
        os.close(file)
    cli = importlib.import_module("branchlab.cli")
    sys.path.insert(0, str(order["cwd"]))
    sys.argv = [str(Path(str(cli.__file__)).with_name("__main__.py")), *order["arguments"]]  # type: ignore[misc]
    cli.main()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
