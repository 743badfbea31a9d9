"""MAE and RMSE of reference and candidate against labels."""

import math
import re

import numpy as np
import pytest

from quantlab.statistics import RegressionSums, TensorError
from quantlab.statistics.scores.regression import MeanSums

TRUTH = np.array([1.0, 2.0, 4.0])


def test_each_side_has_its_own_errors():
    sums = RegressionSums.of(np.array([1.0, 2, 7]), np.array([0.0, 0, 2]), TRUTH)
    assert (sums.reference.mean_abs, sums.reference.rms) == (1, math.sqrt(3))
    assert (sums.candidate.mean_abs, sums.candidate.rms) == pytest.approx((5 / 3, math.sqrt(3)))


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_one_output_that_is_not_finite_spoils_its_side_only(spoiled):
    sums = RegressionSums.of(TRUTH, np.array([1, 2, spoiled]), TRUTH)
    assert (sums.reference.mean_abs, sums.reference.rms) == (0, 0)
    assert (sums.candidate.mean_abs, sums.candidate.rms) == (math.inf, math.inf)


def test_a_label_that_is_not_finite_spoils_both():
    sums = RegressionSums.of(TRUTH, TRUTH, np.array([1, 2, math.nan]))
    assert (sums.reference.mean_abs, sums.candidate.mean_abs) == (math.inf, math.inf)


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        pytest.param((3, 1), (3,), id="labels without the axis of size 1"),
        pytest.param((3,), (3, 1), id="outputs without it"),
        pytest.param((3, 1, 2), (3, 2), id="one in between"),
        pytest.param((3, 2, 2), (3, 2, 2), id="the same shape"),
        pytest.param((0, 1), (0,), id="no samples"),
    ],
)
def test_labels_fit_but_for_axes_of_size_1(outputs, labels):
    values = np.arange(math.prod(outputs), dtype=float)
    sums = RegressionSums.of(values.reshape(outputs), values.reshape(outputs) + 1, values.reshape(labels))
    assert sums.reference.sum_abs_error == 0
    assert (sums.candidate.sum_abs_error, sums.candidate.count) == (values.size, values.size)


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        pytest.param((3, 2), (2, 3), id="transposed"),
        pytest.param((3, 2), (3,), id="NumPy would refuse it"),
        pytest.param((3, 3), (3,), id="NumPy would broadcast it"),
    ],
)
def test_other_labels_are_refused(outputs, labels):
    message = f"the labels have shape {labels} and the outputs {outputs}; every output element needs one label"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        RegressionSums.of(np.zeros(outputs), np.zeros(outputs), np.zeros(labels))


def test_no_samples_have_no_error():
    sums = RegressionSums()
    assert sums.candidate == TensorError()
    assert math.isnan(sums.candidate.mean_abs)


def test_the_interval_of_a_mean_is_students():
    # 1, 2, 3, 4, 10: mean 4, standard deviation 3.5355, t = 2.7764 with 4 degrees of freedom.
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    interval = (MeanSums.of(values[:2]) + MeanSums.of(values[2:])).interval()
    assert (interval.lower, interval.upper) == (pytest.approx(-0.3900, abs=1e-4), pytest.approx(8.3900, abs=1e-4))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="no sample"),
        pytest.param([1.0], id="one sample"),
        pytest.param([1.0, math.inf], id="an infinite error"),
        pytest.param([1.0, math.nan], id="an error that is no number"),
        pytest.param([0.0] * 40, id="no sample differs"),
        pytest.param([0.1] * 1000, id="all samples differ by as much"),
    ],
)
def test_a_mean_without_an_interval(values):
    assert MeanSums.of(np.array(values)).interval() is None


def test_the_interval_of_the_loss_is_of_pairs():
    labels = np.arange(6, dtype=np.float32)[:, None]
    reference = labels + np.float32(1)
    candidate = reference + np.float32([[0.5], [0.25], [0.25], [0.5], [0.5], [0.25]])
    sums = RegressionSums.of(reference, candidate, labels)
    assert sums.growth.total / sums.growth.n == pytest.approx(sums.candidate.mean_abs - sums.reference.mean_abs)
    interval = sums.growth.interval()
    assert (interval.lower, interval.upper) == (pytest.approx(0.2313, abs=1e-4), pytest.approx(0.5187, abs=1e-4))
