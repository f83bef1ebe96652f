"""Small pieces that several pages draw: headings, states, empty pages, errors, a question before deleting."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import streamlit as st
from PIL import Image

from segcore.errors import SegcoreError
from segcore.progress import Progress
from segcore.status import RunState, Status, Where
from segcore.text import duration, plural
from segcore.ui.state import Key, Param

STATES: dict[RunState, tuple[str, str, str]] = {
    RunState.QUEUED: ("waiting", ":material/schedule:", "gray"),
    RunState.RUNNING: ("training", ":material/play_circle:", "blue"),
    RunState.FINISHED: ("finished", ":material/check_circle:", "green"),
    RunState.STOPPED: ("stopped", ":material/stop_circle:", "orange"),
    RunState.FAILED: ("failed", ":material/error:", "red"),
    RunState.INTERRUPTED: ("interrupted", ":material/power_off:", "orange"),
}
"""State -> (word, icon, colour) on screen; the word alone tells it, for those who see no colours."""

LIVE_SECONDS = 2.0
"""How often what is live is read again."""

IDLE_SECONDS = 10.0
"""How often it is looked whether something was launched elsewhere."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])")


def escape(text: object) -> str:
    """Return `text` so that Streamlit's Markdown shows it letter by letter: for names and messages."""
    return _MARKDOWN.sub(r"\\\1", str(text)).replace("\n", "  \n")


def ago(moment: float) -> str:
    """Return how long ago a time was: "just now", "12 min ago", "3 days ago"."""
    seconds = max(0.0, time.time() - moment)
    if seconds < 60:
        return "just now"
    if seconds < 2 * 86400:
        return f"{duration(seconds)} ago"
    return f"{plural(round(seconds / 86400), 'day')} ago"


def size(count: float) -> str:
    """Return a number of bytes as "3.4 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def heading(title: str, question: str) -> None:
    """Open a page: its title and, in one line, the question it answers. Every page calls this first."""
    from segcore.ui import shell  # which imports this module

    shell.ensure()
    st.title(title, anchor=False)
    st.markdown(question)


def state_badge(status: Status) -> None:
    """Draw the state of a run as a small coloured label."""
    word, icon, color = STATES[status.state]
    st.badge(word, icon=icon, color=color)  # type: ignore[arg-type]


def state_markdown(state: RunState) -> str:
    """Return a run's state as Markdown, to stand inside a line."""
    word, icon, color = STATES[state]
    return f":{color}-badge[{icon} {word}]"


def progress_text(status: Status, epochs: int) -> str:
    """Return what a run is doing, in a line: "validating · epoch 4 of 30 · 12 min left"."""
    parts = [status.phase or STATES[status.state][0]]
    if status.epoch or status.state is not RunState.QUEUED:
        parts.append(f"epoch {min(status.epoch + (status.state is RunState.RUNNING), epochs)} of {epochs}")
    if status.eta is not None and status.state is RunState.RUNNING:
        parts.append(f"{duration(status.eta)} left")
    return " · ".join(parts)


def progress_share(status: Status, epochs: int) -> float:
    """Return how much of a run is done, 0-1, by steps where they are known."""
    done = status.step / status.steps if status.steps else status.epoch / epochs
    return min(1.0, max(0.0, done))


def device_name(device: str | None) -> str:
    """Return a device as people call it: "processor", "GPU 1"."""
    if device is None or not device.startswith("cuda"):
        return "processor"
    return f"GPU {device.partition(':')[2] or '0'}"


def place_name(status: Status) -> str:
    """Return where a run trains, for a list: "GPU 1", "cluster, node-7"; "" where there is only the processor here."""
    if status.where is Where.CLUSTER:
        return f"cluster, {status.host}" if status.host else "cluster"
    return device_name(status.device) if status.device not in (None, "cpu") else ""


def empty_state(title: str, text: str, *, icon: str = ":material/inbox:") -> Any:
    """Draw what is missing and return the container in which the button that mends it belongs."""
    box = st.container(border=True, horizontal_alignment="center", gap="small")
    with box:
        st.markdown(f"### {icon} {escape(title)}", text_alignment="center")
        st.markdown(text, text_alignment="center")
    return box


def say_if_gone(param: Param, what: str, options: Collection[str]) -> None:
    """Say when the URL names what is not there; to be called before `choose`, which chooses another."""
    wanted = st.query_params.get(param)
    if wanted and wanted not in options:
        st.info(f"{what} {escape(wanted)} is not there (any more).", icon=":material/link_off:")


