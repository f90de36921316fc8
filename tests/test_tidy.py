"""Checks of the code itself: floors, ceilings, live links, what starts up, generated pages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "branchlab"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
LINES_MAX = 400
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}


def python(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_no_module_is_longer_than_the_ceiling() -> None:
    assert SOURCES
    long = {
        str(path.relative_to(ROOT)): n
        for path in SOURCES
        if (n := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in SOURCES} & FORBIDDEN_NAMES


def test_every_module_says_what_it_knows() -> None:
    silent = [path for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_links_in_the_docs_lead_somewhere() -> None:
    assert PAGES
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert not dead


def test_commands_in_the_readme_exist() -> None:
    from branchlab.cli.app import COMMANDS

    text = (ROOT / "README.md").read_text()
    called = set(re.findall(r"^\s*(?:\$ )?branchlab ([a-z][a-z-]*)", text, flags=re.MULTILINE))
    assert called
    assert called <= set(COMMANDS)
    targets = set(re.findall(r"\bmake ([a-z]+)", text))
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert targets <= made


def test_every_key_of_the_config_is_explained() -> None:
    from dataclasses import fields, is_dataclass

    from branchlab.config import Config, parse_config

    text = (ROOT / "docs/config.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0].replace("1f3c…", "1f3c" * 10)
    config = parse_config(example)
    sections = {section.name: getattr(config, section.name) for section in fields(Config)}
    while sections:
        name, options = sections.popitem()
        table = example.partition(f"[{name}]")[2].partition("\n[")[0]
        for key in fields(options):
            if is_dataclass(nested := getattr(options, key.name)):
                sections[f"{name}.{key.name}"] = nested
            else:
                # A key that excludes another one of the example stands behind a comment sign.
                is_there = re.search(rf"^(# )?{key.name} = ", table, re.MULTILINE)
                assert is_there, f"[{name}] {key.name}"


def test_every_config_in_the_docs_can_be_read() -> None:
    from branchlab.config import parse_config

    texts = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/own-script.md").read_text(), re.DOTALL)
    assert len(texts) > 3
    for text in texts:
        parse_config(text if text.startswith("[") else f"[trainer]\n{text}")


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = loaded_after(arguments)
    assert not heavy


def test_status_imports_nothing_heavy(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    subprocess.run(
        [
            "git",
            "-C",
            tmp_path,
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "x",
        ],
        check=True,
    )
    subprocess.run(
        [sys.executable, "-m", "branchlab.cli", "init"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert not loaded_after(["status"], cwd=tmp_path)


def loaded_after(arguments: list[str], cwd: Path = ROOT) -> set[str]:
    """Return the heavy modules that a command line has loaded by its end."""
    code = (
        "import sys\n"
        f"sys.argv = ['branchlab', *{arguments!r}]\n"
        "from branchlab.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'torchvision', 'textual', 'matplotlib', 'numpy', 'git', 'rich', 'scipy', 'PIL'}\n"
        "print('LOADED', *sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, check=True, capture_output=True, text=True
    )
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


def test_generated_pages_have_not_drifted() -> None:
    python("docs/generate.py", "--check")


def test_no_path_of_a_machine_is_committed() -> None:
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=False, capture_output=True
    ).stdout.split(b"\0")
    if not any(files):
        pytest.skip("not a git checkout")
    here = str(ROOT).encode()
    texts = [
        ROOT / name.decode()
        for name in files
        if name.endswith((b".py", b".md", b".toml", b".txt", b"Makefile"))
    ]
    assert texts
    assert not [path for path in texts if path.exists() and here in path.read_bytes()]
