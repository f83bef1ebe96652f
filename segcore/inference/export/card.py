"""The model card: what a person must know of a network before using it (Mitchell et al., "Model Cards for Model
Reporting", 2019, https://arxiv.org/abs/1810.03993), in Markdown."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from segcore import __version__
from segcore.config import ClassInfo, Recipe, RunConfig
from segcore.errors import SegcoreError
from segcore.evaluation import conditions, pretraining
from segcore.evaluation.answer import basis, score_text
from segcore.evaluation.cells import of_run
from segcore.evaluation.comparison import best_epoch
from segcore.evaluation.findings import class_estimates
from segcore.evaluation.metrics import scores
from segcore.evaluation.seal import is_scored, openings
from segcore.evaluation.standings import Standing
from segcore.evaluation.studies import compare_study
from segcore.evaluation.verdicts import points_text
from segcore.inference.export import Verification
from segcore.inference.large import MUCH_LARGER, training_size
from segcore.models import catalog
from segcore.models.licenses import commercial
from segcore.models.origin import origin
from segcore.runs import Run, Study
from segcore.text import UNKNOWN, duration, percent, plural

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def model_card(run: Run, config: RunConfig, facts: dict[str, Any], checks: Sequence[Verification]) -> str:
    """Return the model card of a run.

    Args:
        run: for its scores and provenance, and those of its study.
        config: of the run.
        facts: what `preprocessing` says.
        checks: of the exported networks.
    """
    study = Study(run.path.parent)
    standing = _standing(study, run)
    start = "" if config.weights == "pretrained" else ", trained from scratch"
    decoder = catalog.DECODERS[config.decoder].title
    parts = [
        f"# {_plain(catalog.title(config.encoder))} with {decoder}, {_plain(config.dataset.name)}",
        f"A network that says of every pixel of an image which of {len(facts['classes'])} classes it shows: backbone "
        f"`{config.encoder}`{start}, decoder {decoder}. Run `{run.name}` of study `{config.study}`, exported on "
        f"{time.strftime('%Y-%m-%d')} by segcore {__version__}.",
        *_use(config, facts, training_size(run)),
        *_data(run, config),
        *_scores(run, standing),
        *_classes(run, config.dataset.trained_classes, standing),
        *_weights(run, config),
        *_training(study, run, config),
        *_checks(checks, facts),
    ]
    return "\n\n".join(parts) + "\n"


def _plain(text: object) -> str:
    """Return a name so that Markdown shows it letter by letter."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    return "\n".join(f"| {line} |" for line in [*lines, *(" | ".join(_plain(cell) for cell in row) for row in rows)])


def _standing(study: Study, run: Run) -> Standing | None:
    """Return what the runs of this backbone came to in the study; None where nothing tells."""
    try:
        found = compare_study(study).standings
    except SegcoreError:  # the run was copied without its study, or that is damaged
        return None
    return next((standing for standing in found if run in standing.contender.runs), None)


def _use(config: RunConfig, facts: dict[str, Any], trained_on: tuple[int, int] | None) -> list[str]:
    fixed = ["- The ONNX graph takes images of one size alone, as the backbone is built for it."] * facts["fixed_size"]
    invented = ["- It was trained on generated images: it knows no photograph."] * config.dataset.synthetic
    large = []
    if config.recipe.geometry == "resize" and trained_on is not None:
        height, width = trained_on
        large = [
            f"- The images it was trained on have about {width:,} × {height:,} pixels. In one with more than "
            f"{MUCH_LARGER:g} times that width or height, what it shows gets too small to be found: cut it into tiles "
            "of about that size first. segcore's `predict` command looks in such windows by itself."
        ]
    return [
        "## Intended use and limits",
        "\n".join(
            [
                "- Meant for images like those it was trained on: the same kind of camera, height, season and place. "
                "What it is worth on others is not known; look at masks before relying on them.",
                f"- Scale matters. {facts['scale']}",
                *large,
                "- It answers one of its classes everywhere, also where an image shows something else. Its "
                "probabilities are no calibrated ones: it is often surer than right.",
                "- Not to be the sole ground of decisions about people or their safety.",
                *invented,
                *fixed,
            ]
        ),
        "`python predict.py IMAGE MASK.png` predicts with onnxruntime, numpy and Pillow; "
        "`segcore.Predictor.load(PATH)` in Python loads this bundle.",
    ]


def _data(run: Run, config: RunConfig) -> list[str]:
    dataset = config.dataset
    try:
        split = run.split
        counts = f"{len(split.train)} to train on, {len(split.val)} to validate, {len(split.test)} kept back as test"
    except SegcoreError:
        counts = UNKNOWN
    cells = of_run(run)
    scenes = UNKNOWN if cells is None else f"{len(cells.groups)} in the validation images"
    rule = dataset.group_regex or ("the parent folder" if dataset.group_by_folder else "none: each image is its own")
    ignored = [info.name for info in dataset.meaning.classes if info.ignore]
    rows = [
        ("dataset", f"{dataset.name}{' (generated, not photographed)' if dataset.synthetic else ''}"),
        ("fingerprint of the files", config.dataset_fingerprint),
        ("images", counts),
        ("divided by group, found by", rule),
        ("groups", scenes),
        ("fingerprint of the split", config.split_fingerprint),
        ("classes left out", ", ".join(ignored) or "none"),
    ]
    fold = [f"Trained on fold {config.fold + 1} of {config.folds}."] if config.fold is not None else []
    return ["## Data", _table(("", ""), rows), *fold]


