"""The drawing tab: what is drawn, how it is coloured, which stage is open, what can be taken away."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ElementTree
from typing import Any, get_args

import pytest
from streamlit.testing.v1 import AppTest

from segcore.figures.drawing import Shade
from segcore.models.summary import describe
from segcore.ui.architectures_drawing import totals
from segcore.ui.network_drawing import clicked
from segcore.ui.state import Key
from tests.app.conftest import OpenApp, texts

PAGE = "pages/architectures.py"


def drawings(app: AppTest) -> list[dict[str, Any]]:
    """What the page hands to the drawings in the browser."""
    return [json.loads(element.proto.json) for element in app.get("bidi_component")]


def drawing(app: AppTest) -> dict[str, Any]:
    return next(data for data in drawings(app) if data["clickable"])


def opened(app: AppTest, encoder: str, stage: int, decoder: str = "unet") -> AppTest:
    """The page once a click came in from the browser, which AppTest has not."""
    app.session_state[Key.NETWORK_STAGE] = ((encoder, decoder, 256), stage)
    return app.run()


def test_page_opens_with_a_drawing(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert not app.exception
    data = drawing(app)
    (panel,) = data["panels"]
    found = describe("resnet18")
    root = ElementTree.fromstring(panel)
    stages = [element for element in root.iter() if element.get("data-stage")]
    assert len(stages) == len(found.stages) and root.get("aria-label") == found.title
    assert data["opened"] is None and data["file"] == "resnet18-unet.png"
    assert totals(found) in texts(app) and "57 % in decoder and head" in totals(found)
    assert "press Enter" in texts(app)


def test_two_networks_share_one_sheet(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="resnet18", against="efficientnet_b0", decoder="fpn")
    assert not app.exception
    data = drawing(app)
    assert len(data["panels"]) == 2
    assert data["whole"].count("ResNet-18 in FPN</text>") == data["whole"].count("EfficientNet-B0 in FPN</text>") == 1
    assert data["file"] == "resnet18-fpn-efficientnet_b0.png"
    bars = next(json.loads(chart.proto.spec) for chart in app.get("plotly_chart"))
    assert all(len(trace["x"]) == 2 for trace in bars["data"])


def test_colour_follows_the_choice(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    seen = set()
    for shade in get_args(Shade):
        app.segmented_control(key=Key.NETWORK_SHADE).set_value(shade).run()
        assert not app.exception
        seen.add(drawing(app)["panels"][0])
    assert len(seen) == len(get_args(Shade))


def test_stage_opens_and_closes(open_app: OpenApp) -> None:
    app = opened(open_app(PAGE), "resnet18", 2)
    assert not app.exception
    assert drawing(app)["opened"] == [0, 2]
    (stage,) = (data for data in drawings(app) if not data["clickable"])
    assert "Encoder 3 of ResNet-18 in U-Net" in stage["panels"][0] and "layer2.0" in stage["panels"][0]
    assert stage["file"] == "resnet18-unet-encoder-3.png"
    app.button(key=Key.NETWORK_STAGE_CLOSE).click().run()
    assert drawing(app)["opened"] is None and len(drawings(app)) == 1


def test_other_network_closes_the_stage(open_app: OpenApp) -> None:
    app = opened(open_app(PAGE), "resnet18", 2)
    app.selectbox(key=Key.NETWORK_BACKBONE).set_value("vgg16").run()
    assert drawing(app)["opened"] is None and len(drawings(app)) == 1
    app.selectbox(key=Key.NETWORK_BACKBONE).set_value("resnet18").run()
    assert drawing(app)["opened"] is None


def test_stage_stays_open_beside_another_network_and_in_other_colours(open_app: OpenApp) -> None:
    app = opened(open_app(PAGE), "resnet18", 2)
    app.selectbox(key=Key.NETWORK_AGAINST).set_value("vgg16").run()
    app.segmented_control(key=Key.NETWORK_SHADE).set_value("parameters").run()
    assert not app.exception
    assert drawing(app)["opened"] == [0, 2] and len(drawings(app)) == 2


def test_stage_that_is_not_there_is_passed_over(open_app: OpenApp) -> None:
    app = opened(open_app(PAGE), "resnet18", 99)
    assert not app.exception
    assert drawing(app)["opened"] is None


def test_same_page_hands_over_the_same_drawing(open_app: OpenApp) -> None:
    """What the browser has already is not put there again: nothing flickers."""
    app = open_app(PAGE, backbone="resnet18", against="vgg16")
    before = drawing(app)
    assert drawing(app.run()) == before


def test_page_with_two_drawings_takes_less_than_a_second(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="efficientnet_b7", against="convnext_tiny", decoder="unetplusplus")
    assert len(drawing(app)["panels"]) == 2
    started = time.process_time()
    app.run()
    assert time.process_time() - started < 1.0


def test_without_a_network_the_tab_says_what_to_do(open_app: OpenApp) -> None:
    app = open_app(PAGE, backbone="resnet81")
    assert not app.exception
    assert "Choose a backbone above" in texts(app) and not drawings(app)


@pytest.mark.parametrize("value", [None, "1,2", [1], [1, 2, 3], [1.5, 2], [True, 1], {"a": 1}, [None, 2]])
def test_odd_clicks_are_passed_over(value: object) -> None:
    assert clicked(value) is None
    assert clicked([1, 2]) == (1, 2)
