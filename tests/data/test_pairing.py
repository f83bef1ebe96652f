import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.data.pairing import Pairing, pair_files
from segcore.errors import DatasetError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def pair(tmp_path: Path, images: list[str], masks: list[str], **options: object) -> Pairing:
    return pair_files(touch(tmp_path / "images", *images), touch(tmp_path / "masks", *masks), **options)  # type: ignore[arg-type]


stems = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=5
)


@settings(max_examples=20, deadline=None)
@given(
    images=st.sets(stems.map(lambda stem: unicodedata.normalize("NFC", stem)), min_size=1, max_size=5),
    masks=st.sets(stems.map(lambda stem: unicodedata.normalize("NFC", stem)), max_size=5),
    both=st.sets(stems.map(lambda stem: unicodedata.normalize("NFC", stem)), min_size=1, max_size=5),
    data=st.data(),
)
def test_whatever_the_names_images_get_the_mask_of_their_stem(
    tmp_path_factory: pytest.TempPathFactory, images: set[str], masks: set[str], both: set[str], data: st.DataObject
) -> None:
    """Blanks, dots, quotes, markup, any script: stems pair exactly, and nothing is lost silently."""
    root = tmp_path_factory.mktemp("pairing")
    hidden = {stem for stem in images | masks | both if stem.startswith(".")}
    images, masks, both = images - hidden, masks - hidden, both - hidden
    if not both:
        both = {"a"}
    suffix = data.draw(st.sampled_from([".png", ".PNG", ".tif"]))
    pairing = pair(root, [stem + ".jpg" for stem in images | both], [stem + suffix for stem in masks | both])
    assert [found.name for found in pairing.pairs] == sorted((images & masks) | both)
    assert all(found.image.stem == found.mask.stem == found.name == found.group for found in pairing.pairs)
    assert {file.stem for file in pairing.images_without_mask} == images - masks - both
    assert {file.stem for file in pairing.masks_without_image} == masks - images - both
    assert pairing.images == len(images | both)


def test_names_pair_by_stem_and_not_by_order(tmp_path: Path) -> None:
    pairing = pair(tmp_path, ["b.jpg", "c.jpg", "d.jpg"], ["a.png", "b.png", "c.png"])
    assert [(found.image.name, found.mask.name) for found in pairing.pairs] == [("b.jpg", "b.png"), ("c.jpg", "c.png")]
    assert [file.name for file in pairing.images_without_mask] == ["d.jpg"]
    assert [file.name for file in pairing.masks_without_image] == ["a.png"]


def test_a_letter_stored_in_two_unicode_forms_is_one(tmp_path: Path) -> None:
    composed, decomposed = "Fl\u00fcgel", "Flu\u0308gel"
    pairing = pair(tmp_path, [f"{decomposed}.jpg"], [f"{composed}.png"])
    assert [found.name for found in pairing.pairs] == [composed]


def test_hidden_files_and_other_files_are_left_out(tmp_path: Path) -> None:
    pairing = pair(tmp_path, ["a.jpg", "._a.jpg", ".cache/b.jpg", "notes.txt", "Thumbs.db"], ["a.png"])
    assert pairing.images == 1 and len(pairing.pairs) == 1


def test_the_masks_folder_may_lie_inside_the_images_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "masks/a.png", "masks/b.png")
    pairing = pair_files(tmp_path, tmp_path / "masks")
    assert [found.name for found in pairing.pairs] == ["a", "b"] and pairing.images == 2


def test_a_stem_in_several_folders_is_told_apart_by_folder(tmp_path: Path) -> None:
    files = ["flight1/0001.jpg", "flight2/0001.jpg", "flight2/0002.jpg"]
    pairing = pair(tmp_path, files, [file.replace("jpg", "png") for file in files], group_by_folder=True)
    assert [(found.name, found.group) for found in pairing.pairs] == [
        ("0002", "flight2"),
        ("flight1__0001", "flight1"),
        ("flight2__0001", "flight2"),
    ]
    assert all(found.image.parent.name == found.mask.parent.name for found in pairing.pairs)
    assert all("/" not in found.name for found in pairing.pairs)


def test_made_up_names_never_collide(tmp_path: Path) -> None:
    files = ["a/x.jpg", "b/x.jpg", "a__x.jpg"]
    pairing = pair(tmp_path, files, [file.replace("jpg", "png") for file in files])
    assert len({found.name for found in pairing.pairs}) == 3
    assert {found.image.relative_to(tmp_path / "images").with_suffix("") for found in pairing.pairs} == {
        found.mask.relative_to(tmp_path / "masks").with_suffix("") for found in pairing.pairs
    }


def test_files_that_could_belong_to_several_are_left_out_and_told(tmp_path: Path) -> None:
    pairing = pair(tmp_path, ["a.jpg", "a.png", "b.jpg", "c.jpg"], ["a.png", "one/b.png", "two/b.png", "c.png"])
    assert [found.name for found in pairing.pairs] == ["c"]
    assert {str(file.relative_to(tmp_path)) for file in pairing.duplicates} == {
        "images/a.jpg",
        "images/a.png",
        "images/b.jpg",
        "masks/one/b.png",
        "masks/two/b.png",
    }
    assert [file.name for file in pairing.masks_without_image] == ["a.png"]


