"""What a network is made of: parts, stages and layers with sizes, parameters and multiply-adds.

Everything is read off the real modules during one pass on the meta device, which computes shapes and no
values. Multiply-adds (MACs) are half the operations that torch's FlopCounterMode counts: convolutions,
linear layers and the products inside attention; normalisation and activations are not counted, as is usual.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segcore.errors import IncompatibleError
from segcore.models import catalog
from segcore.models.build import BUILD_ERRORS, blueprint, why_not
from segcore.models.passes import Pass

PartName = Literal["encoder", "decoder", "head"]
PREFIXES: dict[PartName, str] = {
    "encoder": "network.encoder",
    "decoder": "network.decoder",
    "head": "network.segmentation_head",
}


@dataclass(frozen=True)
class Part:
    """Encoder, decoder or head as a whole."""

    parameters: int
    macs: int
    """Multiply-adds for one image."""


@dataclass(frozen=True)
class Stage:
    """A run of layers up to a feature map that is handed on."""

    name: str
    kind: PartName
    reduction: int
    """Side of the image divided by side of the feature map."""
    channels: int
    height: int
    width: int
    parameters: int
    macs: int
    blocks: str
    """What it is built of: "2 × BasicBlock"."""


@dataclass(frozen=True)
class Layer:
    """One module that computes something itself."""

    name: str
    type: str
    output_shape: tuple[int, ...]
    """Without the batch: usually channels, height, width."""
    parameters: int
    """Its own, without those of modules inside it."""
    macs: int
    part: PartName


@dataclass(frozen=True)
class NetworkDescription:
    """A backbone inside a decoder, taken apart."""

    encoder_name: str
    decoder_name: str
    image_size: int
    classes: int
    encoder: Part
    decoder: Part
    head: Part
    stages: tuple[Stage, ...]
    """In the order an image passes through them."""
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Parameters of the whole network; all of them are trained."""
        return self.encoder.parameters + self.decoder.parameters + self.head.parameters

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole network for one image."""
        return self.encoder.macs + self.decoder.macs + self.head.macs

    @property
    def decoder_share(self) -> float:
        """Share of the multiply-adds that decoder and head take, 0-1."""
        return (self.decoder.macs + self.head.macs) / self.macs if self.macs else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        totals = {"parameters": self.parameters, "macs": self.macs, "decoder_share": self.decoder_share}
        return {**asdict(self), "title": catalog.title(self.encoder_name), **totals}


def describe(encoder: str, *, decoder: str = "unet", image_size: int = 256, classes: int = 12) -> NetworkDescription:
    """Take a network apart, without weights and without computing anything.

    Raises:
        UnknownBackboneError: no such encoder or decoder.
        IncompatibleError: they do not go together at this image size.
    """
    model = blueprint(encoder, decoder, classes, image_size).eval()
    try:
        pass_ = Pass(model, torch.empty(1, 3, image_size, image_size, device="meta"))
    except BUILD_ERRORS as error:
        raise IncompatibleError(why_not(encoder, decoder, image_size, error), field="decoder") from error
    parts = {
        part: Part(sum(p.numel() for p in model.get_submodule(prefix).parameters()), pass_.total(prefix))
        for part, prefix in PREFIXES.items()
    }
    return NetworkDescription(
        encoder_name=encoder,
        decoder_name=decoder,
        image_size=image_size,
        classes=classes,
        encoder=parts["encoder"],
        decoder=parts["decoder"],
        head=parts["head"],
        stages=(*_encoder_stages(pass_, image_size), *_later_stages(pass_, image_size)),
        layers=_layers(pass_),
    )


def _layers(pass_: Pass) -> tuple[Layer, ...]:
    layers = []
    for name, output in pass_.outputs.items():
        part = next((part for part, prefix in PREFIXES.items() if name.startswith(f"{prefix}.")), None)
        module = pass_.modules[name]
        parameters, macs = pass_.own_parameters(name), pass_.own_macs(name)
        leaf = not any(True for _ in module.children())
        if part is None or isinstance(module, nn.Identity) or not (leaf or parameters or macs):
            continue
        short = name.removeprefix(f"{PREFIXES[part]}.").removeprefix("model.")
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        layers.append(Layer(short, type(module).__name__, shape, parameters, macs, part))
    return tuple(layers)


def _encoder_stages(pass_: Pass, image_size: int) -> list[Stage]:
    """Cut the encoder after every module whose output is a feature map for the decoder."""
    prefix = PREFIXES["encoder"]
    names, ends = _feature_modules(pass_, f"{prefix}.model")
    returned = pass_.outputs[prefix]
    features = list(returned[0] if isinstance(returned, tuple) else returned)[-len(names) :]
    members: list[list[str]] = [[] for _ in names]
    index = 0
    for name in (name for name in pass_.outputs if f"{name}.".startswith(f"{prefix}.model.")):
        members[min(index, len(names) - 1)].append(name)
        if index < len(ends) and name == ends[index]:
            index += 1
    stages = []
    for name, feature, inside in zip(names, features, members, strict=True):
        parameters = sum(map(pass_.own_parameters, inside))
        macs = sum(map(pass_.own_macs, inside))
        stages.append(_stage(pass_, name, "encoder", feature, inside, parameters, macs, image_size))
    return stages


def _feature_modules(pass_: Pass, prefix: str) -> tuple[list[str], list[str]]:
    """Return timm's names of the modules that end a stage, and those modules' names here."""
    model = pass_.modules[prefix]
    info: Any = model.feature_info
    encoder: Any = pass_.modules[PREFIXES["encoder"]]
    # A list where the whole classifier is the encoder, as DPT uses it.
    dicts = [info[index] for index in encoder._output_indices] if isinstance(info, list) else info.get_dicts()
    names = [str(entry["module"]) for entry in dicts]
    flat = {name.removeprefix(f"{prefix}.").replace(".", "_"): name for name in pass_.outputs}
    return names, [flat.get(name.replace(".", "_"), "") for name in names]


def _later_stages(pass_: Pass, image_size: int) -> list[Stage]:
    """The pieces of the decoder that compute a feature map, then the head."""
    prefix, head = PREFIXES["decoder"], PREFIXES["head"]
    stages: list[Stage] = []
    small = 0  # parameters of pieces that only normalise; they count with what follows
    for name in sorted(_pieces(pass_, prefix) or [prefix], key=list(pass_.outputs).index):
        parameters = sum(p.numel() for p in pass_.modules[name].parameters())
        if not pass_.total(name):
            small += parameters
            continue
        short = name.removeprefix(f"{prefix}.") if name != prefix else "decoder"
        stages.append(_later_stage(pass_, name, short, "decoder", parameters + small, image_size))
        small = 0
    if small and stages:
        stages[-1] = replace(stages[-1], parameters=stages[-1].parameters + small)
    parameters = sum(p.numel() for p in pass_.modules[head].parameters())
    return [*stages, _later_stage(pass_, head, "head", "head", parameters, image_size)]


def _later_stage(pass_: Pass, name: str, short: str, kind: PartName, parameters: int, image_size: int) -> Stage:
    inside = [other for other in pass_.outputs if other == name or other.startswith(f"{name}.")]
    return _stage(pass_, short, kind, pass_.outputs[name], inside, parameters, pass_.total(name), image_size)


def _pieces(pass_: Pass, prefix: str) -> list[str]:
    """Names of the modules directly inside `prefix` that ran, looking through lists and dicts of modules."""
    found = []
    for child, module in pass_.modules[prefix].named_children():
        name = f"{prefix}.{child}"
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            found += _pieces(pass_, name)
        elif isinstance(pass_.outputs.get(name), Tensor) and pass_.outputs[name].ndim == 4:
            found.append(name)
    return found


def _stage(
    pass_: Pass,
    name: str,
    kind: PartName,
    output: Tensor,
    inside: list[str],
    parameters: int,
    macs: int,
    image_size: int,
) -> Stage:
    channels, height, width = output.shape[1:]
    reduction = max(1, round(image_size / height))
    return Stage(name, kind, reduction, channels, height, width, parameters, macs, _blocks(pass_, inside))


def _blocks(pass_: Pass, inside: list[str]) -> str:
    """Say of what a stage is built: its outermost modules that are numbered, neither containers nor stages."""
    chosen: list[str] = []
    for name in sorted(inside, key=lambda name: name.count(".")):
        module = pass_.modules[name]
        kind = type(module).__name__
        container = isinstance(module, nn.Sequential) or kind.endswith(("Stage", "DenseBlock"))
        leaf = not any(True for _ in module.children())
        weighs = any(parameter.ndim > 1 for parameter in module.parameters())
        nested = any(name.startswith(f"{outer}.") for outer in chosen)
        if weighs and not nested and not container and (leaf or re.search(r"\d$", name)):
            chosen.append(name)
    chosen.sort(key=list(pass_.modules).index)
    counts = Counter(type(pass_.modules[name]).__name__ for name in chosen)
    return ", ".join(f"{count} × {kind}" for kind, count in counts.items())
