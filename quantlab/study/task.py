"""Decides which output is scored, and as which task, from the labels and the metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.npy import mapped
from quantlab.samples import check_labels, holds_classes
from quantlab.statistics import PAIRED_METRICS, PairedMetric
from quantlab.types import ModelDescription, SampleSet, Task, TensorSpec

__all__ = ["Scoring", "choose_scoring", "judged_metric", "refuse_unknown_metric", "task_by_metric"]

_TASKS: Mapping[str, Task | None] = {
    "classes": "classification",
    "positions": "positions",
    "numbers": "regression",
    "labels": None,
}
"""What a metric needs → its task; None means that the labels decide."""


def task_by_metric(metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> dict[str, Task | None]:
    """Metric → its task; None, as for `auto`, means that the labels decide."""
    judged = {name: _TASKS[metric.needs] for name, metric in metrics.items()}
    return {"auto": None, **judged, "similarity": "similarity"}


@dataclass(frozen=True, slots=True)
class Scoring:
    """How the outputs of every trial are scored."""

    output: TensorSpec
    task: Task
    labels: npt.NDArray[Any] | None


def choose_scoring(
    model: ModelDescription,
    samples: SampleSet,
    metric: str,
    asked: str | None,
    *,
    metrics: Mapping[str, PairedMetric] = PAIRED_METRICS,
) -> Scoring:
    """Decide what is scored, before anything slow starts; `asked` is the name of the output, if given.

    Raises:
        UsageError: If the output does not exist, or the metric needs labels and there are none.
        SamplesError: If the labels do not fit the output.
    """
    output = _scored_output(model, asked)
    labels: npt.NDArray[Any] | None = mapped(samples.labels_file) if samples.labelled else None
    task = _task(task_by_metric(metrics)[metric], metric, labels)
    if labels is not None and task in {"classification", "positions"} and labels.dtype.kind in "iu":
        task = _of_samples_or_positions(task, metric, labels, output)
    if task == "similarity":
        return Scoring(output, task, None)
    if labels is None:
        raise UsageError(
            f"the metric '{metric}' needs labels and '{samples.source}' has none; add them (y in a .npz, or --labels "
            f"FILE), or compare with the reference only, with --metric similarity"
        )
    labels = _fitting(labels, task, metric)
    check_labels(labels, output)
    return Scoring(output, task, labels)


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


def _scored_output(model: ModelDescription, asked: str | None) -> TensorSpec:
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
        UsageError: If there is no metric of this name.
    """
    known = task_by_metric(metrics)
    if metric not in known:
        raise UsageError(f"there is no metric '{metric}'; {nearest(metric, known)}")


def _task(task: Task | None, metric: str, labels: npt.NDArray[Any] | None) -> Task:
    if task is not None:
        return task
    if labels is None:
        return "similarity" if metric == "auto" else "classification"  # refused later, because labels are missing
    return "classification" if labels.dtype.kind in "iu" else "regression"


def judged_metric(metric: str, metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> str | None:
    """The requested metric if its loss can be judged, else None."""
    return metric if metric in metrics else None
