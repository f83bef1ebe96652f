"""The last part of the predictions screen: taking a trained network away."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from segcore.inference.export import FORMATS, Exported, Format, apart
from segcore.runs import Run
from segcore.text import plural
from segcore.ui import predictions_choice, readers
from segcore.ui.components import errors_shown, escape, progress_bar, size
from segcore.ui.state import Key

TITLES: dict[Format, str] = {"bundle": "Bundle", "onnx": "ONNX", "torchscript": "TorchScript"}
SUFFIXES: dict[Format, str] = {"bundle": ".zip", "onnx": ".onnx", "torchscript": ".pt"}
_MOST = 4
"""Exports that are kept on the server for being downloaded."""


class Shelf:
    """Exported files until they are downloaded, in a folder that goes when the server ends; the oldest leave first."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="segcore-exports-", ignore_cleanup_errors=True)
        self.kept: OrderedDict[tuple[object, ...], Exported] = OrderedDict()

    def find(self, key: tuple[object, ...]) -> Exported | None:
        """Return what was exported under `key`, if its file is still there."""
        found = self.kept.get(key)
        return found if found is not None and found.path.exists() else None

    def place(self, name: str) -> Path:
        """Return where a file of that name can be written; nothing else stands there."""
        return Path(tempfile.mkdtemp(dir=self.folder.name)) / name

    def keep(self, key: tuple[object, ...], exported: Exported) -> None:
        """Keep what was exported, and let go of what came first."""
        self.kept[key] = exported
        while len(self.kept) > _MOST:
            _, old = self.kept.popitem(last=False)
            shutil.rmtree(old.path.parent, ignore_errors=True)


@st.cache_resource
def _shelf() -> Shelf:
    return Shelf()


def draw(runs: Sequence[Run]) -> None:
    """Draw what exports one of the networks looked at, what the export was checked for, and the download."""
    with st.expander("Take the network away", icon=":material/package_2:"), errors_shown():
        run = predictions_choice.one_of(runs, Key.EXPORT_RUN)
        format = st.segmented_control(
            "As",
            list(FORMATS),
            default="bundle",
            key=Key.EXPORT_FORMAT,
            required=True,
            format_func=lambda name: TITLES[name],
            persist_state="session",
        )
        st.caption(FORMATS[format])
        key, shelf = (*readers.stamp(run.best_weights), format), _shelf()
        done = shelf.find(key)
        if done is None:
            pressed = st.button("Export", key=Key.EXPORT, icon=":material/deployed_code:", type="primary")
            if not pressed:
                return
            target = shelf.place(f"{run.study_name}-{run.name}{SUFFIXES[format]}")
            try:
                with progress_bar("Exporting, and comparing with the network itself") as progress:
                    done = apart(run, format, target, progress)
                shelf.keep(key, done)
            finally:
                if done is None:
                    shutil.rmtree(target.parent, ignore_errors=True)
            st.rerun()  # the button has done its work
        _draw_result(done)


def _draw_result(done: Exported) -> None:
    check = done.verification
    with st.container(horizontal=True):
        st.metric(
            "Same class as before",
            check.agreement_text,
            help=f"Share of the pixels of {plural(check.images, 'image')} ({check.source}) that get the same class "
            "from the exported network; below 99.9 % nothing is exported.",
            width="content",
        )
        st.metric(
            "One image, exported",
            f"{check.runtime_ms:.1f} ms",
            help=f"Median in {check.runtime} on this server's processor, with {plural(check.threads, 'thread')}, after "
            "warm-up.",
            width="content",
        )
        st.metric(
            "One image, in PyTorch",
            f"{check.torch_ms:.1f} ms",
            help="The same, in turns with the other.",
            width="content",
        )
    notes = [
        f"Compared on {plural(check.images, 'image')} ({escape(check.source)}); logits differ by "
        f"{check.max_difference:.2g} at most."
    ]
    if check.idle is False:
        notes.append("Other programs ran while times were taken: take them with caution.")
    if done.fixed_size:
        height, width = check.sizes[0][1:]
        notes.append(f"The graph takes images of {width} × {height} pixels alone: the backbone is built for one size.")
    st.caption(" ".join(notes))
    st.download_button(
        f"Download ({size(done.bytes)})",
        done.path.read_bytes,  # read when it is pressed
        file_name=done.path.name,
        mime="application/zip" if done.format == "bundle" else "application/octet-stream",
        key=Key.EXPORT_DOWNLOAD,
        icon=":material/download:",
        on_click="ignore",
    )
