"""Taking a network apart: parts, stages, blocks and layers with sizes, parameters, multiply-adds and memory.

Everything is read off the real modules during two passes on the meta device, which compute shapes and no values.
Multiply-adds (MACs) are half the operations that torch's FlopCounterMode counts: convolutions, linear layers and the
products inside attention; normalisation and activations are not counted, as is usual.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from segcore.models.blocks import Piece, block_names, built_of, cut
from segcore.models.build import BUILD_ERRORS, Segmenter, blueprint, incompatible
from segcore.models.description import IMAGE, Edge, Layer, NetworkDescription, Part, PartName, Stage
from segcore.models.flow import ReceptiveFields, Tracker
from segcore.models.memory import saved_bytes
from segcore.models.passes import Operator, Pass, storage_of

PREFIXES: dict[PartName, str] = {
    "encoder": "network.encoder",
    "decoder": "network.decoder",
    "head": "network.segmentation_head",
}


def describe(encoder: str, *, decoder: str = "unet", image_size: int = 256, classes: int = 12) -> NetworkDescription:
    """Take a network apart, without weights and without computing anything.

    Args:
        encoder: a timm name, with a weights tag or without.
        decoder: a key of `catalog.DECODERS`.
        image_size: side of the square image in pixels.
        classes: channels of the logits.

    Raises:
        UnknownBackboneError: no such encoder or decoder.
        IncompatibleError: they do not go together at this image size.
    """
    model = blueprint(encoder, decoder, classes, image_size)
    try:
        saved = saved_bytes(model.train(), image_size)
        pass_ = Pass(model.eval(), torch.empty(1, 3, image_size, image_size, device="meta"))
    except BUILD_ERRORS as error:
        raise incompatible(encoder, decoder, image_size, error) from error
    found = _Found(pass_, saved, image_size)
    parts = {part: found.part(model, part) for part in PREFIXES}
    return NetworkDescription(
        encoder_name=encoder,
        decoder_name=decoder,
        image_size=image_size,
        classes=classes,
        encoder=parts["encoder"],
        decoder=parts["decoder"],
        head=parts["head"],
        stages=tuple(found.stage(index) for index in range(len(found.drafts))),
        edges=found.edges,
        layers=found.layers(),
    )


@dataclass
class _Draft:
    """A stage as far as it is known."""

    name: str
    kind: PartName
    output: Tensor
    modules: list[str]
    """Those that belong to it, in order of execution."""
    end: int
    """How many operators had run when its output was there."""
    passing: list[str] = field(default_factory=list)
    """Those among its modules that work on what others hand to others: norms and resizings between stages."""
    operators: list[Operator] = field(default_factory=list)


class _Found:
    """What two passes tell of a network."""

    def __init__(self, pass_: Pass, saved: Sequence[tuple[str, int]], image_size: int) -> None:
        self.pass_ = pass_
        self.image_size = image_size
        self.drafts = [*_encoder_drafts(pass_), *_later_drafts(pass_)]
        self._stage_of = {name: index for index, draft in enumerate(self.drafts) for name in draft.modules}
        self._passing = {name for draft in self.drafts for name in draft.passing}
        self._saved = self._by_module(saved)
        self.edges, self._fields = self._flow()

    def _by_module(self, saved: Sequence[tuple[str, int]]) -> dict[str, int]:
        """Bytes kept by each module of a stage; what is kept between stages counts with the one that follows."""
        kept: dict[str, int] = defaultdict(int)
        waiting, last = 0, ""
        for name, count in saved:
            waiting += count
            if name in self._stage_of:
                kept[name] += waiting
                waiting, last = 0, name
        kept[last] += waiting
        return kept

    def _place(self, index: int, module: str) -> int | None:
        """The stage in which an operator ran, if any: the encoder's by time, the others by their modules."""
        if f"{module}.".startswith(f"{PREFIXES['encoder']}."):
            ends = [draft.end for draft in self.drafts if draft.kind == "encoder"]
            return next((stage for stage, end in enumerate(ends) if index < end), None)
        return None if module in self._passing else self._stage_of.get(module)

    def _flow(self) -> tuple[tuple[Edge, ...], list[int | None]]:
        """Follow the data through all operators: which stage reads which, and how far each sees."""
        image = self.pass_.entered["network"]
        tracker, fields = Tracker(image), ReceptiveFields(self.image_size, image)
        encoder = [index for index, draft in enumerate(self.drafts) if draft.kind == "encoder"]
        returned = self.pass_.finished[PREFIXES["encoder"]]
        for index, operator in enumerate(self.pass_.operators):
            if index == returned:
                for one in encoder:
                    tracker.mark(storage_of(self.drafts[one].output), one)
            stage = self._place(index, operator.module)
            tracker.follow(operator, stage)
            fields.follow(operator)
            if stage is not None:
                self.drafts[stage].operators.append(operator)
        edges = []
        for arrival in tracker.arrivals():
            source, target = arrival.source, self.drafts[arrival.target]
            if source == IMAGE and target.kind != "encoder":
                continue
            skip = target.kind == "decoder" and source in encoder and source != encoder[-1]
            shape = (3, self.image_size, self.image_size) if source == IMAGE else self.drafts[source].output.shape[1:]
            edges.append(Edge(source, arrival.target, arrival.join, skip, *shape))
        return tuple(edges), [fields.of(storage_of(draft.output)) for draft in self.drafts]

    def part(self, model: Segmenter, part: PartName) -> Part:
        """Encoder, decoder or head as a whole."""
        prefix = PREFIXES[part]
        parameters = sum(p.numel() for p in model.get_submodule(prefix).parameters())
        kept = sum(self._kept(draft) for draft in self.drafts if draft.kind == part)
        return Part(parameters, self.pass_.total(prefix), kept)

    def _kept(self, draft: _Draft) -> int:
        return sum(self._saved.get(name, 0) for name in draft.modules)

    def stage(self, index: int) -> Stage:
        """One stage with its blocks."""
        draft, pass_ = self.drafts[index], self.pass_
        channels, height, width = draft.output.shape[1:]
        piece = Piece(draft.operators, draft.modules)
        return Stage(
            name=draft.name,
            kind=draft.kind,
            reduction=max(1, round(self.image_size / height)),
            channels=channels,
            height=height,
            width=width,
            parameters=sum(map(pass_.own_parameters, draft.modules)),
            macs=sum(map(pass_.own_macs, draft.modules)),
            activations=self._kept(draft),
            receptive_field=self._fields[index],
            built_of=built_of(pass_, block_names(pass_, draft.modules)),
            blocks=cut(pass_, piece, PREFIXES[draft.kind], lambda name: self._saved.get(name, 0)),
        )

    def layers(self) -> tuple[Layer, ...]:
        """All modules that compute something themselves."""
        layers = []
        for name, output in self.pass_.outputs.items():
            part = next((part for part, prefix in PREFIXES.items() if name.startswith(f"{prefix}.")), None)
            module = self.pass_.modules[name]
            parameters, macs = self.pass_.own_parameters(name), self.pass_.own_macs(name)
            leaf = not any(True for _ in module.children())
            if part is None or isinstance(module, nn.Identity) or not (leaf or parameters or macs):
                continue
            short = name.removeprefix(f"{PREFIXES[part]}.").removeprefix("model.")
            shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
            stage = self._stage_of.get(name)
            layers.append(Layer(short, type(module).__name__, shape, parameters, macs, part, stage))
        return tuple(layers)


