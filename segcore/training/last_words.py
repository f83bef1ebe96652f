"""How a run that did not finish says why, and what to do about it."""

from __future__ import annotations

from segcore.errors import SegcoreError, TrainingError
from segcore.status import Status
from segcore.training.device import out_of_memory

_NOT_KEPT = "its weights were no numbers any more and were not kept."


def words_for_stop(status: Status, epochs: int, *, kept: bool = True) -> tuple[str, str]:
    """Return message and hint of a run of that many epochs that was stopped where `status` says it was.

    `kept` tells whether the state was kept there.
    """
    hint = "Resume it to go on from there."
    if status.step == 0:
        return "Stopped before its first step.", hint
    if status.step * epochs == status.epoch * status.steps:
        return f"Stopped after epoch {status.epoch}.", hint
    place = f"within epoch {status.epoch + 1}, after step {status.step} of {status.steps}"
    if not kept:
        return f"Stopped {place}; {_NOT_KEPT}", "Resume it to go on from what was kept before."
    return f"Stopped {place}; what it learnt is kept.", hint


def words_for_shutdown(*, kept: bool = True) -> tuple[str, str]:
    """Return message and hint of a run that the system ended by SIGTERM, though nobody asked it to stop."""
    if not kept:
        message = f"The system told it to end (a shutdown, or a kill); {_NOT_KEPT}"
        return message, "Resume it to go on from what was kept before."
    return (
        "The system told it to end (a shutdown, or a kill); it saved where it was.",
        "Resume it to go on from there.",
    )


def words_for_error(error: BaseException, batch_size: int) -> tuple[str, str]:
    """Return message and hint of a run that an error ended."""
    if out_of_memory(error):
        return (
            "There was not enough memory.",
            f"Launch with a batch size below {batch_size}, a smaller image size or backbone; or close what else needs "
            "memory and resume.",
        )
    if isinstance(error, TrainingError):
        return str(error), "Launch a new study with these changes; retrying this run would end the same way."
    if isinstance(error, SegcoreError):
        return str(error), "Mend that, then resume."
    return f"{type(error).__name__}: {error}", "The log has the details."
