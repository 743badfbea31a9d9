"""What is scored, and how: one output, and the task that labels and metric make of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.npy import mapped
from quantlab.samples import check_labels
from quantlab.statistics import PAIRED_METRICS, PairedMetric
from quantlab.types import ModelDescription, SampleSet, Task, TensorSpec

__all__ = ["Scoring", "choose_scoring", "judged_metric", "refuse_unknown_metric", "task_by_metric"]

_TASKS: Mapping[str, Task | None] = {"classes": "classification", "numbers": "regression", "labels": None}
"""What a metric needs → the task that it stands for; None goes by the labels."""


def task_by_metric(metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> dict[str, Task | None]:
    """Metric → what it compares; None, as for `auto`, goes by the labels."""
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
    """Decide what is scored before anything slow begins; `asked` names the output.

    Raises:
        UsageError: If the output names nothing, or the metric needs labels that are not there.
        SamplesError: If the labels do not fit the output.
    """
    output = _scored_output(model, asked)
    labels: npt.NDArray[Any] | None = mapped(samples.labels_file) if samples.labelled else None
    task = _task(task_by_metric(metrics)[metric], metric, labels)
    if task == "similarity":
        return Scoring(output, task, None)
    if labels is None:
        raise UsageError(
            f"the metric '{metric}' needs labels and '{samples.source}' has none; add them (y in a .npz, or --labels "
            f"FILE), or compare with the reference alone by --metric similarity"
        )
    labels = _fitting(labels, task, metric)
    check_labels(labels, output)
    return Scoring(output, task, labels)


def _fitting(labels: npt.NDArray[Any], task: Task, metric: str) -> npt.NDArray[Any]:
    """Labels as the task takes them: integers are numbers too, but numbers are no classes."""
    if task == "regression" and labels.dtype.kind in "iu":
        return labels.astype(np.float64)
    if task == "classification" and labels.dtype.kind == "f":
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
        raise UsageError(f"'{model.path}' has the outputs {listed}; choose the one that is scored with --score-output")
    if asked not in by_name:
        raise UsageError(f"there is no output '{asked}'; {nearest(asked, by_name)}")
    return by_name[asked]


def refuse_unknown_metric(metric: str, metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> None:
    """Check a metric's name before anything is opened.

    Raises:
        UsageError: If there is none of that name.
    """
    known = task_by_metric(metrics)
    if metric not in known:
        raise UsageError(f"there is no metric '{metric}'; {nearest(metric, known)}")


def _task(task: Task | None, metric: str, labels: npt.NDArray[Any] | None) -> Task:
    if task is not None:
        return task
    if labels is None:
        return "similarity" if metric == "auto" else "classification"  # which is refused for want of labels
    return "classification" if labels.dtype.kind in "iu" else "regression"


def judged_metric(metric: str, metrics: Mapping[str, PairedMetric] = PAIRED_METRICS) -> str | None:
    """The metric that was asked for, where it is one that a loss of can be judged."""
    return metric if metric in metrics else None
