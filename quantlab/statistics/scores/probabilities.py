"""Whether an output is a distribution over classes already, told from the reference's values alone."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.sums import Sums

__all__ = ["ProbabilitySums", "looks_like_probabilities"]

_SUM_TOLERANCE = 1e-3
"""How far a row may be from summing to 1: a softmax in half precision stays within it."""


@dataclass(frozen=True, slots=True)
class ProbabilitySums(Sums):
    """How many samples look like a distribution."""

    n: int = 0
    distributions: int = 0

    @classmethod
    def of(cls, outputs: NDArray[Any]) -> Self:
        """Count a batch.

        A row of two classes or more looks like a distribution if it is finite, nowhere negative and sums to 1 within
        0.001; the one value of a binary classifier, (n, 1) or (n,), if it is from 0 to 1. Outputs with more axes
        have no rows of classes and never do.
        """
        if outputs.ndim > 2:
            return cls(n=len(outputs))
        rows = (outputs if outputs.ndim == 2 else outputs[:, None]).astype(np.float64)
        # Comparing a NaN is False, and a row with an infinity sums to one or to NaN: neither passes.
        with np.errstate(invalid="ignore"):
            sums = rows.sum(axis=1)
            fitting = sums <= 1 if rows.shape[1] == 1 else np.abs(sums - 1) <= _SUM_TOLERANCE
        return cls(n=len(rows), distributions=int(np.count_nonzero(fitting & (rows >= 0).all(axis=1))))

    @property
    def all(self) -> bool:
        """Whether every sample does, and there is one."""
        return 0 < self.n == self.distributions


def looks_like_probabilities(outputs: NDArray[Any]) -> bool:
    """Whether every sample of the reference's output looks like a distribution: see `ProbabilitySums.of`.

    Decided once, from the reference, and applied to every candidate: a candidate must not change its own judge.

    Args:
        outputs: Samples first; may be a memory-mapped array, which is read in blocks.
    """
    return sum((ProbabilitySums.of(outputs[rows]) for rows in blocks(outputs)), ProbabilitySums()).all
