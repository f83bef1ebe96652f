"""Launching a study from a terminal, following it to its end, and printing what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from segcore.cli.output import emit_json, print_table, progress_bar, say
from segcore.config import StudyConfig
from segcore.progress import once_needed
from segcore.status import RunState
from segcore.text import duration, percent, plural, scaled

if TYPE_CHECKING:
    from segcore.runs import Run, Study
    from segcore.store import RunStore


def carry_out(config: StudyConfig, *, detach: bool, as_json: bool) -> None:
    """Launch a study, follow it to its end unless `detach`, and print what came out.

    Raises:
        typer.Exit: with code 1 where a run of the study did not finish, 130 after Ctrl-C.
    """
    from segcore.launch.plan import launch_study
    from segcore.store import RunStore

    store = RunStore()
    with once_needed(lambda: progress_bar("The dataset's files have changed; checking them")) as progress:
        new = launch_study(config, store.workspace, progress=progress)
    study = store.study(config.name)
    old = len(study.runs()) - len(new)
    say(f"Study {config.name}: {plural(len(new), 'new run')}{f', {old} that it had' if old else ''}.")
    if detach:
        _print_launched(study, new, as_json=as_json)
        return
    _follow(store, study)
    rows = store.statuses(study.runs())
    _print_results(study, [run for run, _ in rows], as_json=as_json)
    unfinished = [(run, status) for run, status in rows if status.state is not RunState.FINISHED]
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
        ">latency",
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
                "–" if row["latency_ms"] is None else f"{row['latency_ms']:.1f} ms",
                counted(row["states"]),
            )
            for row in results
        ],
        title=f"Study {study.name} on {study.dataset.name}, best epoch by validation mIoU, mean over seeds ± 95 %",
    )


def study_row(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
    """One study as a JSON-ready row."""
    return {
        "study": study.name,
        "dataset": study.dataset.name,
        "decoder": study.decoder,
        "recipe": study.recipe.to_json(),
        "states": dict(Counter(run.state.value for run in runs)),
        "created": study.created,
        "path": study.path,
    }


def counted(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
