"""The queue in a browser: looking changes nothing, buttons reorder, a question outlives the timer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from segcore.launch.processes import scheduler_lock
from segcore.runqueue import cores
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.e2e.test_app import settled
from tests.factories import add_dataset, make_run, make_study

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_queue_is_as_it_is_asked_to_be_and_nothing_else(
    workspace: Workspace, tmp_path: Path, server: str, page: Page
) -> None:
    store = RunStore(workspace)
    slots = min(2, cores())
    store.set_queue(slots=slots)
    # A page that takes a while, so that the timer of the sidebar fires into its drawing.
    make_study(store, "done", seeds=range(8), dataset=add_dataset(workspace, tmp_path / "source"))
    running = make_run(store, state=RunState.RUNNING, seed=9)
    for seed in range(3):
        make_run(store, state=RunState.QUEUED, seed=seed)
    page = page.context.browser.new_page()  # type: ignore[union-attr]  # a visitor who begins with this page
    sidebar = page.get_by_test_id("stSidebar")
    with scheduler_lock(workspace):  # it looks as if somebody worked on the queue, and nobody does
        page.goto(f"{server}/training?study=done")  # by its address, the first page is drawn twice
        expect(sidebar.get_by_text("1 training, 3 waiting")).to_be_visible(timeout=60_000)
        expect(sidebar.get_by_text(f"Runs at the same time: {slots}")).to_be_visible()
        page.wait_for_timeout(6_000)  # the timer has fired a few times
        page.get_by_role("link", name="Charts", exact=True).click()
        settled(page)
        assert store.queue_settings().slots == slots, "looking must not change a setting"

        first = store.waiting()[0]
        sidebar.locator(f"[class*='queue-down'][class*='{_css(first.name)}'] button").first.click()
        expect(sidebar.get_by_text("2. ResNet-18 · seed 0")).to_be_visible(timeout=20_000)
        assert store.waiting()[1] == first

        sidebar.get_by_role("button", name="Cancel all 3 waiting").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Take 3 waiting runs out of the queue?")
        page.wait_for_timeout(5_000)
        expect(dialog).to_be_visible()
        assert len(store.waiting()) == 3
        dialog.get_by_role("button", name="Cancel what waits").click()
        expect(sidebar.get_by_text("waiting · study")).to_have_count(0, timeout=20_000)
        assert not store.waiting()
        expect(page.get_by_test_id("stException")).to_have_count(0)
    page.close()
    running.write_status(replace(running.status, state=RunState.FINISHED))  # nobody trains it


def _css(name: str) -> str:
    """A part of a key as Streamlit writes it into a class."""
    return name.replace(".", "-")
