"""The drawing of a network in a browser: pointed at, clicked, opened by the keyboard, taken away."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_app import settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(shared_server: str) -> str:
    return shared_server


def test_stage_opens_and_pictures_are_taken_away(server: str, page: Page, tmp_path: Path) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server}/architectures?backbone=resnet18&against=vgg16")
    first, second = page.locator(".panel").nth(0), page.locator(".panel").nth(1)
    expect(second.get_by_role("button", name="Encoder 6")).to_be_visible(timeout=60_000)
    settled(page)
    # Side by side at one scale: equal stages of both stand on one level and are of one size.
    boxes = [panel.get_by_role("button", name="Decoder 5").locator("rect").bounding_box() for panel in (first, second)]
    assert boxes[0] and boxes[1]
    assert (boxes[0]["y"], boxes[0]["height"]) == pytest.approx((boxes[1]["y"], boxes[1]["height"]), abs=1)
    assert boxes[0]["x"] < boxes[1]["x"]

    stage = first.get_by_role("button", name="Encoder 3")
    stage.hover()
    expect(page.get_by_role("tooltip").first).to_contain_text("128 channels of 32 × 32")
    page.evaluate("""() => { window.kept = [...document.querySelectorAll('*')].filter(e => e.shadowRoot)
        .map(e => e.shadowRoot.querySelector('.panels svg')).find(Boolean) }""")
    stage.click()
    expect(page.locator(".block").filter(has_text="layer2.0")).to_be_visible()
    expect(stage).to_have_attribute("aria-expanded", "true")
    assert page.evaluate("() => window.kept.isConnected"), "a drawing that did not change must stay in the page"

    # Another one by the keyboard, then closed the same way.
    other = second.get_by_role("button", name="Encoder 2")
    other.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".block").filter(has_text="layer2.0")).to_have_count(0)
    expect(page.locator(".step").filter(has_text="3×3 conv, 128")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Close")).to_have_count(0)

    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG").click()
    assert download.value.suggested_filename == "resnet18-unet-vgg16.png"
    picture = Path(download.value.path()).read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 1600 and height > 1200  # twice the size on screen
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as SVG").click()
    assert Path(download.value.path()).read_text(encoding="utf-8").startswith("<svg ")
    assert not errors


def test_drawing_fits_a_narrow_window_and_follows_the_theme(server: str, page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 1000})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{server}/architectures?backbone=resnet18&against=vgg16")
    first, second = page.locator(".panel").nth(0), page.locator(".panel").nth(1)
    expect(second.get_by_role("button", name="Encoder 6")).to_be_attached(timeout=60_000)
    settled(page)
    one, other = first.bounding_box(), second.bounding_box()
    assert one and other and other["y"] >= one["y"] + one["height"], "below one another"
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    title = first.locator("text").first
    red, green, blue = map(int, title.evaluate("e => getComputedStyle(e).fill").removeprefix("rgb(")[:-1].split(","))
    assert min(red, green, blue) > 200, "words on a dark page are light"
