"""Bootstrap of groups of samples whose members are not independent: whole groups are drawn, as they were sampled.

Davison & Hinkley 1997, Bootstrap Methods and their Application, §3.8; Field & Welsh 2007, Journal of the RSS B
69:369–390. The number of groups may be small, so the distances of the bounds from the loss are multiplied by what
Student's t and the estimated variance of so few groups ask for: t/z · √(G/(G − 1)).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.answers import ChangedAnswers, zero_discordance_bound
from quantlab.statistics.paired.bootstrap import (
    Bounds,
    Resampling,
    Totals,
    WholeSets,
    bca_interval,
    percentile_interval,
)
from quantlab.statistics.paired.clusters import GroupChanges, effective_groups, student_factor

__all__ = ["answer_bounds", "bounds_of", "compressed", "widened"]

_Floats = NDArray[np.float64]
_Codes = NDArray[np.int64]

_CHUNK_ELEMENTS = 2 * 2**20
_JACKKNIFED_GROUPS = 200
_OF_GROUPS = " of groups"


def compressed(codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Number groups from 0 without gaps, in the order of their codes; None if each has one sample.

    Args:
        codes: (n,): any integers, equal for samples of one group.
    """
    groups, places = np.unique(codes, return_inverse=True)
    return None if len(groups) == len(codes) else places.astype(np.int64)


def answer_bounds(answers: ChangedAnswers, codes: _Codes, confidence: float) -> Bounds:
    """Bounds of the loss of right answers, see `GroupChanges.bounds`.

    Args:
        answers: The changed answers of n samples.
        codes: (n,): group of each sample, see `compressed`.
        confidence: One-sided.
    """
    changes = GroupChanges.of(answers, codes)
    lower, upper = changes.bounds(confidence)
    method = "Tango with the groups' design effect" if answers.discordant else "exact without a change in a group"
    return Bounds(answers.right_reference / answers.n, answers.right_candidate / answers.n, lower, upper, method)


def bounds_of(compared: Totals | WholeSets, sign: int, resampling: Resampling) -> Bounds:
    """Bounds of a loss from samples that are drawn alone, or in their groups if `resampling` has some.

    Args:
        compared: The metric of both sides.
        sign: 1 if a higher metric is better, −1 if a lower one is.
        resampling: Parameters, and the group of each sample.
    """
    codes = resampling.groups
    if codes is None:
        return compared.bounds(sign, resampling)
    if isinstance(compared, Totals):
        return _GroupTotals(compared, codes).bounds(sign, resampling)
    return _GroupSets(compared, codes).bounds(sign, resampling)


@dataclass(frozen=True, slots=True, eq=False)
class _GroupTotals:
    """A metric of sums over samples, of which groups are drawn."""

    totals: Totals
    codes: _Codes

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        sizes = np.bincount(self.codes)
        sums = self._sums(len(sizes))
        reference, candidate = (float(side[0]) for side in self.totals.value(sums.sum(axis=0)[None] / sizes.sum()))
        loss = sign * (reference - candidate)
        method = f"BCa bootstrap{_OF_GROUPS}{self.totals.of}"
        if not math.isfinite(loss) or len(sizes) < 2:
            return Bounds(reference, candidate, -math.inf, math.inf, method)

        def losses(parts: _Floats, numbers: _Floats) -> _Floats:
            one, other = self.totals.value(parts / numbers[:, None])
            return sign * (one - other)

        drawn = [losses(*drawn) for drawn in _drawn_sums(sums, sizes, resampling)]
        left_out = losses(sums.sum(axis=0) - sums, (sizes.sum() - sizes).astype(np.float64))
        ends = bca_interval(loss, np.concatenate(drawn), left_out, np.ones(len(sizes), np.int64), resampling.confidence)
        lower, upper = widened(loss, ends, len(sizes), resampling.confidence)
        width = self.totals.unseen(zero_discordance_bound(effective_groups(sizes), resampling.confidence))
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method)

    def _sums(self, groups: int) -> _Floats:
        """(groups, columns): sums over the samples of each group."""
        from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import

        # A sparse product does not use BLAS, so sums are the same on every machine and number of cores.
        cells = (np.ones(len(self.codes)), (self.codes, self._rows()))
        members = csr_matrix(cells, shape=(groups, self.totals.rows.shape[0]))
        return np.asarray((members @ self.totals.rows).toarray(), np.float64)

    def _rows(self) -> NDArray[np.intp]:
        """The row of each sample."""
        if self.totals.row_of is not None:
            return self.totals.row_of
        return np.arange(len(self.codes))


