"""The main job in a browser: launch from the sidebar, watch, stop, look at masks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.factories import add_dataset, make_run

pytestmark = [pytest.mark.browser, pytest.mark.slow]

POINTS = """() => Math.max(0, ...[...document.querySelectorAll('.js-plotly-plot')]
    .flatMap(plot => (plot.data || []).map(trace => (trace.y || []).length)))"""
"""The most points that a line of a chart on the page has."""


def settled(page: Page) -> None:
    """Wait until Streamlit has run the script."""
    page.wait_for_function("() => !document.querySelector('[data-testid=stStatusWidget]')")
    page.wait_for_timeout(300)


def fill(page: Page, label: str, value: str) -> None:
    field = page.get_by_test_id("stSidebar").get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")
    settled(page)


def test_launch_watch_stop_and_look(workspace: Workspace, tmp_path: Path, page: Page) -> None:
    add_dataset(workspace, tmp_path / "source", frames=4)
    store = RunStore(workspace)
    page.reload()
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_role("button", name="Clear").click()
    settled(page)
    fill(page, "Other backbones", "mobilenetv3_small_050, resnet10t")
    sidebar.get_by_text("From scratch", exact=True).click()
    settled(page)
    fill(page, "Epochs", "2")
    fill(page, "Image size (px)", "64")
    fill(page, "Study name", "browser")
    sidebar.get_by_role("button", name="Launch").click()

    # The Training page opens by itself, and its charts fill up without a reload.
    expect(page).to_have_url(re.compile(r"/training\?.*study=browser"), timeout=60_000)
    page.evaluate(f"() => {{ window.points = []; setInterval(() => window.points.push(({POINTS})()), 100) }}")
    first, second = store.study("browser").runs()
    sidebar.locator(f"[class*='training-stop'][class*='{second.name}'] button").first.click()
    # Elements of the page before stay for a moment, hence the longer way round.
    expect(page.get_by_text("2 runs: 1 finished, 1 stopped")).to_be_visible(timeout=120_000)
    expect(sidebar.get_by_text("Nothing is training.")).to_be_visible()
    assert first.state is RunState.FINISHED
    assert second.state is RunState.STOPPED
    page.wait_for_function(f"({POINTS})() >= 2", timeout=30_000)
    points = page.evaluate("() => window.points")  # gone if the page was loaded anew
    assert (points[0], points[-1]) == (0, 2), "the chart must have grown on the screen"

    # The form keeps what was asked for, on this page and the next.
    page.get_by_role("link", name="Predictions").click()
    settled(page)
    expect(sidebar.get_by_label("Epochs", exact=True)).to_have_value("2")
    expect(sidebar.get_by_role("radio", name="From scratch")).to_be_checked()
    expect(page.get_by_role("img", name="Prediction", exact=True)).to_be_visible(timeout=120_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_deleting_asks_first_and_nothing_leaves_the_machine(workspace: Workspace, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    store = RunStore(workspace)
    run = make_run(store)
    for name in ("Overview", "Dataset", "Charts", "Architectures", "Predictions", "Training"):
        page.get_by_role("link", name=name, exact=True).first.click()
        settled(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)
    page.get_by_text("Stop or delete").click()
    page.get_by_role("button", name="Delete ResNet-18, seed 0").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("trash")
    assert run.exists()
    dialog.get_by_role("button", name="Delete the run").click()
    expect(dialog).to_have_count(0)
    assert not run.exists()
    assert workspace.trash_size()[0] == 1
    foreign = {url for url in asked if not re.match(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:", url)}
    assert foreign == set()
