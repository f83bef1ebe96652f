"""`study open-test`: the test images of a study, looked at once the choice is made."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, progress_bar, say
from segcore.errors import ConfigError
from segcore.text import plural

if TYPE_CHECKING:
    from segcore.evaluation.confirmation import Confirmation
    from segcore.evaluation.scoring import Scoring
    from segcore.runs import Study

POLL_SECONDS = 0.3


def open_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study.", show_default=False)],
    yes: Annotated[
        bool, typer.Option("--yes", help="Open them without being asked; needed without a terminal.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Open the test scores of a study for good: predict its test images, and print them beside the validation scores.

    The time and what was known before are written down and shown from then on. Once they are open, choosing a backbone
    by them is not honest any more. Called again, it prints the scores, and opens those of runs that are new.
    """
    from segcore.evaluation import seal
    from segcore.launch import scoring
    from segcore.store import RunStore

    store = RunStore()
    study = store.study(name)
    seal.check_can_open(study)
    if not seal.opened(study) or seal.uncovered(study):
        _ask(study, yes=yes)
        seal.open_test(study, store=store)
        say(f"Opened: {plural(len(study.split.test), 'test image')}. This is written down in the study.")
    scoring.start(study)
    said = _follow(study)
    _print_scores(study, said, as_json=as_json)
    left = seal.to_score(study)
    if left:
        refused = said.refused if said is not None else {}
        for run in left:
            say(f"{run.name} has no test scores: {refused.get(run.name, 'the scoring ended before it')}")
        if said is not None and said.state != "finished":
            say(" ".join(filter(None, [f"The scoring ended early: {said.state}.", said.message, "Call this again."])))
        raise typer.Exit(1)


def _ask(study: Study, *, yes: bool) -> None:
    """Say what opening means, and ask.

    Raises:
        ConfigError: there is nobody to ask.
        typer.Abort: the answer is no.
    """
    from segcore.evaluation import seal

    new = seal.uncovered(study)
    again = "again " if seal.opened(study) else ""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(
            f"Opening the test scores of study {study.name} {again}cannot be taken back, and there is no terminal to "
            "ask on. Add --yes to open them."
        )
    say(
        f"This opens the test scores of {plural(len(new), 'run')} of study {study.name} {again}on "
        f"{plural(len(study.split.test), 'image')}. It cannot be taken back: to choose a backbone by them afterwards "
        "is not honest any more.\nWritten down for good: the time, the backbones with their validation scores and "
        "verdicts as they are now, which one is ahead, the recipe, and what was known of the test images already."
    )
    typer.confirm("Open them?", abort=True, err=True)


def _follow(study: Study) -> Scoring | None:
    """Show how far the scoring is until it ends, and return its last word; None where there was nothing to do.

    Raises:
        typer.Exit: after Ctrl-C; the scoring goes on.
    """
    from segcore.evaluation.scoring import Scoring

    said = study.scoring.read(Scoring)
    if said is None or said.state != "running":
        return said
    try:
        with progress_bar("Predicting the test images") as progress:
            while said is not None and said.state == "running":
                per_run = max(1, said.images)
                progress(said.done * per_run + said.image, max(1, said.runs) * per_run)
                time.sleep(POLL_SECONDS)
                said = study.scoring.read(Scoring)
    except KeyboardInterrupt:
        say("\nThe test images are predicted on without this command. Call it again to see the scores.")
        raise typer.Exit(130) from None
    return said


def _print_scores(study: Study, said: Scoring | None, *, as_json: bool) -> None:
    from segcore.evaluation import confirmation, seal

    found = confirmation.confirm(study)
    late = seal.late(study)
    if as_json:
        emit_json(_document(study, found, said, late))
        return
    rows = [(pair.title, *map(confirmation.score_text, (pair.val, pair.test))) for pair in found.pairs]
    print_table(
        ("backbone", ">val mIoU", ">test mIoU"),
        rows,
        title=f"Study {study.name}: mean ± 95 % over seeds and images; n counts the seeds",
    )
    first = seal.openings(study)[0]
    print(f"\nThe choice was made on the validation images, before {_moment(first.time)}. {found.summary()}")
    for text in found.sentences():
        print(text)
    for run, mark in late.items():
        say(f"Note: {run} was {mark}.")


def _document(study: Study, found: Confirmation, said: Scoring | None, late: dict[str, str]) -> dict[str, Any]:
    from dataclasses import asdict

    from segcore.evaluation import seal
    from segcore.evaluation.confirmation import bounds

    def part(standing: Any) -> dict[str, Any] | None:
        if standing is None or standing.estimate is None:
            return None
        return {
            "mean": standing.estimate.mean,
            "interval": bounds(standing.estimate),
            "n": len(standing.by_seed),
            "seeds": list(standing.by_seed),
        }

    return {
        "study": study.name,
        "state": seal.state(study).value,
        "test_images": len(study.split.test),
        "openings": [asdict(opening) for opening in seal.openings(study)],
        "contenders": [
            {"label": pair.val.label, "title": pair.title, "val": part(pair.val), "test": part(pair.test)}
            for pair in found.pairs
        ],
        "summary": found.summary(),
        "verdicts": found.sentences(),
        "late": late,
        "refused": said.refused if said else {},
    }


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
