"""Drawings of networks: boxes and lines of every decoder and of any graph, scales, differences, names of any kind."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.figures.drawing import SHADES, Shade, differences, draw_networks
from segcore.figures.drawing.layout import Box, Layout, layouts
from segcore.figures.drawing.panel import HEADER
from segcore.figures.drawing.scales import Shading, amount, box_height, box_width, ink_on, luminance, ramp
from segcore.figures.drawing.svg import shortened, tag, text_width, wrapped
from segcore.models import catalog
from segcore.models.description import IMAGE, Block, Edge, NetworkDescription, Operation, Part, Stage
from tests.models.described import describe

HOSTILE = ["<script>alert(1)</script>", 'a" onload="x', "&lt; ]]> <!--", "\x00\x1b\ud800", "x" * 400, "網絡 🛰"]
FAMILIES = ("resnet18", "vgg16", "efficientnet_b7", "convnext_tiny", "swin_tiny_patch4_window7_224")
NETWORKS = [(encoder, "unet") for encoder in FAMILIES] + [("resnet18", name) for name in catalog.DECODERS]
NETWORKS += [("vit_tiny_patch16_224", "dpt"), ("hrnet_w18", "unet")]


def network(encoder: str, decoder: str = "unet") -> NetworkDescription:
    return describe(encoder, decoder=decoder)


def stage(name: str, kind: str, channels: int, height: int, **changes: object) -> Stage:
    step = Operation("conv", f"3×3 conv, {channels}", "conv", False, channels, height, height, 9, 90)
    block = Block(name, "Conv2d", step.label, (), (step,), channels, height, height, 9, 90, 4)
    made = Stage(name, kind, max(1, 64 // height), channels, height, height, 9, 90, 4, 3, "1 × Conv2d", (block,))  # type: ignore[arg-type]
    return replace(made, **changes)  # type: ignore[arg-type]


def made(stages: list[Stage], edges: list[tuple[int, int]], name: str = "made up") -> NetworkDescription:
    """A network of these stages; edges are source and target."""
    part = Part(9, 90, 4)
    ways = []
    for source, target in edges:
        shape = (
            (3, 64, 64) if source == IMAGE else (stages[source].channels, stages[source].height, stages[source].width)
        )
        skip = source >= 0 and stages[source].kind == "encoder" and stages[target].kind == "decoder"
        ways.append(Edge(source, target, "added" if skip else "", skip, *shape))
    return NetworkDescription(name, "unet", 64, 2, part, part, part, tuple(stages), tuple(ways), ())


def overlap(one: Box, other: Box) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


def crossed(layout: Layout) -> list[tuple[tuple[int, int], int]]:
    """Edges that run through a box, with that box; touching an edge of it is no crossing."""
    found = []
    for route, points in layout.lines:
        for box in layout.boxes:
            for (x0, y0), (x1, y1) in pairwise(points):
                through = min(x0, x1) < box.right - 1 and max(x0, x1) > box.x + 1
                if through and min(y0, y1) < box.bottom - 1 and max(y0, y1) > box.y + 1:
                    found.append(((route.edge.source, route.edge.target), box.index))
    return found


@dataclass
class Words:
    """A text of a drawing with the room that it takes."""

    text: str
    left: float
    right: float
    baseline: float
    size: float
    fill: str


def measure(text: str, size: float) -> float:
    return size * sum(0.34 if letter in "iljtfr.,:;'()|!/ " else 0.6 for letter in text)


def words(svg: str) -> list[Words]:
    """All texts, in the drawing's own coordinates, as wide as in common fonts without serifs."""
    found: list[Words] = []

    def walk(element: ElementTree.Element, dx: float, dy: float) -> None:
        shift = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
        if shift:
            dx, dy = dx + float(shift[1]), dy + float(shift[2])
        if element.tag.endswith("}text") and "rotate" not in element.get("transform", ""):
            spans = [(part.text or "", float(part.get("font-size", "0"))) for part in element]
            content = element.text or "".join(text for text, _ in spans)
            size = float(element.get("font-size", 0)) or max(size for _, size in spans)
            wide = sum(measure(text, size) for text, size in spans or [(content, size)])
            x = float(element.get("x", 0)) + dx
            left = x - {"end": wide, "middle": wide / 2}.get(element.get("text-anchor", ""), 0.0)
            fill = element.get("fill", "")
            found.append(Words(content, left, left + wide, float(element.get("y", 0)) + dy, size, fill))
        for child in element:
            walk(child, dx, dy)

    walk(ElementTree.fromstring(svg), 0.0, 0.0)
    return found


