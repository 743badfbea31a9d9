"""ONNX files: decoded weights, stable names, layout, and the dtypes in which ops compute."""

import math
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from contracts import convert
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx_models import SCHEMES, converted, node, pictures, port, predicted, samples, write

from quantlab.formats import FORMATS
from quantlab.formats.onnx.layout import channels_first
from quantlab.formats.onnx.names import stable_names
from quantlab.models import ModelOptions
from quantlab.statistics import compare_weights
from quantlab_converters import ConversionRequest

FILTERS = ("filter", "spread")
MATRICES = ("matrix", "straight", "turned")
BIASES = ("filter_bias", "matrix_bias", "straight_bias", "turned_bias")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Setting → file, of `pictures`."""
    folder = tmp_path_factory.mktemp("pictures")
    return converted(pictures(folder / "model.onnx"), folder / "made", samples())


def rows_of(made, setting):
    weights = FORMATS["onnx"].weights
    return compare_weights(setting, weights(made[setting]), weights(made["onnx-float32"]))


# Weights


def arrays(path):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@dataclass(frozen=True)
class Stored:
    """An initializer as the nodes of its file have it, told by the nodes alone."""

    values: np.ndarray
    """float64, as an op multiplies or adds them."""
    scales: int
    axis: int | None
    """What several scales lie along."""


def stored(path, name):
    """Follow the first node that reads it: a DequantizeLinear, or an op of integers and the Mul of its scale."""
    graph, here = onnx.load(path).graph, arrays(path)
    held = here[name].astype(np.float64)
    reader = next(operator for operator in graph.node if name in operator.input)
    if reader.op_type == "DequantizeLinear":
        scale, zero = (here[parameter] for parameter in reader.input[1:])
        axis = next((attribute.i for attribute in reader.attribute if attribute.name == "axis"), 1) % max(held.ndim, 1)
    elif reader.op_type in {"ConvInteger", "MatMulInteger"}:
        axis, zero = None, here[reader.input[3]]
        (cast,) = [operator for operator in graph.node if reader.output[0] in operator.input]
        (scaled,) = [operator for operator in graph.node if cast.output[0] in operator.input]
        (product,) = [
            operator for operator in graph.node if operator.output[0] in scaled.input and operator.op_type == "Mul"
        ]
        (scale,) = (here[factor] for factor in product.input if factor in here)
    else:
        return Stored(held, 0, None)
    along = [1] * held.ndim
    if scale.size > 1:
        along[axis] = -1
    held = (held - zero.reshape(along)) * scale.astype(np.float64).reshape(along)
    return Stored(held.astype(np.float32).astype(np.float64), scale.size, axis if scale.size > 1 else None)


def decibels(baseline, held):
    noise, signal = float(np.square(held - baseline).sum()), float(np.square(baseline).sum())
    return math.inf if noise == 0 else 10 * math.log10(signal / noise)


def check_row(row, path, float32):
    """Figures are those of this file's initializer against the float32 file's, which it surely is the codes of."""
    told = stored(path, row.tensor)
    baseline = float32.astype(np.float64)
    held, baseline = told.values, baseline if baseline.shape == told.values.shape else baseline.T
    assert (row.different, row.non_finite, row.reason) == (int((baseline != held).sum()), 0, None)
    assert row.max_abs == pytest.approx(np.abs(held - baseline).max(), rel=1e-6)
    assert row.rms == pytest.approx(math.sqrt(np.square(held - baseline).mean()), rel=1e-6)
    assert row.sqnr_db == pytest.approx(decibels(baseline, held), abs=1e-4)
    assert row.sqnr_db > 15
    assert row.scales == told.scales
    if told.axis is not None and baseline.ndim > 1:
        channels = [
            decibels(*pair)
            for pair in zip(*(np.moveaxis(values, told.axis, 0) for values in (baseline, held)), strict=True)
        ]
        assert (row.worst_channel, row.worst_channel_sqnr_db) == (
            int(np.argmin(channels)),
            pytest.approx(min(channels), abs=1e-4),
        )


@pytest.mark.parametrize("setting", ["onnx-float16", "onnx-dynamic", "onnx-int8"])
def test_weights_are_what_their_initializers_hold(setting, made):
    float32 = arrays(made["onnx-float32"])
    rows = {row.counterpart: row for row in rows_of(made, setting) if row.counterpart}
    assert set(rows) == {*FILTERS, *MATRICES, *BIASES}
    for name, row in rows.items():
        check_row(row, made[setting], float32[name])


@pytest.mark.parametrize(
    ("setting", "dtypes", "scales", "axes"),
    [
        pytest.param(
            "onnx-float32",
            ("float32", "float32", "float32"),
            (0, 0, 0, 0, 0),
            (None, None, None, None, None),
            id="float32",
        ),
        pytest.param(
            "onnx-float16",
            ("float16", "float16", "float16"),
            (0, 0, 0, 0, 0),
            (None, None, None, None, None),
            id="float16",
        ),
        pytest.param(
            "onnx-dynamic",
            ("int8", "int8", "float32"),
            (1, 1, 1, 1, 1),
            (None, None, None, None, None),
            id="dynamic: one scale a tensor",
        ),
        pytest.param(
            "onnx-int8",
            ("int8", "int8", None),
            (6, 6, 8, 7, 5),
            (0, 0, 1, 1, 1),
            id="int8: one scale an output channel, of a turned Gemm too",
        ),
    ],
)
def test_what_a_weight_is_stored_in(setting, dtypes, scales, axes, made):
    rows = {row.counterpart: row for row in rows_of(made, setting)}
    for names, dtype in zip((FILTERS, MATRICES, BIASES), dtypes, strict=True):
        expected = {name: dtype or bias_dtype(made[setting], rows[name].tensor) for name in names}
        assert {name: rows[name].dtype for name in names} == expected
    assert tuple(rows[name].scales for name in (*FILTERS, *MATRICES)) == scales
    assert tuple(rows[name].channel_axis for name in (*FILTERS, *MATRICES)) == axes
    assert rows["turned"].shape == (7, 5)


def bias_dtype(path, name):
    """Of codes: int32 where a Conv or Gemm adds them to its products, int8 where an Add of its own does."""
    (decoded,) = [operator for operator in onnx.load(path).graph.node if name in operator.input]
    (reader,) = [operator for operator in onnx.load(path).graph.node if decoded.output[0] in operator.input]
    return {"Conv": "int32", "Gemm": "int32", "Add": "int8"}[reader.op_type]


def test_what_only_the_quantized_file_has_is_told(made):
    """The shape in which a Conv's bias is added."""
    graph = onnx.load(made["onnx-dynamic"]).graph
    (name,) = [operator.input[1] for operator in graph.node if operator.op_type == "Reshape"]
    others = [(row.tensor, row.reason) for row in rows_of(made, "onnx-dynamic") if row.counterpart is None]
    assert others == [(name, f"the float32 artifact contains no '{name}'")]


