"""ONNX from ONNX: contents and outputs of each setting, and models that cannot be quantized."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import SCHEMES, converted, node, pictures, port, predicted, samples, write

from quantlab.errors import ConversionError
from quantlab.formats import FORMATS, describe_variant
from quantlab.models import ModelOptions, identify, open_reference
from quantlab.statistics import LayerError

pytestmark = pytest.mark.starts_children

INPUT, OUTPUT = [port("x", ["batch", 4])], [port("y", ["batch", 4])]
MATRIX = {"w": np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)}
PRODUCT = [node("MatMul", ["x", "w"], "y")]
FED = {"x": np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)}
EXTERNAL = {"save_as_external_data": True, "size_threshold": 0, "location": "weights.bin"}


def product(path, **saved):
    return write(path, PRODUCT, (INPUT, OUTPUT), MATRIX, **saved)


def two_ports(path):
    nodes = [
        node("Cast", ["apple"], "floats", to=TensorProto.FLOAT),
        node("MatMul", ["zebra", "w"], "yak"),
        node("Add", ["floats", "zebra"], "ant"),
    ]
    inputs = [port("zebra", ["batch", 4]), port("apple", ["batch", 4], TensorProto.INT64)]
    return write(path, nodes, (inputs, [port("yak", ["batch", 4]), port("ant", ["batch", 4])]), MATRIX)


def old(path):
    """IR version 3, in which weights are inputs too."""
    ports = [*INPUT, port("w", [4, 4])], OUTPUT
    return write(path, PRODUCT, ports, MATRIX, ir_version=3, opsets={"": 8})


def loop(path):
    ports = [port("i", [], TensorProto.INT64), port("go", [], TensorProto.BOOL), port("held", None)]
    steps = [node("Add", ["held", "step"], "more"), node("Identity", ["go"], "on")]
    step = numpy_helper.from_array(np.ones(4, np.float32), "step")
    given = [port("on", [], TensorProto.BOOL), port("more", None)]
    body = helper.make_graph(steps, "body", ports, given, [step])
    nodes = [node("MatMul", ["x", "w"], "hidden"), node("Loop", ["times", "", "hidden"], "y", body=body)]
    return write(path, nodes, (INPUT, OUTPUT), {**MATRIX, "times": np.array(3)})


def branches(path):
    def branch(name, op):
        return helper.make_graph([node(op, ["hidden"], name)], name, [], [port(name, None)])

    nodes = [
        node("MatMul", ["x", "w"], "hidden"),
        node("ReduceSum", ["hidden"], "sum", keepdims=0),
        node("Greater", ["sum", "zero"], "positive"),
        node("If", ["positive"], "y", then_branch=branch("kept", "Identity"), else_branch=branch("turned", "Neg")),
    ]
    return write(path, nodes, (INPUT, OUTPUT), {**MATRIX, "zero": np.float32(0)})


def constant_node(path):
    nodes = [node("Constant", [], "w", value=numpy_helper.from_array(MATRIX["w"])), *PRODUCT]
    return write(path, nodes, (INPUT, OUTPUT))


def nothing_of_something(path):
    """A weight without elements, and two that hold the same."""
    nodes = [
        node("Concat", ["x", "none"], "joined", axis=0),
        node("MatMul", ["joined", "w"], "hidden"),
        node("MatMul", ["hidden", "same"], "y"),
    ]
    none = np.zeros((0, 4), np.float32)
    return write(path, nodes, (INPUT, OUTPUT), {**MATRIX, "same": MATRIX["w"], "none": none})


def told_twice(path):
    """As PyTorch's newer exporter writes it: the shapes of weights are told once more."""
    ports, weight = (INPUT, [port("y", ["batch", 3])]), np.eye(3, 4, dtype=np.float32)
    model = onnx.load(write(path, [node("Gemm", ["x", "w"], "y", transB=1)], ports, {"w": weight}))
    model.graph.value_info.append(port("w", [3, 4]))
    onnx.save(model, path)
    return path


