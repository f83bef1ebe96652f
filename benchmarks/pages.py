"""Server time to draw each page with many runs, and the time from `streamlit run` to a first page.

    python benchmarks/pages.py [--runs 20] [--epochs 30] [--rounds 5]

The runs are made up (5 backbones × seeds, with records, scores and previews of a small real dataset), the
pages are the real scripts. Cold is the first drawing in a fresh process, warm the median of the following ones.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BACKBONES = ("resnet18.tv_in1k", "resnet34.tv_in1k", "vgg16.tv_in1k", "efficientnet_b0.ra_in1k", "pvt_v2_b0.in1k")
PAGES = ("overview", "dataset", "training", "charts", "architectures", "predictions")


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


def time_page(page: str, rounds: int) -> dict[str, object]:
    """Draw one page in this process and return seconds, cold and warm, and whether torch came in."""
    from streamlit.testing.v1 import AppTest

    os.chdir(ROOT)
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=120)
    began = time.perf_counter()
    app.run()
    if page != "overview":
        began = time.perf_counter()
        app.switch_page(f"pages/{page}.py").run()
    cold = time.perf_counter() - began
    warm = []
    for _ in range(rounds):
        began = time.perf_counter()
        app.run()
        warm.append(time.perf_counter() - began)
    assert not app.exception, app.exception
    return {"page": page, "cold": cold, "warm": statistics.median(warm), "torch": "torch" in sys.modules}


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", choices=PAGES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.page:
        print(json.dumps(time_page(arguments.page, arguments.rounds)))
        return
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        fill(root, arguments.runs, arguments.epochs)
        print(f"{arguments.runs} runs of {arguments.epochs} epochs; {os.cpu_count()} cores, {platform.machine()}")
        print(f"{'page':<15}{'cold s':>9}{'warm s':>9}  torch imported")
        for page in PAGES:
            done = subprocess.run(
                [sys.executable, __file__, "--page", page, "--rounds", str(arguments.rounds)],
                env={**os.environ, "SEGCORE_HOME": str(root / "home")},
                capture_output=True,
                text=True,
                check=True,
            )
            row = json.loads(done.stdout.splitlines()[-1])
            print(f"{row['page']:<15}{row['cold']:>9.2f}{row['warm']:>9.2f}  {'yes' if row['torch'] else 'no'}")
        started = time_start(root / "home")
        print("from `streamlit run` to the first page: " + (f"{started:.1f} s" if started else "no browser installed"))


if __name__ == "__main__":
    main()
