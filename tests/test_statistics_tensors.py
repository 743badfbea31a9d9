"""The error of a tensor: compared with a loop, in special cases, and with values that are not finite."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import TensorError

NAN, INF = math.nan, math.inf
ONE = np.ones(3, np.float32)

pairs = arrays.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4).flatmap(
    lambda shape: st.tuples(
        *(arrays.arrays(np.float32, shape, elements=st.floats(-1e6, 1e6, width=32)) for _ in range(2))
    )
)


def properties(error):
    names = ("mean_abs", "rms", "max_abs", "bias", "sqnr_db", "cosine")
    return {name: getattr(error, name) for name in names}


@given(pairs)
def test_properties_equal_those_of_a_loop(pair):
    expected, actual = ([float(value) for value in tensor.flat] for tensor in pair)
    errors = [b - a for a, b in zip(expected, actual, strict=True)]
    signal, noise = math.fsum(a * a for a in expected), math.fsum(e * e for e in errors)
    error = TensorError.of(*pair)
    assert error.count == len(errors)
    assert error.different == sum(e != 0 for e in errors)
    assert (error.non_finite, error.non_finite_reference) == (0, 0)
    assert error.mean_abs == pytest.approx(math.fsum(map(abs, errors)) / len(errors))
    assert error.rms == pytest.approx(math.sqrt(noise / len(errors)))
    assert error.max_abs == max(map(abs, errors))
    assert error.bias == pytest.approx(math.fsum(errors) / len(errors), abs=1e-9 * error.mean_abs)
    if signal and noise:
        assert error.sqnr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-9)
    length = math.sqrt(signal) * math.sqrt(math.fsum(b * b for b in actual))
    if length:
        dot = math.fsum(a * b for a, b in zip(expected, actual, strict=True))
        assert error.cosine == pytest.approx(dot / length, abs=1e-9)


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        pytest.param(
            [1.0, 2.0],
            [1.0, 2.0],
            {"mean_abs": 0, "rms": 0, "max_abs": 0, "bias": 0, "sqnr_db": INF, "cosine": 1},
            id="the same: no noise is infinitely many decibels",
        ),
        pytest.param(
            [0.0, 0.0],
            [0.0, 0.0],
            {"mean_abs": 0, "rms": 0, "max_abs": 0, "bias": 0, "sqnr_db": INF, "cosine": NAN},
            id="zeros twice: equal, but without a direction",
        ),
        pytest.param(
            [0.0, 0.0],
            [3.0, -4.0],
            {"mean_abs": 3.5, "rms": 12.5**0.5, "max_abs": 4, "bias": -0.5, "sqnr_db": -INF, "cosine": NAN},
            id="noise on zeros has no signal",
        ),
        pytest.param(
            [3.0, -4.0],
            [0.0, 0.0],
            {"mean_abs": 3.5, "rms": 12.5**0.5, "max_abs": 4, "bias": 0.5, "sqnr_db": 0, "cosine": NAN},
            id="a candidate of zeros is all noise and has no direction",
        ),
        pytest.param(
            [3.0, 4.0],
            [-3.0, -4.0],
            {"mean_abs": 7, "rms": 50**0.5, "max_abs": 8, "bias": -7, "sqnr_db": -20 * math.log10(2), "cosine": -1},
            id="the opposite",
        ),
        pytest.param(
            [10.0, 0.0],
            [10.0, 1.0],
            {"mean_abs": 0.5, "rms": 0.5**0.5, "max_abs": 1, "bias": 0.5, "sqnr_db": 20, "cosine": 10 / 101**0.5},
            id="a tenth off is 20 dB",
        ),
        pytest.param(
            [],
            [],
            {"mean_abs": NAN, "rms": NAN, "max_abs": NAN, "bias": NAN, "sqnr_db": NAN, "cosine": NAN},
            id="nothing compared is no perfect score",
        ),
        pytest.param(
            [True, False],
            [True, True],
            {"mean_abs": 0.5, "rms": 0.5**0.5, "max_abs": 1, "bias": 0.5, "sqnr_db": 0, "cosine": 0.5**0.5},
            id="booleans are numbers",
        ),
        pytest.param(
            np.array([200, 0], np.uint8),
            np.array([0, 200], np.uint8),
            {"mean_abs": 200, "rms": 200, "max_abs": 200, "bias": 0, "sqnr_db": -10 * math.log10(2), "cosine": 0},
            id="bytes do not wrap around",
        ),
    ],
)
def test_properties(reference, candidate, expected):
    error = TensorError.of(np.asarray(reference), np.asarray(candidate))
    assert properties(error) == pytest.approx(expected, nan_ok=True)


SPOILED = {"mean_abs": INF, "rms": INF, "max_abs": INF, "bias": NAN, "sqnr_db": -INF, "cosine": NAN}


@pytest.mark.parametrize(
    ("reference", "candidate", "counts"),
    [
        pytest.param([1, 2, 3], [1, 2, NAN], (1, 0, 1), id="one NaN in the candidate"),
        pytest.param([1, 2, 3], [NAN, NAN, NAN], (3, 0, 3), id="nothing but NaN (trap 1)"),
        pytest.param([1, 2, NAN], [1, 2, INF], (1, 1, 1), id="NaN against infinity (trap 4)"),
        pytest.param([1, 2, NAN], [1, 2, NAN], (1, 1, 1), id="NaN on both sides differs and spoils"),
        pytest.param([1, 2, INF], [1, 2, INF], (1, 1, 0), id="the same infinity spoils, though it is equal"),
        pytest.param([1, 2, INF], [1, 2, -INF], (1, 1, 1), id="opposite infinities"),
        pytest.param([1, 2, INF], [1, 2, 3], (0, 1, 1), id="an infinity in the reference"),
    ],
)
def test_one_element_that_is_not_finite_spoils_everything(reference, candidate, counts):
    error = TensorError.of(np.array(reference, np.float32), np.array(candidate, np.float32))
    assert (error.non_finite, error.non_finite_reference, error.different) == counts
    assert error.count == 3
    assert properties(error) == pytest.approx(SPOILED, nan_ok=True)
    assert properties(error + TensorError.of(ONE, ONE)) == pytest.approx(SPOILED, nan_ok=True)


def test_what_overflows_float64_spoils_and_what_underflows_does_not_crash():
    huge, tiny = np.array([1e200]), np.array([1e-200])
    assert properties(TensorError.of(huge, 2 * huge)) == pytest.approx(SPOILED, nan_ok=True)
    assert TensorError.of(tiny, tiny).max_abs == 0
    small = TensorError.of(np.array([1e-90]), np.array([2e-90]))
    assert (small.cosine, small.sqnr_db) == pytest.approx((1.0, 0.0))


def test_rounding_makes_no_cosine_beyond_one():
    for seed in range(50):
        values = np.random.default_rng(seed).normal(size=7)
        assert 1 - 1e-12 < TensorError.of(values, 3 * values).cosine <= 1
        assert -1 <= TensorError.of(values, -3 * values).cosine < -1 + 1e-12


def test_the_largest_float32_values_do_not_overflow():
    most = np.full(1000, np.finfo(np.float32).max)
    error = TensorError.of(most, -most)
    assert error.cosine == pytest.approx(-1)
    assert error.max_abs == 2 * float(np.finfo(np.float32).max)


def test_a_tensor_of_no_axes_is_one_element():
    assert TensorError.of(np.array(2.0), np.array(2.5)) == TensorError(
        count=1,
        different=1,
        sum_error=0.5,
        sum_abs_error=0.5,
        sum_square_error=0.25,
        sum_square_reference=4.0,
        sum_square_candidate=6.25,
        sum_product=5.0,
        largest_error=0.5,
    )


def test_the_largest_error_is_kept_in_any_order():
    small, large = TensorError.of(ONE, ONE + 1), TensorError.of(ONE, ONE + 5)
    assert (small + large).max_abs == (large + small).max_abs == 5


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        pytest.param(
            np.zeros((2, 3)),
            np.zeros((3, 2)),
            "the reference has shape (2, 3) and the candidate (3, 2); both must have the same shape, "
            "because they are compared element by element",
            id="transposed",
        ),
        pytest.param(
            np.zeros((2, 1)),
            np.zeros(2),
            "the reference has shape (2, 1) and the candidate (2,); both must have the same shape, "
            "because they are compared element by element",
            id="NumPy would broadcast it",
        ),
        pytest.param(
            np.array(["a"]),
            np.array(["a"]),
            "the reference has dtype <U1; only real numbers can be compared",
            id="strings",
        ),
        pytest.param(
            np.zeros(1),
            np.zeros(1, complex),
            "the candidate has dtype complex128; only real numbers can be compared",
            id="complex numbers",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(reference, candidate, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        TensorError.of(reference, candidate)
