"""Label suspects: places where several networks are wrong in the same pixels and say the same other class.

That the mask is wrong there is a suspicion and no more: a hard scene, or a class that nobody can see, fools all
networks alike. Networks may have learnt the wrong labels of images they were trained on, so only others are looked at.
The idea, for classifiers of whole images, is that of C. G. Northcutt, L. Jiang, I. Chuang, "Confident Learning"
(https://arxiv.org/abs/1911.00068): trust a label less the surer predictions from outside of training contradict it.

Edges of classes are hardly ever drawn to the pixel, and all networks are then wrong in the same thin strips. So what is
narrower than `strip` is left out. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from segcore.config import IGNORE_INDEX, ClassInfo

MOST_PLACES = 20
"""So many places of an image are kept, the weightiest."""


@dataclass(frozen=True)
class Suspect:
    """A connected place of an image that all networks take for one class that the mask does not say."""

    image: str
    true: int
    """What the mask says."""
    taken: int
    """What the networks say."""
    pixels: int
    """At the size at which the networks were compared."""
    share: float
    """Of the image's labelled pixels, 0-1."""
    confidence: float
    """Of the network that is least sure in each pixel, the mean over the place, 0-1. Networks are surer than right."""
    box: tuple[float, float, float, float]
    """(left, top, right, bottom) as shares of the image's width and height, 0-1."""

    @property
    def weight(self) -> float:
        """What places are ranked by: the share of the image, each pixel counted as much as the networks are sure."""
        return self.share * self.confidence

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> Suspect:
        """Read what `to_json` returned.

        Raises:
            TypeError: it is another object.
        """
        found = cls(**value)  # type: ignore[arg-type]
        left, top, right, bottom = found.box
        return cls(**{**asdict(found), "box": (left, top, right, bottom)})


def strip(height: int, width: int) -> int:
    """Return how many pixels wide a place has to be: a hundredth of the longer side, at least 3, and odd."""
    return max(3, round(max(height, width) / 100) | 1)


def agreed_errors(truth: np.ndarray, predictions: Sequence[np.ndarray]) -> np.ndarray:
    """Return the class that all networks say where it is not that of the mask: (H, W) uint8, 255 elsewhere.

    Args:
        truth: (H, W) uint8, 255 where nobody said what it is; nothing can be wrong there.
        predictions: (H, W) uint8 of each network.
    """
    first = predictions[0]
    wrong = (truth != IGNORE_INDEX) & (first != truth)
    for other in predictions[1:]:
        wrong &= other == first
    return np.where(wrong, first, np.uint8(IGNORE_INDEX)).astype(np.uint8)


def suspects(
    image: str, truth: np.ndarray, predictions: Sequence[np.ndarray], confidences: Sequence[np.ndarray]
) -> list[Suspect]:
    """Return the suspect places of an image, the weightiest first, at most `MOST_PLACES`.

    Args:
        image: its name.
        truth: (H, W) uint8, 255 where nobody said what it is.
        predictions: (H, W) uint8 of each network, two or more.
        confidences: (H, W) float, 0-1, of each network: the probability it gives to what it says.

    Raises:
        ValueError: fewer than two networks, or maps of another shape.
    """
    if len(predictions) < 2 or len(predictions) != len(confidences):
        raise ValueError(
            f"{len(predictions)} predictions and {len(confidences)} confidences; expected two or more each"
        )
    if any(values.shape != truth.shape for values in (*predictions, *confidences)):
        raise ValueError(f"all maps must have the mask's shape {truth.shape}")
    labelled = int((truth != IGNORE_INDEX).sum())
    said = agreed_errors(truth, predictions)
    surest = np.minimum.reduce([np.asarray(values, np.float32) for values in confidences])
    wrong = said != IGNORE_INDEX
    pairs, pixels = np.unique(truth[wrong].astype(np.int64) * 256 + said[wrong], return_counts=True)
    pairs = pairs[pixels >= strip(*truth.shape) ** 2]  # fewer pixels make no place
    found = [
        place for pair in pairs.tolist() for place in _places(image, truth, said, surest, labelled, *divmod(pair, 256))
    ]
    return sorted(found, key=lambda place: (-place.weight, place.box))[:MOST_PLACES]


def _places(
    image: str, truth: np.ndarray, said: np.ndarray, sure: np.ndarray, labelled: int, true: int, taken: int
) -> Iterable[Suspect]:
    """Yield the connected places where the mask says `true` and all networks `taken`."""
    height, width = truth.shape
    wide = strip(height, width)
    mask = ((truth == true) & (said == taken)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((wide, wide), np.uint8))
    number, places, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    summed = np.bincount(places.ravel(), weights=sure.ravel(), minlength=number)
    for place in range(1, number):
        left, top, across, down, pixels = (int(value) for value in stats[place])
        box = (left / width, top / height, (left + across) / width, (top + down) / height)
        confidence = min(1.0, float(summed[place]) / pixels)
        yield Suspect(image, true, taken, pixels, pixels / labelled, confidence, box)


def table(found: Iterable[Suspect], classes: Sequence[ClassInfo]) -> list[dict[str, object]]:
    """Return suspects as rows of a table, with names of classes: what is exported."""
    edges = ("left", "top", "right", "bottom")
    return [
        {
            "image": one.image,
            "mask_says": classes[one.true].name,
            "networks_say": classes[one.taken].name,
            "pixels": one.pixels,
            "share_of_labelled_pixels": round(one.share, 6),
            "confidence": round(one.confidence, 4),
            **{edge: round(value, 4) for edge, value in zip(edges, one.box, strict=True)},
        }
        for one in found
    ]
