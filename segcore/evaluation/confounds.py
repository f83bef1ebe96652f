"""In what studies, or the runs of one study, differ besides their backbones: what else could explain a difference.

What one side has not recorded (see `conditions`) may differ, which is said and is no error. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from segcore.evaluation import conditions
from segcore.evaluation.conditions import NOT_RECORDED, ByValue, Conditions
from segcore.runs import Study
from segcore.text import plural

MEANING = {
    "dataset": ("dataset", "Scores on other images say nothing about each other."),
    "dataset version": ("version of the dataset", "Its files or classes changed in between."),
    "classes": ("class table", "A mean over other classes is another score."),
    "split": ("split", "They learnt from other images and are judged on other images."),
    "folds": ("folds", "Their backbones learnt from other shares of the images."),
    "decoder": ("decoder", "It can be the reason for a difference as well as the backbone."),
    "start": ("start (pretrained or scratch)", "Pretrained weights alone often decide."),
    "pretraining": ("data of the pretraining", "More of it, or other data, can weigh more than another backbone."),
    "weights": ("pretrained weights", "Another pretraining can weigh more than another backbone."),
    "weights file": ("file of the weights", "The same name with another content is another start."),
    "epochs": ("number of epochs", "What trained longer may be ahead for that alone."),
    "geometry": ("geometry", "Whole images made smaller and crops at native scale are different tasks."),
    "image_size": ("image size", "Larger images show more, and cost more."),
    "batch_size": ("batch size", "It changes how many steps there are, and how noisy they are."),
    "augmentation": ("augmentation", "It helps the more, the fewer images there are."),
    "loss": ("loss", "It decides how much rare classes count."),
    "precision": ("precision", "Half precision rounds more, and times do not compare."),
    "memory format": ("memory format", "Scores differ by rounding alone, but times do not compare."),
    "hardware": ("hardware", "Times do not compare; scores differ by rounding alone."),
    "threads": ("number of processor threads", "Times do not compare; scores differ by rounding alone."),
    "gpus_per_run": ("GPUs per run", "Batch norm looks at each GPU's share of a batch, and times do not compare."),
    "processes": ("number of processes that train a run", "Training times do not compare."),
    "packages": ("versions of packages", "Another version may compute in another way."),
    "segcore": ("version of segcore", "Another version may train or judge in another way."),
}
"""What it is called and what it means for a comparison; fields of the recipe that are not here are called as there."""

NOT_PAIRED = ("dataset", "dataset version", "split", "folds")
"""Where these differ, no two results are of the same images."""


@dataclass(frozen=True)
class Confound:
    """One thing in which studies, or the runs of one study, differ."""

    name: str
    """Stable: a key of `MEANING`, or a field of the recipe."""
    values: Mapping[str, str]
    """Study -> its value in words; the one study alone where its own runs differ."""
    sentence: str
    within: str = ""
    """The study whose runs differ; "" where studies do."""

    @property
    def title(self) -> str:
        """What people call it: "batch size"."""
        return _title(self.name)


def differences(studies: Sequence[Study]) -> list[Confound]:
    """Return everything in which the studies differ, then in which the runs of each differ; [] where all is alike.

    Raises:
        WorkspaceError: a study's own file is gone or damaged; single runs that cannot be read are passed over.
    """
    known = {study.name: conditions.of_study(study) for study in studies}
    found = [*_shared(known), *_weights(known), *_of_runs(known)] if len(known) > 1 else []
    return found + [confound for name, of_study in known.items() for confound in _within(name, of_study)]


def pairable(studies: Sequence[Study]) -> str:
    """Return why results of these studies cannot be paired image by image, in a sentence; "" where they can.

    Raises:
        WorkspaceError: a study's own file is gone or damaged.
    """
    known = {study.name: conditions.of_study(study) for study in studies}
    for confound in _shared(known) if len(known) > 1 else ():
        if confound.name in NOT_PAIRED:
            return f"They are not paired image by image. {confound.sentence}"
    return ""


# Between studies -----------------------------------------------------------------------------------


def _shared(known: Mapping[str, Conditions]) -> list[Confound]:
    """Differences in what all runs of a study share."""
    same_name = len({c.dataset for c in known.values()}) == 1
    things: list[tuple[str, dict[str, str], list[Hashable]]] = [
        (
            "dataset version" if same_name else "dataset",
            {name: f"{c.dataset} {c.dataset_fingerprint[:8]}" for name, c in known.items()},
            # The same files under another name are the same dataset.
            [c.dataset_fingerprint for c in known.values()],
        ),
        ("classes", _class_texts(known), [c.classes for c in known.values()]),
        (
            "split",
            {name: c.split_fingerprint[:12] for name, c in known.items()},
            [c.split_fingerprint for c in known.values()],
        ),
        ("folds", {name: _folds_text(c.folds) for name, c in known.items()}, [c.folds for c in known.values()]),
        ("decoder", {name: c.decoder for name, c in known.items()}, [c.decoder for c in known.values()]),
    ]
    return [_between(name, values) for name, values, compared in things if len(set(compared)) > 1]


def _weights(known: Mapping[str, Conditions]) -> list[Confound]:
    """Differences in the pretrained weights of the backbones that several studies have."""
    tags = {name: {base: " and ".join(sorted(found)) for base, found in c.tags.items()} for name, c in known.items()}
    files = {
        name: {encoder: " and ".join(sha[:8] for sha in sorted(found)) for encoder, found in c.files.items()}
        for name, c in known.items()
    }
    found = []
    for thing, per_study in (("weights", tags), ("weights file", files)):
        texts: dict[str, list[str]] = {}
        for backbone in sorted({backbone for values in per_study.values() for backbone in values}):
            having = {name: values[backbone] for name, values in per_study.items() if backbone in values}
            if len(set(having.values())) > 1:
                for name, value in having.items():
                    texts.setdefault(name, []).append(f"{backbone} {value}")
        if texts:
            found.append(_between(thing, {name: ", ".join(parts) for name, parts in texts.items()}))
    return found


def _of_runs(known: Mapping[str, Conditions]) -> list[Confound]:
    """Differences in what the runs say: their recipes, and what they met when they began."""
    found = []
    for thing in dict.fromkeys(thing for c in known.values() for thing in c.runs):
        # A study that has not begun will have a value, but has none yet.
        per_study = {name: c.runs[thing] for name, c in known.items() if thing in c.runs}
        if len({frozenset(values) for values in per_study.values()}) > 1:
            if thing == "packages":
                alike = _alike([value for values in per_study.values() for value in values])
                per_study = {name: _without(alike, values) for name, values in per_study.items()}
            found.append(_between(thing, {name: " and ".join(sorted(v)) for name, v in per_study.items()}))
    return found


def _between(name: str, values: Mapping[str, str]) -> Confound:
    if len(set(values.values()) - {NOT_RECORDED}) < 2 and NOT_RECORDED in values.values():
        return Confound(name, values, f"The {_title(name)} may differ: {_listed(values)}.")
    return Confound(name, values, f"The {_title(name)} differs: {_listed(values)}. {_meaning(name)}".rstrip())


def _class_texts(known: Mapping[str, Conditions]) -> dict[str, str]:
    """Count each study's classes and name those that not all studies have."""
    names = {name: [info.name for info in c.classes if not info.ignore] for name, c in known.items()}
    common = set.intersection(*(set(found) for found in names.values()))
    own = {name: [class_name for class_name in found if class_name not in common] for name, found in names.items()}
    return {
        name: plural(len(found), "class", "classes") + (f" with {', '.join(own[name])}" if own[name] else "")
        for name, found in names.items()
    }


