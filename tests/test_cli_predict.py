"""`predict`: which files it takes and writes, what it says of them, and what one bad file costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from segcore.__main__ import main
from segcore.cli.predict_files import collect
from segcore.errors import NotFoundError
from segcore.runs import Run
from segcore.store import RunStore
from tests import factories

Call = Callable[..., Any]


@pytest.fixture
def trained(store: RunStore, tmp_path: Path) -> Run:
    """A run of images of 64 px, random as to its weights."""
    dataset = factories.add_dataset(store.workspace, tmp_path / "dataset")
    return factories.make_run(
        store, encoder="mobilenetv3_small_050", weights="none", epochs=1, with_weights=True, dataset=dataset
    )


@pytest.fixture
def predict(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Carries out the command into tmp_path/out; returns its rows by name of image after checking the exit code."""

    def call(*words: str | Path, code: int = 0) -> dict[str, dict[str, Any]]:
        capsys.readouterr()
        got = main(["predict", str(trained.path), *map(str, words), "--out", str(tmp_path / "out"), "--json"])
        printed = capsys.readouterr()
        assert got == code, printed.err
        return {Path(row["image"]).name: row for row in json.loads(printed.out)["predictions"]}

    return call


def photo(path: Path, height: int = 64, width: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def map_sheet(path: Path, height: int = 150, width: int = 70, **profile: Any) -> Path:
    profile = {"crs": "EPSG:32640", "transform": from_origin(320_000, 2_790_000, 0.5, 0.5), **profile}
    with rasterio.open(path, "w", driver="GTiff", count=3, height=height, width=width, dtype="uint8", **profile) as out:
        out.write(np.random.default_rng(0).integers(1, 256, (3, height, width), dtype=np.uint8))
    return path


# Which files -------------------------------------------------------------------------------------------


def test_folders_and_patterns_give_images(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    a, b, c = (photo(photos / name) for name in ("a.jpg", "b.PNG", "sub/c.tif"))
    for other in ("notes.txt", ".hidden.jpg", ".cache/d.jpg", "out/a.png"):
        (photos / other).parent.mkdir(parents=True, exist_ok=True)
        (photos / other).write_bytes(b"x")
    out = photos / "out"
    top, sub = Path(), Path("sub")
    assert list(collect([str(photos)], out).items()) == [(a, top), (b, top), (c, sub)]
    assert collect([str(photos / "*.jpg")], out) == {a: top}
    named = collect([str(photos / "**" / "*.tif"), str(a), str(photos)], out)
    assert list(named.items()) == [(c, sub), (a, top), (b, top)]
    assert collect([str(tmp_path / "ph*" / "sub" / "*")], out) == {c: Path("photos") / "sub"}
    bracket = photo(tmp_path / "img[1].jpg")  # the name of a file is no pattern
    assert collect([str(bracket)], out) == {bracket: top}


def test_images_of_one_name_in_several_folders_keep_them(predict: Call, tmp_path: Path) -> None:
    """Cameras begin to count anew with each flight."""
    for flight in ("one", "two"):
        photo(tmp_path / "photos" / flight / "DJI_0001.jpg")
    predict(tmp_path / "photos", "--overlay")
    out = tmp_path / "out"
    assert {file.relative_to(out).as_posix() for file in out.rglob("*.*")} == {
        "classes.csv", "one/DJI_0001.png", "two/DJI_0001.png", "one/DJI_0001.overlay.jpg", "two/DJI_0001.overlay.jpg"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "said"), [("empty", "without images"), ("*.jpg", "matches no file"), ("x", "not there")]
)
def test_what_gives_no_image_is_said(tmp_path: Path, word: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=said):
        collect([str(tmp_path / word)], tmp_path / "out")


# What is written ---------------------------------------------------------------------------------------


def test_each_kind_of_image_has_its_kind_of_mask(predict: Call, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photo(photos / "a.jpg")
    map_sheet(photos / "b.tif")
    map_sheet(photos / "c.tif", crs=None, transform=None)
    rows = predict(photos)
    assert {name: Path(row["mask"]).name for name, row in rows.items()} == {
        "a.jpg": "a.png", "b.tif": "b.tif", "c.tif": "c.png"
    }  # fmt: skip
    assert rows["b.tif"]["look"] == "windows" and rows["a.jpg"]["look"] == "whole"
    assert rows["a.jpg"]["areas_m2"] is None
    assert sum(rows["b.tif"]["areas_m2"].values()) == pytest.approx(150 * 70 / 4, rel=2e-3)
    assert {row["nodata"] for row in rows.values()} == {0.0}
    with rasterio.open(rows["b.tif"]["mask"]) as found, rasterio.open(photos / "b.tif") as source:
        assert (found.crs, found.transform, found.shape) == (source.crs, source.transform, source.shape)


def test_all_that_can_be_wished_for(predict: Call, tmp_path: Path) -> None:
    image = map_sheet(tmp_path / "city.tif")
    plain = np.asarray(Image.open(predict(image)["city.tif"]["mask"]))
    row = predict(image, "--tta", "--overlay", "--geotiff", "--polygons")["city.tif"]
    assert {Path(row[key]).name for key in ("mask", "overlay", "polygons")} == {
        "city.tif", "city.overlay.jpg", "city.geojson"
    }  # fmt: skip
    with Image.open(row["overlay"]) as overlay:
        assert overlay.size == (70, 150)
    features = json.loads(Path(row["polygons"]).read_text())["features"]
    assert {feature["properties"]["class"] for feature in features} == set(row["shares"])
    assert (np.asarray(Image.open(row["mask"])) != plain).any(), "--tta changes something"
    assert predict(image, "--look", "whole")["city.tif"]["look"] == "whole"


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_it_says_how_it_looked_and_what_was_odd(
    trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    for name in ("a.jpg", "b.jpg"):
        photo(photos / name)
    map_sheet(photos / "c.tif", height=400)
    with rasterio.open(photos / "dark.tif", "w", driver="GTiff", count=3, height=64, width=64, dtype="uint16") as out:
        out.write(np.full((3, 64, 64), 3000, np.uint16))
    assert main(["predict", str(trained.path), str(photos), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "3 images predicted as a whole, resized to 64 × 64 pixels." in printed.err
    assert "1 image predicted in windows of 64 × 64 pixels, the size of the training images" in printed.err
    assert "dark.tif: its 16-bit values reach only 3,000 of 65,535" in printed.err
    assert "Predicting c.tif (3 of 4)" in printed.err
    assert " m²)" in printed.out


# What goes wrong ---------------------------------------------------------------------------------------


def test_one_bad_file_costs_itself_alone(predict: Call, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photo(photos / "a.jpg")
    (photos / "b.jpg").write_text("no image")
    map_sheet(photos / "c.tif")
    (photos / "c.tif").write_bytes((photos / "c.tif").read_bytes()[:9000])
    (photos / "d.tif").write_text("<VRTDataset/>")
    photo(photos / "e.png")
    rows = predict(photos, code=1)
    assert {name for name, row in rows.items() if "error" in row} == {"b.jpg", "c.tif", "d.tif"}
    assert all(name in row["error"] for name, row in rows.items() if "error" in row)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a.png", "e.png", "classes.csv"}


def test_polygons_of_what_has_no_place_are_a_failure(predict: Call, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    map_sheet(tmp_path / "b.tif")
    rows = predict(tmp_path / "a.jpg", tmp_path / "b.tif", "--polygons", code=1)
    assert "no coordinate system" in rows["a.jpg"]["error"] and rows["b.tif"]["polygons"]


def test_a_bomb_is_refused_and_the_limit_told(predict: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo(tmp_path / "a.png", 100, 100)
    map_sheet(tmp_path / "b.tif", 100, 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    rows = predict(tmp_path / "a.png", tmp_path / "b.tif", code=1)
    assert "million pixels" in rows["a.png"]["error"] and "error" not in rows["b.tif"]
    monkeypatch.setattr("segcore.inference.files.MAX_PIXELS", 9_999)
    plain = map_sheet(tmp_path / "c.tif", 100, 100, crs=None, transform=None)
    assert "as a GeoTIFF" in predict(plain, code=1)["c.tif"]["error"]
    assert "error" not in predict(plain, "--geotiff")["c.tif"]


@pytest.mark.parametrize(
    ("words", "said"), [(["--look", "sideways"], "--look"), (["--look", "windows"], "not here"), (["x*"], "matches no")]
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    store: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    run = factories.make_run(store, encoder="mobilenetv3_small_050", weights="none", with_weights=True)
    photo(tmp_path / "a.jpg")
    out = tmp_path / "out"
    words = [str(tmp_path / word) if "*" in word else word for word in words]
    assert main(["predict", str(run.path), str(tmp_path / "a.jpg"), *words, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_ctrl_c_ends_it_and_leaves_whole_files_only(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segcore.inference import large

    photo(tmp_path / "a.jpg")
    map_sheet(tmp_path / "b.tif")
    real = large.predict_bands

    def interrupted(*words: Any, **options: Any) -> Any:
        yield next(real(*words, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(large, "predict_bands", interrupted)
    names = [str(tmp_path / name) for name in ("a.jpg", "b.tif")]
    assert main(["predict", str(trained.path), *names, "--out", str(tmp_path / "out")]) == 130
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a.png", "classes.csv"}


@pytest.mark.parametrize("kind", ["RGBA.png", "LA.png", "palette.png", "RGBA.webp"])
def test_transparent_pixels_hold_nothing(predict: Call, tmp_path: Path, kind: str) -> None:
    mode, _, suffix = kind.partition(".")
    image = Image.open(photo(tmp_path / "photo.png"))
    empty = np.zeros((64, 64), bool)
    empty[:10, :40] = True
    if mode == "palette":
        indices = np.where(empty, 7, np.asarray(image.convert("L")) // 32 * 2)
        made = Image.fromarray(indices.astype(np.uint8))
        made.putpalette(bytes(range(48)))
        made.save(tmp_path / "seen.png", transparency=7)
    else:
        made = image.convert(mode)
        made.putalpha(Image.fromarray(np.where(empty, 0, 200).astype(np.uint8)))
        made.save(tmp_path / f"seen.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    row = predict(tmp_path / f"seen.{suffix}", "--overlay")[f"seen.{suffix}"]
    mask = np.asarray(Image.open(row["mask"]))
    np.testing.assert_array_equal(mask == 255, empty)
    assert row["nodata"] == pytest.approx(400 / 64**2)


def test_an_opaque_image_is_the_same_with_alpha_and_without(predict: Call, tmp_path: Path) -> None:
    image = Image.open(photo(tmp_path / "plain.png"))
    image.convert("RGBA").save(tmp_path / "opaque.png")
    rows = predict(tmp_path / "plain.png", tmp_path / "opaque.png")
    plain, opaque = (np.asarray(Image.open(rows[name]["mask"])) for name in ("plain.png", "opaque.png"))
    np.testing.assert_array_equal(plain, opaque)
    assert rows["opaque.png"]["nodata"] == 0.0
