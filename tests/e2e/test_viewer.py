"""The viewer of the Predictions page in a browser: one zoom for all, classes, keys, names that look like markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from segcore.config import ClassInfo
from segcore.runs import Run
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = (*factories.CLASSES, ClassInfo(name=HOSTILE, color=(200, 30, 60)))

PIXELS = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let hash = 0;
    for (const value of data) hash = (Math.imul(hash, 31) + value) | 0;
    return hash;
}"""
CENTRE = """(canvas) => [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data]"""


@pytest.fixture(scope="module")
def server(shared_server: str) -> str:
    return shared_server


@pytest.fixture(scope="module")
def runs(shared_workspace: Workspace) -> list[Run]:
    source = shared_workspace.root.parent / "source"
    dataset = factories.add_dataset(shared_workspace, source, classes=CLASSES, size=96)
    store = RunStore(shared_workspace)
    return [
        factories.make_run(store, dataset=dataset, with_weights=True, encoder=factories.LITE0, seed=seed, miou=miou)
        for seed, miou in ((0, 0.7), (1, 0.5))
    ]


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser's console complained of; must be nothing in the end."""
    found: list[str] = []
    # Streamlit asks for its own files below the page's address first.
    page.on(
        "console", lambda entry: found.append(entry.text) if entry.type == "error" and "404" not in entry.text else 0
    )
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    yield found
    assert not found


@pytest.fixture
def viewer(runs: list[Run], complaints: list[str], page: Page, server: str) -> Page:
    """The Predictions page with the viewer drawn, two networks side by side."""
    first, second = runs
    page.goto(f"{server}/predictions?study=study&run={first.name}&runs={second.name}")
    expect(page.locator(".viewer[data-scene]")).to_be_visible(timeout=120_000)  # torch is imported
    return page


def canvas(page: Page, name: str) -> Any:
    return page.get_by_role("img", name=name, exact=True)


