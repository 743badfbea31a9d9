"""All scores of one trial's output, computed from sums that combine with `+`."""

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
    """The sums from which a trial's scores are computed; sums that do not apply to the task stay zero."""

    n: int = 0
    """Number of samples."""
    error: TensorError = field(default_factory=TensorError)
    """Error of the raw output, over every element."""
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
        """Sum one batch of the scored output.

        Args:
            reference: Samples first; (n, classes), or (n, 1) of a binary classifier, if classes are compared.
            candidate: The same shape.
            labels: Classification: (n,) integers from 0. Regression: the output's shape, ignoring axes of size 1.
                Similarity: None.
            task: What the output is compared with.
            probabilities: Whether the output holds probabilities (`looks_like_probabilities` of the whole reference);
                otherwise its values are logits. Ignored if classes are not compared.
            classes: Whether the columns are classes, so that top-1, agreement and KL apply. True for classification,
                False for regression. For similarity it depends on the model: True for a classifier without labels,
                False for an image or an embedding.

        Raises:
            ValueError: If shapes differ, a label is out of range, or task, labels and classes contradict each other.
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
        """The candidate's scores: shares in percent, losses in points, 95 % intervals; None if a score does not apply.

        Without samples every score is None. If an element is not finite, the errors of the output are infinite. If
        the divergence of a sample is infinite or undefined, `kl_mean` is None and the sample is counted.
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
        """The reference's own scores, identical for every trial; scores that compare with the reference are None."""
        counts, regression = self.classification, self.regression.reference
        scores = Scores(n=self.n, non_finite=self.error.non_finite_reference if self.error.count else None)
        if counts.labelled:
            scores = replace(
                scores,
                top1=_percent(counts.right_reference, counts.labelled),
                top1_interval=_scaled(wilson(counts.right_reference, counts.labelled)),
                top5=_percent(counts.top5_reference, counts.ranked),
            )
        if not regression.count:
            return scores
        interval = self.regression.reference_errors.interval()
        return replace(scores, mae=regression.mean_abs, mae_interval=interval, rmse=regression.rms)

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
            total_variation=divergence.total_variation_mean,
            jensen_shannon=divergence.jensen_shannon_mean,
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
            mae_interval=self.regression.candidate_errors.interval(),
            rmse=candidate.rms,
            mae_loss=_growth(candidate.mean_abs, reference.mean_abs),
            mae_loss_interval=self.regression.growth.interval(),
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
    """Sum a trial's whole output in blocks; arrays may be memory-mapped, and memory use does not grow with n.

    For the arguments and errors see `ScoreSums.of`.
    """
    # Blocks follow the reference's length: without this check the end of a longer candidate would be ignored.
    check_same_shape(reference, candidate)
    if labels is not None and len(labels) != len(reference):
        raise ValueError(f"there are {len(labels)} labels for {len(reference)} samples; every sample needs one label")
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
    """The reference's own scores; if a trial was already summed, `ScoreSums.reference_scores` is cheaper."""
    sums = sum_outputs(reference, reference, labels, task=task, probabilities=probabilities, classes=classes)
    return sums.reference_scores()


def _check_task(task: Task, labels: NDArray[Any] | None, classes: bool) -> None:
    if task == "similarity" and labels is not None:
        raise ValueError("the task 'similarity' takes no labels; choose another task, or leave the labels out")
    if task != "similarity" and labels is None:
        raise ValueError(f"the task '{task}' needs labels; without labels the task is 'similarity'")
    if task != "similarity" and classes != (task == "classification"):
        raise ValueError(f"classes = {classes} contradicts the task '{task}'; only classification has classes")


def _percent(count: int, n: int) -> float | None:
    return 100 * count / n if n else None


def _scaled(interval: Interval) -> Interval:
    """Convert shares to percent or points."""
    return replace(interval, lower=100 * interval.lower, upper=100 * interval.upper)


def _growth(candidate: float, reference: float) -> float:
    """Difference candidate − reference; NaN for an infinite reference, because any candidate would be a gain."""
    return candidate - reference if math.isfinite(reference) else math.nan