def show_error(error: SegcoreError, *, hint: str = "") -> None:
    """Show an error's message; it says itself what to do next."""
    st.error(escape(error) + (f"  \n{escape(hint)}" if hint else ""), icon=":material/error:")


def field_error(error: SegcoreError | None, *fields: str) -> None:
    """Show `error` here if it belongs to one of `fields`; call it just below the field's widget."""
    if error is not None and error.field is not None and error.field.split(".")[0] in fields:
        st.error(escape(beside_field(error)), icon=":material/error:")


def beside_field(error: SegcoreError) -> str:
    """Return the message without the name that the field has in code: for where it stands beside the field."""
    return str(error).removeprefix(f"{error.field}: ")


def name_unreadable(unreadable: Sequence[SegcoreError], what: str = "run") -> None:
    """Name what had to be left out because its files are damaged, each with what is wrong with it."""
    if unreadable:
        title = f"{plural(len(unreadable), what, 'studies' if what == 'study' else None)} could not be read"
        lines = "  \n".join(escape(error) for error in unreadable)
        st.warning(f"**{title}:**  \n{lines}", icon=":material/broken_image:")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show any SegcoreError raised inside as a message, and go on after the block."""
    try:
        yield
    except SegcoreError as error:
        show_error(error)


def live(
    body: Callable[..., None],
    *args: Any,
    active: Callable[[], bool | Collection[str]],
    idle_seconds: float | None = None,
) -> None:
    """Draw `body(*args)` as a fragment that repeats itself as long as `active()`; never inside another one.

    When `active()` changes, as when the activity ends, the whole page is drawn once more, which also ends the timer.

    Args:
        active: whether anything goes on, or the names of what does.
        idle_seconds: how often to look whether something begins while nothing goes on; None for never.
    """
    before = _now(active)

    @wraps(body)  # Streamlit tells fragments apart by their names
    def repeated() -> None:
        with errors_shown():
            body(*args)
        if (before or idle_seconds) and _now(active) != before:
            st.rerun()

    st.fragment(repeated, run_every=LIVE_SECONDS if before else idle_seconds)()


def _now(active: Callable[[], bool | Collection[str]]) -> bool | Collection[str]:
    """Return `active()`; what cannot be read does not go on, and the body says what is wrong with it."""
    try:
        return active()
    except SegcoreError:
        return False


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Draw a bar with the time left and a button to cancel; yield the `Progress` that moves it.

    Streamlit runs the page anew when the button is pressed: the next move of the bar then raises, which
    is how work that takes a `Progress` is cancelled.
    """
    whole = st.empty()  # a container cannot be emptied
    place = whole.container(border=True)
    bar = place.progress(0.0, text=f"{label} …")
    place.button("Cancel", key=Key.CANCEL.of(label), icon=":material/close:")
    began = shown = time.monotonic()

    def move(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < 0.1 and done < total:
            return
        shown = now
        left = (now - began) * (total - done) / done if done else None
        rest = f" · {duration(left)} left" if left is not None and now - began > 1 and done < total else ""
        bar.progress(min(1.0, done / total) if total else 0.0, text=f"{label} · {done:,} of {total:,}{rest}")

    try:
        yield move
    finally:
        whole.empty()


@st.cache_data(max_entries=1024, show_spinner=False)
def swatch(color: tuple[int, int, int]) -> str:
    """Return a small square of `color` as a data address, for an image column of a table."""
    square = Image.new("RGB", (20, 20), (128, 128, 128))
    square.paste(color, (1, 1, 19, 19))
    buffer = io.BytesIO()
    square.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def confirm(question: str, consequence: str, button: str, action: Callable[[], object]) -> None:
    """Ask before `action`, which runs on the dialog's red button; if it is refused, the dialog says why."""
    for left_over in (_DONE, _REFUSED):
        st.session_state.pop(left_over, None)
    _dialog(question, consequence, button, action)


_DONE, _REFUSED = "confirm.done", "confirm.refused"


@st.dialog("Are you sure?")
def _dialog(question: str, consequence: str, button: str, action: Callable[[], object]) -> None:
    if st.session_state.pop(_DONE, False):
        st.rerun()
    st.markdown(escape(question))
    st.caption(escape(consequence))
    if _REFUSED in st.session_state:
        show_error(st.session_state[_REFUSED])
    with st.container(horizontal=True):
        st.button(button, type="primary", icon=":material/delete:", key=Key.CONFIRM, on_click=_act, args=(action,))
        if st.button("Cancel", key=Key.CANCEL):
            st.rerun()


def _act(action: Callable[[], object]) -> None:
    try:
        action()
    except SegcoreError as error:
        st.session_state[_REFUSED] = error
    else:
        st.session_state[_DONE] = True
