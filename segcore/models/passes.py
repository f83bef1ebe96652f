"""One image's way through a network on the meta device: what ran, in which order, what it read and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from segcore.models.build import Segmenter

ATTENDING = ("bmm", "baddbmm", "_scaled_dot_product")
"""How the names of operators begin in which places look at one another: products of two computed values."""


@dataclass(frozen=True)
class Value:
    """A tensor as one operation saw it."""

    storage: int
    """What tells data apart: views of one storage are the same data."""
    shape: tuple[int, ...]
    spread: bool
    """Whether it repeats one value along an axis (an expanded tensor)."""
    parameter: bool
    """Whether it is a parameter or buffer of the network."""


@dataclass(frozen=True)
class Operator:
    """One operation of torch."""

    name: str
    """Of the overload packet: "convolution", "add_"."""
    module: str
    """The innermost module that was running."""
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    macs: int
    args: tuple[Any, ...]
    """The positional arguments, tensors among them as `Value`."""


class Pass:
    """One forward pass: which modules ran, in which order, what they returned and what they cost."""

    def __init__(self, model: Segmenter, images: Tensor) -> None:
        self.modules = {name: module for name, module in model.named_modules() if name}
        self.outputs: dict[str, Any] = {}  # by name, in the order in which modules finished first
        self.finished: dict[str, int] = {}
        """How many operators had run when a module finished first."""
        self.entered: dict[str, tuple[int, ...]] = {}
        """Storages that a module was first given."""
        self._running: list[str] = [""]
        fixed = [tensor.untyped_storage() for tensor in (*model.parameters(), *model.buffers())]
        recorder = _Recorder(self._running, fixed)
        self.operators: Sequence[Operator] = recorder.operators
        self._storages = recorder.storages  # kept, so that no address is used again
        hooks = []
        for name, module in self.modules.items():
            hooks.append(module.register_forward_pre_hook(self._enter(name), with_kwargs=True))
            hooks.append(module.register_forward_hook(self._leave(name)))
        with torch.no_grad(), recorder:
            model(images)
        for hook in hooks:
            hook.remove()
        self._add_uncalled()
        self._macs = self._totals()

    def _enter(self, name: str) -> Any:
        def hook(_module: nn.Module, args: Any, kwargs: Any) -> None:
            self._running.append(name)
            self.entered.setdefault(name, tuple(storage_of(t) for t in _tensors((args, kwargs))))

        return hook

    def _leave(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            self._running.pop()
            self.outputs.setdefault(name, output)
            self.finished.setdefault(name, len(self.operators))

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

    def _totals(self) -> dict[str, int]:
        """Multiply-adds by module, with all inside it."""
        totals: dict[str, int] = {}
        for operator in self.operators:
            name = operator.module
            while operator.macs and name:
                totals[name] = totals.get(name, 0) + operator.macs
                name = name.rpartition(".")[0]
        return totals

    def total(self, name: str) -> int:
        """Multiply-adds of a module with all inside it."""
        return self._macs.get(name, 0)

    def own_macs(self, name: str) -> int:
        """Multiply-adds that a module computes itself, not in a module inside it."""
        return self.total(name) - sum(self.total(f"{name}.{child}") for child, _ in self.modules[name].named_children())

    def own_parameters(self, name: str) -> int:
        """Parameters that a module holds itself."""
        return sum(parameter.numel() for parameter in self.modules[name].parameters(recurse=False))


class _Recorder(TorchDispatchMode):
    """Writes down every operation with the module that asked for it."""

    def __init__(self, running: Sequence[str], fixed: Sequence[torch.UntypedStorage]) -> None:
        super().__init__()
        self.operators: list[Operator] = []
        self.storages: list[torch.UntypedStorage] = list(fixed)
        self._running = running
        self._fixed = {storage._cdata for storage in fixed}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func._overloadpacket
        flops: Callable[..., int] | None = flop_registry.get(packet)
        # torch counts a multiplication and an addition; a multiply-add (MAC) is both.
        macs = flops(*args, **kwargs, out_val=result) // 2 if flops else 0
        self.operators.append(
            Operator(
                name=packet.__name__,
                module=self._running[-1],
                inputs=tuple(map(self._value, _tensors((args, kwargs)))),
                outputs=tuple(map(self._value, _tensors(result))),
                macs=macs,
                args=tuple(self._value(arg) if isinstance(arg, Tensor) else arg for arg in args),
            )
        )
        return result

    def _value(self, tensor: Tensor) -> Value:
        storage = tensor.untyped_storage()
        self.storages.append(storage)
        spread = any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
        return Value(storage._cdata, tuple(tensor.shape), spread, storage._cdata in self._fixed)


def storage_of(tensor: Tensor) -> int:
    """Return what tells the data of `tensor` apart from other data while it lives."""
    return tensor.untyped_storage()._cdata


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
