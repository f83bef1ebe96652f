"""A drawing of networks on the page: follows the theme, tells of what is pointed at, opens what is clicked.

The SVG is made in Python; a script in the page adds tooltips, the keyboard and the PNG. It puts a drawing into the
page only when it differs from the one there, so that nothing flickers when the script runs again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

_HTML = """
<div class="drawing">
  <div class="panels"></div>
  <div class="legend wide"></div>
  <div class="legend narrow"></div>
  <div class="tip" role="tooltip" hidden></div>
  <button class="png" type="button">Download as PNG</button>
</div>
"""

_CSS = """
.drawing {position: relative; color: var(--st-text-color); font-family: var(--st-font)}
.drawing {--faint: color-mix(in srgb, var(--st-text-color) 74%, var(--st-background-color))}
.drawing {--skip: color-mix(in srgb, #d0670f 75%, var(--st-text-color))}
.drawing {--differs: color-mix(in srgb, #cf2f8a 75%, var(--st-text-color))}
.panels {display: flex; flex-wrap: wrap; gap: 1rem 1.6rem}
.panel {flex: 1 1 calc(var(--wide) * 0.8px); max-width: calc(var(--wide) * 1.12px); min-width: 0; overflow-x: auto}
/* Below this, texts would be too small to read: then the drawing scrolls. */
.panel svg {width: 100%; min-width: calc(var(--wide) * 0.68px); height: auto; display: block}
.legend svg {max-width: 100%; height: auto; display: block; margin-top: 0.4rem}
.drawing .legend.narrow, .drawing.stacked .legend.wide {display: none}
.drawing.stacked .legend.narrow {display: block}
svg {font-family: var(--st-font)}
.ink {fill: var(--st-text-color)}
.muted, .line-head {fill: var(--faint)}
.line {stroke: var(--faint)}
.skip {stroke: var(--skip)}
.skip-head {fill: var(--skip)}
.differs {fill: var(--differs)}
.edge-of-box {stroke: var(--st-text-color)}
.badge {fill: var(--st-background-color); stroke: var(--st-text-color)}
.sheet {fill: var(--st-background-color); stroke: color-mix(in srgb, var(--st-text-color) 40%, transparent)}
[role=button] {cursor: pointer; outline: none}
[role=button]:hover rect, .step:hover rect {stroke-width: 2.4}
[role=button]:focus-visible rect, [role=button][aria-expanded=true] rect
  {stroke: var(--st-primary-color); stroke-width: 3.4}
.edge path {transition: opacity 0.12s}
.edge:hover path {stroke-width: 3}
.pointed .edge:not(.near) {opacity: 0.22}
.tip {position: absolute; z-index: 9; max-width: 22rem; padding: 0.5rem 0.7rem; pointer-events: none;
  white-space: pre-line; font-size: 0.82rem; line-height: 1.4; border-radius: var(--st-base-radius);
  background: var(--st-background-color); border: 1px solid var(--faint); box-shadow: 0 2px 10px rgb(0 0 0 / 25%)}
.tip::first-line {font-weight: 700}
.png {margin-top: 0.6rem; padding: 0.3rem 0.8rem; font: inherit; font-size: 0.88rem; cursor: pointer;
  color: var(--st-text-color); background: transparent; border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius)}
.png:hover, .png:focus-visible {border-color: var(--st-primary-color); color: var(--st-primary-color)}
"""

_JS = """
const SCALE = 2;

function place(root, panels) {
  // Titles become our own tooltips: a browser would show its own beside them.
  root.querySelector(".panels").replaceChildren(...panels.map((svg, network) => {
    const panel = document.createElement("div");
    panel.className = "panel";
    panel.innerHTML = svg;
    const drawn = panel.querySelector("svg");
    panel.style.setProperty("--wide", drawn.viewBox.baseVal.width);
    panel.dataset.network = network;
    for (const title of panel.querySelectorAll("title")) {
      if (title.parentElement !== drawn) title.parentElement.dataset.tip = title.textContent;
      title.remove();
    }
    return panel;
  }));
}

function point(root, target, where) {
  const tip = root.querySelector(".tip");
  const told = target && target.closest("[data-tip]");
  tip.hidden = !told;
  const stage = target && target.closest("[data-stage]");
  for (const svg of root.querySelectorAll(".panels svg")) {
    const here = stage && svg.contains(stage);
    svg.classList.toggle("pointed", Boolean(here));
    if (here) for (const edge of svg.querySelectorAll(".edge"))
      edge.classList.toggle("near", edge.dataset.edge.split("_").includes(stage.dataset.stage));
  }
  if (!told) return;
  tip.textContent = told.dataset.tip;
  const frame = root.getBoundingClientRect();
  const box = told.getBoundingClientRect();
  const [x, y] = where || [box.right, box.top];
  const left = x - frame.left + 14, top = y - frame.top + 14;
  // Left of the pointer or above it where there is no room on the other side.
  tip.style.left = Math.max(0, left + tip.offsetWidth > frame.width ? left - tip.offsetWidth - 28 : left) + "px";
  const below = y + 14 + tip.offsetHeight < window.innerHeight;
  tip.style.top = (below ? top : Math.max(0, top - tip.offsetHeight - 28)) + "px";
}

function savePng(svg, file) {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = SCALE * image.width;
    canvas.height = SCALE * image.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, "image/png");
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(svg);
}

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".drawing");
  const { panels, legends, whole, file, opened, clickable } = data;
  const shown = JSON.stringify([panels, legends]);
  if (root.shown !== shown) {
    root.shown = shown;
    place(root, panels);
    root.querySelector(".legend.wide").innerHTML = legends[0] || "";
    root.querySelector(".legend.narrow").innerHTML = legends[1] || "";
    for (const title of root.querySelectorAll(".legend title")) title.remove();
  }
  for (const stage of clickable ? root.querySelectorAll(".panels [data-stage]") : []) {
    const [network, index] = [stage.closest(".panel").dataset.network, stage.dataset.stage].map(Number);
    stage.setAttribute("role", "button");
    stage.setAttribute("tabindex", "0");
    stage.setAttribute("aria-expanded", Boolean(opened && opened[0] === network && opened[1] === index));
  }
  const open = (stage) => {
    const [network, index] = [stage.closest(".panel").dataset.network, stage.dataset.stage].map(Number);
    setTriggerValue("clicked", [network, index]);
  };
  const inside = (event) => clickable && event.target.closest("[data-stage]");
  root.onclick = (event) => { const stage = inside(event); if (stage) open(stage); };
  root.onkeydown = (event) => {
    if (event.key === "Escape") point(root, null);
    const stage = (event.key === "Enter" || event.key === " ") && inside(event);
    if (stage) { event.preventDefault(); open(stage); }
  };
  root.onpointermove = (event) => point(root, event.target, [event.clientX, event.clientY]);
  root.onpointerleave = () => point(root, null);
  root.focused?.abort();
  root.focused = new AbortController();
  const { signal } = root.focused;
  root.addEventListener("focusin", (event) => {
    if (event.target.matches(":focus-visible")) point(root, event.target);
  }, { signal });
  root.addEventListener("focusout", () => point(root, null), { signal });
  const button = root.querySelector(".png");
  button.onclick = (event) => { event.stopPropagation(); savePng(whole, file); };
  root.sized?.disconnect();
  root.sized = new ResizeObserver(() => {
    const all = [...root.querySelectorAll(".panel")];
    const tops = new Set(all.map((panel) => panel.offsetTop));
    root.classList.toggle("stacked", tops.size > 1 || root.clientWidth < 620);
  });
  root.sized.observe(root);
  return () => { root.sized.disconnect(); root.focused.abort(); };
}
"""

_component = st.components.v2.component("segcore_network_drawing", html=_HTML, css=_CSS, js=_JS, isolate_styles=True)


def show(
    panels: Sequence[str],
    *,
    key: str,
    whole: str,
    file: str,
    legends: Sequence[str] = (),
    opened: tuple[int, int] | None = None,
    on_stage: Callable[[int, int], None] | None = None,
) -> None:
    """Show drawings beside one another, or below where there is no room, with a button for the PNG.

    Args:
        panels: SVG texts; what bears `data-stage` can be clicked, titles become tooltips.
        whole: the SVG text of which the PNG is made, with a background of its own.
        file: the name of the PNG.
        legends: for panels side by side and below one another.
        opened: panel and stage that are marked as open.
        on_stage: told panel and stage of a click or Enter, before the page runs again; without it nothing is clickable.
    """

    def told() -> None:
        place = clicked(st.session_state[key].get("clicked"))
        if place is not None and on_stage is not None:
            on_stage(*place)

    _component(
        key=key,
        data={
            "panels": list(panels),
            "legends": list(legends),
            "whole": whole,
            "file": file,
            "opened": opened,
            "clickable": on_stage is not None,
        },
        on_clicked_change=told,
    )


def clicked(value: Any) -> tuple[int, int] | None:
    """Return panel and stage as a browser sent them; None for anything odd."""
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(number) is int for number in value):
        return value[0], value[1]
    return None
