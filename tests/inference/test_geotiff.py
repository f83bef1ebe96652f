"""GeoTIFFs in and out: the grid, what holds nothing, colours and names, areas, outlines, and files that mean harm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from segcore.config import IGNORE_INDEX
from segcore.errors import ConfigError, ImageReadError, WorkspaceError
from segcore.inference import geotiff
from segcore.inference.files import Wishes, mask_suffix, open_source, predict_file
from segcore.inference.geotiff import Grid, open_geotiff, open_geotiff_bytes
from segcore.inference.geotiff_areas import pixel_areas
from segcore.inference.geotiff_polygons import write_polygons
from segcore.inference.geotiff_write import label_writer
from segcore.inference.predictor import Predictor
from segcore.store import RunStore
from tests import factories

pytestmark = [
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),  # rasterio's own
]

CLASSES = [info for info in factories.CLASSES if not info.ignore]
UTM, DUBAI = "EPSG:32640", (320_000.0, 2_790_000.0)
GRIDS: dict[str, tuple[str, Affine]] = {
    "utm": (UTM, from_origin(*DUBAI, 0.5, 0.5)),
    "turned": (UTM, Affine(0.3, 0.4, DUBAI[0], 0.4, -0.3, DUBAI[1])),
    "degrees": ("EPSG:4326", from_origin(55.0, 25.0, 5e-6, 5e-6)),
    "feet": ("EPSG:2263", from_origin(980_000, 200_000, 1, 1)),
}


def noise(channels: int, height: int, width: int, kind: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(1, np.iinfo(kind).max, (channels, height, width), dtype=kind)


def write(path: Path, values: np.ndarray, *, colors: Sequence[ColorInterp] = (), **profile: Any) -> Path:
    channels, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=channels, height=height, width=width, dtype=values.dtype.name, **profile
    ) as out:
        if colors:
            out.colorinterp = colors
        out.write(values)
    return path


def read(path: Path) -> np.ndarray:
    """The image as the network is given it: (3, H, W) uint8."""
    with open_geotiff(path) as tiff:
        return tiff.rows.read(0, tiff.grid.height)


@pytest.fixture
def predictor(store: RunStore) -> Predictor:
    run = factories.make_run(store, encoder="mobilenetv3_small_050", weights="none", with_weights=True)
    recipe = run.config.recipe.model_copy(update={"geometry": "crop"})
    config = run.config.model_copy(update={"recipe": recipe})
    return Predictor(Predictor.from_run(run.path, device="cpu").model, config, Predictor.from_run(run.path).device)


# The whole way ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRIDS)
def test_a_mask_lies_on_the_grid_of_its_image(predictor: Predictor, tmp_path: Path, name: str) -> None:
    crs, transform = GRIDS[name]
    values = noise(3, 300, 170)
    values[:, :40, :60] = 0
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    image = write(tmp_path / "image.tif", values, crs=crs, transform=transform, nodata=0, **tiles)
    mask = tmp_path / f"mask{mask_suffix(image, geotiff=False)}"
    written = predict_file(predictor, image, mask)
    with rasterio.open(mask) as found, rasterio.open(image) as source:
        assert (found.shape, found.crs, found.transform) == (source.shape, source.crs, source.transform)
        assert (found.count, found.dtypes, found.nodata) == (1, ("uint8",), IGNORE_INDEX)
        assert found.profile["tiled"] and found.profile["compress"] == "deflate"
        labels, palette, tags = found.read(1), found.colormap(1), found.tags()
    expected = predictor.predict(np.where(values[:1] == 0, 0, values).transpose(1, 2, 0)).labels
    expected[:40, :60] = IGNORE_INDEX
    np.testing.assert_array_equal(labels, expected)
    assert [palette[label][:3] for label in range(len(CLASSES))] == [info.color for info in CLASSES]
    assert [tags[f"CLASS_{label}"] for label in range(len(CLASSES))] == [info.name for info in CLASSES]
    assert "native scale" in tags["PREDICTED"]
    assert written.nodata == pytest.approx(40 * 60 / (300 * 170))
    assert sum(written.shares.values()) == pytest.approx(1)
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == ["image.tif", "mask.tif"]


def test_ground_control_points_are_kept(predictor: Predictor, tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, x=55 + c / 1e5, y=25 - r / 1e5) for r, c in ((0, 0), (0, 70), (80, 0), (80, 70))]
    image = write(tmp_path / "image.tif", noise(3, 80, 70), gcps=points, crs="EPSG:4326")
    assert mask_suffix(image, geotiff=False) == ".tif"
    written = predict_file(predictor, image, tmp_path / "mask.tif")
    with rasterio.open(written.mask) as found:
        got, crs = found.gcps
    assert [(p.row, p.col, p.x, p.y) for p in got] == [(p.row, p.col, p.x, p.y) for p in points]
    assert crs == rasterio.CRS.from_epsg(4326)
    assert written.areas is None


def test_what_ends_early_leaves_nothing_behind(predictor: Predictor, tmp_path: Path) -> None:
    image = write(tmp_path / "image.tif", noise(3, 300, 170), crs=UTM, transform=from_origin(*DUBAI, 1, 1))

    def cancel(done: int, total: int) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(predictor, image, tmp_path / "mask.tif", progress=cancel)
    image.write_bytes(image.read_bytes()[:100_000])
    with pytest.raises(ImageReadError, match="damaged"):
        predict_file(predictor, image, tmp_path / "mask.tif")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["image.tif"]
    with pytest.raises(WorkspaceError, match="Could not write"):
        predict_file(predictor, write(image, noise(3, 64, 64)), tmp_path / "missing" / "mask.tif")


def test_a_png_can_have_a_geotiff_and_a_tiff_a_png(predictor: Predictor, tmp_path: Path) -> None:
    config = factories.write_dataset(tmp_path / "source", scenes=1)
    png = min(config.images.iterdir())
    plain = write(tmp_path / "plain.tif", noise(3, 70, 80))
    assert (mask_suffix(png, geotiff=True), mask_suffix(png, geotiff=False)) == (".tif", ".png")
    assert mask_suffix(plain, geotiff=False) == ".png"
    predict_file(predictor, png, tmp_path / "a.tif")
    predict_file(predictor, plain, tmp_path / "b.png")
    with rasterio.open(tmp_path / "a.tif") as found:
        assert found.crs is None and found.transform.is_identity and found.shape == (64, 64)
    with pytest.raises(ConfigError, match="no coordinate system"):
        predict_file(predictor, plain, tmp_path / "c.tif", Wishes(geotiff=True, polygons=True))
    assert not (tmp_path / "c.tif").exists()


# What the network is given -------------------------------------------------------------------------------


def test_channels_are_found_by_their_meaning(tmp_path: Path) -> None:
    values = noise(5, 40, 50)
    kinds = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined, ColorInterp.undefined]
    named = write(tmp_path / "named.tif", values, colors=kinds)
    np.testing.assert_array_equal(read(named), values[[2, 1, 0]])
    np.testing.assert_array_equal(read(write(tmp_path / "many.tif", values, photometric="minisblack")), values[:3])
    np.testing.assert_array_equal(read(write(tmp_path / "grey.tif", values[:1])), values[[0, 0, 0]])


def test_channels_without_a_meaning_are_said(tmp_path: Path) -> None:
    """Bands of a multispectral camera are rarely in the order red, green, blue."""
    values = noise(5, 40, 50)
    with open_geotiff(write(tmp_path / "many.tif", values, photometric="minisblack")) as many:
        assert (
            many.warning
            == "none of its 5 channels is called red, green or blue, so the first three were taken for these"
        )
    for name, some, options in (
        ("rgb.tif", values[:3], {"photometric": "rgb"}),
        ("rgba.tif", values[:4], {"photometric": "rgb", "alpha": "yes"}),
        ("three.tif", values[:3], {"photometric": "minisblack"}),
        ("grey.tif", values[:1], {}),
    ):
        with open_geotiff(write(tmp_path / name, some, **options)) as plain:
            assert plain.warning == "", name


def test_sixteen_bits_are_scaled_as_for_training(tmp_path: Path) -> None:
    values = noise(3, 40, 50, "uint16")
    path = write(tmp_path / "deep.tif", values)
    np.testing.assert_array_equal(read(path), ((values.astype(int) + 128) // 257).astype(np.uint8))
    np.testing.assert_array_equal(read(write(path, values >> 4, nbits=12)), np.rint((values >> 4) * (255 / 4095)))
    with open_geotiff(write(path, values // 100)) as dark:
        assert dark.warning == ""
        dark.rows.read(0, 40)
        assert "nearly black" in dark.warning


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    shape = {"count": 1, "height": 8, "width": 8, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", photometric="palette", **shape) as out:
        out.write_colormap(1, {0: (1, 2, 3, 255), 7: (250, 0, 9, 255)})
        out.write(np.eye(8, dtype=np.uint8) * 7, 1)
    assert {tuple(color) for color in read(path).reshape(3, -1).T.tolist()} == {(1, 2, 3), (250, 0, 9)}


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask"])
def test_what_holds_nothing_is_black_and_told(tmp_path: Path, kind: str) -> None:
    values = noise(3, 40, 50)
    empty = np.zeros((40, 50), bool)
    empty[:10], empty[20:, 45:] = True, True
    path = tmp_path / "image.tif"
    if kind == "nodata":
        write(path, np.where(empty, 0, values), nodata=0)
    elif kind == "alpha":
        alpha = np.where(empty, 0, 255).astype(np.uint8)[None]
        write(path, np.concatenate([values, alpha]), photometric="rgb", alpha="yes")
    else:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            write(path, values)
            with rasterio.open(path, "r+") as out:
                out.write_mask(~empty)
    with open_geotiff(path) as tiff:
        valid = tiff.valid(5, 35)
        assert valid is not None
        np.testing.assert_array_equal(valid, ~empty[5:35])
    np.testing.assert_array_equal(read(path), np.where(empty, 0, values))


def test_an_image_of_nothing_but_nothing(predictor: Predictor, tmp_path: Path) -> None:
    image = write(tmp_path / "image.tif", np.zeros((3, 70, 70), np.uint8), nodata=0, crs=UTM, transform=GRIDS["utm"][1])
    written = predict_file(predictor, image, tmp_path / "mask.tif", Wishes(overlay=True, polygons=True))
    assert (written.shares, written.areas, written.nodata) == ({}, {}, 1.0)
    assert written.confidence != written.confidence
    assert written.polygons is not None and json.loads(written.polygons.read_text())["features"] == []


# Areas ---------------------------------------------------------------------------------------------------


def test_areas_are_those_on_the_ground() -> None:
    def first(crs: str, transform: Affine) -> float:
        found = pixel_areas(Grid(100, 100, rasterio.CRS.from_user_input(crs), transform))
        assert found is not None and found.shape == (100,)
        return float(found[0])

    # UTM scales lengths by 0.9996 to 1.001; one degree at the equator is 111.32 km by 110.57 km.
    assert first(UTM, from_origin(*DUBAI, 2, 2)) == pytest.approx(4, rel=2e-3)
    assert first(UTM, GRIDS["turned"][1]) == pytest.approx(0.25, rel=2e-3)
    assert first("EPSG:4326", from_origin(0, 5e-4, 1e-3, 1e-3)) == pytest.approx(111.3195 * 110.5743, rel=1e-5)
    assert first("EPSG:2263", GRIDS["feet"][1]) == pytest.approx(0.3048**2, rel=2e-3)
    # Web maps stretch lengths by 1 / cos(latitude), but for the flattening: 60 degrees north is at 8,399,738 m.
    assert first("EPSG:3857", from_origin(0, 8_399_738, 1, 1)) == pytest.approx(0.25, rel=1e-2)
    # Across the date line.
    assert first("EPSG:4326", from_origin(180 - 5e-4, 5e-4, 1e-3, 1e-3)) == pytest.approx(111.3195 * 110.5743, rel=1e-5)


def test_rows_of_a_geographic_image_shrink_towards_the_pole() -> None:
    degrees = Grid(1000, 10, rasterio.CRS.from_epsg(4326), from_origin(10, 60, 0.01, 0.01))
    found = pixel_areas(degrees)
    assert found is not None
    latitudes = np.radians(60 - 0.01 * (np.arange(1000) + 0.5))
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found / found[0], np.cos(latitudes) / np.cos(latitudes[0]), rtol=5e-3)
    # The whole against the closed formula of the zone's area on the sphere of equal area.
    zone = np.radians(0.1) * 6_371_007.2**2 * (np.sin(np.radians(60)) - np.sin(np.radians(50)))
    assert 10 * found.sum() == pytest.approx(zone, rel=5e-3)


def test_classes_have_areas_where_the_image_has_a_place(predictor: Predictor, tmp_path: Path) -> None:
    image = write(tmp_path / "image.tif", noise(3, 80, 90), crs=UTM, transform=from_origin(*DUBAI, 0.5, 0.5))
    written = predict_file(predictor, image, tmp_path / "mask.tif")
    assert written.areas is not None
    assert sum(written.areas.values()) == pytest.approx(80 * 90 / 4, rel=2e-3)
    assert {name: area / (80 * 90 / 4) for name, area in written.areas.items()} == pytest.approx(
        written.shares, rel=2e-3
    )
    assert pixel_areas(Grid(10, 10)) is None
    local = rasterio.CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]')
    assert pixel_areas(Grid(10, 10, local, from_origin(0, 0, 1, 1))) is None


# Outlines ------------------------------------------------------------------------------------------------


def shoelace(ring: list[list[float]]) -> float:
    x0, y0 = ring[0]
    return sum((a[0] - x0) * (b[1] - y0) - (b[0] - x0) * (a[1] - y0) for a, b in pairwise(ring)) / 2


@pytest.mark.parametrize("name", GRIDS)
def test_outlines_are_geojson_in_wgs84(tmp_path: Path, name: str) -> None:
    crs, transform = GRIDS[name]
    grid = Grid(300, 400, rasterio.CRS.from_user_input(crs), transform)
    labels = np.zeros((300, 400), np.uint8)
    labels[100:200, 100:200], labels[120:150, 120:150], labels[:10] = 1, 2, IGNORE_INDEX
    with label_writer(tmp_path / "labels.tif", grid, CLASSES, {}) as add:
        for top in range(0, 300, 70):
            add(labels[top : top + 70])
    assert write_polygons(tmp_path / "labels.tif", tmp_path / "x.geojson", CLASSES) == 3
    document = json.loads((tmp_path / "x.geojson").read_text())
    assert document["type"] == "FeatureCollection" and "crs" not in document
    features = {feature["properties"]["label"]: feature for feature in document["features"]}
    assert {label: f["properties"]["class"] for label, f in features.items()} == dict(
        enumerate(info.name for info in CLASSES)
    )
    areas = pixel_areas(grid)
    assert areas is not None
    for label, feature in features.items():
        outer, *holes = feature["geometry"]["coordinates"]
        assert shoelace(outer) > 0 and all(shoelace(hole) < 0 for hole in holes)
        assert outer[0] == outer[-1]
        pixels = int((labels == label).sum())
        latitude = np.radians(outer[0][1])
        square_degree = 111_132.954 * (1 - 0.0050 * np.cos(2 * latitude)) * 111_412.84 * np.cos(latitude)
        found = sum(map(shoelace, (outer, *holes))) * square_degree
        assert found == pytest.approx(pixels * areas.mean(), rel=1e-2)
    assert len(features[1]["geometry"]["coordinates"]) == 2  # the hole of class 2


# Files that mean harm, or are too much --------------------------------------------------------------------

VRT = """<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename>{source}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("name", ["image.vrt", "image.tif"])
def test_a_file_that_names_others_is_refused(tmp_path: Path, name: str) -> None:
    secret = write(tmp_path / "secret.tif", noise(1, 8, 8))
    hostile = tmp_path / name
    hostile.write_text(VRT.format(width=8, height=8, source=secret))
    with rasterio.open(hostile) as followed:  # GDAL itself follows it
        assert followed.read(1).any()
    with pytest.raises(ImageReadError, match="no TIFF"), open_geotiff(hostile):
        pass
    with pytest.raises(ImageReadError), open_source(hostile):
        pass
    with pytest.raises(ImageReadError, match="no TIFF"), open_geotiff_bytes(hostile.read_bytes(), name):
        pass


