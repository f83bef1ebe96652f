"""A bundle: a trained network in one folder or zip file, to be used without this workspace or without this package.

    config.json          what the network is and how it was trained, and the SHA-256 of the other files
    model.safetensors    its weights
    model.onnx           the same network with its preprocessing, for any ONNX runtime
    preprocessing.json   what goes into the ONNX graph and what comes out
    classes.csv          the classes by label
    MODEL_CARD.md        for people: data, scores, intended use, licence
    predict.py           predicts with onnxruntime, numpy and Pillow alone

Reading one back runs nothing that it contains: JSON, CSV and safetensors are data. Whatever differs from what was
written is an error that says so.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor

from segcore.config import ClassInfo, Config, RunConfig
from segcore.errors import ConfigError, NotFoundError, WeightsError
from segcore.runs import Run

FORMAT = 1
CONFIG, WEIGHTS, ONNX = "config.json", "model.safetensors", "model.onnx"
PREPROCESSING, CLASSES, CARD, SCRIPT = "preprocessing.json", "classes.csv", "MODEL_CARD.md", "predict.py"
FILES = (CONFIG, WEIGHTS, ONNX, PREPROCESSING, CLASSES, CARD, SCRIPT)

_SMALL = 2**22
"""Bytes that a file of text may have; a zip file can claim to unfold to anything."""
_ZIP_DAMAGES = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError)
"""What zipfile raises for damaged, encrypted and strange files."""


class BundleConfig(Config):
    """What config.json of a bundle holds."""

    format: int = Field(description="Version of the bundle's layout.")
    segcore: str = Field(description="Version of the package that wrote it.")
    run: RunConfig = Field(description="What the network is and how it was trained; without paths of that machine.")
    epoch: int | None = Field(description="The epoch after which the weights were taken.")
    sha256: dict[str, str] = Field(description="Of each other file.")


@dataclass(frozen=True)
class Bundle:
    """A bundle that was found whole, but for its weights, which are checked when they are read."""

    path: Path
    manifest: BundleConfig

    @property
    def config(self) -> RunConfig:
        return self.manifest.run

    def weights(self) -> dict[str, Tensor]:
        """Return the weights and buffers by name.

        Raises:
            WeightsError: they are missing, cut off or were changed.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            data = _read(self.path, WEIGHTS, limit=None)
        except ConfigError as error:
            raise WeightsError(str(error)) from error
        if sha256_of(data) != self.manifest.sha256.get(WEIGHTS):
            raise WeightsError(_changed(self.path, WEIGHTS))
        try:
            return load(data)
        except SafetensorError as error:
            raise WeightsError(f"{WEIGHTS} in {self.path} holds no weights ({error}). Export the run again.") from error


def read_bundle(path: Path) -> Bundle:
    """Read what a bundle's folder or zip file says of its network, and check it.

    Raises:
        NotFoundError: there is no bundle.
        ConfigError: its configuration, class table or preprocessing is damaged, or of another version.
    """
    if not path.exists():
        raise NotFoundError(f"{path} is not there; give the folder or the zip file of an exported bundle.")
    if Run(path).exists():
        raise ConfigError(f"{path} is a run, not a bundle: use Predictor.from_run, or export it.", field="path")
    manifest = _manifest(path)
    for name in (CLASSES, PREPROCESSING):
        if sha256_of(_read(path, name)) != manifest.sha256.get(name):
            raise ConfigError(_changed(path, name), field="path")
    _check_classes(path, manifest.run.dataset.trained_classes)
    return Bundle(path, manifest)


def _manifest(path: Path) -> BundleConfig:
    try:
        value: Any = json.loads(_read(path, CONFIG))
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{CONFIG} in {path} is damaged ({error}). Export the run again.", field="path") from error
    written = value.get("format") if isinstance(value, dict) else None
    if written != FORMAT:
        raise ConfigError(
            f"{CONFIG} in {path} has format {written!r}, expected {FORMAT}: it is no bundle, or another version of "
            "segcore wrote it. Export the run again with this version, or use that one.",
            field="path",
        )
    try:
        return BundleConfig.from_json(value)
    except ConfigError as error:
        version = value.get("segcore", "one that it does not name")
        raise ConfigError(
            f"{CONFIG} in {path} is not understood ({error}) Perhaps another version of segcore wrote it: {version}. "
            "Export the run again with this version, or use that one.",
            field="path",
        ) from error


def _check_classes(path: Path, classes: Sequence[ClassInfo]) -> None:
    """Refuse a class table that is not that of the network: its labels would get others' names."""
    if _read(path, CLASSES).decode("utf-8") != classes_csv(classes):
        names = ", ".join(info.name for info in classes)
        raise ConfigError(
            f"{CLASSES} in {path} does not have the classes of {CONFIG}, {names}. Export the run again.", field="path"
        )


def _changed(path: Path, name: str) -> str:
    return (
        f"{name} in {path} is not what was exported: it was changed, or copied in part. Copy the bundle again, or "
        "export the run again."
    )


def _read(path: Path, name: str, *, limit: int | None = _SMALL) -> bytes:
    """Return one file of a bundle; nothing is unpacked.

    Raises:
        ConfigError: it is missing, unreadable or larger than `limit`.
    """
    try:
        if path.is_dir():
            size = (path / name).stat().st_size
            data = (path / name).read_bytes() if limit is None or size <= limit else None
        else:
            with zipfile.ZipFile(path) as archive:
                info = archive.getinfo(name)
                # What is not compressed cannot unfold to more than the file itself has.
                fits = info.compress_type == zipfile.ZIP_STORED if limit is None else info.file_size <= limit
                data = archive.read(info) if fits else None
    except (FileNotFoundError, KeyError) as error:
        raise ConfigError(f"{path} has no {name}: it is no bundle, or not all of one.", field="path") from error
    except _ZIP_DAMAGES as error:
        raise ConfigError(
            f"{name} in {path} cannot be read ({error}). Copy the bundle again, or export the run again.", field="path"
        ) from error
    if data is None:
        raise ConfigError(f"{name} in {path} is larger than such a file is. Export the run again.", field="path")
    return data


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def classes_csv(classes: Sequence[ClassInfo]) -> str:
    """Return the classes by label as a class table: name, r, g, b."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("name", "r", "g", "b"))
    rows.writerows((info.name, *info.color) for info in classes)
    return written.getvalue()


def without_paths(config: RunConfig) -> RunConfig:
    """Return a run's configuration without the paths of the machine that it was trained on."""
    dataset = config.dataset.model_copy(update={"images": Path("images"), "masks": Path("masks")})
    return config.model_copy(update={"dataset": dataset, "weights_file": None})
