"""`dataset add` with the path of a folder or a zip: what is recognised is told, can be corrected, and is added."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segcore.__main__ import main
from segcore.data.store import DatasetStore
from segcore.workspace import Workspace
from tests import miniatures
from tests.miniatures import MINIATURES, Miniature

JsonOf = Callable[..., Any]


@pytest.fixture
def json_of(capsys: pytest.CaptureFixture[str]) -> JsonOf:
    """Carries out a command that must succeed; returns the document it prints."""

    def call(*words: str | Path) -> Any:
        capsys.readouterr()
        assert main([*map(str, words), "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize("miniature", MINIATURES.values(), ids=list(MINIATURES))
def test_a_folder_is_enough(miniature: Miniature, tmp_path: Path, workspace: Workspace, json_of: JsonOf) -> None:
    miniature.write(tmp_path / "source")
    shown = json_of("dataset", "add", "mine", tmp_path / "source", "--show")
    assert shown["layout"] == miniature.layout and shown["pairs"] == miniature.pairs
    assert not DatasetStore(workspace).list()
    words = ["--layout", miniature.layout] + ([] if miniature.split else ["--val-share", "0.34"])
    added = json_of("dataset", "add", "mine", tmp_path / "source", *words)
    assert (added["usable"], added["groups"]) == (miniature.pairs, miniature.groups)
    if miniature.split:
        assert (added["train"], added["val"], added["test"]) == miniature.split


def test_what_is_shown_is_for_people_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    miniatures.dubai(tmp_path)
    assert main(["dataset", "add", "mine", str(tmp_path), "--show"]) == 0
    printed = capsys.readouterr()
    assert "Dubai aerial imagery in tiles (dubai-tiles)" in printed.out and "4 pairs in 2 groups" in printed.out
    assert "Land (unpaved area)" in printed.out and "image_part_001.jpg" in printed.out
    assert "other colours" in printed.err


def test_each_part_can_be_corrected(tmp_path: Path, workspace: Workspace, json_of: JsonOf) -> None:
    source = tmp_path / "source"
    miniatures.folders(source)
    for number in range(2):
        miniatures.photo(source / f"other/flight3_{number}.png")
    miniatures.class_csv(tmp_path / "own.csv", [*miniatures.PLAIN[::-1], miniatures.CVAT[1]])
    corrections: list[tuple[list[Any], Callable[[dict[str, Any]], Any], Any]] = [
        ([], lambda shown: shown["groups"], 2),
        (["--group-regex", "00(.)"], lambda shown: shown["groups"], 2),
        (["--group-regex", "^(.+?)_00.$"], lambda shown: shown["examples"][0]["group"], "flight1"),
        (["--group-by-folder"], lambda shown: shown["groups"], 1),
        (["--ignore", "house"], lambda shown: [info["ignore"] for info in shown["config"]["classes"]], [False, True]),
        (["--classes", tmp_path / "own.csv"], lambda shown: shown["config"]["classes"][0]["name"], "house"),
        (["--image-regex", r"(.+_001)\.jpg"], lambda shown: shown["pairs"], 2),
        (["--mask-regex", r"(.+2_001)_mask\.png"], lambda shown: shown["pairs"], 1),
    ]
    for words, what, expected in corrections:
        assert what(json_of("dataset", "add", "mine", source, "--show", *words)) == expected, words


def test_a_zip_is_unpacked_into_the_dataset(tmp_path: Path, workspace: Workspace, json_of: JsonOf) -> None:
    miniatures.voc(tmp_path / "source")
    with zipfile.ZipFile(tmp_path / "voc.zip", "w") as packed:
        for file in (tmp_path / "source").rglob("*.*"):
            packed.write(file, file.relative_to(tmp_path / "source"))
    assert json_of("dataset", "add", "mine", tmp_path / "voc.zip", "--show")["layout"] == "voc"
    assert list(workspace.datasets.iterdir()) == []
    added = json_of("dataset", "add", "mine", tmp_path / "voc.zip")
    assert added["usable"] == 3 and Path(added["source"]).is_relative_to(workspace.datasets / "mine")
    assert [path.name for path in workspace.datasets.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["none"], "does not exist"),
        (["."], "no known layout"),
        ([".", "--layout", "cityscapes"], "no layout is called"),
        (["cut.zip"], "damaged, cut off or no zip"),
        ([], "give the path of the dataset's folder, or all of"),
        (["--show"], "need the path"),
        (["folders", "--split-file", "lists.json", "--val-share", "0.3"], "leave out --val-share"),
        (["folders", "--ignore", "hause"], "did you mean house?"),
        (["folders", "--image-regex", "("], "no regular expression"),
        (["folders", "--image-regex", r"(.+)\.bmp"], "matches none of the 4 image files"),
    ],
)
def test_what_cannot_be_added_is_said_in_a_line(
    words: list[str],
    expected: str,
    tmp_path: Path,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "folders" in words:
        miniatures.folders(tmp_path / "folders")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04" + b"x" * 50)
    monkeypatch.chdir(tmp_path / "home" if words == ["."] else tmp_path)
    assert main(["dataset", "add", "mine", *words]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("Error: ") and expected in last.lower()
    assert not DatasetStore(workspace).list() and not list(workspace.datasets.glob(".*"))
