"""Top-k, sequence accuracy, error rates, multi-label metrics, angles and keypoints, with values from elsewhere."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, top_k_accuracy_score

from quantlab.errors import UsageError
from quantlab.ragged import objects
from quantlab.statistics import (
    CandidateSamples,
    ReferenceSamples,
    Resampling,
    loss_bounds,
    paired_loss,
    paired_metric,
)
from quantlab.statistics.paired.edit_rates import Decoding, edit_distances
from quantlab.statistics.paired.keypoints import angular_errors

NAN = math.nan
FEW = Resampling(resamples=200)


def loss_of(metric, reference, candidate, labels, *, task="metric", probabilities=False, resampling=FEW):
    classes = task == "classification"
    known = ReferenceSamples.of(np.asarray(reference), labels, task=task, probabilities=probabilities, classes=classes)
    compared = CandidateSamples.of(known, np.asarray(candidate))
    return paired_loss(paired_metric(metric), known, compared, resampling)


# Top-k


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_top_k_equals_scikit_learns(k):
    random = np.random.default_rng(0)
    labels = np.concatenate([np.arange(7), random.integers(0, 7, 293)])
    reference = random.normal(size=(300, 7)) + np.eye(7)[labels]
    candidate = reference + random.normal(size=reference.shape)
    loss = loss_of(f"top{k}", reference, candidate, labels, task="classification")
    right = [np.argsort(-side, axis=1)[:, :k] == labels[:, None] for side in (reference, candidate)]
    forth, back = (int((one.any(axis=1) & ~other.any(axis=1)).sum()) for one, other in (right, right[::-1]))
    for value, outputs in ((loss.reference, reference), (loss.candidate, candidate)):
        assert value == pytest.approx(100 * top_k_accuracy_score(labels, outputs, k=k))
    bounds = loss_bounds(forth, back, n=300, confidence=0.95)
    assert (loss.lower, loss.upper) == pytest.approx(tuple(100 * bound for bound in bounds))
    assert (loss.discordant, loss.unit) == (forth + back, "pt")


def test_ties_and_nan_are_not_among_the_best():
    outputs = np.array([[1.0, 1, 1, 1], [4, 3, 2, 1], [NAN, 9, 0, 0]])
    loss = loss_of("top2", outputs, outputs, np.array([0, 1, 1]), task="classification")
    assert loss.reference == pytest.approx(100 / 3)


def test_top_k_of_all_classes_is_refused():
    message = "the metric 'top4' needs more than 4 classes, and there are 4, so that every answer would be right; "
    with pytest.raises(UsageError, match=f"^{message}choose a smaller number$"):
        loss_of("top4", np.zeros((2, 4)), np.zeros((2, 4)), np.array([0, 1]), task="classification")


# Sequence accuracy


def test_a_sequence_is_right_if_every_scored_step_is():
    labels = np.array([[0, 1, 2], [2, 2, -1], [1, 1, 1], [-1, -1, -1]])
    answers = np.array([[0, 1, 2], [2, 2, 0], [1, 0, 1], [0, 0, 0]])
    changed = answers.copy()
    changed[0, 1], changed[1, 2], changed[2, 1] = 0, 1, 1
    sides = [np.eye(3)[one] for one in (answers, changed)]
    loss = loss_of("sequence-accuracy", *sides, labels, task="positions")
    # The last sequence has no label that is scored, so it is neither right nor wrong.
    assert (loss.reference, loss.candidate, loss.discordant) == (*[pytest.approx(200 / 3)] * 2, None)
    loss = loss_of("sequence-accuracy", *(side[:3] for side in sides), labels[:3], task="positions")
    assert (loss.reference, loss.candidate, loss.discordant) == (pytest.approx(200 / 3), pytest.approx(200 / 3), 2)


# Error rates


@pytest.mark.parametrize(
    ("truth", "output", "distance"),
    [
        # Wagner & Fischer 1974 compute the same; the examples are those of textbooks.
        pytest.param("sitting", "kitten", 3, id="two substitutions and an insertion"),
        pytest.param("saturday", "sunday", 3, id="two deletions and a substitution"),
        pytest.param("intention", "execution", 5, id="Jurafsky & Martin, Speech and Language Processing, 2.5"),
        pytest.param("", "abc", 3, id="no truth"),
        pytest.param("abc", "", 3, id="no output"),
        pytest.param("", "", 0, id="neither"),
    ],
)
def test_edit_distances_of_textbooks(truth, output, distance):
    sides = [[np.array([ord(letter) for letter in text], np.int64)] for text in (truth, output)]
    assert edit_distances(*sides).tolist() == [distance]


def slow_distance(truth, output):
    table = np.add.outer(np.arange(len(truth) + 1), np.arange(len(output) + 1))
    for i, one in enumerate(truth, start=1):
        for j, other in enumerate(output, start=1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (one != other))
    return table[-1, -1]


SEQUENCES = st.lists(st.integers(0, 3), max_size=8)


@given(st.lists(st.tuples(SEQUENCES, SEQUENCES), max_size=6))
def test_many_distances_at_once_are_those_of_the_table(pairs):
    truth, outputs = ([np.array(pair[side], np.int64) for pair in pairs] for side in (0, 1))
    assert edit_distances(truth, outputs).tolist() == [slow_distance(*pair) for pair in pairs]


A, B, BLANK = 0, 1, 2


@pytest.mark.parametrize(
    ("name", "steps", "sequence"),
    [
        # Graves, Fernández, Gomez & Schmidhuber 2006, Connectionist Temporal Classification, 3.1.
        pytest.param("cer", [A, BLANK, A, B, BLANK], [A, A, B], id="B(a-ab-) = aab"),
        pytest.param("cer", [BLANK, A, A, BLANK, BLANK, A, B, B], [A, A, B], id="B(-aa--abb) = aab"),
        pytest.param("cer:blank=0", [0, 1, 1, 0, 1, 2], [1, 1, 2], id="another blank"),
        pytest.param("cer:plain", [A, A, BLANK, BLANK], [A, A, BLANK, BLANK], id="every step counts"),
        pytest.param("cer", [BLANK, BLANK], [], id="nothing but blanks"),
    ],
)
def test_scores_are_decoded_as_published(name, steps, sequence):
    (decoded,) = Decoding.of(name).decode(np.eye(3)[[steps]])
    assert decoded[decoded >= 0].tolist() == sequence


def test_class_numbers_are_plain_unless_a_blank_is_named():
    numbers = np.array([[1, 1, 0, 1, -1]])
    assert Decoding.of("cer").decode(numbers).tolist() == [[1, 1, 0, 1, -1]]
    assert Decoding.of("cer:blank=0").decode(numbers).tolist() == [[1, 1, -1, -1, -1]]
    assert Decoding.of("cer").decode(numbers.astype(np.float32)).tolist() == [[1, 1, 0, 1, -1]]


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(np.array([[1.0, NAN]]), id="NaN"),
        pytest.param(np.array([[1.0, np.inf]], np.float32), id="infinity"),
        pytest.param(np.array([[1.0, 1.5]], np.float16), id="no whole number"),
        pytest.param(np.array([[1.0, 2.0**63]]), id="a float beyond int64"),
        pytest.param(np.array([[1.0, -1e30]]), id="a float far below int64"),
        pytest.param(np.array([[1, 2**63 + 1]], np.uint64), id="an integer beyond int64"),
    ],
)
def test_a_class_number_that_cannot_be_read_is_one_error(numbers):
    assert Decoding.of("cer").decode(numbers).tolist() == [[1, np.iinfo(np.int64).max]]
    labels = np.array([[1]])
    assert loss_of("cer", labels, labels, labels).candidate == 0
    assert loss_of("cer", numbers[:, :1], numbers[:, 1:], labels).candidate == 100
    assert loss_of("cer", numbers, numbers, labels).candidate == 100


def test_cer_is_edits_over_length():
    """By hand: 1 and 2 edits of 3 + 1 characters; of the reference, 1 and 0."""
    labels = objects([np.array([A, A, B]), np.array([B])])
    reference = np.eye(3)[[[A, BLANK, B, BLANK], [B, B, B, B]]]
    candidate = np.eye(3)[[[A, BLANK, B, BLANK], [A, BLANK, A, A]]]
    loss = loss_of("cer", reference, candidate, labels)
    assert (loss.reference, loss.candidate, loss.loss) == (25, 75, 50)
    assert (loss.direction, loss.unit, loss.n) == ("lower", "pt", 2)
    assert loss.method == "BCa bootstrap, or what unseen samples may do"


def test_wer_counts_words_between_spaces():
    """`hello world` against `hello word`: one of two words is wrong, and one of eleven characters."""
    alphabet = " helowrd"

    def numbers(text):
        return [alphabet.index(letter) for letter in text]

    labels = np.array([numbers("hello world"), [*numbers("word"), *[-1] * 7]])
    right = labels.copy()
    wrong = labels.copy()
    wrong[0] = [*numbers("hello word"), -1]
    assert loss_of("wer:space=0", right, wrong, labels).candidate == pytest.approx(100 / 3)
    assert loss_of("cer", right, wrong, labels).candidate == pytest.approx(100 / 15)
    assert loss_of("wer", right, wrong, labels).candidate == pytest.approx(100 / 15)


def test_nan_is_an_error_and_no_repetition():
    labels = np.array([[A, B]])
    reference = np.eye(3)[[[A, A, B]]]
    candidate = reference.copy()
    candidate[0, 0:2] = NAN
    assert loss_of("cer", reference, candidate, labels).candidate == 100


def test_a_rate_may_be_above_one():
    loss = loss_of("cer:plain", np.array([[0, -1, -1]]), np.array([[1, 1, 1]]), np.array([[0]]))
    assert (loss.reference, loss.candidate) == (0, 300)


# Several labels


def several(seed=0, n=200, classes=5):
    random = np.random.default_rng(seed)
    labels = (random.uniform(size=(n, classes)) < 0.3).astype(np.int64)
    reference = 3 * labels - 1.5 + random.normal(size=labels.shape)
    return reference, np.round(reference + random.normal(size=labels.shape), 1), labels


@pytest.mark.parametrize("probabilities", [False, True])
def test_f1_of_several_labels_equals_scikit_learns(probabilities):
    reference, candidate, labels = several()
    if probabilities:
        reference, candidate = (1 / (1 + np.exp(-side)) for side in (reference, candidate))
    threshold = 0.5 if probabilities else 0
    for metric, average in (("micro-f1", "micro"), ("multilabel-macro-f1", "macro")):
        loss = loss_of(metric, reference, candidate, labels, probabilities=probabilities)
        for value, outputs in ((loss.reference, reference), (loss.candidate, candidate)):
            assert value == pytest.approx(100 * f1_score(labels, outputs > threshold, average=average))
        assert loss.lower < loss.loss < loss.upper


def test_map_equals_scikit_learns():
    reference, candidate, labels = several()
    loss = loss_of("map", reference, candidate, labels)
    for value, outputs in ((loss.reference, reference), (loss.candidate, candidate)):
        assert value == pytest.approx(100 * average_precision_score(labels, outputs, average="macro"))
    assert (loss.method, loss.n) == ("BCa bootstrap", 200)
    assert loss.lower < loss.loss < loss.upper


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=3, max_size=30))
def test_average_precision_with_many_ties_equals_scikit_learns(samples):
    labels, scores = (np.array(column) for column in zip((True, 2), *samples, strict=True))
    outputs = scores[:, None].astype(np.float64)
    loss = loss_of("map", outputs, outputs, labels[:, None].astype(np.int64), resampling=Resampling(resamples=2))
    assert loss.reference == pytest.approx(100 * average_precision_score(labels, scores))


def test_bounds_of_map_are_those_of_ranking_every_resample_anew():
    reference, candidate, labels = several(n=120, classes=2)
    loss = loss_of("map", reference, candidate, labels, resampling=Resampling(resamples=2000))
    random, losses = np.random.default_rng(1), []
    for _ in range(400):
        these = random.integers(0, 120, 120)
        areas = [average_precision_score(labels[these], side[these]) for side in (reference, candidate)]
        losses.append(100 * (areas[0] - areas[1]))
    low, high = np.quantile(losses, [0.05, 0.95])
    assert (loss.lower, loss.upper) == pytest.approx((low, high), abs=0.25 * (high - low))


def test_one_class_for_every_sample_is_the_same_as_one_column_each():
    reference, candidate, _ = several(classes=3)
    labels = np.arange(200) % 3
    losses = [loss_of("micro-f1", reference, candidate, one) for one in (labels, np.eye(3, dtype=int)[labels])]
    assert losses[0] == losses[1]


def test_nan_answers_nothing_and_ranks_last():
    reference, _, labels = several()
    nothing = np.full_like(reference, NAN)
    assert loss_of("micro-f1", reference, nothing, labels).candidate == 0
    # Behind all others, one by one: as one group, they would have the share of labels, which a wrong order has not.
    worst = [np.mean(np.arange(1, n + 1) / np.arange(len(labels) - n + 1, len(labels) + 1)) for n in labels.sum(axis=0)]
    assert loss_of("map", reference, nothing, labels).candidate == pytest.approx(100 * np.mean(worst))
    wrong = np.where(labels == 1, -1.0, 1.0) + np.arange(len(labels))[:, None] * 1e-6
    assert loss_of("map", reference, wrong, labels).candidate == pytest.approx(100 * np.mean(worst))


# Angles and keypoints


@pytest.mark.parametrize(
    ("output", "label", "angle"),
    [
        pytest.param([1, 0], [2, 0], 0, id="the same direction"),
        pytest.param([1, 0], [0, 3], 90, id="across"),
        pytest.param([1, 1], [-1, -1], 180, id="the other way"),
        pytest.param([1, 0, 0], [1, 1, 0], 45, id="halfway"),
        pytest.param([1, 1, 1], [1, 0, 0], math.degrees(math.acos(3**-0.5)), id="the diagonal of a cube"),
        pytest.param([1, 1e-9], [1, 0], math.degrees(1e-9), id="too small for an arccosine"),
        pytest.param([1e300, 1e300], [1, 1], 0, id="large"),
        pytest.param([0, 0], [1, 0], 180, id="no direction"),
        pytest.param([NAN, 0], [1, 0], math.inf, id="NaN"),
    ],
)
def test_angles(output, label, angle):
    (found,) = angular_errors(np.array([output], np.float64), np.array([label], np.float64))
    assert found == pytest.approx(angle, abs=1e-12)


def test_the_angular_error_is_a_mean_in_degrees():
    labels = np.array([[1.0, 0], [0, 1], [1, 0]])
    candidate = np.array([[1.0, 0], [1, 0], [-1, 0]])
    loss = loss_of("angular-error", labels, candidate, labels)
    assert (loss.reference, loss.candidate, loss.loss, loss.unit) == (0, pytest.approx(90), pytest.approx(90), "")


def test_pck_counts_labelled_points_within_the_distance():
    """By hand: three labelled points; distances 0.05, 0.1, and far."""
    labels = np.array([[[0.0, 0, 1], [0.5, 0.5, 1]], [[1.0, 1, 2], [7, 7, 0]]])
    outputs = np.array([[[0.03, 0.04], [0.5, 0.6]], [[0.0, 0], [7, 7]]])
    assert loss_of("pck@0.11", labels[:, :, :2], outputs, labels).candidate == pytest.approx(200 / 3)
    assert loss_of("pck@0.05", labels[:, :, :2], outputs, labels).candidate == pytest.approx(100 / 3)
    flat = loss_of("pck@0.11", labels[:, :, :2].reshape(2, 4), outputs.reshape(2, 4), labels)
    assert (flat.reference, flat.candidate) == (100, pytest.approx(200 / 3))


def test_few_changes_of_an_error_rate_or_of_keypoints_are_no_heavy_tail():
    words = np.array([[A, B]] * 500)
    changed = words.copy()
    changed[:3] = B, A
    assert loss_of("cer", words, changed, words).tail is None
    points = np.zeros((500, 2, 2))
    moved = points + 9 * (np.arange(500) < 3)[:, None, None]
    assert loss_of("pck@1", points, moved, points).tail is None


# Without a difference, and what cannot be judged


@pytest.mark.parametrize(
    ("metric", "outputs", "labels"),
    [
        pytest.param("cer", np.eye(3)[[[A, B]] * 50], np.array([[A, B]] * 50), id="cer"),
        pytest.param("micro-f1", several(n=50)[0], several(n=50)[2], id="micro-f1"),
        pytest.param("multilabel-macro-f1", several(n=50)[0], several(n=50)[2], id="multilabel-macro-f1"),
        pytest.param("map", several(n=50)[0], several(n=50)[2], id="map"),
        pytest.param("pck@1", np.zeros((50, 4, 2)), np.zeros((50, 4, 2)), id="pck"),
        pytest.param("angular-error", np.ones((50, 2)), np.eye(2)[[0, 1] * 25], id="angular error"),
    ],
)
def test_no_difference_in_few_samples_is_not_certainty(metric, outputs, labels):
    loss = loss_of(metric, outputs, outputs, labels)
    assert loss.loss == 0
    assert loss.lower < -1 < 1 < loss.upper


@pytest.mark.parametrize(
    ("metric", "outputs", "labels", "message"),
    [
        pytest.param(
            "cer:blnk=0",
            (1, 2, 3),
            np.zeros((1, 2), int),
            "the metric 'cer:blnk=0' has no option 'blnk'; write cer with blank or plain, or without",
            id="an option that is none",
        ),
        pytest.param(
            "cer:blank=x",
            (1, 2, 3),
            np.zeros((1, 2), int),
            "the metric 'cer:blank=x' has 'blank=x'; give a class number from 0, for example blank=0",
            id="a blank that is no number",
        ),
        pytest.param(
            "cer:blank=3",
            (1, 2, 3),
            np.zeros((1, 2), int),
            "the metric 'cer:blank=3' has 'blank=3', and the scored output has 3 classes; give a class number from 0 "
            "to 2",
            id="a blank that is no class",
        ),
        pytest.param(
            "wer:space=9",
            (1, 2, 3),
            np.zeros((1, 2), int),
            "the metric 'wer:space=9' has 'space=9', and the scored output has 3 classes; give a class number from 0 "
            "to 2",
            id="a space that is no class",
        ),
        pytest.param(
            "cer",
            (2, 2, 3),
            np.array([[0, 2], [99, 1]]),
            "the metric 'cer' needs class numbers from 0 to 2, as the scored output has 3 classes, and the ground "
            "truth of sample 1 (counted from 0) holds 99; number the classes as the output does",
            id="a class that the output does not have",
        ),
        pytest.param(
            "cer:plain,blank=0",
            (1, 2, 3),
            np.zeros((1, 2), int),
            "the metric 'cer:plain,blank=0' is plain and has a blank, which only CTC has; leave one of them out",
            id="a blank that is of no use",
        ),
        pytest.param(
            "cer",
            (1, 2, 3, 4),
            np.zeros((1, 2), int),
            "the metric 'cer' needs outputs (n, steps, classes) or class numbers (n, steps), and those of the scored "
            "output are (2, 3, 4) per sample",
            id="a rate of images",
        ),
        pytest.param(
            "cer",
            (2, 2, 3),
            objects([np.array([1]), {"text": "no"}]),
            "the metric 'cer' needs sequences of class numbers, and the ground truth of sample 1 (counted from 0) is "
            "no list; give a list of integers from 0",
            id="an object instead of a sequence",
        ),
        pytest.param(
            "cer",
            (1, 2, 3),
            np.full((1, 2), -1),
            "the metric 'cer' needs ground truth that is not empty, and that of every sample is",
            id="nothing to read",
        ),
        pytest.param(
            "micro-f1",
            (2, 3),
            np.array([[0, 1, 0], [0, 2, 1]]),
            "a metric of several labels per sample needs labels of 0 and 1, and those of sample 1 (counted from 0) "
            "hold 2; correct them",
            id="a label of 2",
        ),
        pytest.param(
            "map",
            (2, 3),
            np.zeros((2, 4), int),
            "a metric of several labels per sample needs labels (n, classes) of 0 and 1, and they are of shape (2, 4), "
            "with outputs of 3 classes; give one column for each class",
            id="a column too many",
        ),
        pytest.param(
            "angular-error",
            (2, 2),
            np.array([[1.0, 0], [0, 0]]),
            "the metric 'angular-error' needs directions, and the label of sample 1 (counted from 0) is zero; correct",
            id="a label without a direction",
        ),
        pytest.param(
            "mae",
            (2, 4, 2),
            np.zeros((2, 4, 3)),
            "the metric 'mae' needs numeric labels, and these labels were read for another metric; use the metric of "
            "the study, or run 'quantlab analyze' with --metric mae, which says what labels it needs",
            id="numbers of keypoints",
        ),
        pytest.param(
            "sequence-accuracy",
            (2, 4, 2),
            np.zeros((2, 4, 3)),
            "the metric 'sequence-accuracy' needs a class label for each position, such as a pixel or a step; use the "
            "metric of the study, or run 'quantlab analyze' with --metric sequence-accuracy, which says what labels it "
            "needs",
            id="positions of keypoints",
        ),
        pytest.param(
            "pck@0",
            (1, 4, 2),
            np.zeros((1, 4, 2)),
            "the metric 'pck@0' has no distance above 0 after @; write for example pck@0.1",
            id="no distance",
        ),
        pytest.param(
            "pck@0.1",
            (1, 4, 2),
            np.zeros((1, 5, 2)),
            "the metric 'pck@0.1' needs labels (n, k, 2), or (n, k, 3) with 0 for points that are not labelled, and "
            "outputs (n, k, 2); they are of shape (1, 5, 2), with outputs of shape (4, 2) per sample",
            id="a point too many",
        ),
    ],
)
def test_what_cannot_be_judged_is_a_sentence(metric, outputs, labels, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        loss_of(metric, np.zeros(outputs), np.zeros(outputs), labels)
