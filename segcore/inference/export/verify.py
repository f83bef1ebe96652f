"""Holding an exported network against the network itself: same answers on real images, and how fast each is."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from segcore.config import RunConfig
from segcore.data.readers import read_image, to_square
from segcore.data.store import DatasetStore
from segcore.data.synthetic import generate_scene
from segcore.errors import ExportError, SegcoreError
from segcore.inference.export import Verification
from segcore.inference.export.preprocessing import INPUT, MULTIPLE, OUTPUT
from segcore.models.build import Segmenter
from segcore.models.quiet import IDLE, quietly
from segcore.runs import Run
from segcore.workspace import Workspace

AGREEMENT = 0.999
"""Share of the pixels that must get the same class from both."""
IMAGES = 4
WARMUP, ROUNDS, SECONDS = 2, 15, 5.0
"""Passes before the clock counts, passes that count, and about how long they may take together."""

Forward = Callable[[np.ndarray], np.ndarray]
"""Images (B, 3, H, W) uint8 -> logits (B, C, H, W) float32."""


def sample_images(run: Run) -> tuple[list[np.ndarray], str]:
    """Return some images at the run's size, (3, S, S) uint8 each, and in words what they are.

    Validation images where the dataset is here; never test images. Else invented scenes.
    """
    config = run.config
    try:
        dataset = DatasetStore(Workspace(run.path.parents[2])).get(config.dataset.name)
        known = {pair.name: pair for pair in dataset.pairs}
        names = [name for name in run.split.val if name in known]
        chosen = [names[at] for at in np.linspace(0, len(names) - 1, min(IMAGES, len(names))).astype(int)]
        found = [read_image(known[name].image) for name in chosen]
    except SegcoreError:  # the run was copied without its dataset, or an image is gone
        found = []
    words = f"validation images of {config.dataset.name}"
    if not found:
        found = [image for image, _, _ in generate_scene(0, frames=IMAGES, size=256)]
        words = "invented scenes, as the dataset is not here"
    return [_at_size(image, config) for image in found], words


def _at_size(image: np.ndarray, config: RunConfig) -> np.ndarray:
    """Return what the network would be shown of an image HWC: all of it resized, or a square from its middle."""
    side = config.recipe.image_size
    if config.recipe.geometry == "resize":
        return np.ascontiguousarray(to_square(image, side).transpose(2, 0, 1))
    top, left = (max(0, (length - side) // 2) for length in image.shape[:2])
    square = image[top : top + side, left : left + side]
    filled = [(0, side - square.shape[0]), (0, side - square.shape[1]), (0, 0)]
    return np.ascontiguousarray(np.pad(square, filled).transpose(2, 0, 1))


def onnx_forward(path: Path) -> tuple[Forward, str]:
    """Load an ONNX file on the processor, with as many threads as PyTorch has, and say what runs it."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds can send some
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(images: np.ndarray) -> np.ndarray:
        (logits,) = session.run([OUTPUT], {INPUT: images})
        return np.asarray(logits)

    return forward, f"ONNX Runtime {onnxruntime.__version__}"


def torchscript_forward(path: Path) -> tuple[Forward, str]:
    """Load a TorchScript file that was written just now, and say what runs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own age
        loaded = torch.jit.load(str(path), map_location="cpu")
    return torch_forward(loaded), f"TorchScript, torch {torch.__version__}"


def torch_forward(model: torch.nn.Module) -> Forward:
    """Return a network on the CPU as a function of arrays."""

    def forward(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: torch.Tensor = model(torch.from_numpy(images))
        return logits.numpy()

    return forward


def verify(
    model: Segmenter, exported: Forward, runtime: str, images: Sequence[np.ndarray], source: str, *, fixed: bool
) -> Verification:
    """Compare an exported network with `model`, and measure both in turns.

    Args:
        model: in evaluation mode, on the CPU.
        exported: the other one.
        runtime: what runs it.
        images: (3, S, S) uint8 each; one by one, all in one batch and, unless `fixed`, one at another size.
        source: what they are.
        fixed: whether the exported network takes images of one size alone.

    Raises:
        ExportError: they differ.
    """
    own = torch_forward(model)
    batches = [image[None] for image in images] + [np.stack(images)]
    if not fixed:
        batches.append(_stretched(images[0])[None])
    pixels = same = 0
    largest = 0.0
    for batch in batches:
        expected, got = own(batch), exported(batch)
        if got.shape != expected.shape or not np.isfinite(got).all():
            shape = (
                f"{got.shape}, expected {expected.shape}"
                if got.shape != expected.shape
                else "values that are no numbers"
            )
            raise ExportError(f"The exported network answers images of shape {batch.shape} with {shape}. {_ADVICE}")
        largest = max(largest, float(np.abs(got - expected).max()))
        hits = got.argmax(1) == expected.argmax(1)
        pixels, same = pixels + hits.size, same + int(hits.sum())
    if same < AGREEMENT * pixels:
        raise ExportError(
            f"The exported network gives {100 * same / pixels:.2f} % of the pixels the class that the network gives "
            f"them, expected {100 * AGREEMENT:g} %; their logits differ by up to {largest:.3g}. {_ADVICE}"
        )
    (torch_ms, runtime_ms), share = quietly(lambda: _in_turns((own, exported), batches[0]), patience=0)
    return Verification(
        runtime=runtime,
        images=len(images),
        source=source,
        sizes=tuple(dict.fromkeys((len(batch), *batch.shape[2:]) for batch in batches)),
        pixels=pixels,
        max_difference=largest,
        agreement=same / pixels,
        torch_ms=torch_ms,
        runtime_ms=runtime_ms,
        threads=torch.get_num_threads(),
        idle=None if share is None else share <= IDLE,
    )


_ADVICE = "Nothing was written. Use segcore.Predictor, or another format, and please report the backbone."


def _stretched(image: np.ndarray) -> np.ndarray:
    """Resize an image (3, S, S) to another size that networks take, not square."""
    height, width = image.shape[1] + MULTIPLE, image.shape[2] + 2 * MULTIPLE
    return np.ascontiguousarray(cv2.resize(image.transpose(1, 2, 0), (width, height)).transpose(2, 0, 1))


def _in_turns(forwards: Sequence[Forward], batch: np.ndarray) -> list[float]:
    """Return the median time of each in ms; in turns, so that what else the machine does hits them alike."""
    times: list[list[float]] = [[] for _ in forwards]
    end = time.perf_counter() + SECONDS
    for turn in range(WARMUP + ROUNDS):
        for forward, taken in zip(forwards, times, strict=True):
            start = time.perf_counter()
            forward(batch)
            if turn >= WARMUP or time.perf_counter() > end:
                taken.append(1e3 * (time.perf_counter() - start))
        if time.perf_counter() > end and all(times):
            break
    return [statistics.median(taken) for taken in times]
