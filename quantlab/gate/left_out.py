"""Samples on which the model itself is NaN or infinite: refused, or left out of the verdict if the budget says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.names import counted
from quantlab.npy import selected
from quantlab.samples import names_of, told
from quantlab.types import Budget, Evidence, Study, WorstSample

__all__ = ["JudgedSamples"]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSamples:
    """The scored samples that a verdict is about."""

    finite: npt.NDArray[np.bool_]
    """(n,), whether a scored sample is judged, see `scored_samples`."""

    @classmethod
    def of(cls, finite: npt.NDArray[np.bool_], study: Study, budget: Budget) -> "JudgedSamples":
        """Decide which samples are judged.

        Args:
            finite: (n,), whether the model is finite on a scored sample.
            study: Its scored samples.
            budget: Whether other samples may be left out.

        Raises:
            StudyError: If the model is not finite on a sample and the budget does not say to leave it out, or if it is
                finite on no sample.
        """
        judged = cls(finite)
        if not judged.left_out:
            return judged
        rows = np.flatnonzero(~judged.finite)
        which = f"{len(rows):,} of {len(judged.finite):,} samples ({told(names_of(study.samples, rows), len(rows))})"
        if not judged.finite.any():
            raise StudyError(
                f"the model itself is NaN or infinite on all {len(rows):,} samples, so nothing can be judged against "
                f"it; correct the model, and run '{_command(study)}' again"
            )
        if not budget.leave_out_non_finite:
            raise StudyError(
                f"the model itself is NaN or infinite on {which}, so nothing can be judged against it there; correct "
                f"the model or remove the samples, or judge the others with --leave-out-non-finite"
            )
        return judged

    @property
    def left_out(self) -> int:
        """Number of samples that are not judged."""
        return len(self.finite) - int(np.count_nonzero(self.finite))

    def rows(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The judged samples of outputs or labels, in their order."""
        return selected(array, self.finite) if self.left_out else array

    def numbered(self, evidence: Evidence) -> Evidence:
        """The evidence with positions among all scored samples, of which the judged ones are a part."""
        if not self.left_out:
            return evidence
        places = np.flatnonzero(self.finite)

        def among_all(indices: Sequence[int]) -> tuple[int, ...]:
            return tuple(int(places[index]) for index in indices)

        return replace(
            evidence,
            right_to_wrong=among_all(evidence.right_to_wrong),
            wrong_to_right=among_all(evidence.wrong_to_right),
            worst=tuple(replace(sample, index=int(places[sample.index])) for sample in evidence.worst),
            left_out=self.left_out,
        )

    def identified(self, evidence: Evidence, study: Study) -> Evidence:
        """The evidence, numbered by `numbered`, with the names of the samples that differ most."""
        rows = sorted(sample.index for sample in evidence.worst)
        names = names_of(study.samples, np.array(rows, np.int64))
        known = dict(zip(rows, zip(names.indices, names.files or [""] * len(rows), strict=False), strict=False))
        return replace(evidence, worst=tuple(_named(sample, known, study.samples.classes) for sample in evidence.worst))

    def warning(self) -> list[str]:
        """A sentence for the verdict if samples are left out of it."""
        if not self.left_out:
            return []
        judged = len(self.finite) - self.left_out
        which = f"{self.left_out:,} of {counted(len(self.finite), 'sample')} {'is' if self.left_out == 1 else 'are'}"
        sentence = (
            f"{which} left out of this verdict, because the model itself is NaN or infinite there "
            f"(--leave-out-non-finite), so n = {judged:,}"
        )
        return [sentence]


def _named(sample: WorstSample, known: Mapping[int, tuple[int, str]], classes: Sequence[str]) -> WorstSample:
    def name(number: int | None) -> str:
        return classes[number] if number is not None and 0 <= number < len(classes) else ""

    index, file = known.get(sample.index, (None, ""))
    return replace(
        sample,
        source_index=index,
        file=file,
        label_name=name(sample.label),
        reference_name=name(sample.reference_class),
        candidate_name=name(sample.candidate_class),
    )


def _command(study: Study) -> str:
    """The command that makes such a study."""
    return "quantlab analyze" if study.search is None else "quantlab tune"
