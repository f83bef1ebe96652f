"""Looking at every file of a dataset once: what can be used, what cannot and why, and what is in it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from segcore.config import IGNORE_INDEX, DatasetConfig
from segcore.data import problems as say
from segcore.data.classes import ClassTable
from segcore.data.histogram import COLOR
from segcore.data.journal import Journal, key_of
from segcore.data.looks import Look, look_at
from segcore.data.lookups import unpack
from segcore.data.outlines import changed_outlines
from segcore.data.pairing import Pair, Pairing, linked_folders, pair_dataset, path_below, scenes_of
from segcore.data.parallel import ordered_map
from segcore.data.readers import choose_reading
from segcore.data.report import CheckReport, ImageFacts, Problem
from segcore.data.tally import UnknownTally
from segcore.decisions import Reading
from segcore.progress import Progress, silent


@dataclass(frozen=True)
class CheckResult:
    """What a check found: the report for people, the facts for the store."""

    report: CheckReport
    facts: tuple[ImageFacts, ...]
    """Of the usable pairs, sorted by name."""
    fingerprint: str
    """Hash of the usable files' bytes and what their labels come from; not of where they are."""


def check_dataset(config: DatasetConfig, progress: Progress = silent, journal: Journal | None = None) -> CheckResult:
    """Read every pair of a dataset once, in threads. What cannot be used is left out, counted and explained.

    Args:
        config: where the files are, what is in the masks and what was decided about them.
        progress: counts pairs.
        journal: looks at files that are not read again, as they are the same; new looks are added.

    Raises:
        DatasetError: the folders or the class table cannot be used at all.
        WorkspaceError: the journal cannot be written.
    """
    table, plain = ClassTable.of(config), ClassTable(config.classes)
    pairing = pair_dataset(config)
    found = _Findings(config, table, scenes_of(pairing.pairs, config.groups_given))
    # What a mask of values means is known once all have been seen; until then their looks wait in the journal.
    waiting: dict[str, str] = {}
    kept = Journal() if journal is None else journal
    votes: Counter[Reading] = Counter()
    keys = []
    with closing(_looks(pairing.pairs, config, plain, kept, progress)) as looks:
        for pair, key, look in looks:
            keys.append(key)
            if look.histogram is not None and look.mask_size == look.size:
                votes.update(look.histogram.fits(plain))
                if look.histogram.values is not None:
                    waiting[pair.name] = key
                    continue
            found.add(pair, look, "colors")
    reading = table.meaning.reading or choose_reading({"colors": votes["colors"], "index": votes["index"]})
    for pair in pairing.pairs:
        if pair.name in waiting:
            again = kept.get(waiting[pair.name])
            found.add(pair, look_at(pair, plain) if again is None else again, reading)
    kept.keep_only(keys)
    return found.result(pairing, reading)


def _looks(
    pairs: Sequence[Pair], config: DatasetConfig, plain: ClassTable, journal: Journal, progress: Progress
) -> Generator[tuple[Pair, str, Look], None, None]:
    """Yield (pair, key, look) of each pair, in order, read in threads where the journal does not have it."""

    def look(pair: Pair) -> tuple[str, Look, bool]:
        key = key_of(pair, config) or pair.name
        known = journal.get(key)
        return (key, look_at(pair, plain), True) if known is None else (key, known, False)

    with closing(ordered_map(look, pairs, progress)) as results:
        for pair, (key, one, new) in zip(pairs, results, strict=True):
            if new and not one.kind:  # what could not be read perhaps can be the next time
                journal.put(key, one)
            yield pair, key, one


# What the looks come to ---------------------------------------------------------------------------------


