"""Which task labels and outputs make, and which metrics they refuse."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from study_fixtures import a_study

from quantlab.errors import UsageError
from quantlab.ragged import objects
from quantlab.samples.origins import FILES, INDICES
from quantlab.samples.truth import save_labels
from quantlab.study.task import choose_scoring
from quantlab.types import TensorSpec

SCORES, NUMBERS = ((None, 3), "float32"), ((None,), "int64")
MAP, NUMBERS_OF_MAP, ALONE = ((None, 2, 2, 3), "float32"), ((None, 2, 2), "int32"), ((None, 4), "float32")
CLASSES, PIXELS = np.array([0, 1, 2]), np.zeros((3, 2, 2), np.int16)


@pytest.fixture
def own_boxes(tmp_path, monkeypatch):
    """A module with a function that returns boxes, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_boxes.py").write_text("def boxes(output): return output")


def scoring(folder, output, labels, metric):
    study = a_study(folder)
    samples = replace(study.samples, folder=folder, n=3, labelled=labels is not None)
    if labels is not None:
        samples = save_labels(samples, labels)
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


OWN_BOXES = (
    pytest.mark.starts_children,
    pytest.mark.skipif(find_spec("pycocotools") is None, reason="needs pycocotools, of the extra 'detection'"),
)
BOXES = objects([[{"bbox": [0, 0, 1, 1], "category_id": 1}], [], []])
WORDS = objects([np.array([1, 2]), np.zeros(0, int), np.array([0])])


@pytest.mark.usefixtures("own_boxes")
@pytest.mark.parametrize(
    ("output", "labels", "metric"),
    [
        pytest.param(SCORES, np.eye(3, dtype=int)[[0, 1, 1]], "micro-f1", id="several labels"),
        pytest.param(SCORES, CLASSES, "map", id="a class for each sample"),
        pytest.param(((None, 1), "float32"), np.array([0, 1, 1]), "micro-f1", id="labels of one class"),
        pytest.param(((None, None), "float32"), np.array([[0, 1], [1, 1], [0, 0]]), "map", id="classes not known"),
        pytest.param(((None, 9, 3), "float32"), WORDS, "cer", id="sequences of several lengths"),
        pytest.param(((None, 9), "int32"), np.array([[1, -1]] * 3), "wer:space=0", id="sequences of numbers"),
        pytest.param(((None, 2), "float32"), np.ones((3, 2)), "angular-error", id="directions"),
        pytest.param(((None, 8), "float32"), np.zeros((3, 4, 3)), "pck@0.1", id="keypoints in a row"),
        pytest.param(((None, 5, 6), "float32"), BOXES, "coco-map:own_boxes:boxes", id="boxes", marks=OWN_BOXES),
    ],
)
def test_ground_truth_that_a_metric_reads_is_accepted(output, labels, metric, tmp_path):
    chosen = scoring(tmp_path, output, labels, metric)
    assert (chosen.task, chosen.metric.name, len(chosen.labels)) == ("metric", metric, 3)


@pytest.mark.usefixtures("own_boxes")
@pytest.mark.parametrize(
    ("output", "labels", "metric", "message"),
    [
        pytest.param(
            MAP,
            np.ones((3, 3), int),
            "micro-f1",
            "a metric of several labels per sample needs outputs (n, classes), and those of the scored output are "
            "(2, 2, 3) per sample; choose another metric or --score-output",
            id="several labels of an image",
        ),
        pytest.param(
            ((None, 1), "float32"),
            np.array([0, 1, 2]),
            "map",
            "a metric of several labels per sample needs labels of 0 and 1, and those of sample 2 (counted from 0) of "
            "'x.npz' hold 2; correct them",
            id="a third number of one class",
        ),
        pytest.param(
            SCORES,
            np.array([0, 3, 1]),
            "multilabel-macro-f1",
            "a metric of several labels per sample needs labels (n, classes) of 0 and 1, and they are int64 of shape "
            "(3,); give one column for each class",
            id="a class that there is not",
        ),
        pytest.param(
            SCORES,
            np.zeros((3, 3), int),
            "map",
            "a metric of several labels per sample needs a label of 1, and all labels are 0",
            id="no label",
        ),
        pytest.param(
            SCORES,
            WORDS,
            "micro-f1",
            "a metric of several labels per sample needs labels (n, classes) of 0 and 1, and they are of another shape "
            "for each sample, with outputs of 3 classes; give one column for each class",
            id="sequences instead of columns",
        ),
        pytest.param(
            ((None, 9, 3), "float32"),
            np.zeros((3, 2)),
            "cer",
            "the metric 'cer' needs sequences of class numbers as ground truth, and the labels are float64 of shape "
            "(3, 2); give integers (n, steps) filled up with −1, or of another length for each sample (y and y_offsets "
            "in a .npz, or a .jsonl file)",
            id="sequences of floats",
        ),
        pytest.param(
            ((None, 9, 3), "float32"),
            BOXES,
            "wer:space=0",
            "the metric 'wer:space=0' needs sequences of class numbers, and the ground truth of sample 0 (counted from "
            "0) of 'x.npz' is object of shape (1,); give a list of integers from 0",
            id="boxes instead of sequences",
        ),
        pytest.param(
            ((None, 4), "float32"),
            np.ones((3, 4)),
            "angular-error",
            "the metric 'angular-error' needs outputs and labels (n, 2) or (n, 3), and the labels are of shape (3, 4) "
            "with outputs of shape (4,) per sample; give one vector for each sample",
            id="directions in four dimensions",
        ),
        pytest.param(
            ((None, 7), "float32"),
            np.zeros((3, 4, 2)),
            "pck@0.1",
            "the metric 'pck@0.1' needs labels (n, k, 2), or (n, k, 3) with 0 for points that are not labelled, and "
            "outputs (n, k, 2); they are of shape (3, 4, 2), with outputs of shape (7,) per sample",
            id="half a keypoint",
        ),
        pytest.param(
            ((None, 5, 6), "float32"),
            objects([[], [], []]),
            "coco-map:own_boxes:boxes",
            "the metric 'coco-map:own_boxes:boxes' needs a box in the ground truth, and no sample has one",
            id="no box",
            marks=OWN_BOXES,
        ),
        pytest.param(
            ((None, 5, 6), "float32"),
            BOXES,
            "coco-map:own_boxes:absent",
            "the module 'own_boxes' has no function 'absent'; choose from 'boxes'",
            id="no function",
            marks=OWN_BOXES,
        ),
    ],
)
def test_ground_truth_that_a_metric_cannot_read_is_refused(output, labels, metric, message, tmp_path):
    with pytest.raises(UsageError) as refused:
        scoring(tmp_path, output, labels, metric)
    assert str(refused.value) == message


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


ROWS, BAD = np.array([3, 41, 99]), objects([[1], [0], {"text": "no"}])
SEQUENCES = ((None, 9, 3), "float32")


def set_of(folder, labels, indices, files=None):
    """A stored set with the origins of its samples."""
    folder.mkdir()
    np.save(folder / INDICES, indices)
    if files is not None:
        (folder / FILES).write_text(json.dumps(files))
    return save_labels(replace(a_study(folder).samples, folder=folder, n=len(labels), labelled=True), labels)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        pytest.param(None, "sample 99 (counted from 0) of 'x.npz'", id="a position in the source"),
        pytest.param(["a.png", "b.png", "c/7.png"], "'c/7.png' in 'x.npz'", id="a file"),
    ],
)
@pytest.mark.parametrize("aside", [False, True])
def test_bad_ground_truth_is_named_by_its_origin_also_where_it_is_not_scored(aside, files, named, tmp_path):
    bad = set_of(tmp_path / "bad", BAD, ROWS, files)
    good = set_of(tmp_path / "good", objects([np.array([1]), np.array([0, 1])]), np.array([0, 1]))
    model = replace(a_study(tmp_path).model, outputs=(TensorSpec("out", *SEQUENCES),))
    scored, other = (good, bad) if aside else (bad, good)
    with pytest.raises(UsageError) as refused:
        choose_scoring(model, scored, "cer", None, calibration=other)
    assert str(refused.value) == (
        f"the metric 'cer' needs sequences of class numbers, and the ground truth of {named} is no list; give a list "
        f"of integers from 0"
    )


def test_ground_truth_of_other_calibration_samples_is_not_read(tmp_path):
    good = set_of(tmp_path / "good", objects([np.array([1]), np.array([0, 1])]), np.array([0, 1]))
    other = replace(set_of(tmp_path / "other", BAD, ROWS), source="other.npz")
    model = replace(a_study(tmp_path).model, outputs=(TensorSpec("out", *SEQUENCES),))
    assert choose_scoring(model, good, "cer", None, calibration=other).task == "metric"
