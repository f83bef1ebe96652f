import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore.data.splits import (
    Split,
    fold_splits,
    folds_by_group,
    folds_fingerprint,
    groups_across_parts,
    read_split_file,
    split_by_group,
)
from segcore.errors import SplitError

Images = tuple[dict[str, str], dict[str, np.ndarray]]


@st.composite
def datasets(draw: st.DrawFn, least: int = 3) -> Images:
    sizes = draw(st.lists(st.integers(1, 6), min_size=least, max_size=15))
    classes = draw(st.integers(1, 4))
    groups = {f"image{g:02d}_{i}": f"group{g:02d}" for g, size in enumerate(sizes) for i in range(size)}
    pixels = {
        name: np.array(draw(st.lists(st.integers(0, 10**6), min_size=classes, max_size=classes))) for name in groups
    }
    return groups, pixels


@settings(max_examples=30, deadline=None)
@given(data=datasets(), val=st.floats(0.05, 0.45), test=st.sampled_from([0.0, 0.05, 0.3]), seed=st.integers(0, 99))
def test_any_split_keeps_groups_whole_and_images_once(data: Images, val: float, test: float, seed: int) -> None:
    groups, pixels = data
    split = split_by_group(groups, pixels, val=val, test=test, seed=seed)
    assert sorted(split.train + split.val + split.test) == sorted(groups)
    assert groups_across_parts(split, groups) == ()
    assert split.train and split.val and bool(split.test) == bool(test)
    shuffled = dict(reversed(list(groups.items())))
    again = split_by_group(shuffled, pixels, val=val, test=test, seed=seed)
    assert again == split and again.fingerprint == split.fingerprint


def test_parts_get_their_share_of_images_and_of_every_class() -> None:
    rng = np.random.default_rng(0)
    groups = {f"{group:02d}_{frame}": f"{group:02d}" for group in range(30) for frame in range(4)}
    of_group = {group: rng.dirichlet([0.3] * 6) for group in sorted(set(groups.values()))}
    pixels = {name: (of_group[group] * 10_000).astype(int) for name, group in groups.items()}
    split = split_by_group(groups, pixels, val=0.2, test=0.1)
    assert abs(len(split.val) - 24) <= 4 and abs(len(split.test) - 12) <= 4
    total = np.sum(list(pixels.values()), axis=0)
    share = np.sum([pixels[name] for name in split.val], axis=0) / total
    assert np.abs(share - 0.2).max() < 0.08, share


@settings(max_examples=30, deadline=None)
@given(data=datasets(least=4), k=st.integers(2, 4), sealed=st.booleans(), seed=st.integers(0, 99))
def test_folds_judge_every_image_once_and_keep_groups_whole(data: Images, k: int, sealed: bool, seed: int) -> None:
    groups, pixels = data
    test = tuple(name for name in sorted(groups) if groups[name] == "group00") if sealed else ()
    k = min(k, len(set(groups.values())) - bool(test))
    folds = folds_by_group(groups, pixels, k, test=test, seed=seed)
    used = sorted(groups.keys() - set(test))
    assert len(folds) == k
    assert sorted(name for fold in folds for name in fold.val) == used
    for fold in folds:
        assert fold.test == test
        assert sorted(fold.train + fold.val) == used
        assert groups_across_parts(fold, groups) == ()
    shuffled = dict(reversed(list(groups.items())))
    assert folds_by_group(shuffled, pixels, k, test=test, seed=seed) == folds


def test_folds_are_alike_in_images_and_in_every_class() -> None:
    rng = np.random.default_rng(0)
    groups = {f"{group:02d}_{frame}": f"{group:02d}" for group in range(30) for frame in range(4)}
    of_group = {group: rng.dirichlet([0.3] * 6) for group in sorted(set(groups.values()))}
    pixels = {name: (of_group[group] * 10_000).astype(int) for name, group in groups.items()}
    folds = folds_by_group(groups, pixels, 5)
    total = np.sum(list(pixels.values()), axis=0)
    for fold in folds:
        assert abs(len(fold.val) - 24) <= 4
        share = np.sum([pixels[name] for name in fold.val], axis=0) / total
        assert np.abs(share - 0.2).max() < 0.08, share


