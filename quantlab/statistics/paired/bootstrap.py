"""Paired bootstrap: how far a metric's loss would move on other samples of the same kind.

Both sides are drawn together, so that what is hard for both does not count as noise. Everything is a function of the
seed, and indices are drawn a few resamples at a time: memory does not grow with resamples × samples.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import check_one_sided, zero_discordance_bound

__all__ = ["Bounds", "Resampling", "Totals", "WholeSets", "bca_interval", "percentile_interval"]

_Floats = NDArray[np.float64]

_CHUNK_ELEMENTS = 2 * 2**20
"""Counts that are held at once: 16 MB."""
_JACKKNIFE_GROUPS = 200
_JACKKNIFE_SAMPLES = 5000
"""Beyond, a metric that only can be called is not jackknifed, and its interval is a percentile one."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How sure bounds shall be, and how the bootstrap draws."""

    confidence: float = 0.95
    """One-sided; above 0.5."""
    resamples: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_one_sided(self.confidence)
        if self.resamples < 1:
            raise ValueError(f"a bootstrap needs a resample, and {self.resamples} are asked for")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A metric of both sides and the bounds of its loss, all in the metric's own unit."""

    reference: float
    candidate: float
    lower: float
    upper: float
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """A metric that is a function of sums over samples, for reference and candidate at once.

    Samples with the same row are one row with a multiplicity, as the cells of a confusion matrix. Leaving out each
    sample in turn is then an addition, so the jackknife is cheap whatever n is, and bounds are always BCa.
    """

    rows: Any
    """SciPy sparse (distinct rows, columns): what one sample adds."""
    multiplicity: NDArray[np.int64]
    """(distinct rows,): how many samples have that row; together n."""
    value: Callable[[_Floats], tuple[_Floats, _Floats]]
    """Means (any, columns) → the metric of the reference and of the candidate, (any,) each."""
    unseen: Callable[[float], float]
    """A share of samples → how much the metric may differ if that share of them were as bad as can be told."""
    of: str = ""
    """What is resampled, where it is not the samples' metric itself; told in the method."""

    @property
    def n(self) -> int:
        """Samples."""
        return int(self.multiplicity.sum())

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds of the loss.

        They are never nearer to the loss than what `unseen` gives for the share of samples that may differ though
        none of n does: a bootstrap of few or no differences would be sure of what it has not seen.

        Args:
            sign: 1 where a higher metric is better, −1 where a lower one is.
            resampling: Its confidence is that of either bound.
        """
        whole = self.multiplicity @ self.rows
        reference, candidate = (float(side[0]) for side in self.value(whole[None] / self.n))
        loss = sign * (reference - candidate)
        method = f"BCa bootstrap{self.of}"
        if not math.isfinite(loss):
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        replicates = np.concatenate([self._losses(sums, self.n, sign) for sums in self._resampled(resampling)])
        left_out = self._left_out(whole, sign)
        lower, upper = bca_interval(loss, replicates, left_out, self.multiplicity, resampling.confidence)
        width = self.unseen(zero_discordance_bound(self.n, resampling.confidence))
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method)

    def _losses(self, sums: _Floats, n: int, sign: int) -> _Floats:
        reference, candidate = self.value(sums / n)
        return sign * (reference - candidate)

    def _resampled(self, resampling: Resampling) -> Iterator[_Floats]:
        """Sums (some, columns) over samples that are drawn with replacement."""
        random = np.random.default_rng(resampling.seed)
        distinct, columns = self.rows.shape
        step = max(1, _CHUNK_ELEMENTS // max(distinct, columns))
        for start in range(0, resampling.resamples, step):
            counts = self._counts(random, min(step, resampling.resamples - start))
            # Sparse times dense is no BLAS: the same sums on every machine, however many cores it has.
            yield np.asarray((self.rows.T @ counts.T).T, np.float64)

    def _counts(self, random: np.random.Generator, size: int) -> NDArray[np.int64]:
        """How often each distinct row is drawn: (size, distinct rows)."""
        n, distinct = self.n, len(self.multiplicity)
        # A multinomial draw costs a binomial for each row, which is slower than an index for each sample unless
        # many samples share a row.
        if 8 * distinct < n:
            return random.multinomial(n, self.multiplicity / n, size=size)
        row_of = np.repeat(np.arange(distinct), self.multiplicity)
        return np.stack(
            [np.bincount(row_of[random.integers(0, n, n)], minlength=distinct) for _ in range(size)]
        ).astype(np.int64)

    def _left_out(self, whole: _Floats, sign: int) -> _Floats:
        """The loss without one sample of each distinct row: (distinct rows,); NaN for a single sample."""
        distinct, columns = self.rows.shape
        if self.n < 2:
            return np.full(distinct, np.nan)
        step = max(1, _CHUNK_ELEMENTS // columns)
        return np.concatenate(
            [
                self._losses(whole - self.rows[start : start + step].toarray(), self.n - 1, sign)
                for start in range(0, distinct, step)
            ]
        )


@dataclass(frozen=True, slots=True, eq=False)
class WholeSets:
    """A metric that can only be called with whole sets, as a user's own function."""

    n: int
    reference: Callable[[NDArray[np.intp] | slice], float]
    """Indices of samples, with repetitions → the metric."""
    candidate: Callable[[NDArray[np.intp] | slice], float]

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds of the loss up to 5,000 samples, percentile ones beyond; sign as in `Totals.bounds`.

        The jackknife leaves out groups of samples, at most 200 in all (Efron & Tibshirani 1993, An Introduction to
        the Bootstrap, §11.5): a call with the whole set is what costs. Where the loss is the same on every resample,
        the bounds are as far off as the share of samples that may differ though none of n does, of the metric's
        greater value: the scale of an unknown function.
        """
        reference, candidate = self.reference(slice(None)), self.candidate(slice(None))
        loss = sign * (reference - candidate)
        jackknifed = self.n <= _JACKKNIFE_SAMPLES
        method = "BCa bootstrap" if jackknifed else "percentile bootstrap"
        if not math.isfinite(loss):
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        random = np.random.default_rng(resampling.seed)
        draws = (random.integers(0, self.n, self.n) for _ in range(resampling.resamples))
        replicates = np.array([self._loss(indices, sign) for indices in draws])
        if jackknifed:
            left_out = np.array([self._loss(indices, sign) for indices in self._without_groups()])
            ones = np.ones(len(left_out), np.int64)
            lower, upper = bca_interval(loss, replicates, left_out, ones, resampling.confidence)
        else:
            lower, upper = percentile_interval(replicates, resampling.confidence)
        alike = np.ptp(replicates) == 0
        width = (
            zero_discordance_bound(self.n, resampling.confidence) * max(abs(reference), abs(candidate))
            if alike
            else 0.0
        )
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method)

    def _loss(self, indices: NDArray[np.intp], sign: int) -> float:
        return sign * (self.reference(indices) - self.candidate(indices))

    def _without_groups(self) -> Iterator[NDArray[np.intp]]:
        """All samples but every k-th, from each place: groups that do not depend on how samples are sorted."""
        groups = min(self.n, _JACKKNIFE_GROUPS)
        everything = np.arange(self.n)
        if groups > 1:
            yield from (everything[everything % groups != group] for group in range(groups))


def percentile_interval(replicates: _Floats, confidence: float) -> tuple[float, float]:
    """Quantiles of the replicates with 1 − confidence beyond either; infinite where a replicate is not finite."""
    return _quantiles(replicates, 1 - confidence, confidence)


def bca_interval(
    estimate: float, replicates: _Floats, left_out: _Floats, multiplicity: NDArray[np.int64], confidence: float
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval, with 1 − confidence beyond either end.

    Efron 1987, Journal of the ASA 82:171–185. Where all replicates are equal, so is the interval; where a replicate
    is not finite nothing is known, and it is infinite. Without an acceleration (fewer than two samples, or all as
    influential) it is corrected for bias only.

    Args:
        estimate: Of all samples.
        replicates: (resamples,).
        left_out: The estimate without one sample of each kind.
        multiplicity: How many samples are of that kind.
        confidence: One-sided, of either end.
    """
    from scipy.special import ndtr, ndtri  # Slow to import, and most commands need no interval.

    below, equal = np.count_nonzero(replicates < estimate), np.count_nonzero(replicates == estimate)
    # Half a replicate is the least that a share of so many can tell from 0 and 1.
    share = np.clip((below + equal / 2) / len(replicates), 0.5 / len(replicates), 1 - 0.5 / len(replicates))
    bias, acceleration = float(ndtri(share)), _acceleration(left_out, multiplicity)
    probabilities = []
    for tail in (1 - confidence, confidence):
        shifted = bias + float(ndtri(tail))
        stretched = 1 - acceleration * shifted
        # Beyond the pole of the transformation the end is the outermost replicate.
        probabilities.append(float(ndtr(bias + shifted / stretched)) if stretched > 0 else float(shifted > 0))
    return _quantiles(replicates, *probabilities)


def _acceleration(left_out: _Floats, multiplicity: NDArray[np.int64]) -> float:
    """Σ d³ / 6(Σ d²)^1.5 of the distances d = mean − estimate without a sample."""
    distances = np.average(left_out, weights=multiplicity) - left_out if len(left_out) else left_out
    squares = float((multiplicity * distances**2).sum())
    # A NaN is not above 0 either.
    return float((multiplicity * distances**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0


def _quantiles(replicates: _Floats, lower: float, upper: float) -> tuple[float, float]:
    if not np.isfinite(replicates).all():
        return -math.inf, math.inf
    low, high = np.quantile(replicates, [lower, upper])
    return float(low), float(high)
