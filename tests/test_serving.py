"""A server as a runtime: its address, the JSON of its requests, what its errors mean, and servers that misbehave.

The servers are stand-ins (`serving_stand_in`), since no real one can be installed for the tests.
"""

import contextlib
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from saved_model_bytes import write_saved_model
from serving_stand_in import StandIn, serving

from quantlab.errors import RuntimeUnavailable, TrialError, UsageError
from quantlab.formats import FORMATS
from quantlab.runtimes import Job, create_output, protocol, tensor_file
from quantlab.runtimes.serving import REST, Address, Limits, read_address, rest_at
from quantlab.types import Port, TensorSpec
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Done, Failed, Progress, Ready, Repeated
from quantlab.worker.rest_errors import ERRORS, explained
from quantlab.worker.rest_http import Connection
from quantlab.worker.rest_json import columns_of, in_columns, in_rows, read_answer, rows_of

F = np.float32


@pytest.mark.parametrize(
    ("url", "address"),
    [
        pytest.param(
            "http://localhost:8501/v1/models/half",
            Address("http", "localhost", 8501, "/v1/models/half"),
            id="the newest version",
        ),
        pytest.param(
            "http://localhost/v1/models/half:predict",
            Address("http", "localhost", 8501, "/v1/models/half"),
            id="verb",
        ),
        pytest.param(
            "https://models.example.org/v1/models/half/versions/3",
            Address("https", "models.example.org", 443, "/v1/models/half", "/versions/3"),
            id="a version, in TLS",
        ),
        pytest.param(
            "http://[::1]:80/v1/models/half/labels/stable",
            Address("http", "::1", 80, "/v1/models/half", "/labels/stable"),
            id="a label, on IPv6",
        ),
        pytest.param(
            "http://localhost/v1/models/my größe/labels/so so",
            Address("http", "localhost", 8501, "/v1/models/my%20gr%C3%B6%C3%9Fe", "/labels/so%20so"),
            id="a space and letters that are not ASCII",
        ),
        pytest.param(
            "http://localhost/v1/models/my%20half+1",
            Address("http", "localhost", 8501, "/v1/models/my%20half+1"),
            id="percent-encoded already",
        ),
        pytest.param(
            "http://localhost/v1/models/50%",
            Address("http", "localhost", 8501, "/v1/models/50%25"),
            id="a percent sign",
        ),
    ],
)
def test_addresses(url, address):
    assert read_address(url) == address
    assert read_address(str(address)) == address


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param("localhost:8501", "is not the address of a model of a server", id="no scheme"),
        pytest.param("http://localhost:8501", "is not the address of a model of a server", id="no model"),
        pytest.param("ftp://localhost/v1/models/half", "is not the address of a model of a server", id="FTP"),
        pytest.param("file:///v1/models/half", "is not the address of a model of a server", id="a file"),
        pytest.param("http://localhost/v1/models/a/../b", "is not the address of a model", id="another path"),
        pytest.param("http://localhost/v1/models/half?x=1", "is not the address of a model of a server", id="a query"),
        pytest.param("http://me:secret@host/v1/models/half", "takes no user name or password", id="a password"),
        pytest.param(f"http://h/v1/models/a/versions/{'9' * 5000}", "is not the address of a model", id="no int64"),
        pytest.param("http://a b/v1/models/half", "is not the address of a model of a server", id="no host"),
        pytest.param("http://localhost:99999/v1/models/half", "is no address (Port out of range 0-65535)", id="a port"),
    ],
)
def test_what_is_no_address(url, words):
    with pytest.raises(UsageError) as refused:
        read_address(url)
    assert words in str(refused.value)
    assert "write http://HOST:PORT/v1/models/NAME" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_without_an_address():
    with pytest.raises(RuntimeUnavailable, match=r"^serving-rest needs the address of a server; give it"):
        REST.environment(FORMATS["savedmodel"])


@given(arrays.arrays(np.float32, (2, 3), elements=st.floats(width=32)))
def test_every_float32_crosses_with_its_bits(values):
    """There as a float64 that the server rounds, and back with the digits that a float32 needs."""
    there = np.array(json.loads(in_rows({"x": values}))["instances"]).astype(np.float32)
    short = [[float(str(value)) for value in row] for row in values]
    (back,) = rows_of(read_answer(json.dumps({"predictions": short}).encode()), ["y"], ["float32"])
    for crossed in (there, back):
        np.testing.assert_array_equal(crossed, values)
        numbers = ~np.isnan(values)  # JSON has one NaN, without a sign
        np.testing.assert_array_equal(np.signbit(crossed[numbers]), np.signbit(values[numbers]))


