"""Which other studies know a study's test images: what their results told of them was known before its own opening.

A study that was removed counts on: removing it makes nobody forget the test scores that were shown. Nothing here
imports torch.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from segcore.errors import WorkspaceError
from segcore.runs import Study

if TYPE_CHECKING:
    from segcore.store import RunStore

HOW = {
    "tested": "as test images that were opened",
    "removed": "as test images that were opened, before it was removed",
    "trained": "as training images",
    "validated": "as validation images",
    "judged": "in what its networks were judged on again",
}
"""What other studies did with the test images."""


def elsewhere(study: Study, store: RunStore) -> list[dict[str, Any]]:
    """Return which other studies have met this one's test images: {study, images, how}.

    `how` is a key of `HOW`. What cannot be read is left out.

    Raises:
        WorkspaceError: the record of removed studies is damaged.
    """
    test, found = set(study.split.test), []
    studies = store.studies()
    for other in studies:
        try:
            if other.path == study.path:
                continue
            met = _met(other) if other.dataset.name == study.dataset.name else {}
            met["judged"] = _judged(other, study.dataset.name).difference(*met.values())
        except WorkspaceError:
            continue
        known = {how: len(test.intersection(names)) for how, names in met.items()}
        found += [{"study": other.name, "images": images, "how": how} for how, images in known.items() if images]
    there = {(other.name, other.created) for other in studies}
    removed: dict[str, set[str]] = {}
    for record in store.removed_tests():
        # What was taken back from the trash speaks for itself.
        if record["dataset"] == study.dataset.name and (record["study"], record["created"]) not in there:
            removed.setdefault(record["study"], set()).update(test.intersection(record["test"]))
    return found + [{"study": name, "images": len(met), "how": "removed"} for name, met in removed.items() if met]


def _met(study: Study) -> dict[str, set[str]]:
    """Return which images of its dataset a study has met in its own parts, and how."""
    split = study.split
    tested = set(split.test) if study.test_openings() else set()
    return {"tested": tested, "trained": set(split.train), "validated": set(split.val)}


def _judged(study: Study, dataset: str) -> set[str]:
    """Return the images of a dataset that networks of a study were judged on again."""
    found: set[str] = set()
    for run in study.runs():
        for key in run.reevaluation_names():
            with suppress(WorkspaceError):  # damaged, or removed meanwhile
                kept = run.reevaluation(key)
                found |= set(kept.names) if kept.about.get("dataset") == dataset else set()
    return found


def sentence(entry: dict[str, Any]) -> str:
    """Say one entry: "Study first has 12 of them as test images that were opened." """
    return f"Study {entry['study']} has {entry['images']:,} of them {HOW[entry['how']]}."
