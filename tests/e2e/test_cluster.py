"""A study launched from the sidebar onto a real Ray cluster of this machine, and seen finished."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from segcore.launch.local import scheduler_alive
from segcore.status import RunState, Where
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests.e2e.conftest import serving
from tests.e2e.test_app import fill, settled
from tests.factories import add_dataset
from tests.ray_cluster import RayCluster, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def page(
    browser: Browser, ray_cluster: RayCluster, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Page]:
    """The first page of an app that was started with RAY_ADDRESS, on a workspace with a dataset."""
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    add_dataset(workspace, tmp_path / "source")
    with serving(workspace, tmp_path / "server.log") as address:
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(address)
        yield page
        context.close()
    wait_for(lambda: not scheduler_alive(workspace), "the scheduler's end")


def test_study_is_launched_onto_the_cluster_and_seen_finished(workspace: Workspace, page: Page) -> None:
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_role("button", name="Clear").click()
    settled(page)
    fill(page, "Other backbones", "test_efficientnet")
    sidebar.get_by_text("From scratch", exact=True).click()
    settled(page)
    fill(page, "Epochs", "1")
    fill(page, "Image size (px)", "32")
    fill(page, "Study name", "far")
    sidebar.get_by_text("Cluster", exact=True).click()
    # Asked in the background, and the page goes on meanwhile.
    expect(sidebar.get_by_text("1 of 1 CPU free on 1 node")).to_be_visible(timeout=60_000)
    expect(sidebar.get_by_text("1 run, each with 1 CPU of a node")).to_be_visible()
    expect(sidebar.get_by_text(re.compile(r"about \d|this machine"))).to_have_count(0)
    sidebar.get_by_role("button", name="Launch").click()
    expect(page).to_have_url(re.compile(r"/training\?.*study=far"), timeout=240_000)
    expect(page.get_by_text("1 run: 1 finished")).to_be_visible(timeout=240_000)
    expect(page.get_by_text(re.compile(r"On node .* of the cluster, its processor, 1 thread"))).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
    (run,) = RunStore(workspace).runs("far")
    status = run.status
    assert (status.state, status.where, status.jobs) == (RunState.FINISHED, Where.CLUSTER, 1)