@given(arrays.arrays(np.int64, (2, 2), elements=st.integers(-(2**63), 2**63 - 1)))
def test_every_integer_crosses(values):
    there = json.loads(in_columns({"x": values}))["inputs"]["x"]
    (back,) = columns_of({"outputs": there}, ["y"], ["int64"])
    np.testing.assert_array_equal(back, values)


def test_requests_of_several_inputs():
    inputs = {"a": F([[1], [2]]), "b": np.array([b"\xff", b"x"])}
    assert json.loads(in_rows(inputs, "other")) == {
        "signature_name": "other",
        "instances": [{"a": [1.0], "b": {"b64": "/w=="}}, {"a": [2.0], "b": {"b64": "eA=="}}],
    }
    assert json.loads(in_columns(inputs)) == {"inputs": {"a": [[1.0], [2.0]], "b": [{"b64": "/w=="}, {"b64": "eA=="}]}}


def test_answers_with_words_for_numbers():
    answer = read_answer(b'{"predictions": [[NaN, Infinity], [-Infinity, 1e-45]]}')
    np.testing.assert_array_equal(rows_of(answer, ["y"], ["float32"])[0], F([[np.nan, np.inf], [-np.inf, 1e-45]]))


@pytest.mark.parametrize(
    ("body", "names", "dtypes", "message"),
    [
        pytest.param("<html>no", ["y"], ["float32"], "the server's answer is not JSON (", id="a page"),
        pytest.param("[1]", ["y"], ["float32"], "the server's answer is not a JSON object; it begins", id="a list"),
        pytest.param("[" * 100_000, ["y"], ["float32"], "the server's answer is not JSON (it is nested", id="nested"),
        pytest.param(
            '{"outputs": []}',
            ["y"],
            ["float32"],
            "the server's answer has no 'predictions'; it has 'outputs'",
            id="columns",
        ),
        pytest.param(
            '{"predictions": {"y": 1}}',
            ["y"],
            ["float32"],
            "the server's 'predictions' are an object, and not a list with one for each sample",
            id="one object",
        ),
        pytest.param(
            '{"predictions": [[1], [1, 2]]}',
            ["y"],
            ["float32"],
            "the output 'y' of the server's answer is no tensor: its lists differ in length",
            id="ragged",
        ),
        pytest.param(
            '{"predictions": [["a"]]}',
            ["y"],
            ["float32"],
            "the output 'y' of the server's answer holds a string, and the model's is float32",
            id="strings",
        ),
        pytest.param(
            '{"predictions": [[1.5], [true]]}',
            ["y"],
            ["float32"],
            "the output 'y' of the server's answer holds a boolean, and the model's is float32",
            id="a boolean among numbers",
        ),
        pytest.param(
            '{"predictions": [[null]]}',
            ["y"],
            ["float32"],
            "the output 'y' of the server's answer holds null, and the model's is float32",
            id="null",
        ),
        pytest.param(
            '{"predictions": [[1.5]]}',
            ["y"],
            ["int32"],
            "the output 'y' of the server's answer holds the number 1.5, and the model's is int32",
            id="a fraction for an integer",
        ),
        pytest.param(
            '{"predictions": [[1e39]]}',
            ["y"],
            ["float32"],
            "the output 'y' of the server's answer holds 1e+39, which float32 cannot hold",
            id="too large for float32",
        ),
        pytest.param(
            '{"predictions": [300]}',
            ["y"],
            ["uint8"],
            "the output 'y' of the server's answer holds 300, which uint8 cannot hold",
            id="too large for uint8",
        ),
        pytest.param(
            '{"predictions": [1.0]}',
            ["y", "z"],
            ["float32", "float32"],
            "the server's answer has one output without a name, and the model has 'y', 'z'; give the address of this "
            "model",
            id="an output too few",
        ),
        pytest.param(
            '{"predictions": [{"a": 1}]}',
            ["y"],
            ["float32"],
            "the server's answer lacks the output 'y'; it has 'a'",
            id="another name",
        ),
    ],
)
def test_answers_that_do_not_fit(body, names, dtypes, message):
    with pytest.raises(TrialError) as refused:
        rows_of(read_answer(body.encode()), names, dtypes)
    assert str(refused.value).startswith(message)


