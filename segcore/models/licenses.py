"""What the licence of pretrained weights says of commercial use, as far as its name alone tells."""

from __future__ import annotations

FREE = ("apache-2.0", "bsd-3-clause", "cc-by-4.0", "mit")
"""Allow commercial use."""
NON_COMMERCIAL = ("apple-amlr", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "fair-noncommercial-research-license")
"""Rule it out."""


def commercial(license: str | None) -> bool | None:
    """Return whether weights of that licence may be used commercially; None where its own text has to be read.

    Args:
        license: as timm states it; None where it states none.
    """
    return True if license in FREE else False if license in NON_COMMERCIAL else None
