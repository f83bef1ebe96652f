"""Bundles read back: bit for bit the run's answers, and a clear error for whatever is not what was exported."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from segcore.errors import ConfigError, NotFoundError, WeightsError
from segcore.inference import bundle
from segcore.inference.export.writing import export
from segcore.inference.predictor import Predictor
from segcore.runs import Run
from tests.inference.conftest import set_geometry


@pytest.fixture
def exported(bundle_of: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a bundle, to be damaged."""
    return shutil.copytree(bundle_of("resize"), tmp_path / "b")


def packed(folder: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """The zip file of a bundle's folder."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return path


@pytest.mark.parametrize("geometry", ["resize", "crop"])
@pytest.mark.parametrize("name", ["b", "b.zip"])
def test_a_bundle_predicts_bit_for_bit_as_its_run(tmp_path: Path, run: Run, geometry: str, name: str) -> None:
    set_geometry(run, geometry)
    image = np.random.default_rng(0).integers(0, 256, (150, 90, 3), dtype=np.uint8)
    expected = Predictor.from_run(run.path, device="cpu").predict(image, probabilities=True)
    export(run, "bundle", tmp_path / name)
    shutil.rmtree(run.path.parents[2])
    loaded = Predictor.load(tmp_path / name, device="cpu")
    got = loaded.predict(image, probabilities=True)
    np.testing.assert_array_equal(got.probabilities, expected.probabilities)
    np.testing.assert_array_equal(got.labels, expected.labels)
    assert [info.name for info in loaded.classes] == ["paved-area", "grass", "roof"]


def test_a_bundle_compressed_by_others_is_read_where_it_is_safe(exported: Path) -> None:
    with pytest.raises(WeightsError, match="larger than such a file is"):  # what unfolds may unfold to anything
        Predictor.load(packed(exported, zipfile.ZIP_DEFLATED))


# What is not what was exported -------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return do


DAMAGES: list[tuple[str, Callable[[Path], None], type[Exception], str]] = [
    (bundle.WEIGHTS, flip, WeightsError, "not what was exported"),
    (bundle.WEIGHTS, cut, WeightsError, "not what was exported"),
    (bundle.WEIGHTS, Path.unlink, WeightsError, "has no model.safetensors"),
    (bundle.CLASSES, flip, ConfigError, "not what was exported"),
    (bundle.CLASSES, Path.unlink, ConfigError, "has no classes.csv"),
    (bundle.PREPROCESSING, cut, ConfigError, "not what was exported"),
    (bundle.CONFIG, Path.unlink, ConfigError, "has no config.json"),
    (bundle.CONFIG, cut, ConfigError, "damaged"),
    (bundle.CONFIG, lambda path: path.write_bytes(b"\xff\xfe\x00") and None, ConfigError, "damaged"),
    (bundle.CONFIG, lambda path: path.write_text("[]") and None, ConfigError, "format None, expected 1"),
    (bundle.CONFIG, lambda path: path.write_bytes(b" " * 2**23) and None, ConfigError, "larger than such a file is"),
    (bundle.CONFIG, edit(lambda c: c.update(format=2)), ConfigError, "format 2, expected 1"),
    (bundle.CONFIG, edit(lambda c: c.update(novelty=1)), ConfigError, "novelty: no such setting"),
    (bundle.CONFIG, edit(lambda c: c.pop("run")), ConfigError, "run: Field required"),
    (bundle.CONFIG, edit(lambda c: c["run"]["recipe"].update(wings=2)), ConfigError, "no such setting"),
    (bundle.CONFIG, edit(lambda c: c["run"].pop("encoder")), ConfigError, "Field required"),
    (bundle.CONFIG, edit(lambda c: c["run"]["dataset"]["classes"].pop()), ConfigError, "does not have the classes of"),
    (
        bundle.CONFIG,
        edit(lambda c: c["run"]["dataset"]["classes"].insert(0, c["run"]["dataset"]["classes"].pop())),
        ConfigError,
        "does not have the classes of",
    ),
]


@pytest.mark.parametrize(("name", "damage", "error", "words"), DAMAGES)
def test_whatever_differs_is_an_error_that_says_so(
    exported: Path, name: str, damage: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    damage(exported / name)
    for path in (exported, packed(exported)):
        with pytest.raises(error, match=words) as raised:
            Predictor.load(path)
        assert str(path) in str(raised.value)


def test_weights_of_other_classes_are_refused_in_words(exported: Path) -> None:
    """Even where somebody who changed them mended the checksum."""
    tensors = load_file(exported / bundle.WEIGHTS)
    head = [name for name in tensors if name.startswith("network.segmentation_head")]
    save_file(
        {name: np.repeat(t, 2, 0) if name in head else t for name, t in tensors.items()}, exported / bundle.WEIGHTS
    )
    digest = hashlib.sha256((exported / bundle.WEIGHTS).read_bytes()).hexdigest()
    edit(lambda config: config["sha256"].update({bundle.WEIGHTS: digest}))(exported / bundle.CONFIG)
    with pytest.raises(WeightsError, match="tell 6 classes apart, but the class table has 3"):
        Predictor.load(exported)


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_zip_file_is_an_error(exported: Path, damage: Callable[[Path], None]) -> None:
    path = packed(exported)
    damage(path)
    with pytest.raises((ConfigError, WeightsError), match=r"cannot be read|not what was exported"):
        Predictor.load(path)


def test_what_is_no_bundle_is_told_from_one(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not there"):
        Predictor.load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is a run, not a bundle"):
        Predictor.load(run.path)
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(ConfigError, match="cannot be read"):
        Predictor.load(tmp_path / "text.zip")


def test_a_damaged_run_is_a_clear_error_as_well(run: Run) -> None:
    cut(run.best_weights)
    with pytest.raises(WeightsError, match="is damaged"):
        Predictor.from_run(run.path)
