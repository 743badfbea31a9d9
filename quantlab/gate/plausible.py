"""Refuses a study's record that cannot be true: no such record may pass a gate, whoever wrote it."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from quantlab.errors import StudyError
from quantlab.npy import mapped
from quantlab.types import Study, Trial, Variant

__all__ = ["refuse_implausible"]

_NUMBERS = "biuf"
"""Kinds of NumPy data types that a runtime gives: bool, integers and floats."""


def refuse_implausible(study: Study) -> None:
    """Check what no study of quantlab contains: duplicate rows, rows without an artifact, impossible sizes.

    Raises:
        StudyError: With the row and what is wrong with it.
    """
    for problem in _problems(study):
        raise StudyError(f"the record of the study cannot be true: {problem}; run 'quantlab analyze' again")


def _problems(study: Study) -> Iterator[str]:
    rows = Counter((trial.setting, trial.runtime) for trial in study.trials)
    yield from (f"it has {n} rows of {setting} in {runtime}" for (setting, runtime), n in rows.items() if n > 1)
    if study.samples.n < 1:
        yield f"it has {study.samples.n} samples"
    for trial in study.trials:
        if trial.failure is None:
            yield from _problems_of(trial, study)


def _problems_of(trial: Trial, study: Study) -> Iterator[str]:
    name = f"{trial.setting} in {trial.runtime}"
    if trial.variant is None:
        yield f"{name} was measured without an artifact"
    else:
        yield from _impossible_sizes(trial.variant)
    file = trial.outputs.get(study.scored_output)
    if file is None:
        yield f"{name} has no file for the scored output '{study.scored_output}'"
    elif file.is_file() and (dtype := _dtype(file)) is not None and dtype.kind not in _NUMBERS:
        yield f"the outputs of {name} have the data type {dtype}, which no runtime gives"


def _impossible_sizes(variant: Variant) -> Iterator[str]:
    sizes = {"size_bytes": variant.size_bytes, "gzip_bytes": variant.gzip_bytes, "brotli_bytes": variant.brotli_bytes}
    for name, size in sizes.items():
        if size is not None and not (math.isfinite(size) and size > 0):
            yield f"the artifact of {variant.name} has {name} = {size}"


def _dtype(file: Path) -> np.dtype[np.generic] | None:
    """The data type of a file; None if it cannot be read, which is reported where it is used."""
    try:
        return mapped(file).dtype
    except (OSError, ValueError, EOFError):
        return None
