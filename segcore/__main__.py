"""The command line: `python -m segcore`, or `segcore` where the package is installed.

Exit codes: 0 done; 1 a run or an export failed or could not be started; 2 bad input, said in one line on standard
error; 130 ended by Ctrl-C.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from segcore.cli import (
    catalog,
    compare,
    datasets,
    datasets_add,
    datasets_classes,
    datasets_split,
    evaluate,
    export,
    measure,
    networks,
    predict,
    queue,
    runs,
    seal,
    studies,
    suspects,
)
from segcore.errors import ExportError, LaunchError, SegcoreError, TrainingError
from segcore.text import printable

FLAGS = {
    "batch_size": "--batch-size",
    "by": "--by",
    "classes": "--classes",
    "crops_per_image": "--crops-per-image",
    "csv": "--csv",
    "dataset": "--dataset",
    "decoder": "--decoder",
    "distance": "--distance",
    "encoders": "--backbones",
    "epochs": "--epochs",
    "file": "--file",
    "format": "--format",
    "gap": "--gap",
    "geometry": "--geometry",
    "group_regex": "--group-regex",
    "ignore": "--ignore",
    "image_size": "--image-size",
    "images": "--images",
    "look": "--look",
    "map": "--map",
    "margin": "--margin",
    "masks": "--masks",
    "memory_format": "--memory-format",
    "move": "--move",
    "out": "--out",
    "part": "--part",
    "polygons": "--polygons",
    "precision": "--precision",
    "recipe": "--recipe",
    "regex": "--regex",
    "score": "--score",
    "seeds": "--seeds",
    "split": "--split-file",
    "version": "--version",
    "weights": "--weights",
    "folds": "--folds",
    "image_regex": "--image-regex",
    "layout": "--layout",
    "mask_regex": "--mask-regex",
}
"""The flag behind a field that an error blames."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Which backbone should segment your aerial images, on your hardware, and how sure can you be?",
)
app.command("demo")(studies.demo)
datasets.app.command("add")(datasets_add.add_dataset)
datasets.app.command("classes")(datasets_classes.classes_of_dataset)
datasets.app.command("split")(datasets_split.split_dataset)
datasets.app.command("leakage")(datasets_split.leakage_of_dataset)
app.add_typer(datasets.app, name="dataset")
studies.app.command("measure")(measure.measure_study)
studies.app.command("open-test")(seal.open_test)
app.add_typer(studies.app, name="study")
app.command("runs")(runs.list_runs)
runs.app.command("measure")(measure.measure_run)
app.add_typer(runs.app, name="run")
app.add_typer(queue.app, name="queue")
app.command("compare")(compare.compare)
app.command("report")(compare.report)
app.command("summary")(networks.summary)
app.command("catalog")(catalog.catalog)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("suspects")(suspects.suspects)
app.command("export")(export.export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command and return its exit code.

    Args:
        arguments: the words after the command's name; by default those this process was started with.
    """
    words = sys.argv[1:] if arguments is None else arguments
    name = "python -m segcore" if Path(sys.argv[0]).name == "__main__.py" else "segcore"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be text in the terminal's encoding
    try:
        return app(args=list(words) or ["--help"], prog_name=name, standalone_mode=False) or 0
    except SegcoreError as error:
        print(f"Error: {describe(error, words)}", file=sys.stderr)
        return 1 if isinstance(error, (ExportError, LaunchError, TrainingError)) else 2
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else name
        message = one_line(error.format_message()).replace(" Value error, ", " ").rstrip(".?")  # a choice, by pydantic
        print(f"Error: {message}. See '{command} --help'.", file=sys.stderr)
        return 2
    except OSError as error:  # a file system that does what nobody foresaw
        print(f"Error: {one_line(str(error))}", file=sys.stderr)
        return 1
    except typer.Abort:
        return 130


def describe(error: SegcoreError, words: Sequence[str]) -> str:
    """Return an error's message in one line, with the flag that caused it if that is among the `words` given."""
    flag = FLAGS.get((error.field or "").split(".")[0])
    message = one_line(str(error))
    if flag is None or not any(word.split("=")[0] == flag for word in words):
        return message
    return f"{flag}: {message.removeprefix(f'{error.field}: ')}"


def one_line(text: str) -> str:
    """Return `text` with its line breaks turned into blanks, and what would steer a terminal into escapes."""
    return printable(" ".join(text.split()))


if __name__ == "__main__":
    sys.exit(main())
