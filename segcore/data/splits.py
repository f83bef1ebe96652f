"""Train, validation and test images, or folds: divided by group, so that no scene stands on two sides.

Frames of one scene are near-copies of each other; with some in train and some in val every score is
inflated. So whole groups are dealt out, and among the ways to do it one is sought in which every part
has its share of the images and of every class.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segcore.data.balance import ABSENCE, deal
from segcore.data.pairing import MAX_NAME_BYTES
from segcore.errors import SplitError, nearest
from segcore.files import read_limited
from segcore.text import percent, plural

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Names (stems) of the images for training, validation and, sealed until opened, test."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = {"train": self.train, "val": self.val, "test": self.test}
        for part in ("train", "val"):
            if not parts[part]:
                raise SplitError(f"The split has no {part} images; train and val need at least one each.")
        seen: dict[str, str] = {}
        for part, names in parts.items():
            for name in names:
                if name in seen:
                    raise SplitError(f"Image {name!r} stands in {seen[name]} and in {part}; it may stand once.")
                seen[name] = part

    @property
    def fingerprint(self) -> str:
        """Hash of the lists; the order of names within a part does not matter."""
        value = [sorted(self.train), sorted(self.val), sorted(self.test)]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]

    def part_of(self) -> dict[str, str]:
        """Return image name -> "train", "val" or "test"."""
        return {name: part for part in PARTS for name in getattr(self, part)}

    def to_json(self) -> dict[str, Any]:
        return {"train": list(self.train), "val": list(self.val), "test": list(self.test)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Split:
        """Rebuild a split written by `to_json`.

        Raises:
            SplitError: the value holds no lists for train and val.
        """
        parts = [value.get("train"), value.get("val"), value.get("test", [])]
        if not all(isinstance(part, list) and all(isinstance(name, str) for name in part) for part in parts):
            raise SplitError("This is no split, lists of names for train, val and test.")
        return cls(*map(tuple, parts))

    def moved(self, names: Iterable[str], part: str) -> Split:
        """Return this split with some images in another part, whether they stood in one before or in none.

        Raises:
            SplitError: there is no such part (field "part"), or train or val would be left empty.
        """
        if part not in PARTS:
            raise SplitError(f"{part!r} is no part; the parts are {', '.join(PARTS)}.", field="part")
        moving = set(names)
        lists = {one: [name for name in getattr(self, one) if name not in moving] for one in PARTS}
        lists[part] += sorted(moving)
        return Split(*(tuple(lists[one]) for one in PARTS))


def split_by_group(
    groups: Mapping[str, str],
    class_pixels: Mapping[str, np.ndarray],
    *,
    val: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
) -> Split:
    """Divide images by group, the parts as alike in size and classes as the groups allow.

    The same input always gives the same split. Where several splits are about equally balanced, `seed`
    decides between them; where one is clearly best, every seed finds it.

    Args:
        groups: image name -> the name of its group.
        class_pixels: image name -> pixels of each class, integers of shape (C,).
        val: share of the images for validation, above 0.
        test: share of the images for test; 0 for no test part.
        seed: of the search.

    Raises:
        SplitError: shares that leave nothing to train on, or fewer groups than parts.
    """
    shares = _shares(val, test)
    names = sorted(groups)
    found = len(set(groups.values()))
    if found < len(shares):
        raise SplitError(_too_few(len(names), found, len(shares)), field="val")
    part_of = _dealt(names, groups, class_pixels, shares, seed, ABSENCE)
    return Split(*(tuple(name for name in names if part_of[name] == part) for part in range(len(PARTS))))


def _dealt(
    names: Sequence[str],
    groups: Mapping[str, str],
    class_pixels: Mapping[str, np.ndarray],
    shares: Sequence[float],
    seed: int,
    absence: Sequence[float],
) -> dict[str, int]:
    """Deal whole groups out to parts of these shares; return the part of each image."""
    group_names = sorted({groups[name] for name in names})
    index = {group: position for position, group in enumerate(group_names)}
    rows = np.array([index[groups[name]] for name in names])
    columns = np.array([class_pixels[name] for name in names], dtype=np.float64).reshape(len(names), -1)
    amounts = np.zeros((len(group_names), columns.shape[1] + 1))
    np.add.at(amounts[:, 0], rows, 1.0)
    np.add.at(amounts[:, 1:], rows, columns)
    part_of_group = deal(amounts, np.array(shares), seed, absence)
    return {name: int(part_of_group[row]) for name, row in zip(names, rows, strict=True)}


def folds_by_group(
    groups: Mapping[str, str],
    class_pixels: Mapping[str, np.ndarray],
    k: int,
    *,
    test: Iterable[str] = (),
    seed: int = 0,
) -> list[Split]:
    """Divide images into k folds by group, alike in size and classes; each fold is judged on its part in turn.

    Every image but those of `test` stands in val of exactly one fold and in train of all others. The same input always
    gives the same folds.

    Args:
        groups: image name -> the name of its group.
        class_pixels: image name -> pixels of each class, integers of shape (C,).
        k: how many folds, 2 or more.
        test: images that no fold trains or is judged on: they stay sealed, as test of every fold.
        seed: decides between ways to divide that are about equally balanced.

    Raises:
        SplitError: fewer than two folds, or fewer groups than folds (field "folds").
    """
    if k < 2:
        raise SplitError(f"{k} folds leave nothing to train on; ask for 2 or more.", field="folds")
    sealed = tuple(test)
    names = sorted(groups.keys() - set(sealed))
    found = len({groups[name] for name in names})
    if found < k:
        beside = " beside the test images" if sealed else ""
        way_out = f"ask for at most {found} folds" if found > 1 else "ask for no folds"
        raise SplitError(
            f"{k} folds need a group of images each, and there {'is' if found == 1 else 'are'} "
            f"{plural(found, 'group')}{beside} ({plural(len(names), 'image')}). To go on, {way_out}, or add images of "
            "other scenes.",
            field="folds",
        )
    # A class that a fold's val lacks cannot be judged there; all parts are val once.
    part_of = _dealt(names, groups, class_pixels, [1 / k] * k, seed, [ABSENCE[1]] * k)
    return fold_splits([[name for name in names if part_of[name] == fold] for fold in range(k)], sealed)


def fold_splits(parts: Sequence[Sequence[str]], test: Sequence[str] = ()) -> list[Split]:
    """Return one split a fold: judged on its part, trained on all other parts, `test` sealed in each.

    Args:
        parts: names of each fold's own images.
        test: names of images that stand in no part.
    """
    return [
        Split(
            tuple(name for other, names in enumerate(parts) if other != fold for name in names), tuple(own), tuple(test)
        )
        for fold, own in enumerate(parts)
    ]


def folds_fingerprint(folds: Sequence[Split]) -> str:
    """Return a hash of all folds; neither the order of names within a part nor that of the folds matters."""
    return hashlib.sha256(json.dumps(sorted(fold.fingerprint for fold in folds)).encode()).hexdigest()[:16]


def _shares(val: float, test: float) -> list[float]:
    """Return the shares of train, val and, where there is one, test."""
    for field, share, allowed in (("val", val, 0 < val < 1), ("test", test, 0 <= test < 1)):
        if not allowed:
            least = "above 0" if field == "val" else "0 or more"
            raise SplitError(f"The {field} share is {share:g}; it must be {least} and below 1.", field=field)
    if val + test >= 1:
        raise SplitError(
            f"A val share of {val:g} and a test share of {test:g} leave no images to train on.", field="val"
        )
    return [1 - val - test, val, test] if test else [1 - val, val]


def shares_text(val: float, test: float) -> str:
    """Return shares as people read them: "20 % val", "20 % val, 10 % test"."""
    return f"{percent(val, 0)} val" + (f", {percent(test, 0)} test" if test else "")


def _too_few(images: int, groups: int, parts: int) -> str:
    wanted = "train and val" if parts == 2 else "train, val and test"
    found = f"{images} image{'s' if images != 1 else ''} in {groups} group{'s' if groups != 1 else ''}"
    way_out = "add images" if images < parts else "give a finer grouping, add images of another scene"
    without_test = " ask for no test part," if parts == 3 and groups >= 2 else ""
    return (
        f"There are {found}, but {wanted} need a group each. To go on,{without_test} {way_out}, or give the split "
        "yourself as lists of names."
    )


def groups_across_parts(split: Split, groups: Mapping[str, str]) -> tuple[str, ...]:
    """Return the groups that stand in more than one part: near-copies of training images are then judged."""
    seen: dict[str, set[str]] = {}
    for name, part in split.part_of().items():
        if name in groups:
            seen.setdefault(groups[name], set()).add(part)
    return tuple(sorted(group for group, parts in seen.items() if len(parts) > 1))


# Splits given by the user -----------------------------------------------------------------------------

PART_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


_MAX_BYTES = 16 * 10**6
"""A list of some 200,000 names; what is larger is no list of this dataset's images."""


