"""Refuses a study's record that cannot be true: no such record may pass a gate, whoever wrote it."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.models import files_sha256
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
    measured = [trial for trial in study.trials if trial.failure is None]
    artifacts: dict[str, str] = {}
    for trial in measured:
        yield from _problems_of(trial, study)
        if trial.variant and artifacts.setdefault(trial.setting, trial.variant.sha256) != trial.variant.sha256:
            yield f"the rows of {trial.setting} have different artifacts"


def _problems_of(trial: Trial, study: Study) -> Iterator[str]:
    name = f"{trial.setting} in {trial.runtime}"
    if trial.variant is None:
        yield f"{name} was measured without an artifact"
    else:
        yield from _impossible_sizes(trial.variant)
    file = trial.outputs.get(study.scored_output)
    if file is None:
        yield f"{name} has no file for the scored output '{study.scored_output}'"
        return
    if file == study.reference.outputs.get(study.scored_output):
        yield f"the outputs of {name} are the file of the model's own outputs"
    yield from _problems_of_file(file, study, name)


def _problems_of_file(file: Path, study: Study, name: str) -> Iterator[str]:
    try:
        array = mapped(file)
    except (OSError, ValueError, EOFError):  # reported where it is used
        return
    if array.dtype.kind not in _NUMBERS:
        yield f"the outputs of {name} have the data type {array.dtype}, which no runtime gives"
    elif len(array) != study.samples.n:
        yield f"the outputs of {name} are of {len(array):,} samples, and the study has {study.samples.n:,}"
    elif _is_changed(file, study.scored_output):
        yield f"the outputs of {name} are not those that were written"


def _is_changed(file: Path, output: str) -> bool:
    """Whether a file has another hash than the record beside it; older records have none."""
    try:
        stored = json.loads((file.parent / "outputs.json").read_bytes()).get("sha256", {}).get(output)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
    return stored is not None and files_sha256(file) != stored


def _impossible_sizes(variant: Variant) -> Iterator[str]:
    sizes = {"size_bytes": variant.size_bytes, "gzip_bytes": variant.gzip_bytes, "brotli_bytes": variant.brotli_bytes}
    for name, size in sizes.items():
        if size is not None and not (math.isfinite(size) and size > 0):
            yield f"the artifact of {variant.name} has {name} = {size}"
