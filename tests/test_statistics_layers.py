"""A layer's sums in one pass: equal to sums per tensor, in parts, by channel, and at the limits of the codes."""

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import SKETCH_ACCURACY, ChannelSums, LayerError, Range, TensorError
from quantlab.statistics.layers.compiled import BLOCK
from quantlab.types import Codes

NAN, INF = math.nan, math.inf
SAMPLES = 24

anything = st.one_of(st.floats(-1e6, 1e6, width=32), st.sampled_from([0.0, -0.0, NAN, INF, -INF]))


def pairs(elements):
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return shapes.flatmap(
        lambda shape: st.tuples(*(arrays.arrays(np.float32, shape, elements=elements) for _ in range(2)))
    )


def layer(seed, *, shape=(SAMPLES, 3, 4), spoiled=False):
    """A ReLU's output and a copy that strays by 0.1 %; if spoiled, with a few values that are not finite."""
    random = np.random.default_rng(seed)
    baseline = np.maximum(random.normal(size=shape), 0).astype(np.float32)
    candidate = np.maximum(baseline + 1e-3 * random.normal(size=shape), 0).astype(np.float32)
    for tensor, value in itertools.product((baseline, candidate), (NAN, INF, -INF) if spoiled else ()):
        tensor.reshape(-1)[random.integers(tensor.size)] = value
    return baseline, candidate


def assert_near(error, expected):
    """Counts are equal, sums within 1e-12 of what was added up."""
    rounding = 1e-12 * max(expected.sum_abs_error, expected.sum_square_reference + expected.sum_square_candidate)
    for attribute in dataclasses.fields(TensorError):
        actual, wanted = getattr(error, attribute.name), getattr(expected, attribute.name)
        if isinstance(wanted, int):
            assert actual == wanted, attribute.name
        else:
            cancels = attribute.name in {"sum_error", "sum_product"}
            assert actual == pytest.approx(wanted, rel=1e-12, abs=rounding if cancels else 0), attribute.name


@given(pairs(anything), st.booleans())
def test_the_error_is_that_of_the_tensors(pair, channels):
    assert_near(LayerError.of(*pair, channels=channels).error, TensorError.of(*pair))


@pytest.mark.parametrize("spoiled", [False, True], ids=["finite", "not finite"])
@pytest.mark.parametrize("channels", [False, True], ids=["whole", "per channel"])
def test_a_tensor_of_many_blocks(spoiled, channels):
    pair = layer(0, shape=(3, BLOCK, 3), spoiled=spoiled)
    assert_near(LayerError.of(*pair, channels=channels).error, TensorError.of(*pair))


@given(
    seed=st.integers(0, 2**32 - 1),
    spoiled=st.booleans(),
    cuts=st.lists(st.integers(0, SAMPLES), max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_parts_of_any_partition_of_the_samples_add_up_to_the_whole(seed, spoiled, cuts, order):
    baseline, candidate = layer(seed, spoiled=spoiled)
    codes = Codes(scale=0.5, zero_point=0, lowest=0, highest=2)
    edges = [0, *sorted(cuts), SAMPLES]
    slices = [slice(*edge) for edge in itertools.pairwise(edges)]
    order.shuffle(slices)
    parts = (LayerError.of(baseline[rows], candidate[rows], channels=True, codes=codes) for rows in slices)
    added = sum(parts, LayerError())
    whole = LayerError.of(baseline, candidate, channels=True, codes=codes)
    assert_near(added.error, whole.error)
    assert added.sketch == whole.sketch
    assert (added.range, added.range_baseline) == (whole.range, whole.range_baseline)
    assert (added.coded, added.at_lowest, added.at_highest) == (whole.coded, whole.at_lowest, whole.at_highest)
    assert added.channels.non_finite.tolist() == whole.channels.non_finite.tolist()
    for sums in ("sum_square_error", "sum_square_baseline"):
        assert getattr(added.channels, sums) == pytest.approx(getattr(whole.channels, sums), rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, SAMPLES), q=st.floats(0, 1))
def test_quantiles_of_added_parts_are_those_of_sorting_the_whole(seed, cut, q):
    baseline, candidate = layer(seed)
    parts = LayerError.of(baseline[:cut], candidate[:cut]) + LayerError.of(baseline[cut:], candidate[cut:])
    exact = np.quantile(abs(candidate.astype(float) - baseline), q, method="inverted_cdf")
    assert parts.sketch.quantile(q) == pytest.approx(exact, rel=SKETCH_ACCURACY, abs=0)


@pytest.mark.parametrize("add", [lambda x: x + LayerError(), lambda x: LayerError() + x], ids=["after", "before"])
def test_zero_changes_nothing(add):
    error = LayerError.of(*layer(0), channels=True)
    assert add(error) == error != LayerError()


@pytest.mark.parametrize(
    "transform",
    [
        pytest.param(np.asfortranarray, id="columns first in memory"),
        pytest.param(lambda x: np.repeat(x, 2, axis=0)[::2], id="every other sample"),
        pytest.param(lambda x: x.astype(np.float64), id="float64"),
    ],
)
def test_how_a_tensor_lies_in_memory_changes_nothing(transform):
    baseline, candidate = layer(0)
    expected = LayerError.of(baseline, candidate, channels=True)
    assert LayerError.of(transform(baseline), transform(candidate), channels=True) == expected


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.bool_, np.float16])
def test_numbers_of_any_dtype_are_compared_as_float64(dtype):
    baseline, candidate = np.array([[1, 0], [1, 1]], dtype), np.array([[0, 0], [1, 1]], dtype)
    expected = LayerError.of(baseline.astype(np.float64), candidate.astype(np.float64))
    assert LayerError.of(baseline, candidate) == expected


