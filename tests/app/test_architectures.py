"""The Architectures page: one network, two side by side, what cannot be built, layers and their search."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from segcore.figures.network import network_figure
from segcore.models import catalog
from segcore.models.summary import NetworkDescription, describe
from segcore.ui.state import Key
from segcore.ui.tables import csv_text
from tests.app.conftest import OpenApp, texts

PAGE = "pages/architectures.py"


@pytest.fixture(scope="module")
def resnet() -> NetworkDescription:
    return describe("resnet18", image_size=64)


def specs(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_page_opens_with_a_network_taken_apart(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert not app.exception
    assert "ResNet-18 in U-Net" in texts(app).replace("\\", "")
    parameters = next(s for s in specs(app) if s["layout"]["uirevision"] == "parts-parameters")
    assert sum(trace["x"][0] for trace in parameters["data"]) == pytest.approx(14.33, abs=0.01)
    stages = app.dataframe[0].value
    assert list(stages["Size"][:5]) == ["128 × 128", "64 × 64", "32 × 32", "16 × 16", "8 × 8"]
    assert list(stages["Channels"][:5]) == [64, 64, 128, 256, 512]


def test_two_networks_stand_side_by_side(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="resnet18", against="efficientnet_b0", decoder="fpn")
    assert not app.exception
    assert [element.value.replace("\\", "") for element in app.subheader if " in " in element.value] == [
        "ResNet-18 in FPN",
        "EfficientNet-B0 in FPN",
    ]
    assert all(len(s["data"][0]["x"]) == 2 for s in specs(app) if s["layout"]["uirevision"].startswith("parts-"))


def test_unknown_backbone_is_answered_beside_its_field(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="resnet81")
    assert not app.exception
    assert "resnet18" in app.error[0].value
    assert app.selectbox(key=Key.NETWORK_BACKBONE).value == "resnet81"


def test_hostile_name_is_shown_harmlessly(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="<img src=x onerror=alert(1)> **x**")
    assert not app.exception
    assert r"\<img" in app.error[0].value


def test_any_timm_name_works(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="resnet14t")
    assert not app.exception
    assert not app.error


def test_choices_stand_in_the_url(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    app.selectbox(key=Key.NETWORK_AGAINST).set_value("vgg16").run()
    assert app.query_params["against"] in ("vgg16", ["vgg16"])


def test_catalog_is_grouped_by_family(open_app: OpenApp) -> None:
    options = open_app(PAGE).selectbox(key=Key.NETWORK_BACKBONE).options
    families = [option.split(" · ")[0] for option in options]
    assert len(options) == len(catalog.BACKBONES)
    changes = sum(a != b for a, b in pairwise(families))
    assert changes == len(set(families)) - 1


def test_picture_is_drawn_from_the_stages(resnet: NetworkDescription) -> None:
    figure = network_figure(resnet.stages)
    boxes = {trace.name: (max(trace.x) - min(trace.x), max(trace.y) - min(trace.y)) for trace in figure.data}
    assert len(figure.data) == len(resnet.stages)
    by_name = {stage.name: stage for stage in resnet.stages}
    wide = sorted(boxes, key=lambda name: by_name[name].channels)
    assert [boxes[name][0] for name in wide] == pytest.approx(sorted(box[0] for box in boxes.values()))
    tall = sorted(boxes, key=lambda name: by_name[name].height)
    assert [boxes[name][1] for name in tall] == pytest.approx(sorted(box[1] for box in boxes.values()))
    # A U-Net hands features across at every level that both sides have.
    assert sum(shape.name == "skip" for shape in figure.layout.shapes) == 4


def test_csv_does_not_carry_formulas() -> None:
    text = csv_text([{"class": '=HYPERLINK("x")', "share": -0.5}, {"class": "a,b", "share": 1}])
    assert text.splitlines() == ["class,share", '"\'=HYPERLINK(""x"")",-0.5', '"a,b",1']
    assert csv_text([]) == ""
