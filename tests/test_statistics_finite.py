"""Samples on which the reference is not finite: which they are, and where a candidate is not finite either."""

import numpy as np
import pytest

from quantlab.statistics import count_equal_places, finite_samples, scored_samples
from quantlab.types import NonFinite, SampleNames

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    ("outputs", "finite"),
    [
        pytest.param([[1.0, 2.0], [3.0, 4.0]], [True, True], id="all finite"),
        pytest.param([[1.0, NAN], [3.0, 4.0], [-INF, INF]], [False, True, False], id="one element is enough"),
        pytest.param([1.0, NAN], [True, False], id="a number for each sample"),
        pytest.param([[[1.0], [INF]], [[0.0], [0.0]]], [False, True], id="more axes"),
        pytest.param(np.zeros((2, 0)), [True, True], id="nothing in a sample"),
        pytest.param(np.zeros((0, 3)), [], id="no samples"),
        pytest.param(np.array([[1], [2]]), [True, True], id="integers"),
    ],
)
def test_finite_samples(outputs, finite):
    assert finite_samples(np.asarray(outputs)).tolist() == finite


def test_many_samples_are_read_in_blocks():
    outputs = np.zeros((3000, 1000), np.float32)  # 24 MB as float64, which is more than a block
    outputs[[0, 1500, 2999], -1] = NAN
    assert np.flatnonzero(~finite_samples(outputs)).tolist() == [0, 1500, 2999]


@pytest.mark.parametrize(
    ("reference", "candidate", "equal"),
    [
        pytest.param([[NAN, 1.0]], [[NAN, 9.0]], 1, id="finite elements do not matter"),
        pytest.param([[NAN, INF, -INF]], [[NAN, INF, -INF]], 1, id="each of its kind"),
        pytest.param([[NAN]], [[INF]], 0, id="NaN is not infinity"),
        pytest.param([[INF]], [[-INF]], 0, id="infinities have signs"),
        pytest.param([[NAN]], [[1.0]], 0, id="finite where the reference is not"),
        pytest.param([[1.0]], [[NAN]], 0, id="a sample that is scored is not looked at"),
        pytest.param([[NAN], [1.0], [NAN]], [[NAN], [1.0], [0.0]], 1, id="some of several"),
    ],
)
def test_equal_places(reference, candidate, equal):
    expected, actual = np.array(reference), np.array(candidate)
    assert count_equal_places(expected, actual, finite_samples(expected)) == equal


def test_equal_places_of_other_shapes_are_an_error():
    with pytest.raises(ValueError, match=r"\(2, 1\).*\(3, 1\)"):
        count_equal_places(np.zeros((2, 1)), np.zeros((3, 1)), np.ones(2, bool))


def finding(**changed):
    values = {"among": "scored", "output": "", "samples": 2, "of": 4, "names": SampleNames("x.npz", (0, 1))}
    return NonFinite(**{**values, "ranges": ((0, 2),), **changed})


@pytest.mark.parametrize(
    ("known", "scored"),
    [
        pytest.param([], [True, True, True, False], id="the output alone"),
        pytest.param([finding()], [False, False, True, False], id="NaN inside"),
        pytest.param([finding(among="calibration")], [True, True, True, False], id="calibration samples are others"),
        pytest.param([finding(output="other")], [True, True, True, False], id="another output"),
    ],
)
def test_scored_samples(known, scored):
    outputs = np.array([[0.0], [0.0], [0.0], [NAN]])
    assert scored_samples(outputs, known).tolist() == scored
