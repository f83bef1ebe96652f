"""`run measure` and `study measure`: the speed of trained networks, measured once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from segcore.cli.output import Json, emit_json, print_table, say
from segcore.cli.runs import RunName, own_run
from segcore.status import RunState

if TYPE_CHECKING:
    from segcore.runs import Run


def measure_run(name: RunName, as_json: Json = False) -> None:
    """Measure again how fast a trained network is, now and on this machine.

    It waits up to 20 seconds for the machine to be otherwise idle. If it is not by then, the measurement is marked.
    """
    from segcore.store import RunStore

    _measure([own_run(RunStore(), name)], as_json=as_json)


def measure_study(
    name: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the study.", show_default=False)],
    everything: Annotated[bool, typer.Option("--all", help="Also those measured on an idle machine.")] = False,
    as_json: Json = False,
) -> None:
    """Measure again how fast the finished networks of a study are that were not measured on an idle machine."""
    from segcore.store import RunStore

    store = RunStore()
    finished = [run for run, status in store.statuses(store.study(name).runs()) if status.state is RunState.FINISHED]
    chosen = [run for run in finished if everything or run.cost().get("idle") is not True]
    if not chosen and not as_json:
        what = "was measured on an idle machine" if finished else "is finished"
        say(f"{'Every' if finished else 'No'} run of study {name} {what}; nothing is to be done.")
        return
    _measure(chosen, as_json=as_json)


def _measure(runs: list[Run], *, as_json: bool) -> None:
    from segcore.training.measuring import measure_again

    rows: list[dict[str, Any]] = []
    for run in runs:
        say(f"Measuring {run.study_name}/{run.name} …")
        rows.append({"study": run.study_name, "run": run.name, **measure_again(run)})
    if as_json:
        emit_json(rows)
        return
    print_table(
        ("run", ">latency p50", ">p95", ">images/s in batches", "machine"),
        [
            (
                row["run"],
                f"{row['latency_p50_ms']:.1f} ms",
                f"{row['latency_p95_ms']:.1f} ms",
                f"{row['throughput']:.1f}",
                machine_text(row["idle"]),
            )
            for row in rows
        ],
    )


def machine_text(idle: bool | None) -> str:
    """Return whether anything else ran during a measurement: "idle", "busy", or "–" where it is not known."""
    return "–" if idle is None else "idle" if idle else "busy"
