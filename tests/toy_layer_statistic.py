"""A new layer statistic, added in one file."""

from dataclasses import dataclass

import numpy as np

from quantlab.statistics import LayerStatistic, Sums


@dataclass(frozen=True, slots=True)
class ZeroSums(Sums):
    """Elements that are exactly zero where the baseline is not."""

    count: int = 0
    new_zeros: int = 0

    @classmethod
    def of(cls, baseline: np.ndarray, candidate: np.ndarray) -> "ZeroSums":
        return cls(candidate.size, int(np.count_nonzero((candidate == 0) & (baseline != 0))))

    def share(self) -> float | None:
        return self.new_zeros / self.count if self.count else None


NEW_ZEROS = LayerStatistic("new zeros", ZeroSums.of, ZeroSums.share)
