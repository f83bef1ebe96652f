"""Images that show the same ground are found: generated frames whose overlap is known, and copies made by hand."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from segcore.data import leakage, synthetic
from segcore.data.leakage import Leak, Leakage, Match, candidates, looks, matching
from segcore.data.splits import Split
from segcore.errors import ImageReadError

SCENES, FRAMES = 5, 3


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One scene of each kind, three overlapping frames of each."""
    directory = tmp_path_factory.mktemp("frames")
    synthetic.generate(directory, scenes=SCENES, frames=FRAMES)
    return {path.stem: path for path in sorted((directory / "images").iterdir())}


@pytest.fixture(scope="module")
def truth() -> dict[tuple[str, str], float]:
    """What the frames share, from where the camera was."""
    return {
        (f"scene{scene + 1:02d}_frame{first}", f"scene{scene + 1:02d}_frame{second}"): share
        for scene in range(SCENES)
        for (first, second), share in synthetic.overlaps(scene, frames=FRAMES).items()
    }


def digests(files: dict[str, Path]) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def test_overlaps_of_generated_frames_are_found_and_nothing_else(
    frames: dict[str, Path], truth: dict[tuple[str, str], float], tmp_path: Path
) -> None:
    found = leakage.find(frames, digests(frames), tmp_path)
    pairs = {(leak.first, leak.second): leak for leak in found.leaks}
    wanted = {pair for pair, share in truth.items() if share >= 0.2}
    assert len(wanted) >= 10
    assert wanted <= pairs.keys() <= truth.keys()
    assert {leak.match.kind for leak in found.leaks} == {"overlap"}
    assert max(abs(leak.match.overlap - truth[pair]) for pair, leak in pairs.items()) < 0.02


VARIANTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.5),
    "strong JPEG": lambda image: _through_jpeg(image, 15),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "blurred away": lambda image: image.resize((24, 24)).resize(image.size),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "a quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


def _through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_changed_copy_is_a_near_duplicate(variant: str, frames: dict[str, Path], tmp_path: Path) -> None:
    files = {name: path for name, path in frames.items() if name.endswith("frame1")}
    original = "scene02_frame1"
    files["copy"] = tmp_path / "copy.png"
    VARIANTS[variant](Image.open(files[original])).save(files["copy"])
    (leak,) = leakage.find(files, digests(files), tmp_path / "kept").leaks
    assert (leak.first, leak.second, leak.match.kind) == ("copy", original, "near-duplicate")
    assert leak.match.mirrored == (variant in ("mirrored", "upside down"))


def test_an_oblique_turn_and_a_mirrored_crop_are_overlaps(frames: dict[str, Path], tmp_path: Path) -> None:
    image = Image.open(frames["scene04_frame1"])
    files = {"original": frames["scene04_frame1"], "other": frames["scene03_frame1"]}
    changed = {"turned": image.rotate(33), "cut": image.crop((60, 40, 230, 210)).transpose(Image.Transpose.TRANSPOSE)}
    for name, made in changed.items():
        files[name] = tmp_path / f"{name}.png"
        made.save(files[name])
    pairs = {(leak.first, leak.second): leak for leak in leakage.find(files, digests(files), tmp_path / "kept").leaks}
    assert pairs["original", "turned"].match.kind != "duplicate" and not pairs["original", "turned"].match.mirrored
    assert pairs["cut", "original"].match.mirrored
    # All of the cut is lit, and of the original the square that was cut out.
    whole, square = (np.array(outline) for outline in pairs["cut", "original"].match.outlines)
    assert whole.min(axis=0) == pytest.approx((0, 0), abs=0.02) and whole.max(axis=0) == pytest.approx((1, 1), abs=0.02)
    assert square.min(axis=0) * 256 == pytest.approx((60, 40), abs=3)
    assert square.max(axis=0) * 256 == pytest.approx((230, 210), abs=3)
    assert pairs["cut", "original"].match.overlap == pytest.approx(1.0, abs=0.02)  # of the smaller one all is shared
    assert not [pair for pair in pairs if "other" in pair]


