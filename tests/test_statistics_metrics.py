"""Metrics and their losses: equal to scikit-learn's, with the right sign, and with intervals that are not too
narrow.
"""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import f1_score, jaccard_score, roc_auc_score

from quantlab.errors import UsageError
from quantlab.statistics import (
    PAIRED_METRICS,
    CandidateSamples,
    ReferenceSamples,
    Resampling,
    default_metrics,
    loss_bounds,
    paired_loss,
    paired_metric,
    zero_discordance_bound,
)

NAN, INF = math.nan, math.inf
FEW = Resampling(resamples=200)

OWN = "users_metrics"
"""A module of functions that users could write; it imports NumPy alone, since every process of a metric imports it."""


def loss_of(metric, reference, candidate, labels, *, probabilities=False, task="classification", resampling=FEW):
    classes = task == "classification" and np.ndim(reference) < 3
    known = ReferenceSamples.of(np.asarray(reference), labels, task=task, probabilities=probabilities, classes=classes)
    compared = CandidateSamples.of(known, np.asarray(candidate))
    return paired_loss(paired_metric(metric), known, compared, resampling)


def classified(n=300, classes=4, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    reference = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    return reference, reference + noise * random.normal(size=reference.shape), labels


def regressed(n=200, seed=0, worse=0.3):
    random = np.random.default_rng(seed)
    labels = random.normal(size=(n, 1))
    reference = labels + random.normal(size=(n, 1))
    return reference, labels + (1 + worse) * (reference - labels), labels[:, 0]


# Values


def test_top1_is_in_percent_with_the_bounds_of_its_flips():
    reference, candidate, labels = classified()
    loss = loss_of("top1", reference, candidate, labels)
    right = [outputs.argmax(axis=1) == labels for outputs in (reference, candidate)]
    forth, back = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    assert (loss.reference, loss.candidate) == (100 * right[0].mean(), 100 * right[1].mean())
    assert loss.loss == pytest.approx(100 * (forth - back) / 300)
    assert (loss.lower, loss.upper) == pytest.approx(
        tuple(100 * bound for bound in loss_bounds(forth, back, n=300, confidence=0.95))
    )
    assert (loss.method, loss.unit, loss.n, loss.discordant) == ("exact", "pt", 300, forth + back)
    assert 0 < loss.p_mcnemar < 1


def test_macro_f1_equals_scikit_learns():
    reference, candidate, labels = classified()
    loss = loss_of("macro-f1", reference, candidate, labels)
    for outputs, value in ((reference, loss.reference), (candidate, loss.candidate)):
        assert value == pytest.approx(100 * f1_score(labels, outputs.argmax(axis=1), average="macro"))
    assert loss.lower < loss.loss < loss.upper
    assert (loss.method, loss.discordant, loss.p_mcnemar) == ("BCa bootstrap", None, None)


def test_macro_f1_is_of_the_classes_that_the_labels_hold():
    outputs, labels = np.eye(4)[[0, 1, 3, 3]], np.array([0, 1, 0, 1])
    loss = loss_of("macro-f1", outputs, outputs, labels)
    expected = f1_score(labels, outputs.argmax(axis=1), labels=[0, 1], average="macro")
    assert loss.reference == pytest.approx(100 * expected)


@pytest.mark.parametrize("classes", [2, 4, 20])
def test_auc_equals_scikit_learns(classes):
    reference, candidate, labels = classified(classes=classes)
    loss = loss_of("auc", reference, candidate, labels)
    for outputs, value in ((reference, loss.reference), (candidate, loss.candidate)):
        shares = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        expected = roc_auc_score(labels, shares[:, 1] if classes == 2 else shares, multi_class="ovr")
        assert value == pytest.approx(100 * expected)
    assert loss.method == "BCa bootstrap of DeLong's components"


def test_auc_of_one_output_unit_with_ties():
    scores, labels = np.array([[0.2], [0.2], [0.7], [0.7], [0.9]]), np.array([0, 1, 0, 1, 1])
    loss = loss_of("auc", scores, scores, labels, probabilities=True)
    assert loss.reference == pytest.approx(100 * roc_auc_score(labels, scores[:, 0]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=40))
def test_auc_with_many_ties_equals_scikit_learns(samples):
    labels, *sides = (np.array(column) for column in zip((0, 0, 0), (1, 5, 5), *samples, strict=True))
    reference, candidate = (side[:, None] / 5 for side in sides)
    labels = labels.astype(np.int64)
    loss = loss_of("auc", reference, candidate, labels, probabilities=True, resampling=Resampling(resamples=2))
    assert loss.reference == pytest.approx(100 * roc_auc_score(labels, reference[:, 0]))
    assert loss.candidate == pytest.approx(100 * roc_auc_score(labels, candidate[:, 0]))


def areas_under_curve(labels, scores):
    """The area of each row, from the ranks of its positive samples: scikit-learn takes them one by one."""
    positive = labels.sum(axis=1)
    ranks = (rankdata(scores, axis=1) * labels).sum(axis=1)
    return (ranks - positive * (positive + 1) / 2) / (positive * (labels.shape[1] - positive))


def test_bounds_of_auc_are_those_of_ranking_every_resample_anew():
    reference, candidate, labels = classified(n=250, classes=2, noise=0.7)
    loss = loss_of("auc", reference, candidate, labels, resampling=Resampling(resamples=4000))
    these = np.random.default_rng(1).integers(0, 250, (1500, 250))
    drawn = [(outputs[:, 1] - outputs[:, 0])[these] for outputs in (reference, candidate)]
    areas = [areas_under_curve(labels[these], margins) for margins in drawn]
    assert areas[1][:5] == pytest.approx([roc_auc_score(labels[these[row]], drawn[1][row]) for row in range(5)])
    low, high = np.quantile(100 * (areas[0] - areas[1]), [0.05, 0.95])
    assert (loss.lower, loss.upper) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_a_row_with_nan_ranks_as_wrong_as_it_can():
    reference = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]])
    candidate = reference.copy()
    candidate[3] = NAN
    loss = loss_of("auc", reference, candidate, np.array([0, 1, 0, 1]))
    assert (loss.reference, loss.candidate) == (100, 50)


