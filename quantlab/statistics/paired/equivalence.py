"""Equivalence of two runtimes by two one-sided tests, from the samples on which their answers differ."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import ChangedAnswers, check_one_sided, loss_bounds
from quantlab.statistics.paired.clusters import GroupChanges
from quantlab.statistics.scores.classification import same_class
from quantlab.statistics.scores.intervals import check_counts, clopper_pearson
from quantlab.statistics.scores.samples import ClassSamples
from quantlab.types import Equivalence

__all__ = ["GroupedAnswers", "grouped_equivalence", "runtime_equivalence"]


def runtime_equivalence(
    changed: int,
    *,
    n: int,
    became_wrong: int | None = None,
    became_right: int | None = None,
    settings: int = 1,
    confidence: float = 0.95,
) -> Equivalence:
    """Bounds of what a runtime changes, to be compared with a margin; see `Equivalence`.

    Args:
        changed: Samples whose top-1 differs between the runtimes.
        n: All compared samples.
        became_wrong: Samples that are right in the baseline and wrong in the runtime; None without labels.
        became_right: The reverse; None without labels.
        settings: How many settings are compared in this runtime; see `Equivalence.settings`.
        confidence: One-sided, of each bound: 0.95 is the 90 % interval of an equivalence test at 5 %.

    Raises:
        ValueError: If n is below 1, a count is out of range, only one of the counts of labels is given, or confidence
            is not between 0.5 and 1.
    """
    check_one_sided(confidence)
    check_counts(confidence, n, changed=changed)
    if (became_wrong is None) != (became_right is None):
        raise ValueError("give both became_wrong and became_right, or neither if there are no labels")

    def allowed(level: float) -> float:
        return clopper_pearson(changed, n, confidence=2 * level - 1).upper

    if became_wrong is None or became_right is None:
        return _equivalence(Equivalence(n, changed, 0, 0, 0), allowed, None, settings, confidence)
    if became_wrong + became_right > changed:
        raise ValueError(f"{became_wrong} + {became_right} answers changed, but only {changed} samples changed top-1")

    def bounds(level: float) -> tuple[float, float]:
        return loss_bounds(became_wrong, became_right, n=n, confidence=level)

    counted = Equivalence(n, changed, 0, 0, 0, became_wrong, became_right)
    return _equivalence(counted, allowed, bounds, settings, confidence)


@dataclass(frozen=True, slots=True, eq=False)
class GroupedAnswers:
    """The answers of an artifact in two runtimes, for samples that come in groups."""

    same: NDArray[np.bool_]
    """(n,): whether the top-1 is the same."""
    answers: ChangedAnswers | None
    """None without labels."""
    codes: NDArray[np.int64]
    """(n,): group of each sample, from 0, each of them with a sample."""

    @classmethod
    def of(cls, baseline: ClassSamples, runtime: ClassSamples, codes: NDArray[np.int64]) -> Self:
        """Compare the answers of both runtimes."""
        labelled = baseline.right is not None and runtime.right is not None
        answers = ChangedAnswers.of(baseline.right, runtime.right) if labelled else None  # type: ignore[arg-type]
        return cls(same_class(baseline.top1, runtime.top1), answers, codes)


def grouped_equivalence(compared: GroupedAnswers, *, settings: int = 1, confidence: float = 0.95) -> Equivalence:
    """The same as `runtime_equivalence` for samples in groups, by the bounds of `GroupChanges`.

    Args:
        compared: The answers.
        settings: How many settings are compared in this runtime; see `Equivalence.settings`.
        confidence: One-sided, of each bound.
    """
    n, answers = len(compared.same), compared.answers
    moved = ChangedAnswers(n, n, 0, np.flatnonzero(~compared.same), np.zeros(0, np.intp))
    moved_groups = GroupChanges.of(moved, compared.codes)

    def allowed(level: float) -> float:
        return moved_groups.bounds(level)[1]

    changed, groups = len(moved.became_wrong), moved_groups.groups
    if answers is None:
        counted = Equivalence(n, changed, 0, 0, 0, groups=groups)
        return _equivalence(counted, allowed, None, settings, confidence)
    wrong, right = len(answers.became_wrong), len(answers.became_right)
    counted = Equivalence(n, changed, 0, 0, 0, wrong, right, groups=groups)
    bounds = GroupChanges.of(answers, compared.codes).bounds
    return _equivalence(counted, allowed, bounds, settings, confidence)


def _equivalence(
    counted: Equivalence,
    allowed: Callable[[float], float],
    bounds: Callable[[float], tuple[float, float]] | None,
    settings: int,
    confidence: float,
) -> Equivalence:
    """Counts with bounds, in percent.

    Args:
        counted: Its bounds are not read.
        allowed: Confidence → upper bound of the share of samples with another top-1.
        bounds: Confidence → bounds of the accuracy difference; None without labels.
        settings: How many settings are compared.
        confidence: One-sided, of each bound.
    """

    def between(level: float) -> tuple[float, float]:
        return (-allowed(level), allowed(level)) if bounds is None else bounds(level)

    lower, upper = between(confidence)
    outer_lower, outer_upper = (lower, upper) if settings == 1 else between(1 - (1 - confidence) / settings)
    return replace(
        counted,
        changed_upper=100 * allowed(confidence),
        lower=100 * lower,
        upper=100 * upper,
        confidence=confidence,
        settings=settings,
        outer_lower=100 * outer_lower,
        outer_upper=100 * outer_upper,
    )
