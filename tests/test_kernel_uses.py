"""How ops apply their kernels: rows times the matrix of a kernel are what TensorFlow computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfjs_graphs import node, run, text, write

from quantlab_converters.hessians import Window
from quantlab_converters.tfjs_coded_graph import FloatGraph
from quantlab_converters.tfjs_kernel_uses import KernelUse, find_uses

RANDOM = np.random.default_rng(4)
FLOAT = {"T": {"type": "DT_FLOAT"}}


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def sliding(padding="SAME", strides=(1, 1), dilations=(1, 1), layout="NHWC"):
    return {
        "strides": {"list": {"i": [str(size) for size in (1, *strides, 1)]}},
        "dilations": {"list": {"i": [str(size) for size in (1, *dilations, 1)]}},
        "padding": {"s": text(padding)[0]},
        "data_format": {"s": text(layout)[0]},
        "explicit_paddings": {"list": {}},
        **FLOAT,
    }


def product(*, a=False, b=False):
    return {"transpose_a": {"b": a}, "transpose_b": {"b": b}, **FLOAT}


def uses_of(folder, nodes, weights, inputs=("input",)):
    return find_uses(FloatGraph.read(write(folder, nodes, weights, inputs)))


def checked(folder, nodes, weights, samples, most=None):
    """The use of `kernel` in a graph whose `result` its rows and matrix must give, at all positions."""
    use = uses_of(folder, nodes, weights)["kernel"]
    kernel = weights["kernel"]
    matrix = use.matrix(kernel)
    sources = run(folder, {"input": samples}, *use.inputs, "result")
    *values, expected = sources
    found = sum(use.rows(value, matrix.shape[1], most) @ matrix for value in values)  # (groups, rows, outputs)
    np.testing.assert_allclose(np.moveaxis(found, 0, 1).reshape(expected.shape), expected, rtol=0, atol=1e-4)
    assert use.kernel(matrix, kernel.shape).tobytes() == kernel.tobytes()
    return use


CONVOLUTIONS = {
    "same": sliding(),
    "valid": sliding("VALID"),
    "same, strides": sliding(strides=(2, 2)),
    "valid, strides that leave a part out": sliding("VALID", strides=(3, 2)),
    "dilations": sliding("VALID", dilations=(2, 1)),
    "same, dilations": sliding(dilations=(2, 3)),
}


@pytest.mark.starts_children
@pytest.mark.parametrize("attributes", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("kernel", [(3, 3, 4, 5), (2, 4, 4, 3), (1, 1, 4, 6)], ids=["odd", "even", "one by one"])
def test_convolution(attributes, kernel, tmp_path):
    nodes = [node("result", "Conv2D", "input", "kernel", **attributes)]
    checked(tmp_path, nodes, {"kernel": normal(*kernel)}, normal(2, 9, 8, 4))


@pytest.mark.starts_children
@pytest.mark.parametrize("op", ["DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"])
@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize(
    "attributes",
    [sliding(), sliding("VALID", strides=(2, 2)), sliding(strides=(2, 2)), sliding("VALID", dilations=(2, 2))],
    ids=["same", "valid, strides", "same, strides", "dilations"],
)
def test_depthwise_convolution(op, multiplier, attributes, tmp_path):
    bias = np.zeros(4 * multiplier, np.float32)
    nodes = [node("result", op, "input", "kernel", **attributes)]
    if op.startswith("Fused"):
        listed = {"fused_ops": {"list": {"s": text("BiasAdd")}}, "num_args": {"i": "1"}}
        nodes = [node("result", op, "input", "kernel", "bias", **attributes, **listed)]
    use = checked(tmp_path, nodes, {"kernel": normal(3, 2, 4, multiplier), "bias": bias}, normal(2, 9, 8, 4))
    assert use.matrix(normal(3, 2, 4, multiplier)).shape == (4, 6, multiplier)


def transposed(size, *, strides, padding):
    """The nodes of a transposed convolution of an image of 5 × 4, and its output's size as a weight."""
    weights = {"size": np.array([2, *size, 3], np.int32)}
    return [node("result", "Conv2DBackpropInput", "size", "kernel", "input", **sliding(padding, strides))], weights


