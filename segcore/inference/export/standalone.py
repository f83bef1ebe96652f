"""Predict the mask of an image with the network beside this file: python predict.py IMAGE MASK.png

Needs onnxruntime, numpy and Pillow alone. The mask is a palette PNG whose values are the rows of classes.csv.
"""

import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

HERE = Path(__file__).parent


def resampling(source: int, target: int, by_area: bool) -> np.ndarray:
    """Weights (target, source) that resize a line of pixels: each new one is a mean by area, or between two."""
    scale, pixels = source / target, np.arange(source)
    if by_area:
        edges = np.arange(target + 1)[:, None] * scale
        return ((np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)).clip(0) / scale).astype(np.float32)
    places = ((np.arange(target)[:, None] + 0.5) * scale - 0.5).clip(0, source - 1)
    return (1 - np.abs(places - pixels)).clip(0).astype(np.float32)


def windows(length: int, side: int, overlap: float) -> list[tuple[int, np.ndarray]]:
    """Where windows begin along an edge, and the weights (side,) of their pixels; at each pixel they add up to 1."""
    steps = math.ceil((length - side) / max(1, math.floor(side * (1 - overlap))))
    begins = [round(step * (length - side) / max(1, steps)) for step in range(steps + 1)]
    bell, total = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2, np.zeros(length)
    for begin in begins:
        total[begin : begin + side] += bell
    return [(begin, (bell / total[begin : begin + side]).astype(np.float32)) for begin in begins]


def bands(session: onnxruntime.InferenceSession, image: np.ndarray, side: int, overlap: float) -> Iterator[np.ndarray]:
    """Class probabilities (C, rows, W) of an image (3, H, W) uint8 from top to bottom, in blended windows."""
    rows, columns = (windows(length, side, overlap) for length in image.shape[1:])
    strip = np.zeros((session.get_outputs()[0].shape[1], side, image.shape[2]), np.float32)
    for (top, by_row), below in zip(rows, [*(begin for begin, _ in rows[1:]), image.shape[1]], strict=True):
        for left, by_column in columns:
            logits = session.run(None, {"image": image[None, :, top : top + side, left : left + side]})[0][0]
            odds = np.exp(logits - logits.max(0))
            strip[:, :, left : left + side] += odds / odds.sum(0) * by_row[:, None] * by_column
        yield strip[:, : below - top]
        strip = np.pad(strip[:, below - top :], ((0, 0), (0, below - top), (0, 0)))


def predict(image: np.ndarray) -> np.ndarray:
    """Labels (H, W) uint8, rows of classes.csv, of an RGB image (H, W, 3) uint8 with values 0-255."""
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    facts = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
    side, (height, width), image = facts["image_size"], image.shape[:2], image.transpose(2, 0, 1)
    if facts["geometry"] == "crop":  # at native scale, in overlapping windows; small images are filled up with black
        image = np.pad(image, ((0, 0), (0, max(0, side - height)), (0, max(0, side - width))))
        labels = [band.argmax(0).astype(np.uint8) for band in bands(session, image, side, facts["overlap"])]
        return np.concatenate(labels)[:height, :width]
    by_area = min(height, width) >= side
    square = resampling(height, side, by_area) @ image.astype(np.float32) @ resampling(width, side, by_area).T
    odds = next(bands(session, np.rint(square).astype(np.uint8), side, 0))
    rows, columns = resampling(side, height, False), resampling(side, width, False).T
    return np.concatenate(  # some rows at a time, as the probabilities of a large image take gigabytes
        [(some @ odds @ columns).argmax(0).astype(np.uint8) for some in np.array_split(rows, math.ceil(height / 64))]
    )


if __name__ == "__main__":
    mask = Image.fromarray(predict(np.asarray(Image.open(sys.argv[1]).convert("RGB"))))
    with open(HERE / "classes.csv", newline="", encoding="utf-8") as table:
        mask.putpalette([int(row[color]) for row in csv.DictReader(table) for color in "rgb"])
    mask.save(sys.argv[2])
