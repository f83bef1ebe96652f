"""Training finished runs longer, so that it can be seen in each run that this is what happened.

The configuration is written last: where a kill comes before it, the run waits and has nothing left to do, or is the
finished one that it was. What was announced and did not take place is passed over by `Run.extensions`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from segcore.config import Recipe
from segcore.errors import ConfigError, WorkspaceError
from segcore.runs import Run, Study
from segcore.status import RunState, Status

_RESTORED = ("ended", "device", "steps", "predicted", "predicted_after_epoch")
"""What a run's status says again once an extension that has not begun is withdrawn."""


def check(runs: Sequence[Run], epochs: int) -> list[tuple[Run, Status]]:
    """Return runs with their status if each of them can be trained to `epochs` epochs in all.

    Raises:
        ConfigError: one is not finished, or has as many epochs already.
    """
    rows = [(run, run.status) for run in runs]
    unfinished = [f"{run.name} ({status.state})" for run, status in rows if status.state is not RunState.FINISHED]
    if unfinished:
        raise ConfigError(
            f"Only finished runs can train longer; not finished: {', '.join(unfinished)}. Let them finish first, or "
            "leave them out."
        )
    for run, _ in rows:
        before = run.config.recipe.epochs
        if epochs <= before:
            raise ConfigError(
                f"Run {run.name} has trained {before} epochs; ask for more than that in all, not {epochs}.",
                field="epochs",
            )
        _longer(run.config.recipe, epochs)
    return rows


def extend(run: Run, status: Status, epochs: int, queued: float) -> None:
    """Queue a finished run for `epochs` epochs in all; say so in its provenance and configuration."""
    config = run.config
    before, factor = config.recipe.epochs, epochs / config.recipe.epochs
    entry = {"from": before, "to": epochs, "time": time.time(), "note": note(config.recipe, epochs)}
    was = {name: getattr(status, name) for name in _RESTORED}
    extended = [*run.extensions(), {**entry, "before": was}]
    run.clear_request()
    run.write_provenance({**run.provenance(), "extended": extended})
    # Starting and measuring at the end take as long as before.
    fixed = max(0.0, status.seconds - sum(record.seconds for record in run.epochs()))
    run.write_status(
        replace(
            status,
            state=RunState.QUEUED,
            queued=queued,
            ended=None,
            device=None,
            steps=status.steps * epochs // before,
            predicted=_scaled(status.predicted, factor, fixed),
            predicted_after_epoch=_scaled(status.predicted_after_epoch, factor, fixed),
            message="",
            hint="",
            restarts=0,
            job=None,
        )
    )
    run.write_config(config.model_copy(update={"recipe": _longer(config.recipe, epochs)}))


def withdraw(run: Run, status: Status) -> bool:
    """Make a waiting run the finished run that it was, if it waits to train longer and has not begun to.

    Returns whether it was such a run. Called under the queue lock.
    """
    provenance = run.provenance()
    # Also an extension that a kill broke off: it is announced here, whatever the configuration says.
    *earlier, entry = provenance.get("extended") or [{}]
    was = entry.get("before")
    if was is None or (status.epoch, status.step) != (entry["from"], was["steps"]):
        return False
    config = run.config
    extended, before = config.recipe, _longer(config.recipe, entry["from"])
    study = Study(run.path.parent)
    if study.recipe == extended:
        study.write_recipe(before)  # not all of its runs train longer now
    run.write_config(config.model_copy(update={"recipe": before}))
    run.write_status(replace(status, state=RunState.FINISHED, message="", hint="", **was))
    provenance.pop("extended")
    run.write_provenance({**provenance, "extended": earlier} if earlier else provenance)
    return True


def follow(study: Study) -> None:
    """Give a study the recipe of its runs once all of them were extended alike, so that more seeds match them.

    While they differ it keeps its own, and whoever compares the runs sees that their recipes differ.
    """
    try:
        recipes = {run.config.recipe for run in study.runs()}
    except WorkspaceError:
        return  # a damaged run cannot say what it was
    if len(recipes) == 1 and recipes != {study.recipe}:
        study.write_recipe(recipes.pop())


def note(recipe: Recipe, epochs: int) -> str:
    """Return in a sentence what training longer means for a run of `recipe`."""
    text = f"Finished after {recipe.epochs} epochs, then trained on to {epochs}"
    if recipe.schedule == "constant":
        return f"{text} at the same learning rate."
    return (
        f"{text}: the learning rate, which had fallen to its end, rose again to where a schedule of {epochs} epochs "
        f"has it after {recipe.epochs}, so the run is not one of {epochs} epochs at a stretch."
    )


def _longer(recipe: Recipe, epochs: int) -> Recipe:
    return Recipe.from_json({**recipe.to_json(), "epochs": epochs})


def _scaled(seconds: float | None, factor: float, fixed: float) -> float | None:
    """Return the seconds of a run `factor` times as long, `fixed` of which do not grow."""
    return None if seconds is None else seconds + max(0.0, seconds - fixed) * (factor - 1)
