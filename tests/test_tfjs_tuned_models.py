"""Tuned weights of real Keras models: the inputs of all kernels are found, and runtimes compute what is listed."""

import itertools
import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from contracts import convert, executors
from kept import QUANTLAB, kept, make_in_fork
from tfjs_runs import run_in
from tuned_models import INPUTS, MAKERS

from quantlab.formats.tfjs.artifact import inspect, list_weights
from quantlab.formats.tfjs_manifest import stored_weights
from quantlab.runtimes import Job, tensor_file
from quantlab.runtimes.taps import graph_taps
from quantlab.types import TensorSpec
from quantlab.types.executor_options import ExecutorOptions
from quantlab_converters import ConversionRequest
from quantlab_converters.tfjs_tuning import TunableGraph

pytestmark = pytest.mark.starts_children

KINDS = {
    "images": {"convolution": 3, "depthwise": 2, "transposed": 3, "product": 2},
    "sequences": {"other": 1, "convolution": 1, "product": 22},  # unrolled layers have a kernel for each step
}
IN_NODE = {"images": "node-wasm", "sequences": "node-cpu"}
"""Runtime in Node.js; wasm adds no matrix in a fused product, as of an unrolled LSTM, in float32 neither."""
BIASES = {"images": 8, "sequences": 3}
"""Kernels whose bias is found: no depthwise part of a separable convolution, or convolution in blocks, has one."""


@pytest.fixture(scope="module")
def float32(request) -> Path:
    """The folder of each model's float32 graph-model."""
    return kept(request, "tuned-models", (__file__, "tuned_models.py", *QUANTLAB), _convert_all)


def _convert_all(folder):
    (folder / "saved").mkdir()
    make_in_fork("tuned_models", {"folder": str(folder / "saved")}, folder / "made.log")
    for name in MAKERS:
        request = ConversionRequest(
            folder / "saved" / name, "serving_default", {"float32": folder / name}, {}, {}, folder / "work" / name
        )
        assert [conversion.reason for conversion in convert("tfjs", request)] == [None]


@pytest.fixture
def ran(workbench, tmp_path):
    return partial(run_in, pool=workbench.pool, folder=tmp_path)


def taps_of(artifact, samples, pool, folder):
    """Tensor → the shape of one sample, of all that can be read inside a graph."""
    np.save(folder / "in.npy", samples)
    port = inspect(artifact).inputs[0]
    taken = tensor_file(folder / "in.npy", TensorSpec(port.name, (), port.dtype), port, 0)
    n = len(samples)
    job = Job("tfjs", str(artifact), "", n, 0, n, (taken,), (), ExecutorOptions(), **executors("tfjs"))
    return {tap.name: tap.shape for tap in graph_taps(job, pool)}


@pytest.fixture(params=MAKERS)
def name(request) -> str:
    return request.param


@pytest.fixture
def weights(name, float32):
    return TunableGraph.open(float32 / name)


def test_the_inputs_of_all_kernels_are_found_and_can_be_read(name, weights, workbench, tmp_path):
    assert Counter(use.kind for use in weights.uses.values()) == KINDS[name]
    assert sum(use.bias is not None for use in weights.uses.values()) == BIASES[name]
    readable = {*taps_of(weights.folder, INPUTS[name], workbench.pool, tmp_path), "values"}
    assert set(weights.tensors) <= readable


def test_runtimes_compute_with_the_weights_that_are_listed(name, weights, ran, workbench, tmp_path):
    """In 4 to 8 bits, with one scale in all or for each channel, after GPTQ and with corrected biases."""
    samples = INPUTS[name]
    taps = taps_of(weights.folder, samples, workbench.pool, tmp_path)
    # A convolution with dilations reads blocks, of which there are more than samples.
    tensors = [one for one in weights.tensors if one != "values" and "SpaceToBatch" not in one]
    read = {tensor: taps[tensor][1:] for tensor in tensors}
    values = dict(zip(read, ran("python", weights.folder, samples, read), strict=True))
    values |= {"values": samples.astype(np.float32)}
    sums = weights.sums_of(values, {tensor: float(np.abs(one).max()) for tensor, one in values.items()})
    multiplied = {
        kernel: [tensor for copy in copies for tensor in weights.uses[copy].inputs]
        for kernel, copies in weights.copies.items()
    }
    # All but tables and that convolution; the first step of a layer multiplies zeros, but its copies do not.
    assert set(sums) == {
        kernel
        for kernel, tensors in multiplied.items()
        if set(tensors) <= set(values) and any(values[tensor].any() for tensor in tensors)
    }
    ways = itertools.product(range(4, 9), ("channel", "tensor"))
    options = {
        kernel: weights.option(kernel, sums.get(kernel), weights.choice(kernel, bits, sharing))
        for kernel, (bits, sharing) in zip(weights.kernels, itertools.cycle(ways), strict=False)
    }
    (folder := tmp_path / "made").mkdir()
    weights.write(weights.tuned(options, weights.halves), folder)
    listed = with_values(weights.folder, {one.name: one.values for one in list_weights(folder)}, tmp_path)
    (port,) = inspect(folder).outputs
    outputs = {port.tensor: port.shape[1:]}
    (float32,), (expected,) = (ran("python", one, samples, outputs) for one in (weights.folder, listed))
    assert 0.001 < np.linalg.norm(expected - float32) / np.linalg.norm(float32) < 0.5
    for runtime in ("python", IN_NODE[name]):
        (found,) = ran(runtime, folder, samples, outputs)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def with_values(artifact, values, tmp_path):
    """A float32 graph-model with other values for its weights."""
    folder = shutil.copytree(artifact, tmp_path / "listed")
    (file,) = folder.glob("*.bin")
    data = [values[entry["name"]].astype(stored.dtype) for entry, stored in stored_weights(artifact)]
    file.write_bytes(b"".join(one.tobytes() for one in data))
    return folder