@pytest.mark.parametrize("compare", [LayerError.of, TensorError.of], ids=["layer", "tensor"])
def test_integers_that_float64_does_not_tell_apart_differ(compare):
    error = compare(np.array([2**53, 7]), np.array([2**53 + 1, 7]))
    assert getattr(error, "error", error).different == 1


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    [
        pytest.param([1, -2], [3, 0.5], (-2, 1, 0.5, 3), id="of each side"),
        pytest.param([1, NAN], [INF, 2], (1, 1, 2, 2), id="of what is finite on its own side"),
        pytest.param([NAN, INF], [1, 2], (None, None, 1, 2), id="nothing finite on one side"),
        pytest.param([], [], (None, None, None, None), id="of no elements"),
    ],
)
def test_range(baseline, candidate, expected):
    error = LayerError.of(np.array(baseline, np.float32), np.array(candidate, np.float32))
    ranges = (error.range_baseline, error.range)
    assert tuple(end for ends in ranges for end in (ends.minimum, ends.maximum)) == expected


def test_a_range_of_parts_is_the_widest():
    assert Range.of(np.array([1, 2])) + Range.of(np.array([-3])) + Range() == Range(-3, 2)


INT8 = Codes(scale=0.1, zero_point=-28, lowest=-128, highest=127)


@pytest.mark.parametrize(
    ("values", "codes", "expected"),
    [
        pytest.param([0.0, 15.5, -10.0], INT8, (3, 1, 1, 2 / 3), id="one at either end"),
        pytest.param([15.4, -9.9], INT8, (2, 0, 0, 0.0), id="the codes next to the ends are within"),
        pytest.param([15.500001, -10.000001], INT8, (2, 1, 1, 1.0), id="float32 rounds what codes stand for"),
        pytest.param([NAN, 99.0], INT8, (2, 0, 1, 0.5), id="NaN is at no end, and what is beyond one is at it"),
        pytest.param(
            [0.0, 0.0], Codes(1.0, 0, 0, 255), (2, 0, 0, 0.0), id="a ReLU's zeros are rightly at the lowest code"
        ),
        pytest.param([32767.0 * 3e-5, 0.0], Codes(3e-5, 0, -32768, 32767), (2, 0, 1, 0.5), id="int16"),
        pytest.param([15.5], None, (0, 0, 0, None), id="floats have no ends"),
        pytest.param([], INT8, (0, 0, 0, None), id="no elements"),
    ],
)
def test_saturation(values, codes, expected):
    tensor = np.array(values, np.float32)
    error = LayerError.of(tensor, tensor, codes=codes)
    assert (error.coded, error.at_lowest, error.at_highest, error.saturated) == expected


@given(scale=st.floats(1e-6, 1e3), zero=st.integers(-128, 127), data=st.data())
def test_saturation_is_that_of_the_codes(scale, zero, data):
    held = np.array(data.draw(st.lists(st.integers(-128, 127), min_size=1)))
    values = (np.float32(scale) * (held - zero)).astype(np.float32)
    error = LayerError.of(values, values, codes=Codes(float(np.float32(scale)), zero, -128, 127))
    # The lowest code is no end where it stands for 0, which is what a ReLU cuts to.
    at_lowest = 0 if zero == -128 else np.sum(held == -128)
    assert (error.at_lowest, error.at_highest) == (at_lowest, np.sum(held == 127))


