"""The catalog tab: before, while and after probing; filters, charts, reasons, and adding to the next study."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from segcore.evaluation.comparison import ResultRow
from segcore.files import write_json
from segcore.inherited import inheritable
from segcore.launch import probing
from segcore.models import catalog
from segcore.models.atlas import Entry, Published
from segcore.runs import Study
from segcore.store import RunStore
from segcore.ui import architectures_catalog, catalog_charts, catalog_table
from segcore.ui.catalog_filters import COMMERCIAL, HERE, ONLY, TRAINED, WORKS, Part, Row, Wanted, rows
from segcore.ui.state import Key
from segcore.workspace import Workspace
from tests.app.conftest import OpenApp, texts
from tests.atlases import FULL, REASONS, made_up, write_atlas
from tests.factories import make_contest

PAGE = "pages/architectures.py"


def open_catalog(open_app: OpenApp, **query: str) -> AppTest:
    return open_app(PAGE, tab="Catalog", **query)


def specs(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def shown(app: AppTest) -> Any:
    """The table of architectures."""
    return next(frame.value for frame in app.dataframe if "Backbone" in frame.value and "Family" in frame.value)


@pytest.fixture
def full(workspace: Workspace) -> Workspace:
    write_atlas(workspace)
    return workspace


def test_before_probing_the_curated_backbones_are_there(open_app: OpenApp, workspace: Workspace) -> None:
    app = open_catalog(open_app)
    assert not app.exception
    assert "Nothing is probed yet for U\\-Net at 256 px" in texts(app)
    assert "10 to 30 minutes" in texts(app)
    assert set(shown(app)["Backbone"]) == set(catalog.BACKBONES)
    assert app.button(key=Key.CATALOG_PROBE).label == "Probe all architectures"
    assert not workspace.catalog.exists()  # looking at it writes nothing
    resnet = shown(app).set_index("Backbone").loc["resnet18"]
    assert resnet["MACs"] == pytest.approx(catalog.BACKBONES["resnet18"].unet_macs / 1e9)


def test_before_probing_in_another_decoder_the_backbones_alone_are_known(open_app: OpenApp) -> None:
    app = open_catalog(open_app, decoder="fpn")
    assert not app.exception
    found = shown(app).set_index("Backbone")
    assert found.loc["resnet18", "Parameters"] == pytest.approx(catalog.BACKBONES["resnet18"].parameters / 1e6)
    assert found["MACs"].isna().all()
    assert not specs(app)
    assert "nothing to draw" in texts(app)


def test_how_long_it_takes_is_what_it_took_here(open_app: OpenApp, workspace: Workspace) -> None:
    write_atlas(workspace, [Entry("resnet18", "resnet", parameters=1, seconds=3600.0)], decoder="fpn")
    assert "about 60 min" in texts(open_catalog(open_app))


def test_the_button_starts_the_probing(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, int]] = []
    monkeypatch.setattr(probing, "start", lambda atlas: started.append((atlas.decoder, atlas.image_size)))
    app = open_catalog(open_app, decoder="fpn")
    app.button(key=Key.CATALOG_PROBE).click().run()
    assert started == [("fpn", 256)]
    assert not app.exception


@pytest.mark.usefixtures("full")
def test_a_full_catalog(open_app: OpenApp) -> None:
    app = open_catalog(open_app)
    assert not app.exception
    works = sum(entry.works for entry in made_up())
    assert f"{works:,} of {FULL:,} architectures work in U-Net at 256 px" in texts(app)
    assert len(shown(app)) == works
    assert Key.CATALOG_PROBE not in [button.key for button in app.button]
    began = time.perf_counter()
    app.run()
    assert time.perf_counter() - began < 1.5  # 0.15 s on an idle machine


def test_an_unfinished_catalog_offers_to_go_on(open_app: OpenApp, workspace: Workspace) -> None:
    atlas = write_atlas(workspace, made_up(40), total=FULL)
    write_json(
        workspace.catalog / "probing.json",
        {"state": "running", "decoder": atlas.decoder, "image_size": 256, "total": FULL, "done": 40, "pid": 1},
    )
    app = open_catalog(open_app)
    assert f"{FULL - 40:,} architectures are not probed yet" in app.warning[0].value
    assert "Its process died" in app.warning[0].value
    assert app.button(key=Key.CATALOG_PROBE).label == "Go on where it stopped"
    assert "of the 40 architectures probed so far" in texts(app)


def test_progress_can_be_cancelled(open_app: OpenApp, workspace: Workspace) -> None:
    write_atlas(workspace, made_up(40), total=FULL)
    now = time.time()
    said = {"state": "running", "decoder": "unet", "image_size": 256, "total": FULL, "done": 40, "before": 20}
    write_json(
        workspace.catalog / "probing.json", {**said, "architecture": "vgg16", "started": now - 20, "heartbeat": now}
    )
    with inheritable(workspace.catalog / ".probing.lock"):
        app = open_catalog(open_app)
        assert not app.exception
        progress = app.get("progress")[0].proto.text
        assert f"40 of {FULL:,}" in progress
        assert "vgg16" in progress
        assert "21 min left" in progress
        app.button(key=Key.CATALOG_CANCEL).click().run()
        assert probing.desk(workspace).asked_to_stop()
        assert "It ends in a moment" in texts(app)


@pytest.mark.usefixtures("full")
def test_filters(open_app: OpenApp) -> None:
    app = open_catalog(open_app)
    app.text_input(key=Key.CATALOG_SEARCH).set_value("ConvNeXt").run()
    found = shown(app)
    assert len(found) > 0
    assert all("convnext" in f"{row.Backbone} {row.Family}".lower() for row in found.itertuples())
    app.text_input(key=Key.CATALOG_SEARCH).set_value("").run()
    app.number_input(key=Key.CATALOG_PARAMETERS).set_value(20.0).run()
    app.number_input(key=Key.CATALOG_MACS).set_value(10.0).run()
    found = shown(app)
    assert 0 < len(found) < FULL
    assert found["Parameters"].max() <= 20
    assert found["MACs"].max() <= 10
    app.multiselect(key=Key.CATALOG_FAMILY).set_value(["ResNet"]).run()
    assert set(shown(app)["Family"]) == {"ResNet"}
    app.text_input(key=Key.CATALOG_SEARCH).set_value("nothing is called so").run()
    assert not app.exception
    assert "No architecture fits" in texts(app)


@pytest.mark.parametrize("only", [name for name in ONLY if name != TRAINED])
def test_each_filter_of_kinds(full: Workspace, only: str) -> None:
    (full.weights / "resnet18.tv_in1k.safetensors").touch()
    atlas = write_atlas(full, [], total=FULL)
    everything = rows(made_up(), [], atlas)
    kept = [row for row in everything if Wanted(only=(only,)).takes(row)]
    expected = {
        WORKS: [row for row in everything if not row.entry.why_not],
        HERE: [row for row in everything if row.entry.architecture == "resnet18"],
        COMMERCIAL: [
            row for row in everything if {w.license for w in row.entry.weights} & {"mit", "apache-2.0", "bsd-3-clause"}
        ],
    }
    assert kept == expected[only]
    assert 0 < len(kept) < len(everything)


@pytest.mark.usefixtures("full")
def test_reasons_are_counted_and_told_one_by_one(open_app: OpenApp) -> None:
    app = open_catalog(open_app)
    others = [entry for entry in made_up() if not entry.works]
    counts, each = (frame.value for frame in app.dataframe if "Why" in frame.value)
    assert dict(zip(counts["Why"], counts["Architectures"], strict=True)) == {
        reason: sum(entry.reason == reason for entry in others) for reason in REASONS
    }
    assert list(each["Why"]) == [entry.why_not for entry in others]
    app.pills(key=Key.CATALOG_ONLY).set_value([]).run()
    assert len(shown(app)) == FULL
    assert "Why it does not work" in shown(app)


@pytest.mark.usefixtures("full")
def test_the_chart_shows_what_the_filters_leave_over(open_app: OpenApp) -> None:
    app = open_catalog(open_app)
    (chart,) = specs(app)
    assert chart["layout"]["xaxis"]["type"] == chart["layout"]["yaxis"]["type"] == "log"
    drawn = sum(len(trace["x"]) for trace in chart["data"])
    assert drawn == len(shown(app))
    colored = [color for trace in chart["data"][1:] for color in trace["marker"]["color"]]
    assert sorted(colored) == sorted(backbone.color for backbone in catalog.BACKBONES.values())
    app.segmented_control(key=Key.CATALOG_PART).set_value("encoder").run()
    (alone,) = specs(app)
    assert "encoder" in alone["layout"]["xaxis"]["title"]["text"]
    assert max(alone["data"][0]["y"]) < max(chart["data"][0]["y"])


def test_trained_backbones_carry_their_accuracy(open_app: OpenApp, full: Workspace) -> None:
    make_contest(RunStore(full))
    app = open_catalog(open_app, study="contest")
    assert not app.exception
    table = shown(app).set_index("Backbone")
    assert "(n = 5)" in table.loc["resnet18", "Reached"]
    assert " ± " in table.loc["resnet18", "Reached"]
    assert table.loc["resnet50", "Reached"] == ""
    app.segmented_control(key=Key.CATALOG_VIEW).set_value(catalog_charts.ACCURACY).run()
    assert not app.exception
    (chart,) = specs(app)
    points = {trace["name"]: trace["x"][0] for trace in chart["data"] if trace.get("error_y", {}).get("array")}
    assert points["ResNet-18"] == pytest.approx(catalog.BACKBONES["resnet18"].unet_macs / 1e9)
    assert len(points) == 4
    assert "95 % interval" in texts(app)
    assert "was trained with" in texts(app)  # at 64 px, and the costs are those at 256
    app.text_input(key=Key.CATALOG_SEARCH).set_value("resnet18").run()
    assert "3 of its 4 backbones are not drawn" in texts(app)


@pytest.mark.usefixtures("full")
def test_without_a_study_the_accuracy_chart_says_so(open_app: OpenApp) -> None:
    app = open_catalog(open_app)
    app.segmented_control(key=Key.CATALOG_VIEW).set_value(catalog_charts.ACCURACY).run()
    assert "no finished run yet" in app.info[0].value


@pytest.fixture
def ticked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Architectures that are ticked in the table, which tests cannot click."""
    names: list[str] = []
    draw = catalog_table.draw

    def tick(found: Sequence[Row], part: Part, study: Study | None) -> list[Row]:
        draw(found, part, study)
        return [row for row in found if row.entry.architecture in names]

    monkeypatch.setattr(catalog_table, "draw", tick)
    return names


