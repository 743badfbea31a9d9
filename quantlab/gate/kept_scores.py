"""The scores of a row that are kept instead of its outputs: values of single samples, and sums of every output.

They are two files beside `outputs.json`: the values, and a record with their hash. Every figure of a verdict is
computed from them as from the outputs, to the last digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.intact import intact_files
from quantlab.models import files_sha256
from quantlab.npy import Vectors, equal_bytes, mapped, write_vectors
from quantlab.statistics import (
    CandidateSamples,
    ClassSamples,
    ErrorRows,
    OutputSums,
    PairedMetric,
    ReferenceSamples,
    arrays_of_samples,
    arrays_of_sums,
    candidate_of_arrays,
    classes_of_arrays,
    most_changed,
    most_changed_element,
    reference_of_arrays,
    sample_moves,
    sum_channels,
    sums_of_arrays,
)
from quantlab.store import Store
from quantlab.types import FileState, KeptOutput, KeptScores, SampleKind, Study, Trial

__all__ = [
    "SCORES",
    "RowScores",
    "are_gone",
    "kept_state",
    "refuse_scores_only",
    "row_folder",
    "values_of_candidate",
    "values_of_reference",
    "write_row",
]

SCORES = "scores.json"
"""The record of a row's scores, beside the file of its values."""

_VALUES = "scores.npz"
_NUMBERS = "biuf"
_KINDS: tuple[SampleKind, ...] = ("became worse", "became better", "moved")

Array = npt.NDArray[Any]


def row_folder(trial: Trial) -> Path:
    """The folder of a measured row's outputs, or of what is kept of them."""
    return next(iter(trial.outputs.values())).parent


def refuse_scores_only(study: Study, what: str) -> None:
    """Refuse what reads whole outputs, of a study that keeps scores only.

    Args:
        study: The study.
        what: What reads them, as the subject of a sentence: `an export of test vectors`.

    Raises:
        StudyError: If the study has no outputs.
    """
    if study.store == "scores":
        raise StudyError(
            f"{what} reads the outputs of the study, which keeps scores only; run 'quantlab analyze' again with "
            f"--store outputs, which runs the rows again"
        )


def are_gone(file: Path) -> bool:
    """Whether an output was removed after its scores were kept."""
    return not file.is_file() and (file.parent / SCORES).is_file()


def kept_state(folder: Path) -> FileState:
    """Compare the scores of a row with their hashes; `missing` if there are none."""
    store, record = Store(folder), folder / SCORES
    if not record.is_file():
        return "missing"
    kept = store.read(record, KeptScores)
    return "damaged" if kept is None else _worse(intact_files({_VALUES: folder / _VALUES}, {_VALUES: kept.sha256}))


def _worse(state: FileState) -> FileState:
    """A record whose file is missing is damaged: both are written together."""
    return "damaged" if state == "missing" else state


def write_row(
    folder: Path,
    record: KeptScores,
    arrays: Mapping[str, Array],
    outputs: Mapping[str, tuple[Path, Path]],
    known: Mapping[str, Array],
) -> Mapping[str, Array]:
    """Write the scores of a row: the values first, then their record, each as a whole.

    Args:
        folder: The folder of the row.
        record: All but the hash and the outputs.
        arrays: Values of single samples by name, see `RowScores`.
        outputs: Output → the files of the reference and of the row; of the reference itself, both are the same.
        known: Errors of the reference, as this returns them; empty for the reference itself. Arrays that are equal are
            not written again, and are read from its file.

    Returns:
        What each sample adds to the errors of the outputs, by name.

    Raises:
        OSError: If the folder cannot be written.
    """
    judged = arrays["judged"]
    every, every_error, described = dict(arrays), dict[str, Array](), {}
    for place, (name, (reference, own)) in enumerate(outputs.items()):
        expected, actual = mapped(reference), mapped(own)
        described[name] = KeptOutput(actual.shape[1:], actual.dtype.name)
        if expected.dtype.kind in _NUMBERS and actual.dtype.kind in _NUMBERS:
            rows = ErrorRows.of(expected, actual, scored=judged)
            errors = _prefixed(f"errors/{place}/", _arrays_of_rows(rows))
            every_error |= errors
            equal = {key for key, values in errors.items() if key in known and equal_bytes(known[key], values)}
            every |= {key: values for key, values in errors.items() if key not in equal}
            if reference != own:
                every |= _prefixed(f"sums/{place}/", arrays_of_sums(sum_channels(expected, actual, judged)))
    write_vectors(folder / _VALUES, every)
    written = replace(record, sha256=files_sha256(folder / _VALUES), outputs=described)
    Store(folder).write(folder / SCORES, written)
    return every_error


