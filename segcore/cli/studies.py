"""`study run|list|stop|remove` and `demo`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, listed, print_table, progress_bar, say, whole_numbers
from segcore.config import RECIPES, Recipe, StudyConfig, Weights
from segcore.progress import once_needed
from segcore.status import RunState
from segcore.text import duration, percent, plural, scaled

if TYPE_CHECKING:
    from segcore.runs import Run, Study
    from segcore.store import RunStore

app = typer.Typer(help="Launch and manage studies: several backbones on one dataset, under one recipe.")

StudyName = Annotated[str, typer.Argument(metavar="NAME", help="The study.", show_default=False)]


@app.command("run")
def run_study(
    name: Annotated[str, typer.Argument(metavar="NAME", help=StudyConfig.help("name"), show_default=False)],
    dataset: Annotated[str, typer.Option(help=StudyConfig.help("dataset"), show_default=False)],
    backbones: Annotated[
        str, typer.Option(help="Backbones to compare, with commas between them: any timm names.", show_default=False)
    ],
    decoder: Annotated[str, typer.Option(help=StudyConfig.help("decoder"))] = "unet",
    weights: Annotated[Weights, typer.Option(help=StudyConfig.help("weights"))] = "pretrained",
    seeds: Annotated[str, typer.Option(help=StudyConfig.help("seeds"))] = "0",
    epochs: Annotated[int | None, typer.Option(help=Recipe.help("epochs"), show_default="the recipe's")] = None,
    image_size: Annotated[int | None, typer.Option(help=Recipe.help("image_size"), show_default="the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help=Recipe.help("batch_size"), show_default="the recipe's")] = None,
    recipe: Annotated[str, typer.Option(help=f"What the other settings start from: {', '.join(RECIPES)}.")] = "default",
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the runs train on.")] = False,
    as_json: Json = False,
) -> None:
    """Train every backbone with every seed, and print the table of results."""
    config = StudyConfig(
        name=name,
        dataset=dataset,
        encoders=listed(backbones, field="encoders"),
        weights=weights,
        decoder=decoder,
        seeds=whole_numbers(seeds, field="seeds"),
        recipe=Recipe.named(recipe, epochs=epochs, image_size=image_size, batch_size=batch_size),
    )
    carry_out(config, detach=detach, as_json=as_json)


def demo(as_json: Json = False) -> None:
    """Make the demo dataset, train three small backbones on it from scratch, and print the table of results."""
    from segcore.data.store import DatasetStore
    from segcore.launch.demo import demo_study

    with progress_bar("Drawing the demo dataset") as progress:
        DatasetStore().demo(progress)
    carry_out(demo_study(), detach=False, as_json=as_json)


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
        say(f"To go on with what ended early: python -m segcore run resume {config.name}/RUN")
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
        document = {**_summary(study, runs), "results": results, "runs": [run.summary() for run in runs]}
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
                _counted(row["states"]),
            )
            for row in results
        ],
        title=f"Study {study.name} on {study.dataset.name}, best epoch by validation mIoU, mean over seeds ± 95 %",
    )


def _summary(study: Study, runs: Sequence[Run]) -> dict[str, Any]:
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


def _counted(states: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


@app.command("list")
def list_studies(as_json: Json = False) -> None:
    """List all studies, the newest first."""
    from segcore.store import RunStore

    store = RunStore()
    rows = [_summary(study, [run for run, _ in store.statuses(study.runs())]) for study in store.studies()]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("No studies yet. Launch one with 'study run', or start with 'demo'.")
        return
    print_table(
        ("study", "dataset", "decoder", "recipe", ">epochs", ">image size", "runs"),
        [
            (
                row["study"],
                row["dataset"],
                row["decoder"],
                row["recipe"]["name"],
                str(row["recipe"]["epochs"]),
                str(row["recipe"]["image_size"]),
                _counted(row["states"]),
            )
            for row in rows
        ],
    )


@app.command("stop")
def stop_study(name: StudyName, as_json: Json = False) -> None:
    """Stop all runs of a study that wait or train; they can be resumed."""
    from segcore.store import RunStore

    store = RunStore()
    active = [run for run, status in store.statuses(store.study(name).runs()) if status.state.active]
    for run in active:
        store.stop(run)
    if as_json:
        emit_json({"study": name, "stopping": [run.name for run in active]})
    else:
        print(f"Stopping {plural(len(active), 'run')} of study {name}; what trains saves its state first.")


@app.command("remove")
def remove_study(name: StudyName, as_json: Json = False) -> None:
    """Move a study with all its runs to the workspace's trash."""
    from segcore.store import RunStore

    store = RunStore()
    target = store.remove_study(store.study(name))
    if as_json:
        emit_json({"study": name, "moved_to": target})
    else:
        print(f"Moved study {name} to {target}.")
