"""Classes of positions: pixels of label maps, steps of sequences, and one class number for each sample."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from quantlab.errors import UsageError
from quantlab.gate.criteria import CRITERIA
from quantlab.gate.targets import TARGETS
from quantlab.statistics import (
    CandidateSamples,
    Positions,
    ReferenceSamples,
    Resampling,
    evidence,
    paired_loss,
    paired_metric,
    position_chance,
    tango,
    with_positions,
    zero_discordance_bound,
)
from quantlab.types import Budget, Scores, TrialEvidence

FEW = Resampling(resamples=300)


def maps(n=40, seed=0, classes=3, noise=0.8):
    """Label maps, scores of the reference, and scores of a candidate."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, (n, 4, 5))
    reference = random.normal(size=(n, 4, 5, classes)) + 2 * np.eye(classes)[labels]
    return labels, reference, reference + noise * random.normal(size=reference.shape)


def compared(labels, reference, candidate, *, probabilities=False):
    known = ReferenceSamples.of(
        reference, labels, task="positions", probabilities=probabilities, classes=False, positions=True
    )
    return known, CandidateSamples.of(known, candidate)


def loss_of(metric, *arrays, **arguments):
    return paired_loss(paired_metric(metric), *compared(*arrays, **arguments), FEW)


# Forms


def test_scores_and_class_numbers_are_scored_alike():
    labels, *scores = maps()
    numbers = [outputs.argmax(axis=-1) for outputs in scores]
    beside = [outputs[..., None].astype(np.int32) for outputs in numbers]
    for metric in ("mean-iou", "position-accuracy"):
        losses = [loss_of(metric, labels, *outputs) for outputs in (scores, numbers, beside)]
        assert losses[0] == losses[1] == losses[2]


@pytest.mark.parametrize("shape", [(40, 4, 5), (40, 4, 5, 1)])
@pytest.mark.parametrize("probabilities", [False, True])
def test_a_binary_map_may_have_one_score(probabilities, shape):
    labels, reference, candidate = maps(classes=2)
    pairs = [(outputs[..., 1] - outputs[..., 0]).reshape(shape) for outputs in (reference, candidate)]
    if probabilities:
        pairs = [1 / (1 + np.exp(-outputs)) for outputs in pairs]
    assert loss_of("mean-iou", labels, *pairs, probabilities=probabilities) == loss_of(
        "mean-iou", labels, reference, candidate
    )


def test_figures_equal_scikit_learns_where_labels_are_scored():
    labels, reference, candidate = maps()
    labels[:, 0] = 255
    labels[:, 1, 2] = -1
    scored = ((labels >= 0) & (labels < 255)).ravel()
    truth = labels.ravel()[scored]
    accuracy, iou = (loss_of(metric, labels, reference, candidate) for metric in ("position-accuracy", "mean-iou"))
    for outputs, found in ((reference, "reference"), (candidate, "candidate")):
        answers = outputs.argmax(axis=-1).ravel()[scored]
        assert getattr(accuracy, found) == pytest.approx(100 * accuracy_score(truth, answers))
        assert getattr(iou, found) == pytest.approx(100 * jaccard_score(truth, answers, average="macro"))


def test_with_many_classes_255_is_one_of_them():
    where = Positions.of(np.zeros((1, 2, 300)), np.zeros((1, 2), int))
    assert where.scored(np.array([[255, -1]])).tolist() == [[True, False]]


def test_what_is_no_class_is_never_right():
    labels = np.array([[0, 1, 2], [0, 1, 2]])
    numbers = labels.copy()
    broken = np.array([[0, 9, -3], [0, 1, 2]])
    loss = loss_of("position-accuracy", labels, numbers, broken)
    assert (loss.reference, loss.candidate) == (100, pytest.approx(100 * 4 / 6))
    spoiled = np.eye(3)[labels]
    spoiled[0, 1] = np.nan
    assert loss_of("position-accuracy", labels, np.eye(3)[labels], spoiled).candidate == pytest.approx(100 * 5 / 6)


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        pytest.param(np.zeros((2, 3, 4)), np.zeros((2, 4), int), id="other positions"),
        pytest.param(np.zeros((2, 3), int), np.zeros((2, 3, 1), int), id="one axis too many"),
        pytest.param(np.zeros((2, 3, 4)), np.zeros((2, 3)), id="no integers"),
    ],
)
def test_labels_of_other_positions_are_refused(outputs, labels):
    with pytest.raises(ValueError, match="are no classes of the positions of outputs"):
        Positions.of(outputs, labels)


