"""Reads what a study stored of its outputs and labels, as the statistics take it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.gate.left_out import JudgedSamples
from quantlab.npy import mapped
from quantlab.samples import labels_of
from quantlab.statistics import PairedMetric, ReferenceSamples, SampleAttribute, default_metrics, paired_metric
from quantlab.types import Study

__all__ = ["judged_metrics", "mapped_file", "reference_samples", "scored_file"]

_AGAIN = "run 'quantlab analyze' again, which runs only what is missing"


def judged_metrics(
    reference: ReferenceSamples, asked: str | None, known: Mapping[str, PairedMetric]
) -> tuple[PairedMetric, ...]:
    """The metrics of samples, of which the first decides: the one that is asked for, else the default of the labels."""
    defaults = default_metrics(reference)
    if asked is None:
        return defaults
    chosen = paired_metric(asked, known)
    return (chosen, *(metric for metric in defaults if metric.name != chosen.name))


def reference_samples(study: Study, samples: JudgedSamples) -> ReferenceSamples:
    """The values of the reference's scored output for each sample, with the labels and slices of the study.

    Raises:
        StudyError: If outputs or labels are missing or damaged.
    """
    with reading(f"the labels in '{study.samples.folder}'", StudyError, _AGAIN):
        labels = None if study.task == "similarity" else labels_of(study.samples)
    try:
        labels = None if labels is None else samples.rows(labels)
        reference = ReferenceSamples.of(
            samples.rows(mapped_file(scored_file(study))),
            labels.astype(np.float64) if labels is not None and study.task == "regression" else labels,
            task=study.task,
            probabilities=study.probabilities,
            classes=study.classes,
            positions=study.positions,
        )
    except ValueError as error:
        raise StudyError(
            f"the outputs of the reference cannot be judged: {error}; run 'quantlab analyze' again"
        ) from error
    attributes = [
        SampleAttribute(one.name, one.values, samples.rows(mapped_file(study.samples.attribute_file(one))))
        for one in study.samples.attributes
    ]
    return replace(reference, class_names=study.samples.classes, attributes=tuple(attributes))


def scored_file(study: Study) -> Path:
    """The file of the reference's scored output."""
    file = study.reference.outputs.get(study.scored_output)
    if file is None:
        raise StudyError(
            f"the study has no outputs of the model for '{study.scored_output}'; run 'quantlab analyze' again"
        )
    return file


def mapped_file(path: Path) -> npt.NDArray[Any]:
    """Map a file of a study; a StudyError says what is wrong with it."""
    with reading(f"the file '{path}' of the study", StudyError, _AGAIN):
        array: npt.NDArray[Any] = mapped(path)
    return array
