"""What a graph is found to do with its kernels: the kind of op, its inputs and its bias, and what is left alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfjs_graphs import node, text, write

from quantlab_converters.hessians import Window
from quantlab_converters.tfjs_coded_graph import FloatGraph
from quantlab_converters.tfjs_kernel_uses import KernelUse, find_uses

FLOAT = {"T": {"type": "DT_FLOAT"}}
PRODUCT = {"transpose_a": {"b": False}, "transpose_b": {"b": False}, **FLOAT}
TURNED = {**PRODUCT, "transpose_b": {"b": True}}


def sliding(padding="SAME", layout="NHWC", dilations=(1, 1)):
    return {
        "strides": {"list": {"i": ["1", "1", "1", "1"]}},
        "dilations": {"list": {"i": [str(size) for size in (1, *dilations, 1)]}},
        "padding": {"s": text(padding)[0]},
        "data_format": {"s": text(layout)[0]},
        **FLOAT,
    }


def fused(*ops):
    return {"fused_ops": {"list": {"s": text(*ops)}}}


def zeros(*shape):
    return np.zeros(shape, np.float32)


MATRIX, FILTER, SQUARE = zeros(8, 4), zeros(3, 3, 4, 6), zeros(8, 8)
CONV = node("conv", "Conv2D", "input", "kernel", **sliding())
MATMUL = node("product", "MatMul", "input", "kernel", **PRODUCT)
RELU = node("relu", "Relu", "product", **FLOAT)


def use_of(tmp_path, nodes, kernel, **weights):
    graph = FloatGraph.read(write(tmp_path, nodes, {"kernel": kernel, **weights}, ("input",)))
    return find_uses(graph).get("kernel")


BIASES = {
    "none": ([MATMUL, RELU], None),
    "added by BiasAdd": ([MATMUL, node("sum", "BiasAdd", "product", "bias", **FLOAT)], "bias"),
    "added on the right": ([MATMUL, node("sum", "AddV2", "product", "bias", **FLOAT)], "bias"),
    "added on the left": ([MATMUL, node("sum", "Add", "bias", "product", **FLOAT)], "bias"),
    "named with its output": ([MATMUL, node("sum", "BiasAdd", "product:0", "bias:0", **FLOAT)], "bias"),
    "fused": ([node("sum", "_FusedMatMul", "input", "kernel", "bias", **PRODUCT, **fused("BiasAdd"))], "bias"),
    "fused with an activation": (
        [node("sum", "_FusedMatMul", "input", "kernel", "bias", **PRODUCT, **fused("BiasAdd", "Relu"))], "bias",
    ),
    "fused with PReLU": (
        [node("sum", "_FusedMatMul", "input", "kernel", "bias", "slope", **PRODUCT, **fused("BiasAdd", "Prelu"))],
        "bias",
    ),
    "followed by PReLU": (
        [MATMUL, node("sum", "BiasAdd", "product", "bias", **FLOAT), node("end", "Prelu", "sum", "slope", **FLOAT)],
        "bias",
    ),
    "of a kernel behind Identity": (
        [
            node("read", "Identity", "kernel", **FLOAT), node("product", "MatMul", "input", "read", **PRODUCT),
            node("sum", "BiasAdd", "product", "bias", **FLOAT),
        ],
        "bias",
    ),
    "behind a Reshape, as of a dense layer over time": (
        [
            MATMUL, node("shaped", "Reshape", "product", "shape", **FLOAT),
            node("sum", "BiasAdd", "shaped", "bias", **FLOAT),
        ],
        "bias",
    ),
    "behind a Reshape, which may have other channels": (
        [
            MATMUL, node("shaped", "Reshape", "product", "shape", **FLOAT),
            node("sum", "AddV2", "shaped", "bias", **FLOAT),
        ],
        None,
    ),
    "of a circle": (
        [
            MATMUL, node("one", "Identity", "two", "product", **FLOAT), node("two", "Identity", "one", **FLOAT),
        ],
        None,
    ),
    "shared by two ops": (
        [
            MATMUL, node("sum", "BiasAdd", "product", "bias", **FLOAT),
            node("other", "BiasAdd", "input", "bias", **FLOAT),
        ],
        None,
    ),
    "added after an activation": ([MATMUL, RELU, node("sum", "AddV2", "relu", "bias", **FLOAT)], None),
    "an output that is also read without it": (
        [MATMUL, RELU, node("sum", "BiasAdd", "product", "bias", **FLOAT)], None,
    ),
    "multiplied and not added": ([MATMUL, node("scaled", "Mul", "product", "bias", **FLOAT)], None),
    "a tensor that is no weight": ([MATMUL, node("sum", "AddV2", "product", "input", **FLOAT)], None),
    "an output that is added to itself": ([MATMUL, node("sum", "AddV2", "product", "product", **FLOAT)], None),
    "one value for all channels": ([MATMUL, node("sum", "AddV2", "product", "scalar", **FLOAT)], None),
    "a column": ([MATMUL, node("sum", "AddV2", "product", "column", **FLOAT)], None),
    "of a kernel that is read twice": (
        [
            MATMUL, node("sum", "BiasAdd", "product", "bias", **FLOAT),
            node("again", "MatMul", "input", "kernel", **PRODUCT),
        ],
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BIASES)
def test_bias(case, tmp_path):
    nodes, bias = BIASES[case]
    weights = {"bias": zeros(4), "slope": zeros(4), "scalar": zeros(1), "column": zeros(4, 1)}
    assert use_of(tmp_path, nodes, MATRIX, **weights).bias == bias


UNKNOWN = {
    "a table": ([node("row", "GatherV2", "kernel", "input", "axis")], MATRIX, (1,)),
    "a table that a product reads, too": (
        [node("row", "GatherV2", "kernel", "input", "axis"), node("end", "MatMul", "row", "kernel", **TURNED)],
        MATRIX, (1,),
    ),
    "a convolution over volumes": ([node("end", "Conv3D", "input", "kernel", **FLOAT)], zeros(3, 3, 3, 2, 5), (4,)),
    "a product of it and its transpose": (
        [node("end", "MatMul", "input", "kernel", **PRODUCT), node("back", "MatMul", "end", "kernel", **TURNED)],
        SQUARE, (1,),
    ),
    "a product with turned inputs": (
        [node("end", "MatMul", "input", "kernel", **{**PRODUCT, "transpose_a": {"b": True}})], MATRIX, (1,),
    ),
    "a kernel that is an input, too": (
        [node("end", "MatMul", "kernel", "input", **PRODUCT), node("more", "MatMul", "end", "kernel", **PRODUCT)],
        SQUARE, (1,),
    ),
    "a convolution with explicit padding": (
        [node("end", "Conv2D", "input", "kernel", **sliding("EXPLICIT"))], FILTER, (3,),
    ),
    "a convolution with the channels first": (
        [node("end", "Conv2D", "input", "kernel", **sliding(layout="NCHW"))], FILTER, (3,),
    ),
    "a transposed convolution with dilations": (
        [node("end", "Conv2DBackpropInput", "size", "kernel", "input", **sliding(dilations=(2, 2)))], FILTER, (2,),
    ),
    "convolutions with other strides": (
        [CONV, node("end", "Conv2D", "conv", "kernel", **sliding("VALID"))], zeros(3, 3, 4, 4), (3,),
    ),
    "a convolution whose kernel is also regularized": (
        [CONV, node("end", "L2Loss", "kernel", **FLOAT)], FILTER, (3,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNKNOWN)
def test_kernels_whose_inputs_are_not_known(case, tmp_path):
    nodes, kernel, axes = UNKNOWN[case]
    weights = {"axis": np.array(0, np.int32), "size": np.array([1, 4, 4, 4], np.int32)}
    use = use_of(tmp_path, nodes, kernel, **weights)
    assert use == KernelUse("other", axes)
    with pytest.raises(ValueError, match="the inputs of this kernel are not known") as error:
        use.rows(zeros(1, 8), 8)
    assert str(error.value) == "the inputs of this kernel are not known"


KNOWN = {
    "a product": ([MATMUL], MATRIX, KernelUse("product", (1,), ("input",))),
    "a product with a transposed kernel": (
        [node("product", "MatMul", "input", "kernel", **TURNED)], MATRIX, KernelUse("product", (0,), ("input",)),
    ),
    "a convolution": ([CONV], FILTER, KernelUse("convolution", (3,), ("input",), Window((3, 3), same=True))),
    "a convolution that states no layout": (
        [node("conv", "Conv2D", "input", "kernel", padding={"s": text("VALID")[0]})],
        FILTER, KernelUse("convolution", (3,), ("input",), Window((3, 3))),
    ),
    "steps of an unrolled recurrent layer": (
        [
            node("step", "MatMul", "input", "kernel", **PRODUCT), node("tanh", "Tanh", "step", **FLOAT),
            node("next", "MatMul", "tanh:0", "kernel", **PRODUCT),
        ],
        SQUARE, KernelUse("product", (1,), ("input", "tanh")),
    ),
    "one of several outputs of an op": (
        [node("parts", "Split", "axis", "input", **FLOAT), node("end", "MatMul", "parts:1", "kernel", **PRODUCT)],
        MATRIX, KernelUse("product", (1,), ("parts:1",)),
    ),
    "a transposed convolution": (
        [node("end", "Conv2DBackpropInput", "size", "kernel", "input", **sliding())],
        FILTER, KernelUse("transposed", (2,), ("input",), Window((3, 3), same=True), (5, 7)),
    ),
    "a kernel that only waits for another op": (
        [MATMUL, node("later", "Relu", "input", "^kernel", **FLOAT)], MATRIX, KernelUse("product", (1,), ("input",)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_kernels_whose_inputs_are_known(case, tmp_path):
    nodes, kernel, use = KNOWN[case]
    weights = {"axis": np.array(0, np.int32), "size": np.array([1, 5, 7, 4], np.int32)}
    assert use_of(tmp_path, nodes, kernel, **weights) == use


def test_a_kernel_in_a_loop_is_left_out(tmp_path):
    folder = write(tmp_path, [MATMUL], {"kernel": MATRIX}, ("input",))
    file = folder / "model.json"
    file.write_text(file.read_text().replace('"op": "Const", "input": []', '"op": "Const", "input": ["^input"]'))
    assert find_uses(FloatGraph.read(folder)) == {}


def test_nodes_in_a_circle_have_no_source(tmp_path):
    """A damaged file must not make the search for the inputs endless."""
    nodes = [
        node("one", "Identity", "two", **FLOAT),
        node("two", "Identity", "one", **FLOAT),
        node("product", "MatMul", "one", "kernel", **PRODUCT),
    ]
    assert use_of(tmp_path, nodes, MATRIX).kind == "product"


def test_a_grouped_convolution_is_refused():
    use = KernelUse("convolution", (3,), ("input",), Window((3, 3)))
    with pytest.raises(ValueError, match="inputs") as error:
        use.rows(zeros(1, 5, 5, 8), 3 * 3 * 4)
    assert str(error.value) == "the rows have 72 inputs, and the matrix has 36"


AXES = {
    "depthwise": (4, (2, 3)),
    "transposed": (4, (2,)),
    "convolution": (4, (3,)),
    "product": (2, (1,)),
    "product of a transposed kernel": (2, (0,)),
    "other": (5, (4,)),
    "other, a table of tables": (3, (1,)),
}


@pytest.mark.parametrize("case", AXES)
@given(data=st.data())
def test_a_kernel_comes_back_from_its_matrix(case, data):
    rank, axes = AXES[case]
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    kernel = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    use = KernelUse(case.partition(" ")[0].rstrip(","), axes)
    matrix = use.matrix(kernel)
    back = use.kernel(matrix, shape)
    assert (back.shape, back.tobytes()) == (shape, kernel.tobytes())
    channels = np.prod([shape[axis] for axis in axes])
    assert matrix.shape[0] * matrix.shape[2] == channels
    by_channel = np.moveaxis(kernel, axes, range(len(axes))).reshape(channels, -1)
    found = np.moveaxis(matrix, 1, 2).reshape(channels, -1)
    np.testing.assert_array_equal(np.sort(found), np.sort(by_channel))  # each has its own values, in some order


@given(st.integers(1, 4), st.integers(1, 50), st.integers(1, 60))
def test_at_most_as_many_steps_of_a_sequence_as_are_wanted(samples, steps, most):
    values = np.arange(samples * steps * 2, dtype=np.float32).reshape(samples, steps, 2)
    rows = KernelUse("product", (1,), ("input",)).rows(values, 2, most)
    taken = rows.reshape(samples, -1, 2)
    assert 1 <= taken.shape[1] <= most
    distances = {*np.diff(taken[..., 0].astype(int) // 2).flat}
    assert len(distances) <= 1
    if steps <= most:
        assert rows.tobytes() == values.tobytes()
