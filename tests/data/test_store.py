import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.config import DatasetConfig
from segcore.data.classes import ClassTable
from segcore.data.prepared import prepare
from segcore.data.splits import Split, groups_across_parts
from segcore.data.store import Dataset, DatasetStore
from segcore.errors import (
    ClassTableError,
    DatasetError,
    ExistsError,
    NotFoundError,
    SplitError,
    WorkspaceError,
)
from segcore.progress import silent
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import CLASSES, add_dataset, make_run

Make = Callable[..., DatasetConfig]


@pytest.fixture
def datasets(workspace: Workspace) -> DatasetStore:
    return DatasetStore(workspace)


def entries(datasets: DatasetStore) -> list[str]:
    """Everything in the datasets folder, hidden leftovers too."""
    return sorted(path.name for path in datasets.workspace.datasets.iterdir())


def test_an_added_dataset_is_found_again(datasets: DatasetStore, tiny_dataset: Make) -> None:
    added = datasets.add(tiny_dataset(), val=0.25)
    found = DatasetStore(datasets.workspace).get("tiny")
    assert found == added and datasets.list() == [added]
    assert len(found.pairs) == len(found.names) == 8 and found.report.usable == 8
    assert found.groups["scene02_frame1"] == "scene02"
    assert found.table == ClassTable(CLASSES)
    assert found.split is not None and (len(found.split.train), len(found.split.val)) == (6, 2)
    assert groups_across_parts(found.split, found.groups) == ()
    assert found.class_pixels("scene00_frame0").sum() == 64 * 60
    assert not found.changed()
    json.dumps(found.summary())
    image, labels = found.read("scene00_frame0")
    assert image.shape == (64, 64, 3) and labels.shape == (64, 64)
    assert (labels[:, :4] == 255).all() and set(np.unique(labels[:, 4:])) == {0, 1, 2}
    image, labels = found.read("scene00_frame0", max_side=32)
    assert image.shape == (32, 32, 3) and labels.shape == (32, 32)


