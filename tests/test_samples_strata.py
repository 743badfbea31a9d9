"""Draws that keep a sample of every class, and the order in which samples are scored."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlab.samples import SampleOptions, draw, split
from quantlab.samples.source import Source
from quantlab.samples.strata import SCORING_BLOCK, in_blocks, proportional_shares, scoring_order, shares_that_spare
from quantlab.samples.subset import CALIBRATION, set_aside

LABELS = st.lists(st.integers(-3, 6), min_size=1, max_size=80).map(np.array)
SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=12).map(np.array)
SEEDS = st.integers(0, 2**32)


def source_of(labels) -> Source:
    return Source("x.npz", len(labels), (), np.asarray(labels), read=lambda _: iter(()))


def parts_of(labels, *, calibrate=0, **options):
    return split(source_of(labels), options=SampleOptions(**options), calibrate=calibrate)


def scored(labels, **options):
    return parts_of(labels, **options).scored.indices


# The order


def test_the_order_does_not_change_from_one_version_to_the_next():
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
    order = scoring_order(12, labels=labels, seed=7, stream=0)
    assert order.tolist() == PINNED


PINNED = [1, 8, 11, 6, 5, 2, 4, 9, 7, 0, 3, 10]


@given(labels=LABELS, seed=SEEDS)
def test_a_longer_study_continues_a_shorter_one(labels, seed):
    every = [set(scored(labels, seed=seed, limit=limit).tolist()) for limit in range(1, len(labels) + 1)]
    assert [len(one) for one in every] == list(range(1, len(labels) + 1))
    assert all(shorter < longer for shorter, longer in pairwise(every))


MANY = np.repeat(np.arange(7), [900, 800, 700, 600, 500, 40, 1])


@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        pytest.param(1000, 2000, id="one block"),
        pytest.param(2000, 2001, id="one sample more"),
        pytest.param(3000, 3541, id="all there are"),
        pytest.param(1000, 9999, id="more than there are"),
    ],
)
@pytest.mark.parametrize("labels", [MANY, MANY / 2], ids=["classes", "no classes"])
def test_samples_of_a_higher_limit_lie_behind_those_of_a_lower_one(labels, shorter, longer):
    one, other = (scored(labels, limit=limit, seed=3, calibrate=200) for limit in (shorter, longer))
    assert len(one) == shorter
    assert len(other) == min(longer, len(MANY) - 200)
    np.testing.assert_array_equal(other[:shorter], one)


def test_a_limit_that_ends_within_a_block_keeps_the_blocks_before_it():
    one, other = (scored(MANY, limit=limit, seed=3) for limit in (2900, 3100))
    np.testing.assert_array_equal(other[:2000], one[:2000])
    assert set(one) < set(other)


def test_each_block_is_in_the_order_of_the_source_and_has_its_share_of_each_class():
    whole = scored(MANY, limit=3000, seed=3)
    sizes = np.bincount(MANY) * SCORING_BLOCK / len(MANY)
    for start in range(0, 3000, SCORING_BLOCK):
        block = whole[start : start + SCORING_BLOCK]
        assert (np.diff(block) > 0).all()
        assert np.abs(np.bincount(MANY[block], minlength=7) - sizes).max() < 3
    assert (np.diff(scored(MANY, limit=SCORING_BLOCK)) > 0).all()
    assert (np.diff(scored(MANY)) > 0).all()


def test_blocks_of_nothing_are_nothing():
    assert in_blocks(np.zeros(0, np.int64)).tolist() == []


@given(labels=LABELS, seed=SEEDS)
def test_the_first_samples_are_one_of_every_class(labels, seed):
    order = scoring_order(len(labels), labels=labels, seed=seed, stream=0)
    classes = len(np.unique(labels))
    assert sorted(order.tolist()) == list(range(len(labels)))
    assert len(np.unique(labels[order[:classes]])) == classes


@given(labels=LABELS, seed=SEEDS)
def test_classes_advance_in_proportion_to_their_sizes(labels, seed):
    """No class has a share of its samples that is more than a sample ahead of that of another."""
    order = scoring_order(len(labels), labels=labels, seed=seed, stream=0)
    _, strata, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    counts = np.cumsum(np.eye(len(sizes), dtype=int)[strata[order]], axis=0)
    for drawn in counts:
        last = (drawn - 1) / sizes
        following = (drawn + 1) / sizes
        ahead = last[drawn > 1]
        assert (ahead[:, None] <= following[drawn < sizes] + 1e-12).all()


def test_equal_classes_advance_alike():
    labels = np.repeat(np.arange(7), 30)
    order = scoring_order(len(labels), labels=labels, seed=1, stream=0)
    counts = np.cumsum(np.eye(7, dtype=int)[labels[order]], axis=0)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1


@given(labels=LABELS, seed=SEEDS)
def test_the_order_ignores_what_classes_are_called(labels, seed):
    orders = [scoring_order(len(labels), labels=named, seed=seed, stream=0) for named in (labels, labels * 10 + 5)]
    np.testing.assert_array_equal(*orders)


@pytest.mark.parametrize(
    "labels", [None, np.linspace(0, 1, 50), np.zeros((50, 3), int)], ids=["none", "targets", "classes of positions"]
)
def test_samples_without_classes_are_drawn_as_before(labels):
    order = scoring_order(50, labels=labels, seed=3, stream=0)
    np.testing.assert_array_equal(np.sort(order[:20]), draw(20, n=50, labels=None, seed=3))


def test_every_sample_of_a_class_is_drawn_equally_often():
    labels = np.array([0] * 12 + [1] * 4)
    drawn = np.zeros(16)
    for seed in range(2000):
        drawn[scoring_order(16, labels=labels, seed=seed, stream=0)[:8]] += 1
    share = drawn / 2000
    # 8 of 16: half of each class. The bounds are five standard errors of a share.
    assert np.abs(share - 0.5).max() < 5 * np.sqrt(0.25 / 2000)


# What is set aside


@given(sizes=SIZES, share=st.floats(0, 1))
def test_shares_keep_and_leave_one_of_every_class(sizes, share):
    total, classes = int(sizes.sum()), len(sizes)
    count = round(share * total)
    shares = shares_that_spare(count, sizes)
    assert shares.sum() == count
    assert ((shares >= 0) & (shares <= sizes)).all()
    if count <= total - classes:
        assert (shares < sizes).all()
    if np.count_nonzero(sizes > 1) <= count <= total - classes:
        assert (shares[sizes > 1] >= 1).all()


@given(sizes=SIZES, share=st.floats(0, 1))
def test_shares_that_spare_every_class_anyway_are_proportional(sizes, share):
    count = round(share * int(sizes.sum()))
    proportional = proportional_shares(count, sizes)
    if ((proportional >= np.minimum(1, sizes - 1)) & (proportional < sizes)).all():
        np.testing.assert_array_equal(shares_that_spare(count, sizes), proportional)


@pytest.mark.parametrize(
    ("sizes", "count", "shares"),
    [
        pytest.param([90, 1, 2], 4, [3, 0, 1], id="a class of one is left, one of two is taken"),
        pytest.param([1, 1, 1, 1], 1, [1, 0, 0, 0], id="classes of one sample, of which one is needed"),
        pytest.param([5, 5, 5, 5], 2, [1, 1, 0, 0], id="fewer than classes"),
        pytest.param([2, 2], 4, [2, 2], id="all"),
        pytest.param([1, 97, 2], 50, [0, 49, 1], id="the rounding is made up by the largest"),
    ],
)
def test_shares(sizes, count, shares):
    assert shares_that_spare(count, np.array(sizes)).tolist() == shares


def test_a_calibration_draw_that_has_every_class_is_as_before():
    labels = np.arange(1197) % 10
    chosen = set_aside(256, labels=labels, among=np.arange(1197), seed=0, stream=CALIBRATION)
    np.testing.assert_array_equal(chosen, draw(256, n=1197, labels=labels, seed=0, stream=CALIBRATION))


@pytest.mark.parametrize(
    ("rare", "calibrated", "searched", "is_scored"),
    [
        pytest.param(1, 0, 0, 1, id="one sample is scored"),
        pytest.param(2, 1, 0, 1, id="the second calibrates"),
        pytest.param(3, 1, 1, 1, id="the third is searched on"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_rare_class_is_in_every_part_that_its_samples_suffice_for(rare, calibrated, searched, is_scored, seed):
    labels = np.array([1] * rare + [0] * 900 + [2] * 900)
    parts = parts_of(labels, calibrate=256, search=True, seed=seed, limit=20)
    in_parts = [int((labels[part.indices] == 1).sum()) for part in (parts.calibration, parts.search, parts.scored)]
    assert in_parts == [calibrated, searched, is_scored]
