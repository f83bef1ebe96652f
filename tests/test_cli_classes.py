"""`dataset classes` and what `dataset check` decides."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segcore.__main__ import main
from segcore.data.commands import command_words
from segcore.data.store import DatasetStore
from segcore.decisions import Decision, Exchange, Exclude, Ignore, Map, Merge, Read, Recolor, Rename, Snap, Use
from segcore.workspace import Workspace
from tests.factories import add_dataset

Say = Callable[..., tuple[str, str]]
PINK = (255, 0, 255)


@pytest.fixture
def say(workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Carries out a command on a dataset "tiny" with one pink pixel; returns (output, errors)."""
    source = tmp_path / "source"
    add_dataset(workspace, source)
    mask = source / "masks" / "scene00_frame0.png"
    image = Image.open(mask)
    image.putpixel((9, 9), PINK)
    image.save(mask)
    DatasetStore(workspace).get("tiny").refresh()

    def call(*words: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        got = main(["dataset", *words])
        printed = capsys.readouterr()
        assert got == code, printed.err
        return printed.out, printed.err

    return call


DECISIONS: tuple[Decision, ...] = (
    Exclude(images=("scene00_frame1", "scene01_frame0")),
    Map(value=PINK, to="roof"),
    Map(value=PINK),
    Map(value=17, to="grass"),
    Snap(distance=9),
    Rename(name="roof", to="my house=home"),
    Read(reading="colors"),
    Exchange(names=("roof", "grass")),
    Recolor(name="roof", color=(255, 128, 0)),
    Merge(names=("roof", "grass"), into="the rest"),
    Ignore(names=("roof",)),
    Use(names=("unlabeled",)),
)


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.text)
def test_every_decision_has_a_command(workspace: Workspace, say: Say, decision: Decision) -> None:
    if isinstance(decision, Rename):  # of names with =, the last divides
        decision = Rename(name="roof", to="my house")
    words = command_words(decision, "tiny")
    assert words[0] == "dataset"
    say(*words[1:])
    assert DatasetStore(workspace).get("tiny").config.decisions == (decision,)


def test_classes_are_shown_changed_and_changed_back(workspace: Workspace, say: Say) -> None:
    out, _ = say("classes", "tiny", "--merge", "grass,roof=rest", "--recolor", "rest=#ff8000", "--ignore", "paved-area",
                 "--use", "unlabeled")  # fmt: skip
    assert "#ff8000" in out and "ignored are paved-area" in out
    assert "1. grass, roof become rest" in out and "4. unlabeled used" in out
    out, _ = say("classes", "tiny", "--undo", "--number", "3")
    assert "paved-area" in out and "3. unlabeled used" in out
    for _ in range(3):
        out, _ = say("classes", "tiny", "--undo")
    assert "1." not in out.splitlines()[-1]
    assert DatasetStore(workspace).get("tiny").config.decisions == ()


def test_what_masks_hold_is_told_as_json(say: Say) -> None:
    found = json.loads(say("classes", "tiny", "--sizes", "--json")[0])
    assert [row["class"] for row in found["classes"]] == ["paved-area", "grass", "roof"]
    assert found["together"] == [[8] * 3] * 3 and found["ignored"] == ["unlabeled"] and found["imbalance"] >= 1
    for row in found["classes"]:
        assert row["weights"].keys() == found["weightings"].keys()
        assert row["things"] == 8 and len(row["area_quartiles"]) == 3
    assert found["decisions"] == []


def test_a_check_proposes_commands_that_work(say: Say, workspace: Workspace, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        path = tmp_path / "source" / folder / "scene00_frame0.png"
        path.with_name("scene09_copy.png").write_bytes(path.read_bytes())
    _, errors = say("check", "tiny")
    assert (
        "colour (255, 0, 255) is not in the class table; 2 pixels in 2 masks, as in scene00_frame0 at 9,9 to 10,10"
        in (errors)
    )
    (line,) = (line for line in errors.splitlines() if "copy of another" in line)
    say(*shlex.split(line.split("To do that: ")[1])[1:])
    assert DatasetStore(workspace).get("tiny").config.decisions == (Exclude(images=("scene09_copy",)),)
    found = json.loads(say("check", "tiny", "--json")[0])
    assert found["decisions"] == [{"kind": "exclude", "images": ["scene09_copy"]}]
    assert [problem["kind"] for problem in found["report"]["problems"]] == ["left out"]


def test_a_class_that_a_part_lacks_is_told_by_check(say: Say, workspace: Workspace) -> None:
    dataset = DatasetStore(workspace).get("tiny")
    assert dataset.split is not None
    for name in dataset.split.val:
        mask = dataset.pair(name).mask
        pixels = np.asarray(Image.open(mask)).copy()
        colors = {info.name: info.color for info in dataset.config.classes}
        pixels[(pixels == colors["roof"]).all(axis=2)] = colors["grass"]
        Image.fromarray(pixels).save(mask)
    found: dict[str, Any] = json.loads(say("check", "tiny", "--json")[0])
    (problem,) = found["report"]["problems"]
    assert problem["kind"] == "class not in val" and problem["action"] == {"kind": "ignore", "names": ["roof"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("classes", "tiny", "--merge", "grass,roof"), "not of the form OLD=NEW"),
        (("classes", "tiny", "--merge", "=x"), "not of the form OLD=NEW"),
        (("classes", "tiny", "--merge", "grass,,roof=x"), "no list"),
        (("classes", "tiny", "--recolor", "grass=red"), "'red' is no colour; write #rrggbb"),
        (("classes", "tiny", "--ignore", "gras"), "Did you mean grass"),
        (("classes", "tiny", "--undo"), "nothing to undo"),
        (("classes", "tiny", "--undo", "--ignore", "roof"), "not both at once"),
        (("classes", "tiny", "--number", "1"), "give --undo, too"),
        (("check", "tiny", "--map", "pink=roof"), "neither a value, as 7, nor a colour"),
        (("check", "tiny", "--map", "99999=roof"), "0-65535"),
        (("check", "tiny", "--snap", "0"), "greater than or equal to 1"),
        (("check", "tiny", "--exclude", "scene00"), "There is no usable image 'scene00'"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, tuple) else "",
)
def test_what_is_not_understood_is_refused(workspace: Workspace, say: Say, words: tuple[str, ...], said: str) -> None:
    before = (workspace.datasets / "tiny" / "dataset.json").read_bytes()
    out, errors = say(*words, code=2)
    assert said in errors.splitlines()[-1] and out == ""
    assert (workspace.datasets / "tiny" / "dataset.json").read_bytes() == before