def test_a_class_that_as_many_groups_show_as_there_are_folds_is_in_each() -> None:
    groups = {f"{group}_{frame}": f"{group}" for group in range(10) for frame in range(3)}
    pixels = {name: np.array([1000, 100 if group in "258" else 0]) for name, group in groups.items()}
    for seed in range(5):
        folds = folds_by_group(groups, pixels, 3, seed=seed)
        assert [sum(groups[name] in "258" for name in fold.val) for fold in folds] == [3, 3, 3]


@pytest.mark.parametrize(
    ("scenes", "k", "said"),
    [
        (2, 3, "3 folds need a group of images each, and there are 2 groups"),
        (1, 2, "there is 1 group"),
        (9, 1, "1 fold"),
    ],
)
def test_too_few_groups_for_the_folds_are_counted(scenes: int, k: int, said: str) -> None:
    groups = {f"{scene}_{frame}": f"{scene}" for scene in range(scenes) for frame in range(3)}
    pixels = {name: np.array([1]) for name in groups}
    with pytest.raises(SplitError, match=said) as caught:
        folds_by_group(groups, pixels, k)
    assert caught.value.field == "folds"


def test_groups_that_are_sealed_do_not_count_for_the_folds() -> None:
    groups = {"a": "1", "b": "2", "c": "3"}
    with pytest.raises(SplitError, match="2 groups beside the test images"):
        folds_by_group(groups, {name: np.array([1]) for name in groups}, 3, test=("c",))


def test_fold_splits_train_on_all_other_parts() -> None:
    folds = fold_splits([["a"], ["b", "c"], ["d"]], test=["t"])
    assert folds[1] == Split(("a", "d"), ("b", "c"), ("t",))
    again = fold_splits([["d"], ["c", "b"], ["a"]], test=["t"])
    assert folds_fingerprint(again) == folds_fingerprint(folds)
    assert folds_fingerprint(fold_splits([["a"], ["b"], ["c", "d"]], test=["t"])) != folds_fingerprint(folds)


def test_a_class_that_only_two_groups_show_is_in_train_and_in_val() -> None:
    groups = {f"{group}_{frame}": f"{group}" for group in range(10) for frame in range(3)}
    pixels = {name: np.array([1000, 100 if group in "37" else 0]) for name, group in groups.items()}
    for seed in range(5):
        split = split_by_group(groups, pixels, val=0.2, seed=seed)
        parts = {groups[name]: part for name, part in split.part_of().items()}
        assert {parts["3"], parts["7"]} == {"train", "val"}


def test_a_class_that_one_group_shows_is_learnt_rather_than_judged() -> None:
    groups = {f"{group}_{frame}": f"{group}" for group in range(10) for frame in range(3)}
    pixels = {name: np.array([1000, 100 if group == "3" else 0]) for name, group in groups.items()}
    for seed in range(5):
        split = split_by_group(groups, pixels, val=0.3, seed=seed)
        assert split.part_of()["3_0"] == "train"


def test_a_few_thousand_images_of_their_own_group_are_split_quickly() -> None:
    rng = np.random.default_rng(0)
    groups = {f"{image:04d}": f"{image:04d}" for image in range(3000)}
    pixels = {name: rng.integers(0, 1000, 8) for name in groups}
    start = time.process_time()
    split = split_by_group(groups, pixels, val=0.2, test=0.1)
    assert time.process_time() - start < 10
    assert abs(len(split.val) - 600) < 30 and abs(len(split.test) - 300) < 30


def test_too_few_groups_say_what_to_do() -> None:
    one = {"a": "scene", "b": "scene"}
    pixels = {name: np.array([1, 1]) for name in "abcd"}
    with pytest.raises(SplitError, match=r"2 images in 1 group,.*finer grouping.*lists of names"):
        split_by_group(one, pixels)
    with pytest.raises(SplitError, match=r"1 image in 1 group,.*add images"):
        split_by_group({"a": "a"}, pixels)
    with pytest.raises(SplitError, match="ask for no test part"):
        split_by_group({"a": "1", "b": "2", "c": "2"}, pixels, test=0.2)
    both = split_by_group({"a": "1", "b": "2"}, pixels)
    assert len(both.train) == len(both.val) == 1


