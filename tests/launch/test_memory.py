"""Whether a study fits into memory: what is refused, what is warned of, and how much there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from segcore.config import Recipe, StudyConfig
from segcore.errors import ConfigError
from segcore.launch import memory
from segcore.launch.gpus import Gpu
from segcore.launch.memory import Fit, Room, check, fit, machine_room, summary
from segcore.models.footprint import Need
from segcore.status import RunState
from segcore.store import RunStore
from tests.factories import make_run

GB = 1e9
SMALL, LARGE = Need(fixed=1 * GB, per_image=0.5 * GB), Need(fixed=1 * GB, per_image=1 * GB)


def fitting(total: float, *, free: float | None = None, batch: int = 8, seeds: int = 1, at_once: int = 1) -> Fit:
    """ResNet-18 with 5 GB and VGG-16 with 9 GB at batch 8, in `total` GB."""
    room = Room("this machine's memory", total * GB, (total if free is None else free) * GB)
    return Fit({"resnet18": SMALL, "vgg16": LARGE}, batch, seeds, at_once, room)


def config(*encoders: str, **recipe: object) -> StudyConfig:
    return StudyConfig(name="s", dataset="tiny", encoders=encoders, recipe=Recipe(**recipe))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 16 GB of which 12 are free, outside of any container."""
    monkeypatch.setattr(
        memory.psutil, "virtual_memory", lambda: SimpleNamespace(total=int(16 * GB), available=int(12 * GB))
    )
    monkeypatch.setattr(memory, "CGROUP", Path("/nowhere"))


def test_what_fits_is_not_refused() -> None:
    found = fitting(9.0)
    assert found.possible and not found.tight and found.largest == "vgg16"
    check(found, 256)
    assert summary(found) == "9.0 GB of 9.0 GB (VGG-16)"


def test_what_fits_but_not_now_is_tight() -> None:
    found = fitting(20.0, free=8.0)
    assert found.possible and found.tight
    check(found, 256)
    assert not fitting(20.0, free=9.0).tight


def test_backbones_that_never_fit_are_refused_with_the_batch_that_would() -> None:
    with pytest.raises(ConfigError) as caught:
        check(fitting(4.5), 256)
    assert caught.value.field == "batch_size"
    text = str(caught.value)
    assert "ResNet-18 needs about 5.0 GB (batch size 7 fits)" in text
    assert "VGG-16 needs about 9.0 GB (batch size 3 fits)" in text
    assert "4.5 GB" in text and "256 px" in text
    check(fitting(4.5, batch=3), 256)


def test_where_no_batch_fits_it_is_said() -> None:
    with pytest.raises(ConfigError, match=r"VGG-16 needs about 9\.0 GB .not even batch size 2 fits"):
        check(fitting(2.9), 256)


def test_runs_at_once_add_up() -> None:
    assert fitting(14.0, at_once=2).bytes == 14 * GB  # one run of each: the large and the small
    both = fitting(14.0, at_once=2, seeds=2)
    assert both.bytes == 18 * GB  # two seeds of the large one
    with pytest.raises(
        ConfigError, match=r"2 runs at once with batch size 8 .* need about 18 GB.*batch size 6"
    ) as caught:
        check(both, 256)
    assert caught.value.field == "batch_size"
    assert fitting(14.0, at_once=4).bytes == 14 * GB  # no more than there are runs
    assert "2 runs at once" in summary(fitting(14.0, at_once=4))


@pytest.mark.usefixtures("machine")
def test_a_study_is_held_against_this_machine(store: RunStore) -> None:
    small = fit(config("resnet18"), 3, store)
    assert small.room.total == 16 * GB and small.room.free == 12 * GB
    assert small.possible
    huge = fit(config("resnet18", "efficientnet_b7", image_size=1024, batch_size=32), 3, store)
    assert huge.too_large == ["resnet18", "efficientnet_b7"]
    half = fit(config("resnet18", precision="bf16"), 3, store)
    assert half.bytes < small.bytes


@pytest.mark.usefixtures("machine")
def test_slots_of_the_queue_count(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segcore.runqueue.cores", lambda: 8)
    one = fit(config("resnet18", "vgg16"), 3, store)
    store.set_queue(slots=2)
    two = fit(config("resnet18", "vgg16"), 3, store)
    assert two.at_once == 2
    assert one.bytes < two.bytes < 2 * one.bytes


@pytest.mark.usefixtures("machine")
def test_memory_of_our_own_runs_will_be_free(store: RunStore) -> None:
    before = machine_room(store).free
    make_run(store, state=RunState.RUNNING)  # its process is this one
    assert before + 10**6 < machine_room(store).free <= 16 * GB


@pytest.mark.usefixtures("machine")
def test_networks_that_the_catalog_lacks_are_left_out_unless_probed(store: RunStore) -> None:
    asked = config("resnet18", "resnet26", image_size=64)
    assert list(fit(asked, 3, store).needs) == ["resnet18"]
    assert list(fit(asked, 3, store, probe=True).needs) == ["resnet18", "resnet26"]
    assert fit(config("resnet26"), 3, store).largest is None
    assert summary(fit(config("resnet26"), 3, store)) == "not known yet"


def test_on_gpus_the_roomiest_counts(store: RunStore) -> None:
    cards = [Gpu(0, "Small", 8_000, 8_000), Gpu(1, "Large", 24_000, 2_000)]
    found = fit(config("resnet18"), 3, store, cards)
    assert found.room.name == "GPU 1 (Large)" and found.at_once == 1
    assert found.room.total == 24_000 * 2**20 and found.room.free == 2_000 * 2**20
    run = make_run(store, state=RunState.RUNNING)
    run.write_status(replace(run.status, device="cuda:1"))
    assert fit(config("resnet18"), 3, store, cards).room.free == 24_000 * 2**20  # free again once that run has ended
    forced = fit(config("resnet18", precision="fp32"), 3, store, cards)
    assert forced.bytes > found.bytes  # else 16 bits will do
    assert found.smallest is not None and found.smallest.name == "GPU 0 (Small)"
    assert found.smallest.total == 8_000 * 2**20
    assert fit(config("resnet18"), 3, store, [cards[0], replace(cards[0], index=2)]).smallest is None


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("version", [1, 2])
def test_a_container_may_have_less_than_its_machine(store: RunStore, tmp_path: Path, version: int) -> None:
    folder = tmp_path if version == 2 else tmp_path / "memory"
    folder.mkdir(exist_ok=True)
    limit, used = (
        ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    )
    (folder / limit).write_text("4000000000\n")
    (folder / used).write_text("3000000000\n")
    (folder / "memory.stat").write_text("inactive_file 2500000000\ntotal_inactive_file 2500000000\n")
    room = machine_room(store, cgroup=tmp_path)
    assert (room.total, room.free) == (4e9, 3.5e9)
    (folder / limit).write_text("max\n" if version == 2 else f"{2**63 - 4096}\n")
    assert machine_room(store, cgroup=tmp_path).total == 16 * GB