def test_the_same_pixels_in_another_file_are_a_duplicate(frames: dict[str, Path], tmp_path: Path) -> None:
    files = {"first": tmp_path / "a.png", "second": tmp_path / "b.bmp"}
    for path in files.values():
        Image.open(frames["scene01_frame1"]).save(path)
    (leak,) = leakage.find(files, digests(files), tmp_path / "kept").leaks
    assert (leak.match.kind, leak.match.score, leak.match.overlap) == ("duplicate", 1.0, 1.0)


def test_bare_images_are_no_copies_of_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = {}
    for number in range(6):  # open water: one colour, the same vignette, its own noise
        files[f"water{number}"] = tmp_path / f"water{number}.png"
        down = np.linspace(0, 6, 128)[:, None, None]
        pixels = np.array([40, 70, 90]) + down + rng.normal(0, 2, (128, 128, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(files[f"water{number}"])
    assert leakage.find(files, digests(files), tmp_path / "kept").leaks == ()


def test_the_look_of_the_mirror_image_is_exact(frames: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "mirrored.png"
    image = Image.open(frames["scene01_frame1"])
    image.save(tmp_path / "straight.png")
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    turned, seen = looks.look_at(tmp_path / "straight.png").mirrored(), looks.look_at(path)
    same = 0
    for place, detail in zip(turned.places, turned.details, strict=True):
        near = np.flatnonzero(np.hypot(*(seen.places - place).T) < 0.1)
        difference = np.abs(seen.details[near].astype(int) - detail.astype(int)).max(axis=1, initial=0)
        same += bool(len(near)) and bool((difference <= 1).any())
    assert same > 0.75 * len(turned.places)  # of the rest the ways they point are told apart by a hair


def test_perceptual_hash_stands_light_and_tells_images_apart(frames: dict[str, Path]) -> None:
    thumbs = [looks.look_at(path).thumb for name, path in frames.items() if name.endswith("frame1")]
    own = [looks.perceptual_hash(thumb) for thumb in thumbs]
    darker = [looks.perceptual_hash(cv2.convertScaleAbs(thumb, alpha=0.7, beta=5)) for thumb in thumbs]
    assert max((one ^ other).bit_count() for one, other in zip(own, darker, strict=True)) <= 4
    assert min((one ^ other).bit_count() for n, one in enumerate(own) for other in own[:n]) > candidates.HASH_BITS


# Going on, and what is kept ---------------------------------------------------------------------------


class Cancelled(Exception):
    pass


def test_what_was_cut_short_goes_on_where_it_was(
    frames: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = digests(frames)
    whole = leakage.find(frames, keys, tmp_path / "whole")
    seen: list[Path] = []
    compared: list[int] = []
    look_at, compare = looks.look_at, leakage.compare
    monkeypatch.setattr(looks, "look_at", lambda path: seen.append(path) or look_at(path))
    monkeypatch.setattr(leakage, "compare", lambda *two, **how: compared.append(1) or compare(*two, **how))

    def cancel(at: int) -> Callable[[int, int], None]:
        def progress(done: int, total: int) -> None:
            assert total == 2 * len(frames)
            if done >= at:
                raise Cancelled

        return progress

    for at in (6, len(frames) + 6):
        with pytest.raises(Cancelled):
            leakage.find(frames, keys, tmp_path / "cut", cancel(at))
        assert leakage.read(keys, tmp_path / "cut") is None
    before = len(compared)
    assert leakage.find(frames, keys, tmp_path / "cut") == whole
    assert sorted(seen) == sorted(frames.values())  # each once, over three beginnings
    assert 0 < len(compared) - before < whole.compared
    assert leakage.find(frames, keys, tmp_path / "cut") == whole == leakage.read(keys, tmp_path / "cut")


def test_other_images_are_compared_anew(frames: dict[str, Path], tmp_path: Path) -> None:
    files = dict(list(frames.items())[:4])
    leakage.find(files, digests(files), tmp_path)
    assert leakage.read(digests(frames), tmp_path) is None
    assert leakage.read({**digests(files), "scene01_frame1": "another"}, tmp_path) is None


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04torn", b"{not a line"])
def test_damaged_leftovers_are_made_anew(damage: bytes, frames: dict[str, Path], tmp_path: Path) -> None:
    files = dict(list(frames.items())[:3])
    whole = leakage.find(files, digests(files), tmp_path)
    for kept in (tmp_path / "looks").iterdir():
        kept.write_bytes(damage)
    (tmp_path / "pairs.jsonl").write_bytes(damage)
    assert leakage.find(files, digests(files), tmp_path) == whole


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="lost"):
        leakage.find({"lost": tmp_path / "lost.png"}, {"lost": "0" * 64}, tmp_path / "kept")


# What it means for a split ----------------------------------------------------------------------------


def leak(first: str, second: str) -> Leak:
    return Leak(first, second, Match("overlap", 0.9, 50, 0.5, mirrored=False))


def test_leak_score_counts_images_that_were_learnt_from() -> None:
    split = Split(("a", "b", "c"), ("d", "e", "f", "g"), ("h", "i"))
    leaks = (leak("a", "d"), leak("b", "d"), leak("a", "b"), leak("f", "g"), leak("e", "h"), leak("z", "a"))
    found = Leakage(leaks, 9, 36)
    score = found.score(split)
    assert score.val == 1 / 4  # d; e leaks from test alone, f and g are both judged
    assert score.test == 1 / 2  # h was chosen by
    assert score.pairs == len(found.across(split)) == 3
    assert found.counts() == {"duplicate": 0, "near-duplicate": 0, "overlap": 6}
    assert json.loads(json.dumps([asdict(one) for one in found.leaks]))[0]["first"] == "a"


def test_leak_score_without_test_images_says_so() -> None:
    score = Leakage((), 2, 1).score(Split(("a",), ("b",)))
    assert score.val == 0.0 and np.isnan(score.test)


def test_overlaps_join_groups_along_chains_and_keep_the_largest_name() -> None:
    groups = {"a1": "a", "a2": "a", "b1": "b", "c1": "c", "d1": "d"}
    merged = leakage.merged_groups(groups, [leak("a2", "b1"), leak("b1", "c1"), leak("unknown", "d1")])
    assert merged == {"a1": "a", "a2": "a", "b1": "a", "c1": "a", "d1": "d"}
    assert leakage.merged_groups(groups, []) == groups


def test_many_tries_need_many_that_agree(tmp_path: Path) -> None:
    """Rows of parked cars of two scenes: a dozen details agree by chance, as very many look alike."""
    seen = []
    for scene, frame in ((24, 2), (30, 0)):
        image, _, quality = synthetic.generate_scene(scene)[frame]
        Image.fromarray(image).save(tmp_path / f"{scene}.jpg", quality=quality)
        seen.append(looks.look_at(tmp_path / f"{scene}.jpg"))
    ours, theirs = matching._alike(seen[0].details, seen[1].details)
    cv2.setRNGSeed(0)
    places = seen[0].places[ours], seen[1].places[theirs]
    _, follows = cv2.estimateAffinePartial2D(*places, method=cv2.RANSAC, ransacReprojThreshold=3.0, maxIters=1000)
    assert follows.sum() > 10 and len(ours) > 60
    assert matching.compare(*seen, mirrored=False) is None


def test_chance_does_not_reach_the_bound(frames: dict[str, Path]) -> None:
    """Frames of different scenes, compared both ways round, stay below what counts as found."""
    first = [looks.look_at(path) for name, path in frames.items() if name.endswith("frame1")]
    for number, one in enumerate(first):
        for other in first[:number]:
            assert matching.compare(one, other, mirrored=True) is None