def test_errors_are_in_their_own_unit():
    reference, candidate, labels = regressed()
    errors = [np.abs(outputs[:, 0] - labels) for outputs in (reference, candidate)]
    mae = loss_of("mae", reference, candidate, labels, task="regression")
    assert (mae.reference, mae.candidate) == pytest.approx(tuple(outputs.mean() for outputs in errors))
    rmse = loss_of("rmse", reference, candidate, labels, task="regression")
    assert (rmse.reference, rmse.candidate) == pytest.approx(
        tuple(math.sqrt((outputs**2).mean()) for outputs in errors)
    )
    for loss in (mae, rmse):
        assert (loss.unit, loss.direction) == ("", "lower")
        assert 0 < loss.lower < loss.loss < loss.upper


def segmented(seed=0, n=12):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (n, 5, 6))
    reference = random.normal(size=(n, 5, 6, 3)) + 2 * np.eye(3)[labels]
    return reference, reference + 0.8 * random.normal(size=reference.shape), labels


def test_mean_iou_equals_scikit_learns():
    reference, candidate, labels = segmented()
    loss = loss_of("mean-iou", reference, candidate, labels)
    for outputs, value in ((reference, loss.reference), (candidate, loss.candidate)):
        expected = jaccard_score(labels.ravel(), outputs.argmax(axis=3).ravel(), average="macro")
        assert value == pytest.approx(100 * expected)
    assert (loss.n, loss.method) == (12, "BCa bootstrap, or what unseen samples may do")
    assert loss.lower < loss.loss < loss.upper


def test_void_pixels_are_not_scored():
    reference, candidate, labels = segmented()
    labels[:, 0] = 255
    loss = loss_of("mean-iou", reference, candidate, labels)
    without = loss_of("mean-iou", reference[:, 1:], candidate[:, 1:], labels[:, 1:])
    assert (loss.reference, loss.candidate) == pytest.approx((without.reference, without.candidate))


# Signs (trap 9)


@given(st.floats(-0.9, 0.9).filter(lambda change: abs(change) > 1e-6))
def test_an_error_that_grows_is_a_loss_and_one_that_shrinks_is_none(change):
    reference, candidate, labels = regressed(n=20, worse=change)
    for metric in ("mae", "rmse"):
        loss = loss_of(metric, reference, candidate, labels, task="regression", resampling=Resampling(resamples=5))
        assert math.copysign(1, loss.loss) == math.copysign(1, change)
        assert loss.lower <= loss.loss <= loss.upper


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("function", "direction", "sign"),
    [
        pytest.param("negative_loss", "higher", 1, id="a negative metric that falls"),
        pytest.param("negative_loss", "lower", -1, id="the same, if falling is better"),
        pytest.param("zero", "higher", 0, id="a metric of zero"),
    ],
)
def test_the_declared_direction_is_the_sign(function, direction, sign):
    reference, candidate, labels = regressed(n=40)
    loss = loss_of(f"{OWN}:{function}:{direction}", reference, candidate, labels, task="regression")
    assert loss.metric == f"{OWN}:{function}"
    assert (loss.direction, loss.unit) == (direction, "")
    assert np.sign(loss.loss) == sign
    assert loss.lower <= loss.loss <= loss.upper


