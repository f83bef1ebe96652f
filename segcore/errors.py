"""Every error a user of segcore can meet.

    SegcoreError
    ├── ConfigError            a value in a form, a flag or a config file
    ├── WorkspaceError         the place where results are kept
    │   ├── NotFoundError      no such dataset, study or run
    │   └── ExistsError        the name is taken
    ├── DatasetError           images, masks and what describes them
    │   ├── ClassTableError    the class table
    │   ├── ImageReadError     one image or mask file
    │   └── SplitError         train / val / test
    ├── ModelError             backbones and decoders
    │   ├── UnknownBackboneError
    │   ├── IncompatibleError  this backbone, decoder and image size do not go together
    │   ├── WeightsError       pretrained weights are not here, or are not what they should be
    │   └── ExportError        an exported network does not do what the network does
    ├── TrainingError          a run that cannot go on
    ├── SealError              test images that nobody has opened, or that there are none of
    ├── LaunchError            the queue of background runs
    │   └── ClusterError       a cluster that does not answer, or refuses what it is asked
    └── TrackingError          a tracking server that a study is mirrored to

A message says what came, what was expected and what to do next. Anything else that escapes segcore is
a bug of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SegcoreError(Exception):
    """Base of all errors meant for a user to read.

    `field` names the config field, form field or command line flag that caused it, where there is one, so
    that a screen can show the message beside it.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class ConfigError(SegcoreError, ValueError):
    """A value that a setting does not allow."""


class WorkspaceError(SegcoreError):
    """The workspace cannot be read or written."""


class NotFoundError(WorkspaceError, LookupError):
    """No dataset, study or run has that name."""


class ExistsError(WorkspaceError):
    """Something of that name is already there."""


class DatasetError(SegcoreError):
    """A dataset that cannot be used as it is."""


class ClassTableError(DatasetError):
    """The class table is missing, unreadable or contradicts itself."""


class ImageReadError(DatasetError):
    """One image or mask file cannot be used."""


class SplitError(DatasetError):
    """The images cannot be divided as asked."""


class ModelError(SegcoreError):
    """A network that cannot be built."""


class UnknownBackboneError(ModelError, LookupError):
    """No backbone or decoder has that name."""


class IncompatibleError(ModelError):
    """The backbone exists but does not work with this decoder or image size.

    `reason` says why in a few words, alike for all that fail alike.
    """

    def __init__(self, message: str, *, field: str | None = None, reason: str = "") -> None:
        super().__init__(message, field=field)
        self.reason = reason


class WeightsError(ModelError):
    """Pretrained weights were asked for and cannot be had or do not fit."""


class ExportError(ModelError):
    """A network cannot be exported, or what was exported answers otherwise."""


class TrainingError(SegcoreError):
    """A training run that cannot go on."""


class SealError(SegcoreError):
    """Test scores are sealed, or there is nothing to open."""


class LaunchError(SegcoreError):
    """Background runs cannot be started."""


class ClusterError(LaunchError):
    """A cluster does not answer, or refuses what it is asked."""


class TrackingError(SegcoreError):
    """A tracking server cannot be reached, refuses what is sent, or its client is not installed."""


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> str:
    """Return `' Did you mean a, b or c?'` for names close to `name`, else `''`."""
    close = get_close_matches(name, list(known), n=count, cutoff=0.5)
    if not close:
        return ""
    listed = close[0] if len(close) == 1 else f"{', '.join(close[:-1])} or {close[-1]}"
    return f" Did you mean {listed}?"
