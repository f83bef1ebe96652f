"""Starts the processes that train one run together: `python -m segcore.training.several PROCESSES RUN_DIR`.

It is `accelerate launch` for one machine, with a port that nobody else has, and without the defaults that somebody may
have chosen with `accelerate config`. The exit code of that would be 1 whatever happened; this one's is that of the
process that ended first: a worker's own, or 128 and the signal that killed it, so that whoever looks after the run can
tell an error from a node that ran out of memory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from accelerate.commands.launch import launch_command_parser, multi_gpu_launcher  # type: ignore[import-untyped]
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

THREADS = os.environ.get("OMP_NUM_THREADS", "1")
"""Of each process; accelerate would set them anew."""


def main(arguments: Sequence[str]) -> int:
    """Train the run with so many processes; return the exit code."""
    processes, run = arguments
    words = ["--multi_gpu", "--num_processes", processes, "--num_machines", "1", "--main_process_port", "0"]
    words += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", THREADS]
    options = launch_command_parser().parse_args([*words, "--module", "segcore.training.worker", run])
    options.standalone = True  # two runs that start on one node at the same time must not find the same free port
    try:
        multi_gpu_launcher(options)  # torch's launcher, which serves processors as well
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
