"""Images that show the same ground: found, kept, told for a split, and put into one scene.

A network that is judged on ground it has learnt is judged too well. What the names of files do not say, the pictures
do: `find` compares all images and returns the pairs that are copies of each other or overlap.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from segcore.data.leakage import looks
from segcore.data.leakage.candidates import Candidate, Vocabulary, find_candidates
from segcore.data.leakage.looks import Look, LookFiles
from segcore.data.leakage.matching import Kind, Match, compare
from segcore.data.parallel import ordered_map
from segcore.data.splits import Split
from segcore.files import append_json_line, read_json, read_json_lines, write_json
from segcore.progress import Progress, silent

__all__ = ["Kind", "Leak", "LeakScore", "Leakage", "find", "merged_groups", "read"]

MATCHING = 3
"""Version of how pairs are found; what another version kept is not used."""
_IN_MEMORY = 1024
"""So many looks at most, about 50 kB each, are in memory while pairs are compared."""


@dataclass(frozen=True)
class Leak:
    """Two images that show the same ground."""

    first: str
    second: str
    match: Match
    """How alike they are, and where."""


@dataclass(frozen=True)
class LeakScore:
    """How much of what a split judges on has been learnt."""

    val: float
    """Share of the validation images, 0-1, that have a leak among the training images."""
    test: float
    """Share of the test images that have one among the training or validation images; NaN without test images."""
    pairs: int
    """Pairs that stand in different parts."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Leakage:
    """What was found among a dataset's images."""

    leaks: tuple[Leak, ...]
    """The worst first: duplicates, then by the ground in common."""
    images: int
    compared: int
    """How many pairs were compared detail by detail."""

    def counts(self) -> dict[Kind, int]:
        """Return how many pairs of each kind there are."""
        found = Counter(leak.match.kind for leak in self.leaks)
        kinds: tuple[Kind, ...] = ("duplicate", "near-duplicate", "overlap")
        return {kind: found[kind] for kind in kinds}

    def across(self, split: Split) -> list[Leak]:
        """Return the pairs that stand in different parts of a split."""
        part = split.part_of()
        return [
            leak
            for leak in self.leaks
            if leak.first in part and leak.second in part and part[leak.first] != part[leak.second]
        ]

    def score(self, split: Split) -> LeakScore:
        """Return which share of what a split judges on has been learnt from, or chosen by."""
        part, across = split.part_of(), self.across(split)
        leaky: dict[str, set[str]] = {"val": set(), "test": set()}
        for leak in across:
            for own, other in ((leak.first, leak.second), (leak.second, leak.first)):
                if part[own] == "test" or (part[own] == "val" and part[other] == "train"):
                    leaky[part[own]].add(own)
        test = len(leaky["test"]) / len(split.test) if split.test else float("nan")
        return LeakScore(len(leaky["val"]) / len(split.val), test, len(across))


def merged_groups(groups: Mapping[str, str], leaks: Iterable[Leak]) -> dict[str, str]:
    """Return groups in which images that show the same ground are together, directly or by way of others.

    Groups that leaks connect become one, named like the largest of them (of equally large ones the first by name).
    """
    parent = {group: group for group in groups.values()}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for leak in leaks:
        if leak.first in groups and leak.second in groups:
            parent[root(groups[leak.first])] = root(groups[leak.second])
    sizes = Counter(groups.values())
    members: dict[str, list[str]] = defaultdict(list)
    for group in sizes:
        members[root(group)].append(group)
    name = {of: min(together, key=lambda group: (-sizes[group], group)) for of, together in members.items()}
    return {image: name[root(group)] for image, group in groups.items()}


# Finding ------------------------------------------------------------------------------------------------


