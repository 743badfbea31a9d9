"""Codes of one kernel: the shapes and data types in which they are stored, their noise, and the shift of the bias."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_inputs import sums_of as sums_over

from quantlab.types import KernelChoice
from quantlab_converters.hessians import Window
from quantlab_converters.tfjs_kernel_uses import KernelUse
from quantlab_converters.tfjs_rounding import round_kernel

RANDOM = np.random.default_rng(12)
CHANNEL, TENSOR = KernelChoice(4, "channel"), KernelChoice(4, "tensor")
USES = {
    "product": (KernelUse("product", (1,)), (8, 6), (6,)),
    "product of a transposed kernel": (KernelUse("product", (0,)), (6, 8), (6, 1)),
    "convolution": (KernelUse("convolution", (3,), window=Window((3, 3))), (3, 3, 2, 6), (6,)),
    "depthwise convolution": (KernelUse("depthwise", (2, 3), window=Window((3, 3))), (3, 3, 4, 2), (4, 2)),
    "transposed convolution": (KernelUse("transposed", (2,), window=Window((3, 3))), (3, 3, 6, 2), (6, 1)),
    "table": (KernelUse("other", (1,)), (8, 6), (6,)),
    "volume": (KernelUse("other", (4,)), (2, 2, 2, 3, 6), (6,)),
}


def sums_of(use, kernel, rows=50):
    """Of inputs with a mean, of which some are correlated."""
    groups, inputs, _ = use.matrix(kernel).shape
    fed = RANDOM.normal(size=(groups, rows, inputs)) @ RANDOM.normal(size=(inputs, inputs)) + 1
    return fed, sums_over(fed, float(np.abs(fed).max()))


def decoded(codes):
    return (codes.codes.astype(np.float64) - codes.zeros) * codes.scales.astype(np.float64)


@pytest.mark.parametrize("case", USES)
def test_shapes_and_types(case):
    use, shape, channels = USES[case]
    kernel = RANDOM.normal(size=shape).astype(np.float32)
    by_channel, in_all = (round_kernel(use, kernel, None, choice).codes for choice in (CHANNEL, TENSOR))
    for codes, scales in ((by_channel, channels), (in_all, ())):
        assert (codes.codes.dtype, codes.codes.shape) == (np.uint8, shape)
        assert codes.codes.max() < 16
        assert (codes.scales.dtype, codes.scales.shape) == (np.float16, scales)
        assert codes.zeros.dtype == np.uint8
        assert codes.zeros.shape in {(), scales}
    assert ((by_channel.codes > 0) & (by_channel.codes < 15)).any()
    spread = np.abs(kernel).max() / 15 * 2
    assert np.abs(decoded(by_channel) - kernel).max() < 4 * spread  # no channel has the scale of another


@pytest.mark.parametrize("case", USES)
def test_a_channel_keeps_its_codes_whatever_the_size_of_the_others(case):
    use, shape, channels = USES[case]
    factors = (2.0 ** RANDOM.integers(-6, 6, channels)).astype(np.float32)
    kernel = RANDOM.normal(size=shape).astype(np.float32)
    plain, scaled = (round_kernel(use, one, None, CHANNEL).codes for one in (kernel, kernel * factors))
    np.testing.assert_array_equal(plain.codes, scaled.codes)
    np.testing.assert_array_equal(plain.scales * factors, scaled.scales)


def test_one_channel_has_one_scale():
    use, kernel = KernelUse("product", (1,)), RANDOM.normal(size=(8, 1)).astype(np.float32)
    codes = round_kernel(use, kernel, None, CHANNEL).codes
    assert (codes.scales.shape, codes.zeros.shape) == ((), ())


@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        pytest.param(1.0, np.float16, id="half floats"),
        pytest.param(2.0**-14 * 7, np.float16, id="the smallest normal half float"),
        pytest.param(2.0**-18 * 7, np.float32, id="below it, although half floats could hold it"),
        pytest.param(60_000.0 * 7, np.float16, id="a large half float"),
        pytest.param(70_000.0 * 7, np.float32, id="above the largest one"),
        pytest.param(1e-38, np.float32, id="the smallest floats"),
        pytest.param(3e38, np.float32, id="the largest floats"),
    ],
)
def test_scales_are_half_floats_if_these_are_normal(size, dtype):
    kernel = (np.array([[0, 1, 2, 3, 4, 5, 6, 7]]).T / 7 * size).astype(np.float32)
    codes = round_kernel(KernelUse("product", (1,)), kernel, None, replace(TENSOR, bits=3)).codes
    assert codes.scales.dtype == dtype
    np.testing.assert_allclose(decoded(codes), kernel, rtol=0.01)


@pytest.mark.parametrize("choice", [CHANNEL, TENSOR], ids=["channel", "tensor"])
@pytest.mark.parametrize("case", ["product", "product of a transposed kernel", "depthwise convolution"])
def test_the_shift_is_the_mean_error_of_each_output(case, choice):
    use, shape, _ = USES[case]
    kernel = RANDOM.normal(size=shape).astype(np.float32)
    fed, sums = sums_of(use, kernel)
    rounded = round_kernel(use, kernel, sums, choice)
    errors = fed @ (
        use.matrix(kernel.astype(np.float64)) - use.matrix(decoded(rounded.codes))
    )  # (groups, rows, outputs)
    np.testing.assert_allclose(rounded.shift, errors.mean(axis=1).reshape(-1), rtol=0, atol=1e-3)
    exact = fed @ use.matrix(kernel.astype(np.float64))
    centred = [one - one.mean(axis=1, keepdims=True) for one in (errors, exact)]
    assert rounded.noise == pytest.approx(noise(*centred, choice), rel=0.01)
    whole = round_kernel(use, kernel, sums, replace(choice, corrected=False))
    errors = fed @ (use.matrix(kernel.astype(np.float64)) - use.matrix(decoded(whole.codes)))
    assert whole.noise == pytest.approx(noise(errors, exact, choice), rel=0.01)


def noise(errors, exact, choice):
    noises, powers = ((one**2).sum(axis=1) for one in (errors, exact))
    return (noises / powers).mean() if choice.sharing == "channel" else noises.sum() / powers.sum()


@given(st.integers(2, 8))
def test_without_sums_there_is_no_shift_and_codes_are_the_nearest(bits):
    use, shape, _ = USES["convolution"]
    kernel = np.random.default_rng(bits).normal(size=shape).astype(np.float32)
    gptq, nearest = (
        round_kernel(use, kernel, None, KernelChoice(bits, "channel", rounding)) for rounding in ("gptq", "nearest")
    )
    assert gptq.shift is None
    np.testing.assert_array_equal(gptq.codes.codes, nearest.codes.codes)


def test_a_kernel_of_zeros_has_no_noise():
    use, shape, _ = USES["product"]
    kernel = np.zeros(shape, np.float32)
    _, sums = sums_of(use, kernel)
    for choice in (CHANNEL, TENSOR):
        rounded = round_kernel(use, kernel, sums, choice)
        assert (rounded.noise, rounded.shift.any(), decoded(rounded.codes).any()) == (0, False, False)


@pytest.mark.parametrize("choice", [CHANNEL, TENSOR], ids=["channel", "tensor"])
@pytest.mark.parametrize("case", ["product", "depthwise convolution"])
def test_inputs_that_never_vary_make_no_kernel_free(case, choice):
    """The bias takes over all of the error on the calibration samples, but the inputs may vary on others."""
    use, shape, _ = USES[case]
    kernel = RANDOM.normal(size=shape).astype(np.float32)
    groups, inputs, _ = use.matrix(kernel).shape
    sums = sums_over(np.full((groups, 50, inputs), 0.7), 0.7)
    corrected = replace(choice, corrected=True)
    noises = [round_kernel(use, kernel, sums, replace(corrected, bits=bits)).noise for bits in (2, 4, 8)]
    unknown = [round_kernel(use, kernel, None, replace(corrected, bits=bits)).noise for bits in (2, 4, 8)]
    assert noises == pytest.approx(unknown)
    assert noises[0] > noises[1] > noises[2] > 0
