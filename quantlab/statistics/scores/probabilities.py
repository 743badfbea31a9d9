"""Detection of outputs that already hold probabilities, from the reference's values alone."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.sums import Sums

__all__ = ["MOST_ROWS", "ProbabilitySums", "looks_like_probabilities", "probability_rows", "rows_of_shares"]

MOST_ROWS = 0.95
"""Share of rows from which an output holds probabilities."""
_TELLING = 0.5
"""Share of rows from which a few others are odd: half of the logits of a binary classifier may be in 0…1."""

_SUM_TOLERANCE = 1e-3
"""Allowed deviation of a row's sum from 1; a softmax in half precision stays within it."""


@dataclass(frozen=True, slots=True)
class ProbabilitySums(Sums):
    """Number of samples whose row looks like a probability distribution."""

    n: int = 0
    distributions: int = 0

    @classmethod
    def of(cls, outputs: NDArray[Any]) -> Self:
        """Count one batch.

        A row of two or more classes looks like a distribution if it is finite, has no negative value and sums to 1
        within 0.001; the single value of a binary classifier, (n, 1) or (n,), if it is in 0…1. Outputs with more axes
        are not rows of classes and never count.
        """
        if outputs.ndim > 2:
            return cls(n=len(outputs))
        rows = (outputs if outputs.ndim == 2 else outputs[:, None]).astype(np.float64)
        # Comparisons with NaN are False, and a row with infinity sums to infinity or NaN, so neither counts.
        with np.errstate(invalid="ignore"):
            sums = rows.sum(axis=1)
            fitting = sums <= 1 if rows.shape[1] == 1 else np.abs(sums - 1) <= _SUM_TOLERANCE
        return cls(n=len(rows), distributions=int(np.count_nonzero(fitting & (rows >= 0).all(axis=1))))

    @property
    def most(self) -> bool:
        """Whether at least `MOST_ROWS` of the samples look like distributions, and there is one."""
        return self.distributions > 0 and self.distributions >= MOST_ROWS * self.n

    @property
    def disagree(self) -> bool:
        """Whether some samples look like distributions and others do not, and at least half do."""
        return _TELLING * self.n <= self.distributions < self.n


def looks_like_probabilities(outputs: NDArray[Any]) -> bool:
    """Whether at least 95 % of the rows of the reference's output look like distributions; see `ProbabilitySums.of`.

    This is decided once, from the reference, and applied to every candidate, so that a candidate cannot influence how
    it is scored. One odd row decides nothing; rows that disagree are reported, see `ProbabilitySums.disagree`.

    Args:
        outputs: Samples first; may be memory-mapped, and is read in blocks.
    """
    return probability_rows(outputs).most


def probability_rows(outputs: NDArray[Any]) -> ProbabilitySums:
    """Count the rows of an output that look like distributions; arguments as of `looks_like_probabilities`."""
    return sum((ProbabilitySums.of(outputs[rows]) for rows in blocks(outputs)), ProbabilitySums())


def rows_of_shares(outputs: NDArray[Any]) -> ProbabilitySums:
    """Count the samples of which every element is in 0…1, as the outputs of sigmoids are, whatever their sum.

    Args:
        outputs: Samples first, any shape; may be memory-mapped, and is read in blocks.
    """
    counted = ProbabilitySums()
    for rows in blocks(outputs):
        block = outputs[rows].reshape(len(outputs[rows]), -1)
        with np.errstate(invalid="ignore"):
            inside = ((block >= 0) & (block <= 1)).all(axis=1)
        counted += ProbabilitySums(n=len(block), distributions=int(np.count_nonzero(inside)))
    return counted