@pytest.mark.parametrize(
    "address",
    ["/vsicurl/http://127.0.0.1:9/x.tif", "http://127.0.0.1:9/x.tif", "GTIFF_DIR:1:{tif}", "/vsizip/{tif}", "WMS:x"],
)
def test_an_address_is_a_missing_file(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tif = write(tmp_path / "x.tif", noise(3, 8, 8))
    monkeypatch.setattr(rasterio, "open", lambda *_, **__: pytest.fail("GDAL was asked"))
    with pytest.raises(ImageReadError, match="cannot be read"), open_geotiff(Path(address.format(tif=tif))):
        pass


def test_nothing_beside_the_file_is_read(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.tif", np.zeros((1, 40, 50), np.uint8))
    image = write(tmp_path / "image.tif", noise(3, 40, 50))
    (tmp_path / "image.tif.msk").write_text(VRT.format(width=50, height=40, source=secret))
    (tmp_path / "image.tif.aux.xml").write_text('<PAMDataset><Metadata><MDI key="told">1</MDI></Metadata></PAMDataset>')
    (tmp_path / "image.tfw").write_text("1\n0\n0\n-1\n500\n500\n")
    with rasterio.open(image) as followed:  # GDAL itself reads them all
        assert len(followed.files) == 5 and followed.tags()["told"] == "1"
    with open_geotiff(image) as tiff:
        assert tiff.valid(0, 40) is None
        assert not tiff.grid.georeferenced
        assert tiff._dataset.files == [str(image)]


@pytest.mark.parametrize("kind", ["float32", "int16", "uint32", "complex64"])
def test_other_values_are_refused_with_a_way_out(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "x.tif", np.ones((3, 8, 8), kind))
    with pytest.raises(ImageReadError, match=rf"{kind} values; expected 8 or 16 bits"), open_geotiff(path):
        pass


def test_what_would_unfold_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = tmp_path / "wide.tif"
    with rasterio.open(
        wide, "w", driver="GTiff", count=3, height=16, width=600_000, dtype="uint8", sparse_ok=True, tiled=True
    ):
        pass
    assert wide.stat().st_size < 3_000_000
    with pytest.raises(ImageReadError, match="600,000 × 16"), open_geotiff(wide):
        pass
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel"}
    piece = write(tmp_path / "piece.tif", noise(3, 512, 512), **tiles)
    monkeypatch.setattr(geotiff, "MAX_PIECE", 3 * 512 * 512 - 1)
    with pytest.raises(ImageReadError, match="Store it in tiles"), open_geotiff(piece):
        pass


@pytest.mark.parametrize("cut", [0, 3, 7, 9, 200, 5000, 20_000])
def test_a_file_cut_off_anywhere_is_an_error_or_an_image(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "x.tif", noise(3, 100, 100), compress="deflate")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ImageReadError, match=r"x\.tif"):
        read(path)


def test_flipped_bytes_are_an_error_or_an_image(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", noise(3, 60, 60), crs=UTM, transform=GRIDS["utm"][1], compress="deflate")
    whole, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, 600, 3):
            damaged[place] = int(rng.integers(256))
        path.write_bytes(damaged)
        with suppress(ImageReadError):
            read(path)
