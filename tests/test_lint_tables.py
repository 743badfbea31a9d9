"""The tables of what runtimes know, against the installed libraries; and what is summarized of a weight."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_web_ops import PACKAGE, read_ops
from onnxruntime.capi import onnxruntime_pybind11_state
from tfjs_kernels import BACKENDS, Source, missing_in

from quantlab.lint.hazards.ranges import channel_sqnrs
from quantlab.lint.keras_config import layers_of
from quantlab.lint.known_ops import (
    LAYERS_ACTIVATIONS,
    NEEDED_BY_GRAPHS,
    NOT_IN_ONNX_RUNTIME,
    RECENT_IN_ONNX_RUNTIME,
    RECENT_IR_VERSIONS,
    RECENT_OPSETS,
    RECENT_TFLITE,
    onnx_web_ops,
    tfjs_kernels,
    tfjs_ops,
)
from quantlab.lint.saved_model_kernels import kernels_of
from quantlab.lint.weights import facts_of

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules" / "@tensorflow"


def test_the_ops_of_tfjs_are_those_of_the_installed_converter() -> None:
    known = tfjs_ops()
    assert {"Conv2D", "_FusedMatMul", "FusedBatchNormV3", "StatelessWhile"} <= known
    assert not {"Erfc", "ResizeBicubic", "MatrixInverse"} & known
    assert not NEEDED_BY_GRAPHS & {"Erfc", "Conv2D"}


def installed(place: Path) -> Path:
    """A package of npm, which a development install has."""
    if not place.is_dir():
        pytest.skip(f"needs '{place}', which a development install has")
    return place


def test_the_kernels_of_tfjs_are_those_of_the_installed_packages() -> None:
    package = json.loads((installed(MODULES / "tfjs-converter") / "package.json").read_text())
    table, missing = tfjs_kernels(), missing_in(Source(MODULES))
    assert table.version == package["version"]
    assert table.backends == tuple(BACKENDS)
    assert table.missing == {op: backends for op, backends in missing.items() if backends}
    assert set(table.since) <= set(missing)


def test_ops_have_a_first_version_where_they_run() -> None:
    table = tfjs_kernels()
    assert not [op for op, since in table.since.items() if set(since) & set(table.missing.get(op, ()))]
    first = {version for since in table.since.values() for version in since.values()}
    assert {len(version.split(".")) for version in first} == {2}
    assert not table.since.get("Conv2D")


@pytest.mark.parametrize(
    ("op", "kernels"),
    [
        pytest.param("Conv2D", {"conv2d", "reshape"}, id="a kernel of its own"),
        pytest.param("_FusedConv2D", {"fusedconv2d"}, id="a fused one, without its unfused form"),
        pytest.param("Abs", {"abs"}, id="a kernel for real numbers"),
        pytest.param("NonMaxSuppressionV4", set(), id="none: it is computed in JavaScript"),
        pytest.param("LowerBound", {"reshape", "searchsorted"}, id="a function of another"),
        pytest.param("ComplexAbs", {"complexabs"}, id="complex numbers"),
    ],
)
def test_kernels_that_an_op_needs(op: str, kernels: set[str]) -> None:
    installed(MODULES / "tfjs-core")
    assert Source(MODULES).needs()[op] == kernels


def test_the_ops_of_onnxruntime_web_are_those_of_the_installed_package() -> None:
    table = onnx_web_ops()
    assert {"version": table.version, "webgl": table.webgl, "webgpu": table.webgpu} == read_ops(installed(PACKAGE))


def runs(opset: int, ir: int) -> bool:
    """Whether the installed ONNX Runtime loads a file of these versions."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except onnxruntime_pybind11_state.Fail:
        return False
    return True


OWN = tuple(map(int, onnxruntime.__version__.split(".")[:2]))


def known_here(table: Mapping[int, str]) -> set[int]:
    """Versions that the installed ONNX Runtime loads, as a table says."""
    return {number for number, first in table.items() if tuple(map(int, first.split("."))) <= OWN}


def test_the_installed_onnx_runtime_loads_what_the_tables_say() -> None:
    for table, versions in ((RECENT_OPSETS, lambda opset: (opset, 8)), (RECENT_IR_VERSIONS, lambda ir: (11, ir))):
        known = known_here(table)
        loaded = {number for number in range(min(table), max(table) + 3) if runs(*versions(number))}
        assert loaded == known


def test_ops_without_a_kernel_of_onnx_runtime() -> None:
    kernels = {kernel.op_name for kernel in onnxruntime_pybind11_state.get_all_opkernel_def()}
    newest = max(known_here(RECENT_OPSETS))
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    since = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.since_version <= newest}
    schemas = [onnx.defs.get_schema(name, newest) for name in names & since]
    bare = {schema.name for schema in schemas if not (schema.has_function or schema.has_context_dependent_function)}
    later = {op for op, first in RECENT_IN_ONNX_RUNTIME.items() if tuple(map(int, first.split("."))) > OWN}
    assert bare - kernels - {"Constant"} == NOT_IN_ONNX_RUNTIME | (later & since)
    assert set(RECENT_IN_ONNX_RUNTIME) - later <= kernels


