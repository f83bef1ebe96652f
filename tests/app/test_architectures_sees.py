"""The tab of what networks see: trained and pretrained, stages, skips, evidence, what is sealed or missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from segcore.data.store import Dataset
from segcore.models import weights
from segcore.models.build import skeleton
from segcore.runs import Run
from segcore.store import RunStore
from segcore.ui.architectures_sees import PRETRAINED
from segcore.ui.state import Key, Param
from tests import factories
from tests.app.conftest import OpenApp, texts

PAGE = "pages/architectures.py"
TAB = "What it sees"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    st.cache_resource.clear()


@pytest.fixture
def dataset(store: RunStore, tmp_path: Path) -> Dataset:
    return factories.add_dataset(store.workspace, tmp_path / "source")


@pytest.fixture
def run(store: RunStore, dataset: Dataset) -> Run:
    return factories.make_run(store, dataset=dataset, with_weights=True, encoder=factories.LITE0)


def captions(app: AppTest) -> list[str]:
    return [caption for image in app.get("image") for caption in image.captions]


def test_without_a_run_the_way_to_one_is_offered(open_app: OpenApp) -> None:
    app = open_app(PAGE, tab=TAB)
    assert not app.exception
    assert "No trained network yet" in texts(app).replace("\\", "")


def test_a_trained_network_shows_channels_skips_and_evidence(open_app: OpenApp, run: Run) -> None:
    app = open_app(PAGE, tab=TAB)
    assert not app.exception and not app.error
    found = captions(app)
    assert any("as the network is given it: 64 × 64" in text for text in found)
    assert sum(text.startswith("channel ") for text in found) == 12
    skips = [text for text in found if "→" in text]
    assert [text.split(" → ")[0] for text in skips] == ["Encoder 1", "Encoder 2", "Encoder 3", "Encoder 4"]
    assert any(text.startswith("Evidence for ") for text in found)
    assert "What the colours mean" in [fold.label for fold in app.expander]
    # The stage stands in the URL; it begins where there is both something to see and to recognise.
    assert app.query_params["stage"] in ("Encoder 3", ["Encoder 3"])


def test_stage_and_class_can_be_chosen(open_app: OpenApp, run: Run) -> None:
    name = run.config.dataset.trained_classes[-1].name
    app = open_app(PAGE, tab=TAB, stage="Decoder 2", **{"class": name})
    assert not app.exception
    assert f"Evidence for {name} in Decoder 2" in captions(app)
    app.slider(key=Key.SEES_CHANNELS).set_value(4).run()
    assert sum(text.startswith("channel ") for text in captions(app)) == 4


def test_a_decoder_without_skips_says_so(open_app: OpenApp, store: RunStore, dataset: Dataset) -> None:
    factories.make_run(store, dataset=dataset, with_weights=True, encoder=factories.LITE0, decoder="pspnet")
    app = open_app(PAGE, tab=TAB)
    assert not app.exception
    assert "PSPNet has none" in texts(app)


def test_test_images_stay_sealed_for_pretrained_weights(
    open_app: OpenApp, store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segcore.data.store import DatasetStore
    from segcore.training.checkpoint import save_weights  # writes a file that `locate` finds

    config = factories.write_dataset(tmp_path / "source", scenes=6)
    dataset = DatasetStore(store.workspace).add(config, val=0.3, test=0.3)
    assert dataset.split is not None and dataset.split.test
    folder = tmp_path / "weights"
    folder.mkdir()
    encoder = skeleton("tf_efficientnet_lite0", "unet", 2, 64).network.get_submodule("encoder.model")
    save_weights(encoder, folder / "tf_efficientnet_lite0.in1k.safetensors")
    monkeypatch.setenv(weights.DIRECTORIES_VARIABLE, str(folder))
    app = open_app(PAGE, tab=TAB, backbone="tf_efficientnet_lite0")
    app.segmented_control(key=Key.SEES_THROUGH).set_value(PRETRAINED).run()
    assert not app.exception and not app.error
    offered = app.selectbox(key=f"choose.{Param.IMAGE}").options
    assert offered and not set(offered) & set(dataset.split.test)
    assert "only the stages of the encoder" in texts(app)
    stages = app.selectbox(key=f"choose.{Param.STAGE}").options
    # Labels hold nothing of the network: a browser would keep that of the one looked through before.
    assert stages == [f"Encoder {number}" for number in range(1, 6)]
    assert "It hands on 40 channels of " in texts(app)
    assert not any(text.startswith("Evidence") for text in captions(app))


def test_missing_weights_are_said_with_where_to_put_them(open_app: OpenApp, workspace: object) -> None:
    app = open_app(PAGE, tab=TAB, backbone="resnet18")
    app.segmented_control(key=Key.SEES_THROUGH).set_value(PRETRAINED).run()
    assert not app.exception
    assert "resnet18.tv_in1k.safetensors" in app.error[0].value.replace("\\", "")


def test_the_weights_that_were_asked_for_are_looked_through(open_app: OpenApp, workspace: object) -> None:
    app = open_app(PAGE, tab=TAB, backbone="resnet18.a1_in1k")
    app.segmented_control(key=Key.SEES_THROUGH).set_value(PRETRAINED).run()
    assert not app.exception
    assert "resnet18.a1_in1k.safetensors" in app.error[0].value.replace("\\", "")


def test_damaged_weights_are_said(open_app: OpenApp, run: Run) -> None:
    run.best_weights.write_bytes(run.best_weights.read_bytes()[:1000])
    app = open_app(PAGE, tab=TAB)
    assert not app.exception
    assert app.error and "weights" in app.error[0].value
