"""The parts of the Charts page: the answer so far, the table, the curves. Nothing here imports torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from segcore import figures
from segcore.evaluation import comparison
from segcore.evaluation.comparison import Contender
from segcore.models import catalog
from segcore.runs import Run, Study
from segcore.status import RunState
from segcore.store import RunStore
from segcore.text import percent, plural
from segcore.ui import charts_classes, live_chart, readers
from segcore.ui.charts_results import answer, draw_results
from segcore.ui.components import errors_shown, escape, name_unreadable, state_markdown
from segcore.ui.state import Key

FIELDS = {
    "val_pixel_accuracy": (
        "Validation accuracy",
        "Share of the pixels of the validation images that got the right class. These images are never learnt from.",
    ),
    "train_pixel_accuracy": (
        "Training accuracy",
        "The same share on the images that are learnt from. Far above the validation accuracy it means that a "
        "network learns its images by heart.",
    ),
    "val_miou": (
        "Validation mIoU",
        "Overlap of prediction and mask (intersection over union), averaged over the classes, so that a rare class "
        "counts as much as a frequent one. The epoch where it is highest gives the network that is kept.",
    ),
}


def any_active(store: RunStore, study: Study) -> bool:
    """Whether a run of the study trains or waits."""
    return any(status.state.active for _, status in store.statuses(study.runs()))


def describe(study: Study) -> None:
    """Say in one line what all runs of the study share."""
    dataset, recipe, split = study.dataset, study.recipe, study.split
    decoder = catalog.DECODERS.get(study.decoder)
    decoder_title = decoder.title if decoder else study.decoder
    synthetic = " (synthetic)" if dataset.synthetic else ""
    st.caption(
        f"Dataset {escape(dataset.name)}{synthetic}: {plural(len(split.train), 'training image')}, "
        f"{plural(len(split.val), 'validation image')} · decoder {escape(decoder_title)} · "
        f"{plural(recipe.epochs, 'epoch')} at {recipe.image_size} × {recipe.image_size} pixels · "
        f"recipe {escape(recipe.name)}"
    )


def draw(store: RunStore, name: str) -> None:
    """Draw all that changes while the study trains."""
    with errors_shown():
        study = store.study(name)
        runs, unreadable = readers.sound(study.runs())
        counts, damaged = charts_classes.run_counts(runs)
        runs = [run for run in runs if run not in damaged]
        name_unreadable([*unreadable, *damaged.values()])
        found = comparison.contenders(worth_drawing(store, runs))
        rows = comparison.result_table(runs)
        majority = comparison.majority_of(runs)
        _draw_states(store, runs)
        _draw_lengths(runs)
        st.markdown(answer(rows, majority))
        if any(row["miou"] is not None for row in rows):
            draw_results(study, rows)
        _draw_curves(study, found, majority)
        _draw_families(study, found, majority)
        charts_classes.draw(study, found, counts)
        live_chart.watch()


def worth_drawing(store: RunStore, runs: Sequence[Run]) -> list[Run]:
    """Leave out of the curves runs that failed, and those that ended early where their backbone has others.

    A mean goes as far as its shortest run: one that was stopped in epoch 3 would cut off the curve of all seeds.
    """
    rows = [(run, status.state) for run, status in store.statuses(runs) if status.state is not RunState.FAILED]
    whole = {RunState.FINISHED, RunState.RUNNING, RunState.QUEUED}
    carried = {run.config.contender for run, state in rows if state in whole}
    return [run for run, state in rows if state in whole or run.config.contender not in carried]


def _draw_states(store: RunStore, runs: Sequence[Run]) -> None:
    """Count the runs by state, and say which failed."""
    statuses = store.statuses(runs)
    counts = Counter(status.state for _, status in statuses)
    st.markdown(" ".join(f"{counts[state]} {state_markdown(state)}" for state in RunState if counts[state]))
    failed = [(run, status) for run, status in statuses if status.state is RunState.FAILED]
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


# The curves ----------------------------------------------------------------------------------------


def _draw_curves(study: Study, found: Sequence[Contender], majority: float | None) -> None:
    st.subheader("How they learnt", anchor=False)
    single = any(len(contender.runs) > 1 for contender in found) and st.toggle(
        "Show every single run", key=Key.CHARTS_SINGLE, help="Thin lines beside the means over seeds."
    )
    for field, (title, text) in FIELDS.items():
        live_chart.draw(
            figures.accuracy_curves(
                found,
                field,
                majority=majority if field.endswith("pixel_accuracy") else None,
                show_runs=single,
                title=f"{title} of all backbones",
            ),
            key=f"charts.{field}:{study.name}",  # zoom belongs to the study
            alt=f"{title} of all backbones by epoch",
        )
        st.caption(text)
    st.caption("n counts the runs behind a line. Runs that failed or ended early are left out where there are others.")
    if majority is not None:
        st.caption(
            f"The dashed line at {percent(majority)} is the accuracy of always answering the most frequent class. A "
            "network at that line has learnt nothing."
        )


def _draw_families(study: Study, found: Sequence[Contender], majority: float | None) -> None:
    families = comparison.by_family(found)
    if not families:
        return
    st.subheader("By family", anchor=False)
    first = next((name for name, members in families.items() if len(members) > 1), next(iter(families)))
    name = st.pills(
        "Family",
        list(families),
        default=first,
        key=Key.CHARTS_FAMILY,
        required=True,
        persist_state="session",
        help="Backbones of one family are built alike and differ mostly in size.",
    )
    members = families.get(name or first, families[first])
    for field in ("val_pixel_accuracy", "train_pixel_accuracy"):
        title = FIELDS[field][0]
        live_chart.draw(
            figures.accuracy_curves(members, field, majority=majority, title=f"{title}: {name or first}"),
            key=f"charts.family.{field}:{study.name}:{name}",
            alt=f"{title} of the backbones of one family by epoch",
        )