def _prefixed(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}{name}": values for name, values in arrays.items()}


def _arrays_of_rows(rows: ErrorRows) -> dict[str, Array]:
    """Each sum alone, since some are the same for all samples, or for all rows of the table."""
    columns = {str(place): rows.sums[:, place] for place in range(rows.sums.shape[1])}
    return {**columns, "largest": rows.largest, "spoiled": np.array([rows.spoiled])}


@dataclass(frozen=True)
class RowScores:
    """What is kept of one row.

    Its arrays are `judged` and `finite` (samples,), whether a sample is scored, and whether the row's scored output is
    finite on it; `reference/…` and `candidate/…`, the values of judged samples; `sums/…` and `errors/…` of every output
    by its place; `layers/…`, the scored output of the samples on which layers are compared; and `listed/…`, the
    elements that reports name.
    """

    folder: Path
    record: KeptScores
    arrays: Vectors

    @classmethod
    def read(cls, folder: Path, name: str) -> Self:
        """Read the scores of a row; its name is for the message.

        Raises:
            StudyError: If they are missing or damaged.
        """
        kept = Store(folder).read(folder / SCORES, KeptScores)
        if kept is None:
            raise StudyError(f"the scores of {name} are missing or damaged; run 'quantlab analyze' again")
        with reading(f"the file '{folder / _VALUES}' of the study", StudyError, "run 'quantlab analyze' again"):
            arrays = Vectors(folder / _VALUES)
        return cls(folder, kept, arrays)

    @classmethod
    def of(cls, trial: Trial) -> Self:
        """The scores of a measured row, or of the reference."""
        return cls.read(row_folder(trial), f"{trial.setting} in {trial.runtime}")

    def array(self, name: str) -> Array:
        """An array by its name.

        Raises:
            StudyError: If there is none, or the file is damaged.
        """
        with reading(f"'{name}' in '{self.folder / _VALUES}'", StudyError, "run 'quantlab analyze' again"):
            return self.arrays[name]

    @cached_property
    def judged(self) -> npt.NDArray[np.bool_]:
        """(samples,): whether a sample is scored."""
        return self.array("judged")

    def reference(self, labels: Array | None, *, task: Any, probabilities: bool, scored: str) -> ReferenceSamples:
        """The values of the reference; labels are those of judged samples."""
        shape = (self.record.judged, *self.record.outputs[scored].shape)
        with self._reading():
            # A row may be what the rows of another study are compared with.
            arrays = self._values("reference/") or self._values("candidate/")
            return reference_of_arrays(arrays, labels, shape=shape, task=task, probabilities=probabilities)

    def answers(self) -> ClassSamples | None:
        """The classes that the reference answered; None if it has none."""
        with self._reading():
            return classes_of_arrays(self._values("reference/"))

    def candidate(self) -> CandidateSamples:
        """The values of a variant, compared with the reference."""
        with self._reading():
            return candidate_of_arrays(self._values("candidate/"))

    def sums(self, output: str) -> OutputSums | None:
        """The error of an output; None if it does not hold numbers."""
        arrays = self._part(f"sums/{self._place(output)}/")
        with self._reading():
            return sums_of_arrays(arrays) if arrays else None

    def error_rows(self, output: str, reference: "RowScores") -> ErrorRows:
        """What each sample adds to the error of a whole output; what equals the reference's is read there."""
        prefix = f"errors/{self._place(output)}/"
        arrays = {**reference._part(prefix), **self._part(prefix)}
        with self._reading():
            columns = [arrays[name] for name in sorted(arrays) if name.isdigit()]
            if {values.shape for values in (*columns, arrays["largest"])} != {(self.record.judged,)}:
                raise ValueError(f"the errors of '{output}' are not of {self.record.judged:,} samples")
            return ErrorRows(np.stack(columns, axis=1), arrays["largest"], bool(arrays["spoiled"][0]))

    def described(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Output → its shape, samples first, and its dtype."""
        n = self.record.samples
        with self._reading():
            return {name: ((n, *one.shape), np.dtype(one.dtype)) for name, one in self.record.outputs.items()}

    def listed(self) -> dict[tuple[int, SampleKind], tuple[int, float, float]]:
        """Sample and kind → its element that changed most, in the reference and in the row, see `most_changed`."""
        arrays = self._part("listed/")
        if not arrays:
            return {}
        with self._reading():
            places, kinds = arrays["place"].tolist(), [_KINDS[kind] for kind in arrays["kind"].tolist()]
            values = zip(*(arrays[name].tolist() for name in ("element", "before", "after")), strict=True)
            return dict(zip(zip(places, kinds, strict=True), values, strict=True))

    def _place(self, output: str) -> int:
        if output not in self.record.outputs:
            raise StudyError(f"'{self.folder}' has no scores of the output '{output}'; run 'quantlab analyze' again")
        return [*self.record.outputs].index(output)

    def _values(self, prefix: str) -> dict[str, Array]:
        """The values of judged samples, one for each."""
        arrays, n = self._part(prefix), self.record.judged
        odd = [name for name, values in arrays.items() if name != "non_finite" and values.shape != (n,)]
        if odd:
            raise ValueError(f"'{prefix}{odd[0]}' has the shape {arrays[odd[0]].shape}, and {n:,} samples are scored")
        return arrays

    def _part(self, prefix: str) -> dict[str, Array]:
        with self._reading():
            return {name.removeprefix(prefix): self.arrays[name] for name in self.arrays if name.startswith(prefix)}

    def _reading(self) -> Any:
        return reading(f"the file '{self.folder / _VALUES}' of the study", StudyError, "run 'quantlab analyze' again")


def values_of_reference(reference: ReferenceSamples) -> dict[str, Array]:
    """The arrays of the reference's values."""
    return _prefixed("reference/", arrays_of_samples(reference))


def values_of_candidate(
    reference: ReferenceSamples, candidate: CandidateSamples, metrics: Sequence[PairedMetric]
) -> dict[str, Array]:
    """The arrays of a variant's values; the metrics are those by which reports choose samples."""
    listed = {} if reference.classes is not None else _listed(reference, candidate, metrics)
    return {**_prefixed("candidate/", arrays_of_samples(candidate)), **_prefixed("listed/", listed)}


def _listed(
    reference: ReferenceSamples, candidate: CandidateSamples, metrics: Sequence[PairedMetric]
) -> dict[str, Array]:
    moves = sample_moves(metrics, reference, candidate)
    chosen = most_changed(candidate.max_abs if moves is None else moves.losses, signed=moves is not None)
    rows = []
    for kind, (places, _) in chosen.items():
        for place in places.tolist():
            before, after = (np.asarray(side.outputs[place], np.float64).reshape(-1) for side in (reference, candidate))
            targets = None if reference.errors is None else np.asarray(reference.labels)[place].reshape(-1)
            most = most_changed_element(before, after, targets, improved=kind == "became better")
            rows.append((place, _KINDS.index(kind), most, before[most], after[most]))
    columns = zip(*rows, strict=True) if rows else ([],) * 5
    dtypes = (np.int64, np.int64, np.int64, np.float64, np.float64)
    names = ("place", "kind", "element", "before", "after")
    return {name: np.array(list(column), dtype) for name, column, dtype in zip(names, columns, dtypes, strict=True)}
