"""`compare` and `report`: what they print where, with which exit code they end, and what they refuse."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segcore.__main__ import main
from segcore.data.splits import Split
from segcore.evaluation import seal
from segcore.status import RunState
from segcore.store import RunStore
from tests import factories

Call = Callable[..., Any]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Carries out a command; returns what it printed after checking the exit code."""

    def carry_out(*words: str | Path, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        got = main([*map(str, words)])
        printed = capsys.readouterr()
        assert got == code, printed.err
        return printed.out, printed.err

    return carry_out


def test_compare_prints_contenders_and_a_sentence_for_each_pair(store: RunStore, call: Call) -> None:
    factories.make_study(store, "s", seeds=(0, 1, 2))
    out, err = call("compare", "s")
    table, _, sentences = out.partition("Backbones that share a letter")
    assert "ResNet-18" in table and "EfficientNet-Lite0" in table and "±" in table
    assert "margin 1 point)" in sentences
    assert len([line for line in sentences.splitlines() if "3 seeds, 2 images" in line]) == 1
    assert "mean ± 95 % over seeds alone" in table  # its images are of one scene
    assert err == ""


def test_compare_with_one_seed_says_that_its_intervals_are_over_images(store: RunStore, call: Call) -> None:
    factories.make_contest(store, seeds=[3])
    out, _ = call("compare", "contest")
    assert "mean ± 95 % over images alone" in out and "may settle it." in out


def test_compare_says_what_is_left_out_and_what_differs(store: RunStore, call: Call) -> None:
    factories.make_study(store, "s")
    factories.make_run(store, study="s", encoder=factories.LITE0, seed=2, state=RunState.FAILED)
    store.extend([store.run("s", f"{factories.RESNET18}-seed0")], 30)
    out, err = call("compare", "s")
    assert "Left out: 1 failed of EfficientNet-Lite0." in err
    assert "Left out: 1 queued of ResNet-18." in err
    assert "Note: Runs of study s differ in number of epochs" in err
    assert "seed 1 of EfficientNet-Lite0 left out" in out or "common seeds" in out


def test_damaged_counts_of_one_run_stop_neither_compare_nor_report(store: RunStore, call: Call, tmp_path: Path) -> None:
    *_, broken = factories.make_study(store, "s", seeds=(0, 1, 2))
    broken.evaluation_path().write_bytes(b"damaged")
    said = f"Left out, as it cannot be read: {broken.evaluation_path()} is damaged"
    out, err = call("compare", "s")
    assert said in err and "2 seeds, 2 images" in out
    found = json.loads(call("compare", "s", "--json")[0])
    assert [text for text in found["damaged"] if str(broken.evaluation_path()) in text] == found["damaged"] != []
    call("report", "s", "--out", tmp_path / "r.html", "--csv", tmp_path)
    assert f"Cannot be read: {broken.evaluation_path()} is damaged" in (tmp_path / "r.html").read_text()
    assert broken.name not in (tmp_path / "epochs.csv").read_text()


def test_compare_of_a_collapsed_contender_says_so(store: RunStore, call: Call) -> None:
    factories.make_study(store, "s")
    run = store.run("s", f"{factories.LITE0}-seed0")
    for record in run.epochs():
        run.append_epoch(replace(record, top_class=1, top_share=1.0, val_pixel_accuracy=0.45))
    _, err = call("compare", "s")
    assert "1 run of EfficientNet-Lite0 answered one class everywhere" in err


def test_compare_as_json(store: RunStore, call: Call) -> None:
    factories.make_study(store, "s")
    factories.make_run(store, study="s", encoder="vgg16_bn.tv_in1k", state=RunState.QUEUED)
    out, _ = call("compare", "s", "--score", "roof", "--margin", "2.5", "--json")
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (found["score"], found["margin"], found["part"], found["studies"]) == ("roof", 0.025, "val", ["s"])
    assert [row["mean"] is None for row in found["contenders"]] == [False, False, True]
    assert found["contenders"][2]["sd"] is None  # NaN in the library
    (pair,) = found["pairs"]
    assert pair["bootstrap_interval"] is not None and pair["verdict"] in ("better", "equivalent", "cannot tell")


def test_compare_of_other_images_stands_side_by_side(store: RunStore, call: Call) -> None:
    source = factories.fake_dataset()
    other = replace(source, split=Split(source.split.val, source.split.train))
    factories.make_study(store, "a", dataset=source)
    factories.make_study(store, "b", dataset=other)
    out, err = call("compare", "a", "b")
    assert "They are not paired image by image. The split differs:" in out
    assert "ResNet-18 · a" in out and "ResNet-18 · b" in out
    assert "Note: The split differs:" in err


def test_compare_without_a_result(store: RunStore, call: Call) -> None:
    factories.make_run(store, study="s", state=RunState.QUEUED)
    out, err = call("compare", "s")
    assert "no run is finished yet" in out and "1 queued of ResNet-18" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", "nothing"), "There is no study 'nothing'; there are: s."),
        (("compare", "s", "s"), "Name each study once"),
        (("compare", "s", "--score", "rof"), "--score: 'rof' is no score of study s"),
        (("compare", "s", "--margin", "0"), "--margin: The margin is 0 points; it must be above 0 and below 100."),
        (("compare", "s", "--part", "train"), "'train'"),
        (("report", "nothing", "--out", "x.html"), "There is no study 'nothing'"),
        (("report", "s", "--out", "x.html", "--margin", "-1"), "--margin: The margin is -1 points"),
    ],
)
def test_bad_input_is_said_in_one_line(store: RunStore, call: Call, words: tuple[str, ...], said: str) -> None:
    factories.make_study(store, "s")
    out, err = call(*words, code=2)
    assert out == "" and said in err
    assert len(err.strip().splitlines()) <= 2  # what goes on, and what is wrong


