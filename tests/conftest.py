"""What holds for every test: no clock decides, examples are the same each time; and programs of Slurm that only play along."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "branchlab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("branchlab")

# A shell has what it starts in the background ignore Ctrl-C, and so would each command that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SBATCH = """#!/bin/sh
[ -e {folder}/refusal ] && { cat {folder}/refusal >&2; exit 1; }
cat "$1" >> {folder}/scripts
n=$(($(cat {folder}/number) + 1))
echo $n > {folder}/number
echo "Submitted batch job $n"
"""
_SQUEUE = """#!/bin/sh
[ -e {folder}/silence ] && { cat {folder}/silence >&2; exit 1; }
cat {folder}/queue
"""


class PlayedSlurm:
    """A cluster that starts nothing: its programs say what a test lets them say, and what they were told is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        (folder / "number").write_text("16")
        (folder / "queue").touch()
        self._program("sbatch", _SBATCH)
        self._program("squeue", _SQUEUE)
        self._program("sinfo", "#!/bin/sh\necho 'main*|1-00:00:00'; echo 'long|infinite'\n")
        self._program("scancel", '#!/bin/sh\necho "$@" >> {folder}/cancelled\n')
        self._program("scontrol", '#!/bin/sh\necho "$@" >> {folder}/requeued\n')
        self._program("srun", "#!/bin/sh\n")

    def _program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text.replace("{folder}", str(self.folder)))
        path.chmod(0o755)

    def queue(self, **states: str) -> None:
        """Let ``squeue`` list jobs, for instance ``_17_0="RUNNING|None"``."""
        lines = [f"{name.removeprefix('_')}|{state}" for name, state in states.items()]
        (self.folder / "queue").write_text("\n".join(lines))

    def fail(self, name: str, said: str) -> None:
        """Let ``sbatch`` refuse, or ``squeue`` fail, with what it says."""
        (self.folder / {"sbatch": "refusal", "squeue": "silence"}[name]).write_text(said)

    def told(self, name: str) -> str:
        """Return the scripts that ``sbatch`` was given, or the arguments of ``scancel`` and ``scontrol``."""
        path = (
            self.folder
            / {"sbatch": "scripts", "scancel": "cancelled", "scontrol": "requeued"}[name]
        )
        return path.read_text() if path.exists() else ""


@pytest.fixture
def played_slurm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> PlayedSlurm:
    made = PlayedSlurm(tmp_path_factory.mktemp("slurm"))
    monkeypatch.setenv("PATH", f"{made.programs}{os.pathsep}{os.environ['PATH']}")
    return made
