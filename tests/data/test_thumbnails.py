"""Thumbnails: small, kept, made where missing, rid of those of images that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from segcore.data.dataset import Dataset
from segcore.data.readers import image_size
from segcore.data.store import DatasetStore
from segcore.data.thumbnails import SIDE, of_files, thumbnails
from segcore.errors import NotFoundError
from segcore.workspace import Workspace
from tests import factories


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    return factories.add_dataset(workspace, tmp_path / "source", size=400)


def test_each_image_has_a_small_picture_in_its_proportions(workspace: Workspace, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source")
    for folder in (config.images, config.masks):
        path = folder / "scene00_frame0.png"
        Image.open(path).resize((500, 250), Image.Resampling.NEAREST).save(path)
    dataset = DatasetStore(workspace).add(config)
    found = thumbnails(dataset)
    assert list(found) == dataset.names
    sizes = {name: image_size(place) for name, place in found.items() if place is not None}
    assert sizes.pop("scene00_frame0") == (SIDE, SIDE // 2)
    assert set(sizes.values()) == {(64, 64)}  # never enlarged


def test_what_is_there_is_not_made_again(dataset: Dataset) -> None:
    told: list[tuple[int, int]] = []
    first = thumbnails(dataset, dataset.names[:3], lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)
    told.clear()
    assert thumbnails(dataset, dataset.names[:3], lambda done, total: told.append((done, total))) == first
    assert not told
    assert list(thumbnails(dataset, make=False).values()).count(None) == 5
    place = first[dataset.names[0]]
    assert place is not None
    place.write_bytes(b"")  # torn by a crash
    assert thumbnails(dataset, make=False)[dataset.names[0]] is None
    assert thumbnails(dataset)[dataset.names[0]] == place
    assert place.stat().st_size


def test_pictures_of_images_that_changed_or_left_go(dataset: Dataset) -> None:
    before = thumbnails(dataset)
    name, other = dataset.names[:2]
    pair = dataset.pair(name)
    Image.new("RGB", (400, 400), (9, 9, 9)).save(pair.image)
    dataset.refresh()
    after = thumbnails(dataset)
    assert after[name] != before[name]
    assert after[other] == before[other]
    kept = {path.name for path in (dataset.path / "thumbnails").iterdir()}
    assert kept == {place.name for place in after.values() if place is not None}


def test_what_cannot_be_read_has_none(dataset: Dataset, tmp_path: Path) -> None:
    dataset.pairs[0].image.write_bytes(b"no image")
    assert thumbnails(dataset)[dataset.names[0]] is None
    gone, mask = tmp_path / "gone.png", dataset.pairs[1].mask
    found = of_files(dataset, [gone, mask, dataset.pairs[0].image])
    assert found[gone] is None and found[dataset.pairs[0].image] is None
    place = found[mask]
    assert place is not None and place.is_file()
    assert of_files(dataset, [mask]) == {mask: place}
    with pytest.raises(NotFoundError):
        thumbnails(dataset, ["nobody"])


def test_cancelling_leaves_what_is_whole(dataset: Dataset) -> None:
    class Cancelled(RuntimeError):
        pass

    def cancel(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        thumbnails(dataset, progress=cancel)
    files = list((dataset.path / "thumbnails").iterdir())
    assert files and all(path.suffix == ".jpg" and image_size(path) == (SIDE, SIDE) for path in files)
    assert thumbnails(dataset)[dataset.names[-1]] is not None
