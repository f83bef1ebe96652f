"""`export`: what it prints, what it writes, and how it says no."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segcore.__main__ import main
from segcore.inference.export import Exported, graph, verify, writing
from segcore.inference.predictor import Predictor
from segcore.runs import Run
from segcore.store import RunStore
from tests import factories

RUN = "study/mobilenetv3_small_050-scratch-seed0"


@pytest.fixture
def run(store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(verify, "SECONDS", 0.05)
    dataset = factories.add_dataset(store.workspace, tmp_path / "source")
    return factories.make_run(
        store, encoder="mobilenetv3_small_050", weights="none", dataset=dataset, with_weights=True
    )


def test_a_bundle_is_what_it_writes_unless_told_otherwise(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", RUN, "--out", str(tmp_path / "b.zip")]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path / 'b.zip'}\n"
    assert "100 % of the pixels of 2 images (validation images of tiny) get the same class" in printed.err
    assert "ms in ONNX Runtime" in printed.err and "ms in PyTorch" in printed.err
    assert Predictor.load(tmp_path / "b.zip").classes == run.config.dataset.trained_classes


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_json_is_all_there_is_on_standard_output(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], format: str
) -> None:
    words = ["export", str(run.path), "--format", format, "--out", str(tmp_path / "m"), "--json"]
    assert main(words) == 0
    document = json.loads(capfd.readouterr().out)
    assert document.pop("run") == str(run.path)
    exported = Exported.from_json(document)
    assert exported.format == format and exported.bytes == (tmp_path / "m").stat().st_size
    assert exported.verification.agreement == 1 and exported.verification.threads >= 1


def test_what_is_there_needs_overwrite(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_text("mine")
    words = ["export", RUN, "--format", "onnx", "--out", str(tmp_path / "m.onnx")]
    assert main(words) == 2
    assert "--out: " in (said := capsys.readouterr().err) and "already there" in said and said.count("\n") == 2
    assert (tmp_path / "m.onnx").read_text() == "mine"
    assert main([*words, "--overwrite"]) == 0
    assert (tmp_path / "m.onnx").stat().st_size > 1000


def test_a_network_that_cannot_be_exported_ends_with_1(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "_ONNX_BYTES", 10)
    assert main(["export", RUN, "--format", "onnx", "--out", str(tmp_path / "m.onnx"), "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "one ONNX file holds 2" in printed.err
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "study/nobody", "--out", "x"], "nobody"),
        (["export", RUN, "--out", "x", "--format", "pickle"], "'--format': 'pickle' is not one of 'bundle'"),
        (["export", RUN], "--out"),
    ],
)
def test_bad_input_is_said_in_a_line(run: Run, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_the_process_behind_the_page_refuses_other_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert writing.main(["only one"]) == 2
    assert "usage" in capsys.readouterr().err
