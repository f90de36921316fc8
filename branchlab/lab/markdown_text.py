"""Text and tables in Markdown: what people wrote formats nothing, links nowhere, and mentions nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence

from branchlab.terminal_text import safe_text

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~$])")
CALLING = re.compile(r"([@#])(?=\w)")
"""What a forge makes a mention or a reference of."""
_LINKING = re.compile(r"(?<=\w)(://)|(?<=\bwww)(\.)", re.IGNORECASE)


def escaped(value: str) -> str:
    """Return text that formats nothing where it stands in a paragraph or a cell; what was unsafe stays visible."""
    line = safe_text(" ".join(value.split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(r"\\\1", line)
    line = _LINKING.sub(lambda found: f"<!-- -->{found.group()}", line)
    return CALLING.sub(r"\1<!-- -->", line)


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> str:
    """Return a table; the columns whose numbers are in ``right`` hold figures."""
    rule = ["---:" if place in right else "---" for place in range(len(header))]
    lines = [[escaped(title) for title in header], rule]
    lines += [[escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
