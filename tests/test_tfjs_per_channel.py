"""Graph-models whose kernels have one scale per channel: what is written, and that it computes what it should."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tfjs_graphs import fused, node, run, text, write

from quantlab.errors import ConversionError
from quantlab.formats.tfjs.artifact import decoded_bytes, list_weights
from quantlab_converters.tfjs_per_channel import write_per_channel

pytestmark = pytest.mark.starts_children

RANDOM = np.random.default_rng(3)
SPREAD = 10.0 ** RANDOM.uniform(-3, 0, 64).astype(np.float32)
"""Factors of the channels, which one scale cannot serve."""
FLOAT = {"T": {"type": "DT_FLOAT"}}
SLIDING = {
    "strides": {"list": {"i": ["1", "1", "1", "1"]}},
    "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
    "padding": {"s": text("SAME")[0]},
    "data_format": {"s": text("NHWC")[0]},
    "explicit_paddings": {"list": {}},
}
PRODUCT = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **FLOAT}


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


MATRIX = normal(256, 64) * SPREAD
FILTER = normal(3, 3, 4, 64) * SPREAD
DEPTHWISE = normal(9, 9, 64, 1) * SPREAD[:, None]
BIAS = normal(64)
IMAGE, ROWS, WIDE = normal(2, 8, 8, 4), normal(2, 256), normal(2, 8, 8, 64)

BUSY = [node(f"busy_{place}", "Neg", "input" if not place else f"busy_{place - 1}", **FLOAT) for place in range(400)]
"""Nodes that take so much time that all others are affordable."""

CASES = {
    "product": (MATRIX, ROWS, node("result", "MatMul", "input", "kernel", **PRODUCT)),
    "product with a transposed kernel": (
        np.ascontiguousarray(MATRIX.T),
        ROWS,
        node("result", "MatMul", "input", "kernel", **{**PRODUCT, "transpose_b": {"b": True}}),
    ),
    "product with bias and activation": (
        MATRIX,
        ROWS,
        {**fused("_FusedMatMul", ["BiasAdd", "Relu"], ["bias"]), "input": ["input", "kernel", "bias"]},
    ),
    "convolution": (FILTER, IMAGE, node("result", "Conv2D", "input", "kernel", **FLOAT, **SLIDING)),
    "convolution with bias and activation": (
        FILTER,
        IMAGE,
        {**fused("_FusedConv2D", ["BiasAdd", "Relu6"], ["bias"]), "input": ["input", "kernel", "bias"]},
    ),
    "depthwise convolution": (
        DEPTHWISE,
        WIDE,
        node("result", "DepthwiseConv2dNative", "input", "kernel", **FLOAT, **SLIDING),
    ),
}


def graph(folder, kernel, result, busy=BUSY):
    """A float32 graph-model of one op, with its channels so different that one scale does not serve them."""
    return write(folder, [*busy, result], {"kernel": kernel, "bias": BIAS}, inputs=("input",))


def written(tmp_path, case, **options):
    kernel, samples, result = CASES[case]
    float32 = graph(tmp_path / "float32", kernel, result, **options)
    folder = tmp_path / "coded"
    folder.mkdir()
    write_per_channel(float32, folder)
    return float32, folder, samples


KINDS = {
    "MatMul": (2, (1,), PRODUCT),
    "MatMul of a transposed kernel": (2, (0,), {**PRODUCT, "transpose_b": {"b": True}}),
    "Conv2D": (4, (3,), SLIDING),
    "DepthwiseConv2dNative": (4, (2, 3), SLIDING),
    "Conv2DBackpropInput": (4, (2,), SLIDING),
    "GatherV2": (2, (1,), {}),
}
"""Op → the rank of its kernel, the axes of its channels, and its attributes."""


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_kernel_in_a_file_is_within_half_a_step_of_its_channel(kind, data, tmp_path):
    rank, axes, attributes = KINDS[kind]
    shape = data.draw(st.tuples(*[st.integers(1, 40 if rank == 2 else 7)] * rank))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    channels = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    sizes = random.choice([0, 1e-3, 1, 30], channels, p=[0.1, 0.2, 0.6, 0.1])
    kernel = (random.uniform(data.draw(st.sampled_from([-1, -0.3, 0])), 1, shape) * sizes).astype(np.float32)
    op = kind.partition(" ")[0]
    inputs = ("kernel", "input", "axis") if op == "GatherV2" else ("input", "kernel")
    float32 = graph(tmp_path, kernel, node("result", op, *inputs, **attributes))
    (folder := tmp_path / "coded").mkdir(exist_ok=True)
    write_per_channel(float32, folder)
    coded = kernel_of(folder)
    errors = np.abs(coded.values.astype(np.float64) - kernel)
    if coded.dtype == "float16":
        assert (errors <= np.abs(kernel) * 2**-11 + 2**-25).all()
        return
    steps = np.reshape(coded.scales, channels if len(coded.scales) > 1 else [1] * rank)
    nudged = 0.5 if len(set(coded.zero_points)) > 1 else 0  # the zero of a channel is rounded, too
    assert (errors <= (0.5 + nudged + 1e-3) * steps).all()
    assert (coded.values[kernel == 0] == 0).all()


def test_a_kernel_that_two_ops_read_is_decoded_once_and_for_both(tmp_path):
    """Its channels are the rows for one op and the columns for the other, as in tied embeddings."""
    table, rows = normal(64, 64) * SPREAD[:, None], normal(2, 64)
    nodes = [
        node("sum", "AddV2", "input", "bias", **FLOAT),
        node("product", "MatMul", "sum", "kernel", **{**PRODUCT, "transpose_b": {"b": True}}),
        node("result", "MatMul", "product", "kernel", **PRODUCT),
    ]
    float32 = write(tmp_path / "float32", [*BUSY, *nodes], {"kernel": table, "bias": BIAS}, inputs=("input",))
    (folder := tmp_path / "coded").mkdir()
    write_per_channel(float32, folder)
    (kernel,) = [weight for weight in list_weights(folder) if weight.name == "kernel"]
    assert (kernel.dtype, len(kernel.scales), kernel.channel_axes) == ("uint8", 64, (0,))
    listed = write(tmp_path / "listed", [*BUSY, *nodes], {"kernel": kernel.values, "bias": BIAS}, inputs=("input",))
    (expected,), (result,) = (run(one, {"input": rows}, "result") for one in (listed, folder))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def kernel_of(folder):
    return next(weight for weight in list_weights(folder) if weight.name == "kernel")


@pytest.mark.parametrize("case", CASES)
def test_the_graph_computes_with_the_kernel_that_is_listed(case, tmp_path):
    float32, folder, samples = written(tmp_path, case)
    coded, original = kernel_of(folder), kernel_of(float32)
    assert (coded.dtype, len(coded.scales)) == ("uint8", 64)
    assert coded.shape == original.shape
    errors = np.abs(coded.values - original.values) / np.array(coded.scales).reshape(
        [64 if axis in original.channel_axes and size > 1 else 1 for axis, size in enumerate(original.shape)]
    )
    assert errors.max() <= 0.51
    listed = graph(tmp_path / "listed", coded.values, CASES[case][2])
    (expected,) = run(listed, {"input": samples}, "result")
    (result,) = run(folder, {"input": samples}, "result")
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    assert coded.feeds in {"result", "kernel"}


@pytest.mark.parametrize(
    ("case", "elements"),
    [
        pytest.param("depthwise convolution", DEPTHWISE.size, id="a kernel that is decoded as a whole"),
        pytest.param("product", 0, id="one of which the output is multiplied"),
    ],
)
def test_what_decoded_kernels_take_is_told(case, elements, tmp_path):
    float32, folder, _ = written(tmp_path, case)
    assert decoded_bytes(folder) == 4 * elements
    assert decoded_bytes(float32) == 0


@pytest.mark.parametrize("case", CASES)
def test_the_files_are_smaller_and_depend_on_the_float32_files_alone(case, tmp_path):
    float32, folder, _ = written(tmp_path, case)
    again = tmp_path / "again"
    again.mkdir()
    write_per_channel(float32, again)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert files == {file.name: file.read_bytes() for file in again.iterdir()}
    assert sum(map(len, files.values())) < sum(file.stat().st_size for file in float32.iterdir())


def stored(folder):
    """Weight → how the manifest stores it."""
    (group,) = json.loads((folder / "model.json").read_text())["weightsManifest"]
    return {entry["name"]: entry.get("quantization", {}).get("dtype", entry["dtype"]) for entry in group["weights"]}


def test_what_is_no_kernel_stays_as_it_is(tmp_path):
    _, folder, _ = written(tmp_path, "convolution with bias and activation")
    assert stored(folder)["bias"] == "float32"
    (bias,) = [weight for weight in list_weights(folder) if weight.name == "bias"]
    np.testing.assert_array_equal(bias.values, BIAS)


def test_the_kernel_of_a_graph_that_does_little_else_is_half_floats(tmp_path):
    _, folder, _ = written(tmp_path, "depthwise convolution", busy=[])
    assert stored(folder)["kernel"] == "float16"


def test_channels_that_are_alike_have_one_scale_in_the_manifest(tmp_path):
    _, _, result = CASES["product"]
    float32, folder = graph(tmp_path / "float32", normal(256, 64), result), tmp_path / "coded"
    folder.mkdir()
    write_per_channel(float32, folder)
    assert stored(folder) == {"kernel": "uint8", "bias": "float32"}
    assert len(kernel_of(folder).scales) == 1


def test_values_that_half_floats_cannot_hold_stay_float32(tmp_path):
    kernel = DEPTHWISE.copy()
    kernel[0, 0, 0, 0] = 1e6
    _, _, result = CASES["depthwise convolution"]
    float32, folder = graph(tmp_path / "float32", kernel, result, busy=[]), tmp_path / "coded"
    folder.mkdir()
    write_per_channel(float32, folder)
    assert stored(folder)["kernel"] == "float32"


def test_nodes_have_short_names_that_no_other_node_has(tmp_path):
    _, folder, _ = written(tmp_path, "product with bias and activation")
    names = [node["name"] for node in json.loads((folder / "model.json").read_text())["modelTopology"]["node"]]
    assert len(set(names)) == len(names)
    assert {"result", "kernel", "bias", "input"} < set(names)


def test_a_graph_without_kernels_stays_as_it_is(tmp_path):
    """The setting runs by default, and such a model is no reason for a study to fail."""
    float32 = graph(tmp_path / "float32", BIAS, node("result", "AddV2", "input", "kernel", **FLOAT))
    folder = tmp_path / "made"
    folder.mkdir()
    write_per_channel(float32, folder)
    ((weight, values),) = ((weight, weight.values) for weight in list_weights(folder) if weight.name == "kernel")
    assert weight.dtype == "float32"
    np.testing.assert_array_equal(values, BIAS)


@pytest.mark.parametrize(
    ("kernel", "result", "message"),
    [
        pytest.param(
            np.where(MATRIX[3, 3] == MATRIX, np.nan, MATRIX),
            CASES["product"][2],
            "the weight 'kernel' holds 1 value that is NaN or infinite, and uint8 needs a finite range; "
            "train again or repair the model",
            id="NaN",
        ),
    ],
)
def test_refused(kernel, result, message, tmp_path):
    float32 = graph(tmp_path, kernel.astype(np.float32), result)
    with pytest.raises(ConversionError) as error:
        write_per_channel(float32, tmp_path)
    assert str(error.value) == message
