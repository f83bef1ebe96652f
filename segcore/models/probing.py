"""Finding out what one architecture of timm costs in a decoder at an image size, or why it does not work.

Everything happens on the meta device: shapes without values, no weights, no network. It takes about a second an
architecture, a few for the largest.
"""

from __future__ import annotations

import inspect
import re
import sys
import time
from dataclasses import replace
from functools import cache

import timm
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from segcore.errors import IncompatibleError
from segcore.models import build
from segcore.models.atlas import CLASSES, Entry, Published
from segcore.models.passes import Pass

_ARXIV = re.compile(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})", re.IGNORECASE)


def architectures() -> list[str]:
    """Return the names of all architectures of timm, in its order, but for the toys of its own tests."""
    return list(timm.list_models(exclude_filters="test_*"))


def about(architecture: str) -> Entry:
    """Return what timm knows of an architecture without building it: module, paper, weights and their licences."""
    module = timm.models.model_entrypoint(architecture).__module__.rpartition(".")[2]
    return Entry(architecture, module, paper=_first_paper(module), weights=_weights(architecture))


def probe(architecture: str, decoder: str, image_size: int) -> Entry:
    """Return what an architecture costs in a decoder at an image size (side of a square in pixels), or why it cannot.

    Raises:
        UnknownBackboneError: no such architecture or decoder.
    """
    began = time.perf_counter()
    entry = about(architecture)
    try:
        entry = _measured(entry, decoder, image_size)
    except IncompatibleError as error:
        entry = replace(entry, why_not=str(error), reason=error.reason)
    return replace(entry, seconds=round(time.perf_counter() - began, 3))


def _measured(entry: Entry, decoder: str, image_size: int) -> Entry:
    """Add costs and features to an entry.

    Raises:
        IncompatibleError: it does not work.
    """
    model = build.probe(entry.architecture, decoder, image_size, CLASSES).eval()
    try:
        pass_ = Pass(model, torch.empty(1, 3, image_size, image_size, device="meta"))
    except build.BUILD_ERRORS as error:
        raise build.incompatible(entry.architecture, decoder, image_size, error) from error
    return replace(
        entry,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        encoder_parameters=sum(parameter.numel() for parameter in model.encoder_parameters()),
        macs=pass_.total("network"),
        encoder_macs=pass_.total("network.encoder"),
        features=_features(pass_.outputs["network.encoder"], image_size),
    )


def _features(handed_over: object, image_size: int) -> tuple[tuple[int, int], ...]:
    """Return (channels, reduction) of the maps an encoder hands over, fine to coarse.

    smp puts the image itself first where the encoder has nothing at full resolution, and maps of no channels where it
    has nothing at half of it: neither is a feature.
    """
    maps = [leaf for leaf in tree_leaves(handed_over) if isinstance(leaf, Tensor) and leaf.ndim == 4]
    sizes = [(found.shape[1], round(image_size / found.shape[-1])) for found in maps]
    return tuple(size for size in sizes if size[0] > 0 and size != (3, 1))


@cache
def _first_paper(module: str) -> str:
    found = _ARXIV.search(inspect.getdoc(sys.modules[f"timm.models.{module}"]) or "")
    return found.group(1) if found else ""


@cache
def _pretrained() -> dict[str, list[str]]:
    """Architecture -> its names with weights tags; asked of timm one by one it takes a minute for all."""
    found: dict[str, list[str]] = {}
    for name in timm.list_pretrained():
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def _weights(architecture: str) -> tuple[Published, ...]:
    """Return the weights that timm knows of an architecture, its default first."""
    default = timm.models.get_pretrained_cfg(architecture)
    found = []
    for name in _pretrained().get(architecture, ()):
        config = timm.models.get_pretrained_cfg(name, allow_unregistered=False)
        if config is not None:
            found.append(Published(config.tag or "", config.license, config.hf_hub_id or None))
    first = default.tag if default is not None else None
    return tuple(sorted(found, key=lambda weights: weights.tag != first))