def keras_size(strides, kernel, padding):
    """What Keras gives an image of 5 × 4."""
    return [
        size * stride + (max(length - stride, 0) if padding == "VALID" else 0)
        for size, stride, length in zip((5, 4), strides, kernel, strict=True)
    ]


@pytest.mark.starts_children
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)], ids=str)
@pytest.mark.parametrize("kernel", [(3, 3), (1, 2), (4, 5)], ids=str)
def test_transposed_convolution(padding, strides, kernel, tmp_path):
    nodes, weights = transposed(keras_size(strides, kernel, padding), strides=strides, padding=padding)
    checked(tmp_path, nodes, {"kernel": normal(*kernel, 3, 2), **weights}, normal(2, 5, 4, 2))


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("size", "padding"),
    [
        pytest.param((9, 7), "SAME", id="the smaller one of two sizes, with padding"),
        pytest.param((12, 10), "VALID", id="a row and a column that no input reaches"),
    ],
)
def test_transposed_convolution_to_another_size(size, padding, tmp_path):
    """`output_padding` of Keras: an input is the output of convolutions of several sizes."""
    nodes, weights = transposed(size, strides=(2, 2), padding=padding)
    checked(tmp_path, nodes, {"kernel": normal(3, 3, 3, 2), **weights}, normal(2, 5, 4, 2))


@pytest.mark.starts_children
def test_transposed_convolution_of_a_size_that_the_graph_computes(tmp_path):
    """The number of samples is only known when it runs."""
    nodes, weights = transposed((9, 7), strides=(2, 2), padding="SAME")
    ints = {"type": "DT_INT32"}
    nodes = [
        node("shape", "Shape", "input", out_type=ints, **FLOAT),
        node("n", "StridedSlice", "shape", "zero", "one", "one", T=ints, Index=ints, shrink_axis_mask={"i": "1"}),
        node("size", "Pack", "n", "height", "width", "channels", T=ints, N={"i": "4"}),
        *nodes,
    ]
    sizes = {"height": 9, "width": 7, "channels": 3, "zero": [0], "one": [1]}
    weights = {name: np.array(value, np.int32) for name, value in sizes.items()}
    checked(tmp_path, nodes, {"kernel": normal(3, 3, 3, 2), **weights}, normal(2, 5, 4, 2))


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("kernel", "strides", "padding"),
    [
        pytest.param((3, 3), (2, 2), "VALID", id="valid"),
        pytest.param((1, 2), (3, 3), "VALID", id="a kernel smaller than the strides"),
        pytest.param((4, 3), (2, 3), "SAME", id="same"),
    ],
)
def test_transposed_convolution_of_an_open_size(kernel, strides, padding, tmp_path):
    """As of images of any size; then it is the one that Keras computes."""
    nodes, weights = transposed(keras_size(strides, kernel, padding), strides=strides, padding=padding)
    nodes.insert(0, node("size", "Identity", "given", T={"type": "DT_INT32"}))
    weights = {"kernel": normal(*kernel, 3, 2), "given": weights["size"]}
    assert checked(tmp_path, nodes, weights, normal(2, 5, 4, 2)).size is None


STRIDES = st.tuples(st.integers(1, 4), st.integers(1, 4))