@pytest.mark.parametrize(
    ("val", "test", "field"), [(0, 0, "val"), (1, 0, "val"), (-0.1, 0, "val"), (0.2, -0.1, "test"), (0.5, 0.5, "val")]
)
def test_shares_that_cannot_be(val: float, test: float, field: str) -> None:
    groups = {name: name for name in "abcd"}
    with pytest.raises(SplitError) as caught:
        split_by_group(groups, {name: np.ones(2) for name in groups}, val=val, test=test)
    assert caught.value.field == field


def test_a_split_refuses_overlap_and_empty_parts() -> None:
    with pytest.raises(SplitError, match="'a' stands in train and in val"):
        Split(("a", "b"), ("a",))
    with pytest.raises(SplitError, match="no val images"):
        Split(("a",), ())
    split = Split(("b", "a"), ("c",), ("d",))
    assert Split.from_json(json.loads(json.dumps(split.to_json()))) == split
    assert split.fingerprint == Split(("a", "b"), ("c",), ("d",)).fingerprint
    assert split.fingerprint != Split(("a", "b"), ("d",), ("c",)).fingerprint


def test_groups_on_two_sides_are_named() -> None:
    split = Split(("a1", "b1"), ("a2", "c1"))
    assert groups_across_parts(split, {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}) == ("a",)


# Given splits ------------------------------------------------------------------------------------------

NAMES = ("tile1_001", "tile1_002", "tile2_001", "with.dot", "spare")
WANTED = Split(("tile1_001", "tile1_002"), ("tile2_001",), ("with.dot",))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"train": ["tile1_001", "tile1_002"], "val": ["tile2_001"], "test": ["with.dot"]}),
        json.dumps(
            {"Training": ["a/tile1_001.jpg", "tile1_002.png"], "validation": ["tile2_001"], "test": ["with.dot.png"]}
        ),
        "tile1_001,train\ntile1_002,train\ntile2_001,val\nwith.dot,test\n",
        "\ufeffname, part\r\nimages\\tile1_001.jpg, train\r\ntile1_002, train\r\n\r\n"
        "tile2_001, valid\r\nwith.dot, test\r\n",
    ],
)
def test_a_split_file_is_read_however_it_is_written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split"
    path.write_bytes(text.encode())
    assert read_split_file(path, NAMES) == WANTED


def test_a_split_is_read_from_a_folder_of_lists(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("tile1_001\ntile1_002.png\n\n")
    (tmp_path / "val.txt").write_text("tile2_001")
    (tmp_path / "test.txt").write_text("with.dot\n")
    (tmp_path / "readme.txt").write_text("not a list")
    assert read_split_file(tmp_path, NAMES) == WANTED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tile1_001,train\ntile2_01,val\n", r"no image 'tile2_01'\. Did you mean tile2_001"),
        ("tile1_001,train\ntile2_001,holdout\n", "'holdout' is no part"),
        ("tile1_001\ntile2_001\n", "is not 'name,part'"),
        ("", "no train images"),
        ("tile1_001,train\n", "no val images"),
        ("tile1_001,train\ntile1_001.jpg,val\n", "stands in train and in val"),
        ("tile1_001,train\ntile1_001.jpg,train\ntile2_001,val\n", "stands in train and in train"),
        ('{"train": ["tile1_001"', "no valid JSON"),
        ('{"train": "tile1_001"}', "must hold lists of names"),
        ('["tile1_001"]', "must hold lists of names"),
    ],
)
def test_a_bad_split_file_says_what_is_wrong_with_it(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(SplitError, match=words) as caught:
        read_split_file(path, NAMES)
    assert caught.value.field == "split_file" and str(path) in str(caught.value)


def test_a_split_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="There is no split file"):
        read_split_file(tmp_path / "none.json", NAMES)
    with pytest.raises(SplitError, match=r"no train\.txt"):
        read_split_file(tmp_path, NAMES)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SplitError, match="cannot be read"):
        read_split_file(tmp_path / "binary", NAMES)


def test_a_stem_that_several_folders_have_is_named_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("flight1/0001.jpg,train\nimages/flight2/0001.png,val\n")
    assert read_split_file(path, ["flight1__0001", "flight2__0001"]) == Split(("flight1__0001",), ("flight2__0001",))