def test_activations_of_layers_models() -> None:
    file = MODULES / "tfjs-layers" / "dist" / "activations.js"
    if not file.is_file():
        pytest.skip("needs node_modules, which a development install has")
    named = re.findall(r"\.className = '(\w+)'", file.read_text())
    snake = {re.sub(r"(?<=[a-z])([A-Z])", lambda match: f"_{match[1].lower()}", name) for name in named}
    assert snake == LAYERS_ACTIVATIONS


def test_every_recent_op_is_one_of_tflite() -> None:
    ops = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}
    assert {op for op, _ in RECENT_TFLITE} <= ops


# Weights

finite = st.floats(-1e4, 1e4, width=32)


@given(st.lists(finite, min_size=1, max_size=40), st.sampled_from([0.25, 2.0, 8.0]))
def test_a_summary_scales_with_its_weight(values: list[float], factor: float) -> None:
    weight = np.array(values, np.float64)
    one, other = facts_of("w", weight), facts_of("w", factor * weight)
    assert other.largest == factor * one.largest
    assert other.quantile == factor * one.quantile
    assert np.allclose(other.rms, factor * np.array(one.rms))
    assert (one.nan, one.infinite, one.elements) == (0, 0, len(values))


@given(st.lists(st.sampled_from([1.0, np.nan, np.inf, -np.inf, 7e4]), min_size=1, max_size=20))
def test_what_is_not_finite_is_counted_and_left_out(values: list[float]) -> None:
    facts = facts_of("w", np.array(values, np.float32))
    assert facts.nan == sum(np.isnan(values))
    assert facts.infinite == sum(np.isinf(values))
    assert facts.beyond_half == values.count(7e4)
    assert facts.largest == max([abs(value) for value in values if np.isfinite(value)], default=0)


def test_channels_are_rows_of_their_axes() -> None:
    kernel = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    facts = facts_of("w", kernel, (1, 2))
    assert facts.high == tuple(kernel[1].reshape(-1))
    assert facts_of("w", kernel).high == (23.0,)


def test_the_predicted_sqnr_is_that_of_rounding() -> None:
    kernel = np.random.default_rng(5).normal(size=(4000, 3)) * [1, 0.1, 1e-5]
    facts, step = facts_of("w", kernel, (1,)), 0.03
    error = np.round(kernel / step) * step - kernel
    measured = 10 * np.log10(np.square(kernel).sum(axis=0) / np.square(error).sum(axis=0))
    predicted = channel_sqnrs(facts, step)
    assert len(predicted) == 2  # the last is dead beside the first
    assert np.allclose(predicted, measured[:2], atol=0.3)


def test_values_below_half_a_step_are_their_own_error() -> None:
    sparse = np.full((1000, 2), 1e-3)
    sparse[0], sparse[:, 0] = 0.2, np.linspace(-1, 1, 1000)
    step = 2 / 255
    (_, predicted), rounded = channel_sqnrs(facts_of("w", sparse, (1,)), step), np.round(sparse[:, 1] / step) * step
    measured = 10 * np.log10(np.square(sparse[:, 1]).sum() / np.square(rounded - sparse[:, 1]).sum())
    assert abs(predicted - measured) < 0.3
    assert min(channel_sqnrs(facts_of("w", np.float64([[1, 1e-2], [1, 2e-3]]), (1,)), 0.05)) == 0


# Configurations


def call(*names: str, version: int, **keywords: object) -> object:
    """Inbound nodes of a layer that is called once with outputs of these layers."""
    if version == 2:
        return [[[name, 0, 0, keywords] for name in names]]
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}} for name in names]
    return [{"args": [tensors], "kwargs": keywords}]


@pytest.mark.parametrize("version", [2, 3])
def test_sources_and_training_of_either_version(version: int) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"name": "image"}, "inbound_nodes": []},
        {
            "class_name": "Dropout",
            "config": {"name": "drop"},
            "inbound_nodes": call("image", version=version, training=True),
        },
        {"class_name": "Add", "config": {"name": "sum"}, "inbound_nodes": call("image", "drop", version=version)},
    ]
    read = layers_of(json.loads(json.dumps({"class_name": "Functional", "config": {"layers": layers}})))
    assert [(layer.name, layer.sources, layer.training) for layer in read] == [
        ("image", (), False),
        ("drop", ("image",), True),
        ("sum", ("image", "drop"), False),
    ]


# Graphs of SavedModels


def test_functions_that_call_themselves_end() -> None:
    again = [SimpleNamespace(name=name, op="f", input=["x"], attr={}) for name in ("one", "two")]
    signature = SimpleNamespace(name="f", input_arg=[SimpleNamespace(name="x")], output_arg=[SimpleNamespace(name="y")])
    function = SimpleNamespace(signature=signature, node_def=again, ret={"y": "two:y:0"})
    graph = SimpleNamespace(node=again[:1], library=SimpleNamespace(function=[function]))
    assert kernels_of(graph, ["one"], lambda _: np.zeros(1)) == {}
