"""Writing an export: all of it, compared with the network itself, or nothing.

As a process (`python -m segcore.inference.export.writing RUN_DIR FORMAT OUT`) it says how far it is, and what came out,
in lines of JSON on standard output, and replaces what is at OUT. Exit codes: 0 done, 1 failed, 2 bad arguments.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segcore import __version__
from segcore.data.building import new_directory
from segcore.errors import ConfigError, ExistsError, SegcoreError
from segcore.files import atomic_path, describe_os_error, tree_size, write_json
from segcore.inference import bundle
from segcore.inference.export import FORMATS, STEPS, Exported, Format, Verification, card, verify
from segcore.inference.export.graph import takes_one_size, write_onnx, write_torchscript
from segcore.inference.export.preprocessing import preprocessing
from segcore.inference.predictor import Predictor
from segcore.progress import Progress, silent
from segcore.runs import Run
from segcore.training.checkpoint import save_weights


def export(run: Run, format: Format, out: Path, *, overwrite: bool = False, progress: Progress = silent) -> Exported:
    """Write the best weights of a run in a form that needs no workspace, and check that it answers as the run does.

    Args:
        run: with weights.
        format: one of `FORMATS`.
        out: the file to write; for a bundle a zip file if it ends in .zip, else a folder.
        overwrite: replace what an earlier export left there.
        progress: counts `STEPS`; raising from it cancels the export.

    Raises:
        ConfigError: no such format, or nothing can be written under that name.
        ExistsError: something is there, and `overwrite` is not set, or it is no export.
        WeightsError: the run has no weights, or they are damaged.
        ExportError: the network cannot be written that way, or what was written answers otherwise.
        WorkspaceError: the disk is full or may not be written.
    """
    if format not in FORMATS:
        raise ConfigError(f"{format!r} is no format; there are {', '.join(FORMATS)}.", field="format")
    _check_free(out, format, overwrite)
    progress(0, STEPS)
    predictor = Predictor.from_run(run.path, device="cpu")
    job = _Job(run, predictor, fixed=takes_one_size(predictor.config), progress=progress)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, out.parent) from error
    if format != "bundle":
        with _file(out, overwrite) as path:
            found = job.onnx(path) if format == "onnx" else job.torchscript(path)
    elif out.suffix.lower() == ".zip":
        with _file(out, overwrite) as path, tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as folder:
            found = job.bundle(Path(folder))
            _pack(Path(folder), path)
    else:
        with _folder(out, overwrite) as folder_path:
            found = job.bundle(folder_path)
    progress(STEPS, STEPS)
    size = tree_size(out) if out.is_dir() else out.stat().st_size
    return Exported(format, out, size, job.facts["fixed_size"], found)


class _Job:
    """One export: writes a network's files and compares them with it."""

    def __init__(self, run: Run, predictor: Predictor, *, fixed: bool, progress: Progress) -> None:
        self.run, self.model, self.config, self.progress = run, predictor.model, predictor.config, progress
        self.facts = preprocessing(self.config, self.model, fixed=fixed)

    def onnx(self, path: Path) -> Verification:
        write_onnx(self.model, path, self.facts)
        return self._compare(verify.onnx_forward, path)

    def torchscript(self, path: Path) -> Verification:
        write_torchscript(self.model, path, self.facts)
        return self._compare(verify.torchscript_forward, path)

    def _compare(self, load: Callable[[Path], tuple[verify.Forward, str]], path: Path) -> Verification:
        self.progress(1, STEPS)
        images, source = verify.sample_images(self.run)
        exported, runtime = load(path)
        found = verify.verify(self.model, exported, runtime, images, source, fixed=self.facts["fixed_size"])
        self.progress(2, STEPS)
        return found

    def bundle(self, folder: Path) -> Verification:
        """Write all files of a bundle into a folder."""
        found = self.onnx(folder / bundle.ONNX)
        save_weights(self.model, folder / bundle.WEIGHTS)
        write_json(folder / bundle.PREPROCESSING, self.facts)
        texts = {
            bundle.CLASSES: bundle.classes_csv(self.config.dataset.trained_classes),
            bundle.CARD: card.model_card(self.run, self.config, self.facts, [found]),
            bundle.SCRIPT: card.script(),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        manifest = bundle.BundleConfig(
            format=bundle.FORMAT,
            segcore=__version__,
            run=bundle.without_paths(self.config),
            epoch=self.run.evaluation_epoch(),
            sha256={name: _digest(folder / name) for name in bundle.FILES if name != bundle.CONFIG},
        )
        write_json(folder / bundle.CONFIG, manifest.to_json())
        return found


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(folder: Path, path: Path) -> None:
    """Put a bundle's files into a zip file; weights do not shrink, and are read back without unfolding anything."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in bundle.FILES:
            archive.write(folder / name, name)


# Where it goes -----------------------------------------------------------------------------------------


def _check_free(out: Path, format: Format, overwrite: bool) -> None:
    """Refuse to write where something is that nobody agreed to lose."""
    as_folder = format == "bundle" and out.suffix.lower() != ".zip"
    if out.is_dir() and not as_folder:
        raise ConfigError(
            f"{out} is a folder; give the name of a file, such as {out / f'model.{format}'}.", field="out"
        )
    if not out.exists():
        return
    if not overwrite:
        raise ExistsError(f"{out} is already there. Choose another name, or overwrite it.", field="out")
    if as_folder and not (out.is_dir() and _is_bundle(out)):
        raise ExistsError(f"{out} is no bundle, so it is not overwritten. Choose another name.", field="out")


def _is_bundle(folder: Path) -> bool:
    """Whether a folder holds nothing but what a bundle has, so that replacing it loses nothing else."""
    names = {entry.name for entry in folder.iterdir()}
    return bundle.CONFIG in names and names <= set(bundle.FILES)


@contextmanager
def _file(out: Path, overwrite: bool) -> Iterator[Path]:
    with atomic_path(out) as path:
        yield path
        if not overwrite and out.exists():  # somebody else was faster
            raise ExistsError(f"{out} is there by now. Choose another name, or overwrite it.", field="out")


@contextmanager
def _folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a new folder that becomes `out`; a bundle that is there already is replaced once the new one stands."""
    if not (overwrite and out.exists()):
        with new_directory(out) as folder:
            yield folder
        return
    fresh = out.with_name(f".{out.name}.export")
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
        with new_directory(fresh) as folder:
            yield folder
        old = Path(aside) / out.name
        try:
            out.rename(old)
            fresh.rename(out)
        except OSError as error:
            shutil.rmtree(fresh, ignore_errors=True)
            if old.exists():
                old.rename(out)
            raise describe_os_error(error, out) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Export as the arguments say and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 3 or arguments[1] not in FORMATS:
        print("usage: python -m segcore.inference.export.writing RUN_DIR FORMAT OUT", file=sys.stderr)
        return 2

    def tell(**said: object) -> None:
        print(json.dumps(said), flush=True)

    format = next(name for name in FORMATS if name == arguments[1])
    try:
        exported = export(
            Run(arguments[0]),
            format,
            Path(arguments[2]),
            overwrite=True,
            progress=lambda done, total: tell(done=done, total=total),
        )
    except SegcoreError as error:
        tell(error=str(error))
        return 1
    tell(exported=exported.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
