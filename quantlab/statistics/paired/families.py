"""Metrics whose name holds an option, such as `top3`: a family is a function and a line of the table."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from quantlab.statistics.paired.detection import accepts_boxes, coco_map, reads_boxes
from quantlab.statistics.paired.edit_rates import accepts_sequences, edit_rate, reads_sequences
from quantlab.statistics.paired.keypoints import accepts_keypoints, pck, reads_keypoints
from quantlab.statistics.paired.top_k import top_k
from quantlab.types import Direction

__all__ = ["FAMILIES", "Accepts", "MetricFamily", "Needs", "accepts_all", "family_of"]

Needs = Literal["classes", "positions", "numbers", "labels", "truth"]
"""Kind of labels: labelled classes, a class for each position, numeric labels, any labels, or ground truth in a form
that the metric reads itself."""

Accepts = Callable[[NDArray[Any], tuple[int | None, ...]], None]
"""Refuses labels that do not fit the scored output before anything is run: a UsageError names what is wrong. The second
argument is the shape of the output, samples first, with None for open sizes."""


def accepts_all(labels: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    """`Accepts` of metrics whose labels are checked elsewhere."""


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """Metrics that differ in an option, which their name holds."""

    spelled: str
    """How names are written, for help and documentation."""
    pattern: str
    """Regular expression that matches a whole name."""
    direction: Direction
    unit: str
    needs: Needs
    compare: Callable[[str], Callable[..., Any]]
    """Function from a name to `PairedMetric.compare`."""
    accepts: Callable[[str], Accepts] = lambda _: accepts_all
    """Function from a name to `PairedMetric.accepts`."""
    reads: Callable[[str], str] = lambda _: ""
    """Function from a name to `PairedMetric.reads`."""


_RATES: dict[str, Any] = {"accepts": accepts_sequences, "reads": reads_sequences}

FAMILIES = (
    MetricFamily("topK", r"top\d{1,9}", "higher", "pt", "classes", top_k),
    MetricFamily("cer[:blank=B|:plain]", r"cer(:[^:]*)?", "lower", "pt", "truth", edit_rate, **_RATES),
    MetricFamily("wer[:space=S,…]", r"wer(:[^:]*)?", "lower", "pt", "truth", edit_rate, **_RATES),
    MetricFamily(
        "coco-map:module:function",
        r"coco-map(:.*)?",
        "higher",
        "pt",
        "truth",
        coco_map,
        accepts=accepts_boxes,
        reads=reads_boxes,
    ),
    MetricFamily("pck@T", r"pck@.*", "higher", "pt", "truth", pck, accepts=accepts_keypoints, reads=reads_keypoints),
)
"""Families, in the order of the documentation."""


def family_of(name: str) -> MetricFamily | None:
    """The family that a name belongs to."""
    return next((family for family in FAMILIES if re.fullmatch(family.pattern, name)), None)
