"""Small pieces of the screen that need no page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from segcore.progress import Progress, once_needed
from segcore.ui import components
from segcore.ui.state import Key


def test_size() -> None:
    assert components.size(3_400_000) == "3.4 MB"
    assert components.size(12) == "12 bytes"


@given(st.text(alphabet="ab*_`[]()<>$:#\\&~|!", max_size=40))
def test_escape_leaves_no_markup(text: str) -> None:
    escaped = components.escape(text)
    for mark in "*_`[]()<>$:#&~|!":
        # Every mark is preceded by an odd number of backslashes.
        for place, letter in enumerate(escaped):
            if letter == mark:
                slashes = len(escaped[:place]) - len(escaped[:place].rstrip("\\"))
                assert slashes % 2 == 1


def test_every_state_has_a_word_and_an_icon() -> None:
    assert set(components.STATES) == set(components.RunState)


def _choose() -> None:
    import streamlit as st

    from segcore.ui.state import Param, choose

    options = st.session_state.get("options", ["a", "b", "c"])
    st.write(choose(Param.STUDY, "Study", options, default="b"))


def test_choice_stands_in_the_url() -> None:
    app = AppTest.from_function(_choose).run()
    assert app.selectbox[0].value == "b"
    assert app.query_params["study"] in ("b", ["b"])
    app.selectbox[0].set_value("c").run()
    assert app.query_params["study"] in ("c", ["c"])


def test_url_chooses() -> None:
    app = AppTest.from_function(_choose)
    app.query_params["study"] = "a"
    assert app.run().selectbox[0].value == "a"
    app.query_params["study"] = "c"  # the browser's back button
    assert app.run().selectbox[0].value == "c"


def test_vanished_choice_gives_way() -> None:
    app = AppTest.from_function(_choose)
    app.query_params["study"] = "<script>"
    assert app.run().selectbox[0].value == "b"
    app.session_state["options"] = ["x", "y"]
    assert app.run().selectbox[0].value == "x"
    app.session_state["options"] = []
    assert not app.run().selectbox


def _confirm() -> None:
    import streamlit as st

    from segcore.errors import WorkspaceError
    from segcore.ui.components import confirm

    def action() -> None:
        if st.session_state.get("refuse"):
            raise WorkspaceError("It trains. Stop it first.")
        st.session_state["acted"] = True

    if st.button("Delete", key="ask"):
        confirm("Delete *it*?", "It goes to the trash.", "Delete", action)
    st.write("acted" if st.session_state.get("acted") else "not acted")


def test_deleting_asks_first() -> None:
    app = AppTest.from_function(_confirm).run()
    app.button(key="ask").click().run()
    shown = [element.value for element in app.markdown]
    assert r"Delete \*it\*?" in shown
    assert "not acted" in shown
    app.button(key=Key.CONFIRM).click().run()
    assert "acted" in [element.value for element in app.markdown]


def test_refused_action_is_no_crash() -> None:
    app = AppTest.from_function(_confirm)
    app.session_state["refuse"] = True
    app.run()
    app.button(key="ask").click().run()
    app.button(key=Key.CONFIRM).click().run()
    assert not app.exception
    assert "Stop it first" in str(app.session_state["confirm.refused"])


def test_progress_bar_counts_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Bar:
        def progress(self, value: float, text: str) -> Bar:
            shown.append(f"{value:.1f} {text}")
            return self

        container = button = empty = lambda self, *_, **__: self

    monkeypatch.setattr(components, "st", Bar())
    with components.progress_bar("Reading") as progress:
        work(progress)
    assert shown[0] == "0.0 Reading …"
    assert shown[-1] == "1.0 Reading · 2 of 2"


def work(progress: Progress) -> None:
    progress(1, 2)
    progress(2, 2)


@pytest.mark.parametrize(
    ("before", "after", "idle", "timer", "reruns"),
    [
        (True, True, None, components.LIVE_SECONDS, 0),
        (True, False, None, components.LIVE_SECONDS, 1),
        (False, True, None, None, 0),
        (False, True, 10.0, 10.0, 1),
        ({"a"}, {"a", "b"}, 10.0, components.LIVE_SECONDS, 1),
        (set(), set(), 10.0, 10.0, 0),
    ],
)
def test_live_part_notices_what_begins_and_ends(
    monkeypatch: pytest.MonkeyPatch, before: object, after: object, idle: float | None, timer: float | None, reruns: int
) -> None:
    seen: list[object] = []

    class Screen:
        @staticmethod
        def fragment(body: object, run_every: float | None) -> object:
            seen.append(run_every)
            return body

        @staticmethod
        def rerun() -> None:
            seen.append("rerun")

    monkeypatch.setattr(components, "st", Screen)
    answers = iter([before, after])
    components.live(lambda: None, active=lambda: next(answers), idle_seconds=idle)
    assert seen == [timer, *["rerun"] * reruns]


def _live() -> None:
    from segcore.errors import WorkspaceError
    from segcore.ui.components import live

    def broken() -> None:
        raise WorkspaceError("It cannot be read.")

    live(broken, active=broken)  # type: ignore[arg-type]


def test_live_part_that_fails_says_so() -> None:
    app = AppTest.from_function(_live).run()
    assert not app.exception
    assert [error.value for error in app.error] == [r"It cannot be read\."]


def test_bar_opens_only_when_there_is_something_to_report() -> None:
    opened: list[object] = []

    @contextmanager
    def bar() -> Iterator[Progress]:
        opened.append("open")
        yield lambda done, total: opened.append((done, total))
        opened.append("closed")

    with once_needed(bar) as progress:
        assert not opened
        progress(1, 2)
        progress(2, 2)
    assert opened == ["open", (1, 2), (2, 2), "closed"]
    with once_needed(bar):
        pass
    assert len(opened) == 4
