"""From the text of a config to its tables; a mistake is said with file, line and key."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from branchlab.config.meaning import check_meaning
from branchlab.config.reader import Reader
from branchlab.config.tables import Config
from branchlab.toml_file import parse_toml, read_toml_text

CONFIG_NAME = ".branchlab.toml"


def read_config(root: Path) -> Config:
    """Read ``.branchlab.toml`` of a repository.

    Raises:
        ConfigError: It is missing, not TOML, or holds a key or value that has no meaning here.
    """
    path = root / CONFIG_NAME
    text = read_toml_text(path, hint_when_missing="make one with: branchlab init")
    return parse_config(text, path=path)


def parse_config(text: str, *, path: Path = Path(CONFIG_NAME)) -> Config:
    """Return the config that ``text`` holds; ``path`` is only named in errors."""
    document = parse_toml(text, path=path)
    reader = Reader(text, path)
    sections: dict[str, type] = {f.name: f.default_factory for f in fields(Config)}  # type: ignore[misc]
    reader.check_known(document, sections, table="")
    config = Config(
        **{
            name: reader.table(document.get(name, {}), kind, name)
            for name, kind in sections.items()
        }
    )
    check_meaning(config, reader)
    return config