# Within a study ------------------------------------------------------------------------------------


def _within(study: str, known: Conditions) -> list[Confound]:
    found = []
    for thing, by_value in known.runs.items():
        recorded = {value: titles for value, titles in by_value.items() if value != NOT_RECORDED}
        if len(recorded) < 2 or (thing == "start" and _crossed(recorded)):
            continue
        if thing == "packages":
            recorded = _without(_alike(list(recorded)), recorded)
        order = sorted(recorded, key=lambda value: (len(value), value))  # 6 before 30
        text = "; ".join(f"{value}: {_who(recorded[value])}" for value in order)
        sentence = f"Runs of study {study} differ in {_title(thing)} ({text}). {_meaning(thing)}".rstrip()
        found.append(Confound(thing, {study: " and ".join(order)}, sentence, within=study))
    for encoder, counts in known.files.items():
        if len(counts) > 1:
            text = " and ".join(f"{sha[:8]} ({plural(n, 'run')})" for sha, n in sorted(counts.items()))
            sentence = f"Runs of {encoder} in study {study} began from different files of weights: {text}."
            found.append(
                Confound(
                    "weights file", {study: f"{encoder} {text}"}, f"{sentence} {_meaning('weights file')}", within=study
                )
            )
    return found


def _crossed(by_value: ByValue) -> bool:
    """Whether every backbone has every value: then it is what is compared, and no confound."""
    return len({frozenset(titles) for titles in by_value.values()}) == 1


def _who(titles: Sequence[str]) -> str:
    """Say whose runs have a value: "3 runs of ResNet-18, VGG-16"."""
    names = list(dict.fromkeys(titles))
    return f"{plural(len(titles), 'run')} of {', '.join(names[:4])}{', …' if len(names) > 4 else ''}"


# Words ---------------------------------------------------------------------------------------------


def _alike(lists: Sequence[str]) -> set[str]:
    """Return the packages of which all lists ("timm 1.0, torch 2.4") have the same version."""
    return set.intersection(*(set(value.split(", ")) for value in lists if value != NOT_RECORDED))


def _without(alike: set[str], values: ByValue) -> dict[str, list[str]]:
    def short(value: str) -> str:
        return ", ".join(part for part in value.split(", ") if part not in alike) or value

    return {short(value): who for value, who in values.items()}


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value} in {name}" for name, value in values.items())


def _folds_text(folds: str) -> str:
    return "one split" if folds == "0" else f"{folds} folds"


def _title(name: str) -> str:
    return MEANING[name][0] if name in MEANING else name.replace("_", " ")


def _meaning(name: str) -> str:
    return MEANING[name][1] if name in MEANING else ""
