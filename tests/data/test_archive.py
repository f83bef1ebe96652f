"""Zip files: a dataset's is unpacked as it is, anything that means harm is refused with nothing left behind."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from segcore.data import archive
from segcore.data.archive import unpack
from segcore.data.layouts import recognised
from segcore.data.store import DatasetStore
from segcore.errors import DatasetError
from segcore.workspace import Workspace
from tests import miniatures
from tests.miniatures import MINIATURES


def zipped(folder: Path) -> io.BytesIO:
    """Pack a folder as people do."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder).as_posix())
    packed.seek(0)
    return packed


def of(*members: tuple[str | zipfile.ZipInfo, bytes], kind: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as file:
        for name, data in members:
            file.writestr(name, data)
    packed.seek(0)
    return packed


def link(name: str, to: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, to.encode()


@pytest.mark.parametrize("name", ["dubai", "coco"])
def test_a_zip_becomes_a_dataset_that_keeps_its_files(name: str, tmp_path: Path, workspace: Workspace) -> None:
    miniature = MINIATURES[name]
    miniature.write(tmp_path / "source")
    store = DatasetStore(workspace)
    own = store.new_staging()
    assert unpack(zipped(tmp_path / "source"), own / "source") > 0
    guess = recognised(own / "source", name="mine")
    dataset = store.add_guess(guess, own=own, val=0.5)
    assert dataset.path == workspace.datasets / "mine" and not own.exists()
    assert dataset.report.usable == miniature.pairs
    assert all(pair.image.is_file() and pair.image.is_relative_to(dataset.path) for pair in dataset.pairs)
    assert not dataset.changed()
    assert [path.name for path in workspace.datasets.iterdir()] == ["mine"]


def test_what_cannot_be_added_stays_unpacked_to_be_corrected(tmp_path: Path, workspace: Workspace) -> None:
    miniatures.coco(tmp_path / "source")
    store = DatasetStore(workspace)
    own = store.new_staging()
    unpack(zipped(tmp_path / "source"), own / "source")
    guess = recognised(own / "source", name="mine")
    only_one = guess.config.model_copy(update={"classes": guess.config.classes[:1]})
    with pytest.raises(DatasetError, match="at least 2 are needed"):
        store.add_guess(replace(guess, config=only_one), own=own)
    assert not store.list() and (own / "source").is_dir() and not (own / "masks").exists()


HARMFUL: dict[str, tuple[Callable[[], io.BytesIO], str]] = {
    "slip": (lambda: of(("a/1.png", b"x"), ("../../evil.png", b"x")), "outside"),
    "slip on Windows": (lambda: of(("..\\evil.png", b"x")), "outside"),
    "absolute": (lambda: of(("/etc/evil.png", b"x")), "outside"),
    "drive": (lambda: of(("C:/evil.png", b"x")), "outside"),
    "link": (lambda: of(("a/1.png", b"x"), link("a/2.png", "/etc/passwd")), "a link"),
    "link to a folder": (lambda: of(link("a", "/tmp"), ("a/1.png", b"x")), "a link"),
    "newline": (lambda: of(("a/new\nline.png", b"x")), "control characters"),
    "too long": (lambda: of(("a" * 300 + ".png", b"x")), "too long"),
    "too deep": (lambda: of(("/".join("a" * 40) + ".png", b"x")), "too deep"),
    "twice": (lambda: of(("a/Mask.png", b"x"), ("a/mask.PNG", b"y")), "twice"),
    "nothing": (lambda: of(("a/program.exe", b"x"), ("__MACOSX/a.png", b"x"), (".hidden/a.png", b"x")), "no images"),
    "a rare kind": (lambda: of(("a/1.png", b"x"), kind=zipfile.ZIP_LZMA), "packed in a way"),
    "no zip": (lambda: io.BytesIO(b"Rar!" + b"x" * 100), "no zip"),
    "empty": (lambda: io.BytesIO(), "no zip"),
}


@pytest.mark.parametrize(("make", "words"), HARMFUL.values(), ids=list(HARMFUL))
def test_harm_is_refused(make: Callable[[], io.BytesIO], words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        unpack(make(), tmp_path / "target")
    assert caught.value.field == "archive" and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_bombs_are_refused_before_they_unfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = of(("a/1.png", bytes(3_000_000)))
    monkeypatch.setattr(archive, "FREE_SIZE", 1_000_000)
    with pytest.raises(DatasetError, match="more than 200 times its size"):
        unpack(bomb, tmp_path / "target")
    monkeypatch.setattr(archive, "MAX_BYTES", 2_000_000)
    with pytest.raises(DatasetError, match=r"unfolds to 3\.0 MB, at most 2\.0 MB"):
        unpack(bomb, tmp_path / "target")
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    with pytest.raises(DatasetError, match="holds 4 files, at most 3"):
        unpack(of(*((f"{number}.png", b"x") for number in range(4))), tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_larger_than_it_states_is_refused(tmp_path: Path) -> None:
    packed = bytearray(of(("a.png", bytes(100_000))).getvalue())
    central = packed.rindex(b"PK\x01\x02")
    packed[central + 24 : central + 28] = struct.pack("<I", 10)  # its stated size
    with pytest.raises(DatasetError, match="damaged"):
        unpack(io.BytesIO(bytes(packed)), tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_or_cut_file_leaves_nothing(tmp_path: Path) -> None:
    whole = of(*((f"a/{number}.png", bytes(range(256)) * 40) for number in range(5))).getvalue()
    for data in (whole[: len(whole) // 2], whole[:200] + b"\xff" * 40 + whole[240:]):
        with pytest.raises(DatasetError, match="damaged"):
            unpack(io.BytesIO(data), tmp_path / "target")
        assert list(tmp_path.iterdir()) == []


def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    def cancel(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(of(*((f"{number}.png", b"x") for number in range(5))), tmp_path / "target", cancel)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no file"):
        unpack(tmp_path / "none.zip", tmp_path / "target")
