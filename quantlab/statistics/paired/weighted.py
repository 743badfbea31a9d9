"""Paired bootstrap of a metric that is computed from how often each sample was drawn, such as an average precision."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import zero_discordance_bound
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, bca_interval
from quantlab.statistics.paired.cluster_bootstrap import widened
from quantlab.statistics.paired.clusters import effective_groups

__all__ = ["Weighted"]

_Floats = NDArray[np.float64]

_CHUNK_COUNTS = 2**20
"""Number of counts held at once: 8 MB."""
_MOST_WORK = 2 * 10**9
"""Number of sample weights that all resamples together may read: about half a minute."""
_FEWEST_RESAMPLES = 200
_JACKKNIFED = 200


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

    def of_reference(self) -> float:
        """The metric of the reference."""
        return float(self.value(np.ones((1, self.n), np.int64))[0][0])

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds of the loss, with a jackknife of at most 200 groups; for `sign` see `Totals.bounds`.

        The bounds are at least as far from the loss as `unseen` gives for the share of samples that may differ although
        none of n does. A resample in which the metric is not defined makes them infinite. Samples in groups are drawn
        and left out with their group, and the bounds are as far from the loss as so few groups ask for.
        """
        codes = np.arange(self.n) if resampling.groups is None else resampling.groups
        sizes = np.bincount(codes)
        reference, candidate = (float(side[0]) for side in self.value(np.ones((1, self.n), np.int64)))
        loss = sign * (reference - candidate)
        method = "BCa bootstrap" if resampling.groups is None else "BCa bootstrap of groups"
        if not math.isfinite(loss) or (resampling.groups is not None and len(sizes) < 2):
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        replicates = np.concatenate([self._losses(drawn, codes, sign) for drawn in self._drawn(len(sizes), resampling)])
        left_out = np.concatenate([self._losses(kept, codes, sign) for kept in self._without_some(len(sizes))])
        ones = np.ones(len(left_out), np.int64)
        lower, upper = bca_interval(loss, replicates, left_out, ones, resampling.confidence)
        number: float = self.n
        if resampling.groups is not None:
            number = effective_groups(sizes)
            lower, upper = widened(loss, (lower, upper), len(sizes), resampling.confidence)
        width = self.unseen(zero_discordance_bound(number, resampling.confidence))
        if lower > loss - width or upper < loss + width:
            method = f"{method}, or what unseen samples may do"
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method)

    def _losses(self, drawn: NDArray[np.int64], codes: NDArray[np.int64], sign: int) -> _Floats:
        """The loss with each group as often as it was drawn; (resamples, groups) gives (resamples,)."""
        reference, candidate = self.value(drawn[:, codes])
        return sign * (reference - candidate)

    def _drawn(self, groups: int, resampling: Resampling) -> Iterator[NDArray[np.int64]]:
        random = np.random.default_rng(resampling.seed)
        affordable = max(_FEWEST_RESAMPLES, _MOST_WORK // (self.cost * self.n))
        resamples = min(resampling.resamples, affordable)
        step = max(1, _CHUNK_COUNTS // self.n)
        for start in range(0, resamples, step):
            size = min(step, resamples - start)
            yield np.stack([np.bincount(random.integers(0, groups, groups), minlength=groups) for _ in range(size)])

    def _without_some(self, groups: int) -> Iterator[NDArray[np.int64]]:
        """All groups except every k-th, for each offset; some offsets at a time."""
        parts = min(groups, _JACKKNIFED)
        step = max(1, _CHUNK_COUNTS // self.n)
        places = np.arange(groups) % parts
        for start in range(0, parts if parts > 1 else 0, step):
            yield (places != np.arange(start, min(start + step, parts))[:, None]).astype(np.int64)
        if parts <= 1:
            yield np.ones((1, groups), np.int64)
