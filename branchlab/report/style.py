"""How a page looks, and the little that its script does: everything is readable without.

Colours have a contrast of at least 4.5 to the page, in light and in dark (a test measures it); pictures of figures take
them from the same variables.
"""

from __future__ import annotations

import base64
import hashlib

LIGHT = {
    "page": "#ffffff", "raised": "#f6f8fa", "ink": "#1c2430", "soft": "#57606a", "line": "#d0d7de",
    "link": "#0550ae", "good": "#1a7f37", "bad": "#cf222e", "open": "#7d4e00",
    "k0": "#0969da", "k1": "#bc4c00", "k2": "#1a7f37", "k3": "#8250df",
    "k4": "#bf3989", "k5": "#7d4e00", "k6": "#0f766e", "k7": "#cf222e",
}  # fmt: skip
DARK = {
    "page": "#0d1117", "raised": "#161b22", "ink": "#e6edf3", "soft": "#9198a1", "line": "#30363d",
    "link": "#58a6ff", "good": "#3fb950", "bad": "#ff7b72", "open": "#d29922",
    "k0": "#58a6ff", "k1": "#f0883e", "k2": "#3fb950", "k3": "#bc8cff",
    "k4": "#f778ba", "k5": "#d29922", "k6": "#2dd4bf", "k7": "#ff7b72",
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colours.items())


