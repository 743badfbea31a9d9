"""Grids of codes: zero is exact, the ends of a range are in reach unless cutting them off costs less."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quantlab_converters.channel_codes import stored_scales
from quantlab_converters.code_grids import Grid, costs, decode, fit_grid, round_to_nearest

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 4))
BITS = st.integers(2, 8)
SEEDS = st.integers(0, 10_000)
SHARINGS = st.sampled_from(["channel", "tensor"])
KINDS = st.sampled_from(["full", "diagonal", "none"])


def weights_of(seed, shape):
    """Channels of unlike sizes and ranges; some are all 0, some have only one sign."""
    groups, _, outputs = shape
    random = np.random.default_rng(seed)
    values = random.normal(size=shape) + random.choice([-3, 0, 3], (groups, 1, outputs), p=[0.2, 0.6, 0.2])
    return values * random.choice([0, 1e-3, 1, 30], (groups, 1, outputs), p=[0.1, 0.2, 0.6, 0.1])


def hessians_of(seed, shape, kind, dead=0):
    """Of correlated inputs, of which the first `dead` are always 0."""
    groups, inputs, _ = shape
    random = np.random.default_rng(seed)
    fed = random.normal(size=(groups, 40, inputs)) @ random.normal(size=(groups, inputs, inputs))
    fed[:, :, :dead] = 0
    full = fed.transpose(0, 2, 1) @ fed
    return {"full": full, "diagonal": np.einsum("gii->gi", full)[:, :, None], "none": None}[kind]


def floored(hessians):
    """What the grid is fitted by: 0.1 % of the mean power of a group's inputs is added to each."""
    if hessians is None:
        return None
    one = hessians.shape[2] == 1
    means = (hessians if one else np.einsum("gii->gi", hessians)[:, :, None]).mean(axis=1, keepdims=True)
    means = np.where(means > 0, means, means.mean())
    return hessians + 1e-3 * means * (1 if one else np.eye(hessians.shape[1])) if means.any() else None


def unclipped(weights, grid):
    """The grids with the same kind of zeros whose ends are those of the range; one zero may be of either kind."""
    axes = 1 if grid.scales.strides[2] or grid.scales.shape[2] == 1 else (0, 1, 2)
    lowest = np.minimum(weights.min(axis=axes, keepdims=True), 0)
    largest = np.maximum(weights.max(axis=axes, keepdims=True), 0)
    own = (largest - lowest) / grid.highest
    own = np.where(own > 0, own, 1)
    own_zeros = Grid(stored_scales(own).astype(np.float64), np.rint(-lowest / own), grid.highest)
    if grid.zeros.size > 1 or axes != 1:
        return [own_zeros]
    zero = grid.zeros.item()
    below = -lowest / zero if zero else np.zeros_like(lowest)
    above = largest / (grid.highest - zero) if zero < grid.highest else np.zeros_like(largest)
    scales = np.maximum(below, above)
    scales = stored_scales(np.where(scales > 0, scales, 1)).astype(np.float64)
    common_zero = Grid(scales, grid.zeros, grid.highest)
    return [common_zero] if own.size > 1 else [own_zeros, common_zero]


@given(SEEDS, SHAPES, BITS, SHARINGS, KINDS, st.integers(0, 3))
@settings(max_examples=150)
def test_grids(seed, shape, bits, sharing, kind, dead):
    """Laws of every grid, with and without Hessians, and with inputs that are always 0."""
    weights, hessians = weights_of(seed, shape), hessians_of(seed, shape, kind, min(dead, shape[1]))
    grid = fit_grid(weights, hessians, bits, sharing=sharing)
    groups, _, outputs = shape
    assert grid.scales.shape == (groups, 1, outputs)
    assert grid.zeros.shape in {(groups, 1, outputs), (1, 1, 1)}
    assert grid.highest == 2**bits - 1
    assert (grid.scales > 0).all()
    assert ((grid.zeros >= 0) & (grid.zeros <= grid.highest) & (grid.zeros == np.rint(grid.zeros))).all()
    codes = round_to_nearest(weights, grid)
    assert ((codes >= 0) & (codes <= grid.highest)).all()
    assert (decode(codes, grid)[weights == 0] == 0).all()
    if sharing == "tensor":
        assert grid.zeros.size == len({*grid.scales.flat}) == 1
    half = grid.scales.astype(np.float16)
    # Where a cut range has a scale that is none, all ways to cut it have floats.
    assert (half == grid.scales).all() or 0.6 * grid.scales.min() < np.finfo(np.float16).smallest_normal