def _scores(run: Run, standing: Standing | None) -> list[str]:
    best, majority = best_epoch(run), run.status.majority_baseline
    rows = [
        ("mIoU", percent(best.val_miou if best else None)),
        ("pixel accuracy", percent(best.val_pixel_accuracy if best else None)),
        ("pixel accuracy of always answering the most frequent class", percent(majority)),
    ]
    said = [
        "## Scores",
        "Pooled over the validation images; the epoch was chosen on them, so all is a little high.",
        _table(("this network", "validation"), rows),
    ]
    if standing is not None and standing.estimate is not None:
        seeds = len(standing.by_seed)
        said.append(
            f"Over all seeds of this backbone in the study the mean validation mIoU is **{score_text(standing)}** "
            f"(± 95 % interval where there is one, n = {seeds}; {basis(standing)})."
            + (" One seed says nothing of what other seeds would give." if seeds < 2 else "")
        )
    return [*said, _test_scores(run)]


def _test_scores(run: Run) -> str:
    """Say what the test images say, where they were opened for this network."""
    study = Study(run.path.parent)
    try:
        opened = openings(study)
        evaluation = run.evaluation("test") if opened and is_scored(run) else None
    except SegcoreError:
        evaluation = None
    if evaluation is None:
        return "No test score is known of this network: there are no test images, or they are sealed."
    found = scores(evaluation.counts)
    when = time.strftime("%Y-%m-%d", time.localtime(opened[0].time))
    return (
        f"On {plural(len(evaluation.names), 'test image')}, first opened on {when}: mIoU {percent(found.miou)}, pixel "
        f"accuracy {percent(found.pixel_accuracy)}."
    )


def _classes(run: Run, classes: Sequence[ClassInfo], standing: Standing | None) -> list[str]:
    evaluation = run.evaluation()
    own = scores(evaluation.counts) if evaluation is not None else None
    over = class_estimates(standing, len(classes)) if standing is not None else [None] * len(classes)
    rows = [
        (
            index,
            info.name,
            "#" + "".join(f"{value:02x}" for value in info.color),
            percent(float(own.class_pixels[index]) / own.labelled_pixels if own and own.labelled_pixels else None),
            percent(float(own.iou[index]) if own else None),
            UNKNOWN if estimate is None else f"{points_text(estimate).removesuffix(' points')} %",
        )
        for index, (info, estimate) in enumerate(zip(classes, over, strict=True))
    ]
    columns = ("label", "class", "colour", "share of the validation pixels", "IoU", "IoU over all seeds (95 %)")
    return ["## Classes", _table(columns, rows)]


def _weights(run: Run, config: RunConfig) -> list[str]:
    if config.weights == "none":
        return ["## Pretrained weights", "None: it was trained from scratch."]
    known = run.provenance().get("weights") or {}
    license = _license(config.encoder)
    allowed = {True: "allows commercial use", False: "rules out commercial use", None: "has to be read for its terms"}
    rows = [
        ("backbone's weights", f"{config.encoder}, from timm"),
        ("learnt on", pretraining.data(config.encoder) or UNKNOWN),
        ("found in", known.get("kind") or UNKNOWN),
        ("SHA-256", known.get("sha256") or UNKNOWN),
        ("licence", f"{license}: by its name it {allowed[commercial(license)]}" if license else "timm states none"),
    ]
    return [
        "## Pretrained weights",
        _table(("", ""), rows),
        "Their licence holds for this network as well, as it grew out of them. That of the images may, too.",
    ]


def _license(encoder: str) -> str:
    """Return the licence of an encoder's weights as timm states it, "" where it does not."""
    backbone = catalog.find(encoder)
    if backbone is not None:
        return backbone.license
    return dict(origin(encoder).weights).get(encoder.partition(".")[2], "")


def _training(study: Study, run: Run, config: RunConfig) -> list[str]:
    recipe, status = config.recipe, run.status
    _, values, _ = conditions.of_run(study, run)
    fields = (name for name in Recipe.model_fields if name != "crops_per_image" or recipe.geometry == "crop")
    settings = ", ".join(f"{name.replace('_', ' ')} {getattr(recipe, name)}" for name in fields)
    machine = ("precision", "hardware", "threads", "packages", "segcore")
    rows = [
        ("recipe", settings),
        ("seed", config.seed),
        ("epoch of these weights", run.evaluation_epoch() or UNKNOWN),
        ("time", duration(status.seconds or None)),
        *((name, values[name]) for name in machine if name in values),
    ]
    return ["## Training", _table(("", ""), rows)]


def _checks(checks: Sequence[Verification], facts: dict[str, Any]) -> list[str]:
    if not checks:
        return []
    rows = [
        (
            check.runtime,
            f"{plural(check.images, 'image')} ({check.source})",
            f"{check.max_difference:.2g}",
            check.agreement_text,
            f"{check.runtime_ms:.1f} ms",
            f"{check.torch_ms:.1f} ms",
        )
        for check in checks
    ]
    columns = ("exported as", "compared on", "largest difference of logits", "same class", "time", "PyTorch's time")
    busy = "" if all(check.idle for check in checks) else " Other programs ran meanwhile, so take them with caution."
    side = facts["image_size"]
    return [
        "## The exported network against the network itself",
        _table(columns, rows),
        f"Times are medians of one image of {side} × {side} pixels on the processor of the exporting machine, with "
        f"{plural(checks[0].threads, 'thread')}, after warm-up.{busy}",
    ]


def script() -> str:
    """Return predict.py of a bundle."""
    return Path(__file__).with_name("standalone.py").read_text(encoding="utf-8")
