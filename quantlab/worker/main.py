"""The process that runs variants in Python: `python -m quantlab.worker.main`.

It answers requests in sequence, so that TensorFlow is imported only once. `quantlab.runtimes.requests` lists them.
"""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.finite import spoiled_weights
from quantlab.processes import Document, serve, tagged
from quantlab.processes import Emit as EmitDocument
from quantlab.runtimes.requests import (
    ListTaps,
    NonFiniteWeights,
    Open,
    Prepare,
    Probe,
    Run,
    Tap,
    Time,
    Try,
    Wait,
    request_from,
)
from quantlab.types.messages import Opened, Ready, SpoiledWeights, TapList, Tapped
from quantlab.worker.batches import map_inputs, run_batches, slices
from quantlab.worker.emit import Emit
from quantlab.worker.execution import Execution, load_artifact, reading_artifact
from quantlab.worker.preparing import prepare_pictures
from quantlab.worker.probing import probed
from quantlab.worker.reference import open_once
from quantlab.worker.tapping import Scratch, TappedExecution
from quantlab.worker.timing import time_variant
from quantlab.worker.trying import tried_calls

__all__: list[str] = []

Array = npt.NDArray[Any]


class _Worker:
    """Keeps variants with taps open between requests, and one variant that is run in parts."""

    def __init__(self) -> None:
        self._tapped: dict[str, tuple[list[Array], TappedExecution]] = {}
        self._opened: tuple[str, Execution] | None = None

    def handle(self, document: Document, emit_document: EmitDocument) -> None:
        request = request_from(document)
        handlers: dict[type, Callable[[Any, Emit], None]] = {
            Open: self._open,
            Prepare: self._prepare,
            Probe: self._probe,
            Run: self._run,
            Wait: self._wait,
            Time: self._time,
            ListTaps: self._list_taps,
            Tap: self._tap,
            Try: self._try,
            NonFiniteWeights: self._non_finite_weights,
        }
        handlers[type(request)](request, lambda message: emit_document(tagged(message)))

    def _open(self, request: Open, emit: Emit) -> None:
        reference = open_once(request.job)
        emit(
            Opened(
                reference.description,
                str(reference.source),
                reference.format,
                reference.training_layers,
                reference.rescaling,
            )
        )

    def _prepare(self, request: Prepare, emit: Emit) -> None:
        emit(Ready("python", {}))
        prepare_pictures(request, emit)

    def _probe(self, request: Probe, emit: Emit) -> None:
        job = request.job
        emit(probed(job, slices(map_inputs(job), job.start, job.stop)))

    def _run(self, request: Run, emit: Emit) -> None:
        execution = self._execution(request)
        emit(Ready(execution.ran_on, execution.environment))
        run_batches(request.job, execution, emit)

    def _execution(self, request: Run) -> Execution:
        if self._opened is not None and self._opened[0] == request.opened:
            return self._opened[1]
        self._opened = None  # first, so that memory never holds two
        execution = load_artifact(request.job)
        if request.opened:
            self._opened = (request.opened, execution)
        return execution

    def _wait(self, request: Wait, _: Emit) -> None:
        importlib.import_module(request.job.python.library)

    def _time(self, request: Time, emit: Emit) -> None:
        job = request.job
        batch = [np.array(values) for values in slices(map_inputs(job), job.start, job.stop)]
        time_variant(job, batch, request.plan, emit)

    def _try(self, request: Try, emit: Emit) -> None:
        for tried in tried_calls(request):
            emit(tried)

    def _list_taps(self, request: ListTaps, emit: Emit) -> None:
        with reading_artifact(request.job):
            taps = tuple(resolve_name(str(request.job.python.list_taps))(request.job))
        emit(TapList(taps))

    def _non_finite_weights(self, request: NonFiniteWeights, emit: Emit) -> None:
        emit(SpoiledWeights(tuple(spoiled_weights(open_once(request.job).weights()))))

    def _tap(self, request: Tap, emit: Emit) -> None:
        job, start, stop = request.job, request.start, request.stop
        if job.taps is None:
            raise ValueError("a request for taps needs a job that names its taps")
        if job.taps.file not in self._tapped:
            with reading_artifact(job):
                tapped = resolve_name(job.python.tap)(job, job.taps.names)
            self._tapped[job.taps.file] = (map_inputs(job), tapped)
        inputs, execution = self._tapped[job.taps.file]
        began = time.perf_counter()
        outputs, taps = execution.call(slices(inputs, start, stop))
        seconds = time.perf_counter() - began
        with Scratch(Path(job.taps.file), stop - start) as scratch:
            said = scratch.write(zip((output.name for output in job.outputs), outputs, strict=True))
            tensors = scratch.write(zip(job.taps.names, taps, strict=True))
        emit(Tapped(start, stop, tensors, said, tuple(scratch.failed), seconds))


if __name__ == "__main__":
    serve(_Worker().handle)