SAID = [
    (404, "Servable not found for request: Latest(half)", "the server has no model 'half'; "),
    (
        404,
        "Servable not found for request: Specific(half, 7)",
        "the server does not serve version 7 of the model",
    ),
    (404, "Could not find any versions of model half", "the server has no version of the model 'half'; "),
    (400, "Malformed request: POST /v1/model/half:predict", "the server knows no '/v1/model/half:predict'; "),
    (400, "Failed to convert version: 99999999999999999999 to numeric.", "the version '99999999999999999999' is not a"),
    (400, "Missing model name in request.", "the address in --serving lacks the name of the model"),
    (
        400,
        'Serving signature name: "scores" not found in signature def',
        "the served model has no signature 'scores'",
    ),
    (
        400,
        "Failed to get input map for signature: DEFAULT",
        "the signature 'DEFAULT' of the served model",
    ),
    (
        400,
        (
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        ),
        "the served model has several inputs, and the model of the study has one",
    ),
    (
        400,
        "inputs is a plain value/list, but expecting an object as multiple input tensors required",
        "the served model has several inputs, and the model of the study has one",
    ),
    (
        400,
        ("Failed to process element: 0 key: x of 'instances' list. Error: JSON object: does not have named input: x"),
        "the served model has no input 'x'; ",
    ),
    (400, "Missing named input: image in 'inputs' object.", "the served model has an input 'image', which the model"),
    (
        400,
        "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: a,b",
        "the served model has the inputs a,b, and not those of the model of the study",
    ),
    (
        400,
        "JSON Value: 1.5 Type: Number is not of expected type: int32",
        "the served model takes int32, and the",
    ),
    (
        400,
        "Cannot convert JSON value: 1e+39 to float without loss of precision.",
        "the value 1e+39 does not fit into float, which the served model takes; ",
    ),
    (400, "Conversion of JSON Value: 0.5 to type: half", "the REST protocol has no values of type half; send float32"),
    (400, "Expecting tensor size: 4 but got: 3", "samples of one request have different shapes, one of them 3"),
    (400, "Expecting shape [2,2] but got: [4,1]", "samples of one request have different shapes, one of them [4,1]"),
    (
        400,
        "JSON Value: 1 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        "the nested lists of a sample",
    ),
    (400, "Encountered list at unexpected level: 1 expected < 1", "the nested lists of a sample are no tensor"),
    (400, "Encountered list at unexpected size: 3 at level: 1 expected size: 2", "the nested lists of a sample"),
    (
        400,
        "JSON Value: {} not formatted correctly for base64 data",
        "the served model takes bytes, which are sent",
    ),
    (400, "Unable to base64 decode", 'the served model takes bytes, which are sent as {"b64": …}'),
    (400, "Tensor name: y has inconsistent batch size: 1 expecting: 2", "an output of the served model has no batch"),
    (
        400,
        "JSON Parse error: Invalid value. at offset: 7",
        "the server could not read the request as JSON (Inv",
    ),
    (400, "Missing 'inputs' or 'instances' key", "the server expects a request of another form"),
    (
        400,
        "JSON Value: {} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
        "the server expects a request of another form",
    ),
    (400, "JSON Value: {} Excepting 'instances' to be an list/array", "the server expects a request of another form"),
    (400, "JSON Value: {} No values in 'instances' array", "the server expects a request of another form"),
    (400, "JSON Value: 1 Is not object", "the server expects a request of another form"),
    (
        400,
        "JSON Value: {} not formatted correctly. 'signature_name' key must be a string value.",
        "the server expects a request of another form",
    ),
    (
        400,
        "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
        "the served model has another number of inputs (1!=2)",
    ),
    (400, "input must be 4-dimensional[2,28,28]", "the samples have another rank or shape than the served model takes"),
    (
        400,
        "Matrix size-incompatible: In[0]: [1,3], In[1]: [4,8]",
        "the samples have another rank or shape",
    ),
    (400, "Could not find variable dense/kernel.", "the served model has variables that were not loaded"),
    (401, "", "the server asks for a password or token"),
    (403, "", "the server does not allow the request"),
    (404, "", "the server has no model at this address; correct --serving (HTTP status 404)"),
    (413, "", "the request is too large for the server; "),
    (429, "", "the server refuses so many requests; "),
    (500, "", "the server failed; its log may say why (HTTP status 500)"),
    (502, "", "a proxy before the server got no valid answer"),
    (503, "", "the server is not ready; "),
    (504, "", "a proxy before the server got no answer in time"),
    (418, "a teapot", "the server refused the request (HTTP status 418: a teapot)"),
]
"""Status and error of TensorFlow Serving, and how the sentence about it begins."""


