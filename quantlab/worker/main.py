"""The process that runs variants in Python: `python -m quantlab.worker.main`.

It answers one request after another, so that TensorFlow is imported once:

- `open` opens a model and exports its SavedModel; before `done` it says `opened`, with the description and the
  `source` that converters start from.
- `probe` calls the reference on a few samples twice, and one by one; it says `probed`, with shapes and dtypes of the
  outputs and how far the answers differ.
- `run` runs a job and says what `exchange` lists.
- `wait` imports a `library`, and nothing else happens.
- `time` times a job's variant by a `plan` and says `timed`; the worker must not have done anything before but wait.
- `list-taps` says `taps`: every tensor inside a graph.
- `tap` runs some samples of a job (`start` to `stop`), writes what is inside to `file` and says `tapped`: where each
  tensor lies. An artifact stays open under its `session` until the process ends.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.processes import Emit, Message, serve
from quantlab.runtimes.exchange import Job, TensorFile, TimingPlan, job_from
from quantlab.worker.reference import open_once
from quantlab.worker.tapping import Tapped, write_answer
from quantlab.worker.timing import time_variant

__all__: list[str] = []

Array = npt.NDArray[Any]

_SINGLES = 8  # samples that the probe runs one by one


class _Worker:
    """Keeps what is open for reading inside between requests."""

    def __init__(self) -> None:
        self._tapped: dict[str, tuple[Job, list[Array], Tapped]] = {}

    def handle(self, message: Message, emit: Emit) -> None:
        requests: dict[str, Callable[[Message, Emit], None]] = {
            "open": self._open,
            "probe": self._probe,
            "run": self._run,
            "wait": self._wait,
            "time": self._time,
            "list-taps": self._list_taps,
            "tap": self._tap,
        }
        requests[message["request"]](message, emit)

    def _open(self, message: Message, emit: Emit) -> None:
        reference = open_once(message["model"])
        source = {"source": str(reference.source), "format": reference.format}
        emit({"type": "opened", **asdict(reference.description), **source})

    def _probe(self, message: Message, emit: Emit) -> None:
        job = job_from(message["job"])
        call = resolve_name(job.python.load)(job).call
        batch = _slices(_map_inputs(job), job.start, job.stop)
        first, again = call(batch), call(batch)
        _check_batch(first, job)
        one_by_one = [call(_slices(batch, i, i + 1)) for i in range(min(_SINGLES, job.stop - job.start))]
        single = [np.concatenate(rows) for rows in zip(*one_by_one, strict=True)]
        emit(
            {
                "type": "probed",
                "outputs": [{"shape": list(each.shape[1:]), "dtype": each.dtype.name} for each in first],
                "again": max(_difference(one, other) for one, other in zip(first, again, strict=True)),
                "single": max(_difference(one[: len(other)], other) for one, other in zip(first, single, strict=True)),
            }
        )

    def _run(self, message: Message, emit: Emit) -> None:
        job = job_from(message["job"])
        execution = resolve_name(job.python.load)(job)
        emit({"type": "ready", "ran_on": "python", "environment": execution.environment})
        _run_batches(job, execution.call, emit)

    def _wait(self, message: Message, _: Emit) -> None:
        importlib.import_module(message["library"])

    def _time(self, message: Message, emit: Emit) -> None:
        job = job_from(message["job"])
        batch = [np.array(each) for each in _slices(_map_inputs(job), job.start, job.stop)]
        time_variant(job, batch, TimingPlan(**message["plan"]), emit)

    def _list_taps(self, message: Message, emit: Emit) -> None:
        job = job_from(message["job"])
        listed = resolve_name(str(job.python.list_taps))(job)
        emit({"type": "taps", "taps": [asdict(tap) for tap in listed]})

    def _tap(self, message: Message, emit: Emit) -> None:
        session = message["session"]
        if session not in self._tapped:
            job = job_from(message["job"])
            self._tapped[session] = (job, _map_inputs(job), resolve_name(job.python.tap)(job, message["taps"]))
        job, inputs, tapped = self._tapped[session]
        start, stop = int(message["start"]), int(message["stop"])
        outputs, taps = tapped.call(_slices(inputs, start, stop))
        names = [*(f"output:{each.name}" for each in job.outputs), *message["taps"]]
        parts = list(zip(names, [*outputs, *taps], strict=True))
        emit({"type": "tapped", "tensors": write_answer(Path(message["file"]), parts, start, stop)})


def _run_batches(job: Job, call: Callable[[Sequence[Array]], list[Array]], emit: Emit) -> None:
    inputs = _map_inputs(job)
    outputs = [_map(each, job.stop, "r+") for each in job.outputs]
    for start in range(job.start, job.stop, job.batch_size):
        stop = min(start + job.batch_size, job.stop)
        batch = _slices(inputs, start, stop)
        began = time.perf_counter()
        results = call(batch)
        seconds = time.perf_counter() - began
        for target, file, result in zip(outputs, job.outputs, results, strict=True):
            if result.shape != (stop - start, *file.shape):
                raise TrialError(
                    f"the output '{file.name}' has the shape {result.shape}, and the reference's is "
                    f"{(stop - start, *file.shape)}"
                )
            target[start:stop] = result
        emit({"type": "progress", "done": stop, "seconds": seconds, "batch": stop - start})


def _map(file: TensorFile, n: int, mode: Any) -> Array:
    return np.memmap(file.file, np.dtype(file.dtype), mode, file.offset, (n, *file.shape))


def _map_inputs(job: Job) -> list[Array]:
    return [_map(each, job.stop, "r") for each in job.inputs]


def _slices(arrays: Sequence[Array], start: int, stop: int) -> list[Array]:
    return [np.asarray(array[start:stop]) for array in arrays]


def _check_batch(outputs: Sequence[Array], job: Job) -> None:
    for output in outputs:
        if output.ndim == 0 or len(output) != job.stop - job.start:
            raise TrialError(
                f"the model answers a batch of {job.stop - job.start} with an output of shape {output.shape}, "
                f"so its answers cannot be told apart by sample; export it with the batch as the first dimension"
            )


def _difference(one: Array, other: Array) -> float:
    """The largest difference as a share of the largest value; 1 where either is not finite in a place of its own."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return 1.0
    finite = np.isfinite(one)
    largest = float(np.abs(one[finite]).max(initial=0.0))
    apart = float(np.abs(one[finite] - other[finite]).max(initial=0.0))
    return apart / largest if largest else float(apart > 0)


if __name__ == "__main__":
    serve(_Worker().handle)
