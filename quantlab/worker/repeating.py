"""Runs the first samples once more after the last one, and compares with what was written for them.

Some runtimes are right only in the first call, or keep a state between calls: then figures of a study hold only for
the order in which it ran its samples.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import QuantlabError, TrialError
from quantlab.runtimes.exchange import Job
from quantlab.types import Repeated

__all__ = ["MOST_ALONE", "compare", "first_batch", "run_again", "run_alone"]

Array = npt.NDArray[Any]
Call = Callable[[Sequence[Array]], list[Array]]

MOST_ALONE = 32
"""Most samples that also run alone."""


def first_batch(job: Job) -> int:
    """Number of samples in the first batch of a run that began with the first sample."""
    return min(job.batch_size, job.stop)


def run_again(
    job: Job, call: Call, inputs: Sequence[Array], written: Sequence[Array], *, way: str = "again"
) -> Repeated:
    """Run the first batch as before, or in another way.

    Args:
        job: The job that has run.
        call: Runs a batch.
        inputs: All samples of each input.
        written: The outputs of all samples, as they were written.
        way: What `call` does; see `Repeated.way`.

    Raises:
        TrialError: If it fails this time.
    """
    samples = first_batch(job)
    before = [array[:samples] for array in written]
    return compare(way, before, _called(call, [np.asarray(array[:samples]) for array in inputs]))


def run_alone(job: Job, call: Call, inputs: Sequence[Array], written: Sequence[Array]) -> Repeated:
    """Run each of the first samples alone; the arguments are those of `run_again`.

    Raises:
        TrialError: If a sample fails alone.
    """
    samples = min(first_batch(job), MOST_ALONE)
    rows = [_called(call, [np.asarray(array[row : row + 1]) for array in inputs]) for row in range(samples)]
    after = [np.concatenate(of_output) for of_output in zip(*rows, strict=True)]
    return compare("alone", [array[:samples] for array in written], after)


def _called(call: Call, batch: Sequence[Array]) -> list[Array]:
    try:
        return call(batch)
    except QuantlabError as error:
        raise TrialError(f"all samples ran, but the first of them failed when they ran once more: {error}") from error
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise TrialError(f"all samples ran, but the first of them failed when they ran once more: {said}") from error


def compare(way: str, before: Sequence[Array], after: Sequence[Array]) -> Repeated:
    """Compare two runs of the same samples, of which each output has the shape (samples, …).

    >>> compare("again", [np.float32([[1, 2], [3, np.nan]])], [np.float32([[1, 2.5], [3, np.nan]])])
    Repeated(way='again', samples=2, differing=1, largest=0.5, scale=3.0)

    Args:
        way: How they were run the second time; see `Repeated.way`.
        before: The outputs of the first run.
        after: The outputs of the second one.

    Raises:
        TrialError: If an output has another shape this time.
    """
    differing: set[int] = set()
    largest = scale = 0.0
    for one, other in zip(before, after, strict=True):
        if one.shape != other.shape:
            raise TrialError(
                f"when the first samples ran once more, an output had the shape {other.shape} in place of {one.shape}"
            )
        for row in range(len(one)):  # one by one, because a batch may take much of the memory
            scale = max(scale, _scale(one[row]))
            apart = _apart(one[row], other[row])
            if apart is not None:
                differing.add(row)
                largest = max(largest, apart)
    return Repeated(way, len(before[0]), len(differing), largest if math.isfinite(largest) else None, scale)


def _scale(values: Array) -> float:
    finite = np.abs(values[np.isfinite(values)].astype(np.float64))
    return float(finite.max(initial=0.0))


def _apart(one: Array, other: Array) -> float | None:
    """The largest difference of two tensors, infinite if only one of two values is finite; None if they are equal."""
    if one.tobytes() == other.tobytes():
        return None
    # As long doubles, because float64 cannot tell large int64 values apart.
    first, second = one.astype(np.longdouble), other.astype(np.longdouble)
    where = (first != second) & ~(np.isnan(first) & np.isnan(second))
    if not where.any():
        return None
    if not (np.isfinite(first[where]).all() and np.isfinite(second[where]).all()):
        return math.inf
    return float(np.abs(first[where] - second[where]).max())
