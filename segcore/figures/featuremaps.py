"""Feature maps and evidence as pictures: numpy in, HWC uint8 RGB out."""

from __future__ import annotations

import math

import cv2
import numpy as np


def heat_image(values: np.ndarray, side: int) -> np.ndarray:
    """Colour a map from its least (dark violet) to its largest value (yellow), enlarged without blending.

    Args:
        values: (h, w) float.
        side: the longer side of the picture in pixels, at least.

    Returns:
        HWC uint8 RGB in viridis, which the colour-blind read as well.
    """
    low, high = float(values.min()), float(values.max())
    scaled = np.zeros_like(values, np.float32) if high <= low else (values - low) / (high - low)
    factor = max(1, math.ceil(side / max(values.shape)))
    grey = np.rint(scaled * 255).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)


def evidence_image(image: np.ndarray, heat: np.ndarray, opacity: float) -> np.ndarray:
    """Lay evidence over an image: nothing where there is none, dark to yellow where it grows.

    Args:
        image: (H, W, 3) uint8 RGB.
        heat: (h, w) float, 0-1; enlarged smoothly to the image's size.
        opacity: of the strongest evidence, 0-1.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: the opacity is outside 0-1.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}, expected 0-1")
    height, width = image.shape[:2]
    smooth = cv2.resize(heat.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colors = cv2.cvtColor(
        cv2.applyColorMap(np.rint(smooth * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    share = (opacity * np.sqrt(smooth))[..., None]
    return np.rint((1 - share) * image + share * colors).astype(np.uint8)
