"""Runs a job in batches: reads samples, writes outputs, and runs the first batch once more after the last."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.runtimes.exchange import Job, TensorFile
from quantlab.types.messages import Progress
from quantlab.worker.emit import Emit
from quantlab.worker.execution import Execution
from quantlab.worker.repeating import run_again, run_alone

__all__ = ["map_inputs", "run_batches", "slices"]

Array = npt.NDArray[Any]

_TELL_SECONDS = 0.1
"""Least time between two messages about progress."""


def run_batches(job: Job, execution: Execution, emit: Emit) -> None:
    """Run all samples of a job, and then the first batch once more; sends `Progress` and `Repeated`.

    Raises:
        TrialError: If an output has another shape than the reference's, or the first batch fails when it runs again.
    """
    inputs = map_inputs(job)
    outputs = [_map(file, job.stop, "r+") for file in job.outputs]
    told, samples, spent = time.perf_counter(), 0, 0.0
    for start in range(job.start, job.stop, job.batch_size):
        stop = min(start + job.batch_size, job.stop)
        batch = slices(inputs, start, stop)
        began = time.perf_counter()
        results = execution.call(batch)
        seconds = time.perf_counter() - began
        for target, file, result in zip(outputs, job.outputs, results, strict=True):
            if result.shape != (stop - start, *file.shape):
                raise TrialError(
                    f"the output '{file.name}' has the shape {result.shape}, and the reference's is "
                    f"{(stop - start, *file.shape)}"
                )
            target[start:stop] = result
        samples, spent = samples + stop - start, spent + seconds
        # The first batch alone, since times leave it out; then few messages, which cost more than a quick batch.
        if start == job.start or stop == job.stop or time.perf_counter() - told >= _TELL_SECONDS:
            emit(Progress(stop, samples, spent))
            told, samples, spent = time.perf_counter(), 0, 0.0
    if job.start == job.stop:
        return
    emit(run_again(job, execution.call, inputs, outputs))
    if execution.row_by_row:
        emit(run_alone(job, execution.call, inputs, outputs))
    if execution.columns is not None:
        emit(run_again(job, execution.columns, inputs, outputs, way="columns"))


def _map(file: TensorFile, n: int, mode: Any) -> Array:
    return np.memmap(file.file, np.dtype(file.dtype), mode, file.offset, (n, *file.shape))


def map_inputs(job: Job) -> list[Array]:
    """The samples of each input up to the job's last, mapped from their files."""
    return [_map(file, job.stop, "r") for file in job.inputs]


def slices(arrays: Sequence[Array], start: int, stop: int) -> list[Array]:
    """The samples from `start` to before `stop` of each array."""
    return [np.asarray(array[start:stop]) for array in arrays]
