"""The Charts page put together: what is shown, the answer, and what stands behind it. Nothing here imports torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from segcore.evaluation import report
from segcore.models import catalog
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import plural
from segcore.ui import (
    charts_answer,
    charts_classes,
    charts_confounds,
    charts_costs,
    charts_curves,
    charts_data,
    charts_verdicts,
    live_chart,
)
from segcore.ui.charts_data import Shown
from segcore.ui.components import errors_shown, escape, state_markdown
from segcore.ui.state import Key, open_tab

TABS = {
    "Verdicts": charts_verdicts.draw,
    "Costs": charts_costs.draw,
    "Curves": charts_curves.draw,
    "Classes": charts_classes.draw,
}


def any_active(store: RunStore, studies: Sequence[Study]) -> bool:
    """Whether a run of the studies trains or waits."""
    return any(status.state.active for study in studies for _, status in store.statuses(study.runs()))


def describe(study: Study) -> None:
    """Say in one line what all runs of the study share."""
    dataset, recipe = study.dataset, study.recipe
    decoder = catalog.DECODERS.get(study.decoder)
    decoder_title = decoder.title if decoder else study.decoder
    synthetic = " (synthetic)" if dataset.synthetic else ""
    st.caption(
        f"Dataset {escape(dataset.name)}{synthetic}: {_images(study)} · decoder {escape(decoder_title)} · "
        f"{plural(recipe.epochs, 'epoch')} at {recipe.image_size} × {recipe.image_size} pixels · "
        f"recipe {escape(recipe.name)}"
    )


def _images(study: Study) -> str:
    """Say how many images its runs learn from and are judged on."""
    split = study.split
    if study.folds:
        images = plural(len(split.train) + len(split.val), "image")
        return f"{images} in {plural(study.folds, 'fold')}, each fold judged in turn and learnt from otherwise"
    return f"{plural(len(split.train), 'training image')}, {plural(len(split.val), 'validation image')}"


def draw(store: RunStore, names: Sequence[str]) -> None:
    """Draw all that changes while the studies train.

    Args:
        store: of the studies.
        names: of the chosen study and of those it is compared with.
    """
    with errors_shown():
        score, margin, show_runs = charts_data.settings([store.study(name) for name in names])
        shown = charts_data.read(store, names, score, margin, show_runs=show_runs)
        _draw_states(shown)
        for study in shown.studies:
            _draw_lengths([run for run, _ in shown.rows if run.study_name == study.name])
        charts_confounds.draw(shown)
        charts_answer.draw(shown)
        _draw_tabs(shown)
        live_chart.watch()


def _draw_tabs(shown: Shown) -> None:
    """Draw the open tab alone: what is not looked at costs nothing."""
    name, tab = open_tab(Key.CHARTS_TAB, list(TABS))
    with tab, errors_shown():
        TABS[name](shown)


def download_report(store: RunStore, study: Study) -> None:
    """Draw the button that makes the evidence report; it is made only when asked for."""
    st.download_button(
        "Download the evidence report",
        lambda: report.html(study, store=store),
        file_name=f"{study.name}-report.html",
        mime="text/html",
        key=Key.CHARTS_REPORT,
        icon=":material/description:",
        on_click="ignore",
        help="One HTML file with everything that is known of this study: verdicts, charts, costs, previews, how it was "
        "made and how to do it again. It takes a few seconds to make.",
    )


def _draw_states(shown: Shown) -> None:
    """Count the runs by state, and say which failed."""
    counts = Counter(status.state for _, status in shown.rows)
    st.markdown(" ".join(f"{counts[state]} {state_markdown(state)}" for state in RunState if counts[state]))
    failed = [(run, status) for run, status in shown.rows if status.state is RunState.FAILED]
    if failed:
        with st.expander(f"{plural(len(failed), 'run')} failed and left out of the results", icon=":material/error:"):
            for run, status in failed:
                st.markdown(f"{escape(run.name)}: {escape(status.message)} {escape(status.hint)}")


def _draw_lengths(runs: Sequence[Run]) -> None:
    """Say when some runs were trained longer than others: then they do not compare."""
    text = unequal_lengths(runs)
    if text:
        st.warning(text, icon=":material/balance:")


def unequal_lengths(runs: Sequence[Run]) -> str:
    """Return which backbones are to train how many epochs, as Markdown, where these differ, else ""."""
    lengths: dict[int, list[str]] = {}
    for run in runs:
        titles = lengths.setdefault(run.config.recipe.epochs, [])
        title = catalog.title(run.config.encoder)
        if title not in titles:
            titles.append(title)
    if len(lengths) < 2:
        return ""
    parts = [f"{plural(epochs, 'epoch')}: {escape(', '.join(titles))}" for epochs, titles in sorted(lengths.items())]
    return (
        f"**Not all runs are equally long** ({'; '.join(parts)}), so a longer one may be ahead for that alone. "
        "“Train longer …” on the Training page brings the others to the same length."
    )
