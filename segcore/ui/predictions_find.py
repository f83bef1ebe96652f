"""The panel of the predictions screen that finds images: where a network is worst, where two differ, label suspects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import streamlit as st

from segcore.data.dataset import Dataset
from segcore.data.store import DatasetStore
from segcore.errors import DatasetError, NotFoundError
from segcore.evaluation import ranking, studies
from segcore.evaluation.comparison import Contender, contenders
from segcore.runs import Evaluation, Run, Study
from segcore.status import RunState
from segcore.text import UNKNOWN, percent, plural
from segcore.ui import predictions_pick, predictions_suspects
from segcore.ui.components import errors_shown, name_unreadable
from segcore.ui.predictions_choice import run_title
from segcore.ui.predictions_pick import Picture
from segcore.ui.state import Key, Param, choose, unlink

WORST, DIFFER, SUSPECTS = "worst", "differ", "suspects"
RANKINGS = {WORST: "Worst first", DIFFER: "Where two backbones differ", SUSPECTS: "Label suspects"}
"""By what the address calls them."""
_CHOICES = {
    WORST: {Param.OF, Param.BY},
    DIFFER: {Param.FIRST, Param.SECOND, Param.BY, Param.ORDER},
    SUSPECTS: {Param.AGREE},
}
"""What is chosen for each, and stands in the address."""
_ALL_CHOICES = frozenset().union(*_CHOICES.values())
_SEEN = f"seen.{Param.FIND}"
T = TypeVar("T", bound=str)
ALL_CLASSES = "All classes (mean)"
EITHER = "Largest difference either way"
EXTENT = 0.001
"""A class with less of the image's labelled pixels is told to have hardly any: its IoU there says little."""


@dataclass(frozen=True)
class Judges:
    """Networks whose counts are averaged: a run, or all finished runs of a backbone."""

    title: str
    runs: tuple[Run, ...]


def draw(runs: Sequence[Run], datasets: DatasetStore) -> None:
    """Draw the panel, folded until it is opened, for the study of the networks that the page shows.

    What is chosen in it stands in the address, which opens it.
    """
    state, in_url = st.session_state, st.query_params.get(Param.FIND)
    if in_url in RANKINGS and (Key.FIND_PANEL not in state or in_url != state.get(_SEEN)):
        state[Key.FIND_PANEL], state[Key.FIND_RANKING] = True, in_url
    panel = st.expander(
        "Find images", key=Key.FIND_PANEL, icon=":material/image_search:", on_change="rerun", expanded=False
    )
    if not panel.open:
        unlink(Param.FIND, *_ALL_CHOICES)
        return
    with panel, errors_shown():
        try:
            dataset = datasets.get(runs[0].config.dataset.name)
        except (NotFoundError, DatasetError):
            st.caption("The dataset of these networks is no longer here, so there are no images to find.")
            return
        _draw(runs, dataset)


def _draw(shown: Sequence[Run], dataset: Dataset) -> None:
    sound, damaged = studies.sound(Study(shown[0].path.parent).runs(), "val")
    name_unreadable(damaged)
    counted = [run for run in sound if run.evaluation() is not None]
    if not counted:
        st.caption("No network of this study has been judged on validation images yet.")
        return
    if st.session_state.get(Key.FIND_RANKING) not in RANKINGS:
        st.session_state[Key.FIND_RANKING] = WORST
    kind = st.segmented_control(
        "Ranking",
        list(RANKINGS),
        key=Key.FIND_RANKING,
        required=True,
        format_func=RANKINGS.__getitem__,
        persist_state="session",
    )
    assert kind is not None
    st.query_params[Param.FIND] = st.session_state[_SEEN] = kind
    unlink(*_ALL_CHOICES - _CHOICES[kind])
    finished = [run for run in counted if run.status.state is RunState.FINISHED]
    if kind == WORST:
        _draw_worst(shown, counted, contenders(finished), dataset)
    elif kind == DIFFER:
        _draw_differences(counted, contenders(finished), dataset)
    else:
        predictions_suspects.draw(shown, counted, dataset)


def _draw_worst(shown: Sequence[Run], counted: Sequence[Run], backbones: Sequence[Contender], dataset: Dataset) -> None:
    judges = {f"run:{run.name}": Judges(run_title(run), (run,)) for run in (*shown, *counted) if run in counted}
    judges |= {f"all:{one.label}": _all_seeds(one) for one in backbones if len(one.runs) > 1}
    with st.container(horizontal=True):
        of = _choose("Of", Param.OF, {key: one.title for key, one in judges.items()}, width=380)
        label = _choose_class(shown[0])
    runs = judges[of].runs
    found = ranking.worst_first(_evaluations(runs), label)
    _tell(found, label, "IoU, the lowest first" + (f", the mean over {len(runs)} networks" if len(runs) > 1 else ""))
    images = [Picture(one.image, _iou(one.value), _extent(one, label)) for one in found]
    clicked = predictions_pick.draw(images, dataset, "Images, the worst first")
    if clicked is not None:
        judged = predictions_pick.best_judge(runs, clicked)
        kept = [run for run in shown if run in runs]
        predictions_pick.show(clicked, shown if kept else judged)