def check(one: NetworkDescription) -> Layout:
    """What holds for the drawing of any network."""
    layout = layouts([one], "macs")[0]
    sheet = draw_networks([one])
    root = ElementTree.fromstring(sheet.whole)
    assert not [pair for pair in combinations(layout.boxes, 2) if overlap(*pair)]
    drawn = [element.get("data-edge") for element in root.iter() if element.get("data-edge")]
    assert sorted(drawn) == sorted(f"{edge.source}_{edge.target}" for edge in one.edges)
    for route, points in layout.lines:
        # A line begins at its source and ends at its target, and runs along the axes.
        assert all(a[0] == pytest.approx(b[0]) or a[1] == pytest.approx(b[1]) for a, b in pairwise(points))
        for index, (x, y) in ((route.edge.source, points[0]), (route.edge.target, points[-1])):
            if index != IMAGE:
                box = layout.boxes[index]
                assert box.x - 0.1 <= x <= box.right + 0.1 and box.y - 0.1 <= y <= box.bottom + 0.1
                on_side = min(abs(x - box.x), abs(x - box.right)) < 0.1
                assert on_side or min(abs(y - box.y), abs(y - box.bottom)) < 0.1
    for svg in (sheet.whole, *sheet.panels, *sheet.legends):
        _, _, width, height = map(float, ElementTree.fromstring(svg).get("viewBox", "").split())
        for text in words(svg):
            assert text.left >= 0 and text.right <= width and 0 < text.baseline <= height, text
    return layout


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
def test_every_decoder_and_family(encoder: str, decoder: str) -> None:
    one = network(encoder, decoder)
    layout = check(one)
    assert not crossed(layout)
    # Rows are resolutions: all boxes of one are of one height, and finer ones stand higher.
    by_height: dict[int, list[Box]] = {}
    for box in layout.boxes:
        by_height.setdefault(one.stages[box.index].height, []).append(box)
    rows = [by_height[height] for height in sorted(by_height, reverse=True)]
    assert all(len({round(box.height, 6) for box in row}) == 1 for row in rows)
    assert all(max(box.bottom for box in upper) < min(box.y for box in lower) for upper, lower in pairwise(rows))
    # The encoder goes down in one column on the left, all else stands right of it.
    left = [box for box in layout.boxes if one.stages[box.index].kind == "encoder"]
    assert {box.column for box in left} == {0} and len({round(box.right, 6) for box in left}) == 1
    assert all(upper.bottom < lower.y for upper, lower in pairwise(left))
    assert all(box.x > left[0].right for box in layout.boxes if box not in left)


@pytest.mark.parametrize(("encoder", "decoder"), NETWORKS)
def test_words_lie_where_nothing_else_does(encoder: str, decoder: str) -> None:
    one = network(encoder, decoder)
    layout = layouts([one], "macs")[0]
    panel = draw_networks([one]).panels[0]
    on_boxes = 0
    for text in words(panel):
        top, bottom = text.baseline - 0.72 * text.size - HEADER, text.baseline - HEADER
        touched = [
            b for b in layout.boxes if b.x < text.right and text.left < b.right and b.y < bottom and top < b.bottom
        ]
        if text.fill in ("#ffffff", "#000000"):  # the inks of words on boxes
            assert len(touched) == 1 and touched[0].x <= text.left and text.right <= touched[0].right, text
            assert touched[0].y <= top and bottom <= touched[0].bottom, text
            on_boxes += 1
        else:
            assert not touched, text
    assert on_boxes >= len(one.stages)
    shown = {text.text for text in words(panel)}
    for each in one.stages:
        assert f"{each.channels:,}" in shown and f"{each.height}²" in shown


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_graph_can_be_drawn(data: st.DataObject) -> None:
    sizes = st.sampled_from([64, 32, 16, 8])
    channels = st.sampled_from([1, 3, 64, 2048])
    encoder = [
        stage(f"e{k}", "encoder", data.draw(channels), data.draw(sizes)) for k in range(data.draw(st.integers(1, 4)))
    ]
    decoder = [
        stage(f"{data.draw(st.sampled_from(['a.', 'b.', '']))}d{k}", "decoder", data.draw(channels), data.draw(sizes))
        for k in range(data.draw(st.integers(0, 6)))
    ]
    stages = [*encoder, *decoder, stage("head", "head", 2, 64)]
    ways = [(a, b) for b in range(len(stages)) for a in range(IMAGE, b) if a != IMAGE or b < len(encoder)]
    edges = data.draw(st.lists(st.sampled_from(ways), unique=True, max_size=20))
    check(made(stages, edges))