@given(SEEDS, SHAPES, BITS, KINDS)
@example(6906, (1, 3, 1), 5, "full")
@settings(max_examples=150)
def test_what_is_cut_off_costs_less_than_what_is_kept(seed, shape, bits, kind):
    """No output has a larger error than with the whole range in reach, on the cost by which the grid is chosen."""
    weights, hessians = weights_of(seed, shape), floored(hessians_of(seed, shape, kind))
    grid = fit_grid(weights, hessians_of(seed, shape, kind), bits)
    own, *whole = (
        costs(weights, round_to_nearest(weights, one), one, hessians) for one in (grid, *unclipped(weights, grid))
    )
    assert any((own <= without * (1 + 1e-9)).all() for without in whole)


@given(SEEDS, SHAPES, BITS, KINDS)
def test_the_same_of_one_scale_for_all(seed, shape, bits, kind):
    """There the sum over the outputs counts."""
    weights, hessians = weights_of(seed, shape), floored(hessians_of(seed, shape, kind))
    grid = fit_grid(weights, hessians_of(seed, shape, kind), bits, sharing="tensor")
    lowest, largest = min(weights.min(), 0), max(weights.max(), 0)
    own = (largest - lowest) / grid.highest or 1.0
    ones = np.ones((len(weights), 1, weights.shape[2]))
    scales = stored_scales(own * ones).astype(np.float64)
    whole = Grid(scales, np.full((1, 1, 1), np.rint(-lowest / own)), grid.highest)
    found, without = (costs(weights, round_to_nearest(weights, one), one, hessians).sum() for one in (grid, whole))
    assert found <= without * (1 + 1e-9)


@given(SEEDS, SHAPES, BITS, KINDS, st.floats(1e-3, 1e3))
def test_the_unit_of_the_inputs_does_not_matter(seed, shape, bits, kind, factor):
    weights, hessians = weights_of(seed, shape), hessians_of(seed, shape, kind)
    factor = 2.0 ** np.rint(np.log2(factor))  # so that nothing is rounded
    one = fit_grid(weights, hessians, bits)
    other = fit_grid(weights, None if hessians is None else factor * hessians, bits)
    np.testing.assert_array_equal(one.scales, other.scales)
    np.testing.assert_array_equal(one.zeros, other.zeros)


@given(SEEDS, st.integers(1, 7), BITS)
def test_a_group_is_not_judged_by_the_inputs_of_others(seed, inputs, bits):
    """A channel of a depthwise convolution whose inputs are small has the grid that it has alone."""
    shape = (1, inputs, 2)
    weights, hessians = weights_of(seed, shape), hessians_of(seed, shape, "full")
    if not weights.all():
        return
    both = fit_grid(np.concatenate([weights, weights]), np.concatenate([hessians, 2.0**-20 * hessians]), bits)
    np.testing.assert_array_equal(both.scales[0], both.scales[1])


@pytest.mark.parametrize(
    ("ranges", "zeros"),
    [
        pytest.param([(-1, 1), (-2, 2)], 1, id="symmetric channels have one zero in the middle"),
        pytest.param([(0, 1), (0.5, 3)], 1, id="channels without negative values have it at the lower end"),
        pytest.param([(-1, 0), (-3, -0.5)], 1, id="channels without positive values have it at the upper end"),
        pytest.param([(-1, 0.01), (-0.01, 1)], 2, id="opposite channels have their own"),
        pytest.param([(0, 0), (-1, 1)], 1, id="a channel of zeros does not count"),
    ],
)
def test_zeros(ranges, zeros):
    weights = np.stack([np.linspace(*ends, 97) for ends in ranges], axis=1)[None]
    assert fit_grid(weights, None, 4).zeros.size == zeros


def test_a_channel_of_zeros_has_the_scale_1():
    grid = fit_grid(np.array([[[0, 0.5], [0, -0.5]]]), None, 8)
    assert grid.scales[0, 0, 0] == 1


def test_an_outlier_is_cut_off_where_no_input_meets_it():
    """At 4 bits; the cost of the output decides, and not that of the weight alone."""
    weights = np.concatenate([[1.0], np.random.default_rng(0).uniform(-0.7, 0.7, 63)])[None, :, None]
    never = np.ones((1, 64, 1))
    never[0, 0] = 1e-9
    always = np.ones((1, 64, 1))
    always[0, 0] = 1e9
    cut, kept = (fit_grid(weights, hessians, 4).scales.item() for hessians in (never, always))
    assert cut < kept
    assert abs(decode(round_to_nearest(weights, grid := fit_grid(weights, always, 4)), grid)[0, 0, 0] - 1) < kept / 2


def test_scales_below_the_normal_half_floats_are_floats():
    weights = np.array([[[1e-6, 1], [-1e-6, -1]]])
    grid = fit_grid(weights, None, 8)
    np.testing.assert_array_equal(grid.scales, grid.scales.astype(np.float32))
    np.testing.assert_allclose(decode(round_to_nearest(weights, grid), grid), weights, rtol=1e-2)
