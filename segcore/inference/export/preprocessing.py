"""What whoever uses an exported network must know of its input and output, said in JSON.

Mean and standard deviation are inside of the exported graph, as they are inside of `Segmenter`: what is left to do
outside is to bring the image to the scale that the network was trained at.
"""

from __future__ import annotations

from typing import Any

from segcore.config import RunConfig
from segcore.inference.tiling import OVERLAP
from segcore.models.build import Segmenter

INPUT, OUTPUT = "image", "logits"
"""Names of the graph's input and output."""
MULTIPLE = 32
"""Height and width of what a network is given are multiples of this: encoders halve the image five times."""


def preprocessing(config: RunConfig, model: Segmenter, *, fixed: bool) -> dict[str, Any]:
    """Return how images reach the network and what comes out.

    Args:
        config: of the run.
        model: for its mean and standard deviation.
        fixed: whether the graph takes images of the run's size alone.
    """
    side = config.recipe.image_size
    size = f"exactly {side} × {side}" if fixed else f"height and width any multiples of {MULTIPLE}"
    return {
        "input": {
            "name": INPUT,
            "shape": ["batch", 3, side if fixed else "height", side if fixed else "width"],
            "dtype": "uint8",
            "values": "0-255, as stored; nothing is subtracted or divided outside of the graph",
            "color_order": "RGB",
            "size": size,
        },
        "output": {
            "name": OUTPUT,
            "shape": ["batch", model.classes, side if fixed else "height", side if fixed else "width"],
            "dtype": "float32",
            "values": "logits; softmax over the second axis gives probabilities, argmax the class",
        },
        "geometry": config.recipe.geometry,
        "image_size": side,
        "fixed_size": fixed,
        "multiple_of": MULTIPLE,
        "overlap": OVERLAP,
        "scale": _scale(config),
        "mean": [round(float(value), 6) for value in model.mean.flatten()],
        "std": [round(float(value), 6) for value in model.std.flatten()],
        "classes": [info.name for info in config.dataset.trained_classes],
    }


def _scale(config: RunConfig) -> str:
    """Say in words what is done to an image before the network sees it."""
    side = config.recipe.image_size
    if config.recipe.geometry == "crop":
        return (
            f"The image stays at its native scale and is looked at in windows of {side} × {side} pixels that overlap "
            f"by {OVERLAP:.0%}; their probabilities are averaged with weights that fall towards the borders. An image "
            "smaller than a window is filled up with black to the right and below."
        )
    return (
        f"The whole image is resized to {side} × {side} pixels, whatever its aspect ratio: by area where both sides "
        "shrink, else linearly. The probabilities are resized back linearly."
    )