STYLE = f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
@media print {{ :root {{ color-scheme: light; {_variables(LIGHT)} }} }}
* {{ box-sizing: border-box; }}
html {{ scroll-padding-top: 1rem; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 ui-sans-serif, system-ui, sans-serif; }}
header, nav, main, footer {{ max-width: 78rem; margin: 0 auto; padding: 0 1rem; }}
header {{ padding-top: 1.5rem; }}
h1 {{ font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }} h2 {{ font-size: 1.25rem; margin: 2.5rem 0 .5rem; }}
h3 {{ font-size: 1rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }}
p, li, summary {{ overflow-wrap: anywhere; }} td {{ overflow-wrap: break-word; }}
p {{ margin: .5rem 0; }} ul {{ margin: .5rem 0; padding-left: 1.25rem; }}
a {{ color: var(--link); }}
.soft, figcaption, caption, footer {{ color: var(--soft); font-size: .875rem; }}
.skip {{ position: absolute; left: -99rem; }} .skip:focus {{ left: 1rem; top: .5rem; background: var(--page); padding: .25rem .5rem; }}
nav ul {{ display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: .5rem 0; border-bottom: 1px solid var(--line); }}
:focus-visible {{ outline: 2px solid var(--link); outline-offset: 2px; }}
.warning {{ border-left: 4px solid var(--bad); padding: .25rem .75rem; background: var(--raised); }}
.summary {{ font-size: 1.0625rem; }}
.wide {{ overflow-x: auto; margin: .75rem 0; }}
table {{ border-collapse: collapse; font-size: .875rem; min-width: 40rem; width: 100%; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; padding-bottom: .25rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }}
thead th {{ white-space: nowrap; }} tbody th {{ font-weight: 600; white-space: nowrap; }}
tbody td {{ min-width: 3.5rem; }} td:last-child {{ min-width: 14rem; }} td.number:last-child {{ min-width: 3.5rem; }} .number {{ text-align: right; white-space: nowrap; }} .tight {{ white-space: nowrap; }}
code {{ font: .875em ui-monospace, monospace; }}
.better, .supported {{ color: var(--good); }} .worse, .refuted, .damaged, .failed {{ color: var(--bad); }} .undecided, .no-difference {{ color: var(--open); }}
details {{ margin: .5rem 0; }} summary {{ cursor: pointer; }}
svg.plot {{ display: block; min-width: 44rem; max-width: 100%; height: auto; }} svg.map {{ max-width: none; }}
.plot text {{ font: 13px ui-sans-serif, system-ui, sans-serif; fill: var(--ink); }} .plot .tick {{ font-size: 12px; fill: var(--soft); }}
.plot .said {{ font-variant-numeric: tabular-nums; }} .plot .word {{ font-size: 12px; fill: var(--soft); }}
.plot .grid {{ stroke: var(--line); stroke-width: 1; }} .plot .zero {{ stroke: var(--ink); stroke-width: 1.25; }}
.plot .margin {{ fill: var(--raised); stroke: var(--line); stroke-dasharray: 3 3; }}
.effect {{ --k: var(--soft); }} .effect.better {{ --k: var(--good); }} .effect.worse {{ --k: var(--bad); }} .effect.undecided, .effect.no-difference {{ --k: var(--open); }}
.effect .interval {{ stroke: var(--k); stroke-width: 2; fill: none; }} .effect circle {{ fill: var(--k); }} .effect:hover .interval {{ stroke-width: 4; }}
{" ".join(f".k{n} {{ --k: var(--k{n}); }}" for n in range(8))} .main {{ --k: var(--ink); }}
.curve .line {{ fill: none; stroke: var(--k); stroke-width: 1.75; }} .curve .band {{ fill: var(--k); opacity: .12; }} .curve circle {{ fill: var(--k); }}
.curve:hover .line {{ stroke-width: 4; }} .curve circle:hover {{ r: 6px; }} .curve.main .line {{ stroke-width: 3; }}
.d1 .line {{ stroke-dasharray: 7 4; }} .d2 .line {{ stroke-dasharray: 2 3; }} .d3 .line {{ stroke-dasharray: 9 3 2 3; }}
.cross {{ stroke: var(--soft); stroke-dasharray: 3 3; visibility: hidden; }} .is-read .cross {{ visibility: visible; }}
.readout {{ display: block; font-size: .875rem; min-height: 1.5em; white-space: pre-line; }}
.legend {{ border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .25rem .75rem; display: flex; flex-wrap: wrap; gap: .125rem 1rem; font-size: .875rem; }}
.legend label {{ display: inline-flex; align-items: center; gap: .35rem; overflow-wrap: anywhere; }}
.swatch {{ width: 26px; height: 10px; flex: none; }} .swatch .line {{ stroke: var(--k); stroke-width: 3; }} .swatch.main .line {{ stroke-width: 4; }}
.pictures {{ display: flex; flex-wrap: wrap; gap: 0 1.5rem; padding: 0; margin: .5rem 0; }}
figure {{ margin: 0; max-width: 100%; }} figure img {{ display: block; max-width: 100%; height: auto; background: var(--raised); }}
.small img {{ image-rendering: pixelated; }}
footer {{ padding-top: 2rem; padding-bottom: 2rem; }}
@media print {{
nav, .skip, .legend input, .legend label:has(:not(:checked)), .readout {{ display: none; }} td:last-child {{ min-width: 0; }} body {{ font-size: 10pt; }} h2, h3 {{ break-after: avoid; }}
figure, tr, svg.plot {{ break-inside: avoid; }} .wide {{ overflow: visible; }} table {{ min-width: 0; font-size: 8pt; }} tbody th, thead th, .number, .tight {{ white-space: normal; }}
svg.plot, svg.map {{ min-width: 0; max-width: 100%; height: auto; }} details:not([open])::details-content {{ content-visibility: visible; display: block; }}
}}
@media (max-width: 40rem) {{ h1 {{ font-size: 1.3rem; }} body {{ font-size: 15px; }} }}
"""

SCRIPT = """
"use strict";
for (const plot of document.querySelectorAll(".chart")) {
  const svg = plot.querySelector("svg.curves"), cross = svg.querySelector(".cross"), readout = plot.querySelector(".readout");
  const dots = [...svg.querySelectorAll("circle[data-epoch]")];
  const isShown = (dot) => getComputedStyle(dot.parentNode).display !== "none";
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
    const shown = dots.filter(isShown), away = (dot) => Math.abs(dot.cx.baseVal.value - at);
    if (!shown.length) return;
    const nearest = shown.reduce((best, dot) => away(dot) < away(best) ? dot : best), epoch = nearest.dataset.epoch;
    const read = shown.filter((dot) => dot.dataset.epoch === epoch).sort((a, b) => a.cy.baseVal.value - b.cy.baseVal.value);
    cross.setAttribute("x1", nearest.getAttribute("cx")); cross.setAttribute("x2", nearest.getAttribute("cx"));
    svg.classList.add("is-read");
    readout.textContent = read.map((dot) => dot.querySelector("title").textContent).join("\\n");
  });
}
addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
if (document.querySelector("meta[http-equiv=refresh]")) {
  const key = "branchlab " + location.pathname, folds = () => [...document.querySelectorAll("details")], boxes = () => [...document.querySelectorAll("input")];
  try {
    const kept = JSON.parse(sessionStorage.getItem(key));
    if (kept && kept.folds.length === folds().length) folds().forEach((one, i) => { one.open = kept.folds[i]; });
    if (kept && kept.boxes.length === boxes().length) boxes().forEach((one, i) => { one.checked = kept.boxes[i]; });
    if (kept) scrollTo(kept.x, kept.y);
  } catch { /* a browser that keeps nothing */ }
  addEventListener("pagehide", () => {
    const seen = { x: scrollX, y: scrollY, folds: folds().map((one) => one.open), boxes: boxes().map((one) => one.checked) };
    try { sessionStorage.setItem(key, JSON.stringify(seen)); } catch { /* the same */ }
  });
}
"""
_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_DIGEST}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may do: no request to anywhere, and no script but its own, whatever text gets into it."""
