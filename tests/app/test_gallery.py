"""What the gallery sends: no pictures, only where they are; what is chosen comes back once."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from segcore.ui import gallery

HOSTILE = "<img src=x onerror=alert(1)>\n*x*"


def script(folder: str, names: list[str], selected: str) -> None:
    from pathlib import Path

    from segcore.ui import gallery

    items = [gallery.Item(name, name, Path(folder) / f"{number}.jpg") for number, name in enumerate(names)]
    gallery.draw([*items, gallery.Item("none", "no file", None, badge="!")], key="g", selected=selected)


def sent(app: AppTest) -> dict[str, object]:
    (proto,) = [element.proto for element in app.get("bidi_component")]
    return json.loads(proto.json)


def test_pictures_stay_on_the_server_until_they_are_seen(tmp_path: Path) -> None:
    names = [HOSTILE, *(f"image {number}" for number in range(1, 40))]
    for number in range(39):  # the last one was removed
        Image.new("RGB", (160, 120), (6 * number, 0, 0)).save(tmp_path / f"{number}.jpg")
    app = AppTest.from_function(script, args=(str(tmp_path), names, "image 3")).run()
    assert not app.exception
    message = sent(app)
    assert message["selected"] == 3
    items = message["items"]
    assert isinstance(items, list)
    assert items[0]["caption"] == HOSTILE
    addresses = [item.get("url") for item in items]
    assert all(address.startswith("/mock/media/") for address in addresses[:39])
    assert len(set(addresses[:39])) == 39
    assert addresses[39:] == [None, None]
    assert items[-1]["badge"] == "!"
    assert len(json.dumps(message)) < 200 * len(items)


def test_ids_that_are_alike_are_a_mistake_of_ours() -> None:
    items = [gallery.Item("a", "one", None), gallery.Item("a", "two", None)]
    with pytest.raises(AssertionError, match="differ"):
        gallery.draw(items, key="g")
    with pytest.raises(AssertionError, match="at most"):
        gallery.draw([gallery.Item(str(i), "", None) for i in range(gallery.LARGEST + 1)], key="g")


def test_its_script_writes_no_markup(tmp_path: Path) -> None:
    text = Path(gallery.__file__).with_name("gallery.js").read_text(encoding="utf-8")
    for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert markup not in text
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (tmp_path / "gallery.mjs").write_text(text)
    done = subprocess.run([node, "--check", str(tmp_path / "gallery.mjs")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
