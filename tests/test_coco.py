"""COCO's mean average precision: equal to pycocotools', image by image as often as it is drawn."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from quantlab.errors import UsageError
from quantlab.ragged import objects
from quantlab.statistics import CandidateSamples, ReferenceSamples, Resampling, paired_loss, paired_metric
from quantlab.statistics.paired.coco import ranked_classes
from quantlab.statistics.paired.detection import annotations_of

evaluation = pytest.importorskip("pycocotools.cocoeval", reason="needs pycocotools, of the extra 'detection'")
COCO = pytest.importorskip("pycocotools.coco").COCO

FEW = Resampling(resamples=200)


def scene(seed, n=12, classes=3, noise=3.0):
    """Ground truth (k, 5) and boxes (k, 6) of n images, of which some are empty, missed or invented."""
    random = np.random.default_rng(seed)
    truth, boxes = [], []
    for _ in range(n):
        count = int(random.integers(0, 4))
        rows = np.column_stack([random.uniform(0, 60, (count, 2)), random.uniform(10, 40, (count, 2))])
        labels = random.integers(0, classes, count)
        found = rows + random.normal(size=rows.shape, scale=noise)
        kept = random.uniform(size=count) < 0.8
        invented = random.uniform(5, 40, (int(random.integers(0, 3)), 4))
        every = np.concatenate([found[kept], invented])
        answers = np.concatenate([labels[kept], random.integers(0, classes, len(invented))])
        scores = np.round(random.uniform(size=len(every)), 1)  # with ties
        truth.append(np.column_stack([rows, labels]))
        boxes.append(np.column_stack([every, scores, answers]))
    return truth, boxes


def as_pycocotools_says(truth, boxes):
    """`COCOeval` from the beginning to its summary, over all sizes and 100 boxes."""
    sides = []
    for side, scored in ((truth, False), (boxes, True)):
        held = COCO()
        numbered = enumerate(((image, row) for image, rows in enumerate(side) for row in rows), start=1)
        held.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": label} for label in sorted({int(row[4]) for rows in truth for row in rows})],
            "annotations": [
                {
                    "id": number,
                    "image_id": image,
                    "bbox": row[:4].tolist(),
                    "area": float(row[2] * row[3]),
                    "iscrowd": 0,
                }
                | ({"score": row[4], "category_id": int(row[5])} if scored else {"category_id": int(row[4])})
                for number, (image, row) in numbered
            ],
        }
        with contextlib.redirect_stdout(io.StringIO()):
            held.createIndex()
        sides.append(held)
    with contextlib.redirect_stdout(io.StringIO()):
        judged = evaluation.COCOeval(*sides, "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged.stats[0]


def mean_of(classes, counts):
    return np.nanmean([one.average_precision(counts) for one in classes], axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_the_mean_is_pycocotools(seed):
    truth, boxes = scene(seed)
    classes = ranked_classes(annotations_of("coco-map", objects(truth)), boxes)
    ours = mean_of(classes, np.ones((1, len(truth)), np.int64))
    assert ours == pytest.approx([as_pycocotools_says(truth, boxes)], abs=1e-12)
    assert 0.05 < ours[0] < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_an_image_drawn_twice_is_two_images(seed):
    """Scores are made different, because pycocotools orders equal ones by image."""
    truth, boxes = scene(seed)
    for place, rows in enumerate(boxes):
        rows[:, 4] += 1e-4 * place + 1e-6 * np.arange(len(rows))
    classes = ranked_classes(annotations_of("coco-map", objects(truth)), boxes)
    counts = np.random.default_rng(seed).integers(0, 3, (3, len(truth)))
    copies = [np.repeat(np.arange(len(truth)), row) for row in counts]
    expected = [as_pycocotools_says(*([side[place] for place in these] for side in (truth, boxes))) for these in copies]
    assert mean_of(classes, counts) == pytest.approx(expected, abs=1e-12)


def test_a_mean_by_hand():
    """One box is exact; the other overlaps by 60 of 140, an IoU of 0.43, so it is right nowhere: recall 1/2 at best.

    At every threshold the precision is 1 up to recall 0.5, which are 51 of the 101 recalls.
    """
    truth = [np.array([[0, 0, 10, 10, 7]]), np.array([[0, 0, 10, 10, 7]])]
    boxes = [np.array([[0, 0, 10, 10, 0.9, 7]]), np.array([[4, 0, 10, 10, 0.8, 7]])]
    classes = ranked_classes(annotations_of("coco-map", objects(truth)), boxes)
    assert mean_of(classes, np.ones((1, 2), np.int64)) == pytest.approx([51 / 101])


def test_boxes_of_a_crowd_are_neither_right_nor_wrong():
    crowd = [{"bbox": [0, 0, 10, 10], "category_id": 1, "iscrowd": 1}, {"bbox": [50, 50, 9, 9], "category_id": 1}]
    boxes = [np.array([[1, 1, 5, 5, 0.9, 1], [50, 50, 9, 9, 0.8, 1]])]
    classes = ranked_classes(annotations_of("coco-map", objects([crowd])), boxes)
    assert mean_of(classes, np.ones((1, 1), np.int64)) == pytest.approx([1.0])


def test_a_box_is_on_a_crowd_only_where_enough_of_it_is():
    """57.5 % of the first box lie on the crowd: it counts at the 8 thresholds above, where it is wrong."""
    crowd = [{"bbox": [0, 0, 10, 10], "category_id": 1, "iscrowd": 1}, {"bbox": [50, 50, 9, 9], "category_id": 1}]
    boxes = [np.array([[4.25, 0, 10, 10, 0.9, 1], [50, 50, 9, 9, 0.8, 1]])]
    classes = ranked_classes(annotations_of("coco-map", objects([crowd])), boxes)
    assert mean_of(classes, np.ones((1, 1), np.int64)) == pytest.approx([(2 * 1 + 8 * 0.5) / 10])


def test_a_box_that_is_nan_is_wrong():
    truth = annotations_of("coco-map", objects([np.array([[0, 0, 10, 10, 0]])]))
    boxes = [np.array([[np.nan, 0, 10, 10, 0.9, 0], [0, 0, 10, 10, np.nan, 0]])]
    assert mean_of(ranked_classes(truth, boxes), np.ones((1, 1), np.int64)).tolist() == [0.0]


FILLER = [50.0, 50, 10, 10, 0.5, 0]


@pytest.mark.parametrize(
    ("box", "precision"),
    [
        pytest.param([0, 0, 10, 10, 0.9, 0], 1, id="right"),
        pytest.param([np.nan, 0, 10, 10, 0.1, 0], 51 / 101, id="NaN, and ranked last"),
        pytest.param([np.nan, 0, 10, 10, 0.9, 0], 51 / 101 / 2, id="NaN, and ranked first"),
        pytest.param([0, 0, -10, 10, 0.9, 0], 51 / 101 / 2, id="a negative width"),
        pytest.param([10, 10, -10, -10, 0.9, 0], 51 / 101 / 2, id="a negative width and height"),
        pytest.param([0, 0, 0, 10, 0.9, 0], 51 / 101 / 2, id="no width"),
        pytest.param([0, 0, 2e5, 2e5, 0.9, 0], 51 / 101 / 2, id="larger than COCO's range of areas"),
        pytest.param([0, 0, 10, 10, np.nan, 0], 51 / 101 / 2, id="a score of NaN is ranked first"),
        pytest.param([0, 0, 10, 10, -np.inf, 0], 51 / 101, id="a score of minus infinity is ranked last"),
    ],
)
def test_a_box_that_is_none_is_wrong_at_its_rank(box, precision):
    """By hand: one of two boxes is found at score 0.5, up to recall 1/2, with a wrong one before it or after it."""
    truth = annotations_of("coco-map", objects([np.array([[0, 0, 10, 10, 0], [50, 50, 10, 10, 0]])]))
    classes = ranked_classes(truth, [np.array([box, FILLER])])
    assert mean_of(classes, np.ones((1, 1), np.int64)) == pytest.approx([precision])


MODULE = """
    import numpy as np

    def boxes(output): return output[output[:, 4] > 0]
    def raising(output): raise KeyError("scores")
    def nothing(output): return None
    def five(output): return output[:, :5]
    def random(output): return np.random.default_rng().uniform(size=(2, 6)).round()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own_boxes.py").write_text(textwrap.dedent(MODULE))


