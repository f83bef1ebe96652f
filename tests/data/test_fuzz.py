"""Hundreds of broken datasets: a clear error that names what is broken, or a correct result; never anything else."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from segcore.config import IGNORE_INDEX, DatasetConfig
from segcore.data.classes import ClassTable
from segcore.data.layouts import recognise
from segcore.data.prepared import prepare
from segcore.data.splits import Split, read_split_file
from segcore.data.store import Dataset, DatasetStore
from segcore.errors import ClassTableError, DatasetError, SegcoreError, SplitError
from segcore.text import printable
from segcore.workspace import Workspace
from tests.data import fuzz

quick = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate],
}


@contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """A folder for one example; hypothesis runs many in one test, which have one tmp_path."""
    root = Path(tempfile.mkdtemp())
    try:
        yield root
    finally:
        shutil.rmtree(root)


@pytest.fixture(autouse=True)
def without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # about the damage
        yield


@settings(max_examples=400, **quick)
@given(plan=fuzz.plans(), prepared=st.booleans())
def test_a_broken_folder_is_refused_or_read_correctly(plan: fuzz.Plan, prepared: bool) -> None:
    with folder_of_its_own() as root:
        fuzz.build(plan, root / "source")
        before = fuzz.tree_hash(root)
        datasets = DatasetStore(Workspace(root / "home"))
        config = DatasetConfig(
            name="broken", images=root / "source/images", masks=root / "source/masks", classes=fuzz.TABLE
        )
        assert {guess.config.name for guess in recognise(root)} <= {"dataset"}  # whatever it sees, it bears it
        try:
            dataset = datasets.add(config, val=0.4)
        except DatasetError as error:
            assert len(plan.certain) < 2, error
            names = [printable(pair.name, lines=False) for pair in plan.pairs if pair.usable is False]
            assert (
                "source/" in str(error)
                or not names
                or any(name in printable(str(error), lines=False) for name in names)
            ), error
            assert not list(datasets.workspace.datasets.iterdir())
        else:
            assert len(plan.possible) >= 2
            check_what_was_found(plan, dataset)
            if prepared:
                check_what_is_trained_on(plan, dataset)
            assert {path.name for path in dataset.path.iterdir()} <= {
                "dataset.json", "split.json", "looks.jsonl", "prepared", ".lock",
            }  # fmt: skip
        shutil.rmtree(root / "home")
        assert fuzz.tree_hash(root) == before


def check_what_was_found(plan: fuzz.Plan, dataset: Dataset) -> None:
    assert plan.certain <= set(dataset.names) <= plan.possible
    readable = all(pair.usable is not None for pair in plan.pairs)
    if readable:
        assert dataset.report.mask_reading == plan.style or all(
            plan_pair.mask in ("palette",) for plan_pair in plan.pairs if plan_pair.usable
        )
    for pair in plan.pairs:
        if pair.usable and readable:
            assert dataset.image_facts(pair.name).class_pixels == pair.pixels
            image, labels = dataset.read(pair.name)
            assert image.shape == (fuzz.SIDE, fuzz.SIDE, 3)
            assert np.array_equal(labels, truth(pair))
    told = {problem.file.name for problem in dataset.report.problems if problem.file and problem.excluded}
    for pair in plan.pairs:
        for fault in {pair.image_fault, pair.mask_fault} - fuzz.SILENT - fuzz.WORKLESS - {None}:
            assert any(name.startswith(shown(pair)) for name in told), (fault, told)


def check_what_is_trained_on(plan: fuzz.Plan, dataset: Dataset) -> None:
    found = prepare(dataset, fuzz.SIDE)
    assert found.names == dataset.names
    if all(pair.usable is not None for pair in plan.pairs):
        for pair in plan.pairs:
            if pair.usable:
                assert np.array_equal(found.label_map(found.index_of(pair.name)), truth(pair))


def truth(pair: fuzz.PlannedPair) -> np.ndarray:
    return np.where(pair.rows == 0, IGNORE_INDEX, pair.rows - 1)


def shown(pair: fuzz.PlannedPair) -> str:
    """The stem as dataset.json holds it."""
    return os.fsencode(pair.name).decode("utf-8", "replace")


# Class tables ------------------------------------------------------------------------------------------

ROWS = [f"{info.name},{','.join(map(str, info.color))}" for info in fuzz.TABLE]
SOUND_TABLES = {
    "plain": "\n".join(["name,r,g,b", *ROWS]),
    "byte order mark": "\ufeff" + "\n".join(["name,r,g,b", *ROWS]),
    "semicolons": "\n".join(["name;r;g;b", *(row.replace(",", ";") for row in ROWS)]),
    "tabs, carriage returns": "\r\n".join(["Name\tRed\tGreen\tBlue", *(row.replace(",", "\t") for row in ROWS)]),
    "blanks and blank lines": "\n\n name , R, G, B \n\n"
    + "\n\n".join(row.replace(",", " , ") for row in ROWS)
    + "\n\n",
    "more columns": "\n".join(["id,name,r,g,b,note", *(f"7,{row},x" for row in ROWS)]),
    "quoted": "\n".join(["name,r,g,b", *(f'"{row.split(",")[0]}",{row.split(",", 1)[1]}' for row in ROWS)]),
}
BROKEN_TABLES = {
    "empty": b"",
    "header only": b"name,r,g,b\n",
    "no header": "\n".join(ROWS).encode(),
    "another header": b"label,colour\nx,1\n",
    "a column twice": b"name,r,r,g,b\nx,1,1,2,3\n",
    "negative": b"name,r,g,b\nx,-1,0,0\n",
    "over 255": b"name,r,g,b\nx,256,0,0\n",
    "endless number": b"name,r,g,b\nx," + b"9" * 5000 + b",0,0\n",
    "fraction": b"name,r,g,b\nx,0.5,0,0\n",
    "hex": b"name,r,g,b\nx,#ffffff\n",
    "name twice": b"name,r,g,b\nx,1,2,3\nx,3,2,1\n",
    "colour twice": b"name,r,g,b\nx,1,2,3\ny,1,2,3\n",
    "no name": b"name,r,g,b\n,1,2,3\n",
    "endless name": b"name,r,g,b\n" + b"x" * 9999 + b",1,2,3\n",
    "300 classes": b"name,r,g,b\n" + b"".join(b"c%d,%d,%d,0\n" % (row, row % 256, row // 256) for row in range(300)),
    "utf-16": "name,r,g,b\nx,1,2,3\n".encode("utf-16"),
    "latin-1": b"name,r,g,b\nstra\xdfe,1,2,3\n",
    "nul bytes": bytes(64),
    "open quote": b'name,r,g,b\n"x,1,2,3\n' + b"y,1,2,3\n" * 30_000,
    "an image": fuzz.png(np.zeros((9, 9, 3), np.uint8)),
}


@pytest.mark.parametrize("text", SOUND_TABLES.values(), ids=SOUND_TABLES)
def test_a_table_written_another_way_is_the_same_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.csv").write_bytes(text.encode())
    assert ClassTable.read_csv(tmp_path / "classes.csv", ["void"]) == ClassTable(fuzz.TABLE)


@pytest.mark.parametrize("data", BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_broken_table_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "classes.csv").write_bytes(data)
    with pytest.raises(ClassTableError, match=r"classes\.csv") as error:
        ClassTable.read_csv(tmp_path / "classes.csv")
    assert len(str(error.value)) < 1000, "a message is no copy of the file"


damage = st.tuples(st.sampled_from(("set", "cut", "insert", "end")), st.integers(0, 10**6), st.binary(max_size=4))
damages = st.lists(damage, min_size=1, max_size=3)


def damaged(data: bytes, what: list[tuple[str, int, bytes]]) -> bytes:
    """Return a file's bytes with some of them overwritten, cut out or put in, or its end missing."""
    for kind, place, new in what:
        at = place % (len(data) + 1)
        data = {
            "set": data[:at] + new + data[at + len(new) :],
            "cut": data[:at] + data[at + 1 + len(new) :],
            "insert": data[:at] + new + data[at:],
            "end": data[:at],
        }[kind]
    return data


