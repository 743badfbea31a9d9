"""Bounds for samples in groups: published examples, laws that hold for any groups, and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from quantlab.statistics import ChangedAnswers, GroupChanges, Resampling, Totals, WholeSets, compressed, tango
from quantlab.statistics.paired.cluster_bootstrap import answer_bounds, bounds_of
from quantlab.statistics.paired.clusters import effective_groups

# Donner & Petryshen 1989, Psychiatry Research 28:41–46: pairs of 29 psychiatrists and their patients.
PSYCHIATRY = GroupChanges(
    np.array([7, 6, 7, 6, 4, 6, 5, 8, 4, 7, 3, 6, 7, 6, 5, 4, 6, 5, 4, 3, 5, 4, 4, 2, 3, 2, 2, 3, 1]),
    np.array([0, 1, 1, 1, 0, 3, 3, 3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0]),
    np.array([4, 2, 3, 2, 1, 3, 0, 2, 2, 4, 2, 4, 3, 2, 1, 3, 1, 2, 0, 0, 0, 2, 1, 2, 2, 0, 0, 1, 1]),
)
# Obuchowski 1998, Statistics in Medicine 17:1495–1507: glands of 21 patients in PET and in SPECT.
GLANDS = GroupChanges(
    np.array([3, 3, 3, 1, 3, 4, 3, 2, 2, 1, 3, 2, 3, 2, 2, 3, 3, 3, 2, 1, 2]),
    np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    np.array([2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0]),
)


@pytest.mark.parametrize(
    ("changes", "published"),
    [
        pytest.param(PSYCHIATRY, 7.19, id="29 psychiatrists"),
        pytest.param(GLANDS, 2.86, id="glands of 21 patients"),
    ],
)
def test_chi_square_is_the_published_one(changes, published):
    # Both as Durkalski et al. 2003, Statistics in Medicine 22:2417–2428, report Obuchowski's test.
    assert round(changes.chi_square, 2) == published


def of_vectors(wrong, right, codes):
    return GroupChanges.of(ChangedAnswers.of(~right, ~wrong), codes)


CHANGES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=20, max_size=60).map(
    lambda pairs: (np.array([a and not b for a, b in pairs]), np.array([b and not a for a, b in pairs]))
)


@given(changes=CHANGES, copies=st.integers(2, 7))
def test_copies_say_no_more_than_one_of_each(changes, copies):
    wrong, right = (np.repeat(side, copies) for side in changes)
    alone = of_vectors(*changes, np.arange(len(changes[0])))
    copied = of_vectors(wrong, right, np.repeat(np.arange(len(changes[0])), copies))
    (lower, upper), (least, most) = copied.bounds(0.95), alone.bounds(0.95)
    assert least - 0.02 <= lower <= least + 1e-9
    assert most - 1e-9 <= upper <= most + 0.02
    if (wrong.any() or right.any()) and not wrong.all() and not right.all():
        n = len(changes[0])
        assert copied.design_effect == pytest.approx((n * copies - 1) / (n - 1))


@given(changes=CHANGES, seed=st.integers(0, 99))
def test_groups_are_never_surer_than_independent_samples(changes, seed):
    wrong, right = changes
    codes = compressed(np.random.default_rng(seed).integers(0, 8, len(wrong)))
    lower, upper = of_vectors(wrong, right, codes).bounds(0.95)
    alone = tango(int(wrong.sum()), int(right.sum()), n=len(wrong), confidence=0.9)
    assert lower <= alone.lower + 1e-12
    assert upper >= alone.upper - 1e-12
    assert -1 <= lower <= upper <= 1


@given(changes=CHANGES, seed=st.integers(0, 99))
def test_exchanging_the_sides_mirrors_the_design_effect(changes, seed):
    codes = compressed(np.random.default_rng(seed).integers(0, 6, len(changes[0])))
    assert of_vectors(*changes, codes).design_effect == pytest.approx(of_vectors(*changes[::-1], codes).design_effect)


@pytest.mark.parametrize(
    ("groups", "wrong", "expected"),
    [
        pytest.param(1, 0, (-1.0, 1.0), id="nothing is known from one group"),
        pytest.param(10, 0, (-0.2589, 0.2589), id="ten groups without a change may hide one in four"),
        pytest.param(598, 0, (-0.0050, 0.0050), id="as many groups as samples would be needed"),
    ],
)
def test_bounds_of_few_changes(groups, wrong, expected):
    changes = GroupChanges(np.full(groups, 100), np.full(groups, wrong), np.zeros(groups, np.int64))
    assert tuple(round(end, 4) for end in changes.bounds(0.95)) == expected


def test_ten_patients_do_not_show_a_small_loss_however_many_images_they_have():
    random = np.random.default_rng(0)
    both = random.binomial(1000, 0.02, (2, 10))
    lower, upper = GroupChanges(np.full(10, 1000), *both).bounds(0.95)
    assert upper == pytest.approx(1 - 0.05**0.1)
    assert -0.02 < lower < 0.02


def test_one_ruined_patient_in_ten_is_seen():
    wrong = np.array([0] * 9 + [100])
    changes = GroupChanges(np.full(10, 100), wrong, np.zeros(10, np.int64))
    assert changes.design_effect > 50
    assert changes.bounds(0.95)[1] > 0.3


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param([5, 5, 2], [1, 1, 0], id="numbered without gaps"),
        pytest.param([3, 1, 2], None, id="alone"),
        pytest.param([4, 4], [0, 0], id="one group"),
    ],
)
def test_compressed(codes, expected):
    found = compressed(np.array(codes))
    assert (found if found is None else found.tolist()) == expected


def test_effective_groups():
    assert effective_groups(np.array([100] * 10)) == 10
    assert effective_groups(np.array([1000, 1])) == pytest.approx(1.002, abs=1e-3)


def means(reference, candidate, row_of=None):
    rows = csr_matrix(np.stack([reference, candidate], axis=1))
    multiplicity = np.ones(len(reference), np.int64) if row_of is None else np.bincount(row_of)
    return Totals(rows, multiplicity, lambda m: (m[:, 0], m[:, 1]), lambda _: 0.0, row_of=row_of)


def test_the_bootstrap_of_copies_is_as_wide_as_that_of_one_of_each():
    random = np.random.default_rng(1)
    reference, candidate = random.normal(size=(2, 200))
    codes = np.repeat(np.arange(200), 5)
    draws = Resampling(resamples=2000, groups=codes)
    alone = means(reference, candidate).bounds(1, Resampling(resamples=2000))
    copied = bounds_of(means(np.repeat(reference, 5), np.repeat(candidate, 5)), 1, draws)
    assert copied.upper - copied.lower == pytest.approx(alone.upper - alone.lower, rel=0.1)
    assert copied.method == "BCa bootstrap of groups"
    naive = bounds_of(means(np.repeat(reference, 5), np.repeat(candidate, 5)), 1, Resampling(resamples=2000))
    assert naive.upper - naive.lower < 0.6 * (copied.upper - copied.lower)


def test_rows_with_a_multiplicity_are_those_of_their_samples():
    random = np.random.default_rng(2)
    row_of = random.integers(0, 4, 60)
    sides = random.normal(size=(2, 4))
    draws = Resampling(resamples=300, groups=np.repeat(np.arange(12), 5))
    whole = bounds_of(means(*sides[:, row_of]), 1, draws)
    distinct = bounds_of(means(*sides, row_of=row_of), 1, draws)
    assert (distinct.lower, distinct.upper) == pytest.approx((whole.lower, whole.upper))


def test_whole_sets_are_resampled_by_group():
    random = np.random.default_rng(3)
    sides, codes = random.normal(size=(2, 60)), np.repeat(np.arange(12), 5)
    draws = Resampling(resamples=300, groups=codes)
    sets = WholeSets(60, lambda these: float(sides[0][these].mean()), lambda these: float(sides[1][these].mean()))
    found, sums = bounds_of(sets, 1, draws), bounds_of(means(*sides), 1, draws)
    assert (found.lower, found.upper) == pytest.approx((sums.lower, sums.upper), abs=1e-9)


@pytest.mark.parametrize("compared", ["sums", "sets"])
def test_one_group_bounds_nothing(compared):
    sides = np.ones((2, 5))
    sets = WholeSets(5, lambda _: 1.0, lambda _: 1.0)
    draws = Resampling(resamples=10, groups=np.zeros(5, np.int64))
    bounds = bounds_of(means(*sides) if compared == "sums" else sets, 1, draws)
    assert (bounds.lower, bounds.upper) == (-np.inf, np.inf)


def test_the_method_says_what_was_done():
    wrong = np.zeros(40, bool)
    wrong[:8] = True
    codes = np.repeat(np.arange(10), 4)
    changed = ChangedAnswers.of(np.ones(40, bool), ~wrong)
    same = ChangedAnswers.of(np.ones(40, bool), np.ones(40, bool))
    assert answer_bounds(changed, codes, 0.95).method == "Tango with the groups' design effect"
    assert answer_bounds(same, codes, 0.95).method == "exact without a change in a group"
