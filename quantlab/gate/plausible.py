"""Refuses a study's record that cannot be true: no such record may pass a gate, whoever wrote it."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.gate.kept_scores import SCORES, kept_state, row_folder
from quantlab.gate.outputs import NUMBERS
from quantlab.intact import intact_outputs
from quantlab.npy import mapped
from quantlab.samples import intact_attributes, intact_groups, intact_labels
from quantlab.store import Store
from quantlab.types import KeptOutputs, KeptScores, Study, Trial, Variant

__all__ = ["refuse_implausible"]


def refuse_implausible(study: Study, name: str = "") -> None:
    """Check what no study of quantlab contains: duplicate rows, rows without an artifact, impossible sizes.

    The name of the study is for the message.

    Raises:
        StudyError: With the row and what is wrong with it.
    """
    for problem in _problems(study):
        named = f" '{name}'" if name else ""
        raise StudyError(f"the record of the study{named} cannot be true: {problem}; run 'quantlab analyze' again")


def _problems(study: Study) -> Iterator[str]:
    rows = Counter((trial.setting, trial.runtime) for trial in study.trials)
    yield from (f"it has {n} rows of {setting} in {runtime}" for (setting, runtime), n in rows.items() if n > 1)
    if study.samples.n < 1:
        yield f"it has {study.samples.n} samples"
    if study.task != "similarity" and intact_labels(study.samples) == "damaged":
        yield "the labels of its samples are not those that were written"
    if (state := intact_attributes(study.samples)) != "intact":
        were = "are missing" if state == "missing" else "are not those that were written"
        yield f"the slices of its samples {were}"
    if intact_groups(study.samples) != "intact":
        yield "the groups of its samples are not those that were written"
    reference = _scores_of(study.reference) if study.store == "scores" else None
    if study.store == "scores":
        yield from _problems_of_scores(study.reference, study, reference, "the model itself")
    else:
        for output, file in study.reference.outputs.items():
            yield from _problems_of_file(file, study, output, "the model itself")
    measured = [trial for trial in study.trials if trial.failure is None]
    artifacts: dict[str, Variant] = {}
    for trial in measured:
        yield from _problems_of(trial, study)
        if study.store == "scores" and trial.outputs:
            yield from _problems_of_scores(trial, study, reference, f"{trial.setting} in {trial.runtime}")
        if trial.variant is not None:
            yield from _differences(artifacts.setdefault(trial.setting, trial.variant), trial.variant)


def _differences(first: Variant, other: Variant) -> Iterator[str]:
    """All rows of a setting have one artifact."""
    if first.sha256 != other.sha256:
        yield f"the rows of {first.name} have different artifacts"
    if (first.size_bytes, first.gzip_bytes) != (other.size_bytes, other.gzip_bytes):
        yield f"the rows of {first.name} have artifacts of different sizes"


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
    if file == study.reference.outputs.get(output):
        yield f"{_values(output, name, scored=scored)} are the file of the model's own outputs"
    if study.store == "outputs":
        yield from _problems_of_file(file, study, output, name)


def _scores_of(trial: Trial) -> KeptScores | None:
    folder = row_folder(trial) if trial.outputs else None
    return None if folder is None else Store(folder).read(folder / SCORES, KeptScores)


def _problems_of_scores(trial: Trial, study: Study, reference: KeptScores | None, name: str) -> Iterator[str]:
    """What is wrong with the scores that are kept of a row, or of the model itself."""
    kept = _scores_of(trial)
    if kept is None:
        yield f"the record of the scores of {name} is missing or damaged"
    elif kept_state(row_folder(trial)) == "damaged":
        yield f"the scores of {name} are not those that were written"
    elif kept.samples != study.samples.n:
        yield f"the scores of {name} are of {kept.samples:,} samples, and the study has {study.samples.n:,}"
    elif study.scored_output not in kept.outputs:
        yield f"{name} has no scores of the scored output '{study.scored_output}'"
    elif reference is not None and kept.reading != reference.reading:
        yield f"the scores of {name} were computed against other outputs of the model, or other labels"


def _problems_of_file(file: Path, study: Study, output: str, name: str) -> Iterator[str]:
    """What is wrong with the file of an output of a row, or of the model itself."""
    scored = output == study.scored_output
    values = _values(output, name, scored=scored)
    try:
        with reading(file, StudyError, "run it again"):
            array = mapped(file)
            length = len(array)
    except StudyError:  # reported where it is used
        return
    if scored and array.dtype.kind not in NUMBERS:
        yield f"{values} have the data type {array.dtype}, which no runtime gives"
    elif length != study.samples.n:
        yield f"{values} are of {length:,} samples, and the study has {study.samples.n:,}"
    else:
        yield from _changes_of_file(file, output, name, values)


def _values(output: str, name: str, *, scored: bool) -> str:
    return f"the outputs of {name}" if scored else f"the values of the output '{output}' of {name}"


def _changes_of_file(file: Path, output: str, name: str, values: str) -> Iterator[str]:
    """Compare outputs with the record that was written beside them."""
    kept = Store(file.parent).read(file.parent / "outputs.json", KeptOutputs)
    if kept is None:
        yield f"the record of the outputs of {name} is missing or damaged"
    elif intact_outputs(replace(kept, files={output: file})) == "damaged":
        yield f"{values} are not those that were written"


def _impossible_sizes(variant: Variant) -> Iterator[str]:
    sizes = {"size_bytes": variant.size_bytes, "gzip_bytes": variant.gzip_bytes, "brotli_bytes": variant.brotli_bytes}
    for name, size in sizes.items():
        if size is not None and not (math.isfinite(size) and size > 0):
            yield f"the artifact of {variant.name} has {name} = {size}"
