"""One image's way through a network on the meta device: what ran, in which order, and what it cost."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segcore.models.build import Segmenter


class Pass:
    """One forward pass: which modules ran, in which order, what they returned and what they cost."""

    def __init__(self, model: Segmenter, images: Tensor) -> None:
        self.modules = {name: module for name, module in model.named_modules() if name}
        self.outputs: dict[str, Any] = {}  # by name, in the order in which modules finished first
        hooks = [module.register_forward_hook(self._remember(name)) for name, module in self.modules.items()]
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            model(images)
        for hook in hooks:
            hook.remove()
        root = type(model).__name__ + "."
        self._add_uncalled()
        self._flops = {
            name.removeprefix(root): sum(counts.values()) for name, counts in counter.get_flop_counts().items()
        }

    def _remember(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self.outputs.setdefault(name, output)

        return hook

    def _add_uncalled(self) -> None:
        """Put modules whose parameters were read without a call where they stand in the definition."""
        names = list(self.modules)
        order = list(self.outputs)
        for index, name in enumerate(names):
            if name in self.outputs or not self.own_parameters(name):
                continue
            following = next((later for later in names[index + 1 :] if later in self.outputs), order[-1])
            order.insert(order.index(following), name)
        self.outputs = {name: self.outputs.get(name) for name in order}

    def total(self, name: str) -> int:
        """Multiply-adds of a module with all inside it."""
        return self._flops.get(name, 0) // 2

    def own_macs(self, name: str) -> int:
        """Multiply-adds that a module computes itself, not in a module inside it."""
        if name not in self._flops:
            return 0
        inside = (f"{name}.{child}" for child, _ in self.modules[name].named_children())
        return self.total(name) - sum(map(self._executed_total, inside))

    def _executed_total(self, name: str) -> int:
        """As `total`, looking through containers that are never called themselves (ModuleList, ModuleDict)."""
        if name in self._flops:
            return self.total(name)
        children = (f"{name}.{child}" for child, _ in self.modules[name].named_children())
        return sum(map(self._executed_total, children))

    def own_parameters(self, name: str) -> int:
        """Parameters that a module holds itself."""
        return sum(parameter.numel() for parameter in self.modules[name].parameters(recurse=False))