@pytest.mark.parametrize(("status", "error", "begins"), SAID, ids=[f"{one[0]} {one[1][:40]}" for one in SAID])
def test_every_documented_error_has_its_sentence(status, error, begins):
    sentence = explained(status, error)
    assert sentence.startswith(begins)
    assert error.strip()[:40] in sentence
    assert "{" not in begins or "{0}" not in sentence


def test_what_to_do_is_said_of_what_does_not_fit():
    with pytest.raises(TrialError) as refused:
        read_answer(b"<html>no")
    assert str(refused.value) == (
        "the server's answer is not JSON (Expecting value: line 1 column 1 (char 0)); it begins with '<html>no'; "
        "correct --serving if this is not TensorFlow Serving"
    )
    assert explained(400, "JSON Value: 1.5 Type: Number is not of expected type: int32").startswith(
        "the served model takes int32, and the samples hold 1.5; give samples in the dtype of the served model, or "
    )
    assert "quantlab sends one shape; look for what changes requests" in explained(
        400, "Expecting tensor size: 4 but got: 3"
    )


def test_every_known_error_is_tried():

    tried = {
        next((place for place, one in enumerate(ERRORS) if re.search(one.pattern, said)), None) for _, said, _ in SAID
    }
    assert tried >= set(range(len(ERRORS)))


def test_a_long_error_is_cut():
    assert len(explained(400, "x" * 10_000)) < 500


def test_a_servers_escape_codes_are_dropped():
    for sentence in (
        explained(418, "\x1b]0;owned\x07\x9b2Jtea"),
        explained(404, "Servable not found for request: Latest(\x1b[2Jhalf)"),
        refusal_of(b"\x1b]0;owned\x07<html>"),
    ):
        assert sentence.isprintable()
    assert explained(418, "\x1b]0;owned\x07tea") == "the server refused the request (HTTP status 418: ]0;ownedtea)"


def refusal_of(body: bytes) -> str:
    with pytest.raises(TrialError) as refused:
        read_answer(body)
    return str(refused.value)


# A server and a job


WEIGHTS = F([[1, 2], [3, 4], [-1, 0.5]])
SAMPLES = 7


def linear(inputs):
    return {"scores": inputs["x"] @ WEIGHTS}


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(linear, {"x": "float32"})


@pytest.fixture
def make_job(tmp_path):
    """A job over seven samples for a SavedModel with one input of three and an output of two."""

    def make(signature: str = "serving_default") -> Job:
        artifact = write_saved_model(
            tmp_path / "saved_model",
            inputs={"x": ("serving_default_x:0", (3,))},
            outputs={"scores": ("StatefulPartitionedCall:0", (2,))},
            signatures=(signature,),
        )
        samples = np.random.default_rng(0).normal(size=(SAMPLES, 3)).astype(np.float32)
        np.save(tmp_path / "x.npy", samples)
        create_output(tmp_path / "scores.npy", n=SAMPLES, shape=(2,), dtype="float32")
        ports = [PORTS["x"], PORTS["scores"]]
        files = [tensor_file(tmp_path / f"{port.name}.npy", TensorSpec(port.name, (), ""), port, 0) for port in ports]
        python = FORMATS["savedmodel"].python
        return Job("savedmodel", str(artifact), "", 3, 0, SAMPLES, (files[0],), (files[1],), ExecutorOptions(), python)

    return make


def outputs_of(job: Job):
    return np.load(job.outputs[0].file)


def expected_of(job: Job):
    return np.load(job.inputs[0].file) @ WEIGHTS


PORTS = {
    "x": Port("x", "serving_default_x:0", 0, (None, 3), "float32"),
    "scores": Port("scores", "StatefulPartitionedCall:0", 0, (None, 2), "float32"),
}

LIMITS = Limits(seconds=1.0, requests=100, response_bytes=100_000)