def pictures(page: Page) -> list[int]:
    """A number for what each panel shows, once nothing is left to paint."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return [canvas.evaluate(PIXELS) for canvas in page.locator(".viewer canvas").all()]


def test_zoom_on_one_panel_zooms_all(viewer: Page) -> None:
    whole = pictures(viewer)
    assert len(whole) == 7  # image, truth, two predictions, two maps of errors, who is right
    canvas(viewer, "Truth").hover(position={"x": 40, "y": 30})
    viewer.mouse.wheel(0, -600)
    zoomed = pictures(viewer)
    assert all(before != after for before, after in zip(whole, zoomed, strict=True))
    viewer.mouse.down()
    viewer.mouse.move(300, 700, steps=4)
    viewer.mouse.up()
    moved = pictures(viewer)
    assert all(before != after for before, after in zip(zoomed, moved, strict=True))
    canvas(viewer, "Image").dblclick()
    assert pictures(viewer) == whole
    viewer.get_by_role("button", name="Zoom in").click()
    assert pictures(viewer) != whole
    viewer.get_by_role("button", name="Whole image").click()
    assert pictures(viewer) == whole
    viewer.locator(".stage").focus()
    viewer.keyboard.press("+")
    zoomed = pictures(viewer)
    viewer.keyboard.press("Shift+ArrowRight")
    assert whole != zoomed != pictures(viewer)
    viewer.keyboard.press("0")
    assert pictures(viewer) == whole


def test_two_fingers_zoom(viewer: Page) -> None:
    box = canvas(viewer, "Image").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = viewer.context.new_cdp_session(viewer)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart / 2, "y": y, "id": 0}, {"x": x + apart / 2, "y": y, "id": 1}] if apart else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    scale = viewer.get_by_label("Screen pixels for each image pixel")
    before = float(scale.text_content().removesuffix(" %"))
    fingers("touchStart", 40)
    for apart in (50, 60, 70, 80):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    pictures(viewer)
    assert float(scale.text_content().removesuffix(" %")) == pytest.approx(2 * before, rel=0.05)


def test_pixels_are_sharp_and_have_the_colours_of_their_classes(viewer: Page) -> None:
    viewer.get_by_label("Opacity").fill("100")
    for _ in range(12):
        viewer.get_by_role("button", name="Zoom in").click(force=True)
    pictures(viewer)
    colors = {info.color for info in CLASSES}
    across = """(canvas) => {
        const row = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1).data, found = new Set();
        for (let i = 0; i < row.length; i += 4) found.add([row[i], row[i + 1], row[i + 2]].join());
        return [...found];
    }"""
    for name in ("Truth", "Prediction of EfficientNet-Lite0 · seed 0"):
        found = {tuple(map(int, text.split(","))) for text in canvas(viewer, name).evaluate(across)}
        assert found and found <= colors


def test_switching_a_class_off_shows_the_photograph_there(viewer: Page) -> None:
    before, (image, truth) = pictures(viewer), (canvas(viewer, "Image"), canvas(viewer, "Truth"))
    assert image.evaluate(CENTRE) != truth.evaluate(CENTRE)
    viewer.get_by_role("button", name="None", exact=True).click()
    without = pictures(viewer)
    assert without[0] == before[0] and without[1] != before[1]
    assert image.evaluate(CENTRE) == truth.evaluate(CENTRE)
    viewer.get_by_role("checkbox", name="grass").check()
    with_grass = pictures(viewer)
    assert with_grass[1] not in (before[1], without[1])
    viewer.get_by_role("button", name="All classes").click()
    assert pictures(viewer) == before
    viewer.get_by_text("Contour", exact=True).click()
    assert pictures(viewer)[1] not in (before[1], without[1])


def test_the_only_class_in_sight_stands_in_the_address(viewer: Page) -> None:
    viewer.get_by_role("button", name="Show only roof").click()
    expect(viewer).to_have_url(re.compile("class=roof"))
    expect(viewer.get_by_role("checkbox", name="roof")).to_be_checked()
    expect(viewer.get_by_role("checkbox", name="grass")).not_to_be_checked()
    alone = pictures(viewer)
    viewer.reload()
    expect(viewer.get_by_role("checkbox", name="grass")).not_to_be_checked()
    assert pictures(viewer) == alone
    viewer.get_by_role("button", name="All classes").click()
    expect(viewer).not_to_have_url(re.compile("class="))
    expect(viewer.get_by_role("checkbox", name="grass")).to_be_checked()


def test_keys_step_through_the_images_and_the_looks_stay(viewer: Page, runs: list[Run]) -> None:
    names = sorted(runs[0].split.val)
    scene = viewer.locator(".viewer")
    expect(scene).to_have_attribute("data-scene", names[0])
    viewer.get_by_role("checkbox", name="grass").uncheck()
    viewer.get_by_role("checkbox", name="Confidence").check()
    viewer.locator(".stage").focus()
    scale = viewer.get_by_label("Screen pixels for each image pixel")
    whole = scale.text_content()
    for key in ("+", "+"):
        viewer.keyboard.press(key)
    pictures(viewer)
    zoom = scale.text_content()
    assert zoom is not None and zoom != whole
    for key, name in (("ArrowRight", names[1]), ("p", names[0]), ("n", names[1]), ("ArrowLeft", names[0])):
        viewer.keyboard.press(key)
        expect(scene).to_have_attribute("data-scene", name)
        expect(viewer).to_have_url(re.compile(f"image={name}"))
    expect(viewer.get_by_role("checkbox", name="grass")).not_to_be_checked()
    expect(scale).to_have_text(zoom)
    # A slider's arrows are its own.
    viewer.get_by_label("Opacity").press("ArrowRight")
    expect(viewer.locator(".opacity output")).to_have_text("70 %")
    expect(scene).to_have_attribute("data-scene", names[0])
    # What was looked at last is found again on the way back from another page.
    viewer.get_by_role("link", name="Charts").first.click()
    expect(viewer.get_by_role("heading", name="Charts")).to_be_visible()
    viewer.get_by_role("link", name="Predictions").first.click()
    expect(viewer.get_by_role("checkbox", name="grass")).not_to_be_checked()
    expect(canvas(viewer, "Confidence of EfficientNet-Lite0 · seed 1")).to_be_visible()
    expect(scale).to_have_text(zoom)


def test_pointing_tells_the_classes_and_names_are_no_markup(viewer: Page) -> None:
    expect(viewer.get_by_text(HOSTILE, exact=True).first).to_be_visible()
    assert viewer.locator(".viewer img[src]").count() == 0
    frame = canvas(viewer, "Truth")
    box = frame.bounding_box()
    told = viewer.locator("figure", has=frame).locator(".value")
    found = set()
    for across, down in ((0.01, 0.5), (0.5, 0.1), (0.5, 0.4), (0.5, 0.6), (0.5, 0.9)):  # the left edge has no labels
        frame.hover(position={"x": box["width"] * across, "y": box["height"] * down})
        found.add(told.text_content())
    assert found <= {"not labelled", *(info.name for info in CLASSES[1:])}
    assert {"not labelled", HOSTILE} <= found
    expect(viewer.locator(".place")).to_have_text(re.compile(r"x \d+, y \d+"))
    prediction = viewer.locator("figure", has=canvas(viewer, "Prediction of EfficientNet-Lite0 · seed 1"))
    expect(prediction.locator(".value")).to_have_text(re.compile(r", \d+ % sure$"))


def test_who_is_right_tells_the_networks_apart(viewer: Page) -> None:
    together = viewer.locator("figure", has=canvas(viewer, "Who is right"))
    names = ["both right", *(f"only EfficientNet-Lite0 · seed {seed}" for seed in (0, 1)), "all fail"]
    expect(together.locator(".key > span")).to_have_text([*names, "all fail, with the same class"])
    viewer.get_by_label("Opacity").fill("100")
    before = pictures(viewer)[-1]
    viewer.get_by_role("button", name="None", exact=True).click()
    assert pictures(viewer)[-1] != before
    viewer.get_by_role("button", name="All classes").click()
    assert pictures(viewer)[-1] == before
    # What is told at a place agrees with what the two networks and the truth tell there.
    told = {kind: viewer.locator("figure", has=canvas(viewer, kind)).locator(".value") for kind in (
        "Truth", "Who is right", *(f"Prediction of EfficientNet-Lite0 · seed {seed}" for seed in (0, 1)))}  # fmt: skip
    box = canvas(viewer, "Truth").bounding_box()
    for across, down in ((0.01, 0.5), (0.3, 0.1), (0.5, 0.4), (0.6, 0.6), (0.8, 0.9)):
        canvas(viewer, "Truth").hover(position={"x": box["width"] * across, "y": box["height"] * down})
        truth, who, *said = (place.text_content() or "" for place in told.values())
        said = [text.rpartition(",")[0] for text in said]
        right = [text == truth for text in said]
        if truth == "not labelled":
            expected = truth
        elif any(right):
            expected = names[0] if all(right) else names[1 + right.index(True)]
        else:
            expected = f"all take {truth} for {said[0]}" if said[0] == said[1] else "all fail"
        assert who == expected


def test_images_are_found_ranked_and_shown(viewer: Page, runs: list[Run]) -> None:
    """From the worst image to a label suspect, which the viewer frames and zooms to."""
    scene, scale = viewer.locator(".viewer"), viewer.get_by_label("Screen pixels for each image pixel")
    viewer.get_by_text("Find images").click()
    tiles = viewer.get_by_role("option")
    expect(tiles).to_have_count(len(runs[0].split.val))
    expect(viewer.locator(".gallery img").first).to_be_visible()
    last = tiles.last.locator(".caption").text_content()
    tiles.last.click()
    expect(scene).to_have_attribute("data-scene", str(last))
    expect(viewer).to_have_url(re.compile(f"image={last}"))
    expect(tiles.last).to_have_attribute("aria-selected", "true")

    viewer.get_by_text("Label suspects").click()
    viewer.get_by_role("button", name="Look at all").click()
    expect(viewer.get_by_role("button", name="Download the list")).to_be_visible()
    tiles.first.click()
    expect(viewer).to_have_url(re.compile("place="))
    expect(scene).to_have_attribute("data-scene", str(tiles.first.locator(".caption").text_content()))
    mark = viewer.locator("figure", has=canvas(viewer, "Truth")).locator(".mark")
    expect(mark).to_be_visible()
    pictures(viewer)
    zoomed = scale.text_content()
    frame, inner = canvas(viewer, "Truth").bounding_box(), mark.bounding_box()
    assert frame["x"] - 8 <= inner["x"] and inner["x"] + inner["width"] <= frame["x"] + frame["width"] + 8
    viewer.get_by_role("button", name="Zoom in").click()
    pictures(viewer)
    assert scale.text_content() != zoomed, "who looks elsewhere is not brought back"
    viewer.get_by_role("button", name="Next").click()
    expect(viewer).not_to_have_url(re.compile("place="))
    expect(mark).to_be_hidden()
