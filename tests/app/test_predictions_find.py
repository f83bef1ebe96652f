"""The panel that finds images: rankings, what a click shows, label suspects with their search, list and file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from segcore.data.dataset import Dataset
from segcore.evaluation.ranking import worst_first
from segcore.inference.predictor import Predictor
from segcore.inference.suspects import Search
from segcore.runs import Evaluation, Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import UNKNOWN
from segcore.ui import gallery, predictions_find, predictions_pick
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts
from tests.app.test_predictions import PAGE, seen


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source", scenes=8)


@pytest.fixture
def runs(store: RunStore, dataset: Dataset) -> list[Run]:
    """Two backbones of two seeds; the network of all is the same, their counts differ."""
    assert dataset.split is not None
    found = []
    for number, (encoder, seed) in enumerate([(e, s) for e in (factories.LITE0, factories.RESNET18) for s in (0, 1)]):
        run = factories.make_run(store, dataset=dataset, encoder=encoder, seed=seed, with_weights=seed == 0)
        if seed:
            shutil.copy(found[-1].best_weights, run.best_weights)
        run.write_evaluation(judged(sorted(run.split.val), number))
        found.append(run)
    return found


def judged(names: list[str], seed: int) -> Evaluation:
    """Counts of the validation images; in the last nothing is labelled."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(names), 3, 3), np.int64)
    for image in range(len(names) - 1):
        for label in range(2 if image else 3):  # "roof" is in the first image alone
            hits = int(rng.integers(0, 101))
            counts[image, label, label], counts[image, label, 1 - label if label < 2 else 0] = hits, 100 - hits
    return Evaluation(names, [name.split("_")[0] for name in names], counts, 5)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[list[gallery.Item]]:
    """What the galleries of each run of the page were given; `click` makes the next one be clicked."""
    drawn: list[list[gallery.Item]] = []

    def draw(items: list[gallery.Item], **_: Any) -> str | None:
        drawn.append(list(items))
        clicked: str | None = st.session_state.pop("test.click", None)
        return clicked

    monkeypatch.setattr(predictions_pick.gallery, "draw", draw)
    return drawn


def opened(open_app: OpenApp, kind: str = predictions_find.WORST, **query: str) -> AppTest:
    app = open_app(PAGE, study="study", **query)
    app.session_state[Key.FIND_PANEL] = True
    app.session_state[Key.FIND_RANKING] = kind
    return app.run()


def click(app: AppTest, image: str) -> None:
    app.session_state["test.click"] = image
    app.run()
    assert not app.exception


@pytest.mark.usefixtures("runs")
def test_folded_panel_costs_nothing(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions_find, "_draw", lambda *_: pytest.fail("nobody has opened it"))
    app = open_app(PAGE, study="study")
    assert not app.exception and seen(app) is not None


def test_worst_come_first_and_a_click_shows_the_image(
    runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    app = opened(open_app, run=runs[0].name)
    assert not app.exception
    evaluation = runs[0].evaluation()
    assert evaluation is not None
    expected = [one.image for one in worst_first([evaluation])]
    items = shown[-1]
    assert [item.id for item in items] == expected
    assert items[0].badge.startswith("IoU ") and items[-1].badge == UNKNOWN and items[-1].told == "nothing labelled"
    assert all(item.thumbnail is not None and item.thumbnail.is_file() for item in items)
    assert "1 image without a value" in texts(app) and "nothing in them is labelled" in texts(app)
    click(app, expected[-2])
    scene = seen(app)
    assert scene is not None and scene["name"] == expected[-2] and len(scene["runs"]) == 1
    assert app.query_params["image"] in (expected[-2], [expected[-2]])
    click(app, expected[-1])  # the one without a labelled pixel in its counts
    scene = seen(app)
    assert scene is not None and scene["name"] == expected[-1]


def test_a_class_ranks_images_that_have_it(runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]) -> None:
    app = opened(open_app, run=runs[0].name)
    app.selectbox(key="choose.by").set_value("roof").run()
    assert shown[-1][0].id == sorted(runs[0].split.val)[0]
    assert [item.badge for item in shown[-1][1:]] == [UNKNOWN] * (len(runs[0].split.val) - 1)
    assert shown[-1][0].told == "33.3 % of the labelled pixels" and shown[-1][-1].told == "class not in the mask"
    assert "neither in their masks nor predicted" in texts(app)


