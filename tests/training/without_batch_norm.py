"""The worker with a network whose norms look at each image by itself: `python -m ... RUN_DIR`, for several processes.

With `--fail-in N` as second argument, process N fails in its third step. With `--stop` the network has its batch norm
as always, and the run is asked to stop after its first step.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from torch import nn

from segcore.models.build import Segmenter, build
from segcore.runs import Run
from segcore.training import worker


def build_without(*arguments: Any, **options: Any) -> Segmenter:
    model = build(*arguments, **options)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                norm: nn.Module = nn.GroupNorm(1, child.num_features)
                # timm's norms apply the activation, too.
                activation = getattr(child, "act", nn.Identity())
                setattr(parent, name, nn.Sequential(norm, activation))
    return model


def main(arguments: list[str]) -> int:
    if arguments[1:] == ["--stop"]:
        train = worker.fit

        def stopping(*values: Any, **options: Any) -> Any:
            for event in train(*values, **options):
                Run(arguments[0]).request_stop()
                yield event

        worker.fit = stopping  # type: ignore[attr-defined]
        return worker.main(arguments[:1])
    worker.build = build_without  # type: ignore[attr-defined]
    if len(arguments) == 3 and os.environ.get("RANK") == arguments[2]:
        fit = worker.fit

        def failing(*values: Any, **options: Any) -> Any:
            for number, event in enumerate(fit(*values, **options)):
                if number == 2:
                    raise ValueError("broken on purpose")
                yield event

        worker.fit = failing  # type: ignore[attr-defined]
    return worker.main(arguments[:1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