def loss_of(name, truth, reference, candidate):
    known = ReferenceSamples.of(reference, objects(truth), task="metric", probabilities=False, classes=False)
    return paired_loss(paired_metric(name), known, CandidateSamples.of(known, candidate), FEW)


def padded(boxes, most=8):
    outputs = np.full((len(boxes), most, 6), -1.0)
    for place, rows in enumerate(boxes):
        outputs[place, : len(rows)] = rows
    return outputs


@pytest.mark.starts_children
@pytest.mark.usefixtures("module")
def test_the_loss_of_noisy_boxes_has_an_interval():
    truth, boxes = scene(0, n=60, noise=0.5)
    for rows in boxes:
        rows[:, 4] += 0.01  # a score of zero fills up an output
    reference = padded(boxes)
    candidate = reference + np.random.default_rng(1).normal(size=reference.shape) * [2, 2, 2, 2, 0, 0]
    loss = loss_of("coco-map:own_boxes:boxes", truth, reference, candidate)
    assert loss.reference == pytest.approx(100 * as_pycocotools_says(truth, boxes), abs=1e-9)
    noisy = [rows[rows[:, 4] > 0] for rows in candidate]
    assert loss.candidate == pytest.approx(100 * as_pycocotools_says(truth, noisy), abs=1e-9)
    assert (loss.metric, loss.unit, loss.n) == ("coco-map:own_boxes:boxes", "pt", 60)
    assert 0 < loss.lower < loss.loss < loss.upper


