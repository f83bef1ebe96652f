"""The chart of all architectures."""

from __future__ import annotations

from segcore.figures.atlas import Dot, atlas_scatter
from segcore.models import catalog

KNOWN = [
    Dot(b.name, b.title, catalog.FAMILIES[b.family].title, b.color, b.unet_parameters, b.unet_macs)
    for b in catalog.BACKBONES.values()
]
OTHERS = [Dot(f"other{n}", f"other{n}", "Other", None, 10**6 * n, 10**9 * n, ("<i>2020</i>",)) for n in range(1, 20)]


def test_one_mark_for_each_in_millions_and_billions() -> None:
    chart = atlas_scatter([*KNOWN, *OTHERS], what="network")
    places = {(x, y) for trace in chart.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert places == {(dot.parameters / 1e6, dot.macs / 1e9) for dot in (*KNOWN, *OTHERS)}
    assert chart.layout.xaxis.type == chart.layout.yaxis.type == "log"


def test_curated_backbones_have_their_colour_and_a_legend_by_family() -> None:
    chart = atlas_scatter([*KNOWN, *OTHERS])
    grey, *families = chart.data
    assert isinstance(grey.marker.color, str)
    assert {trace.name for trace in families} == {dot.family for dot in KNOWN}
    assert sorted(color for trace in families for color in trace.marker.color) == sorted(str(d.color) for d in KNOWN)


def test_chosen_ones_get_a_ring_and_their_name() -> None:
    chart = atlas_scatter([*KNOWN, *OTHERS], chosen=["other3", "resnet18", "not there"])
    ring = chart.data[-1]
    assert list(ring.text) == ["other3", "ResNet-18"]
    assert ring.marker.symbol == "circle-open"
    assert len(set(ring.textposition)) == 2


def test_words_are_shown_letter_by_letter() -> None:
    chart = atlas_scatter([Dot("x", "<b>x</b>", "%{y}", None, 1, 1, ("<i>2020</i>",))])
    text = chart.data[0].text[0]
    assert "&lt;b&gt;x" in text
    assert "&lt;i&gt;2020" in text
    assert "%{y}" not in text


def test_no_architecture_says_so() -> None:
    assert "No architecture" in atlas_scatter([]).layout.annotations[0].text
