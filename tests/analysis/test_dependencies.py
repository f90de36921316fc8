from __future__ import annotations

import pytest

from branchlab.analysis.dependencies import dependencies_of, is_dependency_file

PYPROJECT = """
[project]
name = "p"
dependencies = ["torch", "numpy>=2"]

[tool.ruff]
line-length = 100
"""
SETUP = """
from setuptools import setup
setup(name="p", version="1", install_requires=["torch"])
"""


@pytest.mark.parametrize(
    "path",
    [
        *(
            "requirements.txt",
            "sub/requirements-dev.txt",
            "dev_requirements.txt",
            "Requirements.txt",
        ),
        *(
            "requirements/base.txt",
            "requirements.in",
            "constraints.txt",
            "pyproject.toml",
            "setup.py",
        ),
        *(
            "setup.cfg",
            "environment.yml",
            "environment-gpu.yaml",
            "Pipfile",
            "Pipfile.lock",
            "uv.lock",
        ),
        *(
            "poetry.lock",
            "a/b/pdm.lock",
            "pylock.toml",
            ".python-version",
            "conda.yaml",
            "pixi.toml",
        ),
    ],
)
def test_files_that_name_dependencies_are_known_in_any_folder(path: str) -> None:
    assert is_dependency_file(path)


@pytest.mark.parametrize(
    "path",
    [
        *("train.py", "README.md", "config.toml", "setup_data.py", "notes/base.txt", "data.yml"),
        *("constraints/labels.txt", "my_requirements/notes/a.txt", "mypyproject.toml"),
    ],
)
def test_other_files_are_not(path: str) -> None:
    assert not is_dependency_file(path)


def same(path: str, one: str | None, two: str | None) -> bool:
    return dependencies_of(path, one) == dependencies_of(path, two)


def test_comments_and_blank_lines_of_requirements_change_nothing() -> None:
    one = "torch  # the newest\n\n# plots\nnumpy>=2 \\\n  ; python_version > '3'\n"
    assert same("requirements.txt", one, "torch\nnumpy>=2  ; python_version > '3'")
    assert not same("requirements.txt", one, "torch\nnumpy>=3")


def test_an_address_with_a_fragment_is_no_comment() -> None:
    assert not same("requirements.txt", "a @ git+https://x/a#egg=a", "a @ git+https://x/a#egg=b")


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("line-length = 100", "line-length = 88", True),
        ('name = "p"', 'name = "q"\nversion = "2"', True),
        ('"numpy>=2"', '"numpy>=2", "timm"', False),
        ("[tool.ruff]", "[dependency-groups]\ndev = ['pytest']\n[tool.ruff]", False),
        ("[tool.ruff]", "[project.optional-dependencies]\na = ['b']\n[tool.ruff]", False),
        ("[tool.ruff]", "[tool.uv.sources]\na = {path = 'b'}\n[tool.ruff]", False),
        ("[tool.ruff]", "[tool.poetry.dependencies]\na = '1'\n[tool.ruff]", False),
        ("[tool.ruff]", "[tool.uv]\n[tool.black]", True),
        ('name = "p"', 'name = "p"\nrequires-python = ">=3.12"', False),
    ],
)
def test_of_pyproject_the_tables_of_dependencies_count(old: str, new: str, is_same) -> None:
    assert same("pyproject.toml", PYPROJECT, PYPROJECT.replace(old, new)) is is_same


def test_a_pyproject_of_tools_alone_is_like_none() -> None:
    assert same("pyproject.toml", "[tool.ruff]\nline-length = 100\n", None)


def test_of_setup_py_what_it_requires_counts_and_what_it_computes_makes_all_of_it_count() -> None:
    assert same("setup.py", SETUP, SETUP.replace('"1"', '"2"'))
    assert not same("setup.py", SETUP, SETUP.replace('["torch"]', '["torch", "timm"]'))
    computed = SETUP.replace('["torch"]', "read()")
    assert not same("setup.py", computed, computed.replace('"1"', '"2"'))


def test_of_setup_cfg_what_it_requires_counts() -> None:
    config = "[metadata]\nname = p\n[options]\ninstall_requires =\n  torch\n  numpy\n"
    assert same("setup.cfg", config, config.replace("name = p", "name = q\nversion = 3"))
    assert not same("setup.cfg", config, config.replace("numpy", "numpy>=2"))
    assert not same("setup.cfg", config, config + "[options.extras_require]\na = b\n")


def test_what_conda_calls_an_environment_is_no_dependency() -> None:
    one = "name: a\ndependencies:\n  - numpy\nprefix: /opt/a\n"
    assert same("environment.yml", one, "name: b\ndependencies:\n  - numpy\n")
    assert not same("environment.yml", one, "dependencies:\n  - numpy=2\n")


@pytest.mark.parametrize("path", ["pyproject.toml", "setup.cfg", "setup.py", "Pipfile"])
def test_a_file_that_does_not_parse_is_compared_as_text(path: str) -> None:
    torn = "[[[ not this )( language\n"
    assert same(path, torn, torn)
    assert not same(path, torn, torn + "more")
    assert not same(path, torn, None)


def test_an_empty_file_names_as_much_as_none() -> None:
    assert same("requirements.txt", "# nothing yet\n", None)
