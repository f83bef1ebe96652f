"""How long it takes to take networks apart, and what of that is building them.

    python benchmarks/networks.py [--size 256] [--decoder unet] [--rounds 3]

For every backbone of the catalog: `segcore.describe` (no weights, nothing computed) against building the same network
on the meta device, which it cannot do without. Wanted: under 2 s each on 2 cores, imports not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # in place of this folder, which would hide Python's statistics

from statistics import median  # noqa: E402


def timed(call: Callable[[], object], rounds: int) -> float:
    """Median seconds of `rounds` calls."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    """Print a row a backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the image in pixels")
    parser.add_argument("--decoder", default="unet")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    from segcore.errors import IncompatibleError
    from segcore.models import catalog
    from segcore.models.build import blueprint
    from segcore.models.summary import describe

    describe("resnet18", decoder="unet", image_size=64)  # what the first call imports does not count
    print(f"{'backbone':32} {'describe s':>10} {'build s':>8} {'ratio':>6} {'layers':>7}")
    slowest = 0.0
    settings = {"decoder": options.decoder, "image_size": options.size}
    for name in catalog.BACKBONES:
        try:
            found = describe(name, **settings)
        except IncompatibleError as error:
            print(f"{name:32} {error}")
            continue
        whole = timed(lambda name=name: describe(name, **settings), options.rounds)
        build = timed(lambda name=name: blueprint(name, options.decoder, 12, options.size), options.rounds)
        slowest = max(slowest, whole)
        print(f"{name:32} {whole:10.2f} {build:8.2f} {whole / build:6.1f} {len(found.layers):7,}", flush=True)
    print(f"slowest: {slowest:.2f} s (wanted < 2)")


if __name__ == "__main__":
    main()
