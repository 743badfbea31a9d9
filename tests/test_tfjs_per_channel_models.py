"""Kernels of real Keras models with one scale per channel: how exact they are, and the same bits in every runtime."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from contracts import convert, refuse_absent
from kept import QUANTLAB, kept, make_in_fork
from per_channel_models import INPUTS, MAKERS
from tfjs_graphs import node
from tfjs_runs import run_in

from quantlab.formats.tfjs.artifact import inspect, list_weights
from quantlab.formats.tfjs_manifest import decode, stored_weights
from quantlab.runtimes import RUNTIMES
from quantlab.store import Store
from quantlab_converters import ConversionRequest
from quantlab_converters.tfjs_per_channel import write_per_channel
from tests.tfjs_pages import INSTALLED, open_browser, sample_for
from tests.tfjs_versions import example_text, look

pytestmark = pytest.mark.starts_children

IN_NODE = ("node-wasm", "node-cpu")

Ran = Callable[[str, Path, np.ndarray, Mapping[str, tuple[int, ...]]], list[np.ndarray]]


@pytest.fixture(scope="module")
def float32(request) -> Path:
    """The folder of each model's float32 graph-model."""
    return kept(request, "per-channel-models", (__file__, "per_channel_models.py", *QUANTLAB), _convert_all)


def _convert_all(folder):
    (folder / "saved").mkdir()
    make_in_fork("per_channel_models", {"folder": str(folder / "saved")}, folder / "made.log")
    for name in MAKERS:
        work = folder / "work"
        request = ConversionRequest(
            folder / "saved" / name, "serving_default", {"float32": folder / name}, {}, {}, work / name
        )
        assert [conversion.reason for conversion in convert("tfjs", request)] == [None]
        _add_busy_nodes(folder / name / "model.json")


def _add_busy_nodes(model_json):
    """Nodes that nothing reads, which make all others affordable by the estimate."""
    document = json.loads(model_json.read_text())
    nodes = document["modelTopology"]["node"]
    source = next(one for one in nodes if one["op"] == "Placeholder")
    nodes += [node(f"busy_{place}", "Shape", source["name"], T=source["attr"]["dtype"]) for place in range(400)]
    model_json.write_text(json.dumps(document))


@pytest.fixture
def ran(workbench, tmp_path) -> Ran:
    """Runs a graph-model on all samples at once; the outputs are tensors of the graph, with the shapes of a sample."""

    return partial(run_in, pool=workbench.pool, folder=tmp_path)


def coded(float32, name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    write_per_channel(float32 / name, folder)
    return folder


def kernels(folder):
    return {weight.name: weight for weight in list_weights(folder) if weight.channel_axes and weight.values.size > 1}


def steps(weight):
    """The scale of each value."""
    axes = weight.channel_axes if len(weight.scales) > 1 else ()
    return np.reshape(weight.scales, [size if axis in axes else 1 for axis, size in enumerate(weight.shape)])


@pytest.mark.parametrize("name", MAKERS)
def test_every_value_of_a_kernel_is_within_half_a_step(name, float32, tmp_path):
    original, found = kernels(float32 / name), kernels(coded(float32, name, tmp_path))
    assert found.keys() == original.keys()
    assert any(len(weight.scales) > 1 for weight in found.values()) == (name != "one_channel")
    for weight in found.values():
        exact = original[weight.name].values
        if weight.dtype == "uint8":
            nudged = 0.5 if len(set(weight.zero_points)) > 1 else 0  # the zero of a channel is rounded, too
            assert (np.abs(weight.values - exact) <= (0.501 + nudged) * steps(weight)).all()
        else:
            np.testing.assert_array_equal(weight.values, exact.astype(np.float16))
        assert (weight.values[exact == 0] == 0).all()


@pytest.mark.parametrize("name", MAKERS)
def test_the_graph_computes_with_the_kernels_that_are_listed(name, float32, ran, tmp_path):
    folder, samples = coded(float32, name, tmp_path), INPUTS[name]
    listed = with_values(float32 / name, {name: one.values for name, one in kernels(folder).items()}, tmp_path)
    (port,) = inspect(folder).outputs
    (expected,) = ran("python", listed, samples, {port.tensor: port.shape[1:]})
    tolerance = 1e-5 * np.abs(expected).max()
    for runtime in ("python", *IN_NODE):
        (output,) = ran(runtime, folder, samples, {port.tensor: port.shape[1:]})
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=tolerance)


def with_values(artifact, values, tmp_path):
    """A float32 graph-model with other values for some weights."""
    folder = shutil.copytree(artifact, tmp_path / "listed")
    (file,) = folder.glob("*.bin")
    data = [values.get(entry["name"], stored).astype(stored.dtype) for entry, stored in stored_weights(artifact)]
    file.write_bytes(b"".join(one.tobytes() for one in data))
    return folder


@pytest.mark.parametrize("name", [*MAKERS, "fashion", "kws"])
def test_kernels_have_the_same_bits_in_python_and_in_node(name, float32, converted, ran, tmp_path):
    if name in MAKERS:
        folder = coded(float32, name, tmp_path)
    else:
        trials = Store(converted(name)).read_study().trials
        (folder,) = {trial.variant.path for trial in trials if trial.setting == "tfjs-uint8-per-channel"}
    constants = {entry["name"]: decode(entry, stored) for entry, stored in stored_weights(folder)}
    port, weights = inspect(folder).inputs[0], kernels(folder)
    # The runtimes take the first axis of an output for that of the samples.
    for n in {weight.shape[0] for weight in weights.values()}:
        samples = np.zeros((n, *(size or 1 for size in port.shape[1:])), port.dtype)
        shapes = {name: weight.shape[1:] for name, weight in weights.items() if weight.shape[0] == n}
        for runtime in ("python", *IN_NODE):
            for kernel, values in zip(shapes, ran(runtime, folder, samples, shapes), strict=True):
                # Codes of which the output is multiplied by the scales are compared as such.
                expected = constants.get(kernel, weights[kernel].values)
                assert values.tobytes() == expected.tobytes(), f"{kernel} in {runtime}"


@pytest.fixture(scope="module")
def browser():
    refuse_absent(RUNTIMES["chromium-wasm"])
    with open_browser() as running:
        yield running


@pytest.mark.parametrize("backend", ["webgl", "cpu", "wasm"])
def test_the_published_bundle_gives_the_same_inside_tidy_and_leaves_no_tensor(backend, float32, browser, ran, tmp_path):
    """`python -m tests.tfjs_versions` does the same with older versions, which it downloads."""
    folder = coded(float32, "zero_channels", tmp_path)
    seen = look(browser, INSTALLED, folder, backend=backend, calls=100)
    assert seen.sound
    (port,) = inspect(folder).outputs
    (expected,) = ran("python", folder, sample_for(folder), {port.tensor: port.shape[1:]})
    np.testing.assert_allclose(seen.outputs[0], expected[0], rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_the_example_of_the_documentation(float32, browser, tmp_path):
    shown = example_text(browser, INSTALLED, coded(float32, "zero_channels", tmp_path))
    assert re.fullmatch(
        r"TensorFlow\.js 4\.22\.0 on webgl\noutput:( -?\d+\.\d{4}){10}\ntensors: \d+ with the model, 0 without it",
        shown,
    )