@pytest.mark.usefixtures("full")
def test_ticked_rows_go_into_the_launch_form_and_stay_there(open_app: OpenApp, ticked: list[str]) -> None:
    app = open_catalog(open_app)
    assert app.button(key=Key.CATALOG_ADD).disabled
    other = next(entry.architecture for entry in made_up() if entry.works and entry.module == "beit")
    ticked += ["vgg16", other]
    app.run()
    app.button(key=Key.CATALOG_ADD).click().run()
    assert not app.exception
    assert app.text_input(key=Key.LAUNCH_OTHER).value == other
    assert "ResNet\\-18, VGG\\-16, EfficientNet\\-B0" in texts(app).replace(f", {other}", "")
    app.button(key=Key.CATALOG_ADD).click().run()  # again: nothing twice
    assert app.text_input(key=Key.LAUNCH_OTHER).value == other
    app.switch_page("pages/overview.py").run()
    app.switch_page(PAGE).run()
    assert app.text_input(key=Key.LAUNCH_OTHER).value == other


@pytest.mark.usefixtures("full")
def test_what_is_to_be_known_before_training(open_app: OpenApp, ticked: list[str]) -> None:
    app = open_catalog(open_app, decoder="unet")
    broken = next(entry.architecture for entry in made_up() if not entry.works)
    bare = next(entry.architecture for entry in made_up() if entry.works and not entry.weights)
    ticked += [broken, bare]
    app.pills(key=Key.CATALOG_ONLY).set_value([]).run()
    said = texts(app).replace("\\", "")
    assert f"Left out, as they do not work here: {broken}." in said
    assert f"only to be started from scratch: {bare}." in said
    assert "The launch form is set to" not in said
    assert app.button(key=Key.CATALOG_ADD).label == "Add 1 backbone to the next study"
    app.selectbox(key=Key.LAUNCH_DECODER).set_value("fpn").run()
    assert "The launch form is set to FPN at 256 px" in texts(app).replace("\\", "")


