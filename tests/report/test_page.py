from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from branchlab.analysis.wording import difference_text, interval_text
from branchlab.domain import Outcome
from branchlab.lab.project import open_project
from branchlab.lab.report import report
from branchlab.report.page import page
from branchlab.report.plots import Effect, curves, forest
from branchlab.report.style import DARK, LIGHT

VOID = {"meta", "input", "img", "br"}


class Reading(HTMLParser):
    """Reads a page: elements with their attributes, and what is not closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.astray: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.astray.append(tag)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def html(found) -> str:
    return page(found)


@pytest.fixture(scope="module")
def read(html) -> Reading:
    return Reading(html)


def test_every_element_is_closed_where_it_was_opened(read) -> None:
    assert not read.astray
    assert not read.open


def test_every_picture_of_figures_is_well_formed(html) -> None:
    pictures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(pictures) > 5
    for picture in pictures:
        ET.fromstring(picture)


def test_what_people_wrote_is_shown_and_does_nothing(html, read) -> None:
    assert "alert(1)" in html
    assert "alert(2)" in html
    assert "<script>alert" not in html
    assert len(read.all("script")) == 1
    assert not read.all("b") or all(not attributes for attributes in read.all("b"))
    assert "<b>bag" not in html
    assert "<b>bold" not in html
    assert "\u202e" not in html
    assert "&lt;202E&gt;" in html
    assert not [a for _, a in read.elements if any(name.startswith("on") for name in a)]


def test_the_page_asks_nobody_for_anything(html, read) -> None:
    # The only address is text that somebody wrote.
    assert set(re.findall(r"https?://[\w.]+", html)) == {"http://x.example"}
    addresses = [a[name] or "" for _, a in read.elements for name in ("src", "href") if name in a]
    assert addresses
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in addresses)
    assert "url(" not in html
    assert "@import" not in html


def test_the_browser_runs_the_pages_own_script_alone(html) -> None:
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert "default-src 'none'" in html


def test_tables_pictures_and_links_say_what_they_are(html, read) -> None:
    assert all(a.get("scope") in {"row", "col"} for a in read.all("th"))
    assert html.count("<table>") == html.count("<caption>") > 4
    assert all(a.get("alt") for a in read.all("img"))
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in read.all("svg"))
    ids = [a["id"] for _, a in read.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for a in read.all("a")} <= set(ids)
    assert all(len(read.all(landmark)) == 1 for landmark in ("header", "nav", "main", "footer"))


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_are_read_on_the_page(colours) -> None:
    def light(name: str) -> float:
        parts = [int(colours[name][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    written = [name for name in colours if name not in {"page", "raised", "line"}]
    for behind in ("page", "raised"):
        for name in written:
            low, high = sorted((light(name), light(behind)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, behind)


def test_the_forest_plot_draws_the_verdicts_themselves(found, html) -> None:
    judged = [one.verdict for one in found.branches if one.verdict is not None]
    assert [one.outcome for one in judged] == [Outcome.BETTER, Outcome.WORSE]
    effects = [Effect(label=one.branch, verdict=one) for one in judged]
    drawn = forest(effects, against="main", min_effect=0.005, label="verdicts")
    root = ET.fromstring(drawn)
    said = [t.text or "" for t in root.iter("text") if t.get("class") == "said"]
    assert [one[2:] for one in said] == [f"{difference_text(v)} {interval_text(v)}" for v in judged]
    ticks = {
        float(t.text or 0): float(t.get("x") or 0)
        for t in root.iter("text")
        if t.get("class") == "tick" and re.fullmatch(r"[-+]\d+", t.text or "")
    }
    (low, x_low), *_, (high, x_high) = sorted(ticks.items())
    for verdict, circle in zip(judged, root.iter("circle"), strict=True):
        at = low + (high - low) * (float(circle.get("cx") or 0) - x_low) / (x_high - x_low)
        assert at == pytest.approx(100 * verdict.difference, abs=0.1)
    assert said[0] in html


def test_one_seed_whose_interval_is_vast_hides_no_other_and_is_shown_as_cut(found) -> None:
    known = found.branches[0].verdict
    vast = replace(known, branch="exp/vast", seeds=1, interval=(-9.0, 9.0))
    drawn = forest(
        [Effect(label="a", verdict=known), Effect(label="vast", verdict=vast)],
        against="main", min_effect=0.005, label="verdicts",
    )  # fmt: skip
    intervals = [
        abs(float(line.get("x2") or 0) - float(line.get("x1") or 0))
        for line in ET.fromstring(drawn).iter("line")
        if line.get("class") == "interval"
    ]
    assert intervals[0] > 30
    assert drawn.count(" l5,5 l-5,5") == 1


def test_a_curve_is_the_mean_over_seeds_between_the_lowest_and_the_highest(found) -> None:
    (chart,) = found.charts
    assert chart.main is not None
    last = chart.main.points[-1]
    assert (last.epoch, last.low, last.high) == (3, 0.79, 0.81)
    assert last.mean == pytest.approx(0.8)
    drawn = curves(chart, metric="val/accuracy", number=0)
    assert "main, epoch 3: 0.8000, 0.7900 to 0.8100, 3 seeds" in drawn


def test_every_curve_has_a_box_that_hides_it_without_script(found, html, read) -> None:
    (chart,) = found.charts
    boxes = [a["id"] for a in read.all("input")]
    assert len(boxes) == len(chart.curves) + 1
    for box in boxes:
        name = (box or "").removeprefix("s-")
        assert f"#{box}:not(:checked)) .{name} {{ display: none; }}" in html
        assert re.search(rf'class="curve [^"]*\b{name}"', html)


def test_slices_hypotheses_notes_and_failures_are_told(html) -> None:
    assert "of 2 slices" in html
    assert "H1" in html
    assert "Notes" in html
    assert "ValueError: &lt;/style&gt;" in html


def test_the_latest_picture_is_shown_and_what_is_none_is_not(own_lab) -> None:
    folder = own_lab.open().state.run("exp-a-s0").pictures
    latest = folder / "inputs-epoch0003.png"
    (folder / "no-epoch0003.png").write_bytes(b"GIF89a")
    (folder / "link-epoch0003.png").symlink_to(latest)
    (folder / "huge-epoch0003.png").write_bytes(latest.read_bytes() + b"\0" * 500_000)
    seen = report(own_lab.open()).pictures
    assert [one.what for one in seen.taken] == ["inputs"]
    assert seen.taken[0].content == latest.read_bytes()
    assert (seen.taken[0].width, seen.taken[0].height) == (8, 6)
    assert seen.num_left_out == 3


def test_pictures_of_a_kept_probe_are_shown_with_its_step(own_lab) -> None:
    from branchlab.lab.kept_probes import say_whose

    project = own_lab.open()
    source = project.state.run("exp-a-s0").pictures / "inputs-epoch0001.png"
    for name, commit in (("p1", own_lab.git("rev-parse", "exp/b")), ("p2", "")):
        place = project.state.path / "probes" / name
        place.mkdir(parents=True)
        (place / "entered.png").write_bytes(source.read_bytes())
        if commit:
            say_whose(place, branch="exp/b", commit=commit, step=5)
    taken = report(project).pictures.taken
    assert [(one.branch, one.what, one.source) for one in taken][-1] == (
        "exp/b", "entered", "probe of step 5",
    )  # fmt: skip
    assert len(taken) == 2


def test_a_page_that_somebody_rewrites_loads_itself_again(found) -> None:
    assert 'http-equiv="refresh" content="5"' in page(found, refresh_s=5)
    assert 'http-equiv="refresh"' not in page(found)


def test_a_lab_in_which_nothing_ran_has_a_page(tmp_path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", tmp_path], check=True)
    (tmp_path / ".branchlab.toml").write_text('[trainer]\ntask = "a:B"\n')
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "-C", tmp_path, "add", "-A"], check=True)
    subprocess.run(["git", "-C", tmp_path, *identity, "commit", "-q", "-m", "x"], check=True)
    html = page(report(open_project(tmp_path)))
    assert "No experiment branch yet" in html
    assert not Reading(html).astray
