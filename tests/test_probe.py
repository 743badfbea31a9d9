"""The probe on outputs that are made up: what labels show beyond right answers, and how seldom chance is named."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import binom

from quantlab.conventions import InputConvention
from quantlab.statistics import looks_like_probabilities
from quantlab.study.diagnosis.probe import FedConvention, try_conventions
from quantlab.study.diagnosis.truth import ClassTruth, TargetTruth
from quantlab.study.diagnosis.words import headline, note_on_resize
from quantlab.types import Diagnosis, Interval, Reproduction, TriedConvention

CLASSES = 5


@dataclass
class MadeUp:
    """Outputs of a model for each convention, in place of a model."""

    by_name: dict[str, Any]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def outputs(self, of, rows):
        outputs = self.by_name[of[1].name][rows]
        self.asked.append((of[1].name, len(outputs)))
        return outputs


def tried(truth, as_is, by_name):
    fed = [
        FedConvention("x", InputConvention("scale", name, "the samples are odd", "change them", lambda values: values))
        for name in by_name
    ]
    feeding = MadeUp(by_name)
    return try_conventions(feeding, truth, as_is, fed, lambda _: None), feeding


def named(truth, as_is, by_name):
    return {one.name: one.grounds for one in tried(truth, as_is, by_name)[0] if one.named}


def drawn(seed=0, n=400):
    """Logits that are right about 85 % of the labels, the labels, and a source of noise."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, n)
    return 2.6 * np.eye(CLASSES)[labels] + draw.normal(size=(n, CLASSES)), labels, draw


def classes(labels, outputs):
    return ClassTruth(labels, looks_like_probabilities(outputs))


FORMS = [
    pytest.param(lambda logits: softmax(logits, axis=1).astype(np.float32), id="probabilities"),
    pytest.param(lambda logits: logits.astype(np.float32), id="logits"),
    pytest.param(lambda logits: 300 + 0.01 * logits, id="scores of another scale"),
]


@pytest.mark.parametrize("form", FORMS)
def test_what_changes_few_answers_is_named_by_the_log_loss(form):
    right, labels, draw = drawn()
    worse = right + 0.45 * draw.normal(size=right.shape)
    as_is, outputs = form(worse), form(right)
    first, *_ = tried(classes(labels, as_is), as_is, {"worse still": form(worse - 0.5 * right), "right": outputs})[0]
    assert (first.name, first.grounds) == ("right", ("log-loss",))
    assert first.p > 0.01 >= first.p_log_loss
    assert first.became_right < 20


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("factor", [0.05, 0.4, 3.0])
def test_another_confidence_is_never_named(form, factor):
    """An overconfident model has a smaller plain log loss with less contrast, and its labels prove nothing by it."""
    logits, labels, _ = drawn()
    as_is = form(3 * logits)
    found, _ = tried(classes(labels, as_is), as_is, {"contrast": form(3 * factor * logits)})
    (contrast,) = (one for one in found if one.name == "contrast")
    assert not contrast.named
    same = slice(0, contrast.n)
    before = classes(labels, as_is).reading(as_is[same], same).log_loss
    assert contrast.log_loss == pytest.approx(before, abs=2e-3)


def test_a_small_gain_explains_nothing_however_certain():
    right, labels, draw = drawn(n=8_000)
    as_is = right + 0.15 * draw.normal(size=right.shape)
    found, _ = tried(classes(labels, as_is), as_is, {"brighter": right})
    assert (found[0].name, found[0].named) == ("brighter", False)
    assert found[0].p_log_loss < 0.01


def test_what_is_sure_of_fewer_right_answers_is_not_named():
    """Likelier labels, and yet more wrong answers than before."""
    logits, labels, draw = drawn(n=2000)
    as_is = np.eye(CLASSES)[logits.argmax(axis=1)] + 0.01 * draw.normal(size=logits.shape)
    other = logits.copy()
    other[:15] = -np.eye(CLASSES)[labels[:15]]
    found, _ = tried(classes(labels, as_is), as_is, {"other": other})
    assert found[0].p_log_loss < 0.01
    assert found[0].became_right < found[0].became_wrong
    assert not found[0].named


@pytest.mark.parametrize("form", FORMS[:2])  # the threshold of a single score is 0
def test_a_binary_classifier_of_one_column_too(form):
    draw = np.random.default_rng(3)
    labels = draw.integers(0, 2, 500)
    right = 3.0 * labels - 1.5 + draw.normal(size=500)
    worse = right + 1.2 * draw.normal(size=500)

    def column(scores):
        return form(np.stack([np.zeros(500), scores], axis=1))[:, 1:]

    as_is = column(worse)
    assert "log-loss" in named(classes(labels, as_is), as_is, {"right": column(right)})["right"]


def test_outputs_that_are_not_finite_do_not_stop_a_diagnosis():
    logits, labels, _ = drawn()
    as_is, spoiled = -logits, logits.copy()
    spoiled[::50] = np.nan
    nothing = np.full_like(logits, np.inf)
    found, _ = tried(classes(labels, as_is), as_is, {"nothing": nothing, "spoiled": spoiled})
    assert (found[0].name, found[0].grounds) == ("spoiled", ("answers", "log-loss"))
    assert [one.named for one in found if one.name == "nothing"] == [False]