def _draw_differences(counted: Sequence[Run], backbones: Sequence[Contender], dataset: Dataset) -> None:
    judges = {f"all:{one.label}": _all_seeds(one) for one in backbones}
    judges |= {f"run:{run.name}": Judges(run_title(run), (run,)) for run in counted}
    if len(judges) < 2 or len(counted) < 2:
        st.caption("Two networks of this study are needed, and only one has been judged so far.")
        return
    titles = {key: one.title for key, one in judges.items()}
    with st.container(horizontal=True):
        first = _choose("First", Param.FIRST, titles, width=300)
        others = {key: title for key, title in titles.items() if key != first}
        second = _choose("Second", Param.SECOND, others, width=300)
        label = _choose_class(counted[0])
        orders: dict[ranking.Order, str] = {
            "either": EITHER,
            "first": f"{titles[first]} ahead",
            "second": f"{titles[second]} ahead",
        }
        order = _choose("First come", Param.ORDER, orders, width=300)
    pairs = ranking.matched(judges[first].runs, judges[second].runs)
    if not pairs:
        st.caption("These two have no seed in common. Networks of different seeds are not held against each other.")
        return
    found = ranking.differences(
        [(one, other) for run, against in pairs for one in _evaluations([run]) for other in _evaluations([against])],
        label,
        order,
    )
    seeds = plural(len(pairs), "pair")
    _tell(found, label, f"IoU of the first less that of the second, in points; mean over {seeds} of the same seed")
    images = [Picture(one.image, _points(one.value), _extent(one, label)) for one in found]
    clicked = predictions_pick.draw(images, dataset, "Images, the largest difference first")
    if clicked is not None:
        both = [predictions_pick.best_judge([run], clicked) + predictions_pick.best_judge([against], clicked)
                for run, against in pairs]  # fmt: skip
        predictions_pick.show(clicked, max(both, key=len))


def _all_seeds(backbone: Contender) -> Judges:
    return Judges(f"{backbone.title}, {plural(len(backbone.runs), 'run')}", tuple(backbone.runs))


def _evaluations(runs: Iterable[Run]) -> list[Evaluation]:
    return [found for run in runs if (found := run.evaluation()) is not None]


def _choose(title: str, param: Param, options: Mapping[T, str], *, width: int) -> T:
    """Draw a select box of what `options` has titles for, and return what is chosen."""
    titles: dict[str, str] = {one: text for one, text in options.items()}  # noqa: C416 (dict() keeps T)
    chosen = choose(param, title, list(options), format_func=lambda one: titles.get(one, one), width=width)
    return next(one for one in options if one == chosen)


def _choose_class(run: Run) -> int | None:
    """Let the visitor choose a class, by name; None for the mean over all."""
    names = [info.name for info in run.config.dataset.trained_classes]
    chosen = _choose("By", Param.BY, {"": ALL_CLASSES, **{name: name for name in names}}, width=220)
    return names.index(chosen) if chosen else None


def _tell(found: Sequence[ranking.Ranked], label: int | None, by: str) -> None:
    """Say what images are ranked by, and how many have nothing to be ranked by."""
    without = sum(one.networks == 0 for one in found)
    notes = [f"{plural(len(found), 'validation image')} by {by}, from the counts kept at the best epoch."]
    if without:
        why = "nothing in them is labelled" if label is None else "the class is neither in their masks nor predicted"
        notes.append(f"{plural(without, 'image')} without a value ({UNKNOWN}) last: {why}.")
    if label is not None:
        notes.append(
            "0 % also where the class is only predicted. In images with few of its pixels the IoU says little."
        )
    st.caption(" ".join(notes))


def _iou(value: float) -> str:
    return f"IoU {percent(value)}" if value == value else UNKNOWN


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−") if value == value else UNKNOWN


def _extent(one: ranking.Ranked, label: int | None) -> str:
    """Return how much of the image the class is, where there is one."""
    if label is None:
        return "" if one.share else "nothing labelled"
    if not one.share:
        return "class not in the mask"
    few = "hardly any: " if one.share < EXTENT else ""
    return f"{few}{percent(one.share, 2 if one.share < 0.01 else 1)} of the labelled pixels"
