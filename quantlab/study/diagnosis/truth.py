"""What the outputs of the float model are compared with: labels of classes, or targets of a regression."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from quantlab.statistics import answers_of, wilson
from quantlab.types import Interval

__all__ = ["ClassTruth", "Losses", "TargetTruth", "Truth"]

Array = npt.NDArray[Any]
Losses = npt.NDArray[np.float64]
"""(n,): how wrong each sample is; smaller is better."""


class Truth(Protocol):
    """Labels, and how an output is wrong about them."""

    @property
    def metric(self) -> Literal["top1", "r2"]:
        """Name of the score."""
        ...

    def losses(self, outputs: Array, rows: slice) -> Losses:
        """How wrong the outputs of some samples are, (k,)."""
        ...

    def score(self, losses: Losses) -> tuple[float, Interval | None]:
        """The score of the first samples, with its 95 % interval if it has one."""
        ...

    def explains(self, before: Losses, after: Losses) -> bool:
        """Whether a convention takes away enough of the losses to be the cause of them."""
        ...


_LEAST_SHARE = 0.2
"""Least share of the wrong answers that a convention makes right, the others counted against it. A model may prefer a
brighter picture by a point or two beyond chance, which explains nothing."""

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

    def losses(self, outputs: Array, rows: slice) -> Losses:
        """0 for a right answer and 1 for a wrong one."""
        answers = answers_of(outputs, probabilities=self.probabilities)
        return self.losses_of(answers == self.labels[rows])

    @staticmethod
    def losses_of(right: npt.NDArray[np.bool_]) -> Losses:
        """The losses of answers, (k,)."""
        return np.where(right, 0.0, 1.0)

    def score(self, losses: Losses) -> tuple[float, Interval | None]:
        """Top-1 in percent."""
        n, right = len(losses), int(np.count_nonzero(losses == 0))
        interval = wilson(right, n)
        return 100 * right / n, Interval(100 * interval.lower, 100 * interval.upper, interval.confidence)

    def explains(self, before: Losses, after: Losses) -> bool:
        """Whether a fifth of the wrong answers become right, and more are right than by always answering one class."""
        most_frequent = int(np.unique(self.labels, return_counts=True)[1].max())
        right = int(np.count_nonzero(after == 0))
        lower = len(after) * wilson(right, len(after)).lower
        return float(before.sum() - after.sum()) >= _LEAST_SHARE * float(before.sum()) and lower > most_frequent


@dataclass(frozen=True, slots=True)
class TargetTruth:
    """A target for each sample."""

    targets: npt.NDArray[np.float64]
    """(n, …): of the shape of the output."""

    @property
    def metric(self) -> Literal["top1", "r2"]:
        """R²."""
        return "r2"

    def losses(self, outputs: Array, rows: slice) -> Losses:
        """Mean squared error of each sample; infinite where a prediction is not finite."""
        targets = self.targets[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            squares = (outputs.astype(np.float64).reshape(targets.shape) - targets) ** 2
        losses = np.asarray(squares.reshape(len(targets), -1).mean(axis=1))
        return np.where(np.isfinite(losses), losses, np.inf)

    def score(self, losses: Losses) -> tuple[float, Interval | None]:
        """R²: 1 − squared error / variance of the targets; −∞ if their mean is never missed."""
        targets = self.targets[: len(losses)]
        variance = float(((targets - targets.mean(axis=0)) ** 2).mean())
        error = float(losses.mean())
        return (1 - error / variance if variance > 0 and np.isfinite(error) else -np.inf), None

    def explains(self, before: Losses, after: Losses) -> bool:
        """Whether half of the squared error goes, and what is left is less than that of the mean."""
        return float(after.mean()) <= (1 - _LEAST_SHARE_OF_ERROR) * float(before.mean()) and self.score(after)[0] > 0
