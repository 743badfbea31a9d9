"""Decides which output is scored, and as which task, from the labels and the metric."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError, UsageError
from quantlab.names import nearest
from quantlab.samples import check_labels, holds_classes, labels_of, named, read_groups
from quantlab.statistics import FAMILIES, PAIRED_METRICS, OddSample, PairedMetric, family_of, paired_metric
from quantlab.types import ModelDescription, SampleSet, Task, TensorSpec

__all__ = ["NO_LOSS", "Scoring", "choose_scoring", "judged_metric", "refuse_unknown_metric", "scored_output"]

_TASKS: Mapping[str, Task | None] = {
    "classes": "classification",
    "positions": "positions",
    "numbers": "regression",
    "labels": None,
    "truth": "metric",
}
"""What a metric needs → its task; None means that the labels decide."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the outputs of every trial are scored."""

    output: TensorSpec
    task: Task
    labels: npt.NDArray[Any] | None
    metric: PairedMetric | None = None
    """The metric that was asked for; None if the labels decide, or nothing is compared with them."""
    class_names: tuple[str, ...] = ()
    """Names of the classes in the order of the labels; empty where they have none."""
    groups: npt.NDArray[np.int64] | None = None
    """(n,): group of each sample; None if samples are independent."""
    samples: SampleSet | None = None
    """The samples that are scored, by which errors name a sample; None names it by its place."""


def choose_scoring(
    model: ModelDescription,
    samples: SampleSet,
    metric: str,
    asked: str | None,
    *,
    metrics: Mapping[str, PairedMetric] = PAIRED_METRICS,
    calibration: SampleSet | None = None,
) -> Scoring:
    """Decide what is scored, before anything slow starts.

    Args:
        model: The model.
        samples: The samples that are scored.
        metric: As the user wrote it.
        asked: Name of the output, if given.
        metrics: Known metrics by name.
        calibration: Calibration samples; the ground truth of those that were set aside is checked too, since another
            seed scores them.

    Raises:
        UsageError: If the output does not exist, or the metric needs labels and there are none.
        SamplesError: If the labels do not fit the output.
    """
    output = scored_output(model, asked)
    scoring = _scoring(output, samples, metric, judged_metric(metric, metrics))
    if calibration is not None and calibration.source == samples.source:
        _check_aside(scoring, calibration)
    return replace(scoring, groups=read_groups(samples), samples=samples)


def _check_aside(scoring: Scoring, aside: SampleSet) -> None:
    """Refuse ground truth of a sample that is not scored, in a form that the metric cannot read."""
    labels = labels_of(aside)
    if labels is None or scoring.metric is None or scoring.task != "metric":
        return
    try:
        scoring.metric.accepts(labels, scoring.output.shape)
    except OddSample as error:
        raise error.named(named(aside, error.place)) from error
    except UsageError:
        return  # what is needed of all samples together, such as a box, the scored ones have


def _scoring(output: TensorSpec, samples: SampleSet, metric: str, judged: PairedMetric | None) -> Scoring:
    """How an output is scored, without the groups of the samples."""
    labels = labels_of(samples)
    if metric == "similarity" or (metric == "auto" and labels is None):
        return Scoring(output, "similarity", None)
    if labels is None:
        raise UsageError(
            f"the metric '{metric}' needs labels and '{samples.source}' has none; add them (y in a .npz, or --labels "
            f"FILE), or compare with the reference only, with --metric similarity"
        )
    if judged is not None and judged.needs == "truth":
        try:
            judged.accepts(labels, output.shape)
        except OddSample as error:
            raise error.named(named(samples, error.place)) from error
        return Scoring(output, "metric", labels, judged)
    try:
        task, labels = _by_labels(None if judged is None else _TASKS[judged.needs], metric, labels, output)
    except (SamplesError, UsageError):
        if judged is None or judged.needs != "labels":
            raise
        task = "metric"  # a function of the user may read labels that nothing else can
    return Scoring(output, task, labels, judged)