def _drawn_sums(sums: _Floats, sizes: NDArray[np.int64], resampling: Resampling) -> Iterator[tuple[_Floats, _Floats]]:
    """Sums (some, columns) and numbers of samples (some,) of groups drawn with replacement."""
    from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import and few commands need it

    random = np.random.default_rng(resampling.seed)
    groups, columns = sums.shape
    both = csr_matrix(np.concatenate([sums, sizes[:, None]], axis=1))
    step = max(1, _CHUNK_ELEMENTS // max(groups, columns))
    for start in range(0, resampling.resamples, step):
        some = min(step, resampling.resamples - start)
        counts = np.stack([np.bincount(random.integers(0, groups, groups), minlength=groups) for _ in range(some)])
        drawn = np.asarray((both.T @ counts.T.astype(np.float64)).T)
        yield drawn[:, :-1], drawn[:, -1]


@dataclass(frozen=True, slots=True, eq=False)
class _GroupSets:
    """A metric of whole sets, of which groups are drawn."""

    sets: WholeSets
    codes: _Codes

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """BCa bounds up to 200 groups, beyond which the jackknife leaves out several groups at once."""
        sets, sizes = self.sets, np.bincount(self.codes)
        reference, candidate = sets.reference(slice(None)), sets.candidate(slice(None))
        loss = sign * (reference - candidate)
        method = f"BCa bootstrap{_OF_GROUPS}"
        if not math.isfinite(loss) or len(sizes) < 2:
            return Bounds(reference, candidate, -math.inf, math.inf, method)
        order = np.argsort(self.codes, kind="stable")
        members = np.split(order, np.cumsum(sizes)[:-1])
        random = np.random.default_rng(resampling.seed)

        def of(groups: NDArray[np.intp]) -> float:
            indices = np.concatenate([members[group] for group in groups])
            return sign * (sets.reference(indices) - sets.candidate(indices))

        replicates = np.array([of(random.integers(0, len(sizes), len(sizes))) for _ in range(resampling.resamples)])
        if sets.jackknifed:
            left_out = np.array([of(groups) for groups in _without_some(len(sizes))])
            ones = np.ones(len(left_out), np.int64)
            ends = bca_interval(loss, replicates, left_out, ones, resampling.confidence)
        else:
            ends, method = percentile_interval(replicates, resampling.confidence), f"percentile bootstrap{_OF_GROUPS}"
        lower, upper = widened(loss, ends, len(sizes), resampling.confidence)
        share = zero_discordance_bound(effective_groups(sizes), resampling.confidence)
        width = share * max(abs(reference), abs(candidate)) if np.ptp(replicates) == 0 else 0.0
        return Bounds(reference, candidate, min(lower, loss - width), max(upper, loss + width), method)


def _without_some(groups: int) -> Iterator[NDArray[np.intp]]:
    """All groups except every k-th, for each offset."""
    parts, everything = min(groups, _JACKKNIFED_GROUPS), np.arange(groups)
    yield from (everything[everything % parts != part] for part in range(parts))


def widened(loss: float, ends: tuple[float, float], groups: int, confidence: float) -> tuple[float, float]:
    """Bounds at least as far from the loss as few groups ask for."""
    factor = student_factor(groups, confidence) * math.sqrt(groups / (groups - 1))
    lower, upper = ends
    return loss - factor * max(0.0, loss - lower), loss + factor * max(0.0, upper - loss)
