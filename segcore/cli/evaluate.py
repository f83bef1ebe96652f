"""`evaluate`: a trained network judged again, on any dataset and part."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.cli.runs import RunName, own_run
from segcore.errors import ConfigError
from segcore.text import percent, plural

if TYPE_CHECKING:
    from segcore.evaluation.reevaluation import Reevaluation
    from segcore.runs import Run


def evaluate(
    run: RunName,
    dataset: Annotated[
        str | None, typer.Option(help="Name of a dataset of the workspace.", show_default="the run's own")
    ] = None,
    part: Annotated[
        str,
        typer.Option(
            help="train, val or test of the split (on the run's own dataset: of the run's split), or all images."
        ),
    ] = "val",
    map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="THEIRS=OURS",
            help="A class of the dataset and the network's class that means it, as often as need be; several of the "
            "network's may mean one of the dataset's. 'THEIRS=' leaves a class of the dataset out, '=OURS' says that "
            "it lacks one. All others are matched by name.",
            show_default=False,
        ),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List what was evaluated before, and do nothing.")] = False,
    remove: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Move one of them to the workspace's trash, and do nothing else.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge the best weights of a run on any dataset and part; the result is kept beside the run.

    Scores are over the classes that both sides have: pixels of classes that the network does not know count nowhere,
    and predictions of classes that the dataset lacks are wrong. Sealed test images are refused. It is said how many of
    the images the network has learnt from.
    """
    from segcore.store import RunStore

    found = own_run(RunStore(), run)
    if remove is not None:
        _remove(found, remove, as_json=as_json)
    elif list_all:
        _list(found, as_json=as_json)
    else:
        _evaluate(found, dataset, part, map or [], as_json=as_json)


def _evaluate(run: Run, dataset: str | None, part: str, words: list[str], *, as_json: bool) -> None:
    from segcore.data.store import DatasetStore
    from segcore.evaluation import reevaluation
    from segcore.evaluation.classmap import by_decisions, parse

    if part not in reevaluation.JUDGED:
        raise ConfigError(f"{part!r} is no part of a split; there are {', '.join(reevaluation.JUDGED)}.", field="part")
    config = run.config
    source = DatasetStore().get(dataset or config.dataset.name)
    ours, theirs = ([info.name for info in one.trained_classes] for one in (config.dataset, source.config))
    given = parse(words, ours, theirs, by_decisions(config.dataset, source.config))
    from segcore.inference.reevaluation import reevaluate

    with progress_bar(f"Judging {run.name} on {source.name}") as progress:
        result = reevaluate(run, source.name, part, given, progress=progress)
    if as_json:
        emit_json(row(run, result))
        return
    _print(run, result)


def _print(run: Run, result: Reevaluation) -> None:
    """Print the scores, class by class, and say what they are of."""
    scores = result.scores
    print_table(
        ("class", "predicted as", ">IoU", ">accuracy", ">share of the pixels"),
        [
            (
                one["name"],
                ", ".join(one["means"]),
                percent(one["iou"]),
                percent(one["accuracy"]),
                percent(one["pixels"] / max(1, scores.labelled_pixels)),
            )
            for one in result.class_rows()
        ],
        title=f"{run.study_name}/{run.name} on {result.dataset}, {_part_text(result)}: mIoU {percent(scores.miou)}, "
        f"pixel accuracy {percent(scores.pixel_accuracy)}",
    )
    for note in notes(result):
        say(note)
    say(f"Kept as {result.key}.")


def _part_text(result: Reevaluation) -> str:
    return plural(len(result.names), f"{result.part} image" if result.part != "all" else "image")


def notes(result: Reevaluation) -> list[str]:
    """Say what a reader of the scores has to know: classes left out, and what the network has met before."""
    from segcore.evaluation.reevaluation import acquaintance

    found = []
    if result.classes.unanswered:
        found.append(
            f"Not known to the network, so {percent(result.left_out)} of the labelled pixels count nowhere: "
            f"{', '.join(result.classes.unanswered)}."
        )
    if result.classes.unasked:
        found.append(f"Not in the dataset, so predicting them is wrong: {', '.join(result.classes.unasked)}.")
    if met := acquaintance(result.met, len(result.names)):
        found.append(f"{met}.{' Expect less on images that it has never met.' if result.met.trained else ''}")
    if result.met.unknown:
        found.append(result.met.unknown)
    return found


def row(run: Run, result: Reevaluation) -> dict[str, Any]:
    """Return one re-evaluation as a JSON-ready row."""
    from segcore.evaluation.reevaluation import outdated

    scores = result.scores
    return {
        "run": run.path,
        "name": result.key,
        "dataset": result.dataset,
        "dataset_fingerprint": result.dataset_fingerprint,
        "part": result.part,
        "split": result.split,
        "own_split": result.own_split,
        "images": len(result.names),
        "miou": scores.miou,
        "pixel_accuracy": scores.pixel_accuracy,
        "mean_class_accuracy": scores.mean_class_accuracy,
        "frequency_weighted_iou": scores.frequency_weighted_iou,
        "mean_dice": scores.mean_dice,
        "classes": result.class_rows(),
        "not_known_to_the_network": result.classes.unanswered,
        "not_in_the_dataset": result.classes.unasked,
        "left_out": result.left_out,
        "trained_on": result.met.trained,
        "chosen_on": result.met.validated,
        "untold": result.met.unknown or None,
        "epoch": result.epoch,
        "time": result.time,
        "version": result.version,
        "commit": result.commit,
        "device": result.device,
        "outdated": outdated(run, result),
        "path": run.reevaluation_path(result.key),
    }


def _list(run: Run, *, as_json: bool) -> None:
    from segcore.evaluation.reevaluation import acquaintance, outdated, read_all

    found, damaged = read_all(run)
    for error in damaged:
        say(f"Left out, as it cannot be read: {error}")
    if as_json:
        emit_json([row(run, result) for result in found])
        return
    if not found:
        say(f"Run {run.study_name}/{run.name} has not been evaluated anew yet.")
        return
    print_table(
        ("name", ">images", ">mIoU", ">pixel accuracy", "when", "to be known"),
        [
            (
                result.key,
                f"{len(result.names):,}",
                percent(result.scores.miou),
                percent(result.scores.pixel_accuracy),
                time.strftime("%Y-%m-%d %H:%M", time.localtime(result.time)),
                "; ".join(filter(None, [acquaintance(result.met, len(result.names)), *outdated(run, result)])),
            )
            for result in found
        ],
        title=f"Run {run.study_name}/{run.name}, evaluated anew",
    )


def _remove(run: Run, name: str, *, as_json: bool) -> None:
    from segcore.evaluation.reevaluation import remove

    remove(run, name)
    if as_json:
        emit_json({"run": run.path, "removed": name})
    else:
        print(f"Moved {name} of run {run.study_name}/{run.name} to the trash.")
