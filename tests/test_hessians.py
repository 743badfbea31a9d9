"""Hessians of layers: the same to the last bit for any partition of the samples, and rows as TensorFlow multiplies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_inputs import sums_of

from quantlab_converters.hessians import Window, depthwise_rows, patch_rows


def rows_of(seed, rows=60, groups=2, inputs=5):
    return np.random.default_rng(seed).normal(size=(groups, rows, inputs)).astype(np.float32)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 59), unique=True, max_size=6), st.randoms())
def test_any_partition_gives_the_same_bits(seed, cuts, shuffled):
    inputs = rows_of(seed)
    bound = float(np.abs(inputs).max())
    whole = sums_of(inputs, bound)
    parts = [sums_of(part, bound) for part in np.split(inputs, sorted(cuts), axis=1)]
    shuffled.shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total.rows == 60
    assert total.products.tobytes() == whole.products.tobytes()
    assert total.hessians.tobytes() == whole.hessians.tobytes()
    assert total.means.tobytes() == whole.means.tobytes()
    assert total.centred.tobytes() == whole.centred.tobytes()


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_it_is_the_sum_of_products(seed):
    inputs = rows_of(seed)
    found = sums_of(inputs, float(np.abs(inputs).max())).hessians
    expected = inputs.astype(np.float64).transpose(0, 2, 1) @ inputs.astype(np.float64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert (found == found.transpose(0, 2, 1)).all()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0, 1, 30, 1000]), st.integers(1, 60))
def test_centred_is_that_of_the_inputs_less_their_means(seed, offset, rows):
    """Also of inputs whose mean is large against their spread, where a difference of two large sums would be noise."""
    inputs = np.rint(rows_of(seed, rows) * 4 + offset)
    bound = 2.0**15  # so that a step is 1, and nothing is rounded
    sums = sums_of(inputs, bound)
    less = inputs.astype(np.float64) - inputs.mean(axis=1, keepdims=True, dtype=np.float64)
    expected = less.transpose(0, 2, 1) @ less
    np.testing.assert_allclose(sums.centred, expected, rtol=0, atol=1e-12 * max(np.abs(expected).max(), 1))
    np.testing.assert_allclose(sums.means, inputs.mean(axis=1, dtype=np.float64), rtol=1e-12)
    assert np.linalg.eigvalsh(sums.centred).min() >= -1e-12 * np.abs(expected).max()


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.integers(1, 60))
def test_inputs_that_are_always_the_same_have_no_variance(seed, bound, rows):
    """Nothing is left of them, or it would decide how a layer is rounded whose inputs are constant."""
    constant = np.random.default_rng(seed).uniform(-bound, bound, (2, 1, 5))
    assert not sums_of(np.repeat(constant, rows, axis=1), bound).centred.any()


def test_sums_are_exact_up_to_the_last_row_that_they_can_hold():
    """Two thirds of 2³² rows of the largest inputs, and one third of the smallest."""
    high, low = (sums_of(np.full((1, 1, 2), value), 1.0) for value in (1.0, -1.0))
    for _ in range(30):
        high, low = high + high, low + low
    total = high + high + low
    assert total.rows == 3 << 30
    np.testing.assert_array_equal(total.hessians, np.full((1, 2, 2), 3.0 * 2**30))
    np.testing.assert_allclose(total.centred, np.full((1, 2, 2), 3 * 2**30 * 8 / 9), rtol=1e-12)
    with pytest.raises(ValueError, match="may overflow") as error:
        total + total
    assert str(error.value) == "a Hessian of more than 4,294,967,296 rows may overflow; take fewer samples"


def test_sums_of_no_rows_are_zero():
    sums = sums_of(np.zeros((2, 0, 3)), 1.0)
    assert not sums.means.any()
    assert not sums.centred.any()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.booleans())
def test_at_most_as_many_positions_as_are_wanted(height, width, most, depthwise):
    """They are evenly spread: a part of all positions, at the same distance in each direction."""
    images = np.arange(height * width, dtype=np.float32).reshape(1, height, width, 1)
    made = (depthwise_rows if depthwise else patch_rows)(images, Window((1, 1)), most)
    places = made.reshape(-1).astype(int)
    assert 1 <= len(places) <= most
    down, across = np.unique(places // width), np.unique(places % width)
    assert len(places) == len(down) * len(across)
    assert len({*np.diff(down), *np.diff(across)}) <= 1
    if height * width <= most:
        assert len(places) == height * width


@pytest.mark.parametrize(
    ("inputs", "bound", "said"),
    [
        pytest.param(rows_of(1), 0.0, "the largest input is 0.0", id="inputs that are always 0 have no bound"),
        pytest.param(rows_of(1), np.inf, "the largest input is inf", id="an infinite bound"),
        pytest.param(rows_of(1) * np.nan, 1.0, "an input of a layer is NaN or infinite", id="NaN"),
    ],
)
def test_inputs_without_a_hessian(inputs, bound, said):
    with pytest.raises(ValueError, match=said):
        sums_of(inputs, bound)


def test_sums_of_two_layers_do_not_add_up():
    with pytest.raises(ValueError, match="the Hessians of two layers"):
        sums_of(rows_of(1), 4.0) + sums_of(rows_of(1), 8.0)


WINDOWS = {
    "valid": Window((3, 3)),
    "same": Window((3, 3), same=True),
    "same, an even kernel": Window((2, 4), same=True),
    "strides": Window((3, 2), strides=(2, 1), same=True),
    "strides that leave a part out": Window((3, 3), strides=(2, 3)),
    "dilations": Window((3, 3), dilations=(2, 1)),
    "same, with dilations": Window((3, 3), dilations=(2, 2), same=True),
}


RANDOM = np.random.default_rng(7)
IMAGES = RANDOM.normal(size=(2, 9, 8, 3)).astype(np.float32)


@pytest.mark.starts_children
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_rows_times_the_kernel_are_the_convolution(window):
    import tensorflow as tf

    padding = "SAME" if window.same else "VALID"
    kernel = RANDOM.normal(size=(*window.kernel, 3, 5)).astype(np.float32)
    rows = patch_rows(IMAGES, window)[0] @ kernel.reshape(-1, 5)
    expected = tf.nn.conv2d(IMAGES, kernel, window.strides, padding, dilations=window.dilations).numpy()
    np.testing.assert_allclose(rows.reshape(expected.shape), expected, rtol=0, atol=1e-4)


@pytest.mark.starts_children
@pytest.mark.parametrize("window", [window for window in WINDOWS.values() if len({*window.strides}) == 1])
def test_rows_of_a_channel_times_its_kernel_are_the_depthwise_convolution(window):
    import tensorflow as tf

    padding = "SAME" if window.same else "VALID"
    kernel = RANDOM.normal(size=(*window.kernel, 3, 1)).astype(np.float32)
    rows = depthwise_rows(IMAGES, window) @ np.moveaxis(kernel[..., 0], -1, 0).reshape(3, -1, 1)
    expected = tf.nn.depthwise_conv2d(
        IMAGES, kernel, [1, *window.strides, 1], padding, dilations=list(window.dilations)
    ).numpy()
    np.testing.assert_allclose(np.moveaxis(rows[..., 0], 0, -1).reshape(expected.shape), expected, rtol=0, atol=1e-4)
