"""How often the verdicts are right: studies of known truth are simulated, and judged by the code that judges real ones.

    python benchmarks/statistics.py [--studies 200] [--quick] [--study DIRECTORY]

A simulated image has pixels of each class (scenes differ in their mix, rare classes are missing from most). A network
gets each class right with a probability Phi(ability): the class's own, plus what its seed, the scene, the image, and
the scene and image for this backbone or for this network add to it, all normal. What is missed is taken for the other
classes, the frequent ones more often. Hits and unions by scene go into `Cells`, and these into `verdicts.judge`.

The truth of a backbone is the expectation over seeds of the mIoU pooled over endlessly many images. Since the mean of
Phi(a + b Z) over normal Z is Phi(a / sqrt(1 + b^2)), the sum over images needs no simulation; the mean over seeds is
taken over 40,000 draws, the same for all backbones. Bisection finds the ability that makes a backbone ahead by what it
should be.

Six backbones, 15 pairs: the first is ahead of five equal ones, or equal to them. Printed in percent:
    false         studies in which any pair that is equal in truth is called "better", or any the wrong way round
    =wrong        studies in which any pair that differs by the margin (1 point) or more is called "equivalent"
    equal         pairs that are equal in truth and called "equivalent"
    power         pairs with the first backbone that are called "better"
    covers        95 % intervals of differences that hold the truth; beside them what is commonly printed: an interval
                  over images, one over seeds, and the two-level bootstrap; and how often any of the 15 pairs is falsely
                  called different (Holm) by the first two
Then what becomes of pairs that cannot be told apart when they get the seeds or scenes that are asked for.

How much things vary: in a U-Net study of Dubai tiles (three small backbones, 5 seeds, 9 images of one tile), seeds of
one backbone differed by 1.4-3.4 points (standard deviation); the images' part of a difference's standard error would
have been 0.15-0.35 points at 80 images, the rest's 0.4-0.5. That is the first world; the others are made up around it.
--study takes these numbers, and the classes, from a study of your own.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # in place of this folder, whose statistics.py would stand before Python's own

from segcore.evaluation import bootstrap  # noqa: E402
from segcore.evaluation.cells import Cells, influence  # noqa: E402
from segcore.evaluation.comparison import Contender, contenders  # noqa: E402
from segcore.evaluation.multiple import holm  # noqa: E402
from segcore.evaluation.settle import Way  # noqa: E402
from segcore.evaluation.standings import Standing, standing  # noqa: E402
from segcore.evaluation.statistics import crossed, t_quantiles  # noqa: E402
from segcore.evaluation.verdicts import MARGIN, Answer, Verdict, judge  # noqa: E402
from segcore.runs import Study  # noqa: E402

BACKBONES = 6
PAIRS = list(combinations(range(BACKBONES), 2))
DIFFICULTY = 0.5
"""Of scenes and images for all networks alike; pairing takes it out."""
HALF = 0.5**0.5
"""Half of each variance lies between scenes, half between the images of one; of seeds, half in all classes alike."""
BATCH = 25
TITLES = "truth seeds scenes images"


@dataclass(frozen=True)
class World:
    """How much things vary, in points of mIoU, and what there is to be seen."""

    name: str
    seed: float
    """Standard deviation of one backbone's mIoU between seeds, on endlessly many images."""
    images: float
    """The images' part of the standard error of a difference, at 80 images."""
    rest: float
    """The part of images under one seed (of each backbone), at 80 images."""
    shares: tuple[float, ...] = (0.34, 0.22, 0.16, 0.11, 0.08, 0.05, 0.03, 0.01)
    """Of the pixels, by class."""
    found: tuple[float, ...] = (0.93, 0.90, 0.86, 0.82, 0.78, 0.72, 0.62, 0.55)
    """Share of each class's pixels that is found."""
    noisy: float = 1.0
    """How many times as much as the others the first backbone's seeds vary."""
    clustered: float = 25.0
    """Evenness of the scenes' mixes of classes: the smaller, the more scenes lack a class."""
    truths: tuple[int, ...] = (0,)
    """By how many points the first backbone is ahead, in turn."""

    @property
    def confusion(self) -> np.ndarray:
        """What a missed pixel of one class (row) is taken for."""
        shares = np.tile(self.shares, (len(self.shares), 1))
        np.fill_diagonal(shares, 0)
        return shares / shares.sum(axis=1, keepdims=True)


