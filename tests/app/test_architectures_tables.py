"""The tables tab: blocks beside each other, totals, stages, layers found and folded."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from segcore.models.summary import describe
from segcore.models.tables import PaperRow, paper_table
from segcore.ui.architectures_tables import paper_html
from segcore.ui.state import Key
from tests.app.conftest import OpenApp, texts

PAGE = "pages/architectures.py"


@pytest.fixture
def open_tables(open_app: OpenApp) -> OpenApp:
    def opened(**query: str) -> AppTest:
        app = open_app(PAGE, tab="Tables", **query)
        assert not app.exception
        return app

    return opened


def html(app: AppTest) -> str:
    return "".join(element.proto.body for element in app.get("html"))


def test_a_family_stands_beside_each_other(open_tables: OpenApp) -> None:
    app = open_tables(backbone="resnet18")
    found = html(app)
    assert "<th>ResNet-18</th><th>ResNet-34</th><th>ResNet-50</th>" in found
    assert "[3×3, 256; 3×3, 256] × 6" in found and "[1×1, 512; 3×3, 512; 1×1, 2048] × 3" in found
    members = app.multiselect(key=Key.NETWORK_MEMBERS.of("resnet18,resnet34,resnet50"))
    members.set_value([]).run()
    assert not html(app) and "Choose backbones" in texts(app)


def test_totals_and_stages_of_two_networks(open_tables: OpenApp) -> None:
    app = open_tables(backbone="vgg16", against="convnext_femto", decoder="fpn")
    totals, first, second = (table.value for table in app.dataframe[:3])
    assert list(totals["Part"]) == ["Encoder", "Decoder", "Head", "Together"] * 2
    assert list(first["Sees"][:6]) == ["5 px", "14 px", "40 px", "92 px", "196 px", "212 px"]
    assert list(first["Stride"][:6]) == [1, 2, 4, 8, 16, 32]
    assert second["Stride"][0] == 4
    # VGG has features at full resolution, ConvNeXt-Femto none: an empty cell says so.
    assert 'class="none"' in html(app)


def test_layers_are_found_or_folded(open_tables: OpenApp) -> None:
    app = open_tables(backbone="resnet18")
    tables = len(app.dataframe)
    assert sum("multiply-adds" in fold.label for fold in app.expander) == len(describe("resnet18").stages)
    app.text_input(key=Key.NETWORK_SEARCH.of("0")).set_value("conv LAYER4").run()
    assert len(app.dataframe) == tables + 1
    found = app.dataframe[tables].value
    assert len(found) and all("layer4" in name for name in found["Layer"])
    app.text_input(key=Key.NETWORK_SEARCH.of("0")).set_value("nothing has this name").run()
    assert not app.exception and "0 layers of" in texts(app)


def test_a_backbone_out_of_the_catalog_stands_alone(open_tables: OpenApp) -> None:
    assert "<th>resnet14t</th></tr>" in html(open_tables(backbone="resnet14t"))


def test_nothing_chosen_is_said(open_tables: OpenApp) -> None:
    app = open_tables(backbone="resnet81")
    assert "Choose a backbone" in texts(app) and not app.dataframe


def test_sizes_stand_in_the_cells_where_they_differ() -> None:
    networks = [describe(name, image_size=64) for name in ("resnet18", "resnet34")]
    assert "<th>Output size</th>" in paper_html(["a", "b"], paper_table(networks))
    mixed: list[Any] = [PaperRow(1, ("32 × 32", "31 × 31"), (("x",), ("y",)))]
    found = paper_html(["a", "b"], mixed)
    assert "<th>Output size</th>" not in found and "<td>31 × 31<br>y</td>" in found


def test_names_are_harmless_in_the_table() -> None:
    found = paper_html(["<script>x</script>"], [PaperRow(1, ("1 × 1",), (("<b>",),))])
    assert "<script>" not in found and "<b>" not in found
