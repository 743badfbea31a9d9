"""Which task labels and outputs make, and which metrics they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from study_fixtures import a_study

from quantlab.errors import UsageError
from quantlab.study.task import choose_scoring
from quantlab.types import TensorSpec

SCORES, NUMBERS = ((None, 3), "float32"), ((None,), "int64")
MAP, NUMBERS_OF_MAP, ALONE = ((None, 2, 2, 3), "float32"), ((None, 2, 2), "int32"), ((None, 4), "float32")
CLASSES, PIXELS = np.array([0, 1, 2]), np.zeros((3, 2, 2), np.int16)


def scoring(folder, output, labels, metric):
    study = a_study(folder)
    samples = replace(study.samples, folder=folder, n=3, labelled=labels is not None)
    if labels is not None:
        np.save(samples.labels_file, labels)
    model = replace(study.model, outputs=(TensorSpec("out", *output),))
    return choose_scoring(model, samples, metric, None)


@pytest.mark.parametrize(
    ("output", "labels", "metric", "task"),
    [
        pytest.param(SCORES, CLASSES, "auto", "classification", id="scores of classes"),
        pytest.param(NUMBERS, CLASSES, "auto", "positions", id="class numbers"),
        pytest.param(NUMBERS, CLASSES, "top1", "positions", id="top-1 of class numbers"),
        pytest.param(NUMBERS, CLASSES, "mae", "regression", id="numbers"),
        pytest.param(MAP, PIXELS, "auto", "positions", id="a label map"),
        pytest.param(NUMBERS_OF_MAP, PIXELS, "position-accuracy", "positions", id="class numbers of pixels"),
        pytest.param(MAP, PIXELS, "similarity", "similarity", id="labels that are not used"),
        pytest.param(ALONE, np.zeros((3, 4), np.int16), "auto", "positions", id="several yes or no"),
        pytest.param(ALONE, np.zeros((3, 4)), "auto", "regression", id="targets"),
        pytest.param(MAP, None, "auto", "similarity", id="no labels"),
    ],
)
def test_the_labels_and_the_output_decide(output, labels, metric, task, tmp_path):
    assert scoring(tmp_path, output, labels, metric).task == task


@pytest.mark.parametrize(
    ("output", "labels", "metric", "message"),
    [
        pytest.param(
            MAP,
            PIXELS,
            "top1",
            "the metric 'top1' needs scores of classes for each sample, and the labels are a class for each position; "
            "choose position-accuracy or mean-iou",
            id="top-1 of pixels",
        ),
        pytest.param(
            NUMBERS,
            CLASSES,
            "auc",
            "the metric 'auc' needs scores of classes for each sample, and 'out' gives class numbers; choose top1",
            id="a ranking of class numbers",
        ),
        pytest.param(
            SCORES,
            CLASSES,
            "mean-iou",
            "the metric 'mean-iou' needs a class for each position, such as a pixel or a step, and the labels are one "
            "class for each sample; choose --metric top1",
            id="mean IoU of samples",
        ),
        pytest.param(
            MAP,
            np.zeros((3, 2, 2, 3)),
            "position-accuracy",
            "the metric 'position-accuracy' needs classes and the labels are float64; give integers from 0, or choose "
            "--metric mae",
            id="targets",
        ),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(output, labels, metric, message, tmp_path):
    with pytest.raises(UsageError) as refused:
        scoring(tmp_path, output, labels, metric)
    assert str(refused.value) == message