def test_names_that_cannot_be_shown_or_used_are_left_out(tmp_path: Path) -> None:
    awkward = ["new\nline", "bell\x07", "x" * 201, os.fsdecode(b"latin-\xfc")]
    fine = ["<b>bold<b>", "ümläut 1", "x" * 200, "-rf", "a.b.c"]
    pairing = pair(tmp_path, [f"{stem}.jpg" for stem in awkward + fine], [f"{stem}.png" for stem in awkward + fine])
    assert {found.name for found in pairing.pairs} == set(fine)
    assert len(pairing.unusable_names) == 8 and pairing.images == 9


# Groups ------------------------------------------------------------------------------------------------


def test_groups_come_from_a_regular_expression(tmp_path: Path) -> None:
    names = ["tile1_part_001", "tile1_part_002", "tile12_part_001", "extra"]
    images, masks = [f"{name}.jpg" for name in names], [f"{name}.png" for name in names]
    pairing = pair(tmp_path, images, masks, group_regex=r"^(tile\d+)_")
    assert {found.name: found.group for found in pairing.pairs} == {
        "tile1_part_001": "tile1",
        "tile1_part_002": "tile1",
        "tile12_part_001": "tile12",
        "extra": "extra",
    }
    assert pairing.ungrouped == ("extra",)
    whole = pair(tmp_path, images, masks, group_regex=r"tile\d+|extra")
    assert {found.group for found in whole.pairs} == {"tile1", "tile12", "extra"} and not whole.ungrouped


def test_a_regular_expression_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="matches no image name") as caught:
        pair(tmp_path, ["a.jpg"], ["a.png"], group_regex=r"^scene\d+")
    assert caught.value.field == "group_regex"


# Folders that do not do --------------------------------------------------------------------------------


def test_folders_that_are_missing_empty_or_the_same(tmp_path: Path) -> None:
    filled = touch(tmp_path / "filled", "a.png")
    empty = touch(tmp_path / "empty", "notes.txt")
    for images, masks, field, words in [
        (tmp_path / "none", filled, "images", "does not exist"),
        (filled, tmp_path / "none", "masks", "does not exist"),
        (filled / "a.png", filled, "images", "is a file"),
        (empty, filled, "images", "holds no image files"),
        (filled, empty, "masks", "holds no image files"),
        (filled, filled / ".." / "filled", "masks", "must be two folders"),
    ]:
        with pytest.raises(DatasetError, match=words) as caught:
            pair_files(images, masks)
        assert caught.value.field == field


def test_folders_with_no_stem_in_common_show_one_of_each(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"e\.g\. a\.jpg.*e\.g\. a_mask\.png"):
        pair(tmp_path, ["a.jpg"], ["a_mask.png"])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.jpg", "locked/b.jpg")
    (tmp_path / "images/locked").chmod(0)
    with pytest.raises(DatasetError, match="locked cannot be read"):
        pair(tmp_path, [], ["a.png"])


# Expressions -------------------------------------------------------------------------------------------


def test_expressions_pair_what_they_capture_in_one_folder(tmp_path: Path) -> None:
    files = ["one/7_sat.jpg", "one/7_mask.png", "two/7_sat.jpg", "two/7_mask.png", "two/8_sat.jpg", "two/legend.png"]
    pairing = pair_files(
        touch(tmp_path, *files),
        tmp_path,
        image_regex=r"(.+)/(\d+)_sat\.jpg",
        mask_regex=r"(.+)/(\d+)_mask\.png",
        group_regex="^([^/]+)/",
    )
    assert {found.name: (found.mask.name, found.group) for found in pairing.pairs} == {
        "one__7": ("7_mask.png", "one"),
        "two__7": ("7_mask.png", "two"),
    }
    assert [file.name for file in pairing.images_without_mask] == ["8_sat.jpg"]
    assert pairing.images == 3 and not pairing.masks_without_image and not pairing.duplicates


def test_files_that_capture_the_same_are_duplicates(tmp_path: Path) -> None:
    files = ["a_1.jpg", "a_2.jpg", "b_1.jpg", "a.png", "b.png"]
    pairing = pair_files(touch(tmp_path, *files), tmp_path, image_regex=r"(.)_\d\.jpg", mask_regex=r"(.)\.png")
    assert [found.name for found in pairing.pairs] == ["b_1"]
    assert [file.name for file in pairing.duplicates] == ["a_1.jpg", "a_2.jpg"]


@pytest.mark.parametrize(
    ("image", "mask", "field", "words"),
    [
        (r"(.+)\.bmp", r"(.+)\.png", "image_regex", r"none of the 2 image files below .*, such as a\.jpg"),
        (r"(.+)\.jpg", r"mask_(.+)\.png", "mask_regex", "must match the whole path"),
        (r"(.)\.jpg", r"(.)_m\.png", "masks", "no captured groups in common"),
    ],
)
def test_expressions_that_find_nothing_say_so(image: str, mask: str, field: str, words: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b_m.png")
    with pytest.raises(DatasetError, match=words) as caught:
        pair_files(tmp_path, tmp_path, image_regex=image, mask_regex=mask)
    assert caught.value.field == field
