"""What is compared of a row whose outputs were removed: its kept values with those of other rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.gate import RowScores
from quantlab.statistics import ClassSamples, class_losses
from quantlab.types import ClassLoss, Trial

__all__ = ["kept_classes", "losing_of_answers", "with_kept_difference"]


def kept_classes(file: Path) -> ClassSamples | None:
    """The classes that a removed output answered, for each judged sample; None if it has none."""
    return RowScores.read(file.parent, f"'{file.parent}'").candidate().classes


def losing_of_answers(
    known: ClassSamples | None, answers: ClassSamples | None, labels: npt.NDArray[Any]
) -> tuple[ClassLoss, ...]:
    """Classes with a significant loss, as `losing_classes` finds them in the outputs; `known` is of the reference."""
    if known is None or answers is None or known.right is None or answers.right is None:
        return ()
    losses = class_losses(np.asarray(labels), known.right, answers.right, confidence=0.95)
    return tuple(loss for loss in losses if loss.loses)


def with_kept_difference(trial: Trial, output: str) -> Trial:
    """The row with the difference of its outputs from those in Python, as it was before they were removed."""
    known = RowScores.of(trial).record.from_python
    if known is None:
        raise StudyError(
            f"the scores of {trial.setting} in {trial.runtime} were kept without those in python to compare '{output}' "
            f"with; run 'quantlab analyze' again with --store outputs"
        )
    return replace(
        trial,
        max_abs_from_python=known.max_abs,
        mean_abs_from_python=known.mean_abs,
        different_from_python=known.different,
    )
