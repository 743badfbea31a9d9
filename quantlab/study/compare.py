"""Scores from stored outputs: each trial against the reference, each runtime against Python."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from quantlab.npy import mapped
from quantlab.statistics import looks_like_probabilities, losing_classes, reference_scores, sum_outputs
from quantlab.study.task import Scoring
from quantlab.types import PYTHON, KeptOutputs, Scores, Trial

__all__ = ["Comparison"]


_NAMED_CLASSES = 3


@dataclass(frozen=True, slots=True)
class Comparison:
    """The reference's scored output, and how a candidate is compared with it."""

    scoring: Scoring
    reference: Path
    classes: bool
    probabilities: bool

    @classmethod
    def open(cls, scoring: Scoring, kept: KeptOutputs) -> "Comparison":
        """Decide from the reference's outputs alone whether they are classes and probabilities."""
        path = kept.files[scoring.output.name]
        outputs = _mapped(path)
        probabilities = outputs.ndim == 2 and outputs.dtype.kind == "f" and looks_like_probabilities(outputs)
        similar = probabilities and outputs.shape[1] > 1
        return cls(
            scoring, path, scoring.task == "classification" or (scoring.task == "similarity" and similar), probabilities
        )

    def of_reference(self) -> Scores:
        """The reference's own scores."""
        return reference_scores(
            _mapped(self.reference),
            self.scoring.labels,
            task=self.scoring.task,
            probabilities=self.probabilities,
            classes=self.classes,
        )

    def of(self, candidate: Path) -> Scores:
        """A candidate's scores against the reference."""
        return sum_outputs(
            _mapped(self.reference),
            _mapped(candidate),
            self.scoring.labels,
            task=self.scoring.task,
            probabilities=self.probabilities,
            classes=self.classes,
        ).scores()

    def notes(self, candidate: Path) -> tuple[str, ...]:
        """Notes for the row: classes with a significant loss of accuracy, even if the total has none."""
        if self.scoring.task != "classification" or self.scoring.labels is None:
            return ()
        losing = losing_classes(
            _mapped(self.reference), _mapped(candidate), self.scoring.labels, probabilities=self.probabilities
        )
        return tuple(
            f"class {class_loss.label} loses {class_loss.loss:.1f} points ({class_loss.right_to_wrong} lost, "
            f"{class_loss.wrong_to_right} gained of {class_loss.n:,}; p = {class_loss.p_holm:.1g}, Holm)"
            for class_loss in sorted(losing, key=lambda class_loss: class_loss.p_holm)[:_NAMED_CLASSES]
        )

    def with_python(self, trials: Sequence[Trial]) -> tuple[Trial, ...]:
        """The trials, with the difference between each output and that of the same artifact in `python`."""
        name = self.scoring.output.name
        in_python = {trial.setting: trial.outputs[name] for trial in trials if trial.in_python}
        return tuple(
            self._from_python(trial, in_python[trial.setting])
            if trial.runtime != PYTHON and trial.status == "measured" and trial.setting in in_python
            else trial
            for trial in trials
        )

    def _from_python(self, trial: Trial, in_python: Path) -> Trial:
        sums = sum_outputs(
            _mapped(in_python),
            _mapped(trial.outputs[self.scoring.output.name]),
            None,
            task="similarity",
            probabilities=self.probabilities,
            classes=self.classes,
        )
        flips = sums.n - sums.classification.same if self.classes else None
        return replace(
            trial,
            max_abs_from_python=sums.error.max_abs,
            mean_abs_from_python=sums.error.mean_abs,
            different_from_python=sums.error.different / sums.error.count if sums.error.count else None,
            flips_from_python=flips,
        )


def _mapped(path: Path) -> npt.NDArray[Any]:
    outputs: npt.NDArray[Any] = mapped(path)
    return outputs
