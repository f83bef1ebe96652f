"""What the launch form says before anything is queued: how many runs, how long they take, whether they fit."""

from __future__ import annotations

import streamlit as st

from segcore.config import StudyConfig
from segcore.data.store import DatasetStore
from segcore.errors import ClusterError, ConfigError
from segcore.launch import cluster, demand, memory
from segcore.launch.cluster import News
from segcore.launch.estimate import estimate
from segcore.launch.gpus import Gpu, gpus
from segcore.models import catalog
from segcore.status import Demand
from segcore.store import RunStore
from segcore.text import duration, plural
from segcore.ui.components import errors_shown, escape

MEMORY_HELP = (
    "What the largest network takes at its peak while it trains, of all memory there is; reckoned, give or take a "
    "tenth. Batch size and image size decide most of it."
)


@st.cache_data(ttl=10, max_entries=1, show_spinner=False)
def _gpus() -> list[Gpu]:
    """The GPUs as they were at most 10 s ago, as asking takes a process."""
    return gpus()


def draw(config: StudyConfig, *, refused: bool = False) -> None:
    """Say what launching `config` means; nothing of time and memory where there is no such dataset or split.

    Args:
        config: what the form asks for.
        refused: it was, for its batch size, and why stands beside that field already.
    """
    # A backbone that the catalog lacks could be costed only by building it: too slow for every keystroke.
    known = tuple(name for name in config.encoders if catalog.find(name))
    without = ", ".join(name for name in config.encoders if name not in known)
    runs = _runs(config)
    if not known:
        st.markdown(f"{runs}, time and memory not known yet")
        return
    with errors_shown():
        dataset = DatasetStore().get(config.dataset)
        classes, split, there = len(dataset.config.trained_classes), dataset.split, _gpus()
        config = config.model_copy(update={"encoders": known})
        expected = estimate(config, classes, split, RunStore(), gpus=len(there)) if split else None
        if expected is None:
            st.markdown(f"{runs}, time not known yet")
        else:
            st.markdown(
                f"{runs}, {'at most ' if config.racing else ''}about **{duration(expected.seconds)}**"
                + (f" without {escape(without)}" if without else "")
                + ("" if expected.measured else " (a rough guess)")
                + (f", {expected.once_started}" if expected.before else ""),
                help=expected.basis,
            )
        if not refused:
            _memory(memory.fit(config, classes, RunStore(), there), config)


def on_cluster(config: StudyConfig, news: News | None) -> None:
    """Say what launching `config` onto the cluster means, from what its nodes were when it last said so."""
    runs, gpus = _runs(config), config.recipe.gpus_per_run
    nodes = news.nodes if news is not None else ()
    if not nodes:
        st.markdown(f"{runs}; what each takes is said once the cluster has answered")
        return
    try:
        wanted = Demand(*demand.shape(nodes, gpus))
    except ClusterError as error:
        st.warning(escape(error), icon=":material/dns:")
        return
    st.markdown(
        f"{runs}, each with **{wanted.text}** of a node",
        help="How long they take is not known beforehand: what runs took on this machine says nothing of the nodes.",
    )
    if not any(node.can_hold(wanted) for node in nodes):
        st.warning(escape(cluster.no_node_for(wanted, nodes)), icon=":material/dns:")
    elif not wanted.gpus:
        known = tuple(name for name in config.encoders if catalog.find(name))
        if known:
            with errors_shown():
                classes = len(DatasetStore().get(config.dataset).config.trained_classes)
                config = config.model_copy(update={"encoders": known})
                _memory(memory.fit(config, classes, RunStore(), node=demand.largest(nodes)), config)


def _runs(config: StudyConfig) -> str:
    runs = plural(len(config.grid), "run")
    if config.folds:
        runs += f" ({plural(len(config.seeds), 'seed')} × {config.folds} folds of each backbone)"
    return runs


def _memory(fitting: memory.Fit, config: StudyConfig) -> None:
    if fitting.largest is None:
        return
    try:
        memory.check(fitting, config.recipe.image_size)
    except ConfigError as error:
        st.error(escape(error), icon=":material/memory_alt:")
        return
    st.markdown(f":small[Memory: {escape(memory.summary(fitting))}]", help=MEMORY_HELP)
    if fitting.tight:
        st.warning(
            f"Only {memory.gigabytes(fitting.room.free)} of it are free now, and it needs "
            f"{memory.gigabytes(fitting.bytes)}. Close other programs before it starts, or make batch or images "
            "smaller.",
            icon=":material/memory_alt:",
        )
    if fitting.smallest is not None and fitting.bytes > fitting.smallest.total:
        st.warning(
            f"{escape(fitting.smallest.name)} has only {memory.gigabytes(fitting.smallest.total)}, too little for "
            f"{escape(catalog.title(fitting.largest))} ({memory.gigabytes(fitting.bytes)}): a run that comes to it "
            "will fail. Make batch or images smaller, or keep that GPU out with CUDA_VISIBLE_DEVICES.",
            icon=":material/memory_alt:",
        )
