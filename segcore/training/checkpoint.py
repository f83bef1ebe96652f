"""Keeping weights and training state, and reading them back without running anything they contain."""

from __future__ import annotations

import errno
import lzma
import os
import pickle
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from segcore.errors import WeightsError, WorkspaceError
from segcore.files import atomic_path
from segcore.models.build import Segmenter
from segcore.runs import Run
from segcore.training.device import out_of_memory

CHECKPOINT = "checkpoint.pt"
PREVIOUS = "previous.pt"

# What zipfile and torch raise for damaged files, found by flipping bits of one.
_DAMAGES = (
    OSError,  # but see `_passing`
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def save_weights(model: Segmenter, path: Path) -> None:
    """Write the network's weights and buffers as safetensors, atomically.

    Raises:
        WorkspaceError: the disk is full or may not be written; what was there before still is.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            # The error of the operating system comes in words: "... No space left on device (os error 28)".
            found = re.search(r"os error (\d+)", str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


def load_weights(model: Segmenter, path: Path) -> None:
    """Load what `save_weights` wrote into a network of the same build.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing: the run has no weights yet, or its file was removed.") from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read now ({error}). Try again once the disk can be read.") from error
    except SafetensorError as error:
        raise WeightsError(
            f"{path} is damaged ({error}). Put it back from a backup, or delete the run and launch it again."
        ) from error
    fill(model, tensors, str(path))


def fill(model: Segmenter, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Put weights and buffers into a network of the same build; `source` is where they are from, for the error.

    Raises:
        WeightsError: they are of another network.
    """
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{source} holds the weights of another network: {_mismatch(model, tensors)}") from error


def _mismatch(model: Segmenter, tensors: dict[str, torch.Tensor]) -> str:
    """Say in what weights differ from those that a network needs: the first thing that tells."""
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in tensors:
            return f"{name} is missing. Take them from the run that this configuration is of."
        found, expected = tuple(tensors[name].shape), tuple(tensor.shape)
        if found != expected and name.startswith("network.segmentation_head") and found[1:] == expected[1:]:
            return f"they tell {found[0]} classes apart, but the class table has {model.classes}."
        if found != expected:
            return f"{name} has the shape {found}, expected {expected}."
    return f"{next(name for name in tensors if name not in wanted)} is not part of {model.encoder_name}."


def save_state(run: Run, state: dict[str, Any]) -> None:
    """Keep all that resuming needs. One file, so that a kill leaves the whole of the old or of the new; the one
    before stays beside it, for a disk that damages files.

    Raises:
        WorkspaceError: the disk is full or may not be written; what was there before still is.
    """
    run.last_directory.mkdir(exist_ok=True)
    path = run.last_directory / CHECKPOINT
    with atomic_path(path) as temporary:
        try:
            with open(temporary, "wb") as file:
                torch.save(state, file)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # torch hides the full disk behind its own complaint
                raise error.__context__ from None
            raise
        _keep_previous(path)


def _keep_previous(path: Path) -> None:
    if not path.exists():
        return
    previous = path.with_name(PREVIOUS)
    linked = path.with_name(f".{PREVIOUS}.link.tmp")
    linked.unlink(missing_ok=True)
    try:
        linked.hardlink_to(path)
    except OSError:
        # No hard links here. For an instant there is no checkpoint, but the previous one then is the last.
        path.replace(previous)
        return
    linked.replace(previous)
    # Where a kill came between this and the rename of the new checkpoint, both are one file already, and renaming one
    # name of a file onto another does nothing (POSIX).
    linked.unlink(missing_ok=True)


def load_state(run: Run, *, mend: bool = False) -> tuple[dict[str, Any] | None, str]:
    """Return the last state that `save_state` kept whole, and what is to be said of damaged ones, else ''.

    Its tensors are on the CPU. It is None for a run that has not kept any yet.

    Args:
        run: the run.
        mend: remove a damaged state that a whole one stands in for: the next to be saved would otherwise put the
            damaged one in place of the whole one. For the run's worker alone.

    Raises:
        WeightsError: all that is there is damaged.
        WorkspaceError: the disk cannot be read at the moment.
    """
    paths = [path for path in (run.last_directory / CHECKPOINT, run.last_directory / PREVIOUS) if path.exists()]
    complaints = []
    for path in paths:
        try:
            state = _load(path)
        except _DAMAGES as error:
            if out_of_memory(error):
                raise
            if _passing(error):
                raise WorkspaceError(
                    f"{path} cannot be read now ({error}). Resume once the disk can be read."
                ) from error
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            complaints.append(f"{path} is damaged ({what}).")
            continue
        if complaints:
            complaints.append("Going on from the state kept before it; what came after is done again.")
            if mend:
                paths[0].unlink(missing_ok=True)
        return state, " ".join(complaints)
    if complaints:
        raise WeightsError(" ".join([*complaints, "Delete the run and launch it again."]))
    return None, ""


def _passing(error: BaseException) -> bool:
    """Whether the system could not read a file, which says nothing against what it holds.

    Damaged files make zipfile look for places that no file has, and bz2 raise an OSError without a number.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _load(path: Path) -> dict[str, Any]:
    # Torch loads flipped bytes as they are; the checksums that its format holds have to be asked for.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"bad checksum of {damaged}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise ValueError(f"it holds {type(state).__name__}")
    return state
