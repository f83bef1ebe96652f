"""What the search for images of the same ground finds, and what a leak does to scores.

    python benchmarks/leakage.py find [--scenes 80]         generated frames whose overlap is known: recall, precision
    python benchmarks/leakage.py variants [--scenes 30]     copies made darker, turned, mirrored, cut, …: found or not
    python benchmarks/leakage.py folder PATH                any folder of images: how many pairs, and which
    python benchmarks/leakage.py train [--epochs 40]        one study on a leaky and on a clean split, judged anew

find      A pair counts as one to be found where its frames share a tenth of the smaller one or more, as one not to be
          found where they share nothing; the few between count for neither. The table tries other rules of how many
          details must agree; scenes are those that are left when all found is put together.
variants  Each image has one changed copy of itself; all originals show different scenes.
train     ResNet18 in a U-Net from scratch, three seeds. Leaky: the frames divided image by image. Clean: by scene. Both
          studies hold back the same eight scenes, which take no part in training or in choosing the best epoch, and
          are judged on them as on their own validation images.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would hide Python's own

from statistics import mean, stdev  # noqa: E402

from PIL import Image, ImageEnhance  # noqa: E402

from segcore.config import Recipe  # noqa: E402
from segcore.data import leakage, synthetic  # noqa: E402
from segcore.data.leakage import Leak, Leakage, matching, merged_groups  # noqa: E402

Pair = tuple[str, str]
SHARED = 0.1
"""So much of the smaller frame must be shared for a pair to count as one to be found."""
RULES = ((7.0, 0.0), (9.0, 0.0), (11.0, 0.0), (14.0, 0.0), (19.0, 0.0), (5.9, 0.15), (5.9, 0.22), (8.0, 0.3))
"""See `matching.LEAST_AGREEING`."""
BINS = (0.02, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
HELD_BACK = 8


def search(files: dict[str, Path], directory: Path) -> tuple[Leakage, float, float]:
    """Return what is found, and the seconds it took: on the clock and of processors."""
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    began, worked = time.perf_counter(), time.process_time()
    found = leakage.find(files, digests, directory)
    return found, time.perf_counter() - began, time.process_time() - worked


def say_cost(found: Leakage, clock: float, worked: float) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pairs = found.images * (found.images - 1) // 2
    print(
        f"{found.images} images, {found.compared:,} of {pairs:,} pairs compared detail by detail: {clock:.0f} s on "
        f"{cores} cores, {worked:.0f} s of processor time"
    )


# Generated frames ------------------------------------------------------------------------------------------------


def known_overlaps(scenes: int, frames: int, seed: int) -> dict[Pair, float]:
    """Return the share that any two frames of one scene have in common, by their names."""
    digits = max(2, len(str(scenes)))
    return {
        (f"scene{scene + 1:0{digits}d}_frame{first}", f"scene{scene + 1:0{digits}d}_frame{second}"): share
        for scene in range(scenes)
        for (first, second), share in synthetic.overlaps(scene, frames=frames, seed=seed).items()
    }


def rates(found: Iterable[Leak], truth: dict[Pair, float]) -> tuple[float, float, int]:
    """Return recall and precision over the pairs that count, and how many false ones there are."""
    pairs = {(leak.first, leak.second) for leak in found}
    wanted = {pair for pair, share in truth.items() if share >= SHARED}
    false = sum(truth.get(pair, 0.0) == 0.0 for pair in pairs)
    right = len(pairs & wanted)
    return right / len(wanted), right / max(1, right + false), false


def is_taken(leak: Leak, rule: tuple[float, float]) -> bool:
    """Whether a pair that was found counts as found under a rule."""
    tried = leak.match.agreeing / leak.match.score
    return leak.match.agreeing == 0 or leak.match.agreeing > rule[0] + rule[1] * tried


def find(scenes: int, frames: int, seed: int, root: Path) -> None:
    synthetic.generate(root / "drawn", scenes=scenes, frames=frames, seed=seed)
    files = {path.stem: path for path in sorted((root / "drawn/images").iterdir())}
    truth = known_overlaps(scenes, frames, seed)
    chosen, matching.LEAST_AGREEING = matching.LEAST_AGREEING, (5.0, 0.0)  # all that any rule of the table takes
    found, clock, worked = search(files, root / "kept")
    matching.LEAST_AGREEING = chosen
    say_cost(found, clock, worked)
    print(f"\n{'details that agree':>20} {'recall':>8} {'precision':>10} {'false pairs':>12} {'scenes':>7}")
    alone = {name: name for name in files}
    for rule in RULES:
        taken = [leak for leak in found.leaks if is_taken(leak, rule)]
        recall, precision, false = rates(taken, truth)
        left = len(set(merged_groups(alone, taken).values()))
        title = f"> {rule[0]:g}" + (f" + {rule[1]:.0%} of tried" if rule[1] else "")
        mark = "  as used" if rule == chosen else ""
        print(f"{title:>20} {recall:>8.3f} {precision:>10.3f} {false:>12} {left:>7}{mark}")
    kept = [leak for leak in found.leaks if is_taken(leak, chosen)]
    pairs = {(leak.first, leak.second): leak for leak in kept}
    print(f"\n{'ground in common':>20} {'pairs':>8} {'found':>8}")
    for low, high in pairwise(BINS):
        own = [pair for pair, share in truth.items() if low <= share < high]
        if own:
            print(f"{f'{low:.0%} to {high:.0%}':>20} {len(own):>8} {mean(pair in pairs for pair in own):>8.3f}")
    errors = [abs(leak.match.overlap - truth[pair]) for pair, leak in pairs.items() if pair in truth]
    print(
        f"\nThe share in common is told to {100 * mean(errors):.2f} points on average, {100 * max(errors):.2f} at most."
    )
    groups = merged_groups(alone, kept)
    together = [groups[a] == groups[b] for (a, b), share in truth.items() if share >= SHARED]
    print(f"Put together, {mean(together):.1%} of the pairs that share a tenth stand in one scene.")


# Changed copies --------------------------------------------------------------------------------------------------


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


VARIANTS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "brightness 60 %": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "brightness 140 %": lambda image: ImageEnhance.Brightness(image).enhance(1.4),
    "contrast 150 %": lambda image: ImageEnhance.Contrast(image).enhance(1.5),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "JPEG 50": jpeg(50),
    "JPEG 15": jpeg(15),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "blurred": lambda image: image.resize((32, 32)).resize(image.size),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned by 90": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 33": lambda image: image.rotate(33),
    "half of it": lambda image: image.crop((0, 0, image.width // 2, image.height)),
    "a mirrored quarter": lambda image: image.crop((60, 60, 188, 188)).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def variants(scenes: int, root: Path) -> None:
    synthetic.generate(root / "drawn", scenes=scenes, frames=1)
    originals = {path.stem: path for path in sorted((root / "drawn/images").iterdir())}
    print(f"{'variant':>20} {'found':>8} {'false pairs':>12}  kinds")
    for number, (name, change) in enumerate(VARIANTS.items()):
        files, own = dict(originals), {}
        for stem, path in originals.items():
            files[f"{stem}_copy"] = own[stem] = root / f"{number}_{stem}.png"
            change(Image.open(path)).save(own[stem])
        found, _, _ = search(files, root / "kept")
        right = [leak for leak in found.leaks if leak.second == f"{leak.first}_copy"]
        kinds = ", ".join(sorted({leak.match.kind for leak in right}))
        print(f"{name:>20} {len(right) / scenes:>8.3f} {len(found.leaks) - len(right):>12}  {kinds}")


def folder(path: Path, root: Path) -> None:
    suffixes = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"}
    paths = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes)
    found, clock, worked = search({file.relative_to(path).as_posix(): file for file in paths}, root / "kept")
    say_cost(found, clock, worked)
    print(", ".join(f"{count} {kind}" for kind, count in found.counts().items()))
    for leak in found.leaks[:20]:
        match = leak.match
        print(f"  {leak.first}  {leak.second}  {match.kind}  {match.overlap:.0%} in common, {match.agreeing} agree")


# What it does to scores ------------------------------------------------------------------------------------------


def train(recipe: Recipe, seeds: Sequence[int], root: Path) -> None:
    os.environ["SEGCORE_HOME"] = str(root / "home")
    from segcore.config import DatasetConfig, StudyConfig
    from segcore.data.splits import Split, split_by_group
    from segcore.data.store import DatasetStore
    from segcore.evaluation import seal
    from segcore.evaluation.metrics import scores
    from segcore.inference.scoring import evaluate
    from segcore.store import RunStore

    source = root / "drawn"
    synthetic.generate(source, scenes=24 + HELD_BACK)
    config = DatasetConfig(
        name="demo", images=source / "images", masks=source / "masks", classes=synthetic.CLASSES,
        group_regex=synthetic.GROUP_REGEX, synthetic=True,
    )  # fmt: skip
    dataset = DatasetStore().add(config)
    digests = {fact.name: fact.digest for fact in dataset.facts}
    found = leakage.find({pair.name: pair.image for pair in dataset.pairs}, digests, root / "kept")
    scenes = sorted(set(dataset.groups.values()))
    held_back = tuple(name for name, scene in dataset.groups.items() if scene in scenes[-HELD_BACK:])
    used = {name: scene for name, scene in dataset.groups.items() if name not in held_back}
    pixels = {name: dataset.class_pixels(name) for name in used}
    how = f"{recipe.epochs} epochs of {recipe.image_size} px, augmentation {recipe.augmentation}, seeds {list(seeds)}"
    print(f"{len(used)} images to divide, {len(held_back)} held back; {how}")
    print(f"\n{'split':>6} {'leak score':>11} {'val mIoU':>16} {'held-back mIoU':>16} {'difference':>16}")
    for name, groups in {"leaky": {image: image for image in used}, "clean": used}.items():
        divided = split_by_group(groups, pixels)
        split = Split(divided.train, divided.val, held_back)
        study = StudyConfig(
            name=name, dataset="demo", encoders=("resnet18",), weights="none", seeds=tuple(seeds), recipe=recipe
        )
        runs = RunStore().create_study(study, dataset.config, dataset.fingerprint, split)
        for run in runs:
            command = [sys.executable, "-m", "segcore.training.worker", str(run.path)]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
            print(f"{name}, {run.name}: done after {run.status.seconds:.0f} s", file=sys.stderr)
        seal.open_test(RunStore().study(name))
        own = [scores(evaluate(run, "val").counts).miou for run in runs]
        new = [scores(evaluate(run, "test").counts).miou for run in runs]
        gap = [one - other for one, other in zip(own, new, strict=True)]
        columns = " ".join(f"{spread(values):>16}" for values in (own, new, gap))
        print(f"{name:>6} {found.score(split).val:>11.0%} {columns}", flush=True)
    print("\nMean ± standard deviation over the seeds, in points of mIoU.")


def spread(values: Sequence[float]) -> str:
    deviation = stdev(values) if len(values) > 1 else float("nan")
    return f"{100 * mean(values):.1f} ± {100 * deviation:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    finding = parts.add_parser("find")
    finding.add_argument("--scenes", type=int, default=80)
    finding.add_argument("--frames", type=int, default=5)
    finding.add_argument("--seed", type=int, default=0, help="of the scenes")
    parts.add_parser("variants").add_argument("--scenes", type=int, default=30)
    parts.add_parser("folder").add_argument("path", type=Path)
    training = parts.add_parser("train")
    training.add_argument("--epochs", type=int, default=40)
    training.add_argument("--size", type=int, default=64)
    training.add_argument("--augmentation", default="standard", choices=("standard", "none"))
    training.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    training.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leakage-") as name:
        root = Path(name)
        if options.part == "find":
            find(options.scenes, options.frames, options.seed, root)
        elif options.part == "variants":
            variants(options.scenes, root)
        elif options.part == "folder":
            folder(options.path, root)
        else:
            recipe = Recipe(
                epochs=options.epochs,
                image_size=options.size,
                batch_size=8,
                precision=options.precision,
                augmentation=options.augmentation,
            )
            train(recipe, options.seeds, root)


if __name__ == "__main__":
    main()
