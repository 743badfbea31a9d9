"""What the outputs of the float model are compared with: labels of classes, or targets of a regression."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from quantlab.statistics import LabelLikelihoods, answers_of, mcnemar_of_loss, p_of_likelier, wilson
from quantlab.types import Ground, Interval

__all__ = ["ClassTruth", "Losses", "Reading", "TargetTruth", "Truth", "changes"]

Array = npt.NDArray[Any]
Losses = npt.NDArray[np.float64]
"""(n,): how wrong each sample is; smaller is better."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How wrong the model is about some samples, if they and their labels are read by a convention."""

    losses: Losses
    likelihoods: LabelLikelihoods | None = None
    """Of the labels; None without classes."""

    @property
    def log_loss(self) -> float | None:
        """None without classes."""
        return None if self.likelihoods is None else self.likelihoods.log_loss


def changes(before: Reading, after: Reading) -> tuple[int, int]:
    """How many samples became better, and how many worse, by their losses."""
    return (
        int(np.count_nonzero(after.losses < before.losses)),
        int(np.count_nonzero(after.losses > before.losses)),
    )


def _p_of_losses(before: Reading, after: Reading) -> float:
    better, worse = changes(before, after)
    return float(mcnemar_of_loss(np.asarray(better), np.asarray(worse)))


class Truth(Protocol):
    """Labels, and how an output is wrong about them."""

    @property
    def metric(self) -> Literal["top1", "r2"]:
        """Name of the score."""
        ...

    def reading(self, outputs: Array, rows: slice) -> Reading:
        """How wrong the outputs of some samples are."""
        ...

    def score(self, reading: Reading) -> tuple[float, Interval | None]:
        """The score of the first samples, with its 95 % interval if it has one."""
        ...

    def rank(self, reading: Reading) -> float:
        """By what conventions are ranked; larger is better."""
        ...

    def p_values(self, before: Reading, after: Reading) -> dict[Ground, float]:
        """One-sided p-values that a convention does not make the same samples better, on each ground."""
        ...

    def explained(self, before: Reading, after: Reading) -> tuple[Ground, ...]:
        """The grounds by which a convention takes away enough of what is wrong to be the cause of it."""
        ...


_LEAST_SHARE = 0.2
"""Least share of the wrong answers that a convention makes right, the others counted against it. A model may prefer a
brighter picture by a point or two beyond chance, which explains nothing."""

_LEAST_SHARE_OF_LOG_LOSS = 0.05
"""Least share of the log loss that a convention takes away. A model that knows the convention of its samples loses by
any other, but one that was trained for too long or too shortly may gain a little by more or less contrast."""

_DIGITS = 5
"""Decimal places of the log loss by which conventions are ranked: two that feed the same but for rounding are equal."""

_LEAST_SHARE_OF_ERROR = 0.5
"""Least share of the squared error that a convention takes away."""


@dataclass(frozen=True, slots=True)
class ClassTruth:
    """A class for each sample."""

    labels: npt.NDArray[np.int64]
    """(n,): as given; a label that no output has is never right."""
    probabilities: bool
    """Whether the output of the samples as they are holds probabilities, which decides what a single column means."""

    @property
    def metric(self) -> Literal["top1", "r2"]:
        """Top-1."""
        return "top1"

    def reading(self, outputs: Array, rows: slice) -> Reading:
        """0 for a right answer and 1 for a wrong one, and the likelihood of the label."""
        return self.read_as(self.labels[rows], outputs)

    def read_as(self, labels: npt.NDArray[np.int64], outputs: Array) -> Reading:
        """The same with other labels, (k,), for the first samples."""
        answers = answers_of(outputs, probabilities=self.probabilities)
        right = (answers == labels) & (answers >= 0)
        rows = outputs.reshape(len(outputs), -1)
        likelihoods = LabelLikelihoods.of(rows, labels, probabilities=self.probabilities)
        return Reading(np.where(right, 0.0, 1.0), likelihoods)

    def score(self, reading: Reading) -> tuple[float, Interval | None]:
        """Top-1 in percent."""
        n, right = len(reading.losses), int(np.count_nonzero(reading.losses == 0))
        interval = wilson(right, n)
        return 100 * right / n, Interval(100 * interval.lower, 100 * interval.upper, interval.confidence)

    def rank(self, reading: Reading) -> float:
        """The mean log-likelihood, which tells more than the right answers."""
        return -round(_of_classes(reading).log_loss, _DIGITS)

    def p_values(self, before: Reading, after: Reading) -> dict[Ground, float]:
        """McNemar's test of the answers, and the tests of the likelihoods."""
        return {
            "answers": _p_of_losses(before, after),
            "log-loss": p_of_likelier(_of_classes(before), _of_classes(after)),
        }

    def explained(self, before: Reading, after: Reading) -> tuple[Ground, ...]:
        """A fifth of the wrong answers, or a twentieth of the log loss without fewer right answers.

        Nothing is explained unless more answers are right than by always giving the most frequent class.
        """
        most_frequent = int(np.unique(self.labels, return_counts=True)[1].max())
        n, right = len(after.losses), int(np.count_nonzero(after.losses == 0))
        if n * wilson(right, n).lower <= most_frequent:
            return ()
        gain, wrong = float(before.losses.sum() - after.losses.sum()), float(before.losses.sum())
        likelier = _of_classes(after).log_loss <= (1 - _LEAST_SHARE_OF_LOG_LOSS) * _of_classes(before).log_loss
        enough: dict[Ground, bool] = {"answers": gain >= _LEAST_SHARE * wrong, "log-loss": gain >= 0 and likelier}
        return tuple(ground for ground, explains in enough.items() if explains)


@dataclass(frozen=True, slots=True)
class TargetTruth:
    """A target for each sample."""

    targets: npt.NDArray[np.float64]
    """(n, …): of the shape of the output."""

    @property
    def metric(self) -> Literal["top1", "r2"]:
        """R²."""
        return "r2"

    def reading(self, outputs: Array, rows: slice) -> Reading:
        """Mean squared error of each sample; infinite where a prediction is not finite."""
        targets = self.targets[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (outputs.astype(np.float64).reshape(targets.shape) - targets) ** 2
        losses = np.asarray(squares.reshape(len(targets), -1).mean(axis=1))
        return Reading(np.where(np.isfinite(losses), losses, np.inf))

    def score(self, reading: Reading) -> tuple[float, Interval | None]:
        """R²: 1 − squared error / variance of the targets; −∞ if their mean is never missed."""
        targets = self.targets[: len(reading.losses)]
        variance = float(((targets - targets.mean(axis=0)) ** 2).mean())
        error = float(reading.losses.mean())
        return (1 - error / variance if variance > 0 and np.isfinite(error) else -np.inf), None

    def rank(self, reading: Reading) -> float:
        """R²."""
        return self.score(reading)[0]

    def p_values(self, before: Reading, after: Reading) -> dict[Ground, float]:
        """The sign test of the squared errors."""
        return {"errors": _p_of_losses(before, after)}

    def explained(self, before: Reading, after: Reading) -> tuple[Ground, ...]:
        """Half of the squared error, if what is left is less than that of the mean."""
        most = (1 - _LEAST_SHARE_OF_ERROR) * float(before.losses.mean())
        return ("errors",) if float(after.losses.mean()) <= most and self.score(after)[0] > 0 else ()


def _of_classes(reading: Reading) -> LabelLikelihoods:
    """The likelihoods of a reading that has them."""
    assert reading.likelihoods is not None  # noqa: S101 (narrows a type: every reading of classes has them)
    return reading.likelihoods
