"""The sealed test on the Charts page: what it says before and after, what opens it, and what it never hides."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from segcore.evaluation import seal
from segcore.evaluation.scoring import Scoring
from segcore.launch import scoring as process
from segcore.runs import Study
from segcore.status import RunState, process_identity
from segcore.store import RunStore
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts


def panel() -> None:
    import streamlit as st

    from segcore.store import RunStore
    from segcore.ui import charts_test

    store = RunStore()
    charts_test.draw(store, store.study(st.session_state["study"]))


def progress() -> None:
    """The moving part alone, as the timer draws it."""
    import streamlit as st

    from segcore.store import RunStore
    from segcore.ui import charts_test

    charts_test.draw_progress(RunStore(), st.session_state["study"])


def draw(body: object = panel, study: str = "study") -> AppTest:
    app = AppTest.from_function(body, default_timeout=30)  # type: ignore[arg-type]
    app.session_state["study"] = study
    return app.run()


@pytest.fixture
def study(store: RunStore) -> Study:
    factories.make_study(store, dataset=factories.with_test())
    return store.study("study")


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes test scores up where a process would predict them."""

    def score(study: Study) -> bool:
        for run in seal.to_score(study):
            factories.score_test(run)
        study.scoring.write(Scoring("finished", runs=4, done=4))
        return True

    monkeypatch.setattr(process, "start", score)


def opened(study: Study) -> None:
    seal.open_test(study)
    for run in seal.to_score(study):
        factories.score_test(run)


def test_no_test_part_says_how_to_get_one(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "page_link", lambda *_a, **_k: None)  # it needs the whole app
    factories.make_run(store)
    said = texts(draw())
    assert "has no test images" in said and "Divide the images anew" in said


def test_sealed_shows_no_score_and_says_why(study: Study) -> None:
    app = draw()
    assert not app.exception
    assert "2 test images of this study are sealed" in texts(app)
    assert not app.get("plotly_chart") and not app.dataframe
    assert not app.button(key=Key.CHARTS_TEST_OPEN).disabled


def test_what_other_studies_know_of_the_images_is_said_before(store: RunStore, study: Study) -> None:
    factories.make_run(store, study="other", dataset=factories.with_test())
    assert "Other studies" not in texts(draw())
    opened(store.study("other"))
    assert "Study other has 2 of them as test images that were opened" in texts(draw())


def test_nothing_finished_cannot_be_opened(store: RunStore) -> None:
    factories.make_run(store, state=RunState.QUEUED, dataset=factories.with_test())
    app = draw()
    assert app.button(key=Key.CHARTS_TEST_OPEN).disabled
    assert "once a run has finished" in texts(app)


@pytest.mark.usefixtures("scored")
def test_opening_asks_first(store: RunStore, study: Study) -> None:
    factories.make_run(store, seed=5, state=RunState.QUEUED, dataset=factories.with_test())
    app = draw()
    app.button(key=Key.CHARTS_TEST_OPEN).click().run()
    assert not seal.opened(study)  # only asked so far
    said = texts(app)
    assert "cannot be taken back" in said
    assert "Written down and shown from then on" in said
    assert "1 run still to finish" in said
    app.button(key=Key.CANCEL).click().run()
    assert not seal.opened(study)
    app.button(key=Key.CHARTS_TEST_OPEN).click().run()
    app.button(key=Key.CONFIRM).click().run()
    assert not app.exception
    assert len(seal.openings(study)) == 1
    assert all(seal.is_scored(run) for run in seal.scorable(study))
    app = draw()
    assert "Opened on" in texts(app)


