"""`compare` and `report`: which backbone is better, how sure that is, and the evidence in a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.errors import ConfigError
from segcore.files import user_path
from segcore.runs import Part
from segcore.text import duration, plural, scaled

if TYPE_CHECKING:
    from segcore.evaluation.findings import Findings
    from segcore.evaluation.verdicts import Comparison, Standing
    from segcore.runs import Study

Margin = Annotated[
    float,
    typer.Option(
        metavar="POINTS", help="Differences below so many points, hundredths of the score, are too small to matter."
    ),
]
PartOption = Annotated[
    Part, typer.Option(help="Images to judge on; test only once the test images of the study were opened.")
]


def compare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="STUDY…", help="One study, or several to be put together.", show_default=False),
    ],
    score: Annotated[
        str, typer.Option(help="What is compared: miou, pixel_accuracy, or the IoU of a class by its name.")
    ] = "miou",
    margin: Margin = 1.0,
    part: PartOption = "val",
    as_json: Json = False,
) -> None:
    """Say for every two backbones which is better, that they are equivalent, or what it takes to tell."""
    from segcore.evaluation.document import document
    from segcore.evaluation.findings import gather
    from segcore.store import RunStore

    store = RunStore()
    studies = [store.study(name) for name in names]
    if part == "test":
        _check_opened(studies)
    findings = gather(studies, score=score, margin=margin / 100, part=part)
    if as_json:
        emit_json(document(findings, bootstrap=True))
        return
    _print_contenders(findings)
    _print_verdicts(findings)
    if part == "test":
        _say_opened(studies)
    for confound in findings.confounds:
        say(f"Note: {confound.sentence}")
    _say_left_out(findings)


def report(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="The study.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The file to write, such as report.html.", show_default=False)],
    csv: Annotated[
        Path | None, typer.Option(help="Folder for the tables as CSV files; made if need be.", show_default="none")
    ] = None,
    margin: Margin = 1.0,
    as_json: Json = False,
) -> None:
    """Write all that is known of a study into one HTML file: charts, verdicts, previews, and how to run it again.

    The file needs nothing beside it and asks nothing of the network.
    """
    from segcore.evaluation import report as evidence
    from segcore.store import RunStore

    store = RunStore()
    study = store.study(name)
    target = user_path(out, "out")
    folder = user_path(csv, "csv") if csv is not None else None
    with progress_bar("Writing the report") as progress:
        tables = evidence.write(study, target, store=store, margin=margin / 100, folder=folder, progress=progress)
    if as_json:
        emit_json({"study": study.name, "report": target, "bytes": target.stat().st_size, "tables": tables})
        return
    for path in (target, *tables):
        print(path)


def _check_opened(studies: Sequence[Study]) -> None:
    """Refuse to compare on test images that nobody opened.

    Raises:
        ConfigError: of one of the studies they are sealed.
    """
    from segcore.evaluation import seal

    sealed = [study.name for study in studies if not seal.opened(study)]
    if sealed:
        raise ConfigError(
            f"The test images of {', '.join(sealed)} are sealed. Choose on the validation images; once you have "
            f"chosen, 'python -m segcore study open-test {sealed[0]}' opens them, and that is written down.",
            field="part",
        )


def _say_opened(studies: Sequence[Study]) -> None:
    """Say since when test scores are known, and which runs were trained in that knowledge."""
    from segcore.evaluation import seal

    for study in studies:
        first = seal.openings(study)[0]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(first.time))
        say(f"Note: The test images of study {study.name} were opened on {when}. Choose by the validation images.")
        for name, text in seal.late(study).items():
            say(f"Note: {name}: {text}.")


# On screen -----------------------------------------------------------------------------------------


def _print_contenders(findings: Findings) -> None:
    from segcore.evaluation.comparison import mean_interval
    from segcore.evaluation.verdicts import points_text

    part = "test" if findings.part == "test" else "validation"
    rows = []
    for standing in findings.standings:
        costs = findings.rows[standing.label]
        assert standing.estimate is not None
        index = next(c.score for c in findings.comparisons if standing in c.standings)
        over_seeds = mean_interval(cells.score(index) for cells in standing.by_seed.values())
        rows.append(
            (
                standing.title,
                f"{points_text(standing.estimate).removesuffix(' points')} %",
                "–" if over_seeds.n < 2 else f"± {100 * over_seeds.half_width:.1f}",
                str(len(standing.by_seed)),
                findings.letters(standing.label),
                duration(None if costs["minutes"] is None else 60 * costs["minutes"]),
                scaled(costs["parameters"]),
                scaled(costs["macs"]),
                "–" if costs["latency_ms"] is None else f"{costs['latency_ms']:.1f} ms",
            )
        )
    title = (
        f"{', '.join(study.name for study in findings.studies)}: {findings.score_title} on the {part} images, "
        f"mean ± 95 % over {findings.over}"
    )
    columns = ("backbone", f">{findings.score_title}", ">over seeds", ">seeds", "alike", ">training", ">parameters")
    if rows:
        print_table((*columns, ">MACs", ">latency"), rows, title=title)
    else:
        print(f"{title}: {'no run is finished yet' if findings.part == 'val' else 'no test score is computed yet'}.")


def _print_verdicts(findings: Findings) -> None:
    from segcore.evaluation.verdicts import sentence

    if findings.standings:
        print(
            "\nBackbones that share a letter cannot be told apart (at 5 % over all pairs; margin "
            f"{100 * findings.margin:g} point{'' if findings.margin == 0.01 else 's'}).\n"
        )
    if findings.unpaired:
        print(findings.unpaired + "\n")
    for comparison in findings.comparisons:
        for verdict in comparison.verdicts:
            print(sentence(verdict, comparison))
        if len(comparison.standings) == 1:
            print(_alone(comparison))


def _alone(comparison: Comparison) -> str:
    standing: Standing = comparison.standings[0]
    return f"{standing.title} is the only backbone with a result: there is nothing to compare it with."


def _say_left_out(findings: Findings) -> None:
    """Say which runs and backbones are in no number."""
    for error in findings.damaged:
        say(f"Left out, as it cannot be read: {error}")
    for standing in [*findings.standings, *findings.pending]:
        row, out = findings.rows[standing.label], findings.raced.get(standing.label)
        if out is not None:
            say(f"{standing.title}: {out.sentence}")
        elif standing.left_out:
            counts = ", ".join(f"{n} {state}" for state, n in sorted(standing.left_out.items()))
            say(f"Left out: {counts} of {standing.title}.")
        if row["collapsed"]:
            say(f"Note: {plural(row['collapsed'], 'run')} of {standing.title} answered one class everywhere.")
