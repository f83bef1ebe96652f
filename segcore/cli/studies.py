"""`study run|list|stop|retry|extend|remove` and `demo`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from segcore.cli.output import Json, emit_json, listed, print_table, progress_bar, say, whole_numbers
from segcore.cli.results import carry_out, counted, study_row
from segcore.cli.runs import Epochs, say_if_paused
from segcore.config import RECIPES, Recipe, StudyConfig, Weights
from segcore.errors import ConfigError
from segcore.status import RunState, Where
from segcore.text import plural

app = typer.Typer(help="Launch and manage studies: several backbones on one dataset, under one recipe.")

Geometry = Literal["resize", "crop"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
On = Literal["here", "ray"]
MemoryFormat = Literal["auto", "contiguous", "channels_last"]

RACING_TAKES = "Takes 2 seeds and 6 epochs at least."

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
    folds: Annotated[int, typer.Option(help=f"{StudyConfig.help('folds')} Costs k times the training.")] = 0,
    racing: Annotated[bool, typer.Option("--racing", help=f"{StudyConfig.help('racing')} {RACING_TAKES}")] = False,
    epochs: Annotated[int | None, typer.Option(help=Recipe.help("epochs"), show_default="the recipe's")] = None,
    image_size: Annotated[int | None, typer.Option(help=Recipe.help("image_size"), show_default="the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help=Recipe.help("batch_size"), show_default="the recipe's")] = None,
    geometry: Annotated[
        Geometry | None, typer.Option(help=Recipe.help("geometry"), show_default="the recipe's")
    ] = None,
    crops_per_image: Annotated[
        int | None, typer.Option(help=Recipe.help("crops_per_image"), show_default="the recipe's")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help=Recipe.help("precision"), show_default="the recipe's")
    ] = None,
    memory_format: Annotated[
        MemoryFormat | None, typer.Option(help=Recipe.help("memory_format"), show_default="the recipe's")
    ] = None,
    gpus_per_run: Annotated[
        int | None, typer.Option(help=Recipe.help("gpus_per_run"), show_default="the recipe's")
    ] = None,
    recipe: Annotated[str, typer.Option(help=f"What the other settings start from: {', '.join(RECIPES)}.")] = "default",
    on: Annotated[
        On, typer.Option(help="Where the runs train: this machine, or the Ray cluster that RAY_ADDRESS names.")
    ] = "here",
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; the runs train on.")] = False,
    as_json: Json = False,
) -> None:
    """Train every backbone with every seed (and on every fold), and print the table of results."""
    config = StudyConfig(
        name=name,
        dataset=dataset,
        encoders=listed(backbones, field="encoders"),
        weights=weights,
        decoder=decoder,
        seeds=whole_numbers(seeds, field="seeds"),
        folds=folds,
        racing=racing,
        recipe=Recipe.named(
            recipe,
            epochs=epochs,
            image_size=image_size,
            batch_size=batch_size,
            geometry=geometry,
            crops_per_image=crops_per_image,
            precision=precision,
            memory_format=memory_format,
            gpus_per_run=gpus_per_run,
        ),
    )
    where = Where.CLUSTER if on == "ray" else Where.HERE
    carry_out(config, where=where, detach=detach, as_json=as_json)


def demo(as_json: Json = False) -> None:
    """Make the demo dataset, train three small backbones on it from scratch, and print the table of results."""
    from segcore.data.store import DatasetStore
    from segcore.launch.demo import demo_study

    with progress_bar("Drawing the demo dataset") as progress:
        DatasetStore().demo(progress)
    carry_out(demo_study(), detach=False, as_json=as_json)


@app.command("list")
def list_studies(as_json: Json = False) -> None:
    """List all studies, the newest first."""
    from segcore.store import RunStore

    store = RunStore()
    rows = [study_row(study, [run for run, _ in store.statuses(study.runs())]) for study in store.studies()]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("No studies yet. Launch one with 'study run', or start with 'demo'.")
        return
    print_table(
        ("study", "dataset", "decoder", "recipe", ">epochs", ">image size", ">folds", "runs"),
        [
            (
                row["study"],
                row["dataset"],
                row["decoder"],
                row["recipe"]["name"],
                str(row["recipe"]["epochs"]),
                str(row["recipe"]["image_size"]),
                str(row["folds"] or "–"),
                counted(row["states"]),
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


@app.command("retry")
def retry_study(name: StudyName, as_json: Json = False) -> None:
    """Put all runs of a study that failed or were interrupted back into the queue; each goes on where it ended."""
    from segcore.launch.local import ensure_scheduler
    from segcore.store import RunStore

    store = RunStore()
    runs = store.requeue_failed(name)
    if runs:
        ensure_scheduler(store.workspace)
    if as_json:
        emit_json({"study": name, "queued": [run.name for run in runs]})
    elif runs:
        print(f"{plural(len(runs), 'run')} of study {name} in the queue again: {', '.join(run.name for run in runs)}.")
    else:
        print(f"Study {name} has no run that failed or was interrupted.")
        stopped = [run for run in store.study(name).runs() if run.state is RunState.STOPPED]
        if stopped:
            say(
                f"{plural(len(stopped), 'run')} stopped on request: 'python -m segcore run resume "
                f"{name}/{stopped[0].name}' lets one go on."
            )
    if runs:
        say_if_paused(store)


@app.command("extend")
def extend_study(name: StudyName, epochs: Epochs, as_json: Json = False) -> None:
    """Train all finished runs of a study for more epochs; what they are then stands in their provenance.

    The learning rate rises again to where a schedule of that many epochs has it, so the runs are not the same as some
    that trained so long at a stretch. Runs that have not finished keep their epochs.
    """
    from segcore.launch.local import ensure_scheduler
    from segcore.store import RunStore

    store = RunStore()
    rows = store.statuses(store.study(name).runs())
    finished = [run for run, status in rows if status.state is RunState.FINISHED]
    runs = [run for run in finished if run.config.recipe.epochs < epochs]
    if not finished:
        raise ConfigError(f"No run of study {name} is finished now; only finished runs can train longer.")
    if not runs:
        longest = max(run.config.recipe.epochs for run in finished)
        raise ConfigError(
            f"The finished runs of study {name} have trained {longest} epochs already; ask for more.", field="epochs"
        )
    store.extend(runs, epochs)
    if runs:
        ensure_scheduler(store.workspace)
    if as_json:
        emit_json({"study": name, "queued": [run.name for run in runs], "left": len(rows) - len(runs)})
    else:
        print(f"{plural(len(runs), 'run')} of study {name} waiting to train on to {epochs} epochs.")
    if len(runs) < len(rows):
        say(f"{plural(len(rows) - len(runs), 'run')} left as they are: not finished, or trained that long already.")
    if runs:
        say_if_paused(store)


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
