"""Runs an ONNX file with onnxruntime on its CPU provider, one sample per call and on one thread.

Dynamic quantization computes one range per batch, so outputs would depend on the other samples in the batch.
Applications usually send one sample.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.models import open_onnx_session
from quantlab.names import listed
from quantlab.runtimes.exchange import Job, TensorFile
from quantlab.worker.execution import Execution
from quantlab.worker.tapping import TappedExecution, load_tapped, tapped_positions

__all__ = ["load", "tap"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load an `.onnx` file; as in JavaScript, its inputs must have the dtypes of the samples."""
    session = open_onnx_session(Path(job.artifact), TrialError)
    taken = {argument.name: argument for argument in session.get_inputs()}
    if set(taken) != {file.tensor for file in job.inputs}:
        raise TrialError(
            f"'{Path(job.artifact).name}' takes {listed([*taken])}, and the samples are "
            f"{listed([file.tensor for file in job.inputs])}; give a file that was made from this model"
        )
    for file in job.inputs:
        _refuse_dtype(file, taken[file.tensor])
    names = [file.tensor for file in job.outputs]

    def call(batches: Sequence[Array]) -> list[Array]:
        rows: list[list[Array]] = [[] for _ in names]
        for sample in range(len(batches[0])):
            feeds = {file.tensor: batch[sample : sample + 1] for file, batch in zip(job.inputs, batches, strict=True)}
            for kept, value in zip(rows, _run(session, names, feeds), strict=True):
                kept.append(value)
        return [_together(kept) for kept in rows]

    return Execution(call, {"kernels": "CPUExecutionProvider", "threads": "1"})


def _together(rows: Sequence[Array]) -> Array:
    """Join single outputs to a batch: scalars are stacked, and different shapes give an object array."""
    if any(row.shape != rows[0].shape for row in rows):
        return np.empty((), object)
    return np.concatenate(rows) if rows[0].shape[:1] == (1,) else np.empty((), rows[0].dtype)


def tap(job: Job, taps: Sequence[str]) -> TappedExecution:
    """Open a tapped copy of the file (see `quantlab.formats.onnx.tapped`), which has additional outputs."""
    session = open_onnx_session(Path(job.artifact), TrialError)
    outputs = [output.name for output in session.get_outputs()]
    extra = tuple(
        TensorFile(name, "", 0, (), "float32", outputs[position], position)
        for name, position in zip(taps, tapped_positions(job), strict=True)
    )
    return load_tapped(job, extra, load)


_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}


def _refuse_dtype(file: TensorFile, taken: Any) -> None:
    name = _DTYPES.get(taken.type, taken.type.removeprefix("tensor(").removesuffix(")"))
    if name != file.dtype:
        raise TrialError(
            f"the input '{taken.name}' of the file takes {name}, and the samples are {file.dtype}; give a file "
            f"with the dtypes of the model's inputs"
        )


def _run(session: Any, names: Sequence[str], feeds: dict[str, Array]) -> list[Array]:
    try:
        outputs: list[Array] = session.run(names, feeds)
    except Exception as error:  # onnxruntime's exceptions have no other common base class
        raise TrialError(f"onnxruntime could not run the file: {' '.join(str(error).split())[:300]}") from error
    return outputs