def _encoder_drafts(pass_: Pass) -> list[_Draft]:
    """Cut the encoder after every module whose output is a feature map for the decoder."""
    prefix = PREFIXES["encoder"]
    names, modules = _feature_modules(pass_, f"{prefix}.model")
    returned = pass_.outputs[prefix]
    features = list(returned[0] if isinstance(returned, tuple) else returned)[-len(names) :]
    ends = [
        pass_.finished[module] if isinstance(pass_.outputs.get(module), Tensor) else _written(pass_, feature)
        for module, feature in zip(modules, features, strict=True)
    ]
    members: list[list[str]] = [[] for _ in names]
    stage = 0
    for name in (name for name in pass_.outputs if f"{name}.".startswith(f"{prefix}.model.")):
        # What is never called stays with what stands before it.
        done = pass_.finished.get(name)
        stage = stage if done is None else next((k for k, end in enumerate(ends) if done <= end), len(ends) - 1)
        members[stage].append(name)
    return [
        _Draft(name, "encoder", feature, inside, end)
        for name, end, feature, inside in zip(names, ends, features, members, strict=True)
    ]


def _written(pass_: Pass, feature: Tensor) -> int:
    """How many operators had run when the data of `feature` was complete."""
    wanted = storage_of(feature)
    writing = [
        index + 1
        for index, operator in enumerate(pass_.operators[: pass_.finished[PREFIXES["encoder"]]])
        if any(value.storage == wanted for value in operator.outputs)
    ]
    return writing[-1] if writing else len(pass_.operators)


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


def _later_drafts(pass_: Pass) -> list[_Draft]:
    """The pieces of the decoder that compute a feature map, then the head."""
    prefix, head = PREFIXES["decoder"], PREFIXES["head"]
    drafts: list[_Draft] = []
    small: list[str] = []  # modules of pieces that only normalise; they count with what follows
    for name in sorted(_pieces(pass_, prefix) or [prefix], key=list(pass_.outputs).index):
        inside = small + [other for other in pass_.outputs if other == name or other.startswith(f"{name}.")]
        if not pass_.total(name):
            small = inside
            continue
        short = name.removeprefix(f"{prefix}.") if name != prefix else "decoder"
        drafts.append(_Draft(short, "decoder", pass_.outputs[name], inside, pass_.finished[name], small))
        small = []
    if small and drafts:
        drafts[-1].modules.extend(small)
        drafts[-1].passing.extend(small)
    inside = [name for name in pass_.outputs if name == head or name.startswith(f"{head}.")]
    return [*drafts, _Draft("head", "head", pass_.outputs[head], inside, pass_.finished[head])]


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