def ran(url: str, job: Job, workbench, limits: Limits = LIMITS):
    return list(protocol.run(rest_at(url, limits), job, workbench.pool))


pytestmark = pytest.mark.starts_children


def test_a_server_is_asked_in_rows_alone_and_in_columns(stand_in, make_job, workbench):
    job = make_job()
    with serving(replace(stand_in, versions={2: "END", 5: "AVAILABLE", 10: "AVAILABLE", 11: "LOADING"})) as served:
        runtime = rest_at(served.url, LIMITS)
        environment = runtime.environment(FORMATS["savedmodel"])
        messages = list(protocol.run(runtime, job, workbench.pool))
    assert environment["model_version"] == "10"
    assert environment["server"] == served.url
    assert set(served.paths) == {"/v1/models/half/versions/10:predict"}
    np.testing.assert_array_equal(outputs_of(job), expected_of(job))
    progress = [message for message in messages if isinstance(message, Progress)]
    assert [type(message) for message in messages] == [Ready, *[Progress] * len(progress), *[Repeated] * 3, Done]
    assert (progress[0].done, progress[-1].done, sum(one.batch for one in progress)) == (3, 7, 7)
    assert (messages[0].ran_on, messages[0].environment) == ("serving-rest", {"request": "instances"})
    repeated = messages[-4:-1]
    assert [(one.way, one.samples, one.differing) for one in repeated] == [
        ("again", 3, 0),
        ("alone", 3, repeated[1].differing),
        ("columns", 3, 0),
    ]
    # One sample to find out the form, three batches, and the first of them again, alone and in columns.
    assert [(len(body.get("instances", ())), "inputs" in body) for body in served.seen] == [
        *[(1, False), (3, False), (3, False), (1, False), (3, False), (1, False), (1, False), (1, False)],
        (0, True),
    ]


def test_a_server_that_refuses_rows_gets_columns(stand_in, make_job, workbench):
    job = make_job()
    with serving(replace(stand_in, refuses_rows=True)) as served:
        ready, *_, last = ran(served.url, job, workbench)
    assert last == Done()
    assert ready.environment["request"] == "inputs"
    assert ready.environment["rows_refused"].startswith("the server expects a request of another form")
    np.testing.assert_array_equal(outputs_of(job), expected_of(job))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(401, "the server asks for a password or token", id="a password"),
        pytest.param(429, "the server refuses so many requests", id="too many requests"),
        pytest.param(503, "the server is not ready", id="not ready"),
    ],
)
def test_a_passing_error_does_not_blame_the_rows(status, words, stand_in, make_job, workbench):
    first = iter([answers(status, b"")])

    def once(handler):
        return any(answer(handler) for answer in first)

    with serving(replace(stand_in, instead=once)) as served:
        last = ran(served.url, make_job(), workbench)[-1]
    assert isinstance(last, Failed)
    assert last.reason.startswith(words)


def test_another_signature_is_named_in_each_request(stand_in, make_job, workbench):
    job = make_job("scores")
    with serving(replace(stand_in, signature="scores")) as served:
        assert ran(served.url, job, workbench)[-1] == Done()
    assert {body["signature_name"] for body in served.seen} == {"scores"}


def test_nan_and_infinity_come_as_they_are(stand_in, make_job, workbench):
    job = make_job()
    spoiled = replace(stand_in, answer=lambda inputs: {"scores": F([[np.nan, -np.inf]] * len(inputs["x"]))})
    with serving(spoiled) as served:
        messages = ran(served.url, job, workbench)
    assert messages[-1] == Done()
    np.testing.assert_array_equal(outputs_of(job), F([[np.nan, -np.inf]] * SAMPLES))


def test_a_server_that_counts_its_calls_is_told_apart(stand_in, make_job, workbench):
    calls = iter(range(100))
    counting = replace(stand_in, answer=lambda inputs: {"scores": linear(inputs)["scores"] + F(next(calls))})
    with serving(counting) as served:
        messages = ran(served.url, make_job(), workbench)
    again = next(one for one in messages if isinstance(one, Repeated) and one.way == "again")
    assert (again.differing, again.largest) == (3, pytest.approx(3, abs=1e-5))


def hang(_):
    time.sleep(30)
    return True


def written_for_ever(handler, part):
    """A part every tenth of a second, until the client goes away."""
    try:
        while True:
            handler.wfile.write(part)
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        return True