@pytest.mark.starts_children
def test_an_improvement_of_every_metric_is_no_loss():
    worse, better, labels = regressed(n=60)[1], regressed(n=60)[0], regressed(n=60)[2]
    for metric in ("mae", "rmse", f"{OWN}:negative_loss:higher"):
        loss = loss_of(metric, worse, better, labels, task="regression")
        assert loss.loss < 0
        assert loss.upper < 0
    candidate, reference, labels = classified(n=600, noise=3)
    for metric in ("top1", "macro-f1", "auc"):
        loss = loss_of(metric, reference, candidate, labels)
        assert loss.loss < 0
        assert loss.upper < 0


# Without a difference


@pytest.mark.parametrize("metric", ["top1", "macro-f1", "auc"])
@pytest.mark.parametrize("n", [10, 200])
def test_no_difference_in_few_samples_is_not_certainty(metric, n):
    """Trap 8, of shares: at least what no flip in n samples leaves open."""
    reference, _, _ = classified(n=n, classes=2)
    loss = loss_of(metric, reference, reference, np.arange(n) % 2)
    # A flip may be of either class, and in the one area of a binary classifier a class is half of the samples.
    bound = 100 * zero_discordance_bound(n, 0.95) * (2 if metric == "auc" else 1)
    assert loss.loss == 0
    assert (loss.lower, loss.upper) == pytest.approx((-bound, bound))


@pytest.mark.parametrize("metric", ["macro-f1", "auc"])
def test_unseen_flips_may_all_be_of_the_rarest_class(metric):
    """Ten samples of one class make half of a macro average: what they may lose is far more than their share."""
    labels = np.repeat([0, 1], [990, 10])
    reference = np.eye(2, dtype=np.float32)[labels] * 0.8 + 0.1
    loss = loss_of(metric, reference, reference, labels)
    assert loss.upper > 10 * 100 * zero_discordance_bound(1000, 0.95)


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_no_difference_of_errors_leaves_the_worst_error_open(metric):
    reference, _, labels = regressed(n=200)
    loss = loss_of(metric, reference, reference, labels, task="regression")
    assert loss.loss == 0
    assert loss.upper > 0.005 * np.abs(reference[:, 0] - labels).max()
    assert loss.lower == pytest.approx(-loss.upper)


def test_a_candidate_of_nothing_but_nan_loses_all():
    """Trap 1."""
    reference, _, labels = classified()
    candidate = np.full_like(reference, NAN)
    for metric in ("top1", "macro-f1"):
        loss = loss_of(metric, reference, candidate, labels)
        assert loss.candidate == 0
        assert loss.loss == loss.reference
    assert loss_of("auc", reference, candidate, labels).candidate == 0
    outputs, _, numbers = regressed()
    for metric in ("mae", "rmse"):
        loss = loss_of(metric, outputs, np.full_like(outputs, NAN), numbers, task="regression")
        assert loss.candidate == INF
        assert math.isnan(loss.loss)
        assert (loss.lower, loss.upper) == (-INF, INF)


# What is asked for


@pytest.mark.parametrize(
    ("outputs", "labels", "arguments", "names"),
    [
        pytest.param(np.zeros((2, 3)), np.array([0, 1]), {}, ["top1"], id="three classes"),
        pytest.param(np.zeros((2, 10)), np.array([0, 1]), {}, ["top1", "top5"], id="ten classes"),
        pytest.param(np.zeros((2, 1)), np.zeros(2), {"task": "regression"}, ["mae", "rmse"], id="numbers"),
        pytest.param(
            np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2), int), {}, ["mean-iou", "position-accuracy"], id="a map"
        ),
        pytest.param(np.zeros((1, 2, 3)), np.zeros((1, 2), int), {}, ["position-accuracy"], id="a sequence"),
        pytest.param(np.array([0, 2]), np.array([0, 1]), {"numbers": True}, ["top1"], id="class numbers"),
        pytest.param(np.zeros((2, 3)), None, {"task": "similarity"}, [], id="no labels"),
    ],
)
def test_metrics_where_none_are_asked_for(outputs, labels, arguments, names):
    task = arguments.get("task", "classification")
    known = ReferenceSamples.of(
        outputs,
        labels,
        task=task,
        probabilities=False,
        classes=task == "classification" and outputs.ndim < 3 and not arguments.get("numbers"),
    )
    assert [metric.name for metric in default_metrics(known)] == names


