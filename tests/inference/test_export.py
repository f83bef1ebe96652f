"""Exports: the same answers for many families and decoders, all or nothing, and what the files say of themselves."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from segcore.config import DatasetConfig, Recipe, RunConfig
from segcore.errors import ConfigError, ExistsError, ExportError, SegcoreError, WeightsError
from segcore.inference import bundle
from segcore.inference.export import FORMATS, STEPS, Exported, apart, graph, verify, writing
from segcore.inference.export.preprocessing import preprocessing
from segcore.inference.export.writing import export
from segcore.models.build import Segmenter, skeleton
from segcore.runs import Run
from tests import factories
from tests.inference.conftest import set_geometry

PAIRS = [
    ("resnet18", "unet"),
    ("vgg11", "unet"),
    ("tf_efficientnet_lite0", "unet"),  # TensorFlow's padding, which follows the size
    ("mobilenetv3_small_050", "fpn"),
    ("convnext_atto", "unet"),
    ("pvt_v2_b0", "unet"),
    ("resnet18", "pspnet"),  # pools to sizes that ONNX has no operator for
    pytest.param("resnet18", "upernet", marks=pytest.mark.slow),
    pytest.param("swin_tiny_patch4_window7_224", "unet", marks=pytest.mark.slow),  # built for one size
]
FIXED = {"swin_tiny_patch4_window7_224"}


def network(encoder: str, decoder: str) -> tuple[Segmenter, RunConfig]:
    """A network of random numbers whose norms have seen something, and its configuration."""
    torch.manual_seed(0)
    config = RunConfig(
        study="s",
        dataset=DatasetConfig(name="d", images=Path("i"), masks=Path("m"), classes=factories.CLASSES),
        dataset_fingerprint="0",
        split_fingerprint="0",
        recipe=Recipe(image_size=64),
        decoder=decoder,
        encoder=encoder,
        weights="none",
    )
    model = skeleton(encoder, decoder, 3, 64)
    with torch.no_grad():
        model.train()(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    return model.eval(), config


@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_the_graph_answers_as_the_network(tmp_path: Path, brief: None, encoder: str, decoder: str) -> None:
    model, config = network(encoder, decoder)
    fixed = graph.takes_one_size(config)
    assert fixed == (encoder in FIXED)
    facts = preprocessing(config, model, fixed=fixed)
    graph.write_onnx(model, tmp_path / "m.onnx", facts)
    forward, runtime = verify.onnx_forward(tmp_path / "m.onnx")
    images = list(np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), dtype=np.uint8))
    found = verify.verify(model, forward, runtime, images, "noise", fixed=fixed)
    assert found.agreement >= verify.AGREEMENT and found.max_difference < 1e-3
    assert found.torch_ms > 0 and found.runtime_ms > 0 and found.images == 3
    sizes = {(1, 64, 64), (3, 64, 64)} | (set() if fixed else {(1, 96, 128)})
    assert set(found.sizes) == sizes and found.pixels == sum(n * h * w for n, h, w in found.sizes) + 2 * 64 * 64
    if not fixed:  # any batch, any multiple of 32, not only what the export itself compares
        batch = np.random.default_rng(1).integers(0, 256, (5, 3, 160, 32), dtype=np.uint8)
        expected = verify.torch_forward(model)(batch)
        np.testing.assert_allclose(forward(batch), expected, atol=1e-3)


@pytest.mark.parametrize("length", [1, 2, 7, 12])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_pooling_by_products_is_adaptive_pooling(length: int, count: int) -> None:
    values = torch.rand(2, 3, length, 5)
    torch.testing.assert_close(graph._Pooling(count, 2)(values), nn.AdaptiveAvgPool2d((count, 2))(values))


def test_torchscript_answers_as_the_network(tmp_path: Path, run: Run) -> None:
    exported = export(run, "torchscript", tmp_path / "m.pt")
    assert exported.verification.agreement == 1 and "TorchScript" in exported.verification.runtime
    extra = {"segcore.json": ""}
    torch.jit.load(str(tmp_path / "m.pt"), _extra_files=extra)
    assert json.loads(extra["segcore.json"])["image_size"] == 64


def test_an_onnx_file_says_what_goes_in_and_what_comes_out(tmp_path: Path, run: Run) -> None:
    exported = export(run, "onnx", tmp_path / "m.onnx")
    assert exported.bytes == (tmp_path / "m.onnx").stat().st_size and not exported.fixed_size
    assert exported.verification.source == "validation images of tiny" and exported.verification.images == 2
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model)
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["segcore"])
    assert facts["classes"] == [info.name for info in run.config.dataset.trained_classes]
    assert (facts["image_size"], facts["geometry"], facts["multiple_of"]) == (64, "resize", 32)
    assert facts["input"]["color_order"] == "RGB" and facts["input"]["dtype"] == "uint8"
    shape = model.graph.input[0].type.tensor_type
    assert shape.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in shape.shape.dim] == facts["input"]["shape"]


def test_without_its_dataset_invented_scenes_are_compared(tmp_path: Path, run: Run, dataset: Any) -> None:
    dataset.path.rename(tmp_path / "elsewhere")
    found = export(run, "onnx", tmp_path / "m.onnx").verification
    assert found.source.startswith("invented scenes") and found.images == verify.IMAGES


# All or nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.onnx", "folder", "b.zip"])
def test_a_graph_that_answers_otherwise_is_never_left(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write = graph.write_onnx

    def another(model: Segmenter, path: Path, facts: dict[str, Any]) -> None:
        write(network(model.encoder_name, model.decoder_name)[0], path, facts)

    monkeypatch.setattr(writing, "write_onnx", another)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ExportError, match=r"of the pixels the class that the network gives them, expected 99\.9 %"):
        export(run, "onnx" if name == "m.onnx" else "bundle", out / name)
    assert not list(out.iterdir())


@pytest.mark.parametrize("name", ["m.onnx", "folder", "b.zip"])
@pytest.mark.parametrize("step", range(1, STEPS))
def test_a_cancelled_export_leaves_what_was_there(tmp_path: Path, run: Run, name: str, step: int) -> None:
    format, out = "onnx" if name == "m.onnx" else "bundle", tmp_path / "out"
    old = out / name / bundle.CONFIG if name == "folder" else out / name
    old.parent.mkdir(parents=True)
    old.write_text("an earlier export")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    def cancel(done: int, _total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(run, format, out / name, overwrite=True, progress=cancel)  # type: ignore[arg-type]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize("name", ["m.onnx", "folder", "b.zip"])
def test_what_is_there_is_replaced_only_when_asked_to(
    tmp_path: Path, run: Run, bundle_of: Callable[[str], Path], name: str
) -> None:
    format, out = "onnx" if name == "m.onnx" else "bundle", tmp_path / "out" / name
    out.parent.mkdir()
    if name == "folder":
        shutil.copytree(bundle_of("resize"), out)
    else:
        out.write_text("an earlier export")
    before = tree(out)
    with pytest.raises(ExistsError, match="already there"):
        export(run, format, out)  # type: ignore[arg-type]
    assert tree(out) == before
    export(run, format, out, overwrite=True)  # type: ignore[arg-type]
    assert [path.name for path in out.parent.iterdir()] == [name]
    assert tree(out).keys() == before.keys() and tree(out) != before


def tree(root: Path) -> dict[Path, bytes]:
    """Return what the files at and below a path hold."""
    return {path: path.read_bytes() for path in (root, *root.rglob("*")) if path.is_file()}


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path, run: Run) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ExistsError, match="no bundle"):
        export(run, "bundle", tmp_path / "mine", overwrite=True)
    with pytest.raises(ConfigError, match="is a folder"):
        export(run, "onnx", tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


def test_a_run_without_weights_and_a_format_unknown_are_refused(tmp_path: Path, run: Run) -> None:
    with pytest.raises(ConfigError, match="no format; there are bundle, onnx, torchscript"):
        export(run, "pickle", tmp_path / "m")  # type: ignore[arg-type]
    run.best_weights.unlink()
    with pytest.raises(WeightsError, match="no weights yet"):
        export(run, "onnx", tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_a_failing_exporter_prints_nothing(
    tmp_path: Path, brief: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model, config = network("resnet18", "pspnet")
    monkeypatch.setattr(graph, "_expressible", lambda given: given)
    with pytest.raises(ExportError, match="cannot be written as ONNX"):
        graph.write_onnx(model, tmp_path / "m.onnx", preprocessing(config, model, fixed=False))
    assert capfd.readouterr().out == ""


# Bundles -----------------------------------------------------------------------------------------------


def test_a_bundle_holds_all_its_files_and_no_path_of_this_machine(
    tmp_path: Path, run: Run, bundle_of: Callable[[str], Path]
) -> None:
    folder = bundle_of("resize")
    assert {path.name for path in folder.iterdir()} == set(bundle.FILES)
    for path in folder.iterdir():
        assert str(folder.parent).encode() not in path.read_bytes(), path.name
    export(run, "bundle", tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert set(archive.namelist()) == set(bundle.FILES) and archive.testzip() is None


def test_the_model_card_says_what_it_must(tmp_path: Path, run: Run, store: Any, dataset: Any) -> None:
    for seed in (1, 2):
        factories.make_run(store, encoder=run.config.encoder, weights="none", dataset=dataset, seed=seed)
    export(run, "bundle", tmp_path / "b")
    card = (tmp_path / "b" / bundle.CARD).read_text()
    headings = [line.removeprefix("## ") for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Intended use and limits", "Data", "Scores", "Classes", "Pretrained weights", "Training",
        "The exported network against the network itself",
    ]  # fmt: skip
    assert "n = 3; 3 seeds, 2 images in 1 scene" in card and "trained from scratch" in card
    for info in run.config.dataset.trained_classes:
        assert f"| {info.name} |" in card
    assert "6 to train on, 2 to validate" in card and run.config.dataset_fingerprint in card
    assert "trained on have about 96 × 96 pixels. In one with more than 2 times that" in card


def test_networks_of_crops_take_images_of_any_size(tmp_path: Path, run: Run) -> None:
    set_geometry(run, "crop")
    export(run, "bundle", tmp_path / "b")
    assert "cut it into tiles" not in (tmp_path / "b" / bundle.CARD).read_text()


def test_names_in_the_model_card_are_no_markup(tmp_path: Path, run: Run) -> None:
    classes = tuple(
        info.model_copy(update={"name": "<img src=x> | `a`"}) if info.name == "roof" else info
        for info in run.config.dataset.classes
    )
    config = run.config
    run.write_config(config.model_copy(update={"dataset": config.dataset.model_copy(update={"classes": classes})}))
    export(run, "bundle", tmp_path / "b")
    assert r"\<img src=x\> \| \`a\`" in (tmp_path / "b" / bundle.CARD).read_text()


def test_the_script_is_short_and_needs_three_packages() -> None:
    source = Path(str(writing.__file__)).with_name("standalone.py").read_text()
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    others = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert others == {"numpy", "onnxruntime", "PIL"}
    assert len(source.splitlines()) <= 60


# By a process of its own -------------------------------------------------------------------------------


def test_a_process_of_its_own_exports(tmp_path: Path, run: Run) -> None:
    told: list[int] = []
    exported = apart(run, "onnx", tmp_path / "m.onnx", lambda done, _total: told.append(done))
    assert isinstance(exported, Exported) and exported.path == tmp_path / "m.onnx"
    assert exported.verification.agreement == 1 and set(told) >= {0, 1}
    assert Exported.from_json(json.loads(json.dumps(exported.to_json()))).bytes == exported.bytes


def test_a_process_that_is_cancelled_or_fails_says_so(tmp_path: Path, run: Run) -> None:
    def cancel(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart(run, "onnx", tmp_path / "m.onnx", cancel)
    run.best_weights.write_bytes(b"\0" * 100)
    with pytest.raises(SegcoreError, match="is damaged"):
        apart(run, "onnx", tmp_path / "m.onnx", lambda _done, _total: None)
    assert not (tmp_path / "m.onnx").exists()


def test_knowing_the_formats_loads_nothing_heavy() -> None:
    code = (
        "import sys, segcore.inference.export, segcore.cli.export; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "onnx", "onnxruntime", "streamlit"} & set(done.stdout.split())
    assert list(FORMATS) == ["bundle", "onnx", "torchscript"]
