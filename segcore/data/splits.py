"""Train, validation and test images: divided by group, so that no scene stands on two sides."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from segcore.errors import SplitError


@dataclass(frozen=True)
class Split:
    """Names (stems) of the images for training, validation and, sealed until opened, test."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = {"train": self.train, "val": self.val, "test": self.test}
        for part in ("train", "val"):
            if not parts[part]:
                raise SplitError(f"The split has no {part} images; train and val need at least one each.")
        seen: dict[str, str] = {}
        for part, names in parts.items():
            for name in names:
                if name in seen:
                    raise SplitError(f"Image {name!r} stands in {seen[name]} and in {part}; it may stand once.")
                seen[name] = part

    @property
    def fingerprint(self) -> str:
        """Hash of the lists; the order of names within a part does not matter."""
        value = [sorted(self.train), sorted(self.val), sorted(self.test)]
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        return {"train": list(self.train), "val": list(self.val), "test": list(self.test)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Split:
        return cls(tuple(value["train"]), tuple(value["val"]), tuple(value.get("test", ())))
