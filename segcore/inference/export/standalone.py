"""Predict the mask of an image with the network beside this file: python predict.py IMAGE MASK.png

Needs onnxruntime, numpy and Pillow alone. The mask is a palette PNG whose values are the rows of classes.csv. For a
network of crops, memory grows with the image: 4 bytes for each pixel and class.
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

HERE = Path(__file__).parent


def resampling(source: int, target: int, by_area: bool) -> np.ndarray:
    """Weights (target, source) that resize a line of pixels: each new one is a mean by area, or between two."""
    edges, pixels = np.arange(target + 1)[:, None] * source / target, np.arange(source)
    weights = (np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)).clip(0) * target / source
    if not by_area:
        weights = (1 - abs(((edges[1:] + edges[:-1] - 1) / 2).clip(0, source - 1) - pixels)).clip(0)
    return weights.astype(np.float32)


def predict(image: np.ndarray) -> np.ndarray:
    """Labels (H, W) uint8, rows of classes.csv, of an RGB image (H, W, 3) uint8 with values 0-255."""
    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    facts = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
    side, (height, width), image, bell = facts["image_size"], image.shape[:2], image.transpose(2, 0, 1), 1
    if facts["geometry"] == "crop":  # at native scale, in blended windows; small images are filled up with black
        image = np.pad(image, ((0, 0), (0, max(0, side - height)), (0, max(0, side - width))))
        bell = np.outer(*[np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2] * 2)
    else:  # the whole, resized
        to_rows, to_columns = (resampling(old, side, min(height, width) >= side) for old in (height, width))
        image = np.rint(to_rows @ image.astype(np.float32) @ to_columns.T).astype(np.uint8)
    odds = np.zeros((len(facts["classes"]), *image.shape[1:]), np.float32)
    steps = [-((side - length) // max(1, int(side * (1 - facts["overlap"])))) for length in image.shape[1:]]
    for row, column in np.ndindex(steps[0] + 1, steps[1] + 1):
        top, left = (round(at * (length - side) / max(1, step))
                     for at, length, step in zip((row, column), image.shape[1:], steps, strict=True))  # fmt: skip
        window = np.s_[:, top : top + side, left : left + side]
        logits = session.run(None, {"image": image[window][None]})[0][0]
        shares = np.exp(logits - logits.max(0))
        odds[window] += shares / shares.sum(0) * bell
    if facts["geometry"] == "crop":
        return odds.argmax(0)[:height, :width].astype(np.uint8)
    back = resampling(side, width, False).T
    return np.stack([(row @ odds @ back).argmax(0) for row in resampling(side, height, False)]).astype(np.uint8)


if __name__ == "__main__":
    mask = Image.fromarray(predict(np.asarray(Image.open(sys.argv[1]).convert("RGB"))))
    with open(HERE / "classes.csv", newline="", encoding="utf-8") as table:
        mask.putpalette([int(row[color]) for row in csv.DictReader(table) for color in "rgb"])
    mask.save(sys.argv[2])