def test_sides_grow_with_channels_and_resolution() -> None:
    widths = [box_width(count) for count in (1, 3, 12, 64, 512, 4096)]
    assert widths == sorted(widths) and box_width(512) == pytest.approx(2 * box_width(64))
    heights = [box_height(height, 512) for height in (1, 7, 64, 128, 512)]
    assert heights == sorted(heights) and box_height(512, 512) == pytest.approx(2 * box_height(64, 512))
    for one in (network("resnet18"), network("vgg16"), network("resnet18", "fpn")):
        boxes = layouts([one], "macs")[0].boxes
        by_channels = sorted(boxes, key=lambda box: one.stages[box.index].channels)
        assert all(a.width <= b.width + 1e-9 for a, b in pairwise(by_channels))
        by_height = sorted(boxes, key=lambda box: one.stages[box.index].height)
        assert all(a.height <= b.height + 1e-9 for a, b in pairwise(by_height))


def test_u_net_is_a_u_with_a_bridge_at_each_level() -> None:
    one = network("resnet18")
    layout = layouts([one], "macs")[0]
    assert [box.column for box in layout.boxes] == [0] * 5 + [1] * 5 + [2]
    skips = [(route, points) for route, points in layout.lines if route.edge.skip]
    assert len(skips) == 4
    for route, points in skips:
        assert route.kind == "straight" and points[0][1] == points[1][1]
    svg = draw_networks([one]).whole
    assert svg.count(">concatenated<") == 4 + 1  # on the bridges, and in the legend
    assert draw_networks([network("resnet18", "linknet")]).whole.count(">added<") == 4 + 1
    assert ">multiplied<" in draw_networks([network("resnet18", "pan")]).whole


def test_u_net_plus_plus_is_the_triangle_of_its_paper() -> None:
    one = network("resnet18", "unetplusplus")
    columns: dict[int, int] = {}
    for box in layouts([one], "macs")[0].boxes:
        if one.stages[box.index].kind == "decoder" and one.stages[box.index].height < 256:
            columns[box.column] = columns.get(box.column, 0) + 1
    assert columns == {1: 4, 2: 3, 3: 2, 4: 1}


@pytest.mark.parametrize("shade", get_args(Shade))
def test_colour_is_the_cost_and_the_legend_says_how_much(shade: Shade) -> None:
    one = network("resnet18")
    shading = Shading.of([one], shade)
    dearest = max(one.stages, key=lambda each: getattr(each, shade))
    cheapest = min(one.stages, key=lambda each: getattr(each, shade))
    assert shading.color(dearest) == ramp(1.0) and luminance(shading.color(cheapest)) > luminance(ramp(0.2))
    svg = draw_networks([one], shade).whole
    most, whole = getattr(dearest, shade), getattr(one, shade)
    assert f">{amount(shade, most)} ({100 * most / whole:.0f} %)<" in svg and f">{SHADES[shade]}<" in svg
    assert f'fill="{ramp(1.0)}"' in svg


