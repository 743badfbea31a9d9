"""Rounding by the data: never worse than rounding to the nearest code on its own cost, and equal to it without data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_inputs import sums_of

from quantlab_converters.code_grids import (
    Grid,
    costs,
    decode,
    fit_grid,
    round_to_nearest,
)
from quantlab_converters.gptq import inverse_factors, round_by_hessian

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 4))


def layers(seed, shape, *, samples=40, rank=None):
    """Weights, and Hessians of correlated inputs."""
    groups, inputs, outputs = shape
    random = np.random.default_rng(seed)
    weights = random.normal(size=shape) * 10 ** random.uniform(-3, 3, (groups, 1, outputs))
    mixed = random.normal(size=(groups, inputs, inputs))
    fed = random.normal(size=(groups, samples, inputs)) @ mixed
    if rank is not None:
        fed[:, :, rank:] = 0  # inputs that are 0 in all samples
    return weights, fed.transpose(0, 2, 1) @ fed


@settings(deadline=None)
@given(st.integers(0, 10_000), SHAPES, st.integers(2, 8), st.integers(0, 7))
def test_it_never_costs_more_than_the_nearest_codes(seed, shape, bits, rank):
    weights, hessians = layers(seed, shape, rank=rank)
    grid = fit_grid(weights, hessians, bits)
    codes, nearest = round_by_hessian(weights, grid, hessians), round_to_nearest(weights, grid)
    assert codes.min() >= 0
    assert codes.max() <= 2**bits - 1
    assert (costs(weights, codes, grid, hessians) <= costs(weights, nearest, grid, hessians)).all()


@settings(deadline=None)
@given(st.integers(0, 10_000), SHAPES, st.integers(2, 8), st.floats(1e-3, 1e3))
def test_without_correlated_inputs_it_rounds_to_the_nearest_code(seed, shape, bits, power):
    weights, _ = layers(seed, shape)
    hessians = np.broadcast_to(power * np.eye(shape[1]), (shape[0], shape[1], shape[1])).copy()
    grid = fit_grid(weights, hessians, bits)
    np.testing.assert_array_equal(round_by_hessian(weights, grid, hessians), round_to_nearest(weights, grid))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_the_number_of_samples_does_not_matter(seed, factor):
    """A Hessian of more samples of the same kind gives the same codes."""
    weights, hessians = layers(seed, (2, 5, 3))
    grid = fit_grid(weights, hessians, 4)
    np.testing.assert_array_equal(
        round_by_hessian(weights, grid, hessians), round_by_hessian(weights, grid, factor * hessians)
    )


def test_two_inputs_by_hand():
    """Equal inputs: an error of 0.4 upwards in one weight is taken back in the other.

    Weights 0.6 and 0.4 on a grid of integers, inputs that are always equal: nearest codes 1 and 0 have the right sum,
    1. Weights 0.6 and 0.6: the nearest codes are 1 and 1, whose sum is 0.8 too large. After the first error of −0.4,
    the second weight becomes 0.6 − 0.4 = 0.2 (a little more with damping), whose nearest code is 0.
    """
    weights = np.array([[[0.6], [0.6]]])
    grid = Grid(np.ones((1, 1, 1)), np.zeros((1, 1, 1)), 3)
    hessians = np.ones((1, 2, 2))
    codes = round_by_hessian(weights, grid, hessians, factors=inverse_factors(hessians, damping=1e-6))
    np.testing.assert_array_equal(codes, [[[1], [0]]])
    assert costs(weights, codes, grid, hessians)[0, 0] == pytest.approx(0.2**2)
    assert costs(weights, round_to_nearest(weights, grid), grid, hessians)[0, 0] == pytest.approx(0.8**2)


def one_after_the_other(weights, grid, hessian, damping):
    """Algorithm 1 of the paper without its blocks and its Cholesky factor, for one group of inputs.

    After an input is rounded, the others take over its error by a row of the inverse Hessian, from which the input is
    then removed (arXiv:2210.17323, equations 2 and 3).
    """
    left, codes = weights.copy(), np.zeros(weights.shape, np.int64)
    inverse = np.linalg.inv(hessian + damping * np.diag(hessian).mean() * np.eye(len(hessian)))
    for place in range(weights.shape[1]):
        row = left[:, place : place + 1]
        codes[:, place : place + 1] = round_to_nearest(row, grid)
        error = (row - decode(codes[:, place : place + 1], grid)) / inverse[place, place]
        left[0] -= inverse[:, place, None] * error[0]
        inverse -= np.outer(inverse[:, place], inverse[place]) / inverse[place, place]
    return codes


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(5, id="fewer inputs than a block"),
        pytest.param(128, id="one block"),
        pytest.param(129, id="one input more"),
        pytest.param(300, id="blocks and a rest"),
    ],
)
def test_blocks_do_not_change_the_codes(inputs):
    random = np.random.default_rng(inputs)
    weights = random.normal(size=(1, inputs, 8))
    fed = random.normal(size=(600, inputs)) @ (np.eye(inputs) + random.normal(size=(inputs, inputs)) / inputs**0.5)
    hessians = (fed.T @ fed)[None]
    grid = fit_grid(weights, hessians, 4)
    plain = one_after_the_other(weights, grid, hessians[0], 0.01)
    nearest = round_to_nearest(weights, grid)
    better = costs(weights, plain, grid, hessians) < costs(weights, nearest, grid, hessians)
    assert better.any()
    found = round_by_hessian(weights, grid, hessians)
    np.testing.assert_array_equal(found, np.where(better[:, None], plain, nearest))


def test_groups_do_not_change_each_other():
    weights, hessians = layers(5, (3, 6, 2))
    grid = Grid(np.full((3, 1, 2), 0.1), np.full((1, 1, 1), 7.0), 15)
    together = round_by_hessian(weights, grid, hessians)
    for group in range(3):
        part = slice(group, group + 1)
        alone = round_by_hessian(weights[part], Grid(grid.scales[part], grid.zeros, 15), hessians[part])
        np.testing.assert_array_equal(together[part], alone)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(0, 7), st.booleans())
def test_inputs_that_do_not_vary_are_rounded_to_the_nearest_code(seed, inputs, constant, all_alike):
    """Of a corrected layer: constant inputs have no variance, and inputs that are alike have a singular Hessian."""
    random = np.random.default_rng(seed)
    fed = random.normal(size=(1, 30, inputs))
    if all_alike:
        fed[:] = fed[:, :, :1]
    fed[:, :, :constant] = 3.7
    hessians = sums_of(fed, float(np.abs(fed).max())).centred
    weights = random.normal(size=(1, inputs, 3))
    grid = fit_grid(weights, hessians, 4)
    codes, nearest = round_by_hessian(weights, grid, hessians), round_to_nearest(weights, grid)
    np.testing.assert_array_equal(codes[:, :constant], nearest[:, :constant])
    assert (costs(weights, codes, grid, hessians) <= costs(weights, nearest, grid, hessians)).all()


def test_correlated_inputs_gain_some_decibels():
    """On a synthetic layer GPTQ is about 0.45 bit better than nearest rounding."""
    random = np.random.default_rng(1)
    weights = random.normal(size=(1, 64, 32))
    fed = random.normal(size=(512, 16)) @ random.normal(size=(16, 64)) + 0.3 * random.normal(size=(512, 64))
    hessians = (fed.T @ fed)[None]
    grid = fit_grid(weights, hessians, 4)
    sums = [
        costs(weights, codes, grid, hessians).sum()
        for codes in (round_to_nearest(weights, grid), round_by_hessian(weights, grid, hessians))
    ]
    assert 10 * np.log10(sums[0] / sums[1]) > 2


@settings(deadline=None)
@given(st.integers(0, 10_000), SHAPES, st.integers(2, 8))
def test_zero_is_exact_and_no_weight_is_cut_off_for_more_than_it_gains(seed, shape, bits):
    weights, _ = layers(seed, shape)
    grid = fit_grid(weights, np.zeros((shape[0], shape[1], shape[1])), bits)  # no input is ever seen: all count alike
    assert (decode(round_to_nearest(np.zeros(shape), grid), grid) == 0).all()
    lowest, largest = np.minimum(weights.min(axis=1), 0), np.maximum(weights.max(axis=1), 0)
    step = (largest - lowest) / grid.highest
    # A common zero may take twice the step, and the rounding of the zero half a step more.
    assert (costs(weights, round_to_nearest(weights, grid), grid, None) <= shape[1] * (3 * step) ** 2 + 1e-12).all()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param("weights", "a weight or a Hessian is NaN or infinite", id="a weight that is NaN"),
        pytest.param("hessians", "a weight or a Hessian is NaN or infinite", id="an infinite input"),
        pytest.param("shape", r"weights of shape \(2, 5, 3\) need Hessians of \(2, 5, 5\)", id="another layer's"),
    ],
)
def test_what_cannot_be_rounded(spoil, said):
    weights, hessians = layers(3, (2, 5, 3))
    grid = fit_grid(weights, hessians, 8)
    if spoil == "weights":
        weights[0, 0, 0] = np.nan
    elif spoil == "hessians":
        hessians[0, 0, 0] = np.inf
    else:
        hessians = hessians[:, :4, :4]
    with pytest.raises(ValueError, match=said):
        round_by_hessian(weights, grid, hessians)


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_that_no_grid_has(bits):
    with pytest.raises(ValueError, match=f"bits is {bits} and must be from 2 to 8"):
        fit_grid(np.ones((1, 2, 2)), np.eye(2)[None], bits)
