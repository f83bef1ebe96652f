"""The image and its mask as the predictions screen needs them: read once, packed, and kept until the file changes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import streamlit as st

from segcore.config import DatasetConfig
from segcore.data.classes import ClassTable
from segcore.data.readers import Reading, image_size, read_image, read_mask, resize_labels
from segcore.ui import readers
from segcore.ui.uploads import read_upload, upload_size
from segcore.ui.viewer.packing import Packed, pack_labels, pack_photo, unpack

VIEW_PIXELS = 24_000_000
"""Images up to so many pixels (6000 x 4000) are shown in full; larger ones are reduced to as many."""


@dataclass(frozen=True)
class Source:
    """Where an image is in full: a file as it is now, or what a visitor handed in."""

    path: Path
    """The file, or the name of what was handed in."""
    stamp: readers.Stamp | None = None
    data: bytes | None = None

    @classmethod
    def of_file(cls, path: Path) -> Source:
        """An image file.

        Raises:
            ImageReadError: it is gone.
        """
        return cls(path, readers.stamp(path))

    @cached_property
    def key(self) -> str:
        """What is kept of the image is kept under this."""
        return repr(self.stamp) if self.data is None else hashlib.sha256(self.data).hexdigest()

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) of the whole image.

        Raises:
            ImageReadError: it is gone, too large or no image.
        """
        return image_size(self.path) if self.data is None else upload_size(self.data, str(self.path))

    @property
    def view_side(self) -> int:
        """Longest side at which the image is shown."""
        width, height = self.size
        return math.floor(max(width, height) * min(1.0, math.sqrt(VIEW_PIXELS / (width * height))))

    def read(self, max_side: int | None = None) -> np.ndarray:
        """Return the image, HWC uint8 RGB, its longer side at most `max_side`.

        Raises:
            ImageReadError: it is gone, too large or damaged.
        """
        if self.data is None:
            return read_image(self.path, max_side=max_side)
        return read_upload(self.data, str(self.path), max_side=max_side or max(self.size))


@dataclass(frozen=True)
class Mask:
    """Where the truth is, and how it is read: by the run's own classes, as the dataset's may have been reordered."""

    path: Path
    config: DatasetConfig
    reading: Reading | None


@st.cache_data(max_entries=24, show_spinner="Reading the image …", hash_funcs={Source: lambda source: source.key})
def photo(source: Source) -> Packed:
    """Return an image as it is sent to the browser.

    Raises:
        ImageReadError: it is gone, too large or damaged.
    """
    return pack_photo(source.read(source.view_side))


def truth(mask: Mask, width: int, height: int) -> Packed:
    """Return the mask of an image of that size as it is sent to the browser; 255 where nobody labelled.

    Raises:
        ImageReadError: it is gone or cannot be read.
    """
    return _truth(readers.stamp(mask.path), mask.config.model_dump_json(), mask.reading, width, height)


@st.cache_data(max_entries=64, show_spinner="Reading the mask …")
def _truth(key: readers.Stamp, config_json: str, reading: Reading | None, width: int, height: int) -> Packed:
    config = DatasetConfig.model_validate_json(config_json)
    labels, _ = read_mask(Path(key[0]), ClassTable.of(config), reading=reading)
    return pack_labels(labels if labels.shape == (height, width) else resize_labels(labels, width, height))


def truth_at(labels: Packed, truth: Packed) -> np.ndarray:
    """Return the truth at the size of a prediction: (H, W) uint8."""
    found = unpack(truth)
    same = (truth.width, truth.height) == (labels.width, labels.height)
    return found if same else resize_labels(found, labels.width, labels.height)
