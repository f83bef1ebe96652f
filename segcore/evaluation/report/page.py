"""The page around the report: its looks on screen, light and dark, and on paper, and the script that draws the charts.

Everything is in the one file; its content security policy forbids the browser to fetch anything at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from segcore.evaluation.report.markup import Html, joined, paragraph, script_json, tag, text

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1f2630; --soft: #5c6672; --line: #dde1e6; --band: #f5f6f8;
  --accent: #2b6cb0; }
@media (prefers-color-scheme: dark) { :root { --page: #0e1117; --ink: #e6e9ed; --soft: #9aa4b0; --line: #2c333d;
  --band: #171c24; --accent: #7fb2e5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 1240px; background: var(--page); color: var(--ink);
  font: 16px/1.5 "Source Sans Pro", "Source Sans 3", "Segoe UI", system-ui, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 2.6rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0 .8rem; max-width: 75ch; }
a { color: var(--accent); }
.soft, figcaption, .caption { color: var(--soft); font-size: .9rem; }
.answer { font-size: 1.12rem; padding: .9rem 1.1rem; background: var(--band); border-left: 4px solid var(--accent);
  border-radius: 4px; margin: 1rem 0; }
.answer p { max-width: none; margin: .3rem 0; }
nav { margin: 1rem 0; font-size: .92rem; } nav a { margin-right: 1rem; white-space: nowrap; }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; min-width: 40%; }
th { text-align: left; color: var(--soft); font-weight: 600; vertical-align: bottom; }
th, td { padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--line); }
td { vertical-align: top; } td:first-child { white-space: nowrap; } td:last-child { min-width: 7rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { white-space: normal; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .15rem 1.2rem; margin: .4rem 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
li { margin: .25rem 0; max-width: 85ch; }
pre { background: var(--band); padding: .8rem 1rem; border-radius: 4px; overflow-x: auto; font-size: .85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .45em; border: 1px solid #8088949f;
  border-radius: 2px; }
figure { margin: .6rem 0 1.4rem; } .chart { width: 100%; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .6rem;
  margin: .5rem 0 1rem; }
.pictures figure { margin: 0; } .pictures img { width: 100%; display: block; border-radius: 3px; }
.legend span.entry { margin-right: 1.1rem; white-space: nowrap; font-size: .9rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--accent); }
@media (max-width: 640px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  body { padding: 1.2rem .9rem; } }
@media print { :root { color-scheme: light; --page: #fff;
  --ink: #000; --soft: #444; --line: #ccc; --band: #f5f5f5; --accent: #1d4f82; }
  body { max-width: none; padding: 0; font-size: 11pt; } nav, .modebar { display: none !important; }
  figure, tr, .pictures { break-inside: avoid; } h2, h3 { break-after: avoid; } .scroll { overflow: visible; }
  table { font-size: 6.5pt; } .number { white-space: normal; }
  th, td { padding-right: .45rem; } td:last-child { min-width: 0; } }
"""

SCRIPT = """
const charts = JSON.parse(document.getElementById("charts").textContent);
const options = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
for (const [id, chart] of Object.entries(charts)) Plotly.newPlot(id, chart.data, chart.layout, options);
const resize = () => document.querySelectorAll(".chart").forEach((chart) => Plotly.Plots.resize(chart));
document.querySelectorAll("details").forEach((part) => part.addEventListener("toggle", resize));
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  resize();
});
addEventListener("afterprint", resize);
"""


@dataclass
class Page:
    """Sections in their order, and the charts in them."""

    title: str
    sections: list[tuple[str, str, Html]] = field(default_factory=list)
    """Anchor, heading, content."""
    charts: dict[str, str] = field(default_factory=dict)
    """Id of the element -> figure as JSON."""

    def add(self, anchor: str, heading: str, *content: object) -> None:
        """Add a section; one without content is left out."""
        body = joined((part for part in content if part), "\n")
        if body:
            self.sections.append((anchor, heading, body))

    def chart(self, figure: go.Figure, caption: str, *, alt: str) -> Html:
        """Keep a figure for the script and return its place in the page."""
        name = f"chart{len(self.charts)}"
        self.charts[name] = figure.to_json()
        height = figure.layout.height or 380
        place = tag("div", id=name, class_="chart", role="img", aria_label=alt, style=f"min-height:{height}px")
        return tag("figure", place, tag("figcaption", caption))

    def html(self, head: Sequence[object], foot: Sequence[object]) -> str:
        """Return the whole document."""
        links = (tag("a", heading, href=f"#{anchor}") for anchor, heading, _ in self.sections)
        body = joined(
            (
                tag("h1", self.title),
                *head,
                tag("nav", joined(links, " ")),
                *(tag("section", tag("h2", name), body, id=anchor) for anchor, name, body in self.sections),
                *foot,
                *(self._scripts() if self.charts else ()),
            )
        )
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{text(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
        )

    def _scripts(self) -> list[Html]:
        entries = ",".join(f'"{name}":{value}' for name, value in self.charts.items())
        library = get_plotlyjs().replace("</script", "<\\/script")  # its own text may not end the element
        return [
            tag("noscript", paragraph("The charts need JavaScript; the tables hold the same numbers.")),
            Html(f"<script>{library}</script>"),
            Html(f'<script type="application/json" id="charts">{script_json("{" + entries + "}")}</script>'),
            Html(f"<script>{SCRIPT}</script>"),
        ]
