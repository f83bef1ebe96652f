"""Broken datasets for tests/data/test_fuzz.py: every form a file may have, every fault, and what is then true.

A dataset is planned (`Plan`), built into a folder (`build`), and the plan knows what must be found there: names that
are usable for certain, names that may be, and the pixels of each class.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from segcore.config import ClassInfo

SIDE = 8
TABLE: tuple[ClassInfo, ...] = (
    ClassInfo(name="void", color=(0, 0, 0), ignore=True),
    ClassInfo(name="grass", color=(0, 102, 0)),
    ClassInfo(name="[bold]roof[/]", color=(70, 70, 70)),
    ClassInfo(name="<b>water</b>", color=(28, 42, 168)),
)
COLORS = np.array([info.color for info in TABLE], np.uint8)


def png(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels), "PNG")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


# Forms: all of them sound -----------------------------------------------------------------------------

Form = tuple[str, Callable[[np.ndarray], bytes]]
"""Suffix, and what the file holds: of an image its RGB pixels, of a mask the rows of the class table."""


def _turned(rgb: np.ndarray) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(rgb), "JPEG", exif=exif)


def _paletted(rows: np.ndarray, colors: np.ndarray) -> bytes:
    image = Image.fromarray(rows.astype(np.uint8))
    image.putpalette(colors.astype(np.uint8).ravel().tolist())
    return encoded(image, "PNG")


IMAGES: Mapping[str, Form] = {
    "png": (".png", png),
    "jpeg": (".JPG", lambda rgb: encoded(Image.fromarray(rgb), "JPEG")),
    "grey": (".png", lambda rgb: png(rgb[..., 0])),
    "16 bits": (".tif", lambda rgb: encoded(Image.fromarray(rgb[..., 0].astype(np.uint16) * 257), "TIFF")),
    "16 bits, png": (".png", lambda rgb: png(rgb[..., 0].astype(np.uint16) * 257)),
    "alpha": (".png", lambda rgb: encoded(Image.fromarray(rgb).convert("RGBA"), "PNG")),
    "grey and alpha": (".png", lambda rgb: encoded(Image.fromarray(rgb).convert("LA"), "PNG")),
    "palette": (".bmp", lambda rgb: encoded(Image.fromarray(rgb).convert("P"), "BMP")),
    "1 bit": (".png", lambda rgb: encoded(Image.fromarray(rgb).convert("1"), "PNG")),
    "cmyk": (".jpeg", lambda rgb: encoded(Image.fromarray(rgb).convert("CMYK"), "JPEG")),
    "ycbcr": (".tiff", lambda rgb: encoded(Image.fromarray(rgb).convert("YCbCr"), "TIFF")),
    "lab": (".tif", lambda rgb: encoded(Image.fromarray(rgb).convert("LAB"), "TIFF")),
    "webp": (".webp", lambda rgb: encoded(Image.fromarray(rgb), "WEBP")),
    "turned": (".jpg", _turned),
    "wrong suffix": (".png", lambda rgb: encoded(Image.fromarray(rgb), "JPEG")),
    "several pages": (
        ".tif",
        lambda rgb: encoded(Image.fromarray(rgb), "TIFF", save_all=True, append_images=[Image.new("L", (3, 3))]),
    ),
}
Style = Literal["colors", "index"]
MASKS: Mapping[Style, Mapping[str, Form]] = {
    "colors": {
        "png": (".png", lambda rows: png(COLORS[rows])),
        "alpha": (".PNG", lambda rows: encoded(Image.fromarray(COLORS[rows]).convert("RGBA"), "PNG")),
        "palette": (".png", lambda rows: _paletted(3 - rows, COLORS[::-1])),
        "cmyk": (".tif", lambda rows: encoded(Image.fromarray(COLORS[rows]).convert("CMYK"), "TIFF")),
        "bmp": (".bmp", lambda rows: encoded(Image.fromarray(COLORS[rows]), "BMP")),
        "webp": (".webp", lambda rows: encoded(Image.fromarray(COLORS[rows]), "WEBP", lossless=True)),
        "wrong suffix": (".jpg", lambda rows: png(COLORS[rows])),
    },
    "index": {
        "grey": (".png", lambda rows: png(rows.astype(np.uint8))),
        "16 bits": (".png", lambda rows: png(rows.astype(np.uint16))),
        "grey in rgb": (".tif", lambda rows: encoded(Image.fromarray(_thrice(rows)), "TIFF")),
        "grey and alpha": (".png", lambda rows: encoded(Image.fromarray(rows.astype(np.uint8)).convert("LA"), "PNG")),
        "palette of other colours": (".png", lambda rows: _paletted(rows, COLORS // 2 + 7)),
    },
}


def _thrice(rows: np.ndarray) -> np.ndarray:
    return np.repeat(rows[..., None], 3, axis=2).astype(np.uint8)


# Faults -----------------------------------------------------------------------------------------------

OUTSIDE = "outside"
"""Name of the folder beside the dataset to which links lead."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims these dimensions."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(bytes(99))) + _chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """A PNG with a text that is small in the file and 90 MB unpacked."""
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(90_000_000), 9))
    return encoded(Image.new("RGB", (SIDE, SIDE)), "PNG", pnginfo=info)


