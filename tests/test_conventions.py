"""Conventions as functions: shapes stay, what one does another undoes, and what is possible depends on the samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.conventions import INPUT_FAMILIES, LABEL_FAMILIES, OUTPUT_FAMILIES, Answers, InputFacts, OutputFacts
from quantlab.conventions.encodings import ALL, SCALES, Encoding, converted, possible_sources
from quantlab.statistics import sigmoid_twice, softmax_twice
from quantlab.types import RescalingLayer

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3)).astype(np.float64)
LAYER = RescalingLayer("rescale", "Rescaling", (1 / 255,), (0.0,))


def facts(shape=(6, 6, 3), low=0.0, high=255.0, dtype="float32", rescaling=()):
    return InputFacts("x", shape, np.dtype(dtype), low, high, rescaling)


def names(**given):
    known = facts(**given)
    return {family.name: [one.name for one in family.conventions(known)] for family in INPUT_FAMILIES}


@given(source=st.sampled_from(ALL), target=st.sampled_from(ALL))
def test_an_encoding_and_back_is_what_it_was(source: Encoding, target: Encoding):
    values = source.values(PIXELS, -1)
    there = converted(source, target, -1)(values)
    np.testing.assert_allclose(there, target.values(PIXELS, -1), atol=1e-6)
    np.testing.assert_allclose(converted(target, source, -1)(there), values, atol=1e-6)


@pytest.mark.parametrize("encoding", ALL, ids=lambda one: one.name)
def test_an_encoding_is_told_by_its_range(encoding):
    known = facts(shape=(6, 6, encoding.channels), low=encoding.low, high=encoding.high)
    nearest = possible_sources(known)[0]
    # A range does not tell the order of the colours.
    assert (nearest.factor, nearest.offset) == (encoding.factor, encoding.offset)


def test_the_published_formulas():
    by_name = {encoding.name: encoding for encoding in ALL}
    pixel = np.array([[[[255.0, 128.0, 0.0]]]])
    torch = by_name["ImageNet mean/std"].values(pixel, -1)
    expected = [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(torch.reshape(-1), expected)
    caffe = by_name["caffe BGR"].values(pixel, -1)
    np.testing.assert_allclose(caffe.reshape(-1), [-103.939, 128 - 116.779, 255 - 123.68])
    first = by_name["caffe BGR"].values(np.moveaxis(pixel, -1, 1), 1)
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), caffe)


@pytest.mark.parametrize(
    "shape", [(6, 6, 3), (3, 6, 6), (6, 6, 1), (6, 9, 1), (6, 9), (7,), (4, 4, 4, 2)], ids=lambda one: f"{one}"
)
@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1, 1), (0, 1), (-2.1, 2.6), (-300, 70)])
def test_every_convention_keeps_the_shape_and_changes_a_copy(shape, low, high):
    values = np.random.default_rng(1).uniform(low, high, (4, *shape)).astype(np.float32)
    before = values.copy()
    known = facts(shape=shape, low=low, high=high, rescaling=(LAYER,))
    for convention in (one for family in INPUT_FAMILIES for one in family.conventions(known)):
        assert convention.apply(values).shape == values.shape, convention.name
        np.testing.assert_array_equal(values, before)
        assert convention.cause[0].islower()
        assert not (convention.cause + convention.change).endswith(".")


@pytest.mark.parametrize(
    ("given", "family", "expected"),
    [
        pytest.param({}, "colour-order", ["BGR ↔ RGB"], id="three channels"),
        pytest.param({"shape": (6, 6, 1)}, "colour-order", [], id="one channel has no order"),
        pytest.param({"shape": (3, 6, 6)}, "layout", ["NHWC reshaped to NCHW"], id="channels first"),
        pytest.param({"shape": (6, 6, 1)}, "layout", [], id="of one channel both layouts are the same"),
        pytest.param({"shape": (7,)}, "transposed", [], id="a vector has no rows"),
        pytest.param({"dtype": "uint8"}, "scale", [], id="integers are not scaled"),
        pytest.param({"dtype": "uint8"}, "inverted", ["light ↔ dark"], id="integers can be inverted"),
        pytest.param({"low": -40.0, "high": 60.0}, "inverted", [], id="what is no pixel has no dark"),
        pytest.param({}, "double-rescaling", [], id="a model that scales nothing"),
        pytest.param(
            {"rescaling": (LAYER,), "high": 1.0},
            "double-rescaling",
            ["without the scaling of 'rescale'", "0…1 → 0…255"],
            id="a model that scales",
        ),
        pytest.param(
            {"rescaling": (RescalingLayer("norm", "Normalization", (0.5, 2.0), (0.0, 1.0)),), "low": -40.0},
            "double-rescaling",
            [],
            id="a layer with another number of channels",
        ),
    ],
)
def test_what_is_possible(given, family, expected):
    assert names(**given)[family] == expected


def test_only_scales_are_tried_on_features():
    found = names(shape=(12,), low=-3.0, high=8.0)
    assert {family for family, tried in found.items() if tried} == {"scale"}


def test_labels_that_are_one_too_high():
    answers = Answers(np.arange(10, dtype=np.int32), np.arange(1, 11), 10)
    right = {
        one.name: int((one.labels == answers.answers).sum())
        for family in LABEL_FAMILIES
        for one in family.conventions(answers)
    }
    assert right == {"labels − 1": 10, "labels + 1": 0}


def test_outputs_in_another_order():
    model = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    known = OutputFacts(model, model[:, [2, 0, 1, 3]], probabilities=True)
    made = {
        one.name: one.apply(known.model, known.app) for family in OUTPUT_FAMILIES for one in family.conventions(known)
    }
    assert [*made] == ["softmax twice", "no softmax", "outputs in another order"]
    np.testing.assert_array_equal(made["outputs in another order"], known.app)
    same = OutputFacts(model, model, probabilities=True)
    assert "outputs in another order" not in [
        one.name for family in OUTPUT_FAMILIES for one in family.conventions(same)
    ]


def softmax(rows):
    return np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)


SCORES = np.random.default_rng(0).normal(size=(50, 8))


@pytest.mark.parametrize(
    ("outputs", "twice"),
    [
        pytest.param(softmax(softmax(6 * SCORES)), True, id="of confident probabilities"),
        pytest.param(softmax(6 * SCORES), False, id="once"),
        pytest.param(softmax(0.05 * SCORES), False, id="once, hardly trained"),
        pytest.param(softmax(softmax(0.05 * SCORES)), False, id="twice, hardly trained"),
        pytest.param(softmax(softmax(6 * SCORES))[:10], False, id="too few rows"),
        pytest.param(np.eye(8)[np.arange(50) % 8], False, id="zeros"),
    ],
)
def test_whether_softmax_was_applied_twice(outputs, twice):
    assert softmax_twice(outputs) == twice


@pytest.mark.parametrize(
    ("outputs", "twice"),
    [
        pytest.param(1 / (1 + np.exp(-np.linspace(0, 1, 40))), True, id="of probabilities"),
        pytest.param(1 / (1 + np.exp(-np.linspace(-3, 3, 40))), False, id="once"),
        pytest.param(1 / (1 + np.exp(-np.linspace(0.3, 0.6, 40))), False, id="ends that are not reached"),
    ],
)
def test_whether_a_sigmoid_was_applied_twice(outputs, twice):
    assert sigmoid_twice(outputs[:, None]) == twice


def test_the_scales_have_no_common_range():
    """Otherwise the range of samples could not tell them apart."""
    assert len({(encoding.low, encoding.high) for encoding in SCALES}) == len(SCALES)


def test_an_order_names_only_labels_that_samples_have():
    """Of ten classes two occur, three labels too high; nothing tells the place of the others."""
    answered = np.arange(400) // 2 % 2
    (family,) = (one for one in LABEL_FAMILIES if one.name == "class-order")
    (convention,) = family.conventions(Answers(answered.astype(np.int32), answered + 3, 10))
    assert convention.change == "number them so that output 0 is label 3 and output 1 is label 4"
