"""Judging a network on other images from the Predictions page: images, classes, what is known, progress, results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from segcore.config import ClassInfo
from segcore.data.splits import Split
from segcore.data.store import Dataset, DatasetStore
from segcore.evaluation.reevaluating import Reevaluating
from segcore.evaluation.reevaluation import Judged
from segcore.inference.reevaluation import reevaluate
from segcore.launch import reevaluation as process
from segcore.runs import Run
from segcore.store import RunStore
from segcore.ui import predictions_choice
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import OpenApp, texts
from tests.test_cli_evaluate import THEIRS


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source")


@pytest.fixture
def run(store: RunStore, dataset: Dataset) -> Run:
    return factories.make_run(
        store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True
    )


@pytest.fixture
def other(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "other", name="other", classes=THEIRS, seed=3)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, str | None]]]:
    """Has runs judged at once and here, not by another process; the list tells what was asked."""
    asked: list[tuple[str, str, dict[str, str | None]]] = []

    def judge(run: Run, dataset: str, part: Judged, given: Mapping[str, str | None]) -> bool:
        asked.append((dataset, part, dict(given)))
        result = reevaluate(run, dataset, part, given)
        run.reevaluating.write(Reevaluating("finished", dataset, part, key=result.key))
        return True

    monkeypatch.setattr(process, "start", judge)
    return asked


def page(*runs: Run, opened: bool = True) -> AppTest:
    def script(paths: list[str]) -> None:
        from segcore.runs import Run
        from segcore.ui import predictions_reevaluate

        predictions_reevaluate.draw([Run(path) for path in paths])

    app = AppTest.from_function(script, args=([str(run.path) for run in runs],), default_timeout=30)
    app.session_state[Key.EVALUATE_PANEL] = opened
    return app.run()


def select(app: AppTest, key: Key, name: str) -> Any:
    return app.selectbox(key=key.of(name))


def test_closed_it_reads_nothing(run: Run) -> None:
    app = page(run, opened=False)
    assert not app.exception and not app.button and not app.selectbox


def test_its_own_validation_images_come_first(run: Run, asked: list[Any]) -> None:
    app = page(run)
    assert not app.exception
    assert "2 of 2 images were used to choose the best epoch" in texts(app)
    assert app.button(key=Key.EVALUATE).label == "Judge on 2 images"
    app.button(key=Key.EVALUATE).click().run()
    assert not app.exception and asked == [("tiny", "val", {})]
    table = app.dataframe[0].value
    assert list(table["Images"]) == ["Validation (2)", "Validation (2)"]
    assert list(table["Trained on"]) == ["0", "0"]
    classes = app.dataframe[1].value
    assert sorted(classes["Class"]) == sorted(info.name for info in run.config.dataset.trained_classes)


def test_training_images_are_badged(run: Run, asked: list[Any]) -> None:
    app = page(run)
    app.segmented_control(key=Key.EVALUATE_PART.of(f"{run.path}:tiny")).set_value("all").run()
    assert "6 of 8 images were trained on" in texts(app)


def test_classes_are_mapped_by_hand(run: Run, other: Dataset, asked: list[Any]) -> None:
    app = page(run)
    select(app, Key.EVALUATE_DATASET, str(run.path)).select("other").run()
    place = f"{run.path}:other"
    assert app.toggle(key=Key.EVALUATE_MAP.of(place)).value
    assert "1 of 3 classes of the network found" in app.toggle(key=Key.EVALUATE_MAP.of(place)).label
    assert select(app, Key.EVALUATE_CLASS, f"{place}:paved-area").value == "Paved Area"
    assert "Unknown to the network, so their pixels count nowhere: vegetation, water" in texts(app)
    for name in ("grass", "roof"):
        select(app, Key.EVALUATE_CLASS, f"{place}:{name}").select("vegetation").run()
    assert "Unknown to the network, so their pixels count nowhere: water." in texts(app)
    app.button(key=Key.EVALUATE).click().run()
    assert not app.exception
    assert asked == [("other", "val", {"grass": "vegetation", "roof": "vegetation"})]
    shown = app.dataframe[1].value
    assert set(shown["Predicted as"]) == {"paved-area", "grass, roof"}
    assert list(app.dataframe[0].value["Classes"]) == ["3 of 3", "2 of 3"]
    select(app, Key.EVALUATE_CLASS, f"{place}:paved-area").select("").run()
    for name in ("grass", "roof"):
        select(app, Key.EVALUATE_CLASS, f"{place}:{name}").select("").run()
    assert "no class in common yet" in texts(app) and Key.EVALUATE not in {button.key for button in app.button}


def test_sealed_images_are_refused(store: RunStore, dataset: Dataset) -> None:
    assert dataset.split is not None
    dataset.set_split(Split(dataset.split.train[:4], dataset.split.val, dataset.split.train[4:]))
    run = factories.make_run(store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True)
    app = page(run)
    app.segmented_control(key=Key.EVALUATE_PART.of(f"{run.path}:tiny")).set_value("test").run()
    assert r"study open\-test study" in texts(app)
    assert Key.EVALUATE not in {button.key for button in app.button}


def test_progress_and_cancel(run: Run) -> None:
    now = time.time()
    said = Reevaluating("running", "tiny", "val", image=1, images=4, predicting=now - 10, **identity())
    run.make_reevaluations()
    run.reevaluating.write(said)
    app = page(run)
    (bar,) = app.get("progress")
    assert bar.proto.value == 25 and "image 1 of 4" in bar.proto.text and "30 s left" in bar.proto.text
    assert Key.EVALUATE not in {button.key for button in app.button}
    app.button(key=Key.EVALUATE_CANCEL).click().run()
    assert run.reevaluating.asked_to_stop() and "ends after the images it is at" in texts(app)


def identity() -> dict[str, Any]:
    from segcore.status import process_identity

    return process_identity()


@pytest.mark.parametrize(
    ("state", "text"), [("failed", "no space"), ("interrupted", "died"), ("cancelled", "nothing is left")]
)
def test_what_left_no_result_is_said(run: Run, state: Any, text: str) -> None:
    run.make_reevaluations()
    run.reevaluating.write(Reevaluating(state, "tiny", "val", message="no space"))
    app = page(run)
    assert text in texts(app)
    assert app.button(key=Key.EVALUATE)


def test_results_are_outdated_and_removed(run: Run, other: Dataset) -> None:
    first = reevaluate(run)
    second = reevaluate(run, "other")
    other.make_split(val=0.5, seed=1)
    app = page(run)
    assert [text.rpartition(", ")[2] == "outdated" for text in app.dataframe[0].value["When"]] == [False, True, False]
    assert "dataset other was divided anew since" in texts(app)
    select(app, Key.EVALUATE_SHOWN, str(run.path)).select(first.key).run()
    assert "divided anew" not in texts(app)
    app.button(key=Key.EVALUATE_REMOVE).click().run()
    assert run.reevaluation_names() == sorted([first.key, second.key])  # it asks first
    app.button(key=Key.CONFIRM).click().run()
    assert not app.exception and run.reevaluation_names() == [second.key]


def test_of_several_networks_one_is_chosen(run: Run, store: RunStore, dataset: Dataset, asked: list[Any]) -> None:
    another = factories.make_run(
        store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True, seed=1
    )
    app = page(run, another)
    app.selectbox(key=Key.EVALUATE_RUN).select(str(another.path)).run()
    app.button(key=Key.EVALUATE).click().run()
    assert len(another.reevaluation_names()) == 1 and run.reevaluation_names() == []


def test_hostile_names_are_shown_as_they_are(store: RunStore, dataset: Dataset, tmp_path: Path) -> None:
    names = ("a *b* [x](y) $1$", "<b>grass</b>", "roof")
    classes = (THEIRS[0], *(ClassInfo(name=name, color=(at, 9, 9)) for at, name in enumerate(names)))
    config = factories.write_dataset(tmp_path / "odd", name="odd", classes=classes, seed=4)
    DatasetStore(store.workspace).add(config)
    run = factories.make_run(store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True)
    app = page(run)
    select(app, Key.EVALUATE_DATASET, str(run.path)).select("odd").run()
    assert not app.exception
    assert r"a \*b\* \[x\]\(y\) \$1\$" in texts(app)


def test_it_needs_no_image_to_look_at(run: Run, open_app: OpenApp) -> None:
    app = open_app("pages/predictions.py")
    app.button_group(key=Key.PREDICT_SOURCE).set_value(predictions_choice.UPLOAD).run()
    assert not app.exception
    assert {"Judge it on other images", "Take the network away"} <= {panel.label for panel in app.expander}