@settings(deadline=None)
@given(STRIDES, st.tuples(st.integers(1, 5), st.integers(1, 5)), st.integers(200, 1000), st.booleans())
def test_some_positions_of_a_transposed_convolution_meet_each_input_as_often_as_all(strides, kernel, most, same):
    """Its window moves over an image with zeros between the pixels: only every few positions meet the same inputs."""
    use = KernelUse("transposed", (2,), window=Window(kernel, strides, same=same))
    inputs = kernel[0] * kernel[1]
    every = use.rows(np.ones((1, 16, 15, 1), np.float32), inputs)[0]
    some = use.rows(np.ones((1, 16, 15, 1), np.float32), inputs, most)[0]
    assert len(some) <= min(most, len(every))
    # A window that lies partly beyond the image is in the first block more often than in all.
    np.testing.assert_allclose(some.mean(axis=0), every.mean(axis=0), rtol=0, atol=2.5 / np.sqrt(len(some)))
    assert ((some == 0).all(axis=0) == (every == 0).all(axis=0)).all()


def test_a_strided_transposed_convolution_is_rounded_as_by_all_positions():
    """Half of the positions of an image of 64 × 64, taken every second one, meet 4 of the 9 weights of a kernel."""
    use = KernelUse("transposed", (2,), window=Window((3, 3), (2, 2), same=True))
    images = normal(4, 32, 32, 2)
    every, some = (use.rows(images, 18, most)[0].astype(np.float64) for most in (None, 1024))
    assert some.shape == (4 * 1024, 18)
    powers = [(rows**2).mean(axis=0) for rows in (every, some)]
    np.testing.assert_allclose(powers[1], powers[0], rtol=0.15)


SHAPE = {"new": np.array([-1, 8], np.int64)}
RESHAPE = node("flat", "Reshape", "input", "new", Tshape={"type": "DT_INT64"}, **FLOAT)
PRODUCTS = {
    "product": ([node("result", "MatMul", "input", "kernel", **product())], (8, 5), (3, 8), {}),
    "transposed kernel": ([node("result", "MatMul", "input", "kernel", **product(b=True))], (5, 8), (3, 8), {}),
    "dense over time": (
        [RESHAPE, node("result", "MatMul", "flat", "kernel", **product())], (8, 5), (3, 4, 8), SHAPE,
    ),
    "dense over time, behind Identity": (
        [RESHAPE, node("same", "Identity", "flat", **FLOAT), node("result", "MatMul", "same", "kernel", **product())],
        (8, 5), (3, 4, 8), SHAPE,
    ),
    "kernel behind Identity": (
        [node("read", "Identity", "kernel", **FLOAT), node("result", "MatMul", "input", "read", **product())],
        (8, 5), (3, 8), {},
    ),
    "two ops that read a kernel": (
        [
            node("negative", "Neg", "input", **FLOAT), node("square", "Square", "input", **FLOAT),
            node("one", "MatMul", "negative", "kernel", **product()),
            node("two", "MatMul", "square", "kernel", **product()), node("result", "AddV2", "one", "two", **FLOAT),
        ],
        (8, 5), (3, 8), {},
    ),
}  # fmt: skip


@pytest.mark.starts_children
@pytest.mark.parametrize("case", PRODUCTS)
def test_product(case, tmp_path):
    nodes, kernel, samples, weights = PRODUCTS[case]
    use = checked(tmp_path, nodes, {"kernel": normal(*kernel), **weights}, normal(*samples))
    assert use.inputs == (("negative", "square") if case.startswith("two") else ("input",))


@pytest.mark.starts_children
def test_one_dimensional_convolution(tmp_path):
    """A convolution over an image of one row, as the converter writes it."""
    nodes = [
        node("image", "ExpandDims", "input", "axis", Tdim={"type": "DT_INT64"}, **FLOAT),
        node("slid", "Conv2D", "image", "kernel", **sliding("VALID", strides=(1, 2))),
        node("result", "Squeeze", "slid", squeeze_dims={"list": {"i": ["1"]}}, **FLOAT),
    ]
    weights = {"kernel": normal(1, 3, 4, 5), "axis": np.array(1, np.int64)}
    assert checked(tmp_path, nodes, weights, normal(2, 9, 4)).inputs == ("image",)
