"""What a run and its study say of how they compute: time expected and taken, device, memory, precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from segcore.errors import WorkspaceError
from segcore.models import catalog
from segcore.models.footprint import catalogued, need
from segcore.runs import Run, Study
from segcore.status import RunState, Status, Where
from segcore.text import duration, plural
from segcore.ui.components import device_name, escape, size

PRECISIONS = {
    "fp32": "32-bit numbers (fp32)",
    "bf16": "16-bit numbers of wide range (bf16)",
    "fp16": "16-bit numbers (fp16)",
}
FORMATS = {"contiguous": "channel by channel", "channels_last": "pixel by pixel (channels_last)"}


def draw(run: Run, status: Status) -> None:
    """Draw one line: time expected and taken, where it computes, memory."""
    st.caption(escape(" ".join(filter(None, [time_text(status), place_text(status), memory_text(run, status)]))))
    for step in _extensions(run):
        st.caption(f":material/more_time: {escape(extension_text(step))}")


def time_text(status: Status) -> str:
    """Return how long the run takes or took, beside what was expected."""
    expected = {"at the launch": status.predicted, "after the first epoch": status.predicted_after_epoch}
    known = {when: value for when, value in expected.items() if value is not None}
    if not status.seconds:
        first = next(iter(known.values()), None)
        return f"Expected to take {duration(first)}." if first is not None else ""
    if status.state is RunState.FINISHED:
        parts = [f"{duration(value)} {when}{_off(value, status.seconds)}" for when, value in known.items()]
        text = f"It took {duration(status.seconds)}"
    else:
        parts = [f"{duration(value)} {when}" for when, value in known.items()]
        text = f"{duration(status.seconds)} so far"
    what = "Expected" if status.state is RunState.FINISHED else "Expected in all"
    return f"{text}. {what}: {', '.join(parts)}." if parts else f"{text}."


def _off(expected: float, actual: float) -> str:
    """How far off an expectation was, where that is worth a word."""
    if expected >= 2 * actual:
        return f" ({expected / actual:.1f} × as long)"
    off = round(100 * (expected - actual) / actual)
    return "" if abs(off) < 5 else f" ({abs(off)} % too {'long' if off > 0 else 'short'})"


def place_text(status: Status) -> str:
    """Return where a run computes or did: "On the processor, 2 threads."."""
    if status.device is None:
        return ""
    threads = f", {plural(status.threads, 'thread')}" if status.threads and status.device == "cpu" else ""
    name = device_name(status.device)
    if status.where is Where.CLUSTER:
        # Which of a node's GPUs it has Ray decides; inside the job each is called the first.
        taken = plural(status.demand.gpus if status.demand else 1, "GPU")
        return f"On node {status.host} of the cluster, {'its processor' if name == 'processor' else taken}{threads}."
    return f"On {'the ' if name == 'processor' else ''}{name}{threads}."


def memory_text(run: Run, status: Status) -> str:
    """Return the most memory that the run took, or is expected to take, or both."""
    peak, expected = run.cost().get("peak_memory_mb"), expected_memory(run, status)
    if peak:
        beside = f" ({size(expected)} expected)" if expected else ""
        return f"At most {size(float(peak) * 2**20)} of memory{beside}."
    return f"About {size(expected)} of memory expected." if expected else ""


def expected_memory(run: Run, status: Status) -> float | None:
    """Return the bytes that the run is reckoned to take; None for a network that the catalog does not know."""
    config = run.config
    recipe, classes = config.recipe, len(config.dataset.trained_classes)
    known = catalogued(config.encoder, config.decoder, classes, recipe.image_size)
    if known is None:
        return None
    gpu = (status.device or "").startswith("cuda") or bool(status.demand and status.demand.gpus)
    try:
        precision = (Study(run.path.parent).execution() or {}).get("precision", recipe.precision)
    except WorkspaceError:
        precision = recipe.precision
    half = precision in ("bf16", "fp16")
    share = -(-recipe.batch_size // recipe.gpus_per_run)  # of the leading process, which measures its own
    return need(known, classes, recipe.image_size, half=half, gpu=gpu).of(share)


def _extensions(run: Run) -> Sequence[Mapping[str, Any]]:
    """What was written down of each time the run was made longer; none where provenance cannot be read."""
    try:
        return run.extensions()
    except WorkspaceError:
        return []


def extended_from(run: Run) -> list[int]:
    """Return the last epochs of the plans from which a run was made longer."""
    return [step["from"] for step in _extensions(run) if isinstance(step.get("from"), int)]


def extension_text(step: Mapping[str, Any]) -> str:
    """Return in a sentence that a run was made longer."""
    return str(step.get("note") or f"Trained on from {step.get('from', '?')} to {step.get('to', '?')} epochs.")


# Precision and memory format ---------------------------------------------------------------------------


def execution(study: Study) -> None:
    """Draw, folded away, how the runs of a study compute, why, and the rates measured for that."""
    try:
        value = study.execution()
    except WorkspaceError as error:
        st.caption(escape(error))
        return
    if value is None:
        return
    with st.expander(escape(execution_title(value)), icon=":material/speed:"):
        st.markdown(escape(value.get("reason", "")))
        rows = rate_rows(value)
        if rows:
            st.dataframe(
                rows,
                hide_index=True,
                width="content",
                column_config={
                    "images/s": st.column_config.NumberColumn("training images/s", format="%.1f"),
                    "against plain fp32": st.column_config.NumberColumn(format="%.2f ×"),
                },
                key=f"training.rates:{study.name}",
            )
            st.caption(escape(measured_with(value)))


def execution_title(value: Mapping[str, Any]) -> str:
    """Return in a line how a study computes: "How it computes: bf16, channels_last, 2.1 × as fast as plain fp32"."""
    parts = [str(value.get("precision", "fp32")), str(value.get("memory_format", "contiguous"))]
    if value.get("compile"):
        parts.append("compiled")
    text = f"How it computes: {', '.join(parts)}"
    gain = _gain(value, value)
    if value.get("forced"):
        return f"{text} (set in the recipe)"
    return f"{text}: {gain:.1f} × as fast as plain fp32" if gain is not None and gain >= 1.05 else text


def rate_rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the measured rates for a table, the fastest first, the chosen one marked."""
    rates = sorted(_rates(value), key=lambda rate: rate["images_per_second"], reverse=True)
    return [
        {
            "": "✓" if _mode(rate) == _mode(value) else "",
            "numbers": _word(PRECISIONS, rate.get("precision")),
            "order in memory": _word(FORMATS, rate.get("memory_format")),
            **({"compiled": "yes" if rate.get("compile") else ""} if any(r.get("compile") for r in rates) else {}),
            "images/s": rate["images_per_second"],
            "against plain fp32": _gain(value, rate),
        }
        for rate in rates
    ]