def fed_to(model):
    random = np.random.default_rng(3)
    return {
        spec.name: (5 * random.normal(size=(6, *spec.shape[1:]))).astype(spec.dtype)
        for spec in description_of(model).inputs
    }


def description_of(model):
    return open_reference(identify(model, ModelOptions()), ModelOptions(), model.parent / "nothing").description


@pytest.mark.parametrize(
    ("make", "schemes", "weights"),
    [
        pytest.param(pictures, SCHEMES, 9, id="convolutions"),
        pytest.param(lambda path: pictures(path, 1), SCHEMES, 9, id="a batch of one"),
        pytest.param(lambda path: product(path, **EXTERNAL), SCHEMES, 1, id="external data"),
        pytest.param(two_ports, SCHEMES, 1, id="two inputs and two outputs, not in order of their names"),
        pytest.param(old, ("float32", "float16", "dynamic"), 1, id="IR version 3"),
        pytest.param(loop, SCHEMES, 3, id="a loop"),
        pytest.param(branches, SCHEMES, 2, id="branches"),
        pytest.param(constant_node, SCHEMES, 1, id="a weight in a node"),
        pytest.param(nothing_of_something, SCHEMES, 3, id="a weight of no elements, and two alike"),
        pytest.param(told_twice, SCHEMES, 1, id="the shape of a weight told once more"),
        pytest.param(
            lambda path: write(path, [node("Relu", ["x"], "y")], (INPUT, OUTPUT)), SCHEMES, 0, id="no weights"
        ),
    ],
)
def test_settings_of_a_model(make, schemes, weights, tmp_path):
    model = make(tmp_path / "model.onnx")
    fed, description = fed_to(model), description_of(model)
    expected = predicted(model, fed)
    made = converted(model, tmp_path / "made", fed, schemes)
    for name, path in made.items():
        onnx.checker.check_model(str(path), full_check=True)
        variant = describe_variant(name, FORMATS["onnx"], path, description)
        assert [(port.name, port.dtype) for port in variant.inputs] == [(s.name, s.dtype) for s in description.inputs]
        assert [(port.name, port.dtype) for port in variant.outputs] == [(s.name, s.dtype) for s in description.outputs]
        for got, wanted in zip(
            predicted(path, fed, [output.tensor for output in variant.outputs]), expected, strict=True
        ):
            tolerance = 1e-5 if name == "onnx-float32" else 0.5
            np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
            assert LayerError.of(wanted, got).error.sqnr_db > (100 if name == "onnx-float32" else 20)
    assert len(list(FORMATS["onnx"].weights(made["onnx-float32"]))) == weights


def test_opset_and_kept_files(workbench):
    """From TensorFlow the opset is the one that is stated; what is needed on the way is not kept."""
    variant = workbench.float32("conv", "onnx")
    assert [entry.version for entry in onnx.load(variant.path).opset_import if not entry.domain] == [18]
    assert [file.name for file in variant.path.parent.iterdir()] == ["model.onnx"]


def test_the_float32_of_a_model_from_tensorflow(workbench):
    model, variant = workbench.models["conv"], workbench.float32("conv", "onnx")
    (got,) = predicted(variant.path, {variant.inputs[0].tensor: model.inputs["image"]})
    np.testing.assert_allclose(got, model.outputs[0], rtol=1e-5, atol=1e-5)


def with_matrix(values):
    return lambda path: write(path, PRODUCT, (INPUT, OUTPUT), {"w": np.asarray(values)})


def of_type(dtype, tensor_dtype):
    ports = [port("x", ["batch", 4], tensor_dtype)], [port("y", ["batch", 4], tensor_dtype)]
    return lambda path: write(path, PRODUCT, ports, {"w": np.eye(4, dtype=dtype)})


def quantized(path):
    made = converted(product(path), path.parent / "quantized", FED, ["int8"])
    return made["onnx-int8"].rename(path)


