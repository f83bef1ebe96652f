"""Launching a study from a terminal, following it to its end, and printing what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from segcore.cli.output import emit_json, print_table, progress_bar, say
from segcore.config import StudyConfig
from segcore.progress import once_needed
from segcore.status import RunState, Where
from segcore.text import duration, percent, plural, scaled

if TYPE_CHECKING:
    from segcore.evaluation.comparison import ResultRow
    from segcore.runs import Run, Study
    from segcore.store import RunStore


def carry_out(config: StudyConfig, *, where: Where = Where.HERE, detach: bool, as_json: bool) -> None:
    """Launch a study, follow it to its end unless `detach`, and print what came out.

    Raises:
        typer.Exit: with code 1 where a run of the study did not finish, 130 after Ctrl-C.
    """
    from segcore.evaluation import racing
    from segcore.launch.plan import launch_study
    from segcore.store import RunStore

    store = RunStore()
    if where is Where.CLUSTER:
        say("Asking the nodes of the cluster whether they can train …")
    with once_needed(lambda: progress_bar("The dataset's files have changed; checking them")) as progress:
        new = launch_study(config, store.workspace, progress=progress, where=where)
    study = store.study(config.name)
    old = len(study.runs()) - len(new)
    say(f"Study {config.name}: {plural(len(new), 'new run')}{f', {old} that it had' if old else ''}.")
    if detach:
        _print_launched(study, new, as_json=as_json)
        return
    _follow(store, study)
    rows = store.statuses(study.runs())
    _print_results(study, [run for run, _ in rows], as_json=as_json)
    raced_out = racing.outcome(study)
    for out in raced_out:
        say(f"{out.title}: {out.sentence}")
    behind = {name for out in raced_out for name in out.runs}  # that is no failure
    unfinished = [row for row in rows if row[1].state is not RunState.FINISHED and row[0].name not in behind]
    for run, status in unfinished:
        say(f"{run.name} {status.state}: {status.message} {status.hint}".rstrip())
    if unfinished:
        say(f"To go on with what ended early: python -m segcore study retry {config.name}, or run resume of one run.")
        raise typer.Exit(1)


def _follow(store: RunStore, study: Study) -> None:
    from segcore.cli.follow import follow

    try:
        follow(store, study.runs())
    except KeyboardInterrupt:
        say(
            f"\nThe runs of study {study.name} go on without this command. See them with 'python -m segcore runs "
            f"--study {study.name}'; stop them with 'python -m segcore study stop {study.name}'."
        )
        raise typer.Exit(130) from None


def _print_launched(study: Study, new: Sequence[Run], *, as_json: bool) -> None:
    if as_json:
        emit_json({"study": study.name, "path": study.path, "launched": [run.summary() for run in new]})
        return
    for run in new:
        print(run.path)


def _print_results(study: Study, runs: Sequence[Run], *, as_json: bool) -> None:
    from segcore.evaluation.comparison import result_table
    from segcore.evaluation.studies import sound

    runs, damaged = sound(runs, "val")
    for error in damaged:
        say(f"Left out, as it cannot be read: {error}")
    results = result_table(runs)
    if as_json:
        document = {**study_row(study, runs), "results": results, "runs": [run.summary() for run in runs]}
        emit_json(document)
        return
    columns = (
        "backbone",
        ">val mIoU",
        ">val pixel accuracy",
        ">majority class",
        ">training",
        ">parameters",
        ">MACs",
        ">latency (p95)",
        ">images/s",
        "runs",
    )
    print_table(
        columns,
        [
            (
                row["title"],
                row["miou_text"],
                row["pixel_accuracy_text"],
                percent(row["majority_baseline"]),
                duration(None if row["minutes"] is None else 60 * row["minutes"]),
                scaled(row["parameters"]),
                scaled(row["macs"]),
                _latency(row),
                "–" if row["throughput"] is None else f"{row['throughput']:.3g}",
                counted(row["states"]),
            )
            for row in results
        ],
        title=f"Study {study.name} on {study.dataset.name}, best epoch by validation mIoU, mean over seeds ± 95 %"
        f"{f', {study.folds} folds judged together' if study.folds else ''}",
    )

    if any(row["idle"] is False for row in results):
        say(
            "* Measured while other programs ran. Once the machine is idle, measure again: python -m segcore study "
            f"measure {study.name}"
        )


def _latency(row: ResultRow) -> str:
    """Median and 95 % quantile of one image's time, starred where the machine was busy: "4.1 (4.6) ms*"."""
    if row["latency_ms"] is None:
        return "–"
    high = "" if row["latency_p95_ms"] is None else f" ({row['latency_p95_ms']:.1f})"
    return f"{row['latency_ms']:.1f}{high} ms{'*' if row['idle'] is False else ''}"


def study_row(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """One study as a JSON-ready row."""
    return {
        "study": study.name,
        "dataset": study.dataset.name,
        "decoder": study.decoder,
        "recipe": study.recipe.to_json(),
        "folds": study.folds,
        "racing": study.racing,
        "states": dict(Counter(run.state.value for run in runs)),
        "created": study.created,
        "path": study.path,
    }


def counted(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
