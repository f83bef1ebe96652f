"""The processes that train one run together: usually one; several under `accelerate launch`.

Each of several processes sees its share of every batch. What it adds to the loss, to the counts and to the gradients
is summed over all, so that they take the very steps that one process with the whole batch would take; batch norm alone
still looks at each share by itself. Process 0 decides, writes and prints.

`accelerate` opens the connection and picks the device; gradients go through torch's DistributedDataParallel.
`accelerate.Accelerator` would also wrap optimiser, loss scaling and batches, and rescale the loss on the way; but the
loss of a shared batch is no mean of the shares' losses, and an epoch must be entered at any batch, so these stay ours.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from segcore.training.device import best_device

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""How long the others wait for the leading process, which may be preparing a large dataset meanwhile. Where one of them
dies the rest learn it at once, from the connection or from what launched them."""
_REASON = "segcore/reason"
"""Where a process leaves word of why it gives up."""


class LeaderEnded(Exception):
    """The leading process ended before the others had anything to do; it says why."""


class Group:
    """The processes of one run. `Group()` is a process by itself, to which all of this costs nothing."""

    def __init__(self, rank: int = 0, world: int = 1, device: torch.device | None = None) -> None:
        self.rank = rank
        """Which process this is; 0 leads."""
        self.world = world
        """How many there are."""
        self.device = device or best_device()
        """What this process computes on."""

    @classmethod
    def join(cls) -> Group:
        """Return this process's group: the one it was launched in, else itself alone."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        from accelerate import PartialState  # type: ignore[import-untyped]

        state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.world == 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return `model` so that after each backward pass gradients are averaged over the group."""
        if self.alone:
            return model
        # Some backbones have weights that a decoder never uses. Torch looks for them in every step, and warns
        # where there are none.
        warnings.filterwarnings("ignore", message="find_unused_parameters=True")
        return DistributedDataParallel(model, find_unused_parameters=True)

    def total(self, sums: Tensor) -> Tensor:
        """Return `sums` added up over the group; gradients flow to this process's own part alone."""
        if self.alone:
            return sums
        everywhere = sums.detach().clone()
        dist.all_reduce(everywhere)
        return sums + (everywhere - sums.detach())

    def count(self, counts: Tensor) -> Tensor:
        """Return integers added up over the group."""
        if not self.alone:
            dist.all_reduce(counts)
        return counts

    def any(self, value: bool) -> bool:
        """Whether `value` is true in any process. All must ask."""
        if self.alone:
            return value
        asked = torch.tensor(int(value), device=self.device)
        dist.all_reduce(asked, dist.ReduceOp.MAX)
        return bool(asked.item())

    def told(self, value: T) -> T:
        """Return what the leading process passed, in every process."""
        if self.alone:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self._carrier)
        return box[0]

    def led(self, work: Callable[[], T]) -> T:
        """Let the leading process do some work and return, in every process, what came of it.

        Raises:
            LeaderEnded: in the others, where the work raised in the leading process.
        """
        if self.alone:
            return work()
        value: T | None = None
        if self.leads:
            try:
                value = work()
            except BaseException as error:
                self.told((None, f"{type(error).__name__}: {error}"))
                raise
        told, reason = self.told((value, ""))
        if reason:
            raise LeaderEnded(reason)
        return told  # type: ignore[return-value]

    def gather(self, value: T) -> list[T]:
        """Return what each process passed, by rank."""
        if self.alone:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def same_buffers(self, model: nn.Module) -> None:
        """Give every process the leading one's buffers: the running statistics of batch norm differ by share."""
        if not self.alone:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)

    def give_up(self, reason: str) -> None:
        """Leave word for the leading process of why this one ends; its connection breaks with it."""
        with suppress(RuntimeError):
            self._store().set(_REASON, reason)

    def reason(self) -> str | None:
        """Return why another process gave up, or None."""
        if self.alone:
            return None
        try:
            store = self._store()
            return store.get(_REASON).decode() if store.check([_REASON]) else None
        except RuntimeError:
            return None

    def leave(self) -> None:
        """Close the connection."""
        if not self.alone and dist.is_initialized():
            dist.destroy_process_group()

    @property
    def _carrier(self) -> torch.device | None:
        return self.device if self.device.type == "cuda" else None

    @staticmethod
    def _store() -> Any:
        return dist.distributed_c10d._get_default_store()
