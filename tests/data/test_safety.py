"""Folders that mean harm: links that lead out, bombs, files without end, names that steer what shows them."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.__main__ import main
from segcore.config import ClassInfo, DatasetConfig
from segcore.data.checks import check_dataset
from segcore.data.classes import ClassTable
from segcore.data.layouts import recognise, recognised
from segcore.data.prepared import prepare
from segcore.data.readers import read_bytes, read_image
from segcore.data.report import Problem
from segcore.data.splits import Split, read_split_file
from segcore.data.store import DatasetStore
from segcore.errors import ClassTableError, DatasetError, ImageReadError, SplitError
from segcore.text import printable
from segcore.ui.state import Param
from segcore.workspace import Workspace
from tests import factories
from tests.data import fuzz

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., DatasetConfig]


@contextmanager
def bounded(*, megabytes: float, seconds: float) -> Iterator[None]:
    """What happens inside needs at most so much memory of Python's and NumPy's, and processor time."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < seconds
        assert tracemalloc.get_traced_memory()[1] < megabytes * 10**6
    finally:
        tracemalloc.stop()


# Links -------------------------------------------------------------------------------------------------


def link(file: Path, target: Path) -> None:
    file.unlink()
    file.symlink_to(target)


def problems(config: DatasetConfig) -> dict[str, Problem]:
    return {problem.file.name: problem for problem in check_dataset(config).report.problems if problem.file}


@pytest.mark.parametrize("part", ["images", "masks"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_out_of_the_folders_is_listed_and_not_read(
    tiny_dataset: Make, tmp_path: Path, part: str, relative: bool
) -> None:
    config = tiny_dataset()
    file = config.images.parent / part / "scene00_frame0.png"
    secret = tmp_path / "secret.png"
    file.rename(secret)
    file.symlink_to(os.path.relpath(secret, file.parent) if relative else secret)
    secret.chmod(0)
    dataset = DatasetStore(Workspace(tmp_path / "home")).add(config)
    assert dataset.report.usable == 7 and "scene00_frame0" not in dataset.names
    problem = next(problem for problem in dataset.report.problems if problem.kind == "link out of the folder")
    assert problem.file == file and problem.excluded
    assert str(secret) in problem.message and "Put the file itself there" in problem.message


def test_a_folder_of_nothing_but_links_says_so(tiny_dataset: Make, tmp_path: Path) -> None:
    config = tiny_dataset()
    (tmp_path / "store").mkdir()
    for file in sorted(config.images.iterdir()):
        file.rename(tmp_path / "store" / file.name)
        file.symlink_to(tmp_path / "store" / file.name)
    with pytest.raises(DatasetError, match=r"8 as they are links out of the folders: .*scene00_frame0\.png"):
        check_dataset(config)
    # The way out that the message names:
    assert check_dataset(config.model_copy(update={"images": tmp_path / "store"})).report.usable == 8


def test_links_that_stay_inside_and_folders_that_are_links_are_followed(tiny_dataset: Make, tmp_path: Path) -> None:
    config = tiny_dataset()
    link(config.images / "scene00_frame0.png", Path("scene00_frame1.png"))
    link(config.images / "scene01_frame0.png", config.masks / "scene01_frame0.png")
    (tmp_path / "elsewhere").symlink_to(config.images, target_is_directory=True)
    named = config.model_copy(update={"images": tmp_path / "elsewhere"})
    assert check_dataset(named).report.usable == 8 and not problems(named)


def test_linked_folders_inside_are_not_followed_and_that_is_told(tiny_dataset: Make, tmp_path: Path) -> None:
    config = tiny_dataset()
    aside = tmp_path / "aside"
    aside.mkdir()
    for folder in (config.images, config.masks):
        (aside / folder.name).mkdir()
        (folder / "scene03_frame1.png").rename(aside / folder.name / "scene03_frame1.png")
        (folder / "more").symlink_to(aside / folder.name, target_is_directory=True)
    (config.images / ".hidden").symlink_to(aside, target_is_directory=True)
    report = check_dataset(config).report
    (problem,) = report.problems
    assert report.usable == 7 and problem.kind == "linked folder" and not problem.excluded
    assert "2 linked folders were not followed: " in problem.message and str(config.masks / "more") in problem.message
    (guess,) = recognise(config.images.parent)
    assert guess.pairs == 7
    assert "2 linked folders were not followed: images/more, masks/more." in guess.warnings[-1]
    config.masks.rename(aside / "all")
    config.masks.symlink_to(aside / "all", target_is_directory=True)
    with pytest.raises(DatasetError, match=r"2 linked folders were not followed: masks, images/more\."):
        recognised(config.images.parent)


def test_a_file_that_becomes_a_link_or_a_pipe_after_the_check_is_noticed(tiny_dataset: Make, tmp_path: Path) -> None:
    dataset = DatasetStore(Workspace(tmp_path / "home")).add(tiny_dataset())
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 9)).save(secret)
    link(dataset.pairs[0].image, secret)
    dataset.pairs[1].image.unlink()
    os.mkfifo(dataset.pairs[1].image)
    gone = {pair.name for pair in dataset.pairs[:2]}
    assert dataset.changed()
    assert prepare(dataset, 32).names == [name for name in dataset.names if name not in gone]
    assert len(dataset.names) == 6


