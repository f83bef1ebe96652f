import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segcore.config import ClassInfo
from segcore.data import readers
from segcore.data.classes import ClassTable
from segcore.data.readers import Reading, image_size, read_image, read_mask, read_square, resize_labels, to_square
from segcore.errors import ImageReadError
from tests.factories import CLASSES

TABLE = ClassTable(CLASSES)
COLORS = np.array([info.color for info in CLASSES], np.uint8)
ROWS = np.arange(48).reshape(6, 8) % 4
LABELS = np.where(ROWS == 0, 255, ROWS - 1)


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


# Images ------------------------------------------------------------------------------------------------


def test_every_kind_of_image_becomes_rgb(tmp_path: Path) -> None:
    rgb = smooth(20, 30)
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    Image.fromarray(rgb).convert("RGBA").save(tmp_path / "alpha.png")
    Image.fromarray(rgb).save(tmp_path / "rgb.tif")
    for file in ("rgb.png", "alpha.png", "rgb.tif"):
        assert np.array_equal(read_image(tmp_path / file), rgb), file
    Image.fromarray(rgb[..., 0]).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.repeat(rgb[..., :1], 3, axis=2))
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(read_image(tmp_path / "deep.png"), np.repeat(rgb[..., :1], 3, axis=2))
    assert image_size(tmp_path / "rgb.tif") == (30, 20)


def test_orientation_noted_in_exif_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth(20, 30)).save(tmp_path / "turned.jpg", exif=exif)
    assert image_size(tmp_path / "turned.jpg") == (30, 20)
    assert read_image(tmp_path / "turned.jpg").shape == (20, 30, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_reduced_image_looks_like_the_whole_one_reduced(tmp_path: Path, suffix: str) -> None:
    rgb = smooth(800, 1200)
    path = tmp_path / f"big.{suffix}"
    Image.fromarray(rgb).save(path, quality=95)
    reduced = read_image(path, max_side=120)
    assert reduced.shape == (80, 120, 3) and reduced.dtype == np.uint8
    expected = cv2.resize(rgb, (120, 80), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - expected).mean() < 2
    square = read_square(path, 64)
    assert square.shape == (64, 64, 3)
    assert np.abs(square.astype(int) - cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)).mean() < 2
    assert read_image(path, max_side=5000).shape == (800, 1200, 3), "never enlarged"


@pytest.mark.parametrize("size", [(1600, 2400), (1603, 2399), (700, 1030), (511, 900)])
@pytest.mark.parametrize("side", [32, 128, 250])
def test_a_square_of_a_jpeg_is_nearly_that_of_all_its_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], side: int
) -> None:
    rng = np.random.default_rng(0)
    rgb = np.clip(smooth(*size).astype(int) + rng.normal(0, 12, (*size, 1)), 0, 255).astype(np.uint8)
    path = tmp_path / "big.jpg"
    Image.fromarray(rgb).save(path, quality=90)
    decoded: list[tuple[int, ...]] = []
    whole = to_square(read_image(path), side)
    convert = readers._to_rgb
    monkeypatch.setattr(
        readers, "_to_rgb", lambda *args, **options: (decoded.append((rgb := convert(*args, **options)).shape), rgb)[1]
    )
    reduced = read_square(path, side)
    assert reduced.shape == (side, side, 3)
    assert np.abs(reduced.astype(int) - whole).mean() < 1
    assert min(decoded[0][:2]) >= min(2 * side, *size), "never below twice what is wanted"
    if min(size) >= 4 * side:
        assert decoded[0][0] <= size[0] // 2 + 1, "and not all pixels where half are enough"