@pytest.fixture(scope="module", params=["fashion-mnist/fashion_dscnn.keras", "mlperf-tiny/kws_ref_model"])
def real(request, data_folder, workbench, tmp_path_factory):
    """Setting → file, of a published model; its scales of activations are those of noise."""
    folder = tmp_path_factory.mktemp("real")
    model = workbench.open(data_folder / request.param, ModelOptions())
    made = convert(
        "onnx",
        ConversionRequest(
            source=model.source,
            signature=model.signature,
            schemes={scheme: folder / scheme for scheme in ("float32", "float16", "dynamic", "int8")},
            sample_shapes={},
            calibration={spec.name: noise(spec, folder) for spec in model.description.inputs},
            work=folder / "work",
        ),
    )
    assert [result.reason for result in made] == [None] * 4
    return {f"onnx-{result.scheme}": FORMATS["onnx"].served(result.folder) for result in made}


def noise(spec, folder):
    path = folder / f"{spec.name}.npy"
    np.save(path, np.random.default_rng(0).normal(size=(8, *spec.shape[1:])).astype(np.float32))
    return path


@pytest.mark.parametrize("setting", ["onnx-float16", "onnx-dynamic", "onnx-int8"])
def test_weights_of_the_published_models(setting, real):
    float32 = arrays(real["onnx-float32"])
    rows = [row for row in rows_of(real, setting) if row.counterpart and row.sqnr_db is not None]
    kernels = [row for row in rows if row.dtype in {"int8", "float16"} and len(row.shape) > 1]
    assert len(kernels) >= 9
    for row in rows:
        check_row(row, real[setting], float32[row.counterpart])


