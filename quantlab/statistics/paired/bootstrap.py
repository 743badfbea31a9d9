"""Paired bootstrap: uncertainty of a metric's loss due to the choice of samples.

Reference and candidate are resampled together, so that the difficulty of samples that both sides share adds no noise.
The result depends only on the data and the seed. Indices are drawn for a few resamples at a time, so memory does not
grow with resamples × samples.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import check_one_sided, zero_discordance_bound
from quantlab.statistics.paired.studentized import squares_of, standard_errors, studentized_interval, tail_of
from quantlab.types import Tail

__all__ = ["ENOUGH_DIFFERENCES", "Bounds", "Resampling", "Totals", "WholeSets", "bca_interval", "percentile_interval"]

_Floats = NDArray[np.float64]

_CHUNK_ELEMENTS = 2 * 2**20
"""Number of counts held in memory at once: 16 MB."""
ENOUGH_DIFFERENCES = 5
"""Samples that differ from which a bootstrap knows how much they differ."""

_JACKKNIFE_GROUPS = 200
_JACKKNIFE_SAMPLES = 5000
"""Largest number of samples for which `WholeSets` uses a jackknife; beyond it, intervals are percentile intervals."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """Confidence of the bounds, and parameters of the bootstrap."""

    confidence: float = 0.95
    """One-sided; must be above 0.5."""
    resamples: int = 2000
    seed: int = 0
    groups: NDArray[np.int64] | None = field(default=None, compare=False)
    """(n,): group of each sample, from 0 without gaps; None if samples are independent. Used by `bounds_of`."""

    def __post_init__(self) -> None:
        check_one_sided(self.confidence)
        if self.resamples < 1:
            raise ValueError(f"the bootstrap needs at least one resample, and resamples is {self.resamples}")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A metric of both sides and the bounds of its loss, in the metric's own unit."""

    reference: float
    candidate: float
    lower: float
    upper: float
    method: str
    tail: Tail | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """A metric that is a function of sums over samples, for reference and candidate together.

    Samples with equal rows are stored as one row with a multiplicity, like the cells of a confusion matrix. Leaving out
    a sample is then a subtraction. The jackknife is therefore cheap for every n, and bounds are always BCa.
    """

    rows: Any
    """SciPy sparse matrix (distinct rows, columns): what one sample adds to the sums."""
    multiplicity: NDArray[np.int64]
    """(distinct rows,): number of samples with that row; the sum is n."""
    value: Callable[[_Floats], tuple[_Floats, _Floats]]
    """Function from means (any, columns) to the metric of the reference and of the candidate, (any,) each."""
    unseen: Callable[[float], float]
    """Function from a share of samples to the largest change of the metric that this share could cause."""
    of: str = ""
    """Suffix of the method's name if something other than the samples' metric is resampled."""
    row_of: NDArray[np.intp] | None = None
    """(n,): the row of each sample; None if sample i has row i."""
    differing: int | None = None
    """Number of samples that add something else to the two sides. From `ENOUGH_DIFFERENCES` the bootstrap is relied on,
    and `unseen` is not used; None uses it always."""
    slopes: Callable[[_Floats], _Floats] | None = None
    """Function from means (any, columns) to the derivatives (any, columns) of reference − candidate, for few columns
    and samples of any size: then bounds are those of a studentized bootstrap, which follow the skewness of errors."""
    bounded: bool = False
    """Whether a sample has a greatest value that is known: then nothing rarer may be much larger, and no `Tail` is
    told."""
    of_samples: bool = False
    """Whether `value` of the row of one sample is the metric of this sample. `row_of` is then needed if rows are
    shared."""

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.multiplicity.sum())

    def of_reference(self) -> float:
        """The metric of the reference."""
        return float(self.value((self.multiplicity @ self.rows)[None] / self.n)[0][0])

    def of_each(self) -> tuple[_Floats, _Floats]:
        """The metric of each single sample in the reference and in the candidate, (n,) each; needs `of_samples`."""
        reference, candidate = self.value(np.asarray(self.rows.todense()))
        return (reference, candidate) if self.row_of is None else (reference[self.row_of], candidate[self.row_of])

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds of the loss; with `slopes`, those of a studentized bootstrap.

        A bootstrap of few or no differences would be overconfident. Unless enough samples are `differing`, the bounds
        are therefore at least as far from the loss as `unseen` gives for the share of samples that may differ although
        none of n does. Bounds always enclose the loss, which a bias correction alone does not ensure.

        Args:
            sign: 1 if a higher metric is better, −1 if a lower one is.
            resampling: Parameters; the confidence is that of each bound.
        """
        whole = self.multiplicity @ self.rows
        reference, candidate = (float(side[0]) for side in self.value(whole[None] / self.n))
        loss = sign * (reference - candidate)
        method = f"BCa bootstrap{self.of}"
        if not math.isfinite(loss):
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        enough = self.differing is not None and self.differing >= ENOUGH_DIFFERENCES
        if enough and self.slopes is not None:
            lower, upper = self._studentized(loss, sign, self.slopes, resampling)
            # Too few of them for this confidence leave too many resamples without any difference.
            enough = math.isfinite(lower) and math.isfinite(upper)
            if enough:
                lower, upper = min(lower, loss), max(upper, loss)
                return Bounds(reference, candidate, lower, upper, "studentized bootstrap", self._tail(self.slopes))
        replicates = np.concatenate([self._losses(sums, self.n, sign) for sums in self._resampled(resampling)])
        left_out = self._left_out(whole, sign)
        lower, upper = bca_interval(loss, replicates, left_out, self.multiplicity, resampling.confidence)
        tail = None if self.slopes is None else self._tail(self.slopes)
        if enough:
            return Bounds(reference, candidate, min(lower, loss), max(upper, loss), method, tail)
        width = self.unseen(zero_discordance_bound(self.n, resampling.confidence))
        if width > 0 and (lower > loss - width or upper < loss + width):
            method = f"{method}, or what unseen samples may do"
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method, tail)

    def _studentized(
        self, loss: float, sign: int, slopes: Callable[[_Floats], _Floats], resampling: Resampling
    ) -> tuple[float, float]:
        from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import and few commands need it

        n, columns = self.n, self.rows.shape[1]
        dense = self.rows.toarray()
        wide = replace(self, rows=csr_matrix(np.concatenate([dense, squares_of(dense)], axis=1)))

        def looked_at(sums: _Floats) -> tuple[_Floats, _Floats]:
            means, squares = sums[:, :columns] / n, sums[:, columns:] / n
            return self._losses(sums[:, :columns], n, sign), standard_errors(means, squares, slopes(means), n)

        drawn = [looked_at(sums) for sums in wide._resampled(resampling)]
        _, error = looked_at((self.multiplicity @ wide.rows)[None])
        losses, errors = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        return studentized_interval(loss, float(error[0]), losses, errors, resampling.confidence)

    def _tail(self, slopes: Callable[[_Floats], _Floats]) -> Tail | None:
        if self.bounded:
            return None
        dense = self.rows.toarray()
        means = (self.multiplicity @ dense)[None] / self.n
        return tail_of(np.repeat((dense * slopes(means)).sum(axis=1), self.multiplicity))

    def _losses(self, sums: _Floats, n: int, sign: int) -> _Floats:
        reference, candidate = self.value(sums / n)
        return sign * (reference - candidate)

    def _resampled(self, resampling: Resampling) -> Iterator[_Floats]:
        """Sums (some, columns) over samples drawn with replacement."""
        random = np.random.default_rng(resampling.seed)
        distinct, columns = self.rows.shape
        step = max(1, _CHUNK_ELEMENTS // max(distinct, columns))
        for start in range(0, resampling.resamples, step):
            counts = self._counts(random, min(step, resampling.resamples - start))
            # A sparse-dense product does not use BLAS, so sums are the same on every machine and number of cores.
            yield np.asarray((self.rows.T @ counts.T).T, np.float64)

    def _counts(self, random: np.random.Generator, size: int) -> NDArray[np.int64]:
        """How often each distinct row is drawn: (size, distinct rows)."""
        n, distinct = self.n, len(self.multiplicity)
        # A multinomial draw needs one binomial per row. That is slower than one index per sample, unless many samples
        # share a row.
        if 8 * distinct < n:
            return random.multinomial(n, self.multiplicity / n, size=size)
        row_of = np.repeat(np.arange(distinct), self.multiplicity)
        return np.stack(
            [np.bincount(row_of[random.integers(0, n, n)], minlength=distinct) for _ in range(size)]
        ).astype(np.int64)

    def _left_out(self, whole: _Floats, sign: int) -> _Floats:
        """The loss without one sample of each distinct row: (distinct rows,); NaN if there is only one sample."""
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
    """A metric that can only be computed for a whole set of samples, such as a user's function."""

    n: int
    reference: Callable[[NDArray[np.intp] | slice], float]
    """Function from indices of samples, possibly repeated, to the metric."""
    candidate: Callable[[NDArray[np.intp] | slice], float]

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds of the loss up to 5,000 samples, percentile bounds beyond; for `sign` see `Totals.bounds`.

        The jackknife leaves out groups of samples, at most 200 groups (Efron & Tibshirani 1993, An Introduction to the
        Bootstrap, §11.5), because each call with the whole set is expensive. If every resample gives the same loss,
        the distance of the bounds is the share of samples that may differ although none of n does, multiplied by the
        larger of the two metric values, since the scale of the function is unknown.
        """
        reference, candidate = self.reference(slice(None)), self.candidate(slice(None))
        loss = sign * (reference - candidate)
        method = "BCa bootstrap" if self.jackknifed else "percentile bootstrap"
        if not math.isfinite(loss):
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        random = np.random.default_rng(resampling.seed)
        draws = (random.integers(0, self.n, self.n) for _ in range(resampling.resamples))
        replicates = np.array([self._loss(indices, sign) for indices in draws])
        if self.jackknifed:
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

    @property
    def jackknifed(self) -> bool:
        """Whether there are few enough samples for a jackknife."""
        return self.n <= _JACKKNIFE_SAMPLES

    def _loss(self, indices: NDArray[np.intp], sign: int) -> float:
        return sign * (self.reference(indices) - self.candidate(indices))

    def _without_groups(self) -> Iterator[NDArray[np.intp]]:
        """Indices of all samples except every k-th, for each offset; independent of how the samples are sorted."""
        groups = min(self.n, _JACKKNIFE_GROUPS)
        everything = np.arange(self.n)
        if groups > 1:
            yield from (everything[everything % groups != group] for group in range(groups))


def percentile_interval(replicates: _Floats, confidence: float) -> tuple[float, float]:
    """Quantiles at 1 − confidence and confidence; infinite if a replicate is not finite."""
    return _quantiles(replicates, 1 - confidence, confidence)


def bca_interval(
    estimate: float, replicates: _Floats, left_out: _Floats, multiplicity: NDArray[np.int64], confidence: float
) -> tuple[float, float]:
    """Bias-corrected and accelerated (BCa) interval, with probability 1 − confidence beyond each end.

    Efron 1987, Journal of the ASA 82:171–185. If all replicates are equal, both ends have that value. If a replicate is
    not finite, the interval is infinite. Without an acceleration (fewer than two samples, or all equally influential)
    only the bias is corrected.

    Args:
        estimate: The loss of all samples.
        replicates: (resamples,): the loss of each resample.
        left_out: The loss without one sample of each distinct row.
        multiplicity: Number of samples with that row.
        confidence: One-sided confidence of each end.
    """
    from scipy.special import ndtr, ndtri  # imported here because SciPy is slow to import and few commands need it

    below, equal = np.count_nonzero(replicates < estimate), np.count_nonzero(replicates == estimate)
    # Half a replicate is the smallest share that can be distinguished from 0 or 1.
    share = np.clip((below + equal / 2) / len(replicates), 0.5 / len(replicates), 1 - 0.5 / len(replicates))
    bias, acceleration = float(ndtri(share)), _acceleration(left_out, multiplicity)
    probabilities = []
    for tail in (1 - confidence, confidence):
        shifted = bias + float(ndtri(tail))
        stretched = 1 - acceleration * shifted
        # Beyond the pole of the transformation, use the outermost replicate.
        probabilities.append(float(ndtr(bias + shifted / stretched)) if stretched > 0 else float(shifted > 0))
    return _quantiles(replicates, *probabilities)


def _acceleration(left_out: _Floats, multiplicity: NDArray[np.int64]) -> float:
    """Σ d³ / 6(Σ d²)^1.5, where d = mean of the leave-one-out estimates − one leave-one-out estimate."""
    distances = np.average(left_out, weights=multiplicity) - left_out if len(left_out) else left_out
    squares = float((multiplicity * distances**2).sum())
    # NaN is not above 0 either.
    return float((multiplicity * distances**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0


def _quantiles(replicates: _Floats, lower: float, upper: float) -> tuple[float, float]:
    if not np.isfinite(replicates).all():
        return -math.inf, math.inf
    low, high = np.quantile(replicates, [lower, upper])
    return float(low), float(high)
