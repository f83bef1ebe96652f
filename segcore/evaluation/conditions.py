"""Under which conditions the runs of a study were made: what they were asked to do, on what and with what.

Everything is read from what the runs wrote down when they were created and when they began. What was not written down,
by an earlier version or by a run that never began, is `NOT_RECORDED`. Nothing here imports torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from segcore.config import ClassInfo, Recipe, RunConfig
from segcore.errors import NotFoundError, WorkspaceError
from segcore.evaluation import pretraining
from segcore.models import catalog
from segcore.runs import Run, Study

NOT_RECORDED = "not recorded"

# Precision and memory format count as they were used, not as they were asked for.
_FROM_RECIPE = tuple(field for field in Recipe.model_fields if field not in ("name", "precision", "memory_format"))

ByValue = Mapping[str, list[str]]
"""Value -> titles of the backbones whose runs have it, one a run."""


@dataclass(frozen=True)
class Conditions:
    """What is known of one study and its runs."""

    dataset: str
    dataset_fingerprint: str
    classes: tuple[ClassInfo, ...]
    split_fingerprint: str
    decoder: str
    folds: str
    """Number of folds, "0" for one split; several numbers joined where runs differ."""
    tags: Mapping[str, frozenset[str]]
    """Backbone without its tag -> tags of the pretrained weights that the study has of it."""
    files: Mapping[str, Counter[str]]
    """Encoder -> sha256 of the file its pretrained weights came from -> runs; only where recorded."""
    runs: Mapping[str, ByValue]
    """Thing -> its values; fields of the recipe, "start", "pretraining" of the runs that have one, and what the runs
    met when they began."""


def of_study(study: Study) -> Conditions:
    """Gather the conditions of a study; single runs that cannot be read are passed over.

    Raises:
        WorkspaceError: the study's own file is gone or damaged.
    """
    shared, dataset = study.shared, study.dataset
    runs: dict[str, dict[str, list[str]]] = {}
    tags: dict[str, set[str]] = {}
    files: dict[str, Counter[str]] = {}
    folds: set[int] = set()
    for run in study.runs():
        try:
            config, values, sha = of_run(study, run)
        except WorkspaceError:
            continue
        for name, value in values.items():
            runs.setdefault(name, {}).setdefault(value, []).append(catalog.title(config.encoder))
        folds.add(config.folds)
        if config.weights == "pretrained":
            base, _, tag = config.encoder.partition(".")
            tags.setdefault(base, set()).add(tag or "no tag")
            if sha != NOT_RECORDED:
                files.setdefault(config.encoder, Counter())[sha] += 1
    if not runs:
        runs = {name: {value: []} for name, value in _of_recipe(study.recipe).items()}
    return Conditions(
        dataset=dataset.name,
        dataset_fingerprint=str(shared["dataset_fingerprint"]),
        classes=dataset.meaning.classes,
        split_fingerprint=str(shared.get("split_fingerprint") or _split_fingerprint(study)),
        decoder=study.decoder,
        folds=" and ".join(map(str, sorted(folds))) or str(shared.get("folds", 0)),
        tags={base: frozenset(names) for base, names in tags.items()},
        files=files,
        runs=runs,
    )


def of_run(study: Study, run: Run) -> tuple[RunConfig, dict[str, str], str]:
    """Return a run's configuration, its values by thing, and the sha256 of its pretrained weights.

    Raises:
        WorkspaceError: one of its files cannot be read.
    """
    config, provenance = run.config, run.provenance()
    values = {**_of_recipe(config.recipe), "start": config.weights if config.weights != "none" else "from scratch"}
    if config.weights != "none":
        tag = config.encoder.partition(".")[2]
        # Another unknown tag is another start, so each is a value of its own.
        values["pretraining"] = pretraining.data(config.encoder) or f"unknown ({tag or 'no tag'})"
    if not provenance:
        return config, values, NOT_RECORDED
    execution = _part(provenance, "execution") or study.execution() or {}
    values["precision"] = str(execution.get("precision") or NOT_RECORDED)
    values["memory format"] = str(execution.get("memory_format") or NOT_RECORDED)
    resumed = provenance.get("resumed")
    lives = [life for life in (provenance, *(resumed if isinstance(resumed, list) else ())) if isinstance(life, dict)]
    for name, read in _READERS.items():
        values[name] = _over(lives, read)
    values["packages"] = _packages(lives)
    return config, values, str(_part(provenance, "weights").get("sha256") or NOT_RECORDED)


def _of_recipe(recipe: Recipe) -> dict[str, str]:
    values = {field: str(getattr(recipe, field)) for field in _FROM_RECIPE}
    if recipe.geometry != "crop":
        values.pop("crops_per_image")
    return values


def _split_fingerprint(study: Study) -> str:
    try:
        return study.split.fingerprint
    except NotFoundError:
        return NOT_RECORDED


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, Mapping) else {}


def _hardware(life: Mapping[str, Any]) -> object:
    hardware = _part(life, "hardware")
    return hardware.get("gpu") or hardware.get("cpu") or hardware.get("device")


def _threads(life: Mapping[str, Any]) -> object:
    hardware = _part(life, "hardware")
    return None if hardware.get("gpu") else hardware.get("threads")  # a GPU computes, whatever the threads


def _version(life: Mapping[str, Any]) -> object:
    commit = str(life.get("git_commit") or "")
    changes = "+changes" if commit.endswith("+changes") else ""
    return commit.removesuffix("+changes")[:10] + changes or life.get("segcore")


_READERS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "hardware": _hardware,
    "threads": _threads,
    "processes": lambda life: life.get("processes"),
    "segcore": _version,
}


def _over(lives: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], object]) -> str:
    """Return what was true of a run over all its lives: a resumed run may have gone on elsewhere."""
    found = [str(value) for life in lives if (value := read(life))]
    return ", then ".join(dict.fromkeys(found)) or NOT_RECORDED


def _packages(lives: Iterable[Mapping[str, Any]]) -> str:
    """Return the versions as "timm 1.0.31, torch 2.14.1"."""
    versions: dict[str, dict[str, None]] = {}
    for life in lives:
        for package, version in _part(life, "packages").items():
            if version:
                versions.setdefault(str(package), {})[str(version)] = None
    listed = (f"{package} {' then '.join(found)}" for package, found in sorted(versions.items()))
    return ", ".join(listed) or NOT_RECORDED
