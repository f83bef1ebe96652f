"""Looks are kept: a check that was cancelled or killed goes on, and what is damaged or old is looked at again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.config import DatasetConfig
from segcore.data import checks
from segcore.data.checks import check_dataset
from segcore.data.journal import LOOKS, Journal, pending
from segcore.data.looks import Look, look_at
from segcore.data.lookups import unpack_all
from segcore.data.pairing import Pair
from segcore.data.store import DatasetStore
from segcore.decisions import Rename
from segcore.errors import DatasetError
from segcore.workspace import Workspace

Make = Callable[..., DatasetConfig]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the pairs whose files were read."""
    names: list[str] = []

    def look(pair: Pair, plain: object) -> Look:
        names.append(pair.name)
        return look_at(pair, plain)  # type: ignore[arg-type]

    monkeypatch.setattr(checks, "look_at", look)
    return names


def cancel_at(number: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == number:
            raise KeyboardInterrupt

    return progress


def test_a_cancelled_check_goes_on_where_it_was(workspace: Workspace, tiny_dataset: Make, looked: list[str]) -> None:
    config, store = tiny_dataset(), DatasetStore(workspace)
    with pytest.raises(KeyboardInterrupt):
        store.add(config, progress=cancel_at(5))
    first = list(looked)
    looked.clear()
    dataset = store.add(config)
    assert len(looked) <= 8 - 5 and {*first, *looked} == set(dataset.names)
    assert dataset.report == check_dataset(config).report
    assert list(workspace.checks.iterdir()) == [] and (dataset.path / LOOKS).is_file()


def test_only_what_changed_is_read_again(workspace: Workspace, tiny_dataset: Make, looked: list[str]) -> None:
    config = tiny_dataset()
    dataset = DatasetStore(workspace).add(config)
    looked.clear()
    os.utime(config.masks / "scene01_frame0.png", ns=(1, 1))
    dataset.refresh()
    assert looked == ["scene01_frame0"]


def test_a_corrected_class_table_needs_no_second_look(
    workspace: Workspace, tiny_dataset: Make, looked: list[str]
) -> None:
    config, store = tiny_dataset(), DatasetStore(workspace)
    wrong = [info.model_copy(update={"color": (1 + row, 2, 3)}) for row, info in enumerate(config.classes)]
    with pytest.raises(DatasetError, match="None of 8 images"):
        store.add(config.model_copy(update={"classes": tuple(wrong)}))
    looked.clear()
    assert store.add(config).report == check_dataset(config).report
    assert sorted(looked) == config_names(config), "by the check to compare with alone"


def config_names(config: DatasetConfig) -> list[str]:
    return sorted(path.stem for path in config.images.iterdir())


@pytest.mark.parametrize("damage", ["torn", "flipped", "foreign", "no text"])
def test_a_damaged_journal_costs_a_second_look_and_nothing_else(
    workspace: Workspace, tiny_dataset: Make, looked: list[str], damage: str
) -> None:
    config = tiny_dataset()
    dataset = DatasetStore(workspace).add(config)
    report, path = dataset.report, dataset.path / LOOKS
    data = path.read_bytes()
    if damage == "torn":
        path.write_bytes(data[:-20])
    elif damage == "flipped":
        tab = data.index(b"\t")
        path.write_bytes(data[: tab + 9] + b"!!!!" + data[tab + 13 :])
    elif damage == "foreign":
        path.write_bytes(b'{"format": 1}\n[]\n\n{"key": 3}\t\t\n' + data.replace(b'"format": 1', b'"format": 0'))
    else:
        path.write_bytes(os.urandom(1000))
    looked.clear()
    os.utime(config.masks / "scene00_frame0.png", ns=(1, 1))
    assert dataset.refresh().report == report
    assert 1 <= len(looked) <= (8 if damage in ("foreign", "no text") else 2)
    looked.clear()
    os.utime(config.masks / "scene00_frame0.png", ns=(2, 2))
    assert dataset.refresh().report == report and looked == ["scene00_frame0"], "what was looked at is kept again"


def test_what_is_no_longer_needed_is_forgotten(workspace: Workspace, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    dataset = DatasetStore(workspace).add(config)
    size = (dataset.path / LOOKS).stat().st_size
    for time in range(1, 9):
        for path in config.masks.iterdir():
            os.utime(path, ns=(time, time))
        dataset.refresh()
        assert (dataset.path / LOOKS).stat().st_size <= 2 * size
    assert len(Journal(dataset.path / LOOKS)) <= 16


def test_masks_of_very_many_colours_are_not_read_again_for_a_decision(
    workspace: Workspace, tiny_dataset: Make, looked: list[str]
) -> None:
    config = tiny_dataset()
    colors = unpack_all(np.arange(90_000)).reshape(300, 300, 3)
    for folder in (config.images, config.masks):
        Image.fromarray(colors).save(folder / "scene00_frame0.png")
    dataset = DatasetStore(workspace).add(config)
    assert dataset.report.unknown_count > 80_000
    looked.clear()
    dataset.decide(Rename(name="roof", to="house"))
    assert looked == []


def test_few_checks_that_came_to_nothing_are_remembered(tmp_path: Path) -> None:
    paths = []
    for number in range(6):
        config = DatasetConfig(name="x", images=tmp_path / f"i{number}", masks=tmp_path / "m", classes=())
        paths.append(pending(tmp_path / "checks", config))
        paths[-1].parent.mkdir(exist_ok=True)
        paths[-1].write_text("")
        os.utime(paths[-1], (number, number))
    assert sorted(path.exists() for path in paths) == [False, False, True, True, True, True]
    assert all(path.exists() for path in paths[2:])


@pytest.mark.parametrize("kind", ["rgb", "grey", "16 bits", "palette"])
def test_a_look_survives_its_line(tmp_path: Path, kind: str, tiny_dataset: Make) -> None:
    rng = np.random.default_rng(0)
    masks = {
        "rgb": Image.fromarray(rng.integers(0, 4, (40, 30, 3)).astype(np.uint8)),
        "grey": Image.fromarray(rng.integers(0, 9, (40, 30)).astype(np.uint8)),
        "16 bits": Image.fromarray(rng.integers(0, 60000, (40, 30)).astype(np.uint16)),
        "palette": Image.fromarray(rng.integers(0, 9, (40, 30)).astype(np.uint8)).convert("P"),
    }
    Image.new("RGB", (30, 40)).save(tmp_path / "i.png")
    masks[kind].save(tmp_path / "m.png")
    look = look_at(Pair("i", tmp_path / "i.png", tmp_path / "m.png", "i"), checks.ClassTable(tiny_dataset().classes))
    journal = Journal(tmp_path / "j.jsonl")
    journal.put("key", look)
    for again in (journal.get("key"), Journal(tmp_path / "j.jsonl").get("key")):
        assert again is not None and again.histogram is not None and look.histogram is not None
        assert again.to_json() == look.to_json() and again.digest == look.digest
        assert again.histogram.boxes == look.histogram.boxes
        assert again.histogram.counts.sum() == 1200
