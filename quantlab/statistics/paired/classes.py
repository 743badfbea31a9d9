"""Loss of each class, with a correction for testing many classes."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.paired.answers import loss_bounds, mcnemar_of_loss
from quantlab.statistics.paired.sequential import any_look_bounds
from quantlab.statistics.scores.classification import as_classes, changed_answers, top1
from quantlab.types import ClassLoss

__all__ = ["class_losses", "holm", "losing_classes", "simultaneous_lower"]


def class_losses(
    labels: NDArray[Any],
    reference_right: NDArray[np.bool_],
    candidate_right: NDArray[np.bool_],
    *,
    confidence: float,
) -> tuple[ClassLoss, ...]:
    """Compare every class that has samples, in label order; all arguments are (n,).

    The bounds are those of `loss_bounds` for each class separately. The p-values are corrected for all classes (Holm):
    if the variant loses in no class, the probability that any class is reported is at most 1 − confidence.
    """
    names, places, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    forth, back = (
        np.bincount(places[changed], minlength=len(names))
        for changed in changed_answers(reference_right, candidate_right)
    )
    p = mcnemar_of_loss(forth, back)
    corrected = holm(p)
    losses = []
    for index, label in enumerate(names):
        n, harm, help_ = int(sizes[index]), int(forth[index]), int(back[index])
        lower, upper = _points(harm, help_, n, confidence)
        losses.append(
            ClassLoss(
                label=int(label),
                n=n,
                right_to_wrong=harm,
                wrong_to_right=help_,
                loss=100 * (harm - help_) / n,
                lower=lower,
                upper=upper,
                confidence=confidence,
                p=float(p[index]),
                p_holm=float(corrected[index]),
            )
        )
    return tuple(losses)


def simultaneous_lower(loss: ClassLoss, tested: int) -> float:
    """One-sided lower bound of the loss of a class, in points, that holds for all tested classes at once.

    Each of K classes has a bound at 1 − (1 − confidence) / K (Bonferroni). If no class loses more than a limit, the
    probability that the bound of any class is above it is therefore at most 1 − confidence, if `loss_bounds` keeps
    its confidence there. The other direction needs no correction: all classes are below a limit if the upper bound
    of each is, since already one class at the limit fails with the confidence of its own bound (an intersection–union
    test: Berger 1982, Technometrics 24:295–300).

    If the bounds of the loss hold at every number of samples, so does this one.

    Args:
        loss: The loss of one class, with the confidence of a single bound.
        tested: K, the number of classes with samples, at least 1.
    """
    confidence = 1 - (1 - loss.confidence) / tested
    if loss.any_look:
        lower, _ = any_look_bounds(loss.right_to_wrong, loss.wrong_to_right, n=loss.n, confidence=confidence)
        return 100 * lower
    return _points(loss.right_to_wrong, loss.wrong_to_right, loss.n, confidence)[0]


@lru_cache(maxsize=2**15)
def _points(became_wrong: int, became_right: int, n: int, confidence: float) -> tuple[float, float]:
    """Bounds in points. They are remembered: of a thousand classes in many trials, most have the same small counts."""
    lower, upper = loss_bounds(became_wrong, became_right, n=n, confidence=confidence)
    return 100 * lower, 100 * upper


def losing_classes(
    reference: NDArray[Any],
    candidate: NDArray[Any],
    labels: NDArray[Any],
    *,
    probabilities: bool,
    confidence: float = 0.95,
) -> tuple[ClassLoss, ...]:
    """Classes with a significant loss, see `class_losses`; outputs may be memory-mapped and are read in blocks.

    Args:
        reference: (n, classes), or (n, 1) of a binary classifier.
        candidate: The same shape.
        labels: (n,) integers from 0.
        probabilities: Whether outputs hold probabilities, see `as_classes`.
        confidence: One-sided, after the correction for the number of classes.
    """
    right = [
        [top1(as_classes(outputs[rows], probabilities=probabilities)) == labels[rows] for rows in blocks(outputs)]
        for outputs in (reference, candidate)
    ]
    losses = class_losses(np.asarray(labels), *map(np.concatenate, right), confidence=confidence)
    return tuple(loss for loss in losses if loss.loses)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p-values for multiple testing: Holm 1979, Scandinavian Journal of Statistics 6:65–70.

    In ascending order, the p-values are multiplied by n, n − 1, …, 1; each result is at least the previous one and at
    most 1.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected
