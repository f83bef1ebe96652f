import json
import os
import pickle
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segcore.config import Recipe
from segcore.data import prepared as prepared_module
from segcore.data.building import exclusive
from segcore.data.launched import as_launched
from segcore.data.prepared import Prepared, prepare, prepared_size
from segcore.data.store import Dataset, DatasetStore
from segcore.decisions import Exclude, Merge
from segcore.errors import ConfigError, DatasetError, NotFoundError, WorkspaceError
from segcore.workspace import Workspace
from tests.factories import CLASSES, add_dataset, write_dataset


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    return add_dataset(workspace, tmp_path / "source")


def caches(dataset: Dataset) -> list[str]:
    """Everything in the prepared folder, hidden leftovers too."""
    folder = dataset.prepared_directory
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    build = prepared_module._build

    def counted(*args: object) -> None:
        calls.append(1)
        build(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(prepared_module, "_build", counted)
    return calls


def test_prepared_images_are_those_of_the_source(dataset: Dataset) -> None:
    told: list[tuple[int, int]] = []
    prepared = prepare(dataset, 64, lambda done, total: told.append((done, total)))
    assert told == [(done, 8) for done in range(9)]
    assert prepared.shapes.tolist() == [[64, 64]] * 8
    assert prepared.names == dataset.names and prepared.groups == [dataset.groups[name] for name in dataset.names]
    for pair in dataset.pairs:
        position = prepared.index_of(pair.name)
        image, labels = dataset.read(pair.name)
        found, found_labels = prepared.image(position), prepared.label_map(position)
        assert found.dtype == found_labels.dtype == np.uint8
        assert not found.flags.writeable and not found_labels.flags.writeable
        assert np.array_equal(found, image)
        assert np.array_equal(found_labels, labels)


def test_labels_are_never_blended(workspace: Workspace, tmp_path: Path) -> None:
    """Between class 0 and class 2, as between a class and 255, blending would make class 1 or nonsense."""
    dataset = add_dataset(workspace, tmp_path / "source")
    for path in dataset.config.masks.iterdir():
        chess = np.indices((64, 64)).sum(axis=0) % 3
        Image.fromarray(np.array([CLASSES[row].color for row in (0, 1, 3)], np.uint8)[chess]).save(path)
    for size in (32, 50, 96):
        prepared = prepare(dataset, size)
        assert {label for index in range(8) for label in np.unique(prepared.label_map(index))} == {0, 2, 255}


def test_images_of_any_size_are_kept_at_their_own(workspace: Workspace, tmp_path: Path) -> None:
    config = write_dataset(tmp_path / "source")
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted(config.images.iterdir())):
        height, width = 40 + 13 * number, 90 - 7 * number
        rows = rng.integers(0, len(CLASSES), (height, width))
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        Image.fromarray(np.array([info.color for info in CLASSES], np.uint8)[rows]).save(config.masks / path.name)
    dataset = DatasetStore(workspace).add(config, val=0.25)
    prepared = prepare(dataset, None)
    assert prepared.shapes.tolist() == [[40 + 13 * number, 90 - 7 * number] for number in range(8)]
    for position, name in enumerate(dataset.names):
        image, labels = dataset.read(name)
        assert np.array_equal(prepared.image(position), image)
        assert np.array_equal(prepared.label_map(position), labels)
    assert prepare(dataset, 32).path != prepared.path


def test_the_recipe_says_at_which_size() -> None:
    assert prepared_size(Recipe(image_size=64)) == 64
    assert prepared_size(Recipe(image_size=64, geometry="crop")) is None


def test_a_second_call_reuses_what_the_first_built(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_builds(monkeypatch)
    first = prepare(dataset, 32)
    assert prepare(dataset, 32).path == first.path and len(calls) == 1
    assert prepare(dataset, 48).path != first.path and len(calls) == 2
    os.utime(dataset.pairs[0].image, ns=(1, 1))
    assert prepare(dataset, 32).path == first.path and len(calls) == 2, "touched, but the same bytes"


def test_a_changed_source_is_prepared_anew(dataset: Dataset) -> None:
    first = prepare(dataset, 64)
    name = first.names[0]
    before = first.image(0).copy()
    pair = dataset.pair(name)
    Image.open(pair.image).rotate(180).save(pair.image)
    second = prepare(dataset, 64)
    assert second.path != first.path
    assert np.array_equal(second.image(0), before[::-1, ::-1])
    pair.image.unlink()
    third = prepare(dataset, 64)
    assert len(third) == 7
    with pytest.raises(NotFoundError, match=name):
        third.index_of(name)


@pytest.mark.parametrize("after", [0, 3, 8])
def test_a_cancelled_build_leaves_nothing(dataset: Dataset, after: int) -> None:
    def cancel(done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(dataset, 32, cancel)
    assert caches(dataset) == []
    assert len(prepare(dataset, 32)) == 8


def test_what_killed_and_spoilt_builds_left_is_replaced(dataset: Dataset) -> None:
    target = prepare(dataset, 32).path
    for killed in (".x-32-building-abc", ".y-building-"):
        (target.parent / killed).mkdir()
    index = target / "index.json"
    for spoil in (
        lambda: index.unlink(),
        lambda: (target / "labels.bin").unlink(),
        lambda: os.truncate(target / "images.bin", 1000),
        lambda: index.write_text("{"),
        lambda: index.write_text(index.read_text().replace("scene00_frame1", "scene00_frame0")),
    ):
        spoil()
        mended = prepare(dataset, 32)
        assert mended.mended and len(mended) == 8
        assert caches(dataset) == [target.name]
    assert not prepare(dataset, 32).mended


@pytest.mark.parametrize("file", ["images.bin", "labels.bin"])
@pytest.mark.parametrize("size", [32, None])
def test_a_flipped_bit_is_noticed_and_mended(dataset: Dataset, file: str, size: int | None) -> None:
    prepared = prepare(dataset, size)
    assert prepared.verify() and not prepared.mended
    path = prepared.path / file
    whole = path.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert not Prepared(prepared.path, dataset.groups).verify()
        mended = prepare(dataset, size)
        assert mended.mended and mended.verify()
        assert path.read_bytes() == whole
        assert caches(dataset) == [prepared.path.name]


def test_what_is_compared_is_read_and_not_mapped(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of the map would count as memory of whoever trains."""
    prepared = prepare(dataset, 32)
    monkeypatch.setattr(prepared_module, "_CHUNK", 100)
    with monkeypatch.context() as patch:
        for name in ("_images", "_labels"):
            patch.setattr(prepared, name, None)
        assert prepared.verify()

    def refuse(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", refuse)
    assert not prepared.verify()


def test_comparing_is_told_apart_from_building(dataset: Dataset) -> None:
    built: list[int] = []
    compared: list[int] = []
    for _ in range(2):
        prepare(dataset, 32, lambda done, _: built.append(done), checking=lambda done, _: compared.append(done))
    assert built == compared == list(range(9))


def test_a_cache_of_an_earlier_version_is_replaced_without_alarm(dataset: Dataset) -> None:
    index = prepare(dataset, 32).path / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "format": 2}))
    assert not prepare(dataset, 32).mended
    assert json.loads(index.read_text())["format"] > 2


def test_a_disk_that_is_too_small_is_an_error_beforehand(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(prepared_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WorkspaceError, match="Free some space"):
        prepare(dataset, 32)
    assert caches(dataset) == []


def test_a_disk_that_fills_up_leaves_nothing(dataset: Dataset) -> None:
    """A real refusal of the system to write, in a process whose files may not exceed 20 kB."""
    code = f"""
import resource, signal, sys
from segcore.data.prepared import prepare
from segcore.data.store import Dataset
from segcore.errors import WorkspaceError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    prepare(Dataset({str(dataset.path)!r}), 64)
except WorkspaceError as error:
    sys.exit(7 if "Could not write" in str(error) else 8)
"""
    assert finish([run(code)]) == ([7], "")
    assert caches(dataset) == []


def test_a_file_written_while_it_is_prepared_is_not_kept(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache must hold what its fingerprint says, also where a file changes after the look at its time."""
    image = dataset.pairs[3].image
    Image.open(image).rotate(180).save(image)
    monkeypatch.setattr(Dataset, "changed", lambda _: False)
    with pytest.raises(DatasetError, match="changed while being prepared"):
        prepare(dataset, 32)
    assert caches(dataset) == []


@pytest.mark.parametrize("launched", [False, True], ids=["as it is", "as launched"])
def test_what_is_decided_meanwhile_does_not_touch_what_is_prepared(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, launched: bool
) -> None:
    """A decision takes the lock that a build waits for; the cache must hold what its name says all the same."""

    def decided_first(*args: Any) -> AbstractContextManager[None]:
        monkeypatch.setattr(prepared_module, "exclusive", exclusive)
        Dataset(dataset.path).decide(Merge(names=("roof", "grass"), into="rest"), Exclude(images=(dataset.names[0],)))
        return exclusive(*args)

    before = {name: dataset.read(name)[1] for name in dataset.names}
    fingerprint, config = dataset.fingerprint, dataset.config
    monkeypatch.setattr(prepared_module, "exclusive", decided_first)
    prepared = prepare(as_launched(dataset, config, fingerprint) if launched else dataset, None)
    assert dataset.fingerprint != fingerprint and prepared.path.name == f"{fingerprint}-native"
    assert prepared.names == list(before)
    assert all(np.array_equal(prepared.label_map(at), before[name]) for at, name in enumerate(before))


def test_what_a_study_had_is_not_prepared_from_other_files(dataset: Dataset) -> None:
    launched = as_launched(dataset, dataset.config, dataset.fingerprint)
    image = dataset.pairs[3].image
    Image.open(image).rotate(180).save(image)
    dataset.refresh()
    with pytest.raises(DatasetError, match="have just changed"):
        prepare(launched, 32)
    assert caches(dataset) == []


def test_two_processes_at_once_build_once(dataset: Dataset) -> None:
    code = f"""
import time
from segcore.data import prepared
from segcore.data.store import Dataset
build = prepared._build
def slow(*args):
    time.sleep(0.5)
    build(*args)
    print("built")
prepared._build = slow
assert len(prepared.prepare(Dataset({str(dataset.path)!r}), 32)) == 8
"""
    codes, said = finish([run(code) for _ in range(2)])
    assert codes == [0, 0] and said.count("built") == 1
    assert len(caches(dataset)) == 1


def test_a_killed_process_does_not_block_the_next(dataset: Dataset) -> None:
    code = f"""
import os, time
from segcore.data.prepared import prepare
from segcore.data.store import Dataset
def die(done, total):
    if done == 3:
        os.kill(os.getpid(), 9)
prepare(Dataset({str(dataset.path)!r}), 32, die)
"""
    assert finish([run(code)]) == ([-9], "")
    assert len(caches(dataset)) == 1 and caches(dataset)[0].startswith(".")
    target = prepare(dataset, 32).path
    assert caches(dataset) == [target.name]


def test_waiting_for_another_build_can_be_cancelled(dataset: Dataset) -> None:
    from filelock import FileLock

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with FileLock(dataset.lock_path), pytest.raises(KeyboardInterrupt):
        prepare(dataset, 32, cancel)
    assert caches(dataset) == []


def test_prepared_data_travels_to_other_processes_as_a_path(dataset: Dataset) -> None:
    prepared = prepare(dataset, 64)
    message = pickle.dumps(prepared)
    assert len(message) < 2000
    again = pickle.loads(message)  # noqa: S301 - made one line above
    assert isinstance(again, Prepared) and again.names == prepared.names and again.groups == prepared.groups
    assert all(np.array_equal(again.image(index), prepared.image(index)) for index in range(8))


def test_what_cannot_be_prepared_says_so(dataset: Dataset) -> None:
    with pytest.raises(ConfigError):
        prepare(dataset, 0)
    dataset.config.masks.rename(dataset.config.masks.with_name("elsewhere"))
    with pytest.raises(DatasetError, match="does not exist"):
        prepare(dataset, 32)


def run(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True
    )


def finish(processes: list[subprocess.Popen[str]]) -> tuple[list[int], str]:
    """Return the exit codes and all that was printed."""
    said = "".join(process.communicate()[0] for process in processes)
    return [process.returncode for process in processes], said
