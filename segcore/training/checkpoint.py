"""Keeping weights and training state, and reading them back without running anything they contain."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from segcore.errors import WeightsError
from segcore.files import atomic_path
from segcore.models.build import Segmenter
from segcore.runs import Run

CHECKPOINT = "checkpoint.pt"


def save_weights(model: Segmenter, path: Path) -> None:
    """Write the network's weights and buffers as safetensors, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def load_weights(model: Segmenter, path: Path) -> None:
    """Load what `save_weights` wrote into a network of the same build.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    try:
        model.load_state_dict(load_file(path))
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing: the run has no weights yet, or its file was removed.") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is damaged ({error}). Resume the run to write it again.") from error
    except RuntimeError as error:
        raise WeightsError(f"{path} holds the weights of another network: {str(error).splitlines()[0]}") from error


def save_state(run: Run, state: dict[str, Any]) -> None:
    """Keep all that resuming needs. One file, so that a kill leaves the whole of the old or of the new."""
    run.last_directory.mkdir(exist_ok=True)
    with atomic_path(run.last_directory / CHECKPOINT) as temporary:
        torch.save(state, temporary)


def load_state(run: Run, device: torch.device) -> dict[str, Any] | None:
    """Return what `save_state` kept, or None for a run that has not finished an epoch.

    Raises:
        WeightsError: the file is damaged.
    """
    path = run.last_directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path} is damaged ({str(error).splitlines()[0]}). Delete the run and launch it again."
        ) from error
    return state
