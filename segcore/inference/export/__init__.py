"""Taking a trained network away: as ONNX, as TorchScript, or as a bundle that holds all there is to know of it.

`writing.export` does it; `apart` has it done by a process of its own. What is written is first compared with the
network itself (`verify`); what answers otherwise is never left behind. What is here needs no torch.
"""

from __future__ import annotations

import json
import math
import selectors
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from segcore.errors import ExportError
from segcore.progress import Progress
from segcore.runs import Run

Format = Literal["bundle", "onnx", "torchscript"]
FORMATS: dict[Format, str] = {
    "bundle": "All in one folder or zip file: weights, ONNX, class table, model card, and a script that predicts.",
    "onnx": "One file for ONNX Runtime and whatever else reads ONNX, with the preprocessing inside.",
    "torchscript": "One file for torch.jit.load in Python or C++, with the preprocessing inside.",
}
"""What there is, and what each is for."""
STEPS = 3
"""Of an export, as its progress counts them: the graph, the comparison, the rest."""
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Verification:
    """What comparing an exported network with the network itself found."""

    runtime: str
    """What ran the exported network: "ONNX Runtime 1.20.1"."""
    images: int
    source: str
    """Of the images, in words."""
    sizes: tuple[tuple[int, int, int], ...]
    """(batch, height, width) of all that was compared."""
    pixels: int
    max_difference: float
    """Of two logits, the largest."""
    agreement: float
    """Share of the pixels that got the same class, 0-1."""
    torch_ms: float
    """Median time of one image at the run's size in PyTorch, on the processor; in ms, like the next."""
    runtime_ms: float
    threads: int
    """That either might use."""
    idle: bool | None
    """Whether the machine was otherwise idle meanwhile; None where the system does not tell."""

    @property
    def agreement_text(self) -> str:
        """The share that got the same class, rounded down: "100 %" means all of them."""
        return f"{math.floor(1e4 * self.agreement) / 100:g} %"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    format: Format
    path: Path
    bytes: int
    fixed_size: bool
    """Whether the graph takes images of the run's size alone."""
    verification: Verification

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` is its inverse."""
        return {**asdict(self), "path": str(self.path)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Exported:
        """Rebuild what `to_json` returned."""
        return cls(**{**value, "path": Path(value["path"]), "verification": Verification(**value["verification"])})


def apart(run: Run, format: Format, out: Path, progress: Progress) -> Exported:
    """Do what `writing.export` does in a process of its own, replacing what is at `out`.

    The exporters change what all of a process shares (torch's state, its standard output) for a while, and a graph that
    they choke on takes the process with it: a server of pages cannot afford that.

    Args:
        run: with weights.
        format: one of `FORMATS`.
        out: where it goes.
        progress: counts `STEPS`, several times a second; raising from it ends the process.

    Raises:
        ExportError: the export failed; says why.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__name__}.writing", str(run.path), format, str(out)],
        cwd=Path(__file__).resolve().parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        told: dict[str, Any] = {}
        done = 0
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while "exported" not in told and "error" not in told:
                progress(done, STEPS)
                if selector.select(_LOOK_SECONDS):
                    line = process.stdout.readline()
                    if not line:
                        raise ExportError("The exporting process ended without a word; too little memory is usual.")
                    told = json.loads(line)
                    done = told.get("done", done)
        if "error" in told:
            raise ExportError(told["error"])
        return Exported.from_json(told["exported"])
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