def test_a_label_out_of_range_is_refused():
    labels, reference, candidate = maps()
    labels[3, 2, 1] = 7
    with pytest.raises(ValueError, match=r"the label 7 is out of range; with 3 classes labels of positions go from 0"):
        compared(labels, reference, candidate)


# The sample is the unit


def test_samples_are_resampled_and_not_their_positions():
    """Whole samples become wrong: as many positions, but far fewer independent ones."""
    labels, reference, _ = maps(n=200, noise=0.0)
    reference = np.eye(3)[labels]
    wrong = np.eye(3)[(labels + 1) % 3]
    in_samples = np.where((np.arange(200) % 20 == 0)[:, None, None, None], wrong, reference)
    scattered = np.where((np.arange(200 * 20) % 20 == 0).reshape(200, 4, 5)[..., None], wrong, reference)
    together, apart = (loss_of("position-accuracy", labels, reference, side) for side in (in_samples, scattered))
    assert together.loss == apart.loss == pytest.approx(5)
    # Of 200 samples of which 10 changed, as for a classifier.
    alone = 100 * tango(10, 0, n=200, confidence=0.9).upper
    assert together.upper == pytest.approx(alone, rel=0.1)
    assert apart.upper - apart.loss == pytest.approx(100 * zero_discordance_bound(200, 0.95))


@pytest.mark.parametrize("metric", ["position-accuracy", "mean-iou"])
def test_without_a_change_an_unseen_sample_may_be_all_wrong(metric):
    labels, reference, _ = maps(n=300)
    loss = loss_of(metric, labels, reference, reference)
    assert loss.loss == 0
    right = loss.reference / 100
    # Of each class, the union grows by what the intersection loses.
    factor = 1.0 if metric == "position-accuracy" else right * (1 + right)
    assert loss.upper == pytest.approx(100 * zero_discordance_bound(300, 0.95) * factor, rel=0.02)
    assert loss.lower == -loss.upper


def test_the_order_of_positions_and_blocks_changes_nothing(monkeypatch):
    labels, reference, candidate = maps()
    whole = [loss_of(metric, labels, reference, candidate) for metric in ("mean-iou", "position-accuracy")]
    monkeypatch.setattr("quantlab.statistics.scores.samples._BLOCK_BYTES", 8 * 60 * 7)
    monkeypatch.setattr("quantlab.statistics.paired.confusion._MOST_COLUMNS", 5 * 3 * 11)
    turned = [array[:, ::-1] for array in (labels, reference, candidate)]
    assert [loss_of(metric, *turned) for metric in ("mean-iou", "position-accuracy")] == whole


def test_long_sequences_count_more():
    labels = np.array([[1, 1, 1, 1], [1, -1, -1, -1]] * 20)
    reference = np.ones((40, 4), int)
    candidate = np.where(np.arange(40)[:, None] % 2 == 1, 0, reference)
    assert loss_of("position-accuracy", labels, reference, candidate).loss == pytest.approx(100 / 5)


# Scores, agreement and chance


def test_scores_of_a_map():
    labels, reference, candidate = maps()
    known, other = compared(labels, reference, candidate)
    scores = with_positions(Scores(n=40, sqnr_db=12.0), known, other)
    assert scores.position_accuracy == pytest.approx(100 * (candidate.argmax(-1) == labels).mean())
    assert scores.agreement == pytest.approx(100 * (candidate.argmax(-1) == reference.argmax(-1)).mean())
    assert scores.agreement_interval.lower < scores.agreement < scores.agreement_interval.upper
    assert scores.mean_iou_loss_interval.lower < scores.mean_iou_loss_points < scores.mean_iou_loss_interval.upper
    assert (scores.sqnr_db, scores.top1) == (12.0, None)


