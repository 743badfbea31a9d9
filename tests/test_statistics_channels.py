"""Errors of each channel of an output, and what became constant: known values, and the law on partitions."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import LayerError, OutputSums, TensorError, blocks, constant_parts, sum_channels
from quantlab.types import ConstantOutput

N = 40


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def same_sums(one, other):
    assert (one.samples, one.channels, one.elements) == (other.samples, other.channels, other.elements)
    assert np.array_equal(one.counts, other.counts)
    # Signed sums cancel, so their rounding is relative to what was added.
    assert np.allclose(one.sums, other.sums, rtol=1e-12, atol=1e-9)
    for name in ("largest_error", "lowest", "highest"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


# Figures


def test_known_values_of_two_channels():
    reference = np.array([[3.0, 0.5], [-4.0, 0.0]])
    candidate = np.array([[3.0, 0.0], [-5.0, 0.0]])
    sums = OutputSums.of(reference, candidate)
    first, second = sums.error_of(0), sums.error_of(1)
    assert (first.count, first.different, first.max_abs, first.mean_abs, first.bias) == (2, 1, 1.0, 0.5, -0.5)
    assert first.rms == math.sqrt(0.5)
    assert first.sqnr_db == pytest.approx(10 * math.log10(25))
    assert first.cosine == pytest.approx((9 + 20) / math.sqrt(25 * 34))
    assert (second.max_abs, second.sqnr_db) == (0.5, 0.0)
    assert math.isnan(second.cosine)
    assert sums.error == TensorError.of(reference, candidate)
    assert sums.ranges(0).tolist() == [[-4, 3], [-5, 3]]
    assert sums.ranges(1).tolist() == [[0, 0.5], [0, 0]]
    assert sums.ranges().tolist() == [[-4, 3], [-5, 3]]


@given(
    pair=arrays.arrays(
        np.float64,
        st.tuples(st.just(2), st.integers(1, 6), st.integers(1, 4), st.integers(1, 5)),
        elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, np.nan, np.inf]),
    )
)
def test_a_channel_has_the_error_of_its_elements(pair):
    """That of `TensorError` over the elements that are finite in the reference; the output has that of all of them."""
    reference, candidate = pair
    sums = OutputSums.of(reference, candidate)
    for channel in range(sums.channels):
        known = np.isfinite(reference[..., channel])
        assert_same_error(
            sums.error_of(channel), TensorError.of(reference[..., channel][known], candidate[..., channel][known])
        )
        assert sums.left_out_of(channel) == np.count_nonzero(~known)
    known = np.isfinite(reference)
    assert_same_error(sums.error, TensorError.of(reference[known], candidate[known]))
    assert sums.left_out == np.count_nonzero(~known)


def assert_same_error(one, other):
    assert (one.count, one.different, one.non_finite, one.non_finite_reference) == (
        other.count,
        other.different,
        other.non_finite,
        0,
    )
    for name in ("mean_abs", "rms", "max_abs", "bias", "sqnr_db", "cosine"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9, abs=1e-6, nan_ok=True), name


def test_what_is_not_finite_in_the_variant_alone_spoils_its_channel():
    reference = random(N, 3)
    candidate = reference + 0.01
    candidate[5, 1] = np.nan
    sums = OutputSums.of(reference, candidate)
    assert [sums.error_of(channel).rms for channel in range(3)] == [pytest.approx(0.01), math.inf, pytest.approx(0.01)]
    assert (sums.error.non_finite, sums.error.sqnr_db, sums.left_out) == (1, -math.inf, 0)
    assert sums.worst_channels(1) == [1]


def test_what_is_not_finite_in_both_is_left_out_and_counted():
    reference = random(N, 3)
    reference[5, 1] = np.inf
    candidate = reference + 0.5
    candidate[5, 1] = np.nan
    sums = OutputSums.of(reference, candidate)
    assert (sums.left_out, sums.left_out_of(1), sums.left_out_of(0)) == (1, 1, 0)
    known = np.isfinite(reference)
    assert_same_error(sums.error, TensorError.of(reference[known], candidate[known]))
    assert (sums.error_of(1).count, sums.error_of(1).non_finite) == (N - 1, 0)
    assert sums.error_of(1).max_abs == pytest.approx(0.5)


def test_samples_that_are_not_scored_are_left_out():
    reference, candidate = random(N, 4, 3), random(N, 4, 3, seed=1)
    scored = np.arange(N) % 3 > 0
    sums, rest = sum_channels(reference, candidate, scored), sum_channels(reference[scored], candidate[scored])
    assert_same_error(sums.error, rest.error)
    assert (sums.left_out, rest.left_out) == (np.count_nonzero(~scored) * 12, 0)
    assert np.array_equal(sums.lowest, rest.lowest)
    candidate[scored, :, 1] = 7
    assert dead(reference, candidate) == []
    assert sum_channels(reference, candidate, scored).constant_channels.tolist() == [1]


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        pytest.param((N,), 1, id="a value per sample"),
        pytest.param((N, 1), 1, id="one column"),
        pytest.param((N, 7), 7, id="columns"),
        pytest.param((N, 4, 4, 3), 3, id="pictures"),
        pytest.param((N, 0), 0, id="nothing"),
        pytest.param((0, 3), 0, id="no samples"),
    ],
)
def test_channels_are_those_of_the_last_axis(shape, channels):
    reference = random(*shape)
    sums = sum_channels(reference, reference)
    assert (sums.channels, sums.samples) == (channels, shape[0])
    assert (sums.is_constant, sums.constant_channels.tolist()) == (False, [])
    assert np.isnan(sums.ranges()).all() == (channels == 0)


def test_integers_and_booleans_are_compared():
    labels = np.arange(N)
    assert sum_channels(labels, labels + (labels == 3)).error.different == 1
    assert sum_channels(labels > 5, labels > 7).error.different == 2


def test_other_shapes_and_kinds_are_refused():
    with pytest.raises(ValueError, match=r"the reference has shape \(40, 3\) and the candidate \(40, 2\)"):
        sum_channels(random(N, 3), random(N, 2))
    with pytest.raises(ValueError, match="the reference has dtype complex128; only real numbers can be compared"):
        sum_channels(random(N, 3) * 1j, random(N, 3))
    with pytest.raises(ValueError, match="sums of 3 channels and 3 elements, and of 2 and 2, cannot be added"):
        OutputSums.of(random(N, 3), random(N, 3)) + OutputSums.of(random(N, 2), random(N, 2))


def test_outputs_and_layers_have_one_order_of_channels():
    reference = random(N, 6) * [1, 0, 1, 0, 1, 1]
    candidate = reference + np.array([0.1, 5.0, 0.01, 0.0, 0.0, 0.01])
    candidate[3, 5] = np.nan
    worst = sum_channels(reference, candidate).worst_channels(6)
    assert worst == [5, 0, 2, 4, 1, 3], "those that are 0 in the reference come last"
    for channels in (worst[place:] for place in range(6)):
        error = LayerError.of(reference[:, sorted(channels)], candidate[:, sorted(channels)], channels=True)
        assert sorted(channels)[error.worst_channel] == channels[0]


def test_the_worst_channels_come_first():
    reference = random(N, 200)
    candidate = reference + np.where(np.arange(200) == 150, 1.0, 0.01)
    candidate[:, 77] = 0.5
    candidate[:, 20] = reference[:, 20]
    sums = sum_channels(reference, candidate)
    assert sums.worst_channels(2) == [77, 150]
    assert sums.worst_channels(1000)[-1] == 20
    of_all = [sums.error_of(channel).sqnr_db for channel in range(200)]
    assert sums.worst_channels(1000)[1:] == sorted(
        (channel for channel in range(200) if channel != 77), key=lambda channel: of_all[channel]
    )


# The law


@given(
    seed=st.integers(0, 2**32 - 1),
    spoiled=st.booleans(),
    shape=st.sampled_from([(), (1,), (5,), (2, 3, 4)]),
    cuts=st.lists(st.integers(0, N), max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_parts_of_any_partition_add_up_to_the_whole(seed, spoiled, shape, cuts, order):
    generator = np.random.default_rng(seed)
    reference, candidate = generator.normal(size=(2, N, *shape)).round(1).astype(np.float32)
    if spoiled:
        for value in (np.nan, np.inf, -np.inf):
            for array in (reference, candidate):
                array.reshape(-1)[generator.integers(array.size)] = value
    edges = [0, *sorted(cuts), N]
    slices = [slice(*edge) for edge in itertools.pairwise(edges)]
    order.shuffle(slices)
    whole = OutputSums.of(reference, candidate)
    same_sums(sum((OutputSums.of(reference[part], candidate[part]) for part in slices), OutputSums()), whole)
    same_sums(sum_channels(reference, candidate), whole)
    assert OutputSums() + whole == whole == whole + OutputSums()


def test_the_sums_of_many_samples_are_no_larger():
    few, many = (OutputSums.of(random(n, 4, 3), random(n, 4, 3, seed=1)) for n in (2, 2000))
    sizes = [[getattr(sums, name).nbytes for name in ("counts", "sums", "lowest", "highest")] for sums in (few, many)]
    assert sizes[0] == sizes[1]


def test_more_than_a_block_is_summed_in_blocks():
    reference = random(5_000, 30).astype(np.float32)
    candidate = reference + np.float32(0.25)
    assert len(list(blocks(reference, block_bytes=2**18))) > 4
    assert sum_channels(reference, candidate).error.mean_abs == pytest.approx(0.25, rel=1e-6)


# What became constant


def boxes_and_scores(n=100):
    """Boxes of 0 to 640 and scores of 0 to 1 in one tensor, as a detector gives them."""
    generator = np.random.default_rng(0)
    return np.concatenate([generator.uniform(0, 640, (n, 8, 4)), generator.uniform(0, 1, (n, 8, 2))], axis=2)


def rounded(values, step):
    return np.round(values / step) * step


def dead(reference, candidate, name="out"):
    return [part.name for part in constant_parts(name, sum_channels(reference, candidate))]


def test_columns_of_another_unit():
    reference = boxes_and_scores()
    candidate = rounded(reference, 640 / 255)
    candidate[..., 4:] = 0
    sums = sum_channels(reference, candidate)
    assert sums.constant_channels.tolist() == [4, 5]
    assert not sums.is_constant
    assert sums.error.sqnr_db > 50
    first, second = constant_parts("detections", sums)
    low, high = reference[..., 4].min(), reference[..., 4].max()
    assert first == ConstantOutput("detections", 4, 0.0, 0.0, low, high)
    assert second.name == "detections[5]"


def test_an_output_of_one_value():
    reference = 1 / (1 + np.exp(-5 * random(100, 8)))
    (part,) = constant_parts("mask", sum_channels(reference, np.full_like(reference, 0.5)))
    assert part == ConstantOutput("mask", None, 0.5, 0.5, reference.min(), reference.max(), tuple(range(8)))


def test_the_same_picture_for_every_sample():
    reference = random(20, 6, 6, 2)
    candidate = np.broadcast_to(random(6, 6, 2, seed=1), reference.shape)
    (part,) = constant_parts("picture", sum_channels(reference, candidate))
    assert part.channel is None
    assert part.minimum < part.maximum


ZEROS = np.zeros((100, 3))
VARIES = random(100, 3)


@pytest.mark.parametrize(
    ("reference", "candidate", "names"),
    [
        pytest.param(VARIES, VARIES * [1, 0, 1], ["out[1]"], id="one column"),
        pytest.param(VARIES, VARIES * [1, 0, 1] + [0, 7, 0], ["out[1]"], id="one column of another constant"),
        pytest.param(VARIES, ZEROS, ["out"], id="all columns"),
        pytest.param(VARIES[:, 0], ZEROS[:, 0], ["out"], id="one value per sample"),
        pytest.param(VARIES[:, :1], ZEROS[:, :1], ["out"], id="one column that is all"),
        pytest.param(VARIES * [1, 0, 1], VARIES * [1, 0, 0], ["out[2]"], id="constant in the model too"),
        pytest.param(VARIES * [1, 0, 0], ZEROS, ["out"], id="all that varied"),
        pytest.param(ZEROS, ZEROS, [], id="a constant model"),
        pytest.param(ZEROS, VARIES, [], id="a constant model and a variant that varies"),
        pytest.param(VARIES, VARIES, [], id="the same"),
        pytest.param(300 + VARIES, np.full((100, 3), 300.0), ["out"], id="far from zero"),
        pytest.param(1 + 1e-7 * VARIES, np.ones((100, 3)), [], id="the model varies by rounding alone"),
        pytest.param(VARIES > 0, VARIES > 9, ["out"], id="booleans"),
        pytest.param(np.arange(100), np.full(100, 3), ["out"], id="integers"),
        pytest.param(VARIES[:9], ZEROS[:9], ["out"], id="a few samples of three columns"),
        pytest.param(VARIES[:9], VARIES[:9] * [1, 0, 1], [], id="a few samples of one column"),
        pytest.param(VARIES[:1], ZEROS[:1], [], id="one sample"),
        pytest.param(random(1, 50, 3), np.zeros((1, 50, 3)), ["out"], id="one sample of many places"),
        pytest.param(VARIES, np.where([0, 1, 0], np.nan, VARIES), [], id="NaN is no constant"),
    ],
)
def test_what_is_called_constant(reference, candidate, names):
    assert dead(reference, candidate) == names


def test_one_sample_gives_the_same_values_for_every_sample():
    """Nothing is known about how a single picture would move."""
    reference = random(1, 50, 3)
    assert dead(reference, reference + random(1, 50, 3, seed=1)) == []


def test_what_the_model_spoils_is_left_out_of_it():
    reference, candidate = random(100, 3), random(100, 3, seed=1) * [1, 0, 1]
    reference[:50] = np.nan
    candidate[:50] = 8
    assert dead(reference, candidate) == ["out[1]"]
    assert dead(np.full_like(reference, np.nan), candidate) == []


def probabilities(rare):
    """Rows of three probabilities, of which the last is at most `rare`."""
    generator = np.random.default_rng(0)
    last = generator.uniform(0, rare, 100)
    first = generator.uniform(0, 1, 100) * (1 - last)
    return np.stack([first, 1 - first - last, last], axis=1)


@pytest.mark.parametrize(
    ("rare", "names"), [pytest.param(0.009, [], id="never occurs"), pytest.param(0.2, ["out[2]"], id="occurs")]
)
def test_a_class_that_never_occurs_may_be_rounded_to_zero(rare, names):
    reference = probabilities(rare)
    assert dead(reference, reference * [1, 1, 0]) == names


def test_probabilities_that_are_all_rounded_to_zero():
    """1,000 classes of about 0.001 each: no column is large, but nothing is left of the output."""
    reference = np.random.default_rng(0).dirichlet(np.full(1000, 50), 100)
    assert reference.max() < 0.005
    assert dead(reference, np.zeros_like(reference)) == ["out"]


def test_small_numbers_that_are_no_probabilities():
    assert dead(0.001 * VARIES, 0.001 * VARIES * [1, 0, 1]) == ["out[1]"]
