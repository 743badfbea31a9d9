"""Refuses a study's record that cannot be true: no such record may pass a gate, whoever wrote it."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.gate.outputs import NUMBERS
from quantlab.models import files_sha256
from quantlab.npy import mapped
from quantlab.types import Study, Trial, Variant

__all__ = ["refuse_implausible"]


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
    if trial.variant is None:
        yield f"{trial.setting} in {trial.runtime} was measured without an artifact"
    else:
        yield from _impossible_sizes(trial.variant)
    for output in dict.fromkeys((study.scored_output, *study.reference.outputs)):
        yield from _problems_of_output(output, trial, study)


def _problems_of_output(output: str, trial: Trial, study: Study) -> Iterator[str]:
    name, scored = f"{trial.setting} in {trial.runtime}", output == study.scored_output
    file = trial.outputs.get(output)
    if file is None:
        yield f"{name} has no file for the {'scored ' if scored else ''}output '{output}'"
        return
    values = f"the outputs of {name}" if scored else f"the values of the output '{output}' of {name}"
    if file == study.reference.outputs.get(output):
        yield f"{values} are the file of the model's own outputs"
    try:
        array = mapped(file)
    except (OSError, ValueError, EOFError):  # reported where it is used
        return
    if scored and array.dtype.kind not in NUMBERS:
        yield f"{values} have the data type {array.dtype}, which no runtime gives"
    elif len(array) != study.samples.n:
        yield f"{values} are of {len(array):,} samples, and the study has {study.samples.n:,}"
    elif _is_changed(file, output):
        yield f"{values} are not those that were written"


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
