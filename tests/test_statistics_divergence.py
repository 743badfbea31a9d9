"""Divergences: compared with loops with exact sums, with laws, and special cases in which other tools fail."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import DivergenceSums, divergences_per_sample, kl_per_sample

NAN, INF = math.nan, math.inf

shapes = st.tuples(st.integers(1, 5), st.integers(1, 6))


def pairs(elements):
    return shapes.flatmap(lambda shape: st.tuples(*(arrays.arrays(np.float32, shape, elements=elements),) * 2))


def softmax(row):
    weights = [math.exp(value - max(row)) for value in row]
    return [weight / math.fsum(weights) for weight in weights]


def divergence(p, q):
    """From the definition, one class after the other."""
    terms = []
    for a, b in zip(p, q, strict=True):
        if a > 0 and b == 0:
            return INF
        if a > 0:
            terms.append(a * (math.log(a) - math.log(b)))
    return math.fsum(terms)


@given(pairs(st.floats(-30, 30, width=32)))
def test_logits_equal_a_loop(pair):
    expected = [divergence(softmax(a), softmax(b)) for a, b in zip(*(x.tolist() for x in pair), strict=True)]
    assert kl_per_sample(*pair, probabilities=False) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(pairs(st.sampled_from([0.0, 0.125, 0.25, 0.5, 3.0])))
def test_probabilities_equal_a_loop(pair):
    expected = []
    for a, b in zip(*(x.tolist() for x in pair), strict=True):
        if not sum(a) or not sum(b):
            expected.append(NAN)
        else:
            expected.append(divergence([x / sum(a) for x in a], [x / sum(b) for x in b]))
    assert kl_per_sample(*pair, probabilities=True) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@given(pairs(st.floats(-(2.0**99), 2.0**99, width=32)), st.booleans())
def test_it_is_never_negative_and_zero_of_itself(pair, probabilities):
    reference, candidate = (abs(rows) + 1 if probabilities else rows for rows in pair)
    assert (kl_per_sample(reference, candidate, probabilities=probabilities) >= 0).all()
    assert (kl_per_sample(reference, reference, probabilities=probabilities) == 0).all()


@pytest.mark.parametrize("probabilities", [True, False])
def test_rounding_makes_no_divergence_negative(probabilities):
    random = np.random.default_rng(0)
    reference = random.random((1000, 10))
    candidate = reference * (1 + 1e-9 * random.normal(size=reference.shape))
    divergences = kl_per_sample(reference, candidate, probabilities=probabilities)
    assert (divergences >= 0).all()
    assert divergences.max() < 1e-12


def logits(n=200, classes=10):
    return np.random.default_rng(7).normal(scale=4, size=(n, classes)).astype(np.float32)


@pytest.mark.parametrize(
    ("shift", "limit"),
    [
        pytest.param(0.0, 0.0, id="none"),
        pytest.param(64.0, 1e-12, id="exact in float32"),
        pytest.param(-1024.0, 1e-12, id="exact and negative"),
    ],
)
def test_logits_plus_a_constant_are_the_same_distribution(shift, limit):
    """Trap 2. Multiples of 1/256 take a shift of a power of two without rounding."""
    exact = np.round(logits() * 256) / np.float32(256)
    assert kl_per_sample(exact, exact + np.float32(shift), probabilities=False).max() <= limit


def test_a_shift_that_float32_rounds_stays_small():
    assert kl_per_sample(logits(), logits() + np.float32(12.3), probabilities=False).max() < 1e-8


def test_all_negative_logits_with_flipped_argmax_diverge():
    """Trap 3: a tool that clips logits to probabilities finds zeros on both sides, and calls them equal."""
    reference, candidate = np.array([[-1.0, -20.0]], np.float32), np.array([[-20.0, -1.0]], np.float32)
    assert kl_per_sample(reference, candidate, probabilities=False) == pytest.approx([19.0], abs=1e-6)


def test_a_softmax_too_small_for_float64_is_still_finite():
    reference, candidate = np.array([[0.0, 0.0]]), np.array([[0.0, -2000.0]])
    assert kl_per_sample(reference, candidate, probabilities=False) == pytest.approx([1000 - math.log(2)])


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [
        pytest.param([0.5, 0.5], [0.25, 0.75], 0.5 * math.log(2) + 0.5 * math.log(2 / 3), id="worked by hand"),
        pytest.param([0.2, 0.2], [0.5, 0.5], 0.0, id="rows are divided by their sums"),
        pytest.param([0.5, 0.5], [0.498, 0.498], 0.0, id="so a sum a little off one is no difference"),
        pytest.param([1.0, 0.0], [0.5, 0.5], math.log(2), id="a zero of the reference adds nothing"),
        pytest.param([1.0, 0.0], [1.0, 0.0], 0.0, id="a zero on both sides adds nothing"),
        pytest.param([0.5, 0.5], [1.0, 0.0], INF, id="a zero of the candidate alone is infinite"),
        pytest.param([1 - 1e-7, 1e-7], [1.0, 0.0], INF, id="however small the reference's share"),
        pytest.param([0.5, 0.5], [1.0, 2**-149], 73.5 * math.log(2), id="the smallest float32 is not zero"),
        pytest.param([0.5, 0.5], [NAN, 0.5], NAN, id="NaN in the candidate"),
        pytest.param([NAN, 0.5], [0.5, 0.5], NAN, id="NaN in the reference"),
        pytest.param([NAN, 0.5], [INF, 0.5], NAN, id="NaN against infinity"),
        pytest.param([0.5, 0.5], [INF, 0.5], NAN, id="infinity"),
        pytest.param([0.5, 0.5], [1.5, -0.5], NAN, id="negative, though the sum is one"),
        pytest.param([1.0, 0.0], [1.5, -0.5], NAN, id="negative where the reference gives nothing"),
        pytest.param([0.5, 0.5], [0.0, 0.0], NAN, id="all zero is no distribution, not an infinite divergence"),
        pytest.param([0.0, 0.0], [0.5, 0.5], NAN, id="all zero in the reference"),
    ],
)
def test_probabilities(reference, candidate, expected):
    rows = np.array([reference], np.float32), np.array([candidate], np.float32)
    (divergences,) = kl_per_sample(*rows, probabilities=True)
    assert divergences == pytest.approx(expected, abs=1e-7, nan_ok=True)


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
def test_logits_that_are_not_finite_are_no_distribution(value):
    good, bad = np.zeros((1, 3)), np.array([[0.0, value, 1.0]])
    assert np.isnan(kl_per_sample(good, bad, probabilities=False)).all()
    assert np.isnan(kl_per_sample(bad, good, probabilities=False)).all()
    assert np.isnan(kl_per_sample(bad, bad, probabilities=False)).all()


def test_outputs_are_left_alone():
    rows = logits(3).astype(np.float64)
    before = rows.copy()
    kl_per_sample(rows, rows, probabilities=False)
    kl_per_sample(rows, rows, probabilities=True)
    np.testing.assert_array_equal(rows, before)


def test_mean_and_its_error():
    reference, candidate = logits(), logits()[::-1]
    of_each_row = kl_per_sample(reference, candidate, probabilities=False)
    sums = DivergenceSums.of(reference, candidate, probabilities=False)
    assert (sums.n, sums.infinite, sums.undefined) == (200, 0, 0)
    assert sums.mean == pytest.approx(of_each_row.mean())
    assert sums.standard_error == pytest.approx(of_each_row.std(ddof=1) / math.sqrt(200))


def test_int8_outputs_with_zeros_have_no_mean():
    """Codes of 1/256 give exactly 0 to many classes; the other samples must not be averaged as if they were all."""
    reference = np.array([[0.9, 0.1], [0.999, 0.001], [0.999, 0.001], [0.5, 0.5]], np.float32)
    codes = np.round(reference * 256) / np.float32(256)
    codes[1:3] = [1.0, 0.0]
    sums = DivergenceSums.of(reference, codes, probabilities=True)
    assert (sums.n, sums.infinite, sums.undefined, sums.mean, sums.standard_error) == (4, 2, 0, None, None)
    assert sums.total > 0


@pytest.mark.parametrize(
    ("sums", "mean", "error"),
    [
        pytest.param(DivergenceSums(), None, None, id="no samples"),
        pytest.param(DivergenceSums(n=1, total=2.0, total_squares=4.0), 2.0, None, id="one sample has no spread"),
        pytest.param(DivergenceSums(n=2, total=4.0, total_squares=10.0), 2.0, 1.0, id="two samples, 1 and 3"),
        pytest.param(DivergenceSums(n=2, undefined=1, total=4.0, total_squares=16.0), None, None, id="undefined"),
        pytest.param(DivergenceSums(n=2, infinite=1, total=4.0, total_squares=16.0), None, None, id="infinite"),
        pytest.param(
            DivergenceSums(n=3, total=3.0, total_squares=2.999), 1.0, 0.0, id="equal samples, but for rounding"
        ),
    ],
)
def test_what_the_sums_come_to(sums, mean, error):
    assert sums.mean == (None if mean is None else pytest.approx(mean))
    assert sums.standard_error == (None if error is None else pytest.approx(error, abs=1e-8))


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        pytest.param(
            np.zeros((2, 3)),
            np.zeros((2, 1)),
            "the reference has shape (2, 3) and the candidate (2, 1); both must have the same shape, "
            "because they are compared element by element",
            id="shapes differ",
        ),
        pytest.param(
            np.zeros((2, 3, 4)),
            np.zeros((2, 3, 4)),
            "the divergence needs outputs of shape (samples, classes), not (2, 3, 4)",
            id="three axes",
        ),
    ],
)
def test_what_has_no_divergence_is_refused(reference, candidate, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kl_per_sample(reference, candidate, probabilities=True)


# Total variation and Jensen–Shannon divergence


def middle_divergence(p, q):
    """Jensen–Shannon from the definition."""
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (divergence(p, middle) + divergence(q, middle)) / 2


@given(pairs(st.floats(-30, 30, width=32)), st.booleans())
def test_bounded_divergences_equal_a_loop(pair, probabilities):
    rows = [softmax(row) for side in pair for row in side.tolist()]
    left, right = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    given_rows = (np.array(left), np.array(right)) if probabilities else pair
    told = divergences_per_sample(*given_rows, probabilities=probabilities)
    halves = [math.fsum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2 for p, q in zip(left, right, strict=True)]
    expected = [middle_divergence(p, q) for p, q in zip(left, right, strict=True)]
    assert told.total_variation == pytest.approx(halves, rel=1e-9, abs=1e-12)
    assert told.jensen_shannon == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert (told.kl == kl_per_sample(*given_rows, probabilities=probabilities)).all()


CODES = st.sampled_from([0.0, 1e-38, 0.125, 0.25, 0.5, 3.0])
"""As int8 has them: many are 0, so that the KL divergence is infinite."""


@given(pairs(CODES | st.floats(0, 2.0**99, width=32)), st.booleans())
def test_laws_of_bounded_divergences(pair, probabilities):
    there = divergences_per_sample(*pair, probabilities=probabilities)
    back = divergences_per_sample(*pair[::-1], probabilities=probabilities)
    kl, total_variation, jensen_shannon = there.kl, there.total_variation, there.jensen_shannon
    np.testing.assert_array_equal(total_variation, back.total_variation)  # symmetric; NaN in the same rows
    np.testing.assert_allclose(jensen_shannon, back.jensen_shannon, atol=1e-15)
    assert (np.isnan(kl) == np.isnan(total_variation)).all()
    assert (np.isnan(kl) == np.isnan(jensen_shannon)).all()
    known = ~np.isnan(kl)
    kl, total_variation, jensen_shannon = kl[known], total_variation[known], jensen_shannon[known]
    assert ((total_variation >= 0) & (total_variation <= 1)).all()
    assert ((jensen_shannon >= 0) & (jensen_shannon <= math.log(2))).all()
    assert (total_variation <= np.sqrt(kl / 2) + 1e-7).all()  # Pinsker's inequality; the root of rounding error
    assert (jensen_shannon <= math.log(2) * total_variation + 1e-12).all()  # Lin 1991, theorem 3
    assert (jensen_shannon >= total_variation**2 / 2 - 1e-12).all()  # Pinsker's inequality for both halves
    itself = divergences_per_sample(pair[0], pair[0], probabilities=probabilities)
    assert set(itself.total_variation[~np.isnan(itself.kl)].tolist()) <= {0.0}
    assert set(itself.jensen_shannon[~np.isnan(itself.kl)].tolist()) <= {0.0}


@pytest.mark.parametrize(
    ("reference", "candidate", "total_variation", "jensen_shannon"),
    [
        pytest.param([0.5, 0.5], [0.5, 0.5], 0.0, 0.0, id="equal"),
        # The middle is (¾, ¼): ½·(½·ln ⅔ + ½·ln 2) + ½·ln 4⁄3 = ¾·ln 4⁄3.
        pytest.param([0.5, 0.5], [1.0, 0.0], 0.5, 0.75 * math.log(4 / 3), id="worked by hand, where KL is infinite"),
        pytest.param([1.0, 0.0], [0.5, 0.5], 0.5, 0.75 * math.log(4 / 3), id="and the other way round"),
        pytest.param([1.0, 0.0], [0.0, 1.0], 1.0, math.log(2), id="no class in common"),
        pytest.param([1.0, 0.0, 0.0], [0.5, 0.5, 0.0], 0.5, 0.75 * math.log(4 / 3), id="zero on both sides"),
        pytest.param([1 - 1e-6, 1e-6], [1.0, 0.0], 1e-6, 0.5e-6 * math.log(2), id="a share that int8 rounds to zero"),
        pytest.param([0.2, 0.2], [0.5, 0.5], 0.0, 0.0, id="rows are divided by their sums"),
        pytest.param([0.5, 0.5], [NAN, 0.5], NAN, NAN, id="NaN"),
        pytest.param([0.5, 0.5], [0.0, 0.0], NAN, NAN, id="all zero is no distribution"),
        pytest.param([0.5, 0.5], [1.5, -0.5], NAN, NAN, id="negative"),
    ],
)
def test_bounded_divergences(reference, candidate, total_variation, jensen_shannon):
    told = divergences_per_sample(np.array([reference]), np.array([candidate]), probabilities=True)
    assert told.total_variation == pytest.approx([total_variation], abs=1e-12, nan_ok=True)
    assert told.jensen_shannon == pytest.approx([jensen_shannon], abs=1e-12, nan_ok=True)


def test_their_means_stay_where_kl_has_none():
    reference, candidate = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    sums = DivergenceSums.of(reference, candidate, probabilities=True)
    assert (sums.mean, sums.infinite, sums.total_variation_mean) == (None, 1, 0.25)
    assert sums.jensen_shannon_mean == pytest.approx(0.375 * math.log(4 / 3))
    spoiled = sums + DivergenceSums.of(np.array([[NAN, 1.0]]), np.array([[0.5, 0.5]]), probabilities=True)
    assert (spoiled.total_variation_mean, spoiled.jensen_shannon_mean) == (None, None)
    assert (DivergenceSums().total_variation_mean, DivergenceSums().jensen_shannon_mean) == (None, None)


def test_probabilities_whose_half_is_0():
    """Softmax gives 5e-324 for the second class of one row and 0 for that of the other; their mean rounds to 0."""
    reference, candidate = np.array([[0.0, -744.9, -1.0]]), np.array([[0.0, -900.0, -1.0001]])
    told = divergences_per_sample(reference, candidate, probabilities=False)
    without = divergences_per_sample(reference[:, ::2], candidate[:, ::2], probabilities=False)
    assert told.jensen_shannon == pytest.approx(without.jensen_shannon, rel=1e-6)
    assert told.jensen_shannon < 1e-9