def test_report_writes_one_file_and_the_tables(store: RunStore, call: Call, tmp_path: Path) -> None:
    factories.make_study(store, "s")
    target, folder = tmp_path / "new" / "report.html", tmp_path / "tables"
    out, _ = call("report", "s", "--out", target, "--csv", folder)
    names = ["contenders", "pairs", "classes", "runs", "epochs"]
    assert out.splitlines() == [str(target), *(str(folder / f"{name}.csv") for name in names)]
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    texts = {name: (folder / f"{name}.csv").read_text(encoding="utf-8") for name in names}
    rows = {name: list(csv.DictReader(text.splitlines())) for name, text in texts.items()}
    assert [len(rows[name]) for name in names] == [2, 1, 6, 4, 20]
    assert float(rows["contenders"][0]["mean"]) >= float(rows["contenders"][1]["mean"])
    assert rows["pairs"][0]["verdict"] in ("better", "equivalent", "cannot tell")
    assert {row["class"] for row in rows["classes"]} == {"paved-area", "grass", "roof"}


def test_report_as_json_names_the_files(store: RunStore, call: Call, tmp_path: Path) -> None:
    factories.make_study(store, "s")
    out, _ = call("report", "s", "--out", tmp_path / "r.html", "--json")
    found = json.loads(out)
    assert found == {"study": "s", "report": str(tmp_path / "r.html"), "bytes": found["bytes"], "tables": []}
    assert found["bytes"] == (tmp_path / "r.html").stat().st_size


def test_report_refuses_a_folder_and_leaves_it(store: RunStore, call: Call, tmp_path: Path) -> None:
    factories.make_study(store, "s")
    _, err = call("report", "s", "--out", tmp_path, code=2)
    assert "--out: " in err and "is a folder; give the name of a file" in err
    (tmp_path / "file").write_text("x")
    _, err = call("report", "s", "--out", tmp_path / "r.html", "--csv", tmp_path / "file", code=2)
    assert "--csv: " in err and "is a file; give a folder" in err
    assert not (tmp_path / "r.html").exists()


def test_report_that_cannot_be_written_leaves_nothing(store: RunStore, call: Call, tmp_path: Path) -> None:
    factories.make_study(store, "s")
    (tmp_path / "file").write_text("x")
    _, err = call("report", "s", "--out", tmp_path / "file" / "r.html", code=2)
    assert "Could not write" in err
    assert (tmp_path / "file").read_text() == "x"


def test_sealed_test_images_are_refused_and_opened_ones_are_compared(store: RunStore, call: Call) -> None:
    runs = factories.make_study(store, "s", dataset=factories.with_test())
    _, err = call("compare", "s", "--part", "test", code=2)
    assert "--part: The test images of s are sealed." in err and "study open-test s" in err
    seal.open_test(store.study("s"))
    out, err = call("compare", "s", "--part", "test")
    assert "no test score is computed yet" in out
    for run in runs:
        evaluation = run.evaluation()
        assert evaluation is not None
        run.write_evaluation(evaluation, "test")
    out, err = call("compare", "s", "--part", "test")
    assert "on the test images" in out and "ResNet-18" in out
    assert "Note: The test images of study s were opened on " in err