def test_scores_stand_beside_validation(study: Study) -> None:
    opened(study)
    app = draw()
    assert not app.exception
    table = app.dataframe[0].value
    assert next(iter(table["backbone"])) == seal.openings(study)[0].leader
    assert all("(n = 2)" in text for column in ("validation mIoU", "test mIoU") for text in table[column])
    (chart,) = app.get("plotly_chart")
    traces = json.loads(chart.proto.spec)["data"]
    for part, symbol in (("validation", "circle-open"), ("test", "circle")):
        (trace,) = [t for t in traces if f"<b>ResNet-18</b><br>{part} images: " in t.get("hovertemplate", "")]
        assert trace["marker"]["symbol"] == symbol
        assert trace["error_x"]["array"][0] > 0
    said = texts(app)
    assert "ahead on the validation images" in said
    assert "No test score was known" in said  # the record of the opening
    assert f"Ahead on the validation images: **{seal.openings(study)[0].leader}**".replace("-", "\\-") in said


def test_runs_trained_after_the_opening_are_marked_for_ever(store: RunStore, study: Study) -> None:
    opened(study)
    factories.make_run(store, seed=2, dataset=factories.with_test())
    app = draw()
    said = texts(app)
    assert "ResNet\\-18, seed 2: trained after the test scores were opened" in said
    assert "their test scores are sealed: ResNet\\-18, seed 2" in said
    assert app.button(key=Key.CHARTS_TEST_OPEN).label == "Open these, too …"
    opened(study)
    app = draw()
    said = texts(app)
    assert "trained after the test scores were opened" in said
    assert "with runs trained after the opening" in list(app.dataframe[0].value["remark"])
    assert "Test scores of 4 runs were known already" in said
    assert sum("What was known when it was opened (" in box.label for box in app.expander) == 2


def test_scores_of_older_weights_are_not_shown(study: Study) -> None:
    opened(study)
    run = study.runs()[0]
    evaluation = run.evaluation()
    assert evaluation is not None
    run.write_evaluation(replace(evaluation, epoch=9))
    app = draw()
    table = app.dataframe[0].value.set_index("backbone")
    assert "(n = 2)" not in table.loc["ResNet-18", "test mIoU"]
    assert "not all seeds" in table.loc["ResNet-18", "remark"]
    assert "1 run finished or trained on since" in texts(app)


@pytest.mark.usefixtures("scored")
def test_what_is_left_can_go_on(study: Study) -> None:
    seal.open_test(study)
    first = study.runs()[0]
    study.scoring.write(Scoring("cancelled", runs=4, done=1, refused={first.name: "its weights are *missing*"}))
    app = draw()
    warning = app.warning[0].value
    assert "4 runs without test scores yet" in warning
    assert "It was cancelled" in warning
    assert "its weights are \\*missing\\*" in warning
    app.button(key=Key.CHARTS_TEST_GO_ON).click().run()
    assert not seal.to_score(study)
    assert "without test scores" not in texts(draw())


def test_progress_can_be_watched_and_cancelled(study: Study) -> None:
    seal.open_test(study)
    run = study.runs()[1]
    said = Scoring("running", runs=4, done=1, run=run.name, image=1, images=2, started=time.time() - 30)
    study.scoring.write(replace(said, **{k: v for k, v in process_identity().items() if k != "heartbeat"}))
    assert "1 of 4 runs" in str(draw().get("progress")[0].proto.text)
    app = draw(progress)
    shown = app.get("progress")[0].proto
    assert shown.value == 37
    assert "image 1 of 2" in shown.text and "left" in shown.text
    app.button(key=Key.CHARTS_TEST_CANCEL).click().run()
    assert study.scoring.asked_to_stop()
    assert "It ends after this image" in texts(app)


def test_damaged_runs_hide_no_opened_scores(store: RunStore, open_app: OpenApp) -> None:
    runs = factories.make_study(store, dataset=factories.with_test())
    study = store.study("study")
    seal.open_test(study)
    for run in seal.to_score(study):
        factories.score_test(run)
    late = factories.make_run(store, seed=2, dataset=factories.with_test())
    (late.path / "config.json").write_text("{")
    runs[0].evaluation_path().write_bytes(b"damaged")
    runs[1].evaluation_path("test").write_bytes(b"damaged")
    app = open_app("pages/charts.py")
    assert not app.exception and not app.error
    assert f"{late.name}: trained after the test scores were opened" in texts(app).replace("\\", "")
    assert "1 run without test scores yet." in texts(app)
