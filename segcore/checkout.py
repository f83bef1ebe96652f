"""Which version of this package computes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

COMMIT_VARIABLE = "SEGCORE_COMMIT"
"""Tells a process on a node of a cluster of which commit the package is that was sent there: that is no checkout."""


def git_commit() -> str | None:
    """Return the commit of segcore's own checkout, '+changes' where it differs, or None outside of one."""
    root = Path(__file__).resolve().parents[1]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return os.environ.get(COMMIT_VARIABLE)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
