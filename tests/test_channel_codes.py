"""8-bit codes with one scale per channel: how far values are from their codes, and which zeros are chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantlab_converters.channel_codes import encode

_AXES = {
    "convolution": (3,),
    "depthwise": (2, 3),
    "transposed": (2,),
    "1-D convolution": (2,),
    "dense": (1,),
    "transposed product": (0,),
    "table of rows": (1,),
    "one scale in all": (),
}
_RANKS = {"convolution": 4, "depthwise": 4, "transposed": 4, "1-D convolution": 3}
"""Of all others it is 2."""


def decoded(kernel, axes):
    coded = encode(kernel, axes)
    integers = coded.codes.astype(np.float32) - coded.zeros.astype(np.float32).reshape(
        coded.scales.shape if coded.zeros.ndim else ()
    )
    return coded, (integers * coded.scales.astype(np.float32)).astype(np.float32)


@pytest.mark.parametrize("kind", _AXES)
@given(data=st.data())
def test_every_value_is_within_half_a_step_of_its_channel(kind, data):
    rank, axes = _RANKS.get(kind, 2), _AXES[kind]
    shape = data.draw(hnp.array_shapes(min_dims=rank, max_dims=rank, max_side=4))
    values = st.floats(-100, 100, width=32).map(lambda value: value if abs(value) > 1e-30 else 0.0)
    channels = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    # Channels of zeros, and channels of very unlike sizes.
    factors = data.draw(hnp.arrays(np.float32, channels, elements=st.sampled_from([0, 1e-6, 1e-3, 1, 1e3])))
    kernel = data.draw(hnp.arrays(np.float32, shape, elements=values)) * factors
    kernel = np.where(np.abs(kernel) > 1e-30, kernel, np.float32(0))
    coded, values = decoded(kernel, axes)
    steps = np.broadcast_to(coded.scales.astype(np.float64), kernel.shape)
    errors = np.abs(values.astype(np.float64) - kernel)
    # The zero is rounded too, which the ends of a range with its own zero feel.
    nudge = 0.5 if coded.zeros.ndim else 0
    assert (errors <= (0.5 + nudge + 1e-3) * steps).all()
    assert (values[kernel == 0] == 0).all()


@pytest.mark.parametrize(
    ("columns", "zeros"),
    [
        pytest.param([[-1, 1], [-2, 2]], 127, id="symmetric channels have one zero in the middle"),
        pytest.param([[0, 1], [0.5, 3]], 0, id="channels without negative values have it at the lower end"),
        pytest.param([[-1, 0], [-3, -0.5]], 255, id="channels without positive values have it at the upper end"),
        pytest.param([[-1, 0.01], [-0.01, 1]], [[252, 3]], id="opposite channels have their own"),
        pytest.param([[0, 0], [-1, 1]], 127, id="a channel of zeros does not count"),
    ],
)
def test_zeros(columns, zeros):
    coded = encode(np.array(columns, np.float32).T, (1,))
    np.testing.assert_array_equal(coded.zeros.reshape(np.shape(zeros)), zeros)


def test_a_channel_of_zeros_has_the_scale_1():
    coded, values = decoded(np.array([[0, 0.5], [0, -0.5]], np.float32), (1,))
    assert coded.scales[0] == 1
    np.testing.assert_allclose(values, [[0, 0.5], [0, -0.5]], rtol=1e-3)


def test_scales_are_half_floats_and_reach_the_ends_of_their_channels():
    kernel = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
    coded, _ = decoded(kernel, (1,))
    assert coded.scales.dtype == np.float16
    codes = coded.codes.astype(np.float64) - coded.zeros
    assert (np.abs(codes * coded.scales).max(axis=0) >= np.abs(kernel).max(axis=0) * (1 - 1 / 255)).all()


def test_scales_below_the_normal_half_floats_are_float32():
    coded, values = decoded(np.array([[1e-6, 1], [-1e-6, -1]], np.float32), (1,))
    assert coded.scales.dtype == np.float32
    np.testing.assert_allclose(values[:, 0], [1e-6, -1e-6], rtol=1e-2)


def test_channels_that_differ_a_thousandfold_are_equally_exact():
    kernel = np.random.default_rng(0).uniform(-1, 1, (100, 2)).astype(np.float32) * np.array([1, 1e-3], np.float32)
    _, values = decoded(kernel, (1,))
    relative = np.sqrt(((values - kernel) ** 2).sum(axis=0) / (kernel**2).sum(axis=0))
    assert (relative < 1 / 200).all()


def test_a_channel_with_an_outlier_does_not_decide_for_the_others():
    kernel = np.random.default_rng(0).normal(size=(81, 64)).astype(np.float32)
    kernel[0, 0] = 1e6
    _, values = decoded(kernel, (1,))
    np.testing.assert_allclose(values[:, 1:], kernel[:, 1:], atol=0.02)