def test_relative_folders_are_kept_absolute(
    datasets: DatasetStore, tiny_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_dataset()
    monkeypatch.chdir(tmp_path)
    relative = config.model_copy(update={"images": Path("source/images"), "masks": Path("source/masks")})
    dataset = datasets.add(relative)
    monkeypatch.chdir("/")
    assert dataset.config.images == config.images and not dataset.changed()


def test_what_is_not_there_offers_the_nearest(datasets: DatasetStore, tiny_dataset: Make) -> None:
    with pytest.raises(NotFoundError, match="none yet"):
        datasets.get("tiny")
    dataset = datasets.add(tiny_dataset())
    with pytest.raises(NotFoundError, match="Did you mean tiny"):
        datasets.get("tinny")
    with pytest.raises(NotFoundError, match="Did you mean scene00_frame"):
        dataset.pair("scene00_frame")
    with pytest.raises(WorkspaceError):
        datasets.get("../elsewhere")


def test_a_taken_name_is_refused_and_the_first_stays(datasets: DatasetStore, tiny_dataset: Make) -> None:
    first = datasets.add(tiny_dataset())
    fingerprint = first.fingerprint
    with pytest.raises(ExistsError, match="already") as caught:
        datasets.add(tiny_dataset("other", seed=1))
    assert caught.value.field == "name"
    assert first.fingerprint == fingerprint and entries(datasets) == ["tiny"]


def unusable(config: DatasetConfig, case: str) -> DatasetConfig:
    """Spoil a dataset in one way."""
    masks = sorted(config.masks.iterdir())
    if case == "one image":
        for mask in masks[1:]:
            mask.unlink()
    elif case == "no known colour":
        for mask in masks:
            Image.new("RGB", (64, 64), (1, 2, 3)).save(mask)
    elif case == "one class in masks":
        for mask in masks:
            Image.new("RGB", (64, 64), CLASSES[1].color).save(mask)
    elif case == "one class in table":
        ignored = [info.model_copy(update={"ignore": info.name != "grass"}) for info in CLASSES]
        return config.model_copy(update={"classes": tuple(ignored)})
    elif case == "one group":
        return config.model_copy(update={"group_regex": "^(scene)"})
    elif case == "all cut off":
        for image in config.images.iterdir():
            image.write_bytes(image.read_bytes()[:300])
    elif case == "no folder":
        return config.model_copy(update={"masks": config.masks / "none"})
    return config


@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        ("one image", DatasetError, r"Only 1 image with a mask.*no mask: 7"),
        ("no known colour", DatasetError, r"None of 8 images.*no known colour: 8.*colour \(1, 2, 3\)"),
        ("one class in masks", DatasetError, "All labelled pixels of all masks are 'paved-area'"),
        ("one class in table", ClassTableError, "1 of the 4 classes would be learnt"),
        ("one group", SplitError, "8 images in 1 group"),
        ("all cut off", DatasetError, r"None of 8 images.*unreadable image: 8"),
        ("no folder", DatasetError, "does not exist"),
    ],
)
def test_a_dataset_nothing_can_be_learnt_from_leaves_nothing(
    datasets: DatasetStore, tiny_dataset: Make, case: str, error: type[DatasetError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        datasets.add(unusable(tiny_dataset(), case))
    assert caught.value.field
    assert entries(datasets) == [] and datasets.list() == []


def test_a_cancelled_check_leaves_nothing(datasets: DatasetStore, tiny_dataset: Make) -> None:
    def cancel(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.add(tiny_dataset(), progress=cancel)
    assert entries(datasets) == []


def test_a_full_disk_leaves_nothing(
    datasets: DatasetStore, tiny_dataset: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: object) -> None:
        if path.name == "split.json":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("segcore.data.store.write_json", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        datasets.add(tiny_dataset())
    assert entries(datasets) == []


# Splits ------------------------------------------------------------------------------------------------


def test_a_given_split_is_taken(datasets: DatasetStore, tiny_dataset: Make, tmp_path: Path) -> None:
    config = tiny_dataset()
    split = Split(("scene00_frame0", "scene01_frame0"), ("scene02_frame0",))
    assert datasets.add(config, split=split).split == split
    (tmp_path / "split.json").write_text(json.dumps(split.to_json()))
    other = datasets.add(config.model_copy(update={"name": "other"}), split=tmp_path / "split.json")
    assert other.split == split and other.split.fingerprint == split.fingerprint
    wrong = Split(("scene00_frame0",), ("scene99_frame0",))
    with pytest.raises(SplitError, match="Did you mean scene"):
        datasets.add(config.model_copy(update={"name": "third"}), split=wrong)
    assert entries(datasets) == ["other", "tiny"]


def test_a_given_split_loses_the_images_that_cannot_be_used(datasets: DatasetStore, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    (config.images / "scene01_frame0.png").write_bytes(b"broken")
    split = Split(("scene00_frame0", "scene01_frame0"), ("scene02_frame0",))
    assert datasets.add(config, split=split).split == Split(("scene00_frame0",), ("scene02_frame0",))


def test_a_split_can_be_made_anew(datasets: DatasetStore, tiny_dataset: Make) -> None:
    dataset = datasets.add(tiny_dataset())
    split = dataset.make_split(val=0.25, test=0.25)
    assert Dataset(dataset.path).split == split and len(split.test) == 2
    with pytest.raises(SplitError, match="no image 'nobody'"):
        dataset.set_split(Split(("scene00_frame0",), ("nobody",)))
    assert dataset.split == split


# A source that changes ---------------------------------------------------------------------------------


def test_a_changed_source_is_noticed_and_checked_again(datasets: DatasetStore, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    dataset = datasets.add(config)
    fingerprint, split = dataset.fingerprint, dataset.split
    image = config.images / "scene00_frame0.png"
    os.utime(image, ns=(1, 1))
    assert dataset.changed()
    assert dataset.refresh() is dataset and not dataset.changed()
    assert dataset.fingerprint == fingerprint and dataset.split == split, "touched, but the same bytes"
    Image.open(image).rotate(180).save(image)
    assert dataset.refresh().fingerprint != fingerprint and dataset.split == split
    (config.images / "scene00_frame1.png").unlink()
    assert dataset.changed() and dataset.refresh().report.problem_counts() == {"no image": 1}
    image.unlink()
    (config.masks / "scene00_frame0.png").unlink()
    assert dataset.refresh().report.usable == 6


def test_the_split_follows_images_that_come_and_go(datasets: DatasetStore, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    dataset = datasets.add(config, val=0.25)
    assert dataset.split is not None
    scene = dataset.groups[dataset.split.val[0]]
    for folder in (config.images, config.masks):
        data = (folder / f"{scene}_frame0.png").read_bytes()
        (folder / f"{scene}_frame0.png").unlink()
        (folder / f"{scene}_frame7.png").write_bytes(data)
        (folder / "scene77_frame0.png").write_bytes(data)
    split = dataset.refresh().split
    assert split is not None
    assert split.val == (f"{scene}_frame1", f"{scene}_frame7") and "scene77_frame0" in split.train
    assert groups_across_parts(split, dataset.groups) == ()
    for folder in (config.images, config.masks):
        for frame in (1, 7):
            (folder / f"{scene}_frame{frame}.png").unlink()
    assert dataset.refresh().split is None, "no val images are left"


def test_a_source_that_is_gone_leaves_the_dataset_as_it_was(datasets: DatasetStore, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    dataset = datasets.add(config)
    fingerprint = dataset.fingerprint
    config.images.rename(config.images.with_name("elsewhere"))
    assert dataset.changed()
    with pytest.raises(DatasetError, match="does not exist"):
        dataset.refresh()
    assert dataset.fingerprint == fingerprint and len(dataset.pairs) == 8
    with pytest.raises(DatasetError, match=r"scene00_frame0\.png is not there"):
        dataset.read("scene00_frame0")


# Removing ----------------------------------------------------------------------------------------------


def test_a_removed_dataset_goes_to_the_trash_and_its_source_stays(datasets: DatasetStore, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    dataset = datasets.add(config)
    gone = datasets.remove("tiny")
    assert gone.is_relative_to(datasets.workspace.trash) and (gone / "dataset.json").is_file()
    assert datasets.list() == [] and len(list(config.images.iterdir())) == 8
    with pytest.raises(NotFoundError):
        _ = dataset.report
    assert datasets.add(config).report.usable == 8, "the name is free again"


def test_a_dataset_in_use_is_not_removed(datasets: DatasetStore, tmp_path: Path) -> None:
    add_dataset(datasets.workspace, tmp_path / "source")
    store = RunStore(datasets.workspace)
    make_run(store, state=RunState.QUEUED)
    with pytest.raises(ExistsError, match="in use"):
        datasets.remove("tiny")
    assert [dataset.name for dataset in datasets.list()] == ["tiny"]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": {"images": "a", "masks": "b"}}'])
def test_a_spoilt_dataset_says_so_and_can_be_removed(datasets: DatasetStore, tiny_dataset: Make, text: str) -> None:
    dataset = datasets.add(tiny_dataset())
    (dataset.path / "dataset.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"dataset\.json"):
        _ = dataset.report
    datasets.remove("tiny")
    assert datasets.list() == []


# The demo dataset --------------------------------------------------------------------------------------


def small_demo(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from segcore.data import synthetic

    calls: list[int] = []
    whole = synthetic.generate

    def small(directory: Path, *, progress: Callable[[int, int], None] = silent) -> None:
        calls.append(1)
        whole(directory, scenes=3, frames=2, size=64, progress=progress)

    monkeypatch.setattr(synthetic, "generate", small)
    return calls


def test_the_demo_is_made_once_and_can_move_with_its_workspace(
    datasets: DatasetStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = small_demo(monkeypatch)
    demo = datasets.demo()
    assert datasets.demo() == demo and len(calls) == 1
    assert demo.config.synthetic and demo.report.usable == 6 and demo.report.groups == 3
    assert demo.split is not None and not demo.changed()
    datasets.workspace.root.rename(tmp_path / "moved")
    moved = DatasetStore(Workspace(tmp_path / "moved")).get("demo")
    assert not moved.changed() and moved.read(moved.names[0])[0].shape == (64, 64, 3)


def test_a_cancelled_demo_leaves_nothing(datasets: DatasetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    small_demo(monkeypatch)

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        datasets.demo(progress=cancel)
    assert [name for name in entries(datasets) if not name.endswith(".lock")] == []
    leftover = datasets.workspace.datasets / ".demo-building-killed"
    leftover.mkdir()
    assert datasets.demo().exists() and not leftover.exists()


def test_a_dataset_of_ones_own_called_demo_is_not_taken_for_the_demo(
    datasets: DatasetStore, tiny_dataset: Make
) -> None:
    datasets.add(tiny_dataset(name="demo"))
    with pytest.raises(ExistsError, match="A dataset of yours"):
        datasets.demo()


# Real images -------------------------------------------------------------------------------------------


def test_real_aerial_images_with_a_stray_colour(datasets: DatasetStore, test_data: Path) -> None:
    folder = test_data / "data" / "dubai-aerial"
    table = ClassTable.read_csv(folder / "classes.csv", ignore=["Unlabeled"])
    config = DatasetConfig(
        name="dubai",
        images=folder / "images",
        masks=folder / "masks",
        classes=table.classes,
        group_regex=r"^(tile\d+)",
    )
    dataset = datasets.add(config)
    report = dataset.report
    assert (report.images, report.usable, report.groups) == (54, 54, 6) and report.problems == ()
    assert [unknown.value for unknown in report.unknown_colors] == [(0, 0, 0)]
    assert report.unlabelled_pixels >= report.unknown_pixels > 0
    split = dataset.split
    assert split is not None and groups_across_parts(split, dataset.groups) == ()
    assert (len(split.train), len(split.val)) == (45, 9)
    assert all(sum(dataset.class_pixels(name)[label] for name in split.val) for label in range(5))
    prepared = prepare(dataset, 64)
    labels = np.stack([prepared.label_map(index) for index in range(len(prepared))])
    assert set(np.unique(labels)) == {0, 1, 2, 3, 4, 255}
    # Resizing to the nearest pixel keeps the classes' shares.
    counts = np.bincount(labels.ravel(), minlength=256)[:5]
    assert np.abs(counts / counts.sum() - report.class_shares).max() < 0.01


def test_datasets_need_no_torch() -> None:
    code = "import sys, segcore.data.store, segcore.data.prepared; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0


def test_images_left_out_of_a_split_stay_out(datasets: DatasetStore, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    names = [f"scene{scene:02d}_frame{frame}" for scene in range(3) for frame in range(2)]
    dataset = datasets.add(config, split=Split(tuple(names[:4]), tuple(names[4:])))  # scene03 is held out
    for folder in (config.images, config.masks):
        data = (folder / "scene00_frame0.png").read_bytes()
        (folder / "scene77_frame0.png").write_bytes(data)
        (folder / "scene03_frame9.png").write_bytes(data)
    split = dataset.refresh().split
    assert split is not None
    assert split.train == (*names[:4], "scene77_frame0") and split.val == tuple(names[4:])


def test_a_split_that_judges_on_one_scene_is_pointed_out(datasets: DatasetStore, tiny_dataset: Make) -> None:
    dataset = datasets.add(tiny_dataset(), val=0.25)
    assert "validation images show one scene" in dataset.split_warning()
    dataset.make_split(val=0.5)
    assert dataset.split_warning() == ""
    names = dataset.names
    dataset.set_split(Split(tuple(names[::2]), tuple(names[1::2])))
    assert "both sides of the split (scene00" in dataset.split_warning()