def test_labels_beyond_the_classes_are_right_with_their_own_convention():
    logits, labels, _ = drawn()
    found, _ = tried(classes(labels + 1, logits), logits, {"turned": logits[:, ::-1]})
    assert (found[0].name, found[0].grounds) == ("labels − 1", ("answers", "log-loss"))
    assert not any(one.named for one in found if one.name == "turned")


def test_what_is_worse_or_changes_nothing_stops_after_the_first():
    logits, labels, draw = drawn()
    outputs = {"worse": draw.normal(size=logits.shape), "same": logits.copy(), "right": logits}
    _, feeding = tried(classes(labels, logits), logits, outputs)
    assert feeding.asked == [("worse", 100), ("same", 100), ("right", 100)]


def test_conventions_that_are_as_good_as_the_samples_are_rarely_named():
    """All conventions and the samples as they are are exchangeable, and skewed noise hides the same model in each."""
    diagnoses, false = 40, 0
    for seed in range(diagnoses):
        logits, labels, draw = drawn(seed, n=100)
        noisy = [logits + draw.exponential(size=logits.shape) for _ in range(7)]
        false += bool(named(classes(labels, noisy[0]), noisy[0], {f"{one}": noisy[one] for one in range(1, 7)}))
    assert false <= binom.ppf(1 - 1e-6, diagnoses, 0.01)


def test_the_tests_of_both_grounds_are_counted():
    right, labels, draw = drawn()
    as_is = right + 0.45 * draw.normal(size=right.shape)
    truth = classes(labels, as_is)
    plain = truth.p_values(truth.reading(as_is, slice(None)), truth.reading(right, slice(None)))["log-loss"]
    others = {f"other {number}": as_is[:, ::-1] for number in range(5)}
    found, _ = tried(truth, as_is, {"right": right, **others})
    # Six conventions of inputs and two of labels, each with two tests, of which this p-value is the smallest.
    assert found[0].p_log_loss == pytest.approx(plain * 2 * 8)


def test_a_regression_has_its_errors_alone():
    draw = np.random.default_rng(0)
    targets = draw.normal(size=(300, 1))
    right = targets + 0.2 * draw.normal(size=(300, 1))
    found, _ = tried(TargetTruth(targets), right + 2, {"right": right})
    assert (found[0].grounds, found[0].log_loss, found[0].p_log_loss) == (("errors",), None, None)


CONVENTION = TriedConvention(
    family="scale",
    name="0…1 → −1…1",
    input="x",
    cause="the samples are scaled to 0…1, and the model wants them scaled to −1…1",
    change="feed p / 127.5 - 1 of the pixels p",
    n=400,
    score=84.5,
    interval=Interval(81.0, 87.0, 0.95),
    became_right=22,
    became_wrong=10,
    p=0.38,
    named=True,
    log_loss=0.4282,
    p_log_loss=0.00002,
    grounds=("log-loss",),
)
DIAGNOSIS = Diagnosis(
    model="m.keras",
    data="photos",
    output="y",
    n=400,
    available=500,
    drawn="stratified, seed 0",
    metric="top1",
    score=82.4,
    interval=Interval(79.0, 85.0, 0.95),
    log_loss=0.4851,
    headline="",
    tried=(CONVENTION,),
)


def test_the_first_line_says_by_what_a_convention_is_named():
    assert headline(DIAGNOSIS) == (
        "The samples are scaled to 0…1, and the model wants them scaled to −1…1: 82.4 % [79.0, 85.0] right as they "
        "are, and 84.5 % [81.0, 87.0] right with the change. These answers alone do not show it (corrected p-value "
        "0.38), but the probabilities of the labels do: the log loss is 0.428 instead of 0.485 (corrected p-value "
        "2e-05). To correct it, feed p / 127.5 - 1 of the pixels p"
    )
    by_answers = replace(DIAGNOSIS, tried=(replace(CONVENTION, grounds=("answers", "log-loss")),))
    assert "log loss" not in headline(by_answers)


def test_what_comes_nearest_is_told_with_both_p_values():
    unnamed = replace(DIAGNOSIS, tried=(replace(CONVENTION, named=False, grounds=(), p_log_loss=0.2),))
    assert headline(unnamed).endswith(
        "(to be named, one must have a corrected p-value of at most 0.01, make a fifth of the wrong answers right or "
        "take away a twentieth of the log loss, and score above the most frequent class). Nearest to it comes '0…1 → "
        "−1…1': 22 more right and 10 more wrong, corrected p-value 0.38, and a log loss of 0.428 instead of 0.485, "
        "corrected p-value 0.2; more samples may decide, see --limit"
    )
    far = replace(CONVENTION, named=False, grounds=(), p=1.0, p_log_loss=1.0)
    assert "Nearest" not in headline(replace(DIAGNOSIS, tried=(far,)))


def test_a_resize_is_compared_by_another_command():
    nothing = replace(DIAGNOSIS, tried=())
    app = Reproduction("", "the samples as they are", None, "", 9, 0.0, 0.0, 100.0, 0, 0, 1.0, equal=True)
    assert note_on_resize(DIAGNOSIS) == []
    assert note_on_resize(replace(nothing, app=(app,))) == []
    (note,) = note_on_resize(nothing)
    assert "'quantlab diagnose m.keras --data photos --pipelines all'" in note
