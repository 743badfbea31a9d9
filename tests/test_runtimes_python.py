"""Runtimes: the contract for all of them, and tests of the Python runtime only."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from command_line import surroundings
from contracts import (
    check_runtime,
    check_runtime_resumes,
    check_runtime_stays_open,
    check_runtime_survives,
    executors,
    opening_job,
    refuse_absent,
)
from timing_contract import check_runtime_dies_timed, check_runtime_times, check_runtime_times_nothing

from quantlab.errors import RuntimeUnavailable
from quantlab.formats import FORMATS, describe_given
from quantlab.models import ModelOptions
from quantlab.processes import ChildPool
from quantlab.runtimes import RUNTIMES, Job, browser, create_output, input_files, protocol, python, tensor_file
from quantlab.runtimes.protocol import ask
from quantlab.runtimes.requests import Run, Wait, request_document, request_from
from quantlab.types import ModelDescription, SampleSet, TensorSpec
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Done, Failed

PLACES = [
    pytest.param(
        runtime,
        format_name,
        id=f"{runtime.name} runs {format_name}",
        marks=[pytest.mark.needs_addon] if runtime.backend == "native" else [],
    )
    for runtime in RUNTIMES.values()
    if runtime.at is None and runtime.elsewhere is None  # servers and phones have tests of their own
    for format_name in (name for name, format_ in FORMATS.items() if runtime.runs(format_))
]


def once_a_program():
    """The places of which each runs a format in another program: a host's backends differ in their kernels alone.

    `node-native` is a host by itself here, since its kernels can end a process as those of JavaScript cannot.
    """
    first = {}
    for place in PLACES:
        runtime, format_name = place.values
        host = runtime.name if runtime.backend == "native" else runtime.name.partition("-")[0]
        first.setdefault((host, format_name), place)
    return list(first.values())


def once_a_process():
    """The same, but one format for a browser, which starts, reads files and is ended alike for each."""
    first = {}
    for place in once_a_program():
        runtime, format_name = place.values
        first.setdefault("browser" if runtime.host is browser.HOST else (runtime.name, format_name), place)
    return list(first.values())


@pytest.mark.parametrize(("runtime", "format_name"), PLACES)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("activations", id="fused convolutions and activations"),
        pytest.param("crowded", id="ports of one shape, and large integers"),
    ],
)
def test_contract(runtime, format_name, name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime(runtime, workbench, format_name, name, tmp_path)


@pytest.mark.parametrize(("runtime", "format_name"), once_a_program())
def test_a_run_that_goes_on_after_a_stop(runtime, format_name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime_resumes(runtime, workbench, format_name, tmp_path)


@pytest.mark.parametrize(
    ("runtime", "format_name"), [place for place in once_a_program() if place.values[0].host.stays_open]
)
def test_a_variant_that_is_run_in_parts_stays_open(runtime, format_name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime_stays_open(runtime, workbench, format_name, tmp_path)


@pytest.mark.parametrize(("runtime", "format_name"), once_a_process())
def test_a_child_that_dies_or_hangs(runtime, format_name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime_survives(runtime, workbench, format_name, tmp_path)


def timed_places():
    """Once a program, and one that draws: there other processes of the browser are counted too."""
    drawn = [place for place in PLACES if place.values[0].name == "chromium-webgl" and place.values[1] == "tfjs"]
    return [*once_a_program(), *drawn]


@pytest.mark.parametrize(("runtime", "format_name"), timed_places())
def test_what_a_variant_costs(runtime, format_name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime_times(runtime, workbench, format_name, tmp_path)


@pytest.mark.parametrize(("runtime", "format_name"), once_a_process())
def test_a_variant_that_cannot_be_loaded_has_no_times(runtime, format_name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime_times_nothing(runtime, workbench, format_name, tmp_path)


@pytest.mark.parametrize(("runtime", "format_name"), once_a_process())
def test_a_child_that_dies_while_it_is_timed(runtime, format_name, workbench, tmp_path):
    refuse_absent(runtime, format_name)
    check_runtime_dies_timed(runtime, workbench, format_name, tmp_path)


def test_memory_is_not_what_the_parent_held():
    """What the system counts for a process begins with what its parent held when it started it."""
    ask = "from quantlab.worker.timing import peak_memory; print(peak_memory())"
    held = np.ones(60_000_000)  # 480 MB
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert 5e6 < int(done.stdout) < 400e6 < held.nbytes


@pytest.mark.parametrize(("runtime", "format_name"), PLACES)
def test_what_the_outputs_depend_on_is_named(runtime, format_name):
    refuse_absent(runtime, format_name)
    environment = runtime.environment(FORMATS[format_name])
    assert environment
    assert all(key and value for key, value in environment.items())
    assert environment == runtime.environment(FORMATS[format_name])


NODE_RUNTIMES = [name for name in RUNTIMES if name.startswith("node-")]


@pytest.mark.parametrize("name", NODE_RUNTIMES)
@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        pytest.param(
            None,
            "Node.js at '{program}' does not start ([Errno 2] No such file or directory: '{program}'); "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="nothing",
        ),
        pytest.param(
            "#!/bin/sh\necho v20.10.0",
            "'{program}' is Node.js v20.10.0, and version 20.11 or newer is required; "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="an old Node",
        ),
        pytest.param(
            "#!/bin/sh\necho 'Python 3.11.7'",
            "'{program}' is Node.js Python 3.11.7, and version 20.11 or newer is required; "
            "set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="another program",
        ),
        pytest.param(
            "#!/bin/sh\nexit 3",
            "Node.js at '{program}' does not start (Command '['{program}', '--version']' returned non-zero exit status "
            "3.); set QUANTLAB_NODE to a Node.js of 20.11 or newer",
            id="one that fails",
        ),
    ],
)
def test_a_node_that_is_none(name, script, sentence, tmp_path):
    program = tmp_path / "my-node"
    if script:
        program.write_text(script)
        program.chmod(0o755)
    with surroundings(tmp_path, {"QUANTLAB_NODE": str(program)}), pytest.raises(RuntimeUnavailable) as unavailable:
        RUNTIMES[name].environment(FORMATS["tfjs"])
    assert str(unavailable.value) == sentence.format(program=program)


@pytest.fixture
def python_job(workbench, tmp_path):
    """The job that runs a variant of a small model in python: into `<output>.npy` of a folder of its own."""

    def job(name, format_name):
        variant, samples = workbench.float32(name, format_name), workbench.samples(name)
        return job_for(variant, samples, workbench.opened(name).description.outputs, tmp_path)

    return job


def job_for(variant, samples, outputs, folder):
    ports = {port.name: port for port in variant.outputs}
    for spec in outputs:
        create_output(folder / f"{spec.name}.npy", n=samples.n, shape=spec.shape[1:], dtype=spec.dtype)
    return Job(
        format=variant.format,
        artifact=str(variant.path),
        backend="",
        batch_size=4,
        start=0,
        stop=samples.n,
        inputs=input_files(samples, variant),
        outputs=tuple(tensor_file(folder / f"{spec.name}.npy", spec, ports[spec.name], 0) for spec in outputs),
        options=ExecutorOptions(),
        **executors(variant.format),
    )


def last_message(job, workbench):
    *_, last = protocol.run(RUNTIMES["python"], job, workbench.pool)
    return last


def with_input(**changes):
    return lambda job: replace(job, inputs=(replace(job.inputs[0], **changes), *job.inputs[1:]))


def with_output(**changes):
    return lambda job: replace(job, outputs=(replace(job.outputs[0], **changes), *job.outputs[1:]))


@pytest.mark.parametrize(
    ("format_name", "change", "reason"),
    [
        pytest.param(
            "tfjs",
            with_output(shape=(4,)),
            "the output 'output_0' has the shape (4, 5), and the reference's is (4, 4)",
            id="an output of another shape",
        ),
        pytest.param(
            "tflite",
            with_output(shape=(5, 1)),
            "the output 'output_0' has the shape (4, 5), and the reference's is (4, 5, 1)",
            id="an output of another rank",
        ),
        pytest.param(
            "tfjs",
            with_output(tensor="nowhere:0"),
            "the graph has no node 'nowhere'; convert the model again",
            id="an output that the graph does not have",
        ),
        pytest.param(
            "tflite",
            with_input(shape=(2, 32, 2)),
            "the input 'image' of 'model.tflite' has the shape (1, 8, 8, 2) and a sample (1, 2, 32, 2); give a file "
            "that was made from this model",
            id="samples of another shape",
        ),
        pytest.param(
            "tflite",
            with_input(shape=(128,)),
            "the input 'image' of 'model.tflite' has the shape (1, 8, 8, 2) and a sample (1, 128); give a file that "
            "was made from this model",
            id="samples of another rank",
        ),
        pytest.param(
            "tflite",
            with_input(dtype="int32"),
            "the file takes float32 and the samples are int32",
            id="samples of another dtype",
        ),
        pytest.param(
            "tflite",
            lambda job: replace(job, inputs=(*job.inputs, replace(job.inputs[0], position=1))),
            "'model.tflite' has 1 inputs and the samples 2",
            id="more inputs than the file has",
        ),
    ],
)
def test_a_job_that_does_not_fit_fails_alone(format_name, change, reason, workbench, python_job):
    job = python_job("activations", format_name)
    assert last_message(change(job), workbench) == Failed(reason, expected=True)
    assert last_message(job, workbench) == Done()


PORTS = ("input_1", "scores")


def read_codes(path, samples):
    """What an application does with a file in int8: codes of the samples in, and the codes that come out as floats."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = taken["quantization"]
    results = []
    for sample in samples:
        codes = np.clip(np.floor(sample / scale + 0.5) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(taken["index"], codes[np.newaxis])
        interpreter.invoke()
        results.append(interpreter.get_tensor(given["index"])[0])
    scale, zero_point = given["quantization"]
    return (np.array(results, np.float64) - zero_point) * scale


@pytest.mark.parametrize(
    ("file", "shapes", "draw"),
    [
        pytest.param(
            "pretrainedResnet_quant.tflite",
            ((32, 32, 3), (10,)),
            lambda random, shape: random.integers(0, 256, shape).astype(np.float32),
            id="pictures",
        ),
        pytest.param(
            "kws_ref_model.tflite",
            ((49, 10, 1), (12,)),
            lambda random, shape: random.normal(0, 40, shape).astype(np.float32),
            id="sounds, some beyond the codes",
        ),
    ],
)
def test_a_file_of_the_users_in_int8_takes_float_samples(file, shapes, draw, data_folder, workbench, tmp_path):
    inputs, outputs = [
        (TensorSpec(name, (None, *sizes), "float32"),) for name, sizes in zip(PORTS, shapes, strict=True)
    ]
    path = data_folder / "mlperf-tiny" / file
    variant = describe_given("mine", path, ModelDescription("", "Keras 2", "", inputs, outputs, None))
    samples = SampleSet(tmp_path, inputs, 9, False, "", "", 9, "all")
    values = draw(np.random.default_rng(0), (9, *shapes[0]))
    np.save(samples.input_file("input_1"), values)
    assert [port.dtype for port in (*variant.inputs, *variant.outputs)] == ["int8", "int8"]
    assert last_message(job_for(variant, samples, outputs, tmp_path), workbench) == Done()
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), read_codes(path, values), rtol=1e-6)


def test_a_job_is_the_same_on_the_other_side(python_job):
    job = python_job("crowded", "tflite")
    assert request_from(json.loads(json.dumps(request_document(Run(job))))) == Run(job)


@pytest.mark.starts_children
def test_a_worker_prints_nothing_of_its_own(tmp_path):
    """Its last words stand in the row of a variant that ends it."""
    with ChildPool(tmp_path / "shop", stall_seconds=300) as pool:
        assert list(ask(python.HOST, Wait(opening_job(tmp_path, ModelOptions(), tmp_path)), pool)) == [Done()]
    assert (tmp_path / "shop" / "python.log").read_text() == ""
