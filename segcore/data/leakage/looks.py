"""What an image is recognised by: a hash of all of it, and details that are found again in another image.

The hash is the perceptual one of the DCT (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash
Functions"). The details are SIFT's (Lowe 2004), compared by the root of their shares (Arandjelovic & Zisserman 2012,
"Three things everyone should know to improve object retrieval").
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from segcore.data.readers import read_image
from segcore.files import describe_os_error

LONGEST_SIDE = 640
"""Pixels; larger images are shrunk before they are looked at, so that time does not grow with the camera."""
DETAILS = 400
"""So many details an image are kept at most, the clearest ones."""
WAYS = 8
"""An image as it is, turned by 90, 180 and 270 degrees, and the mirror images of these four."""
_THUMB, _LOW = 32, 8
VERSION = 1
"""Of what is kept in files; looks kept by another version are made anew."""


@dataclass(frozen=True)
class Look:
    """What one image is recognised by."""

    picture: str
    """Hash of its pixels, shrunk: equal for two files with the same picture in them."""
    thumb: np.ndarray
    """(32, 32) uint8, all of it in grey."""
    size: tuple[int, int]
    """(width, height) in which places are given."""
    places: np.ndarray
    """(N, 2) float32, x and y of its details."""
    details: np.ndarray
    """(N, 128) uint8, 255 times the root of SIFT's shares: vectors of length 255, up to rounding."""

    def mirrored(self) -> Look:
        """Return the look of the mirror image, exactly: SIFT's grid is turned over and its directions reversed."""
        places = self.places.copy()
        places[:, 0] = self.size[0] - 0.5 - places[:, 0]  # SIFT's places lie a quarter of a pixel to the left
        cells = self.details.reshape(-1, 4, 4, 8)[:, ::-1][..., -np.arange(8) % 8]
        return replace(self, thumb=self.thumb[:, ::-1], places=places, details=cells.reshape(-1, 128))


def look_at(path: Path) -> Look:
    """Read an image and return what it is recognised by.

    Raises:
        ImageReadError: it is gone or damaged.
    """
    rgb = read_image(path, max_side=LONGEST_SIDE)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    # Made anew for each image, as it is used in threads.
    points, values = cv2.SIFT_create(nfeatures=DETAILS).detectAndCompute(grey, None)  # type: ignore[attr-defined]
    best = sorted(range(len(points)), key=lambda number: -points[number].response)[:DETAILS]
    shares = np.zeros((0, 128), np.float32) if values is None else np.asarray(values, np.float32)[best]
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-6)
    return Look(
        picture=hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes()).hexdigest()[:32],
        thumb=np.asarray(cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA), np.uint8),
        size=(grey.shape[1], grey.shape[0]),
        places=np.array([points[number].pt for number in best], np.float32).reshape(-1, 2),
        details=np.round(255 * np.sqrt(shares)).astype(np.uint8),
    )


def ways(thumb: np.ndarray) -> list[np.ndarray]:
    """Return a thumb turned and mirrored in all `WAYS`; the first is itself, the last four are mirrored."""
    return [np.rot90(side, turns) for side in (thumb, thumb[:, ::-1]) for turns in range(4)]


def perceptual_hash(thumb: np.ndarray) -> int:
    """Return 64 bits: which of the 8 x 8 slowest waves in a (32, 32) thumb are stronger than their median.

    Brightness, contrast, noise and JPEG change few of them; images that have nothing to do with each other differ in
    32, give or take 4.
    """
    waves = cv2.dct(np.ascontiguousarray(thumb, np.float32))[:_LOW, :_LOW].ravel()
    return int.from_bytes(np.packbits(waves > np.median(waves[1:])).tobytes(), "big")


# Kept in files ------------------------------------------------------------------------------------------


class LookFiles:
    """Looks of a dataset's images, one file for each, so that work that was cut short goes on where it was."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def get(self, digest: str, path: Path) -> Look:
        """Return the look kept under `digest`; where there is none, look at the image and keep it.

        Raises:
            ImageReadError: the image is gone or damaged.
            WorkspaceError: the look cannot be written.
        """
        kept = self.directory / f"{digest[:32]}.npz"
        found = _read(kept)
        if found is None:
            found = look_at(path)
            _write(kept, found)
        return found


def _read(path: Path) -> Look | None:
    """Return a look that was kept; None where there is none, or it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file) as kept:
            if int(kept["version"]) != VERSION:
                return None
            width, height = (int(side) for side in kept["size"])
            return Look(str(kept["picture"]), kept["thumb"], (width, height), kept["places"], kept["details"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _write(path: Path, look: Look) -> None:
    # Not flushed to the disk, which takes longer than looking: a file that a power cut empties is made anew.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.savez(
                file,
                version=VERSION, picture=look.picture, thumb=look.thumb, size=look.size, places=look.places,
                details=look.details,
            )  # fmt: skip
        os.replace(file.name, path)  # noqa: PTH105 - of a name
    except OSError as error:
        raise describe_os_error(error, path) from error
