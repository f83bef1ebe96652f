"""The Dataset page in a browser: a gallery that scrolls without the server, keys, the viewer, tabs in the address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from segcore.config import ClassInfo
from segcore.data.dataset import Dataset
from segcore.workspace import Workspace
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def dataset(workspace: Workspace, tmp_path: Path) -> Dataset:
    classes = (*factories.CLASSES, ClassInfo(name=HOSTILE, color=(200, 30, 60)))
    return factories.add_dataset(workspace, tmp_path / "source", scenes=30, frames=10, classes=classes)


def test_looking_through_many_images(dataset: Dataset, page: Page, server: str) -> None:
    names, fetched = dataset.names, list[str]()
    page.on("request", lambda request: fetched.append(request.url) if "/media/" in request.url else None)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(f"{server}/dataset?dataset=tiny")
    gallery = page.locator(".gallery[data-count='300']")
    expect(gallery).to_be_visible()
    tiles = gallery.get_by_role("option")
    expect(tiles.first.locator("img")).to_be_visible()
    page.wait_for_timeout(500)
    assert 0 < len(fetched) < 150  # the others are far out of sight
    before = page.evaluate("() => performance.getEntriesByType('resource').length")
    gallery.locator(".scroll").evaluate("(scroll) => { scroll.scrollTop = scroll.scrollHeight; }")
    expect(tiles.last.locator("img")).to_be_visible()
    assert page.evaluate("() => performance.getEntriesByType('resource').length") > before
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)  # nothing runs on the server
    # Keys move, Enter chooses; the choice stands in the address and in the viewer.
    tiles.last.click()
    scene = page.locator(".viewer")
    expect(scene).to_have_attribute("data-scene", names[-1])
    expect(tiles.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(tiles.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(scene).to_have_attribute("data-scene", names[1])
    expect(page).to_have_url(re.compile(f"image={names[1]}"))
    expect(page.get_by_role("checkbox", name="Prediction", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Next").click()
    expect(scene).to_have_attribute("data-scene", names[2])
    expect(tiles.nth(2)).to_have_attribute("aria-selected", "true")
    assert page.locator(".viewer img[src], .gallery img[src=x]").count() == 0
    # The open tab stands in the address, too.
    page.get_by_role("tab", name="Check").click()
    expect(page.get_by_text("300 of 300 images can be used")).to_be_visible()
    expect(page).to_have_url(re.compile("tab=Check"))
    page.reload()
    expect(page.get_by_text("300 of 300 images can be used")).to_be_visible()