def _by_labels(
    task: Task | None, metric: str, labels: npt.NDArray[Any], output: TensorSpec
) -> tuple[Task, npt.NDArray[Any]]:
    """The task of a metric, or else that of the labels, and the labels as it needs them."""
    if labels.dtype.hasobject:
        if task is not None:
            raise UsageError(
                f"the metric '{metric}' needs labels in one array, and those of the samples are of their own shape for "
                f"each sample; choose a metric of them, such as cer, or a function of your own"
            )
        return "metric", labels
    if task is None:
        task = "classification" if labels.dtype.kind in "iu" else "regression"
    if task in {"classification", "positions"} and labels.dtype.kind in "iu":
        task = _of_samples_or_positions(task, metric, labels, output)
    labels = _fitting(labels, task, metric)
    check_labels(labels, output)
    return task, labels


def _of_samples_or_positions(task: Task, metric: str, labels: npt.NDArray[Any], output: TensorSpec) -> Task:
    """Decide whether integers are classes of samples or of positions; class numbers as outputs count as the latter.

    Raises:
        UsageError: If the metric needs the other.
    """
    numbers = holds_classes(output)
    if labels.ndim == 1 and not numbers:
        if task == "positions":
            raise UsageError(
                f"the metric '{metric}' needs a class for each position, such as a pixel or a step, and the labels are "
                f"one class for each sample; choose --metric top1"
            )
        return task
    if task == "classification" and metric not in {"auto", *(["top1"] if labels.ndim == 1 else [])}:
        why = "the labels are a class for each position" if labels.ndim > 1 else f"'{output.name}' gives class numbers"
        remedy = "position-accuracy or mean-iou" if labels.ndim > 1 else "top1"
        raise UsageError(f"the metric '{metric}' needs scores of classes for each sample, and {why}; choose {remedy}")
    return "positions"


def _fitting(labels: npt.NDArray[Any], task: Task, metric: str) -> npt.NDArray[Any]:
    """Labels as the task needs them: integers are valid numbers, but floats are not valid classes."""
    if task == "regression" and labels.dtype.kind in "iu":
        return labels.astype(np.float64)
    if task in {"classification", "positions"} and labels.dtype.kind == "f":
        raise UsageError(
            f"the metric '{metric}' needs classes and the labels are {labels.dtype.name}; give integers from 0, or "
            f"choose --metric mae"
        )
    return labels


def scored_output(model: ModelDescription, asked: str | None) -> TensorSpec:
    """The output that is scored: the one that is asked for, or the only one.

    Raises:
        UsageError: If it does not exist, or none is asked for and there are several.
    """
    by_name = {spec.name: spec for spec in model.outputs}
    if asked is None and len(by_name) == 1:
        return model.outputs[0]
    listed = ", ".join(f"'{name}'" for name in by_name)
    if asked is None:
        raise UsageError(f"'{model.path}' has the outputs {listed}; choose the scored output with --score-output")
    if asked not in by_name:
        raise UsageError(f"there is no output '{asked}'; {nearest(asked, by_name)}")
    return by_name[asked]


def refuse_unknown_metric(metric: str, metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> None:
    """Refuse an unknown metric, before anything is opened.

    Raises:
        UsageError: If there is no metric of this name, or a function of the user cannot be called.
    """
    judged_metric(metric, metrics)


def judged_metric(metric: str, metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> PairedMetric | None:
    """The requested metric; None if the labels decide, or if it is `similarity`.

    Raises:
        UsageError: If there is no metric of this name, or a function of the user cannot be called.
    """
    if metric in NO_LOSS:
        return None
    if metric not in metrics and ":" not in metric and family_of(metric) is None:
        known = [*NO_LOSS, *metrics, *(family.spelled for family in FAMILIES)]
        raise UsageError(f"there is no metric '{metric}'; {nearest(metric, known)}")
    return paired_metric(metric, metrics)


NO_LOSS = ("auto", "similarity")
"""What may be asked for instead of a metric: that the labels decide, or that the outputs are compared with the model's
alone."""
