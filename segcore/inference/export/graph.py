"""Writing a network, with its preprocessing inside, as a graph that runs without this package.

Both graphs come from following one image through the network (tracing). PyTorch's newer exporter, which reasons about
sizes as symbols, is not used: the padding of TensorFlow's networks (`tf_efficientnet_…`) nests so that it was not done
after minutes, where tracing takes a second or two. What tracing cannot see, sizes that were taken for constants, shows
in `verify`, which asks the graph for other batches and sizes.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from segcore.config import RunConfig
from segcore.errors import ExportError
from segcore.inference.export.preprocessing import INPUT, MULTIPLE, OUTPUT
from segcore.models.build import BUILD_ERRORS, Segmenter, blueprint

METADATA = "segcore"
"""Key under which a graph's file carries what `preprocessing` says."""
OPSET = 17
"""Of ONNX; runtimes since 2022 know it."""
_ONNX_BYTES = 2**31 - 2**24
"""An ONNX file holds less than 2 GiB; the network's structure takes a little of it."""


def takes_one_size(config: RunConfig) -> bool:
    """Whether the network takes images of the run's size alone, as transformers do that are built for one size."""
    side = config.recipe.image_size
    model = blueprint(config.encoder, config.decoder, 2, side).eval()
    try:
        model(torch.empty(1, 3, side + MULTIPLE, side + 2 * MULTIPLE, device="meta"))
    except BUILD_ERRORS:
        return True
    return False


def write_onnx(model: Segmenter, path: Path, facts: dict[str, Any]) -> None:
    """Write the network as ONNX: (batch, 3, height, width) uint8 RGB, 0-255 -> logits float32.

    Args:
        model: in evaluation mode, on the CPU.
        path: of the file.
        facts: what `preprocessing` says; kept in the file's metadata.

    Raises:
        ExportError: the network uses something that cannot be expressed, or is too large for one file.
    """
    import onnx

    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if size > _ONNX_BYTES:
        raise ExportError(f"The network has {size / 1e9:.1f} GB of weights; one ONNX file holds 2. Export torchscript.")
    free = {0: "batch"} if facts["fixed_size"] else {0: "batch", 2: "height", 3: "width"}
    # Traced before, as some decoders take another way where they see that they are exported, which does not work.
    traced = _traced(_expressible(model), facts)
    try:
        with warnings.catch_warnings(), _nothing_printed():
            warnings.simplefilter("ignore")  # of its own age
            torch.onnx.export(
                traced,
                (_sample(facts),),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: free, OUTPUT: free},
            )
    except RuntimeError as error:
        raise ExportError(_cannot(model, "written as ONNX", error, "Export torchscript, or use")) from error
    graph = onnx.load_model(path)
    graph.producer_name, graph.doc_string = METADATA, f"{model.encoder_name} with {model.decoder_name}"
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(facts)
    path.write_bytes(graph.SerializeToString())


def write_torchscript(model: Segmenter, path: Path, facts: dict[str, Any]) -> None:
    """Write the network as TorchScript, for `torch.jit.load` in Python or C++; arguments as of `write_onnx`.

    Raises:
        ExportError: the network does something that cannot be traced.
    """
    written = io.BytesIO()  # into memory first: torch does not say that a disk is full
    traced = _traced(model, facts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own age
        torch.jit.save(traced, written, _extra_files={f"{METADATA}.json": json.dumps(facts)})
    path.write_bytes(written.getbuffer())


def _traced(model: Segmenter, facts: dict[str, Any]) -> torch.jit.ScriptModule:
    """Follow an image through the network."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # checks of the image's size are left out of the traced graph
            return torch.jit.trace(model, _sample(facts), check_trace=False)
    except RuntimeError as error:
        raise ExportError(_cannot(model, "followed through", error, "Use")) from error


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keep standard output clean of what is printed below Python: the exporter prints the graph where it fails."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _cannot(model: Segmenter, done: str, error: Exception, instead: str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return (
        f"{model.encoder_name} with {model.decoder_name} cannot be {done} ({lines[0][:200]}). {instead} "
        "segcore.Predictor."
    )


def _sample(facts: dict[str, Any]) -> Tensor:
    """Return images to follow through the network, not square where the size is free: no side is taken for the other.

    Made anew and outside of inference mode, whose tensors the exporter cannot follow.
    """
    side = facts["image_size"]
    width = side if facts["fixed_size"] else side + MULTIPLE
    return torch.zeros(2, 3, side, width, dtype=torch.uint8)


class _Pooling(nn.Module):
    """Adaptive average pooling, which ONNX lacks for sizes that are not known beforehand, as two matrix products."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, values: Tensor) -> Tensor:
        return _bins(values.shape[-2], self.height) @ values @ _bins(values.shape[-1], self.width).T


def _bins(length: int, count: int) -> Tensor:
    """Return the weights (count, length) of each pixel in `count` bins as `nn.AdaptiveAvgPool2d` cuts them."""
    number, pixels = torch.arange(count)[:, None], torch.arange(length)[None]
    first = torch.div(number * length, count, rounding_mode="floor")
    last = torch.div((number + 1) * length + count - 1, count, rounding_mode="floor")
    return ((pixels >= first) & (pixels < last)).float() / (last - first)


def _expressible(model: Segmenter) -> Segmenter:
    """Return the network, or where need be a copy, without what ONNX has no operator for."""
    pools = {
        name: (int(size[0]), int(size[1]))
        for name, module in model.named_modules()
        if isinstance(module, nn.AdaptiveAvgPool2d) and (size := _pair(module.output_size)) != (1, 1)
    }
    if not pools:
        return model
    changed = copy.deepcopy(model)
    for name, size in pools.items():
        changed.set_submodule(name, _Pooling(*size))
    return changed
