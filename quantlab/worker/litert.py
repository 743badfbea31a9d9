"""Runs a TFLite file with LiteRT, one sample per call as on phones, on one thread of XNNPACK."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.affine import decode_affine, encode
from quantlab.runtimes.exchange import Job, TensorFile
from quantlab.types import Codes
from quantlab.worker.execution import Execution
from quantlab.worker.tapping import TappedExecution, load_tapped, tapped_positions

__all__ = ["load", "tap"]

Array = npt.NDArray[Any]


def load(job: Job) -> Execution:
    """Load a `.tflite` file.

    For int8 or uint8 inputs, float samples are quantized with the file's scale and zero point, or with the job's, and
    outputs are dequantized. Applications do the same with such files.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=job.artifact, num_threads=1)
    inputs = interpreter.get_input_details()
    if sorted(file.position for file in job.inputs) != list(range(len(inputs))):
        raise TrialError(f"'{Path(job.artifact).name}' has {len(inputs)} inputs and the samples {len(job.inputs)}")
    outputs = [interpreter.get_output_details()[file.position] for file in job.outputs]
    ordered = [inputs[file.position] for file in job.inputs]
    _close_shapes(interpreter, ordered, job.inputs, Path(job.artifact).name)
    with _naming_ops():
        interpreter.allocate_tensors()

    def call(batches: Sequence[Array]) -> list[Array]:
        rows: list[list[Array]] = [[] for _ in outputs]
        for sample in range(len(batches[0])):
            interpreter.reset_all_variables()  # the state of an LSTM, which is another sample's
            for detail, file, batch in zip(ordered, job.inputs, batches, strict=True):
                interpreter.set_tensor(detail["index"], _encode(batch[sample : sample + 1], detail, file.codes))
            with _naming_ops():
                interpreter.invoke()
            for detail, kept in zip(outputs, rows, strict=True):
                kept.append(interpreter.get_tensor(detail["index"]))
        return [_decode(np.concatenate(kept), detail) for detail, kept in zip(outputs, rows, strict=True)]

    return Execution(call, {"kernels": "XNNPACK", "threads": "1"})


@contextmanager
def _naming_ops() -> Iterator[None]:
    """Turn LiteRT's error about an op that it cannot run into a sentence."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        told = re.match(r"(?:\S+/)?(.*?)\.? ?Node number (\d+) \((\w+)\) failed to (?:prepare|invoke)", text)
        if told is None:
            raise
        cause = re.sub(r"(?<=, got )\d+", lambda number: _DTYPES.get(int(number[0]), number[0]), told[1])
        raise TrialError(
            f"LiteRT cannot run the op {told[3]} (node {told[2]}) as it is in this file ({cause}); replace the layer "
            f"that uses it, or leave this setting out"
        ) from error


_DTYPES = {
    1: "float32",
    2: "int32",
    3: "uint8",
    4: "int64",
    5: "string",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float16",
}
"""The numbers of TfLiteType, in which LiteRT's errors name data types."""


def tap(job: Job, taps: Sequence[str]) -> TappedExecution:
    """Open a tapped copy of the file (see `quantlab.formats.tflite.tapped`), which has additional outputs."""
    extra = tuple(
        TensorFile(name, "", 0, (), "float32", name, position)
        for name, position in zip(taps, tapped_positions(job), strict=True)
    )
    return load_tapped(job, extra, load)


def _close_shapes(interpreter: Any, details: Sequence[Any], files: Sequence[TensorFile], name: str) -> None:
    """Resize inputs with open sizes to the shape of the samples."""
    for detail, file in zip(details, files, strict=True):
        wanted = [1, *file.shape]
        if list(detail["shape"]) == wanted:
            continue
        if len(detail["shape_signature"]) != len(wanted) or any(
            size not in (-1, want) for size, want in zip(detail["shape_signature"][1:], file.shape, strict=True)
        ):
            raise TrialError(
                f"the input '{file.name}' of '{name}' has the shape {tuple(detail['shape'].tolist())} and a sample "
                f"{tuple(wanted)}; give a file that was made from this model"
            )
        interpreter.resize_tensor_input(detail["index"], wanted)


def _encode(values: Array, detail: Any, codes: Codes | None) -> Array:
    """Quantize a float sample for an integer input; a sample in the data type of the input stays as it is."""
    dtype = np.dtype(detail["dtype"])
    if values.dtype == dtype:
        return values
    if dtype.kind not in "iu" or values.dtype.kind != "f" or codes is None:
        raise TrialError(f"the file takes {dtype.name} and the samples are {values.dtype.name}")
    return encode(values, codes, dtype)


def _decode(values: Array, detail: Any) -> Array:
    scale, zero_point = detail["quantization"]
    if values.dtype.kind not in "iu" or not scale:
        return values
    return decode_affine(values, scale, zero_point, axis=None)
