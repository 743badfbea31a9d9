"""Metrics that are the ratio of two sums over samples, such as errors over lengths."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.paired.bootstrap import Totals
from quantlab.statistics.paired.distinct import DistinctRows

__all__ = ["mean_of_values", "ratio_of_sums"]

_Side = tuple[NDArray[Any], NDArray[Any]]


def ratio_of_sums(reference: _Side, candidate: _Side, *, most: float | None = None, bounded: bool = False) -> Totals:
    """The totals of Σ numerator / Σ denominator; each side is (denominators, numerators), (n,) each.

    Args:
        reference: Of the reference.
        candidate: Of the candidate.
        most: Largest change of the numerator that an unseen sample may cause; None for the largest denominator, which
            is right for shares.
        bounded: Whether a sample's numerator has a known greatest value; that of a share has.
    """
    columns = np.stack([*reference, *candidate], axis=1).astype(np.float64)
    distinct = DistinctRows.of(columns)
    mean = float(columns[:, 0].mean())
    greatest = float(columns[:, 0].max()) if most is None else most
    weight = greatest / mean if mean > 0 else 1.0

    def value(means: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return means[:, 1] / means[:, 0], means[:, 3] / means[:, 2]

    def slopes(means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of the difference of the two ratios by the four means."""
        under, over, under_c, over_c = means.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([-over / under**2, 1 / under, over_c / under_c**2, -1 / under_c], axis=1)

    finite = bool(np.isfinite(columns).all())
    return Totals(
        rows=distinct.sparse(),
        multiplicity=distinct.multiplicity,
        value=value,
        unseen=lambda share: share * weight,
        row_of=distinct.row_of,
        differing=int((columns[:, :2] != columns[:, 2:]).any(axis=1).sum()) if finite else None,
        slopes=slopes if finite else None,
        bounded=bounded or most is None,
        of_samples=True,
    )


def mean_of_values(reference: NDArray[Any], candidate: NDArray[Any]) -> Totals:
    """The totals of a mean of one number per sample; (n,) each.

    An unseen sample may differ as much as the most different one; if none differs, the largest value is the scale.
    Numbers that are all 0 or 1 are taken for right and wrong, which no other value can follow.
    """
    finite = bool(np.isfinite(reference).all() and np.isfinite(candidate).all())
    differences = np.abs(candidate - reference) if finite else np.array([np.inf])
    largest = max(np.abs(reference).max(initial=0.0), np.abs(candidate).max(initial=0.0))
    ones = np.ones(len(reference))
    most = float(differences.max()) or float(largest)
    binary = all(bool(((side == 0) | (side == 1)).all()) for side in (reference, candidate))
    return ratio_of_sums((ones, reference), (ones, candidate), most=most, bounded=binary)
