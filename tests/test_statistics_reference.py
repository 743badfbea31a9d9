"""Whether a reference is sane: chance, the order of the classes, and the mean and unit of the targets."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from quantlab.statistics import answers_of, chance_check, class_order, target_checks, wilson
from quantlab.types import ChanceCheck, ClassOrder, Interval, TargetCheck

RANDOM = np.random.default_rng


def labelled(n=600, classes=5, seed=0):
    return RANDOM(seed).permutation(np.arange(n) % classes)


def with_errors(labels, classes, share, seed=1):
    """Answers that are right but for a share, which are any other class."""
    random = RANDOM(seed)
    wrong = random.random(len(labels)) < share
    return np.where(wrong, (labels + random.integers(1, classes, len(labels))) % classes, labels)


# Chance


def test_chance_is_the_share_of_the_most_frequent_class():
    labels = np.repeat([0, 1, 2], [10, 60, 30])
    answers = np.where(np.arange(100) < 45, labels, (labels + 1) % 3)
    interval = wilson(45, 100)
    assert chance_check(answers, labels) == ChanceCheck(
        45.0, Interval(100 * interval.lower, 100 * interval.upper, 0.95), 60.0, 1
    )


@pytest.mark.parametrize(
    ("right", "n", "at_chance"),
    [
        pytest.param(50, 100, True, id="as good as guessing"),
        pytest.param(10, 100, True, id="worse"),
        pytest.param(59, 100, True, id="better, but maybe by luck"),
        pytest.param(61, 100, False, id="better"),
        pytest.param(6, 10, True, id="too few to tell"),
        pytest.param(100, 100, False, id="always right"),
    ],
)
def test_at_chance_is_what_may_be_guessing(right, n, at_chance):
    labels = np.arange(n) % 2
    check = chance_check(np.where(np.arange(n) < right, labels, 1 - labels), labels)
    assert check is not None
    assert check.at_chance is at_chance


def test_one_class_tells_nothing():
    assert chance_check(np.zeros(9, int), np.zeros(9, int)) is None


# The order of the classes


@pytest.mark.parametrize("n", [60, 600])
@pytest.mark.parametrize("order", [(1, 2, 3, 4, 0), (0, 1, 2, 4, 3), (4, 3, 2, 1, 0)])
def test_another_order_is_found(order, n):
    answers = labelled(n)
    labels = np.array(order)[answers]  # output i answers to the label order[i]
    found = class_order(with_errors(answers, 5, 0.05), labels, 5)
    assert found is not None
    assert found.labels == order
    right = 100 * np.mean(with_errors(answers, 5, 0.05) == labels)
    assert found.top1 == pytest.approx(right)
    assert found.reordered_top1 == pytest.approx(100 * np.mean(with_errors(answers, 5, 0.05) == answers))


def test_classes_without_samples_stay_where_they_are():
    answers = labelled(300, 3)
    found = class_order(answers, np.array([2, 0, 1])[answers], 6)
    assert found == ClassOrder((2, 0, 1, 3, 4, 5), top1=0.0, reordered_top1=100.0)


def test_answers_that_are_none_are_never_right():
    answers = labelled(400)
    labels = (answers + 1) % 5
    found = class_order(np.where(np.arange(400) < 40, -1, answers), labels, 5)
    assert found == ClassOrder((1, 2, 3, 4, 0), top1=0.0, reordered_top1=90.0)


@pytest.mark.parametrize(
    ("answers", "labels", "classes"),
    [
        pytest.param(labelled(), labelled(), 5, id="always right"),
        pytest.param(with_errors(labelled(), 5, 0.3), labelled(), 5, id="right, with errors"),
        pytest.param(RANDOM(3).integers(0, 5, 600), labelled(), 5, id="guesses"),
        pytest.param(RANDOM(3).integers(0, 100, 200), labelled(200, 100), 100, id="guesses, two samples a class"),
        pytest.param(np.zeros(600, int), labelled(), 5, id="always one class"),
        pytest.param(labelled(6, 3), (labelled(6, 3) + 1) % 3, 3, id="too few samples"),
        pytest.param(
            np.where(RANDOM(4).random(600) < 0.7, RANDOM(5).integers(0, 5, 600), (labelled() + 1) % 5),
            labelled(),
            5,
            id="an order helps, and most stays wrong",
        ),
        pytest.param(np.full(50, -1), labelled(50), 5, id="no answer at all"),
    ],
)
def test_no_order_is_claimed_where_none_is_far_better(answers, labels, classes):
    assert class_order(answers, labels, classes) is None


def test_guesses_are_never_taken_for_another_order():
    """Each set of guesses fits some order; hundreds of sets are left alone."""
    random = RANDOM(7)
    sizes = [(20, 2), (40, 2), (30, 10), (100, 50)]
    claimed = [
        class_order(random.integers(0, classes, n), random.integers(0, classes, n), classes)
        for n, classes in sizes
        for _ in range(100)
    ]
    assert claimed == [None] * 400


# Targets


def test_errors_are_those_of_the_predictions_the_mean_and_the_best_line():
    random = RANDOM(0)
    targets = random.normal(20, 5, 500)
    predictions = 3 * targets + 7 + random.normal(0, 1, 500)
    [check] = target_checks(predictions[:, None].astype(np.float32), targets)
    line = LinearRegression().fit(predictions[:, None], targets)
    assert check == TargetCheck(
        None,
        pytest.approx(np.mean((predictions - targets) ** 2), rel=1e-5),
        pytest.approx(targets.var(), rel=1e-6),
        pytest.approx(np.mean((line.predict(predictions[:, None]) - targets) ** 2), rel=1e-4),
        pytest.approx(line.coef_[0], rel=1e-5),
        pytest.approx(line.intercept_, rel=1e-4),
    )


TARGETS = RANDOM(0).normal(20, 5, 500)
NOISE = RANDOM(1).normal(0, 1, 500)


@pytest.mark.parametrize(
    ("predictions", "worse_than_mean", "other_unit"),
    [
        pytest.param(TARGETS, False, False, id="equal"),
        pytest.param(TARGETS * np.float32(1 + 1e-6), False, False, id="equal but for rounding"),
        pytest.param(TARGETS + NOISE, False, False, id="good"),
        pytest.param(TARGETS * 0.9 + 2 + 3 * NOISE, False, False, id="shrunk towards the mean"),
        pytest.param(np.full(500, TARGETS.mean()), True, False, id="the mean"),
        pytest.param(20 + 8 * NOISE, True, False, id="unrelated"),
        pytest.param(1000 * (TARGETS + NOISE), True, True, id="thousandths"),
        pytest.param((TARGETS + NOISE - 20) / 5, True, True, id="standardized"),
        pytest.param(32 + 1.8 * (TARGETS + NOISE), True, True, id="Fahrenheit"),
        pytest.param(-(TARGETS + NOISE), True, True, id="the other sign"),
    ],
)
def test_what_is_suspected_of_predictions(predictions, worse_than_mean, other_unit):
    [check] = target_checks(predictions, TARGETS)
    assert (check.worse_than_mean, check.other_unit) == (worse_than_mean, other_unit)


def test_each_of_few_columns_is_looked_at():
    predictions = np.stack([TARGETS, 1000 * TARGETS, TARGETS], axis=1)
    targets = np.stack([TARGETS, TARGETS, np.ones(500)], axis=1)
    checks = target_checks(predictions, targets)
    assert [(check.column, check.other_unit) for check in checks] == [(0, False), (1, True)]  # the last is constant


@pytest.mark.parametrize(
    ("predictions", "targets"),
    [
        pytest.param(TARGETS[:19], 1000 * TARGETS[:19], id="too few"),
        pytest.param(np.where(np.arange(500) == 3, np.nan, TARGETS), TARGETS, id="a prediction is not finite"),
        pytest.param(TARGETS, np.ones(500), id="the targets are all equal"),
    ],
)
def test_targets_that_are_not_looked_at(predictions, targets):
    assert target_checks(predictions, targets) == ()


def test_many_columns_are_looked_at_as_one():
    predictions = RANDOM(2).normal(size=(50, 65))
    [check] = target_checks(predictions, predictions)
    assert (check.column, check.error) == (None, 0.0)
    assert check.mean_error == pytest.approx(predictions.var())


def test_answers_of_a_yes_or_no():
    values = np.array([[0.2], [0.9], [np.nan]], np.float32)
    assert answers_of(values, probabilities=True).tolist() == [0, 1, -1]
