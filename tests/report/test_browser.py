"""The page as Chromium shows it: in light, in dark, and as narrow as a telephone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from branchlab.report.page import page
from branchlab.report.style import DARK, LIGHT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.tools,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]


def shown(html: str, folder: Path, *, width: int, scheme: int) -> tuple[Image.Image, str]:
    """Return what Chromium draws of a page, and what it says of it; scheme 0 is dark, 1 is light."""
    (folder / "page.html").write_text(html)
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"),
            *(f"--blink-settings=preferredColorScheme={scheme}", "--enable-logging=stderr"),
            *(f"--screenshot={folder / 'page.png'}", (folder / "page.html").as_uri()),
        ],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    with Image.open(folder / "page.png") as picture:
        return picture.convert("RGB"), done.stderr


@pytest.mark.parametrize(("scheme", "colours"), [(1, LIGHT), (0, DARK)], ids=["light", "dark"])
def test_the_page_follows_the_scheme_of_the_browser(found, tmp_path, scheme, colours) -> None:
    picture, said = shown(page(found), tmp_path, width=1200, scheme=scheme)
    assert "#{:02x}{:02x}{:02x}".format(*picture.getpixel((2, 2))) == colours["page"]
    assert len(set(picture.get_flattened_data())) > 20
    assert "CONSOLE" not in said, said


def test_a_script_that_got_in_would_not_run(found, tmp_path) -> None:
    planted = '<script>document.documentElement.style.background = "#ff0000"</script></main>'
    _, said = shown(page(found).replace("</main>", planted), tmp_path, width=1200, scheme=1)
    assert "Content Security Policy" in said


def test_nothing_but_what_scrolls_by_itself_is_wider_than_a_telephone(found, tmp_path) -> None:
    picture, _ = shown(page(found), tmp_path, width=500, scheme=1)
    margin = {picture.getpixel((498, y)) for y in range(900)}
    assert margin == {(255, 255, 255)}
