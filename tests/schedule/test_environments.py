"""Real uv, tiny wheels, no index: environments without what the trainer needs, so that each takes half a second."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import tomli

from branchlab import version
from branchlab.errors import ConfigError, ExecutorError
from branchlab.run_folder import locked
from branchlab.schedule.environments import NEEDS, Ingredients, existing, provide, tidy
from branchlab.train.installed import installed
from tests.wheels import build_wheel

PROJECT = """
[project]
name = "p"
version = "1"
requires-python = ">=3.11"
dependencies = ["one"]
[project.optional-dependencies]
more = ["two"]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    wheels = tmp_path / "wheels"
    for number in ("1.0", "2.0"):
        build_wheel(wheels, "one", number)
    build_wheel(wheels, "two", "1.0", requires=("one<2",))
    for name, value in {
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "lab" / ".branchlab" / "environments"


def test_what_the_trainer_needs_is_bounded_as_branchlab_itself_says() -> None:
    root = Path(version.__file__).parents[1]
    told = tomli.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(NEEDS) <= set(told)


def listed(text: str, **more: object) -> Ingredients:
    return Ingredients(
        files={"requirements.txt": text}, sources=("requirements.txt",), needs=(), **more
    )  # type: ignore[arg-type]


def pins(python: Path) -> list[str]:
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    return [package.pin for package in installed([str(packages)]).packages]


def said_by(python: Path, code: str) -> str:
    done = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def left_over(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir() if path.name.startswith("."))


def test_what_is_listed_is_installed_and_branchlab_is_the_one_that_runs_here(home: Path) -> None:
    made = provide(home, listed("two"))
    assert pins(made.python) == ["one==1.0", "two==1.0"]
    assert said_by(made.python, "import one, two; print(one.version)") == "1.0"
    assert said_by(made.python, "import branchlab; print(branchlab.__file__)").startswith(
        str(made.python.parents[1])
    )
    assert made.python_version == said_by(
        made.python, "import platform; print(platform.python_version())"
    )
    assert left_over(home) == []


def test_one_that_is_there_is_used_again_without_uv(home: Path, monkeypatch) -> None:
    made = provide(home, listed("one"))
    monkeypatch.setenv("PATH", "")
    assert provide(home, listed("one  # the same\n")) == made
    assert existing(home, listed("one")) == made
    assert existing(home, listed("one<2")) is None


@pytest.mark.slow
def test_a_program_that_was_installed_starts_at_its_final_place(home: Path) -> None:
    made = provide(home, listed("one"))
    config = (made.python.parents[1] / "pyvenv.cfg").read_text()
    assert "relocatable = true" in config
    assert not any(str(home / ".") in line and "/." in line for line in config.splitlines())


@pytest.mark.slow
def test_the_same_packages_have_one_digest_whatever_asked_for_them(home: Path) -> None:
    exact, bounded = provide(home, listed("one==1.0")), provide(home, listed("one<2"))
    assert exact.key != bounded.key
    assert exact.packages == bounded.packages
    assert provide(home, listed("one==2.0")).packages != exact.packages


def test_requirements_that_cannot_be_met_are_said_in_uvs_words_and_leave_nothing(home) -> None:
    with pytest.raises(ExecutorError, match=r"cannot be made: No solution found.* one"):
        provide(home, listed("one>=3"))
    assert left_over(home) == []
    assert existing(home, listed("one>=3")) is None


def test_a_version_of_python_that_is_not_there_fails_that_environment(home: Path) -> None:
    with pytest.raises(ExecutorError, match="its environment cannot be made"):
        provide(home, listed("one", python="3.99"))


def test_lists_in_folders_include_others_and_constraints_bound_them(home: Path) -> None:
    files = {
        "sub/requirements.txt": "-r more/base.txt\n",
        "sub/more/base.txt": "one\n",
        "constraints.txt": "one<2\n",
    }
    made = provide(
        home,
        Ingredients(
            files=files,
            sources=("sub/requirements.txt",),
            constraints=("constraints.txt",),
            needs=(),
        ),
    )
    assert pins(made.python) == ["one==1.0"]


@pytest.mark.slow
def test_extras_of_a_project_come_when_they_are_asked_for(home: Path) -> None:
    files = {"pyproject.toml": PROJECT}
    plain = provide(home, Ingredients(files=files, sources=("pyproject.toml",), needs=()))
    more = provide(
        home, Ingredients(files=files, sources=("pyproject.toml",), extras=("more",), needs=())
    )
    assert pins(plain.python) == ["one==2.0"]
    assert pins(more.python) == ["one==1.0", "two==1.0"]


def test_a_lock_is_followed_to_the_letter(home: Path, tmp_path: Path) -> None:
    project = tmp_path / "locked"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT.replace('"one"', '"one<2"'))
    subprocess.run([sys.executable, "-m", "uv", "lock", "--quiet"], cwd=project, check=True)
    files = {
        "pyproject.toml": PROJECT.replace('"one"', '"one<2"'),
        "uv.lock": (project / "uv.lock").read_text(),
    }
    made = provide(home, Ingredients(files=files, sources=("uv.lock",), needs=()))
    assert pins(made.python) == ["one==1.0"]


