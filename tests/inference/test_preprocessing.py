"""One image on its four ways to the network: training, validation, prediction, and the exported script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segcore.data.loaders import build_loaders
from segcore.data.prepared import prepare, prepared_size
from segcore.data.readers import read_image
from segcore.data.splits import Split
from segcore.data.store import Dataset
from segcore.evaluation.sizes import SizeMaps
from segcore.inference import bundle
from segcore.inference.export import standalone
from segcore.inference.export.writing import export
from segcore.inference.predictor import Predictor
from segcore.runs import Run
from segcore.training.validation import Validation

BLOCKER = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "segcore", "cv2", "onnx", "timm", "safetensors", "scipy"):
            raise ImportError(f"{name} must not be needed")
sys.meta_path.insert(0, Blocked())
import runpy
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def seen_by(model: torch.nn.Module) -> list[np.ndarray]:
    """A list that fills with what a network is given: (B, 3, H, W) uint8 each."""
    seen: list[np.ndarray] = []
    model.register_forward_pre_hook(lambda _module, args: seen.append(args[0].numpy().copy()))
    return seen


def script(folder: Path, image: Path, mask: Path) -> np.ndarray:
    """The labels that predict.py gives an image, with all packages barred that it must not need."""
    (folder.parent / "blocked.py").write_text(BLOCKER)
    words = [sys.executable, str(folder.parent / "blocked.py"), str(folder / bundle.SCRIPT), str(image), str(mask)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    with Image.open(mask) as found:
        assert found.mode == "P"
        return np.array(found)


@pytest.mark.parametrize("geometry", ["resize", "crop"])
def test_one_image_on_all_four_ways(
    run: Run, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, geometry: str
) -> None:
    recipe = run.config.recipe.model_copy(update={"geometry": geometry, "augmentation": "none", "crops_per_image": 1})
    run.write_config(run.config.model_copy(update={"recipe": recipe}))
    predictor = Predictor.from_run(run.path, device="cpu")
    name, other = dataset.names[0], dataset.names[1]
    prepared = prepare(dataset, prepared_size(recipe))
    loaders = build_loaders(prepared, Split((other, dataset.names[2]), (name,)), recipe, seed=0)
    training = build_loaders(prepared, Split((name, other), (dataset.names[2],)), recipe, seed=0)

    # Training: in its batch; a crop is a square cut out of the image, the whole image otherwise.
    batch = next(iter(training.train(1)))[0].numpy()
    # Validation: what its forward pass is given.
    seen = seen_by(predictor.model)
    validation = Validation(loaders, recipe.batch_size, SizeMaps(len(predictor.classes)))
    for _ in validation.over(predictor.forward(), len(predictor.classes), torch.device("cpu")):
        pass
    validated = np.concatenate(seen)
    seen.clear()
    # Prediction.
    image = read_image(dataset.pair(name).image)
    prediction = predictor.predict(image)
    predicted = np.concatenate(seen)
    np.testing.assert_array_equal(predicted, validated)
    if geometry == "resize":
        assert any((sample == predicted[0]).all() for sample in batch)
    else:
        pixels = image.transpose(2, 0, 1)
        places = [(top, left) for top in range(33) for left in range(33)]
        cut = [pixels[:, top : top + 64, left : left + 64] for top, left in places]
        assert any((sample == square).all() for sample in batch for square in cut)

    # The exported script, in a process without our packages; and here, to see what it gives to its network.
    export(run, "bundle", tmp_path / "b")
    labels = script(tmp_path / "b", dataset.pair(name).image, tmp_path / "mask.png")
    assert (labels == prediction.labels).mean() >= 0.999
    given = recorded(monkeypatch, tmp_path / "b")
    assert (standalone.predict(image) == labels).all()
    difference = np.abs(np.concatenate(given).astype(int) - predicted)
    assert difference.max() == 0 if geometry == "crop" else difference.max() <= 1
    assert difference.mean() < 0.01


def test_the_script_scales_16_bits_as_the_reader_does(bundle_of: Callable[[str], Path], tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (64, 64), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    predictor = Predictor.load(bundle_of("crop"), device="cpu")
    labels = script(bundle_of("crop"), tmp_path / "deep.png", tmp_path / "mask.png")
    assert (labels == predictor.predict(read_image(tmp_path / "deep.png")).labels).mean() >= 0.99


def recorded(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[np.ndarray]:
    """Have `standalone` work in a bundle's folder, and fill the list with what its network is given."""
    given: list[np.ndarray] = []
    session = standalone.onnxruntime.InferenceSession

    class Recording(session):  # type: ignore[misc, valid-type]
        def run(self, names: object, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            given.append(feed["image"].copy())
            found: list[np.ndarray] = super().run(names, feed)
            return found

    monkeypatch.setattr(standalone, "HERE", folder)
    monkeypatch.setattr(standalone.onnxruntime, "InferenceSession", Recording)
    return given


@pytest.mark.parametrize("shape", [(64, 64), (200, 150), (40, 300), (300, 40), (31, 47), (1, 1), (65, 129)])
@pytest.mark.parametrize("geometry", ["resize", "crop"])
def test_the_script_answers_as_the_predictor_whatever_the_size(
    bundle_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], geometry: str
) -> None:
    predictor = Predictor.load(bundle_of(geometry), device="cpu")
    given, seen = recorded(monkeypatch, bundle_of(geometry)), seen_by(predictor.model)
    smooth = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(smooth).resize(shape[::-1], Image.Resampling.BICUBIC))
    labels, expected = standalone.predict(image), predictor.predict(image).labels
    assert labels.shape == shape and labels.dtype == np.uint8
    difference = np.abs(np.concatenate(given).astype(int) - np.concatenate(seen))
    assert difference.max() <= (1 if geometry == "resize" else 0)
    assert (labels == expected).mean() >= 0.99  # a random network's answers lie close together
