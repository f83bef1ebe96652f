"""What is sent to the viewer: exact, once, and small; its scripts are one module."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from segcore.ui import viewer
from segcore.ui.viewer import packing

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (41, 17)])
def test_labels_come_back_as_they_were(shape: tuple[int, int]) -> None:
    labels = RNG.integers(0, 256, shape, dtype=np.uint8)
    packed = packing.pack_labels(labels)
    assert (packed.width, packed.height) == shape[::-1]
    assert (packing.unpack(packed) == labels).all()


def test_shares_come_back_as_whole_percents() -> None:
    shares = RNG.random((50, 70), dtype=np.float32)
    shares[0, :3] = (0, 1, 0.004)
    found = packing.unpack(packing.pack_shares(shares))
    assert found.dtype == np.uint8 and found[0, :3].tolist() == [0, 100, 0]
    assert np.abs(found - 100 * shares).max() <= 0.5 + 1e-4


def test_small_photographs_are_exact_and_large_ones_close(monkeypatch: pytest.MonkeyPatch) -> None:
    image = cv2.GaussianBlur(RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8), (0, 0), 3)
    for limit, kind, most in ((2400, "image/png", 0), (2399, "image/jpeg", 12)):
        monkeypatch.setattr(packing, "LOSSLESS_PIXELS", limit)
        packed = packing.pack_photo(image)
        decoded = cv2.cvtColor(cv2.imdecode(np.frombuffer(packed.data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert packed.kind == kind
        assert np.abs(decoded.astype(int) - image).max() <= most
        with pytest.raises(ValueError, match="is no map"):
            packing.unpack(packed)


def test_a_message_points_to_its_parts_and_sends_none_twice() -> None:
    one, two = (packing.pack_labels(RNG.integers(0, 9, (5, 6), dtype=np.uint8)) for _ in range(2))
    sent = packing.message({"name": "<b>ü", "maps": [one, two, packing.pack_labels(packing.unpack(one))]})
    start = 4 + int.from_bytes(sent[:4], "little")
    header = json.loads(sent[4:start])
    assert header["name"] == "<b>ü"
    parts = [sent[start + place["from"] :][: place["length"]] for place in header["maps"]]
    assert parts == [one.data, two.data, one.data]
    assert len(sent) - start == len(one.data) + len(two.data)


def test_scripts_are_one_module_that_writes_no_markup(tmp_path: Path) -> None:
    folder = Path(viewer.__file__).parent
    assert {path.stem for path in folder.glob("*.js")} == set(viewer.SCRIPTS)
    script = viewer.script()
    for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert markup not in script
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (tmp_path / "viewer.mjs").write_text(script)
    done = subprocess.run([node, "--check", str(tmp_path / "viewer.mjs")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
