"""COCO's mean average precision of detections: `coco-map:module:function`, whose function turns outputs into boxes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.paired.coco import Matches, ranked_classes, require_pycocotools
from quantlab.statistics.paired.confusion import of_rarest
from quantlab.statistics.paired.odd_sample import OddSample
from quantlab.statistics.paired.weighted import Weighted
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.user_functions import CalledDecoder

__all__ = ["accepts_boxes", "annotations_of", "coco_map", "reads_boxes"]

_Floats = NDArray[np.float64]


def coco_map(name: str) -> Callable[[ReferenceSamples, CandidateSamples], Weighted]:
    """Function that compares COCO's mean average precision: over IoU 0.50 to 0.95, 101 recalls and all classes.

    (Lin et al. 2014, Microsoft COCO; the average is that of `COCOeval`.) The function of the user, `module:function`,
    takes the output of one sample and returns boxes (k, 6): x, y, width, height, score, class; one that is not finite,
    or has a negative width or height, is wrong. Ground truth of a sample is an array (k, 5): x, y, width, height,
    class, or a list of COCO annotations. Images are resampled.
    """
    function = _function(name)

    def compare(reference: ReferenceSamples, candidate: CandidateSamples) -> Weighted:
        truth = annotations_of(name, np.asarray(reference.labels))
        with CalledDecoder(function, UsageError) as decoder:
            boxes, again = (decoder(reference.outputs) for _ in range(2))
            _refuse_other(function, boxes, again)
            if candidate.outputs is reference.outputs:
                ranked = ranked_classes(truth, boxes)
                return _weighted(ranked, ranked, len(truth))
            of_candidate = decoder(candidate.outputs)
        return _weighted(ranked_classes(truth, boxes), ranked_classes(truth, of_candidate), len(truth))

    return compare


def _weighted(reference: list[Matches], candidate: list[Matches], n: int) -> Weighted:
    def value(counts: NDArray[np.int64]) -> tuple[_Floats, _Floats]:
        means = []
        for side in (reference, candidate):
            precisions = np.stack([one.average_precision(counts) for one in side])
            there = np.isfinite(precisions)  # a class without ground truth in a resample is left out of both sides
            with np.errstate(invalid="ignore"):
                means.append(np.where(there, precisions, 0).sum(axis=0) / there.sum(axis=0))
        return means[0], means[1]

    holding = np.array([np.count_nonzero(one.truth) for one in reference])
    read = sum(one.true.size for side in (reference, candidate) for one in side)
    return Weighted(n=n, value=value, unseen=of_rarest(holding[holding > 0], n), cost=1 + read // n)


def _refuse_other(function: str, boxes: list[_Floats], again: list[_Floats]) -> None:
    for place, (one, other) in enumerate(zip(boxes, again, strict=True)):
        if one.shape != other.shape or not np.array_equal(one, other, equal_nan=True):
            raise OddSample(
                f"'{function}' gave other boxes for the output of",
                place,
                " when it was called again; remove what is random in it, or give it a seed",
            )


def _function(name: str) -> str:
    """The function in a metric's name.

    Raises:
        UsageError: If there is none.
    """
    _, _, function = name.partition(":")
    if function.count(":") != 1 or function.startswith(":") or function.endswith(":"):
        raise UsageError(
            f"the metric '{name}' names no function that turns outputs into boxes; write coco-map:module:function"
        )
    return function


def accepts_boxes(name: str) -> Callable[[NDArray[Any], tuple[int | None, ...]], None]:
    """`Accepts` of this metric; the function is imported, and pycocotools must be there."""
    function = _function(name)

    def accepts(labels: NDArray[Any], shape: tuple[int | None, ...]) -> None:
        del shape  # the function knows what it reads
        require_pycocotools()
        annotations_of(name, labels)
        CalledDecoder(function, UsageError).close()

    return accepts


def reads_boxes(name: str) -> str:
    """How outputs are read, for the footer."""
    return f"boxes by {_function(name)}, IoU 0.50 to 0.95, at most 100 boxes of an image and class"


def annotations_of(name: str, labels: NDArray[Any]) -> list[list[dict[str, Any]]]:
    """Ground truth as COCO annotations, for each sample.

    Raises:
        UsageError: If that of a sample has another form, and the message names the first; or if there is no box but
            those of crowds, which count neither as found nor as missed.
    """
    truth = []
    for place, value in enumerate(labels):
        try:
            truth.append(_annotations(value))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise OddSample(
                f"the metric '{name}' needs boxes as ground truth, and that of",
                place,
                f" is none ({error}); give (k, 5) of x, y, width, height, class, or a list of COCO annotations",
            ) from error
    if not any(truth):
        raise UsageError(f"the metric '{name}' needs a box in the ground truth, and no sample has one")
    if all(one["iscrowd"] for annotations in truth for one in annotations):
        raise UsageError(
            f"the metric '{name}' needs a box in the ground truth that is no crowd, and every box has iscrowd 1; give "
            f"boxes of single objects"
        )
    return truth


def _annotations(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return [_annotation(one["bbox"], one["category_id"], one.get("area"), one.get("iscrowd", 0)) for one in value]
    rows = np.asarray(value, np.float64)
    if rows.size == 0:
        return []
    if rows.ndim != 2 or rows.shape[1] != 5:
        raise ValueError(f"its shape is {rows.shape}")
    return [_annotation(row[:4], row[4], None, 0) for row in rows]


def _annotation(bbox: Any, category: Any, area: Any, crowd: Any) -> dict[str, Any]:
    place = [float(number) for number in bbox]
    if len(place) != 4 or not np.isfinite(place).all() or min(place[2:]) < 0:
        raise ValueError(f"the box {place} is no finite x, y, width, height")
    if float(category) != int(category):
        raise ValueError(f"the class {category} is no whole number")
    size = place[2] * place[3] if area is None else float(area)
    if not np.isfinite(size) or size < 0:
        raise ValueError(f"the area {size} is no finite number from 0")
    if crowd not in {0, 1}:
        raise ValueError(f"iscrowd is {crowd} and neither 0 nor 1")
    return {"bbox": place, "category_id": int(category), "area": size, "iscrowd": int(crowd)}
