"""The Architectures page: one network, two side by side, what cannot be built, layers and their search."""

from __future__ import annotations

from itertools import pairwise

import pytest

from segcore.models import catalog
from segcore.ui.architectures_choice import SAME
from segcore.ui.architectures_view import TABS
from segcore.ui.state import Key
from segcore.ui.tables import csv_text
from tests.app.conftest import OpenApp

PAGE = "pages/architectures.py"


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


@pytest.mark.parametrize("tab", list(TABS))
@pytest.mark.parametrize("against", ["resnet18", "resnet18.a1_in1k"])
def test_the_same_network_is_shown_once(open_app: OpenApp, tab: str, against: str) -> None:
    app = open_app(PAGE, backbone="resnet18", against=against, tab=tab)
    assert not app.exception and not app.error
    assert SAME in [caption.value for caption in app.caption]


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


def test_csv_does_not_carry_formulas() -> None:
    text = csv_text([{"class": '=HYPERLINK("x")', "share": -0.5}, {"class": "a,b", "share": 1}])
    assert text.splitlines() == ["class,share", '"\'=HYPERLINK(""x"")",-0.5', '"a,b",1']
    assert csv_text([]) == ""