def kernels_of(path):
    """What the ops that are quantized multiply by."""
    ops = [operator for operator in onnx.load(path).graph.node if operator.op_type in {"Conv", "Gemm", "MatMul"}]
    return {operator.input[1] for operator in ops} & set(arrays(path))


@pytest.mark.parametrize("setting", ["onnx-dynamic", "onnx-int8"])
def test_weights_of_a_model_from_tensorflow(setting, workbench):
    variants = {f"onnx-{scheme}": made.path for scheme, made in workbench.variants("conv", "onnx").items()}
    float32 = arrays(variants["onnx-float32"])
    rows = [row for row in rows_of(variants, setting) if row.dtype == "int8"]
    kernels = kernels_of(variants["onnx-float32"])
    assert len(kernels) >= 5
    # Static quantization has codes of what other ops add and multiply too.
    assert {row.counterpart for row in rows if setting == "onnx-dynamic" or row.counterpart in kernels} == kernels
    for row in rows:
        check_row(row, variants[setting], float32[row.counterpart])


# Names


def numbered(graph):
    """A copy of the graph whose names are as tf2onnx makes them up: a few stems, each name with a number of its own."""
    names = [tensor.name for tensor in graph.initializer] + [node.output[0] for node in graph.node]
    made_up = {}
    for number, name in enumerate(names):
        if name not in {value.name for value in graph.output}:
            stem = ("const_fold_opt", "Conv", "Conv__7/Transpose", "own_name")[number % 4]
            made_up[name] = f"{stem}_{number}" if stem == "own_name" else f"{stem}__{number}" + (":0" * (number % 2))
    return renamed(graph, made_up), made_up


def renamed(graph, names):
    copy = onnx.GraphProto()
    copy.CopyFrom(graph)
    for tensor in copy.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for operator in copy.node:
        for part in (operator.input, operator.output):
            part[:] = [names.get(name, name) for name in part]
    return copy


def renumbered(graph, numbers, order):
    """As another conversion would number it: every number another, and the initializers in another order."""
    tensors = [tensor.name for tensor in graph.initializer] + [operator.output[0] for operator in graph.node]
    names = {name: re.sub(r"__(\d+)", lambda match: f"__{numbers[int(match[1])]}", name) for name in tensors}
    copy = renamed(graph, names)
    weights = list(copy.initializer)
    order.shuffle(weights)
    del copy.initializer[:]
    copy.initializer.extend(weights)
    return copy, names


@settings(max_examples=50, deadline=None)
@given(numbers=st.permutations(range(100)), offset=st.integers(0, 10_000), seed=st.integers(0, 99))
def test_numbers_of_a_conversion_change_no_stable_name(numbers, offset, seed, graph):
    first, _ = numbered(graph)
    order = random.Random(seed)  # noqa: S311  # nothing secret
    second, names = renumbered(first, [number + offset for number in numbers], order)
    before, after = stable_names(first), stable_names(second)
    assert {names.get(name, name): stable for name, stable in before.items()} == after
    assert len(set(after.values())) == len(after)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return onnx.load(pictures(tmp_path_factory.mktemp("graph") / "model.onnx")).graph


def test_two_conversions_give_the_same_names(workbench, tmp_path):
    """tf2onnx numbers by chance, and by chance two constants of one value become the one or the other."""
    one = workbench.float32("conv", "onnx").path
    (again,) = convert("onnx", workbench.request("conv", ["float32"], tmp_path))
    other = FORMATS["onnx"].served(again.folder)
    taps, weights = FORMATS["onnx"].taps, FORMATS["onnx"].weights
    assert {tap.name for tap in taps(one)} == {tap.name for tap in taps(other)}
    rows = [row for row in compare_weights("onnx-float32", weights(other), weights(one)) if row.shape]
    assert [(row.reason, row.different) for row in rows] == [(None, 0)] * len(rows)
    assert len(rows) >= 9