@settings(max_examples=100, **quick)
@given(text=st.sampled_from(list(SOUND_TABLES.values())), what=damages)
def test_a_damaged_table_is_refused_by_name_or_read(text: str, what: list[tuple[str, int, bytes]]) -> None:
    with folder_of_its_own() as root:
        (root / "classes.csv").write_bytes(damaged(text.encode(), what))
        try:
            table = ClassTable.read_csv(root / "classes.csv")
        except ClassTableError as error:
            assert "classes.csv" in str(error)
        else:
            assert all(info.name and 0 <= min(info.color) <= max(info.color) <= 255 for info in table.classes)


# Splits ------------------------------------------------------------------------------------------------

NAMES = ("a_1", "a_2", "b_1", "[b]x[/b]")
SOUND_SPLITS: dict[str, dict[str, bytes]] = {
    "json": {"split.json": b'{"train": ["a_1", "images/a_2.png"], "val": ["b_1"], "test": ["[b]x[/b]"]}'},
    "csv": {"split.csv": b"name,part\na_1,train\na_2.jpg,training\nb_1,valid\n[b]x[/b],test\n"},
    "lists": {"train.txt": b"a_1\n\nC:\\x\\a_2.png\n", "val.txt": b"\xef\xbb\xbfb_1\r\n", "test.txt": b"[b]x[/b]"},
}
BROKEN_SPLITS: dict[str, dict[str, bytes]] = {
    "nothing": {},
    "empty": {"split.json": b""},
    "no lists": {"split.json": b'{"train": "a_1", "val": ["b_1"]}'},
    "numbers": {"split.json": b'{"train": [1], "val": [2]}'},
    "a list": {"split.json": b'["a_1", "b_1"]'},
    "deep": {"split.json": b"[" * 10**6},
    "another part": {"split.json": b'{"train": ["a_1"], "val": ["b_1"], "dev": ["a_2"]}'},
    "twice": {"split.csv": b"a_1,train\na_1,val\nb_1,val\n"},
    "no val": {"split.csv": b"a_1,train\n"},
    "one column": {"split.csv": b"a_1\nb_1\n"},
    "unknown": {"split.csv": b"a_1,train\nb_1,val\nc_9,test\n"},
    "outside": {"split.csv": b"../../etc/passwd,train\nb_1,val\n"},
    "root": {"train.txt": b"/\n", "val.txt": b"..\n"},
    "no text": {"train.txt": b"\xff\xfe\x00", "val.txt": b"b_1"},
    "nul bytes": {"split.csv": bytes(99)},
    "long name": {"split.csv": b"x" * 100_000 + b",train\n"},
    "long part": {"split.csv": b"a_1," + b"x" * 100_000},
    "one long column": {"split.csv": b"x" * 100_000},
    "endless line": {"split.csv": b'"' + b"x" * 200_000 + b",train\n"},
    "over the limit": {"split.csv": b"a_1,train\n" * 1_700_000},
}


