"""The Charts page: what it answers, how sure it says it is, what it counts, and that it stays light."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from segcore.evaluation.comparison import result_table
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui import charts_results, charts_view, live_chart
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import ROOT, OpenApp, collapse, texts

PAGE = "pages/charts.py"


def body() -> None:
    """The live part alone, as the timer draws it."""
    import streamlit as st

    from segcore.store import RunStore
    from segcore.ui import charts_view

    charts_view.draw(RunStore(), st.session_state["study"])


def draw_live(study: str = "study") -> AppTest:
    app = AppTest.from_function(body, default_timeout=30)
    app.session_state["study"] = study
    return app.run()


def specs(app: AppTest) -> list[dict[str, Any]]:
    """The figures on screen as plotly reads them."""
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def spec(app: AppTest, kind: str) -> dict[str, Any]:
    return next(found for found in specs(app) if found["layout"]["uirevision"] == kind)


def lines(figure: dict[str, Any]) -> dict[str, int]:
    """Name of each line in the legend -> how many epochs it has."""
    return {trace["name"]: len(trace["x"]) for trace in figure["data"] if trace.get("showlegend") is not False}


@pytest.mark.usefixtures("any_workspace")
def test_page_opens_on_any_workspace(open_app: OpenApp) -> None:
    app = open_app(PAGE)
    assert not app.exception
    assert "Which backbone is best here, and is it sure?" in texts(app)


def test_empty_page_says_what_is_missing(open_app: OpenApp) -> None:
    assert "Nothing to compare yet" in texts(open_app(PAGE))


def test_study_comes_from_the_url(store: RunStore, open_app: OpenApp) -> None:
    factories.make_run(store, study="older", miou=0.31)
    factories.make_run(store, study="newer", miou=0.62)
    assert open_app(PAGE).selectbox(key="choose.study").value == "newer"
    app = open_app(PAGE, study="older")
    assert app.selectbox(key="choose.study").value == "older"
    assert open_app(PAGE, study="gone").selectbox(key="choose.study").value == "newer"


def test_all_charts_show_every_backbone(store: RunStore) -> None:
    factories.make_study(store)
    app = draw_live()
    assert not app.exception
    for kind in ("curves-val_pixel_accuracy", "curves-train_pixel_accuracy", "curves-val_miou"):
        names = " ".join(lines(spec(app, kind)))
        assert "ResNet-18" in names
        assert "EfficientNet-Lite0" in names
    assert {"results-miou", "cost-latency_ms-miou", "classes-IoU"} <= {s["layout"]["uirevision"] for s in specs(app)}


def test_accuracy_shows_the_majority_class_and_miou_does_not(store: RunStore) -> None:
    factories.make_study(store)
    app = draw_live()
    for kind, expected in (("val_pixel_accuracy", True), ("train_pixel_accuracy", True), ("val_miou", False)):
        assert ("most frequent class" in json.dumps(spec(app, f"curves-{kind}"))) == expected
    assert "The dashed line at 45" in texts(app).replace("\\", "")


def test_family_chart_shows_one_family(store: RunStore) -> None:
    factories.make_study(store, encoders=["vgg16.tv_in1k", "resnet18.tv_in1k", "resnet34.tv_in1k"], seeds=[0])
    app = draw_live()
    family = specs(app)[-3]
    assert "ResNet" in family["layout"]["title"]["text"]  # the family with two members comes first
    assert len(lines(family)) == 2  # the majority class is labelled in the plot, not in the legend
    app.button_group(key=Key.CHARTS_FAMILY).set_value("VGG").run()
    assert any("VGG-16" in name for name in lines(specs(app)[-3]))


def test_live_update_grows_the_line_and_keeps_zoom(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=8)
    app = draw_live()
    before = spec(app, "curves-val_miou")
    run.append_epoch(replace(run.epochs()[-1], epoch=5))
    after = spec(app.run(), "curves-val_miou")
    assert list(lines(before).values()) == [4]
    assert list(lines(after).values()) == [5]
    assert before["layout"]["uirevision"] == after["layout"]["uirevision"]


def test_new_data_are_drawn_where_the_visitor_looks(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=8)
    app = draw_live()
    shown = spec(app, "curves-val_miou")
    view = {"x": [2.0, 3.5], "y": None, "hidden": [factories.RESNET18]}
    app.session_state["live_chart.views"] = {"charts.val_miou:study": view}
    assert spec(app.run(), "curves-val_miou") == shown  # the browser has zoomed already: nothing is drawn anew

    app.session_state["live_chart.views"] = {"charts.val_miou:study": view}
    run.append_epoch(replace(run.epochs()[-1], epoch=5))
    grown = spec(app.run(), "curves-val_miou")
    assert grown["layout"]["xaxis"]["range"] == [2.0, 3.5]
    assert "range" not in grown["layout"]["yaxis"]
    line = next(trace for trace in grown["data"] if trace["name"] == "ResNet-18 (n = 1)")
    assert line["visible"] == "legendonly"


@pytest.mark.parametrize(
    "view", [None, 3, [], {"x": "a"}, {"x": [1]}, {"x": [1, "b"]}, {"x": [1, float("nan")]}, {"hidden": 7}]
)
def test_odd_reports_of_a_browser_change_nothing(view: object) -> None:
    chart = go.Figure(go.Scatter(x=[1], y=[1], name="a"))
    before = chart.to_json()
    live_chart.apply_view(chart, view)
    assert chart.to_json() == before


def test_failed_runs_are_counted_and_explained_harmlessly(store: RunStore) -> None:
    factories.make_run(store, seed=0)
    factories.make_run(store, seed=1, state=RunState.FAILED, message="<b>no</b> memory")
    app = draw_live()
    assert app.expander[0].label == "1 run failed and left out of the results"
    assert r"\<b\>no" in texts(app)
    assert app.dataframe[0].value["Runs"][0] == "1 failed, 1 finished"
    assert "n = 1" in app.dataframe[0].value["mIoU"][0]


def test_run_that_ended_early_does_not_cut_off_the_others(store: RunStore) -> None:
    factories.make_study(store, encoders=["resnet18.tv_in1k"], seeds=[0, 1], epochs=6)
    for seed, state in ((2, RunState.FAILED), (3, RunState.STOPPED), (4, RunState.INTERRUPTED)):
        factories.make_run(store, seed=seed, state=state, epochs=6, done=2)
    assert lines(spec(draw_live(), "curves-val_miou")) == {"ResNet-18 (n = 2)": 6}


def test_table_has_scores_and_costs(store: RunStore) -> None:
    factories.make_study(store, miou=0.5)
    row = draw_live().dataframe[0].value.iloc[0]
    assert "n = 2" in row["mIoU"]
    assert "±" in row["mIoU"]
    assert row["Parameters"] > 0
    assert row["MACs"] > 0
    assert row["Latency"] > 0
    assert row["Training"] == "10 s"


def test_csv_holds_plain_numbers_and_every_state(store: RunStore) -> None:
    factories.make_study(store)
    factories.make_run(store, seed=7, state=RunState.FAILED)
    rows = charts_results.csv_rows(result_table(store.runs("study")))
    assert all(0 < float(str(row["miou"])) < 1 for row in rows)
    assert sum(int(str(row["failed"])) for row in rows) == 1
    assert Key.CHARTS_CSV in {button.key for button in draw_live().get("download_button")}


def finished(store: RunStore, scores: dict[str, list[float]], majority: float | None = None) -> str:
    """The answer to a study whose backbones reached these mIoUs, one a seed."""
    for encoder, values in scores.items():
        for seed, value in enumerate(values):
            factories.make_run(store, encoder=encoder, seed=seed, miou=value)
    return charts_results.answer(result_table(store.runs()), majority)


def test_answer_with_one_seed_says_that_it_cannot_tell(store: RunStore) -> None:
    text = finished(store, {"resnet18.tv_in1k": [0.7], "vgg16.tv_in1k": [0.3]})
    assert "ResNet" in text.split("highest")[0]
    assert "One seed each: cannot tell how sure" in text


def test_answer_is_sure_only_where_intervals_lie_apart(store: RunStore) -> None:
    apart = finished(store, {"resnet18.tv_in1k": [0.70, 0.71, 0.70], "vgg16.tv_in1k": [0.30, 0.31, 0.30]})
    assert "lies above all others" in apart
    near = finished(store, {"resnet34.tv_in1k": [0.69, 0.70, 0.71]})
    assert "Cannot tell yet" in near
    assert "ResNet" in near.split("overlaps with that of")[1]


def test_answer_waits_for_a_second_seed_of_everyone(store: RunStore) -> None:
    text = finished(store, {"resnet18.tv_in1k": [0.70, 0.71], "vgg16.tv_in1k": [0.30]})
    assert "only one seed of VGG" in text


def test_answer_warns_of_collapse(store: RunStore) -> None:
    text = finished(store, {"resnet18.tv_in1k": [0.2]}, majority=0.9)
    assert "no better than always answering" in text


def test_collapsed_runs_are_flagged_in_the_table(store: RunStore) -> None:
    runs = factories.make_study(store, seeds=range(3))
    assert "Alarm" not in draw_live().dataframe[0].value
    collapse(runs[0])
    table = draw_live().dataframe[0].value.set_index("Backbone")
    assert table["Alarm"]["ResNet-18"] == "⚠ 1 of 3 runs answers one class"
    assert table["Alarm"]["EfficientNet-Lite0"] == ""
    rows = charts_results.csv_rows(result_table(store.runs("study")))
    assert {row["encoder"]: row["collapsed"] for row in rows} == {factories.RESNET18: 1, factories.LITE0: 0}
    collapse(factories.make_run(store, encoder="vgg16.tv_in1k"))
    (single,) = [row for row in result_table(store.runs()) if row["encoder"].startswith("vgg")]
    assert charts_results.alarm_text(single) == "⚠ answers one class"


def test_runs_of_unequal_length_are_said(store: RunStore) -> None:
    runs = factories.make_study(store)
    assert charts_view.unequal_lengths(runs) == ""
    store.extend(runs[:1], 9)
    said = charts_view.unequal_lengths(runs).replace("\\", "")
    assert "5 epochs: ResNet-18, EfficientNet-Lite0" not in said.split(";")[1]
    assert "9 epochs: ResNet-18)" in said


def test_answer_without_a_finished_run(store: RunStore) -> None:
    factories.make_run(store, state=RunState.RUNNING)
    assert "No run of this study has finished yet" in charts_results.answer(result_table(store.runs()), None)


def test_study_that_vanishes_while_it_is_drawn_is_a_message(store: RunStore) -> None:
    run = factories.make_run(store)
    shutil.rmtree(run.path.parent)
    app = draw_live()
    assert not app.exception
    assert "no study" in app.error[0].value


@pytest.mark.parametrize("file", ["config.json", "cost.json", "evaluation.npz"])
def test_damaged_run_is_left_out_and_named(file: str, store: RunStore, open_app: OpenApp) -> None:
    factories.make_run(store, seed=0)
    broken = factories.make_run(store, encoder=factories.LITE0)
    (broken.path / file).write_bytes(b"{")
    for app in (draw_live(), open_app(PAGE)):
        assert not app.exception
        assert not app.error
        (warning,) = [element.value.replace("\\", "") for element in app.warning]
        assert "1 run could not be read" in warning
        assert f"{broken.name}/{file}" in warning
        assert list(app.dataframe[0].value["Backbone"]) == ["ResNet-18"]


def test_class_is_chosen_and_stands_in_the_url(store: RunStore, open_app: OpenApp) -> None:
    factories.make_study(store)
    app = open_app(PAGE)
    assert app.selectbox(key="choose.class").options[0] == "All classes"
    assert "class" not in app.query_params
    app.selectbox(key="choose.class").set_value("roof").run()
    assert not app.exception
    assert app.query_params["class"] in ("roof", ["roof"])
    chart = spec(app, "class-IoU")
    assert sorted(chart["data"][0]["y"]) == ["EfficientNet-Lite0", "ResNet-18"]
    assert "roof" in chart["layout"]["xaxis"]["title"]["text"]
    app.selectbox(key="choose.class").set_value("").run()
    assert "class" not in app.query_params
    assert spec(app, "classes-IoU")
    assert spec(open_app(PAGE, **{"class": "grass"}), "class-IoU")


def test_confusions_are_of_the_chosen_backbone(store: RunStore) -> None:
    runs = factories.make_study(store)
    app = draw_live()
    app.selectbox(key=Key.CHARTS_CONFUSION).set_value(factories.LITE0).run()
    assert not app.exception
    heat = spec(app, "confusion")["data"][0]
    expected = sum(run.evaluation().counts.sum(0) for run in runs if run.config.encoder == factories.LITE0)  # type: ignore[union-attr]
    assert heat["customdata"] == expected.tolist()  # type: ignore[attr-defined]


def test_charts_of_results_keep_zoom_too(store: RunStore) -> None:
    factories.make_study(store)
    app = draw_live()
    keys = {found["layout"]["uirevision"]: found["layout"]["meta"] for found in specs(app)}
    assert len({meta["live"] for meta in keys.values()}) == len(keys)
    assert keys["classes-IoU"]["x"] == [-2, 108]  # a range of its own is no zoom
    assert keys["results-miou"]["x"] is None
    app.session_state["live_chart.views"] = {keys["classes-IoU"]["live"]: {"x": [10.0, 60.0], "y": None, "hidden": []}}
    factories.make_run(store, encoder="vgg16.tv_in1k")
    grown = spec(app.run(), "classes-IoU")["layout"]
    assert grown["xaxis"]["range"] == [10.0, 60.0]
    assert grown["meta"]["x"] == [-2, 108]


def test_page_does_not_import_torch(store: RunStore) -> None:
    factories.make_study(store)
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('streamlit_app.py', default_timeout=60).run().switch_page('pages/charts.py').run()\n"
        "assert not app.exception, app.exception\n"
        "assert app.title[0].value == 'Charts'\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