def test_names_without_a_made_up_number_stay(graph):
    names = stable_names(graph)
    assert names
    assert all(name == stable for name, stable in names.items())


# Layout


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param([node("Conv", ["x", "w"], "y")], {"x", "y"}, id="what a convolution takes and gives"),
        pytest.param(
            [node("Conv", ["x", "w"], "a"), node("Relu", ["a"], "y")], {"x", "a", "y"}, id="element by element"
        ),
        pytest.param([node("Relu", ["x"], "a"), node("Conv", ["a", "w"], "y")], {"x", "a", "y"}, id="and before it"),
        pytest.param(
            [node("Transpose", ["x"], "a", perm=[0, 3, 1, 2]), node("Conv", ["a", "w"], "y")],
            {"a", "y"},
            id="not beyond a Transpose",
        ),
        pytest.param(
            [node("MaxPool", ["x"], "a"), node("Reshape", ["a", "shape"], "y")], {"x", "a"}, id="nor a Reshape"
        ),
        pytest.param([node("MatMul", ["x", "w"], "y")], set(), id="without any"),
        pytest.param([node("Conv", ["x", "w"], "flat")], {"x"}, id="two dimensions have no layout"),
        pytest.param(
            [
                node("QLinearConv", ["x", "s", "z", "w", "s", "z", "s", "z"], "a"),
                node("DequantizeLinear", ["a", "s", "z"], "y"),
            ],
            {"x", "a", "y"},
            id="codes too",
        ),
    ],
)
def test_which_tensors_lie_channels_first(nodes, expected):
    graph = onnx.helper.make_graph(nodes, "graph", [], [])
    assert channels_first(graph, {"x": 4, "a": 4, "y": 4, "w": 4, "flat": 2, "s": 0, "z": 0}) == expected


# What ops compute in


@pytest.mark.parametrize(
    ("setting", "computed"),
    [
        pytest.param(
            "onnx-float32",
            {"Conv": {("float", "float32")}, "Gemm": {("float", "float32")}, "Softmax": {("float", "")}},
            id="float32",
        ),
        pytest.param(
            "onnx-float16",
            {"Conv": {("float", "float16")}, "Gemm": {("float", "float16")}, "Softmax": {("float", "")}},
            id="float16",
        ),
        pytest.param(
            "onnx-dynamic",
            {"ConvInteger": {("hybrid", "int8")}, "MatMulInteger": {("hybrid", "int8")}, "Softmax": {("float", "")}},
            id="dynamic: the range is found while it runs",
        ),
        pytest.param(
            "onnx-int8",
            {"Conv": {("int8", "int8")}, "Gemm": {("int8", "int8")}, "Softmax": {("int8", "")}},
            id="int8: between QuantizeLinear and DequantizeLinear",
        ),
    ],
)
def test_what_ops_compute_in(setting, computed, made):
    rows = FORMATS["onnx"].ops(made[setting], setting)
    told = {op: {(row.computes_in, row.weights) for row in rows if row.op == op} for op in computed}
    assert told == computed
    assert {row.setting for row in rows} == {setting}
    assert [row.place for row in rows] == sorted(row.place for row in rows)


QUANTIZED = {"scale": np.float32(0.1), "zero": np.int8(0)}


