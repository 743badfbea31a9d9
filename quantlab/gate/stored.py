"""Reads what a study stored of its outputs and labels, as the statistics take it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.gate.kept_scores import RowScores
from quantlab.gate.left_out import JudgedSamples
from quantlab.npy import mapped
from quantlab.samples import labels_of
from quantlab.statistics import (
    CandidateSamples,
    PairedMetric,
    ReferenceSamples,
    SampleAttribute,
    default_metrics,
    paired_metric,
    scored_samples,
)
from quantlab.types import Study, Trial

__all__ = [
    "candidate_samples",
    "finite_rows",
    "judged_metrics",
    "mapped_file",
    "reference_samples",
    "scored_file",
]

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


def finite_rows(study: Study) -> npt.NDArray[np.bool_]:
    """(n,), whether a sample is scored: whether the model is finite on it, see `scored_samples`.

    Raises:
        StudyError: If outputs, or the scores that are kept of them, are missing or damaged.
    """
    if study.store == "scores":
        return RowScores.of(study.reference).judged
    return scored_samples(mapped_file(scored_file(study)), study.non_finite)


def candidate_samples(
    study: Study, trial: Trial, reference: ReferenceSamples, samples: JudgedSamples
) -> CandidateSamples:
    """The values of a measured row's scored output for each judged sample.

    Raises:
        StudyError: If outputs, or the scores that are kept of them, are missing, damaged or of another shape.
    """
    where = f"{trial.setting} in {trial.runtime}"
    if study.store == "scores":
        kept = RowScores.of(trial).candidate()
        if len(kept.max_abs) != reference.n:
            raise StudyError(
                f"the scores of {where} are of {len(kept.max_abs):,} samples, and those of the reference of "
                f"{reference.n:,}; run 'quantlab analyze' again"
            )
        return kept
    outputs = mapped_file(trial.outputs[study.scored_output])
    expected = (len(samples.finite), *reference.shape[1:])
    if outputs.shape != expected:
        raise StudyError(
            f"the outputs of {where} have the shape {outputs.shape}, and those of the reference {expected}; run "
            f"'quantlab analyze' again"
        )
    return CandidateSamples.of(reference, samples.rows(outputs))


def reference_samples(study: Study, samples: JudgedSamples) -> ReferenceSamples:
    """The values of the reference's scored output for each sample, with the labels and slices of the study.

    Raises:
        StudyError: If outputs or labels are missing or damaged.
    """
    with reading(f"the labels in '{study.samples.folder}'", StudyError, _AGAIN):
        labels = None if study.task == "similarity" else labels_of(study.samples)
    try:
        labels = None if labels is None else samples.rows(labels)
        labels = labels.astype(np.float64) if labels is not None and study.task == "regression" else labels
        reference = _kept(study, labels) if study.store == "scores" else _computed(study, labels, samples)
    except ValueError as error:
        raise StudyError(
            f"the outputs of the reference cannot be judged: {error}; run 'quantlab analyze' again"
        ) from error
    attributes = [
        SampleAttribute(one.name, one.values, samples.rows(mapped_file(study.samples.attribute_file(one))))
        for one in study.samples.attributes
    ]
    return replace(reference, class_names=study.samples.classes, attributes=tuple(attributes))


def _computed(study: Study, labels: npt.NDArray[Any] | None, samples: JudgedSamples) -> ReferenceSamples:
    return ReferenceSamples.of(
        samples.rows(mapped_file(scored_file(study))),
        labels,
        task=study.task,
        probabilities=study.probabilities,
        classes=study.classes,
        positions=study.positions,
    )


def _kept(study: Study, labels: npt.NDArray[Any] | None) -> ReferenceSamples:
    """The same from what is kept of the outputs.

    Raises:
        StudyError: If the labels are of other samples than the scores.
    """
    row = RowScores.of(study.reference)
    if labels is not None and len(labels) != row.record.judged:
        raise StudyError(
            f"there are scores of {row.record.judged:,} samples and labels of {len(labels):,}, because the model is "
            f"not finite on the others; run 'quantlab analyze' again with --store outputs"
        )
    return row.reference(labels, task=study.task, probabilities=study.probabilities, scored=study.scored_output)


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
