"""The commands that do a study again, on any machine that has its images."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Mapping
from typing import Any

from segcore.config import RECIPES, DatasetConfig, Recipe
from segcore.data.commands import command_words
from segcore.runs import Run, Study

SPLIT_FILE, CLASSES_FILE = "split.json", "classes.csv"
"""Files that the commands read; the report holds them."""

_FLAGS = (
    "epochs",
    "image_size",
    "batch_size",
    "geometry",
    "crops_per_image",
    "precision",
    "memory_format",
    "gpus_per_run",
)
"""Fields of the recipe that `study run` takes."""


def commands(study: Study, runs: list[Run]) -> list[str]:
    """Return the command lines: the dataset first with what was decided about it, then one for each set of backbones
    with the same start and seeds."""
    dataset = study.dataset
    decided = [command_words(decision, dataset.name) for decision in dataset.decisions]
    return [_line(words) for words in (_dataset_words(dataset), *decided, *_study_words(study, runs))]


def classes_csv(dataset: DatasetConfig) -> str:
    """Return the class table as `dataset add --classes` reads it."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("name", "r", "g", "b"))
    rows.writerows((info.name, *info.color) for info in dataset.classes)
    return written.getvalue()


def split_json(study: Study) -> str:
    """Return the split as `dataset add --split-file` reads it."""
    return json.dumps(study.split.to_json(), indent=1)


def not_said(recipe: Recipe) -> list[str]:
    """Return settings of the recipe that no flag can give, as "weight decay 0.5"; mostly none."""
    asked = Recipe.named(*_named(recipe)[:1], **_named(recipe)[1])
    return [
        f"{field.replace('_', ' ')} {getattr(recipe, field)}"
        for field in Recipe.model_fields
        if field != "name" and getattr(asked, field) != getattr(recipe, field)
    ]


def _named(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """Return the recipe to start from and what is changed in it."""
    base = Recipe.named(recipe.name if recipe.name in RECIPES else "default")
    changes = {name: getattr(recipe, name) for name in _FLAGS if getattr(recipe, name) != getattr(base, name)}
    return base.name, changes


def _dataset_words(dataset: DatasetConfig) -> list[str]:
    words = ["dataset", "add", dataset.name, "--images", str(dataset.images), "--masks", str(dataset.masks)]
    words += ["--classes", CLASSES_FILE, "--split-file", SPLIT_FILE]
    ignored = [info.name for info in dataset.classes if info.ignore]
    if ignored:
        words += ["--ignore", ",".join(ignored)]
    if dataset.group_regex is not None:
        words += ["--group-regex", dataset.group_regex]
    if dataset.image_regex is not None and dataset.mask_regex is not None:
        words += ["--image-regex", dataset.image_regex, "--mask-regex", dataset.mask_regex]
    if dataset.group_by_folder:
        words.append("--group-by-folder")
    return words


def _study_words(study: Study, runs: list[Run]) -> list[list[str]]:
    name, changes = _named(study.recipe)
    shared = ["study", "run", study.name, "--dataset", study.dataset.name, "--decoder", study.decoder]
    recipe = ["--recipe", name]
    for field, value in changes.items():
        recipe += [f"--{field.replace('_', '-')}", str(value)]
    if study.folds:
        recipe += ["--folds", str(study.folds)]
    if study.racing:
        recipe.append("--racing")
    if study.recipe.gpus_per_run > 1:
        recipe += ["--on", "ray"]  # where alone that is possible
    return [
        [*shared, "--backbones", ",".join(encoders), "--weights", weights, "--seeds", seeds, *recipe]
        for (weights, seeds), encoders in _by_start_and_seeds(runs).items()
    ]


def _by_start_and_seeds(runs: list[Run]) -> Mapping[tuple[str, str], list[str]]:
    seeds: dict[tuple[str, str], set[int]] = {}
    for run in runs:
        config = run.config
        seeds.setdefault((config.weights, config.encoder), set()).add(config.seed)
    found: dict[tuple[str, str], list[str]] = {}
    for (weights, encoder), having in seeds.items():
        found.setdefault((weights, ",".join(map(str, sorted(having)))), []).append(encoder)
    return found


def _line(words: list[str]) -> str:
    return f"python -m segcore {shlex.join(words)}"
