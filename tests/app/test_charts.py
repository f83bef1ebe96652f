"""The Charts page: what it answers, how sure it says it is, what it counts, and that it stays light."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from segcore.evaluation import racing
from segcore.evaluation.comparison import contenders, result_table
from segcore.evaluation.racing import RacedOut
from segcore.evaluation.statistics import Estimate
from segcore.evaluation.studies import compare_study
from segcore.evaluation.verdicts import compare
from segcore.runs import Evaluation
from segcore.status import RunState
from segcore.store import RunStore
from segcore.ui import charts_answer, charts_confusion, charts_costs, charts_view, live_chart
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import ROOT, OpenApp, collapse, texts

PAGE = "pages/charts.py"


def body() -> None:
    """The live part alone, as the timer draws it."""
    import streamlit as st

    from segcore.store import RunStore
    from segcore.ui import charts_view

    charts_view.draw(RunStore(), st.session_state["studies"])


def draw_live(*studies: str, tab: str | None = None, **state: Any) -> AppTest:
    """Draw the live part on these studies, with a tab open and widgets set."""
    app = AppTest.from_function(body, default_timeout=30)
    app.session_state["studies"] = list(studies or ("study",))
    if tab is not None:
        app.session_state[Key.CHARTS_TAB] = tab
    for key, value in state.items():
        app.session_state[key] = value
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


def test_curves_show_every_backbone(store: RunStore) -> None:
    factories.make_study(store)
    app = draw_live(tab="Curves")
    assert not app.exception
    for kind in ("curves-val_pixel_accuracy", "curves-train_pixel_accuracy", "curves-val_miou"):
        names = " ".join(lines(spec(app, kind)))
        assert "ResNet-18" in names
        assert "EfficientNet-Lite0" in names


def test_each_thing_that_differs_has_one_badge(store: RunStore) -> None:
    factories.make_study(store, "a")
    factories.make_study(store, "b", encoders=(factories.RESNET18, "convnext_tiny.fb_in22k_ft_in1k"))
    app = draw_live("a", "b")
    badges = [found.value for found in app.markdown if "-badge[" in found.value and "pretraining" in found.value]
    assert len(badges) == 1  # of the studies, and of the runs of b
    (listed,) = [found.label for found in app.expander if "besides the backbone" in found.label]
    assert listed.startswith("1 thing")


def test_the_rank_plot_is_explained_as_far_as_it_goes(store: RunStore) -> None:
    def caption(name: str) -> str:
        return charts_answer.rank_caption(compare_study(store.study(name)))

    factories.make_run(store, study="alone")
    assert caption("alone") == ""
    factories.make_contest(store, "five", seeds=range(5), wild={})
    assert "Thick: other seeds" in caption("five") and "longer" not in caption("five")
    # Where seeds differ more than images, two of them alone give Student's t of one degree of freedom.
    factories.make_contest(store, "two", seeds=range(2), wild={"vgg16.tv_in1k": 0.05})
    assert "It can be the longer one where there are few seeds" in caption("two")


def test_the_open_tab_stands_in_the_url(store: RunStore, open_app: OpenApp) -> None:
    factories.make_study(store)
    app = open_app(PAGE, tab="Costs")
    assert app.session_state[Key.CHARTS_TAB] == "Costs"
    assert {found["layout"]["uirevision"] for found in specs(app)} == {"rank-val-miou", "cost-latency_ms-miou"}
    app.session_state[Key.CHARTS_TAB] = "Curves"
    app.run()
    assert app.query_params["tab"] == "Curves"
    app.switch_page("pages/overview.py").run()
    app.switch_page(PAGE).run()
    assert app.session_state[Key.CHARTS_TAB] == "Curves"  # another page does not forget it
    app.session_state[Key.CHARTS_TAB] = "Verdicts"
    app.run()
    assert "tab" not in app.query_params  # the first one is what the page opens with
    assert open_app(PAGE, tab="Cost").session_state[Key.CHARTS_TAB] == "Verdicts"


def test_only_the_open_tab_is_drawn(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(2))
    kinds = {
        None: {"verdicts"},
        "Costs": {"cost-latency_ms-miou"},
        "Curves": {"curves-val_pixel_accuracy", "curves-train_pixel_accuracy", "curves-val_miou"},
        "Classes": {"class-map", "sizes", "confusion"},
    }
    for tab, expected in kinds.items():
        app = draw_live("contest", tab=tab)
        assert not app.exception
        assert {found["layout"]["uirevision"] for found in specs(app)} == {"rank-val-miou", *expected}


def test_accuracy_shows_the_majority_class_and_miou_does_not(store: RunStore) -> None:
    factories.make_study(store)
    app = draw_live(tab="Curves")
    for kind, expected in (("val_pixel_accuracy", True), ("train_pixel_accuracy", True), ("val_miou", False)):
        assert ("most frequent class" in json.dumps(spec(app, f"curves-{kind}"))) == expected
    assert "The dashed line at 45" in texts(app).replace("\\", "")


def test_curves_of_one_family(store: RunStore) -> None:
    factories.make_study(store, encoders=["vgg16.tv_in1k", "resnet18.tv_in1k", "resnet34.tv_in1k"], seeds=[0])
    app = draw_live(tab="Curves")
    assert len(lines(spec(app, "curves-val_miou"))) == 3
    app.button_group(key=Key.CHARTS_FAMILY).set_value("ResNet").run()
    chart = spec(app, "curves-val_miou")
    assert chart["layout"]["title"]["text"] == "Validation mIoU: ResNet"
    assert sorted(lines(chart)) == ["ResNet-18 (n = 1)", "ResNet-34 (n = 1)"]


def test_curves_by_minute(store: RunStore) -> None:
    factories.make_run(store, epochs=6)  # of 2 s each
    app = draw_live(tab="Curves")
    app.button_group(key=Key.CHARTS_ALONG).set_value("By minute").run()
    (line,) = [t for t in spec(app, "curves-val_miou-minute")["data"] if t["name"] == "ResNet-18 (n = 1)"]
    assert line["x"] == pytest.approx([epoch * 2 / 60 for epoch in range(1, 7)])


def test_live_update_grows_the_line_and_keeps_zoom(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=8)
    app = draw_live(tab="Curves")
    before = spec(app, "curves-val_miou")
    run.append_epoch(replace(run.epochs()[-1], epoch=5))
    after = spec(app.run(), "curves-val_miou")
    assert list(lines(before).values()) == [4]
    assert list(lines(after).values()) == [5]
    assert before["layout"]["uirevision"] == after["layout"]["uirevision"]


def test_new_data_are_drawn_where_the_visitor_looks(store: RunStore) -> None:
    run = factories.make_run(store, state=RunState.RUNNING, epochs=8)
    app = draw_live(tab="Curves")
    shown = spec(app, "curves-val_miou")
    view = {"x": [2.0, 3.5], "y": None, "hidden": [factories.RESNET18]}
    key = shown["layout"]["meta"]["live"]
    app.session_state["live_chart.views"] = {key: view}
    assert spec(app.run(), "curves-val_miou") == shown  # the browser has zoomed already: nothing is drawn anew

    app.session_state["live_chart.views"] = {key: view}
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
    app = draw_live(tab="Costs")
    assert app.expander[0].label == "1 run failed and left out of the results"
    assert r"\<b\>no" in texts(app)
    assert app.dataframe[0].value["Runs"][0] == "1 failed, 1 finished"
    assert "n = 1" in app.dataframe[0].value["mIoU"][0]


def test_run_that_ended_early_does_not_cut_off_the_others(store: RunStore) -> None:
    factories.make_study(store, encoders=["resnet18.tv_in1k"], seeds=[0, 1], epochs=6)
    for seed, state in ((2, RunState.FAILED), (3, RunState.STOPPED), (4, RunState.INTERRUPTED)):
        factories.make_run(store, seed=seed, state=state, epochs=6, done=2)
    assert lines(spec(draw_live(tab="Curves"), "curves-val_miou")) == {"ResNet-18 (n = 2)": 6}


def test_table_has_scores_and_costs(store: RunStore) -> None:
    factories.make_study(store, miou=0.5)
    row = draw_live(tab="Costs").dataframe[0].value.iloc[0]
    assert "n = 2" in row["mIoU"]
    assert "±" in row["mIoU"]
    assert row["Parameters"] > 0
    assert row["MACs"] > 0
    assert "(95 %: " in row["Latency"]
    assert row["MACs of backbone / decoder / head"] == "67 % / 33 % / 0 %"
    assert row["Training"] == "10 s"


def test_csv_holds_plain_numbers_and_every_state(store: RunStore) -> None:
    factories.make_study(store)
    factories.make_run(store, seed=7, state=RunState.FAILED)
    rows = charts_costs.csv_rows(result_table(store.runs("study")))
    assert all(0 < float(str(row["miou"])) < 1 for row in rows)
    assert sum(int(str(row["failed"])) for row in rows) == 1
    assert Key.CHARTS_CSV in {button.key for button in draw_live(tab="Costs").get("download_button")}


# The answer ---------------------------------------------------------------------------------------


def test_answer_of_one_seed_is_that_it_cannot_tell(store: RunStore) -> None:
    factories.make_contest(store, seeds=[0])
    app = draw_live("contest")
    said = texts(app).replace("\\", "")
    assert "is ahead, and it is not sure yet that it is the best." in said
    assert "There is one seed each, which says nothing about other seeds: its interval is over images only." in said
    rank = spec(app, "rank-val-miou")
    assert {t["marker"]["symbol"] for t in rank["data"] if t["mode"] == "markers"} == {"circle-open"}
    assert "open circle: one seed, interval over images alone" in rank["layout"]["xaxis"]["title"]["text"]
    assert {mark for row in marks(app) for mark in row} == {"", "?"}


def marks(app: AppTest) -> list[list[str]]:
    """The matrix of verdicts as it is marked, row by row."""
    chart = spec(app, "verdicts")
    names = chart["data"][0]["y"]
    cells = {
        (y, x): text.split(" ")[0]
        for trace in chart["data"][1:]
        for x, y, text in zip(trace["x"], trace["y"], trace["text"], strict=True)
    }
    return [[cells.get((row, column), "") for column in names] for row in names]


def test_verdicts_of_five_seeds_know_three_answers(store: RunStore) -> None:
    factories.make_contest(store)
    app = draw_live("contest")
    order = ["resnet18.tv_in1k", "resnet34.tv_in1k", "efficientnet_b0.ra_in1k", "vgg16.tv_in1k"]
    assert spec(app, "verdicts")["data"][0]["y"] == order
    assert marks(app) == [["", "=", "?", "▲"], ["=", "", "?", "▲"], ["?", "?", "", "▲"], ["▼", "▼", "▼", ""]]
    said = texts(app).replace("\\", "")
    assert "ResNet-18 is ahead, and it is not sure yet that it is the best." in said
    assert "It is better than VGG-16 (by " in said
    assert "It is equivalent to ResNet-34: whatever the difference is, it is less than 1 point." in said
    assert "Cannot tell yet whether it is better than EfficientNet-B0 (ahead by " in said
    sentences = next(e.value for e in app.markdown if e.value.startswith("- ")).replace("\\", "").splitlines()
    assert len(sentences) == 6
    assert all("ResNet-18" in line for line in sentences[:3])  # those of the leader first
    assert not any("ResNet-18" in line for line in sentences[3:])


def test_margin_in_the_url_decides_what_is_equivalent(store: RunStore, open_app: OpenApp) -> None:
    factories.make_contest(store)
    app = open_app(PAGE, study="contest", margin="3")
    assert not app.exception
    assert app.number_input(key="choose.margin").value == 3
    assert "that is sure" in texts(app)
    assert marks(app)[0] == ["", "=", "=", "▲"]
    app.number_input(key="choose.margin").set_value(1.0).run()
    assert "margin" not in app.query_params  # the default
    assert marks(app)[0] == ["", "=", "?", "▲"]
    assert open_app(PAGE, margin="-4").number_input(key="choose.margin").value == 1  # nothing that it could be


def test_score_in_the_url_is_judged(store: RunStore, open_app: OpenApp) -> None:
    factories.make_contest(store, seeds=range(2))
    app = open_app(PAGE, score="roof")
    assert spec(app, "rank-val-2")["layout"]["xaxis"]["title"]["text"].startswith("Validation IoU of roof, mean")
    app.selectbox(key="choose.score").set_value("pixel_accuracy").run()
    assert app.query_params["score"] in ("pixel_accuracy", ["pixel_accuracy"])
    (line,) = [t for t in spec(app, "rank-val-pixel_accuracy")["data"] if t["name"].startswith("Always")]
    assert line["x"][0] == pytest.approx(45)


def test_score_of_a_class_that_no_image_shows(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(2))
    app = draw_live("contest")
    app.selectbox(key="choose.score").set_value("dog").run()
    assert not app.exception
    assert "No run has finished yet" not in texts(app)
    assert "“dog” is in none of these images" in texts(app)


def test_unequal_seeds_are_paired_over_the_common_ones(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(3))
    factories.make_contest(store, skills={"resnet18.tv_in1k": 0.858}, seeds=[7])
    app = draw_live("contest")
    assert not app.exception
    assert "seed 7 of ResNet-18 left out" in texts(app).replace("\\", "")


def test_failed_and_raced_out_backbones_are_said(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.make_contest(store, seeds=range(3))
    factories.make_run(
        store, study="contest", encoder=factories.LITE0, state=RunState.FAILED, dataset=factories.contest_dataset()
    )
    estimate = Estimate(-0.123, 0.01, 4, 3, 20, "seeds and images")
    out = RacedOut("vgg16.tv_in1k", "VGG-16", "resnet18.tv_in1k", "ResNet-18", 6, 30, estimate, 40, ("a",))
    monkeypatch.setattr(racing, "outcome", lambda _: [out])
    app = draw_live("contest")
    said = texts(app).replace("\\", "")
    assert "No result yet: EfficientNet-Lite0." in said
    assert "**VGG-16** Stopped at epoch 6 of 30: clearly behind ResNet-18" in said
    assert app.expander[0].label == "1 run failed and left out of the results"


def test_collapsed_backbone_is_flagged_beside_the_answer(store: RunStore) -> None:
    collapse(factories.make_contest(store, seeds=range(2))[0])
    app = draw_live("contest")
    assert "⚠ **ResNet-34**: 1 of 2 runs answers one class everywhere" in texts(app).replace("\\", "")
    assert "⚠ ResNet-34" in spec(app, "rank-val-miou")["layout"]["yaxis"]["ticktext"]


def test_numbers_behind_the_verdicts(store: RunStore) -> None:
    factories.make_contest(store)
    app = draw_live("contest", **{Key.CHARTS_NUMBERS.of("0"): True})
    assert not app.exception
    table = app.dataframe[0].value
    assert list(table["Verdict"][:3]) == ["= equivalent", "? cannot tell", "▲ better"]
    row = table.iloc[2]
    low, high = (float(end) for end in row["Bootstrap"].split(" to "))
    assert low < float(row["Difference"]) < high
    assert row["p"] == "< 0.001"
    assert (row["Seeds"], row["Images"]) == ("5", "40")
    assert "Over folds" not in table


def test_verdicts_over_folds_have_the_corrected_test_beside_them(store: RunStore) -> None:
    factories.make_fold_study(store, seeds=range(2))
    app = draw_live("folded", **{Key.CHARTS_NUMBERS.of("0"): True})
    assert not app.exception
    assert " to " in app.dataframe[0].value["Over folds"][0]
    for tab in ("Costs", "Curves", "Classes"):
        assert not draw_live("folded", tab=tab).exception


def test_single_runs_are_drawn_when_asked_for(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(3))
    app = draw_live("contest")
    assert "single seeds" not in json.dumps(spec(app, "rank-val-miou"))
    app.toggle(key=Key.CHARTS_SINGLE).set_value(True).run()
    (marks,) = [t for t in spec(app, "rank-val-miou")["data"] if t["name"] == "VGG-16: single seeds"]
    assert len(marks["x"]) == 3


def test_more_seeds_are_offered_with_the_number_that_would_settle_it(store: RunStore, open_app: OpenApp) -> None:
    factories.make_contest(store)
    app = open_app(PAGE, study="contest")
    button = app.button(key=Key.CHARTS_MORE_SEEDS)
    more = int(button.label.split(" ")[1])
    assert f"About {more} more seeds of each backbone would settle that" in texts(app).replace("\\", "")
    button.click().run()
    assert not app.exception
    assert app.number_input(key=Key.MORE_SEEDS.of("contest")).value == 5 + more


# Several studies ----------------------------------------------------------------------------------


def test_studies_of_one_split_are_compared_in_pairs(store: RunStore, open_app: OpenApp) -> None:
    factories.make_contest(store, seeds=range(3), skills={"resnet18.tv_in1k": 0.86})
    factories.make_contest(store, "second", seeds=range(3), skills={"vgg16.tv_in1k": 0.8}, epochs=9)
    app = open_app(PAGE, study="contest", **{"with": "second"})
    assert not app.exception
    assert app.multiselect(key="choose.with").value == ["second"]
    assert spec(app, "verdicts")["layout"]["yaxis"]["ticktext"] == ["ResNet-18 · contest", "VGG-16 · second"]
    badges = [e.value for e in app.markdown if "badge" in e.value]
    assert any("number of epochs" in value for value in badges)
    assert "The number of epochs differs: 5 in contest, 9 in second" in texts(app).replace("\\", "")
    app.multiselect(key="choose.with").set_value([]).run()
    assert "with" not in app.query_params


def test_studies_of_other_splits_are_not_paired(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(3))
    other = factories.contest_dataset(seed=3)
    factories.make_contest(store, "second", seeds=range(3), skills={"resnet50.a1_in1k": 0.87}, dataset=other)
    app = draw_live("contest", "second")
    assert not app.exception
    assert "not paired image by image" in app.warning[0].value.replace("\\", "")
    assert [s["layout"]["uirevision"] for s in specs(app)].count("rank-val-miou") == 2
    assert "only backbone with a result" in texts(app)  # of the second study: nothing pairs it with the first
    for tab in ("Costs", "Curves", "Classes"):
        assert not draw_live("contest", "second", tab=tab).exception


def test_collapsed_runs_are_flagged_in_the_table(store: RunStore) -> None:
    runs = factories.make_study(store, seeds=range(3))
    assert "Alarm" not in draw_live(tab="Costs").dataframe[0].value
    collapse(runs[0])
    table = draw_live(tab="Costs").dataframe[0].value.set_index("Backbone")
    assert table["Alarm"]["ResNet-18"] == "⚠ 1 of 3 runs answers one class"
    assert table["Alarm"]["EfficientNet-Lite0"] == ""
    rows = charts_costs.csv_rows(result_table(store.runs("study")))
    assert {row["encoder"]: row["collapsed"] for row in rows} == {factories.RESNET18: 1, factories.LITE0: 0}
    collapse(factories.make_run(store, encoder="vgg16.tv_in1k"))
    (single,) = [row for row in result_table(store.runs()) if row["encoder"].startswith("vgg")]
    assert charts_costs.alarm_text(single) == "⚠ answers one class"


def test_runs_of_unequal_length_are_said(store: RunStore) -> None:
    runs = factories.make_study(store)
    assert charts_view.unequal_lengths(runs) == ""
    store.extend(runs[:1], 9)
    said = charts_view.unequal_lengths(runs).replace("\\", "")
    assert "5 epochs: ResNet-18, EfficientNet-Lite0" not in said.split(";")[1]
    assert "9 epochs: ResNet-18)" in said


def test_answer_without_a_finished_run(store: RunStore) -> None:
    factories.make_run(store, state=RunState.RUNNING)
    for tab in (None, "Costs", "Curves", "Classes"):
        app = draw_live(tab=tab)
        assert not app.exception
        assert "No run has finished yet" in texts(app)


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
    for app in (draw_live(tab="Costs"), open_app(PAGE)):
        assert not app.exception
        assert not app.error
        (warning,) = [element.value.replace("\\", "") for element in app.warning]
        assert "1 run could not be read" in warning
        assert f"{broken.name}/{file}" in warning
        assert spec(app, "rank-val-miou")["layout"]["yaxis"]["ticktext"] == ["ResNet-18"]


# Classes ------------------------------------------------------------------------------------------


def test_classes_by_backbone_and_as_a_difference(store: RunStore, open_app: OpenApp) -> None:
    factories.make_contest(store, seeds=range(3))
    app = draw_live("contest", tab="Classes")
    heat = spec(app, "class-map")["data"][0]
    assert heat["y"][-1] == "dog"  # absent
    assert set(heat["text"][-1]) == {"not in these images"}
    assert "±" in heat["text"][0][0]
    assert "95 % interval over seeds and images." in texts(app)
    app.selectbox(key="choose.reference").set_value("vgg16.tv_in1k").run()
    assert not app.exception
    heat = spec(app, "class-difference")["data"][0]
    assert sorted(heat["x"]) == ["EfficientNet-B0", "ResNet-18", "ResNet-34"]
    assert "points from VGG-16<br>95 % interval +" in heat["text"][0][0]
    assert "Pale cells may well be zero" in texts(app)


def test_small_objects_of_a_class(store: RunStore) -> None:
    factories.make_contest(store, seeds=range(2))
    app = draw_live("contest", tab="Classes")
    pooled = spec(app, "sizes")["data"][0]["y"]
    app.selectbox(key=Key.CHARTS_SIZE_CLASS).set_value(4).run()
    car = spec(app, "sizes")["data"][0]["y"]
    assert pooled[0] < pooled[-1]
    assert car[0] < pooled[0]


def test_runs_of_an_earlier_version_have_no_sizes(store: RunStore) -> None:
    factories.make_study(store)
    assert "did not count by the size of objects" in texts(draw_live(tab="Classes"))


def test_confusions_are_of_the_chosen_backbone(store: RunStore) -> None:
    runs = factories.make_study(store)
    app = draw_live(tab="Classes")
    app.selectbox(key=Key.CHARTS_CONFUSION).set_value(factories.LITE0).run()
    assert not app.exception
    heat = spec(app, "confusion")["data"][0]
    expected = sum(run.evaluation().counts.sum(0) for run in runs if run.config.encoder == factories.LITE0)  # type: ignore[union-attr]
    assert heat["customdata"] == expected.tolist()  # type: ignore[attr-defined]


def test_images_of_a_confusion_are_links_to_the_predictions(store: RunStore, open_app: OpenApp) -> None:
    runs = factories.make_contest(store, seeds=range(2), skills={"resnet18.tv_in1k": 0.86})
    app = draw_live("contest", tab="Classes")
    assert "has kept its weights" in texts(app)
    runs[1].best_weights.write_bytes(b"weights")
    app = open_app(PAGE, study="contest")
    for key, value in ((Key.CHARTS_TAB, "Classes"), (Key.CHARTS_TRUE, 1), (Key.CHARTS_TAKEN, 2)):
        app.session_state[key] = value
    app.run()
    assert not app.exception
    links = [link.proto for link in app.get("page_link") if "image=" in link.proto.query_string]
    assert len(links) == charts_confusion.MOST_IMAGES
    standing = compare(contenders(runs)).standings[0]
    worst = charts_confusion.confused_images(standing, 1, 2)[0]
    query = dict(part.split("=") for part in links[0].query_string.split("&"))
    assert query == {"study": "contest", "run": runs[1].name, "image": worst.image, "class": "grass"}
    app.selectbox(key=Key.CHARTS_TAKEN).set_value(1).run()
    assert "that is no confusion" in texts(app)


def test_most_confused_images_are_those_with_most_pixels(store: RunStore) -> None:
    runs = factories.make_study(store, encoders=["resnet18.tv_in1k"], seeds=[0, 1])
    for run, wrong in zip(runs, (3, 5), strict=True):
        counts = np.zeros((3, 3, 3), dtype=np.int64)
        counts[0, 0] = [7, 1, 0]
        counts[1, 0] = [10 - wrong, wrong, 0]
        counts[2, 1] = [0, 4, 0]
        run.write_evaluation(Evaluation(["x", "y", "z"], ["x", "y", "z"], counts, 5))
    standing = compare(contenders(runs)).standings[0]
    first, second = charts_confusion.confused_images(standing, 0, 1)
    assert (first.image, first.pixels, first.share) == ("y", 4, 0.4)  # (3 + 5) / 2 of 10
    assert (second.image, second.pixels, second.share) == ("x", 1, 0.125)
    assert charts_confusion.confused_images(standing, 1, 2) == []


def test_image_of_a_fold_is_shown_by_a_network_that_did_not_learn_from_it(store: RunStore) -> None:
    runs = factories.make_fold_study(store, encoders=["resnet18.tv_in1k"], seeds=[0])
    for run in runs:
        run.best_weights.write_bytes(b"weights")
    standing = compare(contenders(runs)).standings[0]
    images = [image for run in runs for image in run.split.val]
    shown = charts_confusion.runs_to_show(standing, images)
    assert len(shown) == len(images) > 2
    assert all(image in run.split.val for image, run in shown.items())


def test_largest_confusion_is_off_the_diagonal() -> None:
    assert charts_confusion.largest_confusion(np.array([[9, 1, 0], [2, 8, 0], [0, 5, 90]])) == (2, 1)
    assert charts_confusion.largest_confusion(np.diag([1, 2])) is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"selection": {"points": [{"customdata": [1, 2, 30, 4.5]}]}}, (1, 2)),
        ({"selection": {"points": []}}, None),
        ({"selection": {"points": [{"customdata": ["a", 2]}]}}, None),
        ({"selection": {"points": [{}]}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_click_names_a_cell(state: object, expected: tuple[int, int] | None) -> None:
    assert live_chart.clicked(state) == expected


def test_report_and_tables_can_be_taken_away(store: RunStore, open_app: OpenApp) -> None:
    factories.make_study(store)
    assert Key.CHARTS_REPORT in {button.key for button in open_app(PAGE).get("download_button")}


def test_charts_of_results_keep_zoom_too(store: RunStore) -> None:
    factories.make_study(store)
    app = draw_live()
    keys = {found["layout"]["uirevision"]: found["layout"]["meta"] for found in specs(app)}
    assert len({meta["live"] for meta in keys.values()}) == len(keys)
    rank = keys["rank-val-miou"]
    assert rank["x"] is None
    app.session_state["live_chart.views"] = {rank["live"]: {"x": [10.0, 60.0], "y": None, "hidden": []}}
    factories.make_run(store, encoder="vgg16.tv_in1k")
    grown = spec(app.run(), "rank-val-miou")["layout"]
    assert grown["xaxis"]["range"] == [10.0, 60.0]


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
