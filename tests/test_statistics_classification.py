"""Top-1, top-5, agreement and changed answers: compared with a loop, with ties, and with rows that are not finite."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantlab.statistics import ClassificationSums, as_classes

NAN, INF = math.nan, math.inf

# Few different values, so that ties are the rule.
scores = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0, NAN, INF, -INF])
batches = st.tuples(st.integers(0, 8), st.integers(2, 12)).flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.float32, shape, elements=scores),
        arrays.arrays(np.float32, shape, elements=scores),
        arrays.arrays(np.int64, shape[0], elements=st.integers(0, shape[1] - 1)),
    )
)


def top1(row):
    if any(math.isnan(value) for value in row):
        return None
    return list(row).index(max(row))


def in_top5(row, label):
    if any(math.isnan(value) for value in row):
        return False
    return sum(value >= row[label] for index, value in enumerate(row) if index != label) < 5


@given(batches)
def test_counts_equal_those_of_a_loop(batch):
    reference, candidate, labels = batch
    rows = [
        (top1(a), top1(b), in_top5(a, label), in_top5(b, label), int(label))
        for a, b, label in zip(reference.tolist(), candidate.tolist(), labels, strict=True)
    ]
    ranked = rows if reference.shape[1] >= 10 else []
    assert ClassificationSums.of(reference, candidate, labels) == ClassificationSums(
        n=len(rows),
        same=sum(a == b and a is not None for a, b, *_ in rows),
        non_finite_rows=sum(not all(map(math.isfinite, row)) for row in candidate.tolist()),
        non_finite_rows_reference=sum(not all(map(math.isfinite, row)) for row in reference.tolist()),
        labelled=len(rows),
        right_reference=sum(a == label for a, _, _, _, label in rows),
        right_candidate=sum(b == label for _, b, _, _, label in rows),
        became_wrong=sum(a == label != b for a, b, _, _, label in rows),
        became_right=sum(a != label == b for a, b, _, _, label in rows),
        ranked=len(ranked),
        top5_reference=sum(best for _, _, best, _, _ in ranked),
        top5_candidate=sum(best for _, _, _, best, _ in ranked),
    )


@given(batches)
def test_without_labels_only_agreement_is_counted(batch):
    reference, candidate, labels = batch
    counted = ClassificationSums.of(reference, candidate, labels)
    assert ClassificationSums.of(reference, candidate, None) == ClassificationSums(
        n=counted.n,
        same=counted.same,
        non_finite_rows=counted.non_finite_rows,
        non_finite_rows_reference=counted.non_finite_rows_reference,
    )


@pytest.mark.parametrize(
    ("row", "best"),
    [
        pytest.param([0.1, 0.7, 0.2], 1, id="the greatest"),
        pytest.param([0.4, 0.2, 0.4], 0, id="the lowest index among equals"),
        pytest.param([0.0, 0.0, 0.0], 0, id="all equal"),
        pytest.param([-3.0, -1.0, -2.0], 1, id="all negative"),
        pytest.param([1.0, INF, 2.0], 1, id="an infinity wins as a number does"),
        pytest.param([-INF, -INF, -1e30], 2, id="minus infinity loses as a number does"),
        pytest.param([0.1, NAN, 0.9], None, id="a NaN leaves no best"),
        pytest.param([NAN, NAN, NAN], None, id="nothing but NaN leaves no best"),
    ],
)
def test_top1(row, best):
    right = [ClassificationSums.of(np.array([row]), np.array([row]), np.array([k])).right_candidate for k in range(3)]
    assert right == [int(k == best) for k in range(3)]


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        pytest.param([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 0, id="five others are higher"),
        pytest.param([9, 8, 7, 6, 4, 5, 3, 2, 1, 0], 1, id="four others are higher"),
        pytest.param([9, 8, 7, 6, 5, 5, 3, 2, 1, 0], 0, id="a tie with the fifth is one too many"),
        pytest.param([5, 5, 5, 5, 0, 5, 0, 0, 0, 0], 1, id="a tie of five is among the best five"),
        pytest.param([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, id="ten equals: it may be any of them"),
        pytest.param([NAN, 0, 0, 0, 0, 9, 0, 0, 0, 0], 0, id="a NaN spoils the row"),
        pytest.param([NAN] * 10, 0, id="nothing but NaN is not among the best"),
        pytest.param([9, 8, 7, 6, 5, INF, 3, 2, 1, 0], 1, id="an infinity is high"),
    ],
)
def test_true_class_5_is_among_the_best_five(row, counts):
    rows = np.array([row], np.float32)
    assert ClassificationSums.of(rows, rows, np.array([5])).top5_candidate == counts


@pytest.mark.parametrize(("classes", "ranked"), [(9, 0), (10, 3)], ids=["nine classes: no", "ten classes: yes"])
def test_top5_is_counted_from_ten_classes_on(classes, ranked):
    outputs = np.eye(classes)[:3]
    counts = ClassificationSums.of(outputs, outputs, np.arange(3))
    assert (counts.ranked, counts.top5_reference, counts.top5_candidate) == (ranked, ranked, ranked)


@pytest.mark.parametrize(
    ("reference", "candidate", "same"),
    [
        pytest.param([0.0, 1.0], [-5.0, 3.0], 1, id="the same best"),
        pytest.param([0.0, 1.0], [2.0, 1.0], 0, id="another"),
        pytest.param([NAN, 1.0], [NAN, 1.0], 0, id="NaN agrees with nothing, itself included (trap 1)"),
        pytest.param([0.0, 1.0], [NAN, 1.0], 0, id="NaN in the candidate"),
        pytest.param([0.0, NAN], [0.0, INF], 0, id="NaN against infinity (trap 4)"),
    ],
)
def test_agreement(reference, candidate, same):
    assert ClassificationSums.of(np.array([reference]), np.array([candidate]), None).same == same


@pytest.mark.parametrize(
    ("outputs", "probabilities", "expected"),
    [
        pytest.param([[0.25], [0.75]], True, [[0.75, 0.25], [0.25, 0.75]], id="probabilities"),
        pytest.param([[-2.0], [3.0]], False, [[0.0, -2.0], [0.0, 3.0]], id="logits"),
        pytest.param([0.25, 0.75], True, [[0.75, 0.25], [0.25, 0.75]], id="without the axis of size 1"),
        pytest.param([[NAN]], True, [[NAN, NAN]], id="a NaN stays"),
        pytest.param([[1.0, 2.0]], True, [[1.0, 2.0]], id="two columns are left alone"),
        pytest.param(np.zeros((0, 1)), True, np.zeros((0, 2)), id="no samples"),
    ],
)
def test_as_classes(outputs, probabilities, expected):
    np.testing.assert_array_equal(as_classes(np.asarray(outputs), probabilities=probabilities), expected)


@pytest.mark.parametrize(
    ("value", "probabilities", "best"),
    [
        pytest.param(0.5, True, 0, id="half is class 0"),
        pytest.param(np.nextafter(np.float32(0.5), np.float32(1)), True, 1, id="a hair above half is class 1"),
        pytest.param(0.0, False, 0, id="a logit of zero is class 0"),
        pytest.param(np.float32(1e-45), False, 1, id="the smallest logit above zero is class 1"),
        pytest.param(-1e-30, False, 0, id="a negative logit is class 0"),
    ],
)
def test_one_output_unit_decides_between_two_classes(value, probabilities, best):
    classes = as_classes(np.array([[value]]), probabilities=probabilities)
    assert ClassificationSums.of(classes, classes, np.array([best])).right_reference == 1


@pytest.mark.parametrize("shape", [(2, 0), (2, 3, 4), ()], ids=["no columns", "three axes", "no axes"])
def test_as_classes_refuses_what_has_no_classes(shape):
    message = (
        f"an output of shape {shape} has no classes; a classifier's output is (samples, classes), or "
        "(samples, 1) for two classes"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        as_classes(np.zeros(shape), probabilities=True)


TWO = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("reference", "candidate", "labels", "message"),
    [
        pytest.param(
            TWO,
            np.zeros((2, 4)),
            None,
            "the reference has shape (2, 3) and the candidate (2, 4); both must have the same shape, "
            "because they are compared element by element",
            id="shapes differ",
        ),
        pytest.param(
            np.zeros((2, 1)),
            np.zeros((2, 1)),
            None,
            "the outputs have shape (2, 1); counting classes needs (samples, classes) with at least "
            "two classes, see as_classes",
            id="one column, where everything would be right",
        ),
        pytest.param(
            TWO,
            TWO,
            np.array([0, 3]),
            "the label 3 is out of range; with 3 classes labels go from 0 to 2",
            id="a label too high",
        ),
        pytest.param(
            TWO,
            TWO,
            np.array([-1, 0]),
            "the label -1 is out of range; with 3 classes labels go from 0 to 2",
            id="a negative label, which would index from the end",
        ),
        pytest.param(
            TWO,
            TWO,
            np.array([0.0, 1.0]),
            "the labels have dtype float64 and shape (2,); 2 samples need integer labels of shape (2,)",
            id="labels that are not integers",
        ),
        pytest.param(
            TWO,
            TWO,
            np.array([[0], [1]]),
            "the labels have dtype int64 and shape (2, 1); 2 samples need integer labels of shape (2,)",
            id="labels with an axis more, which would broadcast",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(reference, candidate, labels, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ClassificationSums.of(reference, candidate, labels)