class _Findings:
    """Adds up what was seen, pair by pair, in any order."""

    def __init__(self, config: DatasetConfig, table: ClassTable, scenes: Mapping[str, str]) -> None:
        self.config = config
        self.table = table
        self.scenes = scenes
        self.facts: dict[str, ImageFacts] = {}
        self.problems: dict[str, Problem] = {}
        self.unknown = UnknownTally()
        self.oddities: dict[str, tuple[str, ...]] = {}
        self.empty: list[str] = []
        self.lossy: dict[str, int] = {}
        self.palettes: list[tuple[str, Look]] = []
        self.moved: dict[str, str] = {}

    def add(self, pair: Pair, look: Look, reading: Reading) -> None:
        """Add one pair, read in one way."""
        problem = self._problem(pair, look, reading)
        if problem is not None:
            self.problems[pair.name] = problem
        if problem is not None and problem.excluded:
            return
        assert look.histogram is not None
        histogram = look.histogram
        labels = histogram.labels(self.table, reading)
        classes = np.bincount(labels, weights=histogram.counts, minlength=256)[: len(self.table.trained)]
        self.facts[pair.name] = ImageFacts(
            name=pair.name,
            image=path_below(self.config.images, pair.image),
            mask=path_below(self.config.masks, pair.mask),
            group=self.scenes[pair.name],
            size=look.size,
            digest=look.digest,
            class_pixels=tuple(int(count) for count in classes),
            unlabelled=int(histogram.counts.sum() - classes.sum()),
            image_digest=look.image_digest[:32],
        )
        moved = histogram.beside(self.table, reading) & (labels != IGNORE_INDEX)
        if moved.any():
            entries = histogram.keys_of(reading)[moved].tobytes() + labels[moved].tobytes()
            self.moved[pair.name] = hashlib.sha256(entries).hexdigest()[:16]
        if look.oddities:
            self.oddities[pair.name] = look.oddities
        if histogram.colors.tolist() == [0] or (histogram.values is not None and histogram.values.tolist() == [0]):
            self.empty.append(pair.name)
        if look.palette:
            self.palettes.append((pair.name, look))

    def _problem(self, pair: Pair, look: Look, reading: Reading) -> Problem | None:
        """Say what is wrong with a pair; unknown values are added up on the way.

        Those of excluded masks, too: there most is to be learnt from seeing them.
        """
        if pair.name in self.table.meaning.excluded:
            return say.left_out(pair)
        if look.histogram is None:
            return Problem(pair.image if look.kind == "unreadable image" else pair.mask, look.kind, look.message, True)
        if look.size != look.mask_size:
            return say.size_problem(pair, look.size, look.mask_size)
        histogram = look.histogram
        strange = histogram.strange(self.table, reading)
        keys, counts = histogram.keys_of(reading)[strange], histogram.counts[strange]
        self.unknown.add(histogram, keys, counts, pair.name)
        most = None
        if len(keys):
            key = int(keys[np.argmax(counts)])
            most = key if key < COLOR else unpack(key - COLOR)
        labelled = int(histogram.counts[histogram.labels(self.table, reading) != IGNORE_INDEX].sum())
        problem = say.content_problem(pair, labelled, most, self.table, reading)
        if problem is None and len(keys) and say.is_lossy(pair.mask):
            self.lossy[pair.name] = int(counts.sum())
        return problem

    def result(self, pairing: Pairing, reading: Reading) -> CheckResult:
        """Return what all of it comes to."""
        names = [pair.name for pair in pairing.pairs]
        facts = tuple(self.facts[name] for name in names if name in self.facts)
        near, usable = self.unknown.near(self.table), len(facts)
        problems = [
            *say.pairing_problems(pairing),
            *say.link_problems(linked_folders(self.config.images, self.config.masks)),
            *say.outline_problems(changed_outlines(self.config.masks)),
            *(self.problems[name] for name in names if name in self.problems),
            *say.class_problems(facts, self.table),
            *say.copy_problems(facts),
            *say.empty_problems(sorted(self.empty), usable),
            *say.lossy_problems(self.lossy),
            *say.blend_problems(near, self.unknown.count(), self.unknown.pixels(), self.unknown.masks, self.table),
            *say.palette_problems(self.palettes, self.table, reading),
            *say.oddity_problems(self.oddities, usable),
        ]
        classes = np.array([fact.class_pixels for fact in facts], dtype=np.int64)
        classes = classes.reshape(usable, len(self.table.trained))
        sizes = Counter(fact.size for fact in facts)
        report = CheckReport(
            images=pairing.images,
            usable=usable,
            groups=len({fact.group for fact in facts}),
            problems=tuple(problems),
            unknown_colors=self.unknown.shown(self.table),
            unknown_count=self.unknown.count(),
            unknown_pixels=self.unknown.pixels(),
            class_pixels=tuple(int(count) for count in classes.sum(axis=0)),
            class_images=tuple(int(count) for count in (classes > 0).sum(axis=0)),
            unlabelled_pixels=sum(fact.unlabelled for fact in facts),
            sizes=tuple((width, height, count) for (width, height), count in sizes.most_common()),
            mask_reading=reading,
            near_colors=near,
        )
        return CheckResult(report, facts, fingerprint(facts, self.table, reading, self.moved))


def fingerprint(facts: Sequence[ImageFacts], table: ClassTable, reading: Reading, moved: Mapping[str, str]) -> str:
    """Return a hash of the files and of what their labels come from.

    Decisions that leave all labels as they are, as other names and colours do, leave it as it is, too: what was
    prepared and trained stays valid.

    Args:
        facts: of the usable images.
        table: the classes, after all decisions.
        reading: how masks are read.
        moved: image name -> hash of which values beside the table got which label; of the images that have such.
    """
    classes = [(info.name, info.color, info.ignore) for info in table.rows]
    value: list[object] = [classes, reading, [(fact.name, fact.digest) for fact in facts]]
    if moved or table.row_labels != ClassTable(table.rows).row_labels:
        value.append([table.row_labels, [moved.get(fact.name) for fact in facts]])
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