def test_a_square_of_a_small_image_is_enlarged(tmp_path: Path) -> None:
    Image.fromarray(smooth(20, 30)).save(tmp_path / "small.png")
    assert read_square(tmp_path / "small.png", 64).shape == (64, 64, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("max_side", [None, 40])
def test_a_file_cut_off_is_an_error_not_a_grey_image(tmp_path: Path, suffix: str, max_side: int | None) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(smooth(400, 600)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageReadError, match=r"image\.\w+ is (damaged or cut off|no image)"):
        read_image(path, max_side=max_side)
    with pytest.raises(ImageReadError):
        read_mask(path, TABLE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello", "is no image that can be read"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x89PNG\r\n\x1a\nrubbish", "no image|damaged"),
    ],
)
def test_a_file_that_is_no_image_says_so(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    for read in (read_image, image_size, lambda file: read_mask(file, TABLE)):
        with pytest.raises(ImageReadError, match=words):
            read(path)


def test_a_missing_file_a_folder_and_floating_point_values(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="is not there"):
        read_image(tmp_path / "none.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageReadError):
        read_image(tmp_path / "folder.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ImageReadError, match="floating point"):
        read_image(tmp_path / "float.tif")


@pytest.mark.filterwarnings("ignore")  # of Pillow, about the damage
def test_every_bit_flipped_somewhere_is_read_or_refused(tmp_path: Path) -> None:
    """Damage anywhere in a file is our error or a picture, never another exception."""
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "tif", "bmp", "webp"):
        buffer = io.BytesIO()
        Image.fromarray(smooth(24, 24)).save(buffer, format={"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
        whole = bytearray(buffer.getvalue())
        path = tmp_path / f"damaged.{suffix}"
        for _ in range(30):
            damaged = whole.copy()
            for place in rng.integers(0, min(len(whole), 200), 3):
                damaged[place] = int(rng.integers(0, 256))
            path.write_bytes(damaged)
            for read in (read_image, lambda file: read_mask(file, TABLE)):
                try:
                    read(path)
                except ImageReadError as error:
                    assert path.name in str(error)


# Masks -------------------------------------------------------------------------------------------------


def save_palette(path: Path, values: np.ndarray, colors: np.ndarray) -> None:
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(colors.astype(np.uint8).ravel().tolist())
    image.save(path)
    with Image.open(path) as saved:
        assert saved.mode == "P"


def test_the_same_mask_in_every_form_gives_the_same_labels(tmp_path: Path) -> None:
    Image.fromarray(COLORS[ROWS]).save(tmp_path / "rgb.png")
    Image.fromarray(COLORS[ROWS]).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(ROWS.astype(np.uint8)).save(tmp_path / "index.png")
    Image.fromarray(ROWS.astype(np.uint16)).save(tmp_path / "index16.png")
    Image.fromarray(np.repeat(ROWS[..., None], 3, axis=2).astype(np.uint8)).save(tmp_path / "index_rgb.png")
    save_palette(tmp_path / "palette.png", ROWS, COLORS)
    save_palette(tmp_path / "other_order.png", 3 - ROWS, COLORS[::-1])
    save_palette(tmp_path / "other_colors.png", ROWS, COLORS // 2 + 7)
    for path in sorted(tmp_path.iterdir()):
        labels, unknown = read_mask(path, TABLE)
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, LABELS), path.name
        assert not unknown, path.name


def test_unknown_colours_and_values_are_counted_and_ignored(tmp_path: Path) -> None:
    rgb = COLORS[ROWS]
    rgb[0, 0], rgb[0, 1] = (9, 9, 9), (9, 9, 9)
    rgb[0, 2] = (70, 70, 71)  # one off "roof": no class
    Image.fromarray(rgb).save(tmp_path / "rgb.png")
    labels, unknown = read_mask(tmp_path / "rgb.png", TABLE)
    assert unknown == {(9, 9, 9): 2, (70, 70, 71): 1}
    assert (labels[0, :3] == 255).all() and np.array_equal(labels[1:], LABELS[1:])
    index = ROWS.astype(np.uint8)
    index[0, :2] = 77
    Image.fromarray(index).save(tmp_path / "index.png")
    labels, unknown = read_mask(tmp_path / "index.png", TABLE)
    assert unknown == {77: 2} and (labels[0, :2] == 255).all()


BLACK_WHITE = ClassTable([ClassInfo(name="ground", color=(0, 0, 0)), ClassInfo(name="roof", color=(255, 255, 255))])


@pytest.mark.parametrize("values", [(0, 255), (0, 1)])
def test_black_and_white_masks_are_understood_as_colours_and_as_rows(tmp_path: Path, values: tuple[int, int]) -> None:
    Image.fromarray(np.array([values, values], np.uint8)).save(tmp_path / "mask.png")
    labels, unknown = read_mask(tmp_path / "mask.png", BLACK_WHITE)
    assert labels.tolist() == [[0, 1], [0, 1]] and not unknown


@pytest.mark.parametrize("reading", ["colors", "index"])
@pytest.mark.parametrize("size", [(5, 4), (16, 9), (60, 60), (8, 6)])
def test_a_mask_resized_first_has_the_labels_of_the_whole_one_resized(
    tmp_path: Path, size: tuple[int, int], reading: Reading
) -> None:
    rows = np.random.default_rng(0).integers(0, 4, (29, 41))
    Image.fromarray(COLORS[rows]).save(tmp_path / "rgb.png")
    Image.fromarray(COLORS[rows]).convert("RGBA").save(tmp_path / "rgba.png")
    Image.fromarray(rows.astype(np.uint8)).save(tmp_path / "index.png")
    Image.fromarray(rows.astype(np.uint16)).save(tmp_path / "index16.png")
    Image.fromarray(rows > 1).save(tmp_path / "bits.png")
    Image.fromarray(np.repeat(rows[..., None], 3, axis=2).astype(np.uint8)).save(tmp_path / "grey_rgb.png")
    save_palette(tmp_path / "palette.png", rows, COLORS)
    # Grey but for one pixel, which no resized picture below shows: colours, and so no rows of the table.
    nearly = np.repeat(rows[..., None], 3, axis=2).astype(np.uint8)
    nearly[0, 0] = (9, 0, 0)
    Image.fromarray(nearly).save(tmp_path / "nearly_grey.png")
    for path in sorted(tmp_path.iterdir()):
        whole, _ = read_mask(path, TABLE, reading=reading)
        resized, _ = read_mask(path, TABLE, reading=reading, size=size)
        assert np.array_equal(resized, resize_labels(whole, *size)), path.name


def test_a_one_bit_mask_is_understood(tmp_path: Path) -> None:
    Image.fromarray(np.array([[False, True], [True, True]])).save(tmp_path / "mask.png")
    labels, unknown = read_mask(tmp_path / "mask.png", BLACK_WHITE)
    assert labels.tolist() == [[0, 1], [1, 1]] and not unknown


def test_the_reading_of_an_ambiguous_mask_can_be_given(tmp_path: Path) -> None:
    table = ClassTable([ClassInfo(name="roof", color=(255, 255, 255)), ClassInfo(name="ground", color=(0, 0, 0))])
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", table, reading="colors")[0].tolist() == [[1, 1], [1, 1]]
    assert read_mask(tmp_path / "mask.png", table, reading="index")[0].tolist() == [[0, 0], [0, 0]]


def test_resized_labels_are_never_blended() -> None:
    labels = np.random.default_rng(0).choice([0, 7, 255], (37, 53)).astype(np.uint8)
    for width, height in ((64, 64), (16, 16), (5, 90)):
        resized = resize_labels(labels, width, height)
        assert resized.shape == (height, width)
        assert set(np.unique(resized)) <= {0, 7, 255}
        # As Pillow's nearest does: the pixel at the centre, not the one at the corner.
        assert np.array_equal(
            resized, np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
        )
