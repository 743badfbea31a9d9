"""A stand-in for TensorFlow Serving: its REST protocol as documented, with a function in place of a model.

No server could be installed to record from: answers and errors are those of the documentation and of the sources of
TensorFlow Serving (`http_rest_api_handler.cc`, `json_tensor.cc`).
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

__all__ = ["StandIn", "serving"]

Array = npt.NDArray[Any]


@dataclass(slots=True)
class StandIn:
    """What is served, and how it misbehaves."""

    answer: Callable[[dict[str, Array]], dict[str, Array]]
    """Inputs by name → outputs by name."""
    inputs: Mapping[str, str]
    """Name → dtype."""
    name: str = "half"
    versions: Mapping[int, str] = field(default_factory=lambda: {1: "AVAILABLE"})
    signature: str = "serving_default"
    instead: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False
    """Called with each request to predict; whether it has answered it in its own way."""
    at_status: Callable[[BaseHTTPRequestHandler], bool] = lambda _: False
    """The same for requests for the status."""
    refuses_rows: bool = False
    seen: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests to predict."""
    paths: list[str] = field(default_factory=list)
    url: str = ""


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: ClassVar[StandIn]
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._try(self._status)

    def do_POST(self) -> None:
        self._try(self._predict)

    def _try(self, answer: Callable[[], dict[str, Any] | None]) -> None:
        try:
            said = answer()
        except _Refused as refused:
            self.send_json(refused.status, {"error": str(refused)})
        else:
            if said is not None:
                self.send_json(200, said)

    def _status(self) -> dict[str, Any] | None:
        if self.stand_in.at_status(self):
            return None
        match = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/(\d+))?", self.path)
        if match is None:
            raise _Refused(400, f"Malformed request: GET {self.path}")
        asked = {*self.stand_in.versions} if match[2] is None else {int(match[2])}
        states = {version: state for version, state in self.stand_in.versions.items() if version in asked}
        if match[1] != self.stand_in.name or not states:
            raise _Refused(404, f"Could not find any versions of model {match[1]}")
        status = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [
                {"version": str(version), "state": state, "status": status} for version, state in states.items()
            ]
        }

    def _version(self, pattern: str, method: str) -> int | None:
        match = re.fullmatch(pattern, self.path)
        if match is None:
            raise _Refused(400, f"Malformed request: {method} {self.path}")
        name, version = match[1], int(match[2]) if match[2] else None
        if name != self.stand_in.name or (version is not None and version not in self.stand_in.versions):
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise _Refused(404, f"Servable not found for request: {asked}")
        return version

    def _predict(self) -> dict[str, Any] | None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stand_in.paths.append(self.path)
        if self.stand_in.instead(self):
            return None
        self._version(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict", "POST")
        try:
            asked = json.loads(body)
        except ValueError:
            raise _Refused(400, "JSON Parse error: Invalid value. at offset: 0") from None
        self.stand_in.seen.append(asked)
        signature = asked.get("signature_name", "serving_default")
        if signature != self.stand_in.signature:
            raise _Refused(400, f'Serving signature name: "{signature}" not found in signature def')
        if "instances" in asked and not self.stand_in.refuses_rows:
            return self._rows(asked["instances"])
        if "inputs" in asked:
            return self._columns(asked["inputs"])
        raise _Refused(400, "Missing 'inputs' or 'instances' key")

    def _rows(self, instances: list[Any]) -> dict[str, Any]:
        names = [*self.stand_in.inputs]
        if not isinstance(instances[0], dict):
            if len(names) > 1:
                raise _Refused(
                    400,
                    "instances is a plain list, but expecting list of objects as multiple input tensors required as "
                    "per tensorinfo_map",
                )
            instances = [{names[0]: instance} for instance in instances]
        for place, instance in enumerate(instances):
            for name in instance:
                if name not in names:
                    raise _Refused(
                        400,
                        f"Failed to process element: {place} key: {name} of 'instances' list. Error: "
                        f"INVALID_ARGUMENT: JSON object: does not have named input: {name}",
                    )
        outputs = self._outputs({name: [instance[name] for instance in instances] for name in names})
        if len(outputs) == 1:
            return {"predictions": next(iter(outputs.values()))}
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]}

    def _columns(self, inputs: Any) -> dict[str, Any]:
        named = inputs if isinstance(inputs, dict) else {next(iter(self.stand_in.inputs)): inputs}
        for name in self.stand_in.inputs:
            if name not in named:
                raise _Refused(400, f"Missing named input: {name} in 'inputs' object.")
        outputs = self._outputs(named)
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}

    def _outputs(self, named: Mapping[str, Any]) -> dict[str, Any]:
        arrays = {name: np.array(values, self.stand_in.inputs[name]) for name, values in named.items()}
        return {name: _as_json(values) for name, values in self.stand_in.answer(arrays).items()}

    def send_json(self, status: int, document: Any) -> None:
        """Answer as the server does, indented."""
        self.send_bytes(status, json.dumps(document, indent=1).encode())

    def send_bytes(self, status: int, data: bytes, **headers: str) -> None:
        """Answer with any bytes."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def _as_json(values: Array) -> Any:
    """Float32 with the digits that it needs, as TensorFlow Serving writes it; not those of a float64."""
    if values.dtype != np.float32:
        return values.tolist()
    texts = np.array([float(str(value)) for value in values.ravel()], object)
    return texts.reshape(values.shape).tolist()


@contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve on a port of this machine, and stop at the end."""
    handler = type("Handler", (_Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}/v1/models/{stand_in.name}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
