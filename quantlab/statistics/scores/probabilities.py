"""Detection of outputs that already hold probabilities, from the reference's values alone."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.sums import Sums

__all__ = ["ProbabilitySums", "looks_like_probabilities"]

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
    def all(self) -> bool:
        """Whether every sample looks like a distribution, and there is at least one."""
        return 0 < self.n == self.distributions


def looks_like_probabilities(outputs: NDArray[Any]) -> bool:
    """Whether every sample of the reference's output looks like a distribution; see `ProbabilitySums.of`.

    This is decided once, from the reference, and applied to every candidate, so that a candidate cannot influence how
    it is scored.

    Args:
        outputs: Samples first; may be memory-mapped, and is read in blocks.
    """
    return sum((ProbabilitySums.of(outputs[rows]) for rows in blocks(outputs)), ProbabilitySums()).all