def test_scores_of_class_numbers_are_counts():
    labels = np.arange(100) % 4
    reference = np.where(np.arange(100) < 10, (labels + 1) % 4, labels)
    candidate = np.where(np.arange(100) < 13, (labels + 1) % 4, labels)
    known, other = compared(labels, reference, candidate)
    scores = with_positions(Scores(n=100, sqnr_db=12.0), known, other)
    assert (scores.top1, scores.top1_loss_points, scores.right_to_wrong, scores.wrong_to_right) == (87, 3, 3, 0)
    assert scores.top1_loss_interval.upper == pytest.approx(100 * tango(3, 0, n=100).upper)
    assert (scores.agreement, scores.sqnr_db) == (97, None)
    found = evidence(known, other, setting="s", runtime="r", metrics=[paired_metric("top1")], resampling=FEW)
    assert (found.loss.method, found.right_to_wrong, found.same) == ("exact", (10, 11, 12), 97)
    assert [lost.n for lost in found.classes] == [25] * 4
    with pytest.raises(UsageError, match=r"^the metric 'auc' needs labelled classes, .*; use 'top1'$"):
        paired_loss(paired_metric("auc"), known, other, FEW)


@pytest.mark.parametrize(
    ("floor", "outcome", "reason"),
    [
        pytest.param("90%", "fits", "same class in at least 94.00 % of the positions, required 90 %", id="fits"),
        pytest.param(
            "94.5%",
            "inconclusive",
            "too few samples: 300 of at least 2,708; same class in at least 94.00 % of the positions, required 94.5 %",
            id="between",
        ),
        pytest.param("99%", "breaks", "same class in at most 96.00 % of the positions, required 99 %", id="breaks"),
    ],
)
def test_agreement_of_positions_is_judged(floor, outcome, reason):
    """Without labels."""
    numbers = np.zeros((300, 20), int)
    changed = numbers.copy()
    changed[:, 0] = 1
    known, other = compared(None, numbers, changed)
    found = evidence(known, other, setting="s", runtime="r", metrics=[], resampling=FEW)
    assert (found.same, found.agreement.candidate) == (None, 95)
    given, budget = TrialEvidence(None, found), Budget(min_agreement=floor)
    (finding,) = [
        one
        for criterion in CRITERIA
        if criterion.__name__ == "_agreement" and (one := criterion(given, budget, TARGETS["any"]))
    ]
    assert (finding.outcome, finding.clause) == (outcome, reason)


@pytest.mark.parametrize(
    ("noise", "poor"), [pytest.param(0.5, False, id="a good model"), pytest.param(50, True, id="a model that guesses")]
)
@pytest.mark.parametrize("axes", [1, 2])
def test_a_constant_answer_is_chance(axes, noise, poor):
    """Most positions are background, as in most label maps."""
    random = np.random.default_rng(0)
    labels = (random.uniform(size=(60, 30) if axes == 1 else (60, 5, 6)) > 0.9).astype(int)
    scores = np.eye(2)[labels] + noise * random.normal(size=(*labels.shape, 2))
    known, _ = compared(labels, scores, scores)
    chance = position_chance(known)
    share = 100 * (labels == 0).mean()
    assert chance.metric == ("position-accuracy" if axes == 1 else "mean-iou")
    assert chance.chance == pytest.approx(share if axes == 1 else share / 2)
    assert (chance.majority, chance.at_chance) == (0, poor)
    assert chance.interval.lower < chance.top1 < chance.interval.upper


def test_one_class_tells_nothing_of_chance():
    known, _ = compared(np.zeros((10, 3), int), np.zeros((10, 3), int), np.zeros((10, 3), int))
    assert position_chance(known) is None


def test_nothing_scored_in_a_sample_is_no_loss():
    labels, reference, candidate = maps()
    labels[:10] = -1
    assert math.isfinite(loss_of("mean-iou", labels, reference, candidate).upper)
    assert loss_of("position-accuracy", labels, reference, candidate).n == 40
