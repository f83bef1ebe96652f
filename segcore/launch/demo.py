"""The demo study: what `python -m segcore demo` and the button on the overview page launch."""

from __future__ import annotations

from segcore.config import Recipe, StudyConfig
from segcore.data.store import DEMO_NAME


def demo_study() -> StudyConfig:
    """Return the study of three small backbones that two CPU cores train in about two minutes.

    From scratch, so that it needs no download; with so few epochs it shows how things work and not which
    backbone is best.
    """
    return StudyConfig(
        name=DEMO_NAME,
        dataset=DEMO_NAME,
        encoders=("resnet18", "mobilenetv3_large_100", "tf_efficientnet_lite0"),
        weights="none",
        recipe=Recipe(epochs=6, image_size=96, batch_size=8),
    )
