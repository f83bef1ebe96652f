"""The choice of backbones in a browser, where the pills are in a popover that is mostly closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from segcore.models import catalog
from segcore.workspace import Workspace
from tests.e2e.test_app import settled
from tests.factories import add_dataset

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def open_page(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).first.click()
    page.get_by_role("heading", level=1).first.wait_for()
    settled(page)


def test_choice_of_backbones_stays(workspace: Workspace, tmp_path: Path, page: Page) -> None:
    add_dataset(workspace, tmp_path / "source")
    page.reload()
    sidebar = page.get_by_test_id("stSidebar")

    def expect_chosen(*names: str) -> None:
        settled(page)
        count = "1 backbone" if len(names) == 1 else f"{len(names)} backbones"
        expect(sidebar.get_by_role("button", name=f"{count} chosen")).to_be_visible(timeout=30_000)
        for name in names:
            expect(sidebar.get_by_text(catalog.BACKBONES[name].title).first).to_be_visible()

    # Never touched: two, on every page.
    for name in ("Dataset", "Training", "Charts", "Dataset"):
        open_page(page, name)
        expect_chosen("resnet18", "efficientnet_b0")

    # By hand, in the popover, then a button while it is closed.
    sidebar.get_by_role("button", name="Clear").click()
    settled(page)
    sidebar.get_by_role("button", name="Choose backbones").click()
    page.get_by_role("button", name="ResNet-34").click()
    expect_chosen("resnet34")
    page.keyboard.press("Escape")
    open_page(page, "Training")
    expect_chosen("resnet34")
    sidebar.get_by_role("button", name="The original six").click()
    expect_chosen(*catalog.ORIGINAL_SIX)
    sidebar.get_by_text("From scratch", exact=True).click()
    expect_chosen(*catalog.ORIGINAL_SIX)
    for name in ("Charts", "Dataset", "Training"):
        open_page(page, name)
        expect_chosen(*catalog.ORIGINAL_SIX)
    expect(sidebar.get_by_text("6 runs")).to_be_visible()  # what Launch would queue

    # The pills show what is chosen, and one more press adds to it.
    sidebar.get_by_role("button", name="6 backbones chosen").click()
    page.get_by_role("button", name="ResNet-50 ").first.click()
    expect_chosen(*catalog.ORIGINAL_SIX, "resnet50")
    page.keyboard.press("Escape")
    open_page(page, "Charts")
    expect_chosen(*catalog.ORIGINAL_SIX, "resnet50")
    expect(page.get_by_test_id("stException")).to_have_count(0)
