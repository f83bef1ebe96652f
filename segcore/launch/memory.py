"""Whether the networks of a study fit into the memory there is, told before anything is queued.

Nothing here imports torch, unless it is asked to probe networks that the catalog does not know.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from segcore.config import StudyConfig
from segcore.errors import ConfigError
from segcore.launch.gpus import Gpu
from segcore.models import catalog
from segcore.models.footprint import Need, catalogued, need
from segcore.runs import Run
from segcore.status import RunState, Status, Where
from segcore.store import RunStore
from segcore.text import plural

CGROUP = Path("/sys/fs/cgroup")
UNLIMITED = 2**60
"""What the first version of cgroups says where there is no limit, or more."""


@dataclass(frozen=True)
class Room:
    """Memory that runs may take, in bytes."""

    name: str
    """How a sentence calls it: "this machine's memory", "GPU 0 (NVIDIA A100)"."""
    total: float
    free: float
    """Now; what our own runs take counts as free, as the next ones start after them."""


@dataclass(frozen=True)
class Fit:
    """How the networks of a study fit."""

    needs: dict[str, Need]
    """Of each backbone whose need is known."""
    batch_size: int
    seeds: int
    at_once: int
    """Runs that share the room."""
    room: Room
    smallest: Room | None = None
    """The smallest GPU, where there is a roomier one; a run may come to it just as well."""

    @property
    def largest(self) -> str | None:
        """The backbone that needs most."""
        return max(self.needs, key=lambda encoder: self.needs[encoder].of(self.batch_size), default=None)

    @property
    def bytes(self) -> float:
        """What the largest runs take together, as many as train at once."""
        return self.together(self.batch_size)

    def together(self, batch_size: int) -> float:
        """Return what they would take with that batch."""
        runs = [one.of(batch_size) for one in self.needs.values() for _ in range(self.seeds)]
        return sum(sorted(runs, reverse=True)[: self.at_once])

    @property
    def too_large(self) -> list[str]:
        """Backbones that do not fit even alone."""
        return [name for name, one in self.needs.items() if one.of(self.batch_size) > self.room.total]

    @property
    def possible(self) -> bool:
        """Whether all that trains at once fits, once nothing else takes memory."""
        return self.bytes <= self.room.total

    @property
    def tight(self) -> bool:
        """Whether it fits, but not into what is free now."""
        return self.possible and self.bytes > self.room.free


def fit(
    config: StudyConfig,
    classes: int,
    store: RunStore,
    gpus: Sequence[Gpu] = (),
    *,
    probe: bool = False,
    node: Room | None = None,
) -> Fit:
    """Return how the study's networks fit.

    Args:
        config: what is asked for.
        classes: that are learnt.
        store: of the queue, which says how many runs train at once.
        gpus: that train here; none for the processor.
        probe: build networks that the catalog does not know, on the meta device: imports torch, then takes about a
            second each. Otherwise they are left out.
        node: of a cluster, on whose processors each run trains alone; None for this machine.

    Raises:
        ModelError: when probing, of a network that cannot be built.
    """
    room = node or (_gpu_room(gpus, store) if gpus else machine_room(store))
    least = min(gpus, key=lambda gpu: gpu.total_mb, default=None)
    smallest = _room_of(least, least.free_mb) if least is not None else None
    at_once = 1 if gpus or node else store.queue_settings().slots
    recipe = config.recipe
    # Which precision is fastest is measured by the first run. On a GPU one of 16 bits will do wherever 32 do not
    # fit; a processor often has no units for them.
    half = recipe.precision in ("bf16", "fp16") or (recipe.precision == "auto" and bool(gpus))
    needs = {}
    for encoder in config.encoders:
        found = catalogued(encoder, config.decoder, classes, recipe.image_size)
        if found is None and probe:
            from segcore.models.memory import footprint

            found = footprint(encoder, config.decoder, classes, recipe.image_size)
        if found is not None:
            needs[encoder] = need(found, classes, recipe.image_size, half=half, gpu=bool(gpus))
    unequal = smallest is not None and smallest.total < room.total
    return Fit(needs, recipe.batch_size, len(config.seeds), at_once, room, smallest if unequal else None)


def check(fitting: Fit, image_size: int) -> None:
    """Refuse what can never be trained in the memory there is.

    Raises:
        ConfigError: with what is needed, what there is, and the largest batch that fits; field "batch_size".
    """
    if fitting.possible:
        return
    batch, room = fitting.batch_size, fitting.room
    if not fitting.too_large:
        batches = (size for size in range(batch - 1, 1, -1) if fitting.together(size) <= room.total)
        smaller = next(batches, None)
        raise ConfigError(
            f"{plural(fitting.at_once, 'run')} at once with batch size {batch} at {image_size} px need about "
            f"{gigabytes(fitting.bytes)}; {room.name} has {gigabytes(room.total)}. Let fewer runs train at once"
            + (f", or use batch size {smaller}." if smaller else ", or use a smaller image size."),
            field="batch_size",
        )
    lines: list[str] = []
    for name in fitting.too_large:
        largest = fitting.needs[name].largest_batch(room.total)
        fits = f"batch size {largest} fits" if largest >= 2 else "not even batch size 2 fits"
        lines.append(f"{catalog.title(name)} needs about {gigabytes(fitting.needs[name].of(batch))} ({fits})")
    raise ConfigError(
        f"Batch size {batch} at {image_size} px does not fit into {room.name} of {gigabytes(room.total)}: "
        f"{', '.join(lines)}. Use a smaller batch or image size, or leave {'them' if len(lines) > 1 else 'it'} out.",
        field="batch_size",
    )


def gigabytes(count: float) -> str:
    """Return a number of bytes as "3.4 GB"; tenths only below 10."""
    return f"{count / 1e9:.{1 if count < 9.95e9 else 0}f} GB"


def machine_room(store: RunStore, *, cgroup: Path | None = None) -> Room:
    """Return the memory of this machine, or of the container that this process is in."""
    memory = psutil.virtual_memory()
    total, free = float(memory.total), float(memory.available)
    limit = _container_limit(cgroup or CGROUP)
    if limit is not None and limit[0] < total:
        total, free = limit[0], min(free, limit[0] - limit[1])
    ours = sum(_resident(status) for _, status in _training(store))
    return Room("this machine's memory", total, min(total, free + ours))


def _gpu_room(gpus: Sequence[Gpu], store: RunStore) -> Room:
    """Return the roomiest GPU; each takes one run."""
    best = max(gpus, key=lambda gpu: gpu.total_mb)
    ours = any(status.device == best.device for _, status in _training(store))
    return _room_of(best, best.total_mb if ours else best.free_mb)


def _room_of(gpu: Gpu, free_mb: int) -> Room:
    return Room(f"GPU {gpu.index} ({gpu.name})", gpu.total_mb * 2**20, free_mb * 2**20)


def _training(store: RunStore) -> list[tuple[Run, Status]]:
    host = socket.gethostname()
    rows = [row for row in store.statuses() if row[1].state is RunState.RUNNING and row[1].where is Where.HERE]
    return [row for row in rows if row[1].host == host]


def _resident(status: Status) -> float:
    try:
        return float(psutil.Process(status.pid).memory_info().rss)
    except psutil.Error:
        return 0.0


def _container_limit(cgroup: Path) -> tuple[float, float] | None:
    """Return (limit, used) in bytes of a container, of either version of cgroups; None where there is no limit."""
    for limit_name, used_name, cache_name, folder in (
        ("memory.max", "memory.current", "inactive_file", cgroup),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", cgroup / "memory"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number
            limit, used = (float((folder / name).read_text()) for name in (limit_name, used_name))
            if limit >= UNLIMITED:
                continue
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # Files that were read count as used, and give way.
            return limit, max(0.0, used - float(stat.get(cache_name, 0)))
    return None


def summary(fitting: Fit) -> str:
    """Say in a line what the runs need and what there is: "3.4 GB of 25 GB (EfficientNet-B7)"."""
    if fitting.largest is None:
        return "not known yet"
    who = catalog.title(fitting.largest)
    if fitting.at_once > 1 and fitting.seeds * len(fitting.needs) > 1:
        who = f"{min(fitting.at_once, fitting.seeds * len(fitting.needs))} runs at once"
    return f"{gigabytes(fitting.bytes)} of {gigabytes(fitting.room.total)} ({who})"