@given(pairs(anything).filter(lambda pair: pair[0].ndim > 1 and pair[0].size))
def test_each_channel_is_its_own_tensor(pair):
    channels = LayerError.of(*pair, channels=True).channels
    alone = [TensorError.of(pair[0][..., i], pair[1][..., i]) for i in range(pair[0].shape[-1])]
    assert len(channels) == len(alone)
    assert channels.sqnr_db.tolist() == pytest.approx([error.sqnr_db for error in alone], rel=1e-9, abs=1e-9)
    assert (channels.non_finite > 0).tolist() == [error.sqnr_db == -INF and spoiled(error) for error in alone]


def spoiled(error):
    return bool(error.non_finite or error.non_finite_reference)


@pytest.mark.parametrize("width", [1, 1000, BLOCK - 1, BLOCK, BLOCK + 1])
def test_rows_of_any_width(width):
    baseline, candidate = layer(0, shape=(3, width))
    baseline += 1  # where a channel is nothing but zeros, any noise is the worst
    candidate[1, width // 2] += 100
    error = LayerError.of(baseline, candidate, channels=True)
    assert error.worst_channel == width // 2
    assert_near(error.error, TensorError.of(baseline, candidate))
    noise = ((candidate.astype(float) - baseline) ** 2).sum(axis=0)
    assert error.channels.sum_square_error == pytest.approx(noise, rel=1e-12)


@pytest.mark.parametrize(
    ("baseline", "candidate", "worst", "sqnr_db"),
    [
        pytest.param([[1, 1, 1]], [[1, 1.1, 1.01]], 1, 20, id="the noisiest"),
        pytest.param([[1, 100]], [[1.1, 101]], 0, 20, id="noise is measured by the channel's own signal"),
        pytest.param([[1, 0, 0]], [[2, 0.1, 0.2]], 0, 0, id="not noise on zeros, which have no signal"),
        pytest.param([[0, 0]], [[0.1, 0.2]], 1, -INF, id="noise on zeros alone, the most of it"),
        pytest.param([[1, 2]], [[1, 2]], 0, INF, id="no noise at all: the first"),
        pytest.param([[1, 1]], [[9, NAN]], 1, -INF, id="one NaN is worse than any noise"),
        pytest.param([[INF, 1]], [[INF, 9]], 0, -INF, id="so is an infinity, though both have it"),
        pytest.param([1, 1], [1, 9], None, None, id="a value a sample has no channels"),
        pytest.param(np.zeros((0, 3)), np.zeros((0, 3)), None, None, id="nor have no samples"),
        pytest.param(1, 9, None, None, id="nor has a number"),
    ],
)
def test_worst_channel(baseline, candidate, worst, sqnr_db):
    error = LayerError.of(np.array(baseline, float), np.array(candidate, float), channels=True)
    assert error.worst_channel == worst
    assert error.worst_channel_sqnr_db == pytest.approx(sqnr_db, abs=1e-9)


def test_channels_are_summed_on_request():
    error = LayerError.of(*layer(0))
    assert (error.channels, error.worst_channel, error.worst_channel_sqnr_db) == (ChannelSums(), None, None)


def test_tensors_of_different_channels_do_not_add():
    three, four = (LayerError.of(*layer(0, shape=(2, width)), channels=True) for width in (3, 4))
    with pytest.raises(
        ValueError, match=r"^sums of 3 channels and of 4 cannot be added; compare tensors of the same shape$"
    ):
        three + four


def test_the_tensors_are_left_as_they_were():
    baseline, candidate = layer(0, spoiled=True)
    copies = baseline.copy(), candidate.copy()
    LayerError.of(baseline, candidate, channels=True)
    assert np.array_equal(baseline, copies[0], equal_nan=True)
    assert np.array_equal(candidate, copies[1], equal_nan=True)


@pytest.mark.parametrize(
    ("baseline", "candidate", "message"),
    [
        pytest.param(
            np.zeros((2, 3)),
            np.zeros((3, 2)),
            "the reference has shape (2, 3) and the candidate (3, 2); both must have the same shape, "
            "because they are compared element by element",
            id="another shape",
        ),
        pytest.param(
            np.array(["a"]), np.zeros(1), "the baseline has dtype <U1; only real numbers can be compared", id="strings"
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(baseline, candidate, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LayerError.of(baseline, candidate)