def test_a_backbone_is_the_mean_of_its_seeds_and_its_best_run_is_shown(
    runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    app = opened(open_app, run=runs[0].name)
    box = app.selectbox(key="choose.of")
    of = next(title for title in box.options if title.startswith("ResNet-18, "))
    box.select(of).run()
    evaluations = [found for run in runs[2:] if (found := run.evaluation()) is not None]
    assert [item.id for item in shown[-1]] == [one.image for one in worst_first(evaluations)]
    assert "the mean over 2 networks" in texts(app)
    click(app, shown[-1][0].id)
    assert app.selectbox(key="choose.run").value in {run.name for run in runs[2:]}


def test_where_two_differ_both_are_shown(runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]) -> None:
    app = opened(open_app, predictions_find.DIFFER, run=runs[3].name)
    assert "mean over 2 pairs of the same seed" in texts(app)
    assert {item.badge[0] for item in shown[-1][:-1]} <= {"+", "−"} and shown[-1][-1].badge == UNKNOWN
    sizes = [abs(float(item.badge.replace("−", "-"))) for item in shown[-1][:-1]]
    assert sizes == sorted(sizes, reverse=True)
    app.selectbox(key="choose.order").set_value("second").run()
    values = [float(item.badge.replace("−", "-")) for item in shown[-1][:-1]]
    assert values == sorted(values)
    click(app, shown[-1][0].id)
    scene = seen(app)
    assert scene is not None and scene["name"] == shown[-1][0].id
    assert [one["title"] for one in scene["runs"]] == ["EfficientNet-Lite0", "ResNet-18"]


