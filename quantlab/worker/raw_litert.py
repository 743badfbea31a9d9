"""Calls a TFLite file with LiteRT as its manual says: `set_tensor` by index, or a signature's runner by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.runtimes.exchange import Job
from quantlab.worker.trying import RawCalls

__all__ = ["runner_calls", "set_tensor_calls"]

Array = npt.NDArray[Any]


def set_tensor_calls(job: Job) -> RawCalls:
    """Open a `.tflite` file whose inputs are set by their index."""

    def in_order(arrays: Sequence[Array]) -> list[tuple[str, Any]]:
        interpreter = _opened(job)
        details = interpreter.get_input_details()
        for place, values in enumerate(arrays):
            interpreter.set_tensor(details[place]["index"], values)
        interpreter.invoke()
        return [(one["name"], interpreter.get_tensor(one["index"])) for one in interpreter.get_output_details()]

    def by_name(_: Mapping[str, Array]) -> list[tuple[str, Any]]:
        raise TypeError("set_tensor takes the index of an input, and no name")

    _opened(job)
    return RawCalls(by_name, in_order)


def runner_calls(job: Job) -> RawCalls:
    """Open a `.tflite` file whose signature is called with inputs by name."""

    def run(*arrays: Array, **named: Array) -> list[tuple[str, Any]]:
        interpreter = _opened(job)
        runner = interpreter.get_signature_runner()
        answer = runner(*arrays, **named)
        # The runner sorts outputs by name; the details of the signature tell which tensor each is.
        tensors = {details["index"]: name for name, details in runner.get_output_details().items()}
        return [
            (tensors[one["index"]], answer[tensors[one["index"]]])
            for one in interpreter.get_output_details()
            if one["index"] in tensors
        ]

    if not _opened(job).get_signature_list():
        raise TrialError("the file has no signature, so it has no runner; its inputs are set by set_tensor")
    return RawCalls(by_name=lambda arrays: run(**arrays), in_order=lambda arrays: run(*arrays))


def _opened(job: Job) -> Any:
    """A new interpreter for each call: a refused one may leave it half prepared."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=job.artifact, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter
