"""What is said about a reference that its labels do not suit: whole sentences for what was found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared_study import again
from study_fixtures import a_study

from quantlab.cli import run
from quantlab.store import Store
from quantlab.study.suspicions import sane, unstable_reference
from quantlab.types import (
    ChanceCheck,
    ClassOrder,
    Interval,
    Preprocessing,
    ReferenceCheck,
    TargetCheck,
    TrainingLayer,
)

GOOD = ReferenceCheck(again=0.0, single=0.0)
LABELS = np.arange(1000) % 3


def samples(*classes):
    return replace(a_study(Path()).samples, classes=classes)


@pytest.mark.parametrize(
    ("check", "classes", "sentences"),
    [
        pytest.param(GOOD, (), [], id="nothing"),
        pytest.param(
            replace(GOOD, chance=ChanceCheck(33.0, Interval(26.9, 39.8), 33.5, 2)),
            (),
            [
                (
                    "the model itself is right on 33.0 % of the samples, and always answering class 2 would be "
                    "right on 33.5 %; check that the samples are preprocessed as in training (scale 0–255 or "
                    "0–1, mean, colour order) and that the labels have the order of the outputs; 'quantlab diagnose' "
                    "tries which of these it is"
                )
            ],
            id="near chance",
        ),
        pytest.param(
            replace(GOOD, chance=ChanceCheck(80.0, Interval(37.6, 96.4), 60.0, 0)),
            (),
            [
                (
                    "the model itself is right on 80.0 % of the samples, and always answering class 0 would be right "
                    "on 60.0 %, which so few samples do not tell apart; give more samples, or check that the samples "
                    "are preprocessed as in training (scale 0–255 or 0–1, mean, colour order) and that the labels have "
                    "the order of the outputs; 'quantlab diagnose' tries which of these it is"
                )
            ],
            id="too few samples",
        ),
        pytest.param(replace(GOOD, chance=ChanceCheck(90.0, Interval(88, 92), 33.5, 2)), (), [], id="above chance"),
        pytest.param(
            replace(GOOD, class_order=ClassOrder((2, 0, 1), 36.7, 94.2)),
            ("moon", "star", "sun"),
            [
                (
                    "the model itself is right on 36.7 % of the samples, and would be right on 94.2 % if the "
                    "classes were in another order, 'sun', 'moon', 'star'; if the model was trained with this "
                    "order, give it with --classes sun,moon,star, or as 'classes' in quantlab.toml"
                )
            ],
            id="folders in another order",
        ),
        pytest.param(
            replace(GOOD, class_order=ClassOrder((1, 0), 6.7, 94.2)),
            ("cat", "hot dog"),
            [
                (
                    "the model itself is right on 6.7 % of the samples, and would be right on 94.2 % if the classes "
                    "were in another order, 'hot dog', 'cat'; if the model was trained with this order, give it with "
                    "--classes 'hot dog,cat', or as 'classes' in quantlab.toml"
                )
            ],
            id="a folder with a space",
        ),
        pytest.param(
            replace(GOOD, class_order=ClassOrder((1, 0), 6.7, 94.2)),
            ("cat", "dog, hot"),
            [
                (
                    "the model itself is right on 6.7 % of the samples, and would be right on 94.2 % if the classes "
                    "were in another order, 'dog, hot', 'cat'; if the model was trained with this order, give it as "
                    "'classes' in quantlab.toml"
                )
            ],
            id="a folder with a comma",
        ),
        pytest.param(
            replace(GOOD, class_order=ClassOrder((2, 0, 1, 3), 0.0, 90.0)),
            ("moon", "star", "sun"),
            [
                (
                    "the model itself is right on 0.0 % of the samples, and would be right on 90.0 % if the "
                    "classes were in another order: output 0 answers to 'sun', output 1 answers to 'moon' "
                    "and output 2 answers to 'star'; number the labels in the order of the model's outputs"
                )
            ],
            id="fewer folders than outputs",
        ),
        pytest.param(
            replace(GOOD, class_order=ClassOrder((*range(1, 9), 0), 0.0, 90.0)),
            (),
            [
                (
                    "the model itself is right on 0.0 % of the samples, and would be right on 90.0 % if the "
                    "classes were in another order: output 0 answers to label 1, output 1 answers to label 2, "
                    "output 2 answers to label 3, output 3 answers to label 4, output 4 answers to label 5, "
                    "output 5 answers to label 6 and 3 more; number the labels in the order of the model's "
                    "outputs"
                )
            ],
            id="numbers in another order",
        ),
        pytest.param(
            replace(GOOD, targets=(TargetCheck(None, 900.0, 25.0, 1.0, 0.00123456, -3.5),)),
            (),
            [
                (
                    "the targets seem to be in another unit than the model's predictions: RMSE 30, where "
                    "0.001235 × prediction − 3.5 has 1 and the mean of the targets 5; give the targets in the "
                    "unit that the model was trained with"
                )
            ],
            id="another unit",
        ),
        pytest.param(
            replace(
                GOOD,
                targets=(
                    TargetCheck(0, 1.0, 25.0, 0.9, 1.0, 0.0),
                    TargetCheck(1, 900.0, 25.0, 1.0, 2.0, 0.5),
                    TargetCheck(2, 36.0, 25.0, 24.0, 0.1, 0.0),
                ),
            ),
            (),
            [
                (
                    "the targets seem to be in another unit than the model's predictions: column 1 has RMSE "
                    "30, where 2 × prediction + 0.5 has 1 and the mean of the targets 5; give the targets in "
                    "the unit that the model was trained with"
                ),
                (
                    "the model itself predicts the targets no better than their mean does: column 2 has RMSE "
                    "6, where the mean has 5; check that the samples are preprocessed as in training, and that "
                    "the targets belong to this output"
                ),
            ],
            id="columns",
        ),
        pytest.param(
            replace(GOOD, targets=tuple(TargetCheck(column, 36.0, 25.0, 24.0, 0.1, 0.0) for column in range(5))),
            (),
            [
                (
                    "the model itself predicts the targets no better than their mean does: column 0 has RMSE "
                    "6, where the mean has 5; column 1 has RMSE 6, where the mean has 5; column 2 has RMSE 6, "
                    "where the mean has 5; and 2 more; check that the samples are preprocessed as in "
                    "training, and that the targets belong to this output"
                )
            ],
            id="many columns",
        ),
    ],
)
def test_what_is_said_of_what_was_found(check, classes, sentences):
    assert sane(check, samples(*classes), None if check.targets else LABELS) == sentences


def test_samples_of_one_class_are_said_to_be():
    assert sane(GOOD, samples(), np.full(1000, 4)) == [
        "all 1,000 samples are of class 4, so nothing is known about the other classes; give samples of every class"
    ]


# Folders whose names are words

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""In the order of the outputs; sorted, only a few are where they were."""

