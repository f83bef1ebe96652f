"""Which other studies know a study's test images: what their results told of them was known before its own opening.

A study that was removed counts on: removing it makes nobody forget the test scores that were shown. Nothing here
imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segcore.data.splits import Split
from segcore.errors import WorkspaceError
from segcore.runs import Study

if TYPE_CHECKING:
    from segcore.store import RunStore

HOW = {
    "tested": "as test images that were opened",
    "removed": "as test images that were opened, before it was removed",
    "trained": "as training images",
    "validated": "as validation images",
}
"""What other studies did with the test images."""


def elsewhere(study: Study, store: RunStore) -> list[dict[str, Any]]:
    """Return which other studies of the same dataset have met this one's test images: {study, images, how}.

    `how` is a key of `HOW`. Studies that cannot be read are left out.

    Raises:
        WorkspaceError: the record of removed studies is damaged.
    """
    test, found = set(study.split.test), []
    studies = store.studies()
    for other in studies:
        try:
            if other.path == study.path or other.dataset.name != study.dataset.name:
                continue
            met = _met(test, other.split, tested=bool(other.test_openings()))
        except WorkspaceError:
            continue
        found += [{"study": other.name, "images": images, "how": how} for how, images in met.items() if images]
    there = {(other.name, other.created) for other in studies}
    removed: dict[str, set[str]] = {}
    for record in store.removed_tests():
        # What was taken back from the trash speaks for itself.
        if record["dataset"] == study.dataset.name and (record["study"], record["created"]) not in there:
            removed.setdefault(record["study"], set()).update(test.intersection(record["test"]))
    return found + [{"study": name, "images": len(met), "how": "removed"} for name, met in removed.items() if met]


def _met(test: set[str], split: Split, *, tested: bool) -> dict[str, int]:
    return {
        "tested": len(test & set(split.test)) if tested else 0,
        "trained": len(test & set(split.train)),
        "validated": len(test & set(split.val)),
    }


def sentence(entry: dict[str, Any]) -> str:
    """Say one entry: "Study first has 12 of them as test images that were opened." """
    return f"Study {entry['study']} has {entry['images']:,} of them {HOW[entry['how']]}."