@pytest.mark.starts_children
@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "raising",
            "the function 'own_boxes:raising' raised KeyError ('scores') on the output of sample 0, of shape (8, 6); "
            "call it directly to see where",
            id="raises",
        ),
        pytest.param(
            "nothing",
            "the function 'own_boxes:nothing' returned None for sample 0; it must return boxes (k, 6): x, y, width, ",
            id="None",
        ),
        pytest.param(
            "five",
            "the function 'own_boxes:five' returned an array of shape (8, 5) for sample 0; it must",
            id="without classes",
        ),
        pytest.param(
            "random",
            "'own_boxes:random' gave other boxes for the output of sample 0 (counted from 0) when it was called "
            "again; remove",
            id="random",
        ),
        pytest.param("absent", "the module 'own_boxes' has no function 'absent'", id="not there"),
    ],
)
def test_what_a_function_must_not_do(name, message):
    truth, boxes = scene(0, n=4)
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        loss_of(f"coco-map:own_boxes:{name}", truth, padded(boxes), padded(boxes))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(np.zeros((2, 4)), "its shape is (2, 4)", id="no classes"),
        pytest.param([{"bbox": [0, 0, 1]}], "'category_id'", id="no category"),
        pytest.param([{"bbox": [0, 0, 1], "category_id": 1}], "the box [0.0, 0.0, 1.0] is no finite", id="no height"),
        pytest.param([{"bbox": [0, 0, -1, 1], "category_id": 1}], "the box [0.0, 0.0, -1.0, 1.0] is no", id="negative"),
        pytest.param(np.array([[0, 0, 1, 1, 0.5]]), "the class 0.5 is no whole number", id="half a class"),
        pytest.param(
            [{"bbox": [0, 0, 1, 1], "category_id": 1, "area": -1}],
            "the area -1.0 is no finite number from 0",
            id="a negative area",
        ),
        pytest.param(
            [{"bbox": [0, 0, 1, 1], "category_id": 1, "area": float("nan")}],
            "the area nan is no finite number from 0",
            id="an area of NaN",
        ),
        pytest.param(
            [{"bbox": [0, 0, 1, 1], "category_id": 1, "iscrowd": 2}],
            "iscrowd is 2 and neither 0 nor 1",
            id="a crowd that is neither",
        ),
        pytest.param("boxes", "could not convert string to float: 'boxes'", id="text"),
    ],
)
def test_ground_truth_that_is_none_is_named(value, reason):
    message = (
        f"the metric 'coco-map' needs boxes as ground truth, and that of sample 1 (counted from 0) is none ({reason}"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        annotations_of("coco-map", objects([[], value]))


CROWD = {"bbox": [0, 0, 10, 10], "category_id": 1, "iscrowd": 1}


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        pytest.param([[], []], "needs a box in the ground truth, and no sample has one", id="no box"),
        pytest.param(
            [[CROWD], []],
            "needs a box in the ground truth that is no crowd, and every box has iscrowd 1; give boxes of single "
            "objects",
            id="crowds alone",
        ),
    ],
)
def test_ground_truth_without_a_box_that_counts_is_refused(truth, message):
    with pytest.raises(UsageError) as refused:
        annotations_of("coco-map", objects(truth))
    assert str(refused.value) == f"the metric 'coco-map' {message}"


def test_a_name_without_a_function_is_refused():
    message = "the metric 'coco-map' names no function that turns outputs into boxes; write coco-map:module:function"
    with pytest.raises(UsageError, match=f"^{message}$"):
        paired_metric("coco-map")
