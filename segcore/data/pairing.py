"""Which mask belongs to which image: by file stem or by what two expressions capture, never by listing order."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segcore.config import DatasetConfig
from segcore.errors import DatasetError
from segcore.text import plural, printable

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
MAX_NAME_BYTES = 200
"""Names of images become parts of file names (previews), which most file systems limit to 255 bytes."""


@dataclass(frozen=True)
class Pair:
    """An image and its mask."""

    name: str
    """The stem, unique in its dataset; with its folders before it where another folder has the same stem."""
    image: Path
    mask: Path
    group: str
    """Its scene: images of one group are never divided between train, val and test."""


@dataclass(frozen=True)
class Pairing:
    """The pairs of two folders, sorted by name, and what could not be paired."""

    pairs: tuple[Pair, ...]
    images: int
    """How many image files were found, paired or not."""
    images_without_mask: tuple[Path, ...] = ()
    masks_without_image: tuple[Path, ...] = ()
    duplicates: tuple[Path, ...] = ()
    """Files that share their stem with another of their kind, so that it is open which belongs to which."""
    unusable_names: tuple[Path, ...] = ()
    """Files whose names are longer than 200 bytes, no valid text, or hold control characters."""
    astray: tuple[Path, ...] = ()
    """Links that lead out of both folders: what was named is read, and nothing else."""
    ungrouped: tuple[str, ...] = ()
    """Names that the regular expression does not match; each is a group of its own."""


def pair_dataset(config: DatasetConfig) -> Pairing:
    """Pair the images of a dataset with its masks; see `pair_files`."""
    return pair_files(
        config.images,
        config.masks,
        group_regex=config.group_regex,
        group_by_folder=config.group_by_folder,
        image_regex=config.image_regex,
        mask_regex=config.mask_regex,
    )


def pair_files(
    images: Path,
    masks: Path,
    *,
    group_regex: str | None = None,
    group_by_folder: bool = False,
    image_regex: str | None = None,
    mask_regex: str | None = None,
) -> Pairing:
    """Pair the images under one folder with the masks under another.

    Sub-folders are searched; hidden files are left out. Where a stem stands in several sub-folders, the
    folders must be the same on both sides (`flight1/0001.jpg` with `flight1/0001.png`) and become part of the name
    (`flight1__0001`).

    With `image_regex` and `mask_regex` only files count whose whole path below their folder, with forward slashes, the
    expression matches; those belong together whose captured groups are equal, and both folders may be the same.

    Args:
        images: folder of the images.
        masks: folder of the masks.
        group_regex: searched in the stem, or with `image_regex` in the path below `images` without its suffix; its
            first group, or the whole match, names the image's group.
        group_by_folder: the image's folder below `images` names its group.
        image_regex: matches the paths of the images.
        mask_regex: matches the paths of the masks; given where `image_regex` is.

    Raises:
        DatasetError: a folder is missing or holds no images, nothing pairs, or an expression matches nothing.
    """
    image_files, mask_files = find_files(images, masks, image_regex=image_regex, mask_regex=mask_regex)
    unusable = {file for file in (*image_files, *mask_files) if not _usable_name(file)}
    astray = _astray({*image_files, *mask_files} - unusable, images, masks)
    left_out = unusable | astray
    image_of, image_duplicates = _by_key(images, (file for file in image_files if file not in left_out), image_regex)
    mask_of, mask_duplicates = _by_key(masks, (file for file in mask_files if file not in left_out), mask_regex)
    if image_regex is None:
        matched, ambiguous = _match(image_of, mask_of)
    else:
        matched, ambiguous = {key: key for key in image_of if key in mask_of}, set()
    names = _unique_names(list(matched), image_of)
    pairs, ungrouped = [], []
    for key, mask_key in matched.items():
        group = _group(image_of[key], images, group_regex, group_by_folder, whole_path=image_regex is not None)
        if group is None:
            ungrouped.append(names[key])
        pairs.append(Pair(names[key], image_of[key], mask_of[mask_key], names[key] if group is None else group))
    if not pairs and left_out:
        raise DatasetError(_all_left_out(unusable, astray), field="images")
    _check_pairs(pairs, ungrouped, image_of, mask_of, group_regex, image_regex)
    lone_images = {file for key, file in image_of.items() if key not in matched} - ambiguous
    lone_masks = set(mask_of.values()) - {pair.mask for pair in pairs} - ambiguous
    return Pairing(
        pairs=tuple(sorted(pairs, key=lambda pair: pair.name)),
        images=len(image_files),
        images_without_mask=tuple(sorted(lone_images)),
        masks_without_image=tuple(sorted(lone_masks)),
        duplicates=tuple(sorted({*image_duplicates, *mask_duplicates, *ambiguous})),
        unusable_names=tuple(sorted(unusable)),
        astray=tuple(sorted(astray)),
        ungrouped=tuple(sorted(ungrouped)) if group_regex else (),
    )


def find_files(
    images: Path, masks: Path, *, image_regex: str | None = None, mask_regex: str | None = None
) -> tuple[list[Path], list[Path]]:
    """Return the image files under both folders, sorted, hidden ones left out; see `pair_files`.

    Raises:
        DatasetError: a folder is missing, holds no image files or may not be read, an expression matches none, or
            both are the same without expressions that tell images from masks.
    """
    for field, folder in (("images", images), ("masks", masks)):
        if not folder.is_dir():
            problem = "is a file, not a folder" if folder.exists() else "does not exist"
            raise DatasetError(f"The {field} folder {folder} {problem}.", field=field)
    if image_regex is not None and mask_regex is not None:
        return (
            _matching(images, image_regex, "image_regex", "images"),
            _matching(masks, mask_regex, "mask_regex", "masks"),
        )
    if images.resolve() == masks.resolve():
        raise DatasetError(
            f"Images and masks must be two folders, both are {images}. Give two, or expressions that tell image files "
            "from mask files.",
            field="masks",
        )
    found = []
    for field, folder, other in (("images", images, masks), ("masks", masks, images)):
        files = _list_files(folder, other)
        if not files:
            raise DatasetError(
                f"The {field} folder {folder} holds no image files; looked for {', '.join(sorted(SUFFIXES))}.",
                field=field,
            )
        found.append(files)
    return found[0], found[1]


def linked_folders(*roots: Path) -> list[Path]:
    """Return the links to folders below some folders, hidden ones left out, sorted. None of them is searched."""
    found: set[Path] = set()
    for root in roots:
        for directory, folders, _ in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found.update(path for name in folders if (path := Path(directory, name)).is_symlink())
    return sorted(found)


def not_followed(links: Sequence[str]) -> str:
    """Say which linked folders were not searched, and what to do."""
    names = printable(", ".join(links[:3]), lines=False) + (f" and {len(links) - 3} more" if len(links) > 3 else "")
    return (
        f"{plural(len(links), 'linked folder was', 'linked folders were')} not followed: {names}. Put the folder "
        "itself there, or name the one that the link leads to."
    )


def image_names(folder: Path) -> dict[Path, str]:
    """Return what the images under a folder are called in a dataset; files that cannot be told apart are left out.

    Raises:
        DatasetError: a sub-folder may not be read.
    """
    image_of, _ = _by_key(folder, filter(_usable_name, _list_files(folder)), None)
    names = _unique_names(list(image_of), image_of)
    return {image_of[key]: name for key, name in names.items()}


def image_groups(config: DatasetConfig, names: Mapping[Path, str]) -> dict[Path, str]:
    """Return the group of each image as `config` tells it; its name where nothing does.

    Raises:
        DatasetError: there is an expression for groups, and it matches none of them.
    """
    found = {
        image: _group(image, config.images, config.group_regex, config.group_by_folder, whole_path=False)
        for image in names
    }
    if config.group_regex and found and not any(found.values()):
        raise _matches_no_name(config.group_regex, next(iter(found)))
    return {image: names[image] if group is None else group for image, group in found.items()}


def scenes_of(pairs: Iterable[Pair], given: Mapping[str, str]) -> dict[str, str]:
    """Return the scene of each image by name: the one given to it, else that of its group.

    Where the images of a group were all given one scene, as where overlapping groups were put together, whoever joins
    the group later, or was left out meanwhile, is of that scene, too.

    Args:
        pairs: all that there are, also those that are not used.
        given: image name -> scene, of some of them.
    """
    pairs = list(pairs)
    scenes: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.name in given:
            scenes[pair.group].add(given[pair.name])
    own = {group: found.pop() if len(found) == 1 else group for group, found in scenes.items()}
    return {pair.name: given.get(pair.name, own.get(pair.group, pair.group)) for pair in pairs}


def _matches_no_name(regex: str, example: Path) -> DatasetError:
    return DatasetError(
        f"The regular expression {regex!r} matches no image name, e.g. not {example.stem!r}. Correct it, or give none "
        "to make every image a group of its own.",
        field="group_regex",
    )


def _matching(folder: Path, regex: str, field: str, what: str) -> list[Path]:
    """Return the image files under `folder` whose paths below it match `regex`, sorted."""
    files = _list_files(folder)
    matches = re.compile(regex).fullmatch
    found = [file for file in files if matches(path_below(folder, file))]
    if not found:
        example = f", such as {path_below(folder, files[0])}" if files else ""
        raise DatasetError(
            f"The regular expression for {what}, {regex!r}, matches none of the {len(files)} image files below "
            f"{folder}{example}. It must match the whole path below the folder, with forward slashes. Correct it.",
            field=field,
        )
    return found


def _list_files(folder: Path, without: Path | None = None) -> list[Path]:
    """Return the image files under `folder`, sorted, leaving out hidden ones and the folder `without`."""

    def refuse(error: OSError) -> None:
        raise DatasetError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error

    skipped = without.resolve() if without is not None else None
    files: list[tuple[list[str], Path]] = []
    for directory, folders, names in os.walk(folder, onerror=refuse):
        here = Path(directory)
        folders[:] = [name for name in folders if not name.startswith(".")]
        if skipped is not None:
            folders[:] = [name for name in folders if (here / name).resolve() != skipped]
        files += [
            ([*here.parts, name], here)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 (100,000 of them)
        ]
    return [here / parts[-1] for parts, here in sorted(files)]


def path_below(folder: Path, file: Path) -> str:
    """Return the path of a file below a folder, with forward slashes; ten times as fast as `relative_to`."""
    start, text = f"{folder}{os.sep}", str(file)
    below = text.removeprefix(start) if text.startswith(start) else str(file.relative_to(folder))
    return below.replace(os.sep, "/")


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _usable_name(file: Path) -> bool:
    try:
        str(file).encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return len(file.stem.encode()) <= MAX_NAME_BYTES and not _CONTROL.search(str(file))


def _astray(files: Iterable[Path], *roots: Path) -> set[Path]:
    """Return the links among the files that lead out of all `roots`."""
    links = [file for file in files if file.is_symlink()]
    allowed = [root.resolve() for root in roots]
    # Not Path.resolve, which raises where a link leads to itself; reading it will say so.
    ends = {link: Path(os.path.realpath(link)) for link in links}
    return {link for link, end in ends.items() if not any(end.is_relative_to(root) for root in allowed)}


Key = tuple[str, ...]
"""Folders below the root and stem, or what an expression captures; in one Unicode form: systems store 'ü' in two."""


def _by_key(root: Path, files: Iterable[Path], regex: str | None) -> tuple[dict[Key, Path], list[Path]]:
    """Return the files by key; those whose key is not theirs alone apart."""
    found: dict[Key, list[Path]] = defaultdict(list)
    for file in files:
        below = path_below(root, file)
        match = re.fullmatch(regex, below) if regex is not None else None
        parts = [part or "" for part in match.groups()] if match else below.removesuffix(file.suffix).split("/")
        found[tuple(unicodedata.normalize("NFC", part) for part in parts)].append(file)
    single = {key: same[0] for key, same in found.items() if len(same) == 1}
    return single, [file for same in found.values() if len(same) > 1 for file in same]


def _match(image_of: dict[Key, Path], mask_of: dict[Key, Path]) -> tuple[dict[Key, Key], set[Path]]:
    """Return image key -> mask key, and the files whose stem has several candidates and no folder tells."""
    by_stem: dict[str, tuple[list[Key], list[Key]]] = defaultdict(lambda: ([], []))
    for side, keys in enumerate((image_of, mask_of)):
        for key in keys:
            by_stem[key[-1]][side].append(key)
    matched: dict[Key, Key] = {}
    ambiguous: set[Path] = set()
    for image_keys, mask_keys in by_stem.values():
        if len(image_keys) == len(mask_keys) == 1:
            matched[image_keys[0]] = mask_keys[0]
            continue
        same = set(image_keys) & set(mask_keys)
        matched.update({key: key for key in same})
        if image_keys and mask_keys:
            ambiguous.update(image_of[key] for key in image_keys if key not in same)
            ambiguous.update(mask_of[key] for key in mask_keys if key not in same)
    return matched, ambiguous


def _unique_names(keys: list[Key], image_of: dict[Key, Path]) -> dict[Key, str]:
    """Name each pair by its stem; where a stem stands in several folders, by folders and stem."""
    stem_of = {key: unicodedata.normalize("NFC", file.stem) for key, file in image_of.items()}
    stems = Counter(stem_of.values())
    taken = set(stems)
    names = {}
    for key in sorted(keys):
        name = stem_of[key]
        if stems[name] > 1:
            name = "__".join(part.replace("/", "__") for part in key)
            if name in taken or len(name.encode()) > MAX_NAME_BYTES:
                name = f"{hashlib.sha256('/'.join(key).encode()).hexdigest()[:8]}__{stem_of[key]}"
            taken.add(name)
        names[key] = name
    return names


def _group(image: Path, root: Path, regex: str | None, by_folder: bool, *, whole_path: bool) -> str | None:
    """Return the group of an image; None where nothing names one."""
    if by_folder:
        return unicodedata.normalize("NFC", path_below(root, image).rpartition("/")[0] or ".")
    text = path_below(root, image).removesuffix(image.suffix) if whole_path else image.stem
    match = re.search(regex, unicodedata.normalize("NFC", text)) if regex else None
    if match is None:
        return None
    return match.group(1) if match.re.groups else match.group()


def _all_left_out(unusable: set[Path], astray: set[Path]) -> str:
    """Say why nothing is left where files had to be left out."""
    example = printable(str(min(unusable | astray)), lines=False)
    return (
        f"No image has a mask, with {len(unusable)} files left out as their names are too long (over 200 bytes), not "
        f"valid text, or hold control characters, and {len(astray)} as they are links out of the folders: {example}. "
        "Rename them; put files in the place of links, or name the folder that these lead to."
    )


def _check_pairs(
    pairs: list[Pair],
    ungrouped: list[str],
    image_of: dict[Key, Path],
    mask_of: dict[Key, Path],
    regex: str | None,
    image_regex: str | None,
) -> None:
    if not pairs:
        rule = (
            "share no stem. Give each mask the name of its image, up to the suffix"
            if image_regex is None
            else "have no captured groups in common. Correct the expressions so that what they capture is equal"
        )
        examples = [next((file.name for file in files.values()), "none usable") for files in (image_of, mask_of)]
        raise DatasetError(
            f"No image has a mask: {len(image_of)} images (e.g. {examples[0]}) and {len(mask_of)} masks (e.g. "
            f"{examples[1]}) {rule}.",
            field="masks",
        )
    if regex and len(ungrouped) == len(pairs):
        raise _matches_no_name(regex, pairs[0].image)
