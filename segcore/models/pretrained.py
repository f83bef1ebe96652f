"""Loading pretrained weights into an encoder, and making sure that they really are in it.

timm loads features-only networks leniently: a file that belongs to another network leaves them random
and says so in a log line. Here every tensor of the encoder must come from the file, and every tensor
of the file must belong to the network named.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from segcore.errors import WeightsError
from segcore.models.shapes import shapes_only
from segcore.models.weights import WeightsSource, fetch, sha256

_READ_ERRORS = (SafetensorError, RuntimeError, ValueError, OSError, EOFError, LookupError, AttributeError, TypeError)
_COUNTER = "num_batches_tracked"  # absent from old files; BatchNorm does not need it


def load_encoder(encoder: nn.Module, source: WeightsSource, arguments: Mapping[str, Any]) -> WeightsSource:
    """Fill `encoder` (one of smp's timm encoders) with the weights of `source`.

    Args:
        encoder: The encoder as built without weights; changed in place.
        source: As `weights.locate` returned it; downloaded where need be.
        arguments: What timm needs beside the name to build the same network (`img_size`).

    Returns:
        The source with its path and SHA-256.

    Raises:
        WeightsError: the file is damaged, or holds another network's weights.
    """
    source = fetch(source)
    assert source.path is not None
    digest = sha256(source.path)
    _check_digest(source.path, digest)
    state = read_state(source.path)
    model = encoder.get_submodule("model")
    tensors = _by_name(model, state, source.encoder, arguments) or _through_timm(model, state, source, arguments)
    model.load_state_dict(tensors, strict=False)  # complete: both roads check every name and shape
    return replace(source, path=source.path, sha256=digest)


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, without running any code the file may contain.

    Raises:
        WeightsError: the file is truncated, no weights file, or holds values that are not finite.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise WeightsError(_damaged(path, f"the checksum of its part {damaged} is wrong"), field="weights")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = timm.models.load_state_dict(str(path), weights_only=True)
    except (*_READ_ERRORS, zipfile.BadZipFile) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(_damaged(path, first), field="weights") from error
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(_damaged(path, "it holds no tensors"), field="weights")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(_damaged(path, f"{name} holds values that are not finite"), field="weights")
    return tensors


def _check_digest(path: Path, digest: str) -> None:
    """Compare with the hash a file's name promises: torch hub's `-f37072fd.pth`, the Hub cache's blob names."""
    named = re.search(r"-([0-9a-f]{8,64})\.[a-z]+$", path.name)
    blob = path.resolve().name
    promised = named.group(1) if named else blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None
    if promised is not None and not digest.startswith(promised):
        raise WeightsError(_damaged(path, f"its SHA-256 is {digest[:8]}…, not {promised[:8]}…"), field="weights")


def _damaged(path: Path, why: str) -> str:
    return f"The weights file {path} cannot be used: {why}. Remove it and fetch it again."


def _flat(name: str) -> str:
    """timm's feature extractors call `stages.0.x` also `stages_0.x`, or put `model.` before it."""
    return name.replace(".", "_").removeprefix("model_")


def _by_name(
    model: nn.Module, state: Mapping[str, Tensor], name: str, arguments: Mapping[str, Any]
) -> dict[str, Tensor] | None:
    """Return the tensors of `model` out of a file in timm's own format, or None if it is not one.

    One tensor too many is as wrong as one too few: the file of ResNet-34 contains all names of ResNet-18.
    """
    with shapes_only():
        whole = timm.create_model(name, **arguments)
    known = whole.state_dict()
    if not set(state) <= set(known):
        return None
    given = {_flat(key): value for key, value in state.items()}
    tensors: dict[str, Tensor] = {}
    for key, wanted in model.state_dict().items():
        value = given.get(_flat(key))
        if value is None and key.endswith(_COUNTER):
            continue
        if value is None or value.shape != wanted.shape:
            return None
        tensors[key] = value
    return tensors


def _through_timm(
    model: nn.Module, state: Mapping[str, Tensor], source: WeightsSource, arguments: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the tensors of `model` out of a file that timm must convert first (other names, another image size)."""
    overlay = {"state_dict": dict(state), "custom_load": False}
    try:
        whole = timm.create_model(
            source.encoder, pretrained=True, pretrained_cfg_overlay=overlay, pretrained_strict=True, **arguments
        )
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise WeightsError(_foreign(source, state, arguments), field="weights") from error
    given = {_flat(key): value for key, value in whole.state_dict().items()}
    tensors = {key: given.get(_flat(key)) for key in model.state_dict()}
    complete = {key: value for key, value in tensors.items() if value is not None}
    if len(complete) < len(tensors):
        raise WeightsError(_foreign(source, state, arguments), field="weights")
    return complete


def _foreign(source: WeightsSource, state: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> str:
    with shapes_only():
        known = timm.create_model(source.encoder, **arguments).state_dict()
    missing = [key for key in known if key not in state and not key.endswith(_COUNTER)]
    surplus = [key for key in state if key not in known]
    other = [key for key in known if key in state and known[key].shape != state[key].shape]
    found = [
        f"{len(keys)} tensors {what} (such as {keys[0]})"
        for keys, what in ((missing, "are missing"), (surplus, "are not part of it"), (other, "have another shape"))
        if keys
    ]
    return (
        f"The weights file {source.path} does not belong to {source.encoder}: {', '.join(found) or 'it does not fit'}. "
        f"Replace it by the weights of {source.encoder}, or train from scratch (weights: none)."
    )
