"""The one funnel through which text reaches a page, and the few elements that pages are made of.

Branch names, notes and log lines are data that anyone may have written. ``Markup`` is text that has been through here: only
``text`` makes it from anything else, so that the type checker sees what was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NewType

from branchlab.terminal_text import safe_text

Markup = NewType("Markup", str)
EMPTY = Markup("")


def text(value: str) -> Markup:
    """Return text as it may stand in an element or between the quotes of an attribute; what was unsafe stays visible."""
    return Markup(escape(safe_text(" ".join(value.split())), quote=True))


def joined(parts: Iterable[Markup], between: str = "") -> Markup:
    """Return markup one behind the other; ``between`` is plain text."""
    return Markup(str(text_between(between)).join(parts))


def text_between(value: str) -> Markup:
    """Return a separator as markup, its spaces kept."""
    return Markup(escape(value))


def element(name: str, content: Markup | str, **attributes: str) -> Markup:
    """Return an element. ``content`` that is no markup yet must have been made by ``text``; ``class_`` is ``class``."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{said}>{content}</{name}>")


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[Markup]],
    *,
    caption: str,
    right: Sequence[int] = (),
) -> Markup:
    """Return a table whose first column names its rows; it scrolls by itself where it is too wide."""
    numbers = [' class="number"' if i in right else "" for i in range(len(header))]
    head = "".join(
        f'<th scope="col"{numbers[i]}>{text(title)}</th>' for i, title in enumerate(header)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row"{numbers[i]}>{cell}</th>' if i == 0 else f"<td{numbers[i]}>{cell}</td>"
            for i, cell in enumerate(row)
        )
        + "</tr>\n"
        for row in rows
    )
    return wide(
        Markup(
            f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
        ),
        caption,
    )


def wide(content: Markup, label: str) -> Markup:
    """Return what may be wider than the page in a region that scrolls, by keys too."""
    return element("div", content, class_="wide", role="region", tabindex="0", aria_label=label)


def details(summary: Markup, content: Markup, *, is_open: bool = False) -> Markup:
    """Return content that a reader can fold; it works without script."""
    shown = " open" if is_open else ""
    return Markup(f"<details{shown}><summary>{summary}</summary>\n{content}</details>\n")


def listed(items: Iterable[Markup]) -> Markup:
    """Return a list."""
    return Markup(f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>\n")