def test_scale_of_colours_reads_without_colours() -> None:
    steps = [ramp(place / 20) for place in range(21)]
    brightness = [luminance(color) for color in steps]
    assert brightness == sorted(brightness, reverse=True) and len(set(steps)) == 21
    for color in steps:
        light, dark = sorted((luminance(color), luminance(ink_on(color))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, color


def test_two_networks_share_rows_scale_and_colours() -> None:
    pair = (network("resnet18"), network("vgg16"))
    one, other = layouts(pair, "macs")
    for a in one.boxes:
        for b in other.boxes:
            if pair[0].stages[a.index].height == pair[1].stages[b.index].height:
                assert (a.y, a.height) == (b.y, b.height)
    sheet = draw_networks(pair)
    sizes = {ElementTree.fromstring(panel).get("viewBox") for panel in sheet.panels}
    assert len(sheet.panels) == 2 and len(sizes) == 1
    shading = Shading.of(pair, "macs")
    assert shading.most == max(each.macs for found in pair for each in found.stages)
    # One scale for both: no share of either could be said.
    assert "%" not in "".join(text for _, text in shading.ticks)


def test_what_differs_is_marked_and_what_is_the_same_is_not() -> None:
    pair = (network("resnet18"), network("resnet34"))
    noted, _ = differences.notes(pair, "parameters")
    # From the second on, the ResNets repeat another number of the same blocks; stem, decoder and head are the same.
    assert noted == dict.fromkeys((1, 2, 3, 4), "≠ blocks, cost")
    sheet = draw_networks(pair, "parameters")
    assert [panel.count('class="differs mark"') for panel in sheet.panels] == [4, 4]
    assert "differs mark" not in draw_networks([pair[0]]).whole
    same, _ = differences.notes((pair[0], pair[0]), "macs")
    assert same == {}
    first, second = differences.notes((network("resnet18"), network("convnext_tiny")), "macs")
    assert first[0] == "only here" and "only here" not in second.values()
    told = differences.account(pair, 0, 1)
    assert "2 × BasicBlock instead of 3 × BasicBlock" in told[0] and pair[1].title in told[0]
    assert differences.account(pair, 0, 9) == [f"Against {pair[1].title}: the same"]


def test_every_box_tells_all_about_itself() -> None:
    one = network("resnet18")
    root = ElementTree.fromstring(draw_networks([one]).panels[0])
    boxes = {element.get("data-stage"): element for element in root.iter() if element.get("data-stage")}
    assert list(map(int, filter(None, boxes))) == sorted(map(int, filter(None, boxes))) and len(boxes) == len(
        one.stages
    )
    second = boxes["1"]
    title = second.find("{*}title")
    assert title is not None and title.text is not None
    for fact in ("Encoder 2 (layer1)", "64 channels of 64 × 64", "147,968 parameters", "604 M multiply-adds",
                 "11.5 MB activations", "43 × 43 pixels", "BasicBlock 64-64 × 2"):  # fmt: skip
        assert fact in title.text and fact in second.get("aria-label", "")
    assert second.get("role") == "listitem"
    whole = ElementTree.fromstring(draw_networks([network("swin_tiny_patch4_window7_224")]).whole)
    assert any("see the whole image" in (element.text or "") for element in whole.findall(".//{*}title"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_words(name: str) -> None:
    stages = [stage(name, "encoder", 8, 32), stage(f"{name}.x", "decoder", 8, 64), stage("head", "head", 2, 64)]
    hostile = replace(stages[0].blocks[0], name=name, label=name, type=name)
    stages[0] = replace(stages[0], blocks=(hostile,), built_of=name)
    one = made(stages, [(IMAGE, 0), (0, 1), (1, 2)], name)
    sheet = draw_networks([one, one])
    for svg in (sheet.whole, *sheet.panels, *sheet.legends):
        root = ElementTree.fromstring(svg)
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            "svg", "g", "title", "rect", "path", "polygon", "text", "tspan", "circle"
        }  # fmt: skip
        assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
    check(one)


def test_file_needs_nothing_beside_it() -> None:
    sheet = draw_networks([network("resnet18"), network("vgg16")])
    assert not re.findall(r"<(?:script|image|style|use|foreignObject)|href|url\(|@import|var\(", sheet.whole)
    assert re.findall(r"https?://[^\"]*", sheet.whole) == ["http://www.w3.org/2000/svg"]
    first = ElementTree.fromstring(sheet.whole).find("{*}rect")
    assert first is not None and first.get("class") == "paper" and first.get("fill") == "#ffffff"
    assert 'class="paper"' not in "".join(sheet.panels)


def test_one_network_or_two() -> None:
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"not {count}"):
            draw_networks([network("resnet18")] * count)


def test_words_are_measured_shortened_and_broken() -> None:
    assert text_width("mmm", 10) > text_width("iii", 10) and text_width("a", 10, bold=True) > text_width("a", 10)
    assert shortened("short", 100, 10) == "short"
    cut = shortened("a long name that goes on", 60, 10)
    assert cut.endswith("…") and text_width(cut, 10) <= 60
    lines = wrapped("one two three four", 50, 10)
    assert " ".join(lines) == "one two three four" and all(text_width(line, 10) <= 50 for line in lines)
    assert tag("g", look="ink", class_="mine", data_stage=1, fill=None) == '<g class="mine" data-stage="1"/>'