def read_split_file(path: Path | str, names: Iterable[str]) -> Split:
    """Read a split that was made elsewhere.

    Three forms are understood: JSON `{"train": [...], "val": [...], "test": [...]}`; a CSV with one
    `name,part` a line (a header is allowed); a folder with `train.txt`, `val.txt` and perhaps
    `test.txt`, one name a line. A name may carry a folder and a suffix, as `images/tile1_001.jpg`. Images
    that stand in no list are in no part.

    Args:
        path: file or folder.
        names: the names (stems) of the dataset's images.

    Raises:
        SplitError: missing, over 16 MB or not understood, or a name that is not in the dataset.
    """
    path = Path(path)
    known = set(names)
    try:
        lists = _read_folder(path) if path.is_dir() else _read_lists(path)
    except FileNotFoundError as error:
        raise SplitError(f"There is no split file {path}.", field="split_file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"The split file {path} cannot be read: {error}.", field="split_file") from error
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for part, entries in lists.items():
        target = PART_NAMES.get(part.strip().lower())
        if target is None:
            raise SplitError(f"{path}: {part[:80]!r} is no part; parts are train, val and test.", field="split_file")
        parts[target] += [_known_name(entry, known, path) for entry in entries]
    try:
        return Split(*(tuple(parts[part]) for part in PARTS))
    except SplitError as error:
        raise SplitError(f"{path}: {error}", field="split_file") from error


def _known_name(entry: str, known: set[str], path: Path) -> str:
    entry = entry.strip()
    file = PurePosixPath(entry.replace("\\", "/"))
    # Images of one stem in several folders are named by folder and stem: "flight1__0001".
    folders = file.with_suffix("").parts if file.name else ()
    longer = ("__".join(folders[start:]) for start in range(len(folders)))
    for candidate in (entry, file.name, file.stem, *longer):
        if candidate in known:
            return candidate
    shown, stem = entry[:MAX_NAME_BYTES], file.stem[:MAX_NAME_BYTES]
    raise SplitError(f"{path}: the dataset has no image {shown!r}.{nearest(stem, known)}", field="split_file")


def _read_folder(path: Path) -> dict[str, list[str]]:
    files = {file.stem: file for file in sorted(path.glob("*.txt")) if file.stem.lower() in PART_NAMES}
    if not files:
        raise SplitError(f"{path} holds no train.txt and val.txt.", field="split_file")
    return {
        part: [line for line in read_limited(file, _MAX_BYTES).splitlines() if line.strip()]
        for part, file in files.items()
    }


def _read_lists(path: Path) -> dict[str, list[str]]:
    text = read_limited(path, _MAX_BYTES)
    if text.lstrip().startswith(("{", "[")):
        return _parse_json(text, path)
    lists: dict[str, list[str]] = {}
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if any(cell.strip() for cell in row)]
    for number, row in enumerate(rows):
        if number == 0 and [cell.strip().lower() for cell in row[:2]] in (["name", "part"], ["name", "split"]):
            continue
        if len(row) < 2:
            raise SplitError(
                f"{path}: {','.join(row)[:80]!r} is not 'name,part'. Give a CSV of name,part, a JSON object of lists, "
                "or a folder with train.txt and val.txt.",
                field="split_file",
            )
        lists.setdefault(row[1].strip(), []).append(row[0])
    return lists


def _parse_json(text: str, path: Path) -> dict[str, list[str]]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SplitError(f"{path} is no valid JSON: {error}.", field="split_file") from error
    if not isinstance(value, dict) or not all(
        isinstance(entries, list) and all(isinstance(entry, str) for entry in entries) for entries in value.values()
    ):
        raise SplitError(
            f'{path} must hold lists of names: {{"train": [...], "val": [...], "test": [...]}}.', field="split_file"
        )
    return value