def drip(handler):
    """A byte every tenth of a second, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "50000")
    handler.end_headers()
    return written_for_ever(handler, b" ")


def drip_to_the_end(handler):
    """The same in an answer that ends with the connection."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    return written_for_ever(handler, b" ")


def drip_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    return written_for_ever(handler, b"X-More: 1\r\n")


def close(handler):
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)
    return True


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"predictions": [[1, 2')
    handler.close_connection = True
    return True


def promise_two_gigabytes(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(2 * 2**30))
    handler.end_headers()
    return True


def send_without_end(handler):
    """Two GB in chunks, if the client reads them."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        for _ in range(2 * 2**30 // 0x10000):
            handler.wfile.write(block)
    except OSError:
        handler.close_connection = True
    return True


def answers(status, data, **headers):
    def answer(handler):
        handler.send_bytes(status, data, **headers)
        return True

    return answer


HOSTILE = [
    pytest.param(hang, "took more than 1 seconds for a request; ", id="hangs"),
    pytest.param(drip, "took more than 1 seconds for a request; ", id="sends a byte now and then"),
    pytest.param(drip_to_the_end, "took more than 1 seconds for a request; ", id="sends bytes until it closes"),
    pytest.param(drip_headers, "took more than 1 seconds for a request; ", id="sends headers now and then"),
    pytest.param(close, "closed the connection before it had answered (", id="closes"),
    pytest.param(cut, "ends after 22 of 1,000 bytes; its log may say why", id="truncates"),
    pytest.param(promise_two_gigabytes, "sends an answer of 2,147,483,648 bytes, and at most", id="announces 2 GB"),
    pytest.param(send_without_end, "sends an answer of more than 65,664 bytes, and at most 65,664", id="sends 2 GB"),
    pytest.param(answers(200, b"<html>"), "the server's answer is not JSON (", id="a page"),
    pytest.param(answers(200, b"\xff\xfe\x00"), "the server's answer is not JSON (", id="bytes"),
    pytest.param(answers(200, b"{}"), "the server's answer has no 'predictions'; it has nothing", id="nothing"),
    pytest.param(
        answers(200, b'{"predictions": []}'),
        "the output 'scores' has the shape (0,), and the reference's",
        id="no rows",
    ),
    pytest.param(
        answers(200, b'{"predictions": [[1, 2, 3]]}'),
        "the output 'scores' has the shape (1, 3), and the reference's is (3, 2); serve the SavedModel that the study",
        id="a class more",
    ),
    pytest.param(
        answers(302, b"", Location="http://elsewhere.example.org/"),
        "sends requests on to 'http://elsewhere.example.org/', which quantlab does not follow; ",
        id="redirects",
    ),
    pytest.param(
        answers(302, b"", Location="http://\x1b]0;owned\x07elsewhere/"),
        "sends requests on to 'http://]0;ownedelsewhere/', which",
        id="redirects with escape codes",
    ),
    pytest.param(answers(502, b"<h1>Bad gateway"), "a proxy before the server got no valid answer", id="a proxy"),
    pytest.param(
        answers(200, b'{"error": "Could not find variable x"}'),
        "the served model has variables",
        id="an error as success",
    ),
]


@pytest.mark.parametrize(("instead", "words"), HOSTILE)
def test_a_server_that_misbehaves_is_a_row(instead, words, stand_in, make_job, workbench):
    with serving(replace(stand_in, instead=instead)) as served:
        last = ran(served.url, make_job(), workbench)[-1]
    assert isinstance(last, Failed)
    assert words in last.reason
    assert last.expected
    assert "\n" not in last.reason


def test_two_gigabytes_take_no_memory(stand_in):
    with serving(replace(stand_in, instead=send_without_end)) as served:
        connection = Connection(read_address(served.url), LIMITS)
        tracemalloc.start()
        with pytest.raises(
            TrialError, match="sends an answer of more than 100,000 bytes, and at most 100,000 are read"
        ):
            connection.ask("POST", "/v1/models/half:predict", b"{}", most_bytes=2**40)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_socket_that_comes_late_is_not_used(stand_in):
    """The time may be over before there is a socket, as with a name that has several addresses."""

    class SlowConnection(Connection):
        def _connection(self):
            connection = super()._connection()
            connect = connection.connect

            def connect_slowly():
                time.sleep(0.2)
                connect()

            connection.connect = connect_slowly
            return connection

    with serving(stand_in) as served:
        connection = SlowConnection(read_address(served.url), replace(LIMITS, seconds=0.1))
        with pytest.raises(TrialError, match=r"took more than 0\.1 seconds for a request"):
            connection.ask("POST", "/v1/models/half:predict", b"{}", most_bytes=1000)
    assert served.paths == []


NO_INT64 = {"model_version_status": [{"version": "9" * 5000, "state": "AVAILABLE"}]}


def test_too_many_requests(stand_in, make_job, workbench):
    with serving(stand_in) as served:
        last = ran(served.url, make_job(), workbench, replace(LIMITS, requests=2))[-1]
    assert last.reason == (
        "the samples need more than 2 requests to the server; score fewer with --limit, or send more in each with "
        "--batch-size"
    )
    assert len(served.seen) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"name": "other"}, "the server has no version of the model 'other'", id="another name"),
        pytest.param(
            {"versions": {1: "LOADING"}},
            "has no available version of the model (version 1 is LOADING); wait until it is loaded",
            id="still loading",
        ),
        pytest.param(
            {"at_status": answers(200, b'{"model_version_status": 1}')},
            "does not answer with the status of a model; is it TensorFlow Serving's REST port?",
            id="no status",
        ),
        pytest.param(
            {"at_status": answers(200, json.dumps(NO_INT64).encode())},
            "has no available version of the model (version 999",
            id="a version that is no int64",
        ),
        pytest.param({"at_status": answers(200, b"SSH-2.0")}, "the server's answer is not JSON (", id="no JSON"),
        pytest.param({"at_status": hang}, "took more than 1 seconds for a request", id="a status that hangs"),
        pytest.param({"at_status": promise_two_gigabytes}, "at most 65,536 are read", id="a status of 2 GB"),
    ],
)
def test_a_status_that_is_none(change, words, stand_in):
    with serving(replace(stand_in, **change)) as served:
        url = served.url.replace("other", "half")
        runtime = rest_at(url, LIMITS)
        with pytest.raises(RuntimeUnavailable) as refused:
            runtime.environment(FORMATS["savedmodel"])
        with pytest.raises(RuntimeUnavailable):  # and it is not asked again
            runtime.environment(FORMATS["savedmodel"])
    assert words.replace("'other'", "half") in str(refused.value).replace("'half'", "half")


@contextmanager
def free_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refusal(url: str) -> str:
    connection = Connection(read_address(url), LIMITS)
    with pytest.raises(TrialError) as refused:
        connection.ask("GET", "/v1/models/half", most_bytes=1000)
    return str(refused.value)


def test_nobody_is_there():
    with free_port() as port:
        pass
    assert refusal(f"http://127.0.0.1:{port}/v1/models/half") == (
        f"no server answers at http://127.0.0.1:{port}/v1/models/half; start it, or correct --serving"
    )


def test_an_unknown_host():
    assert "the host 'no-such-host.invalid' is not known (" in refusal("http://no-such-host.invalid/v1/models/half")


def test_a_port_of_another_protocol():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        assert "does not answer in HTTP (" in refusal(f"http://127.0.0.1:{server.getsockname()[1]}/v1/models/half")
        thread.join()


def test_a_server_without_tls(stand_in):
    with serving(stand_in) as served:
        sentence = refusal(served.url.replace("http:", "https:"))
    assert "does not answer in TLS (" in sentence
    assert sentence.endswith("; is it an http:// address?")


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(stand_in):
    def once(handler):
        handler.send_json(200, {"predictions": []})
        handler.close_connection = True  # without a word about it
        return True

    with serving(replace(stand_in, instead=once)) as served:
        connection = Connection(read_address(served.url), LIMITS)
        for _ in range(3):
            assert connection.ask("POST", "/v1/models/half:predict", b"{}", most_bytes=1000).status == 200
            time.sleep(0.05)
        connection.close()


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    names = ["-keyout", "key.pem", "-out", "own.pem", "-subj", "/CN=localhost", "-days", "2", "-nodes"]
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", *names], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shake_hands() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                context.wrap_socket(client, server_side=True).close()

        thread = threading.Thread(target=shake_hands, daemon=True)
        thread.start()
        sentence = refusal(f"https://localhost:{server.getsockname()[1]}/v1/models/half")
        thread.join()
    assert "is refused (self-signed certificate); give the server a valid one" in sentence