def find(
    files: Mapping[str, Path], digests: Mapping[str, str], directory: Path, progress: Progress = silent
) -> Leakage:
    """Compare all images, in threads, and return the pairs that show the same ground.

    What was done is kept under `directory`: when this was cut short, or images joined, only the rest is done.

    Args:
        files: image name -> its file.
        digests: image name -> hash of the file's bytes.
        directory: where to keep what was found; may be deleted at any time this does not run.
        progress: counts images twice: when they are looked at, and when they are compared with others.

    Raises:
        ImageReadError: an image is gone or damaged.
        WorkspaceError: `directory` cannot be written.
    """
    names = sorted(files)
    kept = LookFiles(directory / "looks")
    look = lru_cache(_IN_MEMORY)(lambda number: kept.get(digests[names[number]], files[names[number]]))
    checked = _Checked(directory / "pairs.jsonl")
    keys = [digests[name] for name in names]
    leaks = []
    # Threads that multiply matrices must not each start threads of their own: that takes six times as long.
    with threadpool_limits(1, "blas"):
        candidates = _candidates(names, look, lambda done, _: progress(done, 2 * len(names)))
        tasks: list[list[Candidate]] = [[] for _ in names]
        for candidate in candidates:
            tasks[candidate.first].append(candidate)
        work = partial(_compare_all, look=look, checked=checked, keys=keys)
        results = ordered_map(work, tasks, lambda done, _: progress(len(names) + done, 2 * len(names)))
        for own, (matches, new) in zip(tasks, results, strict=True):
            if new:
                checked.keep(keys, own, matches)
            leaks += [
                Leak(names[c.first], names[c.second], m) for c, m in zip(own, matches, strict=True) if m is not None
            ]
    leaks.sort(key=lambda leak: (leak.match.kind != "duplicate", -leak.match.overlap, leak.first, leak.second))
    found = Leakage(tuple(leaks), len(names), len(candidates))
    write_json(directory / "found.json", {"of": _signature(digests), **asdict(found)})
    return found


def read(digests: Mapping[str, str], directory: Path) -> Leakage | None:
    """Return what `find` kept; None where the images are not those that it compared, or it never ran to its end."""
    value = read_json(directory / "found.json")
    if value is None or value.get("of") != _signature(digests):
        return None
    leaks = tuple(Leak(leak["first"], leak["second"], Match.from_json(leak["match"])) for leak in value["leaks"])
    return Leakage(leaks, value["images"], value["compared"])


def _signature(digests: Mapping[str, str]) -> str:
    value = [MATCHING, looks.VERSION, sorted(digests.items())]
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _candidates(names: Sequence[str], look: Any, progress: Progress) -> list[Candidate]:
    """Look at all images and choose the pairs to compare."""
    numbers = list(range(len(names)))
    thumbs = [found.thumb for found in ordered_map(look, numbers, progress)]
    rng = np.random.default_rng(0)
    # A few thousand words are sampled from at most so many images; the rest need not be in memory for it.
    sampled = sorted(rng.permutation(len(names))[:_IN_MEMORY].tolist())
    vocabulary = Vocabulary.sample([look(number) for number in sampled])

    def words(number: int) -> tuple[np.ndarray, np.ndarray]:
        own: Look = look(number)
        return vocabulary.words(own.details), vocabulary.words(own.mirrored().details)

    return find_candidates(list(ordered_map(words, numbers)), thumbs)


def _compare_all(
    candidates: list[Candidate], *, look: Any, checked: _Checked, keys: Sequence[str]
) -> tuple[list[Match | None], bool]:
    """Return what each of the candidates of one image has in common with it, and whether anything was compared anew."""
    matches: list[Match | None] = []
    new = False
    for candidate in candidates:
        first, second = keys[candidate.first], keys[candidate.second]
        if checked.knows(first, second, candidate.mirrored):
            matches.append(checked.match(first, second, candidate.mirrored))
        else:
            matches.append(compare(look(candidate.first), look(candidate.second), mirrored=candidate.mirrored))
            new = True
    return matches, new


class _Checked:
    """Pairs that were compared, one line an image, so that work that was cut short goes on where it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = dict(self._read())

    def _read(self) -> Iterator[tuple[tuple[str, str, bool], Match | None]]:
        for line in read_json_lines(self.path):
            if line.get("version") == [MATCHING, looks.VERSION]:
                for second, mirrored, match in line["pairs"]:
                    yield (line["first"], second, mirrored), None if match is None else Match.from_json(match)

    def knows(self, first: str, second: str, mirrored: bool) -> bool:
        return (first[:16], second[:16], mirrored) in self._known

    def match(self, first: str, second: str, mirrored: bool) -> Match | None:
        return self._known[first[:16], second[:16], mirrored]

    def keep(self, keys: Sequence[str], candidates: Sequence[Candidate], matches: Sequence[Match | None]) -> None:
        """Append what was found for the candidates of one image."""
        pairs = [
            (keys[candidate.second][:16], candidate.mirrored, match and asdict(match))
            for candidate, match in zip(candidates, matches, strict=True)
        ]
        line = {"version": [MATCHING, looks.VERSION], "first": keys[candidates[0].first][:16], "pairs": pairs}
        append_json_line(self.path, line)
