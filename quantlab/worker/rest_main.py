"""The process that asks a server: `python -m quantlab.worker.rest_main`.

It answers the requests of `quantlab.runtimes.requests` that children of all runtimes understand. Its address and its
limits are in the environment. Asked for the `STATUS`, it says which version of the model the server has.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.errors import TrialError
from quantlab.formats.savedmodel.artifact import signature_of
from quantlab.names import without_controls
from quantlab.processes import Document, serve, tagged
from quantlab.processes import Emit as EmitDocument
from quantlab.runtimes.exchange import Job
from quantlab.runtimes.requests import Run, Wait, request_from
from quantlab.runtimes.serving import ADDRESS, LIMITS, MODEL_VERSION, STATUS, Address, Limits
from quantlab.types.messages import Ready
from quantlab.worker.batches import map_inputs, run_batches, slices
from quantlab.worker.emit import Emit
from quantlab.worker.execution import Execution
from quantlab.worker.rest_errors import explained
from quantlab.worker.rest_http import Answer, Connection
from quantlab.worker.rest_json import BYTES_PER_VALUE, columns_of, in_columns, in_rows, read_answer, rows_of

__all__ = ["Refused", "Server", "load"]

Array = npt.NDArray[Any]

_SMALL_BYTES = 1 << 16
"""Most bytes of a status, and of what an answer has besides its values."""
_BAD_REQUEST = 400
_VERSION = re.compile("[0-9]{1,19}")
"""A version is an int64."""
_DEFAULT_SIGNATURE = "serving_default"


class Refused(TrialError):
    """The server answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(explained(status, text))
        self.status = status


@dataclass(frozen=True, slots=True)
class Server:
    """A model of a server."""

    address: Address
    connection: Connection

    @classmethod
    def from_environment(cls) -> "Server":
        """The server that the parent named."""
        address = Address(**json.loads(os.environ[ADDRESS]))
        return cls(address, Connection(address, Limits(**json.loads(os.environ[LIMITS]))))

    def version(self) -> str:
        """The newest version that is available, or the one that the address names.

        Raises:
            TrialError: If the server does not serve the model.
        """
        answer = self.connection.ask("GET", self.address.path + self.address.version, most_bytes=_SMALL_BYTES)
        told = _checked(answer).get("model_version_status")
        if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
            raise TrialError(
                f"{self.address} does not answer with the status of a model; is it TensorFlow Serving's REST port?"
            )
        states = {str(one.get("version")): str(one.get("state")) for one in told}
        available = [one for one, state in states.items() if state == "AVAILABLE" and _VERSION.fullmatch(one)]
        if not available:
            errors = [one["status"] for one in told if isinstance(one.get("status"), dict)]
            said = "; ".join(filter(None, (str(one.get("error_message") or "") for one in errors)))
            why = f": {said[:300]}" if said else ""
            listed = ", ".join(f"version {version} is {state}" for version, state in states.items()) or "it has none"
            raise TrialError(
                f"the server at {self.address} has no available version of the model "
                f"({without_controls(listed[:300] + why)}); wait until it is loaded, or look into the server's log"
            )
        return max(available, key=int)

    def predict(self, body: bytes, values: int) -> dict[str, Any]:
        """The JSON object that answers a request for outputs of some number of values.

        Raises:
            Refused: If the server answers with an error.
            TrialError: If it gives no whole answer within the limits.
        """
        path = f"{self.address.path}{self.address.version}:predict"
        most = max(values, 1) * BYTES_PER_VALUE + _SMALL_BYTES
        return _checked(self.connection.ask("POST", path, body, most_bytes=most))


def _checked(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer that is no error."""
    if answer.status == 200:
        said = read_answer(answer.body)
        if set(said) == {"error"}:
            raise Refused(answer.status, str(said["error"]))
        return said
    try:
        text = str(read_answer(answer.body).get("error", ""))
    except TrialError:  # a proxy answers with a page
        text = ""
    raise Refused(answer.status, text)


def load(job: Job, server: Server) -> Execution:
    """Find out in which form the server takes the job's samples, with the first of them.

    Rows ('instances') are tried first, as most clients send them, then columns ('inputs').

    Raises:
        TrialError: If it takes them in neither form.
    """
    signature, inputs, outputs = signature_of(Path(job.artifact))
    taken = [inputs[file.position].name for file in job.inputs]
    given = [outputs[file.position].name for file in job.outputs]
    dtypes = [file.dtype for file in job.outputs]
    values = sum(prod(file.shape) for file in job.outputs)
    named = None if signature == _DEFAULT_SIGNATURE else signature

    def rows(batches: Sequence[Array]) -> list[Array]:
        body = in_rows(dict(zip(taken, batches, strict=True)), named)
        return rows_of(server.predict(body, values * len(batches[0])), given, dtypes)

    def columns(batches: Sequence[Array]) -> list[Array]:
        body = in_columns(dict(zip(taken, batches, strict=True)), named)
        return columns_of(server.predict(body, values * len(batches[0])), given, dtypes)

    first = slices(map_inputs(job), 0, 1)
    try:
        rows(first)
    except Refused as refused:
        # A server that is not ready, or asks for a password, says nothing about the form.
        if refused.status != _BAD_REQUEST or not _takes(columns, first):
            raise
        facts = {"request": "inputs", "rows_refused": str(refused)}
        return Execution(_fitting(columns, job), facts, ran_on=_RAN_ON, row_by_row=True)
    facts = {"request": "instances"}
    return Execution(_fitting(rows, job), facts, ran_on=_RAN_ON, row_by_row=True, columns=columns)


def _fitting(call: Callable[[Sequence[Array]], list[Array]], job: Job) -> Callable[[Sequence[Array]], list[Array]]:
    """The same call; its answers must have the shapes of the reference's."""

    def checked(batches: Sequence[Array]) -> list[Array]:
        results, n = call(batches), len(batches[0])
        for file, result in zip(job.outputs, results, strict=True):
            if result.shape != (expected := (n, *file.shape)):
                raise TrialError(
                    f"the output '{file.name}' has the shape {result.shape}, and the reference's is {expected}; serve "
                    f"the SavedModel that the study is about"
                )
        return results

    return checked


def _takes(call: Callable[[Sequence[Array]], list[Array]], batches: Sequence[Array]) -> bool:
    try:
        call(batches)
    except Refused:
        return False
    return True


_RAN_ON = "serving-rest"


def _run(job: Job, emit: Emit) -> None:
    execution = load(job, Server.from_environment())
    emit(Ready(execution.ran_on, execution.environment))
    run_batches(job, execution, emit)


def _handle(document: Document, emit_document: EmitDocument) -> None:
    if document == STATUS:
        version = Server.from_environment().version()
        emit_document(tagged(Ready(_RAN_ON, {MODEL_VERSION: version})))
        return
    request = request_from(document)
    if isinstance(request, Run):
        _run(request.job, lambda message: emit_document(tagged(message)))
    elif not isinstance(request, Wait):
        raise TrialError(f"a server answers only requests to run a model, and was asked to {request.request} it")


if __name__ == "__main__":
    serve(_handle)
