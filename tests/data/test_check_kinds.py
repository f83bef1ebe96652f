"""Every trouble that a check tells of readable files, as a miniature each: a table of how to spoil a dataset."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.config import ClassInfo, DatasetConfig
from segcore.data.checks import CheckResult, check_dataset
from segcore.data.deciding import with_decisions
from segcore.data.looks import ODDITIES
from segcore.data.problems import oddity_problems
from segcore.data.report import CheckReport, Problem
from segcore.decisions import Exclude, Ignore, Map, Read, Snap
from tests.factories import CLASSES

Make = Callable[..., DatasetConfig]
COLORS = np.array([info.color for info in CLASSES], np.uint8)
NAME = "scene00_frame0"


def rewrite(path: Path, change: Callable[[Image.Image], Image.Image], **how: object) -> None:
    with Image.open(path) as image:
        changed = change(image.copy())
    changed.save(path, **how)


def index_masks(config: DatasetConfig, palette: Callable[[np.ndarray], np.ndarray]) -> None:
    """Turn all masks into index masks with a palette made from the table's colours."""
    for path in config.masks.iterdir():
        rgb = np.asarray(Image.open(path))
        index = (rgb[..., None, :] == COLORS).all(axis=-1).argmax(axis=-1).astype(np.uint8)
        image = Image.fromarray(index, "P")
        image.putpalette(palette(COLORS).tobytes())
        image.save(path)


def cmyk(config: DatasetConfig) -> None:
    path = config.images / f"{NAME}.png"
    with Image.open(path) as image:
        image.convert("CMYK").save(path.with_suffix(".tif"))
    path.unlink()


def sixteen_bits(config: DatasetConfig) -> None:
    grey = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    Image.fromarray(grey).save(config.images / f"{NAME}.png")


def turned(config: DatasetConfig) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rewrite(config.images / f"{NAME}.png", lambda image: image, exif=exif)


def smoothed(config: DatasetConfig) -> None:
    rewrite(
        config.masks / f"{NAME}.png",
        lambda mask: mask.resize((512, 512), Image.Resampling.NEAREST).resize((64, 64), Image.Resampling.BICUBIC),
    )
    noise = np.random.default_rng(0).integers(-3, 4, (64, 64, 3))
    rewrite(
        config.masks / f"{NAME}.png",
        lambda mask: Image.fromarray(np.clip(np.asarray(mask) + noise, 0, 255).astype(np.uint8)),
    )


def copied(config: DatasetConfig) -> None:
    for folder in (config.images, config.masks):
        shutil.copy(folder / f"{NAME}.png", folder / "scene09_frame9.png")


def relabelled(config: DatasetConfig) -> None:
    copied(config)
    rewrite(config.masks / "scene09_frame9.png", lambda mask: mask.rotate(180))


def black_class(config: DatasetConfig) -> DatasetConfig:
    Image.new("RGB", (64, 64)).save(config.masks / f"{NAME}.png")
    used = (CLASSES[0].model_copy(update={"ignore": False}), *CLASSES[1:])
    return config.model_copy(update={"classes": used})


@dataclass(frozen=True)
class Case:
    """How a sound dataset is spoilt, and what is then said of it beside nothing else."""

    kind: str
    spoil: Callable[[DatasetConfig], DatasetConfig | None]
    images: tuple[str, ...]
    action: type | None
    words: str


CASES = (
    Case("16-bit image", sixteen_bits, (NAME,), Exclude, "16 bits"),
    Case(
        "image with alpha",
        lambda config: rewrite(config.images / f"{NAME}.png", lambda image: image.convert("RGBA")),
        (NAME,),
        Exclude,
        "alpha channel",
    ),
    Case("CMYK image", cmyk, (NAME,), Exclude, "colours of print"),
    Case(
        "grey image",
        lambda config: rewrite(config.images / f"{NAME}.png", lambda image: image.convert("L")),
        (NAME,),
        Exclude,
        "without colour",
    ),
    Case("turned by EXIF", turned, (NAME,), Exclude, "EXIF"),
    Case(
        "mask with alpha",
        lambda config: rewrite(config.masks / f"{NAME}.png", lambda mask: mask.convert("RGBA")),
        (NAME,),
        Exclude,
        "masks have an alpha",
    ),
    Case("duplicate files", copied, ("scene09_frame9",), Exclude, "1 image is a copy of another"),
    Case("same image, other mask", relabelled, ("scene09_frame9",), Exclude, "with another mask"),
    Case("empty mask", black_class, (NAME,), Exclude, "nothing but black"),
    Case("blended colours", smoothed, (NAME,), Snap, "near a class's colour"),
    Case(
        "palette confusion",
        lambda config: index_masks(config, lambda colors: colors[[0, 2, 1, 3]]),
        (),
        Read,
        "values and palette name different classes",
    ),
    Case(
        "palette differs",
        lambda config: index_masks(config, lambda colors: colors + np.uint8(1)),
        (),
        None,
        "other colours than the class table",
    ),
    Case(
        "class never seen",
        lambda config: config.model_copy(update={"classes": (*CLASSES, ClassInfo(name="boat", color=(1, 200, 1)))}),
        (),
        Ignore,
        "No mask shows boat",
    ),
)


def test_every_oddity_has_a_case_and_a_sentence() -> None:
    assert set(ODDITIES) <= {case.kind for case in CASES}
    said = list(oddity_problems({"a": ODDITIES}, 10))
    assert [problem.kind for problem in said] == list(ODDITIES) and all(problem.action for problem in said)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
def test_what_is_wrong_is_told_once_with_what_can_be_done(case: Case, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    config = case.spoil(config) or config
    report = check_dataset(config).report
    found = {problem.kind: problem for problem in report.problems}
    assert len(found) == len(report.problems)
    # A grey picture of 16 bits is grey, too.
    assert found.keys() == {case.kind} | ({"grey image"} if case.kind == "16-bit image" else set())
    problem = found[case.kind]
    assert case.words in problem.message and problem.message.endswith(".") and not problem.excluded
    assert not case.images or problem.images == case.images
    assert problem.action is None if case.action is None else isinstance(problem.action, case.action)
    assert CheckReport.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.mark.parametrize("case", [case for case in CASES if case.action], ids=lambda case: case.kind)
def test_what_is_proposed_mends_it(case: Case, tiny_dataset: Make) -> None:
    config = tiny_dataset()
    config = case.spoil(config) or config
    problem = next(one for one in check_dataset(config).report.problems if one.kind == case.kind)
    assert problem.action is not None
    mended = check_dataset(with_decisions(config, [problem.action])).report
    assert case.kind not in mended.problem_counts()


def test_a_sound_dataset_has_nothing_said_of_it(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    assert check_dataset(config).report.problems == ()
    index_masks(config, lambda colors: colors)
    assert check_dataset(config).report.problems == ()


def test_leaving_out_most_images_is_not_proposed(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    for path in config.images.iterdir():
        rewrite(path, lambda image: image.convert("L"))
    (problem,) = check_dataset(config).report.problems
    assert problem.kind == "grey image" and problem.message.startswith("8 images without colour")
    assert problem.action is None and len(problem.images) == 8


def test_an_unknown_colour_is_told_with_its_place_and_what_it_may_be(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    mask = config.masks / f"{NAME}.png"
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[10:13, 20:40] = np.array(CLASSES[2].color) + 2  # nearly grass
    pixels[50, 60] = (255, 0, 255)
    Image.fromarray(pixels).save(mask)
    near, far = check_dataset(config).report.unknown_colors
    assert (near.pixels, near.images, near.example, near.box) == (60, 1, NAME, (20, 10, 40, 13))
    assert (near.nearest, near.distance) == ("grass", pytest.approx(np.sqrt(12), abs=0.05))
    assert near.action == Map(value=near.value, to="grass")
    assert far.box == (60, 50, 61, 51) and far.action == Map(value=(255, 0, 255), to=None)


def test_an_unknown_value_of_index_masks_is_told_with_its_place(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    index_masks(config, lambda colors: colors + np.uint8(1))
    mask = config.masks / f"{NAME}.png"
    values = np.asarray(Image.open(mask)).copy()
    values[5, 6:9] = 77
    Image.fromarray(values).save(mask)
    (unknown,) = check_dataset(config).report.unknown_colors
    assert (unknown.value, unknown.pixels, unknown.box, unknown.nearest) == (77, 3, (6, 5, 9, 6), None)
    assert unknown.action == Map(value=77)


def test_colours_near_classes_are_counted_as_a_plain_loop_would(tiny_dataset: Make) -> None:
    config = tiny_dataset()
    smoothed(config)
    report = check_dataset(config).report
    rgb = np.asarray(Image.open(config.masks / f"{NAME}.png")).reshape(-1, 3).astype(float)
    distance = np.linalg.norm(rgb[:, None] - COLORS[None].astype(float), axis=2)
    nearest, far = distance.argmin(axis=1), distance.min(axis=1)
    for near in report.near_colors:
        row = [info.name for info in CLASSES].index(near.name)
        mine = (nearest == row) & (far > 0)
        assert near.pixels == tuple(int((mine & (far <= step)).sum()) for step in (4, 8, 16, 32, 64))
    assert len(report.near_colors) == len(CLASSES)


def test_masks_are_read_as_was_decided(tiny_dataset: Make) -> None:
    def pixels(result: CheckResult) -> list[tuple[int, ...]]:
        return [fact.class_pixels for fact in result.facts]

    config = tiny_dataset()
    plain = check_dataset(config)
    index_masks(config, lambda colors: colors[[0, 2, 1, 3]])
    swapped = check_dataset(config)
    (problem,) = swapped.report.problems
    assert problem.action == Read(reading="index") and pixels(swapped) != pixels(plain)
    mended = check_dataset(with_decisions(config, [problem.action]))
    assert mended.report.problems == () and mended.report.mask_reading == "index"
    assert pixels(mended) == pixels(plain)
    assert mended.fingerprint != swapped.fingerprint


def test_old_reports_are_still_read() -> None:
    problem = Problem.from_json({"file": None, "kind": "k", "message": "m", "excluded": False})
    assert problem.images == () and problem.action is None
