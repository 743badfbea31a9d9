"""Makes calls that may be wrong, as a user's own program does, and reports what became of each."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.runtimes.calls import Call, FedTensor
from quantlab.runtimes.exchange import Job
from quantlab.runtimes.requests import Try
from quantlab.types.messages import Tried, TriedOutput
from quantlab.worker.execution import reading_artifact

__all__ = ["RawCalls", "tried_calls"]

Array = npt.NDArray[Any]
Answer = Sequence[tuple[str, Any]]
"""Name and value of each output, in the artifact's order."""

_MOST_CHARACTERS = 300
_NOISE = re.compile(r"\x1b\[[0-9;]*m| ?Received args: .*", re.DOTALL)
"""Colours, and the arrays that TensorFlow quotes at the end of a message."""


@dataclass(frozen=True, slots=True)
class RawCalls:
    """An opened artifact, called as the manual of its library says; both may raise anything."""

    by_name: Callable[[Mapping[str, Array]], Answer]
    in_order: Callable[[Sequence[Array]], Answer]


def tried_calls(request: Try) -> Iterator[Tried]:
    """Yield the answer, or the refusal, of each call of a request.

    Raises:
        TrialError: If the artifact cannot be opened.
    """
    opener: Callable[[Job], RawCalls] = resolve_name(request.job.python.raw[request.way])
    with reading_artifact(request.job):
        calls = opener(request.job)
    for call in request.calls:
        yield _tried(calls, call)


def _tried(calls: RawCalls, call: Call) -> Tried:
    arrays = [_read(tensor) for tensor in call.inputs]
    names = [tensor.name for tensor in call.inputs]
    try:
        if call.passed == "by name":
            answer = calls.by_name(dict(zip(names, arrays, strict=True)))
        else:
            answer = calls.in_order(arrays)
        outputs = [
            _written(name, np.asarray(value), f"{call.outputs}-{place}.bin")
            for place, (name, value) in enumerate(answer)
        ]
    except Exception as error:  # noqa: BLE001 (what a library says to a wrong call is the result)
        return Tried((), _one_line(error))
    return Tried(tuple(outputs), None)


def _read(tensor: FedTensor) -> Array:
    return np.fromfile(tensor.file, np.dtype(tensor.dtype)).reshape(tensor.shape)


def _written(name: str, values: Array, file: str) -> TriedOutput:
    Path(file).write_bytes(np.ascontiguousarray(values).tobytes())
    return TriedOutput(name, file, tuple(values.shape), values.dtype.name)


def _one_line(error: Exception) -> str:
    text = " ".join(_NOISE.sub("", str(error)).split()) or type(error).__name__
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
