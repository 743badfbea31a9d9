"""Alignment of tensors by value and, among equals, by name; reasons for none; layers from names of nodes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.statistics import NamedTensor, align, layer_of, layers_of, layers_without_tensor
from quantlab.types import Alignment

NAN, INF = math.nan, math.inf
SAMPLES = 4
CALL = "StatefulPartitionedCall"


def values(seed, shape=(3, 5)):
    return np.random.default_rng(seed).normal(size=(SAMPLES, *shape)).astype(np.float32)


X, Y, Z = values(1), values(2), values(3)
DENSE = NamedTensor(f"{CALL}/m/a/Mul", X)
NORM = NamedTensor(f"{CALL}/m/b/Add", Y)
RELU = NamedTensor(f"{CALL}/m/c/Relu", Z)
REFERENCES = [DENSE, NORM, RELU]


def only(candidate, references=REFERENCES, **options):
    (alignment,) = align([candidate], references, **options)
    return alignment


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(Y, id="equal"),
        pytest.param(Y * (1 + 1e-5), id="kernels that sum in another order"),
        pytest.param(Y.reshape(SAMPLES, 15), id="flattened"),
        pytest.param(Y[:, None, :, None], id="with axes of size 1"),
        pytest.param(Y.astype(np.float64), id="float64"),
        pytest.param(np.asfortranarray(Y), id="otherwise in memory"),
    ],
)
def test_a_tensor_is_found_by_value_whatever_its_name(held):
    assert only(NamedTensor("fused/1", held)) == Alignment("fused/1", NORM.name, "b")


def with_one(held, place, value):
    changed = held.copy()
    changed.reshape(-1)[place] = value
    return changed


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        pytest.param(values(1, (7, 2)), "no reference tensor has 14 elements per sample", id="no tensor of that size"),
        pytest.param(
            Y + 0.25 * abs(Y).max(),
            f"the nearest reference tensor '{NORM.name}' differs by 0.25 of its maximum",
            id="shifted, as the inside of a folded batch norm",
        ),
        pytest.param(
            with_one(Y, 7, Y.reshape(-1)[7] + 2e-4 * abs(Y).max()),
            f"the nearest reference tensor '{NORM.name}' differs by 0.0002 of its maximum",
            id="one element strays",
        ),
        pytest.param(Y.astype(np.int32), "not a float tensor: it holds int32", id="integers"),
        pytest.param(np.zeros((SAMPLES, 0), np.float32), "it has no elements", id="no elements"),
        pytest.param(
            np.repeat(values(9)[:1], SAMPLES, axis=0),
            "it is the same for every sample, so weights alone determine it, and the reference has no such tensor",
            id="the same for every sample",
        ),
        pytest.param(
            with_one(Y, 7, NAN), "it holds NaN or infinity where no reference tensor does", id="a NaN of its own"
        ),
    ],
)
def test_what_is_not_found_says_why(held, reason):
    assert only(NamedTensor("some/node", held)) == Alignment("some/node", None, "some/node", reason)


def test_the_nearest_is_the_nearest():
    held = 0.9 * X + 0.1 * Y
    distances = {tensor.name: abs(held - tensor.values).max() / abs(tensor.values).max() for tensor in REFERENCES}
    nearest = min(distances, key=distances.get)
    reason = f"the nearest reference tensor '{nearest}' differs by {distances[nearest]:.2g} of its maximum"
    assert only(NamedTensor("node", held)).reason == reason


def test_where_every_reference_is_zero_none_is_near():
    zeros = NamedTensor("m/a/Relu", np.zeros_like(X))
    reason = "every reference tensor with 15 elements per sample is 0 everywhere or not finite"
    assert only(NamedTensor("node", X), [zeros]).reason == reason
    assert only(NamedTensor("node", np.zeros_like(X)), [zeros]).reference == zeros.name


@pytest.mark.parametrize("place", [0, 7, 59])
def test_the_tolerance_is_of_the_greatest_value(place):
    greatest = abs(Y).max()
    inside = with_one(Y, place, Y.reshape(-1)[place] + 0.9e-3 * greatest)
    outside = with_one(Y, place, Y.reshape(-1)[place] + 1.1e-3 * greatest)
    assert only(NamedTensor("node", inside), tolerance=1e-3).reference == NORM.name
    assert only(NamedTensor("node", outside), tolerance=1e-3).reference is None


def test_every_element_counts_in_a_tensor_too_large_to_probe():
    large = values(5, (100, 100))
    reference = NamedTensor("m/a/Relu", large)
    for place in range(0, large.size, 4999):
        assert only(NamedTensor("node", with_one(large, place, 100.0)), [reference]).reference is None
    assert only(NamedTensor("node", large.reshape(SAMPLES, -1)), [reference]).reference == "m/a/Relu"


def test_infinities_and_nans_are_values_too():
    mask = with_one(with_one(Y, 3, -INF), 8, NAN)
    masked = NamedTensor("m/mask/Add", mask)
    assert only(NamedTensor("node", mask * (1 + 1e-6)), [*REFERENCES, masked]).reference == "m/mask/Add"
    assert only(NamedTensor("node", with_one(mask, 3, INF)), [masked]).reference is None
    assert only(NamedTensor("node", with_one(mask, 3, 0)), [masked]).reference is None


CHAIN = [
    NamedTensor(f"{CALL}/m/norm/batchnorm/add_1", X),
    NamedTensor(f"{CALL}/m/relu/Relu", X),
    NamedTensor(f"{CALL}/m/dropout/Identity", X),
    NamedTensor(f"{CALL}/m/flatten/Reshape", X.reshape(SAMPLES, -1)),
    NamedTensor("Identity", X),
]


@pytest.mark.parametrize(
    ("name", "reference", "layer"),
    [
        pytest.param(f"{CALL}/m/relu/Relu", f"{CALL}/m/relu/Relu", "relu", id="its own name"),
        pytest.param("m/relu/Relu", f"{CALL}/m/relu/Relu", "relu", id="its name without the call"),
        pytest.param(f"{CALL}/m/norm/FusedBatchNormV3", f"{CALL}/m/norm/batchnorm/add_1", "norm", id="its layer"),
        pytest.param("m/flatten/Reshape;m/pool/Mean", f"{CALL}/m/flatten/Reshape", "flatten", id="one of two names"),
        pytest.param(f"{CALL}/m/conv/depthwise", f"{CALL}/m/flatten/Reshape", "flatten", id="the last of the model"),
        pytest.param("Identity", "Identity", "flatten", id="the graph's output: the layer that made it"),
        pytest.param("serving_default:0", "Identity", "flatten", id="a name like none: the last"),
    ],
)
def test_of_equal_values_the_name_decides_and_then_the_place(name, reference, layer):
    assert only(NamedTensor(name, X), CHAIN) == Alignment(name, reference, layer)


def test_of_values_that_are_both_within_the_tolerance_the_name_decides_and_then_the_distance():
    branches = [NamedTensor("m/block_1/add", X), NamedTensor("m/block_2/add", X * (1 + 3e-5))]
    assert only(NamedTensor("m/block_1/add", X * (1 + 3e-5)), branches).reference == "m/block_1/add"
    assert only(NamedTensor("m/block_2/add", X), branches).reference == "m/block_2/add"
    assert only(NamedTensor("m/other", X * (1 + 1e-5)), branches).reference == "m/block_1/add"
    assert only(NamedTensor("m/other", X * (1 + 2e-5)), branches).reference == "m/block_2/add"


DEAD = np.zeros_like(X)
DEAD_LAYERS = [
    NamedTensor("m/a/Relu", DEAD),
    NamedTensor("m/b/BiasAdd", DEAD),
    NamedTensor("m/b/Relu", DEAD),
    NamedTensor("m/c/Relu", X),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("m/b/Relu", Alignment("m/b/Relu", "m/b/Relu", "b"), id="its own name"),
        pytest.param("m/b/Relu6", Alignment("m/b/Relu6", "m/b/Relu", "b"), id="its layer: the last of it"),
        pytest.param(
            "m/fused",
            Alignment(
                "m/fused",
                None,
                "m/fused",
                "ambiguous: it is 0 everywhere, and so are 'm/a/Relu' and 'm/b/BiasAdd', of different layers",
            ),
            id="a name like both",
        ),
    ],
)
def test_one_number_everywhere_is_no_evidence(name, expected):
    assert only(NamedTensor(name, DEAD), DEAD_LAYERS) == expected


def test_one_number_everywhere_in_one_tensor_is_that_tensor():
    assert only(NamedTensor("m/fused", DEAD), DEAD_LAYERS[:1]).reference == "m/a/Relu"


def test_candidates_are_answered_in_their_order():
    candidates = [
        NamedTensor("1", Z),
        NamedTensor("2", np.zeros((SAMPLES, 1))),
        NamedTensor("3", X),
        NamedTensor("4", Z),
    ]
    alignments = align(candidates, REFERENCES)
    assert [alignment.tensor for alignment in alignments] == ["1", "2", "3", "4"]
    assert [alignment.reference for alignment in alignments] == [RELU.name, None, DENSE.name, RELU.name]


def test_references_that_are_no_floats_are_passed_over():
    shape = NamedTensor("m/a/Shape", np.ones((SAMPLES, 15), np.int32))
    assert only(NamedTensor("node", Y), [shape, *REFERENCES]).reference == NORM.name
    assert only(NamedTensor("node", Y), [shape]).reason == "no reference tensor has 15 elements per sample"


@given(st.permutations(range(12)), st.integers(0, 2**16))
def test_tensors_that_differ_are_matched_in_any_order(order, seed):
    references = [NamedTensor(f"m/layer_{i}/Relu", values(seed + i)) for i in order]
    candidates = [NamedTensor(f"fused/{i}", values(seed + i) * (1 + 1e-6)) for i in range(12)]
    assert [alignment.layer for alignment in align(candidates, references)] == [f"layer_{i}" for i in range(12)]


def test_layers_without_a_tensor_are_listed():
    names = ["Identity", "m/conv/Conv2D", "m/norm/batchnorm/mul", "m/norm/batchnorm/add", "m/relu/Relu", "m/pool/Mean"]
    alignments = [
        Alignment("1", "m/relu/Relu", "relu"),
        Alignment("2", None, "pool", "the nearest reference tensor 'm/conv/Conv2D' differs by 0.3 of its maximum"),
    ]
    reason = "no matching layer: it was merged into another layer by the converter"
    assert layers_without_tensor(alignments, layers_of(names).values()) == tuple(
        Alignment("", None, layer, reason) for layer in ("conv", "norm", "pool")
    )


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        pytest.param(f"{CALL}/fashion_dscnn_1/conv2d_1/BiasAdd", "fashion_dscnn_1/conv2d_1", id="a layer's op"),
        pytest.param(f"{CALL}/m_1/bn_1/batchnorm/add_1", "m_1/bn_1", id="an op's scope"),
        pytest.param(f"{CALL}/m_1/dense_1/Tensordot/MatMul", "m_1/dense_1", id="the scope of another op"),
        pytest.param(f"{CALL}/m_1/dense_1/Tensordot", "m_1/dense_1", id="an op named as a scope"),
        pytest.param(f"{CALL}/m_1/mha_1/einsum_1/Einsum", "m_1/mha_1", id="a numbered scope"),
        pytest.param(f"{CALL}/m/conv/Conv2D/ReadVariableOp", "m/conv", id="a weight that is read"),
        pytest.param(f"{CALL}/m_1/batchnorm_1/batchnorm/add_1", "m_1/batchnorm_1", id="a layer named as a scope"),
        pytest.param(f"{CALL}/m/add_2/add", "m/add_2", id="a layer that adds"),
        pytest.param(f"{CALL}_1/{CALL}/outer/encoder/conv_a/Conv2D:0", "outer/encoder/conv_a", id="nested"),
        pytest.param("PartitionedCall/m/dense/MatMul", "m/dense", id="a call without state"),
        pytest.param(f"{CALL}/m_1/lstm_1/while/lstm_cell_1/MatMul", "m_1/lstm_1", id="a loop in a layer"),
        pytest.param(
            f"{CALL}/m_1/lstm_1/while/body/_9/m_1/lstm_1/while/lstm_cell_1/MatMul", "m_1/lstm_1", id="an inlined loop"
        ),
        pytest.param("m/while/dense/MatMul", "m/while/dense", id="a layer in a loop of the model itself"),
        pytest.param("m/mul", "m", id="an op of the model itself"),
        pytest.param(f"{CALL}/Identity", "", id="the call's output"),
        pytest.param("Identity", "", id="the graph's output"),
        pytest.param(f"Func/{CALL}/input/_29", "", id="what inlining leaves"),
        pytest.param(CALL, "", id="the call itself"),
    ],
)
def test_layer_of_a_node(name, layer):
    assert layer_of(name) == layer


def named(*nodes, scope=f"{CALL}/"):
    return [f"{scope}{node}" for node in nodes]


@pytest.mark.parametrize(
    ("names", "layers"),
    [
        pytest.param(
            named("fashion_dscnn_1/stem_1/convolution", "fashion_dscnn_1/stem_bn_1/batchnorm/add_1", "Identity"),
            ["stem", "stem_bn", ""],
            id="Keras 3: its _1 and the model's scope go",
        ),
        pytest.param(
            named("functional_1/conv2d_1/BiasAdd", "functional_1/conv2d/BiasAdd", "functional_1/flatten/Reshape"),
            ["conv2d_1", "conv2d", "flatten"],
            id="Keras 2: a _1 that only some have is part of the name",
        ),
        pytest.param(
            named("model_1/conv2d_1/Conv2D", "model_1/dense_1/MatMul"),
            ["conv2d_1", "dense_1"],
            id="Keras 2: so it is where all have it, and an op's name is of Keras 2",
        ),
        pytest.param(
            named("model_1/dense_2/MatMul", "model_1/dense_3/MatMul"),
            ["dense_2", "dense_3"],
            id="Keras 2: or another number is there without a 1",
        ),
        pytest.param(
            named(
                "outer_1/conv2d_1_1/convolution",
                "outer_1/encoder_1/batch_normalization_1/batchnorm/mul_1",
                "outer_1/shared_1/MatMul",
                "outer_1/shared_3/MatMul",
            ),
            ["conv2d_1", "encoder/batch_normalization", "shared", "shared_3"],
            id="Keras 3: nested, numbered by itself, and called twice",
        ),
        pytest.param(
            named("m/block/conv2d/Conv2D", "m/second/conv2d_1/Conv2D", "m/dense/MatMul"),
            ["block/conv2d", "second/conv2d_1", "dense"],
            id="Keras 2: subclassed",
        ),
        pytest.param(
            named("m_1/lstm_1/while/body/_9/m_1/lstm_1/while/lstm_cell_1/MatMul", "m_1/cls_1/MatMul"),
            ["lstm", "cls"],
            id="Keras 3: also with a loop",
        ),
        pytest.param(named("m/mul", "m/dense/MatMul"), ["m", "dense"], id="an op of the model itself keeps its scope"),
        pytest.param(named("dense/MatMul", "relu/Relu", scope=""), ["dense", "relu"], id="no scope of a model"),
        pytest.param(named("dense/MatMul", "dense/Relu", scope=""), ["dense", "dense"], id="nothing but one layer"),
        pytest.param(["Identity"], [""], id="no layer at all"),
        pytest.param([], [], id="no names"),
    ],
)
def test_layers_by_the_names_of_the_models_summary(names, layers):
    assert list(layers_of(names).items()) == list(zip(names, layers, strict=True))