# Bombs and files without end ---------------------------------------------------------------------------


def test_an_image_that_claims_to_be_huge_is_refused_unread(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    for place, part in enumerate((config.images, config.masks)):
        (part / f"scene0{place}_frame0.png").write_bytes(fuzz.claiming(50_000, 50_000))
    with bounded(megabytes=20, seconds=5):
        found = problems(config)
    assert [found[f"scene0{place}_frame0.png"].kind for place in (0, 1)] == ["unreadable image", "unreadable mask"]
    assert all("million pixels. Cut it into tiles" in problem.message for problem in found.values())


@pytest.mark.parametrize("size", [(1, 10_000_000), (10_000_000, 1)])
def test_an_image_one_pixel_thin_is_read_like_any_other(
    tiny_dataset: Make, tmp_path: Path, size: tuple[int, int]
) -> None:
    config = tiny_dataset()
    for part, color in ((config.images, 7), (config.masks, 70)):
        Image.new("L", size, color).convert("L").save(part / "scene00_frame0.png")
    with bounded(megabytes=600, seconds=30):
        dataset = DatasetStore(Workspace(tmp_path / "home")).add(config)
        image, labels = dataset.read("scene00_frame0", max_side=1000)
        found = prepare(dataset, 32)
    assert dataset.image_facts("scene00_frame0").class_pixels == (0, 0, 10_000_000)
    assert labels.shape == image.shape[:2] and max(labels.shape) == 1000 and (labels == 2).all()
    assert (found.image(0) == 7).all() and (found.label_map(0) == 2).all()


def endless(file: Path) -> None:
    """A file of a tebibyte that takes no room on the disk."""
    with open(file, "wb") as sparse:
        sparse.truncate(2**40)


def test_files_without_end_are_refused_unread(tmp_path: Path) -> None:
    endless(tmp_path / "file.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    with bounded(megabytes=40, seconds=2):
        for name, words in (("file", "1024 GiB"), ("pipe", "a pipe or a device"), ("device", "a pipe or a device")):
            for read in (read_image, read_bytes):
                with pytest.raises(ImageReadError, match=f"{name}.png .*{words}"):
                    read(tmp_path / f"{name}.png")
            with pytest.raises(ClassTableError, match=f"{name}.png cannot be read: it (has more|is no regular)"):
                ClassTable.read_csv(tmp_path / f"{name}.png")
            with pytest.raises(SplitError, match=f"{name}.png cannot be read: .*it (has more|is no regular)"):
                read_split_file(tmp_path / f"{name}.png", ["a"])


def test_recognising_waits_for_no_pipe_and_reads_no_device(tiny_dataset: Make) -> None:
    root = tiny_dataset().images.parent
    with_tables = [guess.layout for guess in recognise(root)]
    for name in ("train.txt", "labelmap.txt", "instances.json", "classes.json", "table.csv"):
        os.mkfifo(root / name)
    for name in ("val.txt", "a.json", "class_dict.csv"):
        (root / name).symlink_to("/dev/zero")
    with bounded(megabytes=40, seconds=5):
        assert [guess.layout for guess in recognise(root)] == with_tables == ["folders"]


def test_a_class_table_of_a_million_lines_costs_little(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("name,r,g,b\n" + "".join(f"c{row},1,2,3\n" for row in range(10**6)))
    with bounded(megabytes=10, seconds=1), pytest.raises(ClassTableError, match=r"classes\.csv .*more than 1 MB"):
        ClassTable.read_csv(table)
    table.write_text("name,r,g,b\n" + "c,1,2,3\n" * 120_000)  # within the limit of bytes
    with bounded(megabytes=100, seconds=3), pytest.raises(ClassTableError, match=r"classes\.csv has 120000 classes"):
        ClassTable.read_csv(table)


def test_a_split_of_a_million_lines_costs_little(tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("a_0000000001.png,train\n" * 10**6)
    with bounded(megabytes=40, seconds=2), pytest.raises(SplitError, match=r"split\.csv .*more than 16 MB"):
        read_split_file(split, ["a_0000000001"])


# Names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["../{}", "../../{}.png", "/etc/{}", "C:\\{}.jpg", "a/../../{}"])
def test_a_split_names_images_and_never_paths(tmp_path: Path, entry: str) -> None:
    for name in ("train", "val"):
        (tmp_path / f"{name}.txt").write_text(entry.format(name))
    assert read_split_file(tmp_path, ["train", "val"]) == Split(("train",), ("val",))
    (tmp_path / "test.txt").write_text(entry.format("passwd"))
    with pytest.raises(SplitError, match="the dataset has no image"):
        read_split_file(tmp_path, ["train", "val"])


HOSTILE = ("<img src=x onerror=alert(1)>", "![a](b)", "[red]x[link=y]", "\u202egnp", "x`*_$y$:smile:")
STEERING = ("\x1b[31m\x1b[2J", "a\nError: b", "\x9b2J", "caf\udce9")


def hostile_dataset(tmp_path: Path) -> DatasetConfig:
    """Eight pairs: five with names that mean something elsewhere, one whose name steers a terminal, no more masks."""
    config = factories.write_dataset(tmp_path / "source", scenes=8)
    olds = sorted(path.name for path in config.images.iterdir())
    for old, name in zip(olds, (*HOSTILE, *STEERING), strict=False):
        for part in (config.images, config.masks):
            (part / old).rename(part / f"{name}.png")
    for name in HOSTILE[:2]:
        (config.masks / f"{name}.png").unlink()
    return config


def test_names_are_shown_harmlessly_in_the_terminal(
    tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    config = hostile_dataset(tmp_path)
    table = tmp_path / "source/classes.csv"
    table.write_text(table.read_text() + "\x1b[31m[bold]boat,1,1,1\n", encoding="utf-8")
    places = ["--images", str(config.images), "--masks", str(config.masks), "--classes", str(table)]
    assert main(["dataset", "add", "mine", *places, "--ignore", "unlabeled"]) == 0
    assert main(["dataset", "check", "mine"]) == 0
    assert main(["dataset", "add", "\x1b[31m", *places]) == 2
    assert main(["dataset", "add", "other", *places[:3], "\x1b[2Jnowhere", *places[4:]]) == 2
    shown = "".join(capsys.readouterr())
    assert not any(mark in shown for mark in ("\x1b", "\x9b", "\u202e", "\nError: b"))
    assert shown.count("\\x1b[31m") >= 4 and "caf\\udce9" in shown and "<img src=x onerror=alert(1)>" in shown
    assert "[bold]boat" in shown, "as it is, and not in bold"


def test_names_are_shown_harmlessly_on_the_page(tmp_path: Path, workspace: Workspace) -> None:
    config = hostile_dataset(tmp_path)
    classes = (*config.classes, ClassInfo(name="<script>alert(1)</script>", color=(1, 1, 1)))
    DatasetStore(workspace).add(config.model_copy(update={"classes": classes, "name": "mine"}))
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=30)
    app.run()
    for name in HOSTILE[2:]:
        app.switch_page("pages/dataset.py")
        app.query_params[Param.DATASET], app.query_params[Param.IMAGE] = "mine", name
        app.run()
        assert not app.exception
        for element in (*app.markdown, *app.caption, *app.error, *app.warning, *app.info):
            assert not any(mark in element.value for mark in HOSTILE[:3]), element.value
            assert "<script>alert" not in element.value


def test_what_is_printed_steers_no_terminal() -> None:
    everything = "".join(map(chr, range(0x110000)))
    shown = printable(everything, lines=False)
    assert not set(shown) & set(
        map(chr, (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0xD800, 0xE000)))
    )
    assert printable("a\tb\n日本 é") == "a\tb\n日本 é" and printable("a\tb\n", lines=False) == "a\\tb\\n"
    assert printable("\x1b[31m") == "\\x1b[31m"
