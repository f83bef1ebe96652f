"""Charts that grow while somebody looks at them.

Streamlit 1.67 makes a chart anew whenever its data change, whatever its key and plotly's `uirevision` say
(`key_as_main_identity=False` in its plotly_chart), so zoom and hidden lines would be lost with every epoch. Here a
small script in the page tells which part of a chart is looked at, and the next drawing starts from there.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import plotly.graph_objects as go
import streamlit as st

CONFIG = {"displaylogo": False}
_VIEWS, _SENT = "live_chart.views", "live_chart.sent"

_SCRIPT = """
export default function ({ parentElement, setStateValue }) {
  const views = (parentElement.segcoreViews ??= {});
  const report = (plot) => {
    const { live: key, ...fixed } = plot.layout.meta;
    const range = (name) => {
      const axis = plot.layout[name + "axis"];
      // A range that the chart came with is no zoom.
      const zoomed = axis && axis.autorange === false && JSON.stringify(axis.range) !== JSON.stringify(fixed[name]);
      return zoomed ? axis.range : null;
    };
    const off = plot.data.filter((trace) => trace.visible === "legendonly");
    const hidden = off.map((trace) => trace.legendgroup || trace.name);
    const view = { x: range("x"), y: range("y"), hidden };
    const blank = !view.x && !view.y && !hidden.length;
    const before = views[key];
    if (JSON.stringify(view) === JSON.stringify(before) || (blank && !before)) return;
    views[key] = view;
    setStateValue("views", { ...views });
  };
  const watch = () => {
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      if (plot.segcoreWatched || !plot.on || !plot.layout || !plot.layout.meta?.live) continue;
      plot.segcoreWatched = true;
      report(plot);
      plot.on("plotly_relayout", () => report(plot));
      plot.on("plotly_restyle", () => report(plot));
    }
  };
  const timer = setInterval(watch, 300);
  return () => clearInterval(timer);
}
"""

_watcher = st.components.v2.component("segcore_live_chart", js=_SCRIPT)


def draw(chart: go.Figure, key: str, *, alt: str, clickable: bool = False) -> tuple[int, int] | None:
    """Draw a chart whose zoom and hidden lines outlive changes of its data.

    With `clickable`, return the pair of numbers that stands behind the point clicked last, as its custom data; None
    before a click.

    Args:
        chart: a trace is known by its legend group, else its name. An axis with a fixed range has it until zoomed.
        key: the same as long as it is the same chart to whoever looks at it.
        alt: what it shows, for screen readers.
    """
    sent = st.session_state.setdefault(_SENT, {})
    content = hashlib.sha256(chart.to_json().encode()).hexdigest()
    before = sent.get(key)
    # What is on screen already stays exactly as it was sent: another word would draw it anew for nothing.
    view = before[1] if before and before[0] == content else st.session_state.get(_VIEWS, {}).get(key)
    sent[key] = (content, view)
    fixed = {name: _fixed(axis) for name, axis in (("x", chart.layout.xaxis), ("y", chart.layout.yaxis))}
    apply_view(chart, view)
    chart.update_layout(meta={"live": key, **fixed})
    if not clickable:
        st.plotly_chart(chart, key=key, config=CONFIG, alt=alt)
        return None
    # A rerun of the fragment only; boxes and lassos would choose many cells at once.
    state = st.plotly_chart(chart, key=key, config=CONFIG, alt=alt, on_select="rerun", selection_mode="points")
    return clicked(state)


def clicked(state: Any) -> tuple[int, int] | None:
    """Return the custom data of the one selected point; anything odd is passed over."""
    points = state.get("selection", {}).get("points", []) if hasattr(state, "get") else []
    data = points[0].get("customdata") if points and isinstance(points[0], dict) else None
    if isinstance(data, list | tuple) and len(data) >= 2 and all(isinstance(value, int) for value in data[:2]):
        return data[0], data[1]
    return None


def _fixed(axis: Any) -> list[float] | None:
    return None if axis.range is None else list(axis.range)


def watch() -> None:
    """Follow what is looked at; call it once, after the charts, in the same fragment."""
    result = _watcher(key="live_chart", default={"views": {}}, on_views_change=_nothing)
    st.session_state[_VIEWS] = dict(result.views or {})


def _nothing() -> None:
    """Streamlit keeps a component's state only where someone listens."""


def apply_view(chart: go.Figure, view: Any) -> None:
    """Set zoom and hidden lines of a chart as a browser reported them; anything odd is passed over."""
    if not isinstance(view, dict):
        return
    for name, axis in (("x", chart.update_xaxes), ("y", chart.update_yaxes)):
        ends = view.get(name)
        if isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends)):
            axis(range=[float(end) for end in ends], autorange=False)
    hidden = view.get("hidden")
    for trace in chart.data or ():
        # Not by uid: plotly leaves it out of what it sends.
        if isinstance(hidden, list) and (trace.legendgroup or trace.name) in hidden:
            trace.visible = "legendonly"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
