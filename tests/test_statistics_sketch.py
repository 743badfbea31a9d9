"""Quantiles from the sketch: compared with sorting, at the limits of float32, and added in parts."""

import itertools
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import SKETCH_ACCURACY, ErrorSketch, Range

NAN, INF = math.nan, math.inf
LEAST_NORMAL = float(np.finfo(np.float32).tiny)
GREATEST = float(np.finfo(np.float32).max)
QUANTILES = (0, 0.001, 0.07, 0.5, 0.9, 0.95, 0.99, 0.999, 1)

sizes = st.one_of(st.just(0.0), st.floats(LEAST_NORMAL, GREATEST))
errors = arrays.arrays(np.float64, st.integers(1, 200), elements=sizes)


def near(values, q):
    """What sorting says, within the accuracy that the sketch states."""
    return pytest.approx(np.quantile(values, q, method="inverted_cdf"), rel=SKETCH_ACCURACY, abs=0)


@given(errors, st.floats(0, 1))
def test_a_quantile_is_within_the_stated_accuracy(values, q):
    assert ErrorSketch.of(values).quantile(q) == near(values, q)


@pytest.mark.parametrize("q", QUANTILES)
def test_quantiles_of_many_errors_over_many_blocks(q):
    values = np.random.default_rng(1).lognormal(-7, 3, (3, 70_001)).astype(np.float32)
    assert ErrorSketch.of(-values).quantile(q) == near(values, q)


@given(errors, st.lists(st.integers(0, 200), max_size=5), st.randoms(use_true_random=False))
def test_parts_of_any_partition_add_up_to_the_sketch_of_the_whole(values, cuts, order):
    edges = [0, *sorted(cuts), len(values)]
    parts = [ErrorSketch.of(values[slice(*edge)]) for edge in itertools.pairwise(edges)]
    order.shuffle(parts)
    assert sum(parts, ErrorSketch()) == ErrorSketch.of(values)


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        pytest.param([], 0.5, NAN, id="of nothing there is no quantile"),
        pytest.param([0.0, 0.0, 3.0], 0.5, 0.0, id="zeros are exact"),
        pytest.param([-0.0, 0.0], 1, 0.0, id="minus zero is zero"),
        pytest.param([3.0, 1.0, 7.0], 0, 1.0, id="the least is exact"),
        pytest.param([3.0, 1.0, 7.0], 1, 7.0, id="the greatest is exact"),
        pytest.param([3.0], 0.5, 3.0, id="one error is all there is"),
        pytest.param([-3.0], 0.5, 3.0, id="signs are dropped"),
        pytest.param([2.0] * 9, 0.5, 2.0, id="no quantile is beyond the greatest"),
        pytest.param([1.99] * 9, 0.5, 1.99, id="nor below the least"),
        pytest.param([1, 2, 3, 4], 0.5, 2 + 2**-7, id="one of the errors, not a point between two: a bucket's middle"),
        pytest.param([1.0, NAN], 0.5, 1.0, id="below what is not finite the rest still ranks"),
        pytest.param([1.0, NAN], 0.51, INF, id="NaN ranks last"),
        pytest.param([1.0, INF, -INF], 0.5, INF, id="so do infinities"),
        pytest.param([NAN], 0, INF, id="nothing but NaN"),
        pytest.param([0.0, 1e300, 2e300], 0.6, 2e300, id="beyond float32 the greatest speaks for all"),
        pytest.param([0.0, 1e-300, 1.0], 0.6, 2.0**-134, id="below 2^-133 all are one bucket"),
    ],
)
def test_quantile(values, q, expected):
    assert ErrorSketch.of(np.array(values, np.float64)).quantile(q) == pytest.approx(expected, rel=1e-15, nan_ok=True)


def test_below_the_least_normal_value_the_accuracy_is_half_a_bucket():
    values = np.arange(1, 2**10, dtype=np.float32) * np.float32(LEAST_NORMAL / 2**10)
    for q in QUANTILES:
        assert ErrorSketch.of(values).quantile(q) == pytest.approx(
            np.quantile(values, q, method="inverted_cdf"), rel=0, abs=2.0**-134
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint8])
def test_every_dtype_of_numbers_is_counted_the_same(dtype):
    assert ErrorSketch.of(np.array([[0, 1], [2, 3]], dtype)) == ErrorSketch.of(np.array([0.0, 1.0, 2.0, 3.0]))


def test_the_least_byte_has_no_opposite_in_bytes_but_a_size():
    assert ErrorSketch.of(np.array([-128], np.int8)).quantile(1) == 128


def test_counts():
    sketch = ErrorSketch.of(np.array([0.0, NAN, 1.0, 1.001, -2.0, INF], np.float32))
    assert (sketch.count, sketch.zeros, sketch.non_finite) == (6, 1, 2)
    assert sketch.range == Range(0.0, 2.0)
    assert sketch.counts.tolist() == [2, *[0] * 127, 1]


def test_nothing_counted_has_no_range():
    assert (ErrorSketch().range.minimum, ErrorSketch().range.maximum) == (None, None)
    assert ErrorSketch.of(np.zeros((0, 3))) == ErrorSketch()


def test_zero_changes_nothing():
    sketch = ErrorSketch.of(np.array([0.0, 1.0, NAN]))
    assert sketch + ErrorSketch() == ErrorSketch() + sketch == sketch
    assert sketch != ErrorSketch()
    assert sketch != "a sketch"


def test_adding_leaves_both_parts_as_they_were():
    one, other = ErrorSketch.of(np.ones(3)), ErrorSketch.of(np.ones(5))
    assert (one + other).counts.tolist() == [8]
    assert (one.counts.tolist(), other.counts.tolist()) == ([3], [5])


def test_a_sketch_of_a_million_errors_is_small():
    sketch = ErrorSketch.of(np.random.default_rng(0).normal(scale=1e-3, size=10**6))
    packed = pickle.dumps(sketch)
    assert len(packed) < 32_000
    assert pickle.loads(packed) == sketch  # noqa: S301  # we made it a line above


@pytest.mark.parametrize("q", [-0.1, 1.1, NAN])
def test_a_quantile_is_a_share(q):
    message = f"q is {q}; a quantile needs a share from 0 to 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ErrorSketch.of(np.ones(1)).quantile(q)
