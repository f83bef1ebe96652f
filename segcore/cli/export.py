"""`export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segcore.cli.output import Json, emit_json, progress_bar, say
from segcore.cli.runs import RunName, find_run
from segcore.files import user_path
from segcore.inference.export import FORMATS, Format
from segcore.text import plural

if TYPE_CHECKING:
    from segcore.inference.export import Exported

_FORMATS = " ".join(f"{name}: {text[0].lower()}{text[1:]}" for name, text in FORMATS.items())


def export(
    run: RunName,
    out: Annotated[
        Path,
        typer.Option(
            help="What to write: a file; for a bundle a folder, or a file ending in .zip.", show_default=False
        ),
    ],
    format: Annotated[Format, typer.Option(help=_FORMATS)] = "bundle",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export wrote there.")] = False,
    as_json: Json = False,
) -> None:
    """Take a trained network away: write the best weights of a run in a form that needs no workspace.

    What is written is compared with the network itself on validation images first; where fewer than 99.9 % of the
    pixels get the same class, nothing is left.
    """
    from segcore.inference.export.writing import export as write
    from segcore.store import RunStore

    found = find_run(RunStore(), run)
    target = user_path(out, "out")
    with progress_bar("Exporting") as progress:
        exported = write(found, format, target, overwrite=overwrite, progress=progress)
    if as_json:
        emit_json({"run": found.path, **exported.to_json()})
        return
    print(exported.path)
    for line in sentences(exported):
        say(line)


def sentences(exported: Exported) -> list[str]:
    """Say how the exported network compares with the network itself."""
    check = exported.verification
    busy = " (other programs ran meanwhile)" if check.idle is False else ""
    lines = [
        f"{check.agreement_text} of the pixels of {plural(check.images, 'image')} ({check.source}) get the same "
        f"class as before; logits differ by {check.max_difference:.2g} at most.",
        f"One image takes {check.runtime_ms:.1f} ms in {check.runtime} and {check.torch_ms:.1f} ms in PyTorch, with "
        f"{plural(check.threads, 'thread')}{busy}.",
    ]
    if exported.fixed_size:
        height, width = check.sizes[0][1:]
        lines.append(f"The graph takes images of {width} × {height} pixels alone: the backbone is built for one size.")
    return lines
