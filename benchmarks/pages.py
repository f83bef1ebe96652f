"""Server time to draw each page with many runs, and the time from `streamlit run` to a first page.

    python benchmarks/pages.py [--runs 20] [--epochs 30] [--rounds 5] [--large] [--page charts] [--profile]

The runs are made up (5 backbones × seeds, with records, scores and previews of a small real dataset), the
pages are the real scripts. Cold is the first drawing in a fresh process, warm the median of the following ones.
With --large it is 1,000 runs of 100 epochs in 20 studies (see workspace.py; two minutes to write), and the pages that
read them; wanted are charts in under 3 s cold and 1 s warm, training in under 1 s. With --profile it prints where the
warm drawing of a page spends its time. A workspace that is there already is taken with --home.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

import statistics  # noqa: E402

BACKBONES = ("resnet18.tv_in1k", "resnet34.tv_in1k", "vgg16.tv_in1k", "efficientnet_b0.ra_in1k", "pvt_v2_b0.in1k")
PAGES = ("overview", "dataset", "training", "charts", "architectures", "predictions")
PAGES_OF_RUNS = ("overview", "training", "charts")
"""Those that need no images."""


def fill(root: Path, runs: int, epochs: int) -> None:
    """Write a workspace with one dataset and one study of finished runs, each with weights to predict with."""
    from segcore.store import RunStore
    from segcore.workspace import Workspace
    from tests import factories

    workspace = Workspace(root / "home")
    workspace.ensure_writable()
    dataset = factories.add_dataset(workspace, root / "source", scenes=8, frames=5, size=256)
    for index in range(runs):
        factories.make_run(
            RunStore(workspace),
            study="benchmark",
            encoder=BACKBONES[index % len(BACKBONES)],
            seed=index // len(BACKBONES),
            epochs=epochs,
            image_size=256,
            dataset=dataset,
            # Weights of the first run are enough for Predictions, which loads one network.
            with_weights=index == 0,
        )


def time_page(page: str, rounds: int, *, profile: bool) -> dict[str, object]:
    """Draw one page in this process and return seconds and seconds of processor time, cold and warm, whether torch came
    in, and the memory that the process has taken, in MB."""
    import psutil
    from streamlit.testing.v1 import AppTest

    os.chdir(ROOT)
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=600)
    app.switch_page(f"pages/{page}.py")
    took = []
    for _ in range(1 + rounds):
        began, worked = time.perf_counter(), time.process_time()
        app.run()
        took.append((time.perf_counter() - began, time.process_time() - worked))
    assert not app.exception, app.exception
    if profile:
        _print_profile(app.run)
    warm = [statistics.median(column) for column in zip(*took[1:], strict=True)]
    return {
        "page": page,
        "cold": took[0][0],
        "warm": warm[0],
        "cold_processor": took[0][1],
        "warm_processor": warm[1],
        "torch": "torch" in sys.modules,
        "megabytes": psutil.Process().memory_info().rss / 1e6,
    }


def _print_profile(draw: Callable[[], object]) -> None:
    """Print to standard error which functions a drawing spends its time in; it runs in a thread of its own."""
    profiler = cProfile.Profile()
    # A profiler sees one thread; AppTest draws in another, so that it is started there.
    threading.setprofile(lambda *_arguments: (sys.setprofile(None), profiler.enable()))
    try:
        draw()
    finally:
        threading.setprofile(None)
        profiler.disable()
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(60)


def time_start(home: Path) -> float | None:
    """Return the seconds from `streamlit run` to a drawn first page in Chromium, or None without a browser."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        return None
    from playwright.sync_api import sync_playwright

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        view = chromium.new_page()
        began = time.perf_counter()
        server = subprocess.Popen(
            f"{sys.executable} -m streamlit run streamlit_app.py --server.headless true --server.port {port}".split(),
            cwd=ROOT,
            env={**os.environ, "SEGCORE_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            view.goto(f"http://127.0.0.1:{port}")
            view.get_by_text("Which backbone should segment your aerial images?").wait_for(timeout=60_000)
            return time.perf_counter() - began
        finally:
            server.terminate()
            server.wait()
            chromium.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="1,000 runs of 100 epochs")
    parser.add_argument("--home", type=Path, help="a workspace that is there already, instead of a made-up one")
    parser.add_argument("--page", choices=PAGES, help="only this page")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        print(json.dumps(time_page(arguments.page, arguments.rounds, profile=arguments.profile)))
        return
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        home = arguments.home or root / "home"
        if arguments.large and not arguments.home:
            from benchmarks.workspace import fill as fill_large

            fill_large(home)
            print("1,000 runs of 100 epochs", end="; ")
        elif not arguments.home:
            fill(root, arguments.runs, arguments.epochs)
            print(f"{arguments.runs} runs of {arguments.epochs} epochs", end="; ")
        print(f"{os.cpu_count()} cores, {platform.machine()}")
        print(f"{'page':<15}{'cold s':>9}{'warm s':>9}  torch imported", flush=True)
        few = arguments.large or arguments.home
        for page in [arguments.page] if arguments.page else PAGES_OF_RUNS if few else PAGES:
            row = in_a_fresh_process(page, home, arguments.rounds, profile=arguments.profile)
            print(
                f"{row['page']:<15}{row['cold']:>9.2f}{row['warm']:>9.2f}  {'yes' if row['torch'] else 'no'}",
                flush=True,
            )
        if not arguments.page:
            started = time_start(home)
            print(
                "from `streamlit run` to the first page: " + (f"{started:.1f} s" if started else "no browser installed")
            )


def in_a_fresh_process(page: str, home: Path, rounds: int, *, profile: bool) -> dict[str, Any]:
    """Return what `time_page` measures of a page on the workspace `home`."""
    words = [sys.executable, __file__, "--inside", "--page", page, "--rounds", str(rounds)]
    done = subprocess.run(
        [*words, *(["--profile"] if profile else [])],
        env={**os.environ, "SEGCORE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=None if profile else subprocess.PIPE,
        text=True,
        check=True,
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


if __name__ == "__main__":
    main()