def put_split(root: Path, files: dict[str, bytes]) -> Path:
    """Write a split, and return the path that a person would name."""
    for name, data in files.items():
        (root / name).write_bytes(data)
    return root / next(iter(files)) if len(files) == 1 else root


@pytest.mark.parametrize("files", SOUND_SPLITS.values(), ids=SOUND_SPLITS)
def test_a_split_is_read_in_all_forms(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert read_split_file(put_split(tmp_path, files), NAMES) == Split(("a_1", "a_2"), ("b_1",), ("[b]x[/b]",))


@pytest.mark.parametrize("files", BROKEN_SPLITS.values(), ids=BROKEN_SPLITS)
def test_a_broken_split_is_refused_by_name(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = put_split(tmp_path, files)
    with pytest.raises(SplitError) as error:
        read_split_file(path, NAMES)
    assert str(path) in str(error.value) and len(str(error.value)) < 1000


@settings(max_examples=150, **quick)
@given(files=st.sampled_from(list(SOUND_SPLITS.values())), what=damages)
def test_a_damaged_split_is_refused_by_name_or_names_images(
    files: dict[str, bytes], what: list[tuple[str, int, bytes]]
) -> None:
    with folder_of_its_own() as root:
        first = next(iter(files))
        path = put_split(root, {**files, first: damaged(files[first], what)})
        try:
            split = read_split_file(path, NAMES)
        except SplitError as error:
            assert str(path) in str(error)
        else:
            assert set(split.part_of()) <= set(NAMES)


# What the workspace holds ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("sound")
    pairs = tuple(fuzz.PlannedPair(b"%d_x" % number, "png", "png", None, None, (), number) for number in range(4))
    fuzz.build(fuzz.Plan("colors", pairs, ()), root / "source")
    config = DatasetConfig(name="sound", images=root / "source/images", masks=root / "source/masks", classes=fuzz.TABLE)
    return DatasetStore(Workspace(root / "home")).add(config)


@settings(max_examples=150, **quick)
@given(name=st.sampled_from(("dataset.json", "split.json")), what=damages)
def test_a_damaged_entry_is_told_from_a_sound_one(
    sound: Dataset, name: str, what: list[tuple[str, int, bytes]]
) -> None:
    with folder_of_its_own() as root:
        shutil.copytree(sound.path, root / "sound")
        dataset = Dataset(root / "sound")
        file = dataset.path / name
        file.write_bytes(damaged(file.read_bytes(), what))
        try:
            found = [
                dataset.config, dataset.report, dataset.facts, dataset.table, dataset.pairs, dataset.fingerprint,
            ]  # fmt: skip
            split = dataset.split
            dataset.summary(), dataset.split_warning(), dataset.changed()
        except SegcoreError as error:
            assert str(file) in str(error)
        else:
            assert found == [
                sound.config, sound.report, sound.facts, sound.table, sound.pairs, sound.fingerprint,
            ]  # fmt: skip
            assert split is None or all(isinstance(image, str) for image in split.part_of())
