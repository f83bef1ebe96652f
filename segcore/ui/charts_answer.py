"""The answer on top of the Charts page: who leads, whether that is sure, and the rank plot."""

from __future__ import annotations

import streamlit as st

from segcore import figures
from segcore.evaluation.answer import Said, answer
from segcore.evaluation.comparison import mean_interval
from segcore.evaluation.verdicts import Comparison, Standing
from segcore.figures.ranking import groups_alike
from segcore.ui import live_chart, more_seeds
from segcore.ui.charts_data import Shown
from segcore.ui.components import escape
from segcore.ui.state import Key


def draw(shown: Shown) -> None:
    """Draw the answer of each comparison, one below the other where studies cannot be paired."""
    comparisons = shown.findings.comparisons
    for place, comparison in enumerate(comparisons):
        if len(comparisons) > 1:
            st.subheader(f"Study {escape(shown.studies[place].name)}", anchor=False)
        said = answer(shown.findings, comparison, majority=shown.majority)
        with st.container(border=True):
            st.markdown(f"##### {escape(said.headline)}")
            if said.sentences:
                st.markdown(escape(" ".join(said.sentences)))
            if place == 0:
                _draw_more_seeds(shown, said)
        _draw_left_out(shown, comparison)
        _draw_rank(shown, comparison, place)


def _draw_more_seeds(shown: Shown, said: Said) -> None:
    """Offer the seeds that would settle it; the question itself is asked outside of the live part."""
    if not said.more_seeds or len(shown.studies) > 1:
        return
    there = len({run.config.seed for run, _ in shown.rows})
    if there + said.more_seeds > more_seeds.MOST:
        return
    seeds = f"{said.more_seeds} seed{'s' * (said.more_seeds != 1)}"
    if st.button(f"Add {seeds} …", key=Key.CHARTS_MORE_SEEDS, icon=":material/casino:"):
        st.session_state[_ASKED] = there + said.more_seeds
        st.rerun(scope="app")


_ASKED = "charts.more_seeds.asked"


def ask_for_seeds(shown_study: object) -> None:
    """Open the question about more seeds if the button in the live part was pressed; to be called outside of it."""
    wanted = st.session_state.pop(_ASKED, None)
    if wanted is not None:
        more_seeds.ask(shown_study, wanted)  # type: ignore[arg-type]


def _draw_left_out(shown: Shown, comparison: Comparison) -> None:
    """Say which backbones a race stopped, which collapsed, and which have no result."""
    labels = [standing.label for standing in [*comparison.standings, *comparison.pending]]
    lines = []
    for label in labels:
        row, out = shown.findings.rows[label], shown.findings.raced.get(label)
        if out is not None:
            lines.append(f":material/flag: **{escape(row['title'])}** {escape(out.sentence)}")
        if row["collapsed"]:
            runs = sum(row["states"].values())
            what = f"{row['collapsed']} of {runs} runs" if runs > 1 else "its run"
            verb = "answer" if row["collapsed"] > 1 else "answers"
            lines.append(f"⚠ **{escape(row['title'])}**: {what} {verb} one class everywhere, whatever the image shows.")
    raced = shown.findings.raced
    waiting = [escape(standing.title) for standing in comparison.pending if standing.label not in raced]
    if waiting and comparison.standings:
        lines.append(f"No result yet: {', '.join(waiting)}.")
    if lines:
        st.markdown("  \n".join(lines))


def _draw_rank(shown: Shown, comparison: Comparison, place: int) -> None:
    if not comparison.standings:
        return
    title = shown.findings.score_title
    live_chart.draw(
        figures.rank_plot(
            comparison,
            f"Validation {title}, mean",
            show_runs=shown.show_runs,
            flagged=shown.collapsed,
            majority=shown.majority if comparison.score == "pixel_accuracy" else None,
        ),
        key=f"charts.rank:{shown.key}:{place}:{comparison.score}",
        alt=f"Validation {title} of every backbone with 95 % intervals",
    )
    st.caption(rank_caption(comparison))


def rank_caption(comparison: Comparison) -> str:
    """Say how the rank plot is to be read; "" where one backbone with one seed explains itself."""
    parts = []
    both = [s for s in comparison.standings if s.estimate and s.estimate.scope == "seeds and images"]
    if both:
        parts.append("Thin: what other seeds and other images may give. Thick: other seeds on these very images.")
    if any(_thick_is_longer(standing, comparison) for standing in both):
        parts.append("It can be the longer one where there are few seeds: alone, they say little of how seeds differ.")
    if groups_alike(comparison):
        parts.append("A bar on the right joins backbones of which none is shown to be better than another.")
    if len(comparison.standings) > 1:
        parts.append("Pairs are judged by their difference on the same images: overlapping intervals decide nothing.")
    return " ".join(parts)


def _thick_is_longer(standing: Standing, comparison: Comparison) -> bool:
    """Whether the interval over seeds alone is the longer one; two estimates of what few seeds tell can disagree so."""
    assert standing.estimate is not None
    low, high = standing.estimate.interval()
    alone = mean_interval(cells.score(comparison.score) for cells in standing.by_seed.values())
    return 2 * alone.half_width > high - low
