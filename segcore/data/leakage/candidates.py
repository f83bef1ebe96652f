"""Which pairs of many images are worth comparing detail by detail.

Images that share details share words: every detail is given the most alike of a few thousand sample details, its
word, and images are compared by the words they have, rare words counting more (Sivic & Zisserman 2003, "Video Google").
The products of such sparse rows are an inverted index: work is done only where two images have a word in common. Beside
these come images whose perceptual hashes are close, in any of eight ways to turn and mirror one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from segcore.data.leakage.looks import WAYS, Look, perceptual_hash, ways

WORDS = 8192
PARTNERS = 40
"""So many images, those with most words in common, each image is compared with at least."""
CLEARLY = 1.3
"""So many times as alike two images must be in a mirror before they are compared in one, too."""
HASH_BITS = 10
"""Hashes that differ in so many of 64 bits, or fewer, are close: the usual bound for near-copies."""
_ROWS = 512
_BITS = np.array([number.bit_count() for number in range(256)], np.uint8)


@dataclass(frozen=True)
class Candidate:
    """Two images, by number, `first` < `second`, that may show the same ground."""

    first: int
    second: int
    mirrored: bool
    """Whether the second looks clearly more like the first in a mirror."""


class Vocabulary:
    """Sample details, the words."""

    def __init__(self, samples: np.ndarray) -> None:
        """Keep (W, 128) uint8 samples as the words."""
        self.columns = (samples.astype(np.float32) / 255).T.copy()

    @classmethod
    def sample(cls, looks: Sequence[Look]) -> Vocabulary:
        """Take words from all images alike, always the same from the same images."""
        rng = np.random.default_rng(0)
        each = max(1, -(-WORDS // max(1, len(looks))))
        parts = []
        for look in looks if len(looks) <= WORDS else [looks[int(n)] for n in rng.permutation(len(looks))[:WORDS]]:
            count = len(look.details)
            parts.append(look.details[rng.permutation(count)[:each]])
        samples = np.concatenate(parts) if parts else np.zeros((0, 128), np.uint8)
        return cls(samples[:WORDS])

    def words(self, details: np.ndarray) -> np.ndarray:
        """Return the different words of details, (N, 128) uint8: sorted integers."""
        if not len(details) or not self.columns.shape[1]:
            return np.zeros(0, np.int64)
        return np.unique((details.astype(np.float32) @ self.columns).argmax(axis=1))


def find_candidates(words: Sequence[tuple[np.ndarray, np.ndarray]], thumbs: Sequence[np.ndarray]) -> list[Candidate]:
    """Return the pairs worth comparing, sorted.

    Args:
        words: of each image its words, and those of its mirror image.
        thumbs: of each image all of it, (32, 32) uint8.
    """
    found: dict[tuple[int, int], bool] = {}
    for first, second, mirrored in (*_by_words(words), *_by_hash(thumbs)):
        pair = min(first, second), max(first, second)
        found[pair] = mirrored or found.get(pair, False)
    return [Candidate(*pair, mirrored) for pair, mirrored in sorted(found.items())]


def _by_words(words: Sequence[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[int, int, bool]]:
    count = len(words)
    straight, mirrored = (_rows([both[side] for both in words]) for side in (0, 1))
    for start in range(0, count, _ROWS):
        part = straight[start : start + _ROWS]
        alike, turned = ((part @ other.T).toarray() for other in (straight, mirrored))
        best = np.maximum(alike, turned)
        best[np.arange(len(best)), start + np.arange(len(best))] = -1.0  # not with itself
        nearest = np.argsort(-best, axis=1, kind="stable")[:, :PARTNERS]
        for row, partners in enumerate(nearest):
            for partner in partners[best[row, partners] > 0]:
                yield start + row, int(partner), bool(turned[row, partner] > CLEARLY * alike[row, partner])


def _rows(words: Sequence[np.ndarray]) -> sparse.csr_array:
    """Return a row of length 1 for each image: a word weighs the logarithm of how rare it is."""
    indices = np.concatenate([*words, np.zeros(0, np.int64)]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum([len(own) for own in words])]).astype(np.int64)
    images = np.bincount(indices, minlength=WORDS)
    weights = np.log((1 + len(words)) / (1 + images[indices])) + 0.01  # a word of all images tells nothing, almost
    owner = np.repeat(np.arange(len(words)), np.diff(starts))
    length = np.sqrt(np.bincount(owner, weights**2, minlength=len(words)))
    return sparse.csr_array((weights / length[owner], indices, starts), shape=(len(words), WORDS))


def _by_hash(thumbs: Sequence[np.ndarray]) -> Iterator[tuple[int, int, bool]]:
    hashes = np.array([[perceptual_hash(way) for way in ways(thumb)] for thumb in thumbs], np.uint64).reshape(-1, WAYS)
    own = hashes[:, 0]
    for first in range(len(own) - 1):
        differing = _BITS[(own[first] ^ hashes[first + 1 :]).view(np.uint8).reshape(-1, WAYS, 8)].sum(axis=-1)
        for second in np.flatnonzero(differing.min(axis=1) <= HASH_BITS):
            yield first, first + 1 + int(second), bool(differing[second].argmin() >= WAYS // 2)