def test_the_table_knows_its_names():
    assert {name: metric.name for name, metric in PAIRED_METRICS.items()} == {name: name for name in PAIRED_METRICS}
    assert {metric.direction for metric in PAIRED_METRICS.values()} == {"higher", "lower"}


TWO = (np.zeros((2, 2)), np.zeros((2, 2)), np.array([0, 1]))


@pytest.mark.starts_children
@pytest.mark.parametrize(
    ("metric", "data", "message"),
    [
        pytest.param(
            "marco-f1", TWO, "there is no metric 'marco-f1'; did you mean 'macro-f1' or 'micro-f1'? One", id="misspelt"
        ),
        pytest.param("speed", TWO, "there is no metric 'speed'; choose from top1, top5, macro-f1, ", id="unknown"),
        pytest.param(
            "m:f",
            TWO,
            "the metric 'm:f' does not state which direction is better; write 'm:f:higher' or 'm:f:lower'",
            id="no way",
        ),
        pytest.param(
            "m:f:up",
            TWO,
            "the metric 'm:f:up' does not state which direction is better; write 'm:f:higher' or",
            id="a strange way",
        ),
        pytest.param(
            "no_such:f:lower",
            TWO,
            "there is no module 'no_such' for 'no_such:f' in ",
            id="no module",
        ),
        pytest.param(
            f"{OWN}:missing:lower",
            TWO,
            f"the module '{OWN}' has no function 'missing'; ",
            id="no function",
        ),
        pytest.param(
            f"{OWN}:raises:lower",
            TWO,
            f"the metric '{OWN}:raises' raised KeyError ('no such column') on outputs of shape (2, 2) "
            "with labels of shape (2,); it is called with the whole set and with resamples of it, in "
            "which a class may be missing",
            id="raises",
        ),
        pytest.param(
            f"{OWN}:loses_a_class:higher",
            TWO,
            f"the metric '{OWN}:loses_a_class' raised ValueError (only one class) on outputs of shape (2, 2)",
            id="raises on a resample",
        ),
        pytest.param(
            f"{OWN}:returns_rows:lower",
            TWO,
            f"the metric '{OWN}:returns_rows' returned an array of shape (2, 3); it must return one number for the "
            "set, or one or two for each of its 2 samples",
            id="three numbers for each sample",
        ),
        pytest.param(
            f"{OWN}:returns_words:lower",
            TWO,
            f"the metric '{OWN}:returns_words' returned 'good'; it must",
            id="a word",
        ),
        pytest.param(
            "top1", (*TWO[:2], None), "the metric 'top1' needs labels, and the samples have none", id="no labels"
        ),
        pytest.param("top5", TWO, "the metric 'top5' needs at least ten classes, and there are 2", id="top-5 of 2"),
        pytest.param(
            "mae", TWO, "the metric 'mae' needs numeric labels, and these labels are classes; use 'top1'", id="mae"
        ),
        pytest.param(
            "auc",
            (*TWO[:2], np.array([1, 1])),
            "the metric 'auc' needs samples of at least two classes, and all samples are of class 1;",
            id="auc",
        ),
        pytest.param(
            "mean-iou",
            TWO,
            "the metric 'mean-iou' needs a class label for each position, such as a pixel or a step; use 'top1'",
            id="mean-iou",
        ),
        pytest.param(
            "top1",
            (np.zeros((1, 1, 1, 3)), np.zeros((1, 1, 1, 3)), np.array([[[2]]])),
            "the metric 'top1' needs labelled classes, and the scored output has none; use 'mean-iou' or "
            "'position-accuracy'",
            id="top-1 of pixels",
        ),
        pytest.param(
            "top1",
            (np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int)),
            "the metric 'top1' needs at least one sample",
            id="none",
        ),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(metric, data, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        loss_of(metric, *data, task="classification" if data[2] is not None else "similarity")


def test_a_metric_of_classes_is_refused_for_numbers():
    message = "the metric 'top1' needs labelled classes, and the scored output has none; use 'mae' or 'rmse'"
    with pytest.raises(UsageError, match=f"^{message}$"):
        loss_of("top1", *regressed(), task="regression")


@pytest.mark.starts_children
def test_a_module_in_the_current_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "own_metric_of_a_test.py").write_text("def score(outputs, labels):\n    return float(outputs.mean())\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    loss = loss_of(
        "own_metric_of_a_test:score:lower", np.zeros((5, 1)), np.ones((5, 1)), np.zeros(5), task="regression"
    )
    assert (loss.loss, loss.method) == (1.0, "BCa bootstrap")
