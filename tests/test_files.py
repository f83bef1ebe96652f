from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from segcore.errors import ConfigError, WorkspaceError
from segcore.files import (
    FileCache,
    append_json_line,
    atomic_path,
    read_json,
    read_json_lines,
    tail,
    user_path,
    write_json,
)


def test_atomic_path_leaves_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"x": 1})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert json.loads(target.read_text()) == {"x": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_full_disk_says_what_to_do(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with pytest.raises(WorkspaceError, match=r"disk is full.*Free some space"), atomic_path(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_missing_directory_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"gone/a\.json"):
        write_json(tmp_path / "gone" / "a.json", {})


def test_torn_line_is_left_out_wherever_it_stands(tmp_path: Path) -> None:
    lines = tmp_path / "metrics.jsonl"
    append_json_line(lines, {"epoch": 1})
    with open(lines, "a") as file:
        file.write('{"epoch": 2, "val')
    assert read_json_lines(lines) == [{"epoch": 1}]
    append_json_line(lines, {"epoch": 2})
    append_json_line(lines, {"epoch": 3})
    assert [row["epoch"] for row in read_json_lines(lines)] == [1, 2, 3]


def test_missing_files_read_as_nothing(tmp_path: Path) -> None:
    assert read_json(tmp_path / "no.json") is None
    assert read_json_lines(tmp_path / "no.jsonl") == []
    assert tail(tmp_path / "no.txt") == ""


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_damaged_json_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "study.json"
    path.write_text(text)
    with pytest.raises(WorkspaceError, match=r"study\.json"):
        read_json(path)


def test_tail_starts_at_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {number}\n" for number in range(100)))
    assert tail(path, max_bytes=20) == "line 98\nline 99\n"


def test_cache_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    reads: list[str] = []

    def load(file: Path) -> str:
        reads.append(file.name)
        return file.read_text()

    cache = FileCache(load, entries=1)
    path.write_text("one")
    assert cache.get(path) == cache.get(path) == "one"
    assert len(reads) == 1
    path.write_text("three")
    assert cache.get(path) == "three"
    other = tmp_path / "b.txt"
    other.write_text("b")
    cache.get(other)  # pushes the first out
    cache.get(path)
    assert reads == ["a.txt", "a.txt", "b.txt", "a.txt"]


def test_typed_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/not there/yet") == tmp_path / "not there" / "yet"
    assert user_path(tmp_path) == tmp_path


@pytest.mark.parametrize("text", ["~nosuchuser/x", "x" * 300, "x/" * 3000, "a\0b"])
def test_typed_paths_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used as a path") as caught:
        user_path(text, "images")
    assert caught.value.field == "images"
    assert len(str(caught.value)) < 300
