"""What the screens remember: the names of all state keys, and choices that stand in the URL.

Streamlit forgets a page's widgets when another page is opened, and clears the query parameters. A choice made
with `choose` survives both: it is written to the URL, so that a view can be bookmarked, reloaded and sent, and
remembered for the session, so that study and run stay chosen from page to page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Literal

import streamlit as st


class Param(StrEnum):
    """The query parameters of the app."""

    DATASET = "dataset"
    STUDY = "study"
    RUN = "run"
    RUNS = "runs"
    IMAGE = "image"
    CLASS = "class"
    PLACE = "place"
    FIND = "find"
    OF = "of"
    FIRST = "first"
    SECOND = "second"
    BY = "by"
    ORDER = "order"
    AGREE = "agree"
    BACKBONE = "backbone"
    AGAINST = "against"
    DECODER = "decoder"
    STAGE = "stage"
    SCORE = "score"
    MARGIN = "margin"
    WITH = "with"
    REFERENCE = "reference"
    TAB = "tab"


class Key(StrEnum):
    """Keys of widgets and session state; tests find widgets by them."""

    # The launch form, in the sidebar of every page
    LAUNCH_DATASET = "launch.dataset"
    LAUNCH_BACKBONES = "launch.backbones"
    LAUNCH_ORIGINAL_SIX = "launch.original_six"
    LAUNCH_CLEAR = "launch.clear"
    LAUNCH_OTHER = "launch.other"
    LAUNCH_DECODER = "launch.decoder"
    LAUNCH_WEIGHTS = "launch.weights"
    LAUNCH_EPOCHS = "launch.epochs"
    LAUNCH_IMAGE_SIZE = "launch.image_size"
    LAUNCH_SEEDS = "launch.seeds"
    LAUNCH_FOLDS = "launch.folds"
    LAUNCH_RACING = "launch.racing"
    LAUNCH_NAME = "launch.name"
    LAUNCH_RECIPE = "launch.recipe"
    LAUNCH_BATCH_SIZE = "launch.batch_size"
    LAUNCH_OPTIMIZER = "launch.optimizer"
    LAUNCH_LEARNING_RATE = "launch.learning_rate"
    LAUNCH_ENCODER_LR = "launch.encoder_lr_factor"
    LAUNCH_WEIGHT_DECAY = "launch.weight_decay"
    LAUNCH_SCHEDULE = "launch.schedule"
    LAUNCH_WARMUP = "launch.warmup"
    LAUNCH_LOSS = "launch.loss"
    LAUNCH_AUGMENTATION = "launch.augmentation"
    LAUNCH_GEOMETRY = "launch.geometry"
    LAUNCH_CROPS = "launch.crops_per_image"
    LAUNCH_PRECISION = "launch.precision"
    LAUNCH_MEMORY_FORMAT = "launch.memory_format"
    LAUNCH = "launch.submit"
    LAUNCH_ERROR = "launch.error"

    # The queue, below the launch form
    QUEUE_START = "queue.start"
    QUEUE_PAUSE = "queue.pause"
    QUEUE_FIRST = "queue.first"
    QUEUE_UP = "queue.up"
    QUEUE_DOWN = "queue.down"
    QUEUE_CANCEL_ALL = "queue.cancel_all"
    QUEUE_SLOTS = "queue.slots"

    # Overview
    DEMO = "overview.demo"

    # Dataset
    DATASET_DEMO = "dataset.demo"
    DATASET_TAB = "dataset.tab"
    ADD_NAME = "dataset.add.name"
    ADD_IMAGES = "dataset.add.images"
    ADD_MASKS = "dataset.add.masks"
    ADD_CLASSES = "dataset.add.classes"
    ADD_IGNORE = "dataset.add.ignore"
    ADD_GROUPING = "dataset.add.grouping"
    ADD_REGEX = "dataset.add.regex"
    ADD_VAL = "dataset.add.val"
    ADD_TEST = "dataset.add.test"
    ADD = "dataset.add.submit"
    ADD_FROM = "dataset.add.from"
    ADD_PATH = "dataset.add.path"
    ADD_ZIP = "dataset.add.zip"
    ADD_LAYOUT = "dataset.add.layout"
    ADD_TABLE = "dataset.add.table"
    ADD_IMAGE_REGEX = "dataset.add.image_regex"
    ADD_MASK_REGEX = "dataset.add.mask_regex"
    ADD_PUBLISHED = "dataset.add.published"
    BROWSE_PART = "dataset.browse.part"
    BROWSE_CLASS = "dataset.browse.class"
    BROWSE_SCENE = "dataset.browse.scene"
    BROWSE_PROBLEMS = "dataset.browse.problems"
    BROWSE_ALL = "dataset.browse.all"
    BROWSE_PAGE = "dataset.browse.page"
    BROWSE_GALLERY = "dataset.browse.gallery"
    BROWSE_VIEWER = "dataset.browse.viewer"
    BROWSE_THUMBNAILS = "dataset.browse.thumbnails"
    BROWSE_PREVIOUS = "dataset.browse.previous"
    BROWSE_NEXT = "dataset.browse.next"
    SPLIT_SEED = "dataset.split.seed"
    SPLIT_VAL = "dataset.split.val"
    SPLIT_TEST = "dataset.split.test"
    SPLIT = "dataset.split.submit"
    SPLIT_BY = "dataset.split.by"
    SPLIT_REGEX = "dataset.split.regex"
    SPLIT_GAP = "dataset.split.gap"
    SPLIT_DISTANCE = "dataset.split.distance"
    SPLIT_LISTS = "dataset.split.lists"
    SPLIT_PART = "dataset.split.part"
    SPLIT_GALLERY = "dataset.split.gallery"
    SPLIT_WHOLE = "dataset.split.whole"
    SPLIT_MOVE = "dataset.split.move"
    SPLIT_VERSION = "dataset.split.version"
    SPLIT_AGAIN = "dataset.split.again"
    SPLIT_UNDO = "dataset.split.undo"
    LEAKAGE_FIND = "dataset.leakage.find"
    LEAKAGE_MEND = "dataset.leakage.mend"
    LEAKAGE_WHICH = "dataset.leakage.which"
    LEAKAGE_PAGE = "dataset.leakage.page"
    AUGMENT_SIZE = "dataset.augment.size"
    AUGMENT_MASK = "dataset.augment.mask"
    AUGMENT_AGAIN = "dataset.augment.again"
    AUGMENT_SEED = "dataset.augment.seed"
    CHECK_ACTION = "dataset.check.action"
    CHECK_VALUE = "dataset.check.value"
    CHECK_MEANS = "dataset.check.means"
    CHECK_MAP = "dataset.check.map"
    CHECK_DISTANCE = "dataset.check.distance"
    CHECK_SNAP = "dataset.check.snap"
    CHECK_UNDO = "dataset.check.undo"
    CLASSES_TABLE = "dataset.classes.table"
    CLASSES_APPLY = "dataset.classes.apply"
    CLASSES_WEIGHTING = "dataset.classes.weighting"
    CLASSES_SIZES = "dataset.classes.sizes"
    DATASET_CHECK = "dataset.check"
    DATASET_REMOVE = "dataset.remove"

    # Training
    PREVIEW_EPOCH = "training.preview_epoch"
    STOP = "training.stop"
    RESUME = "training.resume"
    RETRY_ALL = "training.retry_all"
    LONGER_EPOCHS = "training.longer.epochs"
    LONGER_WHICH = "training.longer.which"
    LONGER = "training.longer"
    DELETE = "training.delete"
    DELETE_STUDY = "training.delete_study"
    STOP_STUDY = "training.stop_study"
    MORE_SEEDS = "training.more_seeds"
    MORE_SEEDS_LAUNCH = "training.more_seeds.launch"
    TRASH_EMPTY = "training.trash_empty"

    # Charts
    CHARTS_FAMILY = "charts.family"
    CHARTS_SINGLE = "charts.single_runs"
    CHARTS_COST = "charts.cost"
    CHARTS_CSV = "charts.csv"
    CHARTS_PAIRS_CSV = "charts.pairs_csv"
    CHARTS_REPORT = "charts.report"
    CHARTS_TAB = "charts.tab"
    CHARTS_NUMBERS = "charts.numbers"
    CHARTS_MORE_SEEDS = "charts.more_seeds"
    CHARTS_CONFUSION = "charts.confusion"
    CHARTS_TEST_OPEN = "charts.test.open"
    CHARTS_TEST_GO_ON = "charts.test.go_on"
    CHARTS_TEST_CANCEL = "charts.test.cancel"
    CHARTS_TRUE = "charts.confusion.true"
    CHARTS_TAKEN = "charts.confusion.taken"
    CHARTS_ALONG = "charts.along"
    CHARTS_SIZE_CLASS = "charts.size_class"

    # Architectures
    NETWORK_BACKBONE = "architectures.backbone"
    NETWORK_AGAINST = "architectures.against"
    NETWORK_SIZE = "architectures.image_size"
    NETWORK_TAB = "architectures.tab"
    NETWORK_SHADE = "architectures.shade"
    NETWORK_STAGE = "architectures.open_stage"
    NETWORK_STAGE_CLOSE = "architectures.close_stage"
    NETWORK_SVG = "architectures.svg"
    NETWORK_SEARCH = "architectures.search"
    NETWORK_CSV = "architectures.csv"
    NETWORK_READ = "architectures.read"
    NETWORK_MEMBERS = "architectures.members"
    SEES_THROUGH = "architectures.sees.through"
    SEES_CHANNELS = "architectures.sees.channels"
    SEES_OPACITY = "architectures.sees.opacity"
    NETWORK_LAYERS = "architectures.layers"

    # The catalog of the Architectures page
    CATALOG_PROBE = "catalog.probe"
    CATALOG_CANCEL = "catalog.cancel"
    CATALOG_REFRESH = "catalog.refresh"
    CATALOG_SEARCH = "catalog.search"
    CATALOG_FAMILY = "catalog.family"
    CATALOG_PARAMETERS = "catalog.parameters"
    CATALOG_MACS = "catalog.macs"
    CATALOG_ONLY = "catalog.only"
    CATALOG_PART = "catalog.part"
    CATALOG_TABLE = "catalog.table"
    CATALOG_ADD = "catalog.add"
    CATALOG_CSV = "catalog.csv"
    CATALOG_VIEW = "catalog.view"
    CATALOG_COST = "catalog.cost"

    # Predictions
    PREDICT_SOURCE = "predictions.source"
    PREDICT_PREVIOUS = "predictions.previous"
    PREDICT_NEXT = "predictions.next"
    PREDICT_UPLOAD = "predictions.upload"
    PREDICT_VIEWER = "predictions.viewer"
    PREDICT_MASK = "predictions.mask"
    FIND_PANEL = "predictions.find.panel"
    FIND_RANKING = "predictions.find.ranking"
    FIND_GALLERY = "predictions.find.gallery"
    FIND_SEARCH = "predictions.find.search"
    FIND_PLACES = "predictions.find.places"
    FIND_CSV = "predictions.find.csv"
    EXPORT_RUN = "predictions.export.run"
    EXPORT_FORMAT = "predictions.export.format"
    EXPORT = "predictions.export"
    EXPORT_DOWNLOAD = "predictions.export.download"
    EVALUATE_PANEL = "predictions.evaluate.panel"
    EVALUATE_RUN = "predictions.evaluate.run"
    EVALUATE_DATASET = "predictions.evaluate.dataset"
    EVALUATE_PART = "predictions.evaluate.part"
    EVALUATE_MAP = "predictions.evaluate.map"
    EVALUATE_CLASS = "predictions.evaluate.class"
    EVALUATE = "predictions.evaluate"
    EVALUATE_CANCEL = "predictions.evaluate.cancel"
    EVALUATE_SHOWN = "predictions.evaluate.shown"
    EVALUATE_REMOVE = "predictions.evaluate.remove"

    # Dialogs
    CONFIRM = "confirm.yes"
    CANCEL = "confirm.no"

    def of(self, name: str) -> str:
        """The key of one of several like widgets, as the stop button of one run."""
        return f"{self.value}:{name}"


def remembered(param: Param) -> str | None:
    """The choice that the URL, or else an earlier page of this session, made for `param`."""
    return st.query_params.get(param) or st.session_state.get(f"chosen.{param}")


def remember(param: Param, value: str | None) -> None:
    """Make `value` the choice for `param` on this page (its URL) and on those opened later; none forgets it."""
    st.session_state[f"chosen.{param}"] = value
    if not value:
        st.query_params.pop(param, None)
    elif st.query_params.get(param) != value:
        st.query_params[param] = value


def unlink(*params: Param) -> None:
    """Take choices that are not on the screen out of the URL; they are remembered for when they are again."""
    for param in params:
        st.query_params.pop(param, None)
        st.session_state.pop(f"seen.{param}", None)


def upcoming(param: Param) -> str | None:
    """The choice for `param` that the page is about to draw: for what is drawn before it, as the sidebar is."""
    in_url = st.query_params.get(param)
    if in_url and in_url != st.session_state.get(f"seen.{param}"):
        return in_url
    return st.session_state.get(f"choose.{param}") or remembered(param)


def choose(
    param: Param,
    label: str,
    options: Sequence[str],
    *,
    default: str | None = None,
    format_func: Callable[[str], str] = str,
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> str | None:
    """Draw a select box whose choice stands in the URL, and return the choice; None without options.

    What the URL names but `options` lacks (a deleted run, a mistyped link) gives way to `default`, else to the
    first option. The URL wins over the widget only when it changed since it was last read, as by the
    browser's back button.
    """
    if not options:
        return None
    key, seen = f"choose.{param}", f"seen.{param}"
    in_url = st.query_params.get(param)
    if in_url in options and in_url != st.session_state.get(seen):
        st.session_state[key] = in_url
    elif st.session_state.get(key) not in options:
        wanted = [in_url, st.session_state.get(f"chosen.{param}"), default]
        st.session_state[key] = next((value for value in wanted if value in options), options[0])
    value = st.selectbox(label, list(options), key=key, format_func=format_func, help=help, width=width)
    remember(param, value)
    st.session_state[seen] = value
    return value


def choose_several(
    param: Param,
    label: str,
    options: Sequence[str],
    *,
    most: int | None = None,
    default: Sequence[str] = (),
    format_func: Callable[[str], str] = str,
    help: str | None = None,
) -> list[str]:
    """Draw a box for any number of choices, or at most so many, and return those that `options` has.

    They are kept in the URL, with commas between. Where none of them is left, `default` is chosen.
    """
    key, seen = f"choose.{param}", f"seen.{param}"
    in_url = st.query_params.get(param)
    if in_url and in_url != st.session_state.get(seen):
        st.session_state[key] = in_url.split(",")
    elif key not in st.session_state:
        st.session_state[key] = (st.session_state.get(f"chosen.{param}") or "").split(",")
    kept = [value for value in st.session_state[key] if value in options] or list(default)
    st.session_state[key] = kept[:most]
    values = st.multiselect(label, list(options), key=key, format_func=format_func, help=help, max_selections=most)
    remember(param, ",".join(values) or None)
    st.session_state[seen] = ",".join(values)
    return values


def choose_number(
    param: Param, label: str, *, default: float, low: float, high: float, step: float, help: str | None = None
) -> float:
    """Draw a number input whose value stands in the URL unless it is the default; return it, from `low` to `high`."""
    key, seen = f"choose.{param}", f"seen.{param}"
    in_url = _number(st.query_params.get(param), low, high)
    if in_url is not None and st.query_params.get(param) != st.session_state.get(seen):
        st.session_state[key] = in_url
    elif key not in st.session_state:
        kept = _number(st.session_state.get(f"chosen.{param}"), low, high)
        st.session_state[key] = default if kept is None else kept
    value = float(st.number_input(label, low, high, step=step, key=key, help=help))
    text = f"{value:g}" if value != default else None
    remember(param, text)
    st.session_state[seen] = text
    return value


def open_tab(key: Key, names: Sequence[str]) -> tuple[str, AbstractContextManager[Any]]:
    """Draw tabs of which the open one stands in the URL, and return its name and where to draw it.

    What is not looked at need not be drawn. The first is what a page opens with, and does not stand in the URL; each
    page's tabs are remembered on their own.
    """
    seen, chosen = f"seen.{key}", f"chosen.{key}"
    in_url = st.query_params.get(Param.TAB)
    if in_url in names and in_url != st.session_state.get(seen):
        st.session_state[key] = in_url
    elif st.session_state.get(key) not in names:
        kept = st.session_state.get(chosen)
        st.session_state[key] = kept if kept in names else names[0]
    tabs = st.tabs(list(names), key=key, on_change="rerun")
    name, tab = next((name, tab) for name, tab in zip(names, tabs, strict=True) if tab.open)
    text = name if name != names[0] else None
    if text is None:
        st.query_params.pop(Param.TAB, None)
    elif text != in_url:
        st.query_params[Param.TAB] = text
    st.session_state[chosen], st.session_state[seen] = name, text
    return name, tab


def _number(text: str | None, low: float, high: float) -> float | None:
    """The number that an address names, if it is one between the bounds."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if low <= value <= high else None