def _word(words: Mapping[str, str], name: object) -> str:
    return words.get(str(name), str(name))


def measured_with(value: Mapping[str, Any]) -> str:
    """Return what the rates were measured with."""
    encoder = value.get("encoder")
    name = catalog.title(encoder) if encoder else "the study's network"
    device = value.get("device")
    where = " on the processor" if device == "cpu" else f" on {device}" if device else ""
    return (
        f"Training steps with {name}, {value.get('batch_size', '?')} images of {value.get('image_size', '?')} px at "
        f"once{where}, measured once; all runs of the study compute like this."
    )


def _rates(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was measured; an entry without a number is passed over."""
    rates = value.get("rates")
    known = [rate for rate in rates if isinstance(rate, dict)] if isinstance(rates, list) else []
    return [rate for rate in known if isinstance(rate.get("images_per_second"), int | float)]


def _mode(value: Mapping[str, Any]) -> tuple[Any, Any, bool]:
    return value.get("precision"), value.get("memory_format"), bool(value.get("compile"))


def _gain(value: Mapping[str, Any], mode: Mapping[str, Any]) -> float | None:
    """Return the measured rate of a mode over that of plain fp32; None where one of them is not known."""
    rates = {_mode(rate): rate["images_per_second"] for rate in _rates(value)}
    plain, ours = rates.get(("fp32", "contiguous", False)), rates.get(_mode(mode))
    return ours / plain if plain and ours else None
