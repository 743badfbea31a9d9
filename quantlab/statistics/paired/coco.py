"""COCO's mean average precision from matches that pycocotools finds once, for resampled images.

pycocotools matches the boxes of each image to its ground truth. What it would accumulate over images is accumulated
here, with each image as often as it was drawn; for every image once, the result is that of `COCOeval.accumulate`.
"""

import importlib
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError

__all__ = ["IOU_THRESHOLDS", "Matches", "ranked_classes", "require_pycocotools"]

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's mean is over these."""
_RECALLS = np.linspace(0, 1, 101)
_BLOCK = 2**15
"""Number of boxes, of all resamples of a block, that are ranked at once: 0.3 MB, which a processor keeps near."""
_MOST_BOXES = 100
"""Boxes of an image and class that count, those of the highest scores."""
_WHOLE_RANGE = [0.0, np.inf]
"""Areas of boxes that count. COCO's own ends at 1e10, beyond which a wrong box would be ignored."""


def require_pycocotools() -> Any:
    """Its module `cocoeval`, an optional dependency.

    Raises:
        UsageError: If it is not installed.
    """
    try:
        return importlib.import_module("pycocotools.cocoeval")
    except ImportError as error:
        raise UsageError(
            "COCO's mean average precision needs pycocotools, which is not installed; install it with "
            "pip install 'quantlab[detection]', or choose another metric"
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The boxes of one class in all images, in falling order of their scores."""

    images: NDArray[np.intp]
    """(boxes,): the image of each."""
    true: NDArray[np.bool_]
    """(IoU thresholds, boxes): whether it was matched to ground truth that counts."""
    false: NDArray[np.bool_]
    """(IoU thresholds, boxes): whether it is wrong; a box on a crowd is neither."""
    truth: _Ints
    """(n,): number of ground-truth boxes that count in each image."""

    @classmethod
    def of(cls, found: Sequence[Any], n: int) -> Self:
        """Join what pycocotools tells of the images of a class.

        Args:
            found: Elements of `COCOeval.evalImgs`, one for each image; None of one without boxes and ground truth.
            n: Number of images.
        """
        truth = np.zeros(n, np.int64)
        there = [(place, one) for place, one in enumerate(found) if one is not None]
        for place, one in there:
            truth[place] = np.count_nonzero(np.asarray(one["gtIgnore"]) == 0)
        none = np.zeros((len(IOU_THRESHOLDS), 0))
        scores = np.concatenate([np.zeros(0), *(np.asarray(one["dtScores"], np.float64) for _, one in there)])
        images = np.repeat([place for place, _ in there], [len(one["dtScores"]) for _, one in there]).astype(np.intp)
        matched = np.concatenate([none, *(one["dtMatches"] for _, one in there)], axis=1) != 0
        ignored = np.concatenate([none, *(one["dtIgnore"] for _, one in there)], axis=1) != 0
        order = np.argsort(-scores, kind="mergesort")  # stable, as pycocotools sorts
        return cls(images[order], (matched & ~ignored)[:, order], (~matched & ~ignored)[:, order], truth)

    def average_precision(self, counts: _Ints) -> _Floats:
        """The mean over the thresholds, with each image as often as it was drawn: (resamples,).

        NaN where no ground truth was drawn.

        Args:
            counts: (resamples, n).
        """
        step = max(1, _BLOCK // max(1, self.images.size))
        blocks = [self._of_block(counts[start : start + step]) for start in range(0, len(counts), step)]
        return np.concatenate([np.zeros(0), *blocks])

    def _of_block(self, counts: _Ints) -> _Floats:
        drawn, number = counts[:, self.images], (counts * self.truth).sum(axis=1)
        needed = _needed(number)
        means, counted, seen = [], np.zeros(self.images.shape, bool), np.zeros(drawn.shape, np.int64)
        for true, false in zip(self.true, self.false, strict=True):
            if not np.array_equal(counted, true | false):  # only crowds make it differ between thresholds
                counted = true | false
                seen = (drawn * counted).cumsum(axis=1)
            means.append(_interpolated(drawn[:, true].cumsum(axis=1), seen[:, true], needed))
        return np.where(number > 0, np.mean(means, axis=0), np.nan)


def _interpolated(true: _Ints, seen: _Ints, needed: _Ints) -> _Floats:
    """Mean over 101 recalls of the greatest precision at that recall or a higher one; (resamples,).

    Only true boxes reach a recall, and a false one lowers the precision, so the greatest is that of a true box.

    Args:
        true: (resamples, true boxes): true boxes so far, at each of them.
        seen: The same for all boxes that count.
        needed: (resamples, recalls): true boxes from which each recall is reached.
    """
    precision = np.divide(true, seen, out=np.zeros(true.shape), where=seen > 0)
    greatest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    beyond = np.concatenate([greatest, np.zeros((len(greatest), 1))], axis=1)
    # One search for all rows: the numbers of each row are moved beyond those of the row before.
    apart = int(max(needed.max(initial=0), true.max(initial=0))) + 2
    rows = np.arange(len(true))[:, None]
    places = np.searchsorted((true + rows * apart).ravel(), (needed + rows * apart).ravel()).reshape(needed.shape)
    places -= rows * true.shape[1]
    return np.asarray(np.take_along_axis(beyond, places, axis=1).mean(axis=1))


def _needed(number: _Ints) -> _Ints:
    """True boxes from which each recall is reached: the least t with t / number ≥ recall, as floats compare."""
    whole = np.maximum(number, 1)[:, None]
    least: _Ints = np.ceil(_RECALLS * whole).astype(np.int64)
    least -= (least > 0) & ((least - 1) / whole >= _RECALLS)
    least += least / whole < _RECALLS
    return least


def ranked_classes(truth: Sequence[Any], boxes: Sequence[_Floats]) -> list[Matches]:
    """Match the boxes of all images to their ground truth, class by class; of classes that the ground truth holds.

    Args:
        truth: Of each image, a list of COCO annotations: `bbox` (x, y, width, height), `category_id`, `area` and
            `iscrowd`.
        boxes: Of each image, (k, 6): x, y, width, height, score, class.
    """
    judged = require_pycocotools().COCOeval(iouType="bbox")
    judged.params.iouThrs, judged.params.maxDets = IOU_THRESHOLDS, [_MOST_BOXES]
    # What `COCOeval.evaluate` does, which prints how it goes; standard output may be that of other threads.
    judged._gts = _by_class(truth)
    judged._dts = _by_class([_annotations(rows) for rows in boxes])
    classes = []
    for category in sorted({one["category_id"] for annotations in truth for one in annotations}):
        found = []
        for image in range(len(truth)):
            judged.ious = {(image, category): judged.computeIoU(image, category)}
            found.append(judged.evaluateImg(image, category, _WHOLE_RANGE, _MOST_BOXES))
        classes.append(Matches.of(found, len(truth)))
    return classes


def _by_class(side: Sequence[Sequence[dict[str, Any]]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """Annotations by image and class, as `COCOeval` holds them; their numbers begin at 1, because 0 is no match."""
    held: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    numbers = itertools.count(1)
    for image, annotations in enumerate(side):
        for one in annotations:
            held[image, one["category_id"]].append({**one, "id": next(numbers), "ignore": one["iscrowd"]})
    return held


def _annotations(boxes: _Floats) -> list[dict[str, Any]]:
    """Boxes as pycocotools reads results.

    A box that is not finite, or has a negative width or height, is wrong: it is put where nothing is. It keeps its
    rank, because one that is ranked last lowers no precision; if its score is NaN, it is ranked first.
    """
    found = []
    for *place, score, category in boxes.tolist():
        valid = bool(np.isfinite([*place, score]).all()) and min(place[2:]) >= 0
        bbox = place if valid else [-1e9, -1e9, 0.0, 0.0]
        held = {"bbox": bbox, "score": np.inf if np.isnan(score) else score, "category_id": int(category)}
        found.append({**held, "area": bbox[2] * bbox[3], "iscrowd": 0})
    return found
