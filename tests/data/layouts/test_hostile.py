"""Whatever a folder holds: recognising it gives guesses or a DatasetError, and leaves the folder as it is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segcore.data.layouts import recognise
from segcore.errors import DatasetError
from tests.miniatures import MINIATURES


def png(*values: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array([values], np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 2, "height": 1}],
    "categories": [{"id": 1, "name": "\ud800"}],
}
CONTENTS = [
    b"",
    b"\x89PNG\r\n\x1a\nbroken",
    b"\xff\xfe\x00text",
    png(0, 1),
    png(0, 255),
    b"name,r,g,b\na,1,2,3\nb,300,0,0\n",
    b"name,r,g,b\n" + b"a,1,2,3\n" * 300,
    b"a:1,2,3::\na:1,2,3::\nb:x,y,z::\n:::\nc:999,0,0::\n",
    b"[" * 50_000,
    b'{"classes": [{"title": 3}]}',
    json.dumps({**COCO, "annotations": [{"image_id": 1, "category_id": 1, "segmentation": [[0] * 6]}]}).encode(),
]
FOLDERS = ["", "images", "masks", "train/images", "train/masks", "JPEGImages", "SegmentationClass", "original_images",
           "label_images_semantic", "Tile 1/images", "Tile 1/masks", "seq1/Images", "seq1/Labels", "trainannot",
           "train", "x/training_set/images", "x/training_set/gt/semantic/label_images",
           "ImageSets/Segmentation"]  # fmt: skip
NAMES = ["a.png", "a_mask.png", "a.jpg", "b.png", "classes.csv", "class_dict.csv", "class_dict_seg.csv", "labelmap.txt",
         "classes.json", "instances.json", "train.txt", "val.txt", "we ird $(x) `y`.png", "ü.png"]  # fmt: skip
files = st.dictionaries(
    st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)), st.sampled_from(CONTENTS), min_size=1, max_size=12
)


@settings(max_examples=200, deadline=None)
@given(tree=files)
def test_any_folder_is_recognised_or_refused(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[tuple[str, str], bytes]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for (folder, name), data in tree.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_bytes(data)
    try:
        guesses = recognise(root)
    except DatasetError:
        guesses = []
    for guess in guesses:
        assert guess.pairs > 0 and guess.examples and guess.config.classes
        json.dumps(guess.config.to_json()).encode()
    assert {(str(file.relative_to(root)), file.read_bytes()) for file in root.rglob("*") if file.is_file()} == {
        (str(Path(folder) / name), data) for (folder, name), data in tree.items()
    }


@pytest.mark.parametrize("name", ["camvid", "landcover.ai in tiles", "dubai", "voc", "cvat", "coco", "folders"])
def test_a_dataset_with_a_file_that_is_not_text_or_image_is_still_one(name: str, tmp_path: Path) -> None:
    """Every list, table and JSON in turn is broken; what was recognised is, with less to say of it or by its rest."""
    MINIATURES[name].write(tmp_path)
    for file in [file for file in tmp_path.rglob("*") if file.suffix in (".txt", ".csv", ".json")]:
        whole = file.read_bytes()
        for broken in (b"", b"\x00\xff\xfe" * 50, b"{" * 5000, whole[: len(whole) // 2]):
            file.write_bytes(broken)
            assert all(guess.pairs > 0 for guess in recognise(tmp_path))
        file.write_bytes(whole)
    assert recognise(tmp_path)[0].layout == MINIATURES[name].layout
