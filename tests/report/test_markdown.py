from __future__ import annotations

import re
from pathlib import Path

from branchlab.lab.markdown_text import escaped
from branchlab.lab.report import report
from branchlab.report.markdown import markdown

SNAPSHOT = Path(__file__).parent / "report.md"


def test_the_document_is_what_it_was(lab) -> None:
    text = markdown(report(lab.open(), ["exp/a"], with_pictures=False))
    text = re.sub(r"\b[0-9a-f]{10}\b", "0123456789", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2026-01-01 00:00", text)
    text = re.sub(r"\b\d+d \|", "1d |", text)
    assert text == SNAPSHOT.read_text()


def test_what_people_wrote_formats_nothing_links_nowhere_and_mentions_nobody(found) -> None:
    text = markdown(found)
    outside = re.sub(r"<!-- -->|</?(?:details|summary|sub)>", "", text)
    assert "<" not in outside
    assert "@everyone" not in text
    assert "#1 " not in text
    assert "http://x" not in text
    assert "\\[a\\]" in text
    assert "\u202e" not in text
    widths = {
        len(re.findall(r"(?<!\\)\|", line))
        for line in text.splitlines()
        if line.startswith("| ") and "alert(2)" in line
    }
    assert widths <= {3, 5, 6, 13}


def test_text_is_escaped_once() -> None:
    assert escaped("a_b & <c> `d` | e") == "a\\_b &amp; &lt;c&gt; \\`d\\` \\| e"
    assert escaped("see #12 and @ada") == "see #<!-- -->12 and @<!-- -->ada"