def alike(path):
    model = onnx.load(product(path))
    model.graph.initializer.append(model.graph.initializer[0])
    onnx.save(model, path)
    return path


SPOILED = np.float32([[np.nan, 1, np.inf, 2], [1, 2, 3, 4], [0, 0, 0, 1], [1, 0, 0, 0]])
NO_RANGE = (
    "the weight 'w' holds 2 values that are NaN or infinite, and int8 needs a finite range; "
    "train again or repair the model"
)
ALREADY = (
    "the model is already quantized (DequantizeLinear in the node 'w_DequantizeLinear'); "
    "give the float model it was made from, and this file with --variant NAME=FILE"
)


def other(dtype):
    return (
        f"the model's weights are {dtype}, and only float32 weights can be converted; export it in "
        "float32, or leave this setting out"
    )


@pytest.mark.parametrize(
    ("make", "reasons"),
    [
        pytest.param(with_matrix(SPOILED), {"dynamic": NO_RANGE, "int8": NO_RANGE}, id="NaN and infinity"),
        pytest.param(
            of_type(np.float16, TensorProto.FLOAT16),
            dict.fromkeys(("float16", "dynamic", "int8"), other("float16")),
            id="half floats",
        ),
        pytest.param(
            of_type(np.float64, TensorProto.DOUBLE),
            dict.fromkeys(("float16", "dynamic", "int8"), other("float64")),
            id="doubles",
        ),
        pytest.param(quantized, dict.fromkeys(("float16", "dynamic", "int8"), ALREADY), id="quantized already"),
        pytest.param(
            alike,
            dict.fromkeys(
                SCHEMES,
                "'model.onnx' is not valid ONNX (w initializer name is not unique), and quantization "
                "needs that; export it again",
            ),
            id="two weights of one name",
        ),
        pytest.param(
            old,
            {
                "int8": "the model has opset 11, and one scale per channel needs 13 or newer; export it with "
                "that, or raise it with onnx.version_converter.convert_version(model, 13)"
            },
            id="an old opset",
        ),
    ],
)
def test_what_cannot_be_quantized(make, reasons, tmp_path):
    model = make(tmp_path / "model.onnx")
    refusals = {}
    for scheme in SCHEMES:
        try:
            converted(model, tmp_path / scheme, fed_to(model), [scheme])
        except ConversionError as error:
            refusals[scheme] = str(error)
    assert refusals == reasons


@pytest.mark.parametrize(
    ("values", "notes"),
    [
        pytest.param(
            [[1e6, 1, -1e30, 2], [1, 2, 3, 4], [0, 0, 0, 1], [1, 0, 0, 0]],
            ("weight 'w' holds 2 values at ±65,504, the limit of float16",),
            id="larger than half floats go",
        ),
        pytest.param([[65000, 1, -6e4, 2], [1, 2, 3, 4], [0, 0, 0, 1], [1, 0, 0, 0]], (), id="within"),
        pytest.param(SPOILED, ("weight 'w' holds 2 values that are not finite in float16",), id="NaN and infinity"),
    ],
)
@pytest.mark.filterwarnings("ignore:the float32 number")
def test_weights_that_half_floats_cannot_hold(values, notes, tmp_path):
    model = with_matrix(np.float32(values))(tmp_path / "model.onnx")
    made = converted(model, tmp_path / "made", schemes=["float16"])
    assert describe_variant("x", FORMATS["onnx"], made["onnx-float16"], description_of(model)).notes == notes


def test_another_calibration_gives_other_scales(tmp_path):
    def scales(factor):
        fed = {name: factor * array for name, array in samples().items()}
        path = converted(model, tmp_path / str(factor), fed, ["int8"])["onnx-int8"]
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        return tensors["picture_scale"], tensors["filter_scale"]

    model = pictures(tmp_path / "model.onnx")
    (one, weights), (four, same) = scales(1), scales(4)
    assert four == pytest.approx(4 * one, rel=1e-6)
    assert np.array_equal(weights, same)
