"""Ranges with the samples that reach their ends: any partition gives the same, and few that stretch are found."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from quantlab.statistics import (
    MOST_EXTREME,
    RangeSums,
    bits_lost,
    few_that_stretch,
    halves_of,
    sample_ends,
    stretch_of,
)

# Few different values, so that many samples are equally extreme.
VALUES = arrays(np.float32, (30, 3), elements=st.sampled_from([-7.5, -1.0, 0.0, 0.5, 2.0, 9.0, np.nan, np.inf]))
SECOND = halves_of(30, seed=3)


def summed(values, start=0, second=SECOND):
    return RangeSums.of(*sample_ends(values), start=start, second=second[start : start + len(values)])


def known(sums):
    return [np.asarray(getattr(sums, field.name)).tolist() for field in dataclasses.fields(RangeSums)]


@given(values=VALUES, cuts=st.lists(st.integers(0, 30), max_size=5), order=st.randoms(use_true_random=False))
def test_parts_of_any_partition_in_any_order_add_up_to_the_whole(values, cuts, order):
    places = [0, *sorted(cuts), 30]
    parts = [summed(values[start:stop], start) for start, stop in itertools.pairwise(places)]
    order.shuffle(parts)
    assert known(sum(parts, RangeSums())) == known(summed(values))


@given(values=VALUES)
def test_what_is_kept_does_not_grow_and_is_the_range_of_finite_samples(values):
    sums = summed(values)
    finite = values[np.isfinite(values).all(axis=1)].astype(np.float64)
    assert (sums.n, sums.non_finite) == (len(finite), 30 - len(finite))
    assert max(len(sums.lows), len(sums.highs)) <= MOST_EXTREME + 1
    if len(finite):
        assert (sums.minimum, sums.maximum) == (finite.min(), finite.max())
    else:
        assert (sums.minimum, sums.maximum) == (np.inf, -np.inf)


def width(values):
    return max(values.max(), 0.0) - min(values.min(), 0.0)


@given(
    values=arrays(np.float32, (9, 2), elements=st.sampled_from([-60.0, -9.0, -1.0, 0.0, 0.5, 1.0, 8.0, 50.0])),
    most=st.integers(1, 3),
    factor=st.sampled_from([1.5, 2.0, 8.0]),
)
def test_no_fewer_samples_stretch_a_range_and_none_are_overlooked(values, most, factor):
    """All sets of samples are tried."""
    second = np.zeros(9, np.bool_)
    found = stretch_of(summed(values, second=second), most, factor=factor)
    suffice = {
        rows
        for size in range(1, most + 1)
        for rows in itertools.combinations(range(9), size)
        if width(values) > 0 and factor * width(np.delete(values, rows, axis=0)) <= width(values)
    }
    if found is None:
        assert not suffice
        return
    others = np.delete(values, found.rows, axis=0)
    assert len(found.rows) == min(map(len, suffice))
    assert width(others) == min(width(np.delete(values, rows, 0)) for rows in suffice if len(rows) == len(found.rows))
    assert (found.minimum, found.maximum) == (others.min(), others.max())


@pytest.mark.parametrize(
    ("highest", "most", "found"),
    [
        pytest.param([1, 1, 9, 1], 2, (2,), id="one"),
        pytest.param([1, 9, 9, 1], 2, (1, 2), id="two that are equal"),
        pytest.param([1, 9, 9, 9], 2, None, id="more than a few"),
        pytest.param([1, 1, 1.5, 1], 2, None, id="a little larger"),
        pytest.param([0, 0, 0, 0], 2, None, id="no range"),
        pytest.param([0, 0, 3, 0], 2, (2,), id="all others are 0"),
        pytest.param([1, -8, 9, 1], 2, (2, 1), id="one at each end"),
    ],
)
def test_samples_without_which_the_range_is_half(highest, most, found):
    stretch = stretch_of(summed(np.array([[0.0, high] for high in highest])), most, factor=2.0)
    assert (stretch.rows if stretch else None) == found


@pytest.mark.parametrize(
    ("n", "outliers", "found"),
    [
        pytest.param(19, 1, 0, id="too few samples"),
        pytest.param(20, 1, 1, id="one of twenty"),
        pytest.param(199, 2, 0, id="two of 199 are more than 1 %"),
        pytest.param(200, 2, 2, id="two of 200"),
        pytest.param(5000, MOST_EXTREME, MOST_EXTREME, id="as many as are remembered"),
        pytest.param(5000, MOST_EXTREME + 1, 0, id="one more"),
    ],
)
def test_how_many_are_few(n, outliers, found):
    values = np.linspace(0, 1, n)[:, None]
    values[::2][:outliers] = 40.0
    stretch = few_that_stretch(summed(values, second=halves_of(n, seed=0)))
    assert (len(stretch.rows) if stretch else 0) == found


def test_what_codes_must_hold_anyway_is_no_stretch():
    """Codes of 100…101 hold 0, too, so 103 costs nothing."""
    values = np.linspace(100, 101, 50)[:, None]
    values[7] = 103
    second = halves_of(50, seed=0)
    assert few_that_stretch(summed(values, second=second)) is None
    assert summed(values, second=second).moved < 0.03


def test_more_than_are_remembered_cannot_be_asked_for():
    with pytest.raises(ValueError, match=f"^{MOST_EXTREME + 1} samples cannot be left out"):
        stretch_of(RangeSums(), MOST_EXTREME + 1, factor=2.0)


def test_halves_that_reach_the_same_ends_do_not_move_and_others_do():
    second = halves_of(40, seed=1)
    assert second.sum() == 20
    assert (halves_of(40, seed=1) == second).all()
    assert (halves_of(40, seed=2) != second).any()
    values = np.tile(np.array([[-1.0, 3.0]]), (40, 1))
    assert summed(values, second=second).moved == 0
    shifted = values.copy()
    shifted[second] = [[-1.0, 12.0]]
    assert summed(shifted, second=second).moved == pytest.approx(9 / 13)
    assert summed(values[:3], second=second).moved is None
    assert summed(np.zeros((40, 1)), second=second).moved is None
    assert summed(values[:4], second=np.ones(40, np.bool_)).moved is None


@pytest.mark.parametrize(
    ("recorded", "used", "bits"),
    [
        pytest.param((-64, 64), (-2, 2), 5.0, id="wider"),
        pytest.param((0, 1), (0, 255), 0.0, id="narrower"),
        pytest.param((0, 8), (7, 8), 0.0, id="codes must hold 0"),
        pytest.param((0, 8), (0, 0), None, id="nothing is used"),
        pytest.param((0, 0), (0, 5), 0.0, id="nothing is recorded"),
    ],
)
def test_bits_that_a_wide_range_loses(recorded, used, bits):
    assert bits_lost(recorded, used) == bits