def test_runs_of_other_seeds_are_not_held_against_each_other(
    runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    app = opened(open_app, predictions_find.DIFFER)
    app.selectbox(key="choose.first").set_value(f"run:{runs[0].name}").run()
    app.selectbox(key="choose.second").set_value(f"run:{runs[3].name}").run()
    assert not app.exception
    assert "no seed in common" in texts(app)


def test_what_is_chosen_stands_in_the_address_while_the_panel_is_open(
    runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    first, second = f"run:{runs[1].name}", f"run:{runs[3].name}"
    link = {"find": predictions_find.DIFFER, "first": first, "second": second, "by": "grass", "order": "second"}
    app = open_app(PAGE, study="study", run=runs[0].name, **link)
    assert not app.exception and app.segmented_control(key=Key.FIND_RANKING).value == predictions_find.DIFFER
    values = [float(item.badge.replace("−", "-")) for item in shown[-1] if item.badge != UNKNOWN]
    assert values == sorted(values) and "mean over 1 pair" in texts(app)
    assert {name: address(app, name) for name in link} == link
    app.selectbox(key="choose.order").set_value("either").run()
    assert address(app, "order") == "either"
    app.segmented_control(key=Key.FIND_RANKING).set_value(predictions_find.SUSPECTS).run()
    assert address(app, "find") == predictions_find.SUSPECTS and not {"first", "second", "by"} & set(app.query_params)
    assert address(app, "agree") == f"{runs[0].name},{runs[2].name}"
    app.session_state[Key.FIND_PANEL] = False
    app.run()
    assert not {"find", "agree", *link} & set(app.query_params)


def address(app: AppTest, name: str) -> str:
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


@pytest.mark.parametrize("kind", predictions_find.RANKINGS)
def test_one_run_and_a_failed_one(
    kind: str, store: RunStore, dataset: Dataset, open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    factories.make_run(store, dataset=dataset, encoder=factories.LITE0, with_weights=True)
    factories.make_run(store, dataset=dataset, encoder=factories.LITE0, seed=1, state=RunState.FAILED, done=0)
    app = opened(open_app, kind)
    assert not app.exception and not app.error
    assert bool(shown) == (kind == predictions_find.WORST)
    if kind != predictions_find.WORST:
        assert "networks" in texts(app) and "needed" in texts(app)


def test_damaged_counts_are_named_and_the_others_ranked(
    runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    runs[1].evaluation_path().write_bytes(b"no counts")
    app = opened(open_app, run=runs[0].name)
    assert not app.exception
    assert "could not be read" in texts(app) and shown


# Label suspects ----------------------------------------------------------------------------------


def test_counts_first_then_places_then_the_viewer(
    runs: list[Run], dataset: Dataset, open_app: OpenApp, shown: list[list[gallery.Item]]
) -> None:
    app = opened(open_app, predictions_find.SUSPECTS, run=runs[0].name)
    assert not app.exception
    assert app.multiselect(key="choose.agree").value == [runs[0].name, runs[2].name], "one of each backbone"
    app.multiselect(key="choose.agree").set_value([runs[0].name, runs[1].name]).run()
    assert "a suspicion" in texts(app) and all(item.badge.startswith("≤ ") for item in shown[-1])
    app.button(key=Key.FIND_SEARCH).click().run()
    assert not app.exception
    found = Search((runs[0], runs[1]), dataset).found()
    assert len(found) == len(runs[0].split.val)
    weights = {name: places[0].weight for name, places in found.items() if places}
    assert weights, "the same network twice agrees with itself"
    assert [item.id for item in shown[-1]] == sorted(weights, key=lambda name: -weights[name])
    assert Key.FIND_SEARCH not in {button.key for button in app.button}
    assert Key.FIND_CSV in {button.key for button in app.get("download_button")}
    click(app, shown[-1][0].id)
    scene = seen(app)
    assert scene is not None and scene["name"] == shown[-1][0].id
    assert scene["place"] == pytest.approx(found[scene["name"]][0].box, abs=1e-4)
    assert [one["title"] for one in scene["runs"]] == ["EfficientNet-Lite0 · seed 0", "EfficientNet-Lite0 · seed 1"]
    app.button(key=Key.PREDICT_NEXT).click().run()
    scene = seen(app)
    assert scene is not None and scene["place"] is None and "place" not in app.query_params


def test_a_cancelled_search_shows_what_is_done_and_goes_on(
    runs: list[Run], dataset: Dataset, open_app: OpenApp, monkeypatch: pytest.MonkeyPatch,
    shown: list[list[gallery.Item]],
) -> None:  # fmt: skip
    app = opened(open_app, predictions_find.SUSPECTS, run=runs[0].name)
    app.multiselect(key="choose.agree").set_value([runs[0].name, runs[1].name]).run()
    whole, asked = Predictor.predict, []

    def cancelled_in_the_second(*args: Any, **told: Any) -> Any:
        asked.append(1)
        if len(asked) == 3:
            st.stop()  # how Streamlit ends a page, too, when its Cancel button is pressed
        return whole(*args, **told)

    monkeypatch.setattr(Predictor, "predict", cancelled_in_the_second)
    app.button(key=Key.FIND_SEARCH).click().run()
    assert len(Search((runs[0], runs[1]), dataset).found()) == 1
    app.run()
    assert f"1 of {len(runs[0].split.val)} images are done" in texts(app)
    app.button(key=Key.FIND_SEARCH).click().run()
    assert len(Search((runs[0], runs[1]), dataset).found()) == len(runs[0].split.val)


def test_damaged_weights_are_a_message(runs: list[Run], open_app: OpenApp, shown: list[list[gallery.Item]]) -> None:
    app = opened(open_app, predictions_find.SUSPECTS, run=runs[0].name)
    runs[2].best_weights.write_bytes(b"weights")
    app.button(key=Key.FIND_SEARCH).click().run()
    assert not app.exception and app.error and seen(app) is not None


@pytest.mark.parametrize("text", ["", "1,2", "a,b,c,d", "0.5,0.5,0.2,0.7", "0,0,2,1", "nan,0,1,1"])
def test_a_place_that_is_none_is_passed_over(text: str, runs: list[Run], open_app: OpenApp) -> None:
    app = open_app(PAGE, study="study", run=runs[0].name, place=text)
    scene = seen(app)
    assert not app.exception and scene is not None and scene["place"] is None


def test_a_place_in_the_address_is_framed(runs: list[Run], open_app: OpenApp) -> None:
    app = open_app(PAGE, study="study", run=runs[0].name, place="0.1,0.2,0.5,0.75")
    scene = seen(app)
    assert scene is not None and scene["place"] == [0.1, 0.2, 0.5, 0.75]


def test_the_best_judge_did_not_learn_from_the_image(runs: list[Run]) -> None:
    val, train = runs[0].split.val[0], runs[0].split.train[0]
    (best,) = predictions_pick.best_judge(runs, val)
    assert best.summary()["val_miou"] == max(run.summary()["val_miou"] for run in runs)
    assert predictions_pick.best_judge(runs, train) == []
