"""A run whose numbers are pinned: a change that is not meant to change results must leave them as they are.

Where one is meant to, print the new numbers (`python -m tests.training.test_golden`) and say in the changelog that
results differ from those of earlier versions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch

from segcore.config import Recipe
from segcore.data.loaders import build_loaders
from segcore.data.prepared import prepare, prepared_size
from segcore.data.splits import Split
from segcore.models.build import build
from segcore.training.group import Group
from segcore.training.loop import EpochResult, fit
from segcore.training.precision import Mode
from segcore.training.state import TrainingState
from segcore.workspace import Workspace
from tests.factories import add_dataset
from tests.training.conftest import CPU

ENCODER = "mobilenetv3_small_050"
"""That for which the numbers below are."""
RECIPES = {
    "resize": Recipe(epochs=2, image_size=64, batch_size=6, precision="fp32", memory_format="contiguous"),
    "crop": Recipe(
        epochs=2,
        image_size=64,
        geometry="crop",
        crops_per_image=1,
        batch_size=6,
        loss="ce",
        augmentation="none",
        optimizer="adam",
        schedule="constant",
    ),
}
PINNED: dict[str, list[tuple[float, float]]] = {
    "resize": [(2.26376, 1.70117), (1.94802, 1.66025)],
    "crop": [(1.47654, 1.04039), (1.26017, 0.98876)],
}
"""Training and validation loss of each epoch."""


def losses(recipe: Recipe, folder: Path, mode: Mode) -> list[tuple[float, float]]:
    dataset = add_dataset(Workspace(folder / "home"), folder / "source", size=80)
    prepared = prepare(dataset, prepared_size(recipe))
    split = Split(tuple(prepared.names[:6]), tuple(prepared.names[6:]))
    loaders = build_loaders(prepared, split, recipe, seed=7)
    torch.manual_seed(7)
    model = mode.apply(build(ENCODER, weights="none", classes=3, image_size=64))
    state = TrainingState.start(model, recipe, mode, pretrained=False)
    events = fit(state, loaders, recipe, seed=7, mode=mode, group=Group(device=CPU))
    return [(e.record.train_loss, e.record.val_loss) for e in events if isinstance(e, EpochResult)]


@pytest.mark.parametrize("name", RECIPES)
def test_losses_are_the_pinned_ones(name: str, workspace: Workspace, tmp_path: Path) -> None:
    # Other processors add up in another order; their losses differed by 4e-4 at most between memory formats.
    for found, pinned in zip(losses(RECIPES[name], tmp_path, Mode()), PINNED[name], strict=True):
        assert found == pytest.approx(pinned, rel=2e-3)


if __name__ == "__main__":
    for name, recipe in RECIPES.items():
        for mode in (Mode(), Mode(memory_format="channels_last")):
            with tempfile.TemporaryDirectory() as folder:
                print(name, mode, losses(recipe, Path(folder), mode))
