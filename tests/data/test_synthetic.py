"""The demo dataset: the same for the same seed, exact masks, and scenes that a network can learn from."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from segcore.data import synthetic
from segcore.data.scenery.canvas import Canvas, Label
from segcore.data.scenery.layouts import KINDS
from segcore.data.scenery.light import Sun, lit
from segcore.errors import ConfigError, WorkspaceError

SIZE = 64


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo")
    synthetic.generate(directory, scenes=10, frames=3, size=SIZE)
    return directory


@pytest.fixture(scope="module")
def images(demo: Path) -> np.ndarray:
    """(scenes, frames, SIZE, SIZE, 3), two scenes of each kind."""
    found = [read_rgb(image) for image in sorted((demo / "images").iterdir())]
    return np.stack(found).reshape(10, 3, SIZE, SIZE, 3)


@pytest.fixture(scope="module")
def labels(demo: Path) -> np.ndarray:
    """(scenes, frames, SIZE, SIZE) of the same."""
    masks = np.stack([read_rgb(mask) for mask in sorted((demo / "masks").iterdir())])
    colors = np.array([info.color for info in synthetic.CLASSES])
    return (masks[..., None, :] == colors).all(axis=-1).argmax(axis=-1).reshape(10, 3, SIZE, SIZE)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def read_rgb(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image[..., ::-1]


def test_every_image_has_a_mask_of_its_size_and_a_scene(demo: Path) -> None:
    images = sorted((demo / "images").iterdir())
    assert [image.stem for image in images] == sorted(mask.stem for mask in (demo / "masks").iterdir())
    groups = [re.search(synthetic.GROUP_REGEX, image.stem).group(1) for image in images]  # type: ignore[union-attr]
    assert len(images) == 30
    assert {groups.count(group) for group in groups} == {3}
    for image in images:
        assert read_rgb(image).shape == read_rgb(demo / "masks" / f"{image.stem}.png").shape == (SIZE, SIZE, 3)


def test_masks_hold_the_class_colours_and_no_other(demo: Path) -> None:
    colors = {info.color for info in synthetic.CLASSES}
    found = {tuple(color) for mask in (demo / "masks").iterdir() for color in read_rgb(mask).reshape(-1, 3).tolist()}
    assert found == colors


def test_class_table_is_written_with_a_header_and_blanks_after_commas(demo: Path) -> None:
    lines = (demo / "classes.csv").read_text().splitlines()
    assert lines[0] == "name, r, g, b"
    assert lines[1:] == [f"{info.name}, {', '.join(map(str, info.color))}" for info in synthetic.CLASSES]
    assert len({info.color for info in synthetic.CLASSES}) == len({info.name for info in synthetic.CLASSES}) == 13


@pytest.mark.parametrize("threads", [1, 4])
def test_same_seed_gives_the_same_bytes_however_many_work(tmp_path: Path, threads: int) -> None:
    before = cv2.getNumThreads()
    synthetic.generate(tmp_path / "one", scenes=2, frames=2, size=SIZE, workers=1)
    try:
        cv2.setNumThreads(threads)
        synthetic.generate(tmp_path / "more", scenes=2, frames=2, size=SIZE, workers=threads)
    finally:
        cv2.setNumThreads(before)
    assert contents(tmp_path / "one") == contents(tmp_path / "more")


def test_other_seed_gives_other_scenes() -> None:
    ours, theirs = (synthetic.generate_scene(0, frames=1, size=SIZE, seed=seed)[0] for seed in (0, 1))
    assert (ours[0] != theirs[0]).mean() > 0.5
    assert (ours[1] != theirs[1]).mean() > 0.2


def test_no_class_rules_and_the_small_ones_are_rare(labels: np.ndarray) -> None:
    shares = np.bincount(labels.ravel(), minlength=len(Label)) / labels.size
    assert shares.max() < 0.35
    for rare in (Label.PERSON, Label.BICYCLE, Label.ROCKS, Label.FENCE):
        assert 0.0005 < shares[rare] < 0.012, rare


def test_most_scenes_hold_most_classes(labels: np.ndarray) -> None:
    present = np.array([np.bincount(scene.ravel(), minlength=len(Label)) > 0 for scene in labels])
    assert present.sum(axis=0).min() >= 5
    assert present.sum(axis=1).min() >= 8


def test_five_scenes_in_a_row_are_of_five_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    for name in KINDS:
        monkeypatch.setitem(KINDS, name, lambda *_, name=name: drawn.append(name))
    for scene in range(10):
        synthetic.generate_scene(scene, frames=1, size=32)
    assert set(drawn[:5]) == set(drawn[5:]) == set(KINDS)
    assert drawn[:5] != drawn[5:]


def test_frames_of_a_scene_differ_but_belong_together(labels: np.ndarray) -> None:
    shares = np.array([[np.bincount(f.ravel(), minlength=len(Label)) for f in scene] for scene in labels]) / SIZE**2
    within = np.abs(shares - shares.mean(axis=1, keepdims=True)).sum(axis=2).mean()
    between = np.abs(shares - shares.mean(axis=(0, 1))).sum(axis=2).mean()
    assert 0 < within < 0.6 * between
    assert all((scene[0] != scene[1]).mean() > 0.02 for scene in labels)


def test_colour_alone_tells_something_but_not_all(images: np.ndarray, labels: np.ndarray) -> None:
    """Nearest mean colour, learnt on five scenes and asked of five others: above chance, far from right."""
    colors, truth = images[:5].reshape(-1, 3), labels[:5].ravel()
    asked, answers = images[5:].reshape(-1, 3)[::7].astype(float), labels[5:].ravel()[::7]
    means = np.array([colors[truth == label].mean(axis=0) for label in Label])
    correct = (np.linalg.norm(asked[:, None] - means, axis=2).argmin(axis=1) == answers).mean()
    assert 1.5 / len(Label) < correct < 0.7


def test_shade_lies_behind_what_is_high() -> None:
    height = np.zeros((41, 41), np.float32)
    height[20, 20] = 4.0
    sun = Sun(azimuth=0.0, elevation=np.pi / 4, strength=1.0, color=(1, 1, 1), sky=(1, 1, 1))
    share = lit(height, 2.0, sun)
    row = share[20]
    assert row[13:20].max() < 0.1, "4 m under 45 degrees shade 4 m, 8 pixels, on the side away from the sun"
    assert row[20:].min() == 1 and row[:11].min() == 1
    assert share[:20].min() == share[21:].min() == 1


def test_spot_keeps_its_distance() -> None:
    canvas = Canvas(np.random.default_rng(0), 40.0, 4.0)
    canvas.labels[:] = Label.WATER
    assert canvas.spot((Label.GRASS,), 1.0) is None
    canvas.labels[60:100, 60:100] = Label.GRASS
    for _ in range(20):
        x, y = canvas.spot((Label.GRASS,), 3.0) or (0, 0)
        assert 17 < x < 23 and 17 < y < 23


def test_progress_counts_images_and_can_cancel(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    synthetic.generate(
        tmp_path / "a", scenes=2, frames=2, size=32, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(2, 4), (4, 4)]

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.generate(tmp_path / "b", scenes=40, frames=1, size=32, workers=1, progress=cancel)
    assert len(list((tmp_path / "b" / "images").iterdir())) < 20


@pytest.mark.parametrize("change", [{"scenes": 0}, {"frames": 0}, {"size": 16}, {"size": 4096}])
def test_impossible_sizes_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        synthetic.generate(tmp_path, **change)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WorkspaceError, match="taken"):
        synthetic.generate(tmp_path / "taken", scenes=1, frames=1, size=32)
