"""Graph-models as they were tuned: the weights that are listed, what is computed with them, and damaged decisions."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tfjs_graphs import node, run, text, write

from quantlab.errors import ConversionError
from quantlab.formats.tfjs.artifact import list_weights
from quantlab.types import KernelChoice, PackedArray, TunedWeights
from quantlab_converters.channel_codes import ChannelCodes
from quantlab_converters.packed_arrays import pack
from quantlab_converters.tfjs_coded_graph import FloatGraph
from quantlab_converters.tfjs_tuned import decided, weights_sha256, write_tuned

RANDOM = np.random.default_rng(8)
FLOAT = {"T": {"type": "DT_FLOAT"}}
PRODUCT = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **FLOAT}
SLIDING = {
    "strides": {"list": {"i": ["1", "1", "1", "1"]}},
    "dilations": {"list": {"i": ["1", "1", "1", "1"]}},
    "padding": {"s": text("SAME")[0]},
    "data_format": {"s": text("NHWC")[0]},
    **FLOAT,
}
INDEX = {"Tparams": FLOAT["T"], "Tindices": {"type": "DT_INT32"}, "Taxis": {"type": "DT_INT32"}}
BIASED = {"fused_ops": {"list": {"s": text("BiasAdd", "Relu")}}, "num_args": {"i": "1"}}


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


WIDE, ROWS = normal(2, 5, 5, 4), normal(2, 8)
OPS = {
    "product": ((8, 6), (1,), ROWS, [node("result", "MatMul", "input", "kernel", **PRODUCT)]),
    "product with bias and activation": (
        (8, 6), (1,), ROWS, [node("result", "_FusedMatMul", "input", "kernel", "bias", **PRODUCT, **BIASED)],
    ),
    "product of a transposed kernel": (
        (6, 8), (0,), ROWS, [node("result", "MatMul", "input", "kernel", **{**PRODUCT, "transpose_b": {"b": True}})],
    ),
    "kernel behind Identity": (
        (8, 6), (1,), ROWS,
        [node("read", "Identity", "kernel", **FLOAT), node("result", "MatMul", "input", "read", **PRODUCT)],
    ),
    "convolution": ((3, 3, 4, 6), (3,), WIDE, [node("result", "Conv2D", "input", "kernel", **SLIDING)]),
    "convolution with bias and activation": (
        (3, 3, 4, 6), (3,), WIDE,
        [node("result", "_FusedConv2D", "input", "kernel", "bias", **SLIDING, **BIASED)],
    ),
    "depthwise convolution": (
        (3, 3, 4, 2), (2, 3), WIDE, [node("result", "DepthwiseConv2dNative", "input", "kernel", **SLIDING)],
    ),
    "transposed convolution": (
        (3, 3, 6, 4), (2,), WIDE, [node("result", "Conv2DBackpropInput", "size", "kernel", "input", **SLIDING)],
    ),
    "table": ((8, 6), (1,), ROWS, [node("result", "GatherV2", "kernel", "places", "rows", **INDEX)]),
    "table of which columns are read": (
        (8, 6), (1,), ROWS, [node("result", "GatherV2", "kernel", "places", "columns", **INDEX)],
    ),
    "table of matrices": (
        (4, 3, 6), (1,), ROWS, [node("result", "GatherV2", "kernel", "places", "rows", **INDEX)],
    ),
    "kernel that two ops read": (
        (8, 8), (1,), ROWS,
        [node("one", "MatMul", "input", "kernel", **PRODUCT), node("result", "MatMul", "one", "kernel", **PRODUCT)],
    ),
}  # fmt: skip
INTEGERS = {
    "size": np.array([2, 5, 5, 6], np.int32),
    "places": np.array([3, 0, 2], np.int32),
    "rows": np.array(0, np.int32),
    "columns": np.array(1, np.int32),
}
ZEROS = ("one in all", "one for all channels", "one for each channel")


def model(folder, op, kernel=None, bias=None):
    shape, _, _, nodes = OPS[op]
    weights = {
        "kernel": normal(*shape) if kernel is None else kernel,
        "bias": normal(6) if bias is None else bias,
        "wide": normal(300),
        **INTEGERS,
    }
    return write(folder, nodes, weights, inputs=("input",))


def codes_of(op, bits, zeros, seed=1):
    """Some codes of a kernel, with both ends among them."""
    shape, axes, _, _ = OPS[op]
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2**bits, shape).astype(np.uint8)
    codes.flat[:2] = 0, 2**bits - 1
    if zeros == "one in all":
        return ChannelCodes(codes, np.array(0.0625, np.float16), np.array(1, np.uint8))
    channels = [size if axis in axes else 1 for axis, size in enumerate(shape)][min(axes) :]
    scales = (2.0 ** random.uniform(-9, 0, channels)).astype(np.float16)
    own = random.integers(0, 2**bits, channels).astype(np.uint8)
    return ChannelCodes(codes, scales, own if zeros == "one for each channel" else np.array(2, np.uint8))


def decisions(float32, codes, bits, **others):
    graph = FloatGraph.read(float32)
    choice = KernelChoice(bits, "channel" if codes.scales.ndim else "tensor")
    kernel = decided("kernel", graph.weights["kernel"], codes, choice)
    return TunedWeights(weights_sha256(graph), (kernel,), **others)


def written(float32, folder, tuned):
    folder.mkdir(exist_ok=True)
    write_tuned(float32, folder, tuned)
    return {weight.name: weight for weight in list_weights(folder)}


@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("op", OPS)
@given(bits=st.integers(2, 8), seed=st.integers(0, 1000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=4)
def test_the_codes_that_were_decided_are_listed(op, zeros, bits, seed, tmp_path):
    """Also where they are far from the nearest ones, as GPTQ may move them."""
    float32, codes = model(tmp_path / "float32", op), codes_of(op, bits, zeros, seed)
    kernel = written(float32, tmp_path / "made", decisions(float32, codes, bits))["kernel"]
    np.testing.assert_array_equal(kernel.stored, codes.codes)
    exact = (codes.codes.astype(np.float64) - codes.zeros) * codes.scales.astype(np.float64)
    np.testing.assert_array_equal(kernel.values, exact.astype(np.float32))
    assert len(kernel.scales) == codes.scales.size


@pytest.mark.starts_children
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("op", OPS)
def test_the_graph_computes_with_the_kernel_that_is_listed(op, zeros, tmp_path):
    float32 = model(tmp_path / "float32", op)
    kernel = written(float32, tmp_path / "made", decisions(float32, codes_of(op, 3, zeros), 3))["kernel"]
    bias = FloatGraph.read(float32).weights["bias"]
    listed = model(tmp_path / "listed", op, kernel.values, bias)
    samples = {"input": OPS[op][2]}
    (expected,), (result,) = (run(folder, samples, "result") for folder in (listed, tmp_path / "made"))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def added(folder):
    nodes = json.loads((folder / "model.json").read_text())["modelTopology"]["node"]
    return [node["op"] for node in nodes if node["name"].startswith("q")]


@pytest.mark.parametrize(
    ("zeros", "ops"),
    [
        pytest.param("one in all", [], id="one scale is decoded by the manifest"),
        pytest.param("one for all channels", ["Const", "Const"], id="one zero takes a Mul, with the kernel's name"),
        pytest.param("one for each channel", ["Const"] * 2 + ["Sub", "Const"], id="own zeros take a Sub, too"),
    ],
)
def test_nodes_that_decode(zeros, ops, tmp_path):
    float32 = model(tmp_path / "float32", "depthwise convolution")
    written(float32, tmp_path / "made", decisions(float32, codes_of("depthwise convolution", 4, zeros), 4))
    assert added(tmp_path / "made") == ops


def test_the_same_decisions_give_the_same_bytes(tmp_path):
    float32 = model(tmp_path / "float32", "convolution")
    tuned = decisions(
        float32, codes_of("convolution", 5, ZEROS[2]), 5, halves=("wide",), biases={"bias": pack(normal(6))}
    )
    for name in ("made", "again"):
        written(float32, tmp_path / name, tuned)
    made, again = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("made", "again"))
    assert made == again


def test_other_weights_are_stored_as_decided(tmp_path):
    """Half floats where their range is wide enough, corrected biases, and all others as they are."""
    bias, corrected = normal(6), normal(6)
    float32 = model(tmp_path / "float32", "product", bias=bias)
    weights = FloatGraph.read(float32).weights
    codes = codes_of("product", 4, ZEROS[0])
    made = written(float32, tmp_path / "made", decisions(float32, codes, 4, halves=("wide",)))
    assert (made["wide"].dtype, made["bias"].dtype, made["places"].dtype) == ("float16", "float32", "int32")
    np.testing.assert_array_equal(made["wide"].values, weights["wide"].astype(np.float16))
    np.testing.assert_array_equal(made["bias"].values, bias)
    np.testing.assert_array_equal(made["places"].values, INTEGERS["places"])
    both = decisions(float32, codes, 4, halves=("bias",), biases={"bias": pack(corrected)})
    made = written(float32, tmp_path / "both", both)
    np.testing.assert_array_equal(made["bias"].values, corrected.astype(np.float16))
    assert made["wide"].dtype == "float32"


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [
        pytest.param(65_504, "float16", id="the largest half float"),
        pytest.param(65_505, "float32", id="more, which would be rounded to it"),
        pytest.param(-1e6, "float32", id="far more"),
        pytest.param(np.inf, "float32", id="infinity"),
        pytest.param(np.nan, "float32", id="NaN"),
    ],
)
def test_what_half_floats_cannot_hold_stays_float32(largest, dtype, tmp_path):
    float32 = model(tmp_path / "float32", "product", bias=np.float32([1, 2, 3, largest, 5, 6]))
    made = written(
        float32, tmp_path / "made", decisions(float32, codes_of("product", 4, ZEROS[0]), 4, halves=("bias",))
    )
    assert made["bias"].dtype == dtype
    np.testing.assert_array_equal(made["bias"].values, np.float32([1, 2, 3, largest, 5, 6]))


def test_a_kernel_may_be_half_floats(tmp_path):
    float32 = model(tmp_path / "float32", "product")
    graph = FloatGraph.read(float32)
    made = written(float32, tmp_path / "made", TunedWeights(weights_sha256(graph), halves=("kernel",)))
    assert made["kernel"].dtype == "float16"
    np.testing.assert_array_equal(made["kernel"].values, graph.weights["kernel"].astype(np.float16))


OF_ANOTHER_MODEL = (
    "the decisions of 'quantlab tune' belong to another model: the float32 graph-model has other weights; give the "
    "model that was tuned, or tune this one"
)
UNFIT = "the decisions about '{}' do not fit this weight; run 'quantlab tune' again"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda folder: model(folder, "product"), id="other values"),
        pytest.param(lambda folder: model(folder, "kernel that two ops read"), id="another kernel"),
    ],
)
def test_decisions_about_another_model(other, tmp_path):
    float32 = model(tmp_path / "float32", "product")
    tuned = decisions(float32, codes_of("product", 4, ZEROS[1]), 4)
    with pytest.raises(ConversionError) as error:
        write_tuned(other(tmp_path / "other"), tmp_path, tuned)
    assert str(error.value) == OF_ANOTHER_MODEL


def test_the_hash_is_of_names_types_shapes_and_values(tmp_path):
    weights = FloatGraph.read(model(tmp_path / "float32", "product")).weights
    graph = FloatGraph({}, {}, weights, {})
    others = [
        {("k" if name == "kernel" else name): values for name, values in weights.items()},
        {**weights, "bias": weights["bias"].view(np.int32)},
        {**weights, "kernel": weights["kernel"].T.copy().reshape(6, 8)},
        {**weights, "kernel": weights["kernel"].reshape(6, 8)},
        {**weights, "bias": -weights["bias"]},
        {**weights, "words": np.array([b"a", b"bc"], object)},
        {**weights, "words": np.array([b"ab", b"c"], object)},
        weights,
    ]
    hashes = [weights_sha256(FloatGraph({}, {}, other, {})) for other in others]
    assert len(set(hashes)) == len(others)
    assert hashes[-1] == weights_sha256(graph)


def kernel_with(**changed):
    return lambda tuned: replace(tuned, kernels=(replace(tuned.kernels[0], **changed),))


BAD = {
    "a weight that is no kernel": (kernel_with(name="wide"), "wide"),
    "a weight that does not exist": (kernel_with(name="gone"), "gone"),
    "codes of another shape": (kernel_with(moved=pack(np.zeros((6, 8), np.int16))), "kernel"),
    "a claim of many codes": (kernel_with(moved=PackedArray("int16", (100_000, 100_000), "eA==")), "kernel"),
    "codes beyond the bits": (kernel_with(moved=pack(np.full((8, 6), 300, np.int16))), "kernel"),
    "codes below 0": (kernel_with(moved=pack(np.full((8, 6), -300, np.int16))), "kernel"),
    "codes that are floats": (kernel_with(moved=pack(np.full((8, 6), 0.5, np.float32))), "kernel"),
    "no bits": (kernel_with(choice=KernelChoice(0, "channel")), "kernel"),
    "more bits than a byte": (kernel_with(choice=KernelChoice(9, "channel")), "kernel"),
    "scales that are integers": (kernel_with(scales=pack(np.ones(6, np.uint8))), "kernel"),
    "a scale of 0": (kernel_with(scales=pack(np.float16([1, 1, 0, 1, 1, 1]))), "kernel"),
    "a scale below 0": (kernel_with(scales=pack(np.float16([1, 1, -1, 1, 1, 1]))), "kernel"),
    "a scale that is NaN": (kernel_with(scales=pack(np.float16([1, 1, np.nan, 1, 1, 1]))), "kernel"),
    "an infinite scale": (kernel_with(scales=pack(np.float32([1, 1, np.inf, 1, 1, 1]))), "kernel"),
    "scales of other channels": (kernel_with(scales=pack(np.ones(5, np.float16))), "kernel"),
    "scales of the inputs": (kernel_with(scales=pack(np.ones((8, 1), np.float16))), "kernel"),
    "more scales than the kernel has axes": (kernel_with(scales=pack(np.ones((1, 1, 6), np.float16))), "kernel"),
    "zeros of other channels": (kernel_with(zeros=pack(np.zeros(5, np.uint8))), "kernel"),
    "zeros that are floats": (kernel_with(zeros=pack(np.zeros(6, np.float32))), "kernel"),
    "a zero beyond the bits": (kernel_with(zeros=pack(np.array(16, np.uint8))), "kernel"),
    "a bias of another size": (lambda tuned: replace(tuned, biases={"bias": pack(normal(5))}), "bias"),
    "a bias of integers": (lambda tuned: replace(tuned, biases={"bias": pack(np.ones(6, np.int16))}), "bias"),
    "a bias instead of integers": (lambda tuned: replace(tuned, biases={"places": pack(normal(3))}), "places"),
    "a bias that does not exist": (lambda tuned: replace(tuned, biases={"gone": pack(normal(6))}), "gone"),
    "half floats that do not exist": (lambda tuned: replace(tuned, halves=("gone",)), "gone"),
    "half floats of integers": (lambda tuned: replace(tuned, halves=("places",)), "places"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_decisions(case, tmp_path):
    damage, name = BAD[case]
    float32 = model(tmp_path / "float32", "product")
    tuned = damage(decisions(float32, codes_of("product", 4, ZEROS[1]), 4))
    with pytest.raises(ConversionError) as error:
        written(float32, tmp_path / "made", tuned)
    assert str(error.value) == UNFIT.format(name)
    assert not any((tmp_path / "made").iterdir())


def test_arrays_that_cannot_be_unpacked_are_named(tmp_path):
    float32 = model(tmp_path / "float32", "product")
    tuned = kernel_with(zeros=PackedArray("uint8", (6,), "eA=="))(
        decisions(float32, codes_of("product", 4, ZEROS[1]), 4)
    )
    with pytest.raises(ConversionError) as error:
        written(float32, tmp_path / "made", tuned)
    assert str(error.value) == (
        "the decisions about 'kernel' are damaged: they hold no uint8 array of shape (6,); run 'quantlab tune' again"
    )
