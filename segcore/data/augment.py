"""Random changes of training images that leave their meaning as it is.

Images from above have no up and no horizon, so every flip and rotation is as likely as the original.
"""

from __future__ import annotations

import os

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for its latest version on import

import albumentations as A
import cv2

from segcore.config import IGNORE_INDEX, Recipe
from segcore.data.crops import random_crop


def build_transform(recipe: Recipe) -> A.Compose | None:
    """Return the recipe's augmentation for (image, mask) pairs, or None where it has none.

    Areas that a rotation or a smaller scale uncovers are black in the image and ignored in the mask: 0,
    which albumentations fills in by default, is a real class.
    """
    if recipe.augmentation == "none":
        return None
    return A.Compose(
        [
            A.D4(p=1.0),
            A.Affine(
                scale=(0.8, 1.25),
                rotate=(-20, 20),
                translate_percent=(-0.0625, 0.0625),
                interpolation=cv2.INTER_LINEAR,
                mask_interpolation=cv2.INTER_NEAREST,
                fill=0,
                fill_mask=IGNORE_INDEX,
                p=0.5,
            ),
            A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=0.5),
            A.HueSaturationValue(hue_shift_limit=8, sat_shift_limit=20, val_shift_limit=10, p=0.3),
        ]
    )


def augment(
    transform: A.Compose | None, image: np.ndarray, labels: np.ndarray, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Apply `transform` to an image (HWC uint8 RGB) and its labels (HW uint8), the randomness set by `seed`.

    Seeding each sample, not each worker, makes the result the same with any number of loader workers and
    after any interruption; it also avoids albumentations' trap of workers that share one random stream.
    """
    if transform is None:
        return image, labels
    transform.set_random_seed(seed)
    changed = transform(image=image, mask=labels)
    return changed["image"], changed["mask"]


def training_sample(
    transform: A.Compose | None, image: np.ndarray, labels: np.ndarray, parts: tuple[int, ...], *, crop: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a network is shown of a prepared image: with `crop` a random square of it, then augmented.

    Args:
        transform: the recipe's, as `build_transform` makes it.
        image: HWC uint8 RGB, prepared for the recipe.
        labels: HW uint8, 255 where ignored.
        parts: decide all that is random; training hands in seed, epoch, number of the image and, of crops, number of
            the crop.
        crop: side of the square in pixels; None for the whole image.
    """
    if crop is not None:
        image, labels = random_crop(image, labels, crop, np.random.default_rng(parts))
    return augment(transform, image, labels, seed=derive_seed(*parts))


def derive_seed(*parts: int) -> int:
    """Return a 32-bit seed that differs whenever any of `parts` does, as far as 32 bits can."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
