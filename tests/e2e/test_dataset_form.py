"""Adding a dataset in a browser: a folder is recognised, a class renamed in its table, a zip uploaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from segcore.data.store import DatasetStore
from segcore.workspace import Workspace
from tests import miniatures
from tests.e2e.test_app import settled
from tests.e2e.test_sidebar import open_page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_folder_with_a_class_renamed_and_a_zip(workspace: Workspace, tmp_path: Path, page: Page) -> None:
    miniatures.folders(tmp_path / "city")
    miniatures.dubai(tmp_path / "dubai")
    open_page(page, "Dataset")
    main = page.get_by_test_id("stMain")
    main.get_by_role("textbox", name="Folder of the dataset").fill(str(tmp_path / "city"))
    page.keyboard.press("Enter")
    expect(main.get_by_text("4 pairs · 2 scenes")).to_be_visible(timeout=30_000)
    expect(main.get_by_role("img", name="Image flight1_001 under its mask")).to_be_visible()
    settled(page)
    editor = main.get_by_test_id("stDataFrame").first
    editor.scroll_into_view_if_needed()
    table = editor.bounding_box()
    assert table is not None
    page.mouse.click(table["x"] + 150, table["y"] + 36 + 17)  # the name in the first row
    page.wait_for_timeout(300)  # the table draws itself on a canvas: there is nothing to wait for
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    page.keyboard.press("Control+A")
    page.keyboard.type("soil", delay=20)
    page.keyboard.press("Enter")
    page.wait_for_timeout(1000)  # it tells of an edit only after a while
    settled(page)
    main.get_by_role("button", name="Add dataset", exact=True).click()
    expect(main.get_by_text("4 images · 2 scenes · 2 classes")).to_be_visible(timeout=30_000)
    assert DatasetStore(workspace).get("city").table.names == ("soil", "house")

    with zipfile.ZipFile(tmp_path / "dubai.zip", "w") as packed:
        for file in (tmp_path / "dubai").rglob("*.*"):
            packed.write(file, file.relative_to(tmp_path / "dubai"))
    settled(page)
    if not main.get_by_text("A zip file").is_visible():
        main.get_by_text("Add a dataset").click()
    main.get_by_text("A zip file").click()
    main.locator("input[type=file]").set_input_files(tmp_path / "dubai.zip")
    expect(main.get_by_text("4 pairs · 2 scenes")).to_be_visible(timeout=30_000)
    settled(page)
    main.get_by_role("button", name="Add dataset", exact=True).click()
    expect(main.get_by_text("4 images · 2 scenes · 5 classes")).to_be_visible(timeout=30_000)
    assert DatasetStore(workspace).get("dubai").report.groups == 2
