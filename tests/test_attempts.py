"""Attempts: calls that people make, and what became of them beside the right call."""

import numpy as np
import pytest

from quantlab.study.attempts.contract import RightInput, RightInputs
from quantlab.study.attempts.registry import ATTEMPTS
from quantlab.study.inspection.feeding import seeded
from quantlab.study.inspection.outcomes import ComparedAnswer, compare_answers
from quantlab.types import TensorSpec


def images(*shape, n=4, unit=1):
    values = np.random.default_rng(1).random((n, *shape)).astype(np.float32)
    return RightInputs((RightInput("image", (None, *shape), values),), unit)


def words(family, right):
    return [attempt.call for attempt in ATTEMPTS[family](right)]


@pytest.mark.parametrize(
    ("family", "right", "expected"),
    [
        pytest.param(
            "batches",
            images(5),
            ["one sample: (1, 5)", "a batch of 3: (3, 5)", "a batch of 4: (4, 5)", "an empty batch: (0, 5)"],
            id="batches of an open batch",
        ),
        pytest.param(
            "batches",
            images(5, n=4, unit=2),
            ["a batch of 2: (2, 5)", "a batch of 4: (4, 5)", "one sample: (1, 5)", "an empty batch: (0, 5)"],
            id="batches of a file that is fixed at 2",
        ),
        pytest.param(
            "ranks",
            images(6, 6, 1),
            [
                "no batch dimension: (6, 6, 1)",
                "a second batch dimension: (1, 1, 6, 6, 1)",
                "flattened samples: (1, 36)",
                "no last dimension of 1: (1, 6, 6)",
                "one more dimension at the end: (1, 6, 6, 1, 1)",
            ],
            id="ranks of a grey image",
        ),
        pytest.param(
            "ranks",
            images(5),
            [
                "no batch dimension: (5,)",
                "a second batch dimension: (1, 1, 5)",
                "one more dimension at the end: (1, 5, 1)",
            ],
            id="ranks of a row of features",
        ),
        pytest.param(
            "layouts",
            images(6, 5, 3),
            [
                "channels first: (1, 3, 6, 5)",
                "channels first, reshaped to (1, 6, 5, 3)",
                "width before height: (1, 5, 6, 3)",
            ],
            id="layouts of a colour image",
        ),
        pytest.param(
            "layouts",
            images(3, 6, 5),
            [
                "channels last: (1, 6, 5, 3)",
                "channels last, reshaped to (1, 3, 6, 5)",
                "width before height: (1, 3, 5, 6)",
            ],
            id="layouts of an image with channels first",
        ),
        pytest.param(
            "layouts",
            images(6, 5, 1),
            ["channels first: (1, 1, 6, 5)", "width before height: (1, 5, 6, 1)"],
            id="a reshaped grey image is the right one",
        ),
        pytest.param("layouts", images(5), [], id="features have no layout"),
        pytest.param(
            "dtypes",
            images(5),
            [
                "the same numbers as float64",
                "the same numbers as float16",
                "whole numbers 0 to 9 as int32",
                "whole numbers 0 to 9 as int64",
                "whole numbers 0 to 9 as uint8",
                "whole numbers 0 to 9 as int8",
                "cut to uint8: fractions are lost",
            ],
            id="dtypes of floats",
        ),
        pytest.param(
            "names",
            images(5),
            [
                "a dictionary: 'image'",
                "in order, without names",
                "a dictionary with 'image_0'",
                "a dictionary with one input more, 'unknown'",
            ],
            id="names of one input",
        ),
    ],
)
def test_attempts(family, right, expected):
    assert words(family, right) == expected


def test_samples_without_fractions_are_not_cut():
    whole = RightInputs((RightInput("x", (None, 2), np.array([[3, 250]], np.float32)),))
    assert words("dtypes", whole)[-1] == "whole numbers 0 to 9 as int8"


def test_two_inputs_can_be_swapped_or_forgotten():
    one, other = np.zeros((4, 2), np.float32), np.ones((4, 2), np.float32)
    right = RightInputs((RightInput("a", (None, 2), one), RightInput("b", (None, 2), other)))
    made = {attempt.call: attempt for attempt in ATTEMPTS["names"](right)}
    assert [feed.name for feed in made["in reverse order, without names"].feeds] == ["b", "a"]
    assert [feed.name for feed in made["a dictionary without 'b'"].feeds] == ["a"]


@pytest.mark.parametrize("family", ATTEMPTS)
@pytest.mark.parametrize("right", [images(5), images(6, 6, 1), images(4, 5, 3), images(3, 4, 5, unit=2)])
def test_the_right_call_of_each_attempt_is_one_that_the_artifact_takes(family, right):
    """Its samples come in whole units, in the dtype and shape of the artifact, and they are left as they are."""
    before = right.arrays[0].copy()
    for attempt in ATTEMPTS[family](right):
        (values,) = attempt.right
        assert (len(values) % right.unit, values.dtype, values.shape[1:]) == (0, before.dtype, before.shape[1:])
    np.testing.assert_array_equal(right.arrays[0], before)


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        pytest.param([[[0.1, 0.9]]], [[[0.1, 0.9]]], ComparedAnswer("same answer", "", 0.0, 1, 1), id="equal"),
        pytest.param(
            [[[0.9, 0.1]]],
            [[[0.1, 0.9]]],
            ComparedAnswer("another answer", "", 0.8, 0, 1),
            id="another class is largest",
        ),
        pytest.param(
            [[[0.1, 0.9000001]]],
            [[[0.1, 0.9]]],
            ComparedAnswer("same answer", "", 1e-7, 1, 1),
            id="the last bits differ",
        ),
        pytest.param(
            [[0.1, 0.9]],
            [[[0.1, 0.9]]],
            ComparedAnswer("same answer", "shape (2,) for (1, 2)", 0.0, 1, 1),
            id="only the batch dimension is missing",
        ),
        pytest.param(
            [[[1.0, 2.0]] * 3],
            [[[1.0, 2.0]]],
            ComparedAnswer("another answer", "shape (3, 2) for (1, 2)"),
            id="three answers for one sample",
        ),
        pytest.param(
            [[[1.0]], [[1.0]]], [[[1.0]]], ComparedAnswer("another answer", "2 outputs for 1"), id="an output more"
        ),
        pytest.param(
            [[[np.nan, 1.0]]],
            [[[0.0, 1.0]]],
            ComparedAnswer("another answer", "", np.inf, 0, 1),
            id="NaN where a number is",
        ),
    ],
)
def test_what_became_of_a_call(answer, right, expected):
    found = compare_answers([np.array(one) for one in answer], [np.array(one) for one in right])
    assert found == ComparedAnswer(
        expected.outcome,
        expected.detail,
        expected.largest_difference
        if expected.largest_difference is None
        else pytest.approx(expected.largest_difference, abs=1e-9),
        expected.same_top1,
        expected.samples,
    )


def test_random_values_are_told_and_repeat_themselves():
    specs = [TensorSpec("x", (None, None, 3), "float32"), TensorSpec("i", (None, 2), "int32")]
    one, other = seeded(specs, 5), seeded(specs, 5)
    assert one.words == ("random values, seed 5: from 0 to 1, integers 0 or 1 (give --data for real samples)")
    assert {name: values.shape for name, values in one.values.items()} == {"x": (4, 32, 3), "i": (4, 2)}
    for name, values in one.values.items():
        np.testing.assert_array_equal(values, other.values[name])
