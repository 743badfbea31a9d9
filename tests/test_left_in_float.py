"""The note on kernels that stay float32 in a quantized artifact; nothing is converted or run."""

import numpy as np
import pytest
from weight_models import HandMade, write_tflite

from quantlab.formats import FORMATS
from quantlab.study.left_in_float import note_left_in_float
from quantlab.types import Variant

RANDOM = np.random.default_rng(0)


def floats(rows, columns, *, name="w"):
    return HandMade(name, shape=(rows, columns), data=RANDOM.normal(size=(rows, columns)).astype("<f4").tobytes())


def codes(rows, columns, dtype="int8"):
    size = rows * columns // (2 if dtype == "int4" else 1)
    return HandMade("c", dtype, (rows, columns), RANDOM.bytes(size), (0.5,) * rows, (0,) * rows)


ZEROS = HandMade("zeros", shape=(8, 8), data=bytes(256))
BIAS = HandMade("bias", shape=(8,), data=np.arange(8, dtype="<f4").tobytes())


def note_of(path):
    contents = FORMATS["tflite"].inspect(path)
    ports = contents.inputs, contents.outputs
    variant = Variant("tflite-dynamic", "tflite", path, "", 0, 0, *ports, contents.weights)
    return note_left_in_float(FORMATS["tflite"], variant)


def model(folder, kernels, names=None):
    """A file with a fully connected op for each kernel, one after the other."""
    layers = [HandMade(name) for name in names or [f"model/fc_{place}/BiasAdd;b;c" for place in range(len(kernels))]]
    tensors = [HandMade("x"), *kernels, *layers]
    first = len(kernels) + 1
    sources = [0, *range(first, first + len(kernels))]
    ops = [("FULLY_CONNECTED", [sources[place], 1 + place], [first + place]) for place in range(len(kernels))]
    return write_tflite(folder / "model.tflite", tensors, ops)


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [
        pytest.param([codes(8, 8), codes(8, 4)], None, id="all are codes"),
        pytest.param(
            [codes(8, 8), floats(4, 8)],
            "1 of 2 kernels (33 % of their weights) stays float32: fc_1",
            id="one is named by its layer",
        ),
        pytest.param(
            [floats(8, 8), codes(8, 8, "int4"), floats(8, 8)],
            "2 of 3 kernels (67 % of their weights) stay float32: fc_0 and fc_2",
            id="beside codes of four bits",
        ),
        pytest.param(
            [floats(2, 2), codes(64, 64)],
            "1 of 2 kernels (under 1 % of their weights) stays float32: fc_0",
            id="a small one",
        ),
        pytest.param(
            [codes(8, 8), *(floats(8, 8) for _ in range(6))],
            "6 of 7 kernels (86 % of their weights) stay float32: fc_1, fc_2, fc_3, fc_4, fc_5 and fc_6",
            id="six are named",
        ),
        pytest.param(
            [codes(8, 8), *(floats(8, 8) for _ in range(7))],
            "7 of 8 kernels (88 % of their weights) stay float32: fc_1, fc_2, fc_3, fc_4 and 3 more",
            id="seven are counted",
        ),
        pytest.param([codes(8, 8), ZEROS], None, id="a constant of one value is no kernel"),
        pytest.param([codes(8, 8), BIAS], None, id="nor is a vector"),
        pytest.param([floats(8, 8), floats(8, 8)], "128 of 128 weights stay float32", id="nothing is quantized"),
    ],
)
def test_the_layers_are_named(kernels, expected, tmp_path):
    assert note_of(model(tmp_path, kernels)) == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("weight", "name"),
    [
        pytest.param("arith.constant1", "StatefulPartitionedCall:0", id="by its tensor"),
        pytest.param("model/scores/MatMul", "scores", id="by its weight, if that tells the layer"),
    ],
)
def test_an_op_outside_of_every_layer_is_named(weight, name, tmp_path):
    kernels = [codes(8, 8), floats(8, 8, name=weight)]
    path = model(tmp_path, kernels, ["model/dense/BiasAdd", "StatefulPartitionedCall:0"])
    assert note_of(path) == (f"1 of 2 kernels (50 % of their weights) stays float32: {name}",)