ORDER = (
    "if the classes were in another order, 'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', "
    "'nine'; if the model was trained with this order, give it with --classes "
    "zero,one,two,three,four,five,six,seven,eight,nine, or as 'classes' in quantlab.toml"
)


@pytest.fixture
def pictures(place: Path) -> Path:
    """The digits as images, in one folder for each."""
    with np.load(place / "digits.npz") as held:
        for number, (pixels, label) in enumerate(zip(held["x"], held["y"], strict=True)):
            folder = place / "pictures" / WORDS[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(pixels).reshape(8, 8).astype(np.uint8)).save(folder / f"{number:05}.png")
    return place


@pytest.mark.starts_children
def test_an_order_of_folders_is_named_and_mended(pictures, monkeypatch):
    asked = {"data": "pictures", "settings": ("tfjs-uint8",), "runtimes": ("python",), "out": Path("words.study")}
    study, _ = again(pictures, **asked)
    check = study.reference_check
    assert study.samples.classes == tuple(sorted(WORDS))
    assert [study.samples.classes[label] for label in check.class_order.labels] == list(WORDS)
    assert study.warnings == (
        (
            f"the model itself is right on {check.class_order.top1:.1f} % of the samples, and would be right on "
            f"{check.class_order.reordered_top1:.1f} % {ORDER}"
        ),
    )
    monkeypatch.chdir(pictures)
    assert run(["gate", "words.study", "--max-accuracy-loss", "5pt"]) == 2

    mended, _ = again(pictures, **asked, preprocessing=Preprocessing(classes=WORDS))
    assert (mended.warnings, mended.samples.classes) == ((), WORDS)
    assert mended.reference.scores.top1 > 95
    assert mended.reference.scores.top1 == pytest.approx(check.class_order.reordered_top1, abs=2)
    assert mended.samples.preprocessing.endswith(
        "classes in the order 'zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'"
    )
    assert Store(pictures / "words.study").read_study().reference_check.class_order is None
    assert run(["gate", "words.study", "--max-accuracy-loss", "5pt"]) == 0


def test_a_state_is_not_taken_for_a_random_op():
    """What changes between two calls of the model, and what to do about it."""
    lstm = TrainingLayer("lstm", "LSTM", "changes its own state (AssignVariableOp)", ("state",))
    (sentence,) = unstable_reference(ReferenceCheck(again=0.03, single=0.0, layers=(lstm,)), {})
    assert sentence == (
        "the model is not repeatable: a second call on the same samples gives other outputs (by up to 3 % of the "
        "largest output), because of 'lstm' (LSTM, changes its own state (AssignVariableOp)); build these layers "
        "without a state (stateful=False) and save the model again, because every sample is scored alone, and what ran "
        "before it changes every figure below"
    )