def test_hostile_names_are_shown_harmlessly(open_app: OpenApp, workspace: Workspace, ticked: list[str]) -> None:
    name = "<img src=x onerror=alert(1)> **x**"
    write_atlas(workspace, [Entry(name, "<b>module</b>", parameters=10**7, encoder_parameters=10**6, macs=10**9)])
    ticked.append(name)
    app = open_catalog(open_app)
    assert not app.exception
    (chart,) = specs(app)
    assert "<img" not in json.dumps(chart)
    assert r"\<img" in texts(app)


def test_csv_holds_plain_numbers(workspace: Workspace) -> None:
    entry = Entry(
        "resnet18",
        "resnet",
        weights=(Published("tv_in1k", "bsd-3-clause", None), Published("x", None, None)),
        parameters=14_329_804,
        macs=5_501_878_272,
        features=((64, 2), (128, 4)),
    )
    (row,) = catalog_table.csv_rows([Row(entry, (), ())])
    assert row["parameters"] == 14_329_804
    assert (row["channels"], row["reductions"]) == ("64 128", "2 4")
    assert (row["weights"], row["licences"]) == ("tv_in1k x", "bsd-3-clause not-stated")
    assert (row["works"], row["year"]) == (True, 2015)


def test_headline_counts(workspace: Workspace) -> None:
    atlas = write_atlas(workspace, made_up(100), total=100)
    works = sum(entry.works for entry in made_up(100))
    assert architectures_catalog.headline(atlas, atlas.read()) == (
        f"**{works} of 100 architectures work in U-Net at 256 px.**"
    )


@pytest.mark.parametrize(
    ("why_not", "shown_as"),
    [
        ("Backbone 'x' and decoder FPN do not go together: it is plain. Use DPT.", "It is plain. Use DPT."),
        ("Backbone 'x' and decoder FPN do not go together at 80 pixels: no.", "At 80 pixels: no."),
        ("Probing it took more than 60 s.", "Probing it took more than 60 s."),
    ],
)
def test_reasons_do_not_repeat_the_name(why_not: str, shown_as: str) -> None:
    assert catalog_table.why(Entry("x", "module", why_not=why_not)) == shown_as


def test_scratch_results_are_told_apart() -> None:
    result = {"miou_text": "50.0 % (n = 1)", "weights": "none"}
    assert catalog_table.reached(ResultRow(**result)) == "50.0 % (n = 1) from scratch"  # type: ignore[typeddict-item]