WORLDS = (
    World("as measured: seeds vary much", seed=2.0, images=0.35, rest=0.45, truths=(0, 1, 3)),
    World("seeds and images vary alike", seed=1.0, images=1.0, rest=1.0),
    World("images vary much", seed=0.5, images=2.0, rest=1.0),
    World("one backbone's seeds vary 4 times as much", seed=1.0, images=0.5, rest=0.5, noisy=4.0),
    World("rare classes in few scenes", seed=0.7, images=1.5, rest=0.7, clustered=8.0),
    World("little varies", seed=0.2, images=0.1, rest=0.1, truths=(0, 1)),
)


@dataclass(frozen=True)
class Scale:
    """Standard deviations on the scale of the ability, that make a `World` come true."""

    seed: float
    images: float
    rest: float

    @property
    def ability_spread(self) -> float:
        """Of the ability over endlessly many images."""
        return float(np.sqrt(DIFFICULTY**2 + self.images**2 + self.rest**2))


@dataclass(frozen=True)
class Layout:
    """How many of what a study has."""

    seeds: int
    scenes: int
    images: int
    """Of each scene."""


def draw(
    rng: np.random.Generator, world: World, scale: Scale, lead: Sequence[float], layout: Layout, studies: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return hits and unions, float64 (studies, backbones, seeds, scenes, classes); an image has 1 pixel in all.

    Args:
        lead: of each backbone, added to its ability.
    """
    classes, many = len(world.shares), len(lead)
    b, k, s, g, i, c = studies, many, layout.seeds, layout.scenes, layout.images, classes

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    scene = rng.standard_gamma(np.broadcast_to(world.clustered * np.array(world.shares), (b, g, 1, c))) + 1e-9
    pixels = rng.standard_gamma(np.broadcast_to(scene, (b, g, i, c))) + 1e-12
    pixels = (pixels / pixels.sum(axis=-1, keepdims=True))[:, None, None]
    ability = ndtri(world.found) * np.sqrt(1 + scale.ability_spread**2) + np.array(lead)[:, None, None, None, None]
    wild = np.where(np.arange(many) == 0, world.noisy, 1.0)[:, None, None, None, None]
    ability = ability + scale.seed * HALF * wild * (noise(b, k, s, 1, 1, 1) + noise(b, k, s, 1, 1, c))
    ability = ability + DIFFICULTY * HALF * (noise(b, 1, 1, g, 1, 1) + noise(b, 1, 1, g, i, 1))
    ability = ability + scale.images * HALF * (noise(b, k, 1, g, 1, c) + noise(b, k, 1, g, i, c))
    ability = ability + scale.rest * HALF * (noise(b, k, s, g, 1, 1) + noise(b, k, s, g, i, 1))
    hits = pixels * ndtr(ability)
    union = pixels + (pixels - hits) @ world.confusion
    return hits.sum(axis=4), union.sum(axis=4)


def truth(world: World, scale: Scale, lead: Sequence[float]) -> np.ndarray:
    """Return each backbone's expected mIoU (see the top)."""
    rng = np.random.default_rng(12345)
    seeds = rng.standard_normal((20_000, 1)) + rng.standard_normal((20_000, len(world.shares)))
    seeds = scale.seed * HALF * np.concatenate([seeds, -seeds])
    shrink = np.sqrt(1 + scale.ability_spread**2)
    shares = np.array(world.shares)
    found = []
    for at, ahead in enumerate(lead):
        wild = world.noisy if at == 0 else 1.0
        hits = shares * ndtr(ndtri(world.found) + (ahead + wild * seeds) / shrink)
        found.append(float((hits / (shares + (shares - hits) @ world.confusion)).mean()))
    return np.array(found)


def scale_of(world: World) -> Scale:
    """Find the scale at which simulated studies have the components that the world asks for."""
    scale, calm = np.array([0.05, 0.3, 0.2]), replace(world, noisy=1.0)
    wanted = np.array([world.seed, world.images, world.rest])
    for _ in range(8):
        rng = np.random.default_rng(7)
        hits, union = draw(rng, calm, Scale(*scale), (0.0, 0.0), Layout(10, 80, 1), 30)
        tables = tables_of(hits, union)
        parts = [crossed(first - second).components for first, second in tables]
        mean = np.array([[p.seed / 2, p.group / 80, p.rest / 80 / 2] for p in parts if p is not None]).mean(axis=0)
        scale = scale * (wanted / np.maximum(100 * np.sqrt(mean), wanted / 3)) ** 0.9
    return Scale(*(float(value) for value in scale))


def lead_for(world: World, scale: Scale, difference: float) -> float:
    """Return by bisection how much abler a backbone must be to be ahead by a share of mIoU."""
    low, high = -1.0, 2.0
    base = truth(replace(world, noisy=1.0), scale, (0.0,))[0]
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if truth(world, scale, (middle,))[0] - base < difference else (low, middle)
    return (low + high) / 2


def tables_of(hits: np.ndarray, union: np.ndarray) -> np.ndarray:
    """Return what `Cells.table` does, of many networks at once: (..., scenes)."""
    score, moved = influence(hits, union)
    return score[..., None] + hits.shape[-2] * moved


def standings_of(hits: np.ndarray, union: np.ndarray, images: int) -> list[Standing]:
    """Return what `compare` would make of one study's runs, from (backbones, seeds, scenes, classes)."""
    scenes, classes = hits.shape[-2:]
    names, matrix = tuple(f"scene{at:04d}" for at in range(scenes)), np.zeros((classes, classes))
    found = []
    for at, (ours, theirs) in enumerate(zip(hits, union, strict=True)):
        cells = {
            seed: Cells(names, (images,) * scenes, hit, whole, whole.sum(axis=1), matrix)
            for seed, (hit, whole) in enumerate(zip(ours, theirs, strict=True))
        }
        found.append(Standing(Contender(str(at), "simulated", "resnet18", "none", []), cells, {}, None, 60.0))
    return found


def studies_of(
    world: World, scale: Scale, lead: Sequence[float], layout: Layout, studies: int, *, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw studies one by one."""
    rng = np.random.default_rng([seed, layout.seeds, layout.scenes])
    for start in range(0, studies, BATCH):
        yield from zip(*draw(rng, world, scale, lead, layout, min(BATCH, studies - start)), strict=True)


class Tally:
    """Shares of what was found in the studies of one setting."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    def add(self, name: str, value: float) -> None:
        self.found.setdefault(name, []).append(float(value))

    def mean(self, name: str) -> float:
        """Return it; NaN where nothing was added."""
        return float(np.mean(self.found[name])) if name in self.found else float("nan")

    def percent(self, name: str) -> str:
        value = 100 * self.mean(name)
        return "     –" if np.isnan(value) else f"{value:6.1f}"

    def row(self) -> str:
        """Return what `check` notes as one line."""
        ours = " ".join(self.percent(name) for name in ("false", "equal wrong", "equal", "power", "covers"))
        printed = " ".join(self.percent(name) for name in ("images covers", "seeds covers", "bootstrap"))
        false = " ".join(self.percent(name) for name in ("images false", "seeds false"))
        return f"{ours} {100 * self.mean('width'):5.2f} | {printed} | {false}"


def check(world: World, scale: Scale, ahead: float, layout: Layout, studies: int) -> Tally:
    """Judge simulated studies of six backbones, of which the first is ahead by so much (a share)."""
    lead = (lead_for(world, scale, ahead), *[0.0] * (BACKBONES - 1))
    tally = Tally()
    for number, (hits, union) in enumerate(studies_of(world, scale, lead, layout, studies, seed=1)):
        standings = standings_of(hits, union, layout.images)
        verdicts = judge(standings)
        outcome(tally, verdicts, ahead)
        commonly_printed(tally, tables_of(hits, union), ahead)
        if number % 4 == 0:
            cells = [list(one.by_seed.values()) for one in standings[:2]]
            low, high = bootstrap.percentile_interval(
                np.subtract(*bootstrap.resampled(cells, resamples=500, seed=number).T)
            )
            tally.add("bootstrap", low <= ahead <= high)
    return tally


def outcome(tally: Tally, verdicts: Sequence[Verdict], ahead: float) -> None:
    """Note what the verdicts of one study got right."""
    false, equal_wrong, equal, power, covers, width = False, False, [], [], [], []
    for verdict in verdicts:
        true = ahead * ((verdict.first == "0") - (verdict.second == "0"))
        low, high = verdict.interval
        covers.append(low <= true <= high)
        width.append((high - low) / 2)
        false |= verdict.answer is Answer.BETTER and true <= 0
        if not true:
            equal.append(verdict.answer is Answer.EQUIVALENT)
        equal_wrong |= verdict.answer is Answer.EQUIVALENT and abs(true) >= MARGIN - 1e-9
        if true:
            power.append(verdict.answer is Answer.BETTER and true > 0)
    tally.add("false", false)
    tally.add("equal", np.mean(equal))
    tally.add("covers", np.mean(covers))
    tally.add("width", np.mean(width))
    if power:
        tally.add("power", np.mean(power))
        tally.add("equal wrong", equal_wrong)


def commonly_printed(tally: Tally, tables: np.ndarray, ahead: float) -> None:
    """Note the same of t intervals over images alone and over seeds alone, from (backbones, seeds, scenes)."""
    for name, axis in (("images", 1), ("seeds", 2)):
        values = tables.mean(axis=axis)
        first, second = np.array(PAIRS).T
        differences = values[first] - values[second]
        n = differences.shape[1]
        error = differences.std(axis=1, ddof=1) / np.sqrt(n)
        off = np.abs(differences.mean(axis=1) - ahead * (first == 0)) / error
        tally.add(f"{name} covers", np.mean(off <= t_quantiles(np.array(n - 1.0))))
        tally.add(f"{name} false", min(holm(2 * stdtr(n - 1, -off))) < 0.05)


def follow_up(world: World, scale: Scale, ahead: float, layout: Layout, way: Way, most: int, studies: int) -> Tally:
    """Give pairs of two backbones that cannot be told apart what was asked for, and judge them again."""
    full = replace(layout, seeds=most) if way is Way.SEEDS else replace(layout, scenes=most)
    lead = (lead_for(world, scale, ahead), 0.0)
    tally = Tally()
    for hits, union in studies_of(world, scale, lead, full, studies, seed=2):

        def verdict(seeds: int, scenes: int, hits: np.ndarray = hits, union: np.ndarray = union) -> Verdict:
            return judge(standings_of(hits[:, :seeds, :scenes], union[:, :seeds, :scenes], layout.images))[0]

        before = verdict(layout.seeds, layout.scenes)
        tally.add("open", before.answer is Answer.CANNOT_TELL)
        last = before
        if before.settle is not None:
            asked = before.settle
            tally.add("asked", asked.way is way and not (way is Way.IMAGES and asked.seeds))
            seeds = layout.seeds + (asked.seeds or 0 if way is Way.SEEDS else 0)
            scenes = layout.scenes + (asked.groups or 0 if way is Way.IMAGES else 0)
            if tally.found["asked"][-1] and seeds <= full.seeds and scenes <= full.scenes:
                last = verdict(seeds, scenes)
                tally.add("more", max(seeds - layout.seeds, scenes - layout.scenes))
                tally.add("settled", last.answer is not Answer.CANNOT_TELL)
                tally.add("as foretold", last.answer is asked.leads_to)
        true = ahead if last.first == "0" else -ahead
        wrong = last.answer is Answer.BETTER and true <= 0
        tally.add("wrong", wrong or (last.answer is Answer.EQUIVALENT and abs(ahead) >= MARGIN - 1e-9))
    return tally


def measured(directory: Path) -> World:
    """Read from a real study how much things vary: of differences between its backbones, and its classes.

    Where all its images are of one scene, each image stands for a scene.

    Raises:
        SystemExit: fewer than two backbones with two common seeds.
    """
    found = [one for c in contenders(Study(directory).runs()) if (one := standing(c, "miou", "val")).by_seed]
    parts, matrix = [], np.sum([cells.matrix for one in found for cells in one.by_seed.values()], axis=0)
    by_image = all(len(one.images) == 1 for one in found)
    tables = [_tables(one, by_image=by_image) for one in found]
    for first, second in combinations(tables, 2):
        common = sorted(first.keys() & second.keys())
        if len(common) > 1:
            estimate = crossed(np.stack([first[seed] - second[seed] for seed in common]))
            if estimate.components is not None:
                scenes = 80 * estimate.groups / sum(n for _, n in found[0].images)
                c = estimate.components
                parts.append([c.seed / 2, c.group / scenes, c.rest / scenes / 2])
    if not parts:
        raise SystemExit(f"{directory} has no two backbones with two common seeds on several images; name another.")
    seed, images, rest = 100 * np.sqrt(np.mean(parts, axis=0))
    true = matrix.sum(axis=1)
    known = np.flatnonzero(true)
    shares, hits = true[known] / true.sum(), np.clip(np.diagonal(matrix)[known] / true[known], 0.02, 0.98)
    name = f"{directory.name}: seed {seed:.2f}, images {images:.2f}, rest {rest:.2f} points"
    least = 0.05  # nothing varies not at all; a component of 0 only came out so
    return World(name, max(seed, least), max(images, least), max(rest, least), tuple(shares), tuple(hits))


def _tables(one: Standing, *, by_image: bool) -> dict[int, np.ndarray]:
    if not by_image:
        return {seed: cells.table() for seed, cells in one.by_seed.items()}
    found = {}
    for run in one.contender.runs:
        evaluation = run.evaluation()
        if run.config.seed in one.by_seed and evaluation is not None:
            found[run.config.seed] = Cells.of(replace(evaluation, groups=list(evaluation.names))).table()
    return found


def print_worlds(worlds: Sequence[World], seeds: Sequence[int], sizes: Sequence[tuple[int, int]], studies: int) -> None:
    """Print what becomes of studies of every layout in every world."""
    for world in worlds:
        scale = scale_of(world)
        print(f"\n{world.name} (points: seed {world.seed:.2f}, images {world.images:.2f}, rest {world.rest:.2f})")
        print(f"{'':26}|{'ours':^43}|{'covers':^22}|  any false")
        print(f"{TITLES} | false =wrong  equal  power covers  ±half | images  seeds  boot. | images seeds")
        for points in world.truths:
            for s in seeds:
                for scenes, images in sizes:
                    layout = Layout(s, scenes, images)
                    t = check(world, scale, points / 100, layout, studies if points == 0 else studies // 2)
                    numbers = f"{points:5} {s:5} {scenes:6} {scenes * images:6}"
                    print(f"{numbers} |{t.row()}", flush=True)


def print_follow_up(studies: int) -> None:
    """Print what becomes of two backbones that cannot be told apart once they get what is asked for."""
    print('\nTwo backbones that cannot be told apart get what is asked for ("asked": within what is simulated)')
    print("world                        truth | open  asked | median more | settled  as foretold | wrong in the end")
    for world, layout, way, most in (
        (WORLDS[0], Layout(3, 40, 2), Way.SEEDS, 43),
        (WORLDS[1], Layout(3, 80, 1), Way.SEEDS, 43),
        (WORLDS[2], Layout(5, 40, 2), Way.IMAGES, 600),
    ):
        scale = scale_of(world)
        for points in (0, 1, 3):
            t = follow_up(world, scale, points / 100, layout, way, most, studies)
            more = f"{np.median(t.found.get('more', [np.nan])):4.0f} {way.value:6}"
            after = f"{t.percent('settled')}  {t.percent('as foretold')}"
            print(
                f"{world.name[:28]:28} {points:5} |{t.percent('open')} {t.percent('asked')} |"
                f" {more} | {after}     | {t.percent('wrong')}",
                flush=True,
            )


def print_bootstrap() -> None:
    """Time the bootstrap at the size that is asked of it."""
    cells = np.random.default_rng(0).integers(1, 1000, (10, 5, 200, 24)).astype(float)
    start = time.perf_counter()
    bootstrap.resampled([list(one.by_seed.values()) for one in standings_of(cells, cells + 500, 1)])
    took = time.perf_counter() - start
    print(
        f"\nbootstrap, 10,000 resamples of 10 contenders x 5 seeds x 200 images x 24 classes: {took:.2f} s (wanted < 5)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="simulated studies of each setting")
    parser.add_argument("--quick", action="store_true", help="fewer settings and studies")
    parser.add_argument("--study", type=Path, help="a real study's directory, for how much things vary")
    options = parser.parse_args()
    if options.studies < 8:
        parser.error(f"--studies is {options.studies}; it takes at least 8")
    began = time.perf_counter()
    studies = min(options.studies, 100) if options.quick else options.studies
    worlds = WORLDS[:2] if options.quick else WORLDS
    if options.study:
        worlds = (replace(measured(options.study), truths=(0, 1, 3)),)
    print(f"{studies} studies of each setting without a difference, half as many with one")
    sizes = ((12, 7), (80, 1)) if options.quick else ((12, 7), (40, 2), (80, 1))
    print_worlds(worlds, (2, 3, 5) if options.quick else (2, 3, 5, 10), sizes, studies)
    if not options.quick:
        print_follow_up(studies)
    print_bootstrap()
    print(f"all in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
