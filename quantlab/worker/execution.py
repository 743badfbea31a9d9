"""The contract of executors in the Python worker: what their `load` returns."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.foreign import reading
from quantlab.runtimes.exchange import Job
from quantlab.types import PYTHON

__all__ = ["Execution", "load_artifact", "reading_artifact"]


@dataclass(frozen=True, slots=True)
class Execution:
    """A loaded artifact that can be called."""

    call: Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[Any]]]
    """Takes one batch of each input and returns one batch of each output, both in the job's order."""
    environment: dict[str, str]
    """Versions and flags that the parent does not know yet."""
    ran_on: str = PYTHON
    """The runtime as which it is called."""
    row_by_row: bool = False
    """Whether some samples also run alone, as a server's clients often send them."""
    columns: Callable[[Sequence[npt.NDArray[Any]]], list[npt.NDArray[Any]]] | None = None
    """As `call`, with a request in the other form that a server takes; None if there is no other."""


def load_artifact(job: Job) -> Execution:
    """Load what a job names with its executor.

    Raises:
        QuantlabError: If it cannot be loaded, whatever its library raises.
    """
    load: Callable[[Job], Execution] = resolve_name(job.python.load)
    with reading_artifact(job):
        return load(job)


def reading_artifact(job: Job) -> AbstractContextManager[None]:
    """Turn whatever a library raises on the job's artifact into a TrialError that names the file and the remedy."""
    return reading(Path(job.artifact or job.options.saved_model), TrialError, _REMEDY)


_REMEDY = "convert the model again, or leave out the runtime if it does not support the file"
