import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.checks import CheckResult, check_dataset
from segcore.data.report import CheckReport, Problem, UnknownValue
from segcore.decisions import Snap
from tests.factories import CLASSES

Make = Callable[..., DatasetConfig]
COLORS = np.array([info.color for info in CLASSES], np.uint8)


def kinds(result: CheckResult) -> dict[str, list[str]]:
    """Problem kind -> names of the files that have it."""
    found: dict[str, list[str]] = {}
    for problem in result.report.problems:
        found.setdefault(problem.kind, []).append(problem.file.name if problem.file else "")
    return found


def first(config: DatasetConfig) -> tuple[Path, Path]:
    return config.images / "scene00_frame0.png", config.masks / "scene00_frame0.png"


def test_a_sound_dataset_is_counted_exactly(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    result = check_dataset(config)
    report = result.report
    assert (report.images, report.usable, report.excluded, report.groups) == (8, 8, 0, 4)
    assert report.problems == () and report.unknown_colors == ()
    pixels = np.zeros(len(CLASSES), int)
    for mask in config.masks.iterdir():
        image = np.asarray(Image.open(mask))
        pixels += [(image == color).all(axis=2).sum() for color in COLORS]
    assert report.class_pixels == tuple(pixels[1:]) and report.unlabelled_pixels == pixels[0]
    assert report.class_images == (8, 8, 8)
    assert report.labelled_share == pytest.approx(pixels[1:].sum() / pixels.sum())
    assert sum(report.class_shares) == pytest.approx(1)
    assert report.sizes == ((64, 64, 8),)
    assert [fact.name for fact in result.facts] == sorted(path.stem for path in config.images.iterdir())


def test_every_bad_pair_is_left_out_counted_and_explained(tiny_dataset: Make) -> None:
    config = tiny_dataset(scenes=8)
    images, masks = config.images, config.masks
    (masks / "scene00_frame0.png").unlink()
    (images / "scene00_frame1.png").unlink()
    whole = (images / "scene01_frame0.png").read_bytes()
    (images / "scene01_frame0.png").write_bytes(whole[: len(whole) // 2])
    (masks / "scene01_frame1.png").write_text("no mask")
    Image.new("RGB", (64, 32), CLASSES[1].color).save(masks / "scene02_frame0.png")
    Image.new("RGB", (64, 64), (1, 2, 3)).save(masks / "scene02_frame1.png")
    Image.new("RGB", (64, 64), CLASSES[0].color).save(masks / "scene03_frame0.png")
    (images / "scene03_frame1.png").write_bytes(b"")
    shutil.copy(images / "scene04_frame0.png", images / "scene04_frame0.jpg")
    result = check_dataset(config)
    assert kinds(result) == {
        "no mask": ["scene00_frame0.png"],
        "no image": ["scene00_frame1.png", "scene04_frame0.png"],
        "unreadable image": ["scene01_frame0.png", "scene03_frame1.png"],
        "unreadable mask": ["scene01_frame1.png"],
        "size differs": ["scene02_frame0.png"],
        "no known colour": ["scene02_frame1.png"],
        "nothing labelled": ["scene03_frame0.png"],
        "repeated name": ["scene04_frame0.jpg", "scene04_frame0.png"],
    }
    assert (result.report.images, result.report.usable) == (16, 7)
    assert all(problem.excluded and problem.message.endswith((".", ".)")) for problem in result.report.problems)
    assert result.report.unknown_colors == (
        UnknownValue((1, 2, 3), 64 * 64, 1, "scene02_frame1", (0, 0, 64, 64), "unlabeled", 3.7),
    )
    assert {"damaged or cut off", "64 × 32", "colour (1, 2, 3)", "is empty"} <= {
        words
        for words in ("damaged or cut off", "64 × 32", "colour (1, 2, 3)", "is empty")
        for problem in result.report.problems
        if words in problem.message
    }


def test_a_turned_image_is_named_as_such(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    image, mask = first(config)
    Image.open(image).resize((64, 48)).save(image)
    Image.open(mask).resize((48, 64)).save(mask)
    (problem,) = check_dataset(config).report.problems
    assert problem.kind == "size differs" and "EXIF" in problem.message


def test_unknown_colours_are_counted_over_all_masks(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    for number, mask in enumerate(sorted(config.masks.iterdir())[:3]):
        pixels = np.asarray(Image.open(mask)).copy()
        pixels[0, 10 : 12 + number] = (9, 9, 9)
        pixels[1, 10] = (8, 8, number)
        Image.fromarray(pixels).save(mask)
    report = check_dataset(config).report
    assert report.usable == 8
    assert report.unknown_colors[0] == UnknownValue(
        (9, 9, 9), 2 + 3 + 4, 3, "scene00_frame0", (10, 0, 12, 1), "unlabeled", 15.6
    )
    assert (report.unknown_count, report.unknown_pixels) == (4, 12)
    assert report.unknown_colors[0].text == "colour (9, 9, 9)"


def test_masks_saved_as_jpeg_are_noted_once(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    masks = sorted(config.masks.iterdir())[:3]
    pixels = np.full((64, 64, 3), CLASSES[3].color, np.uint8)
    pixels[32:] = COLORS[np.random.default_rng(0).integers(0, 4, (32, 64))]
    for mask in masks:
        Image.fromarray(pixels).save(mask.with_suffix(".jpg"), quality=95)
        mask.unlink()
    report = check_dataset(config).report
    problem, blended = report.problems
    assert blended.kind == "blended colours" and isinstance(blended.action, Snap)
    assert problem.kind == "lossy mask" and not problem.excluded and problem.message.startswith("3 masks are JPEGs")
    assert problem.images == tuple(mask.stem for mask in masks)
    assert f"{report.unknown_pixels:,} pixels match no class" in problem.message
    assert report.usable == 8 and len(report.unknown_colors) <= 50 <= report.unknown_count


def test_a_class_that_no_mask_shows_is_noted(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    more = config.model_copy(update={"classes": (*CLASSES, ClassInfo(name="<i>boat</i>", color=(1, 1, 1)))})
    (problem,) = check_dataset(more).report.problems
    assert problem.kind == "class never seen" and "<i>boat</i>" in problem.message and not problem.excluded


def test_images_the_regular_expression_misses_are_noted(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    for folder in (config.images, config.masks):
        (folder / "scene00_frame0.png").rename(folder / "other.png")
    (problem,) = check_dataset(config).report.problems
    assert problem.kind == "ungrouped" and "1 image name, e.g. 'other'" in problem.message


def test_one_meaning_is_found_for_all_index_masks_together(tmp_path: Path) -> None:
    """A mask of zeros alone could be black or row 0; the other masks tell."""
    table = (ClassInfo(name="roof", color=(255, 255, 255)), ClassInfo(name="ground", color=(0, 0, 0)))
    for reading, values, counts in (("index", (0, 1), (4 + 2, 2)), ("colors", (0, 255), (2, 4 + 2))):
        config = DatasetConfig(name="x", images=tmp_path / reading / "i", masks=tmp_path / reading / "m", classes=table)
        for folder in (config.images, config.masks):
            folder.mkdir(parents=True)
        for name, mask in (("zeros", [[0, 0], [0, 0]]), ("both", [values, values])):
            Image.new("RGB", (2, 2)).save(config.images / f"{name}.png")
            Image.fromarray(np.array(mask, np.uint8)).save(config.masks / f"{name}.png")
        report = check_dataset(config).report
        assert report.mask_reading == reading
        assert report.class_pixels == counts


def test_awkward_names_are_kept_as_they_are(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    names = ["<img src=x onerror=alert(1)>", "ünï çødé 日本", "two  blanks ", "100%_{x}$y;`z`'\"", "-rf"]
    for name, old in zip(names, sorted(path.name for path in config.images.iterdir()), strict=False):
        for folder in (config.images, config.masks):
            (folder / old).rename(folder / f"scene00_{name}.png")
    result = check_dataset(config)
    assert {f"scene00_{name}" for name in names} <= {fact.name for fact in result.facts}
    assert result.report.usable == 8


def test_the_fingerprint_is_of_bytes_and_classes_not_of_places_and_times(tiny_dataset: Make, tmp_path: Path) -> None:
    config = tiny_dataset()
    fingerprint = check_dataset(config).fingerprint
    shutil.copytree(config.images.parent, tmp_path / "moved")
    moved = config.model_copy(update={"images": tmp_path / "moved/images", "masks": tmp_path / "moved/masks"})
    assert check_dataset(moved).fingerprint == fingerprint
    ignoring = (*config.classes[:-1], config.classes[-1].model_copy(update={"ignore": True}))
    assert check_dataset(config.model_copy(update={"classes": ignoring})).fingerprint != fingerprint
    image, mask = first(moved)
    Image.open(image).rotate(90).save(image)
    changed = check_dataset(moved).fingerprint
    assert changed != fingerprint
    Image.open(mask).rotate(90).save(mask)
    assert check_dataset(moved).fingerprint not in (changed, fingerprint)


def test_a_report_survives_json(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    first(config)[1].unlink()
    Image.new("RGB", (64, 64), (1, 2, 3)).save(config.masks / "scene00_frame1.png")
    report = check_dataset(config).report
    assert report.problems and report.unknown_colors
    assert CheckReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    awkward = Problem(Path("latin-\udcfc.jpg"), "unusable name", "Rename it.", True)
    assert json.dumps(awkward.to_json(), ensure_ascii=False).encode()


def test_progress_counts_pairs_and_may_cancel(tiny_dataset: Make) -> None:
    told: list[tuple[int, int]] = []
    check_dataset(tiny_dataset(), lambda done, total: told.append((done, total)))
    assert told == [(done, 8) for done in range(9)]

    def cancel(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_dataset(tiny_dataset("again"), cancel)
