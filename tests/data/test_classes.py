from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segcore.config import ClassInfo
from segcore.data.classes import ClassTable, palette
from segcore.errors import ClassTableError
from tests.factories import CLASSES

TABLE = ClassTable(CLASSES)
byte = st.integers(0, 255)
colors = st.tuples(byte, byte, byte)


@st.composite
def tables(draw: st.DrawFn) -> ClassTable:
    found = draw(st.lists(colors, min_size=1, max_size=12, unique=True))
    ignored = draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)))
    rows = zip(found, ignored, strict=True)
    return ClassTable([ClassInfo(name=f"c{row}", color=color, ignore=skip) for row, (color, skip) in enumerate(rows)])


@settings(max_examples=40, deadline=None)  # 16 MB a table
@given(table=tables(), data=st.data())
def test_colors_become_labels_and_labels_colors(table: ClassTable, data: st.DataObject) -> None:
    """Every pixel of a trained class comes back in its colour; ignored ones are 255 and come back black."""
    rows = data.draw(hnp.arrays(np.int64, (4, 5), elements=st.integers(0, len(table.classes) - 1)))
    rgb = np.array([info.color for info in table.classes], np.uint8)[rows]
    labels, unknown = table.colors_to_labels(rgb)
    assert labels.dtype == np.uint8 and labels.shape == (4, 5)
    assert not unknown
    expected = np.array([[0, 0, 0] if info.ignore else info.color for info in table.classes], np.uint8)[rows]
    assert np.array_equal(palette(table.classes)[labels], expected)
    by_index, none = table.indices_to_labels(rows.astype(np.uint8))
    assert np.array_equal(by_index, labels) and not none


@settings(max_examples=40, deadline=None)  # 16 MB a table
@given(table=tables(), rgb=hnp.arrays(np.uint8, (3, 4, 3)))
def test_any_colour_is_labelled_as_a_plain_loop_would(table: ClassTable, rgb: np.ndarray) -> None:
    labels, unknown = table.colors_to_labels(rgb)
    label_of = {info.color: 255 if info.ignore else table.trained.index(info) for info in table.classes}
    pixels = [tuple(int(part) for part in pixel) for pixel in rgb.reshape(-1, 3)]
    assert labels.ravel().tolist() == [label_of.get(pixel, 255) for pixel in pixels]
    assert unknown == Counter(pixel for pixel in pixels if pixel not in label_of)


def test_pixels_are_all_counted_when_a_mask_is_read_in_pieces() -> None:
    rgb = np.zeros((3, 2**20 + 7, 3), np.uint8)
    rgb[1] = (1, 2, 3)
    rgb[2] = CLASSES[2].color
    labels, unknown = TABLE.colors_to_labels(rgb)
    assert unknown == {(1, 2, 3): 2**20 + 7}
    assert (labels[:2] == 255).all() and (labels[2] == 1).all()


def test_index_values_beyond_the_table_are_unknown_but_255_is_ignore() -> None:
    index = np.array([[0, 1, 2, 3], [4, 200, 255, 255]], np.uint8)
    labels, unknown = TABLE.indices_to_labels(index)
    assert labels.tolist() == [[255, 0, 1, 2], [255, 255, 255, 255]]
    assert unknown == {4: 1, 200: 1}
    wide, strange = TABLE.indices_to_labels(np.array([[1, 256, 60000]], np.uint16))
    assert wide.tolist() == [[0, 255, 255]] and strange == {256: 1, 60000: 1}


def test_the_palette_is_by_label_and_black_elsewhere() -> None:
    colours = palette(CLASSES)
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    assert colours[:3].tolist() == [list(info.color) for info in CLASSES[1:]]
    assert not colours[3:].any()


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "name,r,g,b\nunlabeled,0,0,0\ntree,51,51,0\n",
        "name, r, g, b\nunlabeled, 0, 0, 0\ntree, 51, 51, 0\n",
        "\ufeffName,R,G,B\r\nunlabeled,0,0,0\r\n\r\ntree,51,51,0\r\n",
        "b;g;r;name;comment\n0;0;0;unlabeled;\n0;51;51;tree;tall\n",
        "R\tG\tB\tNAME\n0\t0\t0\tunlabeled\n51\t51\t0\ttree\n",
    ],
)
def test_a_class_table_is_read_however_it_is_written(tmp_path: Path, text: str) -> None:
    table = ClassTable.read_csv(write(tmp_path / "classes.csv", text), ignore=["Unlabeled"])
    assert [(info.name, info.color, info.ignore) for info in table.classes] == [
        ("unlabeled", (0, 0, 0), True),
        ("tree", (51, 51, 0), False),
    ]
    assert table.names == ("tree",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a header"),
        ("name,r,g,b\n", "no classes"),
        ("tree,51,51,0\n", "expected a header with name, r, g and b"),
        ("name,r,g\ntree,51,51\n", "(here: b)"),
        ("name,r,g,b\ntree,51,51\n", "line 2: 'tree,51,51' is not a name and three whole numbers"),
        ("name,r,g,b\ntree,51,51,x\n", "line 2"),
        ("name,r,g,b\ntree,51,51,256\n", "outside 0-255"),
        ("name,r,g,b\n,51,51,25\n", "name"),
        ("name,r,g,b\ntree,1,2,3\ntree,4,5,6\n", "'tree' stands twice"),
        ("name,r,g,b\ntree,1,2,3\nbush,1,2,3\n", "'tree' and 'bush' both have the colour (1, 2, 3)"),
        ("name,r,g,b\n" + "".join(f"c{i},{i % 256},{i // 256},1\n" for i in range(256)), "at most 255"),
    ],
)
def test_a_bad_class_table_says_what_is_wrong_with_it(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "classes.csv", text)
    with pytest.raises(ClassTableError) as caught:
        ClassTable.read_csv(path)
    assert words in str(caught.value) and str(path) in str(caught.value)
    assert caught.value.field == "classes"


def test_a_class_table_that_is_missing_a_folder_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ClassTableError, match="There is no class table"):
        ClassTable.read_csv(tmp_path / "none.csv")
    with pytest.raises(ClassTableError, match="cannot be read"):
        ClassTable.read_csv(tmp_path)
    with pytest.raises(ClassTableError, match="no UTF-8"):
        ClassTable.read_csv(write(tmp_path / "utf16.csv", "name,r,g,b\nBäume,1,2,3\n", "utf-16"))


def test_an_ignored_class_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "classes.csv", "name,r,g,b\nunlabeled,0,0,0\ntree,51,51,0\n")
    with pytest.raises(ClassTableError, match="Did you mean unlabeled") as caught:
        ClassTable.read_csv(path, ignore=["unlabelled"])
    assert caught.value.field == "ignore"


def test_ignored_classes_may_share_a_colour() -> None:
    table = ClassTable(
        [
            ClassInfo(name="a", color=(0, 0, 0), ignore=True),
            ClassInfo(name="b", color=(0, 0, 0), ignore=True),
            ClassInfo(name="c", color=(1, 1, 1)),
        ]
    )
    assert table.names == ("c",)