def test_a_requirement_for_branchlab_itself_is_met_by_the_one_that_runs(home: Path) -> None:
    made = provide(home, listed("one\nbranchlab>=0.1\n"))
    assert pins(made.python) == ["one==2.0"]
    (link,) = made.python.parents[1].glob("lib/python*/site-packages/branchlab")
    assert link.readlink() == Path(version.__file__).parent


@pytest.mark.slow
def test_settings_of_a_project_around_it_do_not_reach_it(home: Path) -> None:
    home.parents[1].mkdir(parents=True)
    (home.parents[1] / "uv.toml").write_text('constraint-dependencies = ["one<2"]\n')
    assert pins(provide(home, listed("one")).python) == ["one==2.0"]


@pytest.mark.slow
def test_a_link_to_another_branchlab_is_turned_to_this_one(home: Path, tmp_path: Path) -> None:
    made = provide(home, listed("one"))
    (link,) = made.python.parents[1].glob("lib/python*/site-packages/branchlab")
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    provide(home, listed("one"))
    assert link.readlink() == Path(version.__file__).parent


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"python_version": "3.11.7"}'])
def test_one_whose_card_is_damaged_is_made_again(home: Path, content: str) -> None:
    made = provide(home, listed("one"))
    (home / made.key / "branchlab.json").write_text(content)
    assert provide(home, listed("one")) == made


def test_without_uv_it_is_said_how_to_get_it(home: Path, monkeypatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uv" else found(name)
    )
    with pytest.raises(ConfigError) as caught:
        provide(home, listed("one"))
    assert caught.value.hint == "pip install uv"


PROGRAM = """
import sys
from pathlib import Path
from branchlab.schedule.environments import Ingredients, provide
files = {"requirements.txt": "one"}
made = provide(Path(sys.argv[1]), Ingredients(files=files, sources=("requirements.txt",), needs=()))
print(made.packages)
"""


def played_uv(folder: Path, then: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a uv on PATH that notes what it is asked, and does something before it installs."""
    uv = shutil.which("uv") or f"{sys.executable} -m uv"
    folder.mkdir()
    (folder / "uv").write_text(
        f'#!/bin/sh\necho "$1 $2" >> {folder}/asked\n'
        f'[ "$1 $2" = "pip install" ] && {{ {then}; }}\nexec {uv} "$@"\n'
    )
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "asked"


def started(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, home], stdout=subprocess.PIPE, text=True
    )


def test_two_commands_at_once_make_it_once(home: Path, tmp_path: Path, monkeypatch) -> None:
    asked = played_uv(tmp_path / "played", "sleep 0.5", monkeypatch)
    both = [started(home) for _ in range(2)]
    said = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1
    assert asked.read_text().count("venv") == 1


def test_one_that_was_killed_at_work_is_made_by_the_next(
    home: Path, tmp_path: Path, monkeypatch
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    once = tmp_path / "once"
    then = f"[ -e {once} ] || {{ touch {once}; echo $$ > {gate}; exec sleep 60; }}"
    played_uv(tmp_path / "played", then, monkeypatch)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (temporary / "branchlab-env-of-another").mkdir()
    opened = os.open(gate, os.O_RDWR)  # so that nobody waits for the other end
    first = started(home)
    installs = int(os.read(opened, 100)) if select.select([opened], [], [], 60)[0] else 0
    os.close(opened)
    assert installs
    first.send_signal(signal.SIGKILL)
    first.wait()
    os.kill(installs, signal.SIGKILL)
    first.stdout.close()  # type: ignore[union-attr]
    assert len(left_over(home)) == 1
    assert len(list(temporary.glob("branchlab-env-*"))) == 2
    made = provide(home, listed("one"))
    assert pins(made.python) == ["one==2.0"]
    assert left_over(home) == []
    assert [path.name for path in temporary.iterdir()] == ["branchlab-env-of-another"]


def test_those_that_nobody_needs_are_removed_and_one_in_the_making_stays(home: Path) -> None:
    kept, gone, busy = (provide(home, listed(f"one<={n}")).key for n in (1, 2, 3))
    (home / ".halfmade.17").mkdir()
    with locked(home / f"{busy}.lock") as is_ours:
        assert is_ours
        assert tidy(home, {kept}) == 1
    there = {path.name for path in home.iterdir()}
    assert {kept, busy} <= there
    assert not {gone, ".halfmade.17"} & there
    assert tidy(home, {kept}) == 1