TEXT_BOMB = text_bomb()


def _link_outside(file: Path, data: bytes) -> None:
    target = file.parents[2] / OUTSIDE / file.with_suffix(".png").name
    target.write_bytes(data)
    file.symlink_to(target)


def _link_to_itself(file: Path, _data: bytes) -> None:
    file.symlink_to(file.name)


def _closed(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    file.chmod(0)


Fault = Callable[[Path, bytes], None]
"""Puts something broken where a file should be, given what a sound file would hold."""

FAULTS: Mapping[str, Fault] = {
    "missing": lambda _file, _data: None,
    "empty": lambda file, _data: _write(file, b""),
    "first half": lambda file, data: _write(file, data[: len(data) // 2]),
    "text": lambda file, _data: _write(file, b"GIF? no. " * 9),
    "git lfs": lambda file, _data: _write(file, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "postscript": lambda file, _data: _write(file, encoded(Image.new("RGB", (SIDE, SIDE)), "EPS")),
    "pdf": lambda file, _data: _write(file, encoded(Image.new("RGB", (SIDE, SIDE)), "PDF")),
    "folder": lambda file, _data: file.mkdir(),
    "pipe": lambda file, _data: os.mkfifo(file),
    "dangling link": lambda file, _data: file.symlink_to("nowhere.png"),
    "link to itself": _link_to_itself,
    "link outside": _link_outside,
    "link to a device": lambda file, _data: file.symlink_to("/dev/zero"),
    "closed": _closed,
    "bomb": lambda file, _data: _write(file, claiming(50_000, 50_000)),
    "claims more than it has": lambda file, _data: _write(file, claiming(SIDE, 10_000)),
    "text bomb": lambda file, _data: _write(file, TEXT_BOMB),
    "other size": lambda file, _data: _write(file, png(np.zeros((SIDE, 2 * SIDE, 3), np.uint8))),
    "floating point": lambda file, _data: _write(
        file, encoded(Image.fromarray(np.zeros((SIDE, SIDE), np.float32)), "TIFF")
    ),
    "32 bits": lambda file, _data: _write(file, encoded(Image.fromarray(np.zeros((SIDE, SIDE), np.int32)), "TIFF")),
}
"""After each of them the pair cannot be used."""
MASK_FAULTS: Mapping[str, Fault] = {
    "unknown colour": lambda file, _data: _write(file, png(np.full((SIDE, SIDE, 3), (1, 2, 3), np.uint8))),
    "all ignored": lambda file, _data: _write(file, png(np.full((SIDE, SIDE, 3), 255, np.uint8))),
}
WORKLESS = frozenset({"closed"}) if os.geteuid() == 0 else frozenset()
"""Faults that are none for this user: root reads everything."""
SILENT = frozenset({"missing", "folder"})
"""Faults after which there is no file that a problem could name."""


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


# Plans ------------------------------------------------------------------------------------------------

USABLE_NAMES = (
    "tile", "<img src=x onerror=alert(1)>", "[red]x[link=http:", "..", "a..b", "-rf", "%2e%2e%2f", "$(reboot)`x`",
    "ünï 日本", "x" * 190, "'; drop", "C:\\x", "\u202egnp", "COM1", " ", "*_`#|~",
)  # fmt: skip
UNUSABLE_NAMES = (b"a\nb", b"\x1b[31mred", b"caf\xe9", b"\xff\xfe", b"x" * 201, b"bell\x07", b"\xc2\x9b2J", b"a\r")


@dataclass(frozen=True)
class PlannedPair:
    stem: bytes
    image: str
    mask: str
    """Forms, of IMAGES and of MASKS."""
    image_fault: str | None
    mask_fault: str | None
    flips: tuple[tuple[str, int, int], ...]
    """Bytes damaged afterwards: (image or mask, place, value)."""
    seed: int

    @property
    def name(self) -> str:
        return os.fsdecode(self.stem)

    @property
    def rows(self) -> np.ndarray:
        """What the mask shows: rows of the class table."""
        return np.random.default_rng(self.seed).integers(0, len(TABLE), (SIDE, SIDE))

    @property
    def pixels(self) -> tuple[int, ...]:
        """Pixels of each trained class."""
        return tuple(int(count) for count in np.bincount(self.rows.ravel(), minlength=len(TABLE))[1:])

    @property
    def usable(self) -> bool | None:
        """Whether it must be usable; None where it may be."""
        faults = {self.image_fault, self.mask_fault} - WORKLESS - {None}
        if faults or self.stem.split(b"_", 1)[1] in UNUSABLE_NAMES:
            return False
        return None if self.flips else True


@dataclass(frozen=True)
class Plan:
    style: Style
    pairs: tuple[PlannedPair, ...]
    clutter: tuple[str, ...]

    @property
    def certain(self) -> set[str]:
        return {pair.name for pair in self.pairs if pair.usable}

    @property
    def possible(self) -> set[str]:
        return {pair.name for pair in self.pairs if pair.usable is not False}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Datasets of 1-5 pairs with at least one fault, most pairs sound."""
    style: Style = draw(st.sampled_from(("colors", "index")))
    faults = st.sampled_from([None] * 2 * len(FAULTS) + [*FAULTS])
    mask_faults = st.sampled_from([None] * 2 * len(FAULTS) + [*FAULTS, *MASK_FAULTS])
    flip = st.tuples(st.sampled_from(("images", "masks")), st.integers(0, 300), st.integers(0, 255))
    pairs = []
    for number in range(draw(st.integers(1, 5))):
        bad_name = draw(st.integers(0, 9)) == 0
        name = draw(st.sampled_from(UNUSABLE_NAMES)) if bad_name else draw(st.sampled_from(USABLE_NAMES)).encode()
        pairs.append(
            PlannedPair(
                b"%d_%b" % (number, name),
                draw(st.sampled_from(sorted(IMAGES))),
                draw(st.sampled_from(sorted(MASKS[style]))),
                draw(faults),
                draw(mask_faults),
                tuple(draw(st.lists(flip, min_size=1, max_size=3))) if draw(st.integers(0, 5)) == 0 else (),
                draw(st.integers(0, 2**32 - 1)),
            )
        )
    clutter = draw(st.lists(st.sampled_from(sorted(CLUTTER)), unique=True, max_size=3))
    plan = Plan(style, tuple(pairs), tuple(clutter))
    if plan.certain == {pair.name for pair in pairs}:  # nothing broken yet
        broken = PlannedPair(
            b"9_x", "png", sorted(MASKS[style])[0], draw(st.sampled_from(sorted(FAULTS.keys() - WORKLESS))), None, (), 0
        )
        plan = Plan(style, (*pairs, broken), plan.clutter)
    return plan


CLUTTER: Mapping[str, Callable[[Path], object]] = {
    "hidden file": lambda folder: (folder / ".0_tile.png").write_bytes(b"rubbish"),
    "thumbnails": lambda folder: (folder / "Thumbs.db").write_bytes(b"rubbish"),
    "notes": lambda folder: (folder / "notes.txt").write_bytes(b"rubbish"),
    "empty folder": lambda folder: (folder / "empty").mkdir(),
    "link to the folder above": lambda folder: (folder / "above").symlink_to("..", target_is_directory=True),
    "link to a folder outside": lambda folder: (folder / "linked").symlink_to(
        folder.parents[1] / OUTSIDE, target_is_directory=True
    ),
}
"""What lies about in people's folders and makes no difference to what can be used."""


def build(plan: Plan, root: Path) -> None:
    """Write images/ and masks/ into `root`, and beside it what links lead to."""
    (root.parent / OUTSIDE).mkdir()
    for folder in (root / "images", root / "masks"):
        folder.mkdir(parents=True)
        for clutter in plan.clutter:
            CLUTTER[clutter](folder)
    for pair in plan.pairs:
        rgb = np.random.default_rng(pair.seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        for part, (suffix, encode), content, fault in (
            ("images", IMAGES[pair.image], rgb, pair.image_fault),
            ("masks", MASKS[plan.style][pair.mask], pair.rows, pair.mask_fault),
        ):
            data = bytearray(encode(content))
            for damaged, place, value in pair.flips:
                if damaged == part:
                    data[place % len(data)] = value
            file = root / part / os.fsdecode(pair.stem + suffix.encode())
            put = _write if fault is None else {**FAULTS, **MASK_FAULTS}[fault]
            put(file, bytes(data))


def tree_hash(root: Path) -> str:
    """Hash of all that stands under a folder: names, kinds, rights, times, targets of links, bytes."""
    digest = hashlib.sha256()
    for directory, folders, names in os.walk(os.fsencode(root)):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = os.path.join(directory, name)  # noqa: PTH118 (bytes: names need not be text)
            stat = os.lstat(path)
            digest.update(repr((path, stat.st_mode, stat.st_size, stat.st_mtime_ns)).encode())
            if os.path.islink(path):  # noqa: PTH114
                digest.update(os.readlink(path))  # noqa: PTH115
            elif stat.st_mode & 0o170000 == 0o100000 and (os.geteuid() == 0 or stat.st_mode & 0o400):
                with open(path, "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()
