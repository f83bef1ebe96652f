"""The numbers of a report as CSV tables: plain numbers, shares 0-1, an empty cell where there is none."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from segcore.evaluation.document import document
from segcore.evaluation.findings import Findings
from segcore.runs import Run

_LISTS = ("interval", "sd_interval", "bootstrap_interval")
"""Pairs of numbers that become two columns."""


def tables(findings: Findings) -> dict[str, str]:
    """Return file name -> text: contenders, pairs, classes, runs, epochs."""
    found = document(findings, bootstrap=True)
    contenders = found["contenders"]
    runs = [run for s in [*findings.standings, *findings.pending] for run in s.contender.runs]
    return {
        "contenders.csv": text(_contender(row) for row in contenders),
        "pairs.csv": text(_pair(row) for row in found["pairs"]),
        "classes.csv": text(
            {"label": row["label"], "class": name, "iou": value["mean"], **_ends("iou", value["interval"])}
            for row in contenders
            for name, value in row["classes"].items()
        ),
        "runs.csv": text(_without_path(run) for run in runs),
        "epochs.csv": text({"run": run.name, **asdict(record)} for run in runs for record in run.epochs()),
    }


def text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a header of all their keys, in the order in which they first appear."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return written.getvalue()


def _contender(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = _flat({key: value for key, value in row.items() if key not in ("classes", "costs", "states", "left_out")})
    return {**flat, **row["costs"], **{f"runs_{state}": n for state, n in sorted(row["states"].items())}}


def _pair(row: Mapping[str, Any]) -> dict[str, Any]:
    folds = row["folds"] or {"difference": None, "interval": None, "p": None}
    flat = _flat({key: value for key, value in row.items() if key != "folds"})
    over = {"folds_difference": folds["difference"], **_ends("folds", folds["interval"]), "folds_p": folds["p"]}
    return {**flat, **over}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key in _LISTS:
            flat |= _ends(key.removesuffix("interval").rstrip("_"), value)
        else:
            flat[key] = value
    return flat


def _ends(name: str, interval: list[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    prefix = f"{name}_" if name else ""
    return {f"{prefix}low": low, f"{prefix}high": high}


def _without_path(run: Run) -> dict[str, Any]:
    return {key: value for key, value in run.summary().items() if key != "path"}


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
