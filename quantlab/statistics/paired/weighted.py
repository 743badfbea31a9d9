"""Paired bootstrap of a metric that is computed from how often each sample was drawn, such as an average precision."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import zero_discordance_bound
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, bca_interval

__all__ = ["Weighted"]

_Floats = NDArray[np.float64]

_CHUNK_COUNTS = 2**20
"""Number of counts held at once: 8 MB."""
_MOST_WORK = 2 * 10**9
"""Number of sample weights that all resamples together may read: about half a minute."""
_FEWEST_RESAMPLES = 200
_JACKKNIFE_GROUPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """A metric of both sides as a function of the number of times each sample is drawn."""

    n: int
    value: Callable[[NDArray[np.int64]], tuple[_Floats, _Floats]]
    """Function from counts (resamples, n) to the metric of reference and candidate, (resamples,) each."""
    unseen: Callable[[float], float]
    """Function from a share of samples to the largest change of the metric that this share could cause."""
    cost: int = 1
    """How often `value` reads each count; with many samples, there are fewer resamples."""

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds of the loss, with a jackknife of at most 200 groups; for `sign` see `Totals.bounds`.

        The bounds are at least as far from the loss as `unseen` gives for the share of samples that may differ although
        none of n does. A resample in which the metric is not defined makes them infinite.
        """
        reference, candidate = (float(side[0]) for side in self.value(np.ones((1, self.n), np.int64)))
        loss = sign * (reference - candidate)
        method = "BCa bootstrap"
        if not math.isfinite(loss):
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        replicates = np.concatenate([self._losses(counts, sign) for counts in self._drawn(resampling)])
        left_out = np.concatenate([self._losses(counts, sign) for counts in self._without_groups()])
        ones = np.ones(len(left_out), np.int64)
        lower, upper = bca_interval(loss, replicates, left_out, ones, resampling.confidence)
        width = self.unseen(zero_discordance_bound(self.n, resampling.confidence))
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method)

    def _losses(self, counts: NDArray[np.int64], sign: int) -> _Floats:
        reference, candidate = self.value(counts)
        return sign * (reference - candidate)

    def _drawn(self, resampling: Resampling) -> Iterator[NDArray[np.int64]]:
        random = np.random.default_rng(resampling.seed)
        affordable = max(_FEWEST_RESAMPLES, _MOST_WORK // (self.cost * self.n))
        resamples = min(resampling.resamples, affordable)
        step = max(1, _CHUNK_COUNTS // self.n)
        for start in range(0, resamples, step):
            size = min(step, resamples - start)
            yield np.stack([np.bincount(random.integers(0, self.n, self.n), minlength=self.n) for _ in range(size)])

    def _without_groups(self) -> Iterator[NDArray[np.int64]]:
        """All samples except every k-th, for each offset; a few groups at a time."""
        groups = min(self.n, _JACKKNIFE_GROUPS)
        step = max(1, _CHUNK_COUNTS // self.n)
        places = np.arange(self.n) % groups
        for start in range(0, groups if groups > 1 else 0, step):
            yield (places != np.arange(start, min(start + step, groups))[:, None]).astype(np.int64)
        if groups <= 1:
            yield np.ones((1, self.n), np.int64)
