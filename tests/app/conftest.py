"""How the tests of the app open it, and workspaces of many kinds to open it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from segcore.runs import Run
from segcore.status import RunState
from segcore.store import RunStore
from segcore.workspace import Workspace
from tests import factories

ROOT = Path(__file__).resolve().parents[2]
OpenApp = Callable[..., AppTest]

LONG = "a-study-whose-name-is-as-long-as-names-are-allowed-to-be-" + "x" * 23


@pytest.fixture(scope="package", autouse=True)
def one_look_at_installed_packages() -> Iterator[None]:
    """Each AppTest reads the metadata of all installed packages, for components of others: a quarter of a second."""
    with pytest.MonkeyPatch.context() as patch:
        scan = getattr(manifest_scanner, "scan_component_manifests", None)
        if scan is not None:  # it is Streamlit's own affair, which another version may do otherwise
            patch.setattr(manifest_scanner, "scan_component_manifests", cache(scan))
        yield


@pytest.fixture
def open_app(workspace: Workspace) -> OpenApp:
    """Opens the app on the test's workspace: `open_app("pages/dataset.py", study="s")` for a page and its URL."""

    def open_page(page: str | None = None, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        if page is not None:
            app.switch_page(page)
            for name, value in query.items():  # a change of page clears them
                app.query_params[name] = value
            app.run()
        return app

    return open_page


@pytest.fixture(params=["empty", "one run", "mixed", "twenty runs", "long names"])
def any_workspace(request: pytest.FixtureRequest, store: RunStore, tmp_path: Path) -> Workspace:
    """Workspaces that a page must bear."""
    kind = request.param
    if kind == "one run":
        factories.make_run(store, dataset=factories.add_dataset(store.workspace, tmp_path / "source"))
    elif kind == "mixed":
        factories.make_mixed_study(store, dataset=factories.add_dataset(store.workspace, tmp_path / "source"))
    elif kind == "twenty runs":
        factories.make_study(store, seeds=range(10), epochs=3)
    elif kind == "long names":
        for state in (RunState.FAILED, RunState.RUNNING):
            factories.make_run(store, study=LONG, encoder="x" * 70, seed=int(state is RunState.FAILED), state=state,
                               message="*a* <b>message</b> " * 30)  # fmt: skip
    return store.workspace


def collapse(run: Run, class_index: int = 1) -> Run:
    """Make a run answer one class ("grass") everywhere from its last epoch on, for three more."""
    last = run.epochs()[-1]
    for epoch in range(last.epoch + 1, last.epoch + 4):
        run.append_epoch(
            replace(last, epoch=epoch, val_pixel_accuracy=0.447, val_miou=0.15, top_share=1.0, top_class=class_index)
        )
    return run


def texts(app: AppTest) -> str:
    """Return all that the screen says in Markdown, captions, titles and messages."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)
