"""Taking a network away on the Predictions page: export, what is said of it, download, cancelling and failing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from segcore.errors import ExportError
from segcore.inference.export import FORMATS, Exported, Verification
from segcore.progress import Progress
from segcore.runs import Run
from segcore.store import RunStore
from segcore.ui import predictions_export
from segcore.ui.state import Key
from tests import factories
from tests.app.conftest import texts

CHECK = Verification(
    "ONNX Runtime 1.0", 2, "validation images of tiny", ((1, 64, 64),), 8192, 2e-5, 0.999959, 21.0, 7.0, 2, False
)


@pytest.fixture
def runs(store: RunStore) -> list[Run]:
    return [factories.make_run(store, seed=seed, with_weights=True, encoder=factories.LITE0) for seed in (0, 1)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Replaces the exporting process by one that writes a few bytes; the list tells what was asked of it."""
    asked: list[tuple[str, str, str]] = []

    def write(run: Run, format: Any, out: Path, progress: Progress) -> Exported:
        asked.append((run.name, format, out.name))
        progress(0, 3)
        out.write_bytes(b"exported")
        return Exported(format, out, 8_000_000, format == "onnx", CHECK)

    monkeypatch.setattr(predictions_export, "apart", write)
    predictions_export._shelf.clear()
    return asked


def page(runs: Sequence[Run]) -> AppTest:
    def script(paths: list[str]) -> None:
        from segcore.runs import Run
        from segcore.ui import predictions_export

        predictions_export.draw([Run(path) for path in paths])

    return AppTest.from_function(script, args=([str(run.path) for run in runs],), default_timeout=30).run()


def downloads(app: AppTest) -> list[Any]:
    return [button.proto for button in app.get("download_button")]


def test_an_export_is_made_once_and_offered(runs: list[Run], asked: list[tuple[str, str, str]]) -> None:
    app = page(runs[:1])
    assert not app.exception and not downloads(app)
    app.button(key=Key.EXPORT).click().run()
    assert not app.exception
    assert asked == [(runs[0].name, "bundle", f"study-{runs[0].name}.zip")]
    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics == {
        "Same class as before": "99.99 %",
        "One image, exported": "7.0 ms",
        "One image, in PyTorch": "21.0 ms",
    }
    assert [button.label for button in downloads(app)] == ["Download (8.0 MB)"]
    assert "logits differ by 2e-05 at most" in texts(app)
    assert "Other programs ran" in texts(app) and "validation images of tiny" in texts(app)
    app.run()
    assert len(asked) == 1 and Key.EXPORT not in {button.key for button in app.button}


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_has_its_own_file(runs: list[Run], asked: list[tuple[str, str, str]], format: Any) -> None:
    app = page(runs[:1])
    app.segmented_control(key=Key.EXPORT_FORMAT).set_value(format).run()
    assert FORMATS[format] in texts(app)
    app.button(key=Key.EXPORT).click().run()
    assert asked[0][1] == format and asked[0][2].endswith(predictions_export.SUFFIXES[format])
    assert ("takes images of 64 × 64 pixels alone" in texts(app)) == (format == "onnx")


def test_of_several_networks_one_is_chosen(runs: list[Run], asked: list[tuple[str, str, str]]) -> None:
    app = page(runs)
    app.selectbox(key=Key.EXPORT_RUN).set_value(str(runs[1].path)).run()
    app.button(key=Key.EXPORT).click().run()
    assert [name for name, _, _ in asked] == [runs[1].name]


def test_other_weights_are_another_export(runs: list[Run], asked: list[tuple[str, str, str]]) -> None:
    app = page(runs[:1])
    app.button(key=Key.EXPORT).click().run()
    with open(runs[0].best_weights, "ab") as weights:
        weights.write(b" ")
    app.run()
    assert Key.EXPORT in {button.key for button in app.button} and not downloads(app)


def test_a_failed_export_says_why_and_leaves_nothing(
    runs: list[Run], asked: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run, format: Any, out: Path, progress: Progress) -> Exported:
        out.write_bytes(b"half")
        raise ExportError("The exported network gives 12 % of the pixels the class.")

    monkeypatch.setattr(predictions_export, "apart", fail)
    app = page(runs[:1])
    app.button(key=Key.EXPORT).click().run()
    assert not app.exception and "12 %" in texts(app)
    assert not list(Path(predictions_export._shelf().folder.name).rglob("*"))


def test_the_shelf_lets_the_oldest_go() -> None:
    shelf = predictions_export.Shelf()
    paths = []
    for number in range(6):
        path = shelf.place("m.onnx")
        path.write_bytes(b"x")
        shelf.keep((number,), Exported("onnx", path, 1, False, CHECK))
        paths.append(path)
    assert [path.exists() for path in paths] == [False, False, True, True, True, True]
    assert shelf.find((0,)) is None and shelf.find((5,)) is not None
    paths[5].unlink()
    assert shelf.find((5,)) is None
