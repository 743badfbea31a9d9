"""Every score of a trial's output, from sums that batches, shards and machines combine with `+`."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.scores.classification import ClassificationSums, as_classes
from quantlab.statistics.scores.divergence import DivergenceSums
from quantlab.statistics.scores.intervals import tango, wilson
from quantlab.statistics.scores.regression import RegressionSums
from quantlab.statistics.shapes import check_same_shape
from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError
from quantlab.types import Interval, Scores, Task

__all__ = ["ScoreSums", "reference_scores", "sum_outputs"]


@dataclass(frozen=True, slots=True)
class ScoreSums(Sums):
    """Everything a trial's scores are made of. What does not apply to the task stays zero, and its scores None."""

    n: int = 0
    """Samples."""
    error: TensorError = field(default_factory=TensorError)
    """Of the output as it is, over every element."""
    classification: ClassificationSums = field(default_factory=ClassificationSums)
    divergence: DivergenceSums = field(default_factory=DivergenceSums)
    regression: RegressionSums = field(default_factory=RegressionSums)

    @classmethod
    def of(
        cls,
        reference: NDArray[Any],
        candidate: NDArray[Any],
        labels: NDArray[Any] | None,
        *,
        task: Task,
        probabilities: bool,
        classes: bool,
    ) -> Self:
        """Sum a batch of the scored output.

        Args:
            reference: Samples first. Where classes are compared (n, classes), or (n, 1) of a binary classifier.
            candidate: The same shape.
            labels: For classification (n,) integers from 0; for regression the output's shape, axes of size 1 aside;
                None for similarity.
            task: What the output is compared for.
            probabilities: Whether the reference's output is a distribution already (`looks_like_probabilities` of all
                of it); otherwise its values are logits. Of no meaning where no classes are compared.
            classes: Whether the columns are classes, so that top-1, agreement and KL mean something. True for
                classification, False for regression. For similarity the caller knows what the model is: True for a
                classifier without labels, False for an image or an embedding.

        Raises:
            ValueError: If shapes differ, a label names no class, or task, labels and classes contradict each other.
        """
        _check_task(task, labels, classes)
        error = TensorError.of(reference, candidate)
        if task == "regression" and labels is not None:
            return cls(n=len(reference), error=error, regression=RegressionSums.of(reference, candidate, labels))
        if not classes:
            return cls(n=len(reference), error=error)
        expected = as_classes(reference, probabilities=probabilities)
        actual = as_classes(candidate, probabilities=probabilities)
        return cls(
            n=len(reference),
            error=error,
            classification=ClassificationSums.of(expected, actual, labels),
            divergence=DivergenceSums.of(expected, actual, probabilities=probabilities),
        )

    def scores(self) -> Scores:
        """Score the candidate: shares in percent, losses in points, intervals at 95 %; None for what does not apply.

        Of no samples every score is None. Where an element is not finite the errors of the output are infinite; a
        divergence that is infinite or undefined for one sample leaves `kl_mean` None and is counted beside it.
        """
        scores = Scores(n=self.n)
        if self.error.count:
            scores = self._with_error(scores)
        if self.classification.n:
            scores = self._with_agreement(scores)
        if self.classification.labelled:
            scores = self._with_accuracy(scores)
        return self._with_regression(scores) if self.regression.candidate.count else scores

    def reference_scores(self) -> Scores:
        """Score the reference itself, the same from every trial's sums; what would compare it with itself is None."""
        counts, regression = self.classification, self.regression.reference
        scores = Scores(n=self.n, non_finite=self.error.non_finite_reference if self.error.count else None)
        if counts.labelled:
            scores = replace(
                scores,
                top1=_percent(counts.right_reference, counts.labelled),
                top1_interval=_scaled(wilson(counts.right_reference, counts.labelled)),
                top5=_percent(counts.top5_reference, counts.ranked),
            )
        return replace(scores, mae=regression.mean_abs, rmse=regression.rms) if regression.count else scores

    def _with_error(self, scores: Scores) -> Scores:
        return replace(
            scores,
            max_abs_error=self.error.max_abs,
            rms_error=self.error.rms,
            sqnr_db=self.error.sqnr_db,
            cosine=self.error.cosine,
            non_finite=self.error.non_finite,
        )

    def _with_agreement(self, scores: Scores) -> Scores:
        counts, divergence = self.classification, self.divergence
        return replace(
            scores,
            agreement=_percent(counts.same, counts.n),
            agreement_interval=_scaled(wilson(counts.same, counts.n)),
            kl_mean=divergence.mean,
            kl_standard_error=divergence.standard_error,
            kl_infinite=divergence.infinite,
            kl_undefined=divergence.undefined,
        )

    def _with_accuracy(self, scores: Scores) -> Scores:
        counts = self.classification
        return replace(
            scores,
            top1=_percent(counts.right_candidate, counts.labelled),
            top1_interval=_scaled(wilson(counts.right_candidate, counts.labelled)),
            top1_loss_points=_percent(counts.became_wrong - counts.became_right, counts.labelled),
            top1_loss_interval=_scaled(tango(counts.became_wrong, counts.became_right, n=counts.labelled)),
            right_to_wrong=counts.became_wrong,
            wrong_to_right=counts.became_right,
            top5=_percent(counts.top5_candidate, counts.ranked),
            top5_loss_points=_percent(counts.top5_reference - counts.top5_candidate, counts.ranked),
        )

    def _with_regression(self, scores: Scores) -> Scores:
        reference, candidate = self.regression.reference, self.regression.candidate
        return replace(
            scores,
            mae=candidate.mean_abs,
            rmse=candidate.rms,
            mae_loss=_growth(candidate.mean_abs, reference.mean_abs),
            rmse_loss=_growth(candidate.rms, reference.rms),
        )


def sum_outputs(
    reference: NDArray[Any],
    candidate: NDArray[Any],
    labels: NDArray[Any] | None,
    *,
    task: Task,
    probabilities: bool,
    classes: bool,
) -> ScoreSums:
    """Sum a trial's whole output block by block: the arrays may be memory-mapped, and memory is flat in n.

    The arguments and errors are those of `ScoreSums.of`.
    """
    # Blocks are cut by the reference's length: a longer candidate would lose its end and never be noticed.
    check_same_shape(reference, candidate)
    if labels is not None and len(labels) != len(reference):
        raise ValueError(f"there are {len(labels)} labels for {len(reference)} samples; every sample needs its own")
    parts = (
        ScoreSums.of(
            reference[rows],
            candidate[rows],
            None if labels is None else labels[rows],
            task=task,
            probabilities=probabilities,
            classes=classes,
        )
        for rows in blocks(reference)
    )
    return sum(parts, ScoreSums())


def reference_scores(
    reference: NDArray[Any], labels: NDArray[Any] | None, *, task: Task, probabilities: bool, classes: bool
) -> Scores:
    """Score the reference for its own row; where a trial was summed, `ScoreSums.reference_scores` knows it already."""
    sums = sum_outputs(reference, reference, labels, task=task, probabilities=probabilities, classes=classes)
    return sums.reference_scores()


def _check_task(task: Task, labels: NDArray[Any] | None, classes: bool) -> None:
    if task == "similarity" and labels is not None:
        raise ValueError("labels were given, and 'similarity' has none; name another task, or leave them out")
    if task != "similarity" and labels is None:
        raise ValueError(f"the task '{task}' needs labels, and none were given; without them it is 'similarity'")
    if task != "similarity" and classes != (task == "classification"):
        raise ValueError(f"classes = {classes} contradicts the task '{task}'; only a classification has classes")


def _percent(count: int, n: int) -> float | None:
    return 100 * count / n if n else None


def _scaled(interval: Interval) -> Interval:
    """From shares to percent, or points."""
    return replace(interval, lower=100 * interval.lower, upper=100 * interval.upper)


def _growth(candidate: float, reference: float) -> float:
    """Return candidate − reference; NaN where the reference is infinite, since anything is a gain beside that."""
    return candidate - reference if math.isfinite(reference) else math.nan
