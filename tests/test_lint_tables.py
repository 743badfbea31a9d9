"""The tables of what runtimes know, against the installed libraries; and what is summarized of a weight."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from quantlab.lint.hazards.ranges import channel_sqnrs
from quantlab.lint.keras_config import layers_of
from quantlab.lint.known_ops import (
    LAYERS_ACTIVATIONS,
    NEEDED_BY_GRAPHS,
    NOT_IN_WASM,
    NOT_IN_WEBGPU,
    RECENT_TFLITE,
    tfjs_ops,
)
from quantlab.lint.weights import facts_of

MODULES = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js" / "node_modules" / "@tensorflow"


def test_the_ops_of_tfjs_are_those_of_the_installed_converter() -> None:
    known = tfjs_ops()
    assert {"Conv2D", "_FusedMatMul", "FusedBatchNormV3", "StatelessWhile"} <= known
    assert not {"Erfc", "ResizeBicubic", "MatrixInverse"} & known
    assert not NEEDED_BY_GRAPHS & {"Erfc", "Conv2D"}


def kernels(backend: str) -> set[str]:
    """Kernels that a backend registers, in lower case, because files and kernels are spelled otherwise."""
    file = MODULES / f"tfjs-backend-{backend}" / "dist" / "register_all_kernels.js"
    if not file.is_file():
        pytest.skip("needs node_modules, which a development install has")
    return {name.lower().lstrip("_") for name in re.findall(r"import \{ (\w+)Config", file.read_text())}


_OF_OTHER_KERNELS = {"irfft": "ifft", "rfft": "fft", "uniquev2": "unique"}
"""Op → the kernel that it runs on, where the names differ."""


@pytest.mark.parametrize(
    ("backend", "missing"),
    [pytest.param("wasm", NOT_IN_WASM, id="wasm"), pytest.param("webgpu", NOT_IN_WEBGPU, id="webgpu")],
)
def test_kernels_that_a_backend_lacks(backend: str, missing: frozenset[str]) -> None:
    names = {_OF_OTHER_KERNELS.get(name.lower(), name.lower()) for name in missing}
    assert not names & kernels(backend)
    assert names <= kernels("cpu")


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