@pytest.mark.parametrize(
    ("nodes", "constants", "computed"),
    [
        pytest.param(
            [node("DequantizeLinear", ["codes", "scale", "zero"], "w"), node("MatMul", ["x", "w"], "y")],
            {**QUANTIZED, "codes": np.ones((4, 4), np.int8)},
            ("hybrid", "int8"),
            id="codes of a weight alone",
        ),
        pytest.param(
            [
                node("QuantizeLinear", ["x", "scale", "zero"], "q"),
                node("DequantizeLinear", ["q", "scale", "zero"], "d"),
                node("MatMul", ["d", "w"], "y"),
            ],
            {**QUANTIZED, "w": np.ones((4, 4), np.float32)},
            ("float", "float32"),
            id="floats that were codes before",
        ),
    ],
)
def test_an_op_between(nodes, constants, computed, tmp_path):
    path = write(tmp_path / "model.onnx", nodes, ([port("x", ["b", 4])], [port("y", ["b", 4])]), constants)
    (row,) = [row for row in FORMATS["onnx"].ops(path, "mine") if row.op == "MatMul"]
    assert (row.computes_in, row.weights) == computed


# Tensors inside


def read_inside(path: Path, folder: Path):
    """What the file answers, what a copy does that gives all it can, and each tensor by its name."""
    names = [tap.name for tap in FORMATS["onnx"].taps(path) if tap.reason is None]
    copy = folder / f"{path.parent.name}.onnx"
    positions = FORMATS["onnx"].write_tapped(path, copy, names)
    outputs = [value.name for value in onnx.load(copy).graph.output]
    answers = predicted(copy, samples(1), outputs)
    return (
        predicted(path, samples(1), ["scores"])[0],
        answers[0],
        dict(zip(names, (answers[i] for i in positions), strict=True)),
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_tapped_copy_answers_as_the_file_does(scheme, made, tmp_path):
    answer, tapped, _ = read_inside(made[f"onnx-{scheme}"], tmp_path)
    # onnxruntime skips the rounding of half floats where nobody reads what is between.
    tolerance = 0.01 if scheme == "float16" else 0
    np.testing.assert_allclose(tapped, answer, rtol=0, atol=tolerance)


def test_tensors_are_read_channels_last(made, tmp_path):
    """A convolution by hand, as TensorFlow would have it."""
    _, _, inside = read_inside(made["onnx-float32"], tmp_path)
    held = arrays(made["onnx-float32"])
    padded = np.pad(samples(1)["picture"], [(0, 0), (0, 0), (1, 1), (1, 1)]).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.einsum("ncyxij,ocij->nyxo", windows, held["filter"]) + held["filter_bias"]
    np.testing.assert_allclose(inside["slid"], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(inside["bent"], np.maximum(expected, 0), rtol=1e-4, atol=1e-4)
    assert inside["mean"].shape == (1, 1, 1, 6)
    assert inside["logits"].shape == (1, 5)


def test_codes_are_read_by_their_scale(made, tmp_path):
    """Of int8: whole steps from the zero point, within the codes' range."""
    _, _, inside = read_inside(made["onnx-int8"], tmp_path)
    coded = [tap for tap in FORMATS["onnx"].taps(made["onnx-int8"]) if tap.codes is not None]
    assert {"bent", "deep_bent", "hidden", "through", "logits"} <= {tap.name for tap in coded}
    for tap in coded:
        steps = inside[tap.name] / tap.codes.scale + tap.codes.zero_point
        np.testing.assert_allclose(steps, steps.round(), atol=1e-3)
        assert steps.min() >= tap.codes.lowest - 1e-3
        assert steps.max() <= tap.codes.highest + 1e-3


def test_codes_of_quantized_ops_say_where_their_error_counts(tmp_path):
    scale, zero = np.float32(0.1), np.uint8(0)
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "codes"),
        node("QLinearMatMul", ["codes", "s", "z", "w", "s", "z", "s", "z"], "product"),
        node("DequantizeLinear", ["product", "s", "z"], "y"),
    ]
    constants = {"s": np.array(scale), "z": np.array(zero), "w": np.eye(4, dtype=np.uint8)}
    path = write(tmp_path / "x.onnx", nodes, ([port("x", ["n", 4])], [port("y", ["n", 4])]), constants)
    assert {tap.op: tap.reason for tap in FORMATS["onnx"].taps(path)} == {
        "QuantizeLinear": "not a float tensor: uint8",
        "QLinearMatMul": "codes of a quantized op (uint8), whose error counts in the next float tensor",
        "DequantizeLinear": None,
    }
