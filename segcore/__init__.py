"""segcore: which backbone should segment your aerial images, and how sure can you be?

The names below are the public API. Those that need torch import it when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore.config import ClassInfo, DatasetConfig, Recipe, RunConfig, StudyConfig
    from segcore.data.layouts import recognise
    from segcore.data.prepared import prepare
    from segcore.data.store import Dataset, DatasetStore
    from segcore.errors import SegcoreError
    from segcore.evaluation.metrics import scores
    from segcore.inference.export.writing import export
    from segcore.inference.predictor import Prediction, Predictor
    from segcore.inference.reevaluation import reevaluate
    from segcore.launch.plan import launch_study
    from segcore.models.build import build
    from segcore.models.summary import describe
    from segcore.runs import Run, Study
    from segcore.status import Where
    from segcore.store import RunStore
    from segcore.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "ClassInfo": "segcore.config",
    "Dataset": "segcore.data.store",
    "DatasetConfig": "segcore.config",
    "DatasetStore": "segcore.data.store",
    "Prediction": "segcore.inference.predictor",
    "Predictor": "segcore.inference.predictor",
    "Recipe": "segcore.config",
    "Run": "segcore.runs",
    "RunConfig": "segcore.config",
    "RunStore": "segcore.store",
    "SegcoreError": "segcore.errors",
    "Study": "segcore.runs",
    "StudyConfig": "segcore.config",
    "Where": "segcore.status",
    "Workspace": "segcore.workspace",
    "build": "segcore.models.build",
    "describe": "segcore.models.summary",
    "export": "segcore.inference.export.writing",
    "launch_study": "segcore.launch.plan",
    "prepare": "segcore.data.prepared",
    "recognise": "segcore.data.layouts",
    "reevaluate": "segcore.inference.reevaluation",
    "scores": "segcore.evaluation.metrics",
}

__all__ = [
    "ClassInfo",
    "Dataset",
    "DatasetConfig",
    "DatasetStore",
    "Prediction",
    "Predictor",
    "Recipe",
    "Run",
    "RunConfig",
    "RunStore",
    "SegcoreError",
    "Study",
    "StudyConfig",
    "Where",
    "Workspace",
    "build",
    "describe",
    "export",
    "launch_study",
    "prepare",
    "recognise",
    "reevaluate",
    "scores",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segcore' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
