"""The whole report as one HTML file: no network, no server, no library; everything can be read without script.

A refresh is asked for by the page itself while somebody rewrites it: a file that was opened from a disk may fetch nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

from branchlab.lab.report import Report
from branchlab.report import figures, sections
from branchlab.report.markup import Markup, element, joined, text
from branchlab.report.style import POLICY, SCRIPT, STYLE
from branchlab.version import __version__

_SECTIONS: tuple[tuple[str, str, Callable[[Report], Markup]], ...] = (
    ("summary", "Summary", sections.summary),
    ("branches", "Branches", sections.overview),
    ("verdicts", "Verdicts", figures.verdicts),
    ("curves", "Curves", figures.charts),
    ("slices", "Slices", figures.slices),
    ("hypotheses", "Hypotheses", sections.hypotheses),
    ("pictures", "What the models saw", sections.pictures),
    ("features", "Features and parity", sections.features),
    ("map", "Map", sections.experiment_map),
    ("notes", "Notes", sections.notes),
    ("journal", "Journal", sections.journal),
    ("trust", "Trust", sections.trust),
)


def page(found: Report, *, refresh_s: int | None = None) -> str:
    """Return the page; with ``refresh_s`` a browser loads it again after so many seconds."""
    made = [(key, title, content) for key, title, make in _SECTIONS if (content := make(found))]
    links = joined(
        element("li", element("a", text(title), href=f"#{key}")) for key, title, _ in made
    )
    body = joined(
        (
            Markup(
                f'<section aria-labelledby="{key}"><h2 id="{key}">{text(title)}</h2>\n{content}</section>'
            )
            for key, title, content in made
        ),
        "\n",
    )
    about = f": {', '.join(found.asked_for)}" if found.asked_for else ""
    title = text(f"{found.name}{about}")
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">\n' if refresh_s else ""
    live = " Runs are under way: this page loads itself again." if refresh_s else ""
    moment = found.at.astimezone(UTC)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<meta name="color-scheme" content="light dark">
<meta name="generator" content="branchlab {__version__}">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><h1>{title}</h1>
<p class="soft">As of <time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment:%Y-%m-%d %H:%M} UTC</time>.{live}</p></header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main id="main">
{sections.warnings(found)}
{body}
</main>
<footer>branchlab {__version__}. Verdicts: pairs by seed, noise pooled over branches, adjusted for their number.</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""
