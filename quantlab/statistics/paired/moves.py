"""What a candidate does to each single sample: the change of its own error or score, and how such changes spread.

A metric has a value for single samples if it is a mean over samples or a ratio of sums over them: an error of numbers,
an edit rate, the share of right positions, or a user's function that returns a number for each sample. Areas and
average precisions rank samples against each other, so they have none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.custom_metrics import CalledSets
from quantlab.statistics.paired.metrics import PairedMetric
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples

__all__ = ["SampleMoves", "percentile_with_bounds", "sample_moves"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SampleMoves:
    """A metric of each single sample in the reference and in the candidate."""

    metric: PairedMetric
    reference: _Floats
    """(n,): in percent if the metric is a share; NaN where a sample has no value, such as without a scored position."""
    candidate: _Floats
    """(n,): the same; infinite where an error is."""

    @property
    def losses(self) -> _Floats:
        """(n,): what each sample loses, in the metric's unit; positive is worse.

        Infinite where only the reference has a value, and NaN where it has none.
        """
        with np.errstate(invalid="ignore"):
            losses: _Floats = self.metric.sign * (self.reference - self.candidate) + 0.0  # no negative zero
        return np.where(np.isnan(self.candidate) & ~np.isnan(self.reference), np.inf, losses)


def sample_moves(
    metrics: Sequence[PairedMetric], reference: ReferenceSamples, candidate: CandidateSamples
) -> SampleMoves | None:
    """The first metric that has a value for single samples, in each of them; None if no metric has.

    Args:
        metrics: Which apply to the samples, the deciding one first.
        reference: The reference.
        candidate: The candidate, on the same samples.

    Raises:
        UsageError: If a user's function fails.
    """
    for metric in metrics:
        compared = metric.compare(reference, candidate)
        totals = compared.totals() if isinstance(compared, CalledSets) else compared
        if isinstance(totals, Totals) and totals.of_samples:
            sides = totals.of_each()
            return SampleMoves(metric, metric.scale * sides[0], metric.scale * sides[1])
    return None


def percentile_with_bounds(
    values: _Floats, share: float, *, confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """A percentile, and the ends of its interval from order statistics, which assumes nothing about the distribution.

    The percentile is the smallest value that at least that share of the values does not exceed, as in `Spread`. The
    ends are the values whose ranks a binomial distribution leaves outside with at most half of the error probability
    each (Hahn & Meeker 1991, Statistical Intervals, 5.2). An end is None if no value is far enough.

    >>> percentile_with_bounds(np.arange(1.0, 101.0), 0.5), percentile_with_bounds(np.arange(1.0, 11.0), 0.9)
    ((50.0, 40.0, 61.0), (9.0, 7.0, None))

    Args:
        values: (n,), none of them NaN; infinite ones are allowed.
        share: Above 0 and below 1.
        confidence: Two-sided.

    Raises:
        ValueError: If there are no values.
    """
    from scipy.special import bdtr  # imported here because SciPy is slow to import; `scipy.stats` takes seconds more

    n = len(values)
    if not n:
        raise ValueError("a percentile needs at least one value")
    tail = (1 - confidence) / 2
    rank = int(np.ceil(round(n * share, 9)))
    at_most = bdtr(np.arange(n + 1), n, share)
    lower, upper = int(np.searchsorted(at_most, tail)), int(np.searchsorted(at_most, 1 - tail)) + 1
    ordered = np.sort(values)
    return (
        float(ordered[rank - 1]),
        float(ordered[lower - 1]) if lower >= 1 else None,
        float(ordered[upper - 1]) if upper <= n else None,
    )
