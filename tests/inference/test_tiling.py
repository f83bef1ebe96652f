"""Prediction in windows: against adding everything up at once, without seams, in bounded memory."""

from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segcore.errors import ConfigError
from segcore.inference.tiling import Band, predict_bands, starts

CPU = torch.device("cpu")
CLASSES = 3


def noise(height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8))


def by_place(images: torch.Tensor) -> torch.Tensor:
    """Logits that depend on where in its window a pixel lies, as those of networks do near a border."""
    side = images.shape[-1]
    ramp = torch.linspace(-2, 2, side)
    grid = torch.stack([ramp[:, None].expand(side, side), ramp.expand(side, side), torch.zeros(side, side)])
    return images.float() / 50 + grid


def bands_of(image: torch.Tensor, *, window: int = 32, overlap: float = 0.25, batch_size: int = 3) -> list[Band]:
    found = predict_bands(
        by_place, image, window=window, overlap=overlap, batch_size=batch_size, classes=CLASSES, device=CPU
    )
    return list(found)


def all_at_once(image: torch.Tensor, window: int, overlap: float) -> torch.Tensor:
    """The same result the plain way: sums of weighted probabilities over sums of weights, each of the image's size."""
    height, width = image.shape[1:]
    padded = F.pad(image, (0, max(0, window - width), 0, max(0, window - height)))
    bell = torch.sin(torch.pi * (torch.arange(window) + 0.5) / window) ** 2
    weights = bell[:, None] * bell
    total = torch.zeros(CLASSES, *padded.shape[1:])
    covered = torch.zeros(padded.shape[1:])
    for top in starts(padded.shape[1], window, overlap):
        for left in starts(padded.shape[2], window, overlap):
            place = slice(top, top + window), slice(left, left + window)
            total[:, *place] += by_place(padded[:, *place][None])[0].softmax(0) * weights
            covered[place] += weights
    return (total / covered)[:, :height, :width]


@pytest.mark.parametrize("size", [(32, 32), (33, 32), (100, 131), (200, 40), (40, 200), (20, 90), (90, 20), (1, 1)])
@pytest.mark.parametrize(("overlap", "batch_size"), [(0.25, 3), (0.5, 1), (0.0, 100)])
def test_bands_are_what_adding_up_everything_gives(size: tuple[int, int], overlap: float, batch_size: int) -> None:
    image = noise(*size)
    bands = bands_of(image, overlap=overlap, batch_size=batch_size)
    assert [band.top for band in bands] == [0, *(band.bottom for band in bands[:-1])] and bands[-1].bottom == size[0]
    assert all(band.probabilities.shape == (CLASSES, band.bottom - band.top, size[1]) for band in bands)
    found = torch.cat([band.probabilities for band in bands], 1)
    torch.testing.assert_close(found, all_at_once(image, 32, overlap), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.sum(0), torch.ones(size))


def test_a_window_sees_what_a_crop_in_training_sees() -> None:
    """At its native scale, and black where the image ends."""
    seen: list[torch.Tensor] = []

    def forward(images: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        seen.append(images)
        return torch.zeros(len(images), CLASSES, 32, 32)

    image = noise(40, 20)
    list(predict_bands(forward, image, window=32, batch_size=8, classes=CLASSES, device=CPU))
    (batch,) = seen
    assert batch.shape == (2, 3, 32, 32) and batch.dtype == torch.uint8
    assert torch.equal(batch[0, :, :, :20], image[:, :32]) and torch.equal(batch[1, :, :, :20], image[:, 8:])
    assert (batch[:, :, :, 20:] == 0).all()


def test_there_is_no_seam() -> None:
    """Windows that contradict each other near their borders are blended into each other, not laid side by side."""
    image = torch.full((3, 160, 160), 100, dtype=torch.uint8)
    found = torch.cat([band.probabilities for band in bands_of(image, window=64)], 1)
    alone = by_place(image[None, :, :64, :64])[0].softmax(0)
    for axis in (1, 2):
        seam = torch.cat([alone, alone], axis).diff(dim=axis).abs().max()
        assert seam > 0.5
        assert found.diff(dim=axis).abs().max() < seam / 5


def test_bands_handed_out_do_not_change_and_are_not_kept() -> None:
    image = noise(200, 64)
    kept, copies, alive = [], [], []
    for band in predict_bands(by_place, image, window=32, batch_size=2, classes=CLASSES, device=CPU):
        kept.append(band.probabilities)
        copies.append(band.probabilities.clone())
    assert all(torch.equal(one, other) for one, other in zip(kept, copies, strict=True))
    del kept, copies, band
    for band in predict_bands(by_place, image, window=32, batch_size=2, classes=CLASSES, device=CPU):
        alive.append(weakref.ref(band.probabilities))
        assert sum(probabilities() is not None for probabilities in alive) <= 2


def test_the_loop_around_it_may_use_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)
    for band in predict_bands(by_place, noise(80, 40), window=32, batch_size=2, classes=CLASSES, device=CPU):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        (band.probabilities * weight).sum().backward()
    assert weight.grad is not None and float(weight.grad) == pytest.approx(80 * 40, rel=1e-4)


@pytest.mark.parametrize("length", [32, 33, 56, 57, 100, 1000])
def test_windows_overlap_enough_and_end_with_the_image(length: int) -> None:
    begins = starts(length, 32, 0.25)
    assert begins[0] == 0 and begins[-1] == length - 32
    assert all(0 < after - before <= 24 for before, after in itertools.pairwise(begins))


def test_progress_counts_windows() -> None:
    told: list[tuple[int, int]] = []
    list(
        predict_bands(
            by_place,
            noise(50, 50),
            window=32,
            batch_size=3,
            classes=CLASSES,
            device=CPU,
            progress=lambda done, total: told.append((done, total)),
        )
    )
    assert told == [(done, 4) for done in range(1, 5)]


@pytest.mark.parametrize(
    "wrong", [{"window": 33}, {"window": 0}, {"overlap": 1.0}, {"overlap": -0.1}, {"batch_size": 0}]
)
def test_what_is_not_possible_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="not possible"):
        bands_of(noise(40, 40), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [torch.zeros(3, 8, 8), torch.zeros(8, 8, 3, dtype=torch.uint8), noise(0, 8)])
def test_other_tensors_are_refused(image: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match="expected"):
        bands_of(image)
