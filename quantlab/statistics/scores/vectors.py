"""The values of single samples as arrays by name, from which the same values are made again without the outputs."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.scores.channels import OutputSums
from quantlab.statistics.scores.divergence import Divergences
from quantlab.statistics.scores.samples import CandidateSamples, ClassSamples, ErrorSamples, ReferenceSamples
from quantlab.types import Task

__all__ = [
    "arrays_of_samples",
    "arrays_of_sums",
    "candidate_of_arrays",
    "classes_of_arrays",
    "reference_of_arrays",
    "sums_of_arrays",
]

Arrays = Mapping[str, NDArray[Any]]

_OF_SAMPLES = (("classes", ClassSamples), ("errors", ErrorSamples), ("bounded", Divergences))

_Part = TypeVar("_Part", ClassSamples, ErrorSamples, Divergences)


def arrays_of_samples(samples: ReferenceSamples | CandidateSamples) -> dict[str, NDArray[Any]]:
    """The values of each sample by name, each (n,); of a candidate also its comparison with the reference.

    What was computed from a candidate's `ClassSamples.normalizer` alone, areas under curves, needs the outputs, too; so
    it is left out.
    """
    arrays = {
        f"{part}/{one.name}": value
        for part, kind in _OF_SAMPLES
        if (known := getattr(samples, part, None)) is not None
        for one in fields(kind)
        if (value := getattr(known, one.name)) is not None
    }
    if isinstance(samples, CandidateSamples):
        arrays.pop("classes/normalizer", None)
        arrays["max_abs"] = samples.max_abs
        arrays["non_finite"] = np.array([samples.non_finite])
        if samples.divergence is not None:
            arrays["divergence"] = samples.divergence
    return arrays


def reference_of_arrays(
    arrays: Arrays, labels: NDArray[Any] | None, *, shape: tuple[int, ...], task: Task, probabilities: bool
) -> ReferenceSamples:
    """The reference's values from its arrays, without its outputs; labels and shape are those of the judged samples.

    Raises:
        KeyError: If an array is missing.
    """
    return ReferenceSamples(
        shape=shape,
        labels=labels,
        task=task,
        probabilities=probabilities,
        classes=_part(arrays, "classes", ClassSamples),
        errors=_part(arrays, "errors", ErrorSamples),
    )


def candidate_of_arrays(arrays: Arrays) -> CandidateSamples:
    """A candidate's values from its arrays, without its outputs.

    Raises:
        KeyError: If an array is missing.
    """
    return CandidateSamples(
        max_abs=arrays["max_abs"],
        non_finite=int(arrays["non_finite"][0]),
        classes=_part(arrays, "classes", ClassSamples),
        divergence=arrays.get("divergence"),
        errors=_part(arrays, "errors", ErrorSamples),
        bounded=_part(arrays, "bounded", Divergences),
    )


def classes_of_arrays(arrays: Arrays) -> ClassSamples | None:
    """The classes alone; None if there are none."""
    return _part(arrays, "classes", ClassSamples)


def _part(arrays: Arrays, part: str, kind: type[_Part]) -> _Part | None:
    known = {one.name: arrays[f"{part}/{one.name}"] for one in fields(kind) if f"{part}/{one.name}" in arrays}
    if not known:
        return None
    if kind is ClassSamples and "normalizer" not in known:
        known["normalizer"] = np.full(len(known["top1"]), np.nan)
    try:
        return kind(**known)
    except TypeError as error:
        raise KeyError(part) from error


def arrays_of_sums(sums: OutputSums) -> dict[str, NDArray[Any]]:
    """The sums of an output by name."""
    return {one.name: np.atleast_1d(getattr(sums, one.name)) for one in fields(sums)}


def sums_of_arrays(arrays: Arrays) -> OutputSums:
    """The sums of an output from their arrays.

    Raises:
        KeyError: If an array is missing.
    """
    known: dict[str, Any] = {one.name: arrays[one.name] for one in fields(OutputSums)}
    return OutputSums(**{**known, "samples": int(known["samples"][0])})
